/*
 * The spawner's parent: takes jobs with a program from qmgr and forks a process
 * for each, which becomes the user and runs it.  It keeps CAP_SETUID and
 * CAP_SETGID and reads no mail.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "local/counters.h"
#include "local/spawner.h"

struct parent;

/* One program under way. */
struct run {
	struct parent *p;
	struct chan_peer *peer; /* who asked; NULL: gone */
	uint64_t number;        /* the asker's number of the job */
	pid_t pid;              /* 0: the slot is free */
	struct chan *chan;      /* the process tells its outcome */
	struct loop_io *io;
	int64_t started_ms;
};

struct parent {
	struct spawner *s;
	struct loop *loop;
	struct chan_server *server;
	struct run *runs;
	size_t nruns, used;
	bool stopping;
};

static void
answer(struct chan_peer *peer, uint64_t number, const struct status *st)
{
	struct delivery_done d = {.job = number, .code = st->code,
	    .subject = st->subject, .detail = st->detail,
	    .text = slice_of(st->text), .host = SLICE("program")};

	if (peer != NULL)
		chan_peer_send(peer, DELIVERY_DONE, &d);
}

static void
end_run(struct run *r, const struct status *st)
{
	struct parent *p = r->p;
	enum status_class class = status_class(st);

	stats_add(class == STATUS_OK ? COUNT_PROGRAMS :
	    class == STATUS_TEMPORARY ? COUNT_PROGRAMS_LATER :
	    COUNT_PROGRAMS_FAILED, 1);
	stats_observe(COUNT_PROGRAM_TIME,
	    (loop_now(p->loop) - r->started_ms) * 1000);
	answer(r->peer, r->number, st);
	loop_io_free(&r->io);
	chan_free(&r->chan);
	*r = (struct run){.p = p};
	stats_set(COUNT_PROGRAMS_OPEN, --p->used);
	if (p->stopping && p->used == 0)
		loop_stop(p->loop);
}

static void
on_run(void *arg, unsigned events)
{
	struct run *r = arg;
	union delivery_msg m;
	struct status st;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	enum chan_result got;

	(void)events;
	got = chan_recv(r->chan, &type, &m, sizeof(m), fds, &nfds);
	if (got == CHAN_AGAIN)
		return;
	if (got == CHAN_OK && type == DELIVERY_DONE && m.done.code >= 200) {
		status_set(&st, m.done.code, m.done.subject, m.done.detail,
		    "%.*s", SLICE_FMT(m.done.text));
	} else
		status_set(&st, 451, 3, 0,
		    "Program's process ended early, will be tried again");
	end_run(r, &st);
}

/* The connecting side speaks first: its HELLO left right after the fork. */
static bool
greeted(struct chan *c)
{
	struct pollfd pfd = {.fd = chan_fd(c), .events = POLLIN};
	union delivery_msg m;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t nfds;

	while (chan_version(c) == 0) {
		if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
			return false;
		if (chan_recv(c, &type, &m, sizeof(m), fds, &nfds) !=
		    CHAN_AGAIN)
			return false;
	}
	return true;
}

static void
child(struct parent *p, const struct delivery_job *j, int message_fd, int fd)
{
	struct delivery_done d = {.job = j->job};
	struct status st;
	struct chan *c;

	proc_title("runs a program for %.*s", SLICE_FMT(j->address));
	program_run(p->s, j, message_fd, &st);
	d.code = st.code;
	d.subject = st.subject;
	d.detail = st.detail;
	d.text = slice_of(st.text);
	d.host = SLICE("program");
	c = chan_new(fd, &delivery_contract, CHAN_SERVER);
	if (greeted(c))
		chan_send(c, DELIVERY_DONE, &d);
	chan_free(&c);
	_exit(0);
}

static bool
start_run(struct run *r, const struct delivery_job *j, int message_fd)
{
	struct parent *p = r->p;
	int pair[2], keep[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	pid = proc_fork(NULL);
	if (pid == 0) {
		loop_forked(&p->loop);
		keep[0] = pair[1];
		keep[1] = message_fd;
		proc_close_except(keep, 2);
		child(p, j, message_fd, pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return false;
	}
	r->pid = pid;
	r->chan = chan_new(pair[0], &delivery_contract, CHAN_CLIENT);
	chan_flush(r->chan);
	r->io = loop_io_new(p->loop, pair[0], LOOP_READ, on_run, r);
	r->started_ms = loop_now(p->loop);
	stats_set(COUNT_PROGRAMS_OPEN, ++p->used);
	return true;
}

const char *
spawner_unsound(const struct spawner *s, const struct delivery_job *j)
{
	if (j->kind != DELIVERY_PROGRAM || j->program.len == 0)
		return "no program";
	if (j->uid == 0 || j->gid == 0)
		return "programs never run as root";
	if (!s->becomes)
		return j->uid == geteuid() ? NULL
		    : "not started by root: only as the own user";
	if (j->uid < s->conf.mailbox_uid_min ||
	    j->gid < s->conf.mailbox_uid_min)
		return "uid or gid below mailbox_uid_min";
	if (j->uid == UINT32_MAX || j->gid == UINT32_MAX)
		return "no uid or gid";
	/* These may signal us, or ask us for programs of anybody. */
	if (j->uid == s->uid || j->uid == s->client_uids[0])
		return "uid of a daemon";
	return NULL;
}

static void
take_job(struct parent *p, struct chan_peer *peer, const struct delivery_job *j,
    int fd)
{
	struct status st;
	const char *why = spawner_unsound(p->s, j);
	size_t i;

	if (why != NULL) {
		LOG_ERROR("job-refused", LB("id", j->id), LB("to", j->address),
		    LU("uid", j->uid), LU("gid", j->gid),
		    LB("program", j->program), LS("why", why),
		    LS("mend", "see user_pipe, or who owns the mailbox"));
		status_set(&st, 451, 3, 5, "Program refused: %s", why);
		answer(peer, j->job, &st);
		return;
	}
	for (i = 0; i < p->nruns && p->runs[i].pid != 0; i++)
		;
	if (i < p->nruns) {
		p->runs[i].peer = peer;
		p->runs[i].number = j->job;
		if (start_run(&p->runs[i], j, fd))
			return;
		p->runs[i].peer = NULL;
		log_warn("cannot start a program's process");
	}
	status_set(&st, 451, 3, 2, "No process for the program to be had");
	answer(peer, j->job, &st);
}

static bool
on_record(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct parent *p = arg;

	(void)nfds;
	if (type != DELIVERY_JOB)
		return false;
	/* While stopping it is not answered: qmgr keeps it for who comes after
	 * us. */
	if (!p->stopping)
		take_job(p, peer, msg, fds[0]);
	close(fds[0]);
	return true;
}

static bool
on_opened(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	struct delivery_ready r = {.capacity = (uint32_t)p->nruns};

	chan_peer_send(peer, DELIVERY_READY, &r);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	size_t i;

	for (i = 0; i < p->nruns; i++)
		if (p->runs[i].peer == peer)
			p->runs[i].peer = NULL;
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	(void)arg;
	if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0)
		LOG_ERROR("process-died", LI("pid", pid),
		    LI("wstatus", wstatus));
}

/* Programs under way are waited for: they have their own time limit. */
static void
on_term(void *arg)
{
	struct parent *p = arg;

	proc_stopping();
	p->stopping = true;
	chan_server_pause(p->server);
	if (p->used == 0)
		loop_stop(p->loop);
}

static void
on_hup(void *arg)
{
	struct parent *p = arg;

	if (p->stopping)
		return;
	proc_reloading();
	conf_reload(&p->s->conf);
	proc_ready();
}

void
spawner_open(struct spawner *s)
{
	const struct conf *c = &s->conf;
	struct sys_user me, queue;

	me = user_need("user_local", c->user_local);
	s->becomes = geteuid() == 0;
	queue = user_need("user_queue", c->user_queue);
	s->uid = me.uid;
	s->gid = me.gid;
	s->client_uids[0] = queue.uid;
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered (make "
		    "it with group postern and mode 2750; `postern check` "
		    "shows all)", c->run_dir);
	s->listen_fd = chan_listen(SOCKET_SPAWNER, 0660, 64);
	if (s->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s", c->run_dir,
		    SOCKET_SPAWNER);
}

int
spawner_run(struct spawner *s)
{
	static const struct chan_server_ops ops = {
	    .record = on_record, .opened = on_opened, .closed = on_closed};
	struct parent p = {.s = s};
	struct sandbox_args args = {.uid = s->uid, .gid = s->gid,
	    .uid_min = (uid_t)s->conf.mailbox_uid_min};
	size_t i;

	p.nruns = (size_t)s->conf.pipe_processes_max;
	p.runs = mem_array(p.nruns, sizeof(*p.runs));
	for (i = 0; i < p.nruns; i++)
		p.runs[i].p = &p;
	sandbox_require(s->conf.require_sandbox);
	sandbox_enter(ROLE_SPAWNER_PARENT, &args);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	p.server = chan_server_new(p.loop, s->listen_fd, &delivery_contract,
	    &ops, &p, s->client_uids, 1, 16, false);
	proc_ready();
	loop_run(p.loop);
	return 0;
}
