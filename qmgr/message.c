/*
 * The active messages and their recipients in memory.  Runs in qmgr.  Envelopes
 * come from queued's notices and from queue files: addresses are any octets
 * within their limits.
 *
 * No function here frees a message but message_free, which settle.c calls
 * between the handlers: whoever holds a message within a handler may keep it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/mail/envelope.h"
#include "common/proto/notice.h"
#include "qmgr/dest.h"
#include "qmgr/flow.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define LOCKED_MS 1000   /* queued still writes it: it will tell us */
#define BIG_MS 1000      /* a big one waits until others are done */
#define BIG_RCPTS 1000
#define BIG_TOGETHER 400000
#define SLACK_MAX_MS 10000 /* who is due that soon goes along */

static struct bucket *
bucket_of(struct qmgr *qm, const struct mail_id *id)
{
	uint64_t h = 0;

	for (int i = 0; i < ID_LEN; i++)
		h = h * 33 + (unsigned char)id->s[i];
	return &qm->buckets[(h * UINT64_C(0x9e3779b97f4a7c15) >> 32) %
	    qm->nbuckets];
}

struct message *
message_find(struct qmgr *qm, const struct mail_id *id)
{
	struct message *m;

	LIST_FOREACH(m, bucket_of(qm, id), hash)
		if (memcmp(m->id.s, id->s, ID_LEN) == 0)
			return m;
	return NULL;
}

static void
set_from(struct message *m, struct slice from)
{
	free(m->from);
	m->from = slice_dup(from);
	m->from_len = from.len;
}

static struct message *
message_new(struct qmgr *qm, const struct mail_id *id, enum qdir dir)
{
	struct message *m = mem_alloc(sizeof(*m));

	m->id = *id;
	m->dir = dir;
	m->turn = dir == QDIR_INCOMING ? TURN_NORMAL : TURN_RETRY;
	m->next_ms = WAIT_NEVER;
	set_from(m, SLICE_EMPTY);
	TAILQ_INIT(&m->rcpts);
	TAILQ_INIT(&m->ended);
	for (int i = 0; i < LANE_COUNT; i++)
		TAILQ_INIT(&m->ready[i]);
	LIST_INSERT_HEAD(bucket_of(qm, id), m, hash);
	qm->nactive[m->turn]++;
	return m;
}

void
message_classify(struct qmgr *qm, struct message *m)
{
	flow_leave(m);
	qm->nactive[m->turn]--;
	if (m->dir != QDIR_INCOMING)
		m->turn = TURN_RETRY;
	else if (m->from_len == 0)
		m->turn = TURN_BOUNCE;
	else if (m->nfile > qm->conf.bulk_recipients)
		m->turn = TURN_BULK;
	else
		m->turn = TURN_NORMAL;
	qm->nactive[m->turn]++;
	flow_join(qm, m);
}

static void
let_go(struct message *m)
{
	if (m->fed != NULL) {
		if (!m->came)
			dest_fed(m->fed);
		dest_drop(m->fed);
	}
	if (m->park != NULL)
		dest_drop(m->park);
	if (m->line != NULL)
		dest_drop(m->line);
	if (m->only != NULL)
		dest_drop(m->only);
	m->fed = m->park = m->line = m->only = NULL;
}

void
message_free(struct qmgr *qm, struct message *m)
{
	struct rcpt *r, *next;

	assert(m->nrunning == 0);
	message_stop(qm, m);
	for (r = TAILQ_FIRST(&m->rcpts); r != NULL; r = next) {
		next = TAILQ_NEXT(r, all);
		message_drop_rcpt(qm, r);
	}
	file_close(qm, m);
	if (m->on_record)
		TAILQ_REMOVE(&qm->record, m, soon);
	settle_remove(qm, m);
	let_go(m);
	flow_leave(m);
	LIST_REMOVE(m, hash);
	qm->nactive[m->turn]--;
	qm->big_rcpts -= m->big;
	free(m->from);
	free(m->envid);
	free(m->told_rows);
	free(m->reason);
	free(m);
}

/* ---- recipients ---- */

static struct slice
keep(char **at, struct slice s)
{
	struct slice kept = {*at, s.len};

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return kept;
}

static struct rcpt *
rcpt_new(struct qmgr *qm, struct message *m, const struct qrcpt *row)
{
	struct rcpt *r = mem_alloc(sizeof(*r) + row->address.len +
	    row->orcpt.len + row->target.len + row->sender.len + 1);
	char *at = r->room;

	r->m = m;
	r->number = row->number;
	r->parent = row->parent;
	r->kind = row->kind;
	r->notify = row->notify;
	r->attempts = row->attempts;
	r->next_ms = row->next_ms;
	r->has_sender = row->has_sender;
	r->address = keep(&at, row->address);
	r->orcpt = keep(&at, row->orcpt);
	r->target = keep(&at, row->target);
	r->sender = keep(&at, row->sender);
	TAILQ_INIT(&r->led);
	TAILQ_INSERT_TAIL(&m->rcpts, r, all);
	m->nlive++;
	qm->nrcpts++;
	return r;
}

struct rcpt *
message_add_report(struct qmgr *qm, struct message *m, struct report *report)
{
	const struct qrcpt row = {.address = SLICE_EMPTY,
	    .orcpt = SLICE_EMPTY,
	    .target = SLICE_EMPTY,
	    .sender = SLICE_EMPTY};
	struct rcpt *r = rcpt_new(qm, m, &row);

	r->report = report;
	return r;
}

void
message_park(struct message *m, struct dest *d)
{
	if (m->park == d || (m->park != NULL && (dest_is_shut(d) ||
	    !dest_is_shut(m->park))))
		return;
	if (m->park != NULL)
		dest_drop(m->park);
	dest_hold(d);
	m->park = d;
}

void
message_seen(struct message *m, struct dest *d)
{
	if (m->scattered || (d != NULL && m->only == d))
		return;
	if (d == NULL || m->only != NULL) {
		m->scattered = true;
		return;
	}
	m->only = d;
	dest_hold(d);
}

void
rcpt_add_place(struct qmgr *qm, struct rcpt *r, struct place *p)
{
	MEM_PUSH(r->places, r->nplaces, r->places_cap, p);
	qm->nplaces++;
}

void
rcpt_clear_places(struct qmgr *qm, struct rcpt *r)
{
	qm->nplaces -= r->nplaces;
	for (uint32_t i = 0; i < r->nplaces; i++)
		free(r->places[i]);
	free(r->places);
	r->places = NULL;
	r->nplaces = r->places_cap = 0;
}

void
message_drop_rcpt(struct qmgr *qm, struct rcpt *r)
{
	struct message *m = r->m;

	assert(r->phase != PHASE_RUNNING && r->dest == NULL);
	qm->nrcpts--;
	if (r->resolving) {
		m->nresolving--;
		qm->nresolving--;
	}
	if (r->phase == PHASE_ENDED)
		TAILQ_REMOVE(&m->ended, r, list);
	else
		m->nlive--;
	TAILQ_REMOVE(&m->rcpts, r, all);
	rcpt_clear_places(qm, r);
	free(r->place);
	free(r->outcome);
	report_free(&r->report);
	free(r);
	message_resolved(qm, m);
}

/* ---- progress ---- */

/* How many of its recipients are in memory. */
static uint32_t
window(const struct qmgr *qm)
{
	return qm->nrcpts < RCPTS_TOGETHER ? RCPTS_AT_ONCE : RCPTS_CROWDED;
}

/* Until when those are due that are taken now. */
static int64_t
due_ms(const struct qmgr *qm)
{
	int64_t slack_ms = qm->retry.first_ms / 8;

	return clock_real_ms() +
	    (slack_ms < SLACK_MAX_MS ? slack_ms : SLACK_MAX_MS);
}

/* It waits for its time.  A message that was let in by a destination takes
 * those along that wait for it, and a look at all takes everybody. */
static bool
not_due(struct message *m, const struct qrcpt *row, int64_t until_ms)
{
	if (row->next_ms <= until_ms || m->early)
		return false;
	if (m->line != NULL && (slice_eq(row->rule, SLICE("destination")) ||
	    slice_eq(row->rule, SLICE("paused")))) {
		message_park(m, m->line);
		return true;
	}
	if (row->next_ms < m->next_ms)
		m->next_ms = row->next_ms;
	message_seen(m, NULL);
	return true;
}

/* Takes recipients from the file that are due, as many as there is room for. */
static void
take(struct qmgr *qm, struct message *m)
{
	int64_t until_ms = due_ms(qm);
	const struct qrcpt *row;
	struct rcpt *r;

	m->taking = true; /* one that ends at once must not take others */
	while (m->nlive < window(qm) && m->next < m->nfile) {
		if (!file_need(qm, m)) {
			m->taking = false;
			message_stop(qm, m);
			return;
		}
		row = qfile_rcpt(m->q, m->next++);
		if (row->state != QSTATE_TODO || not_due(m, row, until_ms))
			continue;
		r = rcpt_new(qm, m, row);
		r->early = row->next_ms > until_ms;
		route_rcpt(qm, r);
	}
	m->taking = false;
}

void
message_progress(struct qmgr *qm, struct message *m)
{
	if (m->taking)
		return;
	if (!m->stopped && m->next < m->nfile && m->nlive <= window(qm) / 2)
		take(qm, m);
	if (m->nlive == 0 && !m->on_end)
		settle_add(qm, m);
}

void
message_stop(struct qmgr *qm, struct message *m)
{
	struct rcpt *r, *next;
	struct rcpts freed;

	m->stopped = true;
	for (r = TAILQ_FIRST(&m->rcpts); r != NULL; r = next) {
		next = TAILQ_NEXT(r, all);
		switch ((enum phase)r->phase) {
		case PHASE_LED:
			if (r->leader->phase == PHASE_RUNNING)
				continue;
			lane_remove(qm, r);
			break;
		case PHASE_READY:
		case PHASE_PARKED:
		case PHASE_GATHERING:
			lane_remove(qm, r);
			break;
		case PHASE_IDLE:
			break;
		case PHASE_EXPANDING:
			TAILQ_REMOVE(&qm->expanding, r, list);
			break;
		case PHASE_RUNNING:
			if (r->lane != LANE_RESOLVE)
				continue;
			lane_release(qm, r, &freed);
			break;
		case PHASE_JOURNAL:
		case PHASE_ENDED:
			continue;
		}
		message_drop_rcpt(qm, r);
	}
	message_progress(qm, m);
}

/* ---- where they come from ---- */

void
message_notice(struct qmgr *qm, const struct mail_id *id,
    const struct notice_new *n)
{
	const struct env_recipient *e = n->recipients.v;
	struct message *m = message_new(qm, id, QDIR_INCOMING);

	set_from(m, n->from);
	m->flags = n->flags;
	m->envid = n->envid.len > 0 ? slice_dup(n->envid) : NULL;
	m->nfile = m->next = m->noriginal = m->todo = n->recipients.n;
	m->counted = true;
	message_classify(qm, m);
	m->taking = true; /* all are there before the first one ends */
	for (size_t i = 0; i < n->recipients.n; i++) {
		struct qrcpt row = {.address = e[i].address,
		    .orcpt = e[i].orcpt,
		    .notify = e[i].notify,
		    .target = SLICE_EMPTY,
		    .sender = SLICE_EMPTY,
		    .number = (uint32_t)i + 1};

		route_rcpt(qm, rcpt_new(qm, m, &row));
	}
	m->taking = false;
	message_progress(qm, m);
}

/* Counts what is in the file. */
static void
survey(struct message *m)
{
	const struct qrcpt *row;

	m->nfile = qfile_nrcpts(m->q);
	for (size_t i = 0; i < m->nfile; i++) {
		row = qfile_rcpt(m->q, i);
		if (row->parent == 0)
			m->noriginal++;
		if (row->state == QSTATE_TODO)
			m->todo++;
		if (row->state == QSTATE_FAILED)
			m->failed++;
		if (row->state == QSTATE_SUCCESS || expansion_owed(m->q, row))
			m->owed++;
		if (row->attempts > 0)
			m->attempted = true;
	}
	m->counted = true;
}

/* What the file says of the message as a whole. */
static void
read_head(struct qmgr *qm, struct message *m)
{
	const struct envelope *env = qfile_env(m->q);

	set_from(m, env->from);
	m->flags = env->flags;
	m->by_at_ms = (int64_t)env->by_at_ms;
	m->envid = env->envid.len > 0 ? slice_dup(env->envid) : NULL;
	m->warned = qfile_warned(m->q);
	m->late = qfile_late(m->q);
	survey(m);
	message_classify(qm, m);
}

/* Is queued not done with it?  Its lock says so until the file is durable. */
static bool
locked(const struct message *m)
{
	int fd = qfile_fd(m->q);

	if (flock(fd, LOCK_SH | LOCK_NB) == -1)
		return errno == EWOULDBLOCK;
	(void)flock(fd, LOCK_UN);
	return false;
}

/* Takes it back to the waiting ones as it was. */
static void
later(struct qmgr *qm, struct message *m, const struct wait_info *w,
    int64_t wait_ms)
{
	struct wait_info again = *w;

	again.next_ms = clock_real_ms() + wait_ms;
	again.flags &= ~WAIT_PARKED;
	wait_put(qm->wait, &again);
	message_free(qm, m);
}

/* A policy wants it held: only what was never released. */
static bool
hold_wanted(const struct message *m)
{
	return m->dir == QDIR_INCOMING &&
	    (qfile_env(m->q)->flags & ENV_HOLD) != 0;
}

struct message *
message_fetch(struct qmgr *qm, const struct mail_id *id, enum qdir dir,
    bool unsure, bool *busy)
{
	struct message *m = message_new(qm, id, dir);

	*busy = false;
	m->unsure = unsure;
	if (!file_need(qm, m))
		return m;
	*busy = unsure && dir == QDIR_INCOMING && locked(m);
	read_head(qm, m);
	return m;
}

/* Many big ones are not read at the same time. */
static bool
too_big(struct qmgr *qm, struct message *m)
{
	if (m->nfile <= BIG_RCPTS)
		return false;
	if (qm->big_rcpts > 0 && qm->big_rcpts + m->nfile > BIG_TOGETHER)
		return true;
	m->big = m->nfile;
	qm->big_rcpts += m->big;
	return false;
}

/* Its time came while it was in d's line. */
static void
left_line(struct message *m, struct dest *d)
{
	if (d == NULL)
		return; /* a shelf's */
	dest_hold(d);
	if (dest_is_shut(d)) {
		m->line = d;
		return;
	}
	m->fed = d;
	m->came = true;
}

void
message_load(struct qmgr *qm, const struct wait_info *w, struct dest *fed)
{
	enum qdir dir = w->flags & WAIT_FRESH ? QDIR_INCOMING : QDIR_DEFERRED;
	struct message *m;
	bool busy;

	m = message_fetch(qm, &w->id, dir, (w->flags & WAIT_UNSURE) != 0,
	    &busy);
	if (fed == NULL && (w->flags & WAIT_PARKED) != 0)
		left_line(m, wait_line_owner(qm->wait, w->line));
	else
		m->fed = fed;
	m->early = m->fed != NULL || (w->flags & WAIT_EARLY) != 0;
	m->forced = (w->flags & WAIT_FORCED) != 0;
	if (m->verdict != VERDICT_GOOD) {
		message_stop(qm, m);
		return;
	}
	if (busy) {
		later(qm, m, w, LOCKED_MS);
		return;
	}
	if (too_big(qm, m)) {
		later(qm, m, w, BIG_MS);
		return;
	}
	if (hold_wanted(m)) {
		m->want = WANT_HOLD;
		m->reason = mem_dup("policy");
		m->reason_len = sizeof("policy") - 1;
		message_stop(qm, m);
		return;
	}
	message_progress(qm, m);
}
