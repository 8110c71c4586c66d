/*
 * Makes a message fit for 7-bit or for lines.  In remote, on its way to a host
 * that knows no better, and in local and the spawner for what came as
 * BINARYMIME; the message is whatever the network sent.
 *
 * The label of a part, Content-Transfer-Encoding, goes out before its body is
 * seen.  So from that field on the part is held back until it is known what its
 * body holds: to its end, or to the first octet that cannot go.  A part that is
 * clean for longer than HOLD_MAX is encoded on suspicion.  Labels that promise
 * an encoding need no such care: what is wrong in base64 or quoted-printable
 * can be mended without changing what it means.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mime/base64.h"
#include "common/mime/convert_int.h"
#include "common/mime/parts.h"

#define FIELD_KEEP 16384u  /* octets of a Content-Type that are read */
#define FIELDS_MAX 65536u  /* octets of a header section held back */
#define LABELS_MAX 8u
#define SAMPLE 16384u      /* octets that show what a text is made of */
#define HOLD_MAX 262144u   /* octets of a body held back */
#define PIECE 3072u        /* octets encoded at a time; QP_ENCODED_MAX of it
                            * is within CONVERT_ROOM_MAX */

enum mode {
	MODE_NONE,   /* what comes is written as it is */
	MODE_HOLD,   /* a body is held back */
	MODE_LINES,  /* a body passes line by line */
	MODE_QP,
	MODE_BASE64
};

struct convert {
	enum convert_to to;
	unsigned bad;             /* SCAN_* that cannot go */
	struct convert_out out;
	struct parts *parts;
	struct convert_lines lines;
	bool header_8bit;
	enum mode mode;
	/* The part under way: its header section, from the first field
	 * Content-Transfer-Encoding on */
	bool holds_fields;
	bool label_dropped;       /* held too much: that field is written at
	                           * the section's end */
	struct buf fields;
	struct {
		size_t from, to;  /* such fields among them */
	} labels[LABELS_MAX];
	size_t nlabels;
	/* ... and its body */
	struct buf body;
	struct scan scan;
	unsigned found;
	struct qp_encoder qp;
	struct base64_encoder base64;
};

/* ---- header sections ---- */

static void
start_fields(struct convert *c)
{
	c->mode = MODE_NONE;
	c->holds_fields = c->label_dropped = false;
	c->nlabels = 0;
	buf_reset(&c->fields);
	convert_lines_start(&c->lines, MEND_HEADER,
	    SCAN_NUL | SCAN_BARE | SCAN_LONG);
}

/* What was held, with its labels or without. */
static void
put_held_fields(struct convert *c, bool labels)
{
	struct slice all = buf_slice(&c->fields);
	size_t at = 0;

	for (size_t i = 0; i < c->nlabels && !labels; i++) {
		convert_lines_feed(&c->lines, &c->out,
		    slice_sub(all, at, c->labels[i].from));
		at = c->labels[i].to;
	}
	convert_lines_feed(&c->lines, &c->out, slice_sub(all, at, all.len));
	buf_reset(&c->fields);
	c->holds_fields = false;
}

static void
mark_label(struct convert *c, size_t from, size_t to)
{
	if (c->nlabels > 0 && c->labels[c->nlabels - 1].to == from)
		c->labels[c->nlabels - 1].to = to;
	else if (c->nlabels < LABELS_MAX) {
		c->labels[c->nlabels].from = from;
		c->labels[c->nlabels++].to = to;
	}
}

/* From the first label on all is held; too much of it, and the label goes. */
static void
take_fields(struct convert *c, struct slice s, bool label)
{
	bool holds = (c->holds_fields || label) && !c->label_dropped;

	if (holds && s.len > FIELDS_MAX - c->fields.len) {
		put_held_fields(c, false);
		c->label_dropped = true;
		holds = false;
	}
	if (holds) {
		c->holds_fields = true;
		if (label)
			mark_label(c, c->fields.len, c->fields.len + s.len);
		buf_addslice(&c->fields, s);
	} else if (!label)
		convert_lines_feed(&c->lines, &c->out, s);
}

static void
put_label(struct convert *c, const char *label)
{
	if (*label == '\0')
		return;
	convert_puts(&c->out, "Content-Transfer-Encoding: ");
	convert_puts(&c->out, label);
	convert_puts(&c->out, "\r\n");
}

/*
 * The header section goes out, without its empty line.  label: the part's new
 * encoding, or NULL to leave it as it is; says_type: a message that says
 * nothing of its type is given one (RFC 1428 3: 8-bit text of nobody knows what
 * charset).
 */
static void
put_header(struct convert *c, const struct part *p, const char *label,
    bool says_type)
{
	const char *own = content_type_encoding_name(p->encoding);
	bool place = c->holds_fields && label != NULL;

	if (place)
		put_label(c, label);
	put_held_fields(c, !place);
	convert_lines_end(&c->lines, &c->out);
	if (c->to == CONVERT_7BIT && (c->lines.seen & SCAN_HIGH) != 0)
		c->header_8bit = true;
	if (label != NULL && part_is_message(p)) {
		if (!p->has_version)
			convert_puts(&c->out, "MIME-Version: 1.0\r\n");
		if (!p->has_type && says_type)
			convert_puts(&c->out, "Content-Type: text/plain; "
			    "charset=unknown-8bit\r\n");
	}
	if (!place && (label != NULL || c->label_dropped))
		put_label(c, label != NULL ? label : own);
}

/* What is said of a part that is not encoded; NULL: what it says itself. */
static const char *
label_of(const struct convert *c, const struct part *p, bool eight_bit)
{
	if (c->to == CONVERT_7BIT && (p->encoding == ENCODING_8BIT ||
	    p->encoding == ENCODING_BINARY))
		return "7bit";
	if (c->to == CONVERT_8BIT && p->encoding == ENCODING_BINARY)
		return eight_bit ? "8bit" : "7bit";
	return NULL;
}

/* ---- bodies ---- */

static void
encode(struct convert *c, struct slice s)
{
	while (s.len > 0) {
		struct slice piece = slice_sub(s, 0, PIECE);
		struct buf *out = convert_room(&c->out, CONVERT_ROOM_MAX);

		if (c->mode == MODE_QP)
			qp_encode(&c->qp, piece, out);
		else
			base64_encode(&c->base64, piece, out);
		s = slice_sub(s, piece.len, s.len);
	}
}

/* The part ends; at_end: the message does, which then ends in CRLF. */
static void
encode_end(struct convert *c, bool at_end)
{
	struct buf *out = convert_room(&c->out, CONVERT_ROOM_MAX);

	if (c->mode == MODE_QP) {
		qp_encode_end(&c->qp, at_end, out);
		return;
	}
	base64_encode_end(&c->base64, out);
	if (at_end && c->base64.column > 0)
		buf_addslice(out, SLICE("\r\n"));
}

static void
start_lines(struct convert *c, enum mend how, unsigned bad)
{
	convert_lines_start(&c->lines, how, bad);
	c->mode = MODE_LINES;
}

static void
end_lines(struct convert *c)
{
	convert_lines_end(&c->lines, &c->out);
	/* What may neither be encoded nor changed. */
	if ((c->lines.seen & SCAN_HIGH & ~c->lines.bad) != 0 &&
	    c->to == CONVERT_7BIT)
		c->header_8bit = true;
	c->mode = MODE_NONE;
}

/* Text stays legible.  The rest is base64, which also keeps its line ends for
 * those who change them (RFC 2045 6.7, 6.8). */
static bool
is_text(const struct part *p)
{
	return p->media != MEDIA_OTHER;
}

/* Not more than one octet in four needs three for itself: a little longer than
 * base64 at the worst, and a person can read it. */
static bool
mostly_text(struct slice s)
{
	size_t odd = 0;

	if (s.len > SAMPLE)
		s.len = SAMPLE;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == '\r' && i + 1 < s.len && s.p[i + 1] == '\n')
			i++;
		else
			odd += (ch < ' ' && ch != '\t') || ch >= 127 ||
			    ch == '=';
	}
	return odd <= s.len / 4;
}

/* The body that is held, if any, and what follows it is encoded.  complete: all
 * of it was seen. */
static void
start_encoding(struct convert *c, const struct part *p, bool complete)
{
	bool qp = is_text(p) && mostly_text(buf_slice(&c->body));

	put_header(c, p, qp ? "quoted-printable" : "base64",
	    !complete || (c->found & SCAN_HIGH) != 0);
	c->mode = qp ? MODE_QP : MODE_BASE64;
	c->qp = (struct qp_encoder){.column = 0};
	c->base64 = (struct base64_encoder){.lines = true};
}

/* MODE_HOLD ends in favour of encoding. */
static void
encode_held(struct convert *c, const struct part *p, bool complete)
{
	start_encoding(c, p, complete);
	convert_puts(&c->out, "\r\n");
	encode(c, buf_slice(&c->body));
	buf_reset(&c->body);
}

/* ... or of letting the lines pass. */
static void
pass_held(struct convert *c, const struct part *p, const char *label,
    enum mend how)
{
	put_header(c, p, label, false);
	convert_puts(&c->out, "\r\n");
	start_lines(c, how, c->bad);
	convert_lines_feed(&c->lines, &c->out, buf_slice(&c->body));
	buf_reset(&c->body);
}

static void
start_hold(struct convert *c)
{
	c->mode = MODE_HOLD;
	buf_reset(&c->body);
	c->scan = (struct scan){0};
	c->found = 0;
}

/* Nothing of what is held is a reason to encode, and there is no more room. */
static void
hold_is_full(struct convert *c, const struct part *p)
{
	if (p->kind == PART_MULTIPART)
		pass_held(c, p, label_of(c, p, true), MEND_TEXT);
	else if (p->encoding == ENCODING_OTHER)
		pass_held(c, p, NULL, MEND_TEXT);
	else
		encode_held(c, p, false);
}

/*
 * Octets for a body that is held back.  Decided is at places that do not depend
 * on the pieces it comes in; returns how many were taken.
 */
static size_t
hold(struct convert *c, const struct part *p, struct slice s)
{
	size_t n = c->body.len < SAMPLE ? SAMPLE - c->body.len
	    : HOLD_MAX - c->body.len;

	s = slice_sub(s, 0, n);
	c->found |= scan_octets(&c->scan, s.p, s.len);
	buf_addslice(&c->body, s);
	if (p->kind == PART_LEAF && (c->found & c->bad) != 0 &&
	    (c->body.len >= SAMPLE || !is_text(p)))
		encode_held(c, p, false);
	else if (c->body.len == HOLD_MAX)
		hold_is_full(c, p);
	return s.len;
}

/* The body is complete and fits. */
static void
end_hold(struct convert *c, const struct part *p)
{
	c->found |= scan_end(&c->scan);
	if (p->encoding == ENCODING_BASE64 || p->encoding == ENCODING_QP)
		pass_held(c, p, NULL, p->encoding == ENCODING_QP ? MEND_QP
		    : MEND_BASE64);
	else if ((c->found & c->bad) != 0)
		encode_held(c, p, true);
	else
		pass_held(c, p, label_of(c, p, (c->found & SCAN_HIGH) != 0),
		    MEND_TEXT);
}

static void
feed_body(struct convert *c, const struct part *p, struct slice s)
{
	while (s.len > 0 && c->mode == MODE_HOLD)
		s = slice_sub(s, hold(c, p, s), s.len);
	if (c->mode == MODE_LINES)
		convert_lines_feed(&c->lines, &c->out, s);
	else if (c->mode != MODE_HOLD)
		encode(c, s);
}

/* ---- what the parser tells ---- */

static bool
on_start(void *arg, struct part *p)
{
	struct convert *c = arg;

	(void)p;
	start_fields(c);
	return !c->out.failed;
}

static void
leaf_header(struct convert *c, struct part *p)
{
	if (p->encoding == ENCODING_BASE64 || p->encoding == ENCODING_QP) {
		put_header(c, p, NULL, false);
		start_lines(c, p->encoding == ENCODING_QP ? MEND_QP
		    : MEND_BASE64, c->bad);
	} else if (p->encoding == ENCODING_UUENCODE) {
		/* Its data has nothing to mend; what is around it is no data,
		 * and the label must stay. */
		put_header(c, p, NULL, false);
		start_lines(c, MEND_TEXT, c->bad);
	} else if (p->media == MEDIA_PARTIAL) {
		/* RFC 2046 5.2.2.1: may not be encoded. */
		put_header(c, p, NULL, false);
		start_lines(c, MEND_TEXT, c->bad & ~SCAN_HIGH);
	} else if (p->encoding == ENCODING_BINARY && !is_text(p)) {
		/* Whatever it holds: line ends are not to be touched. */
		c->found = 0;
		buf_reset(&c->body);
		start_encoding(c, p, true);
	} else
		start_hold(c);
}

static bool
on_header(void *arg, struct part *p)
{
	struct convert *c = arg;

	/* RFC 6532 3.7: unlike message/rfc822 it may be encoded. */
	if (p->media == MEDIA_GLOBAL && c->to == CONVERT_7BIT) {
		p->opaque = true;
		p->kind = PART_LEAF;
	}
	if (p->no_body)
		put_header(c, p, NULL, false);
	else if (p->kind == PART_LEAF)
		leaf_header(c, p);
	else if (p->kind == PART_MULTIPART)
		start_hold(c);
	else
		put_header(c, p, label_of(c, p, true), false);
	return !c->out.failed;
}

static void
on_delimiter(struct convert *c, const struct part *p, struct slice s)
{
	/* The first one: it is a multipart indeed. */
	if (c->mode == MODE_HOLD)
		pass_held(c, p, label_of(c, p, true), MEND_TEXT);
	if (c->mode == MODE_LINES)
		end_lines(c);
	convert_put(&c->out, s);
}

static bool
on_octets(void *arg, struct part *p, enum parts_what what, struct slice s)
{
	struct convert *c = arg;

	switch (what) {
	case PARTS_FIELDS:
	case PARTS_FIELDS_ENCODING:
		take_fields(c, s, what == PARTS_FIELDS_ENCODING);
		break;
	case PARTS_EMPTY_LINE:
		/* Behind what is held it is written when that is. */
		if (c->mode != MODE_HOLD)
			convert_put(&c->out, s);
		break;
	case PARTS_EPILOGUE:
		if (c->mode != MODE_LINES)
			start_lines(c, MEND_TEXT, c->bad);
		feed_body(c, p, s);
		break;
	case PARTS_BODY:
	case PARTS_PREAMBLE:
		feed_body(c, p, s);
		break;
	case PARTS_DELIMITER:
		on_delimiter(c, p, s);
		break;
	}
	return !c->out.failed;
}

static bool
on_end(void *arg, struct part *p)
{
	struct convert *c = arg;

	if (c->mode == MODE_HOLD)
		end_hold(c, p);
	if (c->mode == MODE_LINES)
		end_lines(c);
	else if (c->mode != MODE_NONE)
		encode_end(c, p->cut);
	c->mode = MODE_NONE;
	return !c->out.failed;
}

/* ---- the converter ---- */

struct convert *
convert_new(enum convert_to to, convert_fn *out, void *arg)
{
	static const struct parts_handler handler = {.start = on_start,
	    .header = on_header, .octets = on_octets, .end = on_end};
	static const struct parts_options options = {.keep = FIELD_KEEP,
	    .depth_max = CONVERT_DEPTH_MAX};
	struct convert *c = mem_alloc(sizeof(*c));

	c->to = to;
	c->bad = SCAN_NUL | SCAN_BARE | SCAN_LONG |
	    (to == CONVERT_7BIT ? SCAN_HIGH : 0);
	c->out.fn = out;
	c->out.arg = arg;
	buf_init(&c->fields, FIELDS_MAX);
	buf_init(&c->body, HOLD_MAX);
	convert_lines_init(&c->lines);
	c->parts = parts_new(&handler, c, &options);
	return c;
}

bool
convert_feed(struct convert *c, const void *p, size_t n)
{
	return parts_feed(c->parts, p, n) && !c->out.failed;
}

bool
convert_end(struct convert *c)
{
	parts_end(c->parts);
	convert_flush(&c->out);
	return !c->out.failed;
}

void
convert_free(struct convert **cp)
{
	struct convert *c = *cp;

	if (c == NULL)
		return;
	parts_free(&c->parts);
	convert_lines_free(&c->lines);
	buf_free(&c->out.buf);
	buf_free(&c->fields);
	buf_free(&c->body);
	free(c);
	*cp = NULL;
}

bool
convert_header_8bit(const struct convert *c)
{
	return c->header_8bit;
}
