/*
 * Reaches qmgr for the admin's command (contract "control"), as user_queue.
 * When qmgr is stopped its lock is taken, so that nobody else works on the
 * queue meanwhile.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/control.h"
#include "common/proto/sockets.h"
#include "postern/control.h"
#include "postern/out.h"

#define LOCK_NAME "lock"

static int
take_lock(const struct queue *q, struct control *c)
{
	c->lock_fd = openat(q->dirfd, LOCK_NAME,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->lock_fd < 0) {
		out_error("%s/%s: %s", q->p->conf.queue_dir, LOCK_NAME,
		    strerror(errno));
		return EXIT_TEMPORARY;
	}
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	control_close(c);
	out_error("qmgr holds the queue but does not answer at %s/%s; try "
	    "again, or look at its log", q->p->conf.run_dir, SOCKET_CONTROL);
	return EXIT_TEMPORARY;
}

int
control_reach(const struct queue *q, bool lock, struct control *c)
{
	const char *run_dir = q->p->conf.run_dir;

	c->chan = NULL;
	c->lock_fd = -1;
	if (chdir(run_dir) == 0)
		c->chan = chan_connect(SOCKET_CONTROL, &control_contract);
	if (c->chan != NULL)
		return 0;
	if (errno == ENOENT || errno == ECONNREFUSED)
		return lock ? take_lock(q, c) : 0;
	out_error("%s/%s: %s", run_dir, SOCKET_CONTROL, strerror(errno));
	return errno == EACCES ? EXIT_PERMANENT : EXIT_TEMPORARY;
}

void
control_close(struct control *c)
{
	chan_free(&c->chan);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	c->lock_fd = -1;
}

bool
control_speaks(struct control *c, uint16_t version)
{
	int64_t end = clock_mono_ms() + CONTROL_ANSWER_MS, left;
	struct pollfd p = {.fd = chan_fd(c->chan), .events = POLLIN};
	int fds[CHAN_MAX_FDS];
	union control_msg msg;
	uint16_t type;
	size_t nfds;

	(void)chan_flush(c->chan);
	while (!chan_greeted(c->chan)) {
		left = end - clock_mono_ms();
		if (left <= 0 || (poll(&p, 1, (int)left) == -1 &&
		    errno != EINTR) || chan_recv(c->chan, &type, &msg,
		    sizeof(msg), fds, &nfds) != CHAN_AGAIN) {
			out_error("qmgr did not answer; look at its log");
			return false;
		}
	}
	if (chan_version(c->chan) >= version)
		return true;
	out_error("qmgr is of an older release and does not know this: "
	    "restart it");
	return false;
}
