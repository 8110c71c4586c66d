/*
 * Changes to a queue file: states overwritten in place, records appended to the
 * journal.  Used by qmgr, which alone has the right to, and by `postern queue`
 * while it holds qmgr's lock.  What is appended quotes remote hosts' words.  An
 * append is one write; if it fails half-way what it left is cut off again,
 * now or before the next one.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"

#define RECORD_FULL (QFILE_RECORD_MAX - 65536) /* a line fits behind it */
#define RULE_MAX 64
#define RUN_MAX 65536u /* octets of a region that is written at once */
#define RUN_GAP 1024u  /* octets without a state in it */
#define OUTCOME_MAX 32
#define REASON_MAX 1000

/* ---- frames ---- */

/* Room for a frame's first line; its text is appended behind it. */
static size_t
frame_begin(struct buf *out)
{
	static const char blank[QFILE_FRAME_LEN];
	size_t start = out->len;

	buf_add(out, blank, sizeof(blank));
	return start;
}

static void
frame_end(struct buf *out, size_t start)
{
	char *head = out->s + start;
	const char *text = head + QFILE_FRAME_LEN;
	size_t length = out->len - start - QFILE_FRAME_LEN;

	if (out->overflow)
		return;
	assert(length > 0 && length <= QFILE_RECORD_MAX);
	head[0] = '@';
	qtext_digits(length, QFILE_FRAME_DIGITS, head + 1);
	head[1 + QFILE_FRAME_DIGITS] = ' ';
	qtext_sum(qfile_sum(0, text, length), head + 2 + QFILE_FRAME_DIGITS);
	head[QFILE_FRAME_LEN - 1] = '\n';
	buf_addc(out, '\n');
}

static bool
frame_full(const struct buf *out, size_t start)
{
	return out->len - start > RECORD_FULL;
}

/* ---- writing ---- */

static int
cut_torn_end(struct qfile *q)
{
	int r;

	do
		r = ftruncate(q->fd, (off_t)q->journal_end);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -1;
	q->cut = false;
	q->size = q->journal_end;
	return 0;
}

static int
write_at(int fd, const char *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		if (done == 0) {
			errno = EIO;
			return -1;
		}
		p += done;
		n -= (size_t)done;
		at += (uint64_t)done;
	}
	return 0;
}

static int
append(struct qfile *q, const struct buf *records)
{
	int saved;

	if (records->overflow) {
		errno = EMSGSIZE;
		return -1;
	}
	if (q->cut && cut_torn_end(q) < 0)
		return -1;
	if (write_at(q->fd, records->s, records->len, q->journal_end) < 0) {
		saved = errno;
		q->cut = true;
		cut_torn_end(q); /* if not now, before the next append */
		errno = saved;
		return -1;
	}
	q->journal_end += records->len;
	q->size = q->journal_end;
	return 0;
}

/* ---- states ---- */

int
qfile_set_state(struct qfile *q, size_t i, char state)
{
	struct qrcpt *r = &q->rows[i].r;

	if (!qfile_state_valid(state) || state == QSTATE_EXPANDED ||
	    r->state == QSTATE_EXPANDED) {
		errno = EINVAL;
		return -1;
	}
	if (write_at(q->fd, &state, 1, r->state_at) < 0)
		return -1;
	r->state = state;
	return 0;
}

int
qfile_set_told(struct qfile *q, size_t i)
{
	const char expanded = QSTATE_EXPANDED;

	if (q->rows[i].r.state != QSTATE_EXPANDED) {
		errno = EINVAL;
		return -1;
	}
	if (write_at(q->fd, &expanded, 1, q->rows[i].r.state_at) < 0)
		return -1;
	q->rows[i].r.told = true;
	return 0;
}

/* How many of the rows i[0..n) lie so close together that they are written at
 * once. */
static size_t
run_of(const struct qfile *q, const size_t *i, size_t n)
{
	uint64_t first = q->rows[i[0]].r.state_at, last = first, at;
	size_t k = 1;

	while (k < n) {
		at = q->rows[i[k]].r.state_at;
		if (at <= last || at - last > RUN_GAP || at - first >= RUN_MAX)
			break;
		last = at;
		k++;
	}
	return k;
}

/* What stands between the states is read and written again as it is. */
static int
write_run(struct qfile *q, const size_t *i, const char *states, size_t n,
    char *room)
{
	uint64_t first = q->rows[i[0]].r.state_at;
	size_t len = (size_t)(q->rows[i[n - 1]].r.state_at - first) + 1;

	if (n > 1) {
		ssize_t got = qfile_pread(q->fd, room, len, first);

		if (got >= 0 && (size_t)got < len)
			errno = EIO;
		if (got < 0 || (size_t)got < len)
			return -1;
	}
	for (size_t k = 0; k < n; k++)
		room[q->rows[i[k]].r.state_at - first] = states[k];
	return write_at(q->fd, room, len, first);
}

int
qfile_set_states(struct qfile *q, const size_t *i, const char *states,
    size_t n)
{
	char *room = NULL;
	size_t run;
	int r = 0;

	for (size_t k = 0; k < n; k++)
		if (!qfile_state_valid(states[k]) ||
		    states[k] == QSTATE_EXPANDED || i[k] >= q->nrows ||
		    q->rows[i[k]].r.state == QSTATE_EXPANDED) {
			errno = EINVAL;
			return -1;
		}
	if (n > 0)
		room = mem_grow(NULL, RUN_MAX, 1);
	for (size_t k = 0; k < n && r == 0; k += run) {
		run = run_of(q, i + k, n - k);
		r = write_run(q, i + k, states + k, run, room);
	}
	for (size_t k = 0; k < n && r == 0; k++)
		q->rows[i[k]].r.state = states[k];
	free(room);
	return r;
}

/* ---- attempts ---- */

/* A word of our own that goes into a line as it is. */
static bool
is_word(const char *s, size_t most)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && s[i] != '-')
			return false;
	return n > 0 && n <= most;
}

static struct slice
cut_to(struct slice s, size_t most)
{
	return slice_sub(s, 0, most);
}

static void
put_try(struct buf *out, const struct qattempt *a)
{
	char enhanced[STATUS_ENHANCED_SIZE];

	buf_adds(out, "try ");
	buf_addu(out, a->number);
	buf_addc(out, ' ');
	buf_adds(out, a->outcome);
	buf_adds(out, " at=");
	qtext_put_time(out, a->at_ms);
	if (a->next_ms != 0) {
		buf_adds(out, " next=");
		qtext_put_time(out, a->next_ms);
	}
	if (a->rule != NULL)
		qtext_put_pair(out, "rule",
		    cut_to(slice_of(a->rule), RULE_MAX));
	qtext_put_pair(out, "host", cut_to(a->host, ENV_ADDRESS_MAX));
	status_enhanced(a->status, enhanced);
	if (a->remote)
		buf_adds(out, " said=remote");
	buf_adds(out, " status=");
	buf_adds(out, enhanced);
	buf_adds(out, " code=");
	buf_addu(out, a->status->code);
	buf_adds(out, " text=");
	qtext_put_rest(out, slice_of(a->status->text));
	buf_addc(out, '\n');
}

static void
apply_attempt(struct qfile *q, const struct qattempt *a)
{
	char enhanced[STATUS_ENHANCED_SIZE];
	struct buf why = BUF_INIT(2 * STATUS_TEXT_MAX);
	struct qtry t = {a->at_ms, a->next_ms,
	    cut_to(a->host, ENV_ADDRESS_MAX), SLICE_EMPTY, SLICE_EMPTY,
	    slice_of(a->outcome), a->remote};
	size_t i;

	if (!qfile_find(q, a->number, &i))
		return;
	if (a->rule != NULL)
		t.rule = cut_to(slice_of(a->rule), RULE_MAX);
	status_enhanced(a->status, enhanced);
	buf_printf(&why, "%s %u %s", enhanced, (unsigned)a->status->code,
	    a->status->text);
	t.why = buf_slice(&why);
	qfile_apply_try(&q->rows[i], &t);
	buf_free(&why);
}

int
qfile_add_attempts(struct qfile *q, const struct qattempt *v, size_t n)
{
	struct buf out = BUF_INIT(SIZE_MAX / 8);
	size_t start, i, row;
	int r = -1;

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++) {
		if (!is_word(v[i].outcome, OUTCOME_MAX) ||
		    !qfile_find(q, v[i].number, &row)) {
			errno = EINVAL;
			return -1;
		}
	}
	start = frame_begin(&out);
	for (i = 0; i < n; i++) {
		if (frame_full(&out, start)) {
			frame_end(&out, start);
			start = frame_begin(&out);
		}
		put_try(&out, &v[i]);
	}
	frame_end(&out, start);
	r = append(q, &out);
	buf_free(&out);
	for (i = 0; r == 0 && i < n; i++)
		apply_attempt(q, &v[i]);
	return r;
}

/* ---- expansions ---- */

static bool
expansion_fits(const struct qexpansion *e)
{
	return qtext_kind_known(e->kind) && e->address.len > 0 &&
	    e->address.len <= ENV_ADDRESS_MAX &&
	    e->target.len <= QFILE_TARGET_MAX &&
	    (!e->has_sender || e->sender.len <= ENV_ADDRESS_MAX);
}

static void
put_expand(struct buf *out, uint32_t number, size_t total, size_t from)
{
	buf_printf(out, "expand %u total=%zu from=%zu\n", (unsigned)number,
	    total, from);
}

/* Returns where in out the state octet stands. */
static size_t
put_to(struct buf *out, uint32_t number, const struct qexpansion *e)
{
	size_t state_at = out->len + sizeof("to ") - 1;

	buf_adds(out, "to T ");
	buf_addu(out, number);
	buf_addc(out, ' ');
	qtext_put_kind(out, e->kind);
	buf_addc(out, ' ');
	qtext_put_word(out, e->address);
	qtext_put_pair(out, "target", e->target);
	if (e->has_sender) {
		buf_adds(out, " sender=");
		qtext_put_word(out, e->sender);
	}
	buf_addc(out, '\n');
	return state_at;
}

/* The records of an expansion; rows for them are added to q. */
static void
build_expansion(struct qfile *q, size_t row, const struct qexpansion *v,
    size_t n, struct buf *out)
{
	/* The torn end is cut before they are written. */
	const uint64_t base = q->journal_end;
	const uint32_t parent = q->rows[row].r.number;
	size_t start = frame_begin(out);

	put_expand(out, parent, n, 0);
	for (size_t i = 0; i < n; i++) {
		struct qrcpt r = {.kind = v[i].kind};

		if (frame_full(out, start)) {
			frame_end(out, start);
			start = frame_begin(out);
			put_expand(out, parent, n, i);
		}
		r.number = q->last_number + 1 + (uint32_t)i;
		r.state = QSTATE_TODO;
		r.state_at = base + put_to(out, r.number, &v[i]);
		r.address = v[i].address;
		r.target = v[i].target;
		r.sender = v[i].sender;
		r.has_sender = v[i].has_sender;
		qfile_apply_to(q, row, &r, n > 1);
	}
	frame_end(out, start);
}

int
qfile_add_expansion(struct qfile *q, size_t i, const struct qexpansion *v,
    size_t n)
{
	struct buf out = BUF_INIT(SIZE_MAX / 8);
	const size_t before = q->nrows;
	int r;

	if (q->rows[i].r.state == QSTATE_EXPANDED) {
		errno = EEXIST;
		return -1;
	}
	if (n > QFILE_NUMBER_MAX - q->last_number) {
		errno = EOVERFLOW;
		return -1;
	}
	for (size_t k = 0; k < n; k++) {
		if (!expansion_fits(&v[k])) {
			errno = EINVAL;
			return -1;
		}
	}
	build_expansion(q, i, v, n, &out);
	r = append(q, &out);
	buf_free(&out);
	if (r < 0) {
		int saved = errno;

		qfile_drop_rows(q, before);
		errno = saved;
		return -1;
	}
	q->last_number += (uint32_t)n;
	q->rows[i].r.state = QSTATE_EXPANDED;
	if ((q->rows[i].r.notify & NOTIFY_SUCCESS) == 0 ||
	    (n == 1 && !v[0].has_sender))
		/* For people only: the record is what counts. */
		(void)qfile_set_told(q, i);
	return 0;
}

/* ---- notes, sync, hint ---- */

int
qfile_add_note(struct qfile *q, const char *what, struct slice reason,
    int64_t at_ms)
{
	struct buf out = BUF_INIT(65536);
	size_t start;
	int r;

	if (!is_word(what, OUTCOME_MAX)) {
		errno = EINVAL;
		return -1;
	}
	reason = cut_to(reason, REASON_MAX);
	start = frame_begin(&out);
	buf_printf(&out, "note %s at=", what);
	qtext_put_time(&out, at_ms);
	if (reason.len > 0) {
		buf_adds(&out, " reason=");
		qtext_put_rest(&out, reason);
	}
	buf_addc(&out, '\n');
	frame_end(&out, start);
	r = append(q, &out);
	buf_free(&out);
	if (r == 0)
		qfile_apply_note(q, slice_of(what), reason, at_ms);
	return r;
}

int
qfile_sync(struct qfile *q)
{
	int r;

	do
		r = fdatasync(q->fd);
	while (r < 0 && errno == EINTR);
	return r;
}

int
qfile_set_hint(struct qfile *q, int64_t next_ms)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	if (next_ms < 0)
		next_ms = 0;
	times[1].tv_sec = (time_t)(next_ms / 1000);
	times[1].tv_nsec = (long)(next_ms % 1000) * 1000000;
	return futimens(q->fd, times);
}
