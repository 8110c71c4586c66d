/* Slices: comparing, cutting, searching. */
#include <stdlib.h>

#include <check.h>

#include "common/base/slice.h"

Suite *slice_suite(void);

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	struct slice a, b;
	bool eq, ieq, prefix, iprefix; /* b being the prefix */
	int cmp;
} pairs[] = {
	{"empty", {"", 0}, {"", 0}, true, true, true, true, 0},
	{"no memory", {NULL, 0}, {NULL, 0}, true, true, true, true, 0},
	{"same", {"abc", 3}, {"abc", 3}, true, true, true, true, 0},
	{"case", {"abC", 3}, {"ABc", 3}, false, true, false, true, 1},
	{"shorter", {"abc", 3}, {"ab", 2}, false, false, true, true, 1},
	{"longer", {"ab", 2}, {"abc", 3}, false, false, false, false, -1},
	{"empty prefix", {"x", 1}, {"", 0}, false, false, true, true, 1},
	{"nul inside", {"a\0b", 3}, {"a\0c", 3}, false, false, false, false,
	    -1},
	{"nul and end", {"a\0", 2}, {"a", 1}, false, false, true, true, 1},
	{"high octets", {"\xe9", 1}, {"\xc9", 1}, false, false, false, false,
	    1},
	{"at and backquote", {"@", 1}, {"`", 1}, false, false, false, false,
	    -1},
	{"bracket and brace", {"[", 1}, {"{", 1}, false, false, false, false,
	    -1},
	{"unsigned order", {"\x80", 1}, {"\x7f", 1}, false, false, false,
	    false, 1},
};

START_TEST(test_compare)
{
	struct slice a = pairs[_i].a, b = pairs[_i].b;
	int cmp = slice_cmp(a, b);

	ck_assert_msg(slice_eq(a, b) == pairs[_i].eq, "%s", pairs[_i].name);
	ck_assert_msg(slice_ieq(a, b) == pairs[_i].ieq, "%s", pairs[_i].name);
	ck_assert_msg(slice_ieq(b, a) == pairs[_i].ieq, "%s", pairs[_i].name);
	ck_assert_msg(slice_prefix(a, b) == pairs[_i].prefix, "%s",
	    pairs[_i].name);
	ck_assert_msg(slice_iprefix(a, b) == pairs[_i].iprefix, "%s",
	    pairs[_i].name);
	ck_assert_msg((cmp > 0) - (cmp < 0) == pairs[_i].cmp, "%s: %d",
	    pairs[_i].name, cmp);
}
END_TEST

static const struct {
	const char *in;
	size_t from, to;
	const char *want;
} subs[] = {
	{"abcdef", 0, 6, "abcdef"},
	{"abcdef", 2, 4, "cd"},
	{"abcdef", 4, 99, "ef"},
	{"abcdef", 6, 99, ""},
	{"abcdef", 99, 100, ""},
	{"abcdef", 4, 2, ""},
	{"", 0, 1, ""},
};

START_TEST(test_sub)
{
	struct slice got = slice_sub(slice_of(subs[_i].in), subs[_i].from,
	    subs[_i].to);

	ck_assert(slice_eq(got, slice_of(subs[_i].want)));
	ck_assert_ptr_nonnull(got.p);
}
END_TEST

static const struct {
	const char *in, *want;
} trims[] = {
	{"", ""}, {" ", ""}, {"\t \t", ""}, {"a", "a"}, {" a", "a"},
	{"a ", "a"}, {"\ta b\t ", "a b"}, {"\ra\n", "\ra\n"},
};

START_TEST(test_trim)
{
	ck_assert(slice_eq(slice_trim(slice_of(trims[_i].in)),
	    slice_of(trims[_i].want)));
}
END_TEST

/* want: the parts, each followed by '|' */
static const struct {
	const char *in, *cut, *words;
} lists[] = {
	{"", "|", ""},
	{"a", "a|", "a|"},
	{"a,b", "a|b|", "a,b|"},
	{"a,", "a||", "a,|"},
	{",", "||", ",|"},
	{",,a", "||a|", ",,a|"},
	{" a\t b ", " a\t b |", "a|b|"},
	{"a, b", "a| b|", "a,|b|"},
	{" \t", " \t|", ""},
};

static void
join(char *out, struct slice part)
{
	size_t at = strlen(out);

	memcpy(out + at, part.p, part.len);
	memcpy(out + at + part.len, "|", 2);
}

START_TEST(test_cut)
{
	struct slice rest = slice_of(lists[_i].in), part;
	char got[64] = "";

	while (slice_cut(&rest, ',', &part))
		join(got, part);
	ck_assert_str_eq(got, lists[_i].cut);
	ck_assert_ptr_null(rest.p);
	ck_assert(!slice_cut(&rest, ',', &part));
}
END_TEST

START_TEST(test_word)
{
	struct slice rest = slice_of(lists[_i].in), word;
	char got[64] = "";

	while (slice_word(&rest, &word))
		join(got, word);
	ck_assert_str_eq(got, lists[_i].words);
	ck_assert_uint_eq(rest.len, 0);
	ck_assert(!slice_word(&rest, &word));
}
END_TEST

START_TEST(test_find)
{
	struct slice s = SLICE("a\0b\0\xff");

	ck_assert_uint_eq(slice_find(s, 'a', 0), 0);
	ck_assert_uint_eq(slice_find(s, 'a', 1), 5);
	ck_assert_uint_eq(slice_find(s, '\0', 0), 1);
	ck_assert_uint_eq(slice_find(s, '\0', 2), 3);
	ck_assert_uint_eq(slice_find(s, '\xff', 0), 4);
	ck_assert_uint_eq(slice_find(s, 'x', 99), 5);
	ck_assert_uint_eq(slice_find((struct slice){NULL, 0}, 'x', 0), 0);
}
END_TEST

START_TEST(test_nowhere)
{
	struct slice none = {NULL, 0}, part;

	ck_assert_ptr_nonnull(slice_sub(none, 0, 1).p);
	ck_assert_uint_eq(slice_trim(none).len, 0);
	ck_assert(!slice_cut(&none, ',', &part));
	ck_assert(!slice_word(&none, &part));
	ck_assert_ptr_nonnull(slice_mem(NULL, 0).p);
}
END_TEST

START_TEST(test_dup)
{
	char *copy = slice_dup(slice_mem("ab\0cd", 5));

	ck_assert_mem_eq(copy, "ab\0cd\0", 6);
	free(copy);
	copy = slice_dup((struct slice){NULL, 0});
	ck_assert_str_eq(copy, "");
	free(copy);
}
END_TEST

Suite *
slice_suite(void)
{
	Suite *s = suite_create("slice");
	TCase *t = tcase_create("slice");

	tcase_add_loop_test(t, test_compare, 0, N(pairs));
	tcase_add_loop_test(t, test_sub, 0, N(subs));
	tcase_add_loop_test(t, test_trim, 0, N(trims));
	tcase_add_loop_test(t, test_cut, 0, N(lists));
	tcase_add_loop_test(t, test_word, 0, N(lists));
	tcase_add_test(t, test_find);
	tcase_add_test(t, test_nowhere);
	tcase_add_test(t, test_dup);
	suite_add_tcase(s, t);
	return s;
}
