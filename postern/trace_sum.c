/*
 * What became of a message, from its events: who sent it, and the last outcome
 * for each recipient.  In the admin's command; values are strangers'.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "postern/logline.h"
#include "postern/trace_sum.h"

#define VALUE_MAX 4096

static struct buf
value_of(const struct logline *l, const char *key)
{
	struct buf value = BUF_INIT(VALUE_MAX);

	(void)logline_get(l, key, &value);
	return value;
}

/* The first line that tells counts. */
static void
learn(struct buf *to, const struct logline *l, const char *key)
{
	if (to->len == 0)
		(void)logline_get(l, key, to);
}

/* Its value is this one. */
static bool
says(const struct logline *l, const char *key, const char *what)
{
	struct buf value = value_of(l, key);
	bool same = slice_eq(buf_slice(&value), slice_of(what));

	buf_free(&value);
	return same;
}

static bool
is_one_of(struct slice verb, const char *const *words)
{
	for (; *words != NULL; words++)
		if (slice_eq(verb, slice_of(*words)))
			return true;
	return false;
}

static void
add_outcome(struct trace_sum *s, const struct logline *l, size_t order)
{
	struct trace_rcpt r = {.verb = l->verb, .order = order};

	r.to = value_of(l, "to");
	r.status = value_of(l, "status");
	r.host = value_of(l, "host");
	r.why = value_of(l, "why");
	MEM_PUSH(s->v, s->n, s->cap, r);
}

static int
by_address(const void *a, const void *b)
{
	const struct trace_rcpt *x = a, *y = b;
	int c = slice_cmp(buf_slice(&x->to), buf_slice(&y->to));

	return c != 0 ? c : x->order < y->order ? -1 : x->order > y->order;
}

static void
rcpt_free(struct trace_rcpt *r)
{
	buf_free(&r->to);
	buf_free(&r->status);
	buf_free(&r->host);
	buf_free(&r->why);
}

/* Of each recipient the last one stays. */
static void
keep_last(struct trace_sum *s)
{
	size_t kept = 0;

	if (s->n > 1)
		qsort(s->v, s->n, sizeof(*s->v), by_address);
	for (size_t i = 0; i < s->n; i++) {
		if (kept > 0 && slice_eq(buf_slice(&s->v[kept - 1].to),
		    buf_slice(&s->v[i].to)))
			rcpt_free(&s->v[--kept]);
		s->v[kept++] = s->v[i];
	}
	s->n = kept;
}

void
trace_sum(const struct trace *t, const struct trace_message *m,
    struct trace_sum *out)
{
	static const char *const outcomes[] = {"delivered", "relayed",
	    "deferred", "failed", "expanded", NULL};
	static const char *const ends[] = {"removed", "held", "corrupt",
	    "moved-to-corrupt", NULL};
	struct trace_sum s = {.end = SLICE_EMPTY,
	    .from = BUF_INIT(VALUE_MAX), .to = BUF_INIT(VALUE_MAX),
	    .ip = BUF_INIT(VALUE_MAX), .msgid = BUF_INIT(VALUE_MAX),
	    .size = BUF_INIT(VALUE_MAX)};

	for (size_t i = 0; i < m->n; i++) {
		const struct trace_event *e = &t->events[t->order[m->from + i]];
		struct logline l = {.verb = e->verb, .fields = e->fields};

		if (slice_eq(e->verb, SLICE("refused")))
			s.refused++;
		if (says(&l, "notice", m->id))
			learn(&s.to, &l, "to");
		if (!says(&l, "id", m->id))
			continue; /* of a session, or of another message */
		if (slice_eq(e->verb, SLICE("accepted")) ||
		    slice_eq(e->verb, SLICE("refused"))) {
			learn(&s.from, &l, "from");
			learn(&s.to, &l, "to");
			learn(&s.ip, &l, "ip");
			learn(&s.msgid, &l, "msgid");
			learn(&s.size, &l, "size");
		}
		if (is_one_of(e->verb, outcomes))
			add_outcome(&s, &l, i);
		if (is_one_of(e->verb, ends))
			s.end = e->verb;
	}
	keep_last(&s);
	*out = s;
}

void
trace_sum_free(struct trace_sum *s)
{
	for (size_t i = 0; i < s->n; i++)
		rcpt_free(&s->v[i]);
	free(s->v);
	buf_free(&s->from);
	buf_free(&s->to);
	buf_free(&s->ip);
	buf_free(&s->msgid);
	buf_free(&s->size);
}
