/* common/mail/complete */
#include <check.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/mail/complete.h"
#include "common/mime/header.h"

Suite *complete_suite(void);

#define DATE "Date: Sun, 22 Nov 2026 19:20:51 +0000\r\n"
#define FROM "From: ann@here.example\r\n"
#define ID "Message-ID: <ID@mx.here.example>\r\n"
#define ALL DATE FROM "Message-ID: <x@y>\r\n"

static const struct {
	const char *name, *sender, *in, *want;
} cases[] = {
	{"nothing is missing", "ann@here.example", ALL "\r\nx\r\n",
	    ALL "\r\nx\r\n"},
	{"all is missing", "ann@here.example", "Subject: s\r\n\r\nx\r\n",
	    DATE FROM ID "Subject: s\r\n\r\nx\r\n"},
	{"the null sender", "", DATE ID "\r\n",
	    "From: MAILER-DAEMON@here.example\r\n" DATE ID "\r\n"},
	{"Date is missing", "a@b", FROM ID "\r\n", DATE FROM ID "\r\n"},
	{"Message-ID is missing", "a@b", FROM DATE "\r\n",
	    ID FROM DATE "\r\n"},
	{"case does not matter", "a@b", "DATE: x\r\nfrom: a@b\r\n"
	    "message-id: x\r\n\r\n", "DATE: x\r\nfrom: a@b\r\n"
	    "message-id: x\r\n\r\n"},
	{"no header", "ann@here.example", "hello\r\nworld\r\n",
	    DATE FROM ID "\r\nhello\r\nworld\r\n"},
	{"no header, fields in the text", "ann@here.example",
	    "hello\r\nBcc: x@y\r\n", DATE FROM ID "\r\nhello\r\nBcc: x@y\r\n"},
	{"empty header", "ann@here.example", "\r\nhello\r\n",
	    DATE FROM ID "\r\nhello\r\n"},
	{"nothing at all", "ann@here.example", "", DATE FROM ID},
	{"Bcc", "a@b", ALL "Bcc: x@y\r\nTo: z@y\r\n\r\n",
	    ALL "To: z@y\r\n\r\n"},
	{"Bcc first", "ann@here.example", "Bcc: x@y\r\nTo: z@y\r\n\r\n",
	    DATE FROM ID "To: z@y\r\n\r\n"},
	{"Bcc folded, and twice", "a@b", ALL "Bcc: x@y,\r\n\tz@y\r\n"
	    "bcc: q@y\r\nTo: z@y\r\nResent-Bcc: u@y\r\nResent-Date: x\r\n"
	    "Resent-From: a@b\r\n\r\n",
	    ALL "To: z@y\r\nResent-Date: x\r\nResent-From: a@b\r\n\r\n"},
	{"resent", "ann@here.example", "Resent-To: x@y\r\n" ALL "\r\n",
	    "Resent-" DATE "Resent-" FROM "Resent-To: x@y\r\n" ALL "\r\n"},
	{"bare names", "a@b", DATE ID "From: root (Cron Daemon)\r\n"
	    "To: Ann <ann>, b@c,\r\n bob\r\nCc: x: dora;\r\n\r\n",
	    DATE ID "From: root@here.example (Cron Daemon)\r\n"
	    "To: Ann <ann@here.example>, b@c,\r\n bob@here.example\r\n"
	    "Cc: x: dora@here.example;\r\n\r\n"},
	{"what is broken stays", "a@b", DATE ID "From: a b\r\n"
	    "To: ann, c d\r\n\r\n",
	    DATE ID "From: a b\r\nTo: ann@here.example, c d\r\n\r\n"},
	{"Return-Path, Content-Length", "a@b", "Return-Path: <x@y>\r\n" ALL
	    "Content-Length: 7\r\nTo: z@y\r\n\r\n", ALL "To: z@y\r\n\r\n"},
	{"empty ones", "ann@here.example", "Date:\r\nFrom: \r\n"
	    "Message-ID:\r\n \r\nTo:\r\n\r\n", DATE FROM ID "To:\r\n\r\n"},
	{"a second one is empty", "a@b", ALL "From:\r\n\r\n", ALL "\r\n"},
	{"mbox", "ann@here.example", "From ann Sun Nov 22 12:00:00 2026\r\n"
	    "Subject: s\r\n\r\nFrom x\r\n", DATE FROM ID "Subject: s\r\n"
	    "\r\nFrom x\r\n"},
	{"mbox twice", "a@b", "From ann Sun Nov 22 12:00:00 2026\r\n"
	    ">From bob Sun Nov 22 12:00:00 2026\r\n" ALL "\r\n", ALL "\r\n"},
	{"mbox and text", "ann@here.example", "From ann\r\nhello\r\n",
	    DATE FROM ID "\r\nhello\r\n"},
	{"no mbox", "a@b", ALL "From ann\r\nTo: z@y\r\n\r\n",
	    ALL "From ann\r\nTo: z@y\r\n\r\n"},
	{"the body stays", "a@b", ALL "\r\nTo: root\r\nBcc: x@y\r\n",
	    ALL "\r\nTo: root\r\nBcc: x@y\r\n"},
};

static void
apply(struct slice in, const struct chan_list *list, struct buf *out)
{
	const struct env_edit *e = list->v;
	uint64_t at = 0;

	for (size_t i = 0; i < list->n; i++) {
		ck_assert_uint_ge(e[i].offset, at);
		ck_assert_uint_le(e[i].offset + e[i].skip, in.len);
		ck_assert_uint_le(e[i].text.len, ENV_EDIT_TEXT_MAX);
		ck_assert(e[i].text.len + e[i].skip > 0);
		buf_addslice(out, slice_sub(in, at, e[i].offset));
		buf_addslice(out, e[i].text);
		at = e[i].offset + e[i].skip;
	}
	buf_addslice(out, slice_sub(in, at, in.len));
}

static bool
complete(struct slice in, const char *sender, size_t step, struct buf *out)
{
	struct complete_facts facts = {SLICE("ID"), SLICE("mx.here.example"),
	    slice_of(sender), SLICE_EMPTY, 1795375251000};
	struct complete c;
	struct chan_list edits;
	struct header_scan *h;
	bool ok;

	complete_init(&c, SLICE("here.example"));
	h = header_scan_new(8192, complete_field, &c);
	for (size_t at = 0; at < in.len && !header_scan_done(h); at += step)
		(void)header_scan_feed(h, in.p + at,
		    step < in.len - at ? step : in.len - at);
	header_scan_end(h);
	edits = complete_end(&c, &facts);
	ck_assert_uint_le(edits.n, ENV_EDITS_MAX);
	apply(in, &edits, out);
	ok = !c.too_many;
	header_scan_free(&h);
	complete_free(&c);
	return ok;
}

START_TEST(table)
{
	struct buf got = BUF_INIT(10000);

	for (size_t step = 1; step < 100; step += 98) {
		buf_reset(&got);
		ck_assert(complete(slice_of(cases[_i].in), cases[_i].sender,
		    step, &got));
		ck_assert_msg(strcmp(got.s, cases[_i].want) == 0,
		    "%s (%zu): got\n%s\nwant\n%s", cases[_i].name, step,
		    got.s, cases[_i].want);
	}
	buf_free(&got);
}
END_TEST

START_TEST(many)
{
	struct buf in = BUF_INIT(100000), got = BUF_INIT(100000);

	for (int i = 0; i < 70; i++)
		buf_adds(&in, "To: ann\r\n");
	buf_adds(&in, "\r\n");
	/* More than there are edits for: the rest stays. */
	ck_assert(complete(buf_slice(&in), "a@b", 1000, &got));
	buf_reset(&in);
	for (int i = 0; i < 70; i++)
		buf_adds(&in, "Bcc: ann\r\nX: y\r\n");
	ck_assert(!complete(buf_slice(&in), "a@b", 1000, &got));
	buf_reset(&in);
	buf_reset(&got);
	for (int i = 0; i < 700; i++)
		buf_adds(&in, "Bcc: ann\r\n");
	ck_assert(complete(buf_slice(&in), "a@b", 1000, &got));
	ck_assert_ptr_null(strstr(got.s, "Bcc"));
	buf_free(&in);
	buf_free(&got);
}
END_TEST

START_TEST(long_fields_stay)
{
	struct buf in = BUF_INIT(100000), got = BUF_INIT(100000);

	buf_adds(&in, "Date: x\r\nFrom: a@b\r\nMessage-ID: x\r\nTo: ann");
	for (int i = 0; i < 1000; i++)
		buf_adds(&in, ", b@c");
	buf_adds(&in, "\r\n\r\n");
	ck_assert(complete(buf_slice(&in), "a@b", 1000, &got));
	ck_assert_str_eq(got.s, in.s);
	buf_free(&in);
	buf_free(&got);
}
END_TEST

Suite *
complete_suite(void)
{
	Suite *s = suite_create("complete");
	TCase *t = tcase_create("complete");

	tcase_add_loop_test(t, table, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, many);
	tcase_add_test(t, long_fields_stay);
	suite_add_tcase(s, t);
	return s;
}
