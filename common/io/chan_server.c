/*
 * The accepting end of channels in an event loop.  Runs in keepers and parents;
 * the input is other daemons', who may do anything: connect as often as they
 * can, say nothing, never read.  What they can take is bounded by max_peers,
 * the contract's frames and the channel's output limit.
 *
 * Connections without traffic hold no buffers: one receive buffer is lent to
 * whichever connection has something to read.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan_int.h"
#include "common/io/loop.h"

#define ACCEPT_BATCH 16      /* connections accepted in one round */
#define ACCEPT_RETRY_MS 50   /* without descriptors or memory: a pause */
#define ACCEPT_LOG_MS 10000  /* and one line in the log in that time */

struct chan_peer {
	struct chan_server *server;
	struct chan *chan;        /* owned */
	struct loop_io *io;       /* owned; NULL: neither reads nor writes */
	struct loop_timer *again; /* owned; NULL until needed */
	void *data;               /* the handler's */
	uid_t uid;
	bool known;  /* the handler has heard of it */
	bool opened; /* HELLO came, and ops->opened was asked */
	bool busy;   /* its handler is running */
	bool paused, closing;
	struct chan_peer *next, *prev;
};

struct chan_server {
	struct loop *loop;
	int listen_fd;      /* the caller's */
	struct loop_io *io; /* owned; NULL while none are accepted */
	struct loop_timer *retry;
	const struct chan_contract *contract;
	const struct chan_server_ops *ops;
	void *arg;
	uid_t *uids; /* owned; NULL: anybody */
	size_t nuids;
	size_t max_peers;
	bool exclusive;
	bool paused;     /* for good */
	bool exhausted;  /* until the retry timer */
	bool freed;      /* as soon as no handler is running */
	unsigned depth;  /* handlers running */
	int64_t next_log_ms;
	struct chan_peer *peers;
	size_t npeers;
	void *msg; /* owned: the record in hand */
	size_t msg_size;
	struct chan_spare spare; /* owned */
};

static void server_accept(void *arg, unsigned events);

/* Accepts, or does not, as things are now. */
static void
server_watch(struct chan_server *s)
{
	bool want = !s->paused && !s->freed && !s->exhausted &&
	    s->npeers < s->max_peers;

	if (want && s->io == NULL)
		s->io = loop_io_new(s->loop, s->listen_fd, LOOP_READ |
		    (s->exclusive ? LOOP_EXCLUSIVE : 0), server_accept, s);
	else if (!want)
		loop_io_free(&s->io);
}

/* The end of a server that was freed while its handlers ran. */
static void
server_leave(struct chan_server *s)
{
	assert(s->depth > 0);
	s->depth--;
	if (!s->freed || s->depth > 0)
		return;
	assert(s->npeers == 0);
	loop_timer_free(&s->retry);
	chan_spare_free(&s->spare);
	free(s->uids);
	free(s->msg);
	free(s);
}

/* The caller counts as a running handler: closed() may free the server. */
static void
peer_free(struct chan_peer *p)
{
	struct chan_server *s = p->server;

	p->closing = true;
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		s->peers = p->next;
	if (p->next != NULL)
		p->next->prev = p->prev;
	s->npeers--;
	if (p->known && s->ops->closed != NULL)
		s->ops->closed(s->arg, p);
	loop_timer_free(&p->again);
	loop_io_free(&p->io);
	chan_free(&p->chan);
	free(p);
	server_watch(s);
}

static void peer_event(void *arg, unsigned events);

static void
peer_watch(struct chan_peer *p)
{
	unsigned events = p->paused ? 0 : LOOP_READ;

	if (chan_pending(p->chan) > 0)
		events |= LOOP_WRITE;
	/* Not even hangups are watched for nothing: they would come in each
	 * round until somebody reads. */
	if (events == 0)
		loop_io_free(&p->io);
	else if (p->io == NULL)
		p->io = loop_io_new(p->server->loop, chan_fd(p->chan), events,
		    peer_event, p);
	else
		loop_io_events(p->io, events);
}

/* Tells the handler of a peer whose version is known; false: refused. */
static bool
peer_open(struct chan_peer *p)
{
	struct chan_server *s = p->server;

	if (p->opened || !chan_greeted(p->chan))
		return true;
	p->opened = true;
	if (s->ops->opened != NULL && !s->ops->opened(s->arg, p)) {
		chan_output_end(p->chan); /* not even HELLO is answered */
		return false;
	}
	p->known = true;
	return true;
}

/* Hands all whole records over, or all until the handler has enough. */
static void
peer_records(struct chan_peer *p)
{
	struct chan_server *s = p->server;
	enum chan_result result;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	while (!p->closing && !p->paused) {
		result = chan_next(p->chan, &type, s->msg, s->msg_size, fds,
		    &nfds);
		if ((result != CHAN_OK && result != CHAN_AGAIN) ||
		    !peer_open(p))
			p->closing = true;
		if (result == CHAN_OK && p->closing)
			chan_fds_close(fds, nfds);
		if (result != CHAN_OK || p->closing)
			break;
		if (!s->ops->record(s->arg, p, type, s->msg, fds, nfds))
			p->closing = true;
	}
}

/* One turn of a peer: reads once if it may, handles what is there.  The caller
 * counts as a running handler. */
static void
peer_turn(struct chan_peer *p, bool readable)
{
	struct chan_server *s = p->server;
	enum chan_result result = CHAN_OK;

	p->busy = true;
	chan_lend(p->chan, &s->spare);
	if (readable)
		result = chan_fill(p->chan);
	if (result == CHAN_OK)
		peer_records(p);
	else if (result != CHAN_AGAIN)
		p->closing = true;
	(void)chan_flush(p->chan);
	chan_return(p->chan, &s->spare);
	p->busy = false;
	if (p->closing)
		peer_free(p);
	else
		peer_watch(p);
}

static void
peer_event(void *arg, unsigned events)
{
	struct chan_peer *p = arg;
	struct chan_server *s = p->server;

	s->depth++;
	if (events & LOOP_WRITE)
		(void)chan_flush(p->chan);
	if ((events & LOOP_READ) && !p->paused)
		peer_turn(p, true);
	else
		peer_watch(p);
	server_leave(s);
}

static void
peer_again(void *arg)
{
	struct chan_peer *p = arg;
	struct chan_server *s = p->server;

	s->depth++;
	if (p->closing)
		peer_free(p);
	else
		peer_turn(p, false);
	server_leave(s);
}

/* A turn in the next round, outside of whatever handler is running now. */
static void
peer_schedule(struct chan_peer *p)
{
	if (p->busy)
		return;
	if (p->again == NULL)
		p->again = loop_timer_new(p->server->loop, peer_again, p);
	loop_timer_set(p->again, 0);
}

static struct chan_peer *
peer_new(struct chan_server *s, struct chan *c, uid_t uid)
{
	struct chan_peer *p = mem_alloc(sizeof(*p));

	p->server = s;
	p->chan = c;
	p->uid = uid;
	p->next = s->peers;
	if (p->next != NULL)
		p->next->prev = p;
	s->peers = p;
	s->npeers++;
	peer_watch(p);
	return p;
}

static bool
uid_allowed(const struct chan_server *s, uid_t uid)
{
	if (s->uids == NULL)
		return true;
	for (size_t i = 0; i < s->nuids; i++)
		if (s->uids[i] == uid)
			return true;
	return false;
}

static void
server_admit(struct chan_server *s, int fd)
{
	struct chan *c = chan_new_ready(fd, s->contract, CHAN_SERVER);
	pid_t pid = 0;
	uid_t uid = 0;

	if (chan_peer(c, &pid, &uid) == 0 && uid_allowed(s, uid)) {
		peer_new(s, c, uid);
		return;
	}
	LOG_WARN("channel-refused", LS("contract", s->contract->name),
	    LU("peer-pid", pid), LU("peer-uid", uid));
	chan_free(&c);
}

static void
server_retry(void *arg)
{
	struct chan_server *s = arg;

	s->exhausted = false;
	server_watch(s);
}

/* accept failed for want of something: without a pause the loop would spin. */
static void
server_exhausted(struct chan_server *s)
{
	int64_t now = loop_now(s->loop);

	if (now >= s->next_log_ms) {
		LOG_WARN("channel-accept-failed",
		    LS("contract", s->contract->name), LE());
		s->next_log_ms = now + ACCEPT_LOG_MS;
	}
	s->exhausted = true;
	if (s->retry == NULL)
		s->retry = loop_timer_new(s->loop, server_retry, s);
	loop_timer_in(s->retry, ACCEPT_RETRY_MS);
}

static void
server_accept(void *arg, unsigned events)
{
	struct chan_server *s = arg;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && s->npeers < s->max_peers; i++) {
		fd = accept4(s->listen_fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			server_admit(s, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN)
			server_exhausted(s);
		break;
	}
	server_watch(s);
}

struct chan_server *
chan_server_new(struct loop *l, int listen_fd, const struct chan_contract *ct,
    const struct chan_server_ops *ops, void *arg, const uid_t *uids,
    size_t nuids, size_t max_peers, bool exclusive)
{
	struct chan_server *s = mem_alloc(sizeof(*s));
	int flags;

	s->loop = l;
	s->listen_fd = listen_fd;
	s->contract = ct;
	s->ops = ops;
	s->arg = arg;
	if (uids != NULL) {
		s->uids = mem_array(nuids, sizeof(*uids));
		for (size_t i = 0; i < nuids; i++)
			s->uids[i] = uids[i];
		s->nuids = nuids;
	}
	s->max_peers = max_peers;
	s->exclusive = exclusive;
	s->msg_size = chan_msg_size(ct);
	s->msg = mem_alloc(s->msg_size);
	if (listen_fd == -1) {
		s->paused = true; /* only peers that are handed over */
		return s;
	}
	flags = fcntl(listen_fd, F_GETFL);
	if (flags != -1 && (flags & O_NONBLOCK) == 0)
		(void)fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK);
	server_watch(s);
	return s;
}

void
chan_server_pause(struct chan_server *s)
{
	s->paused = true;
	server_watch(s);
}

void
chan_server_free(struct chan_server **sp)
{
	struct chan_server *s = *sp;
	struct chan_peer *p, *next;

	if (s == NULL)
		return;
	*sp = NULL;
	s->depth++;
	s->freed = true;
	server_watch(s);
	for (p = s->peers; p != NULL; p = next) {
		next = p->next;
		if (p->busy)
			p->closing = true; /* freed when its turn ends */
		else
			peer_free(p);
	}
	server_leave(s);
}

struct chan_peer *
chan_server_add(struct chan_server *s, int fd)
{
	struct chan_peer *p;
	struct chan *c;
	pid_t pid;
	uid_t uid = (uid_t)-1;

	if (s->npeers >= s->max_peers) {
		close(fd);
		return NULL;
	}
	c = chan_new(fd, s->contract, CHAN_SERVER);
	(void)chan_peer(c, &pid, &uid);
	p = peer_new(s, c, uid);
	p->known = true;
	return p;
}

/* Peers, as handlers see them */

struct chan *
chan_peer_chan(struct chan_peer *p)
{
	return p->chan;
}

void *
chan_peer_data(struct chan_peer *p)
{
	return p->data;
}

void
chan_peer_set_data(struct chan_peer *p, void *data)
{
	p->data = data;
}

uid_t
chan_peer_uid(const struct chan_peer *p)
{
	return p->uid;
}

void
chan_peer_send_fds(struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	chan_queue(p->chan, type, msg, fds, nfds);
	if (p->closing || p->busy)
		return; /* with all else of its turn in one write */
	(void)chan_flush(p->chan);
	peer_watch(p);
}

void
chan_peer_send(struct chan_peer *p, uint16_t type, const void *msg)
{
	chan_peer_send_fds(p, type, msg, NULL, 0);
}

void
chan_peer_close(struct chan_peer *p)
{
	if (p->closing)
		return;
	p->closing = true;
	peer_schedule(p);
}

void
chan_peer_pause(struct chan_peer *p, bool pause)
{
	if (p->paused == pause || p->closing)
		return;
	p->paused = pause;
	if (p->busy)
		return;
	/* Records that were read before the pause wait in the buffer. */
	if (pause)
		peer_watch(p);
	else
		peer_schedule(p);
}
