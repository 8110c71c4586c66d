/*
 * TLS sessions for resumption, in memory that all workers share.  Bounded; one
 * is handed out once, and not after its time; a full set loses its oldest.
 */
#ifndef KEYD_CACHE_H
#define KEYD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"

struct cache;

/* Before the fork; 0 sessions: NULL, with which all calls do nothing. */
struct cache *cache_new(size_t sessions, int64_t life_ms);
/* For those put from now on by this process and its children. */
void cache_life(struct cache *c, int64_t life_ms);
/* owner: the user that may take it back, and context the protocol. */
bool cache_put(struct cache *c, uid_t owner, struct slice context,
    struct slice id, struct slice session, int64_t now_ms);
/* Appends it to *out; it is gone then.  False: there is none. */
struct buf;
bool cache_take(struct cache *c, uid_t owner, struct slice context,
    struct slice id, int64_t now_ms, struct buf *out);
/* A worker has died, perhaps in the middle: what it held is wiped. */
void cache_release(struct cache *c, pid_t dead);

#endif
