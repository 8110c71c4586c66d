/*
 * What became of one recipient, in sentences, with every attempt and the words
 * of the hosts that were asked.  Runs as user_queue on strangers' words.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/proto/delivery.h"
#include "postern/explain.h"
#include "postern/out.h"

void
explain_moment(struct explanation *e, int64_t ms)
{
	char date[CLOCK_DATE_SIZE], span[OUT_DURATION_SIZE];
	int64_t now = e->q->now_ms;

	clock_rfc5322(ms, date);
	out_duration(ms > now ? ms - now : now - ms, span);
	if (ms > now)
		buf_printf(&e->text, "%s (in %s)", date, span);
	else
		buf_printf(&e->text, "%s (%s ago)", date, span);
}

void
explain_duration(struct explanation *e, uint64_t ms)
{
	char span[OUT_DURATION_SIZE];

	out_duration((int64_t)ms, span);
	buf_adds(&e->text, span);
}

void
explain_foreign(struct explanation *e, const char *before, struct slice s,
    const char *after)
{
	size_t i;

	buf_adds(&e->text, before);
	for (i = 0; i < s.len; i++)
		if (s.p[i] == '\n' || s.p[i] == '\0')
			buf_printf(&e->text, "\\x%02x", (unsigned)s.p[i]);
		else
			buf_addc(&e->text, s.p[i]);
	buf_adds(&e->text, after);
}

/* Why the next attempt is then: the rule's word, the sentence, and the
 * parameter that decides. */
static void
rule(struct explanation *e, struct slice word)
{
	const struct conf *c = &e->q->p->conf;
	const struct {
		const char *word, *sentence;
		uint64_t ms; /* 0: none */
	} rules[] = {
		{"first", "the pause behind a first failure is retry_first",
		    c->retry_first_ms},
		{"retry", "pauses double with each failure", 0},
		{"retry-max", "no pause is longer than retry_max",
		    c->retry_max_ms},
		{"lifetime", "it is the last one, at the end of queue_lifetime",
		    c->queue_lifetime_ms},
		{"destination", "its destination is down and is probed then "
		    "(`postern queue dest`)", 0},
		{"paused", "its destination was paused by an admin", 0},
		{"admin", "an admin said so", 0},
	};
	struct buf *t = &e->text;
	size_t i, n = sizeof(rules) / sizeof(rules[0]);

	for (i = 0; i < n; i++)
		if (slice_eq(word, slice_of(rules[i].word)))
			break;
	if (i == n) {
		if (word.len > 0)
			explain_foreign(e, ", rule ", word, "");
		return;
	}
	buf_printf(t, ", because %s", rules[i].sentence);
	if (rules[i].ms > 0) {
		buf_adds(t, " (");
		explain_duration(e, rules[i].ms);
		buf_adds(t, ")");
	}
}

static void
count(struct explanation *e, const struct qrcpt *r)
{
	if (r->attempts > 0)
		buf_printf(&e->text, " after %u attempt%s", r->attempts,
		    r->attempts == 1 ? "" : "s");
}

/* The domain, or all of this host; a route's name is not in the file. */
const struct pause *
explain_pause(const struct explanation *e, const struct qrcpt *r)
{
	size_t at = r->address.len;
	const struct pause *p;

	if (r->state != QSTATE_TODO)
		return NULL;
	while (at > 0 && r->address.p[at - 1] != '@')
		at--;
	p = pauses_find(&e->paused, slice_sub(r->address, at,
	    r->address.len));
	if (p == NULL && slice_eq(r->rule, SLICE("paused")))
		p = pauses_find(&e->paused, r->host);
	if (p == NULL && (slice_eq(r->rule, SLICE("paused")) ||
	    (r->kind != 0 && r->kind != DELIVERY_ADDRESS)))
		p = pauses_find(&e->paused, SLICE("local"));
	return p;
}

static void
waiting(struct explanation *e, const struct qrcpt *r)
{
	const struct pause *p = explain_pause(e, r);
	struct buf *t = &e->text;

	buf_adds(t, r->attempts == 0 ? " was not tried yet"
	    : " is not delivered");
	count(e, r);
	if (e->item->dir == QDIR_HOLD)
		return;
	if (p != NULL) {
		explain_foreign(e, ". Mail to ", p->name, " is paused");
		explain_foreign(e, ": ", p->reason, "");
		explain_foreign(e, " (`postern queue dest resume ", p->name,
		    "` ends that)");
		return;
	}
	if (r->next_ms <= e->q->now_ms) {
		buf_adds(t, ". It is due now");
	} else {
		buf_adds(t, ". The next attempt is ");
		explain_moment(e, r->next_ms);
	}
	if (r->next_ms != 0)
		rule(e, r->rule);
}

/* "    Sun, ... (3m ago): deferred at mx.example, which said: 4.2.0 451 ..." */
static void
history(struct explanation *e, uint32_t number)
{
	size_t from, n = history_of(&e->history, number, &from);
	struct buf *t = &e->text;

	for (size_t i = from; i < from + n; i++) {
		const struct qtried *a = &e->history.v[i].t;

		buf_adds(t, "    ");
		explain_moment(e, a->at_ms);
		explain_foreign(e, ": ", a->what, "");
		if (a->host.len > 0)
			explain_foreign(e, " at ", a->host, "");
		if (a->why.len > 0)
			explain_foreign(e, a->remote
			    ? ", in the other host's words: " : ": ",
			    a->why, "");
		buf_adds(t, "\n");
	}
}

static void
failed(struct explanation *e, const struct qrcpt *r)
{
	struct buf *t = &e->text;

	buf_adds(t, " failed for good");
	count(e, r);
	if (r->notify & NOTIFY_NEVER)
		buf_adds(t, "; the sender asked not to be told");
	else
		buf_adds(t, "; the sender is not yet told");
	buf_adds(t, ". `postern queue retry` tries it again");
}

void
explain_recipient(struct explanation *e, const struct qrcpt *r)
{
	struct buf *t = &e->text;

	explain_foreign(e, "  <", r->address, ">");
	if (r->target.len > 0)
		explain_foreign(e, " (", r->target, ")");
	switch ((enum qstate)r->state) {
	case QSTATE_TODO:
		waiting(e, r);
		break;
	case QSTATE_DONE:
		buf_adds(t, " is delivered");
		count(e, r);
		break;
	case QSTATE_FAILED:
		failed(e, r);
		break;
	case QSTATE_BOUNCED:
		buf_adds(t, " failed for good");
		count(e, r);
		buf_adds(t, ", and the sender was told (or rightly not)");
		break;
	case QSTATE_SUCCESS:
		buf_adds(t, " is delivered");
		count(e, r);
		buf_adds(t, ", and the notice of it that the sender asked for "
		    "is due");
		break;
	case QSTATE_EXPANDED:
		buf_adds(t, " stands for others, which follow");
		break;
	case QSTATE_CANCELLED:
		buf_adds(t, " was taken off by an admin");
		break;
	}
	buf_adds(t, ".\n");
	history(e, r->number);
}

void
explain_notes(struct explanation *e)
{
	static const struct {
		const char *word, *sentence;
	} words[] = {
		{"hold", "put on hold"}, {"release", "released"},
		{"retry", "an admin wanted it tried again"},
		{"warned", "the sender was told of the delay"},
		{"late", "the time that the sender set had passed"},
	};
	size_t from, n = history_of(&e->history, 0, &from);
	struct buf *t = &e->text;

	for (size_t i = from; i < from + n; i++) {
		const struct qtried *a = &e->history.v[i].t;
		const char *sentence = NULL;

		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			if (slice_eq(a->what, slice_of(words[k].word)))
				sentence = words[k].sentence;
		explain_moment(e, a->at_ms);
		if (sentence != NULL)
			buf_printf(t, ": %s", sentence);
		else
			explain_foreign(e, ": ", a->what, "");
		if (a->why.len > 0)
			explain_foreign(e, ": ", a->why, "");
		buf_adds(t, ".\n");
	}
}
