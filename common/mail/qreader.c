/*
 * The effective message of a queue file: its content with the trailer's edits
 * applied, as every delivery sees it.  Used by local and remote, whose users
 * trust only what was verified: the sum over the whole content is checked on
 * the way, and the end is announced only when it is right.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"

struct qreader {
	struct qfile *q;   /* borrowed */
	size_t edit;       /* the next one */
	uint64_t skip;     /* octets of the content still to be passed over */
	uint64_t at;       /* next octet of the content */
	/* Octets of the content in memory, [from, from + len) */
	const char *p;
	uint64_t from;
	size_t len;
	char *own;         /* owned buffer, NULL when all is in q->content */
	size_t size;
	uint32_t sum;      /* of [0, from + len) */
	bool broken;       /* answered -1 with `error` before */
	int error;
};

struct qreader *
qreader_new(struct qfile *q, size_t bufsize)
{
	struct qreader *r = mem_alloc(sizeof(*r));

	r->q = q;
	if (q->content != NULL) {
		r->p = q->content;
		r->len = (size_t)q->content_length;
		r->sum = q->content_good ? q->content_sum
		    : qfile_sum(0, r->p, r->len);
		return r;
	}
	r->size = bufsize > 0 ? bufsize : 1;
	if (r->size > q->content_length)
		r->size = (size_t)q->content_length;
	r->own = mem_grow(NULL, r->size, 1);
	r->p = r->own;
	return r;
}

void
qreader_free(struct qreader **rp)
{
	if (*rp == NULL)
		return;
	free((*rp)->own);
	free(*rp);
	*rp = NULL;
}

static ssize_t
fail(struct qreader *r, int error)
{
	r->broken = true;
	r->error = error;
	errno = error;
	return -1;
}

/* The next part of the content; at has reached the end of the last one. */
static int
fill(struct qreader *r)
{
	uint64_t next = r->from + r->len;
	uint64_t left = r->q->content_length - next;
	size_t n = left < r->size ? (size_t)left : r->size;
	ssize_t got = qfile_pread(r->q->fd, r->own, n,
	    r->q->content_at + next);

	if (got < 0)
		return errno;
	if ((size_t)got < n)
		return EBADMSG; /* shorter than when it was opened */
	r->sum = qfile_sum(r->sum, r->own, n);
	r->from = next;
	r->len = n;
	return 0;
}

ssize_t
qreader_next(struct qreader *r, const char **p)
{
	const struct qfile *q = r->q;

	if (r->broken)
		return fail(r, r->error);
	for (;;) {
		uint64_t stop = q->content_length, n;
		int error;

		if (r->skip == 0 && r->edit < q->nedits &&
		    q->edits[r->edit].offset == r->at) {
			const struct qedit *e = &q->edits[r->edit++];

			if (e->p == NULL) {
				r->skip = e->length;
				continue;
			}
			*p = e->p;
			return (ssize_t)e->length;
		}
		if (r->at == q->content_length)
			return r->sum == q->content_sum ? 0 : fail(r, EBADMSG);
		if (r->at == r->from + r->len && (error = fill(r)) != 0)
			return fail(r, error);
		if (r->skip == 0 && r->edit < q->nedits)
			stop = q->edits[r->edit].offset;
		n = r->from + r->len - r->at;
		if (n > stop - r->at)
			n = stop - r->at;
		if (r->skip > 0) {
			n = n < r->skip ? n : r->skip;
			r->skip -= n;
			r->at += n;
			continue;
		}
		*p = r->p + (r->at - r->from);
		r->at += n;
		return (ssize_t)n;
	}
}
