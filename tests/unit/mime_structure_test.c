/*
 * common/mime/structure: built, kept, read back, sections; what is damaged is
 * refused or hangs together.
 */
#include <stdlib.h>

#include <check.h>

#include "common/base/mem.h"
#include "common/mime/structure.h"

Suite *mime_structure_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define MOST (64 * 1024 * 1024)

static const char message[] =
    "From: Ann <ann@here.example>\r\n"
    "Subject: one\r\n two\r\n"
    "Subject: three\r\n"
    "To:\r\n bob@here.example\r\n"
    "Content-Type: multipart/mixed;\r\n\tboundary=b\r\n\r\n"
    "preamble\r\n"
    "--b\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Description:   \r\n"
    "Subject: not a message's\r\n\r\n"
    "text\r\n"
    "--b\r\n"
    "Content-Type: message/rfc822\r\n\r\n"
    "Subject: inner\r\n\r\n"
    "body\r\nlines\r\n"
    "--b--\r\n";

static struct structure *
build(struct slice in, bool lf)
{
	struct structure_builder *b = structure_builder_new(lf);
	struct structure *s;

	for (size_t at = 0; at < in.len; at += 7) {
		struct slice piece = slice_sub(in, at, at + 7);

		structure_builder_feed(b, piece.p, piece.len);
	}
	s = structure_builder_take(&b);
	ck_assert_ptr_null(b);
	return s;
}

static void
check_field(const struct structure_part *p, enum structure_field f,
    const char *want)
{
	if (want == NULL)
		ck_assert_ptr_null(p->fields[f].p);
	else {
		ck_assert_ptr_nonnull(p->fields[f].p);
		ck_assert_msg(slice_eq(p->fields[f], slice_of(want)),
		    "%d: %.*s", (int)f, SLICE_FMT(p->fields[f]));
	}
}

static void
check_message(const struct structure *s)
{
	const struct structure_part *p = s->parts;

	ck_assert_uint_eq(s->nparts, 4);
	ck_assert(!s->cut);
	ck_assert_int_eq(p[0].kind, PART_MULTIPART);
	ck_assert_uint_eq(p[0].child, 1);
	ck_assert_uint_eq(p[1].next, 2);
	ck_assert_uint_eq(p[2].number, 2);
	ck_assert_int_eq(p[2].kind, PART_MESSAGE);
	ck_assert_uint_eq(p[3].parent, 2);
	ck_assert_ptr_eq(structure_message(s, &p[2]), &p[3]);
	ck_assert_ptr_null(structure_message(s, &p[1]));
	check_field(&p[0], FIELD_FROM, "Ann <ann@here.example>");
	check_field(&p[0], FIELD_SUBJECT, "one two");
	check_field(&p[0], FIELD_TO, "bob@here.example");
	check_field(&p[0], FIELD_CC, NULL);
	check_field(&p[0], FIELD_TYPE, "multipart/mixed;\tboundary=b");
	check_field(&p[1], FIELD_TYPE, "text/plain");
	check_field(&p[1], FIELD_DESCRIPTION, "");
	check_field(&p[1], FIELD_SUBJECT, NULL);
	check_field(&p[3], FIELD_SUBJECT, "inner");
	ck_assert_uint_eq(p[1].body_wire, 4);
	ck_assert_uint_eq(p[1].body_lines, 0);
	ck_assert_uint_eq(p[3].body_wire, 11);
	ck_assert_uint_eq(p[3].body_lines, 1);
	ck_assert_uint_eq(p[3].header_wire, 18);
	ck_assert_uint_eq(p[3].header_lines, 2);
	ck_assert_uint_eq(p[2].body_wire, p[3].header_wire + p[3].body_wire);
	ck_assert_uint_eq(p[0].header_wire + p[0].body_wire,
	    sizeof(message) - 1);
}

START_TEST(built)
{
	struct structure *s = build(SLICE(message), false), *again;
	struct buf saved = BUF_INIT(MOST), lf = BUF_INIT(MOST);

	check_message(s);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(s->parts[i].body - s->parts[i].start,
		    s->parts[i].header_wire);
	structure_save(s, &saved);
	again = structure_load(buf_slice(&saved));
	ck_assert_ptr_nonnull(again);
	check_message(again);
	structure_free(&again);
	structure_free(&s);
	ck_assert_ptr_null(s);
	structure_free(&s);
	for (const char *p = message; *p != '\0'; p++)
		if (*p != '\r')
			buf_addc(&lf, *p);
	s = build(buf_slice(&lf), true);
	check_message(s);
	ck_assert_uint_eq(s->parts[0].end, lf.len);
	ck_assert(strncmp(lf.s + s->parts[3].body, "body\n", 5) == 0);
	structure_free(&s);
	buf_free(&saved);
	buf_free(&lf);
}
END_TEST

static const struct {
	uint32_t path[4];
	size_t n;
	int want; /* index, or -1 */
} sections[] = {
	{{0}, 0, 0}, {{1}, 1, 1}, {{2}, 1, 2}, {{2, 1}, 2, 3}, {{3}, 1, -1},
	{{0}, 1, -1}, {{1, 1}, 2, -1}, {{2, 2}, 2, -1}, {{2, 1, 1}, 3, -1},
	{{2, 1, 1, 1}, 4, -1},
};

START_TEST(section)
{
	struct structure *s = build(SLICE(message), false);
	const struct structure_part *p = structure_section(s,
	    sections[_i].path, sections[_i].n);

	if (sections[_i].want < 0)
		ck_assert_ptr_null(p);
	else
		ck_assert_ptr_eq(p, &s->parts[sections[_i].want]);
	structure_free(&s);
}
END_TEST

/* Whatever stands there: no description, or one that hangs together. */
static void
try_load(struct slice saved)
{
	char *own = mem_grow(NULL, saved.len > 0 ? saved.len : 1, 1);
	struct structure *s;
	uint32_t path[] = {1, 2, 1, 1};

	memcpy(own, saved.p, saved.len);
	s = structure_load(slice_mem(own, saved.len));
	free(own);
	if (s == NULL)
		return;
	ck_assert_uint_ge(s->nparts, 1);
	for (size_t i = 0; i < s->nparts; i++) {
		const struct structure_part *p = &s->parts[i];

		ck_assert(p->next == 0 || (p->next > i && p->next < s->nparts));
		ck_assert(p->child == 0 || (p->child > i &&
		    p->child < s->nparts));
		ck_assert(p->start <= p->body && p->body <= p->end);
		for (int k = 0; k < STRUCTURE_FIELDS; k++)
			if (p->fields[k].len > 0)
				ck_assert_int_ne(p->fields[k].p[0] + 1, -1000);
	}
	for (size_t n = 0; n <= 4; n++)
		structure_section(s, path, n);
	structure_free(&s);
}

START_TEST(damaged)
{
	struct structure *s = build(SLICE(message), false);
	struct buf saved = BUF_INIT(MOST);
	char *copy;

	structure_save(s, &saved);
	for (size_t n = 0; n < saved.len; n++)
		ck_assert_ptr_null(structure_load(slice_sub(buf_slice(&saved),
		    0, n)));
	copy = mem_grow(NULL, saved.len, 1);
	for (size_t i = 0; i < saved.len; i++)
		for (int c = 0; c < 256; c += i < 60 ? 1 : 17) {
			memcpy(copy, saved.s, saved.len);
			copy[i] = (char)c;
			try_load(slice_mem(copy, saved.len));
		}
	free(copy);
	buf_addc(&saved, 'x');
	ck_assert_ptr_null(structure_load(buf_slice(&saved)));
	ck_assert_ptr_null(structure_load(SLICE("")));
	ck_assert_ptr_null(structure_load(SLICE("mS\2\0\1")));
	structure_free(&s);
	buf_free(&saved);
}
END_TEST

/* More parts, longer fields, more text than is kept. */
START_TEST(limits)
{
	struct buf in = BUF_INIT(MOST), saved = BUF_INIT(MOST);
	struct structure *s, *again;

	if (_i == 0) {
		buf_adds(&in, "Content-Type: multipart/x; boundary=b\r\n\r\n");
		for (unsigned i = 0; i < STRUCTURE_PARTS_MAX + 5; i++)
			buf_adds(&in, "--b\r\n\r\nx\r\n");
	} else if (_i == 1) {
		buf_adds(&in, "Subject: ");
		for (unsigned i = 0; i < STRUCTURE_FIELD_MAX; i++)
			buf_addc(&in, 'x');
		buf_adds(&in, "\r\n\r\n");
	} else {
		buf_adds(&in, "Content-Type: multipart/x; boundary=b\r\n\r\n");
		for (unsigned i = 0; i < STRUCTURE_TEXT_MAX / 8000 + 3; i++) {
			buf_adds(&in, "--b\r\nContent-ID: ");
			for (int k = 0; k < 8000; k++)
				buf_addc(&in, 'x');
			buf_adds(&in, "\r\n\r\nx\r\n");
		}
	}
	s = build(buf_slice(&in), false);
	ck_assert(s->cut);
	ck_assert_uint_le(s->nparts, STRUCTURE_PARTS_MAX);
	structure_save(s, &saved);
	again = structure_load(buf_slice(&saved));
	ck_assert_ptr_nonnull(again);
	ck_assert(again->cut);
	ck_assert_uint_eq(again->nparts, s->nparts);
	structure_free(&again);
	structure_free(&s);
	buf_free(&saved);
	buf_free(&in);
}
END_TEST

START_TEST(given_up)
{
	struct structure_builder *b = structure_builder_new(false);

	structure_builder_feed(b, message, 100);
	structure_builder_free(&b);
	ck_assert_ptr_null(b);
	structure_builder_free(&b);
}
END_TEST

Suite *
mime_structure_suite(void)
{
	Suite *s = suite_create("mime_structure");
	TCase *t = tcase_create("mime_structure");

	tcase_add_test(t, built);
	tcase_add_loop_test(t, section, 0, N(sections));
	tcase_add_test(t, damaged);
	tcase_add_loop_test(t, limits, 0, 3);
	tcase_add_test(t, given_up);
	suite_add_tcase(s, t);
	return s;
}
