/* The Received field. */
#include <check.h>

#include "common/base/buf.h"
#include "smtpd/received.h"

Suite *smtp_received_suite(void);

static const struct {
	const char *helo, *ip, *protocol, *recipient, *want;
} cases[] = {
	{"client.example", "192.0.2.1", "ESMTP", "ann@here.example",
	    "Received: from client.example ([192.0.2.1])\r\n"
	    "\tby mx.here.example with ESMTP id 0123456789abcdefghij\r\n"
	    "\tfor <ann@here.example>;\r\n\t"},
	{"client.example", "2001:db8::1", "SMTP", "",
	    "Received: from client.example ([IPv6:2001:db8::1])\r\n"
	    "\tby mx.here.example with SMTP id 0123456789abcdefghij;\r\n\t"},
	{"[192.0.2.7]", "192.0.2.1", "ESMTP", "",
	    "Received: from [192.0.2.7] ([192.0.2.1])\r\n"
	    "\tby mx.here.example with ESMTP id 0123456789abcdefghij;\r\n\t"},
	{"", "192.0.2.1", "SMTP", "",
	    "Received: from [192.0.2.1]\r\n"
	    "\tby mx.here.example with SMTP id 0123456789abcdefghij;\r\n\t"},
	{"a) (b\\_\x01", "192.0.2.1", "SMTP", "",
	    "Received: from [192.0.2.1] (helo a???b?_?)\r\n"
	    "\tby mx.here.example with SMTP id 0123456789abcdefghij;\r\n\t"},
};

#define NCASES (int)(sizeof(cases) / sizeof(cases[0]))

START_TEST(one)
{
	struct buf out = BUF_INIT(4096);
	struct received r = {
	    .helo = slice_of(cases[_i].helo),
	    .hostname = SLICE("mx.here.example"),
	    .protocol = slice_of(cases[_i].protocol),
	    .id = SLICE("0123456789abcdefghij"),
	    .recipient = slice_of(cases[_i].recipient),
	    .now_ms = INT64_C(1764000000000),
	};

	ck_assert(ip_parse(slice_of(cases[_i].ip), &r.ip));
	received_add(&r, &out);
	ck_assert_msg(slice_prefix(buf_slice(&out), slice_of(cases[_i].want)),
	    "%s", out.s);
	/* The date is clock.c's; no line of the field is longer than 78 when
	 * its parts are not. */
	ck_assert_uint_gt(out.len, strlen(cases[_i].want) + 20);
	ck_assert(slice_eq(slice_sub(buf_slice(&out), out.len - 2, out.len),
	    SLICE("\r\n")));
	buf_free(&out);
}
END_TEST

/* A user of this host: neither what HELO said nor an address. */
START_TEST(users)
{
	static const struct {
		const char *login;
		uint32_t uid;
		const char *want;
	} v[] = {
		{"ann", 1000, "(user ann, uid 1000)"},
		{"uid:4294967294", 4294967294, "(user uid:4294967294, uid "
		    "4294967294)"},
		{"a (b)\\\r\n\xc3\xa4", 7, "(user a??b?????""?, uid 7)"},
	};
	struct buf out = BUF_INIT(4096), want = BUF_INIT(4096);

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct received r = {
		    .helo = SLICE("other.example"),
		    .hostname = SLICE("mx.here.example"),
		    .protocol = SLICE("ESMTP"),
		    .id = SLICE("0123456789abcdefghij"),
		    .recipient = SLICE_EMPTY,
		    .login = slice_of(v[i].login),
		    .uid = v[i].uid,
		    .now_ms = INT64_C(1764000000000),
		};

		buf_reset(&out);
		buf_reset(&want);
		received_add(&r, &out);
		buf_printf(&want, "Received: from mx.here.example %s\r\n"
		    "\tby mx.here.example with ESMTP id "
		    "0123456789abcdefghij;\r\n\t", v[i].want);
		ck_assert_msg(slice_prefix(buf_slice(&out), buf_slice(&want)),
		    "%s", out.s);
	}
	buf_free(&out);
	buf_free(&want);
}
END_TEST

START_TEST(protocols)
{
	ck_assert(slice_eq(received_protocol(false, false), SLICE("SMTP")));
	ck_assert(slice_eq(received_protocol(true, false), SLICE("ESMTP")));
	ck_assert(slice_eq(received_protocol(true, true), SLICE("UTF8SMTP")));
}
END_TEST

Suite *
smtp_received_suite(void)
{
	Suite *s = suite_create("smtp_received");
	TCase *tc = tcase_create("received");

	tcase_add_loop_test(tc, one, 0, NCASES);
	tcase_add_test(tc, users);
	tcase_add_test(tc, protocols);
	suite_add_tcase(s, tc);
	return s;
}
