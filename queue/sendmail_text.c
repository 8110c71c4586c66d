/*
 * What was piped into sendmail(1) becomes a message: line ends, the leading
 * "From " lines of mailboxes, the dot that ends it, where the header ends.  In
 * sendmail, on whatever its caller writes: program output, mostly.  The result
 * does not depend on where the pieces were cut.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/sendmail.h"

/* No field's name is longer (RFC 5322 2.1.1): a longer line without a colon is
 * text, however long it may become. */
#define NAME_MAX_OCTETS 998

struct text {
	bool dots;          /* a lone one ends the message */
	bool start;         /* at the start of a line */
	bool cr;            /* CRs came, nothing else since */
	bool dot;           /* a dot at the line's start is held back */
	bool ended;
	bool in_header;
	bool too_large;
	struct buf head;    /* whole fields, then the line in hand */
	size_t line_at;     /* where that begins */
	bool colon;         /* the line in hand has one */
};

struct text *
text_new(bool ignore_dots, size_t header_max)
{
	struct text *t = mem_alloc(sizeof(*t));

	t->dots = !ignore_dots;
	t->start = true;
	t->in_header = true;
	buf_init(&t->head, header_max);
	return t;
}

void
text_free(struct text **tp)
{
	if (*tp == NULL)
		return;
	buf_free(&(*tp)->head);
	free(*tp);
	*tp = NULL;
}

bool
text_header_too_large(const struct text *t)
{
	return t->too_large;
}

/* RFC 5322 3.6.8, and blanks in front of the colon as 4.5 has them */
static bool
is_field(struct slice line)
{
	size_t i = 0;

	while (i < line.len && line.p[i] > ' ' && line.p[i] < 0x7f &&
	    line.p[i] != ':')
		i++;
	if (i == 0)
		return false;
	while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t'))
		i++;
	return i < line.len && line.p[i] == ':';
}

/* "From ann Sun Nov 22 ...", and as it is quoted in mailboxes */
static bool
is_mbox(struct slice line)
{
	size_t i = 0;

	while (i < line.len && line.p[i] == '>')
		i++;
	return slice_prefix(slice_sub(line, i, line.len), SLICE("From "));
}

/* The header is complete; the line in hand is the body's first, and goes there
 * as far as it has come. */
static void
begin_body(struct text *t, const struct text_sink *sink)
{
	t->in_header = false;
	if (t->head.overflow)
		t->too_large = true;
	sink->header(sink->arg, slice_mem(t->head.s, t->line_at));
	if (t->head.len > t->line_at)
		sink->body(sink->arg, slice_sub(buf_slice(&t->head),
		    t->line_at, t->head.len));
	buf_free(&t->head);
}

/* A line of the header is whole. */
static void
header_line(struct text *t, const struct text_sink *sink)
{
	struct slice line = slice_sub(buf_slice(&t->head), t->line_at,
	    t->head.len);
	bool first = t->line_at == 0;

	if (line.len == 0) {
		begin_body(t, sink);
		return;
	}
	if (first && is_mbox(line)) {
		buf_reset(&t->head);
		t->colon = false;
		return;
	}
	if (is_field(line) ||
	    (!first && (line.p[0] == ' ' || line.p[0] == '\t'))) {
		buf_adds(&t->head, "\r\n");
		t->line_at = t->head.len;
		t->colon = false;
		return;
	}
	begin_body(t, sink);
	sink->body(sink->arg, SLICE("\r\n"));
}

static void
line_end(struct text *t, const struct text_sink *sink)
{
	if (t->dot) {
		t->ended = true;
		t->dot = false;
		return;
	}
	t->start = true;
	if (t->in_header)
		header_line(t, sink);
	else
		sink->body(sink->arg, SLICE("\r\n"));
}

static void
put(struct text *t, struct slice s, const struct text_sink *sink)
{
	t->start = false;
	if (!t->in_header) {
		sink->body(sink->arg, s);
		return;
	}
	buf_addslice(&t->head, s);
	t->colon = t->colon || memchr(s.p, ':', s.len) != NULL;
	if (t->head.overflow || (!t->colon &&
	    t->head.len - t->line_at > NAME_MAX_OCTETS &&
	    (t->line_at == 0 || (t->head.s[t->line_at] != ' ' &&
	    t->head.s[t->line_at] != '\t')))) {
		begin_body(t, sink);
	}
}

/* Octets up to what needs a look. */
static struct slice
run(struct slice in, size_t at, bool header)
{
	size_t end = at;

	while (end < in.len && in.p[end] != '\n' && in.p[end] != '\r' &&
	    in.p[end] != '\0')
		end++;
	/* The decision about a long line must fall at the same octet however
	 * the pieces were cut. */
	if (header && end > at)
		end = at + 1;
	return slice_sub(in, at, end);
}

/* What stands behind CRs that no LF followed. */
static void
bare_cr(struct text *t, const struct text_sink *sink)
{
	t->cr = false;
	if (!t->in_header) {
		line_end(t, sink);
		return;
	}
	if (t->dot) {
		t->dot = false;
		put(t, SLICE("."), sink);
	}
	/* In front of a field it would fold it to the one before. */
	if (!t->start)
		put(t, SLICE(" "), sink);
}

bool
text_feed(struct text *t, struct slice in, const struct text_sink *sink)
{
	struct slice piece;
	size_t at = 0;

	while (at < in.len && !t->ended) {
		char c = in.p[at];

		if (c == '\0' || c == '\r') {
			t->cr = t->cr || c == '\r';
			at++;
			continue;
		}
		if (c == '\n') {
			t->cr = false;
			line_end(t, sink);
			at++;
			continue;
		}
		if (t->cr) {
			bare_cr(t, sink);
			continue; /* the octet is looked at anew */
		}
		if (t->start && t->dots && !t->dot && c == '.') {
			t->dot = true;
			at++;
			continue;
		}
		if (t->dot) {
			t->dot = false;
			put(t, SLICE("."), sink);
		}
		piece = run(in, at, t->in_header);
		put(t, piece, sink);
		at += piece.len;
	}
	return !t->ended;
}

void
text_end(struct text *t, const struct text_sink *sink)
{
	if (!t->ended && (!t->start || t->dot || t->cr)) {
		if (t->cr && t->in_header && t->start && !t->dot)
			t->cr = false;
		else
			line_end(t, sink);
	}
	if (t->in_header)
		begin_body(t, sink);
}
