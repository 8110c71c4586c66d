/* APOP (RFC 1939 7): MD5 over the banner's challenge and the shared secret. */
#ifndef AUTHD_APOP_H
#define AUTHD_APOP_H

#include <stdbool.h>

#include "common/base/slice.h"

struct apop;

/* Finds the digest in libcrypto; before the cage.  Without MD5 (a system in
 * FIPS mode) it is logged, and nobody gets in by APOP. */
struct apop *apop_new(void);
void apop_free(struct apop **a);

/* digest: 32 hexadecimal digits, compared in constant time. */
bool apop_verify(const struct apop *a, struct slice challenge,
    struct slice secret, struct slice digest);

#endif
