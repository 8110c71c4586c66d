/* Unit tests of postern/match.c. */
#include <string.h>

#include <check.h>

#include "postern/match.h"

Suite *postern_match_suite(void);

static const struct {
	const char *s, *pattern;
	bool whole, part;
} cases[] = {
	{"", "", true, true}, {"a", "", false, true}, {"", "*", true, true},
	{"", "a", false, false}, {"abc", "abc", true, true},
	{"aBc", "AbC", true, true}, {"abc", "b", false, true},
	{"abc", "*", true, true}, {"abc", "**", true, true},
	{"abc", "a*", true, true}, {"abc", "*c", true, true},
	{"abc", "b*", false, false}, {"abc", "*b", false, false},
	{"abc", "*b*", true, true}, {"abc", "a*c", true, true},
	{"abc", "a*b*c*", true, true}, {"abc", "a*d", false, false},
	{"aab", "*ab", true, true}, {"ann@x.example", "*@*.example", true,
	    true},
	{"ann@x.example", "*@example", false, false},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
	    "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*c", false, false},
	{"a?c", "a?c", true, true}, {"abc", "a?c", false, false},
};

START_TEST(table)
{
	struct slice s = slice_of(cases[_i].s);
	struct slice pattern = slice_of(cases[_i].pattern);

	ck_assert_msg(match_pattern(s, pattern) == cases[_i].whole &&
	    match_part(s, pattern) == cases[_i].part, "%s against %s",
	    cases[_i].s, cases[_i].pattern);
}
END_TEST

START_TEST(octets)
{
	ck_assert(match_pattern(slice_mem("a\0b", 3), SLICE("a*b")));
	ck_assert(!match_pattern(slice_mem("a\0b", 3), SLICE("a")));
	ck_assert(match_pattern(SLICE("\xc3\xbc"), SLICE("\xc3\xbc")));
	ck_assert(!match_pattern(SLICE("\xc3\xbc"), SLICE("\xc3\x9c")));
}
END_TEST

Suite *
postern_match_suite(void)
{
	Suite *s = suite_create("postern_match");
	TCase *t = tcase_create("match");

	tcase_add_loop_test(t, table, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, octets);
	suite_add_tcase(s, t);
	return s;
}
