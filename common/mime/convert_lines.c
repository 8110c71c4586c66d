/*
 * Lines that pass as they are, and are mended where they cannot.  Part of the
 * converter, in remote and local, on whatever the network sent.  Whole pieces
 * are looked over at the speed of memory; only around what cannot pass it goes
 * line by line.  What becomes of a line depends on that line alone, never on
 * the pieces it came in.
 */
#include <string.h>

#include "common/mime/base64.h"
#include "common/mime/convert_int.h"

#define LINE_MOST (SCAN_LINE_MAX + 2)
#define MEND_PIECE 1024u   /* octets mended at a time */
#define FOLD_FROM 400u     /* a header line is folded at the first blank
			    * behind */
#define OUT_MAX 65536u

/* ---- output ---- */

void
convert_flush(struct convert_out *o)
{
	if (o->buf.len > 0 && !o->failed &&
	    !o->fn(o->arg, o->buf.s, o->buf.len))
		o->failed = true;
	buf_reset(&o->buf);
}

void
convert_put(struct convert_out *o, struct slice s)
{
	if (s.len > CONVERT_ROOM_MAX) {
		convert_flush(o);
		if (!o->failed && !o->fn(o->arg, s.p, s.len))
			o->failed = true;
		return;
	}
	buf_addslice(convert_room(o, s.len), s);
}

void
convert_puts(struct convert_out *o, const char *s)
{
	convert_put(o, slice_of(s));
}

struct buf *
convert_room(struct convert_out *o, size_t n)
{
	if (o->buf.max == 0)
		buf_init(&o->buf, OUT_MAX);
	if (o->buf.len + n > o->buf.max)
		convert_flush(o);
	return &o->buf;
}

/* ---- mending ---- */

/*
 * RFC 5322 2.2.3.  Where no blank is in reach one is put in: that is what those
 * who limit lines do, and the others refuse.  Of blanks that a fold may be put
 * before only the first stays, and none at the line's end: a line of blanks
 * would be taken for the section's end by some.
 */
static void
mend_header(struct convert_lines *l, struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '\0' || c == '\r' || c == '\n')
			c = ' ';
		if (l->column >= FOLD_FROM && (c == ' ' || c == '\t')) {
			l->blank = l->blank != '\0' ? l->blank : c;
			continue;
		}
		if (l->blank != '\0' || l->column == SCAN_LINE_MAX) {
			buf_add(out, "\r\n", 2);
			buf_addc(out, l->blank != '\0' ? l->blank : ' ');
			l->column = 1;
			l->blank = '\0';
		}
		buf_addc(out, c);
		l->column++;
	}
}

/* RFC 2045 6.8: decoders ignore what is not of the alphabet. */
static void
mend_base64(struct convert_lines *l, struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '+' || c == '/' ||
		    c == '='))
			continue;
		if (l->column == BASE64_LINE) {
			buf_add(out, "\r\n", 2);
			l->column = 0;
		}
		buf_addc(out, c);
		l->column++;
	}
}

static void
mend_qp(struct convert_lines *l, struct buf *out, struct slice s)
{
	struct buf plain = BUF_INIT(MEND_PIECE + QP_BLANKS_MAX + 16);

	qp_decode(&l->decoder, s, &plain);
	qp_encode(&l->encoder, buf_slice(&plain), out);
	buf_free(&plain);
}

/* Octets of the line that is mended, its end not among them. */
static void
mend(struct convert_lines *l, struct convert_out *o, struct slice s)
{
	struct scan scan = {0};

	if (l->mend == MEND_HEADER)
		l->seen |= scan_octets(&scan, s.p, s.len) & SCAN_HIGH;
	while (s.len > 0) {
		struct slice piece = slice_sub(s, 0, MEND_PIECE);
		struct buf *out = convert_room(o, CONVERT_ROOM_MAX);

		s = slice_sub(s, piece.len, s.len);
		switch (l->mend) {
		case MEND_HEADER:
			mend_header(l, out, piece);
			break;
		case MEND_BASE64:
			mend_base64(l, out, piece);
			break;
		case MEND_TEXT:
			qp_encode(&l->encoder, piece, out);
			break;
		case MEND_QP:
			mend_qp(l, out, piece);
			break;
		}
	}
}

/* The line is complete; eol: by CRLF and not because nothing follows. */
static void
mend_end(struct convert_lines *l, struct convert_out *o, bool eol)
{
	struct buf *out = convert_room(o, CONVERT_ROOM_MAX);
	struct buf plain = BUF_INIT(QP_BLANKS_MAX + 16);

	switch (l->mend) {
	case MEND_HEADER:
		buf_adds(out, eol ? "\r\n" : "");
		break;
	case MEND_BASE64:
		buf_adds(out, eol && l->column > 0 ? "\r\n" : "");
		break;
	case MEND_TEXT:
		qp_encode_end(&l->encoder, false, out);
		buf_adds(out, eol ? "\r\n" : "");
		break;
	case MEND_QP:
		/* Its end may be a soft line break. */
		qp_decode(&l->decoder, eol ? SLICE("\r\n") : SLICE_EMPTY,
		    &plain);
		if (!eol)
			qp_decode_end(&l->decoder, &plain);
		qp_encode(&l->encoder, buf_slice(&plain), out);
		qp_encode_end(&l->encoder, eol, out);
		break;
	}
	buf_free(&plain);
	l->mending = l->cr = false;
}

static void
mend_start(struct convert_lines *l)
{
	l->mending = true;
	l->cr = false;
	l->column = 0;
	l->blank = '\0';
	l->encoder = (struct qp_encoder){.column = 0};
	l->decoder.bad = false;
	l->decoder.state = 0;
	l->decoder.nblanks = 0;
}

/* Mends up to the line's end, or all there is; returns how many octets that
 * were. */
static size_t
mend_some(struct convert_lines *l, struct convert_out *o, struct slice s)
{
	size_t at = 0;

	if (l->cr && s.p[0] == '\n') {
		mend_end(l, o, true);
		return 1;
	}
	if (l->cr)
		mend(l, o, SLICE("\r"));
	l->cr = false;
	for (;;) {
		at = slice_find(s, '\n', at);
		if (at == s.len)
			break;
		if (at > 0 && s.p[at - 1] == '\r') {
			mend(l, o, slice_sub(s, 0, at - 1));
			mend_end(l, o, true);
			return at + 1;
		}
		at++;
	}
	l->cr = s.p[s.len - 1] == '\r';
	mend(l, o, slice_sub(s, 0, s.len - l->cr));
	return s.len;
}

static void
mend_all(struct convert_lines *l, struct convert_out *o, struct slice s)
{
	while (s.len > 0)
		s = slice_sub(s, mend_some(l, o, s), s.len);
}

/* ---- lines ---- */

void
convert_lines_init(struct convert_lines *l)
{
	buf_init(&l->line, LINE_MOST);
}

void
convert_lines_free(struct convert_lines *l)
{
	buf_free(&l->line);
}

void
convert_lines_start(struct convert_lines *l, enum mend how, unsigned bad)
{
	l->mend = how;
	l->bad = bad;
	l->seen = 0;
	l->mending = l->cr = false;
	buf_reset(&l->line);
}

/* Whole lines that can all pass, at a line's start: how many octets. */
static size_t
passing(struct convert_lines *l, struct slice s)
{
	struct scan scan = {0};
	unsigned found = scan_octets(&scan, s.p, s.len);
	const char *lf;

	if ((found & (l->bad | SCAN_BARE)) != 0)
		return 0;
	l->seen |= found;
	lf = memrchr(s.p, '\n', s.len);
	return lf != NULL ? (size_t)(lf - s.p) + 1 : 0;
}

/* l->line has a whole line, all that follows no line end, or as much as cannot
 * be one line. */
static void
judge(struct convert_lines *l, struct convert_out *o, bool end)
{
	struct slice line = buf_slice(&l->line);
	struct scan scan = {0};
	unsigned found = scan_octets(&scan, line.p, line.len);

	if (end)
		found |= scan_end(&scan);
	if ((found & l->bad) == 0) {
		l->seen |= found;
		convert_put(o, line);
	} else {
		mend_start(l);
		/* No line of a header section may become a delimiter. */
		if (l->mend == MEND_HEADER && slice_prefix(line, SLICE("--")))
			convert_puts(o, "X");
		mend_all(l, o, line);
	}
	buf_reset(&l->line);
}

/* Adds to l->line up to the line's end; returns how many octets that were. */
static size_t
take_line(struct convert_lines *l, struct convert_out *o, struct slice s)
{
	size_t most = LINE_MOST - l->line.len, n;

	n = slice_find(slice_sub(s, 0, most), '\n', 0) + 1;
	if (n > most)
		n = most;
	if (n > s.len)
		n = s.len;
	buf_add(&l->line, s.p, n);
	if (l->line.s[l->line.len - 1] == '\n' || l->line.len == LINE_MOST)
		judge(l, o, false);
	return n;
}

void
convert_lines_feed(struct convert_lines *l, struct convert_out *o,
    struct slice s)
{
	bool whole = true; /* what is left may pass as a whole */
	size_t n;

	while (s.len > 0 && !o->failed) {
		if (l->mending)
			n = mend_some(l, o, s);
		else if (l->line.len > 0 || !whole)
			n = take_line(l, o, s);
		else {
			n = passing(l, s);
			convert_put(o, slice_sub(s, 0, n));
			whole = false;
		}
		s = slice_sub(s, n, s.len);
	}
}

void
convert_lines_end(struct convert_lines *l, struct convert_out *o)
{
	if (l->line.len > 0)
		judge(l, o, true);
	if (!l->mending)
		return;
	if (l->cr)
		mend(l, o, SLICE("\r"));
	mend_end(l, o, false);
}
