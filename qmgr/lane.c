/*
 * Turns: who goes next to authd, local or the spawner.  Runs in qmgr; no input
 * of its own.
 *
 * Each lane has a ring of messages with recipients that are ready for it, one
 * ring for fresh mail and one for retries.  One recipient is taken from the
 * message at the front, which then goes to the end: a message with 100,000
 * recipients and one with a single recipient get every second job.  A recipient
 * whose mailbox has jobs enough is parked there and keeps nobody waiting.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define NO_JOB UINT32_MAX
#define DESTS 1024        /* buckets of destinations with jobs */
#define RESOLVES_MAX 256  /* questions at once */
#define RETRY_EVERY 8     /* each so many picks is a retry's first */
#define PATIENCE_MS 5000  /* a daemon that restarts is back by then */
#define PAUSE_MS 100
#define LOSSES_MAX 3

/* Somewhere jobs go to at the same time: a mailbox, a user's programs. */
struct dest {
	LIST_ENTRY(dest) hash;
	const struct lane *lane;
	struct rcpts parked;
	uint32_t slots; /* taken or kept */
	uint32_t users; /* recipients that point here */
	size_t len;
	char key[];
};

/* ---- destinations ---- */

static size_t
dest_hash(const struct lane *lane, struct slice key)
{
	uint64_t h = (uint64_t)(uintptr_t)lane ^ UINT64_C(14695981039346656037);

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ (uint64_t)tolower((unsigned char)key.p[i])) *
		    UINT64_C(1099511628211);
	return (size_t)(h >> 32) % DESTS;
}

static struct dest *
dest_find(struct qmgr *qm, const struct lane *lane, size_t bucket,
    struct slice key)
{
	struct dest *d;

	LIST_FOREACH(d, &qm->dests[bucket], hash)
		if (d->lane == lane &&
		    slice_ieq((struct slice){d->key, d->len}, key))
			return d;
	return NULL;
}

static void
dest_join(struct qmgr *qm, struct lane *lane, struct rcpt *r)
{
	struct slice key = r->place->address;
	size_t bucket = dest_hash(lane, key);
	struct dest *d = dest_find(qm, lane, bucket, key);

	if (d == NULL) {
		d = mem_alloc(sizeof(*d) + key.len + 1);
		d->lane = lane;
		d->len = key.len;
		memcpy(d->key, key.p, key.len);
		TAILQ_INIT(&d->parked);
		LIST_INSERT_HEAD(&qm->dests[bucket], d, hash);
	}
	d->users++;
	r->dest = d;
}

static void
dest_leave(struct rcpt *r)
{
	struct dest *d = r->dest;

	r->dest = NULL;
	assert(d->users > 0);
	if (--d->users > 0)
		return;
	assert(d->slots == 0 && TAILQ_EMPTY(&d->parked));
	LIST_REMOVE(d, hash);
	free(d);
}

/* r's slot goes to whoever waits for one. */
static void
slot_pass(struct qmgr *qm, struct rcpt *r)
{
	struct dest *d = r->dest;
	struct rcpt *next;

	if (!r->slot)
		return;
	r->slot = false;
	next = TAILQ_FIRST(&d->parked);
	if (next == NULL) {
		d->slots--;
		return;
	}
	TAILQ_REMOVE(&d->parked, next, list);
	next->slot = true;
	lane_add(qm, next, next->lane, true);
}

/* ---- jobs ---- */

static uint64_t
job_new(struct lane *lane, struct rcpt *r)
{
	struct job job = {NULL, 0, NO_JOB};
	uint32_t n = lane->free_job;

	if (n == NO_JOB) {
		n = lane->njobs;
		MEM_PUSH(lane->jobs, lane->njobs, lane->jobs_cap, job);
	}
	lane->free_job = lane->jobs[n].next;
	lane->jobs[n].r = r;
	lane->jobs[n].serial++;
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
	if (r->dest != NULL && !r->slot) {
		r->dest->slots++;
		r->slot = true;
	}
	r->phase = PHASE_RUNNING;
	r->job = job_new(lane, r);
	lane->running[r->m->turn]++;
	if (lane != &qm->lanes[LANE_RESOLVE])
		r->m->nrunning++;
}

void
lane_release(struct qmgr *qm, struct rcpt *r)
{
	struct lane *lane = &qm->lanes[r->lane];

	assert(r->phase == PHASE_RUNNING);
	job_free(lane, r->job);
	lane->running[r->m->turn]--;
	if (r->lane != LANE_RESOLVE)
		r->m->nrunning--;
	r->phase = PHASE_READY;
	if (r->dest != NULL) {
		slot_pass(qm, r);
		dest_leave(r);
	}
}

uint32_t
lane_running(const struct lane *lane)
{
	return lane->running[TURN_FRESH] + lane->running[TURN_RETRY];
}

/* ---- turns ---- */

static void
ring_leave(struct lane *lane, enum lane_no no, struct message *m)
{
	if (m->on_ring[no])
		TAILQ_REMOVE(&lane->ring[m->turn], m, ring[no]);
	m->on_ring[no] = false;
}

static void
ring_join(struct lane *lane, enum lane_no no, struct message *m)
{
	if (!m->on_ring[no])
		TAILQ_INSERT_TAIL(&lane->ring[m->turn], m, ring[no]);
	m->on_ring[no] = true;
}

void
lane_add(struct qmgr *qm, struct rcpt *r, enum lane_no no, bool back)
{
	struct lane *lane = &qm->lanes[no];
	struct message *m = r->m;

	r->phase = PHASE_READY;
	r->lane = (uint8_t)no;
	if (lane->dest_limit > 0 && r->dest == NULL)
		dest_join(qm, lane, r);
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

	if (r->phase == PHASE_PARKED) {
		TAILQ_REMOVE(&r->dest->parked, r, list);
	} else {
		assert(r->phase == PHASE_READY);
		TAILQ_REMOVE(&m->ready[r->lane], r, list);
		if (TAILQ_EMPTY(&m->ready[r->lane]))
			ring_leave(&qm->lanes[r->lane], r->lane, m);
	}
	r->phase = PHASE_READY;
	if (r->dest != NULL) {
		slot_pass(qm, r);
		dest_leave(r);
	}
}

/* The next of one ring, off its lists; NULL: none that may start. */
static struct rcpt *
pick_from(struct lane *lane, enum lane_no no, enum turn turn)
{
	struct message *m;
	struct rcpt *r;

	while ((m = TAILQ_FIRST(&lane->ring[turn])) != NULL) {
		r = TAILQ_FIRST(&m->ready[no]);
		TAILQ_REMOVE(&m->ready[no], r, list);
		ring_leave(lane, no, m);
		if (!TAILQ_EMPTY(&m->ready[no]))
			ring_join(lane, no, m);
		if (r->dest == NULL || r->slot ||
		    r->dest->slots < lane->dest_limit)
			return r;
		r->phase = PHASE_PARKED;
		TAILQ_INSERT_TAIL(&r->dest->parked, r, list);
	}
	return NULL;
}

static struct rcpt *
pick(struct lane *lane, enum lane_no no, uint32_t most)
{
	/* A quarter is never taken by retries, which may all be slow. */
	bool retry_ok = lane->running[TURN_RETRY] < (most > 1 ?
	    most - (most + 3) / 4 : 1);
	bool retry_first = lane->picks++ % RETRY_EVERY == RETRY_EVERY - 1;
	struct rcpt *r = NULL;

	if (retry_ok && retry_first)
		r = pick_from(lane, no, TURN_RETRY);
	if (r == NULL)
		r = pick_from(lane, no, TURN_FRESH);
	if (r == NULL && retry_ok && !retry_first)
		r = pick_from(lane, no, TURN_RETRY);
	return r;
}

static void
pump_one(struct qmgr *qm, struct lane *lane, enum lane_no no)
{
	uint32_t most = lane->capacity < lane->limit ? lane->capacity :
	    lane->limit;
	bool any = false;
	struct rcpt *r;

	while (lane->up && !lane->paused && lane_running(lane) < most &&
	    (r = pick(lane, no, most)) != NULL) {
		job_take(qm, lane, r);
		switch (lane->start(qm, r, r->job)) {
		case START_OK:
			any = true;
			break;
		case START_NOT:
			lane_release(qm, r);
			lane_add(qm, r, no, true);
			message_stop(qm, r->m);
			break;
		case START_PAUSE:
			lane_release(qm, r);
			lane_add(qm, r, no, true);
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
	struct message *m;
	struct rcpt *r;

	for (int turn = 0; turn < TURN_COUNT; turn++)
		while ((m = TAILQ_FIRST(&lane->ring[turn])) != NULL) {
			r = TAILQ_FIRST(&m->ready[no]);
			lane_remove(qm, r);
			outcome_shelve(qm, r);
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
	lane->up = true;
	lane->shelving = false;
	lane->capacity = capacity > 0 ? capacity : 1;
	loop_timer_stop(lane->patience);
	wait_unshelve(qm->wait, clock_real_ms());
}

void
lane_down(struct qmgr *qm, struct lane *lane)
{
	struct status st;
	struct rcpt *r;

	lane->up = false;
	loop_timer_in(lane->patience, qm->patience_ms);
	for (uint32_t i = 0; i < lane->njobs; i++) {
		r = lane->jobs[i].r;
		if (r == NULL)
			continue;
		lane_release(qm, r);
		if (r->m->stopped) {
			/* It is wanted elsewhere, or its file is gone. */
			struct message *m = r->m;

			message_drop_rcpt(qm, r);
			message_progress(qm, m);
			continue;
		}
		if (r->lane == LANE_RESOLVE || ++r->losses < LOSSES_MAX) {
			route_rcpt(qm, r);
			continue;
		}
		/* It may be this very message that kills it. */
		status_set(&st, 451, 3, 0, "%s went away during the delivery",
		    lane->name);
		outcome_set(qm, r, &st, SLICE_EMPTY);
	}
}


void
lane_end(struct qmgr *qm, struct lane *lane)
{
	struct rcpt *r;

	lane->up = false;
	for (uint32_t i = 0; i < lane->njobs; i++) {
		r = lane->jobs[i].r;
		if (r == NULL)
			continue;
		lane_release(qm, r);
		message_drop_rcpt(qm, r);
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
	local->limit = (uint32_t)qm->conf.local_concurrency;
	local->dest_limit = (uint32_t)qm->conf.mailbox_concurrency;
	spawner->limit = (uint32_t)qm->conf.pipe_processes_max;
	spawner->dest_limit = (uint32_t)qm->conf.mailbox_concurrency;
}

void
lane_init(struct qmgr *qm)
{
	static const char *const names[LANE_COUNT] = {"authd", "local",
	    "spawner"};
	struct lane *lane;

	if (qm->patience_ms == 0)
		qm->patience_ms = PATIENCE_MS;
	qm->dests = mem_array(DESTS, sizeof(*qm->dests));
	for (unsigned no = 0; no < LANE_COUNT; no++) {
		lane = &qm->lanes[no];
		lane->name = names[no];
		lane->free_job = NO_JOB;
		for (int turn = 0; turn < TURN_COUNT; turn++)
			TAILQ_INIT(&lane->ring[turn]);
		lane->pause = loop_timer_new(qm->loop, pause_over, lane);
		lane->patience = loop_timer_new(qm->loop, patience_over,
		    lane);
		loop_timer_in(lane->patience, qm->patience_ms);
	}
	lane_limits(qm);
}
