/*
 * The description of a message as octets: numbers in the little groups of seven
 * bits that put most of them into one or two octets.  In processes that serve
 * mailboxes; what is read back comes from an index that its owner may have
 * changed or damaged: it is believed as far as it hangs together.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mime/structure.h"
#include "common/mime/structure_int.h"

/* Three octets: a mark, and the version. */
#define MAGIC "mS\1"
#define CUT 1u      /* flags of all */
#define NO_BODY 1u  /* flags of a part */

/* ---- writing ---- */

static void
put(struct buf *out, uint64_t n)
{
	for (; n > 127; n >>= 7)
		buf_addc(out, (char)(n & 127) | (char)-128);
	buf_addc(out, (char)n);
}

static void
put_part(struct buf *out, const struct structure_part *p)
{
	size_t n = 0;

	put(out, p->parent);
	put(out, p->kind);
	put(out, p->media);
	put(out, p->encoding);
	put(out, p->no_body ? NO_BODY : 0);
	put(out, p->start);
	put(out, p->body - p->start);
	put(out, p->end - p->body);
	put(out, p->header_wire);
	put(out, p->body_wire);
	put(out, p->header_lines);
	put(out, p->body_lines);
	for (size_t i = 0; i < STRUCTURE_FIELDS; i++)
		n += p->fields[i].p != NULL;
	put(out, n);
	for (size_t i = 0; i < STRUCTURE_FIELDS; i++) {
		if (p->fields[i].p == NULL)
			continue;
		put(out, i);
		put(out, p->fields[i].len);
		buf_addslice(out, p->fields[i]);
	}
}

void
structure_save(const struct structure *s, struct buf *out)
{
	buf_adds(out, MAGIC);
	put(out, s->cut ? CUT : 0);
	put(out, s->nparts);
	for (size_t i = 0; i < s->nparts; i++)
		put_part(out, &s->parts[i]);
}

/* ---- reading ---- */

struct reader {
	struct slice rest;
	bool bad;
};

/* A number of at most `most`, or 0 and bad. */
static uint64_t
get(struct reader *r, uint64_t most)
{
	uint64_t n = 0;
	unsigned shift = 0;

	while (!r->bad && r->rest.len > 0 && shift < 63) {
		unsigned char c = (unsigned char)r->rest.p[0];

		r->rest = slice_sub(r->rest, 1, r->rest.len);
		n |= (uint64_t)(c & 127) << shift;
		if (c < 128) {
			if (n > most)
				break;
			return n;
		}
		shift += 7;
	}
	r->bad = true;
	return 0;
}

#define PLACE_MOST (UINT64_MAX / 8)

static void
get_fields(struct reader *r, struct structure *s, struct structure_part *p)
{
	uint64_t n = get(r, 1000);

	while (n-- > 0 && !r->bad) {
		uint64_t field = get(r, UINT32_MAX);
		uint64_t len = get(r, r->rest.len);
		struct slice value;

		if (r->bad || len > r->rest.len) {
			r->bad = true;
			return;
		}
		value = slice_sub(r->rest, 0, (size_t)len);
		r->rest = slice_sub(r->rest, (size_t)len, r->rest.len);
		/* Later releases may have more of them. */
		if (field >= STRUCTURE_FIELDS)
			continue;
		p->fields[field] = (struct slice){s->text.s + s->text.len,
		    value.len};
		buf_addslice(&s->text, value);
	}
}

static void
get_part(struct reader *r, struct structure *s, uint32_t *last_children)
{
	uint32_t index = (uint32_t)s->nparts;
	uint32_t parent = (uint32_t)get(r, index > 0 ? index - 1 : 0);
	struct structure_part *p;

	if (r->bad || (index > 0 && s->parts[parent].kind == PART_LEAF)) {
		r->bad = true;
		return;
	}
	p = structure_add(s, parent, last_children[parent]);
	if (index > 0)
		last_children[parent] = index;
	p->kind = (enum part_kind)get(r, PART_MESSAGE);
	p->media = (enum part_media)get(r, MEDIA_OTHER);
	p->encoding = (enum content_encoding)get(r, ENCODING_OTHER);
	p->no_body = (get(r, UINT32_MAX) & NO_BODY) != 0;
	p->start = get(r, PLACE_MOST);
	p->body = p->start + get(r, PLACE_MOST);
	p->end = p->body + get(r, PLACE_MOST);
	p->header_wire = get(r, PLACE_MOST);
	p->body_wire = get(r, PLACE_MOST);
	p->header_lines = get(r, PLACE_MOST);
	p->body_lines = get(r, PLACE_MOST);
	get_fields(r, s, p);
}

struct structure *
structure_load(struct slice saved)
{
	struct reader r = {.rest = saved};
	struct structure *s;
	uint32_t *last_children;
	uint64_t n;

	if (!slice_prefix(saved, SLICE(MAGIC)))
		return NULL;
	r.rest = slice_sub(saved, sizeof(MAGIC) - 1, saved.len);
	s = mem_alloc(sizeof(*s));
	buf_init(&s->text, saved.len);
	buf_room(&s->text, saved.len);
	s->cut = (get(&r, UINT32_MAX) & CUT) != 0;
	n = get(&r, STRUCTURE_PARTS_MAX);
	last_children = mem_array((size_t)n + 1, sizeof(*last_children));
	while (s->nparts < n && !r.bad)
		get_part(&r, s, last_children);
	free(last_children);
	if (r.bad || n == 0 || r.rest.len > 0)
		structure_free(&s);
	return s;
}
