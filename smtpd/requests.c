/*
 * Hands channels to sessions (contract "session").  Runs in smtpd's parent; the
 * input is its sessions', which may be in anybody's hands: each may ask for two
 * services, so many times.
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

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/session.h"
#include "common/proto/sockets.h"
#include "smtpd/clients.h"
#include "smtpd/requests.h"

#define CHANNELS_MAX 100 /* of one kind a session may have */
#define BATCH 32

struct requests {
	struct clients *clients;     /* the parent's */
	struct chan_server *server;  /* sessions that have asked */
	int epoll_fd;                /* those that have not */
};

static bool
give_channel(struct chan_peer *peer, uint32_t service, const char *path)
{
	struct session_channel given = {.service = service};
	struct session_none none = {.service = service};
	int fd = chan_dial(path);

	if (fd != -1) {
		chan_peer_send_fds(peer, SESSION_CHANNEL, &given, &fd, 1);
		return true;
	}
	LOG_WARN("cannot-connect", LS("socket", path), LE());
	none.why = slice_of(strerror(errno));
	chan_peer_send(peer, SESSION_NONE, &none);
	return true;
}

static bool
on_record(void *arg, struct chan_peer *peer, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	static const struct {
		uint32_t service;
		const char *path;
	} services[] = {
		{SERVICE_QUEUE, SOCKET_QUEUE},
		{SERVICE_ADDRESS, SOCKET_ADDRESS},
	};
	const struct session_get *get = msg;
	struct client *client = chan_peer_data(peer);

	(void)arg, (void)fds, (void)nfds;
	if (client == NULL)
		return false;
	for (size_t i = 0; type == SESSION_GET &&
	    i < sizeof(services) / sizeof(services[0]); i++)
		if (services[i].service == get->service &&
		    client->channels[i] < CHANNELS_MAX) {
			client->channels[i]++;
			return give_channel(peer, get->service,
			    services[i].path);
		}
	LOG_WARN("session-asked-too-much", LI("pid", client->pid),
	    LU("record", type));
	return false;
}

static void
on_closed(void *arg, struct chan_peer *peer)
{
	struct client *client = chan_peer_data(peer);

	(void)arg;
	/* The slot lives until the process is gone. */
	if (client != NULL)
		client->peer = NULL;
}

/* A session asks for the first time, or is gone: that its end tells. */
static void
on_first(void *arg, unsigned events)
{
	struct requests *r = arg;
	struct epoll_event ev[BATCH];
	int n = epoll_wait(r->epoll_fd, ev, BATCH, 0);

	(void)events;
	for (int i = 0; i < n; i++) {
		struct client *client = &r->clients->v[ev[i].data.u32];
		int fd = client->fd;

		if (fd == -1 || (ev[i].events & EPOLLHUP) != 0)
			continue;
		client->fd = -1;
		(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		client->peer = chan_server_add(r->server, fd);
		if (client->peer != NULL)
			chan_peer_set_data(client->peer, client);
	}
}

struct requests *
requests_new(struct loop *l, struct clients *clients)
{
	static const struct chan_server_ops ops = {.record = on_record,
	    .closed = on_closed};
	struct requests *r = mem_alloc(sizeof(*r));

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
requests_watch(struct requests *r, struct client *client)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};

	ev.data.u32 = (uint32_t)(client - r->clients->v);
	/* Without it the session gets no channel, and says 451. */
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, client->fd, &ev) == -1)
		LOG_ERROR("cannot-watch", LI("pid", client->pid), LE());
}

void
requests_forget(struct requests *r, struct client *client)
{
	if (client->fd != -1) {
		/* A child forked just now may still hold it open. */
		(void)epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
		close(client->fd);
		client->fd = -1;
	}
	if (client->peer != NULL) {
		chan_peer_set_data(client->peer, NULL);
		chan_peer_close(client->peer);
		client->peer = NULL;
	}
}
