/*
 * :include: files, in authd.  Their paths stand in aliases and in other such
 * files, whose writers may be list owners and not admins: a path is walked part
 * by part from the kept descriptor of its directory, and a link, a device or a
 * way up ends the walk.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "authd/include.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"

#define PART_MAX 255

struct include_dir {
	char *path; /* owned, without slashes at its end */
	int fd;
};

struct include_dirs {
	struct include_dir *v;
	size_t n;
};

struct include_dirs *
include_new(const struct conf_list *dirs)
{
	struct include_dirs *d = mem_alloc(sizeof(*d));
	size_t i, len;

	d->v = mem_array(dirs->n + 1, sizeof(*d->v));
	for (i = 0; i < dirs->n; i++) {
		d->v[i].path = mem_dup(dirs->v[i]);
		len = strlen(d->v[i].path);
		while (len > 0 && d->v[i].path[len - 1] == '/')
			d->v[i].path[--len] = '\0';
		d->v[i].fd = open(dirs->v[i],
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	d->n = dirs->n;
	return d;
}

void
include_free(struct include_dirs **dp)
{
	struct include_dirs *d = *dp;
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < d->n; i++) {
		free(d->v[i].path);
		if (d->v[i].fd >= 0)
			close(d->v[i].fd);
	}
	free(d->v);
	free(d);
	*dp = NULL;
}

int
include_fd(const struct include_dirs *d, size_t i)
{
	if (i >= d->n)
		return -2;
	return d->v[i].fd >= 0 ? d->v[i].fd : -1;
}

/* The directory that path lies in, and what comes behind it. */
static const struct include_dir *
find_dir(const struct include_dirs *d, struct slice path, struct slice *below)
{
	struct slice dir;
	size_t i;

	for (i = 0; i < d->n; i++) {
		dir = slice_of(d->v[i].path);
		if (slice_prefix(path, dir) && path.len > dir.len &&
		    path.p[dir.len] == '/') {
			*below = slice_sub(path, dir.len + 1, path.len);
			return &d->v[i];
		}
	}
	return NULL;
}

static bool
copy_part(struct slice part, char out[PART_MAX + 1])
{
	if (part.len > PART_MAX || memchr(part.p, '\0', part.len) != NULL ||
	    slice_eq(part, SLICE(".")) || slice_eq(part, SLICE("..")))
		return false;
	memcpy(out, part.p, part.len);
	out[part.len] = '\0';
	return true;
}

/* The file below the directory dir_fd; -1 with errno. */
static int
open_below(int dir_fd, struct slice below)
{
	char name[PART_MAX + 1];
	struct slice part;
	int at = dir_fd, fd = -1, saved;

	while (slice_cut(&below, '/', &part)) {
		bool last = below.p == NULL;

		if (part.len == 0 && !last)
			continue;
		if (part.len == 0 || !copy_part(part, name)) {
			errno = EINVAL;
			fd = -1;
		} else {
			fd = openat(at, name, O_RDONLY | O_CLOEXEC |
			    O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
			    (last ? 0 : O_DIRECTORY));
		}
		saved = errno;
		if (at != dir_fd)
			close(at);
		errno = saved;
		if (fd < 0)
			return -1;
		at = fd;
	}
	return fd;
}

static char *
read_whole(int fd, size_t *len, const char **why)
{
	struct stat st;
	size_t size, n = 0;
	ssize_t r = 1;
	char *text;

	errno = 0;
	if (fstat(fd, &st) != 0) {
		*why = "cannot be looked at";
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		*why = "is not a regular file";
		return NULL;
	}
	if ((uint64_t)st.st_size > INCLUDE_MAX) {
		*why = "is larger than 16 MB";
		return NULL;
	}
	size = (size_t)st.st_size;
	text = mem_array(size + 1, 1);
	while (n < size && r > 0) {
		r = read(fd, text + n, size - n);
		if (r > 0)
			n += (size_t)r;
	}
	if (r < 0) {
		*why = "cannot be read";
		free(text);
		return NULL;
	}
	*len = n;
	return text;
}

char *
include_read(const struct include_dirs *d, struct slice path, size_t *len,
    const char **why)
{
	const struct include_dir *dir;
	struct slice below;
	char *text;
	int fd, saved;

	dir = find_dir(d, path, &below);
	if (dir == NULL) {
		errno = 0;
		*why = "is not below include_dirs";
		return NULL;
	}
	if (dir->fd < 0) {
		errno = 0;
		*why = "its directory was not there when authd started; make "
		    "it and start authd again";
		return NULL;
	}
	fd = open_below(dir->fd, below);
	if (fd < 0) {
		*why = errno == ELOOP ? "links are not followed"
		    : errno == EINVAL ? "the path has empty parts, . or .."
		                      : "cannot be opened";
		return NULL;
	}
	text = read_whole(fd, len, why);
	saved = errno;
	close(fd);
	errno = saved;
	return text;
}
