/*
 * Lines of text with foreign programs on a UNIX socket (authd, for Postfix and
 * Exim).  Whoever may connect is the admin's choice; what they send is checked
 * line by line.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/linepeer.h"
#include "common/io/loop.h"

#define LINE_MAX_OCTETS 16384
#define OUT_MAX 262144

struct linepeer {
	struct linepeer_server *s;
	LIST_ENTRY(linepeer) list;
	int fd;
	struct loop_io *io;
	struct buf in, out; /* wiped: secrets pass */
	bool told;          /* opened() was called */
	bool dead;          /* to be closed when its handler has returned */
	void *data;
};

struct linepeer_server {
	struct loop *loop;
	int listen_fd;
	struct loop_io *io;
	uid_t uid;
	size_t npeers, max_peers;
	const struct linepeer_ops *ops;
	void *arg;
	LIST_HEAD(linepeer_list, linepeer) peers;
};

static void
peer_free(struct linepeer *p)
{
	struct linepeer_server *s = p->s;

	LIST_REMOVE(p, list);
	loop_io_free(&p->io);
	if (p->told)
		s->ops->closed(s->arg, p);
	close(p->fd);
	buf_wipe(&p->in);
	buf_wipe(&p->out);
	free(p);
	if (s->npeers-- == s->max_peers && s->io != NULL)
		loop_io_events(s->io, LOOP_READ);
}

static void
flush(struct linepeer *p)
{
	ssize_t n;

	while (p->out.len > 0 && !p->dead) {
		n = send(p->fd, p->out.s, p->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			p->dead = true;
		else
			buf_consume(&p->out, (size_t)n);
	}
	loop_io_events(p->io, p->out.len > 0 ? LOOP_READ | LOOP_WRITE
	    : LOOP_READ);
}

void
linepeer_send(struct linepeer *p, struct slice text)
{
	buf_addslice(&p->out, text);
	if (p->out.overflow)
		p->dead = true;
	/* A write event comes at once where there is room. */
	loop_io_events(p->io, LOOP_READ | LOOP_WRITE);
}

void
linepeer_set_data(struct linepeer *p, void *data)
{
	p->data = data;
}

void *
linepeer_data(const struct linepeer *p)
{
	return p->data;
}

/* Every whole line that is there. */
static void
take_lines(struct linepeer *p)
{
	struct slice in = buf_slice(&p->in);
	size_t at = 0, end;

	while (!p->dead && (end = slice_find(in, '\n', at)) < in.len) {
		if (!p->s->ops->line(p->s->arg, p, slice_sub(in, at, end)))
			p->dead = true;
		at = end + 1;
	}
	buf_consume(&p->in, at);
}

static void
on_peer(void *arg, unsigned events)
{
	struct linepeer *p = arg;
	char octets[4096];
	ssize_t n;

	if ((events & LOOP_WRITE) != 0)
		flush(p);
	if ((events & LOOP_READ) != 0 && !p->dead) {
		n = recv(p->fd, octets, sizeof(octets), 0);
		if (n > 0) {
			buf_add(&p->in, octets, (size_t)n);
			take_lines(p);
			if (p->in.overflow || p->in.len > LINE_MAX_OCTETS)
				p->dead = true;
		} else if (n == 0 || errno != EAGAIN) {
			p->dead = true;
		}
		explicit_bzero(octets, sizeof(octets));
	}
	if (p->dead)
		peer_free(p);
}

static bool
is_welcome(const struct linepeer_server *s, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	    (cred.uid == s->uid || cred.uid == 0))
		return true;
	LOG_WARN("peer-refused", LS("socket", "dovecot_auth_socket"),
	    LU("uid", cred.uid));
	return false;
}

static void
on_listen(void *arg, unsigned events)
{
	struct linepeer_server *s = arg;
	struct linepeer *p;
	int fd = accept4(s->listen_fd, NULL, NULL,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (!is_welcome(s, fd)) {
		close(fd);
		return;
	}
	p = mem_alloc(sizeof(*p));
	p->s = s;
	p->fd = fd;
	buf_init(&p->in, (size_t)2 * LINE_MAX_OCTETS);
	(void)buf_room(&p->in, (size_t)2 * LINE_MAX_OCTETS);
	buf_init(&p->out, OUT_MAX);
	p->io = loop_io_new(s->loop, fd, LOOP_READ, on_peer, p);
	LIST_INSERT_HEAD(&s->peers, p, list);
	if (++s->npeers == s->max_peers)
		loop_io_events(s->io, 0);
	p->told = true;
	s->ops->opened(s->arg, p);
}

struct linepeer_server *
linepeer_server_new(struct loop *l, int listen_fd, uid_t uid,
    size_t max_peers, const struct linepeer_ops *ops, void *arg)
{
	struct linepeer_server *s = mem_alloc(sizeof(*s));

	s->loop = l;
	s->listen_fd = listen_fd;
	s->uid = uid;
	s->max_peers = max_peers;
	s->ops = ops;
	s->arg = arg;
	s->io = loop_io_new(l, listen_fd, LOOP_READ, on_listen, s);
	return s;
}

void
linepeer_server_free(struct linepeer_server **sp)
{
	struct linepeer_server *s = *sp;

	if (s == NULL)
		return;
	loop_io_free(&s->io);
	while (!LIST_EMPTY(&s->peers))
		peer_free(LIST_FIRST(&s->peers));
	free(s);
	*sp = NULL;
}
