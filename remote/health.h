/*
 * What was learnt about addresses lately, shared by all remote processes: a
 * small table of hints in the parent's memory.  An address, or a whole family,
 * that failed a short time ago is tried last.  Any process may spoil it: then
 * an order is worse, nothing else.
 */
#ifndef REMOTE_HEALTH_H
#define REMOTE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct health;
struct ip;

struct health *health_new(void);
/* now_ms: clock_mono_ms */
void health_failed(struct health *h, const struct ip *ip, int64_t now_ms);
void health_worked(struct health *h, const struct ip *ip);
/* Did it, or the family it belongs to, fail within the last memory_ms? */
bool health_doubtful(const struct health *h, const struct ip *ip,
    int64_t now_ms, int64_t memory_ms);
bool health_v6_doubtful(const struct health *h, int64_t now_ms,
    int64_t memory_ms);

#endif
