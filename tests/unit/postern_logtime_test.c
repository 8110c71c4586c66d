/* Unit tests of postern/logtime.c: what loggers put in front of lines. */
#include <stdlib.h>
#include <time.h>

#include <check.h>

#include "postern/logtime.h"

Suite *postern_logtime_suite(void);

/* 2026-11-22T19:20:51Z */
#define THEN INT64_C(1795375251)
#define US(s, us) ((s) * INT64_C(1000000) + (us))

static const struct {
	const char *line;
	enum logtime_kind kind;
	int64_t us;
	const char *rest;
} cases[] = {
	{"@400000006b0340dd075bcd15 a[1]: b", LOGTIME_TAI,
	    US(INT64_C(1795375315), 123456), "a[1]: b"},
	{"@400000000000000a00000000 x", LOGTIME_TAI, 0, "x"},
	{"@40000000000000090000000 x", LOGTIME_NONE, 0, NULL},
	{"@400000000000000900000000 x", LOGTIME_NONE, 0, NULL},
	{"@400000006b0340dd3b9aca00 x", LOGTIME_NONE, 0, NULL},
	{"@400000006b0340dd075bcd15", LOGTIME_NONE, 0, NULL},
	{"@400000006B0340DD075BCD15 x", LOGTIME_TAI,
	    US(INT64_C(1795375315), 123456), "x"},
	{"2026-11-22T19:20:51.123456+00:00 h x", LOGTIME_WALL,
	    US(THEN, 123456), "h x"},
	{"2026-11-22T20:20:51.5+01:00 x", LOGTIME_WALL, US(THEN, 500000), "x"},
	{"2026-11-22T18:50:51-0030 x", LOGTIME_WALL, US(THEN, 0), "x"},
	{"2026-11-22T19:20:51Z x", LOGTIME_WALL, US(THEN, 0), "x"},
	{"2026-11-22T19:20:51.12345 x", LOGTIME_WALL, US(THEN, 123450), "x"},
	{"2026-11-22_19:20:51.12345 x", LOGTIME_WALL, US(THEN, 123450), "x"},
	/* the test's time zone is two hours east */
	{"2026-11-22 21:20:51.123456789  x", LOGTIME_WALL, US(THEN, 123456),
	    "x"},
	{"2026-11-22 19:20:51+0000 x", LOGTIME_WALL, US(THEN, 0), "x"},
	{"Nov 22 21:20:51 h x", LOGTIME_WALL, US(THEN, 0), "h x"},
	{"Nov 22 21:20:51.25 h x", LOGTIME_WALL, US(THEN, 250000), "h x"},
	{"Nov  2 21:20:51 x", LOGTIME_WALL, US(THEN - 20 * 86400, 0), "x"},
	/* not yet this year */
	{"Dec 22 21:20:51 x", LOGTIME_WALL, US(THEN - 335 * 86400, 0), "x"},
	{"1795375251.123456 h x", LOGTIME_WALL, US(THEN, 123456), "h x"},
	{"1795375251 x", LOGTIME_WALL, US(THEN, 0), "x"},
	{"", LOGTIME_NONE, 0, NULL}, {"@", LOGTIME_NONE, 0, NULL},
	{"smtpd[1]: x", LOGTIME_NONE, 0, NULL}, {"2026", LOGTIME_NONE, 0, NULL},
	{"2026-13-22T19:20:51Z x", LOGTIME_NONE, 0, NULL},
	{"2026-00-22T19:20:51Z x", LOGTIME_NONE, 0, NULL},
	{"2026-11-22T24:20:51Z x", LOGTIME_NONE, 0, NULL},
	{"2026-11-22T19:20:51", LOGTIME_NONE, 0, NULL},
	{"2026-11-22T19:20:51x y", LOGTIME_NONE, 0, NULL},
	{"2026-11-22T19:20:51+1 y", LOGTIME_NONE, 0, NULL},
	{"2026-11-22", LOGTIME_NONE, 0, NULL},
	{"Nov", LOGTIME_NONE, 0, NULL}, {"Nov 2", LOGTIME_NONE, 0, NULL},
	{"Now 22 21:20:51 x", LOGTIME_NONE, 0, NULL},
	{"Nov 32 21:20:51 x", LOGTIME_NONE, 0, NULL},
	{"12345678 x", LOGTIME_NONE, 0, NULL},
	{"999999999999999999999 x", LOGTIME_NONE, 0, NULL},
};

static void
zone_set(void)
{
	setenv("TZ", "TST-2", 1);
	tzset();
}

static void
zone_unset(void)
{
	unsetenv("TZ");
	tzset();
}

START_TEST(stamps)
{
	struct slice line = slice_of(cases[_i].line);
	int64_t us = -1;
	enum logtime_kind kind = logtime_take(&line, THEN * 1000, &us);

	ck_assert_msg(kind == cases[_i].kind, "%s: kind %d", cases[_i].line,
	    (int)kind);
	if (kind == LOGTIME_NONE) {
		ck_assert_int_eq(us, -1);
		ck_assert(slice_eq(line, slice_of(cases[_i].line)));
		return;
	}
	ck_assert_msg(us == cases[_i].us, "%s: %lld", cases[_i].line,
	    (long long)us);
	ck_assert(slice_eq(line, slice_of(cases[_i].rest)));
}
END_TEST

Suite *
postern_logtime_suite(void)
{
	Suite *s = suite_create("postern_logtime");
	TCase *t = tcase_create("stamps");

	tcase_add_checked_fixture(t, zone_set, zone_unset);
	tcase_add_loop_test(t, stamps, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	suite_add_tcase(s, t);
	return s;
}
