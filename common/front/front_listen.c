/*
 * Opens the listening sockets.  Runs in the parents of network daemons at
 * start, with the rights for ports below 1024 still there; its input is the
 * configuration and what the supervisor left open.
 */
#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "common/front/front_int.h"
#include "common/io/chan.h"
#include "common/sys/proc.h"

#define LISTEN_FIRST 3

static void
set_option(int fd, int level, int option, const char *name)
{
	int on = 1;

	if (setsockopt(fd, level, option, &on, sizeof(on)) == -1)
		die_errno(EXIT_TEMPORARY, "listen %s: setsockopt", name);
}

/* A socket of our own. */
static int
open_address(struct slice address, int backlog, const char *name)
{
	struct sockaddr_storage sa;
	socklen_t len = 0;
	int fd;

	if (!net_sockaddr(address, &sa, &len))
		die(EXIT_PERMANENT, "listen %s: not an address", name);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		die_errno(EXIT_TEMPORARY, "listen %s: socket", name);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, name);
	if (sa.ss_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, name);
	if (bind(fd, (const struct sockaddr *)&sa, len) == -1)
		die_errno(EXIT_PERMANENT, "listen %s: cannot bind (who else "
		    "listens there? ss -ltnp shows it; ports below 1024 need "
		    "root at the start)", name);
	if (listen(fd, backlog) == -1)
		die_errno(EXIT_TEMPORARY, "listen %s", name);
	return fd;
}

/* "fd:3" or "fd:NAME". */
static int
inherited(struct slice which, const char *name)
{
	uint32_t number;
	int i, n = proc_listen_fds();

	if (num_u32(which, LISTEN_FIRST, 65535, &number))
		return (int)number;
	for (i = 0; i < n; i++)
		if (slice_eq(slice_of(proc_listen_name(i)), which))
			return LISTEN_FIRST + i;
	die(EXIT_PERMANENT, "listen %s: the supervisor handed over no socket "
	    "of that name (LISTEN_FDNAMES)", name);
}

/* A descriptor from outside may be anything. */
static void
check_inherited(int fd, const char *name)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(int), sa_len = sizeof(sa);
	int type = 0, accepts = 0;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sa, &sa_len) == -1)
		die_errno(EXIT_PERMANENT, "listen %s: descriptor %d is no "
		    "socket", name, fd);
	len = sizeof(int);
	if (type != SOCK_STREAM || (sa.ss_family != AF_INET &&
	    sa.ss_family != AF_INET6) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == -1 ||
	    !accepts)
		die(EXIT_PERMANENT, "listen %s: descriptor %d is no listening "
		    "TCP socket", name, fd);
}

static void
open_one(const struct conf_listen *section, const char *address, int backlog,
    struct front_listener *l)
{
	struct slice text = slice_of(address);
	int flags;

	snprintf(l->name, sizeof(l->name), "%s (%s)", section->name, address);
	l->proxy = section->proxy;
	if (slice_prefix(text, SLICE("fd:"))) {
		l->fd = inherited(slice_sub(text, 3, text.len), l->name);
		check_inherited(l->fd, l->name);
	} else {
		l->fd = open_address(text, backlog, l->name);
	}
	/* Accepted sockets inherit it: replies leave at once. */
	set_option(l->fd, IPPROTO_TCP, TCP_NODELAY, l->name);
	flags = fcntl(l->fd, F_GETFL);
	if (flags == -1 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) == -1)
		die_errno(EXIT_TEMPORARY, "listen %s: fcntl", l->name);
}

static bool
speaks(const struct conf_listen *l, const char *protocol)
{
	return strcmp(l->protocol, protocol) == 0;
}

size_t
front_listen(const struct conf *c, const char *protocol, int backlog,
    struct front_listener v[FRONT_LISTENERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < c->nlisten; i++) {
		const struct conf_listen *section = &c->listen[i];

		for (size_t k = 0; speaks(section, protocol) &&
		    k < section->address.n; k++) {
			if (n == FRONT_LISTENERS_MAX - 1)
				die(EXIT_PERMANENT, "%s: more than %d addresses "
				    "for %s", c->file, FRONT_LISTENERS_MAX - 1,
				    protocol);
			open_one(section, section->address.v[k], backlog,
			    &v[n++]);
		}
	}
	return n;
}

bool
front_listen_users(const struct conf *c, int backlog, struct front_listener *l)
{
	const char *path = c->submit_socket;

	if (path[0] == '\0')
		return false;
	*l = (struct front_listener){.users = true};
	snprintf(l->name, sizeof(l->name), "submit_socket");
	l->fd = chan_listen(path, 0666, backlog);
	if (l->fd == -1)
		log_warn("submit_socket %s: no mail from users of this host "
		    "until it can be made (`postern setup` makes its "
		    "directory)", path);
	return l->fd != -1;
}

void
front_listen_text(const struct conf *c, const char *protocol, bool users,
    struct buf *out)
{
	if (users)
		buf_printf(out, "%s\n", c->submit_socket);
	for (size_t i = 0; i < c->nlisten; i++) {
		const struct conf_listen *l = &c->listen[i];

		for (size_t k = 0; speaks(l, protocol) && k < l->address.n;
		    k++)
			buf_printf(out, "%s%s\n", l->address.v[k],
			    l->proxy ? " proxy" : "");
	}
}
