/*
 * What lies in the drop directory, as far as the kernel says it: kinds, owners,
 * sizes, names.  In pickup's parent, which reads no octet of any of it.  Every
 * user of the host can make files there, links to others' files, sockets,
 * directories, in any number; nothing is followed, and what cannot be mail is
 * renamed out of the way, so that it is looked at once, or removed where it
 * holds nothing.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "queue/drop.h"
#include "queue/pickup.h"

/* So young a file may still be on its way to having one name. */
#define YOUNG_MS 10000

static int64_t
changed_ms(const struct stat *st)
{
	return (int64_t)st->st_ctim.tv_sec * 1000 +
	    st->st_ctim.tv_nsec / 1000000;
}

const char *
pickup_strange(const struct pickup *p, const struct stat *st, int64_t now_ms,
    bool *later)
{
	*later = false;
	if (S_ISLNK(st->st_mode))
		return "a symbolic link; links are not followed";
	if (!S_ISREG(st->st_mode))
		return "no file";
	if (st->st_nlink != 1) {
		*later = now_ms - changed_ms(st) < YOUNG_MS;
		return "it has other names (hard links)";
	}
	if (p->check_gid && st->st_gid != p->drop_gid)
		return "it was not made in drop_dir: its group is another";
	if (st->st_size < 0 || (uint64_t)st->st_size >
	    p->conf.message_size_max + DROP_HEAD_MAX)
		return "larger than message_size_max";
	return NULL;
}

void
pickup_set_aside(const struct pickup *p, const char *name,
    const struct stat *st, const char *why)
{
	struct mail_id id = id_new(clock_real_ms());
	char aside[sizeof(PICKUP_BAD) + ID_LEN];

	/* Links, pipes and sockets hold nothing that could be missed. */
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
		if (unlinkat(p->drop_fd, name, 0) == 0)
			LOG_WARN("strange-file", LS("name", name),
			    LU("uid", st->st_uid), LS("why", why),
			    LS("now", "removed"));
		else if (errno != ENOENT)
			LOG_WARN("strange-file-stays", LS("name", name),
			    LU("uid", st->st_uid), LS("why", why), LE());
		return;
	}
	snprintf(aside, sizeof(aside), PICKUP_BAD "%s", id.s);
	if (renameat2(p->drop_fd, name, p->drop_fd, aside,
	    RENAME_NOREPLACE) != 0) {
		if (errno == ENOENT)
			return;
		LOG_WARN("strange-file-stays", LS("name", name),
		    LU("uid", st->st_uid), LS("why", why), LE());
		return;
	}
	LOG_WARN("strange-file", LS("name", name), LU("uid", st->st_uid),
	    LS("why", why), LS("now", aside),
	    LS("mend", "look at it in drop_dir and remove it"));
}

/*
 * Made of what the kernel says and its owner cannot choose: the moment it got
 * its name (ctime), and the inode.  So nobody can make one that is somebody
 * else's message's, and a second try at the same file gives the same id.
 */
struct mail_id
pickup_id(const struct stat *st, const char *name)
{
	uint64_t facts[4] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino,
	    (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec};
	unsigned char octets[sizeof(facts) + ID_LEN] = {0};
	uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
	size_t n = strlen(name);

	memcpy(octets, facts, sizeof(facts));
	memcpy(octets + sizeof(facts), name, n < ID_LEN ? n : ID_LEN);
	for (size_t i = 0; i < sizeof(octets); i++)
		h = (h ^ octets[i]) * UINT64_C(1099511628211);
	return id_made(changed_ms(st), h ^ h >> 50);
}

/* The order in which a file moves through them. */
enum pickup_known
pickup_known(const struct pickup *p, const struct mail_id *id)
{
	struct stat st;
	enum pickup_known known = PICKUP_NEW;
	int fd;

	fd = openat(p->queue_fds[QDIR_INCOMING], id->s,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		/* queued keeps it locked until it is durable. */
		known = flock(fd, LOCK_SH | LOCK_NB) == 0 ? PICKUP_QUEUED
		    : PICKUP_BUSY;
		close(fd);
		return known;
	}
	for (int i = 0; i < QDIR_COUNT; i++)
		if (fstatat(p->queue_fds[i], id->s, &st,
		    AT_SYMLINK_NOFOLLOW) == 0)
			known = PICKUP_QUEUED;
	return known;
}
