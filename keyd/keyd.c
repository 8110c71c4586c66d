/*
 * keyd's parent: opens directories and sockets, forks the workers and keeps them
 * alive.  It reads no key and nothing from anybody.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "keyd/cache.h"
#include "keyd/keyd.h"

#define BACKLOG 4096
#define WORKERS_MAX 64
#define RESTART_MS 100 /* a worker that dies at once is not forked in a spin */

struct slot {
	pid_t pid;      /* 0: none */
	struct loop_timer *restart;
	struct parent *p;
};

struct parent {
	struct keyd *k;
	struct loop *loop;
	struct slot slots[WORKERS_MAX];
	unsigned nslots;
	/* Workers with an old configuration, which end with their last
	 * session. */
	pid_t *retired;
	size_t nretired, retired_cap;
	bool stopping;
};

static int
open_directory(const char *key, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die_errno(EXIT_PERMANENT, "%s %s: cannot be opened (`postern "
		    "setup` makes it)", key, path);
	return fd;
}

static int
listen_on(const struct keyd *k, const char *name)
{
	int fd = chan_listen(name, 0660, BACKLOG);

	if (fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s (`postern "
		    "setup` makes the directory)", k->conf.run_dir, name);
	return fd;
}

void
keyd_open(struct keyd *k)
{
	const struct conf *c = &k->conf;
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	k->me = user_need("user_key", c->user_key);
	k->key_uids[0] = user_need("user_smtpd", c->user_smtpd).uid;
	k->key_uids[1] = user_need("user_pop3d", c->user_pop3d).uid;
	k->dkim_uids[0] = user_need("user_remote", c->user_remote).uid;
	k->list_uids[0] = geteuid(); /* root, or who runs all of the suite */
	(void)proc_max_files();
	/* For mlockall of the workers; only root may. */
	if (geteuid() == 0)
		(void)setrlimit(RLIMIT_MEMLOCK, &all);
	k->tls_fd = open_directory("tls_dir", c->tls_dir);
	k->dkim_fd = open_directory("dkim_dir", c->dkim_dir);
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered "
		    "(`postern setup` makes it)", c->run_dir);
	k->key_fd = listen_on(k, SOCKET_KEY);
	k->sign_fd = listen_on(k, SOCKET_DKIM);
	k->list_fd = listen_on(k, SOCKET_KEYLIST);
	k->cache = cache_new((size_t)c->tls_sessions_max,
	    (int64_t)c->tls_session_life_ms);
}

/* ---- workers ---- */

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
		struct keyd *k = p->k;

		/* Nobody else would end a worker whose parent was killed. */
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
			log_warn("PR_SET_PDEATHSIG");
		if (getppid() != parent)
			_exit(EXIT_TEMPORARY);
		loop_forked(&p->loop);
		close(conf_keep_fd());
		_exit(keyd_work(k, number));
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

	for (unsigned i = 0; i < WORKERS_MAX; i++)
		left += p->slots[i].pid != 0;
	return left;
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct parent *p = arg;
	bool good = WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0;

	cache_release(p->k->cache, pid);
	for (size_t i = 0; i < p->nretired; i++)
		if (p->retired[i] == pid) {
			p->retired[i] = p->retired[--p->nretired];
			break;
		}
	for (unsigned i = 0; i < WORKERS_MAX; i++)
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

/* keyd_workers, or one for each core: a signature keeps one busy. */
static void
use_slots(struct parent *p)
{
	uint64_t n = p->k->conf.keyd_workers;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (n == 0)
		n = cores > 0 ? (uint64_t)cores : 1;
	p->nslots = n < WORKERS_MAX ? (unsigned)n : WORKERS_MAX;
	for (unsigned i = 0; i < p->nslots; i++)
		start_worker(&p->slots[i]);
}

/* ---- signals ---- */

static void
on_term(void *arg)
{
	struct parent *p = arg;

	p->stopping = true;
	proc_stopping();
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		if (p->slots[i].pid != 0)
			kill(p->slots[i].pid, SIGTERM);
	for (size_t i = 0; i < p->nretired; i++)
		kill(p->retired[i], SIGTERM);
	if (workers_left(p) == 0)
		loop_stop(p->loop);
}

/* New workers have the new configuration; the old ones go on with the sessions
 * they have. */
static void
on_hup(void *arg)
{
	struct parent *p = arg;

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(&p->k->conf)) {
		cache_life(p->k->cache,
		    (int64_t)p->k->conf.tls_session_life_ms);
		for (unsigned i = 0; i < WORKERS_MAX; i++) {
			struct slot *slot = &p->slots[i];

			if (slot->pid == 0)
				continue;
			kill(slot->pid, SIGHUP);
			MEM_PUSH(p->retired, p->nretired, p->retired_cap,
			    slot->pid);
			slot->pid = 0;
		}
		use_slots(p);
	}
	proc_ready();
}

int
keyd_run(struct keyd *k)
{
	static struct parent p;
	struct sandbox_path paths[] = {{k->tls_fd, NULL, SANDBOX_READ},
	    {k->dkim_fd, NULL, SANDBOX_READ},
	    {conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = k->me.uid, .gid = k->me.gid,
	    .root = RUN_EMPTY, .paths = paths, .npaths = 3};

	p.k = k;
	sandbox_prepare(ROLE_KEYD, 0);
	sandbox_enter(ROLE_KEYD_PARENT, &args);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		p.slots[i].p = &p;
		p.slots[i].restart = loop_timer_new(p.loop, start_worker,
		    &p.slots[i]);
	}
	use_slots(&p);
	proc_ready();
	loop_run(p.loop);
	return 0;
}
