/*
 * qmgr: owns every accepted message until it is done.  One struct qmgr is
 * passed around; what each module offers stands below its name.
 *
 * A message waits (wait.h) or is active (struct message).  Of an active one's
 * recipients up to RCPTS_AT_ONCE are in memory; each takes its turn in a lane
 * (resolve, local, spawner, remote), ends with an outcome, and when none is left
 * the message is settled: its sender told, removed, put back to wait, held.
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
#include "common/proto/control.h"
#include "qmgr/dest.h"
#include "qmgr/duty.h"
#include "qmgr/lane.h"
#include "qmgr/message.h"
#include "qmgr/outcome.h"
#include "qmgr/report.h"
#include "qmgr/retry.h"

struct chan_peer;
struct chan_server;
struct dest;
struct flow_bucket;
struct loop;
struct loop_timer;
struct paused;
struct sweep;
struct wait;
struct wait_info;

LIST_HEAD(bucket, message);

#define ETRN_LAST 256

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
	int notice_fd, control_fd, etrn_fd;
	uid_t uid, smtpd_uid;
	gid_t gid;
	struct chan_server *notice, *control, *etrn;

	struct wait *wait;
	struct bucket *buckets; /* active messages by id */
	size_t nbuckets, nactive[TURN_COUNT];
	struct lane lanes[LANE_COUNT];
	int64_t patience_ms;    /* for a daemon that is not there */
	struct flow_bucket *flows;
	struct dest_bucket *dests;
	struct dests feeding; /* whose lines may move up */
	struct dests idle;    /* nobody goes there; used longest ago first */
	size_t nidle;
	struct paused *paused; /* owned: what an admin stopped */
	struct sweep *sweep;   /* owned, or NULL: a look at what waits */
	struct etrn_last {
		uint64_t hash;
		int64_t at_ms;
	} etrn_last[ETRN_LAST]; /* names that were asked for, by their hash */

	struct messages open;   /* files open, least recently used first */
	size_t nopen, open_rcpts;
	size_t big_rcpts;       /* of active messages with very many */
	size_t nplaces;         /* in memory, of all recipients */
	size_t nrcpts;          /* in memory, of all messages */
	size_t nresolving;      /* of them, whose way is not known yet */
	struct messages record; /* outcomes to be written soon */
	struct messages settle;  /* done: to be removed */
	struct messages writing; /* ended, with something to write first */
	size_t nwriting;
	struct messages stuck;
	struct rcpts expanding;
	int *sync_fds;          /* owned: to be fdatasync'ed */
	size_t nsync, sync_cap;
	uint64_t sync_round;
	struct scan scans[QDIR_DEFERRED + 1]; /* incoming/, deferred/ */

	struct loop_timer *work, *record_timer, *sync_timer, *stuck_timer;
	struct loop_timer *term_timer;
	unsigned loads, sources; /* whose turn it is to be read */
	bool record_now;
	bool stopping, term_over;
};

/* ---- resolve.c, deliver.c: the links ---- */

void resolve_init(struct qmgr *qm);
void deliver_init(struct qmgr *qm);
/* Sends r the way its kind goes. */
void route_rcpt(struct qmgr *qm, struct rcpt *r);
/* A descriptor of m's file for a job, or -1 and what is wrong: with the
 * message, or with us. */
int job_open(struct qmgr *qm, struct message *m, enum start *failed);

/* ---- remote.c ---- */

void remote_init(struct qmgr *qm);
/* r goes to another host, by the row `route` of the table routes. */
void remote_found(struct qmgr *qm, struct rcpt *r, struct slice route);
/* Too many are in memory for d already, and nobody of m. */
bool route_is_full(const struct dest *d, const struct message *m);

/* ---- sweep.c ---- */

/* Everything that waits for this domain (sub: or one below it), known or not,
 * is tried now. */
void sweep_start(struct qmgr *qm, struct slice name, bool sub);
/* ... for this destination. */
void sweep_start_dest(struct qmgr *qm, struct slice key);
/* Are there more to be looked at? */
bool sweep_walks(const struct qmgr *qm);
/* Is d what is looked for now? */
bool sweep_wants(const struct qmgr *qm, const struct dest *d);
/* The next message that may be for it, taken out of the waiting ones; false:
 * not among the next few. */
bool sweep_next(struct qmgr *qm, struct wait_info *out);
void sweep_free(struct qmgr *qm);

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
/* control_dest.c: what an admin wants of destinations */
struct answer {
	enum control_result result;
	const char *text;
};
struct answer control_dest(struct qmgr *qm, const struct control_dest *c);
void control_list(struct qmgr *qm, struct chan_peer *p, struct slice name);
void control_closed(void *arg, struct chan_peer *p);
void notice_init(struct qmgr *qm);
void etrn_init(struct qmgr *qm);

/* ---- qmgr.c ---- */

/* Messages in memory. */
size_t qmgr_active(const struct qmgr *qm);

/* Opens everything; dies with what is wrong and the mend. */
void qmgr_open(struct qmgr *qm);
/* The cage; without it for tests. */
void qmgr_cage(struct qmgr *qm);
int qmgr_run(struct qmgr *qm);

#endif
