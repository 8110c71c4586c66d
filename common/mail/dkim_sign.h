/*
 * DKIM signatures of one message (RFC 6376 5, RFC 8463): the message is fed
 * once, in pieces, and any number of signatures are made from that.  The
 * private key's part is the caller's: it gets the sum that is to be signed.
 * l= is never written.
 */
#ifndef COMMON_MAIL_DKIM_SIGN_H
#define COMMON_MAIL_DKIM_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/crypto.h"
#include "common/base/slice.h"
#include "common/mail/dkim_canon.h"

struct buf;

/* ---- which header fields ---- */

#define DKIM_NAMES_MAX 100u
#define DKIM_COVERED_MAX 1000u /* entries of one h= */

struct dkim_name {
	struct slice name; /* lower case, of text */
	bool over;         /* once more than it is there (5.4, 8.15): no other
	                    * one can be added */
};
struct dkim_names {
	struct buf text;
	struct dkim_name v[DKIM_NAMES_MAX];
	size_t n;
};
/* Words like "Subject", or "From+" for one that is oversigned.  From is always
 * there (5.4.1).  False: *bad is the word that is no field's name, stands twice
 * or is one too many. */
bool dkim_names_read(const char *const *words, size_t n,
    struct dkim_names *out, const char **bad);
void dkim_names_free(struct dkim_names *names);

/* ---- the message ---- */

struct dkim_signer;

/* names must outlive it. */
struct dkim_signer *dkim_signer_new(const struct dkim_names *names,
    enum dkim_canon header, enum dkim_canon body);
void dkim_signer_free(struct dkim_signer **s);
void dkim_signer_feed(struct dkim_signer *s, const char *p, size_t n);
void dkim_signer_end(struct dkim_signer *s);
/* All header fields were seen. */
bool dkim_signer_header_done(const struct dkim_signer *s);

/* Whose message it is, by its one From field's first address: as written, and
 * its domain in lower-case A-labels.  False: *why it cannot be signed. */
bool dkim_signer_author(const struct dkim_signer *s, struct buf *address,
    struct buf *domain, const char **why);

/* ---- signatures ---- */

struct dkim_signature {
	enum crypto_kind kind; /* a=rsa-sha256 or ed25519-sha256 */
	struct slice domain;   /* d=, in A-labels */
	struct slice selector;
	struct slice identity; /* i=, or "" */
	int64_t time, expires; /* seconds since 1970; 0: none */
};
/* After dkim_signer_end: appends the field, folded, up to and with "b=", and
 * gives the sum to be signed.  False (*why): too much is to be covered. */
bool dkim_signer_field(struct dkim_signer *s, const struct dkim_signature *sig,
    struct buf *field, unsigned char sum[CRYPTO_SHA256_LEN],
    const char **why);
/* Completes that field with the signature, and CRLF. */
void dkim_signature_add(struct slice signature, struct buf *field);

#endif
