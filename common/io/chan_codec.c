/*
 * The codec of all channels: C structs to frames and back, driven by the
 * contracts' tables.  Runs in every daemon; what it decodes comes from other
 * daemons, which may have been taken over: nothing in it is believed.
 *
 * Functions call themselves for the elements of a list.  How deep is decided by
 * the tables (chan_contract_check: two levels), never by the input.
 */
#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/io/chan_int.h"

#define ARENA_BLOCK 4096
#define ARENA_KEEP 65536 /* what an arena holds on to between records */

/* Memory of decoded lists: used again for every record, given back only after
 * an unusually large one. */
struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) char octets[];
};

struct chan_arena {
	struct block *first; /* owned, as all behind it */
	struct block *current;
	size_t total;
};

/* Numbers */

uint16_t
chan_get16(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint16_t)(u[0] | u[1] << 8);
}

uint32_t
chan_get32(const char *p)
{
	return chan_get16(p) | (uint32_t)chan_get16(p + 2) << 16;
}

static uint64_t
get64(const char *p)
{
	return chan_get32(p) | (uint64_t)chan_get32(p + 4) << 32;
}

/* Little-endian, n octets; returns what is behind them. */
static char *
put(char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		*p++ = (char)(unsigned char)(v & 0xff);
		v >>= 8;
	}
	return p;
}

/* Members of a struct known only by its table */

static uint64_t
member_number(const struct chan_field *f, const void *msg)
{
	const char *at = (const char *)msg + f->off;
	uint32_t u32;
	uint64_t u64;

	if (f->type == FIELD_U32) {
		memcpy(&u32, at, sizeof(u32));
		return u32;
	}
	memcpy(&u64, at, sizeof(u64));
	return u64;
}

static struct slice
member_slice(const struct chan_field *f, const void *msg)
{
	struct slice s;

	memcpy(&s, (const char *)msg + f->off, sizeof(s));
	return s;
}

static struct slices
member_slices(const struct chan_field *f, const void *msg)
{
	struct slices s;

	memcpy(&s, (const char *)msg + f->off, sizeof(s));
	return s;
}

static struct chan_list
member_list(const struct chan_field *f, const void *msg)
{
	struct chan_list list;

	memcpy(&list, (const char *)msg + f->off, sizeof(list));
	return list;
}

static const char *
list_element(const struct chan_field *f, struct chan_list list, size_t i)
{
	return (const char *)list.v + i * f->sub->size;
}

static bool
is_repeated(const struct chan_field *f)
{
	return f->type == FIELD_STRS || f->type == FIELD_LIST;
}

/* An optional field with nothing in it takes no octets. */
static bool
is_absent(const struct chan_field *f, uint16_t version, const void *msg)
{
	if (f->since > version)
		return true;
	if (f->required || is_repeated(f))
		return false;
	if (f->type == FIELD_STR)
		return member_slice(f, msg).len == 0;
	return member_number(f, msg) == 0;
}

/* Encoding */

static size_t
fields_size(const struct chan_record *r, uint16_t version, const void *msg)
{
	size_t size = 0;

	for (size_t i = 0; i < r->nfields; i++) {
		const struct chan_field *f = &r->fields[i];
		struct slices strs;
		struct chan_list list;

		if (is_absent(f, version, msg))
			continue;
		switch (f->type) {
		case FIELD_U32:
		case FIELD_U64:
			assert(f->max == 0 || member_number(f, msg) <= f->max);
			size += CHAN_TAG_SIZE;
			size += f->type == FIELD_U32 ? 4 : 8;
			break;
		case FIELD_STR:
			assert(member_slice(f, msg).len <= f->max);
			size += CHAN_TAG_SIZE + member_slice(f, msg).len;
			break;
		case FIELD_STRS:
			strs = member_slices(f, msg);
			assert(strs.n <= f->max_n);
			assert(strs.n > 0 || !f->required);
			for (size_t j = 0; j < strs.n; j++) {
				assert(strs.v[j].len <= f->max);
				size += CHAN_TAG_SIZE + strs.v[j].len;
			}
			break;
		case FIELD_LIST:
			list = member_list(f, msg);
			assert(list.n <= f->max_n);
			assert(list.n > 0 || !f->required);
			for (size_t j = 0; j < list.n; j++)
				size += CHAN_TAG_SIZE + fields_size(f->sub,
				    version, list_element(f, list, j));
			break;
		}
	}
	return size;
}

static char *
put_octets(char *p, const struct chan_field *f, struct slice s)
{
	p = put(p, f->tag, 1);
	p = put(p, s.len, 4);
	if (s.len > 0)
		memcpy(p, s.p, s.len);
	return p + s.len;
}

static char *
fields_put(const struct chan_record *r, uint16_t version, const void *msg,
    char *p)
{
	for (size_t i = 0; i < r->nfields; i++) {
		const struct chan_field *f = &r->fields[i];
		struct slices strs;
		struct chan_list list;
		size_t size;
		char *head;

		if (is_absent(f, version, msg))
			continue;
		switch (f->type) {
		case FIELD_U32:
		case FIELD_U64:
			size = f->type == FIELD_U32 ? 4 : 8;
			p = put(p, f->tag, 1);
			p = put(p, size, 4);
			p = put(p, member_number(f, msg), size);
			break;
		case FIELD_STR:
			p = put_octets(p, f, member_slice(f, msg));
			break;
		case FIELD_STRS:
			strs = member_slices(f, msg);
			for (size_t j = 0; j < strs.n; j++)
				p = put_octets(p, f, strs.v[j]);
			break;
		case FIELD_LIST:
			list = member_list(f, msg);
			for (size_t j = 0; j < list.n; j++) {
				head = p;
				p = fields_put(f->sub, version,
				    list_element(f, list, j),
				    head + CHAN_TAG_SIZE);
				size = (size_t)(p - head) - CHAN_TAG_SIZE;
				put(put(head, f->tag, 1), size, 4);
			}
			break;
		}
	}
	return p;
}

void
chan_frame_put(const struct chan_record *r, uint16_t version, const void *msg,
    uint32_t max_frame, struct buf *out)
{
	size_t size = CHAN_HEAD_SIZE + fields_size(r, version, msg);
	char *p;

	assert(size <= max_frame);
	p = buf_room(out, CHAN_LENGTH_SIZE + size);
	if (p == NULL)
		return; /* out->overflow says so */
	p = put(p, size, 4);
	p = put(p, r->type, 2);
	p = put(p, r->nfds, 2);
	fields_put(r, version, msg, p);
	buf_wrote(out, CHAN_LENGTH_SIZE + size);
}

void
chan_encode(const struct chan_contract *ct, uint16_t version, uint16_t type,
    const void *msg, struct buf *out)
{
	const struct chan_record *r = chan_record_find(ct, type);

	assert(r != NULL);
	chan_frame_put(r, version, msg, ct->max_frame, out);
}

/* The arena */

struct chan_arena *
chan_arena_new(void)
{
	return mem_alloc(sizeof(struct chan_arena));
}

void
chan_arena_reset(struct chan_arena *a)
{
	struct block *b, *next;

	if (a->total > ARENA_KEEP) {
		for (b = a->first; b != NULL; b = next) {
			next = b->next;
			free(b);
		}
		a->first = NULL;
		a->total = 0;
	}
	for (b = a->first; b != NULL; b = b->next)
		b->used = 0;
	a->current = a->first;
}

void
chan_arena_free(struct chan_arena **ap)
{
	struct chan_arena *a = *ap;
	struct block *b, *next;

	if (a == NULL)
		return;
	for (b = a->first; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
	*ap = NULL;
}

/* Not zeroed; lives until the next reset. */
static void *
arena_take(struct chan_arena *a, size_t n)
{
	size_t align = alignof(max_align_t);
	struct block *b;
	void *p;

	n = (n + align - 1) / align * align;
	for (b = a->current; b != NULL && n > b->size - b->used; b = b->next)
		;
	if (b == NULL) {
		/* Doubling: few blocks however much is taken. */
		size_t size = a->total > ARENA_BLOCK ? a->total : ARENA_BLOCK;

		if (size < n)
			size = n;
		b = mem_grow(NULL, sizeof(*b) + size, 1);
		b->size = size;
		b->used = 0;
		b->next = a->first;
		a->first = b;
		a->total += size;
	}
	a->current = b;
	p = b->octets + b->used;
	b->used += n;
	return p;
}

/* Decoding */

static bool
broken(struct chan_decoder *d, const struct chan_record *r,
    const struct chan_field *f, const char *why)
{
	d->fault.record = r->name;
	d->fault.field = f != NULL ? f->name : NULL;
	d->fault.why = why;
	return false;
}

/* Cuts one field off *rest; false if it is not whole. */
static bool
cut_field(struct slice *rest, uint8_t *tag, struct slice *value)
{
	uint32_t len;

	if (rest->len < CHAN_TAG_SIZE)
		return false;
	len = chan_get32(rest->p + 1);
	if (len > rest->len - CHAN_TAG_SIZE)
		return false;
	*tag = (uint8_t)rest->p[0];
	*value = (struct slice){rest->p + CHAN_TAG_SIZE, len};
	rest->p += CHAN_TAG_SIZE + len;
	rest->len -= CHAN_TAG_SIZE + len;
	return true;
}

/* The row of a tag, r->nfields if there is none.  Fields mostly come in the
 * table's order: the search starts where the last one ended. */
static size_t
find_field(const struct chan_record *r, uint8_t tag, size_t from)
{
	for (size_t i = from; i < r->nfields; i++)
		if (r->fields[i].tag == tag)
			return i;
	for (size_t i = 0; i < from; i++)
		if (r->fields[i].tag == tag)
			return i;
	return r->nfields;
}

/* NULL, or what is wrong with the value; an element of a list is looked into
 * when it is decoded. */
static const char *
value_fault(const struct chan_field *f, struct slice value)
{
	switch (f->type) {
	case FIELD_U32:
		if (value.len != 4)
			return "wrong length";
		if (f->max != 0 && chan_get32(value.p) > f->max)
			return "too large";
		break;
	case FIELD_U64:
		if (value.len != 8)
			return "wrong length";
		if (f->max != 0 && get64(value.p) > f->max)
			return "too large";
		break;
	case FIELD_STR:
	case FIELD_STRS:
		if (value.len > f->max)
			return "too long";
		break;
	case FIELD_LIST:
		break;
	}
	return NULL;
}

/* First pass: everything is as the table says; seen[i] counts row i. */
static bool
fields_check(struct chan_decoder *d, const struct chan_record *r,
    struct slice octets, uint32_t *seen)
{
	const struct chan_field *f;
	struct slice value;
	const char *why;
	uint8_t tag;
	size_t row = 0;

	while (octets.len > 0) {
		if (!cut_field(&octets, &tag, &value))
			return broken(d, r, NULL, "field cut short");
		row = find_field(r, tag, row < r->nfields ? row : 0);
		if (row == r->nfields)
			return broken(d, r, NULL, "unknown tag");
		f = &r->fields[row];
		if (f->since > d->version)
			return broken(d, r, f, "newer than the version spoken");
		why = value_fault(f, value);
		if (why != NULL)
			return broken(d, r, f, why);
		seen[row]++;
		if (is_repeated(f) && seen[row] > f->max_n)
			return broken(d, r, f, "too many");
		if (!is_repeated(f) && seen[row] > 1)
			return broken(d, r, f, "repeated");
	}
	for (row = 0; row < r->nfields; row++) {
		f = &r->fields[row];
		if (f->required && f->since <= d->need && seen[row] == 0)
			return broken(d, r, f, "missing");
	}
	return true;
}

/* Members of an empty record; lists get room for what was counted. */
static void
members_init(struct chan_decoder *d, const struct chan_record *r,
    const uint32_t *seen, char *out)
{
	memset(out, 0, r->size);
	for (size_t i = 0; i < r->nfields; i++) {
		const struct chan_field *f = &r->fields[i];
		struct slices strs = {NULL, 0};
		struct chan_list list = {NULL, 0};

		if (f->type == FIELD_STR) {
			memcpy(out + f->off, &SLICE_EMPTY,
			    sizeof(struct slice));
		} else if (f->type == FIELD_STRS && seen[i] > 0) {
			strs.n = seen[i];
			strs.v = arena_take(d->arena,
			    strs.n * sizeof(struct slice));
			memcpy(out + f->off, &strs, sizeof(strs));
		} else if (f->type == FIELD_LIST && seen[i] > 0) {
			list.n = seen[i];
			list.v = arena_take(d->arena, list.n * f->sub->size);
			memcpy(out + f->off, &list, sizeof(list));
		}
	}
}

bool
chan_fields_get(struct chan_decoder *d, const struct chan_record *r,
    struct slice octets, void *msg_out)
{
	char *out = msg_out;
	uint32_t seen[CHAN_MAX_FIELDS] = {0};
	uint32_t filled[CHAN_MAX_FIELDS] = {0};
	struct slice value;
	uint32_t u32;
	uint64_t u64;
	uint8_t tag;
	size_t row = 0;

	assert(r->nfields <= CHAN_MAX_FIELDS);
	if (!fields_check(d, r, octets, seen))
		return false;
	members_init(d, r, seen, out);
	while (cut_field(&octets, &tag, &value)) {
		const struct chan_field *f;

		row = find_field(r, tag, row);
		f = &r->fields[row];
		switch (f->type) {
		case FIELD_U32:
			u32 = chan_get32(value.p);
			memcpy(out + f->off, &u32, sizeof(u32));
			break;
		case FIELD_U64:
			u64 = get64(value.p);
			memcpy(out + f->off, &u64, sizeof(u64));
			break;
		case FIELD_STR:
			memcpy(out + f->off, &value, sizeof(value));
			break;
		case FIELD_STRS:
			member_slices(f, out).v[filled[row]++] = value;
			break;
		case FIELD_LIST:
			if (!chan_fields_get(d, f->sub, value,
			    (char *)member_list(f, out).v +
			    filled[row]++ * f->sub->size))
				return false;
			break;
		}
	}
	return true;
}

bool
chan_decode(const struct chan_contract *ct, uint16_t version,
    enum chan_side from, struct slice payload, struct chan_arena *arena,
    uint16_t *type, void *msg_out, size_t msg_size, const char **why)
{
	struct chan_decoder d = {version, version, arena, {NULL, NULL, NULL}};
	const struct chan_record *r = NULL;

	if (payload.len < CHAN_HEAD_SIZE)
		d.fault.why = "frame too short";
	else if (payload.len > ct->max_frame)
		d.fault.why = "frame too long";
	else if ((r = chan_record_find(ct, chan_get16(payload.p))) == NULL)
		d.fault.why = "unknown record";
	else if ((r->from & from) == 0)
		d.fault.why = "record of the wrong side";
	else if (chan_get16(payload.p + 2) != r->nfds)
		d.fault.why = "wrong number of descriptors";
	if (d.fault.why == NULL) {
		assert(msg_size >= r->size);
		payload = slice_sub(payload, CHAN_HEAD_SIZE, payload.len);
		if (chan_fields_get(&d, r, payload, msg_out)) {
			*type = r->type;
			return true;
		}
	}
	*why = d.fault.why;
	return false;
}
