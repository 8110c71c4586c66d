/* The table of sessions: counts per address, slots given back. */
#include <check.h>
#include <stdio.h>

#include "smtpd/clients.h"

Suite *smtp_clients_suite(void);

static struct ip
unit(const char *text)
{
	struct ip ip = {{0}};

	ck_assert(ip_parse(slice_of(text), &ip));
	return ip_unit(&ip);
}

START_TEST(counts)
{
	struct clients *c = clients_new(4);
	struct ip a = unit("192.0.2.1"), b = unit("192.0.2.2");
	struct client *v[4];

	ck_assert_uint_eq(clients_count(c, &a), 0);
	v[0] = clients_add(c, &a, true);
	v[1] = clients_add(c, &b, true);
	v[2] = clients_add(c, &a, true);
	v[3] = clients_add(c, &a, false);
	ck_assert_ptr_null(clients_add(c, &b, true));
	ck_assert_uint_eq(clients_count(c, &a), 2);
	ck_assert_uint_eq(clients_count(c, &b), 1);
	for (int i = 0; i < 4; i++)
		v[i]->pid = 100 + i;
	ck_assert_ptr_eq(clients_find(c, 102), v[2]);
	ck_assert_ptr_null(clients_find(c, 104));
	clients_remove(c, v[2]);
	ck_assert_ptr_null(clients_find(c, 102));
	ck_assert_uint_eq(clients_count(c, &a), 1);
	ck_assert_uint_eq(c->n, 3);
	ck_assert_ptr_eq(clients_add(c, &b, true), v[2]);
	ck_assert_uint_eq(clients_count(c, &b), 2);
	clients_free(&c);
	ck_assert_ptr_null(c);
}
END_TEST

/* IPv6 is counted by /64. */
START_TEST(units)
{
	struct clients *c = clients_new(8);
	struct ip a = unit("2001:db8::1"), b = unit("2001:db8::ffff:1");
	struct ip other = unit("2001:db8:0:1::1");

	clients_add(c, &a, true);
	ck_assert_uint_eq(clients_count(c, &b), 1);
	ck_assert_uint_eq(clients_count(c, &other), 0);
	clients_free(&c);
}
END_TEST

/* Many, in and out, as a model says. */
START_TEST(many)
{
	enum { MAX = 500, UNITS = 7 };
	struct clients *c = clients_new(MAX);
	struct client *held[MAX];
	unsigned model[UNITS] = {0}, of[MAX], n = 0, x = 1;
	char text[32];

	for (int round = 0; round < 20000; round++) {
		x = x * 1103515245u + 12345u;
		unsigned u = (x >> 16) % UNITS;

		snprintf(text, sizeof(text), "192.0.2.%u", u);
		if (n < MAX && (x >> 24) % 2 == 0) {
			struct ip ip = unit(text);

			of[n] = u;
			held[n++] = clients_add(c, &ip, true);
			model[u]++;
		} else if (n > 0) {
			unsigned i = (x >> 8) % n;

			clients_remove(c, held[i]);
			model[of[i]]--;
			held[i] = held[--n];
			of[i] = of[n];
		}
		ck_assert_uint_eq(c->n, n);
	}
	for (unsigned u = 0; u < UNITS; u++) {
		snprintf(text, sizeof(text), "192.0.2.%u", u);
		struct ip ip = unit(text);

		ck_assert_uint_eq(clients_count(c, &ip), model[u]);
	}
	clients_free(&c);
}
END_TEST

Suite *
smtp_clients_suite(void)
{
	Suite *s = suite_create("smtp_clients");
	TCase *tc = tcase_create("clients");

	tcase_add_test(tc, counts);
	tcase_add_test(tc, units);
	tcase_add_test(tc, many);
	suite_add_tcase(s, tc);
	return s;
}
