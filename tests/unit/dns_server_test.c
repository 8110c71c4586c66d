/* The contract "dns", names, and the words of dns_resolvers and dns_stubs. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/dns/server.h"
#include "common/io/chan.h"
#include "common/proto/dns.h"

Suite *dns_server_suite(void);

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))
#define L63 "123456789012345678901234567890123456789012345678901234567890123"

START_TEST(contract)
{
	struct buf why = BUF_INIT(1000);

	ck_assert_msg(chan_contract_check(&dns_contract, &why), "%s", why.s);
	buf_free(&why);
}
END_TEST

static const struct {
	struct slice name;
	bool ok;
} names[] = {
	{SLICE_INIT(""), true},
	{SLICE_INIT("."), true},
	{SLICE_INIT("a"), true},
	{SLICE_INIT("a.b."), true},
	{SLICE_INIT("_25._tcp.mx.example"), true},
	{SLICE_INIT("xn--bcher-kva.example"), true},
	{SLICE_INIT("0/25.2.0.192.in-addr.arpa"), true},
	{SLICE_INIT("*.example"), true},
	{SLICE_INIT(L63 ".example"), true},
	{SLICE_INIT(L63 "." L63 "." L63 "." "1234567890123456789012345678901234"
	    "567890123456789012345678901"), true}, /* 253 */
	{SLICE_INIT(L63 "." L63 "." L63 "." "1234567890123456789012345678901234"
	    "567890123456789012345678901."), true},
	{SLICE_INIT(L63 "." L63 "." L63 "." "1234567890123456789012345678901234"
	    "5678901234567890123456789012"), false},
	{SLICE_INIT(L63 "4.example"), false},
	{SLICE_INIT(".."), false},
	{SLICE_INIT(".a"), false},
	{SLICE_INIT("a..b"), false},
	{SLICE_INIT("a.."), false},
	{SLICE_INIT("a b"), false},
	{SLICE_INIT("a\0b"), false},
	{SLICE_INIT("a\\b"), false},
	{SLICE_INIT("a\\.b"), false},
	{SLICE_INIT("b\xc3\xbc" "cher.example"), false},
	{SLICE_INIT("a\x7f"), false},
	{SLICE_INIT("a\n"), false},
};

START_TEST(name)
{
	const char *why = NULL;

	ck_assert_msg(dns_name_ok(names[_i].name, &why) == names[_i].ok,
	    "%.*s", SLICE_FMT(names[_i].name));
	ck_assert((why == NULL) == names[_i].ok);
}
END_TEST

static const struct {
	const char *in, *want;
} servers[] = {
	{"192.0.2.1", "192.0.2.1@53"},
	{"127.0.0.1@5353", "127.0.0.1@5353"},
	{"::1", "::1@53"},
	{"2001:DB8::1@65535", "2001:db8::1@65535"},
	{"", NULL},
	{"@53", NULL},
	{"192.0.2.1@", NULL},
	{"192.0.2.1@0", NULL},
	{"192.0.2.1@65536", NULL},
	{"192.0.2.1@53x", NULL},
	{"192.0.2.1:53", NULL},
	{"ns.example", NULL},
	{"fe80::1%eth0", NULL},
};

START_TEST(server)
{
	struct dns_server s;

	memset(&s, 0, sizeof(s));
	ck_assert_msg(dns_server_parse(slice_of(servers[_i].in), &s) ==
	    (servers[_i].want != NULL), "%s", servers[_i].in);
	ck_assert_str_eq(s.text, servers[_i].want != NULL ? servers[_i].want :
	    "");
}
END_TEST

static const struct {
	const char *in, *zone, *server;
} stubs[] = {
	{"there.example=127.0.0.1@53", "there.example", "127.0.0.1@53"},
	{"there.example.=::1", "there.example", "::1@53"},
	{".=127.0.0.1@5300", "", "127.0.0.1@5300"},
	{"=127.0.0.1", NULL, NULL},
	{"there.example", NULL, NULL},
	{"there.example=", NULL, NULL},
	{"there..example=127.0.0.1", NULL, NULL},
	{"there.example=ns.example", NULL, NULL},
};

START_TEST(stub)
{
	struct dns_stub s = {.zone = NULL};

	ck_assert_msg(dns_stub_parse(slice_of(stubs[_i].in), &s) ==
	    (stubs[_i].zone != NULL), "%s", stubs[_i].in);
	if (stubs[_i].zone == NULL)
		return;
	ck_assert_str_eq(s.zone, stubs[_i].zone);
	ck_assert_str_eq(s.server.text, stubs[_i].server);
	free(s.zone);
}
END_TEST

/* resolvers, stubs, resolv.conf: how many of each, or -1 */
static const struct {
	const char *resolvers[3], *stub, *resolv;
	bool recursive, of_resolv;
	int n;
	const char *first;
} setups[] = {
	{{NULL}, NULL, "# x\nnameserver 192.0.2.1\nnameserver\nnameserver "
	    "fe80::1%eth0\n\tnameserver ::1 x\noptions a\n", false, true, 2,
	    "192.0.2.1@53"},
	{{NULL}, NULL, "", false, true, 1, "127.0.0.1@53"},
	{{NULL}, NULL, "nameservers 192.0.2.1", false, true, 1,
	    "127.0.0.1@53"},
	{{"192.0.2.1@54", "192.0.2.2"}, "a.example=::1",
	    "nameserver 192.0.2.9", false, false, 2, "192.0.2.1@54"},
	{{"recursive"}, NULL, "nameserver 192.0.2.9", true, false, 0, NULL},
	{{"Recursive"}, ".=::1", "", true, false, 0, NULL},
	{{"recursive", "192.0.2.1"}, NULL, "", false, false, -1, NULL},
	{{"192.0.2.1"}, ".=::1", "", false, false, -1, NULL},
	{{"192.0.2.1.5"}, NULL, "", false, false, -1, NULL},
	{{"192.0.2.1"}, "a.example", "", false, false, -1, NULL},
};

START_TEST(setup)
{
	const char *resolvers[3], *stub_words[1];
	struct conf c = {.file = "postern.conf"};
	struct dns_servers s = {.n = 99};
	struct buf errors = BUF_INIT(1000);
	bool ok;

	memcpy(resolvers, setups[_i].resolvers, sizeof(resolvers));
	c.dns_resolvers.v = resolvers;
	while (c.dns_resolvers.n < 3 && resolvers[c.dns_resolvers.n] != NULL)
		c.dns_resolvers.n++;
	stub_words[0] = setups[_i].stub;
	c.dns_stubs.v = stub_words;
	c.dns_stubs.n = stub_words[0] != NULL;
	ok = dns_servers_read(&c, slice_of(setups[_i].resolv), &s, &errors);
	ck_assert_int_eq(ok, setups[_i].n >= 0);
	ck_assert((errors.len == 0) == ok);
	buf_free(&errors);
	if (!ok) {
		ck_assert_uint_eq(s.n, 99);
		return;
	}
	ck_assert_int_eq(s.recursive, setups[_i].recursive);
	ck_assert_int_eq(s.of_resolv, setups[_i].of_resolv);
	ck_assert_int_eq((int)s.n, setups[_i].n);
	ck_assert_uint_eq(s.nstubs, c.dns_stubs.n);
	if (setups[_i].first != NULL)
		ck_assert_str_eq(s.v[0].text, setups[_i].first);
	dns_servers_free(&s);
}
END_TEST

static const struct {
	const char *text;
	enum dns_anchor want;
} anchors[] = {
	{". IN DS 20326 8 2 E06D\n", DNS_ANCHOR_THERE},
	{"; a comment\n.\t172800\tIN\tDNSKEY 257 3 8 AwEAA ;{id = 20326}\n",
	    DNS_ANCHOR_THERE},
	{"a.example. ds 1 8 2 00", DNS_ANCHOR_THERE},
	{"", DNS_ANCHOR_EMPTY},
	{"; IN DS 20326 8 2 E06D\n", DNS_ANCHOR_EMPTY},
	{"DSX\n", DNS_ANCHOR_EMPTY},
	{NULL, DNS_ANCHOR_MISSING},
};

START_TEST(anchor)
{
	char path[] = "/tmp/dns_anchor.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	ck_assert_ptr_nonnull(f);
	if (anchors[_i].text != NULL)
		fputs(anchors[_i].text, f);
	fclose(f);
	if (anchors[_i].text == NULL)
		unlink(path);
	ck_assert_int_eq(dns_anchor_look(path), anchors[_i].want);
	unlink(path);
	ck_assert_int_eq(dns_anchor_look(""), DNS_ANCHOR_NONE);
	ck_assert_int_eq(dns_anchor_look("/"), DNS_ANCHOR_MISSING);
}
END_TEST

Suite *
dns_server_suite(void)
{
	Suite *s = suite_create("dns_server");
	TCase *t = tcase_create("dns_server");

	tcase_add_test(t, contract);
	tcase_add_loop_test(t, name, 0, COUNT(names));
	tcase_add_loop_test(t, server, 0, COUNT(servers));
	tcase_add_loop_test(t, stub, 0, COUNT(stubs));
	tcase_add_loop_test(t, setup, 0, COUNT(setups));
	tcase_add_loop_test(t, anchor, 0, COUNT(anchors));
	suite_add_tcase(s, t);
	return s;
}
