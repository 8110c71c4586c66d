/* Routes: texts of the table and what they mean. */
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/conf/route.h"

Suite *route_suite(void);

static const char *const kind_names[] = {"mx", "host", "unix", "error"};

static void
show(const struct route *r, struct buf *out)
{
	char ip[IP_TEXT_SIZE];

	buf_printf(out, "%s%s", kind_names[r->kind], r->lmtp ? " lmtp" : "");
	if (r->host.len > 0)
		buf_printf(out, " %.*s", SLICE_FMT(r->host));
	if (r->port != 0)
		buf_printf(out, " :%u", (unsigned)r->port);
	if (r->path.len > 0)
		buf_printf(out, " %.*s", SLICE_FMT(r->path));
	if (r->kind == ROUTE_ERROR)
		buf_printf(out, " \"%.*s\"", SLICE_FMT(r->text));
	if (r->helo.len > 0)
		buf_printf(out, " helo %.*s", SLICE_FMT(r->helo));
	if (r->has_source4) {
		ip_text(&r->source4, ip);
		buf_printf(out, " from %s", ip);
	}
	if (r->has_source6) {
		ip_text(&r->source6, ip);
		buf_printf(out, " from %s", ip);
	}
	if (r->concurrency > 0)
		buf_printf(out, " x%u", r->concurrency);
}

/* want: what it means, or "! why not" */
static const struct {
	const char *in, *want;
} cases[] = {
	{"", "mx"},
	{"  ", "mx"},
	{"mx", "mx"},
	{"MX", "mx"},
	{"mx source=192.0.2.1 concurrency=3", "mx from 192.0.2.1 x3"},
	{"mx source=2001:db8::1 source=192.0.2.1",
	    "mx from 192.0.2.1 from 2001:db8::1"},
	{"smtp:example.org", "mx example.org"},
	{"smtp:localhost", "mx localhost"},
	{"SMTP:example.org:26", "mx example.org :26"},
	{"smtp:[mail.example.org]", "host mail.example.org"},
	{"smtp:[192.0.2.1]:2525", "host 192.0.2.1 :2525"},
	{"smtp:[2001:db8::1]:2525", "host 2001:db8::1 :2525"},
	{"smtp:[IPv6:2001:db8::1]", "host 2001:db8::1"},
	{"smtp:[a]\thelo=b.example", "host a helo b.example"},
	{"smtp:[a] helo=[192.0.2.1]", "host a helo [192.0.2.1]"},
	{"lmtp:[127.0.0.1]:24", "host lmtp 127.0.0.1 :24"},
	{"lmtp:/run/lmtp concurrency=1", "unix lmtp /run/lmtp x1"},
	{"error:", "error \"\""},
	{"error: No mail here, source=x ", "error \"No mail here, source=x\""},
	{"smtp:", "! neither"},
	{"smtp:a..b", "! neither"},
	{"smtp:a b", "! unknown option"},
	{"smtp:192.0.2.1", "! brackets"},
	{"smtp:2001:db8::1", "! port"},
	{"smtp:[a", "! not closed"},
	{"smtp:[]", "! neither"},
	{"smtp:[a]25", "! :PORT"},
	{"smtp:[a]:", "! port"},
	{"smtp:[a]:0", "! port"},
	{"smtp:[a]:65536", "! port"},
	{"smtp:[a]:4294967321", "! port"},
	{"smtp:a;b", "! neither"},
	{"lmtp:a:24", "! MX"},
	{"lmtp:[a]", "! no port"},
	{"lmtp:[a]:25", "! 25"},
	{"lmtp:run/lmtp", "! neither"},
	{"uucp:a", "! unknown kind"},
	{"mx concurrency=0", "! concurrency="},
	{"mx concurrency=10001", "! concurrency="},
	{"mx concurrency", "! concurrency="},
	{"mx source=a", "! source="},
	{"mx source=192.0.2.1 source=192.0.2.2", "! twice"},
	{"mx source=2001:db8::1 source=2001:db8::2", "! twice"},
	{"mx helo=", "! helo="},
	{"mx helo=[a]", "! helo="},
	{"mx colour=red", "! unknown option"},
};

START_TEST(parse)
{
	struct buf got = BUF_INIT(1000);
	const char *why = NULL;
	struct route r;

	if (route_parse(slice_of(cases[_i].in), &r, &why)) {
		show(&r, &got);
		ck_assert_str_eq(got.s, cases[_i].want);
	} else {
		ck_assert_ptr_nonnull(why);
		ck_assert_msg(cases[_i].want[0] == '!' &&
		    strstr(why, cases[_i].want + 2) != NULL, "%s: %s",
		    cases[_i].in, why);
	}
	buf_free(&got);
}
END_TEST

/* A path as long as a socket's address, and one octet more. */
START_TEST(path_length)
{
	struct buf text = BUF_INIT(1000);
	const char *why = NULL;
	struct route r;

	buf_adds(&text, "lmtp:/");
	while (text.len < 5 + 107)
		buf_addc(&text, 'a');
	ck_assert(route_parse(buf_slice(&text), &r, &why));
	ck_assert_uint_eq(r.path.len, 107);
	buf_addc(&text, 'a');
	ck_assert(!route_parse(buf_slice(&text), &r, &why));
	buf_free(&text);
}
END_TEST

Suite *
route_suite(void)
{
	Suite *s = suite_create("route");
	TCase *tc = tcase_create("route");

	tcase_add_loop_test(tc, parse, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(tc, path_length);
	suite_add_tcase(s, tc);
	return s;
}
