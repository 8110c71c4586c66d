/*
 * Asks authd where recipients go, and the table of the ways they go then.
 * Runs in qmgr; the answers are authd's, the addresses were checked by smtpd
 * and may still be anything.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/address.h"
#include "common/proto/delivery.h"
#include "common/proto/sockets.h"
#include "qmgr/dest.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"

#define PLACES_MAX 300000 /* some 200 octets each */

/* Who delivers what here. */
static const struct route {
	uint32_t kind; /* enum delivery_kind of a place */
	enum lane_no lane;
} routes[] = {
	{DELIVERY_MAILBOX, LANE_LOCAL},
	{DELIVERY_MAILDIR, LANE_LOCAL},
	{DELIVERY_PROGRAM, LANE_SPAWNER},
};

/* To a place of this host. */
static void
go_to(struct qmgr *qm, struct rcpt *r, enum lane_no lane)
{
	struct dest *d = dest_get(qm, lane, r->place->address);
	struct message *m = r->m;

	if (route_is_full(d, m)) {
		outcome_park(qm, r, d);
		dest_drop(d);
		message_progress(qm, m);
		return;
	}
	dest_join(d, r);
	lane_add(qm, r, lane, false);
}

static void
ask_authd(struct qmgr *qm, struct rcpt *r)
{
	rcpt_clear_places(qm, r);
	r->too_many = r->crowded = false;
	if (!r->resolving) {
		r->m->nresolving++;
		qm->nresolving++;
	}
	r->resolving = true;
	lane_add(qm, r, LANE_RESOLVE, false);
}

/* RFC 2852 4.1.4: nothing is tried behind the deadline of mode R. */
static bool
is_late(struct qmgr *qm, struct rcpt *r)
{
	struct message *m = r->m;
	struct status st;
	size_t row;

	if (!duty_deadline(m) || clock_real_ms() < m->by_at_ms)
		return false;
	if (m->q == NULL || !qfile_find(m->q, r->number, &row) ||
	    !qrcpt_status(qfile_rcpt(m->q, row), &st))
		status_set(&st, 451, 4, 7, "there was no time to try it");
	outcome_set(qm, r, &st, SLICE_EMPTY);
	return true;
}

void
route_rcpt(struct qmgr *qm, struct rcpt *r)
{
	struct status st;

	if (r->report != NULL) {
		lane_add(qm, r, LANE_REPORT, false);
		return;
	}
	if (is_late(qm, r))
		return;

	if (r->place == NULL && (r->kind == DELIVERY_PROGRAM ||
	    r->kind == DELIVERY_MAILDIR)) {
		r->place = place_parse(r->kind, r->address, r->target);
		if (r->place == NULL) {
			status_set(&st, 451, 3, 5,
			    "the queue file's target cannot be read");
			outcome_set(qm, r, &st, SLICE_EMPTY);
			return;
		}
	}
	if (r->place == NULL) {
		ask_authd(qm, r);
		return;
	}
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (routes[i].kind == r->place->kind) {
			go_to(qm, r, routes[i].lane);
			return;
		}
	status_set(&st, 451, 3, 5, "nobody delivers what authd names");
	outcome_set(qm, r, &st, SLICE_EMPTY);
}

static enum start
resolve_start(struct qmgr *qm, struct rcpt *r, uint64_t job)
{
	struct address_resolve ask = {.rid = job,
	    .address = r->address,
	    .flags = r->kind == DELIVERY_MAILBOX ? RESOLVE_MAILBOX : 0};

	chan_link_queue(qm->lanes[LANE_RESOLVE].link, ADDRESS_RESOLVE, &ask,
	    NULL, 0);
	return START_OK;
}

/* ---- answers ---- */

static void
add_places(struct qmgr *qm, struct rcpt *r, const struct chan_list *list)
{
	const struct address_target *t = list->v;

	if (r->nplaces + list->n > qm->conf.expansion_max)
		r->too_many = true;
	/* One alone may always have its expansion_max. */
	if (qm->nplaces > PLACES_MAX && qm->nplaces > r->nplaces)
		r->crowded = true;
	if (r->too_many || r->crowded) {
		rcpt_clear_places(qm, r);
		return;
	}
	for (size_t i = 0; i < list->n; i++)
		rcpt_add_place(qm, r, place_of_target(&t[i]));
}

static void
fail(struct qmgr *qm, struct rcpt *r, uint32_t code, uint32_t subject,
    uint32_t detail, const char *text)
{
	struct status st;

	status_set(&st, code, subject, detail, "%s", text);
	outcome_set(qm, r, &st, SLICE_EMPTY);
}

/* Nobody there: what authd says, if it is a refusal of that class. */
static void
refused(struct qmgr *qm, struct rcpt *r, const struct address_resolved *a)
{
	static const struct {
		uint32_t result, code, subject, detail;
		const char *text;
	} defaults[] = {
		{ADDRESS_NONE, 550, 1, 1, "no such recipient here"},
		{ADDRESS_FULL, 452, 2, 2, "the mailbox is full"},
		{ADDRESS_BROKEN, 550, 2, 4, "the alias is broken"},
		{ADDRESS_TEMP, 451, 3, 0, "a table could not be read"},
	};
	struct status st;
	size_t i = 0;

	while (i < sizeof(defaults) / sizeof(defaults[0]) &&
	    defaults[i].result != a->result)
		i++;
	if (i == sizeof(defaults) / sizeof(defaults[0])) {
		fail(qm, r, 451, 3, 0, "authd's answer was not understood");
		return;
	}
	if (a->result == ADDRESS_NONE && r->kind == DELIVERY_MAILBOX) {
		fail(qm, r, 550, 4, 6, "the alias or forward file leads back "
		    "to itself, and there is no mailbox of that name");
		return;
	}
	if (a->code / 100 != defaults[i].code / 100)
		fail(qm, r, defaults[i].code, defaults[i].subject,
		    defaults[i].detail, defaults[i].text);
	else {
		status_set(&st, a->code, a->subject, a->detail, "%.*s",
		    SLICE_FMT(a->text));
		outcome_set(qm, r, &st, SLICE_EMPTY);
	}
}

/* The first place becomes r's own. */
static void
go_there(struct qmgr *qm, struct rcpt *r)
{
	r->place = r->places[0];
	r->places[0] = r->places[--r->nplaces];
	qm->nplaces--;
	rcpt_clear_places(qm, r);
	route_rcpt(qm, r);
}

static void
found(struct qmgr *qm, struct rcpt *r)
{
	struct message *m = r->m;
	struct place *first;

	if (r->too_many) {
		fail(qm, r, 550, 2, 4, "expands to too many recipients");
		return;
	}
	if (r->crowded) {
		outcome_shelve(qm, r, LANE_RESOLVE);
		return;
	}
	if (r->nplaces == 0) {
		fail(qm, r, 550, 2, 4, "expands to no recipient");
		return;
	}
	first = r->places[0];
	if (r->kind == DELIVERY_MAILBOX) {
		if (first->kind != DELIVERY_MAILBOX) {
			fail(qm, r, 451, 3, 0, "authd names no mailbox");
			return;
		}
		place_apply_target(first, r->target);
		go_there(qm, r);
		return;
	}
	/* One mailbox and nothing else to remember: nothing is written down,
	 * a retry asks again. */
	if (r->nplaces > 1 || first->kind != DELIVERY_MAILBOX ||
	    first->sender.len > 0)
		expand_add(qm, r);
	else if (expand_one(qm, r, first))
		go_there(qm, r);
	else {
		message_drop_rcpt(qm, r);
		message_stop(qm, m);
	}
}

static void
resolved(struct qmgr *qm, struct rcpt *r, const struct address_resolved *a)
{
	struct message *m = r->m;

	/* Before its way is taken: whoever is the last need not wait for
	 * others. */
	r->resolving = false;
	m->nresolving--;
	qm->nresolving--;
	switch (a->result) {
	case ADDRESS_LOCAL:
		found(qm, r);
		break;
	case ADDRESS_REMOTE:
		remote_found(qm, r, a->route);
		break;
	default:
		refused(qm, r, a);
		break;
	}
	message_resolved(qm, m);
}

static bool
resolve_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	const union address_msg *a = msg;
	struct qmgr *qm = arg;
	struct lane *lane = &qm->lanes[LANE_RESOLVE];
	struct rcpts freed;
	struct rcpt *r;

	(void)fds, (void)nfds;
	switch (type) {
	case ADDRESS_TARGETS:
		/* Who is no longer interested has given its number back. */
		r = lane_find(lane, a->targets.rid);
		if (r != NULL)
			add_places(qm, r, &a->targets.targets);
		return true;
	case ADDRESS_RESOLVED:
		r = lane_find(lane, a->resolved.rid);
		if (r == NULL)
			return true;
		lane_release(qm, r, &freed);
		resolved(qm, r, &a->resolved);
		return true;
	default:
		return false;
	}
}

static void
resolve_up(void *arg)
{
	struct qmgr *qm = arg;

	lane_up(qm, &qm->lanes[LANE_RESOLVE], UINT32_MAX);
}

static void
resolve_down(void *arg)
{
	struct qmgr *qm = arg;

	lane_down(qm, &qm->lanes[LANE_RESOLVE]);
}

void
resolve_init(struct qmgr *qm)
{
	static const struct chan_link_ops ops = {.record = resolve_record,
	    .up = resolve_up,
	    .down = resolve_down};
	struct lane *lane = &qm->lanes[LANE_RESOLVE];

	lane->start = resolve_start;
	lane->link = chan_link_new(qm->loop, SOCKET_ADDRESS,
	    &address_contract, &ops, qm);
}
