/*
 * What must be true of every message that was converted, whatever it was: for
 * the unit tests and the fuzz entry of common/mime/convert.
 */
#ifndef TESTS_FUZZ_MIME_CHECK_H
#define TESTS_FUZZ_MIME_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/mime/base64.h"
#include "common/mime/convert.h"
#include "common/mime/parts.h"
#include "common/mime/qp.h"
#include "common/mime/scan.h"

#define CHECK_MAX (256u * 1024 * 1024)
#define CHECK_DEPTH CONVERT_DEPTH_MAX

/* What a decoding reader gets to see: a line for each part, and its octets. */
struct check_view {
	struct buf text;
	struct base64_decoder base64;
	struct qp_decoder qp;
	struct scan scan;
	bool to_7bit;
	bool odd_header; /* a header section has what is mended, so that its
	                  * fields may mean something else afterwards */
};

static inline bool
check_start(void *arg, struct part *p)
{
	struct check_view *v = arg;

	(void)p;
	v->scan = (struct scan){0};
	return true;
}

static inline bool
check_header(void *arg, struct part *p)
{
	struct check_view *v = arg;

	/* May be encoded, and has no more parts then. */
	if (p->media == MEDIA_GLOBAL && v->to_7bit)
		p->opaque = true;
	buf_printf(&v->text, "\n[%u.%u media %u%s]", p->depth, p->number,
	    p->media, p->no_body ? " no body" : "");
	p->user = (void *)(uintptr_t)v->text.len;
	v->base64 = (struct base64_decoder){.strict = false};
	v->qp.state = 0;
	v->qp.nblanks = 0;
	return true;
}

/* A preamble is no content: what was taken for it goes. */
static inline void
check_delimiter(struct check_view *v, struct part *p)
{
	if (p->nchildren > 0 || p->closed)
		return;
	v->text.len = (size_t)(uintptr_t)p->user;
	v->base64 = (struct base64_decoder){.strict = false};
	v->qp.state = 0;
	v->qp.nblanks = 0;
}

static inline bool
check_octets(void *arg, struct part *p, enum parts_what what, struct slice s)
{
	struct check_view *v = arg;

	if ((what == PARTS_FIELDS || what == PARTS_FIELDS_ENCODING) &&
	    (scan_octets(&v->scan, s.p, s.len) &
	    (SCAN_NUL | SCAN_BARE | SCAN_LONG)) != 0)
		v->odd_header = true;
	if (what == PARTS_DELIMITER)
		check_delimiter(v, p);
	/* What may not be encoded is mended for the eye. */
	if ((what != PARTS_BODY && what != PARTS_PREAMBLE) ||
	    p->encoding == ENCODING_UUENCODE ||
	    (p->media == MEDIA_PARTIAL && p->encoding != ENCODING_BASE64 &&
	    p->encoding != ENCODING_QP))
		return true;
	if (p->encoding == ENCODING_BASE64)
		base64_decode(&v->base64, s, &v->text);
	else if (p->encoding == ENCODING_QP)
		qp_decode(&v->qp, s, &v->text);
	else
		buf_addslice(&v->text, s);
	return true;
}

static inline bool
check_end(void *arg, struct part *p)
{
	struct check_view *v = arg;

	if (p->nchildren > 0 || p->closed)
		return true;
	if (p->encoding == ENCODING_BASE64)
		base64_decode_end(&v->base64, &v->text);
	else if (p->encoding == ENCODING_QP)
		qp_decode_end(&v->qp, &v->text);
	return true;
}

static inline void
check_view(struct check_view *v, struct slice message, bool to_7bit)
{
	static const struct parts_handler handler = {.start = check_start,
	    .header = check_header, .octets = check_octets, .end = check_end};
	const struct parts_options options = {16384, CHECK_DEPTH, false};
	struct parts *p;

	memset(v, 0, sizeof(*v));
	buf_init(&v->text, CHECK_MAX);
	v->to_7bit = to_7bit;
	p = parts_new(&handler, v, &options);
	parts_feed(p, message.p, message.len);
	parts_end(p);
	parts_free(&p);
}

static inline bool
check_take(void *arg, const void *p, size_t n)
{
	buf_add(arg, p, n);
	return true;
}

/* Converts in pieces of `step` octets (0: all at once), each of them alone in
 * its memory; *header_8bit may be NULL. */
static inline struct buf
check_convert(struct slice in, enum convert_to to, size_t step,
    bool *header_8bit)
{
	struct buf out = BUF_INIT(CHECK_MAX);
	struct convert *c = convert_new(to, check_take, &out);

	if (step == 0)
		step = in.len;
	while (in.len > 0) {
		struct slice piece = slice_sub(in, 0, step);
		char *own = malloc(piece.len);

		if (own == NULL)
			abort();
		memcpy(own, piece.p, piece.len);
		convert_feed(c, own, piece.len);
		free(own);
		in = slice_sub(in, piece.len, in.len);
	}
	convert_end(c);
	if (header_8bit != NULL)
		*header_8bit = convert_header_8bit(c);
	convert_free(&c);
	return out;
}

/* NULL, or what is wrong with what `in` became.  *odd: its header sections had
 * what is mended. */
static inline const char *
check_converted(struct slice in, struct slice out, enum convert_to to,
    bool header_8bit, bool *odd)
{
	struct check_view a, b;
	struct scan scan = {0};
	unsigned found = scan_octets(&scan, out.p, out.len) | scan_end(&scan);
	const char *wrong = NULL;

	*odd = false;
	if ((found & (SCAN_NUL | SCAN_BARE | SCAN_LONG)) != 0)
		return "binary octets or long lines are left";
	if (to == CONVERT_7BIT && (found & SCAN_HIGH) != 0 && !header_8bit)
		return "8-bit octets are left";
	check_view(&a, in, to == CONVERT_7BIT);
	check_view(&b, out, to == CONVERT_7BIT);
	if (!a.odd_header && !slice_eq(buf_slice(&a.text), buf_slice(&b.text)))
		wrong = "a part's content changed";
	*odd = a.odd_header;
	buf_free(&a.text);
	buf_free(&b.text);
	return wrong;
}

#endif
