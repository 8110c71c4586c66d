/*
 * The header section of a message, field by field (RFC 5322 2.2).  Only CRLF
 * ends a line and only an empty line ends the section: a bare CR or LF is an
 * octet like any other.
 *
 * Nothing is ever refused here.  A line that is no field (no colon, or a name
 * that is not of printable ASCII without spaces: RFC 5322 3.6.8) is reported
 * with the lines folded to it under an empty name, its text being the value,
 * and the section goes on behind it: who looks for a field finds every one that
 * any reader of the message might find.  Blanks between name and colon (RFC
 * 5322 4.5) are allowed.
 */
#ifndef COMMON_MIME_HEADER_H
#define COMMON_MIME_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct header_field {
	struct slice name;  /* as written; empty: no field */
	struct slice value; /* all between the colon and the last CRLF, folded
	                     * as it came; behind a name, in the same memory:
	                     * only blanks and the colon lie between them */
	uint64_t offset;    /* of the name in the message */
	uint64_t length;    /* whole, with the last CRLF */
	bool cut;           /* name and value are only the field's start */
};

struct header_counts {
	uint64_t octets;    /* of the section, the empty line included: where
	                     * the body starts */
	uint64_t fields;    /* well-formed ones */
	uint64_t received;  /* Received fields among them */
	uint64_t malformed; /* what was reported without a name */
};

/* Names compare without regard to case (RFC 5322 1.2.2, 3.6); "" is the name of
 * what is no field. */
static inline bool
header_is(const struct header_field *f, const char *name)
{
	return slice_ieq(f->name, slice_of(name));
}

/* ---- a message that arrives in pieces ---- */

struct header_scan;

/* Called once for each field, when what follows it was seen (a field may be
 * folded on); f and what it points to live until the return. */
typedef void header_fn(void *arg, const struct header_field *f);

/* Of each field at most keep octets (and at least 256) are kept and shown.
 * fn may be NULL: only counting. */
struct header_scan *header_scan_new(size_t keep, header_fn *fn, void *arg);
void header_scan_free(struct header_scan **h);
/* The next message. */
void header_scan_reset(struct header_scan *h);

/* The next octets of the message.  Returns how many of them belong to the
 * section: len, or fewer if it is complete. */
size_t header_scan_feed(struct header_scan *h, const void *p, size_t len);
/* The message ended: reports a last field that nothing follows. */
void header_scan_end(struct header_scan *h);
/* The empty line, or the message's end, was seen. */
bool header_scan_done(const struct header_scan *h);
/* Also while a message is under way; octets counts whole feeds. */
const struct header_counts *header_scan_counts(const struct header_scan *h);

/* ---- a message, or its start, in memory ---- */

/* The field at *at, which starts as 0 and is moved behind it; nothing is cut.
 * False: no more, *at is where the body starts. */
bool header_next(struct slice message, size_t *at, struct header_field *f);
/* The first field of that name. */
bool header_find(struct slice message, const char *name,
    struct header_field *f);

#endif
