/*
 * The mailbox parent.  Keeps CAP_SETUID and CAP_SETGID for making mailbox
 * processes (with virtual_only: nothing).  Reads no mail, and nothing that a
 * client says but what login sessions pass on unread; those are peers that may
 * have been taken over by a client, so that every field of theirs is checked,
 * and who the client is only authd says.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/mailbox.h"
#include "common/proto/sockets.h"
#include "common/proto/ticket.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "pop3d/counters.h"
#include "pop3d/keeper.h"
#include "pop3d/mailbox.h"

#define BACKLOG 1024
#define SERVICE_NAME SLICE("pop3")
#define SID_MAX 31
#define IP_MAX 63
#define STOP_WAIT_MS 3000 /* for mailbox processes to finish their step */
#define AUTHD_WAIT_MS 3000 /* for an authd that is being restarted */

/* A client whose ticket is being redeemed. */
struct pending {
	struct pending *next;
	struct chan_peer *peer; /* the login session that waits */
	uint64_t rid;
	bool asked;             /* authd has the ticket */
	int64_t until_ms;       /* otherwise: how long it may wait */
	char ticket[TICKET_LEN];
	int fd;                 /* the client's socket; owned */
	char sid[SID_MAX + 1];
	char ip[IP_MAX + 1];
	char *leftover;         /* owned */
	size_t leftover_len;
	bool utf8;
};

/* A mailbox process. */
struct running {
	pid_t pid;              /* 0: the slot is free */
	uint64_t user;          /* hash of the canonical name */
	int fd;                 /* the client's socket, to end its input */
	int alive;              /* a pipe that ends before the last reply */
};

struct keeper {
	struct conf *conf;      /* borrowed */
	struct loop *loop;
	struct loop_timer *timer;    /* end of the stop */
	struct loop_timer *patience; /* with clients that wait for authd */
	struct chan_server *server;
	struct chan_link *authd;
	struct pending *pending;
	size_t npending;
	struct running *v;      /* max of them */
	size_t max, n;
	uint64_t seed, rid;
	uid_t uid, pop3d_uid;
	gid_t gid;
	int listen_fd;
	bool stopping;
	bool waiting;           /* patience is armed */
};

static void
answer(struct chan_peer *peer, enum mailbox_result result)
{
	struct mailbox_opened opened = {.result = result,
	    .text = SLICE_EMPTY};

	chan_peer_send(peer, MAILBOX_OPENED, &opened);
}

/* Out of the list and gone. */
static void
pending_free(struct keeper *k, struct pending *p)
{
	struct pending **at = &k->pending;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	k->npending--;
	chan_peer_set_data(p->peer, NULL);
	if (p->fd >= 0)
		close(p->fd);
	if (p->leftover_len > 0)
		explicit_bzero(p->leftover, p->leftover_len);
	free(p->leftover);
	explicit_bzero(p->ticket, sizeof(p->ticket));
	free(p);
}

static void
pending_refuse(struct keeper *k, struct pending *p, enum mailbox_result result)
{
	answer(p->peer, result);
	pending_free(k, p);
}

/* ---- login sessions ---- */

static bool
is_plain(struct slice s, size_t most)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.len > 0 && s.len <= most;
}

static bool
sound(const struct mailbox_open *o)
{
	return o->ticket.len == TICKET_LEN &&
	    slice_eq(o->service, SERVICE_NAME) && is_plain(o->sid, SID_MAX) &&
	    is_plain(o->client_ip, IP_MAX);
}

/* Shows the ticket to authd, now or once it is back. */
static void
redeem(struct keeper *k, struct pending *p)
{
	struct ticket_redeem r = {.rid = p->rid,
	    .ticket = slice_mem(p->ticket, sizeof(p->ticket)),
	    .service = SERVICE_NAME, .sid = slice_of(p->sid)};

	p->asked = chan_link_send(k->authd, TICKET_REDEEM, &r);
}

static void
pending_new(struct keeper *k, struct chan_peer *peer,
    const struct mailbox_open *o, int fd)
{
	struct pending *p;

	if (k->stopping || k->n + k->npending >= k->max ||
	    k->n + k->npending >= k->conf->pop3_sessions_max) {
		LOG_WARN("too-many-sessions", LB("client-sid", o->sid),
		    LU("sessions", k->n));
		close(fd);
		answer(peer, MAILBOX_TEMP);
		return;
	}
	p = mem_alloc(sizeof(*p));
	*p = (struct pending){.next = k->pending, .peer = peer,
	    .rid = ++k->rid, .fd = fd, .leftover_len = o->leftover.len,
	    .until_ms = loop_now(k->loop) + AUTHD_WAIT_MS,
	    .utf8 = (o->flags & MAILBOX_UTF8) != 0};
	memcpy(p->ticket, o->ticket.p, sizeof(p->ticket));
	memcpy(p->sid, o->sid.p, o->sid.len);
	memcpy(p->ip, o->client_ip.p, o->client_ip.len);
	p->leftover = slice_dup(o->leftover);
	k->pending = p;
	k->npending++;
	chan_peer_set_data(peer, p);
	redeem(k, p);
	/* One timer for all: the first of them fires it. */
	if (!p->asked && !k->waiting) {
		k->waiting = true;
		loop_timer_in(k->patience, AUTHD_WAIT_MS);
	}
}

static bool
on_open(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct keeper *k = arg;
	const struct mailbox_open *o = msg;

	(void)nfds;
	if (type != MAILBOX_OPEN || !sound(o) || chan_peer_data(peer) != NULL) {
		LOG_WARN("open-refused", LU("record", type));
		if (type == MAILBOX_OPEN)
			close(fds[0]);
		return false;
	}
	pending_new(k, peer, o, fds[0]);
	chan_wipe(chan_peer_chan(peer));
	return true;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct pending *p = chan_peer_data(peer);

	/* The client went away, and its login session with it. */
	if (p != NULL)
		pending_free(arg, p);
}

/* ---- mailbox processes ---- */

static uint64_t
hash(const struct keeper *k, struct slice user)
{
	uint64_t h = k->seed;

	for (size_t i = 0; i < user.len; i++) {
		h = (h ^ (unsigned char)user.p[i]) *
		    UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h;
}

/* A client that was answered QUIT may be back before its process is gone. */
static bool
is_over(const struct running *r)
{
	struct pollfd p = {.fd = r->alive, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static size_t
sessions_of(const struct keeper *k, uint64_t user)
{
	size_t n = 0;

	for (size_t i = 0; i < k->max; i++)
		n += k->v[i].pid > 0 && k->v[i].user == user &&
		    !is_over(&k->v[i]);
	return n;
}

/* In the child. */
static _Noreturn void
serve(const struct keeper *k, const struct pending *p,
    const struct ticket_redeemed *r, int alive)
{
	int keep[] = {p->fd, alive};
	char *user = slice_dup(r->user);
	char *maildir = slice_dup(r->maildir);
	struct sandbox_path path = {-1, maildir, SANDBOX_WRITE};
	struct sandbox_args args = {.uid = r->uid, .gid = r->gid,
	    .paths = &path, .npaths = 1,
	    .uid_min = (uid_t)k->conf->mailbox_uid_min};
	struct mailbox_start start = {
		.conf = k->conf,
		.fd = p->fd,
		.alive_fd = alive,
		.leftover = slice_mem(p->leftover, p->leftover_len),
		.user = user,
		.ip = p->ip,
		.maildir = maildir,
		.utf8 = p->utf8,
	};

	proc_close_except(keep, sizeof(keep) / sizeof(keep[0]));
	proc_title("mailbox %s", user);
	sandbox_enter(ROLE_POP3D_MAILBOX, &args);
	mailbox_serve(&start);
	_exit(0);
}

static bool
is_path(struct slice s)
{
	return s.len > 0 && s.p[0] == '/' && slice_find(s, '\0', 0) == s.len;
}

/* What authd says is right, but a table may say what must not be. */
static bool
may_open(const struct keeper *k, const struct ticket_redeemed *r)
{
	if (is_path(r->maildir) && slice_find(r->user, '\0', 0) == r->user.len
	    && (r->uid == geteuid() || (r->uid >= k->conf->mailbox_uid_min &&
	    r->gid >= k->conf->mailbox_uid_min)))
		return true;
	LOG_ERROR("mailbox-refused", LB("user", r->user), LU("uid", r->uid),
	    LU("gid", r->gid), LB("maildir", r->maildir),
	    LS("mend", "uid or gid below mailbox_uid_min, or the Maildir not "
		"absolute: see the users table"));
	return false;
}

static void
start(struct keeper *k, struct pending *p, const struct ticket_redeemed *r)
{
	struct running *slot = k->v;
	int alive[2] = {-1, -1};
	pid_t pid = -1;

	while (slot->pid > 0)
		slot++; /* pending_new left room */
	if (pipe2(alive, O_CLOEXEC) == 0)
		pid = proc_fork(p->sid);
	if (pid == 0)
		serve(k, p, r, alive[1]);
	if (pid < 0) {
		log_warn("cannot make a mailbox process");
		if (alive[0] >= 0)
			close(alive[0]);
	}
	if (alive[1] >= 0)
		close(alive[1]);
	if (pid < 0) {
		pending_refuse(k, p, MAILBOX_TEMP);
		return;
	}
	*slot = (struct running){pid, hash(k, r->user), p->fd, alive[0]};
	k->n++;
	stats_add(COUNT_MAILBOXES, 1);
	stats_set(COUNT_MAILBOXES_OPEN, k->n);
	p->fd = -1;
	answer(p->peer, MAILBOX_OK);
	pending_free(k, p);
}

static bool
on_redeemed(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	struct keeper *k = arg;
	const struct ticket_redeemed *r = msg;
	struct pending *p;

	(void)fds;
	(void)nfds;
	if (type != TICKET_REDEEMED)
		return false;
	for (p = k->pending; p != NULL && p->rid != r->rid; p = p->next)
		continue;
	if (p == NULL)
		return true; /* the client did not wait */
	if (r->ok == 0)
		pending_refuse(k, p, MAILBOX_BAD_TICKET);
	else if (!may_open(k, r))
		pending_refuse(k, p, MAILBOX_TEMP);
	else if (sessions_of(k, hash(k, r->user)) >=
	    k->conf->pop3_sessions_per_user_max) {
		stats_add(COUNT_MAILBOXES_IN_USE, 1);
		LOG_INFO("in-use", LS("client-sid", p->sid),
		    LB("user", r->user), LS("ip", p->ip));
		pending_refuse(k, p, MAILBOX_IN_USE);
	} else
		start(k, p, r);
	return true;
}

/* What was asked will not be answered; a ticket serves once. */
static void
on_authd_down(void *arg)
{
	struct keeper *k = arg;
	struct pending *p, *next;

	for (p = k->pending; p != NULL; p = next) {
		next = p->next;
		if (p->asked)
			pending_refuse(k, p, MAILBOX_TEMP);
	}
}

static void
on_authd_up(void *arg)
{
	struct keeper *k = arg;

	for (struct pending *p = k->pending; p != NULL; p = p->next)
		if (!p->asked)
			redeem(k, p);
}

static void
on_patience(void *arg)
{
	struct keeper *k = arg;
	struct pending *p, *next;
	int64_t now = loop_now(k->loop), first = INT64_MAX;

	for (p = k->pending; p != NULL; p = next) {
		next = p->next;
		if (p->asked)
			continue;
		if (p->until_ms <= now) {
			LOG_WARN("authd-down", LS("client-sid", p->sid));
			pending_refuse(k, p, MAILBOX_TEMP);
		} else if (p->until_ms < first)
			first = p->until_ms;
	}
	k->waiting = first != INT64_MAX;
	if (k->waiting)
		loop_timer_set(k->patience, first);
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct keeper *k = arg;

	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0)
		LOG_ERROR("mailbox-died", LI("pid", pid),
		    LI("signal", WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 0),
		    LI("exit", WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 0));
	for (size_t i = 0; i < k->max; i++) {
		if (k->v[i].pid != pid)
			continue;
		close(k->v[i].fd);
		close(k->v[i].alive);
		k->v[i].pid = 0;
		k->n--;
	}
	stats_set(COUNT_MAILBOXES_OPEN, k->n);
	if (k->stopping && k->n == 0)
		loop_stop(k->loop);
}

/* ---- signals ---- */

static void
on_stopped(void *arg)
{
	struct keeper *k = arg;

	LOG_INFO("stopped", LU("sessions-left", k->n));
	loop_stop(k->loop);
}

/*
 * Mailbox processes belong to their owners, who get no signals from here; but
 * they see the end of their input, after the commands that came already.
 */
static void
on_term(void *arg)
{
	struct keeper *k = arg;

	if (k->stopping)
		return;
	k->stopping = true;
	proc_stopping();
	LOG_INFO("stopping", LU("sessions", k->n));
	chan_server_pause(k->server);
	while (k->pending != NULL)
		pending_refuse(k, k->pending, MAILBOX_TEMP);
	for (size_t i = 0; i < k->max; i++)
		if (k->v[i].pid > 0)
			(void)shutdown(k->v[i].fd, SHUT_RD);
	if (k->n == 0)
		loop_stop(k->loop);
	else
		loop_timer_in(k->timer, STOP_WAIT_MS);
}

/* Sessions under way keep what they were forked with. */
static void
on_hup(void *arg)
{
	struct keeper *k = arg;

	if (k->stopping)
		return;
	proc_reloading();
	if (conf_reload(k->conf)) {
		if (k->conf->log_debug)
			log_debug_set(1);
		if (k->conf->pop3_sessions_max > k->max)
			log_warnx("pop3_sessions_max: %llu from the next start "
			    "on, %zu until then",
			    (unsigned long long)k->conf->pop3_sessions_max,
			    k->max);
		LOG_INFO("reloaded", LS("file", k->conf->file));
	}
	proc_ready();
}

/* ---- start ---- */

struct keeper *
keeper_open(struct conf *c)
{
	struct keeper *k = mem_alloc(sizeof(*k));
	/* A parent without capabilities must be the owner itself. */
	struct sys_user me = c->virtual_only
	    ? user_need("user_virtual", c->user_virtual)
	    : user_need("user_mailbox", c->user_mailbox);

	k->conf = c;
	k->uid = me.uid;
	k->gid = me.gid;
	k->pop3d_uid = user_need("user_pop3d", c->user_pop3d).uid;
	k->max = (size_t)c->pop3_sessions_max;
	k->v = mem_array(k->max, sizeof(*k->v));
	k->seed = random_u64();
	if (c->log_debug)
		log_debug_set(1);
	(void)proc_max_files();
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered "
		    "(`postern setup` makes it)", c->run_dir);
	k->listen_fd = chan_listen(SOCKET_POP3_MAILBOX, 0660, BACKLOG);
	if (k->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s", c->run_dir,
		    SOCKET_POP3_MAILBOX);
	return k;
}

int
keeper_run(struct keeper *k)
{
	static const struct chan_server_ops server_ops = {.record = on_open,
	    .closed = on_closed};
	static const struct chan_link_ops authd_ops = {.record = on_redeemed,
	    .up = on_authd_up, .down = on_authd_down};
	struct sandbox_args args = {.uid = k->uid, .gid = k->gid,
	    .uid_min = (uid_t)k->conf->mailbox_uid_min};

	sandbox_require(k->conf->require_sandbox);
	sandbox_prepare(ROLE_POP3D_MAILBOX, 0);
	sandbox_enter(k->conf->virtual_only ? ROLE_MAILBOX_VIRTUAL
	    : ROLE_MAILBOX_PARENT, &args);
	k->loop = loop_new();
	loop_signal(k->loop, SIGTERM, on_term, k);
	loop_signal(k->loop, SIGHUP, on_hup, k);
	loop_children(k->loop, on_child, k);
	k->timer = loop_timer_new(k->loop, on_stopped, k);
	k->patience = loop_timer_new(k->loop, on_patience, k);
	k->authd = chan_link_new(k->loop, SOCKET_TICKET, &ticket_contract,
	    &authd_ops, k);
	k->server = chan_server_new(k->loop, k->listen_fd, &mailbox_contract,
	    &server_ops, k, &k->pop3d_uid, 1, k->max, false);
	proc_ready();
	loop_run(k->loop);
	return 0;
}
