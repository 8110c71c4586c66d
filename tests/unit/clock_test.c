/* Clocks and dates. */
#include <stdlib.h>
#include <time.h>

#include <check.h>

#include "common/base/clock.h"

Suite *clock_suite(void);

#define NOON INT64_C(1795375251123) /* 2026-11-22T19:20:51.123Z */

static const struct {
	const char *zone;
	int64_t ms;
	const char *want;
} dates[] = {
	{"UTC0", NOON, "Sun, 22 Nov 2026 19:20:51 +0000"},
	{"UTC0", NOON + 876, "Sun, 22 Nov 2026 19:20:51 +0000"},
	{"UTC0", NOON + 877, "Sun, 22 Nov 2026 19:20:52 +0000"},
	{"PST-1", NOON, "Sun, 22 Nov 2026 20:20:51 +0100"},
	{"XXX8", NOON, "Sun, 22 Nov 2026 11:20:51 -0800"},
	{"PST-5:45", NOON, "Mon, 23 Nov 2026 01:05:51 +0545"},
	{"XXX3:30", NOON, "Sun, 22 Nov 2026 15:50:51 -0330"},
	{"PST-0:0:30", NOON, "Sun, 22 Nov 2026 19:21:21 +0000"},
	/* The hour that summer time repeats. */
	{"CET-1CEST,M3.5.0,M10.5.0/3", INT64_C(1792886400000),
	    "Sun, 25 Oct 2026 02:00:00 +0200"},
	{"CET-1CEST,M3.5.0,M10.5.0/3", INT64_C(1792890000000),
	    "Sun, 25 Oct 2026 02:00:00 +0100"},
	{"UTC0", 0, "Thu, 1 Jan 1970 00:00:00 +0000"},
	{"UTC0", -1, "Thu, 1 Jan 1970 00:00:00 +0000"},
	{"XXX12", 0, "Wed, 31 Dec 1969 12:00:00 -1200"},
	{"UTC0", INT64_C(951782400000), "Tue, 29 Feb 2000 00:00:00 +0000"},
	{"PST-14", INT64_MAX, "Fri, 31 Dec 9999 13:59:59 +1400"},
	{"UTC0", INT64_MIN, "Thu, 1 Jan 1970 00:00:00 +0000"},
};

/* The zone of the process, put back by each test for the others. */
static void
use_zone(const char *zone)
{
	if (zone != NULL)
		ck_assert_int_eq(setenv("TZ", zone, 1), 0);
	else
		ck_assert_int_eq(unsetenv("TZ"), 0);
	clock_preload();
}

START_TEST(test_rfc5322)
{
	const char *was = getenv("TZ");
	char *saved = was != NULL ? strdup(was) : NULL;
	char got[CLOCK_DATE_SIZE];

	use_zone(dates[_i].zone);
	/* Twice: made, and from the cache. */
	for (int i = 0; i < 2; i++) {
		memset(got, 'x', sizeof(got));
		clock_rfc5322(dates[_i].ms, got);
		ck_assert_str_eq(got, dates[_i].want);
	}
	use_zone(saved);
	free(saved);
}
END_TEST

static const struct {
	int64_t ms;
	const char *want;
} stamps[] = {
	{NOON, "2026-11-22T19:20:51.123Z"},
	{0, "1970-01-01T00:00:00.000Z"},
	{-5, "1970-01-01T00:00:00.000Z"},
	{7, "1970-01-01T00:00:00.007Z"},
	{INT64_C(951868799999), "2000-02-29T23:59:59.999Z"},
	{INT64_MAX, "9999-12-30T23:59:59.807Z"},
};

START_TEST(test_rfc3339)
{
	char got[CLOCK_DATE_SIZE];

	clock_rfc3339(stamps[_i].ms, got);
	ck_assert_str_eq(got, stamps[_i].want);
}
END_TEST

START_TEST(test_clocks)
{
	int64_t ms = clock_mono_ms(), us = clock_mono_us();
	int64_t real = clock_real_ms();

	ck_assert_int_ge(us / 1000, ms);
	ck_assert_int_ge(clock_mono_ms(), ms);
	ck_assert_int_ge(clock_mono_us(), us);
	ck_assert_int_lt(us / 1000 - ms, 10000);
	ck_assert_int_le(real / 1000 - (int64_t)time(NULL), 1);
	ck_assert_int_ge(real / 1000 - (int64_t)time(NULL), -10);
}
END_TEST

Suite *
clock_suite(void)
{
	Suite *s = suite_create("clock");
	TCase *t = tcase_create("clock");

	tcase_add_loop_test(t, test_rfc5322, 0,
	    sizeof(dates) / sizeof(dates[0]));
	tcase_add_loop_test(t, test_rfc3339, 0,
	    sizeof(stamps) / sizeof(stamps[0]));
	tcase_add_test(t, test_clocks);
	suite_add_tcase(s, t);
	return s;
}
