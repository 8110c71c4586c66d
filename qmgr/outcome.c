/*
 * What became of an attempt for one recipient: the line in the log, the next
 * try, and what is to be written into the queue file.  Runs in qmgr; the words
 * come from authd, local or a program and are escaped where they are shown.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/proto/delivery.h"
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
	if (o == NULL) {
		LOG_INFO("delivered", LS("id", r->m->id.s),
		    LB("to", r->address), LS("status", enhanced),
		    LB("host", host),
		    LI("delay", now_ms - id_time_ms(&r->m->id)));
		return;
	}
	if (o->next_ms != 0)
		clock_rfc3339(o->next_ms, next);
	LOG_INFO(o->what, LS("id", r->m->id.s), LB("to", r->address),
	    LS("status", enhanced), LU("code", st->code), LB("host", host),
	    LI("delay", now_ms - id_time_ms(&r->m->id)),
	    LU("attempt", r->attempts + 1), LS("next", next),
	    LS("rule", o->rule), LS("why", st->text));
}

/* An attempt that did not succeed: when the next one is, if there is one. */
static void
plan(struct qmgr *qm, struct rcpt *r, const struct status *st,
    struct slice host, int64_t now_ms)
{
	struct outcome *o = mem_alloc(sizeof(*o) + host.len + 1);
	struct retry retry;

	r->outcome = o;
	o->status = *st;
	o->at_ms = now_ms;
	if (host.len > 0)
		memcpy(o->host, host.p, host.len);
	o->what = "failed";
	o->rule = "permanent";
	if (status_class(st) == STATUS_PERMANENT)
		return;
	retry = retry_next(&qm->retry, id_time_ms(&r->m->id), now_ms,
	    r->attempts + 1, random_below(UINT32_MAX));
	o->rule = retry.rule;
	o->next_ms = retry.next_ms;
	if (!retry.expired)
		o->what = "deferred";
}

void
outcome_set(struct qmgr *qm, struct rcpt *r, const struct status *status,
    struct slice host)
{
	struct message *m = r->m;
	bool program = r->place != NULL && r->place->kind == DELIVERY_PROGRAM;
	int64_t now_ms = clock_real_ms();

	r->state = QSTATE_DONE;
	if (status_class(status) != STATUS_OK) {
		plan(qm, r, status, host, now_ms);
		r->state = r->outcome->next_ms != 0 ? QSTATE_TODO :
		    QSTATE_FAILED;
		m->attempted = true;
		if (r->state == QSTATE_TODO && r->outcome->next_ms < m->next_ms)
			m->next_ms = r->outcome->next_ms;
	}
	if (r->state != QSTATE_TODO)
		m->todo--;
	if (r->state == QSTATE_FAILED)
		m->failed++;
	log_outcome(r, status, host, now_ms);
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
outcome_shelve(struct qmgr *qm, struct rcpt *r)
{
	struct message *m = r->m;

	/* Those that are not in memory yet would fare no better. */
	m->shelved = m->stopped = true;
	message_drop_rcpt(qm, r);
	message_progress(qm, m);
}
