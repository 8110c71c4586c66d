/*
 * Reading the pipes of submitters.  In queued's workers; the octets are
 * whatever the network sent.
 *
 * O_NONBLOCK is a property of the pipe's end, which the submitter may still
 * have a copy of: it could take the flag away, and a plain read would hold up
 * everybody's mail.  splice is told not to wait by the call itself, so that the
 * octets come by way of a pipe of our own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "queue/queued.h"

void
relay_open(struct relay *r)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		die_errno(EXIT_TEMPORARY, "no pipe");
	r->in = fds[1];
	r->out = fds[0];
	/* Where it may not be so large, it only takes more calls. */
	(void)fcntl(r->in, F_SETPIPE_SZ, (int)RELAY_SIZE);
	r->octets = mem_alloc(RELAY_SIZE);
}

void
relay_close(struct relay *r)
{
	close(r->in);
	close(r->out);
	free(r->octets);
}

bool
relay_takes(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY &&
	    fcntl(fd, F_GETPIPE_SZ) > 0;
}

uint64_t
relay_room(int fd)
{
	int n = fcntl(fd, F_GETPIPE_SZ);

	return n > 0 ? (uint64_t)n : 0;
}

/* What was spliced is there: none of these reads waits. */
static int
drain(struct relay *r, size_t n)
{
	size_t have = 0;
	ssize_t got;

	while (have < n) {
		got = read(r->out, r->octets + have, n - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		have += (size_t)got;
	}
	return 0;
}

ssize_t
relay_read(struct relay *r, int fd, uint64_t most)
{
	size_t want = most < RELAY_SIZE ? (size_t)most : RELAY_SIZE;
	ssize_t n;

	do
		n = splice(fd, NULL, r->in, NULL, want, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n > 0 && drain(r, (size_t)n) != 0)
		return -1;
	return n;
}
