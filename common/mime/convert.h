/*
 * A message made fit for a way that carries less than it holds (RFC 6152,
 * RFC 3030, RFC 2045): 8-bit content for 7-bit hosts, binary content for those
 * that know lines only.  Part by part: each part's content transfer encoding is
 * changed, quoted-printable for what is mostly text and base64 for the rest,
 * and its header field with it; composite parts keep 7bit, 8bit or binary as
 * what they hold demands.  One pass, bounded memory, any nesting (deeper than
 * CONVERT_DEPTH_MAX is encoded as a whole), any garbage: every octet of every
 * decoded part comes out as it went in.
 */
#ifndef COMMON_MIME_CONVERT_H
#define COMMON_MIME_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

enum convert_to {
	CONVERT_7BIT, /* lines of at most 998 octets, no octet above 127 */
	CONVERT_8BIT  /* lines of at most 998 octets; no bare CR or LF, no NUL:
	               * what BODY=BINARYMIME may have brought is encoded */
};

#define CONVERT_DEPTH_MAX 50

struct convert;
/* Output goes to out, in pieces; false from it ends the conversion. */
typedef bool convert_fn(void *arg, const void *p, size_t n);

struct convert *convert_new(enum convert_to to, convert_fn *out, void *arg);
/* The next octets of the message (CRLF).  False: out said so. */
bool convert_feed(struct convert *c, const void *p, size_t n);
/* The end; what is left goes out.  False: out said so. */
bool convert_end(struct convert *c);
void convert_free(struct convert **c);
/* Something of the header section itself cannot be carried (8-bit octets in a
 * header field towards CONVERT_7BIT): it was left as it is. */
bool convert_header_8bit(const struct convert *c);

/* What a message holds, found without converting: feed it all. */
struct convert_look {
	bool eight_bit;  /* an octet above 127 in the body */
	bool header_8bit; /* ... in a header section (of the message itself) */
	bool binary;     /* NUL, bare CR, bare LF, or a line above 998 */
	unsigned state;  /* private, starts as 0 with the rest */
	uint32_t column;
};
void convert_look(struct convert_look *l, const void *p, size_t n);

#endif
