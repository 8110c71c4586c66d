/*
 * SCRAM's keys (RFC 5802, RFC 7677) and the few functions of libcrypto they are
 * made with.  Stored as Dovecot does:
 *
 *	{SCRAM-SHA-256}ITERATIONS,SALT,STOREDKEY,SERVERKEY
 *
 * the last three in base64.  Of the password only what a client proves is kept:
 * whoever reads the table cannot log in with what stands there, but may guess
 * passwords as with any hash.
 */
#ifndef COMMON_CONF_SCRAM_H
#define COMMON_CONF_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SCRAM_KEY_MAX 32
#define SCRAM_SALT_MAX 64
#define SCRAM_SALT_LEN 16           /* of new ones */
#define SCRAM_ITERATIONS_MIN 1
#define SCRAM_ITERATIONS_MAX 1000000

enum scram_hash { SCRAM_SHA256, SCRAM_SHA1 };

struct scram_keys {
	enum scram_hash hash;
	uint32_t iterations;
	size_t nsalt;
	unsigned char salt[SCRAM_SALT_MAX];
	unsigned char stored[SCRAM_KEY_MAX], server[SCRAM_KEY_MAX];
};

struct buf;

/* Touches what libcrypto loads at first use; before a cage. */
void scram_warm(void);

size_t scram_size(enum scram_hash hash); /* octets of its sums */
bool scram_hmac(enum scram_hash hash, struct slice key, struct slice data,
    unsigned char out[SCRAM_KEY_MAX]);
bool scram_digest(enum scram_hash hash, struct slice data,
    unsigned char out[SCRAM_KEY_MAX]);

/* hash, iterations and salt are set; fills stored and server from a password:
 * the slow part.  False: libcrypto failed. */
bool scram_derive(struct scram_keys *k, struct slice secret);

/* "{SCRAM-...}...".  False: not of this kind, or wrong. */
bool scram_parse(struct slice stored, struct scram_keys *out);
void scram_format(const struct scram_keys *k, struct buf *out);

/* base64 without line ends, appended. */
void scram_base64(struct slice octets, struct buf *out);

#endif
