/*
 * Hands channels to sessions (contract "session").  Runs in the parents of
 * network daemons; the input is their sessions', which may be in anybody's
 * hands: each may ask for a few services, so many times.
 *
 * Most sessions that are there at a moment have not asked for anything.  Until
 * they do, the parent holds nothing for them: what it held open, each later
 * child would have to copy and close.  A session makes its socket pair itself
 * and, at its first question, pushes the parent's end through the door, a
 * datagram socket that all share; the kernel says which process it came from.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
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
#define DOOR_WAIT_MS 10000 /* for room in the door's queue */

struct front_requests {
	const struct front_args *args;
	struct front_clients *clients; /* the parent's */
	struct chan_server *server;    /* sessions that have asked */
	int door[2];                   /* the parent's side, theirs */
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

union door_control {
	char octets[CMSG_SPACE(sizeof(int)) +
	    CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

/* What came through the door: the descriptor, or -1, and its sender. */
static int
door_take(struct msghdr *mh, pid_t *pid)
{
	struct ucred cred;
	int fd = -1;

	*pid = 0;
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL;
	    cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET)
			continue;
		if (cm->cmsg_type == SCM_RIGHTS &&
		    cm->cmsg_len == CMSG_LEN(sizeof(fd)))
			memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
		if (cm->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cred, CMSG_DATA(cm), sizeof(cred));
			*pid = cred.pid;
		}
	}
	return fd;
}

/* A session asks for the first time; a second time it is not let in. */
static void
on_door(void *arg, unsigned events)
{
	struct front_requests *r = arg;

	(void)events;
	for (int i = 0; i < BATCH; i++) {
		union door_control control;
		struct iovec iov = {.iov_base = (char[1]){0}, .iov_len = 1};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
		    .msg_control = control.octets,
		    .msg_controllen = sizeof(control.octets)};
		struct front_slot *slot;
		pid_t pid;
		int fd;

		if (recvmsg(r->door[0], &mh, MSG_CMSG_CLOEXEC) == -1)
			return;
		fd = door_take(&mh, &pid);
		slot = front_clients_find(r->clients, pid);
		if (fd == -1)
			continue;
		if (slot == NULL || slot->known) {
			close(fd);
			continue;
		}
		slot->known = true;
		slot->peer = chan_server_add(r->server, fd);
		if (slot->peer != NULL)
			chan_peer_set_data(slot->peer, slot);
	}
}

int
front_requests_door(const struct front_requests *r)
{
	return r->door[1];
}

/* Once a session, at its first need. */
static void
count_need(struct front_way *way)
{
	if (way->needed != NULL)
		__atomic_add_fetch(way->needed, 1, __ATOMIC_RELAXED);
	way->needed = NULL;
}

int
front_take(struct front_way *way, size_t i)
{
	struct pollfd p = {.fd = way->ahead[i], .events = POLLIN};

	count_need(way);
	way->ahead[i] = -1;
	/* Nobody speaks there before we do: then it has been closed. */
	if (p.fd != -1 && poll(&p, 1, 0) != 0) {
		close(p.fd);
		return -1;
	}
	return p.fd;
}

struct chan *
front_parent(struct front_way *way)
{
	int pair[2];

	union door_control control = {.octets = {0}};
	struct iovec iov = {.iov_base = (char[1]){0}, .iov_len = 1};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.octets,
	    .msg_controllen = CMSG_SPACE(sizeof(int))};
	struct pollfd door = {.fd = way->door, .events = POLLOUT};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
	int64_t end = clock_mono_ms() + DOOR_WAIT_MS;

	count_need(way);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    pair) == -1)
		return NULL;
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &pair[1], sizeof(int));
	while (sendmsg(way->door, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 &&
	    (errno == EAGAIN || errno == EINTR) && clock_mono_ms() < end)
		(void)poll(&door, 1, 100);
	close(pair[1]);
	return chan_new(pair[0], &session_contract, CHAN_CLIENT);
}

struct front_requests *
front_requests_new(struct loop *l, struct front_clients *clients,
    const struct front_args *args)
{
	static const struct chan_server_ops ops = {.record = on_record,
	    .closed = on_closed};
	struct front_requests *r = mem_alloc(sizeof(*r));
	const int on = 1;

	r->args = args;
	r->clients = clients;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    r->door) == -1 || setsockopt(r->door[0], SOL_SOCKET, SO_PASSCRED,
	    &on, sizeof(on)) == -1)
		die_errno(EXIT_TEMPORARY, "no door for sessions");
	r->server = chan_server_new(l, -1, &session_contract, &ops, r, NULL, 0,
	    clients->max, false);
	loop_io_new(l, r->door[0], LOOP_READ, on_door, r);
	return r;
}

void
front_requests_forget(struct front_slot *slot)
{
	if (slot->peer != NULL) {
		chan_peer_set_data(slot->peer, NULL);
		chan_peer_close(slot->peer);
		slot->peer = NULL;
	}
}
