/*
 * The end of a message's stay in memory, when nothing is under way for it:
 * removed, held, moved to corrupt/, or back to the waiting ones with the time
 * of its next attempt.  Runs in qmgr, between the handlers.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/loop.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define SHELVED_MS 60000 /* a daemon that comes back wakes them earlier */
#define STUCK_MS 1000
#define SETTLE_US 1000   /* for retries, in one round */
/* mtime of what waits for no time: 2100, or as late as the file system can. */
#define HINT_NEVER_MS INT64_C(4102444800000)

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

/* Back to wait until next_ms, from the directory it is in. */
static void
put_back(struct qmgr *qm, struct message *m, int64_t next_ms)
{
	struct wait_info w = {.id = m->id, .next_ms = next_ms};

	if (m->dir == QDIR_INCOMING)
		w.flags |= WAIT_FRESH;
	if (m->unsure)
		w.flags |= WAIT_UNSURE;
	if (m->shelved)
		w.flags |= WAIT_SHELVED;
	wait_put(qm->wait, &w);
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
	if (m->dir == QDIR_DEFERRED && m->q != NULL)
		(void)qfile_set_hint(m->q, next_ms == WAIT_NEVER ?
		    HINT_NEVER_MS : next_ms);
}

static int64_t
next_of(struct qmgr *qm, struct message *m)
{
	int64_t now_ms = clock_real_ms();

	/* An admin asked while it was active. */
	if (m->again && m->todo > 0 && file_need(qm, m) &&
	    qfile_add_note(m->q, "retry", SLICE_EMPTY, now_ms) == 0)
		return now_ms;
	if (m->shelved && m->next_ms > now_ms + SHELVED_MS)
		return now_ms + SHELVED_MS;
	if (m->todo > 0 && m->next_ms == WAIT_NEVER)
		return now_ms + qm->retry.first_ms;
	return m->next_ms;
}

/* Nothing left to do with it, if that can be written down. */
static void
end_attempt(struct qmgr *qm, struct message *m)
{
	int64_t next_ms;

	if (m->counted && m->todo == 0 && m->failed == 0) {
		if (!removed(qm, m, "qmgr"))
			stuck(qm, m);
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
		if (!file_need(qm, m)) {
			end_verdict(qm, m);
			return;
		}
	}
	if (m->verdict != VERDICT_GOOD) {
		end_verdict(qm, m);
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
	    m->counted && (m->todo > 0 || m->failed > 0) && held(qm, m))
		return true;
	end_attempt(qm, m);
	return want == WANT_NOTHING;
}

bool
settle_some(struct qmgr *qm)
{
	int64_t start_us = clock_mono_us();
	struct message *m;

	while ((m = TAILQ_FIRST(&qm->settle)) != NULL) {
		/* Those of fresh mail come first, and cost little. */
		if (m->turn != TURN_FRESH &&
		    clock_mono_us() - start_us >= SETTLE_US)
			return true;
		TAILQ_REMOVE(&qm->settle, m, end);
		m->on_end = false;
		if (m->nlive == 0)
			(void)settle_message(qm, m);
	}
	return false;
}

void
settle_add(struct qmgr *qm, struct message *m)
{
	m->on_end = true;
	m->is_stuck = false;
	if (m->turn == TURN_FRESH)
		TAILQ_INSERT_HEAD(&qm->settle, m, end);
	else
		TAILQ_INSERT_TAIL(&qm->settle, m, end);
}

void
settle_retry(struct qmgr *qm)
{
	struct message *m;

	while ((m = TAILQ_FIRST(&qm->stuck)) != NULL) {
		TAILQ_REMOVE(&qm->stuck, m, end);
		settle_add(qm, m);
	}
}
