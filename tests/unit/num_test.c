/* The one number parser, and random numbers. */
#include <check.h>

#include "common/base/num.h"
#include "common/base/random.h"

Suite *num_suite(void);

#define U64 UINT64_MAX
#define UNTOUCHED 77

enum kind { U32, ALL, HEX, OCTAL, SIZE, TIME };

static const struct {
	enum kind kind;
	const char *in;
	uint64_t least, most;
	bool ok;
	uint64_t want;
} cases[] = {
	{U32, "0", 0, UINT32_MAX, true, 0},
	{U32, "007", 0, UINT32_MAX, true, 7},
	{U32, "4294967295", 0, UINT32_MAX, true, 4294967295},
	{U32, "4294967296", 0, UINT32_MAX, false, 0},
	{U32, "4294967297", 0, UINT32_MAX, false, 0},
	{U32, "18446744073709551617", 0, UINT32_MAX, false, 0},
	{U32, "5", 5, 7, true, 5},
	{U32, "7", 5, 7, true, 7},
	{U32, "4", 5, 7, false, 0},
	{U32, "8", 5, 7, false, 0},
	{U32, "", 0, 9, false, 0},
	{U32, "+1", 0, 9, false, 0},
	{U32, "-1", 0, 9, false, 0},
	{U32, " 1", 0, 9, false, 0},
	{U32, "1 ", 0, 9, false, 0},
	{U32, "1\n", 0, 9, false, 0},
	{U32, "0x1", 0, 9, false, 0},
	{U32, "1a", 0, 99, false, 0},
	{U32, "\xb2", 0, 9, false, 0},
	{ALL, "18446744073709551615", 0, U64, true, U64},
	{ALL, "18446744073709551616", 0, U64, false, 0},
	{ALL, "18446744073709551625", 0, U64, false, 0},
	{ALL, "99999999999999999999999", 0, U64, false, 0},
	{ALL, "00000000000000000000000000012", 0, U64, true, 12},
	{HEX, "0", 0, U64, true, 0},
	{HEX, "fF09", 0, U64, true, 0xff09},
	{HEX, "ffffffffffffffff", 0, U64, true, U64},
	{HEX, "10000000000000000", 0, U64, false, 0},
	{HEX, "0x10", 0, U64, false, 0},
	{HEX, "g", 0, U64, false, 0},
	{OCTAL, "0640", 0, 07777, true, 0640},
	{OCTAL, "8", 0, 07777, false, 0},
	{OCTAL, "17777", 0, 07777, false, 0},
	{SIZE, "0", 0, U64, true, 0},
	{SIZE, "10", 0, U64, true, 10},
	{SIZE, "10K", 0, U64, true, 10240},
	{SIZE, "10M", 0, U64, true, 10485760},
	{SIZE, "3G", 0, U64, true, 3221225472},
	{SIZE, "1G", 0, 1073741823, false, 0},
	{SIZE, "17179869183G", 0, U64, true, 18446744072635809792u},
	{SIZE, "17179869184G", 0, U64, false, 0},
	{SIZE, "K", 0, U64, false, 0},
	{SIZE, "1k", 0, U64, false, 0},
	{SIZE, "1KB", 0, U64, false, 0},
	{SIZE, "1 K", 0, U64, false, 0},
	{SIZE, "-1K", 0, U64, false, 0},
	{SIZE, "", 0, U64, false, 0},
	{TIME, "500ms", 0, U64, true, 500},
	{TIME, "10s", 0, U64, true, 10000},
	{TIME, "10", 0, U64, true, 10000},
	{TIME, "5m", 0, U64, true, 300000},
	{TIME, "2h", 0, U64, true, 7200000},
	{TIME, "5d", 0, U64, true, 432000000},
	{TIME, "1w", 0, U64, true, 604800000},
	{TIME, "1", 1001, U64, false, 0},
	{TIME, "18446744073709551616ms", 0, U64, false, 0},
	{TIME, "18446744073709552s", 0, U64, false, 0},
	{TIME, "1y", 0, U64, false, 0},
	{TIME, "1m30s", 0, U64, false, 0},
	{TIME, "ms", 0, U64, false, 0},
};

START_TEST(test_parse)
{
	struct slice in = slice_of(cases[_i].in);
	uint64_t least = cases[_i].least, most = cases[_i].most;
	uint64_t got = UNTOUCHED;
	uint32_t got32 = UNTOUCHED;
	bool ok = false;

	switch (cases[_i].kind) {
	case U32:
		ok = num_u32(in, (uint32_t)least, (uint32_t)most, &got32);
		got = got32;
		break;
	case ALL:
		ok = num_u64(in, least, most, &got);
		break;
	case HEX:
		ok = num_u64_hex(in, least, most, &got);
		break;
	case OCTAL:
		ok = num_u32_octal(in, (uint32_t)least, (uint32_t)most,
		    &got32);
		got = got32;
		break;
	case SIZE:
		ok = num_size(in, least, most, &got);
		break;
	case TIME:
		ok = num_time_ms(in, least, most, &got);
		break;
	}
	ck_assert_msg(ok == cases[_i].ok, "%s", cases[_i].in);
	ck_assert_msg(got == (ok ? cases[_i].want : UNTOUCHED), "%s: %llu",
	    cases[_i].in, (unsigned long long)got);
}
END_TEST

START_TEST(test_nul)
{
	uint64_t n = UNTOUCHED;

	ck_assert(!num_u64(slice_mem("1\0", 2), 0, U64, &n));
	ck_assert(!num_u64((struct slice){NULL, 0}, 0, U64, &n));
	ck_assert(!num_size(slice_mem("1\0K", 3), 0, U64, &n));
	ck_assert(!num_time_ms((struct slice){NULL, 0}, 0, U64, &n));
	ck_assert_uint_eq(n, UNTOUCHED);
	/* The slice ends the number, not what stands behind it. */
	ck_assert(num_u64(slice_mem("123", 2), 0, U64, &n));
	ck_assert_uint_eq(n, 12);
}
END_TEST

/* What is written is read again, around every power of ten. */
START_TEST(test_text)
{
	uint64_t power = 1;

	for (int i = 0; i < _i; i++)
		power *= 10;
	for (uint64_t n = power - 1; n <= power + 1; n++) {
		char text[NUM_TEXT_SIZE];
		uint64_t again;
		size_t len = num_text(n, text);

		ck_assert(num_u64(slice_mem(text, len), 0, U64, &again));
		ck_assert_uint_eq(again, n);
		ck_assert(len == 1 || text[0] != '0');
	}
}
END_TEST

START_TEST(test_random)
{
	unsigned seen[6] = {0};
	unsigned char some[64] = {0};
	int zero = 0;

	random_bytes(some, 0);
	random_bytes(some, sizeof(some));
	for (size_t i = 0; i < sizeof(some); i++)
		zero += some[i] == 0;
	ck_assert_int_lt(zero, 16);
	ck_assert(random_u64() != random_u64());
	ck_assert_uint_eq(random_below(1), 0);
	for (int i = 0; i < 6000; i++) {
		uint32_t n = random_below(6);

		ck_assert_uint_lt(n, 6);
		seen[n]++;
	}
	for (int i = 0; i < 6; i++)
		ck_assert_uint_gt(seen[i], 700);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_lt(random_below(UINT32_MAX), UINT32_MAX);
}
END_TEST

Suite *
num_suite(void)
{
	Suite *s = suite_create("num");
	TCase *t = tcase_create("num");

	tcase_add_loop_test(t, test_parse, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(t, test_nul);
	tcase_add_loop_test(t, test_text, 0, 20);
	tcase_add_test(t, test_random);
	suite_add_tcase(s, t);
	return s;
}
