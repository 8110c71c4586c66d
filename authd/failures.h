/*
 * Wrong passwords, counted by client address (its ip_unit) and by user, in
 * tables of fixed size.  Each failure makes the next answer slower; at
 * auth_failures_max address or user are blocked for auth_block, and for twice as
 * long each time they go on soon after a block (at most 32 times).
 *
 * An address from which a user logged in before is not shut out by what others
 * do to that user's name.
 */
#ifndef AUTHD_FAILURES_H
#define AUTHD_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/net.h"

struct conf;
struct failures;

/* conf is borrowed and may be read anew meanwhile. */
struct failures *failures_new(const struct conf *conf);
void failures_free(struct failures **f);

/* now_ms: clock_mono_ms. */
bool failures_blocked(struct failures *f, const struct ip *ip,
    struct slice user, int64_t now_ms);
/* Counts one; the milliseconds its answer has to wait. */
int64_t failures_add(struct failures *f, const struct ip *ip,
    struct slice user, int64_t now_ms);
/* A correct password: the user starts afresh. */
void failures_forgive(struct failures *f, const struct ip *ip,
    struct slice user, int64_t now_ms);

#define FAILURES_NAME_MAX 64

struct failures_entry {
	bool is_user;
	struct slice name; /* a user, cut; or an address */
	uint32_t count;
	int64_t age_ms;
	int64_t left_ms;   /* of the block; 0: none */
};

/* All that counts at this moment. */
void failures_each(struct failures *f, int64_t now_ms,
    void (*fn)(void *arg, const struct failures_entry *e), void *arg);
/* Forgets a user or an address (its unit), "": all.  How many. */
uint32_t failures_forget(struct failures *f, struct slice name);

#endif
