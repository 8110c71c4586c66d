/*
 * One mail transaction, in a remote process.  All that does not have to wait is
 * sent ahead (RFC 2920); replies are another host's and come in order or not at
 * all.  The table at the end says what each step does with its reply.
 *
 * The message is complete for the other side only with the final dot or the
 * last octet of BDAT LAST: neither leaves before the content was verified.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/mail/envelope.h"
#include "remote/content.h"
#include "remote/dots.h"
#include "remote/envelope.h"
#include "remote/job.h"
#include "remote/session.h"
#include "remote/transaction.h"

#define LINE_MAX_OCTETS 8192 /* of a command: address and parameters */

enum mail { MAIL_ASKED, MAIL_TAKEN, MAIL_REFUSED };

struct transaction {
	struct session *s;
	struct job *j;
	struct content *c;
	bool others;            /* beside the set, who may fare better */
	struct envelope_plan plan;
	struct slice whole;     /* a small message */
	bool has_whole;
	size_t *set;            /* owned: recipients, indices into the job */
	size_t nset;
	size_t accepted;
	bool answered;          /* a reply came, whatever it said */
	bool stale;
	bool go;                /* 354 */
	bool ended;             /* all of the content was sent */
	bool ignored;           /* its content was none: the reply is nothing */
	bool full;              /* "too many recipients": the rest later */
	bool binary;            /* see dots.bare */
	enum mail mail;
	struct dots dots;
	const struct verdict *delivered;
	struct buf line;
};

/* ---- verdicts ---- */

/* Over those whom the host had accepted. */
static void
judge_accepted(struct transaction *t, const struct verdict *v)
{
	for (size_t i = 0; i < t->nset; i++)
		if (t->j->rcpts[t->set[i]].state == RCPT_ACCEPTED)
			rcpt_judge(&t->j->rcpts[t->set[i]], v);
}

/* Over all that have none of this host. */
static void
judge_rest(struct transaction *t, const struct verdict *v)
{
	size_t n = t->others ? t->nset : t->j->nrcpts;

	for (size_t i = 0; i < n; i++) {
		struct rcpt *r = &t->j->rcpts[t->others ? t->set[i] : i];

		if (r->state != RCPT_SETTLED && r->state != RCPT_LATER)
			rcpt_judge(r, v);
	}
}

/* This transaction did not take place. */
static void
forget_set(struct transaction *t)
{
	for (size_t i = 0; i < t->nset; i++) {
		struct rcpt *r = &t->j->rcpts[t->set[i]];

		if (r->state == RCPT_SENT || r->state == RCPT_ACCEPTED)
			r->state = RCPT_OPEN;
	}
}

static const struct verdict *
words_of(struct transaction *t, const struct reply *r)
{
	struct status st;

	reply_as_status(r, &st);
	return job_verdict(t->j, &st, false);
}

/* A reply that the step does not know. */
static const struct verdict *
strange(struct transaction *t, const struct reply *r)
{
	struct status st;

	status_set(&st, 451, 5, 0, "%s answered out of turn: %u %s",
	    t->s->host, r->code, r->text);
	return job_verdict(t->j, &st, true);
}

/* ---- replies ---- */

typedef bool step_fn(struct transaction *t, size_t index,
    const struct reply *r);

/* Nobody asked: 421, or an end of our patience with the content. */
static bool
on_unasked(struct transaction *t, size_t index, const struct reply *r)
{
	(void)index;
	judge_rest(t, reply_class(r) >= 4 ? words_of(t, r) : strange(t, r));
	return false;
}

static bool
on_rset(struct transaction *t, size_t index, const struct reply *r)
{
	(void)index;
	if (reply_class(r) == 2)
		return true;
	t->stale = true;
	return false;
}

static bool
on_mail(struct transaction *t, size_t index, const struct reply *r)
{
	(void)index;
	if (reply_class(r) == 2) {
		t->mail = MAIL_TAKEN;
		return true;
	}
	t->mail = MAIL_REFUSED;
	judge_rest(t, reply_class(r) == 3 ? strange(t, r) : words_of(t, r));
	return reply_class(r) != 3;
}

/* RFC 5321 4.5.3.1.10: 452, and 552 from old hosts.  An enhanced code is
 * believed, whatever it says (RFC 3463 3.6: X.5.3). */
static bool
too_many(const struct reply *r)
{
	return r->enhanced ? r->subject == 5 && r->detail == 3
	    : r->code == 452 || r->code == 552;
}

static bool
on_rcpt(struct transaction *t, size_t index, const struct reply *r)
{
	struct rcpt *to = &t->j->rcpts[index];
	struct status st;

	if (t->mail != MAIL_TAKEN)
		return true; /* nothing but an echo */
	if (reply_class(r) == 2) {
		to->state = RCPT_ACCEPTED;
		t->accepted++;
		return true;
	}
	if (reply_class(r) == 3) {
		rcpt_judge(to, strange(t, r));
		return false;
	}
	reply_as_status(r, &st);
	if (too_many(r) && r->code == 552)
		status_set(&st, 452, 5, 3, "%s", st.text);
	rcpt_judge(to, job_verdict(t->j, &st, false));
	if (too_many(r) && t->accepted > 0) {
		to->state = RCPT_OPEN;
		t->full = true;
	}
	return true;
}

static bool
on_data(struct transaction *t, size_t index, const struct reply *r)
{
	(void)index;
	if (reply_class(r) == 3) {
		t->go = true;
		return true;
	}
	if (t->accepted == 0)
		return true;
	judge_accepted(t, reply_class(r) == 2 ? strange(t, r)
	    : words_of(t, r));
	return reply_class(r) != 2;
}

static const struct verdict *
delivered(struct transaction *t, const struct reply *r)
{
	const struct offers *o = &t->s->offers;
	struct verdict *v;
	struct status st;

	reply_as_status(r, &st);
	v = job_verdict(t->j, &st, false);
	/* RFC 3461 5.2.2, RFC 2852 4: what LMTP took has arrived. */
	v->relayed = !t->s->lmtp && (!o->dsn || (t->j->by_at_ms != 0 &&
	    !o->deliver_by));
	return v;
}

static bool
on_end(struct transaction *t, size_t index, const struct reply *r)
{
	const struct verdict *v;

	if (t->ignored || t->accepted == 0)
		return true;
	if (reply_class(r) == 2)
		v = delivered(t, r);
	else
		v = reply_class(r) == 3 ? strange(t, r) : words_of(t, r);
	if (t->s->lmtp)
		rcpt_judge(&t->j->rcpts[index], v);
	else
		judge_accepted(t, v);
	return reply_class(r) != 3;
}

static bool
on_nothing(struct transaction *t, size_t index, const struct reply *r)
{
	(void)t;
	(void)index;
	(void)r;
	return false;
}

static step_fn *const steps[STEP_COUNT] = {
	[STEP_NONE] = on_unasked,
	[STEP_GREETING] = on_nothing,
	[STEP_EHLO] = on_nothing,
	[STEP_HELO] = on_nothing,
	[STEP_RSET] = on_rset,
	[STEP_MAIL] = on_mail,
	[STEP_RCPT] = on_rcpt,
	[STEP_DATA] = on_data,
	[STEP_CHUNK] = on_nothing,
	[STEP_END] = on_end,
	[STEP_QUIT] = on_nothing,
};

static bool
on_reply(void *arg, enum step step, size_t index, const struct reply *r)
{
	struct transaction *t = arg;
	bool first = !t->answered, good;

	t->answered = true;
	/* An idle connection that was closed: nothing was tried yet. */
	if (first && r->code == 421 && t->s->mails > 1) {
		t->stale = true;
		return false;
	}
	good = steps[step](t, index, r);
	/* RFC 5321 3.8: it ends all that is under way. */
	if (r->code == 421 && !t->stale)
		judge_rest(t, words_of(t, r));
	return good && !t->stale;
}

/* ---- what is sent ---- */

static void
send_line(struct transaction *t, enum step step, size_t index)
{
	session_expect(t->s, step, index);
	session_put(t->s, buf_slice(&t->line));
	buf_reset(&t->line);
	if (!t->s->offers.pipelining)
		(void)session_settle(t->s);
}

static struct slice
domain_of(struct slice address)
{
	size_t at = address.len;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	return slice_sub(address, at, address.len);
}

/* RFC 9422 4.3 */
static bool
one_more_domain(const struct transaction *t, struct slice domain)
{
	size_t known = 0;

	if (t->s->offers.domain_max == 0)
		return true;
	for (size_t i = 0; i < t->nset; i++) {
		struct slice d = domain_of(t->j->rcpts[t->set[i]].address);
		size_t k;

		if (slice_ieq(d, domain))
			return true;
		for (k = 0; k < i; k++)
			if (slice_ieq(d, domain_of(
			    t->j->rcpts[t->set[k]].address)))
				break;
		known += k == i;
	}
	return known < t->s->offers.domain_max;
}

static void
choose(struct transaction *t, size_t most)
{
	t->set = mem_array(most, sizeof(*t->set));
	for (size_t i = 0; i < t->j->nrcpts && t->nset < most; i++) {
		struct rcpt *r = &t->j->rcpts[i];

		if (r->state == RCPT_OPEN &&
		    one_more_domain(t, domain_of(r->address)))
			t->set[t->nset++] = i;
	}
}

static void
send_rcpts(struct transaction *t)
{
	struct status st;
	bool piped = t->s->offers.pipelining;

	for (size_t i = 0; i < t->nset; i++) {
		struct rcpt *r = &t->j->rcpts[t->set[i]];

		if (!session_alive(t->s) || t->mail == MAIL_REFUSED ||
		    (!piped && t->full))
			return; /* the rest stays OPEN */
		if (!envelope_rcpt(r, &t->plan, &t->s->offers, &t->line,
		    &st)) {
			buf_reset(&t->line);
			rcpt_judge(r, job_verdict(t->j, &st, true));
			continue;
		}
		r->state = RCPT_SENT;
		send_line(t, STEP_RCPT, t->set[i]);
	}
}

/* Is there anybody who may still be accepted? */
static bool
somebody(const struct transaction *t)
{
	for (size_t i = 0; i < t->nset; i++) {
		enum rcpt_state state = t->j->rcpts[t->set[i]].state;

		if (state == RCPT_SENT || state == RCPT_ACCEPTED)
			return true;
	}
	return false;
}

/* ---- content ---- */

static void
on_octets(void *arg, struct slice octets)
{
	struct transaction *t = arg;

	session_put(t->s, octets);
}

static bool
feed_dots(void *arg, const char *p, size_t n)
{
	struct transaction *t = arg;

	dots_put(&t->dots, p, n);
	return !t->dots.bare && session_alive(t->s);
}

static bool
feed_octets(void *arg, const char *p, size_t n)
{
	struct transaction *t = arg;

	session_put(t->s, slice_mem(p, n));
	return session_alive(t->s);
}

/* What came of reading it; true: it may be completed. */
static bool
content_good(struct transaction *t, enum content_result result,
    const struct status *st)
{
	switch (result) {
	case CONTENT_OK:
		return session_alive(t->s);
	case CONTENT_STOPPED:
		t->binary = t->dots.bare;
		break;
	case CONTENT_FAULT:
		job_judge(t->j, job_verdict(t->j, st, true));
		break;
	}
	t->s->closing = true;
	return false;
}

/* RFC 2033 4.2: one reply a recipient */
static void
expect_end(struct transaction *t)
{
	if (!t->s->lmtp || t->accepted == 0) {
		session_expect(t->s, STEP_END, 0);
		return;
	}
	for (size_t i = 0; i < t->nset; i++)
		if (t->j->rcpts[t->set[i]].state == RCPT_ACCEPTED)
			session_expect(t->s, STEP_END, t->set[i]);
}

static bool
send_data(struct transaction *t, struct status *st)
{
	enum content_result result;

	/* An answer that came before the end is none to the end. */
	if (!session_quiet(t->s))
		return true;
	t->dots = (struct dots){.put = on_octets, .arg = t};
	result = content_each(t->c, t->plan.form, feed_dots, t, st);
	if (!content_good(t, result, st))
		return result != CONTENT_FAULT;
	if (!session_quiet(t->s))
		return true;
	expect_end(t);
	t->ended = true;
	dots_end(&t->dots);
	(void)session_settle(t->s);
	return true;
}

/* The size is known beforehand: BDAT sends what is not converted only. */
static bool
send_bdat(struct transaction *t, struct status *st)
{
	enum content_result result;

	buf_printf(&t->line, "BDAT %llu LAST\r\n",
	    (unsigned long long)content_size(t->c));
	expect_end(t);
	session_put(t->s, buf_slice(&t->line));
	buf_reset(&t->line);
	result = content_each(t->c, CONTENT_AS_IS, feed_octets, t, st);
	if (!content_good(t, result, st))
		return result != CONTENT_FAULT;
	t->ended = true;
	(void)session_settle(t->s);
	return true;
}

/* All RCPT were refused, and yet the host waits for content: RFC 2920 3.1. */
static void
send_nothing(struct transaction *t)
{
	t->ignored = true;
	session_expect(t->s, STEP_END, 0);
	session_put(t->s, SLICE(".\r\n"));
	(void)session_settle(t->s);
}

/* ---- the whole ---- */

/* May the content go along with the envelope, all in one write? */
static bool
at_once(const struct transaction *t)
{
	const struct offers *o = &t->s->offers;

	return t->has_whole && o->pipelining && o->chunking && !t->s->lmtp &&
	    t->plan.form == CONTENT_AS_IS && t->s->conf->remote_chunking;
}

static bool
by_bdat(const struct transaction *t)
{
	return t->plan.binary || at_once(t);
}

/* MAIL, RCPT, and DATA or all; waits for what was asked.  False: MAIL cannot
 * be written for this host, *st. */
static bool
send_envelope(struct transaction *t, struct status *st)
{
	struct session *s = t->s;
	uint64_t size = t->has_whole ? t->whole.len
	    : t->plan.form == CONTENT_AS_IS ? content_size(t->c) : 0;

	if (!envelope_mail(t->j, &t->plan, &s->offers, size, clock_real_ms(),
	    &t->line, st))
		return false;
	if (s->reset) {
		session_expect(s, STEP_RSET, 0);
		session_put(s, SLICE("RSET\r\n"));
		if (!s->offers.pipelining && !session_settle(s))
			return true;
		s->reset = false;
	}
	send_line(t, STEP_MAIL, 0);
	send_rcpts(t);
	if (!session_alive(s) || t->mail == MAIL_REFUSED || !somebody(t))
		;
	else if (at_once(t)) {
		buf_printf(&t->line, "BDAT %zu LAST\r\n", t->whole.len);
		session_expect(s, STEP_END, 0);
		session_put(s, buf_slice(&t->line));
		buf_reset(&t->line);
		session_put(s, t->whole);
		t->ended = true;
	} else if (!by_bdat(t)) {
		buf_adds(&t->line, "DATA\r\n");
		send_line(t, STEP_DATA, 0);
	}
	(void)session_settle(s);
	return true;
}

/* What is left to be done once the envelope was answered.  False: a fault of
 * ours. */
static bool
send_content(struct transaction *t, struct status *st)
{
	bool good = true;

	if (t->go && t->accepted == 0)
		send_nothing(t);
	else if (t->go)
		good = send_data(t, st);
	else if (t->accepted > 0 && t->plan.binary && !t->ended)
		good = send_bdat(t, st);
	/* A transaction was begun and not ended by its content. */
	t->s->reset = t->mail == MAIL_TAKEN && !t->go &&
	    (!t->ended || t->accepted == 0);
	return good;
}

/* The connection is over: what that means for who has no verdict yet. */
static enum transaction_end
lost(struct transaction *t)
{
	struct session *s = t->s;
	struct status st;

	if (t->binary) {
		forget_set(t);
		return TRANSACTION_BARE;
	}
	if (t->stale || (!t->answered && s->mails > 1 &&
	    s->fault != FAULT_TIMEOUT && s->fault != FAULT_STOPPED)) {
		forget_set(t);
		return TRANSACTION_STALE;
	}
	if (s->fault != FAULT_NONE)
		session_fault_status(s, &st);
	else
		status_set(&st, 451, 5, 0, "%s answered out of turn", s->host);
	judge_rest(t, job_verdict(t->j, &st, true));
	return t->ended && s->fault_step == STEP_END && !t->ignored &&
	    t->accepted > 0 && s->fault != FAULT_NONE ? TRANSACTION_DOUBT
	    : TRANSACTION_LOST;
}

/* What cannot go to this host as it is fails for good, or our own queue is at
 * fault. */
static enum transaction_end
impossible(struct job *j, const struct status *st)
{
	job_judge(j, job_verdict(j, st, true));
	return status_class(st) == STATUS_PERMANENT ? TRANSACTION_DONE
	    : TRANSACTION_FAULT;
}

enum transaction_end
transaction_run(struct session *s, struct job *j, struct content *c,
    size_t *most, bool others)
{
	struct transaction t = {.s = s, .j = j, .c = c, .others = others,
	    .line = BUF_INIT(LINE_MAX_OCTETS)};
	enum transaction_end end = TRANSACTION_DONE;
	struct status st;

	if (!envelope_plan(j, c, &s->offers, &t.plan, &st) ||
	    !content_prepare(c, t.plan.form, &st))
		return impossible(j, &st);
	switch (content_whole(c, t.plan.form, &t.whole, &st)) {
	case CONTENT_OK:
		t.has_whole = true;
		break;
	case CONTENT_STOPPED:
		break;
	case CONTENT_FAULT:
		return impossible(j, &st);
	}
	choose(&t, *most);
	s->mails++;
	s->reply = on_reply;
	/* cppcheck-suppress autoVariables ; taken back below */
	s->arg = &t;
	if (!send_envelope(&t, &st))
		end = impossible(j, &st);
	else if (session_alive(s) && !send_content(&t, &st))
		end = TRANSACTION_FAULT;
	if (end == TRANSACTION_DONE && !session_alive(s))
		end = lost(&t);
	assert(end == TRANSACTION_STALE || end == TRANSACTION_BARE ||
	    !somebody(&t));
	if (t.full && t.accepted > 0)
		*most = t.accepted;
	s->reply = NULL;
	s->arg = NULL;
	s->used_ms = clock_mono_ms();
	buf_free(&t.line);
	free(t.set);
	return end;
}
