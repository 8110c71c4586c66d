/* qmgr/wait: order, look-up, memory and time of many waiting messages. */
#include <stdlib.h>

#include <check.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "qmgr/wait.h"

Suite *qmgr_wait_suite(void);

#define MANY 100000
#define NOW INT64_C(1764000000000)

static struct wait *w;

static void
setup(void)
{
	w = wait_new();
}

static void
teardown(void)
{
	wait_free(&w);
	ck_assert_ptr_null(w);
}

static struct mail_id
id_at(int64_t ms)
{
	return id_new(ms);
}

START_TEST(test_put_get_take)
{
	struct wait_info a = {id_at(NOW), NOW + 5, WAIT_FRESH | WAIT_UNSURE,
	    0};
	struct wait_info out;

	ck_assert(!wait_get(w, &a.id, &out));
	ck_assert(!wait_take(w, &a.id, &out));
	wait_put(w, &a);
	ck_assert(wait_get(w, &a.id, &out));
	ck_assert_str_eq(out.id.s, a.id.s);
	ck_assert_int_eq(out.next_ms, NOW + 5);
	ck_assert_uint_eq(out.flags, WAIT_FRESH | WAIT_UNSURE);
	/* again: replaced, in the other heap */
	a.flags = WAIT_EARLY;
	a.next_ms = NOW + 9;
	wait_put(w, &a);
	ck_assert_uint_eq(wait_count(w), 1);
	ck_assert_int_eq(wait_next_ms(w, true), WAIT_NEVER);
	ck_assert_int_eq(wait_next_ms(w, false), NOW + 9);
	ck_assert(wait_take(w, &a.id, &out));
	ck_assert_uint_eq(out.flags, WAIT_EARLY);
	ck_assert_uint_eq(wait_count(w), 0);
	ck_assert_int_eq(wait_next_ms(w, false), WAIT_NEVER);
}
END_TEST

/* Ids at the ends of their alphabet survive the packing. */
START_TEST(test_ids)
{
	static const char *const ids[] = {"00000000000000000000",
	    "vvvvvvvvvvvvvvvvvvvv", "0123456789abcdefghij",
	    "vutsrqponmlkjihgfedc", "00000000010000000001"};
	struct wait_info a = {.next_ms = 1}, out;

	ck_assert(id_parse(slice_of(ids[_i]), &a.id));
	wait_put(w, &a);
	ck_assert(wait_take_due(w, false, 1, &out));
	ck_assert_str_eq(out.id.s, ids[_i]);
}
END_TEST

START_TEST(test_due)
{
	struct wait_info fresh = {id_at(NOW), 0, WAIT_FRESH, 0}, out;
	struct wait_info older = {id_at(NOW - 1000), 0, WAIT_FRESH, 0};
	struct wait_info later = {id_at(NOW), NOW + 100, 0, 0};
	struct wait_info never = {id_at(NOW), WAIT_NEVER, 0, 0};

	wait_put(w, &fresh);
	wait_put(w, &never);
	wait_put(w, &later);
	wait_put(w, &older);
	ck_assert(wait_take_due(w, true, NOW, &out));
	ck_assert_str_eq(out.id.s, older.id.s);
	ck_assert(wait_take_due(w, true, NOW, &out));
	ck_assert_str_eq(out.id.s, fresh.id.s);
	ck_assert(!wait_take_due(w, true, NOW, &out));
	ck_assert(!wait_take_due(w, false, NOW + 99, &out));
	ck_assert(wait_take_due(w, false, NOW + 100, &out));
	ck_assert_str_eq(out.id.s, later.id.s);
	ck_assert(!wait_take_due(w, false, WAIT_NEVER - 1, &out));
}
END_TEST

/* Lines: first in, first out, parked and others apart; who is taken by id or
 * by time leaves its line. */
START_TEST(test_lines)
{
	uint32_t one = wait_line_new(w, w), two = wait_line_new(w, w);
	struct wait_info a[6], out;

	ck_assert_uint_ne(one, 0);
	ck_assert_uint_ne(two, one);
	ck_assert_ptr_eq(wait_line_owner(w, one), w);
	for (int i = 0; i < 6; i++) {
		a[i] = (struct wait_info){id_at(NOW + i), NOW + 100 - i,
		    i < 4 ? WAIT_PARKED : 0, i < 5 ? one : two};
		wait_put(w, &a[i]);
	}
	ck_assert_uint_eq(wait_line_count(w, one, true), 4);
	ck_assert_uint_eq(wait_line_count(w, one, false), 1);
	ck_assert_uint_eq(wait_line_count(w, two, true), 0);
	ck_assert_uint_eq(wait_line_count(w, two, false), 1);
	ck_assert(wait_take(w, &a[1].id, &out));
	ck_assert_uint_eq(out.line, one);
	ck_assert(wait_line_take(w, one, true, &out));
	ck_assert_str_eq(out.id.s, a[0].id.s);
	ck_assert(wait_take_due(w, false, NOW + 97, &out));
	ck_assert_str_eq(out.id.s, a[5].id.s);
	wait_put(w, &a[0]); /* again, at the end */
	ck_assert(wait_line_take(w, one, true, &out));
	ck_assert_str_eq(out.id.s, a[2].id.s);
	ck_assert_uint_eq(wait_unknown(w), 0);
	/* without the line they wait on their own */
	wait_line_free(w, one, NOW);
	ck_assert_uint_eq(wait_unknown(w), 3);
	ck_assert(wait_get(w, &a[3].id, &out));
	ck_assert_int_eq(out.next_ms, NOW);
	ck_assert_uint_eq(out.flags, 0);
	ck_assert_uint_eq(out.line, 0);
	ck_assert(wait_get(w, &a[4].id, &out));
	ck_assert_int_eq(out.next_ms, NOW + 96);
	ck_assert_uint_eq(wait_line_new(w, w), one);
	ck_assert_uint_eq(wait_line_count(w, one, true), 0);
	ck_assert(!wait_line_take(w, two, false, &out));
}
END_TEST

/* A walk meets everybody once, if nothing changes. */
START_TEST(test_walk)
{
	struct wait_info a = {.next_ms = NOW}, out;
	size_t met = 0;
	uint32_t at = 0;

	for (int i = 0; i < 3000; i++) {
		a.id = id_at(NOW + i);
		wait_put(w, &a);
		if (i % 3 == 0)
			ck_assert(wait_take(w, &a.id, &out));
	}
	while (at != WAIT_END)
		met += wait_walk(w, &at, 7, &out);
	ck_assert_uint_eq(met, 2000);
}
END_TEST

/* No single change takes long while a million come. */
START_TEST(test_growth)
{
	struct wait_info a = {.next_ms = NOW}, out;
	int64_t worst_us = 0, start_us, took_us;

	for (int i = 0; i < 1000000; i++) {
		a.id = id_at(NOW + i);
		a.next_ms = NOW + (int64_t)random_below(1000000);
		start_us = clock_mono_us();
		wait_put(w, &a);
		took_us = clock_mono_us() - start_us;
		if (took_us > worst_us)
			worst_us = took_us;
		if (i % 100000 == 0)
			ck_assert(wait_get(w, &a.id, &out));
	}
	ck_assert_uint_eq(wait_count(w), 1000000);
	ck_assert_msg(wait_memory(w) < (size_t)100 * 1000000, "%zu octets",
	    wait_memory(w));
	/* the machine may be busy otherwise: 80 ms was one growth */
	ck_assert_msg(worst_us < 60000, "%lld us", (long long)worst_us);
}
END_TEST

/* 100,000 in any order come out in theirs; half are taken by id meanwhile. */
START_TEST(test_many)
{
	struct wait_info *all = mem_array(MANY, sizeof(*all)), out;
	int64_t start = clock_mono_ms(), last = 0;
	size_t left = 0;

	for (size_t i = 0; i < MANY; i++) {
		all[i].id = id_at(NOW + (int64_t)i);
		all[i].next_ms = NOW + random_below(1000000);
		wait_put(w, &all[i]);
	}
	ck_assert_uint_eq(wait_count(w), MANY);
	ck_assert_msg(wait_memory(w) < (size_t)MANY * 80, "%zu octets each",
	    wait_memory(w) / MANY);
	for (size_t i = 0; i < MANY; i += 2) {
		ck_assert(wait_take(w, &all[i].id, &out));
		ck_assert_int_eq(out.next_ms, all[i].next_ms);
	}
	for (size_t i = 0; i < MANY; i++)
		ck_assert(wait_get(w, &all[i].id, &out) == (i % 2 == 1));
	for (; wait_take_due(w, false, WAIT_NEVER, &out); left++) {
		ck_assert_int_ge(out.next_ms, last);
		last = out.next_ms;
	}
	ck_assert_uint_eq(left, MANY / 2);
	ck_assert_uint_eq(wait_count(w), 0);
	/* 0.1 s here; far from the seconds of anything quadratic */
	ck_assert_int_lt(clock_mono_ms() - start, 5000);
	free(all);
}
END_TEST

Suite *
qmgr_wait_suite(void)
{
	Suite *s = suite_create("qmgr_wait");
	TCase *t = tcase_create("wait");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_put_get_take);
	tcase_add_loop_test(t, test_ids, 0, 5);
	tcase_add_test(t, test_due);
	tcase_add_test(t, test_lines);
	tcase_add_test(t, test_walk);
	tcase_add_test(t, test_growth);
	tcase_add_test(t, test_many);
	suite_add_tcase(s, t);
	return s;
}
