/*
 * A delivery process: has one owner's rights and delivers the jobs its parent
 * sends, all that are there in one batch, so that they share their commit.
 * It copies octets of hostile mail and looks into its header fields.
 */
#include <sys/stat.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/mail/durable.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "local/counters.h"
#include "local/local.h"

/* Each job of a batch has two descriptors, and the role 64. */
#define BATCH_MAX 20u
#define OUT_BUFFER (512u * 1024)
/* What the cage was made for may have changed since: a home that was missing is
 * mounted, a directory made.  After such a fault the process waits only so long
 * for more, and the next one looks anew. */
#define FAULT_IDLE_MS 20

static void
count(const struct delivery *d)
{
	switch (status_class(&d->status)) {
	case STATUS_OK:
		stats_add(d->nexpansions > 0 ? COUNT_FORWARDED
		    : COUNT_DELIVERED, 1);
		break;
	case STATUS_TEMPORARY:
		stats_add(COUNT_LATER, 1);
		break;
	case STATUS_PERMANENT:
		stats_add(COUNT_FAILED, 1);
		break;
	}
}

static void
answer(struct chan *c, const struct delivery *d)
{
	struct delivery_done done = {.job = d->job,
	    .code = d->status.code,
	    .subject = d->status.subject,
	    .detail = d->status.detail,
	    .text = slice_of(d->status.text),
	    .host = SLICE("local"),
	    .expansions = {d->expansions, d->nexpansions}};

	chan_queue(c, DELIVERY_DONE, &done, NULL, 0);
}

/* Each step for the whole batch before the next one: one fsync commits the
 * journal for all names made so far.  False: a mailbox was out of reach. */
static bool
deliver(struct chan *c, struct delivery **batch, size_t n, struct buf *out)
{
	struct durable *files[BATCH_MAX];
	enum durable_mode mode = DURABLE_ORDERED;
	int errors[BATCH_MAX];
	int64_t began_us = clock_mono_us(), sync_us;
	bool good = true;
	size_t i;

	for (i = 0; i < n; i++) {
		delivery_write(batch[i], out);
		if (n > 1)
			delivery_start(batch[i]);
	}
	for (i = 0; i < n; i++)
		delivery_link(batch[i]);
	for (i = 0; i < n; i++) {
		files[i] = delivery_file(batch[i]);
		if (batch[i]->mode == DURABLE_STRICT)
			mode = DURABLE_STRICT; /* right for all of them */
	}
	sync_us = clock_mono_us();
	durable_sync_all(files, n, mode, errors);
	stats_add(COUNT_BATCHES, 1);
	stats_observe(COUNT_FSYNC_TIME, clock_mono_us() - sync_us);
	stats_observe(COUNT_BATCH_TIME, clock_mono_us() - began_us);
	for (i = 0; i < n; i++)
		delivery_synced(batch[i], errors[i]);
	for (i = 0; i < n; i++) {
		count(batch[i]);
		answer(c, batch[i]);
		if (batch[i]->status.code == 451 &&
		    batch[i]->status.subject == 2)
			good = false;
		delivery_free(&batch[i]);
	}
	chan_flush(c);
	return good;
}

/* Jobs that are there; waits for the first.  0: the parent is gone, or the time
 * is over. */
static size_t
take_batch(struct chan *c, const struct local *l, const struct disk *disk,
    struct delivery **batch, int64_t deadline_ms)
{
	union delivery_msg m;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t n = 0, nfds;
	enum chan_result r;

	while (n < BATCH_MAX) {
		r = n == 0 ? chan_wait(c, &type, &m, sizeof(m), fds, &nfds,
				 deadline_ms)
		           : chan_recv(c, &type, &m, sizeof(m), fds, &nfds);
		if (r != CHAN_OK || type != DELIVERY_JOB)
			break;
		batch[n++] = delivery_new(l, disk, &m.job, fds[0]);
	}
	return n;
}

/* What is not there yet is made below another directory, of which nothing is
 * known: the dearer way is right everywhere. */
static struct disk
disk_of(const struct owner *o)
{
	const char *path = o->maildir != NULL ? o->maildir : o->root;
	struct disk disk = {.mode = DURABLE_STRICT};
	struct stat st;

	if (stat(path, &st) != 0)
		return disk;
	disk.dev = st.st_dev;
	disk.mode = durable_detect_path(path);
	return disk;
}

int
process_run(struct local *l, const struct owner *o, int fd)
{
	struct sandbox_path paths[] = {
	    {-1, o->root, SANDBOX_WRITE}, {-1, o->maildir, SANDBOX_WRITE}};
	struct sandbox_args args = {.uid = o->uid,
	    .gid = o->gid,
	    .paths = paths,
	    .npaths = o->maildir != NULL ? 2 : 1};
	struct delivery *batch[BATCH_MAX];
	struct buf out = BUF_INIT(OUT_BUFFER);
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int64_t deadline = CLOCK_NEVER;
	struct disk disk;
	struct chan *c;
	size_t n;

	/* A limit of the file size is a full disk, not the end. */
	sigaction(SIGXFSZ, &ignore, NULL);
	proc_title("delivers as uid %u", (unsigned)o->uid);
	durable_init();
	disk = disk_of(o);
	sandbox_enter(ROLE_LOCAL_DELIVERY, &args);
	c = chan_new(fd, &delivery_contract, CHAN_SERVER);
	while ((n = take_batch(c, l, &disk, batch, deadline)) > 0)
		deadline = deliver(c, batch, n, &out) ? CLOCK_NEVER
		    : clock_mono_ms() + FAULT_IDLE_MS;
	buf_free(&out);
	chan_free(&c);
	return 0;
}
