/* Content of DATA: dots, and what must not go that way; in any pieces. */
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "remote/dots.h"

Suite *remote_dots_suite(void);

/* want NULL: bare */
static const struct {
	struct slice in;
	const char *want;
} cases[] = {
	{SLICE_INIT(""), ".\r\n"},
	{SLICE_INIT("a"), "a\r\n.\r\n"},
	{SLICE_INIT("a\r\n"), "a\r\n.\r\n"},
	{SLICE_INIT("."), "..\r\n.\r\n"},
	{SLICE_INIT(".\r\n"), "..\r\n.\r\n"},
	{SLICE_INIT("..\r\n"), "...\r\n.\r\n"},
	{SLICE_INIT("a\r\n.\r\nb\r\n"), "a\r\n..\r\nb\r\n.\r\n"},
	{SLICE_INIT("a.b\r\n.c.\r\n"), "a.b\r\n..c.\r\n.\r\n"},
	{SLICE_INIT("\r\n\r\n"), "\r\n\r\n.\r\n"},
	{SLICE_INIT("\r\n.\r\n.\r\n"), "\r\n..\r\n..\r\n.\r\n"},
	{SLICE_INIT("a\r"), "a\r\n.\r\n"},
	{SLICE_INIT("\r"), "\r\n.\r\n"},
	{SLICE_INIT("a\n"), NULL},
	{SLICE_INIT("\n"), NULL},
	{SLICE_INIT("a\n.\r\n"), NULL},
	{SLICE_INIT("a\rb\r\n"), NULL},
	{SLICE_INIT("a\r\rb"), NULL},
	{SLICE_INIT("\r\r\n"), NULL},
	{SLICE_INIT("a\r\n\n"), NULL},
	{SLICE_INIT("a\r.\r\n"), NULL},
	{SLICE_INIT("a\0b\r\n"), NULL},
	{SLICE_INIT("\0"), NULL},
};

static void
collect(void *arg, struct slice octets)
{
	ck_assert_uint_gt(octets.len, 0);
	buf_addslice(arg, octets);
}

/* In pieces of n octets, the first one of `first`. */
static void
check(size_t i, size_t first, size_t n)
{
	struct buf got = BUF_INIT(1000);
	struct dots d = {.put = collect, .arg = &got};
	struct slice in = cases[i].in;
	size_t at = 0, part = first;

	while (at < in.len) {
		if (part > in.len - at)
			part = in.len - at;
		dots_put(&d, in.p + at, part);
		at += part;
		part = n;
	}
	if (cases[i].want == NULL)
		ck_assert_msg(d.bare, "%zu", i);
	else {
		ck_assert_msg(!d.bare, "%zu", i);
		dots_end(&d);
		ck_assert_str_eq(got.s, cases[i].want);
	}
	buf_free(&got);
}

START_TEST(stuffing)
{
	size_t i = (size_t)_i, n = cases[i].in.len;

	check(i, n, n);
	check(i, 1, 1);
	for (size_t first = 1; first < n; first++) {
		check(i, first, n);
		check(i, first, 2);
	}
}
END_TEST

Suite *
remote_dots_suite(void)
{
	Suite *s = suite_create("remote_dots");
	TCase *tc = tcase_create("dots");

	tcase_add_loop_test(tc, stuffing, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	suite_add_tcase(s, tc);
	return s;
}
