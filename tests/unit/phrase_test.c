/* common/mail/phrase */
#include <check.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/mail/phrase.h"

Suite *phrase_suite(void);

static const struct {
	const char *gecos, *login, *want;
} cases[] = {
	{"Ann Example", "ann", "Ann Example"},
	{"Ann Example,room 7,,", "ann", "Ann Example"},
	{"& Example", "ann", "Ann Example"},
	{"&", "", "\"&\""},
	{"", "ann", ""},
	{" Ann ", "ann", "Ann"},
	{"Dr. Ann", "ann", "\"Dr. Ann\""},
	{"Ann \"A\" \\ <x@y>", "ann", "\"Ann \\\"A\\\" \\\\ <x@y>\""},
	{"a\r\nBcc: x", "ann", "\"a  Bcc: x\""},
	{"J\xc3\xb6rg Example", "j", "=?UTF-8?Q?J=C3=B6rg_Example?="},
	{"\xc3\xb6\r\nBcc: x", "j", "=?UTF-8?Q?=C3=B6=0D=0ABcc=3A_x?="},
};

START_TEST(table)
{
	struct buf name = BUF_INIT(1000), out = BUF_INIT(1000);

	phrase_gecos(slice_of(cases[_i].gecos), slice_of(cases[_i].login),
	    &name);
	phrase_add(buf_slice(&name), &out);
	ck_assert_str_eq(out.s, cases[_i].want);
	buf_free(&name);
	buf_free(&out);
}
END_TEST

/* RFC 2047 2: a word has 75 characters at most, and no torn character. */
START_TEST(long_names)
{
	struct buf name = BUF_INIT(1000), out = BUF_INIT(2000);
	const char *at, *end;
	unsigned words = 0;

	for (int i = 0; i < 90; i++)
		buf_adds(&name, "\xe2\x82\xac");
	phrase_add(buf_slice(&name), &out);
	ck_assert(!out.overflow);
	for (at = out.s; (at = strstr(at, "=?UTF-8?Q?")) != NULL; at = end) {
		words++;
		end = strstr(at + 10, "?=");
		ck_assert_ptr_nonnull(end);
		ck_assert_int_le(end + 2 - at, 75);
		ck_assert_int_eq((end - at - 10) % 9, 0);
	}
	ck_assert_uint_gt(words, 1);
	buf_free(&name);
	buf_free(&out);
}
END_TEST

Suite *
phrase_suite(void)
{
	Suite *s = suite_create("phrase");
	TCase *tc = tcase_create("phrase");

	tcase_add_loop_test(tc, table, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(tc, long_names);
	suite_add_tcase(s, tc);
	return s;
}
