/*
 * base64.  In every program that takes mail or passwords apart, and in remote
 * and local where content is encoded; the input is whatever the network sent.
 */
#include "common/mime/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- encoding ---- */

static char *
put_quantum(char *to, uint32_t bits)
{
	to[0] = alphabet[bits >> 18];
	to[1] = alphabet[bits >> 12 & 63];
	to[2] = alphabet[bits >> 6 & 63];
	to[3] = alphabet[bits & 63];
	return to + 4;
}

/* Before each quantum: begins a new line when the last one is full. */
static char *
put_line_end(struct base64_encoder *e, char *to)
{
	if (e->lines && e->column == BASE64_LINE) {
		*to++ = '\r';
		*to++ = '\n';
		e->column = 0;
	}
	e->column += 4;
	return to;
}

/* Whole quanta from p; returns where writing goes on. */
static char *
put_quanta(struct base64_encoder *e, const unsigned char *p, size_t quanta,
    char *to)
{
	while (quanta > 0) {
		size_t n = quanta;

		to = put_line_end(e, to);
		if (e->lines && n > (BASE64_LINE - e->column) / 4 + 1)
			n = (BASE64_LINE - e->column) / 4 + 1;
		e->column += (uint32_t)(4 * (n - 1));
		quanta -= n;
		for (; n > 0; n--, p += 3)
			to = put_quantum(to, (uint32_t)p[0] << 16 |
			    (uint32_t)p[1] << 8 | p[2]);
	}
	return to;
}

void
base64_encode(struct base64_encoder *e, struct slice in, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	char *start = buf_room(out, BASE64_ENCODED_MAX(in.len)), *to = start;
	size_t left = in.len;

	if (start == NULL)
		return;
	while (left > 0 && e->nrest > 0 && e->nrest < 2) {
		e->rest[e->nrest++] = *p++;
		left--;
	}
	if (left > 0 && e->nrest == 2) {
		const unsigned char one[3] = {e->rest[0], e->rest[1], *p++};

		left--;
		e->nrest = 0;
		to = put_quanta(e, one, 1, to);
	}
	to = put_quanta(e, p, left / 3, to);
	p += left / 3 * 3;
	for (left %= 3; left > 0; left--)
		e->rest[e->nrest++] = *p++;
	buf_wrote(out, (size_t)(to - start));
}

void
base64_encode_end(struct base64_encoder *e, struct buf *out)
{
	char text[6], *to = text;
	uint32_t bits;

	if (e->nrest == 0)
		return;
	bits = (uint32_t)e->rest[0] << 16;
	if (e->nrest == 2)
		bits |= (uint32_t)e->rest[1] << 8;
	to = put_quantum(put_line_end(e, to), bits);
	to[-1] = '=';
	if (e->nrest == 1)
		to[-2] = '=';
	e->nrest = 0;
	buf_add(out, text, (size_t)(to - text));
}

/* ---- decoding ---- */

#define NONE 64
#define BLANK 65 /* CR, LF, SP, TAB */
#define PAD 66

static const unsigned char values[256] = {
#define N NONE
#define B BLANK
	N, N, N, N, N, N, N, N, N, B, B, N, N, B, N, N,
	N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	B, N, N, N, N, N, N, N, N, N, N, 62, N, N, N, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, N, N, N, PAD, N, N,
	N, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, N, N, N, N, N,
	N, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, N, N, N, N, N,
#define N16 N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N
	N16, N16, N16, N16, N16, N16, N16, N16
#undef N16
#undef N
#undef B
};

/* One octet that is no ordinary one of the alphabet, or comes after the end. */
static void
odd(struct base64_decoder *d, unsigned value)
{
	if (value == BLANK && !d->strict)
		return;
	if (value == PAD && d->n >= 2 && d->n + d->pads < 4) {
		d->pads++;
		d->ended = true;
		return;
	}
	d->bad = true;
}

/* The quantum that padding, or the end, cut short. */
static void
put_rest(struct base64_decoder *d, struct buf *out)
{
	if (d->n >= 2)
		buf_addc(out, (char)(d->bits >> (d->n == 2 ? 4 : 10)));
	if (d->n == 3)
		buf_addc(out, (char)(d->bits >> 2));
	if (d->n == 1 || (d->n > 1 &&
	    (d->bits & (d->n == 2 ? 15u : 3u)) != 0))
		d->bad = true;
	d->n = 0;
}

bool
base64_decode(struct base64_decoder *d, struct slice in, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in.p, *end = p + in.len;
	char *start = buf_room(out, in.len + 4), *to = start;

	if (start == NULL)
		return !(d->strict && d->bad);
	while (p < end && !d->ended) {
		unsigned a, b, c, f;

		/* Whole quanta, as all of it should be. */
		while (d->n == 0 && end - p >= 4 && (a = values[p[0]]) < 64 &&
		    (b = values[p[1]]) < 64 && (c = values[p[2]]) < 64 &&
		    (f = values[p[3]]) < 64) {
			*to++ = (char)(a << 2 | b >> 4);
			*to++ = (char)(b << 4 | c >> 2);
			*to++ = (char)(c << 6 | f);
			p += 4;
		}
		if (p == end)
			break;
		a = values[*p++];
		if (a >= 64) {
			odd(d, a);
			continue;
		}
		d->bits = d->bits << 6 | a;
		if (++d->n == 4) {
			*to++ = (char)(d->bits >> 16);
			*to++ = (char)(d->bits >> 8);
			*to++ = (char)d->bits;
			d->n = 0;
		}
	}
	buf_wrote(out, (size_t)(to - start));
	for (; p < end; p++)
		odd(d, values[*p]);
	return !(d->strict && d->bad);
}

bool
base64_decode_end(struct base64_decoder *d, struct buf *out)
{
	if (d->strict && d->n > 0 && d->n + d->pads != 4)
		d->bad = true;
	put_rest(d, out);
	return !(d->strict && d->bad);
}
