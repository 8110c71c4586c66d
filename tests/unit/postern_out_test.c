/* Unit tests of postern/out.c: strangers' octets on the admin's terminal and in
 * JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "postern/out.h"

Suite *postern_out_suite(void);

static FILE *file;
static int saved;

/* Standard output goes into a file until it is read. */
static void
capture(void)
{
	fflush(stdout);
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	saved = dup(STDOUT_FILENO);
	ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
}

static void
captured(char *out, size_t size)
{
	size_t n;

	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	n = fread(out, 1, size - 1, file);
	out[n] = '\0';
	fclose(file);
}

static const struct {
	const char *name;
	struct slice in;
	const char *text, *json;
} cases[] = {
	{"plain", {"ann@example.org", 15}, "ann@example.org",
	    "\"ann@example.org\""},
	{"empty", {"", 0}, "", "\"\""},
	{"quotes", {"a\"b\\c", 5}, "a\"b\\c", "\"a\\\"b\\\\c\""},
	{"escape", {"\x1b[2J", 4}, "\\x1b[2J", "\"\\u001b[2J\""},
	{"lines", {"a\r\nb", 4}, "a\\x0d\\x0ab", "\"a\\u000d\\u000ab\""},
	{"NUL", {"a\0b", 3}, "a\\x00b", "\"a\\u0000b\""},
	{"DEL", {"\x7f", 1}, "\\x7f", "\"\\u007f\""},
	{"UTF-8", {"b\xc3\xbc" "cher", 7}, "b\xc3\xbc" "cher",
	    "\"b\xc3\xbc" "cher\""},
	{"four octets", {"\xf0\x9f\x93\xa7", 4}, "\xf0\x9f\x93\xa7",
	    "\"\xf0\x9f\x93\xa7\""},
	{"C1 control", {"\xc2\x9b" "2J", 4}, "\\xc2\\x9b2J",
	    "\"\\u009b2J\""},
	{"no UTF-8", {"\xff", 1}, "\\xff", "\"\\u00ff\""},
	{"cut short", {"\xc3", 1}, "\\xc3", "\"\\u00c3\""},
	{"overlong", {"\xc0\xaf", 2}, "\\xc0\\xaf", "\"\\u00c0\\u00af\""},
	{"overlong, three", {"\xe0\x80\xaf", 3}, "\\xe0\\x80\\xaf",
	    "\"\\u00e0\\u0080\\u00af\""},
	{"surrogate", {"\xed\xa0\x80", 3}, "\\xed\\xa0\\x80",
	    "\"\\u00ed\\u00a0\\u0080\""},
	{"too large", {"\xf4\x90\x80\x80", 4}, "\\xf4\\x90\\x80\\x80",
	    "\"\\u00f4\\u0090\\u0080\\u0080\""},
};

START_TEST(octets)
{
	struct json j = {.depth = 0};
	char got[200];

	capture();
	out_text(cases[_i].in);
	captured(got, sizeof(got));
	ck_assert_msg(strcmp(got, cases[_i].text) == 0, "%s: %s",
	    cases[_i].name, got);
	capture();
	json_str(&j, cases[_i].in);
	captured(got, sizeof(got));
	ck_assert_msg(strcmp(got, cases[_i].json) == 0, "%s: %s",
	    cases[_i].name, got);
}
END_TEST

START_TEST(nesting)
{
	struct json j = {.depth = 0};
	char got[1000];

	capture();
	json_array(&j);
	json_object(&j);
	json_key_num(&j, "a", -1);
	json_key_bool(&j, "b", true);
	json_key_time(&j, "c", 0);
	json_key_time(&j, "d", 1764000000123);
	json_key(&j, "e");
	json_array(&j);
	json_end(&j);
	json_end(&j);
	json_str(&j, SLICE("x"));
	json_end(&j);
	captured(got, sizeof(got));
	ck_assert_str_eq(got, "[\n  {\n    \"a\": -1,\n    \"b\": true,\n"
	    "    \"c\": null,\n    \"d\": \"2025-11-24T16:00:00.123Z\",\n"
	    "    \"e\": []\n  },\n  \"x\"\n]\n");
}
END_TEST

static const struct {
	int64_t ms;
	const char *want;
} durations[] = {
	{-5, "0s"}, {0, "0s"}, {999, "0s"}, {1000, "1s"}, {59999, "59s"},
	{60000, "1m"}, {61000, "1m 1s"}, {3600000, "1h"},
	{3660000, "1h 1m"}, {86400000, "1d"}, {604800000, "1w"},
	{694800000, "1w 1d"},
};

START_TEST(duration)
{
	char got[OUT_DURATION_SIZE];

	out_duration(durations[_i].ms, got);
	ck_assert_str_eq(got, durations[_i].want);
}
END_TEST

static const struct {
	uint64_t octets;
	const char *want;
} sizes[] = {
	{0, "0"}, {1023, "1023"}, {1024, "1.0K"}, {1536, "1.5K"},
	{10240, "10K"}, {1048575, "1023K"}, {1048576, "1.0M"},
	{UINT64_MAX, "15E"},
};

START_TEST(size)
{
	char got[OUT_SIZE_SIZE];

	out_size(sizes[_i].octets, got);
	ck_assert_str_eq(got, sizes[_i].want);
}
END_TEST

START_TEST(contains)
{
	ck_assert(out_contains(SLICE("Ann@Example.org"), SLICE("n@ex")));
	ck_assert(out_contains(SLICE("x"), SLICE("")));
	ck_assert(!out_contains(SLICE(""), SLICE("x")));
	ck_assert(!out_contains(SLICE("abc"), SLICE("abcd")));
}
END_TEST

Suite *
postern_out_suite(void)
{
	Suite *s = suite_create("postern_out");
	TCase *tc = tcase_create("out");

	tcase_add_loop_test(tc, octets, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, nesting);
	tcase_add_loop_test(tc, duration, 0,
	    sizeof(durations) / sizeof(durations[0]));
	tcase_add_loop_test(tc, size, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, contains);
	suite_add_tcase(s, tc);
	return s;
}
