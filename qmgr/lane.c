/*
 * Turns: who goes next to authd, local, the spawner, remote or bounce.  Runs in
 * qmgr; no input of its own.
 *
 * Each lane has a ring of senders (flow.h) for each kind of mail.  From the
 * sender at the front one recipient is taken of the message at the front, then
 * both go to the end: a message with 100,000 recipients and one with a single
 * recipient get every second job, and so do somebody's thousand messages and
 * somebody else's one.  A recipient whose destination has jobs enough is parked
 * there and keeps nobody waiting.
 *
 * Several recipients of a message that share a job are led by one of them; it
 * alone is seen here.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "qmgr/dest.h"
#include "qmgr/flow.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define NO_JOB UINT32_MAX
#define RESOLVES_MAX 128  /* questions at once: fresh mail waits for them */
#define PATIENCE_MS 5000  /* a daemon that restarts is back by then */
#define PAUSE_MS 100
#define LOSSES_MAX 3

/* Of fifteen picks so many are each kind's, if it has anything to go. */
static const int32_t weights[TURN_COUNT] = {
	[TURN_NORMAL] = 8, [TURN_BOUNCE] = 2, [TURN_BULK] = 3, [TURN_RETRY] = 2};

/* ---- jobs ---- */

static uint64_t
job_new(struct lane *lane, struct rcpt *r)
{
	struct job job = {NULL, 0, NO_JOB, 0};
	uint32_t n = lane->free_job;

	if (n == NO_JOB) {
		n = lane->njobs;
		MEM_PUSH(lane->jobs, lane->njobs, lane->jobs_cap, job);
	}
	lane->free_job = lane->jobs[n].next;
	lane->jobs[n].r = r;
	lane->jobs[n].serial++;
	lane->jobs[n].at_ms = clock_mono_ms();
	return (uint64_t)lane->jobs[n].serial << 32 | n;
}

static void
job_free(struct lane *lane, uint64_t job)
{
	uint32_t n = (uint32_t)job;

	lane->jobs[n].r = NULL;
	lane->jobs[n].next = lane->free_job;
	lane->free_job = n;
}

struct rcpt *
lane_find(struct lane *lane, uint64_t job)
{
	uint32_t n = (uint32_t)job;

	if (n >= lane->njobs || lane->jobs[n].serial != job >> 32)
		return NULL;
	return lane->jobs[n].r;
}

static void
job_take(struct qmgr *qm, struct lane *lane, struct rcpt *r)
{
	r->phase = PHASE_RUNNING;
	r->job = job_new(lane, r);
	lane->running[r->m->turn]++;
	if (lane != &qm->lanes[LANE_RESOLVE])
		r->m->nrunning++;
}

/* Those it leads go to `out`, idle and without a destination. */
static void
disband(struct rcpt *leader, struct rcpts *out)
{
	struct rcpt *r;

	while ((r = TAILQ_FIRST(&leader->led)) != NULL) {
		TAILQ_REMOVE(&leader->led, r, list);
		dest_leave(r);
		r->leader = NULL;
		r->phase = PHASE_IDLE;
		if (out != NULL)
			TAILQ_INSERT_TAIL(out, r, list);
	}
	leader->nled = 0;
}

void
lane_release(struct qmgr *qm, struct rcpt *r, struct rcpts *freed)
{
	struct lane *lane = &qm->lanes[r->lane];

	assert(r->phase == PHASE_RUNNING);
	job_free(lane, r->job);
	lane->running[r->m->turn]--;
	if (r->lane != LANE_RESOLVE)
		r->m->nrunning--;
	r->phase = PHASE_IDLE;
	TAILQ_INIT(freed);
	TAILQ_INSERT_TAIL(freed, r, list);
	disband(r, freed);
	if (r->dest != NULL)
		dest_leave(r);
}

uint32_t
lane_running(const struct lane *lane)
{
	uint32_t n = 0;

	for (int turn = 0; turn < TURN_COUNT; turn++)
		n += lane->running[turn];
	return n;
}

/* ---- turns ---- */

static void
ring_leave(struct lane *lane, enum lane_no no, struct message *m)
{
	struct flow *f = m->flow;

	if (!m->on_ring[no])
		return;
	m->on_ring[no] = false;
	TAILQ_REMOVE(&f->queue[no], m, ring[no]);
	if (!TAILQ_EMPTY(&f->queue[no]))
		return;
	f->on_ring[no] = false;
	TAILQ_REMOVE(&lane->ring[f->turn], f, ring[no]);
}

static void
ring_join(struct lane *lane, enum lane_no no, struct message *m)
{
	struct flow *f = m->flow;

	if (m->on_ring[no])
		return;
	m->on_ring[no] = true;
	TAILQ_INSERT_TAIL(&f->queue[no], m, ring[no]);
	if (f->on_ring[no])
		return;
	f->on_ring[no] = true;
	TAILQ_INSERT_TAIL(&lane->ring[f->turn], f, ring[no]);
}

void
lane_add(struct qmgr *qm, struct rcpt *r, enum lane_no no, bool back)
{
	struct lane *lane = &qm->lanes[no];
	struct message *m = r->m;

	r->phase = PHASE_READY;
	r->lane = (uint8_t)no;
	if (back)
		TAILQ_INSERT_HEAD(&m->ready[no], r, list);
	else
		TAILQ_INSERT_TAIL(&m->ready[no], r, list);
	ring_join(lane, no, m);
}

void
lane_remove(struct qmgr *qm, struct rcpt *r)
{
	struct message *m = r->m;

	switch ((enum phase)r->phase) {
	case PHASE_READY:
		TAILQ_REMOVE(&m->ready[r->lane], r, list);
		if (TAILQ_EMPTY(&m->ready[r->lane]))
			ring_leave(&qm->lanes[r->lane], r->lane, m);
		break;
	case PHASE_GATHERING:
		TAILQ_REMOVE(&r->dest->gathering, r, list);
		m->ngathering--;
		break;
	case PHASE_LED:
		TAILQ_REMOVE(&r->leader->led, r, list);
		r->leader->nled--;
		break;
	default:
		assert(r->phase == PHASE_PARKED);
		break; /* dest_leave */
	}
	disband(r, NULL);
	if (r->dest != NULL)
		dest_leave(r);
	r->leader = NULL;
	r->phase = PHASE_IDLE;
}

/* One that is on no list and those it leads, all idle, without a destination */
static void
collect(struct rcpt *r, struct rcpts *all)
{
	TAILQ_INIT(all);
	TAILQ_INSERT_TAIL(all, r, list);
	r->phase = PHASE_IDLE;
	disband(r, all);
	if (r->dest != NULL)
		dest_leave(r);
}

/* It cannot go there now: all in its job wait on disk. */
static void
park_all(struct qmgr *qm, struct rcpt *r)
{
	struct dest *d = r->dest;
	struct message *m = r->m;
	struct rcpts all;

	dest_hold(d);
	collect(r, &all);
	while ((r = TAILQ_FIRST(&all)) != NULL) {
		TAILQ_REMOVE(&all, r, list);
		outcome_park(qm, r, d);
	}
	dest_drop(d);
	message_progress(qm, m);
}

/* The next of one ring, off its lists; NULL: none that may start. */
static struct rcpt *
pick_from(struct qmgr *qm, struct lane *lane, enum lane_no no, enum turn turn)
{
	struct message *m;
	struct flow *f;
	struct rcpt *r;

	while ((f = TAILQ_FIRST(&lane->ring[turn])) != NULL) {
		m = TAILQ_FIRST(&f->queue[no]);
		r = TAILQ_FIRST(&m->ready[no]);
		TAILQ_REMOVE(&m->ready[no], r, list);
		ring_leave(lane, no, m);
		if (!TAILQ_EMPTY(&m->ready[no]))
			ring_join(lane, no, m);
		/* The others of this sender come after those of all others. */
		if (f->on_ring[no]) {
			TAILQ_REMOVE(&lane->ring[turn], f, ring[no]);
			TAILQ_INSERT_TAIL(&lane->ring[turn], f, ring[no]);
		}
		switch (r->dest == NULL ? DEST_GO : dest_ask(r->dest, r)) {
		case DEST_GO:
			return r;
		case DEST_LATER:
			break;
		case DEST_SHUT:
			park_all(qm, r);
			break;
		}
	}
	return NULL;
}

/* The kind of mail whose turn it is; TURN_COUNT: nobody's. */
static enum turn
choose(struct lane *lane, const bool allowed[TURN_COUNT])
{
	enum turn best = TURN_COUNT;
	int32_t total = 0;

	for (int turn = 0; turn < TURN_COUNT; turn++) {
		if (!allowed[turn] || TAILQ_EMPTY(&lane->ring[turn]))
			continue;
		lane->credit[turn] += weights[turn];
		total += weights[turn];
		if (best == TURN_COUNT ||
		    lane->credit[turn] > lane->credit[best])
			best = (enum turn)turn;
	}
	if (best != TURN_COUNT)
		lane->credit[best] -= total;
	return best;
}

static struct rcpt *
pick(struct qmgr *qm, struct lane *lane, enum lane_no no, uint32_t most)
{
	uint32_t normal = lane->running[TURN_NORMAL];
	/* A quarter is never taken by others than fresh mail. */
	bool others = lane_running(lane) - normal <
	    (most > 1 ? most - (most + 3) / 4 : 1);
	bool allowed[TURN_COUNT] = {true, others, others, others};
	enum turn turn;
	struct rcpt *r;

	while ((turn = choose(lane, allowed)) != TURN_COUNT) {
		r = pick_from(qm, lane, no, turn);
		if (r != NULL)
			return r;
	}
	return NULL;
}

/* r could not be started: as before. */
static void
give_back(struct qmgr *qm, struct rcpt *r, enum lane_no no)
{
	struct lane *lane = &qm->lanes[no];

	job_free(lane, r->job);
	lane->running[r->m->turn]--;
	if (no != LANE_RESOLVE)
		r->m->nrunning--;
	lane_add(qm, r, no, true);
}

static void
pump_one(struct qmgr *qm, struct lane *lane, enum lane_no no)
{
	uint32_t most = lane->capacity < lane->limit ? lane->capacity :
	    lane->limit;
	bool any = false;
	struct rcpt *r;

	while (lane->up && !lane->paused && lane_running(lane) < most &&
	    (r = pick(qm, lane, no, most)) != NULL) {
		job_take(qm, lane, r);
		switch (lane->start(qm, r, r->job)) {
		case START_OK:
			any = true;
			break;
		case START_NOT:
			give_back(qm, r, no);
			message_stop(qm, r->m);
			break;
		case START_PAUSE:
			give_back(qm, r, no);
			lane->paused = true;
			loop_timer_in(lane->pause, PAUSE_MS);
			break;
		}
	}
	if (any)
		chan_link_flush(lane->link);
}

/* Nobody is there: what waits for this lane waits without being in memory. */
static void
shelve(struct qmgr *qm, struct lane *lane, enum lane_no no)
{
	struct rcpts all;
	struct message *m;
	struct flow *f;
	struct rcpt *r;

	for (int turn = 0; turn < TURN_COUNT; turn++)
		while ((f = TAILQ_FIRST(&lane->ring[turn])) != NULL) {
			m = TAILQ_FIRST(&f->queue[no]);
			r = TAILQ_FIRST(&m->ready[no]);
			TAILQ_REMOVE(&m->ready[no], r, list);
			if (TAILQ_EMPTY(&m->ready[no]))
				ring_leave(lane, no, m);
			collect(r, &all);
			while ((r = TAILQ_FIRST(&all)) != NULL) {
				TAILQ_REMOVE(&all, r, list);
				outcome_shelve(qm, r, no);
			}
		}
}

void
lane_pump(struct qmgr *qm)
{
	struct lane *lane;

	if (qm->stopping)
		return;
	for (unsigned no = 0; no < LANE_COUNT; no++) {
		lane = &qm->lanes[no];
		if (lane->shelving)
			shelve(qm, lane, (enum lane_no)no);
		else
			pump_one(qm, lane, (enum lane_no)no);
	}
}

/* ---- up and down ---- */

void
lane_up(struct qmgr *qm, struct lane *lane, uint32_t capacity)
{
	(void)qm; /* its shelf is taken from in the next round */
	lane->up = true;
	lane->shelving = false;
	lane->capacity = capacity > 0 ? capacity : 1;
	loop_timer_stop(lane->patience);
}

/* The daemon is gone while it had r. */
static void
lost(struct qmgr *qm, struct lane *lane, struct rcpt *r)
{
	struct message *m = r->m;
	struct status st;

	if (m->stopped) {
		/* It is wanted elsewhere, or its file is gone. */
		message_drop_rcpt(qm, r);
		message_progress(qm, m);
		return;
	}
	if (r->lane == LANE_RESOLVE || ++r->losses < LOSSES_MAX) {
		route_rcpt(qm, r);
		return;
	}
	/* It may be this very message that kills it. */
	status_set(&st, 451, 3, 0, "%s went away during the delivery",
	    lane->name);
	if (r->report != NULL)
		report_ended(qm, r, &st, SLICE_EMPTY);
	else
		outcome_set(qm, r, &st, SLICE_EMPTY);
}

void
lane_down(struct qmgr *qm, struct lane *lane)
{
	struct rcpts all;
	struct rcpt *r;

	lane->up = false;
	loop_timer_in(lane->patience, qm->patience_ms);
	for (uint32_t i = 0; i < lane->njobs; i++) {
		if (lane->jobs[i].r == NULL)
			continue;
		lane_release(qm, lane->jobs[i].r, &all);
		while ((r = TAILQ_FIRST(&all)) != NULL) {
			TAILQ_REMOVE(&all, r, list);
			lost(qm, lane, r);
		}
	}
}

void
lane_end(struct qmgr *qm, struct lane *lane)
{
	struct rcpts all;
	struct rcpt *r;

	lane->up = false;
	for (uint32_t i = 0; i < lane->njobs; i++) {
		if (lane->jobs[i].r == NULL)
			continue;
		lane_release(qm, lane->jobs[i].r, &all);
		while ((r = TAILQ_FIRST(&all)) != NULL) {
			TAILQ_REMOVE(&all, r, list);
			message_drop_rcpt(qm, r);
		}
	}
	free(lane->jobs);
	lane->jobs = NULL;
	lane->njobs = lane->jobs_cap = 0;
}

static void
patience_over(void *arg)
{
	struct lane *lane = arg;

	if (lane->up)
		return;
	LOG_WARN("waiting-for", LS("daemon", lane->name));
	lane->shelving = true;
}

static void
pause_over(void *arg)
{
	struct lane *lane = arg;

	lane->paused = false;
}

void
lane_limits(struct qmgr *qm)
{
	struct lane *local = &qm->lanes[LANE_LOCAL];
	struct lane *spawner = &qm->lanes[LANE_SPAWNER];

	qm->lanes[LANE_RESOLVE].limit = RESOLVES_MAX;
	/* What the other side says it can. */
	qm->lanes[LANE_REMOTE].limit = UINT32_MAX;
	qm->lanes[LANE_REPORT].limit = UINT32_MAX;
	local->limit = (uint32_t)qm->conf.local_concurrency;
	local->dest_limit = (uint32_t)qm->conf.mailbox_concurrency;
	spawner->limit = (uint32_t)qm->conf.pipe_processes_max;
	spawner->dest_limit = (uint32_t)qm->conf.mailbox_concurrency;
}

void
lane_init(struct qmgr *qm)
{
	static const char *const names[LANE_COUNT] = {"authd", "local",
	    "spawner", "remote", "bounce"};
	struct lane *lane;

	if (qm->patience_ms == 0)
		qm->patience_ms = PATIENCE_MS;
	for (unsigned no = 0; no < LANE_COUNT; no++) {
		lane = &qm->lanes[no];
		lane->name = names[no];
		lane->free_job = NO_JOB;
		lane->shelf = wait_line_new(qm->wait, NULL);
		for (int turn = 0; turn < TURN_COUNT; turn++)
			TAILQ_INIT(&lane->ring[turn]);
		lane->pause = loop_timer_new(qm->loop, pause_over, lane);
		lane->patience = loop_timer_new(qm->loop, patience_over,
		    lane);
		loop_timer_in(lane->patience, qm->patience_ms);
	}
	lane_limits(qm);
}
