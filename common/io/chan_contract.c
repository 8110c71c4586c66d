/*
 * Contracts as such: looking up records, checking tables, records as text.  No
 * input but the tables and structs of our own programs; the octets in the text
 * are foreign and escaped.
 */
#include <inttypes.h>
#include <string.h>

#include "common/io/chan_int.h"

const struct chan_record *
chan_record_find(const struct chan_contract *ct, uint16_t type)
{
	for (size_t i = 0; i < ct->nrecords; i++)
		if (ct->records[i].type == type)
			return &ct->records[i];
	return NULL;
}

size_t
chan_msg_size(const struct chan_contract *ct)
{
	size_t size = 1;

	for (size_t i = 0; i < ct->nrecords; i++)
		if (ct->records[i].size > size)
			size = ct->records[i].size;
	return size;
}

/* Text */

static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' ||
		    strchr("\"\\=[]{}", s.p[i]) != NULL)
			return false;
	return s.len > 0;
}

static void
print_octets(struct slice s, struct buf *out)
{
	if (is_plain(s)) {
		buf_addslice(out, s);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		if (s.p[i] >= ' ' && s.p[i] <= '~')
			buf_addc(out, s.p[i]);
		else
			buf_printf(out, "\\x%02x", (unsigned char)s.p[i]);
	}
	buf_addc(out, '"');
}

static void print_fields(const struct chan_record *r, const char *msg,
    struct buf *out);

static void
print_list(const struct chan_field *f, struct chan_list list, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < list.n; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		buf_addc(out, '{');
		print_fields(f->sub, (const char *)list.v + i * f->sub->size,
		    out);
		buf_addc(out, '}');
	}
	buf_addc(out, ']');
}

static void
print_strs(struct slices strs, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < strs.n; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		print_octets(strs.v[i], out);
	}
	buf_addc(out, ']');
}

/* key=value for each field that has one; the depth is the tables', at most
 * two. */
static void
print_fields(const struct chan_record *r, const char *msg, struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < r->nfields; i++) {
		const struct chan_field *f = &r->fields[i];
		const char *at = msg + f->off;
		uint32_t u32 = 0;
		uint64_t u64 = 0;
		struct slice s = SLICE_EMPTY;
		struct slices strs = {NULL, 0};
		struct chan_list list = {NULL, 0};

		switch (f->type) {
		case FIELD_U32:
			memcpy(&u32, at, sizeof(u32));
			u64 = u32;
			break;
		case FIELD_U64:
			memcpy(&u64, at, sizeof(u64));
			break;
		case FIELD_STR:
			memcpy(&s, at, sizeof(s));
			break;
		case FIELD_STRS:
			memcpy(&strs, at, sizeof(strs));
			break;
		case FIELD_LIST:
			memcpy(&list, at, sizeof(list));
			break;
		}
		if (!f->required && u64 == 0 && s.len == 0 && strs.n == 0 &&
		    list.n == 0)
			continue;
		if (!first)
			buf_addc(out, ' ');
		first = false;
		buf_adds(out, f->name);
		buf_addc(out, '=');
		if (f->type == FIELD_STR)
			print_octets(s, out);
		else if (f->type == FIELD_STRS)
			print_strs(strs, out);
		else if (f->type == FIELD_LIST)
			print_list(f, list, out);
		else
			buf_addu(out, u64);
	}
}

void
chan_print(const struct chan_record *r, const void *msg, struct buf *out)
{
	buf_adds(out, r->name);
	if (r->nfields > 0)
		buf_addc(out, ' ');
	print_fields(r, msg, out);
}

/* Checks */

static bool
wrong(struct buf *why, const struct chan_record *r,
    const struct chan_field *f, const char *what)
{
	buf_printf(why, "%s%s%s: %s", r->name, f != NULL ? "." : "",
	    f != NULL ? f->name : "", what);
	return false;
}

static size_t
member_size(enum field_type type)
{
	switch (type) {
	case FIELD_U32:
		return sizeof(uint32_t);
	case FIELD_U64:
		return sizeof(uint64_t);
	case FIELD_STR:
		return sizeof(struct slice);
	case FIELD_STRS:
		return sizeof(struct slices);
	case FIELD_LIST:
		return sizeof(struct chan_list);
	}
	return SIZE_MAX / 2;
}

/* One row, beside those before it. */
static bool
row_check(const struct chan_record *r, size_t row, bool is_sub,
    struct buf *why)
{
	const struct chan_field *f = &r->fields[row];
	bool repeated = f->type == FIELD_STRS || f->type == FIELD_LIST;

	if (f->tag == 0)
		return wrong(why, r, f, "tag 0");
	if (f->since == 0)
		return wrong(why, r, f, "since 0");
	for (size_t i = 0; i < row; i++)
		if (r->fields[i].tag == f->tag)
			return wrong(why, r, f, "tag used twice");
	if (f->off > r->size || member_size(f->type) > r->size - f->off)
		return wrong(why, r, f, "outside the struct");
	if (repeated != (f->max_n > 0))
		return wrong(why, r, f, "max_n goes with lists");
	if ((f->type == FIELD_LIST) != (f->sub != NULL))
		return wrong(why, r, f, "sub goes with LIST");
	if (f->type == FIELD_LIST && is_sub)
		return wrong(why, r, f, "a list within a list");
	return true;
}

/* Adds the octets of the record's largest form to *most. */
static bool
record_check(const struct chan_record *r, bool is_sub, uint64_t *most,
    struct buf *why)
{
	if (r->nfields > CHAN_MAX_FIELDS)
		return wrong(why, r, NULL, "too many fields");
	for (size_t i = 0; i < r->nfields; i++) {
		const struct chan_field *f = &r->fields[i];
		uint64_t one = CHAN_TAG_SIZE;

		if (!row_check(r, i, is_sub, why))
			return false;
		switch (f->type) {
		case FIELD_U32:
			one += 4;
			break;
		case FIELD_U64:
			one += 8;
			break;
		case FIELD_STR:
		case FIELD_STRS:
			one += f->max;
			break;
		case FIELD_LIST:
			if (!record_check(f->sub, true, &one, why))
				return false;
			break;
		}
		*most += f->max_n > 0 ? one * f->max_n : one;
	}
	return true;
}

bool
chan_contract_check(const struct chan_contract *ct, struct buf *why)
{
	for (size_t i = 0; i < ct->nrecords; i++) {
		const struct chan_record *r = &ct->records[i];
		uint64_t most = CHAN_HEAD_SIZE;

		if (r->type == 0 || chan_record_find(ct, r->type) != r)
			return wrong(why, r, NULL, "type 0 or used twice");
		if (r->from == 0 || (r->from & ~3) != 0)
			return wrong(why, r, NULL, "no side sends it");
		if (r->nfds > CHAN_MAX_FDS)
			return wrong(why, r, NULL, "too many descriptors");
		if (!record_check(r, false, &most, why))
			return false;
		if (most > ct->max_frame) {
			buf_printf(why, "%s: %" PRIu64 " octets at most, and "
			    "max_frame is %" PRIu32, r->name, most,
			    ct->max_frame);
			return false;
		}
	}
	if (ct->lowest == 0 || ct->highest < ct->lowest) {
		buf_printf(why, "%s: versions", ct->name);
		return false;
	}
	if (ct->max_frame < CHAN_LEAST_FRAME) {
		buf_printf(why, "%s: max_frame is too small", ct->name);
		return false;
	}
	return true;
}
