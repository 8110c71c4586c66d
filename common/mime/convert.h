/*
 * A message made fit for a way that carries less than it holds (RFC 6152,
 * RFC 3030, RFC 2045): 8-bit content for 7-bit hosts, binary content for those
 * that know lines only.  Part by part: each part's content transfer encoding is
 * changed, quoted-printable for what is mostly text and base64 for the rest,
 * and its header field with it; composite parts keep 7bit, 8bit or binary as
 * what they hold demands.  One pass, bounded memory, any nesting (deeper than
 * CONVERT_DEPTH_MAX is encoded as a whole), any garbage: every octet of every
 * decoded part comes out as it went in.
 *
 * - What needs no change comes out octet for octet.
 * - text/..., message/... and what is no multipart although it says so: quoted-
 *   printable, unless more than a quarter of its octets would need it; all
 *   else, and whatever says binary and is no text, base64, which keeps line
 *   ends.
 * - The label goes out before the body was seen: a part is held back until it
 *   is known what it needs.  One that is clean for longer than 256 KB is
 *   encoded on suspicion; a multipart without a delimiter for so long is taken
 *   for one, and what says an encoding that nobody knows is left as it is,
 *   mended like a preamble.
 * - base64, quoted-printable and uuencode stay, even if they are wrong; octets
 *   among them that cannot go do so without changing what they mean.
 * - multipart/signed is converted like any other: 8-bit content should not have
 *   been signed (RFC 1847 2.1), and to be delivered comes first.
 * - message/rfc822 is not encoded but converted within; message/global may be
 *   encoded, and is, whole, for 7 bits (RFC 6532 3.7).
 * - message/partial and external-body may not be encoded (RFC 2046 5.2.2):
 *   8-bit octets in them stay, and convert_header_8bit tells of them too.
 * - A message that says nothing of MIME, and is encoded, says what it is then:
 *   MIME-Version, and text/plain; charset=unknown-8bit (RFC 1428 3).
 * - Preambles, epilogues, and binary octets in message/partial, which nobody
 *   decodes: as quoted-printable has them, for people.
 * - Header sections: NUL, bare CR and bare LF become spaces, lines above 998
 *   are folded; 8-bit octets stay.
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
/* Something cannot be carried towards CONVERT_7BIT, and may not be changed:
 * 8-bit octets in a header section, or in message/partial.  It was left as it
 * is. */
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
