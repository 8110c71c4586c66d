/*
 * The forms of a message that DKIM signatures are made of (RFC 6376 3.4), and
 * the header fields they cover (5.4.2).  Octets come in pieces of any size; of
 * the body nothing is kept, of the header the fields that the caller adds.
 *
 * Only CRLF ends a line: a bare CR or LF (BINARYMIME) is an octet like any
 * other.
 */
#ifndef COMMON_MAIL_DKIM_CANON_H
#define COMMON_MAIL_DKIM_CANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct crypto_hash;
struct header_field;

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };

/* ---- body ---- */

typedef void dkim_canon_fn(void *arg, const char *p, size_t n);

struct dkim_body { /* the first three set by the caller, the rest 0 */
	enum dkim_canon canon;
	dkim_canon_fn *out;
	void *arg;
	uint64_t empty; /* empty lines that wait for one that is not */
	bool line;      /* the line under way has an octet */
	bool blank;     /* blanks wait for what follows them */
	bool cr;        /* so does a CR */
	bool any;       /* something was given out */
};
void dkim_body_feed(struct dkim_body *b, const char *p, size_t n);
void dkim_body_end(struct dkim_body *b);

/* ---- header ---- */

#define DKIM_FIELDS_MAX 10000u /* kept of one message */
#define DKIM_HEADER_MAX ((size_t)17 * 1024 * 1024) /* octets of them; more than
                                * the highest header_size_max */

struct dkim_field {
	size_t at, name_len; /* in text */
	size_t value_at, end;
	bool taken;
};
struct dkim_fields { /* DKIM_FIELDS_INIT */
	struct buf text;
	struct dkim_field *v; /* owned */
	size_t n, cap;
	bool overflow;        /* some were not kept */
};
#define DKIM_FIELDS_INIT {BUF_INIT(DKIM_HEADER_MAX), NULL, 0, 0, false}

void dkim_fields_free(struct dkim_fields *f);
/* Keeps a copy. */
void dkim_fields_add(struct dkim_fields *f, const struct header_field *field);
struct slice dkim_fields_name(const struct dkim_fields *f, size_t i);
struct slice dkim_fields_value(const struct dkim_fields *f, size_t i);
/* RFC 6376 5.4.2: the last one of that name that was not taken since
 * dkim_fields_untake; false: none is left. */
bool dkim_fields_take(struct dkim_fields *f, struct slice name, size_t *i);
void dkim_fields_untake(struct dkim_fields *f);
/* Field i in its form, with CRLF. */
void dkim_fields_hash(const struct dkim_fields *f, size_t i,
    enum dkim_canon canon, struct crypto_hash *h);

/* Name and value (without its last CRLF) in the relaxed form, without CRLF. */
void dkim_relaxed(struct slice name, struct slice value, struct buf *out);

#endif
