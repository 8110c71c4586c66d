/*
 * Reads the journal behind a queue file's trailer: framed records, each with
 * its own sum.  A crash within an append leaves a record cut short, or full of
 * zeros where the disk never got the octets; such a part is passed over up to
 * the next whole record, which no octet of a record's text can look like.  What
 * is lost that way is only what was never synced.  The strings are remote
 * hosts' words, quoted.
 */
#include <sys/stat.h>

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"

#define WINDOW (256 * 1024)
#define WHY_MAX (2 * STATUS_TEXT_MAX)

/* The journal as it passes by: a part of the file in memory. */
struct window {
	const char *p;
	uint64_t at;   /* offset of p in the file */
	size_t len;
	char *own;     /* owned; NULL while p is q->tail */
};

struct reading {
	struct qfile *q;
	struct window w;
	uint64_t summed;     /* octets whose sum was computed */
	/* An expansion of which not all parts came yet: its rows stand at the
	 * end of q->rows. */
	bool pending;
	size_t pending_row;  /* the recipient it replaces */
	size_t pending_from; /* first of its rows */
	uint32_t pending_total;
	/* The record being read */
	bool in_expansion;   /* its "to" lines count ... */
	bool ignored;        /* ... no: the recipient was replaced before */
	char *scratch;       /* owned: room to decode one line */
	size_t scratch_cap;
	/* Set: the history is handed out and nothing else done. */
	void (*tell)(void *arg, const struct qtried *t);
	void *tell_arg;
};

enum line_answer { LINE_GOOD, LINE_BROKEN, LINE_NEWER };

/* ---- the window ---- */

/* n octets at `at`, which the file has: 1 and *p; 0: it has them no longer
 * (q->size says how many there are); -1: errno. */
static int
look(struct reading *rd, uint64_t at, size_t n, const char **p)
{
	struct window *w = &rd->w;
	uint64_t left = rd->q->size - at;
	size_t want = WINDOW;
	ssize_t got;

	if (at >= w->at && at + n <= w->at + w->len) {
		*p = w->p + (at - w->at);
		return 1;
	}
	if (want < n)
		want = n;
	if (want > left)
		want = (size_t)left;
	w->own = mem_grow(w->own, want, 1);
	got = qfile_pread(rd->q->fd, w->own, want, at);
	w->p = w->own;
	w->at = at;
	w->len = got > 0 ? (size_t)got : 0;
	if (got < 0)
		return -1;
	if ((size_t)got < want)
		rd->q->size = at + (uint64_t)got;
	*p = w->p;
	return (size_t)got >= n ? 1 : 0;
}

/* ---- frames ---- */

struct frame {
	size_t length; /* of the text */
	uint32_t sum;
};

/* "@0000000123 0123abcd\n" */
static bool
parse_frame(const char *p, struct frame *f)
{
	const char *hex = p + 1 + QFILE_FRAME_DIGITS + 1;
	char text[QTEXT_SUM_WIDTH];
	uint64_t length, sum;

	if (p[0] != '@' || hex[-1] != ' ' || p[QFILE_FRAME_LEN - 1] != '\n' ||
	    !num_u64(slice_mem(p + 1, QFILE_FRAME_DIGITS), 1, QFILE_RECORD_MAX,
	    &length) ||
	    !num_u64_hex(slice_mem(hex, QTEXT_SUM_WIDTH), 0, UINT32_MAX, &sum))
		return false;
	qtext_sum((uint32_t)sum, text);
	if (memcmp(hex, text, sizeof(text)) != 0)
		return false;
	f->length = (size_t)length;
	f->sum = (uint32_t)sum;
	return true;
}

/* A whole record at `at`: 1 and *text; 0: none; -1: errno. */
static int
whole_record(struct reading *rd, uint64_t at, struct slice *text)
{
	struct frame f;
	const char *p;
	size_t all;
	int r;

	if (rd->q->size - at < QFILE_FRAME_LEN + 2)
		return 0;
	r = look(rd, at, QFILE_FRAME_LEN, &p);
	if (r <= 0 || !parse_frame(p, &f))
		return r < 0 ? -1 : 0;
	all = QFILE_FRAME_LEN + f.length + 1;
	if (rd->q->size - at < all)
		return 0;
	r = look(rd, at, all, &p);
	if (r <= 0)
		return r;
	*text = slice_mem(p + QFILE_FRAME_LEN, f.length);
	rd->summed += f.length;
	if (p[all - 2] != '\n' ||
	    qfile_sum_states(*text, SLICE("\nto ")) != f.sum)
		return 0;
	if (p[all - 1] == '\n')
		return 1;
	/* The text is good.  At the file's end the append was cut short; with
	 * more behind it the next record must not suffer for this one. */
	if (at + all == rd->q->size)
		return 0;
	rd->q->torn = true;
	return 1;
}

/*
 * Where the next frame may begin behind `at`: an '@' behind a newline or a zero
 * octet (quoted text has neither), with the rest of a frame's first line; the
 * file's size if there is none.  -1: errno.
 */
static int
next_frame(struct reading *rd, uint64_t at, uint64_t *found)
{
	struct frame f;

	while (rd->q->size - at >= QFILE_FRAME_LEN + 1) {
		uint64_t left = rd->q->size - at;
		size_t n = left < WINDOW / 2 ? (size_t)left : WINDOW / 2;
		const char *p;
		int r = look(rd, at, n, &p);

		if (r < 0)
			return -1;
		if (r == 0)
			break;
		for (size_t i = 0; i + QFILE_FRAME_LEN < n; i++) {
			if ((p[i] == '\n' || p[i] == '\0') &&
			    parse_frame(p + i + 1, &f)) {
				*found = at + i + 1;
				return 0;
			}
		}
		at += n - QFILE_FRAME_LEN;
	}
	*found = rd->q->size;
	return 0;
}

/* ---- lines ---- */

static bool
number(struct slice s, uint32_t *n)
{
	return num_u32(s, 1, QFILE_NUMBER_MAX, n);
}

/* A line's "key=value": what it must be and where it goes. */
struct pair {
	struct slice key;
	enum { PAIR_COUNT, PAIR_TIME, PAIR_WORD, PAIR_RAW, PAIR_REST } type;
	void *to; /* uint32_t, int64_t, struct slice */
};

/* Decodes into rd->scratch at *used, which has room for every line. */
static bool
decode(struct reading *rd, bool rest, struct slice in, size_t *used,
    struct slice *out)
{
	char *at = rd->scratch + *used;
	size_t len;

	if (rest ? !qtext_rest(in, at, &len)
	    : in.len == 0 || !qtext_word(in, at, &len))
		return false;
	*out = slice_mem(at, len);
	*used += len;
	return true;
}

static bool
take_value(struct reading *rd, const struct pair *pair, struct slice value,
    size_t *used)
{
	switch (pair->type) {
	case PAIR_COUNT:
		return num_u32(value, 0, QFILE_NUMBER_MAX, pair->to);
	case PAIR_TIME:
		return qtext_time(value, pair->to);
	case PAIR_RAW:
		memcpy(pair->to, &value, sizeof(value));
		return true;
	case PAIR_WORD:
	case PAIR_REST:
		break;
	}
	return decode(rd, pair->type == PAIR_REST, value, used, pair->to);
}

/* The rest of a line: pairs, of which those not asked for are skipped unless
 * critical.  One of type PAIR_REST takes all that follows. */
static enum line_answer
take_pairs(struct reading *rd, struct slice rest, const struct pair *v,
    size_t n, size_t *used)
{
	while (rest.p != NULL) {
		struct slice whole = rest, word, key, value;
		size_t i = 0;

		slice_cut(&rest, ' ', &word);
		if (!qtext_pair(word, &key, &value))
			return LINE_BROKEN;
		if (qtext_critical(key))
			return LINE_NEWER;
		while (i < n && !slice_eq(key, v[i].key))
			i++;
		if (i == n)
			continue;
		if (v[i].type == PAIR_REST) {
			value = slice_sub(whole, key.len + 1, whole.len);
			rest = (struct slice){NULL, 0};
		}
		if (!take_value(rd, &v[i], value, used))
			return LINE_BROKEN;
	}
	return LINE_GOOD;
}

#define NPAIRS(v) (sizeof(v) / sizeof((v)[0]))

static void
tell_try(const struct reading *rd, uint32_t number, const struct qtry *t)
{
	const struct qtried tried = {.number = number, .at_ms = t->at_ms,
	    .next_ms = t->next_ms, .what = t->outcome, .host = t->host,
	    .rule = t->rule, .why = t->why, .remote = t->remote};

	rd->tell(rd->tell_arg, &tried);
}

/* "1 deferred at=... next=... rule=first host=... status=4.2.0 code=451
 * text=..." */
static enum line_answer
line_try(struct reading *rd, struct slice rest)
{
	struct slice word, text = SLICE_EMPTY, said = SLICE_EMPTY;
	struct slice status = SLICE_EMPTY, code = SLICE_EMPTY;
	struct qtry t = {.host = SLICE_EMPTY, .rule = SLICE_EMPTY,
	    .outcome = SLICE_EMPTY};
	const struct pair pairs[] = {
		{SLICE("at"), PAIR_TIME, &t.at_ms},
		{SLICE("next"), PAIR_TIME, &t.next_ms},
		{SLICE("rule"), PAIR_WORD, &t.rule},
		{SLICE("host"), PAIR_WORD, &t.host},
		{SLICE("said"), PAIR_RAW, &said},
		{SLICE("status"), PAIR_RAW, &status},
		{SLICE("code"), PAIR_RAW, &code},
		{SLICE("text"), PAIR_REST, &text},
	};
	struct buf why = BUF_INIT(WHY_MAX);
	enum line_answer answer;
	size_t used = 0, row;
	uint32_t n;

	if (!slice_cut(&rest, ' ', &word) || !number(word, &n) ||
	    !slice_cut(&rest, ' ', &t.outcome))
		return LINE_BROKEN;
	answer = take_pairs(rd, rest, pairs, NPAIRS(pairs), &used);
	t.remote = slice_eq(said, SLICE("remote"));
	if (answer != LINE_GOOD)
		return answer;
	buf_addslice(&why, status);
	buf_addc(&why, ' ');
	buf_addslice(&why, code);
	buf_addc(&why, ' ');
	buf_addslice(&why, text);
	t.why = buf_slice(&why);
	if (rd->tell != NULL)
		tell_try(rd, n, &t);
	else if (qfile_find(rd->q, n, &row))
		qfile_apply_try(&rd->q->rows[row], &t);
	/* Not found: the record that made it was lost. */
	buf_free(&why);
	return LINE_GOOD;
}

/* "hold at=... reason=..." */
static enum line_answer
line_note(struct reading *rd, struct slice rest)
{
	struct slice what, reason = SLICE_EMPTY;
	int64_t at_ms = 0;
	const struct pair pairs[] = {
		{SLICE("at"), PAIR_TIME, &at_ms},
		{SLICE("reason"), PAIR_REST, &reason},
	};
	enum line_answer answer;
	size_t used = 0;

	if (!slice_cut(&rest, ' ', &what))
		return LINE_BROKEN;
	if (qtext_critical(what))
		return LINE_NEWER;
	answer = take_pairs(rd, rest, pairs, NPAIRS(pairs), &used);
	if (answer == LINE_GOOD && rd->tell != NULL)
		rd->tell(rd->tell_arg, &(struct qtried){.at_ms = at_ms,
		    .what = what, .host = SLICE_EMPTY, .rule = SLICE_EMPTY,
		    .why = reason});
	else if (answer == LINE_GOOD)
		qfile_apply_note(rd->q, what, reason, at_ms);
	return answer;
}

static void
drop_pending(struct reading *rd)
{
	if (rd->pending)
		qfile_drop_rows(rd->q, rd->pending_from);
	rd->pending = false;
}

/* All parts came: from here on the recipient is replaced. */
static void
check_complete(struct reading *rd)
{
	if (!rd->pending ||
	    rd->q->nrows - rd->pending_from != rd->pending_total)
		return;
	rd->q->rows[rd->pending_row].r.state = QSTATE_EXPANDED;
	rd->pending = false;
}

/* "3 total=2 from=0": the first line of its record, "to" lines follow. */
static enum line_answer
line_expand(struct reading *rd, struct slice rest)
{
	uint32_t n, total = 0, from = 0;
	const struct pair pairs[] = {
		{SLICE("total"), PAIR_COUNT, &total},
		{SLICE("from"), PAIR_COUNT, &from},
	};
	struct qfile *q = rd->q;
	enum line_answer answer;
	struct slice word;
	size_t row, used = 0;

	if (rd->in_expansion || !slice_cut(&rest, ' ', &word) ||
	    !number(word, &n))
		return LINE_BROKEN;
	answer = take_pairs(rd, rest, pairs, NPAIRS(pairs), &used);
	if (answer != LINE_GOOD)
		return answer;
	rd->in_expansion = true;
	rd->ignored = false;
	if (from > 0 && rd->pending && rd->pending_total == total &&
	    q->rows[rd->pending_row].r.number == n &&
	    q->nrows - rd->pending_from == from)
		return LINE_GOOD; /* the next part */
	drop_pending(rd);
	if (from > 0 || !qfile_find(q, n, &row) ||
	    q->rows[row].r.state == QSTATE_EXPANDED) {
		rd->ignored = true;
		return LINE_GOOD;
	}
	rd->pending = true;
	rd->pending_row = row;
	rd->pending_from = q->nrows;
	rd->pending_total = total;
	return LINE_GOOD;
}

static bool
recipient_fits(const struct qrcpt *r)
{
	return r->address.len > 0 && r->address.len <= ENV_ADDRESS_MAX &&
	    r->sender.len <= ENV_ADDRESS_MAX &&
	    r->target.len <= QFILE_TARGET_MAX;
}

/* "T 7 mailbox ann@example.org target=... sender=..." at offset `at` */
static enum line_answer
line_to(struct reading *rd, struct slice rest, uint64_t at)
{
	struct qrcpt r = {.target = SLICE_EMPTY, .sender = {NULL, 0}};
	const struct pair pairs[] = {
		{SLICE("target"), PAIR_WORD, &r.target},
		{SLICE("sender"), PAIR_WORD, &r.sender},
	};
	struct qfile *q = rd->q;
	struct slice state, word, kind;
	enum line_answer answer;
	size_t used = 0;

	if (!rd->in_expansion || !slice_cut(&rest, ' ', &state) ||
	    state.len != 1 || !qfile_state_valid(state.p[0]) ||
	    !slice_cut(&rest, ' ', &word) || !number(word, &r.number) ||
	    r.number <= q->last_number || !slice_cut(&rest, ' ', &kind) ||
	    !slice_cut(&rest, ' ', &word) ||
	    !decode(rd, false, word, &used, &r.address))
		return LINE_BROKEN;
	if (qtext_critical(kind))
		return LINE_NEWER;
	answer = take_pairs(rd, rest, pairs, NPAIRS(pairs), &used);
	if (answer != LINE_GOOD)
		return answer;
	if (!qtext_kind(kind, &r.kind) || !recipient_fits(&r))
		return LINE_BROKEN;
	q->last_number = r.number;
	r.has_sender = r.sender.p != NULL;
	r.state_at = at + sizeof("to ") - 1;
	r.state = state.p[0] == QSTATE_EXPANDED ? QSTATE_TODO : state.p[0];
	r.told = state.p[0] == QSTATE_EXPANDED;
	if (!rd->ignored)
		qfile_apply_to(q, rd->pending_row, &r, rd->pending_total > 1);
	return LINE_GOOD;
}

static enum line_answer
parse_line(struct reading *rd, struct slice line, uint64_t at)
{
	struct slice word;

	if (line.len >= rd->scratch_cap) {
		rd->scratch_cap = line.len + 1;
		rd->scratch = mem_grow(rd->scratch, rd->scratch_cap, 1);
	}
	slice_cut(&line, ' ', &word);
	if (slice_eq(word, SLICE("try")))
		return line_try(rd, line);
	if (slice_eq(word, SLICE("note")))
		return line_note(rd, line);
	if (rd->tell != NULL)
		return LINE_GOOD; /* it was read when the file was opened */
	if (slice_eq(word, SLICE("to")))
		return line_to(rd, line, at);
	if (slice_eq(word, SLICE("expand")))
		return line_expand(rd, line);
	return qtext_critical(word) ? LINE_NEWER : LINE_GOOD;
}

/* The lines of a record whose sum is right, text being at offset `at`. */
static enum qfile_result
parse_record(struct reading *rd, struct slice text, uint64_t at,
    char why[STATUS_TEXT_MAX])
{
	const char *start = text.p;
	struct slice line;

	rd->in_expansion = false;
	text.len--; /* the last newline */
	while (slice_cut(&text, '\n', &line)) {
		uint64_t line_at = at + (uint64_t)(line.p - start);

		switch (parse_line(rd, line, line_at)) {
		case LINE_GOOD:
			break;
		case LINE_NEWER:
			return qfile_unknown(why, line_at, line);
		case LINE_BROKEN:
			return qfile_corrupt(why, line_at,
			    "bad line in the journal");
		}
	}
	check_complete(rd);
	return QFILE_OK;
}

/* ---- all of it ---- */

static enum qfile_result
read_records(struct reading *rd, char why[STATUS_TEXT_MAX])
{
	struct qfile *q = rd->q;
	/* Damage costs sums of what was no record; never without end. */
	const uint64_t most = 4 * (q->size - q->journal_at) + 65536;
	uint64_t at = q->journal_at;

	q->journal_end = at;
	while (at < q->size) {
		enum qfile_result result;
		struct slice text;
		int r = whole_record(rd, at, &text);

		if (r > 0) {
			result = parse_record(rd, text, at + QFILE_FRAME_LEN,
			    why);
			if (result != QFILE_OK)
				return result;
			at += QFILE_FRAME_LEN + text.len + 1;
			q->journal_end = at;
			continue;
		}
		if (r == 0 && at < q->size) {
			q->torn = true;
			r = next_frame(rd, at, &at);
		}
		if (r < 0)
			return qfile_failed(why, "cannot read the journal");
		if (rd->summed > most)
			return qfile_corrupt(why, at,
			    "the journal is beyond repair");
	}
	q->cut = q->journal_end < q->size;
	return QFILE_OK;
}

enum qfile_result
qfile_read_journal(struct qfile *q, char why[STATUS_TEXT_MAX])
{
	enum qfile_result result;
	struct reading rd = {.q = q};

	rd.w.p = q->tail;
	rd.w.at = q->tail_at;
	rd.w.len = q->tail_len;
	result = read_records(&rd, why);
	if (result == QFILE_OK)
		drop_pending(&rd);
	free(rd.w.own);
	free(rd.scratch);
	return result;
}

/* On a copy of what is known, which stays as it is; by the file, because the
 * tail in memory may be older than what was appended. */
enum qfile_result
qfile_attempts(struct qfile *q,
    void (*fn)(void *arg, const struct qtried *t), void *arg,
    char why[STATUS_TEXT_MAX])
{
	enum qfile_result result;
	struct qfile copy = *q;
	struct reading rd = {.q = &copy, .tell = fn, .tell_arg = arg};
	struct stat st;

	if (fstat(q->fd, &st) != 0)
		return qfile_failed(why, "cannot look at it");
	copy.size = (uint64_t)st.st_size;
	rd.w.p = "";
	result = read_records(&rd, why);
	free(rd.w.own);
	free(rd.scratch);
	return result;
}
