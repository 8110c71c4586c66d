/*
 * What became of an attempt for one recipient: the line in the log, the next
 * try, and what is to be written into the queue file.  Runs in qmgr; the words
 * come from authd, local, a program or another host and are escaped where they
 * are shown.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/proto/delivery.h"
#include "qmgr/counters.h"
#include "qmgr/dest.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

static void
log_outcome(const struct rcpt *r, const struct status *st, struct slice host,
    int64_t now_ms)
{
	const struct outcome *o = r->outcome;
	char enhanced[STATUS_ENHANCED_SIZE], next[CLOCK_DATE_SIZE] = "never";

	status_enhanced(st, enhanced);
	if (status_class(st) == STATUS_OK) {
		stats_add(COUNT_DELIVERED, 1);
		stats_observe(COUNT_DELIVERY_TIME,
		    (now_ms - id_time_ms(&r->m->id)) * 1000);
		LOG_INFO(o == NULL ? "delivered" : o->what,
		    LS("id", r->m->id.s), LB("to", r->address),
		    LS("status", enhanced), LB("host", host),
		    LI("delay", now_ms - id_time_ms(&r->m->id)),
		    LS("said", st->text));
		return;
	}
	assert(o != NULL); /* only a success needs none */
	stats_add(o->next_ms != 0 ? COUNT_DEFERRED : COUNT_FAILED, 1);
	if (o->next_ms != 0)
		clock_rfc3339(o->next_ms, next);
	LOG_INFO(o->what, LS("id", r->m->id.s), LB("to", r->address),
	    LS("status", enhanced), LU("code", st->code), LB("host", host),
	    LI("delay", now_ms - id_time_ms(&r->m->id)),
	    LU("attempt", r->attempts + 1), LS("next", next),
	    LS("rule", o->rule), LS("why", st->text));
}

static struct outcome *
outcome_new(struct rcpt *r, const struct status *st,
    const struct outcome_from *from, int64_t now_ms)
{
	struct outcome *o = mem_alloc(sizeof(*o) + from->host.len + 1);

	r->outcome = o;
	o->status = *st;
	o->at_ms = now_ms;
	o->remote = from->remote;
	if (from->host.len > 0)
		memcpy(o->host, from->host.p, from->host.len);
	return o;
}

/* The recipients of a message that failed together are tried together again:
 * no random number of its own for each. */
static uint32_t
spread(const struct rcpt *r)
{
	uint32_t h = UINT32_C(2166136261) ^ r->attempts;

	for (int i = 0; i < ID_LEN; i++)
		h = (h ^ (unsigned char)r->m->id.s[i]) * UINT32_C(16777619);
	return h ^ h >> 15;
}

/* It waits as long as its destination is shut. */
static void
plan_by_dest(const struct qmgr *qm, struct outcome *o, const struct dest *d,
    int64_t end_ms)
{
	o->rule = dest_is_down(d) ? "destination" : "paused";
	o->next_ms = dest_is_down(d) ? dest_next_ms(d) :
	    o->at_ms + qm->retry.max_ms;
	if (o->next_ms > end_ms) {
		o->next_ms = end_ms;
		o->rule = "lifetime";
	}
}

/* An attempt that did not succeed: when the next one is, if there is one. */
static void
plan(struct qmgr *qm, struct rcpt *r, const struct status *st,
    const struct outcome_from *from, int64_t now_ms)
{
	struct outcome *o = outcome_new(r, st, from, now_ms);
	int64_t end_ms = duty_end_ms(qm, r->m);
	struct retry_conf c = qm->retry;
	struct retry retry;

	o->what = "failed";
	o->rule = "permanent";
	if (status_class(st) == STATUS_PERMANENT)
		return;
	if (from->dest != NULL && dest_is_shut(from->dest) && now_ms < end_ms)
		plan_by_dest(qm, o, from->dest, end_ms);
	else {
		c.lifetime_ms = end_ms - id_time_ms(&r->m->id);
		retry = retry_next(&c, id_time_ms(&r->m->id), now_ms,
		    r->attempts + 1, spread(r));
		o->rule = retry.rule;
		o->next_ms = retry.next_ms;
		if (retry.expired && duty_deadline(r->m)) {
			/* RFC 2852 4.3: returned, as mode R asks */
			o->rule = "deadline";
			status_set(&o->status, 554, 4, 7, "not delivered by "
			    "the time the sender set; last: %s", st->text);
			o->remote = false;
		}
	}
	if (o->next_ms != 0)
		o->what = "deferred";
}

static void
deferred(struct message *m, const struct rcpt *r, struct dest *d)
{
	if (d != NULL && dest_is_shut(d))
		message_park(m, d);
	if (d == NULL || m->park != d) {
		message_seen(m, d);
		if (r->outcome->next_ms < m->next_ms)
			m->next_ms = r->outcome->next_ms;
	}
}

/* It went well: is the sender to be told? */
static void
succeeded(struct rcpt *r, const struct status *st,
    const struct outcome_from *from, int64_t now_ms)
{
	struct outcome *o;
	bool by_others = from->remote && !from->relayed;

	r->state = QSTATE_DONE;
	if ((r->notify & NOTIFY_SUCCESS) == 0 || by_others)
		return;
	o = outcome_new(r, st, from, now_ms);
	o->what = from->relayed ? "relayed" : "delivered";
	r->state = QSTATE_SUCCESS;
	r->m->owed++;
	r->m->attempted = true;
}

void
outcome_set_from(struct qmgr *qm, struct rcpt *r, const struct status *status,
    const struct outcome_from *from)
{
	struct message *m = r->m;
	bool program = r->place != NULL && r->place->kind == DELIVERY_PROGRAM;
	int64_t now_ms = clock_real_ms();

	if (status_class(status) == STATUS_OK)
		succeeded(r, status, from, now_ms);
	else {
		plan(qm, r, status, from, now_ms);
		r->state = r->outcome->next_ms != 0 ? QSTATE_TODO :
		    QSTATE_FAILED;
		m->attempted = true;
		if (r->state == QSTATE_TODO)
			deferred(m, r, from->dest);
	}
	if (r->state != QSTATE_TODO)
		m->todo--;
	if (r->state == QSTATE_FAILED)
		m->failed++;
	log_outcome(r, r->outcome != NULL ? &r->outcome->status : status,
	    from->host, now_ms);
	r->phase = PHASE_ENDED;
	TAILQ_INSERT_TAIL(&m->ended, r, list);
	m->nlive--;
	/* Otherwise it is settled in this round.  A program would see the
	 * message twice, a Maildir does not. */
	if (m->nlive > 0 || m->next < m->nfile)
		file_record_later(qm, m, program);
	message_progress(qm, m);
}

void
outcome_set(struct qmgr *qm, struct rcpt *r, const struct status *status,
    struct slice host)
{
	struct outcome_from from = {.host = host};

	outcome_set_from(qm, r, status, &from);
}

/* ---- what is not an attempt ---- */

/* What stands in the way, as if it had been tried. */
static void
set_by_dest(struct qmgr *qm, struct rcpt *r, struct dest *d)
{
	struct outcome_from from = {.dest = d, .host = SLICE_EMPTY};
	struct status st;

	if (d->error != NULL && d->pause == NULL) {
		from.host = slice_of(d->error->host);
		from.remote = d->error->remote;
		st = d->error->status;
		/* Of a job with several outcomes it need not be one that
		 * says: later again. */
		if (status_class(&st) != STATUS_TEMPORARY)
			status_set(&st, 451, 4, 1, "%s",
			    d->error->status.text);
	} else
		/* RFC 3463: system not accepting network messages */
		status_set(&st, 451, 3, 2, "this destination is paused: %s",
		    d->pause != NULL ? d->pause : "no reason given");
	outcome_set_from(qm, r, &st, &from);
}

void
outcome_park(struct qmgr *qm, struct rcpt *r, struct dest *d)
{
	struct message *m = r->m;

	if (dest_is_shut(d) && (r->attempts == 0 ||
	    duty_over(qm, m, clock_real_ms()))) {
		set_by_dest(qm, r, d);
		return;
	}
	message_park(m, d);
	if (m->park != d && m->next_ms > clock_real_ms() + qm->retry.max_ms)
		m->next_ms = clock_real_ms() + qm->retry.max_ms;
	message_drop_rcpt(qm, r);
}

void
outcome_shelve(struct qmgr *qm, struct rcpt *r, enum lane_no lane)
{
	struct message *m = r->m;

	/* Those that are not in memory yet would fare no better. */
	m->shelved = m->stopped = true;
	m->shelf = (uint8_t)lane;
	message_drop_rcpt(qm, r);
	message_progress(qm, m);
}
