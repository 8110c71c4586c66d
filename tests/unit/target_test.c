/* common/mail/target: what stands in aliases and forward files. */
#include <check.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/mail/target.h"

Suite *target_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* Each result as one line: "A text" (kind's letter), or "! why". */
static const struct {
	const char *name, *input, *want;
} list_cases[] = {
	{"empty", "", ""},
	{"separators", " , ,\n\r\n,", ""},
	{"two", "ann@example.org, bob", "A ann@example.org\nA bob\n"},
	{"lines", "ann\r\nbob\ncay", "A ann\nA bob\nA cay\n"},
	{"comment", "# x, y\nann # b\n  #c\nbob",
	    "! character not allowed in the local part\nA bob\n"},
	{"hash behind comma", "ann,#b", "A ann\nA #b\n"},
	{"mailbox", "\\ann, \\ann@e.org", "M ann\nM ann@e.org\n"},
	{"program", "|/bin/prog a, 'b c'\nann",
	    "P /bin/prog a, 'b c'\nA ann\n"},
	{"program quoted", "\"|/bin/prog a, 'b c'\", ann",
	    "P /bin/prog a, 'b c'\nA ann\n"},
	{"program escaped quote", "\"|/bin/prog \\\" x\",ann",
	    "P /bin/prog \\\" x\nA ann\n"},
	{"program empty", "|\n\"| \"",
	    "! no program behind the bar\n! no program behind the bar\n"},
	{"include", ":include:/etc/lists/staff, ann",
	    "I /etc/lists/staff\nA ann\n"},
	{"include quoted", "\":include:/etc/my lists/staff\"",
	    "I /etc/my lists/staff\n"},
	{"include relative", ":include:staff",
	    "! path does not begin with /\n"},
	{"unknown word", ":fail:, ann",
	    "! unknown :word:, only :include: is known\nA ann\n"},
	{"maildir", "/home/ann/Maildir/.l/", "D /home/ann/Maildir/.l/\n"},
	{"mbox", "/home/ann/mbox,ann", "! path of a Maildir must end in / "
	    "(files are not appended to)\nA ann\n"},
	{"quoted local", "\"a, b\"@e.org,c", "A \"a, b\"@e.org\nA c\n"},
	{"quoted name", "\"a b\"", "A \"a b\"\n"},
	{"unclosed quote", "\"a, b\nc", "! quoted local part is not closed\n"
	    "A b\nA c\n"},
	{"two words", "ann smith", "! character not allowed in the local "
	    "part\n"},
	{"display name", "Ann <ann@e.org>", "! character not allowed in the "
	    "local part\n"},
	{"control", "a\x01,b", "! control character in the target\nA b\n"},
	{"utf8", "j\xc3\xb6rg", "A j\xc3\xb6rg\n"},
	{"backslash alone", "\\", "! empty address\n"},
};

static void
run_list(struct slice rest, struct buf *out)
{
	struct target t;
	const char *why;
	int r;

	while ((r = target_next(&rest, &t, &why)) != 0) {
		if (r < 0)
			buf_printf(out, "! %s\n", why);
		else
			buf_printf(out, "%c %.*s\n", "AMPID"[t.kind],
			    SLICE_FMT(t.text));
		ck_assert_uint_lt(out->len, 10000);
	}
}

START_TEST(list)
{
	struct buf out = BUF_INIT(100000);

	run_list(slice_of(list_cases[_i].input), &out);
	ck_assert_msg(strcmp(out.s, list_cases[_i].want) == 0, "%s: %s",
	    list_cases[_i].name, out.s);
	buf_free(&out);
}
END_TEST

START_TEST(list_nul)
{
	struct buf out = BUF_INIT(100000);

	run_list(slice_mem("a\0b,c\n|x\0", 9), &out);
	ck_assert_str_eq(out.s, "! control character in the target\nA c\n"
	    "! control character in the target\n");
	buf_free(&out);
}
END_TEST

/* Words joined with '.', or NULL where the line is refused. */
static const struct {
	const char *input, *want;
	int n;
} word_cases[] = {
	{"", "", 0},
	{"  ", "", 0},
	{"a", "a.", 1},
	{" a  b\tc ", "a.b.c.", 3},
	{"a 'b c' d", "a.b c.d.", 3},
	{"a \"b 'c' d\"", "a.b 'c' d.", 2},
	{"a'b'\"c\"", "abc.", 1},
	{"a\\ b \\\"", "a b.\".", 2},
	{"'a\\b'", "a\\b.", 1},
	{"\"a\\\"b\"", "a\"b.", 1},
	{"'' \"\"", "..", 2},
	{"$(x) `y` ;", "$(x).`y`.;.", 3},
	{"a b c d", "a.b.c.d.", 4},
	{"a b c d e", NULL, -1},
	{"'a", NULL, -1},
	{"\"a", NULL, -1},
	{"a\\", NULL, -1},
	{"\"a\\", NULL, -1},
};

START_TEST(words)
{
	struct buf out = BUF_INIT(1000);
	int n = target_words(slice_of(word_cases[_i].input), &out, 4);

	ck_assert_int_eq(n, word_cases[_i].n);
	for (size_t i = 0; n >= 0 && i < out.len; i++)
		if (out.s[i] == '\0')
			out.s[i] = '.';
	if (n >= 0)
		ck_assert_str_eq(out.s, word_cases[_i].want);
	buf_free(&out);
}
END_TEST

START_TEST(words_limits)
{
	struct buf out = BUF_INIT(5);

	ck_assert_int_eq(target_words(SLICE("abc def"), &out, 4), -1);
	buf_reset(&out);
	ck_assert_int_eq(target_words(SLICE("a\0b"), &out, 4), -1);
	buf_reset(&out);
	ck_assert_int_eq(target_words(SLICE("a\\\0b"), &out, 4), -1);
	buf_free(&out);
}
END_TEST

Suite *
target_suite(void)
{
	Suite *s = suite_create("target");
	TCase *t = tcase_create("target");

	tcase_add_loop_test(t, list, 0, COUNT(list_cases));
	tcase_add_test(t, list_nul);
	tcase_add_loop_test(t, words, 0, COUNT(word_cases));
	tcase_add_test(t, words_limits);
	suite_add_tcase(s, t);
	return s;
}
