/*
 * Maildir names and directories.  Runs in local's deliveries and in the mailbox
 * processes of pop3d, always with the rights of the mailbox's owner; directory
 * contents are whatever the owner's other programs left there.
 */
#include <sys/stat.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/num.h"
#include "common/mail/maildir.h"

/* What is left of a host name in a file name: with the rest at its longest,
 * it still fits. */
#define HOST_MAX 100

int
maildir_make(int dirfd, const char *name)
{
	static const char *const parts[] = {"cur", "new", "tmp"};
	int fd;

	if (mkdirat(dirfd, name, 0700) != 0 && errno != EEXIST)
		return -1;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (mkdirat(fd, parts[i], 0700) != 0 && errno != EEXIST) {
			int saved = errno;

			close(fd);
			errno = saved;
			return -1;
		}
	}
	close(fd);
	return 0;
}

void
maildir_name(const struct mail_id *id, uint32_t number, struct slice host,
    uint64_t size, uint64_t wire, char out[MAILDIR_NAME_MAX + 1])
{
	char clean[HOST_MAX + 1];
	size_t len = host.len < HOST_MAX ? host.len : HOST_MAX;
	int n;

	/* A comma would begin a field; the others have a meaning or none. */
	for (size_t i = 0; i < len; i++) {
		char c = host.p[i];

		clean[i] = c > ' ' && c < 0x7f && c != '/' && c != ':' &&
		    c != ',' ? c : '_';
	}
	clean[len] = '\0';
	n = snprintf(out, MAILDIR_NAME_MAX + 1,
	    "%" PRId64 ".%s.%" PRIu32 ".%s,S=%" PRIu64 ",W=%" PRIu64,
	    id_time_ms(id) / 1000, id->s, number, clean, size, wire);
	assert(n > 0 && n <= MAILDIR_NAME_MAX);
}

/* A number field "S=2000"; the first of its kind counts, as with Dovecot. */
static void
take_size(struct slice part, char key, bool *has, uint64_t *size)
{
	if (*has || part.len < 3 || part.p[0] != key || part.p[1] != '=')
		return;
	*has = num_u64(slice_sub(part, 2, part.len), 0, INT64_MAX, size);
}

bool
maildir_parse(struct slice name, struct maildir_entry *out)
{
	struct maildir_entry e = {.flags = SLICE_EMPTY};
	struct slice rest, part;
	size_t colon;

	if (name.len == 0 || name.len > MAILDIR_NAME_MAX || name.p[0] == '.')
		return false;
	/* '/' cannot be there; the others would break a line of the uidlist. */
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] == '/' || name.p[i] == '\n' ||
		    name.p[i] == '\r' || name.p[i] == '\0')
			return false;
	colon = slice_find(name, ':', 0);
	e.base = slice_sub(name, 0, colon);
	if (e.base.len == 0)
		return false;
	rest = slice_sub(name, colon, name.len);
	if (slice_prefix(rest, SLICE(":2,")))
		e.flags = slice_sub(rest, 3, rest.len);
	rest = e.base;
	while (slice_cut(&rest, ',', &part)) {
		take_size(part, 'S', &e.has_size, &e.size);
		take_size(part, 'W', &e.has_wire, &e.wire);
	}
	*out = e;
	return true;
}

/* Looks through one directory: 1 found, 0 not there, -1 errno. */
static int
scan(int maildir_fd, const char *sub, struct slice base)
{
	struct maildir_entry e;
	struct dirent *d;
	DIR *dir;
	int found = 0;
	int fd = openat(maildir_fd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		if ((d = readdir(dir)) == NULL) {
			if (errno != 0)
				found = -1;
			break;
		}
		if (maildir_parse(slice_of(d->d_name), &e) &&
		    slice_eq(e.base, base)) {
			found = 1;
			break;
		}
	}
	if (found < 0) {
		int saved = errno;

		closedir(dir);
		errno = saved;
	} else
		closedir(dir);
	return found;
}

int
maildir_has(int maildir_fd, struct slice base)
{
	/* A message moves from new to cur, so cur is looked at later; a change
	 * of flags renames it there, which may hide it from one scan. */
	static const char *const subs[] = {"new", "cur", "cur"};
	char path[sizeof("new/") + MAILDIR_NAME_MAX];
	struct stat st;
	int r = 0;

	if (base.len > MAILDIR_NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(path, sizeof(path), "new/%.*s", SLICE_FMT(base));
	if (fstatat(maildir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (errno != ENOENT)
		return -1;
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]) && r == 0; i++)
		r = scan(maildir_fd, subs[i], base);
	return r;
}
