/*
 * Hashes, and keys for signatures, by OpenSSL's libcrypto (TLS is common/tls).
 * What libcrypto loads at its first use it loads in crypto_preload, which a
 * process calls before its cage.  Out of memory, and a library without SHA-256,
 * end the process with 111.
 */
#ifndef COMMON_BASE_CRYPTO_H
#define COMMON_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

struct buf;

void crypto_preload(void);

/* ---- hashes (crypto_hash.c) ---- */

enum crypto_digest {
	CRYPTO_SHA256,
	CRYPTO_MD5 /* for what was built on it long ago (APOP) */
};
#define CRYPTO_SHA256_LEN 32u
#define CRYPTO_MD5_LEN 16u
#define CRYPTO_HASH_MAX 32u

struct crypto_hash;
/* NULL: libcrypto does not offer it here (never SHA-256). */
struct crypto_hash *crypto_hash_new(enum crypto_digest digest);
void crypto_hash_free(struct crypto_hash **h);
void crypto_hash_add(struct crypto_hash *h, const void *p, size_t n);
/* What was added since the start or the last end; returns the octets. */
size_t crypto_hash_end(struct crypto_hash *h,
    unsigned char out[CRYPTO_HASH_MAX]);

/* ---- keys (crypto_key.c) ---- */

enum crypto_kind { CRYPTO_RSA = 1, CRYPTO_ED25519 = 2 };
#define CRYPTO_ED25519_LEN 32u
#define CRYPTO_RSA_BITS_MAX 16384u /* more are refused: they cost too much */

struct crypto_public;
/* RSA: SubjectPublicKeyInfo, or RSAPublicKey alone; Ed25519: the 32 octets.
 * NULL: it is none. */
struct crypto_public *crypto_public_new(enum crypto_kind kind,
    struct slice octets);
void crypto_public_free(struct crypto_public **k);
unsigned crypto_public_bits(const struct crypto_public *k);
/* RSA: PKCS#1 v1.5 of a SHA-256 sum; Ed25519: pure, of these octets. */
bool crypto_public_verify(const struct crypto_public *k, struct slice sum,
    struct slice signature);

/* A new private key as PEM (PKCS#8).  bits: of RSA.  pem is a secret: its room
 * is taken at once (CRYPTO_PEM_MAX), release it with buf_wipe. */
#define CRYPTO_PEM_MAX 16384u
bool crypto_key_make(enum crypto_kind kind, unsigned bits, struct buf *pem);
/* The public half of a private key in PEM, in the form of crypto_public_new
 * (RSA: SubjectPublicKeyInfo).  False: no key of either kind. */
bool crypto_key_public(struct slice pem, enum crypto_kind *kind,
    unsigned *bits, struct buf *out);

#endif
