/* common/mime/words and charset: what is right, what is found, what is hostile. */
#include <stdlib.h>

#include <check.h>

#include "common/mime/charset.h"
#include "common/mime/content_type.h"
#include "common/mime/words.h"

Suite *mime_words_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define BAD "\xef\xbf\xbd"
#define AE "\xc3\xa4"

static struct charsets *cs;

static void
setup(void)
{
	cs = charsets_new();
}

static void
teardown(void)
{
	charsets_free(&cs);
	ck_assert_ptr_null(cs);
	charsets_free(&cs);
}

static const struct {
	const char *name;
	struct slice in;
	const char *want;
} values[] = {
	{"empty", SLICE_INIT(""), ""},
	{"plain", SLICE_INIT(" Hello, world "), " Hello, world "},
	{"Q", SLICE_INIT("=?utf-8?Q?a_=C3=A4=3d?="), "a " AE "="},
	{"B", SLICE_INIT("=?UTF-8?B?w6Q=?="), AE},
	{"lower case", SLICE_INIT("=?utf-8?b?w6Q=?= =?utf-8?q?b?="), AE "b"},
	/* RFC 2047 8 */
	{"in a comment", SLICE_INIT("(=?ISO-8859-1?Q?a?=)"), "(a)"},
	{"word, text", SLICE_INIT("(=?ISO-8859-1?Q?a?= b)"), "(a b)"},
	{"two words", SLICE_INIT("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)"),
	    "(ab)"},
	{"two blanks", SLICE_INIT("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?="),
	    "ab"},
	{"folded", SLICE_INIT("=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?="),
	    "ab"},
	{"blank within", SLICE_INIT("=?ISO-8859-1?Q?a_b?="), "a b"},
	{"blank in the second",
	    SLICE_INIT("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?="), "a b"},
	{"language", SLICE_INIT("=?utf-8*de?Q?=C3=A4?="), AE},
	{"no blanks around", SLICE_INIT("x=?utf-8?Q?=C3=A4?=y"), "x" AE "y"},
	{"a character on two", SLICE_INIT("=?utf-8?Q?=C3?= =?utf-8?B?pA==?="),
	    AE},
	{"not with text between", SLICE_INIT("=?utf-8?Q?=C3?= x "
	    "=?utf-8?B?pA==?="), BAD " x " BAD},
	{"nor of two charsets", SLICE_INIT("=?utf-8?Q?=C3?= "
	    "=?iso-8859-1?Q?=A4?="), BAD "\xc2\xa4"},
	{"blanks in Q", SLICE_INIT("=?utf-8?Q?a b\tc?="), "a b\tc"},
	{"folded within", SLICE_INIT("=?utf-8?Q?a\r\n b?="), "a b"},
	{"question mark", SLICE_INIT("=?utf-8?Q?what?" "?="), "what?"},
	{"broken escapes", SLICE_INIT("=?utf-8?Q?a=b=?="), "a=b="},
	{"empty word", SLICE_INIT("a =?utf-8?Q?" "?= b"), "a  b"},
	{"broken base64", SLICE_INIT("=?utf-8?B?Y-Q?="), "a"},
	{"unknown charset", SLICE_INIT("=?x-y?Q?a?= =?utf-8?Q?b?="),
	    "=?x-y?Q?a?= b"},
	{"no charset", SLICE_INIT("=??Q?a?="), "=??Q?a?="},
	{"unknown encoding", SLICE_INIT("=?utf-8?X?a?="), "=?utf-8?X?a?="},
	{"no end", SLICE_INIT("=?utf-8?Q?a"), "=?utf-8?Q?a"},
	{"no end, another", SLICE_INIT("=?utf-8?Q?a =?utf-8?Q?b?="),
	    "=?utf-8?Q?a b"},
	{"half of one", SLICE_INIT("=?utf-8?Q"), "=?utf-8?Q"},
	{"less", SLICE_INIT("=?utf-8?"), "=?utf-8?"},
	{"still less", SLICE_INIT("=?"), "=?"},
	{"raw UTF-8", SLICE_INIT(AE " =?utf-8?Q?b?="), AE " b"},
	{"no character", SLICE_INIT("\xc0\x80 \xe0\x9f\xbf \xed\xa0\x80 "
	    "\xf0\x8f\xbf\xbf \xf4\x90\x80\x80 \xf6\x80\x80\x80"), BAD BAD
	    " " BAD BAD BAD " " BAD BAD BAD " " BAD BAD BAD BAD " " BAD BAD BAD
	    BAD " " BAD BAD BAD BAD},
	{"the largest", SLICE_INIT("\xed\x9f\xbf\xf4\x8f\xbf\xbf"),
	    "\xed\x9f\xbf\xf4\x8f\xbf\xbf"},
	{"raw 8 bit", SLICE_INIT("\xe4 b"), BAD " b"},
	{"folding", SLICE_INIT("a\r\n b\n\tc\r\n\r\n d"), "a b\tc   d"},
	{"NUL, CR, LF", SLICE_INIT("a\0b\rc\nd"), "a b c d"},
	{"encoded ones", SLICE_INIT("=?utf-8?Q?a=00=0D=0Ab?="), "a   b"},
	{"Latin 1 is windows", SLICE_INIT("=?iso-8859-1?Q?=80=E4?="),
	    "\xe2\x82\xac" AE},
	{"undefined there", SLICE_INIT("=?windows-1252?Q?a=81b?="),
	    "a" BAD "b"},
	{"ASCII is ASCII", SLICE_INIT("=?us-ascii?Q?a=E4?="), "a" BAD},
	{"shift states", SLICE_INIT("=?iso-2022-jp?B?GyRCRnw=?= "
	    "=?iso-2022-jp?Q?a?="), "\xe6\x97\xa5" "a"},
	{"UTF-16", SLICE_INIT("=?utf-16be?B?AOQ=?="), AE},
	{"half a character", SLICE_INIT("=?gb18030?Q?a=D6?="), "a" BAD},
};

START_TEST(words)
{
	struct buf out = BUF_INIT(10000);

	words_decode(cs, values[_i].in, &out);
	ck_assert_msg(strcmp(out.s, values[_i].want) == 0, "%s: %s",
	    values[_i].name, out.s);
	/* Its start only; behind what is there already. */
	for (size_t n = 0; n < values[_i].in.len; n++) {
		buf_reset(&out);
		buf_adds(&out, "x");
		words_decode(cs, slice_sub(values[_i].in, 0, n), &out);
		ck_assert(out.s[0] == 'x' && strlen(out.s) == out.len);
	}
	buf_free(&out);
}
END_TEST

static const struct {
	const char *in, *want;
} params[] = {
	{"a/b; x=plain", "plain"},
	{"a/b; x=\"=?utf-8?Q?=C3=A4?=\"", AE},
	{"a/b; x*=utf-8''%C3%A4", AE},
	{"a/b; x*=iso-8859-1'de'%E4", AE},
	{"a/b; x*=''=?utf-8?Q?a?=", "=?utf-8?Q?a?="},
	{"a/b; x*=no-such''%C3%A4", AE},
	{"a/b; x*=utf-8''%0D%0A%00", "   "},
	{"a/b; x=\"\xe4\"", BAD},
};

START_TEST(param)
{
	static struct content_type t;
	const struct content_param *p;
	struct buf out = BUF_INIT(10000);

	content_type_parse(&t, slice_of(params[_i].in));
	p = content_type_param(&t, "x");
	ck_assert_ptr_nonnull(p);
	words_param(cs, p, &out);
	ck_assert_str_eq(out.s, params[_i].want);
	content_type_free(&t);
	buf_free(&out);
}
END_TEST

static const struct {
	const char *name;
	bool known, shifts;
} charsets[] = {
	{"utf-8", true, false}, {"UTF8", true, false},
	{"ISO-8859-1", true, false}, {"Windows-1252", true, false},
	{"iso-2022-jp", true, true}, {"utf-7", true, true},
	{"ks_c_5601-1987", true, false}, {"gb2312", true, false},
	{"", false, false}, {"x", false, false}, {"utf", false, false},
	{"utf-8 utf8", false, false}, {" utf-8", false, false},
	{"utf-8//TRANSLIT", false, false}, {"UTF-8\xff", false, false},
	{"ISO-2022-CN-EXT", false, false}, {"../../x", false, false},
	{"an-awfully-long-name-that-no-charset-has-ever-had", false, false},
};

START_TEST(known)
{
	struct slice name = slice_of(charsets[_i].name);
	struct buf out = BUF_INIT(100);

	ck_assert_int_eq(charsets_known(cs, name), charsets[_i].known);
	ck_assert_int_eq(charsets_shifts(cs, name), charsets[_i].shifts);
	ck_assert_int_eq(charsets_decode(cs, name, SLICE("a"), &out),
	    charsets[_i].known);
	ck_assert_str_eq(out.s, charsets[_i].known ? "a" : "");
	buf_free(&out);
}
END_TEST

/* Longer than the pieces it is done in; a limit is a limit. */
START_TEST(large)
{
	struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct buf little = BUF_INIT(1000);

	while (in.len < 100000)
		buf_adds(&in, "\xe4z");
	ck_assert(charsets_decode(cs, SLICE("latin1"), buf_slice(&in), &out));
	ck_assert_uint_eq(out.len, 150000);
	ck_assert(charsets_decode(cs, SLICE("latin1"), buf_slice(&in),
	    &little));
	ck_assert(little.overflow);
	buf_reset(&out);
	charsets_utf8(buf_slice(&in), &out);
	ck_assert_uint_eq(out.len, 200000);
	buf_reset(&out);
	words_decode(cs, buf_slice(&in), &out);
	ck_assert_uint_eq(out.len, 200000);
	buf_free(&in);
	buf_free(&out);
	buf_free(&little);
}
END_TEST

/* Nothing that costs more time than it has octets. */
START_TEST(hostile)
{
	static const char *const parts[] = {"=?", "=?a?Q?", "=?utf-8?Q?a?=",
	    "=?utf-8?Q?a?= ", "=?utf-8?B?", "?=", "=?utf-8?Q?\xc3?= ", "\r\n ",
	    "=?a?b?c?= "};
	struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 22);

	while (in.len < 200000)
		buf_adds(&in, parts[_i]);
	words_decode(cs, buf_slice(&in), &out);
	ck_assert(!out.overflow);
	buf_free(&in);
	buf_free(&out);
}
END_TEST

Suite *
mime_words_suite(void)
{
	Suite *s = suite_create("mime_words");
	TCase *t = tcase_create("mime_words");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, words, 0, N(values));
	tcase_add_loop_test(t, param, 0, N(params));
	tcase_add_loop_test(t, known, 0, N(charsets));
	tcase_add_test(t, large);
	tcase_add_loop_test(t, hostile, 0, 9);
	suite_add_tcase(s, t);
	return s;
}
