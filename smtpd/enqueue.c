/*
 * The way to queued: contract "queue" and the pipe for the content.  Runs in
 * the session.  What stops here is temporary: the client is told to try again,
 * and the next message asks for a new channel.
 *
 * The envelope of a small message leaves together with its END, when its
 * content is in the pipe already: one wake-up of queued for all.  Whoever fills
 * the pipe must have sent what is queued before, or both would wait.
 */
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/proto/queue.h"
#include "common/proto/session.h"
#include "smtpd/session.h"

#define HELD_SIZE 32768        /* content gathered for one write */
#define DIRECT_SIZE 8192       /* runs from here on are not copied */
#define PIPE_WIDE 1048576      /* its buffer for large messages */
#define ROOM_SIZE 262144       /* messages up to here are small */
#define ROOM_KNOWN_MS 100      /* how long an answer holds for them */
#define OPEN_WAIT_MS 60000     /* for OPENED */
#define RESULT_WAIT_MS 300000  /* for the commit: below the 10 minutes the
                                * client waits (RFC 5321 4.5.3.2.6) */

static int64_t
deadline(const struct session *s, int64_t wait_ms)
{
	int64_t at = clock_mono_ms() + wait_ms, end = session_deadline(s);

	return at < end ? at : end;
}

static void
disconnect(struct enqueue *q)
{
	chan_free(&q->chan);
	if (q->pipe != -1)
		close(q->pipe);
	q->pipe = -1;
	q->wide = false;
}

static void
lost(struct enqueue *q, const char *why)
{
	LOG_WARN("queue-unreachable", LS("why", why));
	disconnect(q);
	q->failed = true;
	status_set(&q->status, 451, 3, 0, "Queue is not reachable, try again "
	    "later");
}

static bool
connect_queue(struct session *s)
{
	struct enqueue *q = &s->queue;
	struct queue_pipe msg = {0};
	int fds[2], fd;

	fd = session_channel(s, SERVICE_QUEUE);
	if (fd == -1) {
		lost(q, "no channel");
		return false;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		close(fd);
		lost(q, "no pipe");
		return false;
	}
	q->chan = chan_new(fd, &queue_contract, CHAN_CLIENT);
	q->pipe = fds[1];
	chan_queue(q->chan, QUEUE_PIPE, &msg, &fds[0], 1);
	return true;
}

/* Waits for the record `type`, which carries a status. */
static bool
wait_status(struct session *s, uint16_t type, int64_t until_ms,
    struct status *st)
{
	union queue_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t got;

	if (chan_wait(s->queue.chan, &got, &msg, sizeof(msg), fds, &nfds,
	    until_ms) != CHAN_OK || got != type)
		return false;
	status_set(st, msg.result.code, msg.result.subject, msg.result.detail,
	    "%.*s", SLICE_FMT(msg.result.text));
	return true;
}

/* Some session asked a moment ago and there was room: a small message need not
 * ask again, which saves queued a wake-up.  queued looks all the same.  Who may
 * have edits asks once: with the answer comes what version is spoken. */
static bool
room_known(const struct session *s, uint64_t size)
{
	const struct enqueue *q = &s->queue;

	if (s->submission && (q->chan == NULL || chan_version(q->chan) < 2))
		return false;
	return size <= ROOM_SIZE &&
	    __atomic_load_n(q->room, __ATOMIC_RELAXED) >= clock_mono_ms();
}

/* queued may have been restarted since the last message. */
static void
look_alive(struct enqueue *q)
{
	union queue_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	if (q->chan != NULL && chan_recv(q->chan, &type, &msg, sizeof(msg), fds,
	    &nfds) != CHAN_AGAIN)
		disconnect(q);
}

static void
room_learn(struct enqueue *q, bool there)
{
	__atomic_store_n(q->room, there ? clock_mono_ms() + ROOM_KNOWN_MS : 0,
	    __ATOMIC_RELAXED);
}

bool
enqueue_open(struct session *s, struct slice id, uint64_t size)
{
	struct enqueue *q = &s->queue;
	struct queue_open open = {.id = id, .size = size};
	bool fresh;

	q->phase = QUEUE_FREE;
	q->failed = q->answered = false;
	q->written = 0;
	if (room_known(s, size))
		look_alive(q);
	if (room_known(s, size)) {
		if (q->chan == NULL && !connect_queue(s))
			return false;
		q->phase = QUEUE_UNASKED;
		return true;
	}
	do {
		fresh = q->chan == NULL;
		if (fresh && !connect_queue(s))
			return false;
		chan_queue(q->chan, QUEUE_OPEN, &open, NULL, 0);
		if (wait_status(s, QUEUE_OPENED, deadline(s, OPEN_WAIT_MS),
		    &q->status)) {
			room_learn(q, status_class(&q->status) == STATUS_OK);
			if (status_class(&q->status) != STATUS_OK)
				return false;
			q->phase = QUEUE_OPEN_DONE;
			return true;
		}
		/* queued may have been restarted since the last message. */
		disconnect(q);
	} while (!fresh);
	lost(q, "no answer");
	return false;
}

void
enqueue_envelope(struct session *s, const struct envelope *env)
{
	struct enqueue *q = &s->queue;

	if (q->failed)
		return;
	chan_queue(q->chan, QUEUE_MESSAGE, env, NULL, 0);
	q->phase = QUEUE_RECEIVES;
}

void
enqueue_rcpts(struct session *s, const struct queue_rcpts *rcpts)
{
	if (!s->queue.failed)
		chan_send(s->queue.chan, QUEUE_RCPTS, rcpts);
}

/* RESULT before END: queued cannot take the message. */
static void
early_result(struct enqueue *q)
{
	union queue_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;
	enum chan_result result;

	result = chan_recv(q->chan, &type, &msg, sizeof(msg), fds, &nfds);
	if (result == CHAN_AGAIN)
		return;
	if (result != CHAN_OK || type != QUEUE_RESULT) {
		lost(q, "channel closed");
		return;
	}
	q->failed = q->answered = true;
	status_set(&q->status, msg.result.code, msg.result.subject,
	    msg.result.detail, "%.*s", SLICE_FMT(msg.result.text));
	/* Nothing is durable before END. */
	if (status_class(&q->status) == STATUS_OK)
		status_set(&q->status, 451, 3, 0, "Queue answered too early");
}

/* The pipe is full.  What queued must know to empty it leaves first. */
static void
wait_pipe(struct session *s)
{
	struct enqueue *q = &s->queue;
	struct pollfd fds[2] = {{.fd = q->pipe, .events = POLLOUT},
	    {.fd = chan_fd(q->chan), .events = POLLIN}};
	int64_t left = deadline(s, (int64_t)s->conf->smtp_data_timeout_ms) -
	    clock_mono_ms();
	int n;

	if (chan_flush(q->chan) == CHAN_AGAIN)
		fds[1].events |= POLLOUT;
	if (left > INT32_MAX)
		left = INT32_MAX;
	n = left > 0 ? poll(fds, 2, (int)left) : 0;
	if (n == 0)
		lost(q, "stalled");
	else if (n == -1 && errno != EINTR)
		lost(q, "poll");
	else if (n > 0 && (fds[1].revents & ~POLLOUT) != 0)
		early_result(q);
}

/* What is queued leaves before anything else happens. */
static void
wait_channel(struct session *s)
{
	struct enqueue *q = &s->queue;
	struct pollfd fd = {.fd = chan_fd(q->chan), .events = POLLOUT};
	int64_t left;

	while (!q->failed && chan_flush(q->chan) == CHAN_AGAIN) {
		left = deadline(s, (int64_t)s->conf->smtp_data_timeout_ms) -
		    clock_mono_ms();
		if (left <= 0 || (poll(&fd, 1, left > INT32_MAX ? INT32_MAX
		    : (int)left) <= 0 && errno != EINTR))
			lost(q, "stalled");
	}
}

/* Writes first and second to the pipe, all of them. */
static void
write_pipe(struct session *s, struct slice first, struct slice second)
{
	struct enqueue *q = &s->queue;
	struct iovec iov[2] = {
	    {.iov_base = (void *)(uintptr_t)first.p, .iov_len = first.len},
	    {.iov_base = (void *)(uintptr_t)second.p, .iov_len = second.len}};
	size_t done;
	ssize_t n;

	while (!q->failed && iov[0].iov_len + iov[1].iov_len > 0) {
		n = writev(q->pipe, iov, 2);
		if (n == -1) {
			if (errno == EAGAIN)
				wait_pipe(s);
			else if (errno != EINTR)
				lost(q, "pipe");
			continue;
		}
		q->written += (uint64_t)n;
		for (int i = 0; i < 2; i++) {
			done = (size_t)n < iov[i].iov_len ? (size_t)n
			    : iov[i].iov_len;
			iov[i].iov_base = (char *)iov[i].iov_base + done;
			iov[i].iov_len -= done;
			n -= (ssize_t)done;
		}
	}
}

void
enqueue_put(struct session *s, struct slice content)
{
	struct enqueue *q = &s->queue;
	struct slice none = SLICE_EMPTY;

	if (q->failed)
		return;
	if (q->held == NULL)
		q->held = mem_grow(NULL, HELD_SIZE, 1);
	if (content.len > HELD_SIZE - q->nheld) {
		/* A large one.  The pipe may be refused room: then it is
		 * only slower. */
		if (!q->wide)
			(void)fcntl(q->pipe, F_SETPIPE_SZ, PIPE_WIDE);
		q->wide = true;
		/* All recipients are with queued before content is. */
		if (chan_flush(q->chan) == CHAN_AGAIN)
			wait_channel(s);
		if (content.len >= DIRECT_SIZE)
			none = content;
		write_pipe(s, slice_mem(q->held, q->nheld), none);
		q->nheld = 0;
		if (content.len >= DIRECT_SIZE)
			return;
	}
	memcpy(q->held + q->nheld, content.p, content.len);
	q->nheld += content.len;
}

static void
release(struct enqueue *q)
{
	free(q->held);
	q->held = NULL;
	q->nheld = 0;
	q->phase = QUEUE_FREE;
}

void
enqueue_abort(struct session *s)
{
	struct enqueue *q = &s->queue;
	struct queue_end end = {.octets = q->written};

	if (q->phase > QUEUE_UNASKED && q->chan != NULL)
		chan_send(q->chan, QUEUE_ABORT, &end);
	release(q);
}

void
enqueue_end(struct session *s, const struct chan_list *edits,
    struct status *st)
{
	struct enqueue *q = &s->queue;
	struct queue_end end = {.edits = *edits};

	/* They would be left out without a word. */
	if (!q->failed && edits->n > 0 && chan_version(q->chan) < 2) {
		LOG_WARN("queued-too-old", LS("mend", "restart queued"));
		q->failed = true;
		status_set(&q->status, 451, 3, 0, "Queue is of an older "
		    "release, try again later");
	}
	write_pipe(s, slice_mem(q->held, q->nheld), SLICE_EMPTY);
	if (!q->failed) {
		end.octets = q->written;
		chan_queue(q->chan, QUEUE_END, &end, NULL, 0);
		/* No deadline of the client's: it has done its part. */
		if (!wait_status(s, QUEUE_RESULT, clock_mono_ms() +
		    RESULT_WAIT_MS, &q->status))
			lost(q, "no result");
		if (status_class(&q->status) != STATUS_OK)
			room_learn(q, false);
		release(q);
	} else {
		enqueue_abort(s);
	}
	*st = q->status;
}
