/*
 * Encoded words (RFC 2047, RFC 2231 5) and what else stands in header fields,
 * as text in UTF-8.
 */
#ifndef COMMON_MIME_WORDS_H
#define COMMON_MIME_WORDS_H

#include "common/base/buf.h"
#include "common/base/slice.h"

struct charsets;
struct content_param;

/*
 * Appends the value of a field, unfolded and with its encoded words decoded
 * wherever they stand; words of one charset that follow each other may share a
 * character (many are cut so, RFC 2047 5 or not).  Of an unknown charset, or
 * broken, they stay as they are.  8-bit octets are UTF-8, or U+FFFD; NUL, CR
 * and LF that fold nothing, encoded ones too, are spaces.  out is valid UTF-8
 * if it was before.
 */
void words_decode(struct charsets *cs, struct slice value, struct buf *out);

/* A parameter's value: by its charset (RFC 2231), else by encoded words, which
 * have no place there and are common. */
void words_param(struct charsets *cs, const struct content_param *p,
    struct buf *out);

#endif
