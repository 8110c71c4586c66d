/* common/mail/domain: domains as DNS knows them. */
#include <check.h>

#include "common/base/buf.h"
#include "common/mail/domain.h"

Suite *domain_suite(void);

static const struct {
	const char *in;
	const char *want; /* NULL: there is none */
} domains[] = {
	{"example.org", "example.org"},
	{"Example.ORG", "example.org"},
	{"localhost", "localhost"},
	{"xn--BCHER-kva.example", "xn--bcher-kva.example"},
	{"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
	{"B\xc3\x9c" "CHER.Example", "xn--bcher-kva.example"},
	/* decomposed: u and a diaeresis of its own */
	{"bu\xcc\x88" "cher.example", "xn--bcher-kva.example"},
	{"\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88",
	    "xn--r8jz45g.xn--zckzah"},
	{"stra\xc3\x9f" "e.example", "xn--strae-oqa.example"},
	{"[192.0.2.1]", "[192.0.2.1]"},
	{"[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
	{"", NULL},
	{".", NULL},
	{"a..b", NULL},
	{"-a.example", NULL},
	{"a b.example", NULL},
	{"a\r\n.example", NULL},
	{"[192.0.2.300]", NULL},
	{"[foo:bar]", NULL},
	{"b\xc3.example", NULL},
	{"\xe2\x80\x8d.example", NULL}, /* a joiner that joins nothing */
};

START_TEST(test_wire)
{
	struct buf out = BUF_INIT(1024);
	const char *why = NULL;
	bool good = domain_wire(slice_of(domains[_i].in), &out, &why);

	if (domains[_i].want == NULL) {
		ck_assert_msg(!good, "%s: %s", domains[_i].in, out.s);
		ck_assert_ptr_nonnull(why);
		ck_assert_uint_eq(out.len, 0);
	} else {
		ck_assert_msg(good, "%s: %s", domains[_i].in, why);
		ck_assert_str_eq(out.s, domains[_i].want);
	}
	buf_free(&out);
}
END_TEST

Suite *
domain_suite(void)
{
	Suite *s = suite_create("domain");
	TCase *t = tcase_create("domain");

	tcase_add_loop_test(t, test_wire, 0,
	    (int)(sizeof(domains) / sizeof(domains[0])));
	suite_add_tcase(s, t);
	return s;
}
