/*
 * The messages that wait: deferred ones until their time, and fresh ones for
 * which there was no room yet.  A waiting message costs some fifty octets here
 * and nothing else: envelope and recipients stay on disk until it is due.
 *
 * A line is a queue of waiting messages that have something in common: the
 * destination they wait for, or the daemon.  Those that are parked in it wait
 * for whoever keeps the line; the others only belong there and have a time of
 * their own.
 */
#ifndef QMGR_WAIT_H
#define QMGR_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mail/id.h"

#define WAIT_NEVER INT64_MAX

/* What is known of a waiting message.  Fresh ones have a heap of their own, so
 * that no back-log is looked at before them. */
#define WAIT_FRESH 1u   /* in incoming/; without it in deferred/ */
#define WAIT_UNSURE 2u  /* found by a scan: queued may not be done with it */
#define WAIT_PARKED 4u  /* in its line; its time is the latest, not the next */
#define WAIT_EARLY 8u   /* whatever its file says of the next time */
#define WAIT_FORCED 16u /* an admin's wish */
#define WAIT_FLAGS 31u

struct wait_info {
	struct mail_id id;
	int64_t next_ms; /* wall clock */
	unsigned flags;
	uint32_t line;   /* or 0 */
};

struct wait;

struct wait *wait_new(void);
void wait_free(struct wait **w);
/* Adds it, or replaces what was known; parked ones go to their line's end. */
void wait_put(struct wait *w, const struct wait_info *info);
bool wait_get(const struct wait *w, const struct mail_id *id,
    struct wait_info *out);
/* Takes it out; false if it is not there. */
bool wait_take(struct wait *w, const struct mail_id *id,
    struct wait_info *out);
/* Takes out the earliest (oldest at the same time) of the fresh ones or of the
 * others, if it is due at now_ms. */
bool wait_take_due(struct wait *w, bool fresh, int64_t now_ms,
    struct wait_info *out);
/* The earliest time of both kinds; WAIT_NEVER without any. */
int64_t wait_next_ms(const struct wait *w, bool fresh);
size_t wait_count(const struct wait *w);
/* Deferred ones in no line: nobody knows what they wait for. */
size_t wait_unknown(const struct wait *w);
/* Looks at no more than `most` places from *at on, which begins with 0 and moves
 * along, WAIT_END behind the last: true with the first one found. */
#define WAIT_END UINT32_MAX
bool wait_walk(const struct wait *w, uint32_t *at, uint32_t most,
    struct wait_info *out);
/* Octets of memory held. */
size_t wait_memory(const struct wait *w);

/* ---- lines ---- */

/* A new one, never 0; whose it is. */
uint32_t wait_line_new(struct wait *w, void *owner);
void *wait_line_owner(const struct wait *w, uint32_t line);
/* Its messages wait on without it, the parked ones until at_ms at most. */
void wait_line_free(struct wait *w, uint32_t line, int64_t at_ms);
size_t wait_line_count(const struct wait *w, uint32_t line, bool parked);
/* Takes out the one that was put there first. */
bool wait_line_take(struct wait *w, uint32_t line, bool parked,
    struct wait_info *out);

#endif
