/*
 * quoted-printable in pieces (RFC 2045 6.7).
 */
#ifndef COMMON_MIME_QP_H
#define COMMON_MIME_QP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

#define QP_LINE 76u
#define QP_BLANKS_MAX 256u

/* ---- encoding ---- */

/*
 * CRLF is a line's end; a CR or LF alone, NUL, other controls and 8-bit octets
 * are encoded.  What has a meaning at the start of a line for those who carry
 * or split mail ("--", "From ", ".") is encoded there too, so that no line of
 * the result can be a boundary's.
 */
struct qp_encoder { /* starts as 0 */
	uint32_t column;
	bool cr;         /* the last octet was CR */
	bool held_there; /* one octet is held until it is known what follows */
	unsigned char held;
};

/* Octets that n octets may add to out, end included: each =XX, and soft line
 * breaks. */
#define QP_ENCODED_MAX(n) ((n) * 3 + ((n) / 24 + 2) * 3 + 16)

void qp_encode(struct qp_encoder *e, struct slice in, struct buf *out);
/* eol: something that does not begin with CRLF follows, so that a line that was
 * begun is ended: by a soft line break, which is no octet of the data. */
void qp_encode_end(struct qp_encoder *e, bool eol, struct buf *out);

/* ---- decoding ---- */

/*
 * What is not right is taken for what it most probably is (RFC 2045 6.7,
 * notes): "=" without two hexadecimal digits stands for itself, lower case is
 * fine, LF ends a line too, 8-bit octets stay.  Blanks at the end of a line go,
 * but not more than QP_BLANKS_MAX of them.
 */
struct qp_decoder { /* starts as 0 */
	bool bad;          /* something was not right */
	unsigned state;
	char escape;       /* the octet behind "=" */
	char blanks[QP_BLANKS_MAX];
	size_t nblanks;
};

/* At most in.len + QP_BLANKS_MAX + 3 octets are added to out. */
void qp_decode(struct qp_decoder *d, struct slice in, struct buf *out);
void qp_decode_end(struct qp_decoder *d, struct buf *out);

#endif
