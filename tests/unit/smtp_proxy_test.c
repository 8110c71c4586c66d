/* PROXY headers, whole and octet by octet. */
#include <check.h>

#include "smtpd/proxy.h"

Suite *smtp_proxy_suite(void);

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V6A "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define V6B "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
#define IN(lit) {(lit), sizeof(lit) - 1}

static const struct {
	const char *name;
	struct slice in;
	enum proxy_result want;
	size_t used;        /* OK: octets of the header */
	const char *src;    /* OK: NULL: not known */
	uint16_t port;
} cases[] = {
	{"v1 TCP4", IN("PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\nEHLO"),
	    PROXY_OK, 40, "192.0.2.1", 1000},
	{"v1 TCP6", IN("PROXY TCP6 2001:db8::1 2001:db8::2 65535 25\r\n"),
	    PROXY_OK, 45, "2001:db8::1", 65535},
	{"v1 UNKNOWN", IN("PROXY UNKNOWN\r\nx"), PROXY_OK, 15, NULL, 0},
	{"v1 UNKNOWN with more", IN("PROXY UNKNOWN ff a b c\r\n"), PROXY_OK, 24,
	    NULL, 0},
	{"v1 LF", IN("PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\n"), PROXY_BAD, 0,
	    NULL, 0},
	{"v1 port", IN("PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 port with zero", IN("PROXY TCP4 192.0.2.1 192.0.2.2 025 25\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 families mixed", IN("PROXY TCP4 2001:db8::1 192.0.2.2 1 25\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 families mixed 2", IN("PROXY TCP6 192.0.2.1 2001:db8::1 1 2\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 two spaces", IN("PROXY TCP4  192.0.2.1 192.0.2.2 1 25\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 too few", IN("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), PROXY_BAD, 0,
	    NULL, 0},
	{"v1 too many", IN("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 lower case", IN("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 other protocol", IN("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 too long", IN("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
	    PROXY_BAD, 0, NULL, 0},
	{"v1 incomplete", IN("PROXY TCP4 192.0.2.1"), PROXY_MORE, 0, NULL, 0},
	{"no header", IN("EHLO client.example\r\n"), PROXY_BAD, 0, NULL, 0},
	{"nothing yet", IN(""), PROXY_MORE, 0, NULL, 0},
	{"v2 TCP4", IN(SIG "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x03\xe8\0\x19"
	    "EHLO"), PROXY_OK, 28, "192.0.2.1", 1000},
	{"v2 TCP6", IN(SIG "\x21\x21\0\x24" V6A V6B "\x03\xe8\0\x19"), PROXY_OK,
	    52, "2001:db8::1", 1000},
	{"v2 with extensions", IN(SIG "\x21\x11\0\x10\xc0\0\2\1\xc0\0\2\2"
	    "\x03\xe8\0\x19\x04\0\1x"), PROXY_OK, 32, "192.0.2.1", 1000},
	{"v2 LOCAL", IN(SIG "\x20\0\0\0"), PROXY_OK, 16, NULL, 0},
	{"v2 LOCAL with addresses", IN(SIG "\x20\x11\0\x0c\xc0\0\2\1\xc0\0\2\2"
	    "\x03\xe8\0\x19"), PROXY_OK, 28, NULL, 0},
	{"v2 unspecified", IN(SIG "\x21\0\0\0"), PROXY_OK, 16, NULL, 0},
	{"v2 UDP", IN(SIG "\x21\x12\0\x0c\xc0\0\2\1\xc0\0\2\2\x03\xe8\0\x19"),
	    PROXY_OK, 28, NULL, 0},
	{"v2 cut addresses", IN(SIG "\x21\x11\0\x08\xc0\0\2\1\xc0\0\2\2"),
	    PROXY_BAD, 0, NULL, 0},
	{"v2 version 1", IN(SIG "\x11\x11\0\0"), PROXY_BAD, 0, NULL, 0},
	{"v2 command 2", IN(SIG "\x22\x11\0\0"), PROXY_BAD, 0, NULL, 0},
	{"v2 too long", IN(SIG "\x21\x11\xff\xff"), PROXY_BAD, 0, NULL, 0},
	{"v2 incomplete", IN(SIG "\x21\x11\0\x0c\xc0"), PROXY_MORE, 0, NULL, 0},
	{"v2 broken signature", IN("\r\n\r\n\r\n"), PROXY_BAD, 0, NULL, 0},
};

#define NCASES (int)(sizeof(cases) / sizeof(cases[0]))

static void
check_ok(int i, const struct proxy *p, size_t used)
{
	struct ip ip;

	ck_assert_msg(used == cases[i].used, "%s: used %zu", cases[i].name,
	    used);
	ck_assert_msg(p->known == (cases[i].src != NULL), "%s: known",
	    cases[i].name);
	if (!p->known)
		return;
	ck_assert(ip_parse(slice_of(cases[i].src), &ip));
	ck_assert_msg(ip_equal(&ip, &p->src), "%s: src", cases[i].name);
	ck_assert_uint_eq(p->src_port, cases[i].port);
	ck_assert_uint_eq(p->dst_port, 25);
}

START_TEST(whole)
{
	struct proxy p;
	size_t used = 0;
	const char *why = "";
	enum proxy_result got = proxy_parse(cases[_i].in, &p, &used, &why);

	ck_assert_msg(got == cases[_i].want, "%s: %d %s", cases[_i].name, got,
	    why);
	if (got == PROXY_OK)
		check_ok(_i, &p, used);
	if (got == PROXY_MORE)
		ck_assert_uint_gt(used, cases[_i].in.len);
}
END_TEST

/* As the session does it: never asks for more than the header has, nor for
 * less than there is. */
START_TEST(pieces)
{
	struct proxy p;
	size_t need = 1, have;
	const char *why = "";
	enum proxy_result got = PROXY_MORE;

	while (got == PROXY_MORE && need <= cases[_i].in.len) {
		have = need;
		got = proxy_parse(slice_sub(cases[_i].in, 0, have), &p, &need,
		    &why);
		if (got == PROXY_MORE)
			ck_assert_uint_gt(need, have);
	}
	if (got == PROXY_MORE)
		got = proxy_parse(cases[_i].in, &p, &need, &why);
	ck_assert_msg(got == cases[_i].want, "%s: %d %s", cases[_i].name, got,
	    why);
	if (got == PROXY_OK)
		check_ok(_i, &p, need);
}
END_TEST

Suite *
smtp_proxy_suite(void)
{
	Suite *s = suite_create("smtp_proxy");
	TCase *tc = tcase_create("proxy");

	tcase_add_loop_test(tc, whole, 0, NCASES);
	tcase_add_loop_test(tc, pieces, 0, NCASES);
	suite_add_tcase(s, tc);
	return s;
}
