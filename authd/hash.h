/* SipHash-2-4 with a key born at the start of the process: places in tables
 * that strangers fill cannot be aimed at. */
#ifndef AUTHD_HASH_H
#define AUTHD_HASH_H

#include <stdint.h>

#include "common/base/slice.h"

struct hash_key {
	uint64_t k0, k1;
};

struct hash_key hash_key_new(void);
/* kind keeps the same octets apart that mean different things. */
uint64_t hash_slice(const struct hash_key *key, char kind, struct slice s);

#endif
