/*
 * The list of paused destinations.  Runs in qmgr; the file is the admin's, the
 * names come from postern(8).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "qmgr/dest.h"
#include "qmgr/paused.h"
#include "qmgr/qmgr.h"

#define FILE_NAME "paused"
#define FRESH_NAME "paused.new"
#define FILE_MAX (1024 * 1024)

struct pause {
	char *name, *reason; /* owned */
};

struct paused {
	struct pause *v;
	size_t n, cap;
};

static void
clear(struct paused *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].reason);
	}
	free(p->v);
	p->v = NULL;
	p->n = p->cap = 0;
}

void
paused_free(struct qmgr *qm)
{
	if (qm->paused == NULL)
		return;
	clear(qm->paused);
	free(qm->paused);
	qm->paused = NULL;
}

static struct pause *
find(const struct qmgr *qm, struct slice name)
{
	for (size_t i = 0; qm->paused != NULL && i < qm->paused->n; i++)
		if (slice_ieq(slice_of(qm->paused->v[i].name), name))
			return &qm->paused->v[i];
	return NULL;
}

bool
paused_has(const struct qmgr *qm, struct slice name)
{
	return find(qm, name) != NULL;
}

bool
paused_at(const struct qmgr *qm, size_t i, struct slice *name,
    struct slice *reason)
{
	if (i >= qm->paused->n)
		return false;
	*name = slice_of(qm->paused->v[i].name);
	*reason = slice_of(qm->paused->v[i].reason);
	return true;
}

char *
paused_reason(const struct qmgr *qm, enum lane_no no, struct slice key)
{
	const struct pause *p = find(qm, key);

	if (p == NULL && (no == LANE_LOCAL || no == LANE_SPAWNER))
		p = find(qm, PAUSED_LOCAL);
	return p == NULL ? NULL : mem_dup(p->reason);
}

/* Every destination in memory learns what the list says. */
static void
apply(struct qmgr *qm)
{
	struct dest *d, *next;
	char *reason;

	for (d = dest_next(qm, NULL); d != NULL; d = next) {
		next = dest_next(qm, d);
		reason = paused_reason(qm, d->no, slice_mem(d->key, d->len));
		if (reason != NULL || d->pause != NULL)
			dest_pause(d, reason);
		free(reason);
	}
}

/* ---- reading ---- */

static void
add(struct paused *p, struct slice name, struct slice reason)
{
	struct pause one;

	if (reason.len == 0)
		reason = SLICE("no reason given");
	one.name = slice_dup(name);
	one.reason = slice_dup(slice_sub(reason, 0, STATUS_TEXT_MAX));
	MEM_PUSH(p->v, p->n, p->cap, one);
}

static void
parse(struct paused *p, struct slice text)
{
	struct slice line, name;

	while (slice_cut(&text, '\n', &line)) {
		line = slice_trim(line);
		if (line.len == 0 || line.p[0] == '#' ||
		    !slice_cut(&line, '\t', &name))
			continue;
		add(p, slice_trim(name), line.p == NULL ? SLICE_EMPTY :
		    slice_trim(line));
	}
}

/* The file's text; false: errno. */
static bool
read_text(int dirfd, struct buf *out)
{
	int fd = openat(dirfd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	char part[4096];
	ssize_t n;

	if (fd == -1)
		return errno == ENOENT;
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_add(out, part, (size_t)n);
	close(fd);
	if (out->overflow)
		errno = EFBIG;
	return n == 0 && !out->overflow;
}

void
paused_read(struct qmgr *qm)
{
	struct buf text = BUF_INIT(FILE_MAX);

	if (qm->paused == NULL)
		qm->paused = mem_alloc(sizeof(*qm->paused));
	if (read_text(qm->queue_fd, &text)) {
		clear(qm->paused);
		parse(qm->paused, buf_slice(&text));
		apply(qm);
	} else
		LOG_ERROR("paused-unreadable", LS("file", FILE_NAME), LE());
	for (size_t i = 0; i < qm->paused->n; i++)
		LOG_INFO("destination-paused",
		    LS("dest", qm->paused->v[i].name),
		    LS("reason", qm->paused->v[i].reason));
	buf_free(&text);
}

/* ---- writing ---- */

static bool
put_text(int fd, struct slice text)
{
	ssize_t n;

	while (text.len > 0) {
		n = write(fd, text.p, text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = slice_sub(text, (size_t)n, text.len);
	}
	return fsync(fd) == 0;
}

static bool
write_all(const struct qmgr *qm)
{
	const struct paused *p = qm->paused;
	struct buf text = BUF_INIT(FILE_MAX);
	bool good = false;
	int fd;

	assert(p != NULL);
	for (size_t i = 0; i < p->n; i++)
		/* The analyzer does not see that take_off closed the gap.
		 * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		buf_printf(&text, "%s\t%s\n", p->v[i].name, p->v[i].reason);
	if (text.overflow) {
		buf_free(&text);
		errno = EFBIG;
		return false;
	}
	fd = openat(qm->queue_fd, FRESH_NAME, O_WRONLY | O_CREAT | O_TRUNC |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd != -1) {
		good = put_text(fd, buf_slice(&text));
		close(fd);
	}
	good = good && renameat(qm->queue_fd, FRESH_NAME, qm->queue_fd,
	    FILE_NAME) == 0 && fsync(qm->queue_fd) == 0;
	buf_free(&text);
	return good;
}

/* No octet that could be a tab or the end of a line. */
static struct slice
printable(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_addc(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ?
		    '?' : s.p[i]);
	return buf_slice(out);
}

/* What was done is taken back if it cannot be written. */
static bool
written(struct qmgr *qm)
{
	int saved;

	if (write_all(qm)) {
		apply(qm);
		return true;
	}
	saved = errno;
	LOG_ERROR("paused-not-written", LS("file", FILE_NAME), LE());
	paused_read(qm);
	errno = saved;
	return false;
}

static void
take_off(struct paused *p, struct pause *one)
{
	struct pause last = p->v[--p->n];

	free(one->name);
	free(one->reason);
	if (one != &p->v[p->n])
		*one = last;
}

bool
paused_add(struct qmgr *qm, struct slice name, struct slice reason)
{
	struct buf clean = BUF_INIT(STATUS_TEXT_MAX);
	struct pause *old = find(qm, name);

	if (old != NULL)
		take_off(qm->paused, old);
	add(qm->paused, name, printable(&clean,
	    slice_sub(reason, 0, STATUS_TEXT_MAX)));
	buf_free(&clean);
	return written(qm);
}

bool
paused_remove(struct qmgr *qm, struct slice name)
{
	struct pause *old = find(qm, name);

	if (old != NULL)
		take_off(qm->paused, old);
	return written(qm);
}
