/*
 * quoted-printable.  In remote and local where content is encoded, and whoever
 * reads mail; the input is whatever the network sent.  Runs of ordinary octets
 * are copied as such.
 */
#include "common/mime/qp.h"

static const char digits[] = "0123456789ABCDEF";

/* What an octet is to the encoder. */
#define PLAIN 1 /* may stand for itself anywhere but at the start of a line */
#define BLANK 2 /* ... and not at its end either */

static const unsigned char kinds[256] = {
	['\t'] = BLANK, [' '] = BLANK,
#define P4(n) [n] = PLAIN, [(n) + 1] = PLAIN, [(n) + 2] = PLAIN, \
	[(n) + 3] = PLAIN
	[33] = PLAIN, [34] = PLAIN, [35] = PLAIN, P4(36), P4(40), P4(44),
	P4(48), P4(52), P4(56), [60] = PLAIN, [62] = PLAIN, [63] = PLAIN,
	P4(64), P4(68), P4(72), P4(76), P4(80), P4(84), P4(88), P4(92), P4(96),
	P4(100), P4(104), P4(108), P4(112), P4(116), P4(120),
	[124] = PLAIN, [125] = PLAIN, [126] = PLAIN,
#undef P4
};

/* ---- encoding ---- */

/* What follows the held octet, when it is none of the data. */
#define LINE_END (-1)
#define SOFT_BREAK (-2)

/* At the start of a line: the first octets of a boundary, of what mailboxes of
 * the mbox kind have between messages ("From "), and SMTP's lone dot. */
static bool
is_start(unsigned char c, int next)
{
	return (c == '-' && next == '-') || (c == 'F' && next == 'r') ||
	    (c == '.' && next == LINE_END);
}

static bool
is_plain(const struct qp_encoder *e, unsigned char c, int next)
{
	return kinds[c] != 0 && !(kinds[c] == BLANK && next == LINE_END) &&
	    !(e->column == 0 && is_start(c, next));
}

static char *
soft_break(struct qp_encoder *e, char *to)
{
	*to++ = '=';
	*to++ = '\r';
	*to++ = '\n';
	e->column = 0;
	return to;
}

/* Writes the held octet, now that it is known what follows. */
static char *
put_held(struct qp_encoder *e, int next, char *to)
{
	unsigned char c = e->held;
	bool plain;
	uint32_t need;

	if (!e->held_there)
		return to;
	e->held_there = false;
	plain = is_plain(e, c, next);
	/* The last one on its line needs no room for the soft break's "=". */
	need = (plain ? 1u : 3u) + (next == LINE_END ? 0u : 1u);
	if (e->column + need > QP_LINE) {
		to = soft_break(e, to);
		plain = is_plain(e, c, next);
	}
	if (plain) {
		*to++ = (char)c;
		e->column++;
	} else {
		*to++ = '=';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
		e->column += 3;
	}
	return to;
}

static char *
hold(struct qp_encoder *e, unsigned char c, char *to)
{
	to = put_held(e, c, to);
	e->held = c;
	e->held_there = true;
	return to;
}

static char *
line_end(struct qp_encoder *e, char *to)
{
	to = put_held(e, LINE_END, to);
	*to++ = '\r';
	*to++ = '\n';
	e->column = 0;
	e->cr = false;
	return to;
}

/* Eight octets at once: is one of them not ordinary?  Errs on the safe side
 * for TAB. */
static bool
odd_eight(const unsigned char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t x, equals;

	memcpy(&x, p, sizeof(x));
	equals = x ^ ones * '=';
	/* Below space, above 126, or "=". */
	return (((x - ones * ' ') | (x + ones) | (equals - ones) | x) &
	    ones * 0x80) != 0;
}

/* A run of ordinary octets at p: all but the last, which is held, go out as
 * they are, as far as the line has room.  How many were taken; 0: one that
 * begins a line, it is to be handled alone. */
static size_t
put_run(struct qp_encoder *e, const unsigned char *p, size_t n, char **to)
{
	const uint32_t most = QP_LINE - 1;
	size_t run = 0;

	if (n > QP_LINE)
		n = QP_LINE;
	while (n - run >= 8 && !odd_eight(p + run))
		run += 8;
	while (run < n && kinds[p[run]] != 0)
		run++;
	if (run == 0)
		return 0;
	*to = put_held(e, p[0], *to);
	if (e->column == 0)
		return 0;
	n = run - 1;
	if (n > most - e->column)
		n = most - e->column;
	memcpy(*to, p, n);
	*to += n;
	e->column += (uint32_t)n;
	e->held = p[n];
	e->held_there = true;
	return n + 1;
}

void
qp_encode(struct qp_encoder *e, struct slice in, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in.p, *end = p + in.len;
	char *start = buf_room(out, QP_ENCODED_MAX(in.len)), *to = start;

	if (start == NULL)
		return;
	while (p < end) {
		size_t n = 0;

		if (e->cr && *p == '\n') {
			to = line_end(e, to);
			p++;
			continue;
		}
		if (e->cr)
			to = hold(e, '\r', to);
		e->cr = *p == '\r';
		if (!e->cr)
			n = put_run(e, p, (size_t)(end - p), &to);
		if (!e->cr && n == 0)
			to = hold(e, *p, to);
		p += n > 0 ? n : 1;
	}
	buf_wrote(out, (size_t)(to - start));
}

void
qp_encode_end(struct qp_encoder *e, bool eol, struct buf *out)
{
	char text[16], *to = text;

	if (e->cr)
		to = hold(e, '\r', to);
	e->cr = false;
	to = put_held(e, eol ? SOFT_BREAK : LINE_END, to);
	if (eol && e->column > 0)
		to = soft_break(e, to);
	buf_add(out, text, (size_t)(to - text));
}

/* ---- decoding ---- */

enum state {
	DATA,
	DATA_CR,  /* CR, and blanks before it may be held */
	EQUALS,   /* "=" */
	EQUALS_X, /* "=" and one hexadecimal digit */
	SOFT,     /* "=" and blanks */
	SOFT_CR   /* "=", blanks and CR */
};

static int
hex(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
put_blanks(struct qp_decoder *d, struct buf *out)
{
	buf_add(out, d->blanks, d->nblanks);
	d->nblanks = 0;
}

static void
add_blank(struct qp_decoder *d, char c, struct buf *out)
{
	if (d->nblanks == QP_BLANKS_MAX)
		put_blanks(d, out);
	d->blanks[d->nblanks++] = c;
}

/* "=" stands for itself after all, and so do the blanks behind it. */
static void
put_equals(struct qp_decoder *d, struct buf *out)
{
	struct slice blanks = slice_mem(d->blanks, d->nblanks);

	d->bad = true;
	buf_addc(out, '=');
	if (d->state == EQUALS_X)
		buf_addc(out, d->escape);
	/* Behind it they may be a line's last ones. */
	d->nblanks = 0;
	buf_addslice(out, blanks);
	if (d->state == SOFT_CR)
		buf_addc(out, '\r');
	d->state = DATA;
}

/* An octet in DATA that is no ordinary one. */
static void
special(struct qp_decoder *d, char c, struct buf *out)
{
	switch (c) {
	case '=':
		put_blanks(d, out);
		d->state = EQUALS;
		break;
	case ' ':
	case '\t':
		add_blank(d, c, out);
		break;
	case '\r':
		d->state = DATA_CR;
		break;
	default: /* LF.  RFC 2045 6.7 (3): blanks before it go */
		d->nblanks = 0;
		buf_addc(out, c);
	}
}

/* The octet behind CR; false: it is still to be handled. */
static bool
after_cr(struct qp_decoder *d, char c, struct buf *out)
{
	d->state = DATA;
	if (c != '\n') {
		put_blanks(d, out);
		buf_addc(out, '\r');
		return false;
	}
	d->nblanks = 0;
	buf_add(out, "\r\n", 2);
	return true;
}

/* An octet behind "=".  False: it is none of what belongs there. */
static bool
escaped(struct qp_decoder *d, char c, struct buf *out)
{
	int value = hex((unsigned char)c);

	if (d->state == EQUALS && value >= 0) {
		d->escape = c;
		d->state = EQUALS_X;
		return true;
	}
	if (d->state == EQUALS_X) {
		if (value < 0)
			return false;
		buf_addc(out, (char)(hex((unsigned char)d->escape) * 16 +
		    value));
		d->state = DATA;
		return true;
	}
	if (c == '\n') {
		d->nblanks = 0;
		d->state = DATA;
		return true;
	}
	if (d->state == SOFT_CR)
		return false;
	if (c == '\r') {
		d->state = SOFT_CR;
		return true;
	}
	if ((c != ' ' && c != '\t') || d->nblanks == QP_BLANKS_MAX)
		return false;
	d->blanks[d->nblanks++] = c;
	d->state = SOFT;
	return true;
}

static bool
is_special(char c)
{
	return c == '=' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void
qp_decode(struct qp_decoder *d, struct slice in, struct buf *out)
{
	size_t at = 0;

	while (at < in.len) {
		size_t run = at;

		if (d->state == DATA_CR) {
			at += after_cr(d, in.p[at], out);
			continue;
		}
		if (d->state != DATA) {
			if (escaped(d, in.p[at], out))
				at++;
			else
				put_equals(d, out);
			continue;
		}
		/* A blank between others is an ordinary octet. */
		while (run < in.len && (!is_special(in.p[run]) ||
		    (in.p[run] == ' ' && run + 1 < in.len &&
		    !is_special(in.p[run + 1]))))
			run++;
		if (run > at) {
			put_blanks(d, out);
			buf_add(out, in.p + at, run - at);
			at = run;
		} else
			special(d, in.p[at++], out);
	}
}

void
qp_decode_end(struct qp_decoder *d, struct buf *out)
{
	/* "=" as the very last octet is a soft line break that was cut. */
	if (d->state == DATA_CR)
		after_cr(d, 'x', out);
	else if (d->state == EQUALS_X)
		put_equals(d, out);
	else if (d->state != DATA) {
		d->bad = true;
		d->state = DATA;
	}
	d->nblanks = 0;
}
