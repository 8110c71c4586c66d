/* qmgr/adapt: the concurrency of a destination, as stories. */
#include <check.h>

#include "qmgr/adapt.h"

Suite *qmgr_adapt_suite(void);

/*
 * A story is a line of steps: F fine, B busy, D down, U unknown, each for a job
 * that began just before; lower case: for one that began ten minutes ago.
 * A digit lets so many minutes pass.  What it comes to: the limit, and whether
 * it is down.
 */
static const struct {
	const char *name, *story;
	uint32_t first, most;
	uint32_t limit;
	bool down;
	uint32_t probes;
} stories[] = {
	{"new", "", 5, 20, 5, false, 0},
	{"first above most", "", 50, 3, 3, false, 0},
	{"one success is not enough", "FFFF", 5, 20, 5, false, 0},
	{"as many as it has", "FFFFF", 5, 20, 6, false, 0},
	{"and again", "FFFFFFFFFFF", 5, 20, 7, false, 0},
	{"never beyond the most", "FFFFFFFFFFFFFFFFFFFFFFFF", 2, 4, 4, false,
	    0},
	{"one at a time", "FFFF", 1, 1, 1, false, 0},
	{"busy halves", "1B", 16, 20, 8, false, 0},
	{"twice", "1B1B", 16, 20, 4, false, 0},
	{"those under way together count once", "1Bbbbb", 16, 20, 8, false, 0},
	{"busy with one", "1B", 1, 20, 1, false, 0},
	{"three times with one", "1B1B1B", 1, 20, 1, true, 1},
	{"not if one went well", "1B1BF1B1B", 1, 20, 1, false, 0},
	{"down", "1D", 5, 20, 2, true, 1},
	{"down, but others get through", "1Fd", 16, 20, 8, false, 0},
	{"down after others got through", "1F1D", 16, 20, 8, true, 1},
	{"those under way together are one", "1Dddd", 5, 20, 2, true, 1},
	{"a probe fails", "1D1D", 5, 20, 2, true, 2},
	{"and again", "1D1D1D1D", 5, 20, 2, true, 4},
	{"a probe that is told to wait", "1D1B", 5, 20, 2, true, 2},
	{"back", "1D1D1F", 5, 20, 5, false, 0},
	{"back and away", "1D1D1F1D", 5, 20, 2, true, 1},
	{"late success of one under way", "1Df", 5, 20, 5, false, 0},
	{"nothing learnt", "1U1U", 5, 20, 5, false, 0},
	{"nothing learnt while down", "1D1U", 5, 20, 2, true, 1},
};

#define MINUTE 60000
#define START (INT64_C(100) * MINUTE)

static enum adapt_change
step(struct adapt *a, const struct adapt_conf *c, char what, int64_t now_ms)
{
	int64_t began_ms = what >= 'a' ? now_ms - 10 * MINUTE : now_ms - 1;
	enum transfer_dest dest = TRANSFER_DEST_FINE;

	switch (what) {
	case 'B':
	case 'b':
		dest = TRANSFER_DEST_BUSY;
		break;
	case 'D':
	case 'd':
		dest = TRANSFER_DEST_DOWN;
		break;
	case 'U':
		dest = TRANSFER_DEST_UNKNOWN;
		break;
	default:
		break;
	}
	return adapt_result(a, c, dest, began_ms, now_ms, 100);
}

START_TEST(test_story)
{
	const struct adapt_conf c = {stories[_i].first, stories[_i].most,
	    MINUTE, 60 * MINUTE};
	int64_t now_ms = START;
	struct adapt a;

	adapt_init(&a, &c);
	for (const char *s = stories[_i].story; *s != '\0'; s++) {
		now_ms++;
		if (*s >= '0' && *s <= '9')
			now_ms += (*s - '0') * MINUTE;
		else
			(void)step(&a, &c, *s, now_ms);
	}
	ck_assert_msg(a.limit == stories[_i].limit, "%s: limit %u",
	    stories[_i].name, a.limit);
	ck_assert_msg(a.down == stories[_i].down, "%s", stories[_i].name);
	ck_assert_msg(a.probes == stories[_i].probes, "%s: probes %u",
	    stories[_i].name, a.probes);
}
END_TEST

/* The pauses between probes double up to the longest. */
START_TEST(test_probes)
{
	static const int64_t want[] = {1, 2, 4, 8, 16, 32, 60, 60};
	const struct adapt_conf c = {5, 20, MINUTE, 60 * MINUTE};
	int64_t now_ms = START;
	struct adapt a;

	adapt_init(&a, &c);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		ck_assert_int_eq(step(&a, &c, 'D', now_ms), ADAPT_DOWN);
		ck_assert_int_eq(a.next_ms - now_ms, want[i] * MINUTE);
		now_ms = a.next_ms + 1;
	}
	ck_assert_int_eq(step(&a, &c, 'F', now_ms), ADAPT_UP);
	ck_assert_int_eq(step(&a, &c, 'F', now_ms), ADAPT_SAME);
	ck_assert_int_eq(step(&a, &c, 'D', now_ms + 5), ADAPT_DOWN);
	ck_assert_int_eq(a.next_ms - now_ms, MINUTE + 5);
}
END_TEST

/* A tenth more or less, and a probe without a result is made again. */
START_TEST(test_spread)
{
	const struct adapt_conf c = {5, 20, MINUTE, 60 * MINUTE};
	struct adapt a;

	for (uint32_t random = 0; random < 1000; random += 7) {
		adapt_init(&a, &c);
		(void)adapt_result(&a, &c, TRANSFER_DEST_DOWN, START, START,
		    random);
		ck_assert_int_ge(a.next_ms - START, MINUTE * 9 / 10);
		ck_assert_int_le(a.next_ms - START, MINUTE * 11 / 10);
	}
	(void)adapt_result(&a, &c, TRANSFER_DEST_UNKNOWN, a.next_ms, a.next_ms,
	    0);
	ck_assert_int_gt(a.next_ms, START + MINUTE * 3 / 2);
}
END_TEST

Suite *
qmgr_adapt_suite(void)
{
	Suite *s = suite_create("qmgr_adapt");
	TCase *t = tcase_create("adapt");

	tcase_add_loop_test(t, test_story, 0,
	    (int)(sizeof(stories) / sizeof(stories[0])));
	tcase_add_test(t, test_probes);
	tcase_add_test(t, test_spread);
	suite_add_tcase(s, t);
	return s;
}
