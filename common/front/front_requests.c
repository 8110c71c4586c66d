/*
 * Hands channels to sessions (contract "session").  Runs in the parents of
 * network daemons; the input is their sessions', which may be in anybody's
 * hands: each may ask for a few services, so many times.
 *
 * Most sessions that are there at a moment have not asked for anything.  Until
 * they do, the parent holds a descriptor for each and nothing else: they wait
 * in an epoll set of their own, which the loop watches.  What the parent writes
 * to its heap for a session costs every later session a page.
 */
#include <sys/epoll.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/front/front_int.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/session.h"

#define BATCH 32

struct front_requests {
	const struct front_args *args;
	struct front_clients *clients; /* the parent's */
	struct chan_server *server;    /* sessions that have asked */
	int epoll_fd;                  /* those that have not */
	int64_t logged_ms;             /* when a failure was last logged */
};

/* Sessions try again; one line in so long is enough. */
#define LOG_SPAN_MS 1000

static void
give_channel(struct front_requests *r, struct chan_peer *peer,
    uint32_t service, const char *path)
{
	struct session_channel given = {.service = service};
	struct session_none none = {.service = service};
	int fd = chan_dial(path);

	if (fd != -1) {
		chan_peer_send_fds(peer, SESSION_CHANNEL, &given, &fd, 1);
		return;
	}
	if (clock_mono_ms() - r->logged_ms >= LOG_SPAN_MS) {
		LOG_WARN("cannot-connect", LS("socket", path), LE());
		r->logged_ms = clock_mono_ms();
	}
	none.why = slice_of(strerror(errno));
	chan_peer_send(peer, SESSION_NONE, &none);
}

static bool
on_record(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct front_requests *r = arg;
	const struct session_get *get = msg;
	struct front_slot *slot = chan_peer_data(peer);

	(void)fds;
	(void)nfds;
	if (slot == NULL)
		return false;
	for (size_t i = 0; type == SESSION_GET && i < FRONT_SERVICES_MAX; i++) {
		if (r->args->services[i].path == NULL ||
		    r->args->services[i].service != get->service)
			continue;
		if (slot->channels[i] == FRONT_CHANNELS_MAX)
			break;
		slot->channels[i]++;
		give_channel(r, peer, get->service, r->args->services[i].path);
		return true;
	}
	LOG_WARN("session-asked-too-much", LI("pid", slot->pid),
	    LU("record", type));
	return false;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct front_slot *slot = chan_peer_data(peer);

	(void)arg;
	/* The slot lives until the process is gone. */
	if (slot != NULL)
		slot->peer = NULL;
}

/* A session asks for the first time, or is gone: that its end tells. */
static void
on_first(void *arg, unsigned events)
{
	struct front_requests *r = arg;
	struct epoll_event ev[BATCH];
	int n = epoll_wait(r->epoll_fd, ev, BATCH, 0);

	(void)events;
	for (int i = 0; i < n; i++) {
		struct front_slot *slot = &r->clients->v[ev[i].data.u32];
		int fd = slot->fd;

		if (fd == -1 || (ev[i].events & EPOLLHUP) != 0)
			continue;
		slot->fd = -1;
		(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		slot->peer = chan_server_add(r->server, fd);
		if (slot->peer != NULL)
			chan_peer_set_data(slot->peer, slot);
	}
}

struct front_requests *
front_requests_new(struct loop *l, struct front_clients *clients,
    const struct front_args *args)
{
	static const struct chan_server_ops ops = {.record = on_record,
	    .closed = on_closed};
	struct front_requests *r = mem_alloc(sizeof(*r));

	r->args = args;
	r->clients = clients;
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd == -1)
		die_errno(EXIT_TEMPORARY, "cannot create an epoll descriptor");
	r->server = chan_server_new(l, -1, &session_contract, &ops, r, NULL, 0,
	    clients->max, false);
	loop_io_new(l, r->epoll_fd, LOOP_READ, on_first, r);
	return r;
}

void
front_requests_watch(struct front_requests *r, struct front_slot *slot)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};

	ev.data.u32 = (uint32_t)(slot - r->clients->v);
	/* Without it the session gets no channel, and says so. */
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, slot->fd, &ev) == -1)
		LOG_ERROR("cannot-watch", LI("pid", slot->pid), LE());
}

void
front_requests_forget(struct front_requests *r, struct front_slot *slot)
{
	if (slot->fd != -1) {
		/* A child forked just now may still hold it open. */
		(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
		close(slot->fd);
		slot->fd = -1;
	}
	if (slot->peer != NULL) {
		chan_peer_set_data(slot->peer, NULL);
		chan_peer_close(slot->peer);
		slot->peer = NULL;
	}
}
