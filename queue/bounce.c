/*
 * bounce's parent: takes jobs from qmgr and forks a process for each, with the
 * queue file and a connection to queued.  It reads no mail; what it sees of a
 * job are numbers and addresses that it passes on.
 *
 * A process a notice: the next sender's mail never meets what the last one's
 * may have left, and a message that kills its process costs nobody else's.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/mail/address.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "queue/bounce.h"

struct parent;

/* A job under way. */
struct slot {
	struct parent *p;
	struct chan_peer *peer; /* who asked; NULL: gone */
	uint64_t number;        /* the asker's number */
	struct chan *chan;      /* to the process; NULL: the slot is free */
	struct loop_io *io;
};

struct parent {
	struct bounce *b;
	struct loop *loop;
	struct chan_server *server;
	uint32_t capacity;  /* jobs at once, as qmgr is told */
	struct slot *slots; /* more than these: a restarted qmgr knows nothing
	                     * of those it left here */
	size_t nslots;
	size_t busy;
	bool unsound;       /* the configuration, after a reload */
	bool stopping;
};

static void
done(struct chan_peer *peer, uint64_t number, uint32_t code, uint32_t detail,
    const char *text)
{
	struct bounce_done d = {.job = number, .code = code, .subject = 3,
	    .detail = detail, .text = slice_of(text), .id = SLICE_EMPTY};

	if (peer != NULL)
		chan_peer_send(peer, BOUNCE_DONE, &d);
}

/* The process has answered, or never will. */
static void
release(struct slot *s)
{
	struct parent *p = s->p;

	loop_io_free(&s->io);
	chan_free(&s->chan);
	s->peer = NULL;
	p->busy--;
	if (p->stopping && p->busy == 0)
		loop_stop(p->loop);
}

static void
on_process(void *arg, unsigned events)
{
	struct slot *s = arg;
	union bounce_msg m;
	struct bounce_done d;
	size_t nfds;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	enum chan_result r;

	if (events & LOOP_WRITE && chan_flush(s->chan) == CHAN_OK)
		loop_io_events(s->io, LOOP_READ);
	r = chan_recv(s->chan, &type, &m, sizeof(m), fds, &nfds);
	if (r == CHAN_AGAIN)
		return;
	if (r == CHAN_OK && type == BOUNCE_DONE) {
		d = m.done;
		d.job = s->number;
		if (s->peer != NULL)
			chan_peer_send(s->peer, BOUNCE_DONE, &d);
	} else
		done(s->peer, s->number, 451, 0,
		    "The notice's process ended early, will be tried again");
	release(s);
}

/* ---- making processes ---- */

static struct slot *
free_slot(struct parent *p)
{
	size_t i;

	for (i = 0; i < p->nslots; i++)
		if (p->slots[i].chan == NULL)
			return &p->slots[i];
	return NULL;
}

/* The parent's end of the socket pair, or -1. */
static int
start(struct parent *p, int queue_fd)
{
	int pair[2], keep[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("no socket pair for a notice");
		return -1;
	}
	pid = proc_fork(NULL);
	if (pid == 0) {
		loop_forked(&p->loop);
		keep[0] = pair[1];
		keep[1] = queue_fd;
		proc_close_except(keep, 2);
		_exit(bounce_process(&p->b->conf, pair[1], queue_fd));
	}
	close(pair[1]);
	if (pid < 0) {
		log_warn("cannot fork for a notice");
		close(pair[0]);
		return -1;
	}
	return pair[0];
}

/* NULL: why, a local fault. */
static const char *
begin(struct parent *p, struct chan_peer *peer, const struct bounce_job *job,
    int message_fd)
{
	struct slot *s = free_slot(p);
	struct bounce_job j = *job;
	int queue_fd, fd;

	if (p->unsound) {
		close(message_fd);
		return "Configuration of notices is not sound";
	}
	if (s == NULL) {
		close(message_fd);
		return "Too many notices at once, will be tried again";
	}
	queue_fd = chan_dial(SOCKET_QUEUE);
	if (queue_fd < 0) {
		log_warn("cannot connect to %s", SOCKET_QUEUE);
		close(message_fd);
		return "Queue is not reachable, will be tried again";
	}
	fd = start(p, queue_fd);
	close(queue_fd);
	if (fd < 0) {
		close(message_fd);
		return "No process to be had, will be tried again";
	}
	s->peer = peer;
	s->number = job->job;
	s->chan = chan_new(fd, &bounce_contract, CHAN_CLIENT);
	s->io = loop_io_new(p->loop, fd, LOOP_READ, on_process, s);
	p->busy++;
	chan_send_fds(s->chan, BOUNCE_JOB, &j, &message_fd, 1);
	if (chan_pending(s->chan) > 0)
		loop_io_events(s->io, LOOP_READ | LOOP_WRITE);
	return NULL;
}

/* ---- jobs ---- */

static bool
on_record(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct parent *p = arg;
	const struct bounce_job *job = msg;
	const char *why;

	(void)nfds;
	if (type != BOUNCE_JOB)
		return false;
	if (p->stopping) {
		/* Not answered: qmgr keeps it for who comes after us. */
		close(fds[0]);
		return true;
	}
	if (job->kind < BOUNCE_FAILURE) {
		LOG_WARN("bad-job", LB("id", job->id), LU("kind", job->kind));
		close(fds[0]);
		return false;
	}
	why = begin(p, peer, job, fds[0]);
	if (why != NULL)
		done(peer, job->job, 451, 2, why);
	return true;
}

static bool
on_opened(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	struct bounce_ready r = {.capacity = p->capacity};

	chan_peer_send(peer, BOUNCE_READY, &r);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct parent *p = arg;
	size_t i;

	for (i = 0; i < p->nslots; i++)
		if (p->slots[i].chan != NULL && p->slots[i].peer == peer)
			p->slots[i].peer = NULL;
}

/* ---- the process ---- */

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

	proc_stopping();
	p->stopping = true;
	chan_server_pause(p->server);
	if (p->busy == 0)
		loop_stop(p->loop);
}

static bool check(const struct conf *c, const char **key, const char **why);

/* Notices under way go on with what they were begun with. */
static void
on_hup(void *arg)
{
	struct parent *p = arg;
	const char *key, *why;

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(&p->b->conf)) {
		p->unsound = !check(&p->b->conf, &key, &why);
		if (p->unsound)
			log_warnx("%s: %s; notices wait until it is mended",
			    key, why);
	}
	proc_ready();
}

/* An address, or the part in front of an @. */
static bool
is_address(const char *text, const char **why)
{
	struct address a;

	if (strchr(text, '@') != NULL)
		return address_parse(slice_of(text), false, &a, why);
	return address_local(slice_of(text), false, why);
}

static bool
check(const struct conf *c, const char **key, const char **why)
{
	*key = "bounce_from";
	if (!is_address(c->bounce_from, why))
		return false;
	*key = "double_bounce";
	return c->double_bounce[0] == '\0' || is_address(c->double_bounce, why);
}

void
bounce_open(struct bounce *b)
{
	const struct conf *c = &b->conf;
	struct sys_user me, queue;
	const char *key, *why;

	if (!check(c, &key, &why))
		die(EXIT_PERMANENT, "%s: %s: %s; it is an address, or the part "
		    "in front of the @", c->file, key, why);
	me = user_need("user_bounce", c->user_bounce);
	queue = user_need("user_queue", c->user_queue);
	b->uid = me.uid;
	b->gid = me.gid;
	b->client_uids[0] = queue.uid;
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered (make "
		    "it with group postern and mode 2750; `postern check` "
		    "shows all)", c->run_dir);
	b->listen_fd = chan_listen(SOCKET_BOUNCE, 0660, 64);
	if (b->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s", c->run_dir,
		    SOCKET_BOUNCE);
	(void)proc_max_files();
}

static void
enter_cage(const struct bounce *b)
{
	struct sandbox_path paths[] = {{conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = b->uid, .gid = b->gid,
	    .root = RUN_EMPTY, .paths = paths, .npaths = 1};

	sandbox_require(b->conf.require_sandbox);
	sandbox_prepare(ROLE_BOUNCE, 0);
	sandbox_enter(ROLE_BOUNCE_PARENT, &args);
}

int
bounce_run(struct bounce *b)
{
	static const struct chan_server_ops ops = {
	    .record = on_record, .opened = on_opened, .closed = on_closed};
	struct parent p = {.b = b,
	    .capacity = (uint32_t)b->conf.bounce_processes};
	size_t i;

	p.nslots = (size_t)p.capacity * 2;
	p.slots = mem_array(p.nslots, sizeof(*p.slots));
	for (i = 0; i < p.nslots; i++)
		p.slots[i].p = &p;
	enter_cage(b);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	p.server = chan_server_new(p.loop, b->listen_fd, &bounce_contract,
	    &ops, &p, b->client_uids, 1, 16, false);
	proc_ready();
	loop_run(p.loop);
	return 0;
}
