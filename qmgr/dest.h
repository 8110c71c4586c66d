/*
 * Destinations: where jobs go to at the same time.  A mailbox and a user's
 * programs have a fixed limit and are forgotten when nobody goes there any
 * more; another host's limit adapts (adapt.h), it can be down, and messages
 * wait for it in a line (wait.h) without being in memory.
 */
#ifndef QMGR_DEST_H
#define QMGR_DEST_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "qmgr/adapt.h"
#include "qmgr/lane.h"

struct loop_timer;
struct outcome_from;
struct qmgr;
struct wait_info;

/* The last thing that went wrong there. */
struct dest_error {
	struct status status;
	int64_t at_ms; /* wall clock */
	bool remote;   /* the host's own words */
	char host[];   /* NUL-terminated */
};

struct dest {
	LIST_ENTRY(dest) hash;
	TAILQ_ENTRY(dest) feed; /* qmgr.feeding: some of its line may come */
	TAILQ_ENTRY(dest) idle; /* qmgr.idle: nobody points here */
	struct qmgr *qm;
	enum lane_no no;
	struct rcpts parked;    /* by their tags */
	struct rcpts gathering;
	uint64_t tag;           /* of the last one that went */
	uint32_t users;         /* who points here */
	uint32_t units;         /* jobs ready, parked or under way */
	uint32_t messages;      /* they are of, about */
	const struct message *last; /* the one that came last; only compared */
	uint32_t nfed;          /* messages let in that did not come yet */
	uint32_t gone;          /* jobs ended since the last one was let in */
	uint32_t slots;         /* taken or kept */
	uint32_t most;          /* of its route, or 0 */
	uint32_t line;          /* its line of waiting messages, or 0 */
	size_t rush;            /* of those with times of their own that many
	                         * are let in all the same */
	struct adapt adapt;     /* LANE_REMOTE */
	struct dest_error *error; /* owned, or NULL */
	char *pause;            /* owned: reason of an admin; NULL: not paused */
	char *route;            /* owned: text for remote */
	char *domain;           /* owned: the first one that led here */
	char *others;           /* owned: further ones, each with a newline */
	struct loop_timer *probe; /* owned, or NULL */
	bool on_feed, on_idle;
	size_t len;
	char key[];
};

LIST_HEAD(dest_bucket, dest);
TAILQ_HEAD(dests, dest);

void dest_init(struct qmgr *qm);
/* Of qmgr.dests. */
size_t dest_buckets(void);
void dest_free_all(struct qmgr *qm);
/* NULL: nobody goes there now, and nothing is remembered. */
struct dest *dest_find(struct qmgr *qm, enum lane_no no, struct slice key);
/* Found or made; the caller holds it. */
struct dest *dest_get(struct qmgr *qm, enum lane_no no, struct slice key);
/* The next one behind d, or the first; NULL at the end. */
struct dest *dest_next(struct qmgr *qm, const struct dest *d);
/* The destination of a remote recipient; held.  NULL: *why says what is wrong
 * with the domain or the route (5xx). */
struct dest *dest_remote(struct qmgr *qm, struct slice address,
    struct slice route, struct status *why);
void dest_hold(struct dest *d);
void dest_drop(struct dest *d);

/* r belongs to d (held for it, the caller's hold goes over), with a unit of
 * its own unless it is led. */
void dest_join(struct dest *d, struct rcpt *r);
/* No longer, and its slot is free for others. */
void dest_leave(struct rcpt *r);
/* Nothing may begin there but a probe. */
bool dest_is_shut(const struct dest *d);
/* Too many are in memory for it: further ones wait in its line. */
bool dest_is_full(const struct dest *d);
bool dest_is_down(const struct dest *d);

enum dest_answer {
	DEST_GO,
	DEST_LATER, /* parked until a slot is free */
	DEST_SHUT   /* r must wait elsewhere: outcome_park */
};
/* May r begin now?  GO takes a slot, LATER parks it. */
enum dest_answer dest_ask(struct dest *d, struct rcpt *r);

/* How a job begun at started_ms (clock_mono_ms) went there. */
void dest_result(struct dest *d, enum transfer_dest what, int64_t started_ms,
    const struct status *status, const struct outcome_from *from);
/* When it is probed next (wall clock); 0: it is not down. */
int64_t dest_next_ms(const struct dest *d);
uint32_t dest_limit(const struct dest *d);

/* The line that messages wait in for it. */
uint32_t dest_line(struct dest *d);
size_t dest_waiting(const struct dest *d);
/* Takes a message out of some line that wants one; the caller owns a hold. */
struct dest *dest_feed(struct qmgr *qm, struct wait_info *out);
bool dest_wants_feed(const struct qmgr *qm);
/* The message that was let in has come, or will not. */
void dest_fed(struct dest *d);
/* One was put into its line: may it leave again? */
void dest_look(struct dest *d);

/* An admin's wishes; reason NULL ends a pause. */
void dest_pause(struct dest *d, const char *reason);
/* All that waits for it is tried now. */
void dest_retry(struct dest *d);
/* Is `name` (lower case) a domain that leads there; sub: or one below it. */
bool dest_serves(const struct dest *d, struct slice name, bool sub);

#endif
