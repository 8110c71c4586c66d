/* common/mail/id: the message id. */
#include <check.h>
#include <stdlib.h>

#include "common/mail/id.h"

Suite *id_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static const struct {
	const char *name, *input;
	bool good;
	int64_t ms;
} parse_cases[] = {
	{"zero", "00000000000000000000", true, 0},
	{"one millisecond", "00000000010000000000", true, 1},
	{"highest", "vvvvvvvvvvvvvvvvvvvv", true, (INT64_C(1) << 50) - 1},
	{"2025", "01jar9fq3raaaaaaaaaa", true, INT64_C(1764000000123)},
	{"letter behind v", "0000000000000000000w", false, 0},
	{"upper case", "0000000000000000000A", false, 0},
	{"short", "0000000000000000000", false, 0},
	{"long", "000000000000000000000", false, 0},
	{"empty", "", false, 0},
	{"slash", "../../../../etc/shad", false, 0},
	{"dot", ".0000000000000000000", false, 0},
};

START_TEST(parse)
{
	struct mail_id id = {"untouched"};
	bool good = id_parse(slice_of(parse_cases[_i].input), &id);

	ck_assert_msg(good == parse_cases[_i].good, "%s", parse_cases[_i].name);
	if (!good) {
		ck_assert_str_eq(id.s, "untouched");
		return;
	}
	ck_assert_str_eq(id.s, parse_cases[_i].input);
	ck_assert_int_eq(id_time_ms(&id), parse_cases[_i].ms);
}
END_TEST

START_TEST(nul_is_no_digit)
{
	char raw[ID_LEN] = "0000000000";
	struct mail_id id;

	ck_assert(!id_parse(slice_mem(raw, sizeof(raw)), &id));
}
END_TEST

static const int64_t times[] = {
	0, 1, 31, 32, 1023, 1764000000123, 1764000000124, 1764000001000,
	4102444800000, (INT64_C(1) << 50) - 1,
};

START_TEST(text_order_is_time_order)
{
	struct mail_id first = id_new(times[_i]), again, parsed;

	ck_assert(id_parse(slice_of(first.s), &parsed));
	ck_assert_int_eq(id_time_ms(&first), times[_i]);
	/* The random half keeps equal moments apart. */
	again = id_new(times[_i]);
	ck_assert_str_ne(first.s, again.s);
	for (int i = 0; i < _i; i++) {
		struct mail_id earlier = id_new(times[i]);

		ck_assert_int_lt(strcmp(earlier.s, first.s), 0);
	}
}
END_TEST

START_TEST(time_before_1970)
{
	struct mail_id id = id_new(-5);

	ck_assert_int_eq(id_time_ms(&id), 0);
}
END_TEST

Suite *
id_suite(void)
{
	Suite *s = suite_create("id");
	TCase *t = tcase_create("id");

	tcase_add_loop_test(t, parse, 0, COUNT(parse_cases));
	tcase_add_test(t, nul_is_no_digit);
	tcase_add_loop_test(t, text_order_is_time_order, 0, COUNT(times));
	tcase_add_test(t, time_before_1970);
	suite_add_tcase(s, t);
	return s;
}
