/* Unit tests of authd/failures.c and authd/hash.c. */
#include <stdio.h>
#include <string.h>

#include <check.h>

#include "authd/failures.h"
#include "authd/hash.h"
#include "common/conf/conf.h"

Suite *auth_failures_suite(void);

static struct conf conf;
static struct failures *f;
static struct ip here, there;

static void
setup(void)
{
	memset(&conf, 0, sizeof(conf));
	conf.auth_failure_delay_ms = 1000;
	conf.auth_failures_max = 4;
	conf.auth_block_ms = 60000;
	f = failures_new(&conf);
	ck_assert(ip_parse(SLICE("192.0.2.1"), &here));
	ck_assert(ip_parse(SLICE("2001:db8:1:2::3"), &there));
}

static void
teardown(void)
{
	failures_free(&f);
}

static int64_t
wrong(const struct ip *ip, const char *user, int64_t now)
{
	return failures_add(f, ip, slice_of(user), now);
}

static bool
blocked(const struct ip *ip, const char *user, int64_t now)
{
	return failures_blocked(f, ip, slice_of(user), now);
}

START_TEST(delays_double)
{
	ck_assert_int_eq(wrong(&here, "ann", 0), 1000);
	ck_assert_int_eq(wrong(&here, "bob", 1), 2000); /* by address */
	ck_assert_int_eq(wrong(&there, "bob", 2), 2000); /* by user */
	ck_assert_int_eq(wrong(&here, "ann", 3), 4000);
}
END_TEST

START_TEST(delays_are_bounded)
{
	int i;

	conf.auth_failures_max = 1000000;
	for (i = 0; i < 200; i++)
		ck_assert_int_le(wrong(&here, "ann", i), 30000);
	ck_assert_int_eq(wrong(&here, "ann", i), 30000);
	conf.auth_failure_delay_ms = 0;
	ck_assert_int_eq(wrong(&here, "ann", i), 0);
}
END_TEST

START_TEST(block_by_address)
{
	int i;
	char user[16];

	for (i = 0; i < 4; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		ck_assert(!blocked(&here, user, 10));
		wrong(&here, user, 10);
	}
	ck_assert(blocked(&here, "u9", 10));
	ck_assert(blocked(&here, "u9", 60009));
	ck_assert(!blocked(&there, "u9", 10));
	ck_assert(!blocked(&here, "u9", 60010));
	/* a new start */
	ck_assert_int_eq(wrong(&here, "u9", 60010), 1000);
}
END_TEST

START_TEST(block_by_user)
{
	struct ip ip;
	char text[32];
	int i;

	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i);
		ck_assert(ip_parse(slice_of(text), &ip));
		wrong(&ip, "ann", 10);
	}
	ck_assert(blocked(&here, "ann", 10));
	ck_assert(!blocked(&here, "bob", 10));
}
END_TEST

START_TEST(no_block)
{
	int i;

	conf.auth_block_ms = 0;
	for (i = 0; i < 100; i++)
		wrong(&here, "ann", i);
	ck_assert(!blocked(&here, "ann", 100));
}
END_TEST

/* One /64 is one customer. */
START_TEST(units)
{
	struct ip neighbour;
	int i;

	ck_assert(ip_parse(SLICE("2001:db8:1:2:ffff::1"), &neighbour));
	for (i = 0; i < 4; i++)
		wrong(&there, "ann", 0);
	ck_assert(blocked(&neighbour, "bob", 1));
	ck_assert(ip_parse(SLICE("2001:db8:1:3::1"), &neighbour));
	ck_assert(!blocked(&neighbour, "bob", 1));
}
END_TEST

START_TEST(forgiven)
{
	wrong(&here, "ann", 0);
	wrong(&here, "ann", 0);
	failures_forgive(f, &here, SLICE("ann"), 1);
	ck_assert_int_eq(wrong(&there, "ann", 2), 1000);
	/* but the address is not: anybody may have an account of his own */
	ck_assert_int_eq(wrong(&here, "bob", 3), 4000);
}
END_TEST

/* Strangers cannot shut a user out from where she always comes. */
START_TEST(friends)
{
	int i;

	failures_forgive(f, &here, SLICE("ann"), 0);
	for (i = 0; i < 4; i++)
		wrong(&there, "ann", 1);
	ck_assert(blocked(&there, "ann", 2));
	ck_assert(!blocked(&here, "ann", 2));
	ck_assert(!blocked(&here, "bob", 2));
	for (i = 0; i < 4; i++)
		wrong(&there, "bob", 1);
	ck_assert(blocked(&here, "bob", 2));
}
END_TEST

/* A flood of names takes no memory, and what is fresh stays longest. */
START_TEST(flood)
{
	struct ip ip;
	char user[16];
	int i;

	memset(&ip, 0, sizeof(ip));
	for (i = 0; i < 100000; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		memcpy(ip.a, &i, sizeof(i));
		wrong(&ip, user, i);
	}
	for (; i < 100004; i++)
		wrong(&here, "ann", i);
	ck_assert(blocked(&here, "ann", i));
}
END_TEST

START_TEST(hash)
{
	struct hash_key key = {UINT64_C(0x0706050403020100),
	    UINT64_C(0x0f0e0d0c0b0a0908)}, other = key;
	uint64_t h = hash_slice(&key, 'a', SLICE("ann@example.org"));

	other.k0++;
	ck_assert_uint_eq(h, hash_slice(&key, 'a', SLICE("ann@example.org")));
	ck_assert_uint_ne(h, hash_slice(&key, 'b', SLICE("ann@example.org")));
	ck_assert_uint_ne(h, hash_slice(&key, 'a', SLICE("ann@example.orh")));
	ck_assert_uint_ne(h, hash_slice(&key, 'a', SLICE("ann@example.or")));
	ck_assert_uint_ne(h, hash_slice(&other, 'a',
	    SLICE("ann@example.org")));
	ck_assert_uint_ne(hash_slice(&key, 'a', SLICE("")),
	    hash_slice(&key, 'a', SLICE("\0")));
}
END_TEST

Suite *
auth_failures_suite(void)
{
	Suite *s = suite_create("auth_failures");
	TCase *tc = tcase_create("failures");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, delays_double);
	tcase_add_test(tc, delays_are_bounded);
	tcase_add_test(tc, block_by_address);
	tcase_add_test(tc, block_by_user);
	tcase_add_test(tc, no_block);
	tcase_add_test(tc, units);
	tcase_add_test(tc, forgiven);
	tcase_add_test(tc, friends);
	tcase_add_test(tc, flood);
	tcase_add_test(tc, hash);
	suite_add_tcase(s, tc);
	return s;
}
