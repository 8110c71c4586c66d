/* When a message is tried again. */
#ifndef QMGR_RETRY_H
#define QMGR_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_conf {
	int64_t first_ms;    /* pause behind the first attempt */
	int64_t max_ms;      /* the longest pause */
	int64_t lifetime_ms; /* how long a message is tried at all */
};

struct retry {
	bool expired;     /* no further attempt: the lifetime is over */
	int64_t next_ms;  /* wall clock; 0 when expired */
	const char *rule; /* "first", "retry", "retry-max", "lifetime" */
};

/*
 * The next attempt behind one that failed for now.  attempts: how many there
 * were, this one included; random: any number, spreads attempts that failed
 * together by a tenth in both directions.  The last attempt is made at the end
 * of the lifetime.
 */
struct retry retry_next(const struct retry_conf *c, int64_t created_ms,
    int64_t now_ms, uint32_t attempts, uint32_t random);

#endif
