/*
 * The connecting end of a channel in an event loop: one connection to another
 * daemon, made again whenever it is lost.  Runs in daemons that need another
 * one's services; the input is that daemon's.
 *
 * A link is up when the HELLO was answered, not when connect succeeded: only
 * then somebody is there who speaks our contract, and its version is known.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan_int.h"
#include "common/io/loop.h"

#define RETRY_FIRST_MS 20
#define RETRY_MOST_MS 1000

struct chan_link {
	struct loop *loop;
	char *path; /* owned */
	const struct chan_contract *contract;
	const struct chan_link_ops *ops;
	void *arg;
	struct chan *chan;    /* owned; NULL while there is no connection */
	struct loop_io *io;   /* owned */
	struct loop_timer *retry; /* owned */
	int64_t retry_ms;     /* the next pause */
	bool up;
	int64_t up_since_ms;
	bool told;            /* the log knows that it is down */
	bool freed;           /* as soon as no handler is running */
	unsigned depth;       /* handlers running */
	void *msg;            /* owned: the record in hand */
	size_t msg_size;
};

static void link_event(void *arg, unsigned events);

static void
link_enter(struct chan_link *l)
{
	l->depth++;
}

static void
link_leave(struct chan_link *l)
{
	assert(l->depth > 0);
	l->depth--;
	if (!l->freed || l->depth > 0)
		return;
	loop_timer_free(&l->retry);
	loop_io_free(&l->io);
	chan_free(&l->chan);
	free(l->path);
	free(l->msg);
	free(l);
}

static void
link_watch(struct chan_link *l)
{
	unsigned events = LOOP_READ;

	if (chan_pending(l->chan) > 0)
		events |= LOOP_WRITE;
	if (l->io == NULL)
		l->io = loop_io_new(l->loop, chan_fd(l->chan), events,
		    link_event, l);
	else
		loop_io_events(l->io, events);
}

static void
link_retry_later(struct chan_link *l)
{
	loop_timer_in(l->retry, l->retry_ms);
	l->retry_ms *= 2;
	if (l->retry_ms > RETRY_MOST_MS)
		l->retry_ms = RETRY_MOST_MS;
}

/* The connection is gone: says so and plans the next. */
static void
link_lost(struct chan_link *l)
{
	bool was_up = l->up;

	/* Whoever accepts and hangs up is not called upon 50 times a second. */
	if (was_up && loop_now(l->loop) - l->up_since_ms >= RETRY_MOST_MS)
		l->retry_ms = RETRY_FIRST_MS;
	l->up = false;
	loop_io_free(&l->io);
	chan_free(&l->chan);
	link_retry_later(l);
	if (!l->told)
		LOG_WARN("channel-down", LS("contract", l->contract->name),
		    LS("path", l->path));
	l->told = true;
	if (was_up && !l->freed && l->ops->down != NULL)
		l->ops->down(l->arg);
}

static void
link_connect(void *arg)
{
	struct chan_link *l = arg;
	int errno_now;

	l->chan = chan_connect(l->path, l->contract);
	errno_now = errno;
	if (l->chan == NULL) {
		if (!l->told)
			LOG_WARN("channel-down",
			    LS("contract", l->contract->name),
			    LS("path", l->path), LE());
		l->told = true;
		if (errno_now != ENAMETOOLONG) /* that will not get better */
			link_retry_later(l);
		return;
	}
	(void)chan_flush(l->chan);
	link_watch(l);
}

/* The other side answered our HELLO. */
static void
link_up(struct chan_link *l)
{
	l->up = true;
	l->up_since_ms = loop_now(l->loop);
	if (l->told)
		LOG_INFO("channel-up", LS("contract", l->contract->name),
		    LS("path", l->path));
	l->told = false;
	if (l->ops->up != NULL)
		l->ops->up(l->arg);
}

/* Hands all whole records over; false: the connection is to be given up. */
static bool
link_records(struct chan_link *l)
{
	enum chan_result result;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	for (;;) {
		result = chan_next(l->chan, &type, l->msg, l->msg_size, fds,
		    &nfds);
		if (result != CHAN_OK && result != CHAN_AGAIN)
			return false;
		if (!l->up && chan_greeted(l->chan))
			link_up(l);
		if (result == CHAN_AGAIN)
			return true;
		if (l->freed) {
			chan_fds_close(fds, nfds);
			return true;
		}
		if (!l->ops->record(l->arg, type, l->msg, fds, nfds))
			return false;
		if (l->freed)
			return true;
	}
}

static void
link_event(void *arg, unsigned events)
{
	struct chan_link *l = arg;
	enum chan_result result = CHAN_AGAIN;
	bool good = true;

	link_enter(l);
	if (events & LOOP_WRITE)
		(void)chan_flush(l->chan);
	if (events & LOOP_READ)
		result = chan_fill(l->chan);
	if (result == CHAN_OK)
		good = link_records(l);
	else if (result != CHAN_AGAIN)
		good = false;
	if (!l->freed) {
		/* All that its handlers sent, in one write. */
		(void)chan_flush(l->chan);
		if (good)
			link_watch(l);
		else
			link_lost(l);
	}
	link_leave(l);
}

struct chan_link *
chan_link_new(struct loop *loop, const char *path,
    const struct chan_contract *ct, const struct chan_link_ops *ops, void *arg)
{
	struct chan_link *l = mem_alloc(sizeof(*l));

	l->loop = loop;
	l->path = mem_dup(path);
	l->contract = ct;
	l->ops = ops;
	l->arg = arg;
	l->retry_ms = RETRY_FIRST_MS;
	l->retry = loop_timer_new(loop, link_connect, l);
	l->msg_size = chan_msg_size(ct);
	l->msg = mem_alloc(l->msg_size);
	link_connect(l);
	return l;
}

void
chan_link_free(struct chan_link **lp)
{
	struct chan_link *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	link_enter(l);
	l->freed = true;
	l->up = false;
	link_leave(l);
}

bool
chan_link_is_up(const struct chan_link *l)
{
	return l->up;
}

bool
chan_link_queue(struct chan_link *l, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	if (!l->up) {
		chan_fds_close(fds, nfds);
		return false;
	}
	chan_queue(l->chan, type, msg, fds, nfds);
	return true;
}

void
chan_link_flush(struct chan_link *l)
{
	if (!l->up || l->depth > 0)
		return; /* link_event sends it with the rest */
	(void)chan_flush(l->chan);
	link_watch(l);
}

bool
chan_link_send_fds(struct chan_link *l, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	bool up = chan_link_queue(l, type, msg, fds, nfds);

	chan_link_flush(l);
	return up;
}

bool
chan_link_send(struct chan_link *l, uint16_t type, const void *msg)
{
	return chan_link_send_fds(l, type, msg, NULL, 0);
}

size_t
chan_link_pending(const struct chan_link *l)
{
	return l->chan != NULL ? chan_pending(l->chan) : 0;
}
