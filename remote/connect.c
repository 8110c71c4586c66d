/* Connections to other hosts, in a remote process. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/conf/net.h"
#include "remote/connect.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static socklen_t
to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	    .sin6_port = htons(port)};
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(port)};

	memset(ss, 0, sizeof(*ss));
	if (ip_is_v4(ip)) {
		memcpy(&in.sin_addr, ip->a + 12, 4);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	memcpy(&in6.sin6_addr, ip->a, 16);
	memcpy(ss, &in6, sizeof(in6));
	return sizeof(in6);
}

static int
bind_source(int fd, const struct ip *source)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(source, 0, &ss);
	int on = 1;

	/* The port is chosen by connect, which knows the other end. */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
	    sizeof(on));
	return bind(fd, (const struct sockaddr *)&ss, len);
}

/* Until it is connected: 0, or -1 with errno. */
static int
wait_connected(int fd, int64_t wait_ms, const struct connect_stop *stop)
{
	int64_t end = clock_mono_ms() + wait_ms, left;
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error = 0, n = 0;

	while (n <= 0) {
		left = end - clock_mono_ms();
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (*stop->flag) {
			errno = EINTR;
			return -1;
		}
		n = ppoll(&pfd, 1, &(struct timespec){left / 1000,
		    left % 1000 * 1000000}, stop->mask);
		if (n == -1 && errno != EINTR)
			return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* Faults that say nothing about the other host. */
static bool
is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ||
	    error == ENOBUFS || error == EADDRNOTAVAIL || error == EINTR ||
	    error == EACCES || error == EPERM;
}

int
connect_ip(const struct ip *ip, uint16_t port, const struct ip *source,
    int64_t wait_ms, const struct connect_stop *stop, bool *ours)
{
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(ip, port, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0), on = 1, error;

	*ours = true;
	if (fd < 0)
		return -1;
	if (source == NULL || bind_source(fd, source) == 0) {
		*ours = false;
		/* What is left of a message must not wait for an ACK. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
		if (connect(fd, (const struct sockaddr *)&ss, len) == 0 ||
		    (errno == EINPROGRESS &&
		    wait_connected(fd, wait_ms, stop) == 0))
			return fd;
		*ours = is_ours(errno);
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}
