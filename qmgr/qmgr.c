/*
 * qmgr's start, loop and end.  Opens the queue and its sockets before the cage;
 * afterwards each round of the loop hears events, settles what ended, starts
 * what may start, and only then looks at what waits.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "qmgr/counters.h"
#include "qmgr/flow.h"
#include "qmgr/paused.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define LOCK_TRIES 100      /* for one that is just ending */
#define LOCK_WAIT_MS 100
#define LOAD_US 300         /* reading what is due, in one round */
#define RESOLVING_MAX 500   /* questions in memory: no retry adds to them */
#define WRITING_MAX 100     /* ended, to be written down: as above */
#define LOOK_MS 60000       /* the wall clock may have jumped */
#define TERM_MS 5000        /* deliveries under way at the end */

/* ---- start ---- */

static int
open_dir(const struct qmgr *qm, int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd == -1)
		die_errno(EXIT_PERMANENT, "queue_dir %s: cannot open %s "
		    "(make it with owner user_queue and mode 0700; "
		    "`postern check` shows all)", qm->conf.queue_dir, name);
	if (fstat(fd, &st) != 0)
		die_errno(EXIT_TEMPORARY, "queue_dir %s: %s",
		    qm->conf.queue_dir, name);
	if (geteuid() == 0 && st.st_uid != qm->uid)
		die(EXIT_PERMANENT, "queue_dir %s: %s belongs to uid %u, not "
		    "to user_queue (%s): chown it", qm->conf.queue_dir, name,
		    (unsigned)st.st_uid, qm->conf.user_queue);
	return fd;
}

/* One qmgr a queue.  The one before may need a moment to end. */
static void
take_lock(struct qmgr *qm)
{
	qm->lock_fd = openat(qm->queue_fd, "lock",
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (qm->lock_fd == -1)
		die_errno(EXIT_TEMPORARY, "queue_dir %s: cannot open lock",
		    qm->conf.queue_dir);
	if (geteuid() == 0 && fchown(qm->lock_fd, qm->uid, qm->gid) != 0)
		die_errno(EXIT_TEMPORARY, "queue_dir %s: cannot chown lock",
		    qm->conf.queue_dir);
	for (int i = 0; flock(qm->lock_fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			die_errno(EXIT_TEMPORARY, "queue_dir %s: cannot lock",
			    qm->conf.queue_dir);
		if (i == 0)
			log_warnx("queue_dir %s is locked by another qmgr (or "
			    "`postern queue`): waiting", qm->conf.queue_dir);
		if (i == LOCK_TRIES)
			die(EXIT_TEMPORARY, "queue_dir %s is still locked: "
			    "one qmgr a queue; find the other with fuser %s/"
			    "lock", qm->conf.queue_dir, qm->conf.queue_dir);
		(void)poll(NULL, 0, LOCK_WAIT_MS);
	}
}

static int
listen_at(const struct qmgr *qm, const char *name)
{
	int fd = chan_listen(name, 0660, 64);

	if (fd == -1)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s",
		    qm->conf.run_dir, name);
	return fd;
}

void
qmgr_open(struct qmgr *qm)
{
	struct sys_user me = user_need("user_queue", qm->conf.user_queue);

	qm->smtpd_uid = user_need("user_smtpd", qm->conf.user_smtpd).uid;
	qm->uid = me.uid;
	qm->gid = me.gid;
	qm->queue_fd = open_dir(qm, AT_FDCWD, qm->conf.queue_dir);
	for (int i = 0; i < QDIR_COUNT; i++)
		qm->dirs[i] = open_dir(qm, qm->queue_fd, qdir_names[i]);
	/* Whoever has the lock has the sockets: not before it. */
	take_lock(qm);
	if (chdir(qm->conf.run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s (make it with mode 0711; "
		    "`postern check` shows all)", qm->conf.run_dir);
	qm->notice_fd = listen_at(qm, SOCKET_NOTICE);
	qm->control_fd = listen_at(qm, SOCKET_CONTROL);
	qm->etrn_fd = listen_at(qm, SOCKET_ETRN);
	(void)proc_max_files();
}

void
qmgr_cage(struct qmgr *qm)
{
	struct sandbox_path paths[] = {{qm->queue_fd, NULL, SANDBOX_WRITE},
	    {conf_keep_fd(), NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = qm->uid,
	    .gid = qm->gid,
	    .root = qm->conf.queue_dir,
	    .paths = paths,
	    .npaths = conf_keep_fd() == -1 ? 1 : 2};

	sandbox_enter(ROLE_QMGR, &args);
}

/* ---- what waits ---- */

size_t
qmgr_active(const struct qmgr *qm)
{
	size_t n = 0;

	for (int turn = 0; turn < TURN_COUNT; turn++)
		n += qm->nactive[turn];
	return n;
}

/* Is there room for one more?  Retries leave half of it to fresh mail; nobody
 * is read while there is nobody to ask where it goes. */
static bool
room_for(const struct qmgr *qm, bool fresh)
{
	uint64_t most = qm->conf.active_messages_max;

	return qm->lanes[LANE_RESOLVE].up && !qm->stopping &&
	    qmgr_active(qm) < most &&
	    (fresh || (qm->nactive[TURN_RETRY] < most / 2 &&
	    qm->nresolving < RESOLVING_MAX &&
	    qm->nwriting < WRITING_MAX));
}

/* What waited for a daemon that is there again. */
static bool
take_shelved(struct qmgr *qm, struct wait_info *w)
{
	for (int no = 0; no < LANE_COUNT; no++)
		if (qm->lanes[no].up && wait_line_take(qm->wait,
		    qm->lanes[no].shelf, true, w))
			return true;
	return false;
}

/* One of those that have waited: what is due, what a destination lets in, what
 * is looked for, in turn. */
static bool
take_retry(struct qmgr *qm, int64_t now_ms, struct wait_info *w,
    struct dest **fed)
{
	for (int i = 0; i < 4; i++) {
		switch (qm->sources++ % 4) {
		case 0:
			if (wait_take_due(qm->wait, false, now_ms, w))
				return true;
			break;
		case 1:
			if ((*fed = dest_feed(qm, w)) != NULL)
				return true;
			break;
		case 2:
			if (take_shelved(qm, w))
				return true;
			break;
		default:
			if (sweep_next(qm, w))
				return true;
			break;
		}
	}
	return false;
}

/* Fresh messages first; each fourth one is a retry's turn all the same. */
static bool
take_due(struct qmgr *qm, unsigned n, int64_t now_ms, struct wait_info *w,
    struct dest **fed)
{
	bool fresh = room_for(qm, true), retry = room_for(qm, false);

	*fed = NULL;
	if (retry && n % 4 == 3 && take_retry(qm, now_ms, w, fed))
		return true;
	if (fresh && wait_take_due(qm->wait, true, now_ms, w))
		return true;
	return retry && take_retry(qm, now_ms, w, fed);
}

static bool
is_shelved(const struct qmgr *qm)
{
	for (int no = 0; no < LANE_COUNT; no++)
		if (qm->lanes[no].up && wait_line_count(qm->wait,
		    qm->lanes[no].shelf, true) > 0)
			return true;
	return false;
}

static bool
due(const struct qmgr *qm, int64_t now_ms)
{
	if (room_for(qm, true) && wait_next_ms(qm->wait, true) <= now_ms)
		return true;
	return room_for(qm, false) &&
	    (wait_next_ms(qm->wait, false) <= now_ms || dest_wants_feed(qm) ||
	    is_shelved(qm) || sweep_walks(qm));
}

/* Reads what is due, for a moment; true if more is. */
static bool
load_some(struct qmgr *qm)
{
	int64_t now_ms = clock_real_ms(), start_us = clock_mono_us();
	struct wait_info w;
	struct dest *fed;

	for (unsigned n = qm->loads; take_due(qm, n, now_ms, &w, &fed); n++) {
		qm->loads = n + 1;
		message_load(qm, &w, fed);
		if (clock_mono_us() - start_us >= LOAD_US)
			break;
	}
	return due(qm, now_ms);
}

/* Wakes the loop for what is due next. */
static void
arm(struct qmgr *qm)
{
	int64_t now_ms = clock_real_ms(), next_ms = WAIT_NEVER, t;

	for (int fresh = 0; fresh < 2; fresh++) {
		if (!room_for(qm, fresh))
			continue; /* room is made by an event */
		t = wait_next_ms(qm->wait, fresh);
		if (t < next_ms)
			next_ms = t;
	}
	if (next_ms == WAIT_NEVER) {
		loop_timer_stop(qm->work);
		return;
	}
	if (next_ms > now_ms + LOOK_MS)
		next_ms = now_ms + LOOK_MS;
	loop_timer_in(qm->work, next_ms > now_ms ? next_ms - now_ms : 0);
}

/* ---- the round ---- */

static void
finish(struct qmgr *qm)
{
	uint32_t running = 0;

	for (int no = LANE_LOCAL; no < LANE_COUNT; no++)
		running += lane_running(&qm->lanes[no]);
	if (running > 0 && !qm->term_over)
		return;
	file_record_all(qm);
	while (file_sync_one(qm))
		continue;
	if (running > 0)
		LOG_WARN("ending-with-jobs", LU("jobs", running));
	loop_stop(qm->loop);
}

static bool
settle_waits(const struct qmgr *qm)
{
	return !TAILQ_EMPTY(&qm->settle) || !TAILQ_EMPTY(&qm->writing);
}

static void
count(const struct qmgr *qm)
{
	uint32_t running = 0;

	for (int no = LANE_LOCAL; no < LANE_COUNT; no++)
		running += lane_running(&qm->lanes[no]);
	stats_set(COUNT_JOBS, running);
	stats_set(COUNT_ACTIVE, qmgr_active(qm));
	stats_set(COUNT_WAITING, wait_count(qm->wait));
}

static void
after_round(void *arg)
{
	struct qmgr *qm = arg;
	bool more;

	more = settle_some(qm);
	lane_pump(qm);
	more |= expand_flush(qm);
	if (qm->record_now)
		file_record_all(qm);
	if (!qm->stopping) {
		more |= load_some(qm);
		more |= scan_some(qm);
	}
	lane_pump(qm);
	if (more || settle_waits(qm))
		loop_timer_set(qm->work, 0);
	else
		arm(qm);
	count(qm);
	if (qm->stopping && !settle_waits(qm))
		finish(qm);
}

static void
nothing(void *arg)
{
	(void)arg; /* the round does it */
}

static void
on_record(void *arg)
{
	file_record_all(arg);
}

static void
on_sync(void *arg)
{
	struct qmgr *qm = arg;

	/* One a round: each may wait for the disk. */
	if (file_sync_one(qm))
		loop_timer_set(qm->sync_timer, 0);
}

static void
on_stuck(void *arg)
{
	settle_retry(arg);
}

/* ---- signals ---- */

static void
on_term_over(void *arg)
{
	struct qmgr *qm = arg;

	qm->term_over = true;
}

static void
on_term(void *arg)
{
	struct qmgr *qm = arg;

	if (qm->stopping)
		return;
	qm->stopping = true;
	proc_stopping();
	chan_server_pause(qm->notice);
	chan_server_pause(qm->control);
	chan_server_pause(qm->etrn);
	loop_timer_in(qm->term_timer, TERM_MS);
}

static void
set_limits(struct qmgr *qm)
{
	qm->retry.first_ms = (int64_t)qm->conf.retry_first_ms;
	qm->retry.max_ms = (int64_t)qm->conf.retry_max_ms;
	qm->retry.lifetime_ms = (int64_t)qm->conf.queue_lifetime_ms;
}

static void
on_hup(void *arg)
{
	struct qmgr *qm = arg;

	proc_reloading();
	if (conf_reload(&qm->conf)) {
		set_limits(qm);
		lane_limits(qm);
	}
	paused_read(qm);
	scan_start(qm, QDIR_INCOMING);
	scan_start(qm, QDIR_DEFERRED);
	proc_ready();
}

/* ---- all of it ---- */

static void
init(struct qmgr *qm)
{
	qm->loop = loop_new();
	qm->wait = wait_new();
	qm->nbuckets = (size_t)qm->conf.active_messages_max / 2 + 1024;
	qm->buckets = mem_array(qm->nbuckets, sizeof(*qm->buckets));
	qm->sync_round = 1;
	TAILQ_INIT(&qm->open);
	TAILQ_INIT(&qm->record);
	TAILQ_INIT(&qm->settle);
	TAILQ_INIT(&qm->writing);
	TAILQ_INIT(&qm->stuck);
	TAILQ_INIT(&qm->expanding);
	qm->work = loop_timer_new(qm->loop, nothing, qm);
	qm->record_timer = loop_timer_new(qm->loop, on_record, qm);
	qm->sync_timer = loop_timer_new(qm->loop, on_sync, qm);
	qm->stuck_timer = loop_timer_new(qm->loop, on_stuck, qm);
	qm->term_timer = loop_timer_new(qm->loop, on_term_over, qm);
	set_limits(qm);
	flow_init(qm);
	dest_init(qm);
	lane_init(qm);
	paused_read(qm);
	loop_after(qm->loop, after_round, qm);
	loop_signal(qm->loop, SIGTERM, on_term, qm);
	loop_signal(qm->loop, SIGHUP, on_hup, qm);
}

/* What is active is forgotten: its files say all. */
static void
release_all(struct qmgr *qm)
{
	struct message *m;

	chan_server_free(&qm->notice);
	chan_server_free(&qm->control);
	chan_server_free(&qm->etrn);
	for (int i = 0; i < LANE_COUNT; i++) {
		chan_link_free(&qm->lanes[i].link);
		lane_end(qm, &qm->lanes[i]);
	}
	for (size_t i = 0; i < qm->nbuckets; i++)
		while ((m = LIST_FIRST(&qm->buckets[i])) != NULL)
			message_free(qm, m);
	sweep_free(qm);
	dest_free_all(qm);
	paused_free(qm);
	wait_free(&qm->wait);
	free(qm->buckets);
	free(qm->flows);
	scan_free(qm);
	free(qm->sync_fds);
	loop_free(&qm->loop);
}

int
qmgr_run(struct qmgr *qm)
{
	init(qm);
	resolve_init(qm);
	deliver_init(qm);
	remote_init(qm);
	report_init(qm);
	notice_init(qm);
	control_init(qm);
	etrn_init(qm);
	scan_init(qm);
	proc_ready();
	loop_run(qm->loop);
	release_all(qm);
	LOG_INFO("ended", LS("by", "SIGTERM"));
	return 0;
}
