/*
 * The recipients of an open queue file in memory, and what the journal's lines
 * mean for them: the same functions serve what was read and what was just
 * written, so that both always tell the same.  Strings from the journal are
 * copied, one block a recipient, and the block of the last attempt only.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"

struct qrow *
qfile_add_row(struct qfile *q)
{
	struct qrow row = {.own = NULL};
	struct qrcpt *r = &row.r;

	r->address = r->orcpt = r->target = r->sender = SLICE_EMPTY;
	r->host = r->why = r->rule = r->outcome = SLICE_EMPTY;
	r->state = QSTATE_TODO;
	MEM_PUSH(q->rows, q->nrows, q->rows_cap, row);
	return &q->rows[q->nrows - 1];
}

void
qfile_drop_rows(struct qfile *q, size_t n)
{
	while (q->nrows > n) {
		struct qrow *row = &q->rows[--q->nrows];

		free(row->own);
		free(row->words);
	}
}

size_t
qfile_nrcpts(const struct qfile *q)
{
	return q->nrows;
}

struct qrcpt *
qfile_rcpt(struct qfile *q, size_t i)
{
	return &q->rows[i].r;
}

bool
qfile_find(const struct qfile *q, uint32_t number, size_t *i)
{
	size_t from = 0, to = q->nrows;

	/* Without gaps it is simply that one. */
	if (number > 0 && number <= q->nrows &&
	    q->rows[number - 1].r.number == number) {
		*i = number - 1;
		return true;
	}
	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (q->rows[middle].r.number < number)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == q->nrows || q->rows[from].r.number != number)
		return false;
	*i = from;
	return true;
}

static struct slice
copy(char **at, struct slice s)
{
	struct slice copied = slice_mem(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copied;
}

void
qfile_apply_try(struct qrow *row, const struct qtry *t)
{
	char *block = mem_grow(NULL, t->host.len + t->why.len + t->rule.len +
	    t->outcome.len, 1);
	char *at = block;

	row->r.host = copy(&at, t->host);
	row->r.why = copy(&at, t->why);
	row->r.rule = copy(&at, t->rule);
	row->r.outcome = copy(&at, t->outcome);
	row->r.remote = t->remote;
	free(row->words);
	row->words = block;
	row->r.attempts++;
	row->r.last_ms = t->at_ms;
	row->r.next_ms = t->next_ms;
}

bool
qrcpt_status(const struct qrcpt *r, struct status *out)
{
	struct slice rest = r->why, enhanced, word, class;
	uint32_t code, subject, detail;
	uint32_t n;

	/* "4.2.0 451 the words", as it was recorded */
	if (!slice_cut(&rest, ' ', &enhanced) || !slice_cut(&rest, ' ', &word) ||
	    !num_u32(word, 200, 599, &code) ||
	    !slice_cut(&enhanced, '.', &class) || !num_u32(class, 2, 5, &n) ||
	    !slice_cut(&enhanced, '.', &word) ||
	    !num_u32(word, 0, 999, &subject) ||
	    !num_u32(enhanced, 0, 999, &detail))
		return false;
	status_set(out, code, subject, detail, "%.*s", SLICE_FMT(rest));
	return true;
}

static bool
is_open(const struct qrcpt *r)
{
	return r->state == QSTATE_TODO;
}

void
qfile_apply_note(struct qfile *q, struct slice what, struct slice reason,
    int64_t at_ms)
{
	bool hold = slice_eq(what, SLICE("hold"));
	bool release = slice_eq(what, SLICE("release"));
	bool retry = slice_eq(what, SLICE("retry"));

	q->warned |= slice_eq(what, SLICE("warned"));
	q->late |= slice_eq(what, SLICE("late"));
	if (!hold && !release && !retry)
		return; /* kept for those who read the file */
	if (hold && reason.len == 0)
		reason = SLICE("no reason given");
	if (hold || release) {
		char *at = hold ? mem_grow(NULL, reason.len, 1) : NULL;

		free(q->hold);
		q->hold = at;
		q->hold_len = reason.len;
		if (hold)
			memcpy(at, reason.p, reason.len);
	}
	for (size_t i = 0; i < q->nrows; i++) {
		struct qrcpt *r = &q->rows[i].r;

		if (!is_open(r))
			continue;
		r->rule = hold ? SLICE("hold") : SLICE("admin");
		if (!hold)
			r->next_ms = at_ms;
	}
}

void
qfile_apply_to(struct qfile *q, size_t parent, const struct qrcpt *made,
    bool several)
{
	struct qrow *row = qfile_add_row(q);
	const struct qrcpt *p = &q->rows[parent].r;
	size_t size = made->address.len + made->target.len + made->sender.len;
	struct qrcpt *r = &row->r;
	char *at;

	row->own = at = mem_grow(NULL, size, 1);
	r->address = copy(&at, made->address);
	r->target = copy(&at, made->target);
	r->kind = made->kind;
	r->number = made->number;
	r->parent = p->number;
	r->state = made->state;
	r->state_at = made->state_at;
	r->told = made->told;
	r->has_sender = made->has_sender || p->has_sender;
	if (made->has_sender) {
		r->sender = copy(&at, made->sender);
		return;
	}
	/* The parent's strings live as long as this one's. */
	r->sender = p->sender;
	r->orcpt = p->orcpt;
	r->notify = p->notify;
	/* RFC 3461 5.2.7.3: instead the sender hears of the expansion.  Who
	 * asked for nothing but success hears of nothing else. */
	if (several && (r->notify & NOTIFY_SUCCESS) != 0) {
		r->notify &= ~NOTIFY_SUCCESS;
		if (r->notify == 0)
			r->notify = NOTIFY_NEVER;
	}
}
