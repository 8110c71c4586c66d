/*
 * Logins, in authd.  User, password and address are strangers', relayed by a
 * login session that may itself have been taken over: nothing here but the
 * answer tells it anything, and a user who does not exist costs the same work
 * and the same time as a wrong password.
 *
 * An attempt whose session hangs up is still verified and counted: the delay is
 * no reason to try elsewhere.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "authd/counters.h"
#include "authd/directory.h"
#include "authd/failures.h"
#include "authd/login.h"
#include "authd/name.h"
#include "authd/ticket.h"
#include "authd/verify.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/conf/password.h"
#include "common/io/loop.h"
#include "common/proto/login.h"

#define TEXT_MAX ((size_t)16 * 1024)

struct logins {
	struct login_args args;
	struct chan_server *server;
	struct name name;      /* scratch */
	struct mailbox mailbox; /* scratch */
	char dummy[PASSWORD_STORED_MAX + 1];
	LIST_HEAD(attempt_list, attempt) attempts;
};

/* One LOGIN_TRY, from its arrival to its answer. */
struct attempt {
	struct logins *l;
	LIST_ENTRY(attempt) list;
	struct chan_peer *peer;   /* NULL: gone */
	struct loop_timer *timer; /* holds the answer back; NULL until then */
	uint64_t rid;
	int64_t started_ms;
	struct ip ip;
	bool exists;              /* has a password to be compared with */
	bool cheap;               /* comparing costs less than a hash */
	const char *why;          /* for the log, if it fails */
	/* slices into text */
	struct slice service, sid, user, client_ip;
	struct ticket_owner owner;
	struct buf text;          /* never moves */
};

static struct slice
keep(struct attempt *a, struct slice s)
{
	size_t from = a->text.len;

	buf_addslice(&a->text, s);
	return slice_sub(buf_slice(&a->text), from, a->text.len);
}

static void
attempt_free(struct attempt *a)
{
	if (a->peer != NULL)
		chan_peer_set_data(a->peer, NULL);
	LIST_REMOVE(a, list);
	loop_timer_free(&a->timer);
	buf_free(&a->text);
	free(a);
}

/* Answers, if somebody is left to hear it, and ends the attempt. */
static void
answer(struct attempt *a, enum login_result result, struct slice ticket)
{
	struct login_answer msg = {.rid = a->rid, .result = (uint32_t)result,
	    .ticket = ticket, .user = SLICE_EMPTY};

	if (result == LOGIN_OK)
		msg.user = a->owner.user;
	if (a->peer != NULL)
		chan_peer_send(a->peer, LOGIN_ANSWER, &msg);
	attempt_free(a);
}

static void
answer_failed(void *arg)
{
	answer(arg, LOGIN_FAILED, SLICE_EMPTY);
}

static void
log_attempt(const struct attempt *a, const char *verb, const char *why)
{
	LOG_INFO(verb, LB("sid", a->sid), LB("user", a->user),
	    LB("service", a->service), LB("ip", a->client_ip),
	    why != NULL ? LS("why", why)
	    : LU("ms", loop_now(a->l->args.loop) - a->started_ms));
}

static void
login_failed(struct attempt *a)
{
	struct logins *l = a->l;
	int64_t now = loop_now(l->args.loop), until;

	until = a->started_ms + failures_add(l->args.failures, &a->ip, a->user,
	    now);
	stats_add(COUNT_LOGINS_BAD, 1);
	log_attempt(a, "login-failed", a->why);
	if (a->peer == NULL) {
		attempt_free(a);
		return;
	}
	/* Counted from the arrival, so that the hash's time does not show. */
	a->timer = loop_timer_new(l->args.loop, answer_failed, a);
	loop_timer_set(a->timer, until > now ? until : now);
}

static void
login_temp(struct attempt *a, const char *why)
{
	stats_add(COUNT_LOGINS_UNDECIDED, 1);
	log_attempt(a, "login-undecided", why);
	answer(a, LOGIN_TEMP, SLICE_EMPTY);
}

static void
login_good(struct attempt *a)
{
	struct logins *l = a->l;
	unsigned char ticket[TICKET_LEN];
	int64_t now = loop_now(l->args.loop);

	failures_forgive(l->args.failures, &a->ip, a->user, now);
	if (a->peer == NULL) {
		log_attempt(a, "login-abandoned", NULL);
		attempt_free(a);
		return;
	}
	if (!ticket_issue(l->args.tickets, &a->owner, now,
	    (int64_t)l->args.conf->ticket_life_ms, ticket)) {
		login_temp(a, "too many tickets are out");
		return;
	}
	stats_add(COUNT_LOGINS_GOOD, 1);
	stats_observe(COUNT_LOGIN_TIME, (now - a->started_ms) * 1000);
	log_attempt(a, "login", NULL);
	answer(a, LOGIN_OK, slice_mem(ticket, sizeof(ticket)));
	explicit_bzero(ticket, sizeof(ticket));
}

static void on_verified(void *arg, enum verify_result result);

/* A failure without a hash is given the work of one, once. */
static bool
verify_dummy(struct attempt *a)
{
	struct verify_request request = {LOGIN_PLAIN, slice_of(a->l->dummy),
	    SLICE("x"), SLICE_EMPTY};

	if (!a->cheap)
		return false;
	a->cheap = a->exists = false;
	return verifier_submit(a->l->args.verifier, &request, on_verified, a);
}

static void
on_verified(void *arg, enum verify_result result)
{
	struct attempt *a = arg;

	if (result == VERIFY_FAULT) {
		login_temp(a, "the verifying child failed");
		return;
	}
	if (result == VERIFY_OK && a->exists) {
		login_good(a);
		return;
	}
	if (result == VERIFY_UNUSABLE)
		a->why = "the stored password has an unknown scheme";
	if (!verify_dummy(a))
		login_failed(a);
}

/* Finds the user; false: the tables cannot be read.  Without one, or without a
 * password that fits, the dummy takes its place. */
static bool
find_user(struct logins *l, struct attempt *a, const struct login_try *msg,
    struct slice *stored)
{
	struct directory *d = l->args.directory;
	struct mailbox *m = &l->mailbox;
	enum directory_domain domain;
	struct slice plain;
	const char *why;

	*stored = slice_of(l->dummy);
	a->why = "no such user";
	a->user = keep(a, slice_sub(msg->user, 0, 255));
	if (memchr(msg->user.p, '\0', msg->user.len) != NULL ||
	    !name_parse(&l->name, msg->user, directory_local_domain(d), &why))
		return true;
	domain = directory_domain(d, &l->name);
	a->user = keep(a, l->name.full);
	if (domain == DOMAIN_ERROR)
		return false;
	if (domain == DOMAIN_REMOTE)
		return true;
	switch (directory_mailbox(d, l->name.local, l->name.domain,
	    domain == DOMAIN_LOCAL || domain == DOMAIN_LOCAL_RELAY, m)) {
	case DIRECTORY_ERROR:
		return false;
	case DIRECTORY_NONE:
		return true;
	case DIRECTORY_FOUND:
		break;
	}
	a->why = "no password is set, or it is locked";
	if (!password_usable(m->password))
		return true;
	a->why = "APOP needs a {PLAIN} password";
	if (msg->mechanism == LOGIN_APOP &&
	    !password_plain(m->password, &plain))
		return true;
	a->why = msg->mechanism == LOGIN_APOP ? "wrong digest"
	    : "wrong password";
	a->exists = true;
	/* The digest of APOP is as cheap for users who do not exist. */
	a->cheap = msg->mechanism == LOGIN_PLAIN &&
	    (password_plain(m->password, &plain) ||
	    !password_known(m->password, &why));
	a->owner = (struct ticket_owner){a->service, a->sid,
	    keep(a, m->address), m->uid, m->gid, keep(a, m->home),
	    keep(a, m->maildir)};
	*stored = m->password;
	return true;
}

static struct attempt *
attempt_new(struct logins *l, struct chan_peer *p, const struct login_try *msg)
{
	struct attempt *a = mem_alloc(sizeof(*a));

	a->l = l;
	a->peer = p;
	a->rid = msg->rid;
	a->started_ms = loop_now(l->args.loop);
	buf_init(&a->text, TEXT_MAX);
	(void)buf_room(&a->text, TEXT_MAX);
	a->service = keep(a, msg->service);
	a->sid = keep(a, msg->sid);
	a->client_ip = keep(a, msg->client_ip);
	/* What has no address counts as one: sessions from a UNIX socket. */
	if (!ip_parse(msg->client_ip, &a->ip))
		memset(&a->ip, 0, sizeof(a->ip));
	LIST_INSERT_HEAD(&l->attempts, a, list);
	chan_peer_set_data(p, a);
	return a;
}

static void
take_try(struct logins *l, struct chan_peer *p, const struct login_try *msg)
{
	struct attempt *a = attempt_new(l, p, msg);
	struct verify_request request = {.mechanism = msg->mechanism,
	    .secret = msg->secret, .challenge = msg->challenge};

	if (!find_user(l, a, msg, &request.stored)) {
		login_temp(a, "the tables cannot be read");
		return;
	}
	if (failures_blocked(l->args.failures, &a->ip, a->user,
	    a->started_ms)) {
		stats_add(COUNT_LOGINS_BLOCKED, 1);
		log_attempt(a, "login-blocked", "too many failures");
		answer(a, LOGIN_BLOCKED, SLICE_EMPTY);
		return;
	}
	if (!verifier_submit(l->args.verifier, &request, on_verified, a))
		login_temp(a, "auth_queue_max logins are waiting");
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const struct login_try *attempt = msg;

	struct login_offers offers;

	(void)fds;
	(void)nfds;
	if (type == LOGIN_OFFER) {
		offers.apop = directory_apop(((struct logins *)arg)->
		    args.directory);
		chan_peer_send(p, LOGIN_OFFERS, &offers);
		return true;
	}
	/* The contract allows one at a time. */
	if (type != LOGIN_TRY || chan_peer_data(p) != NULL || attempt->mechanism == 0) {
		LOG_WARN("login-out-of-turn", LB("sid", attempt->sid));
		return false;
	}
	take_try(arg, p, attempt);
	chan_wipe(chan_peer_chan(p));
	return true;
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct attempt *a = chan_peer_data(p);

	(void)arg;
	if (a == NULL)
		return;
	a->peer = NULL;
	/* Counted already, and nobody waits for the answer. */
	if (a->timer != NULL)
		attempt_free(a);
}

struct logins *
logins_new(const struct login_args *args)
{
	static const struct chan_server_ops ops = {on_record, NULL, on_closed};
	struct logins *l = mem_alloc(sizeof(*l));
	struct buf dummy = BUF_INIT(PASSWORD_STORED_MAX);

	l->args = *args;
	name_init(&l->name);
	mailbox_init(&l->mailbox);
	password_dummy((enum password_scheme)args->conf->password_scheme,
	    &dummy);
	memcpy(l->dummy, dummy.s, dummy.len + 1);
	buf_wipe(&dummy);
	l->server = chan_server_new(args->loop, args->listen_fd,
	    &login_contract, &ops, l, args->uids, args->nuids,
	    args->max_peers, false);
	return l;
}

void
logins_pause(struct logins *l)
{
	chan_server_pause(l->server);
}

bool
logins_busy(const struct logins *l)
{
	return !LIST_EMPTY(&l->attempts);
}

void
logins_free(struct logins **lp)
{
	struct logins *l = *lp;
	struct attempt *a, *next;

	if (l == NULL)
		return;
	chan_server_free(&l->server);
	for (a = LIST_FIRST(&l->attempts); a != NULL; a = next) {
		next = LIST_NEXT(a, list);
		attempt_free(a);
	}
	name_free(&l->name);
	mailbox_free(&l->mailbox);
	free(l);
	*lp = NULL;
}
