/*
 * A worker of queued: serves many submitters at once over the contract "queue",
 * each with a pipe for the content, and commits together all messages that are
 * complete at that moment.  Input is what sessions pass on from the network.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/mail/id.h"
#include "common/mail/pace.h"
#include "common/proto/notice.h"
#include "common/proto/queue.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "queue/counters.h"
#include "queue/queued.h"

/* Notices waiting for a slow qmgr; beyond that it is told to scan.  Below what
 * a channel keeps before it gives up. */
#define NOTICE_BACKLOG_MAX (2u * 1024 * 1024)
/* Octets of all envelopes under way: 100,000 recipients and some thousand other
 * messages.  Written out, quoted, they may take several times that. */
#define ENVELOPES_MAX (96u * 1024 * 1024)
/* How long submitters may go on after SIGTERM. */
#define STOP_WAIT_MS 3000
/* After SIGHUP: connections just accepted have said nothing yet. */
#define LINGER_MS 2000

/* What a submitter may say next. */
enum phase {
	PHASE_START,   /* PIPE */
	PHASE_IDLE,    /* OPEN, MESSAGE */
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
	bool ended;              /* nobody writes to the pipe any more */
	struct mail_id id;
	uint64_t promised;
	size_t memory;           /* of the envelope, counted in the worker */
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
	size_t ncomplete;
	int64_t complete_ms;     /* since when the first of them waits */
	struct pace pace;
	struct loop_timer *hurry; /* ends the wait for company */
	struct submitter *begun; /* MESSAGE came in this round */
	struct submitter *ready; /* content came in this round */
	struct submitter *all;
	struct relay relay;      /* all pipes are read through it */
	size_t memory;           /* of all envelopes under way */
	bool rescan;             /* a notice was dropped */
	bool retiring;           /* takes no further submitter */
	bool stopping;           /* nor any further message */
	bool linger;             /* until the timer */
	struct loop_timer *timer;
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
	s->w->memory -= s->memory;
	s->memory = 0;
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
	s->w->memory -= s->memory;
	s->memory = 0;
	s->w->space.promised -= s->promised;
	s->promised = 0;
	s->phase = PHASE_REFUSED;
	answer(s, QUEUE_RESULT, st);
}

static void
take(struct submitter *s, const char *p, size_t n)
{
	struct worker *w = s->w;
	struct status st;

	if (s->phase == PHASE_REFUSED) {
		s->swallowed += n;
		return;
	}
	if (intake_content(s->message, w->q->incoming_fd, p, n) != 0) {
		LOG_ERROR("write-failed", LS("id", s->id.s), LE());
		stats_add(COUNT_WRITE_FAILED, 1);
		space_write_failed(errno, &st);
		refuse(s, &st);
	} else if (intake_begun(s->message) &&
	    !space_left(&w->space, loop_now(w->loop), &st)) {
		stats_add(COUNT_NO_ROOM, 1);
		refuse(s, &st);
	}
}

static uint64_t
octets_so_far(const struct submitter *s)
{
	return s->phase == PHASE_REFUSED ? s->swallowed
	                                 : intake_octets(s->message);
}

/* Reads what the pipe holds, up to `most` octets.  False: there are none. */
static bool
read_pipe(struct submitter *s, uint64_t most)
{
	struct relay *r = &s->w->relay;
	ssize_t n = relay_read(r, s->pipe_fd, most);

	if (n > 0) {
		take(s, r->octets, (size_t)n);
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		s->ended = true;
	return false;
}

static void
on_pipe(void *arg, unsigned events)
{
	struct submitter *s = arg;

	/* Outside of a message it is only watched for this, and epoll would
	 * tell of it in each round. */
	if (!s->watching && (events & LOOP_HANGUP)) {
		s->ended = true;
		loop_io_free(&s->pipe_io);
		return;
	}
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

static bool
records_wait(const struct submitter *s)
{
	struct pollfd p = {.fd = chan_fd(chan_peer_chan(s->peer)),
	    .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static void
read_ready(struct worker *w)
{
	struct submitter *s;

	while ((s = w->ready) != NULL) {
		forget_ready(s);
		if (s->phase != PHASE_CONTENT && s->phase != PHASE_REFUSED) {
			watch_pipe(s, false);
			continue;
		}
		/* Records that wait were sent before this content and come
		 * first: with it the envelope may be written. */
		if (s->phase == PHASE_REFUSED || intake_begun(s->message) ||
		    !records_wait(s))
			(void)read_pipe(s, RELAY_SIZE);
		if (s->ended) { /* the channel tells the rest */
			s->watching = false;
			loop_io_free(&s->pipe_io);
		}
	}
}

/* The submitter says it wrote `octets` in all: they are in the pipe by now. */
static bool
read_rest(struct submitter *s, uint64_t octets)
{
	uint64_t have = octets_so_far(s);

	/* More than a pipe can hold, and a submitter that goes on writing,
	 * would keep us here. */
	if (have < octets && octets - have > PIPE_SIZE_USUAL &&
	    octets - have > relay_room(s->pipe_fd)) {
		LOG_WARN("short-content", LS("id", s->id.s),
		    LU("said", octets), LU("came", have));
		return false;
	}
	while (have < octets) {
		if (!read_pipe(s, octets - have)) {
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
	s->pipe_fd = fd;
	if (!relay_takes(fd)) {
		LOG_WARN("no-pipe", LS("contract", "queue"));
		return false;
	}
	s->phase = PHASE_IDLE;
	return true;
}

/* Asks for room and keeps it for this message. */
static bool
promise(struct submitter *s, uint64_t size, struct status *st)
{
	struct worker *w = s->w;

	if (!space_ask(&w->space, size, loop_now(w->loop), st)) {
		stats_add(COUNT_NO_ROOM, 1);
		return false;
	}
	s->promised = size > 0 ? size : SPACE_UNKNOWN;
	w->space.promised += s->promised;
	return true;
}

static bool
got_open(struct submitter *s, const struct queue_open *o)
{
	struct status st;

	if (!id_parse(o->id, &s->id)) {
		LOG_WARN("bad-id", LB("id", o->id));
		return false;
	}
	if (s->w->stopping) {
		status_set(&st, 451, 3, 2, "Queue is being stopped, try later");
		chan_peer_close(s->peer);
	} else if (promise(s, o->size, &st)) {
		status_set(&st, 250, 0, 0, "OK");
		s->phase = PHASE_OPENED;
	}
	answer(s, QUEUE_OPENED, &st);
	return true;
}

/* What the envelope takes in memory, after it grew; refuses it when all
 * envelopes together are too large. */
static void
count_memory(struct submitter *s)
{
	struct worker *w = s->w;
	size_t now = intake_memory(s->message);
	struct status st;

	w->memory += now - s->memory;
	s->memory = now;
	if (w->memory <= ENVELOPES_MAX)
		return;
	status_set(&st, 452, 3, 1, "Too much mail is under way, try later");
	refuse(s, &st);
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
	if (s->phase == PHASE_IDLE && !promise(s, 0, &st)) {
		refuse(s, &st);
		return true;
	}
	s->phase = PHASE_CONTENT;
	count_memory(s);
	if (s->phase != PHASE_CONTENT)
		return true;
	s->begun = true;
	s->next = s->w->begun;
	s->w->begun = s;
	return true;
}

static bool
got_rcpts(struct submitter *s, const struct queue_rcpts *r)
{
	if (s->phase == PHASE_REFUSED)
		return true;
	if (!intake_add_recipients(s->message, &r->recipients)) {
		LOG_WARN("recipients-refused", LS("id", s->id.s),
		    LS("why", intake_begun(s->message) ? "behind content"
		    : "too many"));
		return false;
	}
	count_memory(s);
	return true;
}

static bool
got_end(struct submitter *s, const struct queue_end *end)
{
	struct worker *w = s->w;

	if (!read_rest(s, end->octets))
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
	if (!intake_set_edits(s->message, &end->edits)) {
		LOG_WARN("bad-edits", LS("id", s->id.s),
		    LU("edits", end->edits.n));
		return false;
	}
	count_memory(s);
	if (s->phase == PHASE_REFUSED) {
		end_message(s, PHASE_IDLE);
		return true;
	}
	watch_pipe(s, false);
	s->phase = PHASE_COMMIT;
	s->next = NULL;
	*w->complete_end = s;
	w->complete_end = &s->next;
	if (w->ncomplete++ == 0)
		w->complete_ms = loop_now(w->loop);
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

	switch (type) {
	case QUEUE_PIPE:
		return got_pipe(s, fds[0]);
	case QUEUE_OPEN:
		return got_open(s, msg);
	case QUEUE_MESSAGE:
		return got_message(s, msg);
	case QUEUE_RCPTS:
		return got_rcpts(s, msg);
	case QUEUE_END:
		return got_end(s, end);
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
		if (s->phase != PHASE_CONTENT || s->ended)
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

	if (w->stopping)
		return false;
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
	w->npeers--;
}

/* ---- commit ---- */

static void
step_failed(struct submitter *s, const char *step)
{
	int error = errno;

	LOG_ERROR("commit-failed", LS("id", s->id.s), LS("step", step), LE());
	stats_add(COUNT_WRITE_FAILED, 1);
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

static void
sync_batch(struct worker *w, struct submitter *list)
{
	struct durable **files = mem_array(w->ncomplete, sizeof(*files));
	int *errors = mem_array(w->ncomplete, sizeof(*errors));
	struct submitter *s;
	int64_t began_us;
	size_t i = 0;

	for (s = list; s != NULL; s = s->next)
		files[i++] = good(s) ? intake_file(s->message) : NULL;
	began_us = clock_mono_us();
	durable_sync_all(files, i, w->q->mode, errors);
	stats_observe(COUNT_FSYNC_TIME, clock_mono_us() - began_us);
	for (i = 0, s = list; s != NULL; s = s->next, i++)
		if (errors[i] != 0) {
			errno = errors[i];
			step_failed(s, "fsync");
		}
	free(files);
	free(errors);
}

/* Each step for all of the batch before the next step: one fsync commits the
 * journal for every link made so far. */
static void
commit_batch(struct worker *w, struct submitter *list)
{
	enum durable_mode mode = w->q->mode;
	int64_t began_us = clock_mono_us();
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
	sync_batch(w, list);
	stats_add(COUNT_COMMITS, 1);
	stats_observe(COUNT_COMMIT_TIME, clock_mono_us() - began_us);
}

static void
notify_qmgr(struct worker *w, struct submitter *s)
{
	const struct envelope *env = intake_env(s->message);
	struct notice_new n = {.id = env->id,
	    .from = env->from,
	    .size = intake_octets(s->message),
	    .flags = env->flags,
	    .envid = env->envid,
	    .nrcpts = (uint32_t)env->recipients.n,
	    .recipients = env->recipients};

	if (n.recipients.n > NOTICE_RCPTS_MAX)
		n.recipients.n = 0;
	/* qmgr scans on a new connection, but may have done so before this one
	 * is known to be up here. */
	if (!chan_link_is_up(w->qmgr) ||
	    chan_link_pending(w->qmgr) > NOTICE_BACKLOG_MAX) {
		w->rescan = true;
		return;
	}
	chan_link_send(w->qmgr, NOTICE_NEW, &n);
}

static void
finish(struct worker *w, struct submitter *s)
{
	if (good(s)) {
		stats_add(COUNT_QUEUED, 1);
		stats_add(COUNT_QUEUED_OCTETS, intake_octets(s->message));
		LOG_DEBUG("queued", LS("id", s->id.s),
		    LU("size", intake_octets(s->message)));
		notify_qmgr(w, s);
	}
	answer(s, QUEUE_RESULT, &s->outcome);
	end_message(s, PHASE_IDLE);
	if (s->peer == NULL)
		submitter_free(s);
}

/* Nobody is left, and qmgr knows all. */
static bool
is_over(const struct worker *w)
{
	if ((!w->retiring && !w->stopping) || w->linger || w->npeers > 0 ||
	    w->complete != NULL)
		return false;
	/* When it is down it scans as soon as it is there again. */
	return !chan_link_is_up(w->qmgr) ||
	    (chan_link_pending(w->qmgr) == 0 && !w->rescan);
}

static bool
waits_for_company(struct worker *w)
{
	int64_t now = loop_now(w->loop);

	if (w->stopping || now - w->complete_ms >= PACE_WAIT_MS ||
	    w->ncomplete >= pace_batch(&w->pace, w->npeers, now))
		return false;
	loop_timer_set(w->hurry, w->complete_ms + PACE_WAIT_MS);
	return true;
}

/* The round that the timer makes is all that is wanted. */
static void
on_hurry(void *arg)
{
	(void)arg;
}

static void
after_round(void *arg)
{
	struct worker *w = arg;
	struct submitter *list = w->complete, *next;
	struct notice_rescan r = {0};

	watch_begun(w);
	read_ready(w);
	if (list != NULL && waits_for_company(w))
		list = NULL;
	else if (list != NULL) {
		commit_batch(w, list);
		pace_commit(&w->pace, w->ncomplete, loop_now(w->loop));
		w->complete = NULL;
		w->complete_end = &w->complete;
		w->ncomplete = 0;
	}
	for (; list != NULL; list = next) {
		next = list->next;
		finish(w, list);
	}
	if (w->rescan && chan_link_is_up(w->qmgr) &&
	    chan_link_pending(w->qmgr) == 0) {
		w->rescan = false;
		chan_link_send(w->qmgr, NOTICE_RESCAN, &r);
	}
	if (is_over(w))
		loop_stop(w->loop);
}

/* ---- the process ---- */

static void
on_timer(void *arg)
{
	struct worker *w = arg;

	w->linger = false;
	if (!w->stopping)
		return;
	if (w->npeers > 0)
		LOG_INFO("stopped", LU("submitters-left", w->npeers));
	loop_stop(w->loop);
}

/* Finishes what is in hand; what has not come whole within some seconds is
 * dropped, and no 250 was said for it. */
static void
on_term(void *arg)
{
	struct worker *w = arg;
	struct submitter *s;

	if (w->stopping)
		return;
	w->stopping = true;
	w->linger = false;
	chan_server_pause(w->server);
	for (s = w->all; s != NULL; s = s->down)
		if (s->peer != NULL && (s->phase == PHASE_START ||
		    s->phase == PHASE_IDLE) && !records_wait(s))
			chan_peer_close(s->peer);
	loop_timer_in(w->timer, STOP_WAIT_MS);
}

/* Another worker has the new configuration; this one ends with its last
 * submitter. */
static void
on_hup(void *arg)
{
	struct worker *w = arg;

	if (w->retiring || w->stopping)
		return;
	w->retiring = w->linger = true;
	chan_server_pause(w->server);
	loop_timer_in(w->timer, LINGER_MS);
}

static bool
qmgr_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	(void)arg, (void)type, (void)msg, (void)fds, (void)nfds;
	return false; /* qmgr says nothing on this channel */
}

/* Each has a socket, a pipe and a file. */
static size_t
peers_max(const struct queued *q)
{
	size_t most = q->files_max > 64 ? (q->files_max - 32) / 3 : 10;

	return q->conf.queue_sessions_per_worker_max < most
	    ? (size_t)q->conf.queue_sessions_per_worker_max : most;
}

int
worker_run(struct queued *q, unsigned number)
{
	static const struct chan_server_ops ops = {
	    .record = on_record, .opened = on_opened, .closed = on_closed};
	static const struct chan_link_ops qmgr_ops = {.record = qmgr_record};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct worker w = {.q = q};
	struct sandbox_path paths[] = {{q->queue_fd, NULL, SANDBOX_WRITE}};
	struct sandbox_args args = {.uid = q->uid,
	    .gid = q->gid,
	    .paths = paths,
	    .npaths = 1};

	proc_title("worker %u", number);
	/* A limit of the file size is a full disk, not the end. */
	sigaction(SIGXFSZ, &ignore, NULL);
	durable_init();
	sandbox_enter(ROLE_QUEUED_WORKER, &args);
	relay_open(&w.relay);
	w.complete_end = &w.complete;
	w.loop = loop_new();
	space_init(&w.space, q->incoming_fd, q->conf.queue_reserve,
	    q->conf.queue_reserve_inodes);
	w.timer = loop_timer_new(w.loop, on_timer, &w);
	w.hurry = loop_timer_new(w.loop, on_hurry, &w);
	loop_signal(w.loop, SIGTERM, on_term, &w);
	loop_signal(w.loop, SIGHUP, on_hup, &w);
	w.qmgr = chan_link_new(w.loop, SOCKET_NOTICE, &notice_contract,
	    &qmgr_ops, &w);
	w.server = chan_server_new(w.loop, q->listen_fd, &queue_contract, &ops,
	    &w, q->client_uids, q->nclients, peers_max(q), true);
	loop_after(w.loop, after_round, &w);
	loop_run(w.loop);
	return 0;
}
