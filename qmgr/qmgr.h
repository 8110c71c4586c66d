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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/conf/conf.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"
#include "qmgr/retry.h"

#define RCPTS_AT_ONCE 100 /* recipients of one message in memory */

struct chan_list;
struct chan_link;
struct chan_server;
struct dest;
struct loop;
struct loop_timer;
struct message;
struct place;
struct qmgr;
struct rcpt;
struct wait;
struct wait_info;

TAILQ_HEAD(rcpts, rcpt);
TAILQ_HEAD(messages, message);

/* Which way a recipient goes next. */
enum lane_no { LANE_RESOLVE, LANE_LOCAL, LANE_SPAWNER, LANE_COUNT };
#define LANE_NONE LANE_COUNT

/* Fresh mail first; retries have a share that fresh mail cannot take. */
enum turn { TURN_FRESH, TURN_RETRY, TURN_COUNT };

enum phase {
	PHASE_READY,     /* on message.ready[lane]: waits for its turn */
	PHASE_PARKED,    /* on dest.parked: its mailbox has jobs enough */
	PHASE_RUNNING,   /* a request or job is under way */
	PHASE_EXPANDING, /* on qmgr.expanding: its places are to be written */
	PHASE_JOURNAL,   /* ... and are being written */
	PHASE_ENDED      /* on message.ended: its outcome is to be recorded */
};

/* What was said about an attempt that did not simply succeed. */
struct outcome {
	struct status status;
	int64_t at_ms, next_ms; /* wall clock */
	const char *what;       /* "deferred" or "failed" */
	const char *rule;       /* see struct retry */
	char host[];            /* NUL-terminated */
};

struct rcpt {
	TAILQ_ENTRY(rcpt) all;  /* message.rcpts */
	TAILQ_ENTRY(rcpt) list; /* see enum phase */
	struct message *m;
	struct dest *dest;      /* has a slot there (or waits for it), or NULL */
	struct place *place;    /* owned: where it goes, once that is known */
	struct place **places;  /* owned: what a resolution gave */
	uint32_t nplaces, places_cap;
	struct outcome *outcome; /* owned */
	uint64_t job;            /* its number in the lane while it runs */
	uint32_t number, kind, parent; /* as in struct qrcpt */
	uint32_t attempts;       /* before this one */
	uint8_t lane, phase;
	uint8_t losses;          /* daemons that went away over it */
	char state;              /* enum qstate, when ended */
	bool slot;               /* a slot of dest is taken or kept for it */
	bool too_many;           /* more places than expansion_max */
	struct slice address, target, sender;
	bool has_sender;
	char room[];             /* what the slices point to */
};

/* What an admin (or a policy) wants done as soon as nothing is under way. */
enum want { WANT_NOTHING, WANT_HOLD, WANT_REMOVE };

/* What opening the file said. */
enum verdict {
	VERDICT_GOOD,
	VERDICT_GONE,    /* somebody removed it */
	VERDICT_CORRUPT,
	VERDICT_NEWER,
	VERDICT_FAULT    /* local fault: later again */
};

struct message {
	LIST_ENTRY(message) hash;
	TAILQ_ENTRY(message) ring[LANE_COUNT]; /* lane.ring[turn] */
	TAILQ_ENTRY(message) open;  /* qmgr.open */
	TAILQ_ENTRY(message) soon;  /* qmgr.record */
	TAILQ_ENTRY(message) end;   /* qmgr.settle or qmgr.stuck */
	struct mail_id id;
	enum qdir dir;
	enum turn turn;
	enum want want;
	enum verdict verdict;
	char *from;                 /* owned: reverse-path */
	size_t from_len;
	struct qfile *q;            /* owned; NULL: not open */
	size_t open_rcpts;          /* counted in qmgr.open_rcpts */
	size_t big;                 /* counted in qmgr.big_rcpts */
	struct rcpts rcpts;         /* all in memory: owned */
	struct rcpts ready[LANE_COUNT];
	struct rcpts ended;
	uint32_t nlive;             /* in memory and not ended */
	uint32_t nrunning;          /* with a delivery under way */
	size_t nfile, next;         /* recipients of the file; the next to be
	                             * taken into memory */
	size_t noriginal;           /* of them from the envelope */
	size_t todo, failed;        /* of the file, by state ... */
	bool counted;               /* ... which are only known then */
	int64_t next_ms;            /* earliest retry seen, or WAIT_NEVER */
	uint64_t synced;            /* qmgr.sync_round it is queued for */
	char *reason;               /* owned: for want */
	size_t reason_len;
	bool on_ring[LANE_COUNT];
	bool on_record, on_end, is_stuck;
	bool stopped;               /* no further recipient is taken */
	bool taking;
	bool attempted;             /* belongs into deferred/ */
	bool shelved;               /* waits for a daemon */
	bool suspect;               /* content is to be verified */
	bool unsure;                /* found by a scan: what became of earlier
	                             * attempts is not known */
	bool again;                 /* retry at once when settled */
	bool told;                  /* the log knows why it is stuck */
	bool pinned, journalled;    /* expansion: the file stays open; synced */
};

/* ---- lane.c: turns, slots and jobs ---- */

enum start { START_OK, START_NOT, START_PAUSE };

struct job {
	struct rcpt *r; /* NULL: free */
	uint32_t serial;
	uint32_t next;  /* free ones: index of the next */
};

struct lane {
	const char *name;          /* who does it */
	struct chan_link *link;
	bool up;
	bool paused;               /* no descriptors: until the pause timer */
	bool shelving;             /* down for long: nobody waits in memory */
	uint32_t limit;            /* of the configuration */
	uint32_t capacity;         /* of the other side */
	uint32_t dest_limit;       /* jobs for one destination; 0: no such */
	uint32_t running[TURN_COUNT];
	uint32_t picks;
	struct messages ring[TURN_COUNT];
	struct job *jobs;
	uint32_t njobs, jobs_cap, free_job;
	struct loop_timer *patience, *pause;
	/* Queues the request on the link, which is flushed afterwards. */
	enum start (*start)(struct qmgr *qm, struct rcpt *r, uint64_t job);
};

LIST_HEAD(dests, dest);
LIST_HEAD(bucket, message);
struct scan;

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
	struct messages record; /* outcomes to be written soon */
	struct messages settle, stuck;
	struct rcpts expanding;
	int *sync_fds;          /* owned: to be fdatasync'ed */
	size_t nsync, sync_cap;
	uint64_t sync_round;
	struct scan *scans;

	struct loop_timer *work, *record_timer, *sync_timer, *stuck_timer;
	struct loop_timer *term_timer;
	bool record_now;
	bool stopping, term_over;
};

void lane_init(struct qmgr *qm);
/* What the configuration says, at the start and after a reload. */
void lane_limits(struct qmgr *qm);
/* r waits for its turn; back: in front of its message's others. */
void lane_add(struct qmgr *qm, struct rcpt *r, enum lane_no lane, bool back);
/* The one whose job this is, or NULL. */
struct rcpt *lane_find(struct lane *lane, uint64_t job);
/* Its job has ended: slots are free again. */
void lane_release(struct qmgr *qm, struct rcpt *r);
/* Takes one that is ready or parked off its lists. */
void lane_remove(struct qmgr *qm, struct rcpt *r);
/* Starts what may start. */
void lane_pump(struct qmgr *qm);
void lane_up(struct qmgr *qm, struct lane *lane, uint32_t capacity);
void lane_down(struct qmgr *qm, struct lane *lane);
uint32_t lane_running(const struct lane *lane);
/* Forgets its jobs, at the end of the process. */
void lane_end(struct qmgr *qm, struct lane *lane);

/* ---- resolve.c, deliver.c: the links ---- */

void resolve_init(struct qmgr *qm);
void deliver_init(struct qmgr *qm);
/* Sends r the way its kind goes. */
void route_rcpt(struct qmgr *qm, struct rcpt *r);

/* ---- expand.c ---- */

/* The places of r (at least one) replace it as soon as they are journalled. */
void expand_add(struct qmgr *qm, struct rcpt *r);
/* r goes on to the one mailbox p: has p's forward file been read already?
 * False: the file cannot be read (m->verdict). */
bool expand_one(struct qmgr *qm, struct rcpt *r, struct place *p);
/* Writes some; true if more are left. */
bool expand_flush(struct qmgr *qm);

/* ---- outcome.c: what became of a recipient ---- */

void outcome_set(struct qmgr *qm, struct rcpt *r, const struct status *status,
    struct slice host);
/* Not delivered for a reason of our own: no attempt is counted. */
void outcome_shelve(struct qmgr *qm, struct rcpt *r);

/* ---- message.c ---- */

struct message *message_find(struct qmgr *qm, const struct mail_id *id);
struct message *message_new(struct qmgr *qm, const struct mail_id *id,
    enum qdir dir, struct slice from);
/* From queued's notice, with all its recipients (struct env_recipient). */
void message_notice(struct qmgr *qm, const struct mail_id *id,
    struct slice from, const struct chan_list *recipients);
/* From its file; w was taken out of the waiting ones. */
void message_load(struct qmgr *qm, const struct wait_info *w);
/* The same for an admin: nothing is started.  m->verdict says how it went;
 * *busy: queued is not done with it yet. */
struct message *message_fetch(struct qmgr *qm, const struct mail_id *id,
    enum qdir dir, bool unsure, bool *busy);
/* r leaves memory. */
void message_drop_rcpt(struct qmgr *qm, struct rcpt *r);
/* Something ended: takes the next recipients, or has it settled. */
void message_progress(struct qmgr *qm, struct message *m);
/* Nothing more is started for it (m->want or m->verdict says why); deliveries
 * under way may end. */
void message_stop(struct qmgr *qm, struct message *m);
void message_free(struct qmgr *qm, struct message *m);

/* ---- settle.c ---- */

void settle_all(struct qmgr *qm);
/* One of which nothing is under way; frees it.  False: what was wanted could
 * not be done, and it goes on as before. */
bool settle_message(struct qmgr *qm, struct message *m);
/* The stuck ones are settled again. */
void settle_retry(struct qmgr *qm);

/* ---- file.c: queue files on disk ---- */

/* Opens m's file for writing if it is not open; false: see m->verdict. */
bool file_need(struct qmgr *qm, struct message *m);
void file_close(struct qmgr *qm, struct message *m);
/* Outcomes are written soon; now: in this round. */
void file_record_later(struct qmgr *qm, struct message *m, bool now);
bool file_record(struct qmgr *qm, struct message *m);
void file_record_all(struct qmgr *qm);
void file_sync_later(struct qmgr *qm, struct message *m);
/* true when all are synced. */
bool file_sync_some(struct qmgr *qm, size_t most);
int file_move(struct qmgr *qm, const char *id, enum qdir from, enum qdir to);

/* ---- scan.c ---- */

void scan_init(struct qmgr *qm);
void scan_free(struct qmgr *qm);
/* Reads incoming/ or deferred/, from the start (again). */
void scan_start(struct qmgr *qm, enum qdir dir);
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
