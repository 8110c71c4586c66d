/*
 * The only growing string.  Used by every process and on everybody's input:
 * the limit given at its birth is what bounds a peer's use of our memory.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"

#define FIRST_CAP 64
/* No limit goes beyond this, so that no sum below can wrap. */
#define MOST (SIZE_MAX / 4)

/* What s of every buffer without memory points at.  Never written to, or
 * each forked session would get a page of its own for it. */
char buf_nothing[1];

/* Takes care that n more octets and the NUL fit; false: they may not. */
static bool
make_room(struct buf *b, size_t n)
{
	size_t max = b->max < MOST ? b->max : MOST;
	size_t need, cap;

	if (b->overflow)
		return false;
	if (n > max - b->len) {
		b->overflow = true;
		return false;
	}
	need = b->len + n + 1;
	if (need <= b->cap)
		return true;
	cap = b->cap > 0 ? b->cap * 2 : FIRST_CAP;
	if (cap > max + 1)
		cap = max + 1;
	if (cap < need)
		cap = need;
	b->s = mem_grow(b->cap > 0 ? b->s : NULL, cap, 1);
	b->cap = cap;
	b->s[b->len] = '\0';
	return true;
}

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf)BUF_INIT(max);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->cap > 0)
		b->s[0] = '\0';
}

void
buf_free(struct buf *b)
{
	if (b->cap > 0)
		free(b->s);
	buf_init(b, b->max);
}

void
buf_wipe(struct buf *b)
{
	if (b->cap > 0)
		explicit_bzero(b->s, b->cap);
	buf_free(b);
}

struct buf
buf_take(struct buf *b)
{
	struct buf taken = *b;

	buf_init(b, b->max);
	return taken;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !make_room(b, n))
		return;
	memcpy(b->s + b->len, p, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addslice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.len);
}

void
buf_addc(struct buf *b, char c)
{
	if (!make_room(b, 1))
		return;
	b->s[b->len++] = c;
	b->s[b->len] = '\0';
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int n;

	if (!make_room(b, 0))
		return;
	room = b->cap - b->len;
	va_copy(again, ap);
	n = vsnprintf(b->s + b->len, room, fmt, ap);
	if (n >= 0 && (size_t)n >= room && make_room(b, (size_t)n))
		n = vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
	va_end(again);
	if (n < 0)
		b->overflow = true;
	if (b->overflow)
		b->s[b->len] = '\0'; /* drop what fitted */
	else
		b->len += (size_t)n;
}

void
buf_addu(struct buf *b, unsigned long long n)
{
	char text[NUM_TEXT_SIZE];
	size_t digits = num_text(n, text);

	buf_add(b, text, digits);
}

char *
buf_room(struct buf *b, size_t n)
{
	return make_room(b, n) ? b->s + b->len : NULL;
}

void
buf_wrote(struct buf *b, size_t n)
{
	assert(n == 0 || n < b->cap - b->len);
	if (n == 0)
		return;
	b->len += n;
	b->s[b->len] = '\0';
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->s, b->s + n, b->len + 1);
}
