/*
 * Right passwords, remembered for auth_remember, so that a client which logs in
 * again and again costs one slow hash in that time.  Kept is an HMAC-SHA-256 of
 * name, password and all that the table holds of the account, with a key that
 * was born with this process and never leaves it: a changed password, a removed
 * account or a new scope is another sum.  Bounded; the oldest makes way.
 */
#ifndef AUTHD_REMEMBER_H
#define AUTHD_REMEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define REMEMBER_SUM 32

struct remember;
struct secrets;

struct remember *remember_new(void);
void remember_free(struct remember **r); /* wiped */
/* In a forked child: none of its business. */
void remember_wipe(struct remember *r);

/* False: it cannot be made; nothing is remembered then. */
bool remember_sum(const struct remember *r, struct slice user,
    struct slice password, const struct secrets *secrets,
    unsigned char sum[REMEMBER_SUM]);
/* *which: the number of the secret that was right. */
bool remember_has(struct remember *r, const unsigned char sum[REMEMBER_SUM],
    int64_t now_ms, int64_t life_ms, unsigned *which);
void remember_put(struct remember *r, const unsigned char sum[REMEMBER_SUM],
    int64_t now_ms, unsigned which);

#endif
