/*
 * The end of a message's stay in memory, when nothing is under way for it: its
 * sender is told what is owed, then it is removed, held, moved to corrupt/, or
 * goes back to the waiting ones with the time of its next attempt or into the
 * line of its destination.  Runs in qmgr, between the handlers.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/loop.h"
#include "qmgr/counters.h"
#include "qmgr/dest.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define SHELVED_MS 60000 /* a daemon that comes back wakes them earlier */
#define STUCK_MS 1000
#define SETTLE_US 300    /* for what must be written, in one round */

/* What became of it cannot be written down: kept in memory until it can,
 * because to forget a delivery is to repeat it. */
static void
stuck(struct qmgr *qm, struct message *m)
{
	if (TAILQ_EMPTY(&qm->stuck))
		loop_timer_in(qm->stuck_timer, STUCK_MS);
	m->on_end = m->is_stuck = true;
	TAILQ_INSERT_TAIL(&qm->stuck, m, end);
}

/* Nothing is left to do or to tell. */
static bool
is_done(const struct message *m)
{
	return m->counted && m->todo == 0 && m->failed == 0 && m->owed == 0;
}

/* Back to wait until next_ms, from the directory it is in. */
static void
put_back(struct qmgr *qm, struct message *m, int64_t next_ms)
{
	struct wait_info w = {.id = m->id, .next_ms = next_ms};
	struct dest *d = NULL;

	if (m->dir == QDIR_INCOMING)
		w.flags |= WAIT_FRESH;
	if (m->unsure)
		w.flags |= WAIT_UNSURE;
	if (m->shelved) {
		w.flags |= WAIT_PARKED;
		w.line = qm->lanes[m->shelf].shelf;
	} else if (m->park != NULL) {
		d = m->park;
		w.flags |= WAIT_PARKED;
	} else if (m->only != NULL && !m->scattered)
		d = m->only;
	if (d != NULL)
		w.line = dest_line(d);
	wait_put(qm->wait, &w);
	if (d != NULL)
		dest_look(d);
	message_free(qm, m);
}

/* Done, or an admin says so. */
static bool
removed(struct qmgr *qm, struct message *m, const char *by)
{
	if (unlinkat(qm->dirs[m->dir], m->id.s, 0) == -1 && errno != ENOENT) {
		if (!m->told)
			LOG_ERROR("not-removed", LS("id", m->id.s),
			    LS("dir", qdir_names[m->dir]), LE());
		m->told = true;
		return false;
	}
	stats_add(COUNT_REMOVED, 1);
	LOG_INFO("removed", LS("id", m->id.s), LS("by", by),
	    LI("age", clock_real_ms() - id_time_ms(&m->id)));
	message_free(qm, m);
	return true;
}

static bool
held(struct qmgr *qm, struct message *m)
{
	struct slice reason = {m->reason, m->reason_len};

	if (!file_need(qm, m) || !file_record(qm, m) ||
	    qfile_add_note(m->q, "hold", reason, clock_real_ms()) != 0 ||
	    file_move(qm, m->id.s, m->dir, QDIR_HOLD) != 0) {
		LOG_ERROR("not-held", LS("id", m->id.s), LE());
		return false;
	}
	file_sync_later(qm, m);
	LOG_INFO("held", LS("id", m->id.s), LB("reason", reason));
	message_free(qm, m);
	return true;
}

static void
quarantined(struct qmgr *qm, struct message *m)
{
	if (file_move(qm, m->id.s, m->dir, QDIR_CORRUPT) == 0) {
		stats_add(COUNT_CORRUPT, 1);
		LOG_ERROR("moved-to-corrupt", LS("id", m->id.s),
		    LS("mend", "see postern-queue(5); it is never deleted"));
		message_free(qm, m);
		return;
	}
	LOG_ERROR("not-moved-to-corrupt", LS("id", m->id.s), LE());
	put_back(qm, m, WAIT_NEVER);
}

/* Its file is not what it should be. */
static void
end_verdict(struct qmgr *qm, struct message *m)
{
	switch (m->verdict) {
	case VERDICT_GONE:
		/* In incoming/ that is a scan or a notice that came late. */
		if (m->dir == QDIR_DEFERRED)
			LOG_WARN("vanished", LS("id", m->id.s),
			    LS("dir", qdir_names[m->dir]));
		message_free(qm, m);
		break;
	case VERDICT_CORRUPT:
		quarantined(qm, m);
		break;
	case VERDICT_NEWER:
		put_back(qm, m, WAIT_NEVER);
		break;
	default:
		put_back(qm, m, clock_real_ms() + qm->retry.first_ms);
		break;
	}
}

/* The move that makes an attempted message a deferred one, and the hint. */
static void
defer(struct qmgr *qm, struct message *m, int64_t next_ms)
{
	if (m->dir == QDIR_INCOMING && m->attempted) {
		if (file_move(qm, m->id.s, QDIR_INCOMING, QDIR_DEFERRED) == 0)
			m->dir = QDIR_DEFERRED;
		else
			LOG_ERROR("not-deferred", LS("id", m->id.s), LE());
	}
	if (m->dir != QDIR_DEFERRED || m->q == NULL)
		return;
	/* What a start finds of one in a line: when that may move. */
	if (m->park != NULL && dest_is_down(m->park))
		next_ms = dest_next_ms(m->park);
	else if (m->park != NULL)
		next_ms = clock_real_ms() + qm->retry.max_ms;
	(void)qfile_set_hint(m->q, next_ms);
}

/* A notice could not be sent: the older it is the later again. */
static int64_t
unmute_ms(const struct qmgr *qm, const struct message *m, int64_t now_ms)
{
	int64_t pause_ms = (now_ms - id_time_ms(&m->id)) / 4;

	if (pause_ms < qm->retry.first_ms)
		pause_ms = qm->retry.first_ms;
	return now_ms + (pause_ms < qm->retry.max_ms ? pause_ms :
	    qm->retry.max_ms);
}

/* When it is looked at again at the latest. */
static int64_t
next_of(struct qmgr *qm, struct message *m)
{
	int64_t now_ms = clock_real_ms(), next_ms = m->next_ms, t;

	/* An admin asked while it was active. */
	if (m->again && m->todo > 0 && file_need(qm, m) &&
	    qfile_add_note(m->q, "retry", SLICE_EMPTY, now_ms) == 0) {
		m->shelved = false;
		m->scattered = true;
		if (m->park != NULL)
			dest_drop(m->park);
		m->park = NULL;
		return now_ms;
	}
	if (m->shelved && next_ms > now_ms + SHELVED_MS)
		next_ms = now_ms + SHELVED_MS;
	if (m->mute && next_ms > (t = unmute_ms(qm, m, now_ms)))
		next_ms = t;
	if (m->todo > 0 && m->park == NULL && next_ms == WAIT_NEVER)
		next_ms = now_ms + qm->retry.first_ms;
	t = m->todo > 0 ? duty_next_ms(qm, m, now_ms) : WAIT_NEVER;
	if (t < next_ms)
		next_ms = t;
	/* Its end is behind it, and yet it is there. */
	return next_ms == WAIT_NEVER ? now_ms + qm->retry.max_ms : next_ms;
}

/* Its sender is told of something before it goes on. */
static bool
reported(struct qmgr *qm, struct message *m)
{
	if (qm->stopping || m->mute ||
	    (m->shelved && m->shelf == LANE_REPORT) ||
	    !duty_due(qm, m, clock_real_ms()))
		return false;
	return file_need(qm, m) && report_next(qm, m);
}

static void
end_done(struct qmgr *qm, struct message *m)
{
	if (!removed(qm, m, "qmgr"))
		stuck(qm, m);
}

/* Nothing left to do with it, if that can be written down. */
static void
end_attempt(struct qmgr *qm, struct message *m)
{
	int64_t next_ms;

	if (is_done(m)) {
		end_done(qm, m);
		return;
	}
	if (!file_record(qm, m)) {
		if (m->verdict == VERDICT_GOOD || m->verdict == VERDICT_FAULT) {
			m->verdict = VERDICT_GOOD;
			stuck(qm, m);
		} else
			end_verdict(qm, m);
		return;
	}
	if (m->verdict == VERDICT_GOOD && m->suspect) {
		/* Opened anew, with its content read. */
		file_close(qm, m);
		(void)file_need(qm, m);
	}
	if (m->verdict == VERDICT_GOOD && reported(qm, m))
		return;
	if (m->verdict != VERDICT_GOOD) {
		end_verdict(qm, m);
		return;
	}
	if (is_done(m)) { /* nobody was to be told */
		end_done(qm, m);
		return;
	}
	next_ms = next_of(qm, m);
	defer(qm, m, next_ms);
	put_back(qm, m, next_ms);
}

bool
settle_message(struct qmgr *qm, struct message *m)
{
	enum want want = m->want;

	m->want = WANT_NOTHING;
	if (want == WANT_REMOVE && removed(qm, m, "admin"))
		return true;
	if (want == WANT_HOLD && m->verdict == VERDICT_GOOD &&
	    m->counted && !is_done(m) && held(qm, m))
		return true;
	end_attempt(qm, m);
	return want == WANT_NOTHING;
}

/* The first one of a list; false: the list is empty. */
static bool
settle_first(struct qmgr *qm, struct messages *list)
{
	struct message *m = TAILQ_FIRST(list);

	if (m == NULL)
		return false;
	settle_remove(qm, m);
	if (m->nlive == 0)
		(void)settle_message(qm, m);
	return true;
}

bool
settle_some(struct qmgr *qm)
{
	int64_t start_us = clock_mono_us();

	/* What is done is fresh mail nearly always, and costs little. */
	while (settle_first(qm, &qm->settle))
		continue;
	while (clock_mono_us() - start_us < SETTLE_US)
		if (!settle_first(qm, &qm->writing))
			break;
	return !TAILQ_EMPTY(&qm->writing);
}

void
settle_add(struct qmgr *qm, struct message *m)
{
	m->on_end = true;
	m->is_stuck = false;
	m->is_writing = !is_done(m);
	qm->nwriting += m->is_writing;
	TAILQ_INSERT_TAIL(m->is_writing ? &qm->writing : &qm->settle, m, end);
}

void
settle_remove(struct qmgr *qm, struct message *m)
{
	if (!m->on_end)
		return;
	TAILQ_REMOVE(m->is_stuck ? &qm->stuck : m->is_writing ? &qm->writing :
	    &qm->settle, m, end);
	if (!m->is_stuck)
		qm->nwriting -= m->is_writing;
	m->on_end = m->is_stuck = false;
}

void
settle_retry(struct qmgr *qm)
{
	struct message *m;

	while ((m = TAILQ_FIRST(&qm->stuck)) != NULL) {
		settle_remove(qm, m);
		settle_add(qm, m);
	}
}
