/*
 * Destinations: who goes there, who waits for whom, which are down.  Runs in
 * qmgr; the names are domains of recipients (any octets that are a domain),
 * texts of the table routes and mailboxes.
 *
 * What was learnt of a host outlasts the last recipient that went there; the
 * memory for that is bounded: the destination that was used longest ago is
 * forgotten first, and the messages in its line then wait on their own.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/io/loop.h"
#include "common/mail/domain.h"
#include "qmgr/counters.h"
#include "qmgr/flow.h"
#include "qmgr/paused.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define DESTS 4096      /* buckets */
#define IDLE_MAX 20000  /* remembered though nobody goes there */
#define MESSAGES_MAX 500 /* in memory for one destination */
#define MESSAGES_LOW 250 /* below it its line moves up */

static struct adapt_conf
conf_of(const struct dest *d)
{
	const struct qmgr *qm = d->qm;
	uint32_t most = d->most > 0 ? d->most :
	    (uint32_t)qm->conf.dest_concurrency;

	return (struct adapt_conf){
	    .first = (uint32_t)qm->conf.dest_concurrency_first,
	    .most = most,
	    .probe_first_ms = qm->retry.first_ms,
	    .probe_max_ms = qm->retry.max_ms};
}

/* ---- the table ---- */

static size_t
bucket_of(enum lane_no no, struct slice key)
{
	uint64_t h = (uint64_t)no ^ UINT64_C(14695981039346656037);

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ (uint64_t)tolower((unsigned char)key.p[i])) *
		    UINT64_C(1099511628211);
	return (size_t)(h >> 32) % DESTS;
}

/* Domains are in lower case, paths of sockets are not: as they are. */
static bool
has_key(const struct dest *d, enum lane_no no, struct slice key)
{
	struct slice own = slice_mem(d->key, d->len);

	return d->no == no && (no == LANE_REMOTE ? slice_eq(own, key) :
	    slice_ieq(own, key));
}

struct dest *
dest_find(struct qmgr *qm, enum lane_no no, struct slice key)
{
	struct dest *d;

	LIST_FOREACH(d, &qm->dests[bucket_of(no, key)], hash)
		if (has_key(d, no, key))
			return d;
	return NULL;
}

struct dest *
dest_next(struct qmgr *qm, const struct dest *d)
{
	size_t at = 0;
	struct dest *next;

	if (d != NULL) {
		next = LIST_NEXT(d, hash);
		if (next != NULL)
			return next;
		at = bucket_of(d->no, slice_mem(d->key, d->len)) + 1;
	}
	for (; at < DESTS; at++)
		if ((next = LIST_FIRST(&qm->dests[at])) != NULL)
			return next;
	return NULL;
}

static void
leave_idle(struct dest *d)
{
	TAILQ_REMOVE(&d->qm->idle, d, idle);
	d->qm->nidle--;
	d->on_idle = false;
}

/* One that is on no list but that of lines that may move. */
static void
dest_free(struct dest *d)
{
	assert(d->users == 0 && d->slots == 0 && d->units == 0 &&
	    TAILQ_EMPTY(&d->parked) && TAILQ_EMPTY(&d->gathering));
	if (d->on_feed)
		TAILQ_REMOVE(&d->qm->feeding, d, feed);
	if (d->line != 0)
		wait_line_free(d->qm->wait, d->line, dest_next_ms(d) != 0 ?
		    dest_next_ms(d) : clock_real_ms());
	LIST_REMOVE(d, hash);
	loop_timer_free(&d->probe);
	free(d->error);
	free(d->pause);
	free(d->route);
	free(d->domain);
	free(d->others);
	free(d);
}

/* Is there anything about it that a new one would not know? */
static bool
worth_keeping(const struct dest *d)
{
	return dest_waiting(d) > 0 || d->adapt.down || d->error != NULL ||
	    d->adapt.well;
}

static void
retire(struct dest *d)
{
	struct qmgr *qm = d->qm;
	struct dest *oldest;

	if (!worth_keeping(d)) {
		dest_free(d);
		return;
	}
	d->on_idle = true;
	TAILQ_INSERT_TAIL(&qm->idle, d, idle);
	if (++qm->nidle > IDLE_MAX) {
		oldest = TAILQ_FIRST(&qm->idle);
		leave_idle(oldest);
		dest_free(oldest);
	}
}

struct dest *
dest_get(struct qmgr *qm, enum lane_no no, struct slice key)
{
	struct dest *d = dest_find(qm, no, key);
	struct adapt_conf c;

	if (d == NULL) {
		d = mem_alloc(sizeof(*d) + key.len + 1);
		d->qm = qm;
		d->no = no;
		d->len = key.len;
		memcpy(d->key, key.p, key.len);
		TAILQ_INIT(&d->parked);
		TAILQ_INIT(&d->gathering);
		c = conf_of(d);
		adapt_init(&d->adapt, &c);
		d->pause = paused_reason(qm, no, key);
		LIST_INSERT_HEAD(&qm->dests[bucket_of(no, key)], d, hash);
	}
	dest_hold(d);
	return d;
}

void
dest_hold(struct dest *d)
{
	if (d->on_idle)
		leave_idle(d);
	d->users++;
}

void
dest_drop(struct dest *d)
{
	assert(d->users > 0);
	if (--d->users == 0)
		retire(d);
}

/* ---- who goes there ---- */

void
dest_join(struct dest *d, struct rcpt *r)
{
	r->dest = d;
	if (r->leader != NULL)
		return;
	d->units++;
	/* A message with many jobs comes with all of them: it counts once, so
	 * that it does not keep others out. */
	r->counted = d->last != r->m;
	d->last = r->m;
	d->messages += r->counted;
	if (r->m->fed == d && !r->m->came) {
		r->m->came = true;
		dest_fed(d);
	}
}

uint32_t
dest_limit(const struct dest *d)
{
	uint32_t most;

	if (d->no != LANE_REMOTE)
		return d->qm->lanes[d->no].dest_limit;
	most = conf_of(d).most;
	return d->adapt.limit < most ? d->adapt.limit : most;
}

bool
dest_is_down(const struct dest *d)
{
	return d->adapt.down;
}

bool
dest_is_shut(const struct dest *d)
{
	return d->adapt.down || d->pause != NULL;
}

bool
dest_is_full(const struct dest *d)
{
	return d->messages >= MESSAGES_MAX;
}

/* Somebody in its line may come, parked or wanted before his time. */
static bool
anybody(const struct dest *d)
{
	return wait_line_count(d->qm->wait, d->line, true) > 0 ||
	    (d->rush > 0 && wait_line_count(d->qm->wait, d->line, false) > 0);
}

static bool
take_first(struct dest *d, struct wait_info *out)
{
	if (wait_line_take(d->qm->wait, d->line, true, out))
		return true;
	if (d->rush == 0)
		return false;
	d->rush--;
	return wait_line_take(d->qm->wait, d->line, false, out);
}

/* Its line moves up if it should. */
void
dest_look(struct dest *d)
{
	uint32_t here = d->messages + d->nfed;
	bool wanted;

	if (d->on_feed || d->line == 0 || d->pause != NULL ||
	    !anybody(d))
		return;
	if (d->adapt.down)
		wanted = d->units + d->nfed == 0 && clock_mono_ms() >= d->adapt.next_ms;
	else
		/* New ones must not keep those out that wait: they share. */
		wanted = here < MESSAGES_LOW ||
		    (d->gone >= 2 && here < MESSAGES_MAX + MESSAGES_LOW);
	if (!wanted)
		return;
	d->on_feed = true;
	TAILQ_INSERT_TAIL(&d->qm->feeding, d, feed);
}

/* Free slots go to those who wait for one. */
static void
admit(struct dest *d)
{
	struct rcpt *next;

	while (!dest_is_shut(d) && d->slots < dest_limit(d) &&
	    (next = TAILQ_FIRST(&d->parked)) != NULL) {
		TAILQ_REMOVE(&d->parked, next, list);
		next->m->flow->nparked--;
		d->tag = next->tag;
		next->slot = true;
		d->slots++;
		lane_add(d->qm, next, next->lane, true);
	}
}

void
dest_leave(struct rcpt *r)
{
	struct dest *d = r->dest;

	r->dest = NULL;
	if (r->phase == PHASE_PARKED) {
		TAILQ_REMOVE(&d->parked, r, list);
		r->m->flow->nparked--;
	}
	if (r->leader == NULL) {
		d->units--;
		d->messages -= r->counted;
		r->counted = false;
		d->gone++;
		d->slots -= r->slot;
		r->slot = false;
		admit(d);
		dest_look(d);
	}
	dest_drop(d);
}

/* By its tag: each further one of a sender stands one place further back, and
 * nobody who came later than those that are there now stands before them for
 * ever. */
static void
park(struct dest *d, struct rcpt *r)
{
	struct rcpt *before = TAILQ_LAST(&d->parked, rcpts);

	r->tag = d->tag + r->m->flow->nparked++;
	r->phase = PHASE_PARKED;
	while (before != NULL && before->tag > r->tag)
		before = TAILQ_PREV(before, rcpts, list);
	if (before == NULL)
		TAILQ_INSERT_HEAD(&d->parked, r, list);
	else
		TAILQ_INSERT_AFTER(&d->parked, before, r, list);
}

/* Fresh mail may find out earlier whether it is still down. */
static bool
may_probe(const struct dest *d, const struct rcpt *r)
{
	int64_t now_ms = clock_mono_ms();

	return d->slots == 0 && (now_ms >= d->adapt.next_ms || r->m->forced ||
	    (r->attempts == 0 && now_ms - d->adapt.tried_ms >=
	    d->qm->retry.first_ms));
}

enum dest_answer
dest_ask(struct dest *d, struct rcpt *r)
{
	if (r->slot && !dest_is_shut(d))
		return DEST_GO;
	if (r->slot) {
		r->slot = false;
		d->slots--;
	}
	if (d->pause != NULL || (d->adapt.down && !may_probe(d, r)))
		return DEST_SHUT;
	if (d->slots >= dest_limit(d)) {
		park(d, r);
		return DEST_LATER;
	}
	d->slots++;
	r->slot = true;
	return DEST_GO;
}

/* ---- what is heard ---- */

static void
keep_error(struct dest *d, const struct status *st,
    const struct outcome_from *from)
{
	struct dest_error *e = mem_alloc(sizeof(*e) + from->host.len + 1);

	e->status = *st;
	e->at_ms = clock_real_ms();
	e->remote = from->remote;
	if (from->host.len > 0)
		memcpy(e->host, from->host.p, from->host.len);
	free(d->error);
	d->error = e;
}

/* Those that wait in memory try their turn, and will be told. */
static void
unpark_all(struct dest *d)
{
	struct rcpt *r;

	while ((r = TAILQ_FIRST(&d->parked)) != NULL) {
		TAILQ_REMOVE(&d->parked, r, list);
		r->m->flow->nparked--;
		lane_add(d->qm, r, r->lane, false);
	}
}

static void
on_probe(void *arg)
{
	dest_look(arg);
}

static void
went_down(struct dest *d, bool first)
{
	char next[CLOCK_DATE_SIZE];

	clock_rfc3339(dest_next_ms(d), next);
	if (first)
		stats_add(COUNT_DOWN, 1);
	LOG_INFO(first ? "destination-down" : "destination-still-down",
	    LB("dest", slice_mem(d->key, d->len)),
	    LU("waiting", dest_waiting(d)), LS("next", next),
	    LS("host", d->error->host), LS("why", d->error->status.text));
	if (d->probe == NULL)
		d->probe = loop_timer_new(d->qm->loop, on_probe, d);
	loop_timer_set(d->probe, d->adapt.next_ms);
	unpark_all(d);
}

void
dest_result(struct dest *d, enum transfer_dest what, int64_t started_ms,
    const struct status *status, const struct outcome_from *from)
{
	struct adapt_conf c = conf_of(d);
	bool was_down = d->adapt.down;

	if (what == TRANSFER_DEST_DOWN || what == TRANSFER_DEST_BUSY)
		keep_error(d, status, from);
	switch (adapt_result(&d->adapt, &c, what, started_ms, clock_mono_ms(),
	    random_below(UINT32_MAX))) {
	case ADAPT_SAME:
		break;
	case ADAPT_DOWN:
		went_down(d, !was_down);
		break;
	case ADAPT_UP:
		LOG_INFO("destination-up",
		    LB("dest", slice_mem(d->key, d->len)),
		    LU("waiting", dest_waiting(d)));
		loop_timer_free(&d->probe);
		break;
	}
	admit(d);
	dest_look(d);
}

int64_t
dest_next_ms(const struct dest *d)
{
	int64_t left_ms;

	if (!d->adapt.down)
		return 0;
	left_ms = d->adapt.next_ms - clock_mono_ms();
	return clock_real_ms() + (left_ms > 0 ? left_ms : 0);
}

/* ---- its line ---- */

uint32_t
dest_line(struct dest *d)
{
	if (d->line == 0)
		d->line = wait_line_new(d->qm->wait, d);
	return d->line;
}

size_t
dest_waiting(const struct dest *d)
{
	return d->line == 0 ? 0 :
	    wait_line_count(d->qm->wait, d->line, true) +
	    wait_line_count(d->qm->wait, d->line, false);
}

bool
dest_wants_feed(const struct qmgr *qm)
{
	return !TAILQ_EMPTY(&qm->feeding);
}

struct dest *
dest_feed(struct qmgr *qm, struct wait_info *out)
{
	struct dest *d;

	while ((d = TAILQ_FIRST(&qm->feeding)) != NULL) {
		TAILQ_REMOVE(&qm->feeding, d, feed);
		d->on_feed = false;
		if (dest_is_shut(d) && (d->pause != NULL ||
		    d->units + d->nfed > 0))
			continue;
		if (!take_first(d, out))
			continue;
		d->nfed++;
		d->gone = 0;
		dest_hold(d);
		dest_look(d);
		return d;
	}
	return NULL;
}

void
dest_fed(struct dest *d)
{
	d->nfed--;
	dest_look(d);
}

/* ---- an admin's wishes ---- */

void
dest_pause(struct dest *d, const char *reason)
{
	free(d->pause);
	d->pause = reason != NULL ? mem_dup(reason) : NULL;
	if (reason != NULL)
		unpark_all(d);
	else
		dest_retry(d);
}

void
dest_retry(struct dest *d)
{
	/* While it is down the first one that comes finds out. */
	d->adapt.next_ms = clock_mono_ms();
	if (d->line != 0)
		d->rush = wait_line_count(d->qm->wait, d->line, false);
	dest_look(d);
}

/* ---- all of them ---- */

size_t
dest_buckets(void)
{
	return DESTS;
}

void
dest_init(struct qmgr *qm)
{
	qm->dests = mem_array(DESTS, sizeof(*qm->dests));
	TAILQ_INIT(&qm->feeding);
	TAILQ_INIT(&qm->idle);
}

void
dest_free_all(struct qmgr *qm)
{
	struct dest *d, *next;

	for (d = TAILQ_FIRST(&qm->idle); d != NULL; d = next) {
		next = TAILQ_NEXT(d, idle);
		leave_idle(d);
		dest_free(d);
	}
	free(qm->dests);
}
