/*
 * Lock files shared with Dovecot.  Runs in the mailbox processes, with the
 * rights of the mailbox's owner.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/dotlock.h"

#define MARK "postern "
#define WAIT_FIRST_US 1000
#define WAIT_MOST_US 30000

/* What one look at the lock found. */
enum look { LOOK_TAKEN, LOOK_HELD, LOOK_AGAIN, LOOK_ERROR };

static enum look
create(struct dotlock *l)
{
	char text[32];
	int n, fd;

	fd = openat(l->dirfd, l->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == EEXIST ? LOOK_HELD : LOOK_ERROR;
	/* The mark comes after the flock: who reads it may rely on that.  Both
	 * only speed up what happens after our death; the lock is the file. */
	n = snprintf(text, sizeof(text), MARK "%ld\n", (long)getpid());
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && write(fd, text, (size_t)n) < 0)
		log_warn("cannot write %s", l->name);
	l->fd = fd;
	return LOOK_TAKEN;
}

static bool
is_named(const struct dotlock *l, const struct stat *st)
{
	struct stat now;

	return fstatat(l->dirfd, l->name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

static bool
is_old(const struct stat *st)
{
	int64_t changed = st->st_mtime > st->st_ctime ? st->st_mtime
	    : st->st_ctime;

	return clock_real_ms() - changed * 1000 > DOTLOCK_STALE_MS;
}

/*
 * Somebody's lock is there.  Only who holds the flock on that very file may
 * remove it, so of several postern processes that find it stale one does.
 */
static enum look
inspect(struct dotlock *l)
{
	char mark[sizeof(MARK) - 1];
	enum look r = LOOK_HELD;
	struct stat st;
	bool ours;
	int fd;

	fd = openat(l->dirfd, l->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? LOOK_AGAIN : LOOK_ERROR;
	ours = read(fd, mark, sizeof(mark)) == (ssize_t)sizeof(mark) &&
	    memcmp(mark, MARK, sizeof(mark)) == 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
	    (ours || is_old(&st))) {
		if (!is_named(l, &st))
			r = LOOK_AGAIN;
		else if (unlinkat(l->dirfd, l->name, 0) == 0) {
			log_warnx("removed stale lock %s: its holder is gone",
			    l->name);
			r = LOOK_AGAIN;
		} else
			r = errno == ENOENT ? LOOK_AGAIN : LOOK_ERROR;
	}
	if (r == LOOK_ERROR) {
		int saved = errno;

		close(fd);
		errno = saved;
	} else
		close(fd);
	return r;
}

enum dotlock_result
dotlock_take(struct dotlock *l, int dirfd, const char *name,
    int64_t deadline_ms)
{
	uint32_t wait_us = WAIT_FIRST_US;

	*l = (struct dotlock){dirfd, -1, name};
	for (;;) {
		enum look r = create(l);
		struct timespec pause;

		if (r == LOOK_HELD)
			r = inspect(l);
		if (r == LOOK_TAKEN)
			return DOTLOCK_OK;
		if (r == LOOK_ERROR)
			return DOTLOCK_ERROR;
		if (clock_mono_ms() >= deadline_ms)
			return DOTLOCK_BUSY;
		if (r == LOOK_AGAIN)
			continue;
		pause = (struct timespec){0,
		    (long)(wait_us / 2 + random_below(wait_us)) * 1000};
		nanosleep(&pause, NULL);
		if (wait_us < WAIT_MOST_US)
			wait_us *= 2;
	}
}

void
dotlock_release(struct dotlock *l)
{
	struct stat st;

	/* Who took so long that others thought it stale must not take theirs. */
	if (fstat(l->fd, &st) == 0 && is_named(l, &st))
		unlinkat(l->dirfd, l->name, 0);
	close(l->fd);
	l->fd = -1;
}
