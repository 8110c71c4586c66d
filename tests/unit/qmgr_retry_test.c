/* qmgr/retry: the schedule. */
#include <check.h>

#include "qmgr/retry.h"

Suite *qmgr_retry_suite(void);

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define CREATED INT64_C(1764000000000)

static const struct retry_conf usual = {MINUTE, HOUR, 5 * DAY};
static const struct retry_conf quick = {10, 1000, 2000};
static const struct retry_conf equal = {HOUR, HOUR, 5 * DAY};

static const struct {
	const char *name;
	const struct retry_conf *conf;
	int64_t age_ms;
	uint32_t attempts;
	int64_t pause_ms; /* without the spread; 0: expired */
	const char *rule;
} cases[] = {
	{"first", &usual, 0, 1, MINUTE, "first"},
	{"nothing counted counts as the first", &usual, 0, 0, MINUTE, "first"},
	{"second", &usual, MINUTE, 2, 2 * MINUTE, "retry"},
	{"sixth", &usual, HOUR, 6, 32 * MINUTE, "retry"},
	{"seventh is the longest", &usual, HOUR, 7, HOUR, "retry-max"},
	{"very many", &usual, DAY, 4000000000u, HOUR, "retry-max"},
	{"lifetime over", &usual, 5 * DAY, 100, 0, "lifetime"},
	{"lifetime long over", &usual, 50 * DAY, 1, 0, "lifetime"},
	{"first is the longest", &equal, 0, 1, HOUR, "first"},
	{"milliseconds", &quick, 0, 3, 40, "retry"},
};

START_TEST(test_schedule)
{
	int64_t now = CREATED + cases[_i].age_ms, least, most;
	struct retry r;

	for (uint32_t random = 0; random < 1000; random++) {
		r = retry_next(cases[_i].conf, CREATED, now,
		    cases[_i].attempts, random * 7919);
		ck_assert_msg(r.expired == (cases[_i].pause_ms == 0), "%s",
		    cases[_i].name);
		ck_assert_str_eq(r.rule, cases[_i].rule);
		if (r.expired) {
			ck_assert_int_eq(r.next_ms, 0);
			continue;
		}
		least = cases[_i].pause_ms * 9 / 10;
		most = cases[_i].pause_ms * 11 / 10;
		ck_assert_msg(r.next_ms - now >= least &&
		    r.next_ms - now <= most, "%s: %lld not in %lld..%lld",
		    cases[_i].name, (long long)(r.next_ms - now),
		    (long long)least, (long long)most);
	}
}
END_TEST

START_TEST(test_spread)
{
	bool low = false, high = false;

	for (uint32_t random = 0; random < 201; random++) {
		struct retry r = retry_next(&usual, CREATED, CREATED, 1,
		    random);

		low |= r.next_ms < CREATED + MINUTE * 92 / 100;
		high |= r.next_ms > CREATED + MINUTE * 108 / 100;
	}
	ck_assert(low && high);
}
END_TEST

START_TEST(test_last_at_the_end)
{
	struct retry r = retry_next(&usual, CREATED,
	    CREATED + 5 * DAY - MINUTE, 50, 0);

	ck_assert(!r.expired);
	ck_assert_int_eq(r.next_ms, CREATED + 5 * DAY);
	ck_assert_str_eq(r.rule, "lifetime");
	r = retry_next(&usual, CREATED, r.next_ms, 51, 0);
	ck_assert(r.expired);
}
END_TEST

Suite *
qmgr_retry_suite(void)
{
	Suite *s = suite_create("qmgr_retry");
	TCase *t = tcase_create("schedule");

	tcase_add_loop_test(t, test_schedule, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, test_spread);
	tcase_add_test(t, test_last_at_the_end);
	suite_add_tcase(s, t);
	return s;
}
