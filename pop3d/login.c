/*
 * The login session: POP3's AUTHORIZATION state (RFC 1939 4).  A process of its
 * own for each connection, in a cage without files.  Its input is the client's,
 * which nobody knows yet.  It asks authd whether a login is right, and hands
 * the client with the ticket it gets to the mailbox parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/conf/conf.h"
#include "common/front/front.h"
#include "common/io/chan.h"
#include "common/io/stream.h"
#include "common/proto/login.h"
#include "common/proto/mailbox.h"
#include "common/proto/session.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "pop3d/auth.h"
#include "pop3d/counters.h"
#include "pop3d/login.h"
#include "pop3d/session.h"

#define CHANNEL_WAIT_MS 10000 /* for the parent to connect */
#define LOGIN_WAIT_MS 120000  /* for authd: hashes queue up, failures are slow */
#define OPEN_WAIT_MS 20000    /* for the mailbox parent */
#define HINT_MS 500            /* how long its answer is good for all */
#define OFFER_WAIT_MS 5000     /* for authd, before the greeting */
#define NAME_MAX_OCTETS 1024  /* what the contract "login" takes */
#define SERVICE_NAME SLICE("pop3")

struct login {
	const char *sid;
	struct front_way way; /* until parent is made */
	struct login_hint *hint; /* shared with all sessions */
	struct chan *parent; /* made at the first need */
	struct chan *auth;   /* contract "login", likewise */
	uint64_t rid;
	struct buf user;     /* of USER */
	/* APOP's, with its brackets; "": no APOP.  An idle session takes no
	 * memory from the heap, where each octet costs it a page. */
	char challenge[400];
	unsigned failed;     /* logins */
};

/* A daemon that is being restarted is back in a moment: a client need not
 * hear of it. */
static int
get_channel(struct login *l, enum session_service service)
{
	static const long pauses_ms[] = {0, 20, 50, 100, 200, 500, 1000};
	int fd = front_take(&l->way, service == SERVICE_LOGIN ? 0 : 1);

	if (fd != -1)
		return fd;
	if (l->parent == NULL)
		l->parent = front_parent(&l->way);
	if (l->parent == NULL)
		return -1;
	for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]) &&
	    fd == -1; i++) {
		struct timespec pause = {pauses_ms[i] / 1000,
		    pauses_ms[i] % 1000 * 1000000};

		if (i > 0)
			nanosleep(&pause, NULL);
		fd = session_get_channel(l->parent, service,
		    clock_mono_ms() + CHANNEL_WAIT_MS);
	}
	return fd;
}

enum state
login_not_now(struct session *s)
{
	reply_no(s, "SYS/TEMP", "Login is not possible now, try again later");
	return STATE_AUTHORIZATION;
}

/* --- the mailbox parent --- */

static enum state
answer_refusal(struct session *s, uint32_t result)
{
	if (result == MAILBOX_IN_USE) {
		reply_error(s, "IN-USE", "Too many sessions of this user");
		return STATE_AUTHORIZATION;
	}
	return login_not_now(s);
}

/*
 * From the moment the descriptor is sent the client may be somebody else's, and
 * two must not speak to it: without a clear answer this process ends in
 * silence.
 */
static enum state
hand_over(struct session *s, struct slice ticket)
{
	struct mailbox_open open = {
		.ticket = ticket,
		.service = SERVICE_NAME,
		.sid = slice_of(s->login->sid),
		.client_ip = slice_of(s->ip),
		.leftover = stream_leftover(s->net),
		.flags = s->utf8 ? MAILBOX_UTF8 : 0,
	};
	union mailbox_msg msg;
	struct chan *c;
	size_t nfds = 0;
	uint16_t type;
	int copy, fds[CHAN_MAX_FDS];
	int fd = get_channel(s->login, SERVICE_MAILBOX);

	if (fd == -1)
		return login_not_now(s);
	copy = fcntl(stream_fd(s->net), F_DUPFD_CLOEXEC, 0);
	if (copy == -1) {
		close(fd);
		return login_not_now(s);
	}
	c = chan_new(fd, &mailbox_contract, CHAN_CLIENT);
	chan_send_fds(c, MAILBOX_OPEN, &open, &copy, 1);
	if (chan_wait(c, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + OPEN_WAIT_MS) == CHAN_OK &&
	    msg.opened.result != MAILBOX_OK) {
		chan_wipe(c);
		chan_free(&c);
		return answer_refusal(s, msg.opened.result);
	}
	chan_wipe(c);
	chan_free(&c);
	s->handed_over = true;
	s->end = "login";
	return STATE_CLOSED;
}

/* --- authd --- */

static bool
connect_authd(struct login *l)
{
	int fd;

	if (l->auth != NULL)
		return true;
	fd = get_channel(l, SERVICE_LOGIN);
	if (fd == -1)
		return false;
	l->auth = chan_new(fd, &login_contract, CHAN_CLIENT);
	return true;
}

struct login_hint *
login_hint(struct session *s)
{
	return s->login->hint;
}

/* Is there somebody whom APOP would serve?  Where authd is silent: no. */
static bool
apop_useful(struct login *l)
{
	struct login_offer offer = {0};
	union login_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds = 0;
	uint16_t type;

	if (__atomic_load_n(&l->hint->until_ms, __ATOMIC_RELAXED) >
	    clock_mono_ms())
		return __atomic_load_n(&l->hint->apop, __ATOMIC_RELAXED) != 0;
	if (!connect_authd(l))
		return false;
	chan_send(l->auth, LOGIN_OFFER, &offer);
	if (chan_wait(l->auth, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + OFFER_WAIT_MS) == CHAN_OK &&
	    type == LOGIN_OFFERS) {
		__atomic_store_n(&l->hint->apop, msg.offers.apop,
		    __ATOMIC_RELAXED);
		__atomic_store_n(&l->hint->until_ms, clock_mono_ms() +
		    HINT_MS, __ATOMIC_RELAXED);
		return msg.offers.apop != 0;
	}
	chan_free(&l->auth);
	return false;
}

/* One question; false: there is nobody to answer. */
static bool
ask(struct session *s, const struct login_try *attempt,
    struct login_answer *answer)
{
	struct login *l = s->login;
	union login_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds = 0;
	uint16_t type;

	if (!connect_authd(l))
		return false;
	chan_send(l->auth, LOGIN_TRY, attempt);
	if (chan_wait(l->auth, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + LOGIN_WAIT_MS) == CHAN_OK &&
	    msg.answer.rid == attempt->rid) {
		*answer = msg.answer;
		return true;
	}
	chan_free(&l->auth);
	return false;
}

enum state
login_conclude(struct session *s, uint32_t result, struct slice ticket,
    struct slice user)
{
	/* Two parties must not speak out of turn: what was answered to earlier
	 * commands leaves before the mailbox process says anything. */
	if (result == LOGIN_OK && ticket.len == TICKET_LEN) {
		stats_add(COUNT_LOGINS_GOOD, 1);
		if (stream_flush(s->net) == STREAM_OK)
			return hand_over(s, ticket);
		s->end = "closed";
		return STATE_CLOSED;
	}
	stats_add(result == LOGIN_FAILED ? COUNT_LOGINS_BAD :
	    result == LOGIN_BLOCKED ? COUNT_LOGINS_BLOCKED :
	    COUNT_LOGINS_UNDECIDED, 1);
	LOG_INFO("login-failed", LS("ip", s->ip), LB("user", user),
	    LS("why", result == LOGIN_FAILED ? "failed" :
	    result == LOGIN_BLOCKED ? "blocked" : "temporary"));
	if (result == LOGIN_BLOCKED) {
		reply_error(s, "SYS/TEMP", "Too many failed logins, "
		    "try again later");
		return STATE_AUTHORIZATION;
	}
	if (result != LOGIN_FAILED)
		return login_not_now(s);
	s->login->failed++;
	/* RFC 3206 4: the one case in which asking the user again helps */
	reply_error(s, "AUTH", "Login failed");
	return STATE_AUTHORIZATION;
}

/* --- for AUTH --- */

struct chan *
login_authd(struct session *s)
{
	return connect_authd(s->login) ? s->login->auth : NULL;
}

void
login_authd_drop(struct session *s)
{
	chan_free(&s->login->auth);
}

bool
login_authd_open(const struct session *s)
{
	return s->login->auth != NULL;
}

uint32_t
login_flags(const struct session *s)
{
	return s->conf->pop3_plaintext_login ? LOGIN_EXPOSED : 0;
}

struct slice
login_sid(const struct session *s)
{
	return slice_of(s->login->sid);
}

static enum state
try_login(struct session *s, enum login_mechanism mechanism, struct slice user,
    struct slice secret)
{
	struct login *l = s->login;
	struct login_answer answer;
	struct login_try attempt = {
		.rid = ++l->rid,
		.mechanism = mechanism,
		.service = SERVICE_NAME,
		.sid = slice_of(l->sid),
		.user = user,
		.secret = secret,
		.challenge = mechanism == LOGIN_APOP
		    ? slice_of(l->challenge) : SLICE_EMPTY,
		.client_ip = slice_of(s->ip),
	};
	bool had = l->auth != NULL;
	enum state next;

	/* authd may have been restarted since the last attempt. */
	if (!ask(s, &attempt, &answer) && !(had && ask(s, &attempt, &answer)))
		return login_not_now(s);
	next = login_conclude(s, answer.result, answer.ticket, user);
	if (l->auth != NULL)
		chan_wipe(l->auth);
	return next;
}

/* --- commands --- */

static bool
plaintext_allowed(struct session *s)
{
	if (s->conf->pop3_plaintext_login)
		return true;
	reply_error(s, "", "Logins in plain text are not allowed here");
	return false;
}

static enum state
cmd_user(struct session *s, struct slice arg)
{
	if (!plaintext_allowed(s))
		return STATE_AUTHORIZATION;
	arg = slice_trim(arg);
	if (arg.len == 0 || arg.len > NAME_MAX_OCTETS) {
		reply_error(s, "", "Not a user name");
		return STATE_AUTHORIZATION;
	}
	buf_reset(&s->login->user);
	buf_addslice(&s->login->user, arg);
	/* RFC 1939 13: not a word on whether there is such a user */
	reply_ok(s, "Now the password");
	return STATE_USER;
}

/* RFC 1939 7: the password is the rest of the line, spaces included. */
static enum state
cmd_pass(struct session *s, struct slice arg)
{
	if (arg.len > NAME_MAX_OCTETS) {
		reply_error(s, "AUTH", "Login failed");
		return STATE_AUTHORIZATION;
	}
	return try_login(s, LOGIN_PLAIN, buf_slice(&s->login->user), arg);
}

/* "name digest": the name may have spaces, the digest is 32 hex digits. */
static enum state
cmd_apop(struct session *s, struct slice arg)
{
	struct slice digest, user;
	size_t space;

	if (s->login->challenge[0] == '\0') {
		reply_error(s, "", "APOP is not offered here");
		return STATE_AUTHORIZATION;
	}
	arg = slice_trim(arg);
	for (space = arg.len; space > 0 && arg.p[space - 1] != ' '; space--)
		continue;
	user = slice_trim(slice_sub(arg, 0, space));
	digest = slice_sub(arg, space, arg.len);
	if (user.len == 0 || user.len > NAME_MAX_OCTETS || digest.len != 32) {
		reply_error(s, "", "APOP needs a name and a digest");
		return STATE_AUTHORIZATION;
	}
	return try_login(s, LOGIN_APOP, user, digest);
}

/* RFC 6856 2: names and passwords may be UTF-8; they are octets here anyway,
 * and messages are sent as they are. */
static enum state
cmd_utf8(struct session *s, struct slice arg)
{
	(void)arg;
	s->utf8 = true;
	reply_ok(s, "UTF-8 it is");
	return s->state;
}

/* STLS is known, so that clients which try it are told in one word. */
static enum state
cmd_unavailable(struct session *s, struct slice arg)
{
	(void)arg;
	reply_error(s, "", "Not available here");
	return s->state;
}

static enum state
cmd_quit(struct session *s, struct slice arg)
{
	(void)arg;
	reply_ok(s, "Bye");
	s->end = "quit";
	return STATE_CLOSED;
}

#define BEFORE (IN(AUTHORIZATION) | IN(USER))

static const struct command table[] = {
	{"CAPA", BEFORE, ARGS_OPTIONAL, cmd_login_capa},
	{"USER", BEFORE, ARGS_NEEDED, cmd_user},
	{"PASS", IN(USER), ARGS_NEEDED, cmd_pass},
	{"APOP", BEFORE, ARGS_NEEDED, cmd_apop},
	{"UTF8", BEFORE, ARGS_NONE, cmd_utf8},
	{"LANG", BEFORE, ARGS_OPTIONAL, cmd_lang},
	{"STLS", BEFORE, ARGS_OPTIONAL, cmd_unavailable},
	{"AUTH", BEFORE, ARGS_OPTIONAL, cmd_auth},
	{"QUIT", BEFORE, ARGS_NONE, cmd_quit},
	/* Of the TRANSACTION state */
	{"STAT", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"LIST", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"RETR", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"DELE", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"NOOP", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"RSET", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"TOP", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
	{"UIDL", IN(TRANSACTION), ARGS_OPTIONAL, NULL},
};

static const struct commands commands = {table,
    sizeof(table) / sizeof(table[0])};

/* --- the session --- */

/* RFC 1939 7, APOP: a msg-id that never comes again */
static void
make_challenge(const struct conf *conf, struct login *l)
{
	if (conf->pop3_apop == CONF_POP3_APOP_YES ||
	    (conf->pop3_apop == CONF_POP3_APOP_AUTO && apop_useful(l)))
		snprintf(l->challenge, sizeof(l->challenge), "<%016" PRIx64
		    "%016" PRIx64 ".%" PRId64 "@%s>", random_u64(),
		    random_u64(), clock_real_ms(), conf->hostname);
}

static void
greet(struct session *s)
{
	make_challenge(s->conf, s->login);
	if (s->login->challenge[0] != '\0')
		reply_ok(s, "POP3 ready %s", s->login->challenge);
	else
		reply_ok(s, "POP3 ready");
}

static void
serve(struct session *s, const struct front_client *client)
{
	struct ip ip = client->ip, local = client->local;
	char text[IP_TEXT_SIZE];
	int64_t proxy_ms = s->start_ms + (int64_t)s->conf->proxy_timeout_ms;

	s->net = client->net;
	stream_attach(s->net, client->fd);
	s->end = "proxy";
	if (!client->proxy ||
	    front_read_proxy(s->net, proxy_ms, &ip, &local)) {
		ip_text(&ip, text);
		s->ip = text;
		proc_title("session %s", text);
		greet(s);
		session_serve(s, &commands);
		LOG_INFO("connection", LS("ip", text),
		    LU("failed", s->login->failed), LU("errors", s->errors),
		    LI("ms", clock_mono_ms() - s->start_ms), LS("end", s->end));
	}
	stream_drop(s->net);
}

void
login_run(const struct front_client *client)
{
	const struct conf *conf = client->conf;
	int keep[] = {client->fd, client->way.door, client->way.ahead[0],
	    client->way.ahead[1]};
	struct login login = {
		.sid = client->sid,
		.way = client->way,
		.hint = client->arg,
		.user = BUF_INIT(NAME_MAX_OCTETS),
	};
	struct session s = {
		.conf = conf,
		.state = STATE_AUTHORIZATION,
		.alive_fd = -1,
		.start_ms = clock_mono_ms(),
		.idle_ms = (int64_t)conf->pop3_login_timeout_ms,
		.login = &login,
	};

	/* What the parent had in memory stays as it is: giving it back would
	 * touch, and so copy, its pages. */
	proc_close_except(keep, sizeof(keep) / sizeof(keep[0]));
	sandbox_enter(ROLE_POP3D_SESSION, NULL);
	s.end_ms = s.start_ms + (int64_t)conf->pop3_login_timeout_ms;
	serve(&s, client);
	_exit(0);
}
