/*
 * Client of the socketmap protocol, in daemons with an event loop (authd).  The
 * helper behind the socket is the admin's; keys may be strangers' octets, which
 * the netstring keeps in their place.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/io/loop.h"
#include "common/io/socketmap.h"

#define DIGITS_MAX 6

struct socketmap {
	struct loop *loop;
	char *path; /* owned; for the log */
	int fd;
	struct loop_io *io;
	struct loop_timer *limit;
	struct buf out, in; /* wiped: keys may be tokens */
	size_t sent;
	socketmap_fn *fn;
	void *arg;
};

int
socketmap_netstring(struct slice in, struct slice *body)
{
	size_t colon = slice_find(slice_sub(in, 0, DIGITS_MAX + 1), ':', 0);
	uint32_t len;

	if (colon >= in.len || colon > DIGITS_MAX)
		return in.len > DIGITS_MAX ? -1 : 0;
	if (!num_u32(slice_sub(in, 0, colon), 0, SOCKETMAP_REPLY_MAX, &len))
		return -1;
	if (in.len < colon + 1 + len + 1)
		return 0;
	if (in.p[colon + 1 + len] != ',')
		return -1;
	*body = slice_sub(in, colon + 1, colon + 1 + len);
	return 1;
}

enum socketmap_result
socketmap_meaning(struct slice body, struct slice *value)
{
	size_t space = slice_find(body, ' ', 0);
	struct slice word = slice_sub(body, 0, space);

	*value = slice_sub(body, space + 1, body.len);
	if (slice_eq(word, SLICE("OK")))
		return SOCKETMAP_FOUND;
	return slice_eq(word, SLICE("NOTFOUND")) ? SOCKETMAP_NONE
	    : SOCKETMAP_ERROR;
}

void
socketmap_drop(struct socketmap **sp)
{
	struct socketmap *s = *sp;

	if (s == NULL)
		return;
	loop_io_free(&s->io);
	loop_timer_free(&s->limit);
	if (s->fd >= 0)
		close(s->fd);
	buf_wipe(&s->out);
	buf_wipe(&s->in);
	free(s->path);
	free(s);
	*sp = NULL;
}

static void
finish(struct socketmap *s, enum socketmap_result result, struct slice value)
{
	s->fn(s->arg, result, value);
	socketmap_drop(&s);
}

static void
fail(struct socketmap *s, const char *why)
{
	LOG_WARN("socketmap-failed", LS("socket", s->path), LS("why", why));
	finish(s, SOCKETMAP_ERROR, SLICE_EMPTY);
}

static void
on_limit(void *arg)
{
	fail(arg, "no answer in time");
}

static void
reply(struct socketmap *s, struct slice body)
{
	enum socketmap_result result;
	struct slice value;

	result = socketmap_meaning(body, &value);
	if (result == SOCKETMAP_ERROR)
		LOG_WARN("socketmap-failed", LS("socket", s->path),
		    LB("why", body));
	finish(s, result, value);
}

static void
on_event(void *arg, unsigned events)
{
	struct socketmap *s = arg;
	char octets[4096];
	struct slice body;
	ssize_t n;
	int whole;

	if ((events & LOOP_WRITE) != 0 && s->sent < s->out.len) {
		n = send(s->fd, s->out.s + s->sent, s->out.len - s->sent,
		    MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN) {
			fail(s, "it hung up");
			return;
		}
		s->sent += n > 0 ? (size_t)n : 0;
		if (s->sent == s->out.len)
			loop_io_events(s->io, LOOP_READ);
	}
	if ((events & LOOP_READ) == 0)
		return;
	n = recv(s->fd, octets, sizeof(octets), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		buf_add(&s->in, octets, (size_t)n);
	whole = s->in.overflow ? -1
	    : socketmap_netstring(buf_slice(&s->in), &body);
	if (whole == 1)
		reply(s, body);
	else if (whole < 0)
		fail(s, "that is no netstring");
	else if (n <= 0)
		fail(s, "it hung up");
}

static int
dial(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = slice_of(path).len;
	int fd;

	if (len >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&sun,
	    sizeof(sun)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

struct socketmap *
socketmap_ask(struct loop *l, const char *path, struct slice map,
    struct slice key, int64_t wait_ms, socketmap_fn *fn, void *arg)
{
	struct socketmap *s;
	int fd;

	if (map.len + key.len + 1 > SOCKETMAP_KEY_MAX)
		return NULL;
	fd = dial(path);
	if (fd < 0) {
		LOG_WARN("socketmap-failed", LS("socket", path), LE());
		return NULL;
	}
	s = mem_alloc(sizeof(*s));
	s->loop = l;
	s->path = mem_dup(path);
	s->fd = fd;
	s->fn = fn;
	s->arg = arg;
	buf_init(&s->out, SOCKETMAP_KEY_MAX + 32);
	(void)buf_room(&s->out, SOCKETMAP_KEY_MAX + 32);
	buf_init(&s->in, SOCKETMAP_REPLY_MAX + DIGITS_MAX + 2);
	buf_printf(&s->out, "%zu:", map.len + 1 + key.len);
	buf_addslice(&s->out, map);
	buf_addc(&s->out, ' ');
	buf_addslice(&s->out, key);
	buf_addc(&s->out, ',');
	s->io = loop_io_new(l, fd, LOOP_READ | LOOP_WRITE, on_event, s);
	s->limit = loop_timer_new(l, on_limit, s);
	loop_timer_in(s->limit, wait_ms);
	return s;
}
