/* Outcomes: class, enhanced code, and texts that cannot break anything. */
#include <check.h>

#include "common/base/status.h"

Suite *status_suite(void);

static const struct {
	uint32_t code, subject, detail;
	enum status_class class;
	const char *enhanced;
} codes[] = {
	{250, 1, 5, STATUS_OK, "2.1.5"},
	{354, 0, 0, STATUS_OK, "2.0.0"},
	{451, 3, 0, STATUS_TEMPORARY, "4.3.0"},
	{550, 1, 1, STATUS_PERMANENT, "5.1.1"},
	{599, 999, 999, STATUS_PERMANENT, "5.999.999"},
	{550, UINT32_MAX, UINT32_MAX, STATUS_PERMANENT, "5.999.999"},
	/* No reply code: nothing permanent may come of it. */
	{0, 0, 0, STATUS_TEMPORARY, "4.0.0"},
	{199, 0, 0, STATUS_TEMPORARY, "4.0.0"},
	{600, 0, 0, STATUS_TEMPORARY, "4.0.0"},
	{UINT32_MAX, 0, 0, STATUS_TEMPORARY, "4.0.0"},
};

START_TEST(test_codes)
{
	struct status st;
	char enhanced[STATUS_ENHANCED_SIZE];

	status_set(&st, codes[_i].code, codes[_i].subject, codes[_i].detail,
	    "text %d", _i);
	ck_assert_uint_eq(st.code, codes[_i].code);
	ck_assert_uint_eq(st.subject, codes[_i].subject);
	ck_assert_uint_eq(st.detail, codes[_i].detail);
	ck_assert_int_eq(status_class(&st), codes[_i].class);
	status_enhanced(&st, enhanced);
	ck_assert_str_eq(enhanced, codes[_i].enhanced);
}
END_TEST

static const struct {
	const char *in, *want;
} texts[] = {
	{"", ""},
	{"mailbox unknown", "mailbox unknown"},
	{"a\r\n250 ok", "a??250 ok"},
	{"tab\there", "tab?here"},
	{"\x7f\x80\xff\x01~ ", "????~ "},
	{"J\xc3\xbcrgen", "J??rgen"},
	{"%s%n", "%s%n"},
};

START_TEST(test_text)
{
	struct status st;

	status_set(&st, 550, 1, 1, "%s", texts[_i].in);
	ck_assert_str_eq(st.text, texts[_i].want);
}
END_TEST

START_TEST(test_long)
{
	struct status st;
	char text[STATUS_TEXT_MAX + 100];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	status_set(&st, 450, 2, 0, "%s", text);
	ck_assert_uint_eq(strlen(st.text), STATUS_TEXT_MAX - 1);
	text[STATUS_TEXT_MAX - 1] = '\0';
	status_set(&st, 450, 2, 0, "%s", text);
	ck_assert_str_eq(st.text, text);
	/* An outcome may quote what it was before. */
	status_set(&st, 450, 2, 0, "busy");
	status_set(&st, 550, 2, 0, "gave up: %s", st.text);
	ck_assert_str_eq(st.text, "gave up: busy");
}
END_TEST

Suite *
status_suite(void)
{
	Suite *s = suite_create("status");
	TCase *t = tcase_create("status");

	tcase_add_loop_test(t, test_codes, 0, sizeof(codes) / sizeof(codes[0]));
	tcase_add_loop_test(t, test_text, 0, sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(t, test_long);
	suite_add_tcase(s, t);
	return s;
}
