/*
 * Verifying DKIM signatures (RFC 6376 6, RFC 8301, RFC 8463): the message is
 * fed once, in pieces; keys come from whoever `find` asks (DNS).
 */
#ifndef COMMON_MAIL_DKIM_VERIFY_H
#define COMMON_MAIL_DKIM_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/base/slice.h"
#include "common/mail/dkim_canon.h"

#define DKIM_SIGNATURES_MAX 8u /* looked at, from the top; others are not */

/* RFC 8601 2.7.1 */
enum dkim_verdict {
	DKIM_PASS,
	DKIM_FAIL,      /* it does not verify */
	DKIM_POLICY,    /* it does, and is not to be relied on */
	DKIM_NEUTRAL,   /* it cannot be understood */
	DKIM_TEMPERROR, /* no key for now */
	DKIM_PERMERROR  /* no usable key, or no usable signature */
};
const char *dkim_verdict_name(enum dkim_verdict v); /* "pass" */

struct dkim_result {
	enum dkim_verdict verdict;
	const char *why;        /* a fixed text; "" with PASS */
	/* Of the signature, as written without folding; "" what it does not
	 * have.  They live as long as the verifier. */
	struct slice domain, selector, identity, algorithm;
	struct slice b;         /* for header.b of RFC 6008 */
	unsigned bits;          /* of the key; 0: none was found */
	bool testing;           /* the key's t=y */
	bool part;              /* l=: what follows in the body is not signed */
};

enum dkim_find { DKIM_FIND_OK, DKIM_FIND_NONE, DKIM_FIND_TEMP };
/* The TXT records of a name, each with its strings joined; *out lives until the
 * next call. */
typedef enum dkim_find dkim_find_fn(void *arg, struct slice name,
    struct slices *out);

struct dkim_verifier;
/* now_s: seconds since 1970, for x= (0: expired ones pass). */
struct dkim_verifier *dkim_verifier_new(int64_t now_s);
void dkim_verifier_free(struct dkim_verifier **v);
void dkim_verifier_feed(struct dkim_verifier *v, const char *p, size_t n);
/* The message ended: one result for each signature, from the top. */
size_t dkim_verifier_end(struct dkim_verifier *v, dkim_find_fn *find,
    void *arg, const struct dkim_result **out);

/* ---- key records (RFC 6376 3.6.1; dkim_record.c) ---- */

struct dkim_record {
	enum crypto_kind kind;
	struct buf key;      /* p= decoded; empty: revoked */
	bool testing;        /* t=y */
	bool strict;         /* t=s: i= and d= must be the same domain */
	bool sha256, email;  /* h= and s= allow it */
};
/* False: *why; *out holds nothing. */
bool dkim_record_read(struct slice text, struct dkim_record *out,
    const char **why);
void dkim_record_free(struct dkim_record *r);

/* ---- tag=value lists (3.2; dkim_record.c) ---- */

#define DKIM_TAGS_MAX 64u
struct dkim_tag {
	struct slice name, value; /* without blanks and folding around */
	size_t from, to;          /* the value's extent in the text, these
	                           * included */
};
struct dkim_tags {
	struct dkim_tag v[DKIM_TAGS_MAX];
	size_t n;
};
/* False: it is none, or a tag stands twice. */
bool dkim_tags_read(struct slice text, struct dkim_tags *out);
/* NULL: it is not there. */
const struct dkim_tag *dkim_tags_find(const struct dkim_tags *t,
    const char *name);
/* The next of a list with colons, without blanks and folding around it; *rest
 * is moved.  False: no more. */
bool dkim_list_next(struct slice *rest, struct slice *word);
bool dkim_list_has(struct slice list, const char *word);
/* base64 with folding in it; false: it is none. */
bool dkim_base64(struct slice text, struct buf *out);

#endif
