/*
 * Jobs for local and the spawner: one recipient, one read-only descriptor of
 * the queue file.  Runs in qmgr.  The outcomes come from local, where a
 * mailbox owner's own process may have said them: its expansions can name what
 * they like, but only with the owner's rights.
 */
#include <errno.h>
#include <fcntl.h>

#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/delivery.h"
#include "common/proto/sockets.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"

int
job_open(struct qmgr *qm, struct message *m, enum start *failed)
{
	int fd = openat(qm->dirs[m->dir], m->id.s,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd != -1)
		return fd;
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
		LOG_WARN("no-descriptors", LS("id", m->id.s), LE());
		*failed = START_PAUSE;
		return -1;
	}
	*failed = START_NOT;
	if (errno == ENOENT)
		m->verdict = VERDICT_GONE;
	else {
		LOG_WARN("queue-file-unreadable", LS("id", m->id.s),
		    LS("dir", qdir_names[m->dir]), LE());
		m->verdict = VERDICT_FAULT;
	}
	return -1;
}

static enum start
deliver_start(struct qmgr *qm, struct rcpt *r, uint64_t number)
{
	const struct place *p = r->place;
	enum start failed = START_NOT;
	struct delivery_job job = {.job = number,
	    .id = slice_of(r->m->id.s),
	    .number = r->number,
	    .kind = p->kind,
	    .flags = (p->no_forward ? JOB_NO_FORWARD : 0) |
	        (r->m->unsure || r->losses > 0 ? JOB_CHECK : 0),
	    .address = p->address,
	    .sender = r->has_sender ? r->sender :
	        slice_mem(r->m->from, r->m->from_len),
	    .extension = p->extension,
	    .user = p->user,
	    .uid = p->uid,
	    .gid = p->gid,
	    .home = p->home,
	    .maildir = p->maildir,
	    .program = p->program};
	int fd = job_open(qm, r->m, &failed);

	if (fd == -1)
		return failed;
	chan_link_queue(qm->lanes[r->lane].link, DELIVERY_JOB, &job, &fd, 1);
	return START_OK;
}

/* ---- outcomes ---- */

static bool
expansion_valid(const struct delivery_expansion *e)
{
	switch (e->kind) {
	case DELIVERY_MAILBOX:
	case DELIVERY_ADDRESS:
		return e->address.len > 0;
	case DELIVERY_PROGRAM:
		return e->target.len > 0;
	case DELIVERY_MAILDIR:
		return e->target.len > 0 && e->target.p[0] == '/' &&
		    e->target.len <= DELIVERY_PATH_MAX;
	default:
		return false;
	}
}

/* The forward file's places; false if they cannot be used.  Then nothing was
 * delivered, whatever the code says. */
static bool
forward_places(struct qmgr *qm, struct rcpt *r,
    const struct chan_list *list)
{
	const struct delivery_expansion *e = list->v;
	struct delivery_expansion own;

	if (r->place->kind != DELIVERY_MAILBOX || r->place->no_forward)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		if (!expansion_valid(&e[i]))
			return false;
		own = e[i];
		if (own.kind == DELIVERY_PROGRAM ||
		    own.kind == DELIVERY_MAILDIR)
			own.address = r->place->address;
		rcpt_add_place(qm, r, place_of_expansion(&own, r->place));
	}
	return true;
}

static void
done(struct qmgr *qm, struct rcpt *r, const struct delivery_done *d)
{
	const char *name = qm->lanes[r->lane].name;
	struct status st;

	/* Media errors, and local faults that repeat themselves, may be the
	 * content's: it is read once to see. */
	if (d->code / 100 == 4 && (d->subject == 6 ||
	    (d->subject == 3 && d->detail == 0 && r->attempts > 0)))
		r->m->suspect = true;
	if (d->code / 100 == 2 && d->expansions.n > 0) {
		if (forward_places(qm, r, &d->expansions)) {
			expand_add(qm, r);
			return;
		}
		status_set(&st, 451, 3, 0, "%s named places that cannot be",
		    name);
	} else if (d->code < 200 || d->code / 100 == 3)
		status_set(&st, 451, 3, 0, "%s answered with code %u", name,
		    (unsigned)d->code);
	else
		status_set(&st, d->code, d->subject, d->detail, "%.*s",
		    SLICE_FMT(d->text));
	outcome_set(qm, r, &st, d->host);
}

static bool
deliver_record(struct qmgr *qm, struct lane *lane, uint16_t type,
    const union delivery_msg *msg)
{
	struct rcpts freed;
	struct rcpt *r;

	switch (type) {
	case DELIVERY_READY:
		lane_up(qm, lane, msg->ready.capacity);
		return true;
	case DELIVERY_DONE:
		r = lane_find(lane, msg->done.job);
		if (r == NULL) {
			LOG_WARN("unknown-job", LS("daemon", lane->name),
			    LU("job", msg->done.job));
			return false;
		}
		lane_release(qm, r, &freed);
		done(qm, r, &msg->done);
		return true;
	default:
		return false;
	}
}

static bool
local_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	struct qmgr *qm = arg;

	(void)fds, (void)nfds;
	return deliver_record(qm, &qm->lanes[LANE_LOCAL], type, msg);
}

static void
local_down(void *arg)
{
	struct qmgr *qm = arg;

	lane_down(qm, &qm->lanes[LANE_LOCAL]);
}

static bool
spawner_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	struct qmgr *qm = arg;

	(void)fds, (void)nfds;
	return deliver_record(qm, &qm->lanes[LANE_SPAWNER], type, msg);
}

static void
spawner_down(void *arg)
{
	struct qmgr *qm = arg;

	lane_down(qm, &qm->lanes[LANE_SPAWNER]);
}

void
deliver_init(struct qmgr *qm)
{
	static const struct chan_link_ops local_ops = {.record = local_record,
	    .down = local_down};
	static const struct chan_link_ops spawner_ops = {
	    .record = spawner_record, .down = spawner_down};
	struct lane *local = &qm->lanes[LANE_LOCAL];
	struct lane *spawner = &qm->lanes[LANE_SPAWNER];

	local->start = spawner->start = deliver_start;
	/* Up when READY says for how many jobs. */
	local->link = chan_link_new(qm->loop, SOCKET_LOCAL,
	    &delivery_contract, &local_ops, qm);
	spawner->link = chan_link_new(qm->loop, SOCKET_SPAWNER,
	    &delivery_contract, &spawner_ops, qm);
}
