/*
 * queued's parent: opens the queue and the socket, forks the workers and keeps
 * them alive.  It reads nothing from anybody.
 */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/mail/qfile.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "queue/queued.h"

#define WORKERS_MAX 64
#define RESTART_MS 200 /* a worker that dies at once is not forked in a spin */

struct slot {
	pid_t pid;                  /* 0: none */
	struct loop_timer *restart;
	struct parent *p;
};

struct parent {
	struct queued *q;
	struct loop *loop;
	struct slot slots[WORKERS_MAX];
	unsigned nslots;            /* of them in use: queue_workers */
	/* Workers with an old configuration, which end with their last
	 * submitter. */
	pid_t *retired;
	size_t nretired, retired_cap;
	bool stopping;
};

static int
open_dir(const char *dir, int at, const char *name)
{
	int fd;

	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die_errno(EXIT_PERMANENT, "queue_dir %s: cannot open %s "
		    "(make it with owner user_queue and mode 0700; "
		    "`postern check` shows all)", dir, name);
	return fd;
}

static void
check_owner(const struct queued *q, const char *dir)
{
	struct stat st;

	if (fstat(q->incoming_fd, &st) != 0)
		die_errno(EXIT_TEMPORARY, "%s/incoming", dir);
	if (geteuid() == 0 && st.st_uid != q->uid)
		die(EXIT_PERMANENT, "queue_dir %s/incoming belongs to uid %u, "
		    "not to user_queue (%s): chown it", dir,
		    (unsigned)st.st_uid, q->conf.user_queue);
	if ((st.st_mode & 077) != 0)
		log_warnx("queue_dir %s/incoming has mode %o: others may look "
		    "at mail; chmod it to 0700", dir,
		    (unsigned)(st.st_mode & 07777));
}

void
queued_open(struct queued *q)
{
	const struct conf *c = &q->conf;
	struct sys_user me, smtpd, bounce;

	me = user_need("user_queue", c->user_queue);
	smtpd = user_need("user_smtpd", c->user_smtpd);
	bounce = user_need("user_bounce", c->user_bounce);
	q->uid = me.uid;
	q->gid = me.gid;
	q->client_uids[0] = smtpd.uid;
	q->client_uids[1] = me.uid;
	q->client_uids[2] = bounce.uid;
	q->nclients = 3;
	q->queue_fd = open_dir(c->queue_dir, AT_FDCWD, c->queue_dir);
	q->incoming_fd = open_dir(c->queue_dir, q->queue_fd,
	    qdir_names[QDIR_INCOMING]);
	check_owner(q, c->queue_dir);
	q->mode = c->queue_commit == CONF_COMMIT_ORDERED ? DURABLE_ORDERED
	    : c->queue_commit == CONF_COMMIT_STRICT ? DURABLE_STRICT
	    : durable_detect(q->incoming_fd);
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered (make "
		    "it with group postern and mode 2750; `postern check` "
		    "shows all)", c->run_dir);
	q->listen_fd = chan_listen(SOCKET_QUEUE, 0660, 1024);
	if (q->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s", c->run_dir,
		    SOCKET_QUEUE);
	q->files_max = (size_t)proc_max_files();
	durable_prepare();
}

static void
start_worker(void *arg)
{
	struct slot *slot = arg;
	struct parent *p = slot->p;
	unsigned number = (unsigned)(slot - p->slots) + 1;
	pid_t pid, parent = getpid();

	if (p->stopping || slot->pid != 0 || number > p->nslots)
		return;
	pid = proc_fork(NULL);
	if (pid == 0) {
		struct queued *q = p->q;

		/* Nobody else would end a worker whose parent was killed. */
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
			log_warn("PR_SET_PDEATHSIG");
		if (getppid() != parent)
			_exit(EXIT_TEMPORARY);
		loop_forked(&p->loop);
		close(conf_keep_fd());
		_exit(worker_run(q, number));
	}
	if (pid < 0) {
		log_warn("cannot fork a worker");
		loop_timer_in(slot->restart, RESTART_MS);
		return;
	}
	slot->pid = pid;
}

static size_t
workers_left(const struct parent *p)
{
	size_t left = p->nretired;
	unsigned i;

	for (i = 0; i < WORKERS_MAX; i++)
		left += p->slots[i].pid != 0;
	return left;
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct parent *p = arg;
	bool good = WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0;
	unsigned i;
	size_t k;

	for (k = 0; k < p->nretired; k++)
		if (p->retired[k] == pid) {
			p->retired[k] = p->retired[--p->nretired];
			break;
		}
	for (i = 0; i < p->nslots; i++)
		if (p->slots[i].pid == pid) {
			p->slots[i].pid = 0;
			loop_timer_in(p->slots[i].restart, RESTART_MS);
			good = good && p->stopping;
		}
	if (!good)
		LOG_ERROR("worker-died", LI("pid", pid),
		    LI("wstatus", wstatus));
	if (p->stopping && workers_left(p) == 0)
		loop_stop(p->loop);
}

static void
on_term(void *arg)
{
	struct parent *p = arg;
	unsigned i;
	size_t k;

	p->stopping = true;
	proc_stopping();
	for (i = 0; i < p->nslots; i++)
		if (p->slots[i].pid != 0)
			kill(p->slots[i].pid, SIGTERM);
	for (k = 0; k < p->nretired; k++)
		kill(p->retired[k], SIGTERM);
	if (workers_left(p) == 0)
		loop_stop(p->loop);
}

static void
retire(struct parent *p, struct slot *slot)
{
	if (slot->pid == 0)
		return;
	kill(slot->pid, SIGHUP);
	MEM_PUSH(p->retired, p->nretired, p->retired_cap, slot->pid);
	slot->pid = 0;
}

static void
use_slots(struct parent *p, unsigned n)
{
	unsigned i;

	p->nslots = n < WORKERS_MAX ? n : WORKERS_MAX;
	for (i = 0; i < p->nslots; i++)
		start_worker(&p->slots[i]);
}

/* New workers have the new configuration; the old ones go on with the
 * submitters they have. */
static void
on_hup(void *arg)
{
	struct parent *p = arg;
	unsigned i;

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(&p->q->conf)) {
		for (i = 0; i < p->nslots; i++)
			retire(p, &p->slots[i]);
		use_slots(p, (unsigned)p->q->conf.queue_workers);
	}
	proc_ready();
}

int
queued_run(struct queued *q)
{
	struct parent p = {.q = q};
	struct sandbox_path paths[] = {{q->queue_fd, NULL, SANDBOX_WRITE},
	    {conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = q->uid,
	    .gid = q->gid,
	    .root = q->conf.queue_dir,
	    .paths = paths,
	    .npaths = 2};
	unsigned i;

	sandbox_require(q->conf.require_sandbox);
	sandbox_prepare(ROLE_QUEUED_WORKER, 0);
	sandbox_enter(ROLE_QUEUED_PARENT, &args);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	for (i = 0; i < WORKERS_MAX; i++) {
		p.slots[i].p = &p;
		p.slots[i].restart = loop_timer_new(p.loop, start_worker,
		    &p.slots[i]);
	}
	use_slots(&p, (unsigned)q->conf.queue_workers);
	proc_ready();
	loop_run(p.loop);
	return 0;
}
