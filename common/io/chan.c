/*
 * Channel connections: their life and their output.  Runs in every daemon, on
 * both ends; no input but its own program's records.
 *
 * Descriptors: the kernel hands them over with the first octet they were sent
 * with, or earlier, and one recvmsg never brings those of two sendmsg.  Sending
 * each record with descriptors at the start of a sendmsg makes them arrive in
 * the order of the records, at the latest with the record's first octet.
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

#define OUT_MOVE 65536 /* octets sent already, before the rest is moved up */
#define OUT_MAX_FDS 1024 /* records with descriptors that wait to be sent */

/* Output that nobody takes: then the connection is given up. */
#define OUT_LEAST ((size_t)4 * 1024 * 1024)
#define OUT_FRAMES 16

void
chan_fds_close(const int *fds, size_t nfds)
{
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

struct chan *
chan_new_ready(int fd, const struct chan_contract *contract,
    enum chan_side side)
{
	struct chan *c = mem_alloc(sizeof(*c));
	size_t out_max = (size_t)contract->max_frame * OUT_FRAMES;

	assert(contract->max_frame >= CHAN_LEAST_FRAME);
	c->fd = fd;
	c->contract = contract;
	c->side = side;
	buf_init(&c->out, out_max > OUT_LEAST ? out_max : OUT_LEAST);
	if (side == CHAN_CLIENT) {
		c->version = c->need = contract->lowest;
		chan_hello_queue(c, contract->lowest, contract->highest);
	}
	return c;
}

struct chan *
chan_new(int fd, const struct chan_contract *contract, enum chan_side side)
{
	int flags = fcntl(fd, F_GETFL);

	/* Where this fails the first read will, too. */
	if (flags != -1 && (flags & O_NONBLOCK) == 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return chan_new_ready(fd, contract, side);
}

/* Nothing more can be sent: what waits is dropped. */
void
chan_output_end(struct chan *c)
{
	c->broken = true;
	c->answer_owed = false;
	for (size_t i = c->riders_sent; i < c->nriders; i++)
		chan_fds_close(c->riders[i].fds, c->riders[i].nfds);
	free(c->riders);
	c->riders = NULL;
	c->nriders = c->riders_cap = c->riders_sent = 0;
	buf_wipe(&c->out); /* it may hold passwords */
	c->out_sent = 0;
}

void
chan_free(struct chan **cp)
{
	struct chan *c = *cp;

	if (c == NULL)
		return;
	chan_output_end(c);
	chan_fds_close(c->in_fds, c->in_nfds);
	if (c->in.p != NULL)
		explicit_bzero(c->in.p, c->in_end);
	free(c->in.p);
	chan_arena_free(&c->arena);
	close(c->fd);
	free(c);
	*cp = NULL;
}

void
chan_wipe(struct chan *c)
{
	if (c->in.p != NULL)
		explicit_bzero(c->in.p, c->in_start);
	if (c->out.cap > 0)
		explicit_bzero(c->out.s, c->out_sent);
	if (c->out.cap > 0 && c->out.len == 0)
		explicit_bzero(c->out.s, c->out.cap);
}

int
chan_fd(const struct chan *c)
{
	return c->fd;
}

uint16_t
chan_version(const struct chan *c)
{
	return c->version;
}

bool
chan_greeted(const struct chan *c)
{
	return c->greeted;
}

int
chan_peer(const struct chan *c, pid_t *pid, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return -1;
	*pid = cred.pid;
	*uid = cred.uid;
	return 0;
}

/* Memory of idle connections */

void
chan_lend(struct chan *c, struct chan_spare *spare)
{
	if (c->in.p == NULL && spare->in.p != NULL) {
		c->in = spare->in;
		spare->in.p = NULL;
	}
	if (c->arena == NULL && spare->arena != NULL) {
		c->arena = spare->arena;
		spare->arena = NULL;
	}
}

void
chan_return(struct chan *c, struct chan_spare *spare)
{
	if (c->in_start == c->in_end && c->in.p != NULL) {
		if (spare->in.p == NULL && c->in.size <= CHAN_IN_KEEP)
			spare->in = c->in;
		else
			free(c->in.p);
		c->in.p = NULL;
		c->in_start = c->in_end = 0;
	}
	if (spare->arena == NULL)
		spare->arena = c->arena;
	else
		chan_arena_free(&c->arena);
	c->arena = NULL;
	if (c->out.len == 0)
		buf_free(&c->out);
}

void
chan_spare_free(struct chan_spare *spare)
{
	free(spare->in.p);
	spare->in.p = NULL;
	chan_arena_free(&spare->arena);
}

/* Sending */

/* Gives up a peer that does not take what is sent to it. */
static void
output_stuck(struct chan *c)
{
	LOG_WARN("channel-stuck", LS("contract", c->contract->name),
	    LU("octets", chan_pending(c)), LU("riders", c->nriders));
	chan_output_end(c);
	/* Both ends see it, and this one wakes up in its poll. */
	(void)shutdown(c->fd, SHUT_RDWR);
}

/* Moves what is left to the front when much has been sent. */
static void
output_move(struct chan *c)
{
	size_t left = c->nriders - c->riders_sent;

	if (c->out_sent == c->out.len) {
		buf_reset(&c->out);
		c->out_sent = 0;
		if (c->out.cap > CHAN_IN_KEEP)
			buf_free(&c->out);
	}
	if (left == 0)
		c->nriders = c->riders_sent = 0;
	if (c->out_sent < OUT_MOVE || c->out_sent < c->out.len / 2)
		return;
	buf_consume(&c->out, c->out_sent);
	if (left > 0)
		memmove(c->riders, c->riders + c->riders_sent,
		    left * sizeof(*c->riders));
	c->nriders = left;
	c->riders_sent = 0;
	for (size_t i = 0; i < left; i++)
		c->riders[i].at -= c->out_sent;
	c->out_sent = 0;
}

void
chan_queue(struct chan *c, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	const struct chan_record *r = chan_record_find(c->contract, type);
	struct chan_rider rider;

	assert(r != NULL && (r->from & c->side) != 0 && r->nfds == nfds);
	/* The side that accepts is spoken to first. */
	assert(c->version != 0);
	if (c->broken) {
		chan_fds_close(fds, nfds);
		return;
	}
	if (nfds > 0) {
		memset(&rider, 0, sizeof(rider));
		rider.at = c->out.len;
		rider.nfds = nfds;
		memcpy(rider.fds, fds, nfds * sizeof(*fds));
		MEM_PUSH(c->riders, c->nriders, c->riders_cap, rider);
	}
	chan_frame_put(r, c->version, msg, c->contract->max_frame, &c->out);
	if (c->out.overflow || c->nriders - c->riders_sent > OUT_MAX_FDS)
		output_stuck(c);
}

/* One sendmsg: all up to the second record with descriptors; those of the first
 * ride on its octets.  Returns what sendmsg returned. */
static ssize_t
send_some(struct chan *c)
{
	union {
		char octets[CMSG_SPACE(CHAN_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t end = c->out.len, next = c->riders_sent;
	const struct chan_rider *rider = NULL;
	struct cmsghdr *cm;
	ssize_t n;

	if (next < c->nriders)
		rider = &c->riders[next++];
	if (next < c->nriders)
		end = c->riders[next].at;
	iov.iov_base = c->out.s + c->out_sent;
	iov.iov_len = end - c->out_sent;
	if (rider != NULL) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.octets;
		mh.msg_controllen = CMSG_SPACE(rider->nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		assert(cm != NULL);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(rider->nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), rider->fds, rider->nfds * sizeof(int));
	}
	do
		n = sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -1 && errno == EINTR);
	if (n > 0 && rider != NULL) {
		chan_fds_close(rider->fds, rider->nfds);
		c->riders_sent++;
	}
	return n;
}

enum chan_result
chan_flush(struct chan *c)
{
	ssize_t n;

	while (c->out_sent < c->out.len) {
		n = send_some(c);
		if (n == -1 && errno == EAGAIN)
			return CHAN_AGAIN;
		if (n == -1) {
			if (errno != EPIPE && errno != ECONNRESET)
				LOG_WARN("channel-send-failed",
				    LS("contract", c->contract->name), LE());
			chan_output_end(c);
			break;
		}
		c->out_sent += (size_t)n;
		c->asked = true;
		output_move(c);
	}
	if (c->broken)
		return CHAN_CLOSED;
	c->answer_owed = false;
	return CHAN_OK;
}

void
chan_send_fds(struct chan *c, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	chan_queue(c, type, msg, fds, nfds);
	(void)chan_flush(c);
}

void
chan_send(struct chan *c, uint16_t type, const void *msg)
{
	chan_send_fds(c, type, msg, NULL, 0);
}

size_t
chan_pending(const struct chan *c)
{
	return c->out.len - c->out_sent;
}
