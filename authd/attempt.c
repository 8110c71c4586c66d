/*
 * Attempts to log in, in authd.  User, password and address are strangers',
 * relayed by a login session that may itself have been taken over: nothing here
 * but the answer tells it anything, and a user who does not exist costs the
 * same work and the same time as a wrong password.
 *
 * An attempt whose session hangs up is still verified and counted: the delay is
 * no reason to try elsewhere.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "authd/attempt.h"
#include "authd/counters.h"
#include "authd/directory.h"
#include "authd/failures.h"
#include "authd/name.h"
#include "authd/remember.h"
#include "authd/sasl.h"
#include "authd/ticket.h"
#include "authd/upgrade.h"
#include "authd/verify.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/conf/password.h"
#include "common/conf/secrets.h"
#include "common/io/loop.h"
#include "common/io/socketmap.h"

#define TEXT_MAX ((size_t)24 * 1024)
#define NAME_SHOWN 255

struct attempts {
	struct attempts_args args;
	struct name name, other; /* scratch */
	struct mailbox mailbox;  /* scratch */
	char dummy[PASSWORD_STORED_MAX + 1];
	LIST_HEAD(attempt_list, attempt) list;
};

struct attempt {
	struct attempts *all;
	LIST_ENTRY(attempt) list;
	const struct attempt_ops *ops;
	void *arg;
	bool gone;                /* nobody listens */
	bool asked;               /* the client's turn */
	bool sasl;
	struct sasl x;            /* sasl */
	uint32_t mechanism;       /* !sasl: enum login_mechanism */
	unsigned steps;
	struct loop_timer *timer; /* holds the answer back; NULL until then */
	struct socketmap *hook;   /* under way; NULL: none */
	int64_t started_ms;       /* when the client's last octets came */
	struct ip ip;
	unsigned scope;
	bool exists;              /* has something to be compared with */
	bool cheap;               /* comparing costs less than a hash */
	const char *why;          /* for the log, if it fails */
	struct secrets secrets;   /* views of text */
	unsigned candidate[SECRETS_MAX]; /* what was given to the verifier */
	unsigned char sum[REMEMBER_SUM];
	bool summed;
	/* slices into text */
	struct slice service, sid, user, client_ip, secret, challenge;
	struct slice mechanism_name;
	struct ticket_owner owner;
	struct buf text;          /* never moves; wiped */
};

static const char why_wrong[] = "wrong password";

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
	LIST_REMOVE(a, list);
	socketmap_drop(&a->hook);
	loop_timer_free(&a->timer);
	if (a->sasl)
		sasl_free(&a->x);
	buf_wipe(&a->text);
	free(a);
}

/* ---- the end ---- */

static void
end_with(struct attempt *a, const struct attempt_end *end)
{
	if (!a->gone)
		a->ops->done(a->arg, end);
	attempt_free(a);
}

static void
end_as(struct attempt *a, enum login_result result)
{
	struct attempt_end end = {result, SLICE_EMPTY, SLICE_EMPTY,
	    SLICE_EMPTY, SLICE_EMPTY};

	end_with(a, &end);
}

static void
end_failed(void *arg)
{
	end_as(arg, LOGIN_FAILED);
}

static void
log_attempt(const struct attempt *a, const char *verb, const char *why)
{
	LOG_INFO(verb, LB("sid", a->sid), LB("user", a->user),
	    LB("service", a->service), LB("mech", a->mechanism_name),
	    LB("ip", a->client_ip), why != NULL ? LS("why", why)
	    : LU("ms", loop_now(a->all->args.loop) - a->started_ms));
}

static void
login_failed(struct attempt *a)
{
	const struct attempts_args *args = &a->all->args;
	int64_t now = loop_now(args->loop), until;

	until = a->started_ms + failures_add(args->failures, &a->ip, a->user,
	    now);
	stats_add(COUNT_LOGINS_BAD, 1);
	log_attempt(a, "login-failed", a->why);
	if (a->gone) {
		attempt_free(a);
		return;
	}
	/* Counted from the arrival, so that the hash's time does not show. */
	a->timer = loop_timer_new(args->loop, end_failed, a);
	loop_timer_set(a->timer, until > now ? until : now);
}

static void
login_temp(struct attempt *a, const char *why)
{
	stats_add(COUNT_LOGINS_UNDECIDED, 1);
	log_attempt(a, "login-undecided", why);
	end_as(a, LOGIN_TEMP);
}

static void
login_blocked(struct attempt *a)
{
	stats_add(COUNT_LOGINS_BLOCKED, 1);
	log_attempt(a, "login-blocked", "too many failures");
	end_as(a, LOGIN_BLOCKED);
}

/* which: the secret that was right, or -1. */
static void
login_good(struct attempt *a, int which)
{
	const struct attempts_args *args = &a->all->args;
	struct attempt_end end = {LOGIN_OK, a->owner.user, SLICE_EMPTY,
	    a->mechanism_name, SLICE_EMPTY};
	unsigned char ticket[TICKET_LEN];
	int64_t now = loop_now(args->loop);

	failures_forgive(args->failures, &a->ip, a->user, now);
	if (a->gone) {
		log_attempt(a, "login-abandoned", NULL);
		attempt_free(a);
		return;
	}
	if (a->scope != SECRETS_SUBMISSION) {
		if (!ticket_issue(args->tickets, &a->owner, now,
		    (int64_t)args->conf->ticket_life_ms, ticket)) {
			login_temp(a, "too many tickets are out");
			return;
		}
		end.ticket = slice_mem(ticket, sizeof(ticket));
	}
	if (which >= 0)
		end.secret = a->secrets.v[which].name;
	stats_add(COUNT_LOGINS_GOOD, 1);
	stats_observe(COUNT_LOGIN_TIME, (now - a->started_ms) * 1000);
	log_attempt(a, "login", NULL);
	end_with(a, &end);
	explicit_bzero(ticket, sizeof(ticket));
}

/* ---- the account ---- */

enum found { FOUND_READY, FOUND_BLOCKED, FOUND_FAULT };

static void
take_secrets(struct attempt *a, const struct mailbox *m)
{
	const char *why = NULL;

	if (!secrets_parse(keep(a, m->password), keep(a, m->extra),
	    &a->secrets, &why))
		LOG_WARN("wrong-entry", LB("user", a->user), LS("why", why));
	a->exists = true;
	a->owner = (struct ticket_owner){a->service, a->sid,
	    keep(a, m->address), m->uid, m->gid, keep(a, m->home),
	    keep(a, m->maildir)};
}

/* RFC 4422 2: the identity to act as; only one's own. */
static void
check_authzid(struct attempt *a, struct slice authzid)
{
	struct attempts *all = a->all;
	struct slice local = directory_local_domain(all->args.directory);
	const char *why;

	if (authzid.len == 0 || !a->exists)
		return;
	if (name_parse(&all->other, authzid, local, &why) &&
	    directory_domain(all->args.directory, &all->other) !=
	    DOMAIN_ERROR && slice_eq(all->other.full, a->owner.user))
		return;
	a->why = "to act as another user is not allowed";
	a->exists = false;
	a->secrets.n = a->secrets.ncerts = 0;
}

/* False: the tables cannot be read.  Nobody has no secrets. */
static bool
find_account(struct attempt *a, struct slice user)
{
	struct attempts *all = a->all;
	struct directory *d = all->args.directory;
	enum directory_domain domain;
	const char *why;

	a->exists = false;
	a->secrets.n = a->secrets.ncerts = 0;
	a->why = "no such user";
	a->user = keep(a, slice_sub(user, 0, NAME_SHOWN));
	if (memchr(user.p, '\0', user.len) != NULL ||
	    !name_parse(&all->name, user, directory_local_domain(d), &why))
		return true;
	domain = directory_domain(d, &all->name);
	a->user = keep(a, all->name.full);
	if (domain == DOMAIN_ERROR)
		return false;
	if (domain == DOMAIN_REMOTE)
		return true;
	switch (directory_mailbox(d, all->name.local, all->name.domain,
	    domain == DOMAIN_LOCAL, &all->mailbox)) {
	case DIRECTORY_ERROR:
		return false;
	case DIRECTORY_NONE:
		return true;
	case DIRECTORY_FOUND:
		break;
	}
	take_secrets(a, &all->mailbox);
	a->why = a->secrets.n == 0 ? "no password is set, or it is locked"
	    : why_wrong;
	return true;
}

static enum found
find(struct attempt *a, struct slice user, struct slice authzid)
{
	if (!find_account(a, user) || a->text.overflow)
		return FOUND_FAULT;
	check_authzid(a, authzid);
	return failures_blocked(a->all->args.failures, &a->ip, a->user,
	    a->started_ms) ? FOUND_BLOCKED : FOUND_READY;
}

/* True: the attempt can go on. */
static bool
find_or_end(struct attempt *a, struct slice user, struct slice authzid)
{
	switch (find(a, user, authzid)) {
	case FOUND_READY:
		return true;
	case FOUND_BLOCKED:
		login_blocked(a);
		return false;
	case FOUND_FAULT:
		break;
	}
	login_temp(a, "the tables cannot be read");
	return false;
}

/* ---- passwords ---- */

static void on_verified(void *arg, const struct verify_answer *answer);

static bool
submit(struct attempt *a, struct verify_request *request,
    const struct slice *stored, size_t n)
{
	struct slice copy[VERIFY_STORED_MAX];

	memcpy(copy, stored, n * sizeof(*stored));
	request->stored = (struct slices){copy, n};
	return verifier_submit(a->all->args.verifier, request, on_verified, a);
}

/* A failure without a hash is given the work of one, once. */
static bool
verify_dummy(struct attempt *a)
{
	struct slice dummy = slice_of(a->all->dummy);
	struct verify_request request = {.mechanism = LOGIN_PLAIN,
	    .secret = SLICE("x"), .challenge = SLICE_EMPTY};

	if (!a->cheap)
		return false;
	a->cheap = a->exists = false;
	return submit(a, &request, &dummy, 1);
}

static void
remember_right(struct attempt *a, unsigned which)
{
	const struct attempts_args *args = &a->all->args;

	if (a->summed && args->conf->auth_remember_ms > 0)
		remember_put(args->remember, a->sum, loop_now(args->loop),
		    which);
}

static void
on_verified(void *arg, const struct verify_answer *answer)
{
	struct attempt *a = arg;
	unsigned which;

	if (answer->result == VERIFY_FAULT) {
		login_temp(a, "the verifying child failed");
		return;
	}
	if (answer->result == VERIFY_OK && a->exists) {
		which = a->candidate[answer->which];
		remember_right(a, which);
		if (answer->better.len > 0)
			upgrade_note(a->all->args.upgrades_fd, a->owner.user,
			    a->secrets.v[which].stored, answer->better);
		login_good(a, (int)which);
		return;
	}
	if (answer->result == VERIFY_UNUSABLE)
		a->why = "the stored password has an unknown scheme";
	if (!verify_dummy(a))
		login_failed(a);
}

/* The secrets that may open this service, in the form asked for. */
static size_t
candidates(struct attempt *a, bool plain_only,
    struct slice v[VERIFY_STORED_MAX])
{
	bool slow = false;
	struct slice plain;
	const char *why;
	size_t n = 0, i;

	for (i = 0; i < a->secrets.n; i++) {
		const struct secret *s = &a->secrets.v[i];
		bool is_plain = password_plain(s->stored, &plain);

		if ((s->scopes & a->scope) == 0 || (plain_only && !is_plain))
			continue;
		if (!is_plain && password_known(s->stored, &why))
			slow = true;
		a->candidate[n] = (unsigned)i;
		v[n++] = s->stored;
	}
	a->cheap = !plain_only && !slow;
	return n;
}

static bool
remembered(struct attempt *a, struct slice secret, unsigned *which)
{
	const struct attempts_args *args = &a->all->args;

	if (!a->exists || args->conf->auth_remember_ms == 0)
		return false;
	a->summed = remember_sum(args->remember, a->owner.user, secret,
	    &a->secrets, a->sum);
	return a->summed && remember_has(args->remember, a->sum,
	    loop_now(args->loop), (int64_t)args->conf->auth_remember_ms,
	    which) && *which < a->secrets.n &&
	    (a->secrets.v[*which].scopes & a->scope) != 0;
}

static void
check_password(struct attempt *a, struct slice secret)
{
	const struct conf *conf = a->all->args.conf;
	struct verify_request request = {.mechanism = LOGIN_PLAIN,
	    .secret = secret, .challenge = SLICE_EMPTY,
	    .better = conf->auth_upgrade && a->all->args.upgrades_fd >= 0
	    ? conf->password_scheme + 1 : 0};
	struct slice v[VERIFY_STORED_MAX];
	unsigned which;
	size_t n;

	if (secret.len > PASSWORD_STORED_MAX)
		request.secret = SLICE_EMPTY; /* never right */
	if (remembered(a, secret, &which)) {
		stats_add(COUNT_REMEMBERED, 1);
		login_good(a, (int)which);
		return;
	}
	n = a->exists ? candidates(a, false, v) : 0;
	if (n == 0) {
		a->exists = a->cheap = false;
		v[n++] = slice_of(a->all->dummy);
	} else if (a->candidate[0] != 0) {
		request.better = 0;
	}
	if (!submit(a, &request, v, n))
		login_temp(a, "auth_queue_max logins are waiting");
}

static void
check_apop(struct attempt *a)
{
	struct verify_request request = {.mechanism = LOGIN_APOP,
	    .secret = a->secret, .challenge = a->challenge};
	struct slice v[VERIFY_STORED_MAX];
	size_t n = a->exists ? candidates(a, true, v) : 0;

	/* The digest is as cheap for users who do not exist. */
	a->cheap = false;
	if (a->exists && a->secrets.n > 0)
		a->why = n == 0 ? "APOP needs a {PLAIN} password"
		    : "wrong digest";
	if (n == 0) {
		a->exists = false;
		v[n++] = slice_of(a->all->dummy);
	}
	if (!submit(a, &request, v, n))
		login_temp(a, "auth_queue_max logins are waiting");
}

/* ---- SASL ---- */

static void act(struct attempt *a, enum sasl_result result);

static void
on_derived(void *arg, const struct verify_answer *answer)
{
	struct attempt *a = arg;
	struct scram_keys *k = &a->x.keys;

	if (answer->result != VERIFY_OK ||
	    answer->keys.len != sizeof(k->stored) + sizeof(k->server)) {
		login_temp(a, "the verifying child failed");
		return;
	}
	memcpy(k->stored, answer->keys.p, sizeof(k->stored));
	memcpy(k->server, answer->keys.p + sizeof(k->stored),
	    sizeof(k->server));
	act(a, sasl_derived(&a->x, a->exists));
}

static void
derive(struct attempt *a)
{
	const struct scram_keys *k = &a->x.keys;
	struct slice stored = a->x.which >= 0 && a->exists
	    ? a->secrets.v[a->x.which].stored : slice_of(a->all->dummy);
	struct verify_request request = {.mechanism = VERIFY_DERIVE,
	    .stored = {&stored, 1}, .secret = slice_mem(k->salt, k->nsalt),
	    .challenge = SLICE_EMPTY, .iterations = k->iterations,
	    .hash = k->hash};

	if (!verifier_submit(a->all->args.verifier, &request, on_derived, a))
		login_temp(a, "auth_queue_max logins are waiting");
}

/* The hook says whose the token is; the client may have said, too, and then
 * both must mean the same account. */
static void
on_token(void *arg, enum socketmap_result result, struct slice value)
{
	struct attempt *a = arg;

	a->hook = NULL;
	if (result == SOCKETMAP_ERROR) {
		login_temp(a, "oauth_introspect gave no answer");
		return;
	}
	a->why = "the token is nobody's";
	if (result == SOCKETMAP_FOUND) {
		if (!find_or_end(a, keep(a, slice_trim(value)),
		    a->x.authzid))
			return;
	} else {
		a->user = keep(a, slice_sub(a->x.name, 0, NAME_SHOWN));
		a->exists = false;
	}
	act(a, sasl_token(&a->x, a->exists));
}

static void
ask_hook(struct attempt *a)
{
	const struct conf *conf = a->all->args.conf;

	a->user = keep(a, slice_sub(a->x.name, 0, NAME_SHOWN));
	if (failures_blocked(a->all->args.failures, &a->ip, a->user,
	    a->started_ms)) {
		login_blocked(a);
		return;
	}
	a->hook = conf->oauth_introspect[0] == '\0' ? NULL
	    : socketmap_ask(a->all->args.loop, conf->oauth_introspect,
	    SLICE("token"), a->x.password, (int64_t)conf->oauth_timeout_ms,
	    on_token, a);
	if (a->hook == NULL)
		login_temp(a, "oauth_introspect cannot be asked");
}

static void
act(struct attempt *a, enum sasl_result result)
{
	if (result == SASL_ACCOUNT) {
		if (!find_or_end(a, a->x.name, a->x.authzid))
			return;
		/* Nobody's salt, too, is the same however the name is written. */
		a->x.name = a->user;
		result = sasl_account(&a->x, &a->secrets);
	}
	switch (result) {
	case SASL_MORE:
		a->asked = true;
		if (a->gone)
			attempt_abandon(a);
		else
			a->ops->challenge(a->arg, buf_slice(&a->x.out));
		return;
	case SASL_PASSWORD:
		check_password(a, a->x.password);
		return;
	case SASL_DERIVE:
		derive(a);
		return;
	case SASL_TOKEN:
		ask_hook(a);
		return;
	case SASL_GOOD:
		if (a->exists)
			login_good(a, a->x.which);
		else
			login_failed(a);
		return;
	case SASL_WRONG:
		login_failed(a);
		return;
	case SASL_BROKEN:
	case SASL_ACCOUNT:
		break;
	}
	log_attempt(a, "login-malformed", "not what the mechanism allows");
	end_as(a, LOGIN_MALFORMED);
}

/* ---- from outside ---- */

static bool
is_configured(const struct attempts *all, const struct sasl_mechanism *m)
{
	const struct conf_list *list = &all->args.conf->auth_mechanisms;
	size_t i;

	for (i = 0; i < list->n; i++)
		if (slice_ieq(slice_of(list->v[i]), m->name))
			return true;
	return false;
}

/* May it be used on a connection with these properties? */
static bool
is_allowed(const struct attempts *all, const struct sasl_mechanism *m,
    uint32_t flags, bool binding, bool certificate)
{
	if (!is_configured(all, m))
		return false;
	if ((m->needs & SASL_EXPOSES) != 0 && flags == 0)
		return false;
	if ((m->needs & SASL_NEEDS_HOOK) != 0 &&
	    all->args.conf->oauth_introspect[0] == '\0')
		return false;
	return ((m->needs & SASL_BINDS) == 0 ||
	    (binding && (flags & LOGIN_TLS) != 0)) &&
	    ((m->needs & SASL_CERTIFICATE) == 0 ||
	    (certificate && (flags & LOGIN_TLS) != 0));
}

/* Would it serve anybody?  Clients that find SCRAM try nothing else, and fail
 * where only hashes are stored. */
static bool
is_useful(const struct sasl_mechanism *m, unsigned forms)
{
	unsigned keys = m->hash == SCRAM_SHA1 ? DIRECTORY_SCRAM_SHA1
	    : DIRECTORY_SCRAM_SHA256;

	if ((m->needs & SASL_NEEDS_PLAIN) != 0)
		return (forms & DIRECTORY_PLAIN) != 0;
	if ((m->needs & SASL_NEEDS_KEYS) != 0)
		return (forms & (DIRECTORY_PLAIN | keys)) != 0;
	return true;
}

void
attempts_offer(struct attempts *all, const struct login_ask *ask,
    struct buf *out)
{
	unsigned forms = directory_forms(all->args.directory);
	size_t i;

	for (i = 0; i < sasl_nmechanisms; i++) {
		const struct sasl_mechanism *m = &sasl_mechanisms[i];

		if (!is_allowed(all, m, ask->flags, ask->binding != 0,
		    ask->certificate != 0) || !is_useful(m, forms))
			continue;
		if (out->len > 0)
			buf_addc(out, ' ');
		buf_addslice(out, m->name);
	}
}

static struct attempt *
attempt_new(struct attempts *all, const struct attempt_ops *ops, void *arg)
{
	struct attempt *a = mem_alloc(sizeof(*a));

	a->all = all;
	a->ops = ops;
	a->arg = arg;
	a->started_ms = loop_now(all->args.loop);
	buf_init(&a->text, TEXT_MAX);
	(void)buf_room(&a->text, TEXT_MAX); /* never moves */
	a->user = a->secret = a->challenge = SLICE_EMPTY;
	LIST_INSERT_HEAD(&all->list, a, list);
	return a;
}

static void
set_session(struct attempt *a, struct slice service, struct slice sid,
    struct slice client_ip)
{
	a->service = keep(a, service);
	a->sid = keep(a, sid);
	a->client_ip = keep(a, client_ip);
	a->scope = secrets_service(service);
	/* What has no address counts as one: sessions from a UNIX socket. */
	if (!ip_parse(client_ip, &a->ip))
		memset(&a->ip, 0, sizeof(a->ip));
}

struct attempt *
attempt_new_try(struct attempts *all, const struct login_try *msg,
    const struct attempt_ops *ops, void *arg)
{
	struct attempt *a = attempt_new(all, ops, arg);

	set_session(a, msg->service, msg->sid, msg->client_ip);
	a->mechanism = msg->mechanism;
	a->mechanism_name = msg->mechanism == LOGIN_APOP ? SLICE("APOP")
	    : SLICE("USER");
	a->user = keep(a, msg->user);
	a->secret = keep(a, msg->secret);
	a->challenge = keep(a, msg->challenge);
	return a;
}

struct attempt *
attempt_new_sasl(struct attempts *all, const struct login_start *msg,
    const struct attempt_ops *ops, void *arg)
{
	const struct sasl_mechanism *m = sasl_find(msg->mechanism), *plus;
	struct attempt *a = attempt_new(all, ops, arg);
	bool binding = msg->tls_exporter.len + msg->tls_end_point.len > 0;
	struct sasl_facts facts = {
		.hostname = slice_of(all->args.conf->hostname),
		.exporter = keep(a, msg->tls_exporter),
		.end_point = keep(a, msg->tls_end_point),
		.cert = keep(a, msg->client_cert),
		.salt_key = all->args.salt_key,
		.iterations = (uint32_t)all->args.conf->scram_iterations,
	};

	set_session(a, msg->service, msg->sid, msg->client_ip);
	if (m == NULL || !is_allowed(all, m, msg->flags, binding,
	    msg->client_cert.len > 0)) {
		a->mechanism_name = SLICE("?");
		return a;
	}
	plus = sasl_find(m->hash == SCRAM_SHA1 ? SLICE("SCRAM-SHA-1-PLUS")
	    : SLICE("SCRAM-SHA-256-PLUS"));
	facts.plus_offered = is_allowed(all, plus, msg->flags, binding, false);
	facts.scope = a->scope;
	a->mechanism_name = m->name;
	a->sasl = true;
	sasl_init(&a->x, m, &facts);
	return a;
}

void
attempt_run(struct attempt *a, bool has_in, struct slice in)
{
	struct slice user = a->user;

	if (a->sasl) {
		act(a, sasl_start(&a->x, has_in, in));
	} else if (a->mechanism == 0) {
		end_as(a, LOGIN_UNKNOWN);
	} else if (find_or_end(a, user, SLICE_EMPTY)) {
		if (a->mechanism == LOGIN_APOP)
			check_apop(a);
		else
			check_password(a, a->secret);
	}
}

bool
attempt_asked(const struct attempt *a)
{
	return a->asked;
}

void
attempt_response(struct attempt *a, struct slice data)
{
	a->asked = false;
	a->started_ms = loop_now(a->all->args.loop);
	if (++a->steps > LOGIN_STEPS_MAX)
		end_as(a, LOGIN_MALFORMED);
	else
		act(a, sasl_step(&a->x, data));
}

void
attempt_cancel(struct attempt *a)
{
	if (a->x.doomed)
		login_failed(a);
	else
		end_as(a, LOGIN_CANCELLED);
}

void
attempt_abandon(struct attempt *a)
{
	a->gone = true;
	if (a->asked && a->x.doomed)
		login_failed(a);
	else if (a->asked || a->timer != NULL)
		attempt_free(a);
}

struct attempts *
attempts_new(const struct attempts_args *args)
{
	struct attempts *all = mem_alloc(sizeof(*all));
	struct buf dummy = BUF_INIT(PASSWORD_STORED_MAX);

	all->args = *args;
	name_init(&all->name);
	name_init(&all->other);
	mailbox_init(&all->mailbox);
	password_dummy((enum password_scheme)args->conf->password_scheme,
	    &dummy);
	memcpy(all->dummy, dummy.s, dummy.len + 1);
	buf_wipe(&dummy);
	return all;
}

bool
attempts_busy(const struct attempts *all)
{
	const struct attempt *a;

	/* Who is asked has all the time; that is nothing to wait for. */
	LIST_FOREACH(a, &all->list, list)
		if (!a->asked)
			return true;
	return false;
}

void
attempts_free(struct attempts **ap)
{
	struct attempts *all = *ap;
	struct attempt *a, *next;

	if (all == NULL)
		return;
	for (a = LIST_FIRST(&all->list); a != NULL; a = next) {
		next = LIST_NEXT(a, list);
		attempt_free(a);
	}
	name_free(&all->name);
	name_free(&all->other);
	mailbox_free(&all->mailbox);
	free(all);
	*ap = NULL;
}
