/*
 * base64 in pieces (RFC 2045 6.8, RFC 4648 4).
 */
#ifndef COMMON_MIME_BASE64_H
#define COMMON_MIME_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

#define BASE64_LINE 76u

/* ---- encoding ---- */

struct base64_encoder {
	bool lines;            /* set by the caller: CRLF between lines of
	                        * BASE64_LINE octets (none behind the last) */
	unsigned char rest[2]; /* the rest starts as 0 */
	unsigned nrest;
	uint32_t column;
};

/* Octets that n octets may add to out, end included. */
#define BASE64_ENCODED_MAX(n) (((n) / 3 + 2) * 4 + ((n) / 57 + 2) * 2)

/* out has room for them, or they are dropped and out->overflow tells it. */
void base64_encode(struct base64_encoder *e, struct slice in, struct buf *out);
void base64_encode_end(struct base64_encoder *e, struct buf *out);

/* ---- decoding ---- */

struct base64_decoder {
	/* Set by the caller: only the alphabet, complete quanta, padding where
	 * it belongs, no bits left over, nothing behind it; else: whatever is
	 * not of the alphabet is passed over (RFC 2045 6.8), padding ends the
	 * data, an incomplete last quantum gives what it has. */
	bool strict;
	bool bad;              /* something was not as it should (line ends and
	                        * blanks are nothing of the kind); all the rest
	                        * starts as 0 */
	bool ended;            /* padding was seen */
	unsigned n, pads;      /* octets of the quantum under way */
	uint32_t bits;
};

/* At most in.len + 2 octets are added to out (at the end 2).  False: strict,
 * and it is bad. */
bool base64_decode(struct base64_decoder *d, struct slice in, struct buf *out);
bool base64_decode_end(struct base64_decoder *d, struct buf *out);

#endif
