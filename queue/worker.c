/*
 * A worker of queued: serves many submitters at once over the contract "queue",
 * each with a pipe for the content, and commits together all messages that are
 * complete at that moment.  Input is what sessions pass on from the network.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/mail/id.h"
#include "common/proto/notice.h"
#include "common/proto/queue.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "queue/queued.h"

#define PIPE_BUFFER (256u * 1024)
/* Notices waiting for a slow qmgr; beyond that it is told to scan. */
#define NOTICE_BACKLOG_MAX (4u * 1024 * 1024)

/* What a submitter may say next. */
enum phase {
	PHASE_START,   /* PIPE */
	PHASE_IDLE,    /* OPEN */
	PHASE_OPENED,  /* MESSAGE, ABORT */
	PHASE_CONTENT, /* RCPTS, END, ABORT; content flows */
	PHASE_REFUSED, /* content or END after a refusal: ABORT, END */
	PHASE_COMMIT   /* nothing until RESULT */
};

struct worker;

/* One submitter. */
struct submitter {
	struct worker *w;
	struct chan_peer *peer;  /* NULL once gone (a commit is under way) */
	enum phase phase;
	int pipe_fd;             /* owned */
	struct loop_io *pipe_io; /* made at the first large message */
	bool watching;
	struct mail_id id;
	uint64_t promised;
	struct intake *message;  /* owned; NULL outside a message */
	uint64_t swallowed;      /* octets read of a refused message */
	bool begun;              /* in the worker's list of begun ones */
	struct submitter *next;  /* in the list of complete or begun ones */
	bool ready;              /* its pipe can be read */
	struct submitter *next_ready;
	struct submitter *up, *down; /* all of the worker */
	struct status outcome;   /* of the commit */
};

struct worker {
	struct queued *q;
	struct loop *loop;
	struct chan_server *server;
	struct chan_link *qmgr;
	struct space space;
	struct submitter *complete, **complete_end;
	struct submitter *begun; /* MESSAGE came in this round */
	struct submitter *ready; /* content came in this round */
	struct submitter *all;
	char *octets;            /* PIPE_BUFFER, shared by all pipes */
	bool rescan;             /* a notice was dropped */
	bool stopping;
	size_t npeers;
};

static const struct {
	uint16_t type;
	unsigned phases;
} allowed[] = {
	{QUEUE_PIPE, 1u << PHASE_START},
	{QUEUE_OPEN, 1u << PHASE_IDLE},
	{QUEUE_MESSAGE, 1u << PHASE_IDLE | 1u << PHASE_OPENED},
	{QUEUE_RCPTS, 1u << PHASE_CONTENT | 1u << PHASE_REFUSED},
	{QUEUE_END, 1u << PHASE_CONTENT | 1u << PHASE_REFUSED},
	{QUEUE_ABORT, 1u << PHASE_OPENED | 1u << PHASE_CONTENT |
	    1u << PHASE_REFUSED},
};

static void
answer(struct submitter *s, uint16_t type, const struct status *st)
{
	struct queue_result r = {.code = st->code,
	    .subject = st->subject,
	    .detail = st->detail,
	    .text = slice_of(st->text)};

	if (s->peer != NULL)
		chan_peer_send(s->peer, type, &r);
}

static void
watch_pipe(struct submitter *s, bool on)
{
	if (s->watching == on || s->pipe_io == NULL)
		return;
	loop_io_events(s->pipe_io, on ? LOOP_READ : 0);
	s->watching = on;
}

static void forget_begun(struct submitter *s);

/* The message is over, one way or the other. */
static void
end_message(struct submitter *s, enum phase next)
{
	watch_pipe(s, false);
	forget_begun(s);
	s->w->space.promised -= s->promised;
	s->promised = 0;
	s->swallowed = 0;
	intake_free(&s->message);
	s->phase = next;
	if (s->w->stopping && s->peer != NULL)
		chan_peer_close(s->peer);
}

/* Says no before the end: the rest of the content is swallowed. */
static void
refuse(struct submitter *s, const struct status *st)
{
	LOG_WARN("refused", LS("id", s->id.s), LU("status", st->code),
	    LS("why", st->text));
	s->swallowed = intake_octets(s->message);
	intake_discard(s->message);
	intake_free(&s->message);
	s->phase = PHASE_REFUSED;
	answer(s, QUEUE_RESULT, st);
}

static void
take(struct submitter *s, const char *p, size_t n)
{
	struct status st;

	if (s->phase == PHASE_REFUSED) {
		s->swallowed += n;
		return;
	}
	if (intake_content(s->message, s->w->q->incoming_fd, p, n) == 0)
		return;
	LOG_ERROR("write-failed", LS("id", s->id.s), LE());
	space_write_failed(errno, &st);
	refuse(s, &st);
}

static uint64_t
octets_so_far(const struct submitter *s)
{
	return s->phase == PHASE_REFUSED ? s->swallowed
	                                 : intake_octets(s->message);
}

/*
 * Reads what the pipe holds, up to `most` octets.  1: read something, 0: empty
 * for now, -1: no more to come.
 */
static int
read_pipe(struct submitter *s, uint64_t most)
{
	size_t want = most < PIPE_BUFFER ? (size_t)most : PIPE_BUFFER;
	ssize_t n;

	do
		n = read(s->pipe_fd, s->w->octets, want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	take(s, s->w->octets, (size_t)n);
	return 1;
}

static void
on_pipe(void *arg, unsigned events)
{
	struct submitter *s = arg;

	(void)events;
	/* Read when the round's records have been seen: recipients that were
	 * sent before this content must be known before it is written. */
	if (!s->ready) {
		s->ready = true;
		s->next_ready = s->w->ready;
		s->w->ready = s;
	}
}

static void
forget_ready(struct submitter *s)
{
	struct submitter **p;

	if (!s->ready)
		return;
	for (p = &s->w->ready; *p != s; p = &(*p)->next_ready)
		;
	*p = s->next_ready;
	s->ready = false;
}

static void
read_ready(struct worker *w)
{
	struct submitter *s;

	while ((s = w->ready) != NULL) {
		forget_ready(s);
		if ((s->message == NULL && s->phase != PHASE_REFUSED) ||
		    s->phase == PHASE_COMMIT ||
		    read_pipe(s, PIPE_BUFFER) < 0)
			watch_pipe(s, false); /* the channel tells the rest */
	}
}

/* The submitter says it wrote `octets` in all: they are in the pipe by now. */
static bool
read_rest(struct submitter *s, uint64_t octets)
{
	uint64_t have = octets_so_far(s);

	while (have < octets) {
		if (read_pipe(s, octets - have) <= 0) {
			LOG_WARN("short-content", LS("id", s->id.s),
			    LU("said", octets), LU("came", have));
			return false;
		}
		have = octets_so_far(s);
	}
	if (have > octets)
		LOG_WARN("long-content", LS("id", s->id.s),
		    LU("said", octets), LU("came", have));
	return have == octets;
}

/* ---- records ---- */

static bool
got_pipe(struct submitter *s, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	s->pipe_fd = fd;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return false;
	s->phase = PHASE_IDLE;
	return true;
}

static bool
got_open(struct submitter *s, const struct queue_open *o)
{
	struct worker *w = s->w;
	struct status st;

	if (!id_parse(o->id, &s->id)) {
		LOG_WARN("bad-id", LB("id", o->id));
		return false;
	}
	if (w->stopping) {
		status_set(&st, 451, 3, 2, "Queue is being stopped, try later");
	} else if (space_ask(&w->space, o->size, loop_now(w->loop), &st)) {
		status_set(&st, 250, 0, 0, "OK");
		s->promised = o->size;
		w->space.promised += o->size;
		s->phase = PHASE_OPENED;
	}
	answer(s, QUEUE_OPENED, &st);
	return true;
}

static bool
got_message(struct submitter *s, const struct envelope *env)
{
	struct status st;

	if (s->phase == PHASE_IDLE && !id_parse(env->id, &s->id)) {
		LOG_WARN("bad-id", LB("id", env->id));
		return false;
	}
	if (!slice_eq(env->id, slice_of(s->id.s))) {
		LOG_WARN("other-id", LS("id", s->id.s), LB("came", env->id));
		return false;
	}
	s->message = intake_new(env);
	if (s->phase == PHASE_IDLE &&
	    !space_ask(&s->w->space, 0, loop_now(s->w->loop), &st)) {
		refuse(s, &st);
		return true;
	}
	s->phase = PHASE_CONTENT;
	s->begun = true;
	s->next = s->w->begun;
	s->w->begun = s;
	return true;
}

static bool
got_end(struct submitter *s, uint64_t octets)
{
	struct worker *w = s->w;

	if (!read_rest(s, octets))
		return false;
	forget_begun(s);
	if (s->phase == PHASE_REFUSED) { /* answered already */
		end_message(s, PHASE_IDLE);
		return true;
	}
	if (intake_env(s->message)->recipients.n == 0) {
		LOG_WARN("no-recipients", LS("id", s->id.s));
		return false;
	}
	watch_pipe(s, false);
	s->phase = PHASE_COMMIT;
	s->next = NULL;
	*w->complete_end = s;
	w->complete_end = &s->next;
	return true;
}

static bool
got_abort(struct submitter *s, uint64_t octets)
{
	if (s->phase == PHASE_OPENED) { /* nothing was begun */
		end_message(s, PHASE_IDLE);
		return octets == 0;
	}
	if (!read_rest(s, octets))
		return false;
	if (s->message != NULL)
		intake_discard(s->message);
	end_message(s, PHASE_IDLE);
	return true;
}

static bool
dispatch(struct submitter *s, uint16_t type, const void *msg, const int *fds)
{
	const struct queue_end *end = msg;
	const struct queue_rcpts *rcpts = msg;

	switch (type) {
	case QUEUE_PIPE:
		return got_pipe(s, fds[0]);
	case QUEUE_OPEN:
		return got_open(s, msg);
	case QUEUE_MESSAGE:
		return got_message(s, msg);
	case QUEUE_RCPTS:
		return s->phase == PHASE_REFUSED ||
		    intake_add_recipients(s->message, &rcpts->recipients);
	case QUEUE_END:
		return got_end(s, end->octets);
	default:
		return got_abort(s, end->octets);
	}
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct submitter *s = chan_peer_data(p);
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (allowed[i].type == type)
			break;
	if (i == sizeof(allowed) / sizeof(allowed[0]) ||
	    (allowed[i].phases & 1u << s->phase) == 0) {
		LOG_WARN("out-of-phase", LS("contract", "queue"),
		    LU("record", type), LU("phase", s->phase));
		for (i = 0; i < nfds; i++)
			close(fds[i]);
		return false;
	}
	return dispatch(s, type, msg, fds);
}

static void
forget_begun(struct submitter *s)
{
	struct submitter **p;

	if (!s->begun)
		return;
	for (p = &s->w->begun; *p != s; p = &(*p)->next)
		;
	*p = s->next;
	s->begun = false;
}

/* A small message's END comes with its MESSAGE.  The pipe of a large one has to
 * be watched, which costs wake-ups, so only when the round has passed. */
static void
watch_begun(struct worker *w)
{
	struct submitter *s;

	while ((s = w->begun) != NULL) {
		forget_begun(s);
		if (s->phase != PHASE_CONTENT)
			continue;
		if (s->pipe_io == NULL) {
			s->pipe_io = loop_io_new(w->loop, s->pipe_fd,
			    LOOP_READ, on_pipe, s);
			s->watching = true;
		} else
			watch_pipe(s, true);
	}
}

/* ---- connections ---- */

static bool
on_opened(void *arg, struct chan_peer *p)
{
	struct worker *w = arg;
	struct submitter *s;

	s = mem_alloc(sizeof(*s));
	s->w = w;
	s->peer = p;
	s->pipe_fd = -1;
	s->phase = PHASE_START;
	chan_peer_set_data(p, s);
	s->down = w->all;
	if (w->all != NULL)
		w->all->up = s;
	w->all = s;
	w->npeers++;
	return true;
}

static void
submitter_free(struct submitter *s)
{
	if (s->message != NULL)
		intake_discard(s->message);
	end_message(s, PHASE_IDLE);
	forget_ready(s);
	loop_io_free(&s->pipe_io);
	if (s->pipe_fd >= 0)
		close(s->pipe_fd);
	if (s->down != NULL)
		s->down->up = s->up;
	if (s->up != NULL)
		s->up->down = s->down;
	else
		s->w->all = s->down;
	free(s);
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct worker *w = arg;
	struct submitter *s = chan_peer_data(p);

	if (s != NULL) {
		s->peer = NULL;
		/* What is complete is committed all the same: the peer said
		 * END, and the commit frees it. */
		if (s->phase != PHASE_COMMIT)
			submitter_free(s);
	}
	if (--w->npeers == 0 && w->stopping)
		loop_stop(w->loop);
}

/* ---- commit ---- */

static void
step_failed(struct submitter *s, const char *step)
{
	int error = errno;

	LOG_ERROR("commit-failed", LS("id", s->id.s), LS("step", step), LE());
	intake_discard(s->message);
	if (error == EEXIST)
		status_set(&s->outcome, 451, 3, 0, "Id is taken, try again");
	else
		space_write_failed(error, &s->outcome);
}

static bool
good(const struct submitter *s)
{
	return s->outcome.code == 250;
}

/* Each step for all of the batch before the next step: the first fsync commits
 * the journal for every link made so far. */
static void
commit_batch(struct worker *w, struct submitter *list)
{
	enum durable_mode mode = w->q->mode;
	struct submitter *s;

	for (s = list; s != NULL; s = s->next) {
		status_set(&s->outcome, 250, 0, 0, "Queued");
		if (intake_write(s->message, w->q->incoming_fd) != 0)
			step_failed(s, "write");
		else if (list->next != NULL &&
		    intake_start(s->message, mode) != 0)
			step_failed(s, "write-back");
	}
	for (s = list; s != NULL; s = s->next)
		if (good(s) && intake_link(s->message, mode) != 0)
			step_failed(s, "link");
	for (s = list; s != NULL; s = s->next)
		if (good(s) && intake_sync(s->message, mode) != 0)
			step_failed(s, "fsync");
}

static void
notify_qmgr(struct worker *w, struct submitter *s)
{
	const struct envelope *env = intake_env(s->message);
	struct notice_new n = {.id = env->id,
	    .from = env->from,
	    .size = intake_octets(s->message),
	    .flags = env->flags,
	    .nrcpts = (uint32_t)env->recipients.n,
	    .recipients = env->recipients};

	if (n.recipients.n > NOTICE_RCPTS_MAX)
		n.recipients.n = 0;
	/* With no connection nothing is lost: qmgr scans on the next one. */
	if (!chan_link_is_up(w->qmgr))
		return;
	if (chan_link_pending(w->qmgr) > NOTICE_BACKLOG_MAX) {
		w->rescan = true;
		return;
	}
	chan_link_send(w->qmgr, NOTICE_NEW, &n);
}

static void
finish(struct worker *w, struct submitter *s)
{
	if (good(s)) {
		LOG_DEBUG("queued", LS("id", s->id.s),
		    LU("size", intake_octets(s->message)));
		notify_qmgr(w, s);
	}
	answer(s, QUEUE_RESULT, &s->outcome);
	end_message(s, PHASE_IDLE);
	if (s->peer == NULL)
		submitter_free(s);
}

static void
after_round(void *arg)
{
	struct worker *w = arg;
	struct submitter *list = w->complete, *next;
	struct notice_rescan r = {0};

	watch_begun(w);
	read_ready(w);
	w->complete = NULL;
	w->complete_end = &w->complete;
	if (list != NULL)
		commit_batch(w, list);
	for (; list != NULL; list = next) {
		next = list->next;
		finish(w, list);
	}
	if (w->rescan && chan_link_is_up(w->qmgr) &&
	    chan_link_pending(w->qmgr) == 0) {
		w->rescan = false;
		chan_link_send(w->qmgr, NOTICE_RESCAN, &r);
	}
}

/* ---- the process ---- */

static void
on_term(void *arg)
{
	struct worker *w = arg;
	struct submitter *s;

	w->stopping = true;
	chan_server_pause(w->server);
	if (w->npeers == 0)
		loop_stop(w->loop);
	for (s = w->all; s != NULL; s = s->down)
		if (s->peer != NULL && (s->phase == PHASE_START ||
		    s->phase == PHASE_IDLE))
			chan_peer_close(s->peer);
}

static bool
qmgr_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	(void)arg, (void)type, (void)msg, (void)fds, (void)nfds;
	return false; /* qmgr says nothing on this channel */
}

int
worker_run(struct queued *q, unsigned number)
{
	static const struct chan_server_ops ops = {
	    .record = on_record, .opened = on_opened, .closed = on_closed};
	static const struct chan_link_ops qmgr_ops = {.record = qmgr_record};
	struct worker w = {.q = q};
	struct sandbox_path paths[] = {{q->queue_fd, NULL, SANDBOX_WRITE}};
	struct sandbox_args args = {.uid = q->uid,
	    .gid = q->gid,
	    .paths = paths,
	    .npaths = 1};

	proc_title("worker %u", number);
	durable_init();
	sandbox_enter(ROLE_QUEUED_WORKER, &args);
	w.octets = mem_alloc(PIPE_BUFFER);
	w.complete_end = &w.complete;
	w.loop = loop_new();
	space_init(&w.space, q->queue_fd, q->conf.queue_reserve,
	    q->conf.queue_reserve_inodes);
	loop_signal(w.loop, SIGTERM, on_term, &w);
	w.qmgr = chan_link_new(w.loop, SOCKET_NOTICE, &notice_contract,
	    &qmgr_ops, &w);
	w.server = chan_server_new(w.loop, q->listen_fd, &queue_contract, &ops,
	    &w, q->client_uids, q->nclients,
	    q->conf.queue_sessions_per_worker_max, true);
	loop_after(w.loop, after_round, &w);
	loop_run(w.loop);
	return 0;
}
