/*
 * A blocking client of the contract "queue".  Runs in the processes of bounce
 * and pickup.  What it passes on is whatever they were given; what it hears
 * comes from queued.  Whatever stops here is temporary.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/envelope.h"
#include "common/proto/queue.h"
#include "common/proto/queue_client.h"

#define HELD_MAX 65536u        /* content gathered for one write */
#define OPEN_WAIT_MS 60000     /* for OPENED */
#define WRITE_WAIT_MS 180000   /* for a full pipe or channel to move */
#define RESULT_WAIT_MS 300000  /* for the commit */

struct queue_client {
	struct chan *chan;    /* NULL: broken */
	int pipe;             /* its end for writing */
	struct buf held;
	uint64_t written;     /* octets of this message in the pipe */
	bool begun;           /* MESSAGE was said: END or ABORT must follow */
	bool opened;          /* OPEN was answered: so must something */
	bool failed;
	struct status status; /* why, when failed */
};

struct queue_client *
queue_client_new(int fd)
{
	struct queue_client *q;
	struct queue_pipe msg = {0};
	int fds[2], saved;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return NULL;
	}
	q = mem_alloc(sizeof(*q));
	q->chan = chan_new(fd, &queue_contract, CHAN_CLIENT);
	q->pipe = fds[1];
	buf_init(&q->held, HELD_MAX);
	chan_queue(q->chan, QUEUE_PIPE, &msg, &fds[0], 1);
	return q;
}

static void
disconnect(struct queue_client *q)
{
	chan_free(&q->chan);
	if (q->pipe != -1)
		close(q->pipe);
	q->pipe = -1;
}

void
queue_client_free(struct queue_client **qp)
{
	struct queue_client *q = *qp;

	if (q == NULL)
		return;
	disconnect(q);
	buf_free(&q->held);
	free(q);
	*qp = NULL;
}

bool
queue_client_usable(const struct queue_client *q)
{
	return q->chan != NULL;
}

uint64_t
queue_client_octets(const struct queue_client *q)
{
	return q->written + q->held.len;
}

static bool
lost(struct queue_client *q, const char *why)
{
	LOG_WARN("queue-unreachable", LS("why", why));
	disconnect(q);
	q->failed = true;
	status_set(&q->status, 451, 3, 0, "Queue is not reachable, try again "
	    "later");
	return false;
}

static void
take_result(struct queue_client *q, const struct queue_result *r)
{
	status_set(&q->status, r->code, r->subject, r->detail, "%.*s",
	    SLICE_FMT(r->text));
	q->failed = status_class(&q->status) != STATUS_OK;
}

/* Waits for the record `type`, which carries a status. */
static bool
wait_result(struct queue_client *q, uint16_t type, int64_t wait_ms)
{
	union queue_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t got;

	if (chan_wait(q->chan, &got, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + wait_ms) != CHAN_OK || got != type)
		return lost(q, "no answer");
	take_result(q, &msg.result);
	return !q->failed;
}

bool
queue_client_open(struct queue_client *q, struct slice id, uint64_t size)
{
	struct queue_open open = {.id = id, .size = size};

	q->failed = q->begun = q->opened = false;
	q->written = 0;
	buf_reset(&q->held);
	if (q->chan == NULL)
		return lost(q, "no connection");
	chan_queue(q->chan, QUEUE_OPEN, &open, NULL, 0);
	q->opened = wait_result(q, QUEUE_OPENED, OPEN_WAIT_MS);
	return q->opened;
}

/* Both ways to queued: false when neither moved for too long. */
static bool
wait_way(struct queue_client *q, struct pollfd *fds, nfds_t n)
{
	int r;

	do
		r = poll(fds, n, WRITE_WAIT_MS);
	while (r == -1 && errno == EINTR);
	if (r <= 0)
		return lost(q, r == 0 ? "stalled" : "poll");
	return true;
}

/* What is queued leaves before anything else happens. */
static bool
flush_chan(struct queue_client *q)
{
	struct pollfd fd;

	while (chan_flush(q->chan) == CHAN_AGAIN) {
		fd = (struct pollfd){.fd = chan_fd(q->chan),
		    .events = POLLOUT};
		if (!wait_way(q, &fd, 1))
			return false;
	}
	return true;
}

bool
queue_client_envelope(struct queue_client *q, const struct envelope *env)
{
	const struct env_recipient *v = env->recipients.v;
	struct envelope first = *env;
	struct queue_rcpts more;
	size_t at, n;

	if (q->failed)
		return false;
	n = env->recipients.n;
	at = n < ENV_RCPTS_A_RECORD ? n : ENV_RCPTS_A_RECORD;
	first.recipients.n = at;
	chan_queue(q->chan, QUEUE_MESSAGE, &first, NULL, 0);
	q->begun = true;
	for (; at < n; at += more.recipients.n) {
		more.recipients.n = n - at < ENV_RCPTS_A_RECORD ? n - at
		    : ENV_RCPTS_A_RECORD;
		more.recipients.v = (void *)(uintptr_t)(v + at);
		chan_queue(q->chan, QUEUE_RCPTS, &more, NULL, 0);
		if (!flush_chan(q))
			return false;
	}
	return flush_chan(q);
}

/* RESULT before END: queued cannot take the message. */
static bool
early_result(struct queue_client *q)
{
	union queue_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;
	enum chan_result result;

	result = chan_recv(q->chan, &type, &msg, sizeof(msg), fds, &nfds);
	if (result == CHAN_AGAIN)
		return true;
	if (result != CHAN_OK || type != QUEUE_RESULT)
		return lost(q, "channel closed");
	take_result(q, &msg.result);
	if (!q->failed) {
		/* Nothing is durable before END. */
		q->failed = true;
		status_set(&q->status, 451, 3, 0, "Queue answered too early");
	}
	return false;
}

static bool
wait_pipe(struct queue_client *q)
{
	struct pollfd fds[2] = {{.fd = q->pipe, .events = POLLOUT},
	    {.fd = chan_fd(q->chan), .events = POLLIN}};

	if (!wait_way(q, fds, 2))
		return false;
	return fds[1].revents == 0 || early_result(q);
}

static bool
write_pipe(struct queue_client *q, struct slice s)
{
	ssize_t n;

	while (s.len > 0) {
		n = write(q->pipe, s.p, s.len);
		if (n > 0) {
			q->written += (uint64_t)n;
			s = slice_sub(s, (size_t)n, s.len);
		} else if (errno == EAGAIN) {
			if (!wait_pipe(q))
				return false;
		} else if (errno != EINTR)
			return lost(q, "pipe");
	}
	return true;
}

bool
queue_client_put(struct queue_client *q, struct slice content)
{
	bool good;

	if (q->failed)
		return false;
	if (content.len <= HELD_MAX - q->held.len) {
		buf_addslice(&q->held, content);
		return true;
	}
	good = write_pipe(q, buf_slice(&q->held));
	buf_reset(&q->held);
	if (!good)
		return false;
	if (content.len > HELD_MAX / 2)
		return write_pipe(q, content);
	buf_addslice(&q->held, content);
	return true;
}

void
queue_client_abort(struct queue_client *q)
{
	struct queue_end end = {.octets = q->written};

	if (q->chan != NULL && (q->begun || q->opened)) {
		chan_queue(q->chan, QUEUE_ABORT, &end, NULL, 0);
		(void)flush_chan(q);
	}
	buf_reset(&q->held);
	q->begun = q->opened = false;
}

void
queue_client_end(struct queue_client *q, const struct chan_list *edits,
    struct status *st)
{
	struct queue_end end = {0};

	if (!q->failed && edits != NULL && edits->n > 0 &&
	    chan_version(q->chan) < 2) {
		q->failed = true;
		status_set(&q->status, 451, 3, 0,
		    "Queue is of an older release, try again later");
	}
	if (!q->failed && write_pipe(q, buf_slice(&q->held))) {
		buf_reset(&q->held);
		end.octets = q->written;
		if (edits != NULL)
			end.edits = *edits;
		chan_queue(q->chan, QUEUE_END, &end, NULL, 0);
		q->begun = q->opened = false;
		(void)wait_result(q, QUEUE_RESULT, RESULT_WAIT_MS);
	} else
		queue_client_abort(q);
	*st = q->status;
}
