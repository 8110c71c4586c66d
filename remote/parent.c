/*
 * remote's parent: takes jobs from qmgr and hands each to a process that is
 * connected with the same place, or makes one.  It reads no mail and no octet
 * from the network; for its processes it opens what they may not open
 * themselves: the ways to dnsd and keyd, and UNIX sockets of LMTP servers.
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
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/conf/route.h"
#include "common/proto/sockets.h"
#include "common/proto/transfer.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "remote/counters.h"
#include "remote/health.h"
#include "remote/remote.h"
#include "remote/sign.h"

#define STOP_WAIT_MS 20000 /* then what is under way is given up */
#define PLACE_MAX (TRANSFER_ROUTE_MAX + 256)

struct parent;

struct process {
	struct parent *p;
	struct process *next;
	pid_t pid;
	char *place;             /* owned: domain or route, see place_of */
	char *unix_path;         /* owned: what it may ask for, or NULL */
	struct chan *chan;
	struct loop_io *io;
	struct job_slot *job;    /* under way, or NULL */
	int64_t idle_since_ms;
	bool closing;
};

/* A job under way; its index is the number the process knows it by. */
struct job_slot {
	struct chan_peer *peer;  /* who asked; NULL: gone */
	uint64_t number;         /* the asker's number */
	struct process *process; /* NULL: the slot is free */
	uint32_t *rcpts;         /* owned: their numbers */
	size_t nrcpts;
};

struct parent {
	struct remote *r;
	struct loop *loop;
	struct chan_server *server;
	struct process *processes;
	size_t nprocesses;
	uint32_t capacity;       /* jobs at once, as qmgr is told */
	struct job_slot *jobs;   /* more than these: a restarted qmgr knows
	                          * nothing of those it left here */
	size_t njobs;
	size_t *free_jobs;       /* stack of free slots */
	size_t nfree;
	struct loop_timer *reaper, *killer;
	bool stopping;
};

/* ---- answers of our own ---- */

static void
fail_all(struct chan_peer *peer, uint64_t number, const uint32_t *rcpts,
    size_t n, const char *text)
{
	struct transfer_outcome *v = mem_array(n, sizeof(*v));
	struct transfer_done d = {.job = number,
	    .dest = TRANSFER_DEST_UNKNOWN, .host = SLICE_EMPTY,
	    .outcomes = {v, n}};

	for (size_t i = 0; i < n; i++)
		v[i] = (struct transfer_outcome){.number = rcpts[i],
		    .code = 451, .subject = 3, .detail = 0,
		    .text = slice_of(text), .own = 1};
	chan_peer_send(peer, TRANSFER_DONE, &d);
	free(v);
}

static uint32_t *
numbers_of(const struct transfer_job *j)
{
	const struct transfer_rcpt *v = j->recipients.v;
	uint32_t *n = mem_array(j->recipients.n, sizeof(*n));

	for (size_t i = 0; i < j->recipients.n; i++)
		n[i] = v[i].number;
	return n;
}

static void
release_job(struct parent *p, struct process *pr)
{
	struct job_slot *s = pr->job;

	pr->job = NULL;
	free(s->rcpts);
	*s = (struct job_slot){.process = NULL};
	p->free_jobs[p->nfree++] = (size_t)(s - p->jobs);
	pr->idle_since_ms = loop_now(p->loop);
	if (p->stopping)
		pr->closing = true;
}

/* ---- processes ---- */

static void
process_free(struct process *pr)
{
	struct parent *p = pr->p;
	struct job_slot *s = pr->job;
	struct process **at;

	if (s != NULL) {
		/* While we stop it is qmgr's to keep. */
		if (s->peer != NULL && !p->stopping)
			fail_all(s->peer, s->number, s->rcpts, s->nrcpts,
			    "The delivery process ended early");
		release_job(p, pr);
	}
	for (at = &p->processes; *at != pr; at = &(*at)->next)
		;
	*at = pr->next;
	stats_set(COUNT_PROCESSES_OPEN, --p->nprocesses);
	loop_io_free(&pr->io);
	chan_free(&pr->chan);
	free(pr->place);
	free(pr->unix_path);
	free(pr);
	if (p->stopping && p->nprocesses == 0)
		loop_stop(p->loop);
}

/* A connection that the process may not make itself. */
static bool
give(struct process *pr, uint32_t service)
{
	struct transfer_channel c = {.service = service};
	struct transfer_none n = {.error = ENOENT};
	const char *path = service == TRANSFER_DNS ? SOCKET_DNS
	    : service == TRANSFER_DKIM ? SOCKET_DKIM : pr->unix_path;
	int fd = -1;

	if (pr->job == NULL || path == NULL)
		return false;
	fd = chan_dial(path);
	if (fd >= 0) {
		chan_send_fds(pr->chan, TRANSFER_CHANNEL, &c, &fd, 1);
		return true;
	}
	n.error = (uint32_t)errno;
	LOG_WARN("cannot-connect", LS("socket", path), LE());
	chan_send(pr->chan, TRANSFER_NONE, &n);
	return true;
}

/* Exactly the recipients of its job, in their order. */
static bool
answers(const struct job_slot *s, const struct transfer_done *d)
{
	const struct transfer_outcome *v = d->outcomes.v;

	if (d->outcomes.n != s->nrcpts)
		return false;
	for (size_t i = 0; i < s->nrcpts; i++)
		if (v[i].number != s->rcpts[i])
			return false;
	return true;
}

static bool
finish(struct process *pr, struct transfer_done *d)
{
	struct parent *p = pr->p;
	struct job_slot *s = pr->job;

	if (s == NULL || d->job != (uint64_t)(s - p->jobs) || !answers(s, d))
		return false;
	d->job = s->number;
	if (s->peer != NULL)
		chan_peer_send(s->peer, TRANSFER_DONE, d);
	release_job(p, pr);
	return true;
}

static void
watch(struct process *pr)
{
	loop_io_events(pr->io, chan_pending(pr->chan) > 0
	    ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void
on_process(void *arg, unsigned events)
{
	struct process *pr = arg;
	union transfer_msg m;
	int fds[CHAN_MAX_FDS];
	enum chan_result r;
	uint16_t type;
	size_t nfds;

	if (events & LOOP_WRITE)
		(void)chan_flush(pr->chan);
	while ((r = chan_recv(pr->chan, &type, &m, sizeof(m), fds, &nfds)) ==
	    CHAN_OK) {
		if (type == TRANSFER_DONE ? finish(pr, &m.done)
		    : type == TRANSFER_WANT && give(pr, m.want.service))
			continue;
		LOG_ERROR("process-out-of-turn", LI("pid", pr->pid),
		    LU("type", type));
		r = CHAN_BAD;
		break;
	}
	if (r != CHAN_AGAIN || (pr->closing && pr->job == NULL))
		process_free(pr);
	else
		watch(pr);
}

static struct process *
process_new(struct parent *p, const char *place, const char *unix_path)
{
	struct process *pr;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("no socket pair for a delivery process");
		return NULL;
	}
	pid = proc_fork(NULL);
	if (pid == 0) {
		loop_forked(&p->loop);
		proc_close_except(&pair[1], 1);
		_exit(worker_run(p->r, place, pair[1]));
	}
	close(pair[1]);
	if (pid < 0) {
		log_warn("cannot fork a delivery process");
		close(pair[0]);
		return NULL;
	}
	pr = mem_alloc(sizeof(*pr));
	pr->p = p;
	pr->pid = pid;
	pr->place = mem_dup(place);
	pr->unix_path = unix_path != NULL ? mem_dup(unix_path) : NULL;
	pr->chan = chan_new(pair[0], &transfer_contract, CHAN_CLIENT);
	pr->io = loop_io_new(p->loop, pair[0], LOOP_READ, on_process, pr);
	pr->next = p->processes;
	p->processes = pr;
	stats_add(COUNT_PROCESSES, 1);
	stats_set(COUNT_PROCESSES_OPEN, ++p->nprocesses);
	return pr;
}

/* Room for one more: the process that was idle longest makes way. */
static bool
make_room(struct parent *p)
{
	struct process *pr, *oldest = NULL;

	if (p->nprocesses < p->capacity)
		return true;
	for (pr = p->processes; pr != NULL; pr = pr->next)
		if (pr->job == NULL && (oldest == NULL ||
		    pr->idle_since_ms < oldest->idle_since_ms))
			oldest = pr;
	if (oldest == NULL)
		return false;
	process_free(oldest);
	return true;
}

/* The idle process for this place that was busy last: its connection is the
 * one least likely to be closed by now. */
static struct process *
process_for(struct parent *p, const char *place, const char *unix_path)
{
	struct process *pr, *best = NULL;

	for (pr = p->processes; pr != NULL; pr = pr->next)
		if (pr->job == NULL && !pr->closing &&
		    (best == NULL || pr->idle_since_ms > best->idle_since_ms) &&
		    strcmp(pr->place, place) == 0)
			best = pr;
	if (best != NULL || !make_room(p))
		return best;
	return process_new(p, place, unix_path);
}

/* ---- jobs ---- */

/* What jobs that may share a connection have in common: a route that names a
 * host, else the domain.  *unix_path: the caller's to free. */
static void
place_of(const struct transfer_job *j, char out[PLACE_MAX], char **unix_path)
{
	const char *why = "";
	struct route r;

	*unix_path = NULL;
	if (!route_parse(j->route, &r, &why) || (r.kind == ROUTE_MX &&
	    r.host.len == 0)) {
		snprintf(out, PLACE_MAX, "%.*s %.*s", SLICE_FMT(j->domain),
		    SLICE_FMT(j->route));
		return;
	}
	snprintf(out, PLACE_MAX, "%.*s", SLICE_FMT(j->route));
	if (r.kind == ROUTE_UNIX)
		*unix_path = slice_dup(r.path);
}

static void
start(struct parent *p, struct process *pr, struct chan_peer *peer,
    struct transfer_job *j, const int *fds)
{
	struct job_slot *s = &p->jobs[p->free_jobs[--p->nfree]];

	*s = (struct job_slot){.peer = peer, .number = j->job, .process = pr,
	    .rcpts = numbers_of(j), .nrcpts = j->recipients.n};
	pr->job = s;
	j->job = (uint64_t)(s - p->jobs);
	chan_send_fds(pr->chan, TRANSFER_JOB, j, fds, 1);
	watch(pr);
}

static bool
on_record(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct parent *p = arg;
	char place[PLACE_MAX], *unix_path;
	struct process *pr = NULL;
	struct transfer_job j;
	uint32_t *numbers;

	if (type != TRANSFER_JOB) {
		if (nfds > 0)
			close(fds[0]);
		return false;
	}
	if (p->stopping) {
		/* Not answered: qmgr keeps it for who comes after us. */
		close(fds[0]);
		return true;
	}
	memcpy(&j, msg, sizeof(j));
	place_of(&j, place, &unix_path);
	if (p->nfree > 0)
		pr = process_for(p, place, unix_path);
	free(unix_path);
	if (pr != NULL) {
		start(p, pr, peer, &j, fds);
		return true;
	}
	close(fds[0]);
	numbers = numbers_of(&j);
	fail_all(peer, j.job, numbers, j.recipients.n,
	    "No delivery process to be had");
	free(numbers);
	return true;
}

static bool
on_opened(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	struct transfer_ready r = {.capacity = p->capacity};

	chan_peer_send(peer, TRANSFER_READY, &r);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;

	for (size_t i = 0; i < p->njobs; i++)
		if (p->jobs[i].process != NULL && p->jobs[i].peer == peer)
			p->jobs[i].peer = NULL;
}

/* ---- the process ---- */

static void
on_reaper(void *arg)
{
	struct parent *p = arg;
	struct process *pr, *next;
	int64_t now = loop_now(p->loop);
	int64_t idle = (int64_t)p->r->conf.remote_idle_ms;

	for (pr = p->processes; pr != NULL; pr = next) {
		next = pr->next;
		if (pr->job == NULL && now - pr->idle_since_ms >= idle)
			process_free(pr);
	}
	loop_timer_in(p->reaper, idle / 2 + 1);
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	(void)arg;
	/* Its channel tells the rest. */
	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0)
		LOG_ERROR("process-died", LI("pid", pid),
		    LI("wstatus", wstatus));
}

static void
on_killer(void *arg)
{
	struct parent *p = arg;

	for (struct process *pr = p->processes; pr != NULL; pr = pr->next)
		(void)kill(pr->pid, SIGKILL);
}

static void
on_term(void *arg)
{
	struct parent *p = arg;
	struct process *pr, *next;

	if (p->stopping)
		return;
	proc_stopping();
	p->stopping = true;
	chan_server_pause(p->server);
	if (p->nprocesses == 0)
		loop_stop(p->loop);
	loop_timer_in(p->killer, STOP_WAIT_MS);
	for (pr = p->processes; pr != NULL; pr = next) {
		next = pr->next;
		if (pr->job == NULL)
			process_free(pr);
		else
			(void)kill(pr->pid, SIGTERM);
	}
}

static bool
parse_source(const char *key, const char *text, bool v4, bool *has,
    struct ip *out)
{
	*has = text[0] != '\0';
	if (!*has || (ip_parse(slice_of(text), out) && ip_is_v4(out) == v4))
		return true;
	log_warnx("%s: \"%s\" is no IPv%d address; allowed: one address of "
	    "this host, or nothing", key, text, v4 ? 4 : 6);
	return false;
}

static bool
sources(struct remote *r)
{
	struct remote n = *r;

	if (!parse_source("remote_source_ipv4", r->conf.remote_source_ipv4,
	    true, &n.has_source4, &n.source4) ||
	    !parse_source("remote_source_ipv6", r->conf.remote_source_ipv6,
	    false, &n.has_source6, &n.source6))
		return false;
	*r = n;
	return true;
}

static void
on_hup(void *arg)
{
	struct parent *p = arg;
	struct process *pr, *next;

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(&p->r->conf)) {
		(void)sources(p->r);
		(void)sign_read(p->r);
		for (pr = p->processes; pr != NULL; pr = next) {
			next = pr->next;
			if (pr->job == NULL)
				process_free(pr);
			else
				pr->closing = true;
		}
	}
	proc_ready();
}

void
remote_open(struct remote *r)
{
	const struct conf *c = &r->conf;
	struct sys_user me = user_need("user_remote", c->user_remote);

	r->uid = me.uid;
	r->gid = me.gid;
	r->client_uids[0] = user_need("user_queue", c->user_queue).uid;
	if (!sources(r) || !sign_read(r))
		die(EXIT_PERMANENT, "the configuration cannot be used");
	sign_start();
	own_find(&r->own, c);
	r->health = health_new();
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered (make "
		    "it with group postern and mode 2750; `postern check` "
		    "shows all)", c->run_dir);
	r->listen_fd = chan_listen(SOCKET_REMOTE, 0660, 64);
	if (r->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s", c->run_dir,
		    SOCKET_REMOTE);
	(void)proc_max_files();
}

static void
enter_cage(struct remote *r)
{
	struct sandbox_path paths[] = {
	    {conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = r->uid, .gid = r->gid,
	    .paths = paths, .npaths = 1};

	sandbox_require(r->conf.require_sandbox);
	sandbox_prepare(ROLE_REMOTE, 0);
	sandbox_enter(ROLE_REMOTE_PARENT, &args);
}

int
remote_run(struct remote *r)
{
	static const struct chan_server_ops ops = {
	    .record = on_record, .opened = on_opened, .closed = on_closed};
	struct parent p = {.r = r};

	p.capacity = (uint32_t)r->conf.remote_processes_max;
	p.njobs = (size_t)p.capacity * 2;
	p.jobs = mem_array(p.njobs, sizeof(*p.jobs));
	p.free_jobs = mem_array(p.njobs, sizeof(*p.free_jobs));
	for (size_t i = p.njobs; i > 0; i--)
		p.free_jobs[p.nfree++] = i - 1;
	enter_cage(r);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	p.killer = loop_timer_new(p.loop, on_killer, &p);
	p.reaper = loop_timer_new(p.loop, on_reaper, &p);
	loop_timer_in(p.reaper, (int64_t)r->conf.remote_idle_ms);
	p.server = chan_server_new(p.loop, r->listen_fd, &transfer_contract,
	    &ops, &p, r->client_uids, 1, 16, false);
	proc_ready();
	loop_run(p.loop);
	return 0;
}
