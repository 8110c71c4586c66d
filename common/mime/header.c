/*
 * The reader of header fields.  Runs in smtpd sessions, on what a client sends
 * as a message, and in deliveries, on the same from the queue: hostile octets
 * in any number and order.  Lines are found by memchr; a field that lies whole
 * in the octets fed is shown where it lies, one that spans two feeds is copied,
 * up to the limit.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mime/header.h"

#define KEEP_LEAST 256

enum state {
	AT_START,    /* at the first octet of a line */
	AT_START_CR, /* a line's first octet was CR: the empty line? */
	IN_LINE,
	IN_LINE_CR,  /* the last octet was CR */
	DONE
};

struct header_scan {
	header_fn *fn;
	void *arg;
	size_t keep;
	enum state state;
	uint64_t offset;  /* of the field under way */
	uint64_t length;  /* what came of it in earlier feeds; 0: none */
	struct buf kept;  /* the start of that */
	struct header_counts counts;
};

/* RFC 5322 3.6.8: ftext */
static bool
is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 33 || s.p[i] > 126)
			return false;
	return s.len > 0;
}

/* Name and value of a field's text, which has no CRLF at its end. */
static void
split(struct slice text, struct header_field *f)
{
	size_t colon = slice_find(text, ':', 0);
	struct slice name = slice_sub(text, 0, colon);

	while (name.len > 0 && (name.p[name.len - 1] == ' ' ||
	    name.p[name.len - 1] == '\t'))
		name.len--;
	if (colon < text.len && is_name(name)) {
		f->name = name;
		f->value = slice_sub(text, colon + 1, text.len);
	} else {
		f->name = SLICE_EMPTY;
		f->value = text;
	}
}

/* The position behind the next CRLF whose LF is at from or later; false:
 * there is none. */
static bool
line_end(struct slice s, size_t from, size_t *end)
{
	for (;;) {
		size_t at = slice_find(s, '\n', from);

		if (at == s.len)
			return false;
		from = at + 1;
		if (at > 0 && s.p[at - 1] == '\r') {
			*end = from;
			return true;
		}
	}
}

/*
 * The field under way is complete.  here is what came of it in this feed; the
 * field ends with `tail` octets that are not of its text.
 */
static void
report(struct header_scan *h, struct slice here, size_t tail)
{
	struct header_field f = {
		.offset = h->offset,
		.length = h->length + here.len,
	};
	uint64_t text_len = f.length - tail;
	struct slice text = here;

	if (h->length > 0) {
		size_t room = h->keep - h->kept.len;

		buf_addslice(&h->kept, slice_sub(here, 0, room));
		text = buf_slice(&h->kept);
	}
	f.cut = text_len > h->keep;
	split(slice_sub(text, 0, f.cut ? h->keep : (size_t)text_len), &f);
	if (f.name.len == 0)
		h->counts.malformed++;
	else {
		h->counts.fields++;
		if (header_is(&f, "Received"))
			h->counts.received++;
	}
	if (h->fn != NULL)
		h->fn(h->arg, &f);
	h->length = 0;
	buf_reset(&h->kept);
}

/* The feed ends within a field. */
static void
keep(struct header_scan *h, struct slice here)
{
	buf_addslice(&h->kept, slice_sub(here, 0, h->keep - h->kept.len));
	h->length += here.len;
}

struct header_scan *
header_scan_new(size_t keep_octets, header_fn *fn, void *arg)
{
	struct header_scan *h = mem_alloc(sizeof(*h));

	h->fn = fn;
	h->arg = arg;
	h->keep = keep_octets > KEEP_LEAST ? keep_octets : KEEP_LEAST;
	buf_init(&h->kept, h->keep);
	return h;
}

void
header_scan_free(struct header_scan **h)
{
	if (*h == NULL)
		return;
	buf_free(&(*h)->kept);
	free(*h);
	*h = NULL;
}

void
header_scan_reset(struct header_scan *h)
{
	buf_reset(&h->kept);
	h->state = AT_START;
	h->offset = h->length = 0;
	h->counts = (struct header_counts){0};
}

/* A feed: its octets, and where in them the field under way goes on. */
struct feed {
	struct slice s;
	size_t from;
	uint64_t base; /* the feed's offset in the message */
};

/* A new line that is not folded to the field before it starts at `at`: reports
 * that field, if there is one. */
static void
start_field(struct header_scan *h, struct feed *in, size_t at)
{
	if (h->length > 0 || at > in->from)
		report(h, slice_sub(in->s, in->from, at), 2);
	in->from = at;
	h->offset = in->base + at;
}

/* The octet behind a CR that began a line; false: the section is complete. */
static bool
after_first_cr(struct header_scan *h, struct feed *in, size_t at)
{
	bool earlier = at == 0; /* the CR came in the feed before */

	start_field(h, in, earlier ? 0 : at - 1);
	if (in->s.p[at] == '\n') {
		h->state = DONE;
		return false;
	}
	if (earlier) {
		h->offset = in->base - 1;
		keep(h, SLICE("\r"));
	}
	h->state = IN_LINE;
	return true;
}

/* The rest of a line; returns the position behind what of it is there. */
static size_t
rest_of_line(struct header_scan *h, struct slice s, size_t at)
{
	size_t end = 1;

	if ((h->state == IN_LINE_CR && s.p[0] == '\n') ||
	    line_end(s, at, &end)) {
		h->state = AT_START;
		return end;
	}
	h->state = s.p[s.len - 1] == '\r' ? IN_LINE_CR : IN_LINE;
	return s.len;
}

size_t
header_scan_feed(struct header_scan *h, const void *p, size_t len)
{
	struct feed in = {slice_mem(p, len), 0, h->counts.octets};
	size_t at = 0;

	if (h->state == DONE)
		return 0;
	while (at < len) {
		char c = in.s.p[at];

		switch (h->state) {
		case AT_START:
			if (c == '\r') {
				h->state = AT_START_CR;
				at++;
				break;
			}
			if (c != ' ' && c != '\t')
				start_field(h, &in, at);
			h->state = IN_LINE;
			break;
		case AT_START_CR:
			if (after_first_cr(h, &in, at))
				break;
			h->counts.octets += at + 1;
			return at + 1;
		case IN_LINE:
		case IN_LINE_CR:
			at = rest_of_line(h, in.s, at);
			break;
		case DONE:
			return at;
		}
	}
	/* A CR that may begin the empty line belongs to no field yet. */
	keep(h, slice_sub(in.s, in.from,
	    h->state == AT_START_CR && len > 0 ? len - 1 : len));
	h->counts.octets += len;
	return len;
}

void
header_scan_end(struct header_scan *h)
{
	bool lone_cr = h->state == AT_START_CR;
	bool whole = lone_cr || h->state == AT_START;

	if (h->state == DONE)
		return;
	h->state = DONE;
	if (h->length > 0)
		report(h, SLICE_EMPTY, whole ? 2 : 0);
	if (lone_cr) {
		h->offset = h->counts.octets - 1;
		report(h, SLICE("\r"), 0);
	}
}

bool
header_scan_done(const struct header_scan *h)
{
	return h->state == DONE;
}

const struct header_counts *
header_scan_counts(const struct header_scan *h)
{
	return &h->counts;
}

bool
header_next(struct slice message, size_t *at, struct header_field *f)
{
	size_t start = *at, end = start, tail = 0;

	if (start >= message.len)
		return false;
	if (slice_prefix(slice_sub(message, start, message.len),
	    SLICE("\r\n"))) {
		*at = start + 2;
		return false;
	}
	for (;;) {
		if (!line_end(message, end, &end)) {
			end = message.len;
			tail = 0;
			break;
		}
		tail = 2;
		if (end == message.len ||
		    (message.p[end] != ' ' && message.p[end] != '\t'))
			break;
	}
	f->offset = start;
	f->length = end - start;
	f->cut = false;
	split(slice_sub(message, start, end - tail), f);
	*at = end;
	return true;
}

bool
header_find(struct slice message, const char *name, struct header_field *f)
{
	struct header_field one;

	for (size_t at = 0; header_next(message, &at, &one); )
		if (header_is(&one, name)) {
			*f = one;
			return true;
		}
	return false;
}
