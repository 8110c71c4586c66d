/* common/mail/addrlist */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/mail/addrlist.h"

Suite *addrlist_suite(void);

static const struct {
	const char *name, *in;
	/* addresses with '|' behind each; "!" for a broken one */
	const char *want;
} cases[] = {
	{"one", "ann@here.example", "ann@here.example|"},
	{"bare name", "ann", "ann|"},
	{"several", "ann, bob@x.example ,\tcarl", "ann|bob@x.example|carl|"},
	{"empty elements", ", ,ann,,bob,", "ann|bob|"},
	{"nothing", "", ""},
	{"blanks only", " \r\n\t ", ""},
	{"name and brackets", "Ann Lee <ann@here.example>",
	    "ann@here.example|"},
	{"quoted name", "\"Lee, Ann (x) <y>\" <ann@x.example>",
	    "ann@x.example|"},
	{"name with dots", "J. R. Smith <jr@x.example>", "jr@x.example|"},
	{"encoded name", "=?UTF-8?Q?J=C3=BCrgen?= <j@x.example>",
	    "j@x.example|"},
	{"raw UTF-8 name", "J\xc3\xbcrgen <j@x.example>", "j@x.example|"},
	{"UTF-8 address", "j\xc3\xbcrgen@x.example",
	    "j\xc3\xbcrgen@x.example|"},
	{"comment behind", "root (Cron Daemon)", "root|"},
	{"comment in front", "(hello) ann@x.example", "ann@x.example|"},
	{"comments between", "ann(a)@(b)x(c).(d)example", "ann@x.example|"},
	{"comments in comments", "ann@x.example (a (b (c)) \\) d), bob",
	    "ann@x.example|bob|"},
	{"open comment", "ann@x.example (a, bob", "ann@x.example|"},
	{"group", "staff: ann@x.example, bob@x.example;",
	    "ann@x.example|bob@x.example|"},
	{"empty group", "undisclosed-recipients:;", ""},
	{"empty group with blanks", "Undisclosed recipients : ; , ann",
	    "ann|"},
	{"group and more", "a: ann, bob; carl, d: dora;",
	    "ann|bob|carl|dora|"},
	{"group not closed", "a: ann, bob", "ann|bob|"},
	{"group with names", "\"x y\": Ann <ann@x.example>;",
	    "ann@x.example|"},
	{"semicolons", "ann@x.example; bob@x.example",
	    "ann@x.example|bob@x.example|"},
	{"folded", "ann@x.example,\r\n\tBob\r\n <bob@x.example>",
	    "ann@x.example|bob@x.example|"},
	{"folded with LF", "ann,\n bob", "ann|bob|"},
	{"blanks in the address", "ann @ x . example", "ann@x.example|"},
	{"quoted local part", "\"ann lee\"@x.example",
	    "\"ann lee\"@x.example|"},
	{"quotes not needed", "\"ann\"@x.example", "ann@x.example|"},
	{"quoted and not", "\"a b\".c@x.example", "\"a b.c\"@x.example|"},
	{"quotes within", "\"a\\\"b\"@x.example", "\"a\\\"b\"@x.example|"},
	{"folded quotes", "\"a\r\n b\"@x.example", "\"a b\"@x.example|"},
	{"source route", "<@a.example,@b.example:ann@c.example>",
	    "ann@c.example|"},
	{"literal", "ann@[192.0.2.1], bob@[IPv6:2001:db8::1]",
	    "ann@[192.0.2.1]|bob@[IPv6:2001:db8::1]|"},
	{"root's dot", "ann@x.example.", "ann@x.example|"},
	{"backslash", "\\root", "root|"},
	{"null", "<>", "|"},
	{"two words", "ann bob", "!"},
	{"two words and more", "ann bob, carl", "!carl|"},
	{"bracket not closed", "Ann <ann@x.example, bob", "!"},
	{"closing bracket alone", "ann@x.example>", "!"},
	{"brackets in brackets", "<<ann@x.example>>", "!"},
	{"text behind brackets", "<ann@x.example> ann", "!"},
	{"two at signs", "ann@x@y.example", "!"},
	{"no local part", "@x.example", "!"},
	{"no domain", "ann@", "!"},
	{"port", "ann@x.example:25", "!"},
	{"program", "\"|/bin/sh\"", "|/bin/sh|"},
	{"program without quotes", "|/bin/sh -c x", "!"},
	{"include", ":include:/etc/passwd", "!"},
	{"quote not closed", "\"ann@x.example", "!"},
	{"literal not closed", "ann@[192.0.2.1", "!"},
	{"control character", "a\x01nn@x.example", "!"},
	{"underscore", "ann@x_y.example", "!"},
	{"broken between good ones", "a, b c, d", "a|!d|"},
	{"options", "-bp, -oi@x.example", "-bp|-oi@x.example|"},
};

static void
run(struct slice in, struct buf *got)
{
	struct addrlist list = addrlist_of(in);
	struct buf one = BUF_INIT(1000);
	const char *why = NULL;
	int r;

	while ((r = addrlist_next(&list, &one, &why)) != 0) {
		if (r == 1) {
			buf_addslice(got, buf_slice(&one));
			buf_addc(got, '|');
		} else {
			ck_assert_ptr_nonnull(why);
			buf_addc(got, '!');
		}
	}
	buf_free(&one);
}

START_TEST(table)
{
	struct buf got = BUF_INIT(10000);
	size_t n = strlen(cases[_i].in);
	char *copy = malloc(n + 1); /* its end is the end, for sanitizers */

	memcpy(copy, cases[_i].in, n);
	run(slice_mem(copy, n), &got);
	ck_assert_msg(strcmp(got.s, cases[_i].want) == 0,
	    "%s: got %s, want %s", cases[_i].name, got.s, cases[_i].want);
	buf_free(&got);
	free(copy);
}
END_TEST

START_TEST(depth_costs_nothing)
{
	struct buf in = BUF_INIT(1000000), got = BUF_INIT(100);

	buf_adds(&in, "ann@x.example ");
	for (int i = 0; i < 200000; i++)
		buf_addc(&in, '(');
	run(buf_slice(&in), &got);
	ck_assert_str_eq(got.s, "ann@x.example|");
	buf_free(&in);
	buf_free(&got);
}
END_TEST

START_TEST(too_long)
{
	struct buf in = BUF_INIT(10000), got = BUF_INIT(100);

	for (int i = 0; i < 3000; i++)
		buf_addc(&in, 'a');
	buf_adds(&in, "@x.example, bob");
	run(buf_slice(&in), &got);
	ck_assert_str_eq(got.s, "!bob|");
	buf_free(&in);
	buf_free(&got);
}
END_TEST

START_TEST(where_the_domain_is_missing)
{
	static const char text[] = "Ann <ann> , root (Cron), b@c, \"x y\"";
	struct addrlist list = addrlist_of(slice_of(text));
	struct buf one = BUF_INIT(100);
	const char *why;

	ck_assert_int_eq(addrlist_next(&list, &one, &why), 1);
	ck_assert_int_eq(list.bare - text, 8);
	ck_assert_int_eq(addrlist_next(&list, &one, &why), 1);
	ck_assert_int_eq(list.bare - text, 16);
	ck_assert_int_eq(addrlist_next(&list, &one, &why), 1);
	ck_assert_ptr_null(list.bare);
	ck_assert_int_eq(addrlist_next(&list, &one, &why), 1);
	ck_assert_ptr_eq(list.bare, text + sizeof(text) - 1);
	ck_assert_int_eq(addrlist_next(&list, &one, &why), 0);
	buf_free(&one);
}
END_TEST

Suite *
addrlist_suite(void)
{
	Suite *s = suite_create("addrlist");
	TCase *t = tcase_create("addrlist");

	tcase_add_loop_test(t, table, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, depth_costs_nothing);
	tcase_add_test(t, too_long);
	tcase_add_test(t, where_the_domain_is_missing);
	suite_add_tcase(s, t);
	return s;
}
