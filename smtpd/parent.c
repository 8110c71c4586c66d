/*
 * smtpd's parent: accepts connections, counts them and forks a session for
 * each.  It reads no octet of any client and never blocks.  What it has in
 * memory is what each session starts with, and every page it writes to between
 * two forks is one that a session has to itself: so it writes to few.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/io/loop.h"
#include "common/io/stream.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "smtpd/clients.h"
#include "smtpd/listen.h"
#include "smtpd/parent.h"
#include "smtpd/requests.h"
#include "smtpd/session.h"

#define ACCEPT_BURST 32     /* connections taken in one round */
#define EXHAUSTED_MS 50     /* without descriptors: a pause */
#define EXHAUSTED_LOG_MS 10000 /* and one line in the log in that time */
#define STOP_WAIT_MS 3000   /* for sessions to finish their step */
#define REFUSALS_LOGGED 10  /* lines in one span */
#define REFUSALS_SPAN_MS 1000

struct parent {
	struct smtpd *d;
	struct loop *loop;
	struct requests *requests;    /* of sessions */
	struct stream *net;           /* a session's, when it is forked */
	int64_t *room;        /* shared by all sessions, see enqueue.c */
	struct loop_timer *timer;     /* end of a pause, or of the stop */
	struct listener listeners[LISTENERS_MAX];
	size_t nlisteners;
	struct buf listen;            /* listen_text of what was opened */
	struct clients *clients;
	bool stopping;
	uid_t uid;
	gid_t gid;
	/* A flood of refused connections must not become one of log lines. */
	int64_t span_ms;
	unsigned refusals;
	int64_t quiet_ms; /* until then no line on exhaustion */
};

static void on_connection(void *arg, unsigned events);

static void
accept_from_all(struct parent *p)
{
	for (size_t i = 0; i < p->nlisteners; i++) {
		struct listener *l = &p->listeners[i];

		if (l->io == NULL)
			l->io = loop_io_new(p->loop, l->fd, LOOP_READ,
			    on_connection, l);
	}
}

static void
accept_from_none(struct parent *p)
{
	for (size_t i = 0; i < p->nlisteners; i++)
		loop_io_free(&p->listeners[i].io);
}

/* The timer: a pause is over, or sessions had long enough to finish. */
static void
on_timer(void *arg)
{
	struct parent *p = arg;

	if (!p->stopping) {
		accept_from_all(p);
		return;
	}
	LOG_INFO("stopped", LU("sessions-left", p->clients->n));
	loop_stop(p->loop);
}

static void
exhausted(struct parent *p, const char *what)
{
	if (loop_now(p->loop) >= p->quiet_ms) {
		LOG_ERROR("cannot-accept", LS("step", what), LE());
		p->quiet_ms = loop_now(p->loop) + EXHAUSTED_LOG_MS;
	}
	accept_from_none(p);
	loop_timer_in(p->timer, EXHAUSTED_MS);
}

/* Sends a client away.  Its socket is new, so that one write takes it all: the
 * stream is not given time to wait. */
static void
refuse(struct parent *p, int fd, const struct ip *ip, const char *text)
{
	struct stream *s = stream_new(fd, 128, 512);
	int64_t now = loop_now(p->loop);
	char ip_shown[IP_TEXT_SIZE];

	stream_deadline(s, 0);
	stream_printf(s, "421 %s %s\r\n", p->d->conf.hostname, text);
	(void)stream_flush(s);
	stream_free(&s);
	if (now - p->span_ms >= REFUSALS_SPAN_MS) {
		if (p->refusals > REFUSALS_LOGGED)
			LOG_INFO("refused-connections", LU("more",
			    p->refusals - REFUSALS_LOGGED));
		p->span_ms = now;
		p->refusals = 0;
	}
	if (p->refusals++ < REFUSALS_LOGGED) {
		ip_text(ip, ip_shown);
		LOG_INFO("refused-connection", LS("ip", ip_shown),
		    LS("why", text));
	}
}

/* The id of a session in the log. */
static void
make_sid(char sid[SID_SIZE])
{
	static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";
	uint64_t r = random_u64();

	for (size_t i = 0; i < SID_LEN; i++, r >>= 5)
		sid[i] = alphabet[r & 31];
	sid[SID_LEN] = '\0';
}

/* Forks the session; false: the client must be sent away. */
static bool
start_session(struct parent *p, struct session_start *start,
    struct client *client)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    pair) == -1) {
		exhausted(p, "socketpair");
		return false;
	}
	start->parent_fd = pair[1];
	make_sid(start->sid);
	pid = proc_fork(start->sid);
	if (pid == 0)
		session_run(start);
	close(pair[1]);
	if (pid == -1) {
		close(pair[0]);
		exhausted(p, "fork");
		return false;
	}
	client->pid = pid;
	client->fd = pair[0];
	requests_watch(p->requests, client);
	return true;
}

static void
admit(struct parent *p, struct listener *l, int fd,
    const struct sockaddr_storage *sa)
{
	const struct conf *c = &p->d->conf;
	struct session_start start = {.conf = c, .fd = fd, .net = p->net,
	    .room = p->room};
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	struct client *client = NULL;
	struct ip unit;

	if (!ip_from_sockaddr((const struct sockaddr *)sa, &start.ip, NULL) ||
	    getsockname(fd, (struct sockaddr *)&local, &len) == -1 ||
	    !ip_from_sockaddr((const struct sockaddr *)&local, &start.local,
	    NULL)) {
		close(fd); /* gone already */
		return;
	}
	start.proxy = l->proxy && net_any_has(c->proxy_from.v,
	    c->proxy_from.n, &start.ip);
	unit = ip_unit(&start.ip);
	/* Behind a proxy stand many clients: it must count them itself. */
	if (!start.proxy && clients_count(p->clients, &unit) >=
	    c->smtp_sessions_per_client_max) {
		refuse(p, fd, &start.ip, "4.7.0 Too many connections of yours");
		return;
	}
	if (p->clients->n < c->smtp_sessions_max)
		client = clients_add(p->clients, &unit, !start.proxy);
	if (client == NULL) {
		refuse(p, fd, &start.ip, "4.3.2 Too many connections");
		return;
	}
	if (start_session(p, &start, client)) {
		close(fd);
		return;
	}
	clients_remove(p->clients, client);
	refuse(p, fd, &start.ip, "4.3.0 No room for a session now");
}

static void
on_connection(void *arg, unsigned events)
{
	struct listener *l = arg;
	struct parent *p = l->parent;
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	(void)events;
	/* A handler of this round may have ended the accepting. */
	for (int i = 0; i < ACCEPT_BURST && l->io != NULL; i++) {
		len = sizeof(sa);
		fd = accept4(l->fd, (struct sockaddr *)&sa, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			admit(p, l, fd, &sa);
			continue;
		}
		if (errno == EAGAIN)
			return;
		/* Errors of one connection that died in the backlog */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			exhausted(p, "accept");
			return;
		}
	}
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct parent *p = arg;
	struct client *client = clients_find(p->clients, pid);

	if (client == NULL)
		return;
	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0)
		LOG_ERROR("session-died", LI("pid", pid),
		    LI("signal", WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 0),
		    LI("exit", WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 0));
	requests_forget(p->requests, client);
	clients_remove(p->clients, client);
	if (p->stopping && p->clients->n == 0)
		loop_stop(p->loop);
}

/* ---- signals ---- */

static void
on_term(void *arg)
{
	struct parent *p = arg;

	if (p->stopping)
		return;
	p->stopping = true;
	proc_stopping();
	LOG_INFO("stopping", LU("sessions", p->clients->n));
	accept_from_none(p);
	/* A successor may bind at once. */
	for (size_t i = 0; i < p->nlisteners; i++)
		close(p->listeners[i].fd);
	for (size_t i = 0; i < p->clients->used; i++)
		if (p->clients->v[i].pid > 0)
			kill(p->clients->v[i].pid, SIGTERM);
	if (p->clients->n == 0)
		loop_stop(p->loop);
	else
		loop_timer_in(p->timer, STOP_WAIT_MS);
}

/* Sessions under way keep what they were forked with. */
static void
on_hup(void *arg)
{
	struct parent *p = arg;
	struct conf *c = &p->d->conf;
	struct buf text = BUF_INIT(LISTEN_TEXT_MAX);

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(c)) {
		if (c->log_debug)
			log_debug_set(1);
		listen_text(c, &text);
		if (!slice_eq(buf_slice(&text), buf_slice(&p->listen)))
			log_warnx("%s: the [listen] sections were changed: "
			    "restart smtpd for them", c->file);
		buf_free(&text);
		if (c->smtp_sessions_max > p->clients->max)
			log_warnx("smtp_sessions_max: %llu from the next start "
			    "on, %zu until then",
			    (unsigned long long)c->smtp_sessions_max,
			    p->clients->max);
		LOG_INFO("reloaded", LS("file", c->file));
	}
	proc_ready();
}

/* ---- start ---- */

void
parent_open(struct smtpd *d)
{
	struct parent *p = mem_alloc(sizeof(*p));
	const struct conf *c = &d->conf;
	struct sys_user me = user_need("user_smtpd", c->user_smtpd);

	d->parent = p;
	p->d = d;
	p->uid = me.uid;
	p->gid = me.gid;
	if (c->log_debug)
		log_debug_set(1);
	(void)proc_max_files();
	p->clients = clients_new((size_t)c->smtp_sessions_max);
	p->nlisteners = listen_open(c, p->listeners);
	buf_init(&p->listen, LISTEN_TEXT_MAX);
	listen_text(c, &p->listen);
	for (size_t i = 0; i < p->nlisteners; i++)
		p->listeners[i].parent = p;
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s (make it with mode 0711; "
		    "`postern check` shows all)", c->run_dir);
}

static void
enter_cage(struct parent *p)
{
	struct sandbox_path paths[] = {{conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = p->uid, .gid = p->gid,
	    .root = RUN_EMPTY, .paths = paths, .npaths = 1};

	sandbox_require(p->d->conf.require_sandbox);
	sandbox_prepare(ROLE_SMTPD_SESSION, 0);
	sandbox_enter(ROLE_SMTPD_PARENT, &args);
}

int
parent_run(struct smtpd *d)
{
	struct parent *p = d->parent;

	enter_cage(p);
	p->loop = loop_new();
	loop_signal(p->loop, SIGTERM, on_term, p);
	loop_signal(p->loop, SIGHUP, on_hup, p);
	loop_children(p->loop, on_child, p);
	p->timer = loop_timer_new(p->loop, on_timer, p);
	p->net = session_stream();
	p->room = enqueue_room_new();
	p->requests = requests_new(p->loop, p->clients);
	accept_from_all(p);
	proc_ready();
	loop_run(p->loop);
	return 0;
}
