/*
 * local's parent: takes jobs from qmgr and hands each to a process that has the
 * rights of the mailbox's owner.  It keeps CAP_SETUID and CAP_SETGID for making
 * such processes, reads no mail and opens no mailbox.
 *
 * A process lives until it was idle for local_idle, because a fork with its
 * cage costs more than a delivery.  Owners with much mail get several.
 */
#include <sys/socket.h>
#include <sys/stat.h>
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
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "local/counters.h"
#include "local/local.h"

/* Processes of one owner: enough to keep disk and processor busy, few enough
 * that deliveries share their commits. */
#define OWNER_PROCESSES_MAX 2
#define BUSY_JOBS 12 /* under way in one before there is another */

struct parent;

struct process {
	struct parent *p;
	struct process *next;
	pid_t pid;
	struct owner owner;
	struct chan *chan;
	struct loop_io *io;
	unsigned jobs;           /* under way */
	int64_t idle_since_ms;
	bool closing;
};

/* A job under way; its index is the number the process knows it by. */
struct job {
	struct chan_peer *peer;  /* who asked; NULL: gone */
	uint64_t number;         /* the asker's number */
	struct process *process; /* NULL: the slot is free */
};

struct parent {
	struct local *l;
	struct loop *loop;
	struct chan_server *server;
	struct process *processes;
	unsigned nprocesses;
	uint32_t capacity;       /* jobs at once, as qmgr is told */
	struct job *jobs;        /* more than these: a restarted qmgr knows
	                          * nothing of those it left here */
	size_t njobs;
	size_t *free_jobs;       /* stack of free slots */
	size_t nfree;
	struct loop_timer *reaper;
	bool stopping;
};

static void
done(struct chan_peer *peer, uint64_t number, uint32_t code, uint32_t subject,
    uint32_t detail, const char *text)
{
	struct delivery_done d = {.job = number, .code = code,
	    .subject = subject, .detail = detail, .text = slice_of(text),
	    .host = SLICE("local")};

	if (peer != NULL)
		chan_peer_send(peer, DELIVERY_DONE, &d);
}

static void
release_job(struct parent *p, size_t i)
{
	struct process *pr = p->jobs[i].process;

	p->jobs[i].process = NULL;
	p->jobs[i].peer = NULL;
	p->free_jobs[p->nfree++] = i;
	pr->jobs--;
	if (pr->jobs == 0)
		pr->idle_since_ms = loop_now(p->loop);
	if (p->stopping)
		pr->closing = true;
}

static void
process_free(struct process *pr)
{
	struct parent *p = pr->p;
	struct process **at;
	size_t i;

	for (i = 0; i < p->njobs; i++) {
		if (p->jobs[i].process != pr)
			continue;
		done(p->jobs[i].peer, p->jobs[i].number, 451, 3, 0,
		    "Delivery process ended early, will be tried again");
		release_job(p, i);
	}
	for (at = &p->processes; *at != pr; at = &(*at)->next)
		;
	*at = pr->next;
	stats_set(COUNT_PROCESSES_OPEN, --p->nprocesses);
	loop_io_free(&pr->io);
	chan_free(&pr->chan);
	owner_free(&pr->owner);
	free(pr);
	if (p->stopping && p->nprocesses == 0)
		loop_stop(p->loop);
}

static void
on_process(void *arg, unsigned events)
{
	struct process *pr = arg;
	struct parent *p = pr->p;
	union delivery_msg m;
	struct delivery_done d;
	size_t nfds, slot;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	enum chan_result r;

	if (events & LOOP_WRITE && chan_flush(pr->chan) == CHAN_OK)
		loop_io_events(pr->io, LOOP_READ);
	while ((r = chan_recv(pr->chan, &type, &m, sizeof(m), fds, &nfds)) ==
	    CHAN_OK) {
		d = m.done;
		if (type != DELIVERY_DONE || d.job >= p->njobs ||
		    p->jobs[d.job].process != pr) {
			r = CHAN_BAD;
			break;
		}
		slot = (size_t)d.job;
		d.job = p->jobs[slot].number;
		if (p->jobs[slot].peer != NULL)
			chan_peer_send(p->jobs[slot].peer, DELIVERY_DONE, &d);
		release_job(p, slot);
	}
	if (r != CHAN_AGAIN || (pr->closing && pr->jobs == 0))
		process_free(pr);
}

/* ---- making processes ---- */

static struct process *
process_new(struct parent *p, struct owner *o)
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
		_exit(process_run(p->l, o, pair[1]));
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
	pr->owner = *o;
	*o = (struct owner){0};
	pr->chan = chan_new(pair[0], &delivery_contract, CHAN_CLIENT);
	pr->io = loop_io_new(p->loop, pair[0], LOOP_READ, on_process, pr);
	pr->next = p->processes;
	p->processes = pr;
	stats_set(COUNT_PROCESSES_OPEN, ++p->nprocesses);
	stats_add(COUNT_PROCESSES, 1);
	return pr;
}

/* Room for one more: the process that was idle longest makes way. */
static bool
make_room(struct parent *p)
{
	struct process *pr, *oldest = NULL;

	if (p->nprocesses < p->l->conf.local_processes_max)
		return true;
	for (pr = p->processes; pr != NULL; pr = pr->next)
		if (pr->jobs == 0 && (oldest == NULL ||
		    pr->idle_since_ms < oldest->idle_since_ms))
			oldest = pr;
	if (oldest == NULL)
		return false;
	process_free(oldest);
	return true;
}

/* The least busy process of the owner, or one more when all are busy. */
static struct process *
process_for(struct parent *p, struct owner *o)
{
	struct process *pr, *best = NULL, *made;
	unsigned n = 0;

	for (pr = p->processes; pr != NULL; pr = pr->next) {
		if (pr->closing || !owner_same(&pr->owner, o))
			continue;
		n++;
		if (best == NULL || pr->jobs < best->jobs)
			best = pr;
	}
	if (best != NULL && (best->jobs < BUSY_JOBS ||
	    n >= OWNER_PROCESSES_MAX))
		return best;
	if (!make_room(p))
		return best;
	made = process_new(p, o);
	return made != NULL ? made : best;
}

/* ---- jobs ---- */

static bool
on_record(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct parent *p = arg;
	struct delivery_job j;
	struct process *pr;
	struct owner o;
	const char *why;
	size_t slot;

	(void)nfds;
	if (type != DELIVERY_JOB)
		return false;
	memcpy(&j, msg, sizeof(j));
	if (p->stopping) {
		/* Not answered: qmgr keeps it for who comes after us. */
		close(fds[0]);
		return true;
	}
	why = owner_unsound(p->l, &j);
	if (why != NULL) {
		LOG_ERROR("job-refused", LB("id", j.id), LB("to", j.address),
		    LU("uid", j.uid), LU("gid", j.gid), LB("home", j.home),
		    LB("maildir", j.maildir), LS("why", why),
		    LS("mend", "see the users table or the forward file"));
		close(fds[0]);
		done(peer, j.job, 451, 3, 5, "Mailbox not configured soundly");
		return true;
	}
	o = owner_of(p->l, &j);
	pr = p->nfree > 0 ? process_for(p, &o) : NULL;
	owner_free(&o);
	if (pr == NULL) {
		close(fds[0]);
		done(peer, j.job, 451, 3, 2, "No delivery process to be had");
		return true;
	}
	slot = p->free_jobs[--p->nfree];
	p->jobs[slot] = (struct job){peer, j.job, pr};
	pr->jobs++;
	j.job = slot;
	chan_send_fds(pr->chan, DELIVERY_JOB, &j, fds, 1);
	if (chan_pending(pr->chan) > 0)
		loop_io_events(pr->io, LOOP_READ | LOOP_WRITE);
	return true;
}

static bool
on_opened(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	struct delivery_ready r = {.capacity = p->capacity};

	chan_peer_send(peer, DELIVERY_READY, &r);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	size_t i;

	for (i = 0; i < p->njobs; i++)
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
	int64_t idle = (int64_t)p->l->conf.local_idle_ms;

	for (pr = p->processes; pr != NULL; pr = next) {
		next = pr->next;
		if (pr->jobs == 0 && now - pr->idle_since_ms >= idle)
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
on_term(void *arg)
{
	struct parent *p = arg;
	struct process *pr, *next;

	proc_stopping();
	p->stopping = true;
	chan_server_pause(p->server);
	if (p->nprocesses == 0)
		loop_stop(p->loop);
	for (pr = p->processes; pr != NULL; pr = next) {
		next = pr->next;
		if (pr->jobs == 0)
			process_free(pr);
	}
}

static void
on_hup(void *arg)
{
	struct parent *p = arg;
	struct process *pr, *next;

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(&p->l->conf))
		for (pr = p->processes; pr != NULL; pr = next) {
			next = pr->next;
			if (pr->jobs == 0)
				process_free(pr);
			else
				pr->closing = true;
		}
	proc_ready();
}

void
local_open(struct local *l)
{
	const struct conf *c = &l->conf;
	struct sys_user me, queue, virtual;
	char *p;

	virtual = user_need("user_virtual", c->user_virtual);
	me = c->virtual_only ? virtual : user_need("user_local", c->user_local);
	l->becomes = geteuid() == 0 && !c->virtual_only;
	queue = user_need("user_queue", c->user_queue);
	l->uid = me.uid;
	l->gid = me.gid;
	l->virtual_uid = virtual.uid;
	l->virtual_gid = virtual.gid;
	l->client_uids[0] = queue.uid;
	snprintf(l->host, sizeof(l->host), "%s", c->hostname);
	for (p = l->host; *p != '\0'; p++)
		if (*p == '/' || *p == ':' || *p == ',')
			*p = '_';
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered (make "
		    "it with group postern and mode 2750; `postern check` "
		    "shows all)", c->run_dir);
	l->listen_fd = chan_listen(SOCKET_LOCAL, 0660, 64);
	if (l->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s", c->run_dir,
		    SOCKET_LOCAL);
	(void)proc_max_files();
}

int
local_run(struct local *l)
{
	static const struct chan_server_ops ops = {
	    .record = on_record, .opened = on_opened, .closed = on_closed};
	struct parent p = {.l = l};
	struct sandbox_args args = {.uid = l->uid, .gid = l->gid,
	    .uid_min = (uid_t)l->conf.mailbox_uid_min};
	size_t i;

	/* With fewer processes than jobs, one owner's could be without. */
	p.capacity = (uint32_t)(l->conf.local_concurrency <
	    l->conf.local_processes_max ? l->conf.local_concurrency
	    : l->conf.local_processes_max);
	p.njobs = (size_t)p.capacity * 2;
	p.jobs = mem_array(p.njobs, sizeof(*p.jobs));
	p.free_jobs = mem_array(p.njobs, sizeof(*p.free_jobs));
	for (i = p.njobs; i > 0; i--)
		p.free_jobs[p.nfree++] = i - 1;
	sandbox_require(l->conf.require_sandbox);
	sandbox_prepare(ROLE_LOCAL_DELIVERY, 0);
	sandbox_enter(l->conf.virtual_only ? ROLE_LOCAL_VIRTUAL
	                                   : ROLE_LOCAL_PARENT, &args);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	p.reaper = loop_timer_new(p.loop, on_reaper, &p);
	loop_timer_in(p.reaper, (int64_t)l->conf.local_idle_ms);
	p.server = chan_server_new(p.loop, l->listen_fd, &delivery_contract,
	    &ops, &p, l->client_uids, 1, 16, false);
	proc_ready();
	loop_run(p.loop);
	return 0;
}
