/*
 * The charsets of mail, and their text in UTF-8.  The list is fixed: what a
 * message names is looked up there and never handed to the C library.  All of
 * it is opened at once, before a process enters its cage, for iconv(3) loads a
 * file for each.
 */
#ifndef COMMON_MIME_CHARSET_H
#define COMMON_MIME_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct charsets;

/* What the C library lacks is missing, and unknown then. */
struct charsets *charsets_new(void);
void charsets_free(struct charsets **cs);

/* Any of its names, in any case. */
bool charsets_known(const struct charsets *cs, struct slice name);
/* Text in it must not be cut in pieces or joined: it has shift states. */
bool charsets_shifts(const struct charsets *cs, struct slice name);

/*
 * Appends the text in UTF-8, U+FFFD for each octet that means nothing.  False:
 * the charset is unknown, nothing was appended.  ISO-8859-1 is read as its
 * superset windows-1252, GB2312 and GBK as GB18030, and so on: what is found
 * under these names is that.
 */
bool charsets_decode(struct charsets *cs, struct slice name, struct slice text,
    struct buf *out);
/* The same for text that says nothing: UTF-8 as far as it is that. */
void charsets_utf8(struct slice text, struct buf *out);

#endif
