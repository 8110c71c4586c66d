/*
 * A host that takes all mail and forgets it, the same for every server that is
 * measured.  One process, epoll; PIPELINING, SIZE, 8BITMIME and DSN are offered
 * (no CHUNKING with -c).  Counters lie in a file that others map while it runs:
 * messages, recipients, octets, connections (uint64_t each).
 *
 *	smtpsink [-c] port counters
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ROOM 262144

struct counters {
	volatile uint64_t messages, recipients, octets, connections;
};

struct client {
	int fd;
	size_t len, out_len;
	uint64_t chunk;   /* octets of BDAT still to come */
	int last;         /* this BDAT is the last */
	int data;         /* in DATA */
	uint64_t rcpts;
	char in[ROOM], out[ROOM];
};

static struct counters *counters;
static int chunking = 1;

static void
say(struct client *c, const char *text)
{
	size_t n = strlen(text);

	if (c->out_len + n <= sizeof(c->out)) {
		memcpy(c->out + c->out_len, text, n);
		c->out_len += n;
	}
}

static void
message_done(struct client *c)
{
	counters->recipients += c->rcpts;
	c->rcpts = 0;
	say(c, "250 2.0.0 Ok\r\n");
	counters->messages++;
}

/* 0: the client goes away */
static int
command(struct client *c, const char *line, size_t len)
{
	if (len >= 4 && strncasecmp(line, "EHLO", 4) == 0)
		say(c, chunking ? "250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n"
		    "250-8BITMIME\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
		    "250 CHUNKING\r\n" : "250-sink\r\n250-PIPELINING\r\n"
		    "250-SIZE 0\r\n250-8BITMIME\r\n250-DSN\r\n"
		    "250 ENHANCEDSTATUSCODES\r\n");
	else if (len >= 4 && strncasecmp(line, "RCPT", 4) == 0) {
		c->rcpts++;
		say(c, "250 2.1.5 Ok\r\n");
	} else if (len >= 4 && strncasecmp(line, "DATA", 4) == 0) {
		c->data = 1;
		say(c, "354 Go\r\n");
	} else if (len >= 4 && strncasecmp(line, "BDAT", 4) == 0) {
		c->chunk = strtoull(line + 4, NULL, 10);
		c->last = memchr(line, 'L', len) != NULL ||
		    memchr(line, 'l', len) != NULL;
		if (c->chunk == 0) {
			if (c->last)
				message_done(c);
			else
				say(c, "250 2.0.0 Ok\r\n");
		}
	} else if (len >= 4 && strncasecmp(line, "QUIT", 4) == 0) {
		say(c, "221 2.0.0 Bye\r\n");
		return 0;
	} else if (len >= 4 && strncasecmp(line, "RSET", 4) == 0) {
		c->rcpts = 0;
		say(c, "250 2.0.0 Ok\r\n");
	} else
		say(c, "250 2.0.0 Ok\r\n");
	return 1;
}

/* Eats what is whole; 0: the client goes away. */
static int
eat(struct client *c)
{
	size_t at = 0;
	int stay = 1;

	while (stay && at < c->len) {
		char *p = c->in + at, *end;
		size_t left = c->len - at, n;

		if (c->chunk > 0) {
			n = left < c->chunk ? left : (size_t)c->chunk;
			c->chunk -= n;
			counters->octets += n;
			at += n;
			if (c->chunk == 0) {
				if (c->last)
					message_done(c);
				else
					say(c, "250 2.0.0 Ok\r\n");
			}
			continue;
		}
		if (c->data) {
			if (left >= 3 && memcmp(p, ".\r\n", 3) == 0) {
				at += 3;
				c->data = 0;
				message_done(c);
				continue;
			}
			end = memmem(p, left, "\r\n.\r\n", 5);
			if (end != NULL) {
				n = (size_t)(end - p) + 5;
				counters->octets += n - 3;
				at += n;
				c->data = 0;
				message_done(c);
				continue;
			}
			/* The line in hand stays, in case a dot follows. */
			end = memrchr(p, '\n', left > 4 ? left - 4 : 0);
			if (end == NULL || end == p)
				break;
			n = (size_t)(end - p) - 1;
			counters->octets += n;
			at += n;
			if (n == 0)
				break;
			continue;
		}
		end = memchr(p, '\n', left);
		if (end == NULL)
			break;
		n = (size_t)(end - p) + 1;
		stay = command(c, p, n);
		at += n;
	}
	memmove(c->in, c->in + at, c->len - at);
	c->len -= at;
	return stay && c->len < sizeof(c->in);
}

static int
serve(struct client *c)
{
	ssize_t n = read(c->fd, c->in + c->len, sizeof(c->in) - c->len);
	int stay;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0)
		return 0;
	c->len += (size_t)n;
	stay = eat(c);
	if (c->out_len > 0) {
		/* Replies are small: they fit the socket's buffer. */
		if (write(c->fd, c->out, c->out_len) != (ssize_t)c->out_len)
			stay = 0;
		c->out_len = 0;
	}
	return stay;
}

static void
greet(int ep, int fd)
{
	struct client *c = malloc(sizeof(*c));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	c->fd = fd;
	c->len = c->out_len = 0;
	c->chunk = c->rcpts = 0;
	c->data = c->last = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	counters->connections++;
	if (write(fd, "220 sink ESMTP\r\n", 16) != 16 ||
	    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
		close(fd);
		free(c);
	}
}

int
main(int argc, char *argv[])
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	struct epoll_event ev = {.events = EPOLLIN}, v[64];
	int listener, ep, one = 1, c, file;

	while ((c = getopt(argc, argv, "c")) != -1)
		if (c == 'c')
			chunking = 0;
		else
			return 100;
	if (argc - optind != 2) {
		fprintf(stderr, "usage: smtpsink [-c] port counters\n");
		return 100;
	}
	signal(SIGPIPE, SIG_IGN);
	file = open(argv[optind + 1], O_RDWR | O_CREAT, 0644);
	if (file < 0 || ftruncate(file, sizeof(*counters)) != 0)
		return 111;
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
	    MAP_SHARED, file, 0);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	a.sin_port = htons((unsigned short)strtol(argv[optind], NULL, 10));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(listener, 1000) != 0) {
		perror("smtpsink");
		return 111;
	}
	ep = epoll_create1(0);
	ev.data.ptr = NULL;
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int i, n = epoll_wait(ep, v, 64, -1);

		for (i = 0; i < n; i++) {
			struct client *cl = v[i].data.ptr;

			if (cl == NULL) {
				int fd = accept(listener, NULL, NULL);

				if (fd >= 0)
					greet(ep, fd);
			} else if (!serve(cl)) {
				close(cl->fd);
				free(cl);
			}
		}
	}
}
