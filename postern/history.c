/*
 * The attempts and notes of a queue file, kept in memory for `explain`.  Runs
 * as user_queue; the words in them are other hosts' and are only copied here.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "postern/history.h"

static struct slice
copy(char **at, struct slice s)
{
	struct slice copied = slice_mem(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copied;
}

static void
take(void *arg, const struct qtried *t)
{
	struct history *h = arg;
	struct history_entry e = {.t = *t, .order = h->n};
	char *at;

	at = e.own = mem_grow(NULL, t->what.len + t->host.len + t->rule.len +
	    t->why.len + 1, 1);
	e.t.what = copy(&at, t->what);
	e.t.host = copy(&at, t->host);
	e.t.rule = copy(&at, t->rule);
	e.t.why = copy(&at, t->why);
	MEM_PUSH(h->v, h->n, h->cap, e);
}

static int
by_recipient(const void *a, const void *b)
{
	const struct history_entry *x = a, *y = b;

	if (x->t.number != y->t.number)
		return x->t.number < y->t.number ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

bool
history_read(struct qfile *file, struct history *h, char why[STATUS_TEXT_MAX])
{
	enum qfile_result r;

	*h = (struct history){.v = NULL};
	r = qfile_attempts(file, take, h, why);
	if (h->n > 1)
		qsort(h->v, h->n, sizeof(*h->v), by_recipient);
	return r == QFILE_OK;
}

size_t
history_of(const struct history *h, uint32_t number, size_t *from)
{
	size_t low = 0, high = h->n, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (h->v[middle].t.number < number)
			low = middle + 1;
		else
			high = middle;
	}
	*from = low;
	while (low + n < h->n && h->v[low + n].t.number == number)
		n++;
	return n;
}

void
history_free(struct history *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->v[i].own);
	free(h->v);
	*h = (struct history){.v = NULL};
}
