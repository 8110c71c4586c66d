/*
 * Channel connections: frames in and out of a UNIX stream socket, descriptors
 * that ride along, the HELLO exchange.  Runs in every daemon, on both ends.
 * The input is another daemon's: frames are checked against the contract before
 * memory is taken, and whoever breaks it is logged once and disconnected.
 *
 * Descriptors: the kernel hands them over with the first octet they were sent
 * with, or earlier, and one recvmsg never brings those of two sendmsg.  Sending
 * each record with descriptors at the start of a sendmsg makes them arrive in
 * the order of the records, at the latest with the record's first octet.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan_int.h"

#define IN_LEAST 16384 /* octets of the receive buffer to begin with */
#define IN_KEEP 65536  /* a larger one is given back when it is empty */
#define IN_MAX_FDS (2 * CHAN_MAX_FDS)
#define OUT_MOVE 65536 /* octets sent already, before the rest is moved up */
#define OUT_MAX_FDS 1024 /* records with descriptors that wait to be sent */

/* Output that nobody takes: then the connection is given up. */
#define OUT_LEAST (4u * 1024 * 1024)
#define OUT_FRAMES 16

/* Descriptors that leave with the octet at `at` of the output buffer. */
struct rider {
	size_t at;
	size_t nfds;
	int fds[CHAN_MAX_FDS]; /* owned */
};

struct chan {
	int fd; /* owned */
	const struct chan_contract *contract;
	enum chan_side side;
	uint16_t version; /* what is spoken; 0: the HELLO has not come yet */
	uint16_t need;    /* required fields up to this version must come */
	bool greeted;     /* HELLO went both ways */
	bool answer_owed; /* the HELLO's answer waits in `out` */
	bool bad;         /* the peer broke the contract */
	bool broken;      /* nothing can be sent any more */
	bool eof;         /* nothing will come any more */
	bool drained;     /* the last read took all there was */

	struct chan_buffer in;
	size_t in_start, in_end;
	int in_fds[IN_MAX_FDS]; /* owned, oldest first */
	size_t in_nfds;

	struct buf out;
	size_t out_sent; /* octets of it that are gone */
	struct rider *riders;
	size_t nriders, riders_cap, riders_sent;

	struct chan_arena *arena;
};

struct hello {
	struct slice contract;
	uint32_t lowest, highest; /* in the answer both are the chosen one */
};

static const struct chan_field hello_fields[] = {
	{"contract", 1, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct hello, contract), NULL},
	{"lowest", 2, FIELD_U32, UINT16_MAX, 0, true, 1,
	    offsetof(struct hello, lowest), NULL},
	{"highest", 3, FIELD_U32, UINT16_MAX, 0, true, 1,
	    offsetof(struct hello, highest), NULL},
};

static const struct chan_record hello_record = {
	"hello", 0, CHAN_CLIENT | CHAN_SERVER, 0, sizeof(struct hello),
	hello_fields, sizeof(hello_fields) / sizeof(hello_fields[0])};

void
chan_fds_close(const int *fds, size_t nfds)
{
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

/* Nothing was queued before it: chan_queue sees to that. */
static void
hello_queue(struct chan *c, uint16_t lowest, uint16_t highest)
{
	struct hello hello = {slice_of(c->contract->name), lowest, highest};

	chan_frame_put(&hello_record, 1, &hello, c->contract->max_frame,
	    &c->out);
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
		hello_queue(c, contract->lowest, contract->highest);
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
static void
output_end(struct chan *c)
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
	output_end(c);
	chan_fds_close(c->in_fds, c->in_nfds);
	if (c->in.p != NULL)
		explicit_bzero(c->in.p, c->in_end);
	free(c->in.p);
	chan_arena_free(&c->arena);
	close(c->fd);
	free(c);
	*cp = NULL;
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
chan_buffer_lend(struct chan *c, struct chan_buffer *spare)
{
	if (c->in.p != NULL || spare->p == NULL)
		return;
	c->in = *spare;
	spare->p = NULL;
}

void
chan_buffer_return(struct chan *c, struct chan_buffer *spare)
{
	if (c->in_start == c->in_end && c->in.p != NULL) {
		if (spare->p == NULL && c->in.size <= IN_KEEP)
			*spare = c->in;
		else
			free(c->in.p);
		c->in.p = NULL;
		c->in_start = c->in_end = 0;
	}
	if (c->out.len == 0)
		buf_free(&c->out);
}

/* Sending */

/* Gives up a peer that does not take what is sent to it. */
static void
output_stuck(struct chan *c)
{
	LOG_WARN("channel-stuck", LS("contract", c->contract->name),
	    LU("octets", chan_pending(c)), LU("riders", c->nriders));
	output_end(c);
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
		if (c->out.cap > IN_KEEP)
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
	struct rider rider;

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

/* One sendmsg: up to the next record with descriptors.  Returns what sendmsg
 * returned. */
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
	const struct rider *rider = NULL;
	struct cmsghdr *cm;
	ssize_t n;

	if (next < c->nriders && c->riders[next].at == c->out_sent)
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
			output_end(c);
			break;
		}
		c->out_sent += (size_t)n;
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

/* Receiving */

static enum chan_result
refuse(struct chan *c, const struct chan_fault *fault)
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

static enum chan_result
refuse_record(struct chan *c, const struct chan_record *r, const char *why)
{
	struct chan_fault fault = {r != NULL ? r->name : NULL, NULL, why};

	return refuse(c, &fault);
}

/* Makes room for the rest of a frame of `need` octets, or for whatever comes
 * where that is 0. */
static void
input_room(struct chan *c, size_t need)
{
	size_t live = c->in_end - c->in_start;

	if (live == 0) {
		c->in_start = c->in_end = 0;
		if (c->in.size > IN_KEEP) {
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
		if (c->in_nfds < IN_MAX_FDS) {
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
		char octets[CMSG_SPACE(IN_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.octets,
	    .msg_controllen = sizeof(control.octets)};
	bool fits = true;
	ssize_t n;

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
	c->drained = (size_t)n < iov.iov_len;
	if ((mh.msg_flags & MSG_CTRUNC) != 0 && c->in_nfds < IN_MAX_FDS) {
		/* Not the peer's fault: this process has no room for them. */
		LOG_WARN("channel-descriptors-lost",
		    LS("contract", c->contract->name),
		    LS("mend", "raise the limit of open files"));
		c->eof = true;
		return CHAN_CLOSED;
	}
	if (!fits || (mh.msg_flags & MSG_CTRUNC) != 0)
		return refuse_record(c, NULL, "too many descriptors");
	return CHAN_OK;
}

/*
 * No whole frame is there.  The descriptors that are must belong to the one
 * that has begun, so that nobody can fill our table with others.
 */
static enum chan_result
incomplete(struct chan *c)
{
	size_t live = c->in_end - c->in_start;
	size_t most = live > 0 ? CHAN_MAX_FDS : 0;

	if (live >= CHAN_LENGTH_SIZE + CHAN_HEAD_SIZE)
		most = chan_get16(c->in.p + c->in_start + CHAN_LENGTH_SIZE + 2);
	if (c->in_nfds > most)
		return refuse_record(c, NULL, "descriptors without a record");
	return CHAN_AGAIN;
}

/* The accepting side: chooses a version and answers. */
static enum chan_result
hello_accept(struct chan *c, const struct hello *hello)
{
	const struct chan_contract *ct = c->contract;
	uint32_t chosen = ct->highest;

	if (hello->highest < chosen)
		chosen = hello->highest;
	if (chosen < ct->lowest || chosen < hello->lowest) {
		/* Two releases too far apart: temporary, not a breach. */
		LOG_WARN("channel-no-common-version", LS("contract", ct->name),
		    LU("lowest", ct->lowest), LU("highest", ct->highest),
		    LU("peer-lowest", hello->lowest),
		    LU("peer-highest", hello->highest));
		c->eof = true;
		output_end(c);
		return CHAN_CLOSED;
	}
	c->version = (uint16_t)chosen;
	/* Until it has our answer the peer speaks its lowest version. */
	c->need = ct->lowest;
	if (hello->lowest > c->need)
		c->need = (uint16_t)hello->lowest;
	c->greeted = true;
	c->answer_owed = true;
	hello_queue(c, c->version, c->version);
	return CHAN_OK;
}

static enum chan_result
hello_take(struct chan *c, struct slice fields, uint16_t nfds)
{
	struct chan_fault fault = {NULL, NULL, NULL};
	struct hello hello;

	if (c->greeted)
		return refuse_record(c, &hello_record, "a second one");
	if (nfds != 0)
		return refuse_record(c, &hello_record,
		    "wrong number of descriptors");
	if (!chan_fields_get(&hello_record, 1, 1, fields, c->arena, &hello,
	    &fault))
		return refuse(c, &fault);
	if (!slice_eq(hello.contract, slice_of(c->contract->name)))
		return refuse_record(c, &hello_record, "another contract");
	if (c->side == CHAN_SERVER)
		return hello_accept(c, &hello);
	if (hello.lowest != hello.highest ||
	    hello.lowest < c->contract->lowest ||
	    hello.lowest > c->contract->highest)
		return refuse_record(c, &hello_record, "no version of ours");
	c->version = c->need = (uint16_t)hello.lowest;
	c->greeted = true;
	return CHAN_OK;
}

/* Decodes a whole frame and hands its descriptors over. */
static enum chan_result
record_take(struct chan *c, const struct chan_record *r, struct slice fields,
    void *msg_out, int *fds, size_t *nfds)
{
	struct chan_fault fault = {NULL, NULL, NULL};

	if (c->in_nfds < r->nfds)
		return refuse_record(c, r, "descriptors are missing");
	if (!chan_fields_get(r, c->version, c->need, fields, c->arena, msg_out,
	    &fault))
		return refuse(c, &fault);
	memcpy(fds, c->in_fds, r->nfds * sizeof(*fds));
	*nfds = r->nfds;
	c->in_nfds -= r->nfds;
	memmove(c->in_fds, c->in_fds + r->nfds,
	    c->in_nfds * sizeof(*c->in_fds));
	return CHAN_OK;
}

enum chan_result
chan_next(struct chan *c, uint16_t *type, void *msg_out, size_t msg_size,
    int *fds, size_t *nfds)
{
	enum chan_side peer = c->side == CHAN_CLIENT ? CHAN_SERVER : CHAN_CLIENT;
	const struct chan_record *r;
	enum chan_result result;
	struct slice frame;
	size_t size;

	if (c->bad)
		return CHAN_BAD;
	if (c->arena == NULL)
		c->arena = chan_arena_new();
	chan_arena_reset(c->arena);
	while ((size = frame_size(c)) != 0) {
		if (size < CHAN_LENGTH_SIZE + CHAN_HEAD_SIZE)
			return refuse_record(c, NULL, "frame too short");
		if (size - CHAN_LENGTH_SIZE > c->contract->max_frame)
			return refuse_record(c, NULL, "frame too long");
		if (size > c->in_end - c->in_start)
			break;
		frame = (struct slice){c->in.p + c->in_start, size};
		c->in_start += size;
		frame = slice_sub(frame, CHAN_LENGTH_SIZE, size);
		*type = chan_get16(frame.p);
		if (*type == hello_record.type) {
			result = hello_take(c, slice_sub(frame, CHAN_HEAD_SIZE,
			    frame.len), chan_get16(frame.p + 2));
			if (result != CHAN_OK)
				return result;
			continue;
		}
		r = chan_record_find(c->contract, *type);
		if (r == NULL)
			return refuse_record(c, NULL, "unknown record");
		if (!c->greeted)
			return refuse_record(c, r, "before HELLO");
		if ((r->from & peer) == 0)
			return refuse_record(c, r, "of the wrong side");
		if (chan_get16(frame.p + 2) != r->nfds)
			return refuse_record(c, r,
			    "wrong number of descriptors");
		assert(msg_size >= r->size);
		return record_take(c, r, slice_sub(frame, CHAN_HEAD_SIZE,
		    frame.len), msg_out, fds, nfds);
	}
	return incomplete(c);
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
	bool wrote = chan_pending(c) > 0;
	enum chan_result result;
	short events;

	(void)chan_flush(c);
	for (;;) {
		result = chan_next(c, type, msg_out, msg_size, fds, nfds);
		if (result != CHAN_AGAIN)
			return result;
		if (c->answer_owed) {
			(void)chan_flush(c);
			wrote = true;
		}
		/* A peer that was just asked has not answered yet: no read
		 * that finds nothing. */
		if (c->broken || !(wrote || c->drained)) {
			result = chan_fill(c);
			if (result == CHAN_OK)
				continue;
			if (result != CHAN_AGAIN)
				return result;
		}
		events = wait_for(c, deadline_ms);
		if (events == 0)
			return CHAN_TIMEOUT;
		wrote = c->drained = false;
		if (events & POLLOUT)
			(void)chan_flush(c);
		if ((events & ~POLLOUT) == 0)
			continue;
		result = chan_fill(c);
		if (result != CHAN_OK && result != CHAN_AGAIN)
			return result;
	}
}
