/*
 * The only growing string.  Invariants: s is never NULL, s[len] is NUL,
 * len <= max.  Appends return nothing: what would exceed max sets overflow and
 * is dropped whole, and so is everything after it; the caller asks once.
 * What is appended must not lie in the buffer itself, which may move.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

struct buf {
	char *s;       /* owned by the buffer */
	size_t len;    /* octets in use */
	size_t cap;    /* octets taken from the heap, the NUL included; 0: none */
	size_t max;    /* limit of len */
	bool overflow; /* an append was dropped since the last reset */
};

extern char buf_nothing[1];

#define BUF_INIT(limit) {buf_nothing, 0, 0, (limit), false}

void buf_init(struct buf *b, size_t max);
void buf_reset(struct buf *b);            /* empty, memory kept */
void buf_free(struct buf *b);             /* memory given back, empty */
void buf_wipe(struct buf *b);             /* zeroed first: for secrets, whose
                                           * buffers take their room at once
                                           * (buf_room): growing copies */
struct buf buf_take(struct buf *b);       /* moved out; *b is empty */

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addslice(struct buf *b, struct slice s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
void buf_addu(struct buf *b, unsigned long long n); /* decimal, fast */

/* Room for n more octets behind len; NULL and overflow if that exceeds max.
 * The caller writes there and adds to len with buf_wrote. */
char *buf_room(struct buf *b, size_t n);
void buf_wrote(struct buf *b, size_t n);

/* Drops n octets at the front (n <= len). */
void buf_consume(struct buf *b, size_t n);

static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){b->s, b->len};
}

#endif
