/*
 * The sockets of channels in the file system: listening and connecting.  Runs
 * in every daemon's parent.  No input but paths from the configuration and what
 * lies in the run directory.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/io/chan_int.h"

/* A socket's address; -1 with errno, and logged, if the path is too long. */
static int
address_of(const char *path, struct sockaddr_un *sun)
{
	size_t len = strlen(path);

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (len >= sizeof(sun->sun_path)) {
		log_warnx("socket path %s has %zu octets, the system allows "
		    "%zu: choose a shorter run directory", path, len,
		    sizeof(sun->sun_path) - 1);
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sun->sun_path, path, len);
	return 0;
}

static int
close_keep_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int
chan_dial(const char *path)
{
	struct sockaddr_un sun;
	int fd;

	if (address_of(path, &sun) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* Connects at once or fails; EAGAIN: the back-log is full. */
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == -1)
		return close_keep_errno(fd);
	return fd;
}

struct chan *
chan_connect(const char *path, const struct chan_contract *contract)
{
	int fd = chan_dial(path);

	return fd == -1 ? NULL : chan_new_ready(fd, contract, CHAN_CLIENT);
}

/* Binds and listens at path, which does not exist. */
static int
listen_at(const char *path, mode_t mode, int backlog)
{
	struct sockaddr_un sun;
	mode_t umask_before;
	int fd, failed;

	if (address_of(path, &sun) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* A socket is born with all bits that the umask leaves: at no moment
	 * may more people connect than at the end. */
	umask_before = umask(~mode & 0777);
	failed = bind(fd, (const struct sockaddr *)&sun, sizeof(sun));
	umask(umask_before);
	if (failed == -1)
		return close_keep_errno(fd);
	if (listen(fd, backlog) == -1) {
		(void)unlink(path);
		return close_keep_errno(fd);
	}
	return fd;
}

int
chan_listen(const char *path, mode_t mode, int backlog)
{
	char fresh[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 16];
	struct sockaddr_un sun;
	struct stat st;
	int fd;

	if (address_of(path, &sun) == -1)
		return -1;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		log_warnx("cannot listen at %s: something that is no socket "
		    "is there, remove it", path);
		errno = EEXIST;
		return -1;
	}
	/* The new one takes the old one's place by rename: there is always
	 * a socket at path, and never one that does not listen. */
	(void)snprintf(fresh, sizeof(fresh), "%s.%ld", path, (long)getpid());
	(void)unlink(fresh);
	fd = listen_at(fresh, mode, backlog);
	if (fd == -1) {
		if (errno != ENAMETOOLONG)
			log_warn("cannot listen at %s", path);
		return -1;
	}
	if (rename(fresh, path) == -1) {
		log_warn("cannot listen at %s", path);
		(void)unlink(fresh);
		return close_keep_errno(fd);
	}
	return fd;
}
