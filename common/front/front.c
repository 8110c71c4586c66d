/*
 * The front of a network daemon.  Runs as the parent of its sessions; reads
 * nothing but the configuration, accepted addresses and what its own sessions
 * ask for.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/front/front.h"
#include "common/front/front_int.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/io/stream.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/stats.h"
#include "common/sys/user.h"

#define ACCEPT_BURST 32       /* connections taken in one round */
#define EXHAUSTED_MS 50       /* without descriptors: a pause */
#define EXHAUSTED_LOG_MS 10000 /* and one line in the log in that time */
#define STOP_WAIT_MS 3000     /* for sessions to finish their step */
#define REFUSALS_LOGGED 10    /* lines in one span */
#define REFUSALS_SPAN_MS 1000
#define AHEAD_SPAN 16         /* sessions between two looks at their needs */

struct front {
	struct conf *conf;            /* borrowed, as args */
	const struct front_args *args;
	struct loop *loop;
	struct front_requests *requests; /* of sessions */
	struct stream *net;           /* a session's, when it is forked */
	struct loop_timer *timer;     /* end of a pause, or of the stop */
	struct front_listener listeners[FRONT_LISTENERS_MAX];
	size_t nlisteners;
	struct buf listen;            /* front_listen_text of what is open */
	struct front_clients *clients;
	struct front_limits limits;
	bool stopping;
	uid_t uid;
	gid_t gid;
	/* A flood of refused connections must not become one of log lines. */
	int64_t span_ms;
	unsigned refusals;
	int64_t quiet_ms;             /* no line on exhaustion until then */
	unsigned *needed;             /* shared: see struct front_way */
	unsigned needed_before, forked;
	bool ahead;
};

static void on_connection(void *arg, unsigned events);

static void
accept_from_all(struct front *f)
{
	for (size_t i = 0; i < f->nlisteners; i++) {
		struct front_listener *l = &f->listeners[i];

		if (l->io == NULL)
			l->io = loop_io_new(f->loop, l->fd, LOOP_READ,
			    on_connection, l);
	}
}

static void
accept_from_none(struct front *f)
{
	for (size_t i = 0; i < f->nlisteners; i++)
		loop_io_free(&f->listeners[i].io);
}

/* The timer: a pause is over, or sessions had long enough to finish. */
static void
on_timer(void *arg)
{
	struct front *f = arg;

	if (!f->stopping) {
		accept_from_all(f);
		return;
	}
	LOG_INFO("stopped", LU("sessions-left", f->clients->n));
	loop_stop(f->loop);
}

static void
exhausted(struct front *f, const char *what)
{
	if (loop_now(f->loop) >= f->quiet_ms) {
		LOG_ERROR("cannot-accept", LS("step", what), LE());
		f->quiet_ms = loop_now(f->loop) + EXHAUSTED_LOG_MS;
	}
	accept_from_none(f);
	loop_timer_in(f->timer, EXHAUSTED_MS);
}

/* Who it is, for log lines. */
static void
client_text(const struct front_client *client, char out[IP_TEXT_SIZE])
{
	if (client->user)
		snprintf(out, IP_TEXT_SIZE, "uid:%u", (unsigned)client->uid);
	else
		ip_text(&client->ip, out);
}

/* Sends a client away.  Its socket is new, so that one write takes it all: the
 * stream is not given time to wait. */
static void
refuse(struct front *f, const struct front_client *client,
    enum front_refusal why)
{
	static const char *const words[] = {
		[FRONT_TOO_MANY] = "sessions",
		[FRONT_TOO_MANY_YOURS] = "sessions-per-client",
		[FRONT_NO_ROOM] = "fault",
	};
	struct stream *s = stream_new(client->fd, 128, 512);
	int64_t now = loop_now(f->loop);
	char ip_shown[IP_TEXT_SIZE];

	stream_deadline(s, 0);
	f->args->refuse(f->conf, why, s);
	(void)stream_flush(s);
	stream_free(&s);
	stats_add(f->args->counters.refused + (size_t)why, 1);
	if (now - f->span_ms >= REFUSALS_SPAN_MS) {
		if (f->refusals > REFUSALS_LOGGED)
			LOG_INFO("refused-connections", LU("more",
			    f->refusals - REFUSALS_LOGGED));
		f->span_ms = now;
		f->refusals = 0;
	}
	if (f->refusals++ < REFUSALS_LOGGED) {
		client_text(client, ip_shown);
		LOG_INFO("refused-connection", LS("ip", ip_shown),
		    LS("why", words[why]));
	}
}

/* The id of a session in the log. */
static void
make_sid(char sid[FRONT_SID_SIZE])
{
	static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";
	uint64_t r = random_u64();

	for (size_t i = 0; i < FRONT_SID_LEN; i++, r >>= 5)
		sid[i] = alphabet[r & 31];
	sid[FRONT_SID_LEN] = '\0';
}

/* Three of four in the last few needed their channels: the next one most likely
 * will.  Idle clients, however many, cost queued and authd nothing. */
static void
dial_ahead(struct front *f, struct front_way *way)
{
	size_t n = 0;

	if (++f->forked == AHEAD_SPAN) {
		unsigned now = __atomic_load_n(f->needed, __ATOMIC_RELAXED);

		f->ahead = now - f->needed_before >= AHEAD_SPAN / 4 * 3;
		f->needed_before = now;
		f->forked = 0;
	}
	way->needed = f->needed;
	for (size_t i = 0; i < FRONT_AHEAD_MAX; i++)
		way->ahead[i] = -1;
	for (size_t i = 0; f->ahead && i < FRONT_SERVICES_MAX &&
	    n < FRONT_AHEAD_MAX; i++)
		if (f->args->services[i].ahead)
			way->ahead[n++] = chan_dial(f->args->services[i].path);
}

/* Forks the session; false: the client must be sent away. */
static bool
start_session(struct front *f, struct front_client *client,
    struct front_slot *slot)
{
	pid_t pid;

	make_sid(client->sid);
	client->way.door = front_requests_door(f->requests);
	dial_ahead(f, &client->way);
	pid = proc_fork(client->sid);
	if (pid == 0) {
		f->args->run(client);
		_exit(EXIT_TEMPORARY);
	}
	for (size_t i = 0; i < FRONT_AHEAD_MAX; i++)
		if (client->way.ahead[i] != -1)
			close(client->way.ahead[i]);
	if (pid == -1) {
		exhausted(f, "fork");
		return false;
	}
	slot->pid = pid;
	stats_add(f->args->counters.sessions, 1);
	stats_set(f->args->counters.open, f->clients->n);
	return true;
}

/* A slot for a client, or why there is none. */
static struct front_slot *
find_slot(struct front *f, const struct front_client *client,
    enum front_refusal *why)
{
	struct ip unit = front_unit(client);
	struct front_slot *slot = NULL;

	/* Behind a proxy stand many clients: it must count them itself. */
	*why = FRONT_TOO_MANY_YOURS;
	if (!client->proxy && front_clients_count(f->clients, &unit) >=
	    f->limits.sessions_per_client)
		return NULL;
	*why = FRONT_TOO_MANY;
	if (f->clients->n < f->limits.sessions)
		slot = front_clients_add(f->clients, &unit, !client->proxy);
	return slot;
}

/* Who connected: to a socket of this host's users, or over the network. */
static bool
identify(const struct front_listener *l, const struct sockaddr_storage *sa,
    struct front_client *client)
{
	const struct conf *c = client->conf;
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	struct ucred cred;

	if (l->users) {
		len = sizeof(cred);
		if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &cred,
		    &len) == -1)
			return false;
		client->user = true;
		client->uid = cred.uid;
		return true;
	}
	if (!ip_from_sockaddr((const struct sockaddr *)sa, &client->ip,
	    NULL) ||
	    getsockname(client->fd, (struct sockaddr *)&local, &len) == -1 ||
	    !ip_from_sockaddr((const struct sockaddr *)&local, &client->local,
	    NULL))
		return false;
	client->proxy = l->proxy && net_any_has(c->proxy_from.v,
	    c->proxy_from.n, &client->ip);
	return true;
}

static void
admit(struct front *f, const struct front_listener *l, int fd,
    const struct sockaddr_storage *sa)
{
	struct front_client client = {.conf = f->conf, .fd = fd,
	    .net = f->net, .arg = f->args->arg};
	enum front_refusal why;
	struct front_slot *slot;

	if (!identify(l, sa, &client)) {
		close(fd); /* gone already */
		return;
	}
	slot = find_slot(f, &client, &why);
	if (slot == NULL) {
		refuse(f, &client, why);
		return;
	}
	if (start_session(f, &client, slot)) {
		close(fd);
		return;
	}
	front_clients_remove(f->clients, slot);
	refuse(f, &client, FRONT_NO_ROOM);
}

static void
on_connection(void *arg, unsigned events)
{
	struct front_listener *l = arg;
	struct front *f = l->front;
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
			admit(f, l, fd, &sa);
			continue;
		}
		if (errno == EAGAIN)
			return;
		/* Errors of one connection that died in the backlog */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			exhausted(f, "accept");
			return;
		}
	}
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct front *f = arg;
	struct front_slot *slot = front_clients_find(f->clients, pid);

	if (slot == NULL)
		return;
	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0)
		LOG_ERROR("session-died", LI("pid", pid),
		    LI("signal", WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 0),
		    LI("exit", WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 0));
	front_requests_forget(slot);
	front_clients_remove(f->clients, slot);
	stats_set(f->args->counters.open, f->clients->n);
	if (f->stopping && f->clients->n == 0)
		loop_stop(f->loop);
}

/* ---- signals ---- */

static void
on_term(void *arg)
{
	struct front *f = arg;

	if (f->stopping)
		return;
	f->stopping = true;
	proc_stopping();
	LOG_INFO("stopping", LU("sessions", f->clients->n));
	accept_from_none(f);
	/* A successor may bind at once. */
	for (size_t i = 0; i < f->nlisteners; i++)
		close(f->listeners[i].fd);
	for (size_t i = 0; i < f->clients->used; i++)
		if (f->clients->v[i].pid > 0)
			kill(f->clients->v[i].pid, SIGTERM);
	if (f->clients->n == 0)
		loop_stop(f->loop);
	else
		loop_timer_in(f->timer, STOP_WAIT_MS);
}

/* Sessions under way keep what they were forked with. */
static void
on_hup(void *arg)
{
	struct front *f = arg;
	struct buf text = BUF_INIT(FRONT_LISTEN_TEXT_MAX);

	if (f->stopping)
		return;
	proc_reloading();
	if (conf_reload(f->conf)) {
		if (f->conf->log_debug)
			log_debug_set(1);
		f->args->limits(f->conf, &f->limits);
		front_listen_text(f->conf, f->args->protocol, f->args->users,
		    &text);
		if (!slice_eq(buf_slice(&text), buf_slice(&f->listen)))
			log_warnx("%s: the [listen] sections%s were changed: "
			    "restart for them", f->conf->file,
			    f->args->users ? " or submit_socket" : "");
		buf_free(&text);
		if (f->limits.sessions > f->clients->max)
			log_warnx("%llu sessions from the next start on, %zu "
			    "until then",
			    (unsigned long long)f->limits.sessions,
			    f->clients->max);
		LOG_INFO("reloaded", LS("file", f->conf->file));
	}
	proc_ready();
}

/* ---- start ---- */

struct front *
front_open(struct conf *c, const struct front_args *args)
{
	struct front *f = mem_alloc(sizeof(*f));
	struct sys_user me = user_need(args->user_key, args->user);

	f->conf = c;
	f->args = args;
	f->uid = me.uid;
	f->gid = me.gid;
	if (c->log_debug)
		log_debug_set(1);
	(void)proc_max_files();
	args->limits(c, &f->limits);
	f->clients = front_clients_new((size_t)f->limits.sessions);
	f->nlisteners = front_listen(c, args->protocol, args->backlog,
	    f->listeners);
	if (args->users && front_listen_users(c, args->backlog,
	    &f->listeners[f->nlisteners]))
		f->nlisteners++;
	if (f->nlisteners == 0)
		die(EXIT_PERMANENT, "%s: no [listen NAME] section with "
		    "protocol = %s: add one with an address", c->file,
		    args->protocol);
	buf_init(&f->listen, FRONT_LISTEN_TEXT_MAX);
	front_listen_text(c, args->protocol, args->users, &f->listen);
	for (size_t i = 0; i < f->nlisteners; i++)
		f->listeners[i].front = f;
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered "
		    "(`postern setup` makes it)", c->run_dir);
	return f;
}

static void
enter_cage(struct front *f)
{
	struct sandbox_path paths[] = {{conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = f->uid, .gid = f->gid,
	    .root = RUN_EMPTY, .paths = paths, .npaths = 1};

	sandbox_require(f->conf->require_sandbox);
	sandbox_prepare(f->args->session, 0);
	sandbox_enter(f->args->parent, &args);
}

int
front_run(struct front *f)
{
	enter_cage(f);
	f->loop = loop_new();
	loop_signal(f->loop, SIGTERM, on_term, f);
	loop_signal(f->loop, SIGHUP, on_hup, f);
	loop_children(f->loop, on_child, f);
	f->timer = loop_timer_new(f->loop, on_timer, f);
	f->net = stream_prepare(f->args->in_max, f->args->out_max);
	f->needed = mem_shared(sizeof(*f->needed));
	f->requests = front_requests_new(f->loop, f->clients, f->args);
	accept_from_all(f);
	proc_ready();
	loop_run(f->loop);
	return 0;
}
