/*
 * Streams: lines and raw octets from one peer, with deadlines, and buffered
 * output back to it.  Runs in sessions, clients and deliveries, which block
 * here and nowhere else.  The input is the network's: every octet value comes
 * in every order and in pieces of any size, and what is found in it does not
 * depend on where the pieces were cut.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/stream.h"

/* Moving so few octets to the front costs less than a short read. */
#define CHEAP_MOVE 256
#define OWN_PAGE 4096
/* A peer that is silent for so long may stay so: memory is given back. */
#define SILENCE_MS 1000

struct stream {
	int fd;              /* owned; -1 after stream_take_fd */
	struct stream_io io; /* read == NULL: the descriptor itself */
	int64_t idle_ms;
	int64_t deadline_ms;
	const volatile sig_atomic_t *stop; /* NULL: no signal ends a wait */
	const sigset_t *stop_mask;

	char *in; /* in_max octets, taken at the first read */
	size_t in_max;
	size_t in_start, in_end; /* what is buffered */
	size_t in_dirty;         /* octets ever used: what a wipe covers */
	size_t scanned;          /* from in_start: known to hold no LF */
	bool swallowing;         /* within a line that is too long already */
	bool bare;               /* the swallowed part had a bare CR */
	bool answered;           /* stream_step wrote all; nothing read since */

	char *out; /* out_max octets, taken at the first write */
	size_t out_max;
	size_t out_len; /* what waits to be written */
	size_t out_dirty;
	char *own; /* stream_prepare: both lie behind the struct, from here */
	enum stream_result out_failed; /* why writing ended, once it did */
	int out_errno;

	void (*trace)(void *arg, char dir, struct slice octets);
	void *trace_arg;
};

static void
stream_init(struct stream *s, size_t in_max, size_t out_max)
{
	assert(in_max >= 3 && out_max >= 1);
	*s = (struct stream){
	    .fd = -1,
	    .in_max = in_max,
	    .out_max = out_max,
	    .idle_ms = CLOCK_NEVER,
	    .deadline_ms = CLOCK_NEVER,
	};
}

struct stream *
stream_new(int fd, size_t in_max, size_t out_max)
{
	struct stream *s = mem_alloc(sizeof(*s));

	stream_init(s, in_max, out_max);
	stream_attach(s, fd);
	return s;
}

struct stream *
stream_prepare(size_t in_max, size_t out_max)
{
	struct stream *s;
	void *p;

	if (posix_memalign(&p, OWN_PAGE, sizeof(*s) + out_max + in_max) != 0)
		die(EXIT_TEMPORARY, "out of memory");
	s = p;
	stream_init(s, in_max, out_max);
	s->own = (char *)(s + 1);
	s->out = s->own;
	s->in = s->own + out_max;
	return s;
}

void
stream_attach(struct stream *s, int fd)
{
	int flags;

	s->fd = fd;
	flags = fcntl(fd, F_GETFL);
	if (flags == -1 || ((flags & O_NONBLOCK) == 0 &&
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)) {
		/* A descriptor that could block for ever is not used. */
		s->out_failed = STREAM_ERROR;
		s->out_errno = errno;
	}
}

static void
in_free(struct stream *s)
{
	if (s->own == NULL || s->in != s->own + s->out_max)
		free(s->in);
}

void
stream_free(struct stream **sp)
{
	struct stream *s = *sp;

	if (s == NULL)
		return;
	if (s->io.end != NULL)
		s->io.end(s->io.arg);
	stream_drop(s);
	in_free(s);
	if (s->own == NULL)
		free(s->out);
	if (s->fd != -1)
		close(s->fd);
	free(s);
	*sp = NULL;
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}

int
stream_take_fd(struct stream *s)
{
	int fd = s->fd;

	s->fd = -1;
	return fd;
}

void
stream_set_io(struct stream *s, const struct stream_io *io)
{
	s->io = *io;
}

void
stream_idle(struct stream *s, int64_t ms)
{
	s->idle_ms = ms;
}

void
stream_deadline(struct stream *s, int64_t at_ms)
{
	s->deadline_ms = at_ms;
}

void
stream_trace(struct stream *s,
    void (*hook)(void *arg, char dir, struct slice octets), void *arg)
{
	s->trace = hook;
	s->trace_arg = arg;
}

void
stream_interrupt(struct stream *s, const volatile sig_atomic_t *flag,
    const sigset_t *mask)
{
	s->stop = flag;
	s->stop_mask = mask;
}

/* poll(2), or ppoll(2) where a signal may end the wait: it is let in for this
 * moment only, so that none is missed between a look and a sleep. */
static int
poll_once(const struct stream *s, struct pollfd *pfd, int64_t left)
{
	struct timespec ts = {left / 1000, left % 1000 * 1000000};

	if (s->stop == NULL || pfd->events != POLLIN)
		return poll(pfd, 1, left > INT_MAX ? INT_MAX : (int)left);
	return ppoll(pfd, 1, left < 0 ? NULL : &ts, s->stop_mask);
}

/* Waits for events until the idle time or the deadline is over. */
static enum stream_result
wait_for(const struct stream *s, short events)
{
	struct pollfd pfd = {.fd = s->fd, .events = events};
	int64_t now = clock_mono_ms();
	int64_t end = s->deadline_ms, silence = now + SILENCE_MS;
	int64_t left;
	int n;

	if (s->idle_ms < CLOCK_NEVER - now && now + s->idle_ms < end)
		end = now + s->idle_ms;
	for (;;) {
		if (now >= end)
			return STREAM_TIMEOUT;
		if (s->stop != NULL && *s->stop && events == POLLIN) {
			errno = EINTR;
			return STREAM_ERROR;
		}
		left = end == CLOCK_NEVER ? -1 : end - now;
		if (silence != CLOCK_NEVER && (left < 0 || end > silence))
			left = silence > now ? silence - now : 0;
		n = poll_once(s, &pfd, left);
		if (n > 0)
			return STREAM_OK;
		if (n == -1 && errno != EINTR)
			return STREAM_ERROR;
		now = clock_mono_ms();
		if (now >= silence) {
			mem_trim();
			silence = CLOCK_NEVER;
		}
	}
}

enum stream_result
stream_wait(struct stream *s, short events)
{
	return wait_for(s, events);
}

/* After EAGAIN.  A TLS library may have to write before it can read. */
static enum stream_result
wait_again(const struct stream *s, short events)
{
	if (s->io.wants != NULL)
		events = s->io.wants(s->io.arg, events);
	return wait_for(s, events);
}

static ssize_t
read_some(struct stream *s, void *p, size_t n)
{
	if (s->io.read != NULL)
		return s->io.read(s->io.arg, p, n);
	return read(s->fd, p, n);
}

static ssize_t
write_some(struct stream *s, const void *p, size_t n)
{
	if (s->io.write != NULL)
		return s->io.write(s->io.arg, p, n);
	return write(s->fd, p, n);
}

/* The reason why output stopped, for every later call. */
static enum stream_result
output_failed(struct stream *s)
{
	if (s->out_failed == STREAM_ERROR)
		errno = s->out_errno;
	return s->out_failed;
}

/* A write did not go through: waits where that helps. */
static enum stream_result
write_again(struct stream *s)
{
	enum stream_result result = STREAM_ERROR;

	if (errno == EINTR)
		return STREAM_OK;
	if (errno == EAGAIN)
		result = wait_again(s, POLLOUT);
	if (result == STREAM_OK)
		return STREAM_OK;
	s->out_failed = result;
	s->out_errno = errno;
	return output_failed(s);
}

/* Writes all of p, waiting where it must. */
static enum stream_result
write_all(struct stream *s, const char *p, size_t len)
{
	enum stream_result result;
	ssize_t n;

	while (len > 0) {
		n = write_some(s, p, len);
		if (n > 0) {
			if (s->trace != NULL)
				s->trace(s->trace_arg, 'W',
				    (struct slice){p, (size_t)n});
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (n == 0)
			errno = EIO; /* no descriptor of ours does that */
		result = write_again(s);
		if (result != STREAM_OK)
			return result;
	}
	while (s->io.flush != NULL && s->io.flush(s->io.arg) != 0) {
		result = write_again(s);
		if (result != STREAM_OK)
			return result;
	}
	return STREAM_OK;
}

enum stream_result
stream_flush(struct stream *s)
{
	size_t len = s->out_len;

	if (s->out_failed != STREAM_OK)
		return output_failed(s);
	s->out_len = 0;
	return len > 0 ? write_all(s, s->out, len) : STREAM_OK;
}

/* Makes room behind what is buffered: as much as is cheap to get, so that the
 * next read brings many octets.  Callers never fill the buffer to its end. */
static void
make_room(struct stream *s)
{
	size_t live = s->in_end - s->in_start;

	if (s->in == NULL)
		s->in = mem_grow(NULL, s->in_max, 1);
	if (live == 0) {
		s->in_start = s->in_end = 0;
	} else if (s->in_start > 0 && (live <= CHEAP_MOVE ||
	    s->in_max - s->in_end < s->in_max / 2)) {
		memmove(s->in, s->in + s->in_start, live);
		s->in_start = 0;
		s->in_end = live;
	}
	assert(s->in_end < s->in_max);
}

/* One read into the buffer, which has room; errno EAGAIN: nothing there. */
static enum stream_result
read_once(struct stream *s)
{
	ssize_t n;

	do
		n = read_some(s, s->in + s->in_end, s->in_max - s->in_end);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? STREAM_ERROR : STREAM_EOF;
	if (s->trace != NULL)
		s->trace(s->trace_arg, 'R',
		    (struct slice){s->in + s->in_end, (size_t)n});
	s->in_end += (size_t)n;
	if (s->in_end > s->in_dirty)
		s->in_dirty = s->in_end;
	return STREAM_OK;
}

/*
 * Reads once, after everything that waits was written.  A peer that was just
 * answered has nothing to say yet, so that poll comes first then; otherwise it
 * often has.  A TLS library may hold octets that poll does not see.
 */
static enum stream_result
fill(struct stream *s)
{
	bool wait_first = s->out_len > 0 || s->answered;
	enum stream_result result = stream_flush(s);

	s->answered = false;
	if (s->io.read != NULL)
		wait_first = wait_first && s->io.pending != NULL &&
		    !s->io.pending(s->io.arg);
	if (result != STREAM_OK)
		return result;
	if (s->deadline_ms != CLOCK_NEVER && clock_mono_ms() >= s->deadline_ms)
		return STREAM_TIMEOUT;
	make_room(s);
	for (;;) {
		if (wait_first) {
			result = wait_again(s, POLLIN);
			if (result != STREAM_OK)
				return result;
		}
		result = read_once(s);
		if (result != STREAM_ERROR || errno != EAGAIN)
			return result;
		wait_first = true;
	}
}

/*
 * Drops the buffered part of a line that is too long already.  Its last octet
 * stays: it may be the CR of the line's end.
 */
static void
swallow(struct stream *s)
{
	size_t drop = s->in_end - s->in_start - 1;

	if (memchr(s->in + s->in_start, '\r', drop) != NULL)
		s->bare = true;
	s->in_start += drop;
	s->scanned = 1;
	s->swallowing = true;
}

/*
 * Takes the next line off the buffer; false if its end is not there yet.  A
 * line goes up to the first LF, whatever is before it: LINE_BARE if that is no
 * CR, or if there is a CR elsewhere in the line.
 */
static bool
take_line(struct stream *s, size_t max, struct slice *line,
    enum line_result *result)
{
	size_t live = s->in_end - s->in_start;
	const char *start, *lf = NULL;
	bool bare, too_long;
	size_t len;

	if (live == 0)
		return false;
	start = s->in + s->in_start;
	if (live > s->scanned)
		lf = memchr(start + s->scanned, '\n', live - s->scanned);
	if (lf == NULL) {
		s->scanned = live;
		if (live > max + 1)
			swallow(s);
		return false;
	}
	len = (size_t)(lf - start);
	s->in_start += len + 1;
	bare = true;
	if (len > 0 && lf[-1] == '\r') {
		len--;
		bare = s->bare || memchr(start, '\r', len) != NULL;
	}
	too_long = s->swallowing || len > max;
	s->scanned = 0;
	s->swallowing = s->bare = false;
	if (bare) {
		*result = LINE_BARE;
	} else if (too_long) {
		*result = LINE_LONG;
	} else {
		*line = (struct slice){start, len};
		*result = LINE_OK;
	}
	return true;
}

enum line_result
stream_line(struct stream *s, size_t max, struct slice *line)
{
	enum line_result result;

	assert(max <= s->in_max - 2);
	while (!take_line(s, max, line, &result)) {
		switch (fill(s)) {
		case STREAM_OK:
			break;
		case STREAM_EOF:
			return LINE_EOF;
		case STREAM_TIMEOUT:
			return LINE_TIMEOUT;
		case STREAM_ERROR:
			return LINE_ERROR;
		}
	}
	return result;
}

enum stream_result
stream_peek(struct stream *s, size_t want, struct slice *octets)
{
	enum stream_result result;

	assert(want <= s->in_max);
	while (s->in_end - s->in_start < want) {
		result = fill(s);
		if (result != STREAM_OK)
			return result;
	}
	*octets = stream_leftover(s);
	return STREAM_OK;
}

void
stream_consume(struct stream *s, size_t n)
{
	assert(n <= s->in_end - s->in_start);
	s->in_start += n;
	s->scanned = s->scanned > n ? s->scanned - n : 0;
}

size_t
stream_buffered(const struct stream *s)
{
	return s->in_end - s->in_start;
}

struct slice
stream_leftover(const struct stream *s)
{
	if (s->in_end == s->in_start)
		return SLICE_EMPTY;
	return (struct slice){s->in + s->in_start, s->in_end - s->in_start};
}

void
stream_preload(struct stream *s, struct slice octets)
{
	struct slice rest = stream_leftover(s);
	size_t len = octets.len + rest.len;
	char *in;

	if (octets.len == 0)
		return;
	if (len > s->in_max)
		s->in_max = len;
	in = mem_grow(NULL, s->in_max, 1);
	memcpy(in, octets.p, octets.len);
	memcpy(in + octets.len, rest.p, rest.len);
	if (s->in != NULL)
		explicit_bzero(s->in, s->in_dirty);
	in_free(s);
	s->in = in;
	s->in_start = 0;
	s->in_end = s->in_dirty = len;
	s->scanned = 0;
}

void
stream_drop(struct stream *s)
{
	/* Passwords and whole messages went through here. */
	if (s->in != NULL)
		explicit_bzero(s->in, s->in_dirty);
	if (s->out != NULL)
		explicit_bzero(s->out, s->out_dirty);
	s->in_start = s->in_end = s->in_dirty = 0;
	s->out_len = s->out_dirty = 0;
	s->scanned = 0;
	s->swallowing = s->bare = false;
}

void
stream_put(struct stream *s, struct slice octets)
{
	size_t n;

	while (octets.len > 0 && s->out_failed == STREAM_OK) {
		if (s->out_len == 0 && octets.len >= s->out_max) {
			/* Larger than the buffer: straight from the caller. */
			(void)write_all(s, octets.p, octets.len);
			return;
		}
		if (s->out == NULL)
			s->out = mem_grow(NULL, s->out_max, 1);
		n = s->out_max - s->out_len;
		if (n > octets.len)
			n = octets.len;
		memcpy(s->out + s->out_len, octets.p, n);
		s->out_len += n;
		if (s->out_len > s->out_dirty)
			s->out_dirty = s->out_len;
		octets.p += n;
		octets.len -= n;
		if (s->out_len == s->out_max)
			(void)stream_flush(s);
	}
}

void
stream_puts(struct stream *s, const char *text)
{
	stream_put(s, slice_of(text));
}

void
stream_printf(struct stream *s, const char *fmt, ...)
{
	struct buf text = BUF_INIT(SIZE_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	stream_put(s, buf_slice(&text));
	buf_wipe(&text);
}

/* ---- sending ahead ---- */

size_t
stream_room(const struct stream *s)
{
	/* A full buffer is written at once: one octet less. */
	return s->out_max - 1 - s->out_len;
}

size_t
stream_pending(const struct stream *s)
{
	return s->out_len;
}

bool
stream_ready(struct stream *s, size_t max, struct slice *line,
    enum line_result *result)
{
	return take_line(s, max, line, result);
}

/* What the peer takes without waiting; STREAM_OK and errno EAGAIN: nothing. */
static enum stream_result
write_once(struct stream *s)
{
	ssize_t n;

	do
		n = write_some(s, s->out, s->out_len);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return STREAM_OK;
	if (n <= 0) {
		s->out_failed = STREAM_ERROR;
		s->out_errno = n < 0 ? errno : EIO;
		return output_failed(s);
	}
	if (s->trace != NULL)
		s->trace(s->trace_arg, 'W', (struct slice){s->out, (size_t)n});
	s->out_len -= (size_t)n;
	memmove(s->out, s->out + n, s->out_len);
	s->answered = s->out_len == 0;
	errno = 0;
	return STREAM_OK;
}

enum stream_result
stream_step(struct stream *s)
{
	bool room = s->in_end - s->in_start < s->in_max;
	enum stream_result result;

	if (s->out_failed != STREAM_OK)
		return output_failed(s);
	if (s->out_len == 0)
		return STREAM_OK;
	if (s->deadline_ms != CLOCK_NEVER && clock_mono_ms() >= s->deadline_ms)
		return STREAM_TIMEOUT;
	result = write_once(s);
	if (result != STREAM_OK || errno != EAGAIN)
		return result;
	result = wait_for(s, (short)(room ? POLLIN | POLLOUT : POLLOUT));
	if (result != STREAM_OK || !room)
		return result;
	make_room(s);
	result = read_once(s);
	return result == STREAM_ERROR && errno == EAGAIN ? STREAM_OK : result;
}

void
stream_last_words(struct stream *s)
{
	s->out_len = 0;
	s->out_failed = STREAM_OK;
}

bool
stream_silent(struct stream *s)
{
	struct pollfd pfd = {.fd = s->fd, .events = POLLIN};

	if (s->in_end != s->in_start)
		return false;
	if (s->io.read == NULL)
		return poll(&pfd, 1, 0) == 0;
	/* With TLS there may come what is no data. */
	make_room(s);
	return read_once(s) == STREAM_ERROR && errno == EAGAIN;
}
