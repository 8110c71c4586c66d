/*
 * Opens and reads log files, in the admin's command.  What is in them is
 * anybody's.  Loggers rotate while we read: a file that is open stays what it
 * was, whatever its name is by then.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "postern/logfile.h"
#include "postern/out.h"

#define CHUNK 262144
#define PATH_SIZE 4200

static int
open_at(int dirfd, const char *name, int flags)
{
	int fd;

	do
		fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY |
		    O_NONBLOCK | flags);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* fd goes over. */
static bool
take_fd(struct logfiles *l, int fd, const char *name)
{
	struct logfile f = {.fd = fd};
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		out_error("%s: is no regular file", name);
		close(fd);
		return false;
	}
	f.name = mem_dup(name);
	f.size = (uint64_t)st.st_size;
	MEM_PUSH(l->v, l->n, l->cap, f);
	return true;
}

/* ---- pipes ---- */

static bool
copy(int from, int to)
{
	char *chunk = mem_grow(NULL, CHUNK, 1);
	ssize_t n = 0, done;
	bool good = true;

	while (good && ((n = read(from, chunk, CHUNK)) > 0 ||
	    (n < 0 && errno == EINTR)))
		for (ssize_t at = 0; good && at < n; at += done) {
			done = write(to, chunk + at, (size_t)(n - at));
			good = done > 0 || errno == EINTR;
			done = done > 0 ? done : 0;
		}
	free(chunk);
	return good && n == 0;
}

/* A pipe is put into a nameless file: it is read more than once. */
static bool
add_pipe(struct logfiles *l, int from, const char *name)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	dir = dir != NULL && dir[0] == '/' ? dir : "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || !copy(from, fd)) {
		out_error("%s: cannot be kept in %s: %s", name, dir,
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	return take_fd(l, fd, name);
}

static bool
add_stdin(struct logfiles *l)
{
	static const char name[] = "standard input";
	struct stat st;

	if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return take_fd(l, fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3),
		    name);
	return add_pipe(l, STDIN_FILENO, name);
}

/* ---- directories ---- */

/* "@4000...s" and ".u" of daemontools' kind; s6-log's and svlogd's the same */
static int
is_archive(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] == '@' && len > 2 &&
	    (strcmp(e->d_name + len - 2, ".s") == 0 ||
	    strcmp(e->d_name + len - 2, ".u") == 0);
}

static bool
add_named(struct logfiles *l, int dirfd, const char *dir, const char *name)
{
	char path[PATH_SIZE];
	int fd = open_at(dirfd, name, O_NOFOLLOW);

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (fd < 0 && errno == ENOENT)
		return true; /* rotated away this moment */
	if (fd < 0) {
		out_error("%s: %s", path, strerror(errno));
		return false;
	}
	return take_fd(l, fd, path);
}

/* *found: it is a logger's. */
static bool
add_logger(struct logfiles *l, int fd, const char *dir, bool *found)
{
	struct dirent **v = NULL;
	struct stat st;
	bool good = true;
	int n;

	*found = fstatat(fd, "current", &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*found)
		return true;
	n = scandirat(fd, ".", &v, is_archive, alphasort);
	for (int i = 0; i < n; i++) {
		good = add_named(l, fd, dir, v[i]->d_name) && good;
		free(v[i]);
	}
	free(v);
	/* s6-log's, between two steps of a rotation */
	good = add_named(l, fd, dir, "previous") && good;
	return add_named(l, fd, dir, "current") && good;
}

static int
is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Each directory in it that is a logger's. */
static bool
add_loggers(struct logfiles *l, int fd, const char *dir, bool *found)
{
	struct dirent **v = NULL;
	int n = scandirat(fd, ".", &v, is_visible, alphasort);
	bool good = true;

	for (int i = 0; i < n; i++) {
		int sub = open_at(fd, v[i]->d_name, O_DIRECTORY);
		char path[PATH_SIZE];
		bool one = false;

		snprintf(path, sizeof(path), "%s/%s", dir, v[i]->d_name);
		free(v[i]);
		if (sub < 0)
			continue;
		good = add_logger(l, sub, path, &one) && good;
		*found |= one;
		close(sub);
	}
	free(v);
	return good;
}

static bool
add_dir(struct logfiles *l, int fd, const char *dir)
{
	bool found, good = add_logger(l, fd, dir, &found);

	if (!found)
		good = add_loggers(l, fd, dir, &found);
	if (!found)
		out_error("%s: has no log of a logger (`current`)", dir);
	return good && found;
}

/* ---- all ---- */

bool
logfiles_add(struct logfiles *l, const char *path)
{
	struct stat st;
	bool good;
	int fd;

	if (strcmp(path, "-") == 0)
		return add_stdin(l);
	fd = open_at(AT_FDCWD, path, 0);
	if (fd < 0 || fstat(fd, &st) != 0) {
		out_error("%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (!S_ISDIR(st.st_mode) && !S_ISFIFO(st.st_mode))
		return take_fd(l, fd, path);
	/* <(zcat old.gz) of a shell */
	good = S_ISDIR(st.st_mode) ? add_dir(l, fd, path)
	    : fcntl(fd, F_SETFL, 0) == 0 && add_pipe(l, fd, path);
	close(fd);
	return good;
}

void
logfiles_free(struct logfiles *l)
{
	for (size_t i = 0; i < l->n; i++) {
		close(l->v[i].fd);
		free(l->v[i].name);
	}
	free(l->v);
	*l = (struct logfiles){.v = NULL};
}

/* Hands out whole lines of chunk; how many octets are used up.  What is longer
 * than a line may be is cut, and its rest passed over (*skip). */
static size_t
hand_out(struct slice chunk, bool *skip,
    void (*fn)(void *arg, struct slice line), void *arg)
{
	size_t at = 0, end;

	while ((end = slice_find(chunk, '\n', at)) < chunk.len) {
		if (!*skip)
			fn(arg, slice_sub(chunk, at,
			    end - at > LOGFILE_LINE_MAX
			    ? at + LOGFILE_LINE_MAX : end));
		*skip = false;
		at = end + 1;
	}
	if (chunk.len - at <= LOGFILE_LINE_MAX)
		return at;
	if (!*skip)
		fn(arg, slice_sub(chunk, at, at + LOGFILE_LINE_MAX));
	*skip = true;
	return chunk.len;
}

bool
logfile_lines(const struct logfile *f,
    void (*fn)(void *arg, struct slice line), void *arg)
{
	char *chunk = mem_grow(NULL, CHUNK, 1);
	uint64_t at = 0;
	size_t have = 0, used;
	ssize_t n = 1;
	bool skip = false;

	while (at < f->size && n > 0) {
		size_t room = CHUNK - have;

		if (room > f->size - at)
			room = (size_t)(f->size - at);
		n = pread(f->fd, chunk + have, room, (off_t)at);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n <= 0)
			break;
		at += (uint64_t)n;
		have += (size_t)n;
		used = hand_out(slice_mem(chunk, have), &skip, fn, arg);
		have -= used;
		memmove(chunk, chunk + used, have);
	}
	/* The last line, if nobody ended it. */
	if (have > 0 && !skip)
		fn(arg, slice_mem(chunk, have));
	if (n < 0)
		out_error("%s: %s", f->name, strerror(errno));
	free(chunk);
	return n >= 0;
}
