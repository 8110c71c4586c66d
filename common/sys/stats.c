/*
 * The counters of a program.  Opened by each daemon at its start, with the
 * rights it starts with; added to by all its processes, the caged ones too,
 * through a page they share.  Only the values are mapped: what the file says of
 * them is out of reach of a process that was taken over, and no descriptor that
 * could write or cut the file stays open.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/sys/stats.h"
#include "common/sys/stats_file.h"

#define NAME_SIZE 64

/* Like the log, one for the process: callers carry nothing around. */
static struct {
	_Atomic uint64_t *values; /* NULL: nobody counts */
	void *mapped;             /* the same, as it was mapped */
	size_t size;              /* octets of it */
	size_t n;                 /* rows */
	int lock_fd;              /* + 1; 0: none */
	uint16_t slot[STATS_ROWS_MAX];
} self;

static _Atomic uint64_t *
value(size_t row)
{
	if (self.values == NULL || row >= self.n)
		return NULL;
	return self.values + self.slot[row];
}

static void
add(_Atomic uint64_t *v, uint64_t n)
{
	atomic_fetch_add_explicit(v, n, memory_order_relaxed);
}

void
stats_add(size_t row, uint64_t n)
{
	_Atomic uint64_t *v = value(row);

	if (v != NULL)
		add(v, n);
}

void
stats_sub(size_t row, uint64_t n)
{
	stats_add(row, 0 - n);
}

void
stats_set(size_t row, uint64_t n)
{
	_Atomic uint64_t *v = value(row);

	if (v != NULL)
		atomic_store_explicit(v, n, memory_order_relaxed);
}

void
stats_observe(size_t row, int64_t us)
{
	_Atomic uint64_t *v = value(row);
	uint64_t n = us > 0 ? (uint64_t)us : 0, over;
	size_t i = 0;

	if (v == NULL)
		return;
	/* The first bound that is not below it. */
	if (n > STATS_BOUND_FIRST_US) {
		over = (n - 1) / STATS_BOUND_FIRST_US;
		i = 64 - (size_t)__builtin_clzll(over);
		if (i > STATS_BOUNDS)
			i = STATS_BOUNDS;
	}
	add(v + i, 1);
	add(v + STATS_BOUNDS + 1, n);
}

/* ---- the file ---- */

/* What is wanted, and what is done for it. */
struct opening {
	int dirfd;
	const char *program;
	const struct stats_row *rows;
	size_t n;
	struct stats_layout to;
};

static void
release(void)
{
	if (self.mapped != NULL)
		munmap(self.mapped, self.size);
	if (self.lock_fd > 0)
		close(self.lock_fd - 1);
	memset(&self, 0, sizeof(self));
}

static int
open_file(const struct opening *o, int flags)
{
	return openat(o->dirfd, o->program, flags | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
}

/* What a run before counted goes on in the rows that are the same. */
static void
carry_over(const struct opening *o, const struct stats_file *old,
    uint64_t *values)
{
	size_t slot = STATS_SLOTS_FIXED;

	if (old->bounds != STATS_BOUNDS ||
	    old->first_us != STATS_BOUND_FIRST_US)
		return;
	for (size_t i = 0; i < o->n; i++) {
		size_t slots = stats_slots(o->rows[i].kind, STATS_BOUNDS);

		for (size_t k = 0; k < old->n; k++)
			if (o->rows[i].kind == old->v[k].kind &&
			    slice_eq(old->v[k].name, slice_of(o->rows[i].name)))
				memcpy(values + slot,
				    old->values + old->v[k].slot,
				    slots * sizeof(uint64_t));
		slot += slots;
	}
}

static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* A new file under a name that nobody reads, then under its own. */
static bool
make_file(struct opening *o, const struct stats_file *old)
{
	size_t size = (size_t)o->to.offset + o->to.nvalues * sizeof(uint64_t);
	struct buf image = BUF_INIT(size);
	char name[NAME_SIZE];
	char *room;
	bool good;
	int fd;

	snprintf(name, sizeof(name), "%s.new", o->program);
	(void)unlinkat(o->dirfd, name, 0);
	fd = openat(o->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0640);
	if (fd == -1)
		return false;
	room = buf_room(&image, size);
	memset(room, 0, size);
	memcpy(room, o->to.text.s, o->to.text.len);
	if (old != NULL)
		carry_over(o, old, (void *)(room + o->to.offset));
	good = write_all(fd, room, size) && fchmod(fd, 0640) == 0 &&
	    renameat(o->dirfd, name, o->dirfd, o->program) == 0;
	close(fd);
	buf_free(&image);
	return good;
}

/* What is there is not ours to use: kept for whoever wants to know. */
static bool
move_aside(const struct opening *o, const char *why)
{
	char aside[NAME_SIZE];

	snprintf(aside, sizeof(aside), "%s.bad", o->program);
	log_warnx("run_dir/%s/%s: %s: renamed to %s", STATS_DIR, o->program,
	    why, aside);
	return renameat(o->dirfd, o->program, o->dirfd, aside) == 0;
}

/* The file under its name is as it must be, or is made so.  A fault that may
 * pass (no descriptors, a read error) is no reason to move anything. */
static bool
settle_file(struct opening *o)
{
	struct stats_file old;
	const char *why = "is another user's";
	enum stats_result r = STATS_FILE_BAD;
	struct stat st;
	bool good;
	int fd = open_file(o, O_RDONLY);

	if (fd == -1 && errno == ENOENT)
		return make_file(o, NULL);
	if (fd == -1 && errno != ELOOP && errno != ENXIO && errno != EACCES)
		return false;
	if (fd == -1)
		why = "cannot be opened";
	else if (fstat(fd, &st) == 0 && st.st_uid == geteuid())
		r = stats_file_read(fd, &old, &why);
	if (fd != -1)
		close(fd);
	if (r == STATS_FILE_ERROR)
		return false;
	if (r == STATS_FILE_BAD)
		return move_aside(o, why) && make_file(o, NULL);
	good = slice_eq(slice_mem(old.text, old.text_len),
	    buf_slice(&o->to.text)) || make_file(o, &old);
	stats_file_free(&old);
	return good;
}

/* Read-only, and the process's own: children do not have it, and it ends with
 * this process. */
static void
say_running(const struct opening *o)
{
	struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	int fd = open_file(o, O_RDONLY);

	if (fd == -1)
		return;
	if (fcntl(fd, F_SETLK, &l) == 0)
		self.lock_fd = fd + 1;
	else
		close(fd);
}

static bool
map(struct opening *o)
{
	size_t slot = STATS_SLOTS_FIXED;
	int fd = open_file(o, O_RDWR);
	void *p;

	if (fd == -1)
		return false;
	self.size = o->to.nvalues * sizeof(uint64_t);
	p = mmap(NULL, self.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    (off_t)o->to.offset);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	self.values = self.mapped = p;
	self.n = o->n;
	for (size_t i = 0; i < o->n; i++) {
		self.slot[i] = (uint16_t)slot;
		if (o->rows[i].kind == STATS_GAUGE)
			stats_set(i, 0);
		slot += stats_slots(o->rows[i].kind, STATS_BOUNDS);
	}
	atomic_store(self.values + STATS_SLOT_START,
	    (uint64_t)clock_real_ms());
	atomic_store(self.values + STATS_SLOT_PID, (uint64_t)getpid());
	return true;
}

void
stats_open(const char *run_dir, const char *program,
    const struct stats_row *rows, size_t n)
{
	struct opening o = {.program = program, .rows = rows, .n = n};
	long page = sysconf(_SC_PAGESIZE);
	char path[PATH_MAX];

	release();
	snprintf(path, sizeof(path), "%s/%s", run_dir, STATS_DIR);
	o.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (o.dirfd == -1) {
		if (errno != ENOENT)
			log_warn("%s: no figures are kept", path);
		return; /* without `postern setup` of this release */
	}
	stats_file_text(program, rows, n, page > 0 ? (size_t)page : 4096,
	    &o.to);
	if (n > STATS_ROWS_MAX || o.to.text.overflow)
		log_warnx("%s/%s: too many figures", path, program);
	else if (!settle_file(&o) || !map(&o))
		log_warn("%s/%s: no figures are kept", path, program);
	else
		say_running(&o);
	buf_free(&o.to.text);
	close(o.dirfd);
}
