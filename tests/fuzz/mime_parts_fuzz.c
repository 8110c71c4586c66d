/*
 * Fuzz entry of common/mime/parts: what is told is the message, whole and in
 * order; parts begin and end as they are nested, and the pieces make no
 * difference.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mime/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tale {
	struct buf octets; /* all of them */
	struct buf events; /* what was told, octets of one kind joined */
	enum parts_what what;
	unsigned depth;
	bool any;
};

static bool
on_start(void *arg, struct part *p)
{
	struct tale *t = arg;

	assert(p->depth == t->depth);
	assert(p->parent == NULL || p->parent->nchildren == p->number);
	assert(p->start.octets == t->octets.len);
	t->depth++;
	t->any = false;
	buf_printf(&t->events, "(%u", p->number);
	return true;
}

static bool
on_field(void *arg, struct part *p, const struct header_field *f)
{
	struct tale *t = arg;

	assert(f->offset >= p->start.octets);
	assert(f->offset + f->length <= t->octets.len);
	assert(f->name.len + f->value.len <= f->length);
	buf_printf(&t->events, "f%zu,%zu,%zu,%d", (size_t)f->offset,
	    (size_t)f->length, f->name.len, f->cut);
	t->any = false;
	return true;
}

static bool
on_header(void *arg, struct part *p)
{
	struct tale *t = arg;

	buf_printf(&t->events, "h%u,%u,%u%d", p->kind, p->media, p->encoding,
	    p->no_body);
	t->any = false;
	return true;
}

static bool
on_octets(void *arg, struct part *p, enum parts_what what, struct slice s)
{
	struct tale *t = arg;

	(void)p;
	assert(s.len > 0);
	if (!t->any || t->what != what)
		buf_printf(&t->events, "o%u,%zu", what, t->octets.len);
	t->any = true;
	t->what = what;
	buf_addslice(&t->octets, s);
	return true;
}

static bool
on_end(void *arg, struct part *p)
{
	struct tale *t = arg;

	assert(t->depth == p->depth + 1);
	assert(p->start.octets <= p->body.octets &&
	    p->body.octets <= p->end.octets &&
	    p->end.octets <= t->octets.len);
	assert(p->start.wire <= p->body.wire && p->body.wire <= p->end.wire);
	assert(p->end.wire - p->end.octets <= p->end.lines);
	t->depth--;
	t->any = false;
	buf_printf(&t->events, "e%d,%zu,%zu,%zu)", p->cut,
	    (size_t)p->end.octets, (size_t)p->end.wire, (size_t)p->end.lines);
	return true;
}

static struct tale
tell(struct slice in, size_t step, bool lf)
{
	static const struct parts_handler handler = {on_start, on_field,
	    on_header, on_octets, on_end};
	struct tale t = {.octets = BUF_INIT(1u << 30),
	    .events = BUF_INIT(1u << 30)};
	const struct parts_options options = {300, 6, lf};
	struct parts *p = parts_new(&handler, &t, &options);

	for (size_t at = 0; at < in.len; at += step) {
		struct slice piece = slice_sub(in, at, at + step);

		parts_feed(p, piece.p, piece.len);
	}
	parts_end(p);
	parts_end(p);
	parts_free(&p);
	assert(t.depth == 0);
	assert(slice_eq(buf_slice(&t.octets), in));
	return t;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	size_t step = size > 0 ? data[size - 1] % 17 + 1 : 1;

	for (int lf = 0; lf < 2; lf++) {
		struct tale whole = tell(in, size > 0 ? size : 1, lf != 0);
		struct tale pieces = tell(in, step, lf != 0);

		assert(slice_eq(buf_slice(&whole.events),
		    buf_slice(&pieces.events)));
		buf_free(&whole.octets);
		buf_free(&whole.events);
		buf_free(&pieces.octets);
		buf_free(&pieces.events);
	}
	return 0;
}
