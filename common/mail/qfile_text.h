/*
 * How values are written in a queue file's lines: postern-queue(5), VALUES.
 * Shared by the writer and the reader; nobody else includes this.
 */
#ifndef COMMON_MAIL_QFILE_TEXT_H
#define COMMON_MAIL_QFILE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct buf;

/* A word: no space, no control character, nothing that could end it early.
 * Empty is "<>". */
void qtext_put_word(struct buf *out, struct slice s);
/* " key=word"; nothing at all for an empty value. */
void qtext_put_pair(struct buf *out, const char *key, struct slice s);
/* Text to the end of its line: spaces stay. */
void qtext_put_rest(struct buf *out, struct slice s);
/* "2026-11-22T19:20:51.123Z" */
void qtext_put_time(struct buf *out, int64_t ms);
/* "never" or "success,failure,delay" */
void qtext_put_notify(struct buf *out, uint32_t notify);
/* "mailbox"; kind is 1 to 4 */
void qtext_put_kind(struct buf *out, uint32_t kind);
bool qtext_kind_known(uint32_t kind);

/* The reverse.  Decodes in to at (room for in.len octets; may be in.p), false
 * if the quoting is broken. */
bool qtext_word(struct slice in, char *at, size_t *len);
bool qtext_rest(struct slice in, char *at, size_t *len);
bool qtext_time(struct slice in, int64_t *ms);
bool qtext_notify(struct slice in, uint32_t *notify);
bool qtext_kind(struct slice in, uint32_t *kind);

/* Eight lower-case hex digits. */
#define QTEXT_SUM_WIDTH 8
void qtext_sum(uint32_t sum, char out[QTEXT_SUM_WIDTH]);
/* Exactly width digits. */
void qtext_digits(uint64_t n, size_t width, char *out);

/* A name whose first letter is upper-case: who does not know it must not touch
 * the file. */
static inline bool
qtext_critical(struct slice name)
{
	return name.len > 0 && name.p[0] >= 'A' && name.p[0] <= 'Z';
}

/* "key=value" into both; false without '='. */
static inline bool
qtext_pair(struct slice word, struct slice *key, struct slice *value)
{
	*value = word;
	if (!slice_cut(value, '=', key) || value->p == NULL)
		return false;
	return true;
}

#endif
