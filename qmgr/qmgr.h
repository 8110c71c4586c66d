/*
 * qmgr: owns every accepted message until it is done.  One struct qmgr is
 * passed around; what each module offers stands below its name.
 *
 * A message waits (wait.h) or is active (struct message).  Of an active one's
 * recipients up to RCPTS_AT_ONCE are in memory; each takes its turn in a lane
 * (resolve, local, spawner), ends with an outcome, and when none is left the
 * message is settled: removed, put back to wait, held.
 */
#ifndef QMGR_QMGR_H
#define QMGR_QMGR_H

#include <sys/queue.h>

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/conf/conf.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"
#include "qmgr/lane.h"
#include "qmgr/message.h"
#include "qmgr/retry.h"

struct chan_server;
struct dest;
struct loop;
struct loop_timer;
struct wait;

LIST_HEAD(dests, dest);
LIST_HEAD(bucket, message);

/* How far the look at a directory is: scan.c. */
struct scan {
	DIR *dir;      /* owned */
	bool running;
	bool again;    /* from the start when this one is done */
	size_t seen, found, strange;
	size_t told; /* strange ones the log knows of */
	int64_t start_ms;
	int64_t next_ms; /* clock_mono_ms of the next one, or CLOCK_NEVER */
	struct loop_timer *next;
};

struct qmgr {
	struct conf conf;
	struct retry_conf retry;
	struct loop *loop;
	int queue_fd, lock_fd;
	int dirs[QDIR_COUNT];
	int notice_fd, control_fd;
	uid_t uid;
	gid_t gid;
	struct chan_server *notice, *control;

	struct wait *wait;
	struct bucket *buckets; /* active messages by id */
	size_t nbuckets, nactive[TURN_COUNT];
	struct lane lanes[LANE_COUNT];
	int64_t patience_ms;    /* for a daemon that is not there */
	struct dests *dests;

	struct messages open;   /* files open, least recently used first */
	size_t nopen, open_rcpts;
	size_t big_rcpts;       /* of active messages with very many */
	size_t nplaces;         /* in memory, of all recipients */
	struct messages record; /* outcomes to be written soon */
	struct messages settle, stuck;
	struct rcpts expanding;
	int *sync_fds;          /* owned: to be fdatasync'ed */
	size_t nsync, sync_cap;
	uint64_t sync_round;
	struct scan scans[QDIR_DEFERRED + 1]; /* incoming/, deferred/ */

	struct loop_timer *work, *record_timer, *sync_timer, *stuck_timer;
	struct loop_timer *term_timer;
	bool record_now;
	bool stopping, term_over;
};

/* ---- resolve.c, deliver.c: the links ---- */

void resolve_init(struct qmgr *qm);
void deliver_init(struct qmgr *qm);
/* Sends r the way its kind goes. */
void route_rcpt(struct qmgr *qm, struct rcpt *r);

/* ---- scan.c ---- */

void scan_init(struct qmgr *qm);
void scan_free(struct qmgr *qm);
/* Reads incoming/ or deferred/, from the start (again). */
void scan_start(struct qmgr *qm, enum qdir dir);
/* The same in at most ms milliseconds. */
void scan_within(struct qmgr *qm, enum qdir dir, int64_t ms);
/* A slice of it; true if more is left. */
bool scan_some(struct qmgr *qm);

/* ---- control.c, notice.c ---- */

void control_init(struct qmgr *qm);
void notice_init(struct qmgr *qm);

/* ---- qmgr.c ---- */

/* Opens everything; dies with what is wrong and the mend. */
void qmgr_open(struct qmgr *qm);
/* The cage; without it for tests. */
void qmgr_cage(struct qmgr *qm);
int qmgr_run(struct qmgr *qm);

#endif
