/*
 * The messages that wait: deferred ones until their time, and fresh ones for
 * which there was no room yet.  A waiting message costs some fifty octets here
 * and nothing else: envelope and recipients stay on disk until it is due.
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
#define WAIT_SHELVED 4u /* waits for a daemon to come back */
#define WAIT_FLAGS 7u

struct wait_info {
	struct mail_id id;
	int64_t next_ms; /* wall clock */
	unsigned flags;
};

struct wait;

struct wait *wait_new(void);
void wait_free(struct wait **w);
/* Adds it, or replaces time and flags. */
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
/* All shelved ones are due at now_ms. */
void wait_unshelve(struct wait *w, int64_t now_ms);
size_t wait_count(const struct wait *w);
/* Octets of memory held. */
size_t wait_memory(const struct wait *w);

#endif
