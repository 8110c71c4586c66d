/* Addresses and networks. */
#include <check.h>
#include <netinet/in.h>
#include <string.h>

#include "common/conf/net.h"

Suite *net_suite(void);

/* in, and what ip_text makes of it; NULL: refused */
static const struct {
	const char *in, *want;
} ips[] = {
	{"192.0.2.1", "192.0.2.1"},
	{"0.0.0.0", "0.0.0.0"},
	{"255.255.255.255", "255.255.255.255"},
	{"2001:DB8::0001", "2001:db8::1"},
	{"::", "::"},
	{"::1", "::1"},
	{"::ffff:192.0.2.1", "192.0.2.1"},
	{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"},
	{"2001:0db8:0001:0002:0003:0004:192.168.100.200",
	    "2001:db8:1:2:3:4:c0a8:64c8"},
	{"", NULL},
	{"192.0.2", NULL},
	{"192.0.2.256", NULL},
	{"192.0.2.1 ", NULL},
	{" 192.0.2.1", NULL},
	{"192.0.2.01", NULL},
	{"0x7f.1", NULL},
	{"1:2:3:4:5:6:7:8:9", NULL},
	{"2001:db8::1::2", NULL},
	{"fe80::1%lo", NULL},
	{"[::1]", NULL},
	{"example.org", NULL},
	{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", NULL},
};

START_TEST(ip_octets)
{
	struct slice in = slice_of(ips[_i].in);
	char text[IP_TEXT_SIZE];
	struct ip ip;

	memset(&ip, 7, sizeof(ip));
	ck_assert_msg(ip_parse(in, &ip) == (ips[_i].want != NULL), "%s",
	    ips[_i].in);
	if (ips[_i].want == NULL) {
		ck_assert_int_eq(ip.a[0], 7); /* untouched */
		return;
	}
	ip_text(&ip, text);
	ck_assert_str_eq(text, ips[_i].want);
	ck_assert_int_eq(ip_is_v4(&ip), strchr(text, '.') != NULL);
}
END_TEST

START_TEST(ip_with_nul)
{
	struct ip ip;

	ck_assert(!ip_parse(slice_mem("192.0.2.1\0x", 11), &ip));
	ck_assert(!ip_parse(slice_mem("::1\0", 4), &ip));
}
END_TEST

enum has { NO, YES, BAD };

static const struct {
	const char *net, *ip;
	enum has want;
} nets[] = {
	{"192.0.2.1", "192.0.2.1", YES},
	{"192.0.2.1", "192.0.2.2", NO},
	{"192.0.2.0/24", "192.0.2.255", YES},
	{"192.0.2.0/24", "192.0.3.0", NO},
	{"192.0.2.128/25", "192.0.2.127", NO},
	{"192.0.2.128/25", "192.0.2.128", YES},
	{"10.0.0.0/9", "10.127.255.255", YES},
	{"10.0.0.0/9", "10.128.0.0", NO},
	{"0.0.0.0/0", "203.0.113.9", YES},
	{"0.0.0.0/0", "2001:db8::1", NO},
	{"::/0", "2001:db8::1", YES},
	{"::/0", "::1", YES},
	{"::/0", "192.0.2.1", NO},
	{"::/95", "192.0.2.1", NO},
	{"::ffff:0:0/96", "192.0.2.1", YES},
	{"::1", "::1", YES},
	{"::1/128", "::2", NO},
	{"2001:db8::/32", "2001:db8:ffff::1", YES},
	{"2001:db8::/32", "2001:db9::", NO},
	{"2001:db8::/33", "2001:db8:8000::", NO},
	{"192.0.2.0/33", "::", BAD},
	{"::/129", "::", BAD},
	{"192.0.2.1/24", "::", BAD},
	{"2001:db8::1/64", "::", BAD},
	{"192.0.2.0/", "::", BAD},
	{"192.0.2.0/-1", "::", BAD},
	{"192.0.2.0/+8", "::", BAD},
	{"192.0.2.0/24/24", "::", BAD},
	{"192.0.2.0/4294967304", "::", BAD},
	{"/24", "::", BAD},
	{"", "::", BAD},
	{"192.0.2", "::", BAD},
};

START_TEST(net)
{
	struct net n[2];
	struct ip ip;

	ck_assert(ip_parse(slice_of(nets[_i].ip), &ip));
	memset(n, 0, sizeof(n));
	ck_assert_msg(net_parse(slice_of(nets[_i].net), &n[1]) ==
	    (nets[_i].want != BAD), "%s", nets[_i].net);
	if (nets[_i].want == BAD)
		return;
	ck_assert_msg(net_has(&n[1], &ip) == (nets[_i].want == YES),
	    "%s in %s", nets[_i].ip, nets[_i].net);
	n[0].bits = 128; /* "::" */
	ck_assert(net_any_has(n, 2, &ip) == (nets[_i].want == YES));
	ck_assert(!net_any_has(n, 0, &ip));
}
END_TEST

/* in, family (0: refused), address, port */
static const struct {
	const char *in;
	int family;
	const char *ip;
	uint16_t port;
} addresses[] = {
	{"127.0.0.1:2525", AF_INET, "127.0.0.1", 2525},
	{"*:25", AF_INET, "0.0.0.0", 25},
	{"192.0.2.1:0", AF_INET, "192.0.2.1", 0},
	{"192.0.2.1:65535", AF_INET, "192.0.2.1", 65535},
	{"[::1]:2525", AF_INET6, "::1", 2525},
	{"[::]:25", AF_INET6, "::", 25},
	{"[2001:db8::25]:587", AF_INET6, "2001:db8::25", 587},
	{"", 0, "", 0},
	{"25", 0, "", 0},
	{":25", 0, "", 0},
	{"127.0.0.1", 0, "", 0},
	{"127.0.0.1:", 0, "", 0},
	{"127.0.0.1:65536", 0, "", 0},
	{"127.0.0.1:smtp", 0, "", 0},
	{"::1:25", 0, "", 0},
	{"[::1]", 0, "", 0},
	{"[::1]25", 0, "", 0},
	{"[]:25", 0, "", 0},
	{"[127.0.0.1]:25", 0, "", 0},
	{"[::ffff:127.0.0.1]:25", 0, "", 0},
	{"localhost:25", 0, "", 0},
	{"**:25", 0, "", 0},
};

START_TEST(address)
{
	struct sockaddr_storage ss;
	char text[IP_TEXT_SIZE];
	socklen_t len = 0;
	uint16_t port = 0;
	struct ip ip;

	ck_assert_msg(net_sockaddr(slice_of(addresses[_i].in), &ss, &len) ==
	    (addresses[_i].family != 0), "%s", addresses[_i].in);
	if (addresses[_i].family == 0)
		return;
	ck_assert_int_eq(ss.ss_family, addresses[_i].family);
	ck_assert_uint_eq(len, ss.ss_family == AF_INET ?
	    sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	ck_assert(ip_from_sockaddr((const struct sockaddr *)&ss, &ip, &port));
	ip_text(&ip, text);
	ck_assert_str_eq(text, addresses[_i].ip);
	ck_assert_uint_eq(port, addresses[_i].port);
	ck_assert(ip_from_sockaddr((const struct sockaddr *)&ss, &ip, NULL));
}
END_TEST

START_TEST(unit)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	};
	struct ip a, b;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		ck_assert(ip_parse(slice_of(pairs[i].a), &a));
		ck_assert(ip_parse(slice_of(pairs[i].b), &b));
		a = ip_unit(&a);
		b = ip_unit(&b);
		ck_assert(ip_equal(&a, &b) == pairs[i].same);
	}
}
END_TEST

START_TEST(no_ip)
{
	struct sockaddr sa = {.sa_family = AF_UNIX};
	struct ip ip;

	ck_assert(!ip_from_sockaddr(&sa, &ip, NULL));
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
net_suite(void)
{
	Suite *s = suite_create("net");
	TCase *t = tcase_create("net");

	tcase_add_loop_test(t, ip_octets, 0, COUNT(ips));
	tcase_add_test(t, ip_with_nul);
	tcase_add_loop_test(t, net, 0, COUNT(nets));
	tcase_add_loop_test(t, address, 0, COUNT(addresses));
	tcase_add_test(t, unit);
	tcase_add_test(t, no_ip);
	suite_add_tcase(s, t);
	return s;
}
