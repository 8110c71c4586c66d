/* The growing string: its invariants after every call, and its limit. */
#include <stdint.h>
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

Suite *buf_suite(void);

static void
check_invariants(const struct buf *b)
{
	ck_assert_ptr_nonnull(b->s);
	ck_assert_uint_le(b->len, b->max);
	ck_assert_int_eq(b->s[b->len], '\0');
	ck_assert(b->cap == 0 || b->cap > b->len);
	ck_assert(b->cap <= b->max + 1);
}

static void
check_text(const struct buf *b, const char *want, bool overflow)
{
	check_invariants(b);
	ck_assert_str_eq(b->s, want);
	ck_assert_uint_eq(b->len, strlen(want));
	ck_assert_int_eq(b->overflow, overflow);
}

/* Appends to "1234567" with a limit; want is the outcome. */
static const struct {
	const char *name;
	size_t max;
	const char *add, *want;
	bool overflow;
} appends[] = {
	{"nothing", 7, "", "1234567", false},
	{"to the limit", 9, "ab", "1234567ab", false},
	{"one beyond", 9, "abc", "1234567", true},
	{"full", 7, "a", "1234567", true},
	{"roomy", 1000, "abc", "1234567abc", false},
};

START_TEST(test_append)
{
	const char *add = appends[_i].add;

	for (int how = 0; how < 5; how++) {
		struct buf b = BUF_INIT(appends[_i].max);

		buf_addu(&b, 1234567);
		switch (how) {
		case 0:
			buf_add(&b, add, strlen(add));
			break;
		case 1:
			buf_adds(&b, add);
			break;
		case 2:
			buf_addslice(&b, slice_of(add));
			break;
		case 3:
			buf_printf(&b, "%s", add);
			break;
		default:
			if (buf_room(&b, strlen(add)) != NULL) {
				memcpy(b.s + b.len, add, strlen(add));
				buf_wrote(&b, strlen(add));
			}
			break;
		}
		check_text(&b, appends[_i].want, appends[_i].overflow);
		/* After an overflow nothing more is taken. */
		if (b.overflow) {
			buf_addc(&b, 'x');
			buf_adds(&b, "x");
			buf_printf(&b, "x");
			ck_assert_ptr_null(buf_room(&b, 0));
			check_text(&b, appends[_i].want, true);
			buf_reset(&b);
			buf_addc(&b, 'x');
			check_text(&b, "x", false);
		}
		buf_free(&b);
		check_text(&b, "", false);
	}
}
END_TEST

static const struct {
	unsigned long long n;
	const char *want;
} numbers[] = {
	{0, "0"}, {1, "1"}, {9, "9"}, {10, "10"}, {99, "99"}, {100, "100"},
	{101, "101"}, {999, "999"}, {1000, "1000"}, {12345, "12345"},
	{1000000007, "1000000007"}, {4294967297ULL, "4294967297"},
	{18446744073709551615ULL, "18446744073709551615"},
};

START_TEST(test_addu)
{
	struct buf b = BUF_INIT(20);

	buf_addu(&b, numbers[_i].n);
	check_text(&b, numbers[_i].want, false);
	buf_free(&b);
}
END_TEST

START_TEST(test_grow)
{
	struct buf b = BUF_INIT(100000);

	for (int i = 0; i < 100000; i++) {
		buf_addc(&b, (char)('a' + i % 26));
		if (i % 997 == 0)
			check_invariants(&b);
	}
	ck_assert_uint_eq(b.len, 100000);
	ck_assert_uint_eq(b.cap, 100001);
	ck_assert(!b.overflow);
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(b.s[i], (char)('a' + i % 26));
	buf_addc(&b, 'x');
	ck_assert(b.overflow);
	buf_free(&b);
}
END_TEST

START_TEST(test_printf_long)
{
	struct buf b = BUF_INIT(5000);
	char text[3001];

	memset(text, 'y', 3000);
	text[3000] = '\0';
	buf_printf(&b, "<%s> %d", text, 7);
	ck_assert_uint_eq(b.len, 3004);
	ck_assert_int_eq(b.s[0], '<');
	ck_assert_str_eq(b.s + 3000, "y> 7");
	buf_printf(&b, "%s", text);
	ck_assert(b.overflow);
	ck_assert_uint_eq(b.len, 3004);
	check_invariants(&b);
	buf_free(&b);
}
END_TEST

START_TEST(test_consume)
{
	struct buf b = BUF_INIT(64);

	buf_consume(&b, 0);
	buf_add(&b, "ab\0cd", 5);
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	ck_assert_uint_eq(b.len, 3);
	ck_assert_mem_eq(b.s, "\0cd\0", 4);
	buf_consume(&b, 3);
	check_text(&b, "", false);
	buf_free(&b);
}
END_TEST

START_TEST(test_take)
{
	struct buf b = BUF_INIT(64), taken;

	buf_adds(&b, "mine");
	taken = buf_take(&b);
	check_text(&b, "", false);
	ck_assert_uint_eq(b.cap, 0);
	ck_assert_uint_eq(b.max, 64);
	check_text(&taken, "mine", false);
	buf_adds(&b, "other");
	check_text(&taken, "mine", false);
	buf_free(&taken);
	buf_wipe(&b);
	check_text(&b, "", false);
	buf_wipe(&b);
}
END_TEST

START_TEST(test_no_limit)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	buf_adds(&b, "abc");
	ck_assert_str_eq(b.s, "abc");
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX - 1));
	ck_assert(b.overflow);
	buf_free(&b);
	buf_init(&b, 0);
	buf_printf(&b, "%s", "");
	check_text(&b, "", false);
	buf_addc(&b, 'x');
	check_text(&b, "", true);
	buf_free(&b);
}
END_TEST

START_TEST(test_mem)
{
	static const int want[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	int *v = NULL;
	size_t n = 0, cap = 0;
	char *p;

	for (int i = 0; i <= 10; i++)
		MEM_PUSH(v, n, cap, i);
	ck_assert_uint_eq(n, 11);
	ck_assert_mem_eq(v, want, sizeof(want));
	free(v);
	p = mem_alloc(0);
	ck_assert_ptr_nonnull(p);
	free(p);
	p = mem_array(3, 5);
	ck_assert_mem_eq(p, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
	free(p);
	p = mem_dup("");
	ck_assert_str_eq(p, "");
	free(p);
	p = mem_dup("copy");
	ck_assert_str_eq(p, "copy");
	free(p);
	ck_assert(mem_equal_ct("abc", "abc", 3));
	ck_assert(!mem_equal_ct("abc", "abd", 3));
	ck_assert(!mem_equal_ct("xbc", "abc", 3));
	ck_assert(mem_equal_ct("x", "y", 0));
}
END_TEST

Suite *
buf_suite(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("buf");

	tcase_add_loop_test(t, test_append, 0,
	    sizeof(appends) / sizeof(appends[0]));
	tcase_add_loop_test(t, test_addu, 0,
	    sizeof(numbers) / sizeof(numbers[0]));
	tcase_add_test(t, test_grow);
	tcase_add_test(t, test_printf_long);
	tcase_add_test(t, test_consume);
	tcase_add_test(t, test_take);
	tcase_add_test(t, test_no_limit);
	tcase_add_test(t, test_mem);
	suite_add_tcase(s, t);
	return s;
}
