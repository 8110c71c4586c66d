/*
 * An active message and its recipients in memory, and what is done with them:
 * taken from notice or file, expanded, recorded, settled.
 */
#ifndef QMGR_MESSAGE_H
#define QMGR_MESSAGE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"
#include "qmgr/lane.h"

/* Recipients of one message in memory; the second when there are many of other
 * messages. */
#define RCPTS_AT_ONCE 4000
#define RCPTS_CROWDED 50
#define RCPTS_TOGETHER 100000

struct dest;
struct flow;
struct notice_new;
struct place;
struct qmgr;
struct report;
struct wait_info;

enum phase {
	PHASE_IDLE,      /* on no list, within a handler */
	PHASE_READY,     /* on message.ready[lane]: waits for its turn */
	PHASE_PARKED,    /* on dest.parked: there are jobs enough */
	PHASE_GATHERING, /* on dest.gathering: leads, others may come along */
	PHASE_LED,       /* on leader.led: in one job with it */
	PHASE_RUNNING,   /* a request or job is under way */
	PHASE_EXPANDING, /* on qmgr.expanding: its places are to be written */
	PHASE_JOURNAL,   /* ... and are being written */
	PHASE_ENDED      /* on message.ended: its outcome is to be recorded */
};

/* What was said about an attempt that did not simply succeed. */
struct outcome {
	struct status status;
	int64_t at_ms, next_ms; /* wall clock */
	const char *what;       /* "deferred", "failed", ... */
	const char *rule;       /* see struct retry; may be NULL */
	bool remote;            /* status has the next host's own words */
	char host[];            /* NUL-terminated */
};

struct rcpt {
	TAILQ_ENTRY(rcpt) all;  /* message.rcpts */
	TAILQ_ENTRY(rcpt) list; /* see enum phase */
	struct message *m;
	struct dest *dest;      /* it has a slot there or waits for one */
	struct rcpt *leader;    /* LED */
	struct rcpts led;       /* those in one job with it */
	uint32_t nled;
	struct place *place;    /* owned: where it goes, once that is known */
	struct place **places;  /* owned: what a resolution gave */
	uint32_t nplaces, places_cap;
	struct outcome *outcome; /* owned */
	struct report *report;   /* owned: no recipient, but a notice */
	uint64_t job;            /* its number in the lane while it runs */
	uint64_t tag;            /* its place among the parked ones */
	int64_t next_ms;         /* as its file says */
	uint32_t number, kind, parent, notify; /* as in struct qrcpt */
	uint32_t attempts;       /* before this one */
	uint8_t lane, phase;
	uint8_t losses;          /* daemons that went away over it */
	char state;              /* enum qstate, when ended */
	bool counted;            /* in dest.messages */
	bool slot;               /* a slot of dest is taken or kept for it */
	bool resolving;          /* counted in message.nresolving */
	bool early;              /* not due by its own time */
	bool too_many;           /* more places than expansion_max */
	bool crowded;            /* no room for its places now */
	bool has_sender;
	struct slice address, orcpt, target, sender;
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
	TAILQ_ENTRY(message) ring[LANE_COUNT]; /* flow.queue[lane] */
	TAILQ_ENTRY(message) open;  /* qmgr.open */
	TAILQ_ENTRY(message) soon;  /* qmgr.record */
	TAILQ_ENTRY(message) end;   /* qmgr.settle, .writing or .stuck */
	struct mail_id id;
	enum qdir dir;
	enum turn turn;
	enum want want;
	enum verdict verdict;
	char *from;                 /* owned: reverse-path */
	size_t from_len;
	char *envid;                /* owned, or NULL; RFC 3461 4.4 */
	uint32_t flags;             /* ENV_* */
	int64_t by_at_ms;           /* deadline, or 0; RFC 2852 */
	struct flow *flow;          /* its turns; it is one of its users */
	struct qfile *q;            /* owned; NULL: not open */
	size_t open_rcpts;          /* counted in qmgr.open_rcpts */
	size_t big;                 /* counted in qmgr.big_rcpts */
	struct rcpts rcpts;         /* all in memory: owned */
	struct rcpts ready[LANE_COUNT];
	struct rcpts ended;
	uint32_t nlive;             /* in memory and not ended */
	uint32_t nrunning;          /* with a delivery under way */
	uint32_t nresolving;        /* whose way is not known yet */
	uint32_t ngathering;        /* that lead others, who may be among them */
	size_t nfile, next;         /* recipients of the file; the next to be
	                             * taken into memory */
	size_t noriginal;           /* of them from the envelope */
	size_t todo, failed;        /* of the file, by state ... */
	size_t owed;                /* ... success notices owed ... */
	bool counted;               /* ... which are only known then */
	int64_t next_ms;            /* earliest retry seen, or WAIT_NEVER */
	struct dest *park;          /* held: some wait for it, others for
	                             * nothing else */
	struct dest *fed;           /* held: it let the message in ... */
	bool came;                  /* ... and knows that it came */
	struct dest *line;          /* held: its line it was in, and still is
	                             * for those who wait for it */
	struct dest *only;          /* held: where all go that are deferred ... */
	bool scattered;             /* ... there is no such place */
	uint8_t *told_rows;         /* owned: bits, rows told of the delay */
	uint64_t synced;            /* qmgr.sync_round it is queued for */
	char *reason;               /* owned: for want */
	size_t reason_len;
	bool on_ring[LANE_COUNT];
	bool on_record, on_end, is_stuck, is_writing;
	bool stopped;               /* no further recipient is taken */
	bool taking;
	bool attempted;             /* belongs into deferred/ */
	bool shelved;               /* waits for a daemon ... */
	uint8_t shelf;              /* ... of this lane */
	bool suspect;               /* content is to be verified */
	bool unsure;                /* found by a scan: what became of earlier
	                             * attempts is not known */
	bool early;                 /* recipients that are not due are taken too,
	                             * and go if their destination wants it */
	bool forced;                /* an admin wants it tried, whatever is known
	                             * of its destination */
	bool again;                 /* retry at once when settled */
	bool told;                  /* the log knows why it is stuck */
	bool warned, late;          /* the sender was told of the delay, of the
	                             * deadline that passed */
	bool mute;                  /* a notice failed: none until next time */
	bool pinned, journalled;    /* expansion: the file stays open; synced */
};

/* ---- expand.c ---- */

/* The places of r (at least one) replace it as soon as they are journalled. */
void expand_add(struct qmgr *qm, struct rcpt *r);
/* r goes on to the one mailbox p: has p's forward file been read already?
 * False: the file cannot be read (m->verdict). */
bool expand_one(struct qmgr *qm, struct rcpt *r, struct place *p);
/* Writes some; true if more are left. */
bool expand_flush(struct qmgr *qm);
/* row was expanded to several, or to a list, and the sender is to hear of it. */
bool expansion_owed(struct qfile *q, const struct qrcpt *row);
/* ... to a list: for its sender that is a delivery (RFC 3461 5.2.7.1). */
bool expansion_is_list(struct qfile *q, uint32_t number);

/* ---- message.c ---- */

struct message *message_find(struct qmgr *qm, const struct mail_id *id);
/* From queued's notice, with all its recipients. */
void message_notice(struct qmgr *qm, const struct mail_id *id,
    const struct notice_new *n);
/* From its file; w was taken out of the waiting ones.  fed: the destination
 * that let it in, whose hold goes over, or NULL. */
void message_load(struct qmgr *qm, const struct wait_info *w,
    struct dest *fed);
/* The same for an admin: nothing is started.  m->verdict says how it went;
 * *busy: queued is not done with it yet. */
struct message *message_fetch(struct qmgr *qm, const struct mail_id *id,
    enum qdir dir, bool unsure, bool *busy);
/* What a resolution or a forward file gives; p is r's from then on. */
void rcpt_add_place(struct qmgr *qm, struct rcpt *r, struct place *p);
void rcpt_clear_places(struct qmgr *qm, struct rcpt *r);
/* Its turns, when sender and number of recipients are known; nothing of it is
 * under way or on a lane's ring. */
void message_classify(struct qmgr *qm, struct message *m);
/* Its way is known, or there is none: those that were gathered may go when it
 * was the last one. */
void message_resolved(struct qmgr *qm, struct message *m);
/* m waits for d; rather for one that is only full than for one that is shut. */
void message_park(struct message *m, struct dest *d);
/* A deferred recipient goes to d, as far as is known; NULL: nobody knows. */
void message_seen(struct message *m, struct dest *d);
/* A notice, as if it were a recipient; owned by m as they are. */
struct rcpt *message_add_report(struct qmgr *qm, struct message *m,
    struct report *report);
/* r leaves memory. */
void message_drop_rcpt(struct qmgr *qm, struct rcpt *r);
/* Something ended: takes the next recipients, or has it settled. */
void message_progress(struct qmgr *qm, struct message *m);
/* Nothing more is started for it (m->want or m->verdict says why); deliveries
 * under way may end. */
void message_stop(struct qmgr *qm, struct message *m);
void message_free(struct qmgr *qm, struct message *m);

/* ---- settle.c ---- */

/* m waits for it. */
void settle_add(struct qmgr *qm, struct message *m);
/* m does not wait for it. */
void settle_remove(struct qmgr *qm, struct message *m);
/* Settles for a moment; true if more wait. */
bool settle_some(struct qmgr *qm);
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
/* Syncs one file; true if more are waiting. */
bool file_sync_one(struct qmgr *qm);
int file_move(struct qmgr *qm, const char *id, enum qdir from, enum qdir to);

#endif
