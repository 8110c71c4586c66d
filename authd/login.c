/*
 * The contract "login", served in authd: which record is allowed when, and who
 * may ask for which service.  The peers are login sessions, which parse the
 * network and may have been taken over.
 */
#include <stdlib.h>
#include <string.h>

#include "authd/attempt.h"
#include "authd/directory.h"
#include "authd/login.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/login.h"

#define OFFER_MAX 400

struct logins {
	struct login_args args;
	struct chan_server *server;
	struct login_right rights[LOGIN_RIGHTS_MAX];
	uid_t uids[LOGIN_RIGHTS_MAX];
};

/* What is under way on a connection; lives while it does. */
struct dialogue {
	struct logins *l;
	struct chan_peer *peer;
	struct attempt *attempt; /* NULL: idle */
	uint64_t rid;
	bool try;                /* TRY: answered with ANSWER */
};

/* A peer's state, as a bit. */
#define IDLE 1u     /* nothing under way */
#define ASKED 2u    /* a challenge is out */
#define WORKING 4u  /* the answer is ours to give */

static unsigned
phase_of(const struct dialogue *d)
{
	return d->attempt == NULL ? IDLE
	    : attempt_asked(d->attempt) ? ASKED : WORKING;
}

/* ---- what attempts say ---- */

static void
on_challenge(void *arg, struct slice data)
{
	struct dialogue *d = arg;
	struct login_challenge msg = {.rid = d->rid, .data = data};

	chan_peer_send(d->peer, LOGIN_CHALLENGE, &msg);
}

static void
on_done(void *arg, const struct attempt_end *end)
{
	struct dialogue *d = arg;
	struct login_answer answer = {.rid = d->rid,
	    .result = (uint32_t)end->result, .ticket = end->ticket,
	    .user = end->user};
	struct login_done done = {.rid = d->rid,
	    .result = (uint32_t)end->result, .user = end->user,
	    .ticket = end->ticket, .mechanism = end->mechanism,
	    .secret = end->secret};

	d->attempt = NULL;
	if (d->try)
		chan_peer_send(d->peer, LOGIN_ANSWER, &answer);
	else
		chan_peer_send(d->peer, LOGIN_DONE, &done);
}

static const struct attempt_ops attempt_ops = {on_challenge, on_done};

/* ---- what sessions say ---- */

static bool
has_right(const struct dialogue *d, struct slice service)
{
	const struct logins *l = d->l;
	uid_t uid = chan_peer_uid(d->peer);
	size_t i;

	if (l->args.rights == NULL)
		return true;
	for (i = 0; i < l->args.nrights; i++)
		if (l->rights[i].uid == uid &&
		    slice_eq(l->rights[i].service, service))
			return true;
	LOG_WARN("login-not-yours", LU("uid", uid), LB("service", service));
	return false;
}

static bool
take_offer(struct dialogue *d, const void *msg)
{
	struct login_offers offers;

	(void)msg;
	offers.apop = (directory_forms(d->l->args.directory) &
	    DIRECTORY_PLAIN) != 0;
	chan_peer_send(d->peer, LOGIN_OFFERS, &offers);
	return true;
}

static bool
take_ask(struct dialogue *d, const void *msg)
{
	const struct login_ask *ask = msg;
	struct buf out = BUF_INIT(OFFER_MAX);
	struct login_offered offered;

	if (!has_right(d, ask->service))
		return false;
	attempts_offer(d->l->args.attempts, ask, &out);
	offered.mechanisms = buf_slice(&out);
	chan_peer_send(d->peer, LOGIN_OFFERED, &offered);
	buf_free(&out);
	return true;
}

static bool
take_try(struct dialogue *d, const void *msg)
{
	const struct login_try *t = msg;

	if (t->mechanism == 0 || !has_right(d, t->service))
		return false;
	d->rid = t->rid;
	d->try = true;
	d->attempt = attempt_new_try(d->l->args.attempts, t, &attempt_ops, d);
	attempt_run(d->attempt, false, SLICE_EMPTY);
	return true;
}

static bool
take_start(struct dialogue *d, const void *msg)
{
	const struct login_start *s = msg;

	if (!has_right(d, s->service))
		return false;
	if (d->attempt != NULL)
		attempt_abandon(d->attempt);
	d->rid = s->rid;
	d->try = false;
	d->attempt = attempt_new_sasl(d->l->args.attempts, s, &attempt_ops, d);
	attempt_run(d->attempt, s->has_initial != 0, s->initial);
	return true;
}

static bool
take_response(struct dialogue *d, const void *msg)
{
	const struct login_response *r = msg;

	if (r->rid != d->rid)
		return false;
	if (r->cancel != 0)
		attempt_cancel(d->attempt);
	else
		attempt_response(d->attempt, r->data);
	return true;
}

static const struct {
	uint16_t type;
	unsigned phases;
	bool (*take)(struct dialogue *d, const void *msg);
} records[] = {
	{LOGIN_OFFER, IDLE, take_offer},
	{LOGIN_ASK, IDLE, take_ask},
	{LOGIN_TRY, IDLE, take_try},
	{LOGIN_START, IDLE | ASKED, take_start},
	{LOGIN_RESPONSE, ASKED, take_response},
};

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct dialogue *d = chan_peer_data(p);
	bool good = false;
	size_t i;

	(void)arg;
	(void)fds;
	(void)nfds;
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		if (records[i].type == type)
			break;
	if (i < sizeof(records) / sizeof(records[0]) &&
	    (records[i].phases & phase_of(d)) != 0)
		good = records[i].take(d, msg);
	if (!good)
		LOG_WARN("login-out-of-turn", LU("record", type),
		    LU("uid", chan_peer_uid(p)));
	chan_wipe(chan_peer_chan(p));
	return good;
}

static bool
on_opened(void *arg, struct chan_peer *p)
{
	struct dialogue *d = mem_alloc(sizeof(*d));

	d->l = arg;
	d->peer = p;
	chan_peer_set_data(p, d);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct dialogue *d = chan_peer_data(p);

	(void)arg;
	if (d == NULL)
		return;
	if (d->attempt != NULL)
		attempt_abandon(d->attempt);
	free(d);
}

struct logins *
logins_new(const struct login_args *args)
{
	static const struct chan_server_ops ops = {on_record, on_opened,
	    on_closed};
	struct logins *l = mem_alloc(sizeof(*l));
	size_t i;

	l->args = *args;
	for (i = 0; i < args->nrights && i < LOGIN_RIGHTS_MAX; i++) {
		l->rights[i] = args->rights[i];
		l->uids[i] = args->rights[i].uid;
	}
	l->server = chan_server_new(args->loop, args->listen_fd,
	    &login_contract, &ops, l, args->rights == NULL ? NULL : l->uids,
	    i, args->max_peers, false);
	return l;
}

void
logins_pause(struct logins *l)
{
	chan_server_pause(l->server);
}

void
logins_free(struct logins **lp)
{
	if (*lp == NULL)
		return;
	chan_server_free(&(*lp)->server);
	free(*lp);
	*lp = NULL;
}
