/*
 * Receiving from a channel: frames and descriptors out of the socket, records
 * out of the frames.  Runs in every daemon, on both ends.  The input is another
 * daemon's: frames are checked against the contract before memory is taken, and
 * whoever breaks it is logged once and disconnected.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan_int.h"

#define IN_LEAST 4096 /* octets of the receive buffer to begin with */

enum chan_result
chan_refuse_fault(struct chan *c, const struct chan_fault *fault)
{
	pid_t pid = 0;
	uid_t uid = 0;

	c->bad = true;
	(void)chan_peer(c, &pid, &uid);
	LOG_WARN("channel-broken-contract", LS("contract", c->contract->name),
	    LS("record", fault->record != NULL ? fault->record : "-"),
	    LS("field", fault->field != NULL ? fault->field : "-"),
	    LS("why", fault->why), LU("version", c->version),
	    LU("peer-pid", pid), LU("peer-uid", uid));
	return CHAN_BAD;
}

enum chan_result
chan_refuse(struct chan *c, const struct chan_record *r, const char *why)
{
	struct chan_fault fault = {r != NULL ? r->name : NULL, NULL, why};

	return chan_refuse_fault(c, &fault);
}

/* Makes room for the rest of a frame of `need` octets, or for whatever comes
 * where that is 0. */
static void
input_room(struct chan *c, size_t need)
{
	size_t live = c->in_end - c->in_start;

	if (live == 0) {
		c->in_start = c->in_end = 0;
		if (c->in.size > CHAN_IN_KEEP) {
			free(c->in.p);
			c->in.p = NULL;
		}
	}
	if (c->in.p == NULL) {
		c->in.size = IN_LEAST;
		c->in.p = mem_grow(NULL, c->in.size, 1);
	}
	if (c->in_start > 0 && (c->in.size - c->in_start < need ||
	    c->in.size - c->in_end < IN_LEAST / 2)) {
		memmove(c->in.p, c->in.p + c->in_start, live);
		c->in_start = 0;
		c->in_end = live;
	}
	if (c->in.size < need) {
		c->in.p = mem_grow(c->in.p, need, 1);
		c->in.size = need;
	}
}

/* Octets of the frame at the front of the buffer with its length word, 0 if
 * that is not there yet.  One that is too long is cut to an octet more than the
 * limit, so that nobody takes more memory for it. */
static size_t
frame_size(const struct chan *c)
{
	uint32_t size;

	if (c->in_end - c->in_start < CHAN_LENGTH_SIZE)
		return 0;
	size = chan_get32(c->in.p + c->in_start);
	if (size > c->contract->max_frame)
		size = c->contract->max_frame + 1;
	return CHAN_LENGTH_SIZE + (size_t)size;
}

/* Takes the descriptors out of a control message; false if they are too
 * many. */
static bool
take_fds(struct chan *c, struct cmsghdr *cm)
{
	size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool fits = true;
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
		if (c->in_nfds < CHAN_IN_FDS) {
			c->in_fds[c->in_nfds++] = fd;
		} else {
			close(fd);
			fits = false;
		}
	}
	return fits;
}

enum chan_result
chan_fill(struct chan *c)
{
	union {
		char octets[CMSG_SPACE(CHAN_IN_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.octets,
	    .msg_controllen = sizeof(control.octets)};
	bool fits = true;
	ssize_t n;

	c->asked = false;
	if (c->eof)
		return CHAN_CLOSED;
	input_room(c, frame_size(c));
	iov.iov_base = c->in.p + c->in_end;
	iov.iov_len = c->in.size - c->in_end;
	if (iov.iov_len == 0)
		return CHAN_OK; /* full of whole records */
	do
		n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN && !c->broken)
		return CHAN_AGAIN;
	if (n <= 0) {
		c->eof = true;
		return CHAN_CLOSED;
	}
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(&mh); cm != NULL;
	    cm = CMSG_NXTHDR(&mh, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS)
			fits = take_fds(c, cm) && fits;
	c->in_end += (size_t)n;
	/* The kernel ends a read at each record with descriptors. */
	c->drained = (size_t)n < iov.iov_len && mh.msg_controllen == 0;
	if ((mh.msg_flags & MSG_CTRUNC) != 0 && c->in_nfds < CHAN_IN_FDS) {
		/* Not the peer's fault: this process has no room for them. */
		LOG_WARN("channel-descriptors-lost",
		    LS("contract", c->contract->name),
		    LS("mend", "raise the limit of open files"));
		c->eof = true;
		return CHAN_CLOSED;
	}
	if (!fits || (mh.msg_flags & MSG_CTRUNC) != 0)
		return chan_refuse(c, NULL, "too many descriptors");
	return CHAN_OK;
}

/*
 * No whole frame is there.  The descriptors that are must belong to the one
 * that has begun or, riding ahead, to the one behind it, so that nobody can
 * fill our table with others.
 */
static enum chan_result
incomplete(struct chan *c)
{
	size_t live = c->in_end - c->in_start;
	size_t most = live > 0 ? CHAN_MAX_FDS : 0;

	if (c->in_nfds > most)
		return chan_refuse(c, NULL, "descriptors without a record");
	return CHAN_AGAIN;
}

/* Decodes a whole frame and hands its descriptors over. */
static enum chan_result
record_take(struct chan *c, const struct chan_record *r, struct slice fields,
    void *msg_out, int *fds, size_t *nfds)
{
	struct chan_decoder d = {c->version, c->need, c->arena,
	    {NULL, NULL, NULL}};

	if (c->in_nfds < r->nfds)
		return chan_refuse(c, r, "descriptors are missing");
	if (!chan_fields_get(&d, r, fields, msg_out))
		return chan_refuse_fault(c, &d.fault);
	memcpy(fds, c->in_fds, r->nfds * sizeof(*fds));
	*nfds = r->nfds;
	c->in_nfds -= r->nfds;
	memmove(c->in_fds, c->in_fds + r->nfds,
	    c->in_nfds * sizeof(*c->in_fds));
	return CHAN_OK;
}

/* Cuts the next whole frame off the buffer; *frame begins with the type. */
static enum chan_result
cut_frame(struct chan *c, struct slice *frame)
{
	size_t size = frame_size(c);

	if (size == 0)
		return incomplete(c);
	if (size < CHAN_LENGTH_SIZE + CHAN_HEAD_SIZE)
		return chan_refuse(c, NULL, "frame too short");
	if (size - CHAN_LENGTH_SIZE > c->contract->max_frame)
		return chan_refuse(c, NULL, "frame too long");
	if (size > c->in_end - c->in_start)
		return incomplete(c);
	*frame = (struct slice){c->in.p + c->in_start + CHAN_LENGTH_SIZE,
	    size - CHAN_LENGTH_SIZE};
	c->in_start += size;
	return CHAN_OK;
}

enum chan_result
chan_next(struct chan *c, uint16_t *type, void *msg_out, size_t msg_size,
    int *fds, size_t *nfds)
{
	unsigned peer = c->side == CHAN_CLIENT ? CHAN_SERVER : CHAN_CLIENT;
	const struct chan_record *r;
	enum chan_result result;
	struct slice frame = SLICE_EMPTY, fields;
	uint16_t frame_type, frame_nfds;

	if (c->bad)
		return CHAN_BAD;
	if (c->arena == NULL)
		c->arena = chan_arena_new();
	chan_arena_reset(c->arena);
	for (;;) {
		result = cut_frame(c, &frame);
		if (result != CHAN_OK)
			return result;
		frame_type = chan_get16(frame.p);
		frame_nfds = chan_get16(frame.p + 2);
		fields = slice_sub(frame, CHAN_HEAD_SIZE, frame.len);
		if (frame_type != CHAN_HELLO)
			break;
		result = chan_hello_take(c, fields, frame_nfds);
		if (result != CHAN_OK)
			return result;
	}
	r = chan_record_find(c->contract, frame_type);
	if (r == NULL)
		return chan_refuse(c, NULL, "unknown record");
	if (!c->greeted)
		return chan_refuse(c, r, "before HELLO");
	if ((r->from & peer) == 0)
		return chan_refuse(c, r, "of the wrong side");
	if (frame_nfds != r->nfds)
		return chan_refuse(c, r, "wrong number of descriptors");
	assert(msg_size >= r->size);
	result = record_take(c, r, fields, msg_out, fds, nfds);
	if (result == CHAN_OK)
		*type = frame_type;
	return result;
}

enum chan_result
chan_recv(struct chan *c, uint16_t *type, void *msg_out, size_t msg_size,
    int *fds, size_t *nfds)
{
	enum chan_result result;

	for (;;) {
		result = chan_next(c, type, msg_out, msg_size, fds, nfds);
		if (result != CHAN_AGAIN)
			return result;
		/* A read that brought less than it could is the last of this
		 * round: poll will tell of more. */
		result = c->drained && !c->broken ? CHAN_AGAIN : chan_fill(c);
		c->drained = c->drained && result == CHAN_OK;
		if (result == CHAN_AGAIN && c->answer_owed)
			(void)chan_flush(c);
		if (result != CHAN_OK)
			return result;
	}
}

/* Waits until something can be read (or written, if something waits); the
 * events, 0 when the deadline passed. */
static short
wait_for(const struct chan *c, int64_t deadline_ms)
{
	struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
	int64_t left;
	int n;

	if (chan_pending(c) > 0)
		pfd.events |= POLLOUT;
	for (;;) {
		left = deadline_ms - clock_mono_ms();
		if (left < 0)
			left = 0;
		if (left > INT_MAX)
			left = deadline_ms == CLOCK_NEVER ? -1 : INT_MAX;
		n = poll(&pfd, 1, (int)left);
		if (n > 0)
			return pfd.revents;
		if (n == 0 && left < INT_MAX)
			return 0;
		if (n == -1 && errno != EINTR)
			return POLLERR; /* the next read says what it is */
	}
}

enum chan_result
chan_wait(struct chan *c, uint16_t *type, void *msg_out, size_t msg_size,
    int *fds, size_t *nfds, int64_t deadline_ms)
{
	enum chan_result result;
	short events;

	(void)chan_flush(c);
	for (;;) {
		result = chan_next(c, type, msg_out, msg_size, fds, nfds);
		if (result != CHAN_AGAIN)
			return result;
		if (c->answer_owed)
			(void)chan_flush(c);
		/* A peer that was just asked has not answered yet: no read
		 * that finds nothing. */
		if (c->broken || !(c->asked || c->drained)) {
			result = chan_fill(c);
			if (result == CHAN_OK)
				continue;
			if (result != CHAN_AGAIN)
				return result;
		}
		events = wait_for(c, deadline_ms);
		if (events == 0)
			return CHAN_TIMEOUT;
		c->asked = c->drained = false;
		if (events & POLLOUT)
			(void)chan_flush(c);
		if ((events & ~POLLOUT) == 0)
			continue;
		result = chan_fill(c);
		if (result != CHAN_OK && result != CHAN_AGAIN)
			return result;
	}
}
