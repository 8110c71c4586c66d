/* common/io/chan: the codec and the checks of contracts, by tables. */
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "tests/unit/chan_cases.h"

Suite *chan_codec_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

START_TEST(test_decode)
{
	const struct decode_case *t = &decode_cases[_i];
	struct chan_arena *arena = chan_arena_new();
	struct buf text = BUF_INIT(1000), again = BUF_INIT(1000);
	union example_msg msg;
	const char *why = "";
	uint16_t type = 0;
	const struct chan_record *r;

	ck_assert_msg(chan_decode(&example_contract, t->version, CHAN_CLIENT,
	    t->payload, arena, &type, &msg, sizeof(msg), &why), "%s: %s",
	    t->name, why);
	r = chan_record_find(&example_contract, type);
	ck_assert_ptr_nonnull(r);
	chan_print(r, &msg, &text);
	ck_assert_str_eq(text.s, t->want);
	/* Encoded and decoded again it is the same. */
	chan_encode(&example_contract, t->version, type, &msg, &again);
	ck_assert_uint_le(again.len, t->payload.len + 4);
	ck_assert(chan_decode(&example_contract, t->version, CHAN_CLIENT,
	    slice_sub(buf_slice(&again), 4, again.len), arena, &type, &msg,
	    sizeof(msg), &why));
	buf_reset(&text);
	chan_print(r, &msg, &text);
	ck_assert_str_eq(text.s, t->want);
	buf_free(&text);
	buf_free(&again);
	chan_arena_free(&arena);
	ck_assert_ptr_null(arena);
}
END_TEST

START_TEST(test_bad_payload)
{
	const struct bad_case *t = &bad_cases[_i];
	struct chan_arena *arena;
	const char *why = NULL;
	union example_msg msg;
	uint16_t type = 77;

	if (t->why == NULL)
		return;
	arena = chan_arena_new();
	ck_assert_msg(!chan_decode(&example_contract, 2, CHAN_CLIENT,
	    t->payload, arena, &type, &msg, sizeof(msg), &why), "%s", t->name);
	ck_assert_msg(strcmp(why, t->why) == 0, "%s: %s", t->name, why);
	ck_assert_uint_eq(type, 77);
	chan_arena_free(&arena);
}
END_TEST

START_TEST(test_encode_by_version)
{
	static const char *const want[] = {"ask n=5 level=0",
	    "ask n=5 extra=e level=0", "ask n=5 extra=e level=9"};
	struct example_ask ask = {.n = 5, .extra = SLICE("e"), .level = 9};
	struct chan_arena *arena = chan_arena_new();

	for (uint16_t version = 1; version <= 3; version++) {
		struct buf frame = BUF_INIT(100), text = BUF_INIT(100);
		union example_msg msg;
		const char *why;
		uint16_t type;

		chan_encode(&example_contract, version, EXAMPLE_ASK, &ask,
		    &frame);
		ck_assert(chan_decode(&example_contract, version, CHAN_CLIENT,
		    slice_sub(buf_slice(&frame), 4, frame.len), arena, &type,
		    &msg, sizeof(msg), &why));
		chan_print(&example_records[0], &msg, &text);
		ck_assert_str_eq(text.s, want[version - 1]);
		buf_free(&frame);
		buf_free(&text);
	}
	chan_arena_free(&arena);
}
END_TEST

/* Lists of all sizes from one arena, over and over. */
START_TEST(test_arena)
{
	static struct slice names[1000];
	static const struct chan_field fields[] = {
		{"names", 1, FIELD_STRS, 1, 100000, true, 1,
		    offsetof(struct example_item, tags), NULL}};
	static const struct chan_record record = {"r", 1, CHAN_CLIENT, 0,
	    sizeof(struct example_item), fields, 1};
	static const struct chan_contract ct = {"c", 1, 1, 1000000, &record, 1};
	struct chan_arena *arena = chan_arena_new();
	struct buf frame = BUF_INIT(100000);

	for (size_t i = 0; i < 1000; i++)
		names[i] = slice_mem(&"abcdefghij"[i % 10], i % 2);
	for (size_t n = 1; n <= 1000; n += n < 20 ? 1 : 97) {
		struct example_item msg = {.tags = {names, n}};
		const char *why;
		uint16_t type;

		buf_reset(&frame);
		chan_arena_reset(arena);
		chan_encode(&ct, 1, 1, &msg, &frame);
		ck_assert(chan_decode(&ct, 1, CHAN_CLIENT,
		    slice_sub(buf_slice(&frame), 4, frame.len), arena, &type,
		    &msg, sizeof(msg), &why));
		ck_assert_uint_eq(msg.tags.n, n);
		for (size_t i = 0; i < n; i++)
			ck_assert(slice_eq(msg.tags.v[i], names[i]));
	}
	buf_free(&frame);
	chan_arena_free(&arena);
}
END_TEST

/* Tables */

START_TEST(test_contract_check)
{
	struct buf why = BUF_INIT(200);

	ck_assert_msg(chan_contract_check(&example_contract, &why), "%s",
	    why.s);
	buf_free(&why);
}
END_TEST

static const struct table_case {
	const char *want;
	struct chan_field fields[2];
	size_t nfields;
	uint32_t max_frame;
} table_cases[] = {
	{"r.a: tag 0", {{"a", 0, FIELD_U32, 0, 0, 0, 1, 0, NULL}}, 1, 1000},
	{"r.a: since 0", {{"a", 1, FIELD_U32, 0, 0, 0, 0, 0, NULL}}, 1, 1000},
	{"r.b: tag used twice", {{"a", 1, FIELD_U32, 0, 0, 0, 1, 0, NULL},
	    {"b", 1, FIELD_U32, 0, 0, 0, 1, 0, NULL}}, 2, 1000},
	{"r.a: outside the struct", {{"a", 1, FIELD_U32, 0, 0, 0, 1,
	    sizeof(struct example_item), NULL}}, 1, 1000},
	{"r.a: outside the struct", {{"a", 1, FIELD_U64, 0, 0, 0, 1,
	    sizeof(struct example_item) - 4, NULL}}, 1, 1000},
	{"r.a: max_n goes with lists", {{"a", 1, FIELD_STR, 1, 1, 0, 1, 0,
	    NULL}}, 1, 1000},
	{"r.a: max_n goes with lists", {{"a", 1, FIELD_STRS, 1, 0, 0, 1, 0,
	    NULL}}, 1, 1000},
	{"r.a: sub goes with LIST", {{"a", 1, FIELD_LIST, 0, 1, 0, 1, 0,
	    NULL}}, 1, 1000},
	{"r.a: sub goes with LIST", {{"a", 1, FIELD_STR, 0, 0, 0, 1, 0,
	    &example_item_record}}, 1, 1000},
	{"ask.items: a list within a list", {{"a", 1, FIELD_LIST, 0, 1, 0, 1,
	    0, &example_records[0]}}, 1, 1000},
	{"r: 1009 octets at most, and max_frame is 1008", {{"a", 1, FIELD_STR,
	    1000, 0, 0, 1, 0, NULL}}, 1, 1008},
	{"r: 1174 octets at most, and max_frame is 1173", {{"a", 1, FIELD_LIST,
	    0, 26, 0, 1, 0, &example_item_record}}, 1, 1173},
	{"c: max_frame is too small", {{"a", 1, FIELD_U32, 0, 0, 0, 1, 0,
	    NULL}}, 1, 100},
};

START_TEST(test_contract_check_bad)
{
	const struct table_case *t = &table_cases[_i];
	struct chan_record r = {"r", 1, CHAN_CLIENT, 0,
	    sizeof(struct example_item), t->fields, t->nfields};
	struct chan_contract ct = {"c", 1, 1, t->max_frame, &r, 1};
	struct buf why = BUF_INIT(200);

	ck_assert(!chan_contract_check(&ct, &why));
	ck_assert_str_eq(why.s, t->want);
	buf_free(&why);
}
END_TEST

Suite *
chan_codec_suite(void)
{
	Suite *suite = suite_create("chan_codec");
	TCase *tc = tcase_create("codec");

	tcase_add_loop_test(tc, test_decode, 0, COUNT(decode_cases));
	tcase_add_loop_test(tc, test_bad_payload, 0, COUNT(bad_cases));
	tcase_add_test(tc, test_encode_by_version);
	tcase_add_test(tc, test_arena);
	tcase_add_test(tc, test_contract_check);
	tcase_add_loop_test(tc, test_contract_check_bad, 0,
	    COUNT(table_cases));
	suite_add_tcase(suite, tc);
	return suite;
}
