/*
 * Builds the description of a message from the events of common/mime/parts, and
 * finds its sections.  In processes that serve mailboxes, with the rights of
 * their owner; the message is whatever the network sent.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mime/structure.h"
#include "common/mime/structure_int.h"

static const char *const names[STRUCTURE_FIELDS] = {
	[FIELD_TYPE] = "Content-Type",
	[FIELD_ENCODING] = "Content-Transfer-Encoding",
	[FIELD_ID] = "Content-ID",
	[FIELD_DESCRIPTION] = "Content-Description",
	[FIELD_DISPOSITION] = "Content-Disposition",
	[FIELD_LANGUAGE] = "Content-Language",
	[FIELD_LOCATION] = "Content-Location",
	[FIELD_MD5] = "Content-MD5",
	[FIELD_DATE] = "Date",
	[FIELD_SUBJECT] = "Subject",
	[FIELD_FROM] = "From",
	[FIELD_SENDER] = "Sender",
	[FIELD_REPLY_TO] = "Reply-To",
	[FIELD_TO] = "To",
	[FIELD_CC] = "Cc",
	[FIELD_BCC] = "Bcc",
	[FIELD_IN_REPLY_TO] = "In-Reply-To",
	[FIELD_MESSAGE_ID] = "Message-ID",
	[FIELD_REFERENCES] = "References",
};

#define FIRST_OF_MESSAGE FIELD_DATE
#define NO_PART UINT32_MAX

struct structure_builder {
	struct structure *s;
	struct parts *parts;
	/* Of each open part: its index in s->parts, or NO_PART beyond the
	 * limit, and that of its last child */
	struct {
		uint32_t index, last_child;
	} open[STRUCTURE_DEPTH_MAX + 1];
};

/* ---- parts ---- */

struct structure_part *
structure_add(struct structure *s, uint32_t parent, uint32_t last_child)
{
	struct structure_part p = {.parent = parent, .number = 1};
	uint32_t index = (uint32_t)s->nparts;

	if (last_child != 0) {
		s->parts[last_child].next = index;
		p.number = s->parts[last_child].number + 1;
	} else if (index > 0)
		s->parts[parent].child = index;
	MEM_PUSH(s->parts, s->nparts, s->cap, p);
	return &s->parts[index];
}

static bool
on_start(void *arg, struct part *p)
{
	struct structure_builder *b = arg;
	uint32_t parent = p->depth > 0 ? b->open[p->depth - 1].index : 0;

	b->open[p->depth].index = NO_PART;
	b->open[p->depth].last_child = 0;
	if (parent == NO_PART || b->s->nparts == STRUCTURE_PARTS_MAX) {
		b->s->cut = true;
		return true;
	}
	b->open[p->depth].index = (uint32_t)b->s->nparts;
	structure_add(b->s, parent, p->depth > 0
	    ? b->open[p->depth - 1].last_child : 0);
	if (p->depth > 0)
		b->open[p->depth - 1].last_child = b->open[p->depth].index;
	return true;
}

/* RFC 5322 2.2.3: CRLF, or LF, before a blank goes. */
static struct slice
add_value(struct structure *s, struct slice value)
{
	size_t from = s->text.len;

	value = slice_trim(value);
	if (value.len > s->text.max - from) {
		s->cut = true;
		return SLICE_EMPTY;
	}
	for (size_t i = 0; i < value.len; i++) {
		size_t lf = i + (value.p[i] == '\r' && i + 1 < value.len);
		char c = value.p[i];

		if (value.p[lf] == '\n' && lf + 1 < value.len &&
		    (value.p[lf + 1] == ' ' || value.p[lf + 1] == '\t'))
			i = lf;
		else
			buf_addc(&s->text, c == '\0' || c == '\r' ||
			    c == '\n' ? ' ' : c);
	}
	/* What was folded first or last has left its blanks. */
	return slice_trim(slice_mem(s->text.s + from, s->text.len - from));
}

static bool
on_field(void *arg, struct part *p, const struct header_field *f)
{
	struct structure_builder *b = arg;
	uint32_t index = b->open[p->depth].index;
	size_t n = part_is_message(p) ? STRUCTURE_FIELDS : FIRST_OF_MESSAGE;
	struct slice *place;

	if (index == NO_PART || f->name.len == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		place = &b->s->parts[index].fields[i];
		if (!header_is(f, names[i]) || place->p != NULL)
			continue;
		if (f->cut)
			b->s->cut = true;
		*place = add_value(b->s, f->value);
	}
	return true;
}

static bool
on_end(void *arg, struct part *p)
{
	struct structure_builder *b = arg;
	struct structure_part *to;

	if (b->open[p->depth].index == NO_PART)
		return true;
	to = &b->s->parts[b->open[p->depth].index];
	to->kind = p->kind;
	to->media = p->media;
	to->encoding = p->encoding;
	to->no_body = p->no_body;
	to->start = p->start.octets;
	to->body = p->body.octets;
	to->end = p->end.octets;
	to->header_wire = p->body.wire - p->start.wire;
	to->body_wire = p->end.wire - p->body.wire;
	to->header_lines = p->body.lines - p->start.lines;
	to->body_lines = p->end.lines - p->body.lines;
	return true;
}

struct structure_builder *
structure_builder_new(bool lf)
{
	static const struct parts_handler handler = {.start = on_start,
	    .field = on_field, .end = on_end};
	const struct parts_options options = {.keep = STRUCTURE_FIELD_MAX,
	    .depth_max = STRUCTURE_DEPTH_MAX, .lf = lf};
	struct structure_builder *b = mem_alloc(sizeof(*b));

	b->s = mem_alloc(sizeof(*b->s));
	buf_init(&b->s->text, STRUCTURE_TEXT_MAX);
	/* All at once, so that fields need not move; what is not used is never
	 * touched. */
	buf_room(&b->s->text, STRUCTURE_TEXT_MAX);
	b->parts = parts_new(&handler, b, &options);
	return b;
}

void
structure_builder_feed(struct structure_builder *b, const void *p, size_t n)
{
	parts_feed(b->parts, p, n);
}

struct structure *
structure_builder_take(struct structure_builder **bp)
{
	struct structure *s = (*bp)->s;

	parts_end((*bp)->parts);
	(*bp)->s = NULL;
	structure_builder_free(bp);
	return s;
}

void
structure_builder_free(struct structure_builder **bp)
{
	if (*bp == NULL)
		return;
	parts_free(&(*bp)->parts);
	structure_free(&(*bp)->s);
	free(*bp);
	*bp = NULL;
}

void
structure_free(struct structure **sp)
{
	if (*sp == NULL)
		return;
	free((*sp)->parts);
	buf_free(&(*sp)->text);
	free(*sp);
	*sp = NULL;
}

/* ---- sections ---- */

const struct structure_part *
structure_message(const struct structure *s, const struct structure_part *p)
{
	return p->kind == PART_MESSAGE && p->child != 0 ? &s->parts[p->child]
	    : NULL;
}

const struct structure_part *
structure_section(const struct structure *s, const uint32_t *path, size_t n)
{
	const struct structure_part *p = &s->parts[0];
	bool message = true; /* p is one, and no number has named its body */

	for (size_t i = 0; i < n; i++) {
		if (!message && p->kind == PART_MESSAGE) {
			p = structure_message(s, p);
			message = true;
		}
		if (p == NULL)
			return NULL;
		if (p->kind == PART_MULTIPART) {
			p = p->child != 0 ? &s->parts[p->child] : NULL;
			while (p != NULL && p->number != path[i])
				p = p->next != 0 ? &s->parts[p->next] : NULL;
			if (p == NULL)
				return NULL;
		} else if (!message || path[i] != 1)
			return NULL;
		message = false;
	}
	return p;
}
