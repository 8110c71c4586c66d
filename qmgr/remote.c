/*
 * Jobs for remote: the recipients of one message that go to one destination,
 * up to remote_recipients_max in a job.  Runs in qmgr.  The outcomes are
 * remote's, the words in them another host's.
 *
 * The first recipient whose way is known leads; others of its message join it
 * until the job is full or the ways of all that are in memory are known.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/sockets.h"
#include "common/proto/transfer.h"
#include "qmgr/dest.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

/* What RFC 3461 5.2.7.1 and RFC 2852 let a list's copies inherit: the body. */
#define LIST_FLAGS (ENV_8BITMIME | ENV_SMTPUTF8 | ENV_BINARYMIME)

#define SHARE_LEAST 100

/* ---- gathering ---- */

static struct slice
sender_of(const struct rcpt *r)
{
	return r->has_sender ? r->sender :
	    slice_mem(r->m->from, r->m->from_len);
}

/* Recipients of one job: a message to very many has several jobs under way at
 * once, but none that is not worth a connection. */
static uint32_t
most_of(const struct qmgr *qm, const struct message *m, const struct dest *d)
{
	uint64_t most = qm->conf.remote_recipients_max;
	uint64_t share = m->nfile / dest_limit(d);

	if (share < SHARE_LEAST)
		share = SHARE_LEAST;
	if (most > TRANSFER_RCPTS_MAX)
		most = TRANSFER_RCPTS_MAX;
	return (uint32_t)(share < most ? share : most);
}

/* The one r can join. */
static struct rcpt *
leader_for(const struct dest *d, const struct rcpt *r)
{
	struct rcpt *leader;

	TAILQ_FOREACH(leader, &d->gathering, list)
		if (leader->m == r->m && leader->has_sender == r->has_sender &&
		    (!r->has_sender || slice_eq(leader->sender, r->sender)))
			return leader;
	return NULL;
}

static void
set_out(struct qmgr *qm, struct rcpt *leader)
{
	TAILQ_REMOVE(&leader->dest->gathering, leader, list);
	leader->m->ngathering--;
	lane_add(qm, leader, LANE_REMOTE, false);
}

static void
lead(struct qmgr *qm, struct rcpt *r, struct dest *d)
{
	r->lane = LANE_REMOTE;
	dest_join(d, r);
	if (r->m->nresolving == 0 || most_of(qm, r->m, d) == 1) {
		lane_add(qm, r, LANE_REMOTE, false);
		return;
	}
	r->phase = PHASE_GATHERING;
	TAILQ_INSERT_TAIL(&d->gathering, r, list);
	r->m->ngathering++;
}

/* d has r's hold. */
static void
gather(struct qmgr *qm, struct rcpt *r, struct dest *d)
{
	struct rcpt *leader = leader_for(d, r);

	if (leader == NULL) {
		lead(qm, r, d);
		return;
	}
	r->lane = LANE_REMOTE;
	r->leader = leader;
	r->phase = PHASE_LED;
	dest_join(d, r);
	TAILQ_INSERT_TAIL(&leader->led, r, list);
	if (++leader->nled + 1 >= most_of(qm, r->m, d))
		set_out(qm, leader);
}

void
message_resolved(struct qmgr *qm, struct message *m)
{
	struct rcpt *r;

	if (m->nresolving > 0 || m->ngathering == 0)
		return;
	TAILQ_FOREACH(r, &m->rcpts, all)
		if (r->phase == PHASE_GATHERING)
			set_out(qm, r);
}

/* ---- recipients ---- */

bool
route_is_full(const struct dest *d, const struct message *m)
{
	const struct rcpt *r;

	if (!dest_is_full(d))
		return false;
	/* Who is there may go on: it is in memory anyway. */
	TAILQ_FOREACH(r, &m->rcpts, all)
		if (r->dest == d)
			return false;
	return true;
}

void
remote_found(struct qmgr *qm, struct rcpt *r, struct slice route)
{
	struct message *m = r->m;
	struct status st;
	struct dest *d = dest_remote(qm, r->address, route, &st);

	if (d == NULL) {
		outcome_set(qm, r, &st, SLICE_EMPTY);
		return;
	}
	if (r->early && d != m->fed && !sweep_wants(qm, d)) {
		/* Looked at before its time, for another destination. */
		if (r->next_ms < m->next_ms)
			m->next_ms = r->next_ms;
		message_seen(m, d);
		message_drop_rcpt(qm, r);
		dest_drop(d);
		message_progress(qm, m);
	} else if (route_is_full(d, m)) {
		outcome_park(qm, r, d);
		dest_drop(d);
		message_progress(qm, m);
	} else
		gather(qm, r, d);
}

/* ---- jobs ---- */

static struct transfer_rcpt
rcpt_row(const struct rcpt *r)
{
	return (struct transfer_rcpt){.number = r->number,
	    .address = r->address,
	    .orcpt = r->orcpt,
	    .notify = r->notify};
}

static enum start
remote_start(struct qmgr *qm, struct rcpt *r, uint64_t number)
{
	const struct message *m = r->m;
	enum start failed = START_NOT;
	struct transfer_rcpt *v;
	struct transfer_job job = {.job = number,
	    .id = slice_of(m->id.s),
	    .sender = sender_of(r),
	    .flags = r->has_sender ? m->flags & LIST_FLAGS : m->flags,
	    .envid = r->has_sender ? SLICE_EMPTY : log_text(m->envid),
	    .by_at_ms = r->has_sender ? 0 : (uint64_t)m->by_at_ms,
	    .domain = slice_of(r->dest->domain),
	    .route = slice_of(r->dest->route)};
	const struct rcpt *led;
	int fd = job_open(qm, r->m, &failed);

	if (fd == -1)
		return failed;
	v = mem_array((size_t)r->nled + 1, sizeof(*v));
	v[job.recipients.n++] = rcpt_row(r);
	TAILQ_FOREACH(led, &r->led, list)
		v[job.recipients.n++] = rcpt_row(led);
	job.recipients.v = v;
	chan_link_queue(qm->lanes[LANE_REMOTE].link, TRANSFER_JOB, &job, &fd,
	    1);
	free(v);
	return START_OK;
}

/* ---- outcomes ---- */

static struct status
status_of(const struct transfer_outcome *o)
{
	struct status st;

	if (o->code < 200 || o->code / 100 == 3)
		status_set(&st, 451, 3, 0, "remote answered with code %u",
		    (unsigned)o->code);
	else
		status_set(&st, o->code, o->subject, o->detail, "%.*s",
		    SLICE_FMT(o->text));
	return st;
}

/* That of recipient `number`, which is probably the i-th. */
static const struct transfer_outcome *
outcome_for(const struct transfer_done *d, uint32_t number, size_t i)
{
	const struct transfer_outcome *v = d->outcomes.v;

	if (i < d->outcomes.n && v[i].number == number)
		return &v[i];
	for (i = 0; i < d->outcomes.n; i++)
		if (v[i].number == number)
			return &v[i];
	return NULL;
}

/* What the job says of the destination, with the first words that are not of
 * a success. */
static void
tell_dest(struct dest *dest, const struct transfer_done *d, int64_t started_ms)
{
	const struct transfer_outcome *v = d->outcomes.v;
	struct outcome_from from = {.dest = dest, .host = d->host};
	struct status st;
	size_t i = 0;

	while (i + 1 < d->outcomes.n && v[i].code / 100 == 2)
		i++;
	st = status_of(&v[i]);
	from.remote = v[i].own == 0;
	dest_result(dest, (enum transfer_dest)d->dest, started_ms, &st, &from);
}

static void
job_done(struct qmgr *qm, struct rcpt *r, const struct transfer_done *d)
{
	struct lane *lane = &qm->lanes[LANE_REMOTE];
	int64_t started_ms = lane->jobs[(uint32_t)d->job].at_ms;
	struct outcome_from from = {.dest = r->dest, .host = d->host};
	const struct transfer_outcome *o;
	struct dest *dest = r->dest;
	struct rcpts all;
	struct status st;

	dest_hold(dest);
	lane_release(qm, r, &all);
	tell_dest(dest, d, started_ms);
	for (size_t i = 0; (r = TAILQ_FIRST(&all)) != NULL; i++) {
		TAILQ_REMOVE(&all, r, list);
		o = outcome_for(d, r->number, i);
		if (o != NULL)
			st = status_of(o);
		else
			status_set(&st, 451, 3, 0,
			    "remote did not say what became of it");
		from.remote = o != NULL && o->own == 0;
		from.relayed = o != NULL && o->relayed != 0;
		outcome_set_from(qm, r, &st, &from);
	}
	dest_drop(dest);
}

static bool
remote_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	const union transfer_msg *t = msg;
	struct qmgr *qm = arg;
	struct lane *lane = &qm->lanes[LANE_REMOTE];
	struct rcpt *r;

	(void)fds, (void)nfds;
	switch (type) {
	case TRANSFER_READY:
		lane_up(qm, lane, t->ready.capacity);
		return true;
	case TRANSFER_DONE:
		r = lane_find(lane, t->done.job);
		if (r == NULL) {
			LOG_WARN("unknown-job", LS("daemon", lane->name),
			    LU("job", t->done.job));
			return false;
		}
		job_done(qm, r, &t->done);
		return true;
	default:
		return false;
	}
}

static void
remote_down(void *arg)
{
	struct qmgr *qm = arg;

	lane_down(qm, &qm->lanes[LANE_REMOTE]);
}

void
remote_init(struct qmgr *qm)
{
	static const struct chan_link_ops ops = {.record = remote_record,
	    .down = remote_down};
	struct lane *lane = &qm->lanes[LANE_REMOTE];

	lane->start = remote_start;
	/* Up when READY says for how many jobs. */
	lane->link = chan_link_new(qm->loop, SOCKET_REMOTE,
	    &transfer_contract, &ops, qm);
}
