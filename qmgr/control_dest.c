/*
 * What an admin wants of destinations: which there are and how they are, a
 * pause, the end of it, all that waits tried now.  Runs in qmgr; the other side
 * is postern(8), run by root or by the queue's user.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "qmgr/dest.h"
#include "qmgr/paused.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define PENDING_MAX 262144 /* octets of a list that are not read yet */
#define AGAIN_MS 5

/* ---- one of them ---- */

static bool
is_meant(const struct dest *d, struct slice name)
{
	return slice_ieq(slice_mem(d->key, d->len), name) ||
	    (d->no != LANE_REMOTE && slice_eq(name, PAUSED_LOCAL));
}

static struct answer
retry_dest(struct qmgr *qm, struct slice name)
{
	struct dest *d, *next;
	bool any = false;

	for (d = dest_next(qm, NULL); d != NULL; d = next) {
		next = dest_next(qm, d);
		if (!is_meant(d, name))
			continue;
		any = true;
		dest_retry(d);
	}
	if (paused_has(qm, name))
		return (struct answer){CONTROL_FAILED, "is paused: resume it"};
	if (wait_unknown(qm->wait) > 0) {
		sweep_start_dest(qm, name);
		return (struct answer){CONTROL_DONE, any ? "is tried now; "
		    "other messages are looked at, too" :
		    "messages that may be for it are looked at now"};
	}
	return any ? (struct answer){CONTROL_DONE, "is tried now"} :
	    (struct answer){CONTROL_NOT_FOUND, "nothing waits for it"};
}

static bool
is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.len > 0 && s.p[0] != '#' &&
	    slice_trim(s).len == s.len;
}

struct answer
control_dest(struct qmgr *qm, const struct control_dest *c)
{
	static const struct answer not_written = {CONTROL_FAILED,
	    "could not be written: qmgr's log says why"};

	if (!is_name(c->dest))
		return (struct answer){CONTROL_FAILED,
		    "is no name of a destination"};
	switch (c->action) {
	case CONTROL_DEST_PAUSE:
		LOG_INFO("destination-paused", LB("dest", c->dest),
		    LB("reason", c->reason));
		return paused_add(qm, c->dest, c->reason) ?
		    (struct answer){CONTROL_DONE, "is paused"} : not_written;
	case CONTROL_DEST_RESUME:
		if (!paused_has(qm, c->dest))
			return (struct answer){CONTROL_NOT_FOUND,
			    "is not paused"};
		LOG_INFO("destination-resumed", LB("dest", c->dest));
		if (!paused_remove(qm, c->dest))
			return not_written;
		(void)retry_dest(qm, c->dest);
		return (struct answer){CONTROL_DONE, "is tried now"};
	default:
		return retry_dest(qm, c->dest);
	}
}

/* ---- all of them ---- */

/* A list on its way to somebody who reads it as fast as he can. */
struct listing {
	struct qmgr *qm;
	struct chan_peer *p;
	struct loop_timer *timer; /* owned */
	char *name;               /* owned: only this one; "": all */
	size_t bucket;            /* of the destinations; the next */
};

static void
listing_free(struct chan_peer *p)
{
	struct listing *l = chan_peer_data(p);

	if (l == NULL)
		return;
	loop_timer_free(&l->timer);
	free(l->name);
	free(l);
	chan_peer_set_data(p, NULL);
}

void
control_closed(void *arg, struct chan_peer *p)
{
	(void)arg;
	listing_free(p);
}

static uint32_t
running_of(const struct dest *d)
{
	/* Slots are kept for some that begin in a moment. */
	return d->slots;
}

static void
put_error(const struct dest *d, struct buf *out)
{
	char enhanced[STATUS_ENHANCED_SIZE];

	status_enhanced(&d->error->status, enhanced);
	buf_printf(out, "%s %u %s", enhanced,
	    (unsigned)d->error->status.code, d->error->status.text);
	if (d->error->host[0] != '\0')
		buf_printf(out, " (%s)", d->error->host);
}

static void
send_dest(struct listing *l, const struct dest *d)
{
	struct buf error = BUF_INIT(CONTROL_ERROR_MAX);
	struct control_dest_info info = {
	    .dest = slice_sub(slice_mem(d->key, d->len), 0, CONTROL_DEST_MAX),
	    .paused = d->pause != NULL,
	    .reason = slice_sub(log_text(d->pause), 0, STATUS_TEXT_MAX),
	    .running = running_of(d),
	    .limit = dest_is_down(d) ? 1 : dest_limit(d),
	    .ready = d->users - running_of(d),
	    .waiting = dest_waiting(d),
	    .next_ms = (uint64_t)dest_next_ms(d)};

	if (d->error != NULL) {
		put_error(d, &error);
		info.failed_ms = (uint64_t)d->error->at_ms;
	}
	info.error = buf_slice(&error);
	chan_peer_send(l->p, CONTROL_DEST_INFO, &info);
	buf_free(&error);
}

/* Places of this host are listed while something waits there. */
static bool
is_listed(const struct listing *l, const struct dest *d)
{
	if (l->name[0] != '\0')
		return is_meant(d, slice_of(l->name));
	return d->no == LANE_REMOTE || dest_waiting(d) > 0 ||
	    d->pause != NULL || d->users > d->slots;
}

/* All deliveries of this host. */
static void
send_local(struct listing *l)
{
	const struct lane *lanes = l->qm->lanes;
	struct control_dest_info info = {.dest = PAUSED_LOCAL,
	    .reason = SLICE_EMPTY,
	    .error = SLICE_EMPTY,
	    .running = lane_running(&lanes[LANE_LOCAL]) +
	        lane_running(&lanes[LANE_SPAWNER]),
	    .limit = lanes[LANE_LOCAL].limit + lanes[LANE_SPAWNER].limit};
	char *reason = paused_reason(l->qm, LANE_LOCAL, PAUSED_LOCAL);
	const struct dest *d;

	for (d = dest_next(l->qm, NULL); d != NULL; d = dest_next(l->qm, d))
		if (d->no != LANE_REMOTE) {
			info.ready += d->users - d->slots;
			info.waiting += dest_waiting(d);
		}
	info.paused = reason != NULL;
	info.reason = log_text(reason);
	chan_peer_send(l->p, CONTROL_DEST_INFO, &info);
	free(reason);
}

/* What is paused and has no mail. */
static void
send_paused(struct listing *l)
{
	struct control_dest_info info = {.paused = 1, .error = SLICE_EMPTY};

	for (size_t i = 0; paused_at(l->qm, i, &info.dest, &info.reason); i++)
		if (!slice_ieq(info.dest, PAUSED_LOCAL) &&
		    (l->name[0] == '\0' ||
		    slice_ieq(info.dest, slice_of(l->name))) &&
		    dest_find(l->qm, LANE_REMOTE, info.dest) == NULL &&
		    dest_find(l->qm, LANE_LOCAL, info.dest) == NULL)
			chan_peer_send(l->p, CONTROL_DEST_INFO, &info);
}

static void
list_some(void *arg)
{
	struct listing *l = arg;
	struct control_dest_info last = {.last = 1};
	struct dest *d;

	while (l->bucket < dest_buckets()) {
		if (chan_pending(chan_peer_chan(l->p)) > PENDING_MAX) {
			loop_timer_in(l->timer, AGAIN_MS);
			return;
		}
		LIST_FOREACH(d, &l->qm->dests[l->bucket], hash)
			if (is_listed(l, d))
				send_dest(l, d);
		l->bucket++;
	}
	send_paused(l);
	last.dest = last.reason = last.error = SLICE_EMPTY;
	chan_peer_send(l->p, CONTROL_DEST_INFO, &last);
	listing_free(l->p);
}

void
control_list(struct qmgr *qm, struct chan_peer *p, struct slice name)
{
	struct listing *l;

	if (chan_peer_data(p) != NULL)
		return; /* the one under way is the answer */
	l = mem_alloc(sizeof(*l));
	l->qm = qm;
	l->p = p;
	l->name = slice_dup(name);
	l->timer = loop_timer_new(qm->loop, list_some, l);
	chan_peer_set_data(p, l);
	if (name.len == 0 || slice_eq(name, PAUSED_LOCAL))
		send_local(l);
	list_some(l);
}
