/* MAIL and RCPT for hosts of all kinds, and what was learnt of addresses. */
#include <errno.h>
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/conf/net.h"
#include "remote/envelope.h"
#include "remote/health.h"
#include "remote/job.h"
#include "tests/unit/qfile_sample.h"

Suite *remote_envelope_suite(void);

#define NOW INT64_C(1764000000000)
#define SEVEN "Subject: a\r\n\r\nb\r\n"
#define EIGHT "Subject: a\r\n\r\n\xc3\xa4\r\n"
#define HEADER8 "Subject: \xc3\xa4\r\n\r\nb\r\n"
#define BINARY "Subject: a\r\n\r\na\nb\r\n"
#define U "\xc3\xbc" /* u umlaut */

/* offers: a word each; want: the line, or "! subject.detail" */
static const struct {
	const char *name, *sender, *envid, *content;
	uint32_t flags;
	int by;              /* seconds from now; 0: none */
	const char *offers, *want;
} mails[] = {
	{"nothing", "s@x.example", "", SEVEN, 0, 0, "",
	    "MAIL FROM:<s@x.example>"},
	{"null", "", "", SEVEN, 0, 0, "", "MAIL FROM:<>"},
	{"size", "", "", SEVEN, 0, 0, "SIZE", "MAIL FROM:<> SIZE=17"},
	{"too large", "", "", SEVEN, 0, 0, "SIZE=16", "! 3.4"},
	{"just right", "", "", SEVEN, 0, 0, "SIZE=17",
	    "MAIL FROM:<> SIZE=17"},
	{"8-bit", "", "", EIGHT, ENV_8BITMIME, 0, "8BIT",
	    "MAIL FROM:<> BODY=8BITMIME"},
	{"8-bit, undeclared", "", "", EIGHT, 0, 0, "8BIT", "MAIL FROM:<>"},
	{"8-bit, not taken", "", "", EIGHT, ENV_8BITMIME, 0, "",
	    "MAIL FROM:<> 7bit"},
	{"8-bit that is none", "", "", SEVEN, ENV_8BITMIME, 0, "",
	    "MAIL FROM:<>"},
	{"binary", "", "", BINARY, ENV_BINARYMIME, 0, "8BIT BINARY CHUNKING",
	    "MAIL FROM:<> BODY=BINARYMIME"},
	{"binary without chunks", "", "", BINARY, ENV_BINARYMIME, 0,
	    "8BIT BINARY", "MAIL FROM:<> 8bit"},
	{"binary for a plain host", "", "", BINARY, ENV_BINARYMIME, 0, "",
	    "MAIL FROM:<> 7bit"},
	{"binary that is none", "", "", EIGHT, ENV_BINARYMIME, 0, "8BIT",
	    "MAIL FROM:<> BODY=8BITMIME"},
	{"utf8", "j" U "rg@b" U "cher.example", "", HEADER8, ENV_SMTPUTF8, 0,
	    "8BIT UTF8", "MAIL FROM:<j" U "rg@b" U "cher.example> "
	    "BODY=8BITMIME SMTPUTF8"},
	{"utf8 by its address alone", "j" U "rg@x.example", "", SEVEN, 0, 0,
	    "8BIT UTF8", "MAIL FROM:<j" U "rg@x.example> BODY=8BITMIME "
	    "SMTPUTF8"},
	{"utf8 that needs none", "s@x.example", "", SEVEN, ENV_SMTPUTF8, 0,
	    "8BIT", "MAIL FROM:<s@x.example>"},
	{"utf8 of its domain", "s@b" U "cher.example", "", SEVEN,
	    ENV_SMTPUTF8, 0, "", "MAIL FROM:<s@xn--bcher-kva.example>"},
	{"utf8, not taken", "j" U "rg@x.example", "", SEVEN, ENV_SMTPUTF8, 0,
	    "8BIT", "! 6.7"},
	{"utf8 header, not taken", "s@x.example", "", HEADER8, ENV_SMTPUTF8,
	    0, "8BIT", "! 6.9"},
	{"raw 8-bit header", "s@x.example", "", HEADER8, 0, 0, "8BIT",
	    "MAIL FROM:<s@x.example>"},
	{"no address", "a b@x.example", "", SEVEN, 0, 0, "", "! 1.3"},
	{"two lines", "a@x.example>\r\nDATA", "", SEVEN, 0, 0, "", "! 1.3"},
	{"dsn", "", "a+20b", SEVEN, ENV_RET_FULL, 0, "DSN",
	    "MAIL FROM:<> RET=FULL ENVID=a+20b"},
	{"dsn, headers", "", "", SEVEN, ENV_RET_HDRS, 0, "DSN",
	    "MAIL FROM:<> RET=HDRS"},
	{"dsn not taken", "", "a", SEVEN, ENV_RET_FULL, 0, "",
	    "MAIL FROM:<>"},
	{"envid that is none", "", "a b", SEVEN, 0, 0, "DSN", "MAIL FROM:<>"},
	{"in time", "", "", SEVEN, ENV_BY_RETURN, 100, "BY",
	    "MAIL FROM:<> BY=100;R"},
	{"in time, traced", "", "", SEVEN, ENV_BY_NOTIFY | ENV_BY_TRACE, 100,
	    "BY", "MAIL FROM:<> BY=100;NT"},
	{"late", "", "", SEVEN, ENV_BY_RETURN, -1, "BY", "! 4.7"},
	{"late, to be told", "", "", SEVEN, ENV_BY_NOTIFY, -5, "BY",
	    "MAIL FROM:<> BY=-5;N"},
	{"no promise", "", "", SEVEN, ENV_BY_RETURN, 100, "", "! 3.3"},
	{"no promise, to be told", "", "", SEVEN, ENV_BY_NOTIFY, 100, "",
	    "MAIL FROM:<>"},
	{"not in time", "", "", SEVEN, ENV_BY_RETURN, 100, "BY=101",
	    "! 4.7"},
	{"just in time", "", "", SEVEN, ENV_BY_RETURN, 100, "BY=100",
	    "MAIL FROM:<> BY=100;R"},
};

static struct offers
offers_of(const char *text)
{
	static const struct {
		struct slice word, line;
	} words[] = {
		{SLICE_INIT("SIZE"), SLICE_INIT("SIZE")},
		{SLICE_INIT("SIZE=16"), SLICE_INIT("SIZE 16")},
		{SLICE_INIT("SIZE=17"), SLICE_INIT("SIZE 17")},
		{SLICE_INIT("8BIT"), SLICE_INIT("8BITMIME")},
		{SLICE_INIT("BINARY"), SLICE_INIT("BINARYMIME")},
		{SLICE_INIT("CHUNKING"), SLICE_INIT("CHUNKING")},
		{SLICE_INIT("UTF8"), SLICE_INIT("SMTPUTF8")},
		{SLICE_INIT("DSN"), SLICE_INIT("DSN")},
		{SLICE_INIT("BY"), SLICE_INIT("DELIVERBY")},
		{SLICE_INIT("BY=100"), SLICE_INIT("DELIVERBY 100")},
		{SLICE_INIT("BY=101"), SLICE_INIT("DELIVERBY 101")},
	};
	struct slice rest = slice_of(text), word;
	struct offers o = {.pipelining = false};

	while (slice_word(&rest, &word))
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (slice_eq(word, words[i].word))
				offers_line(&o, words[i].line);
	return o;
}

static struct content *
new_content(const char *text)
{
	struct envelope env = sample_env();
	struct status st;
	struct content *c;
	struct buf image;

	env.prepend = SLICE_EMPTY;
	image = sample_image(&env, slice_of(text));
	c = content_open(sample_fd(buf_slice(&image)), SLICE(SAMPLE_ID), &st);
	ck_assert_ptr_nonnull(c);
	buf_free(&image);
	return c;
}

START_TEST(mail)
{
	static const char *const forms[] = {"", " 8bit", " 7bit"};
	struct transfer_rcpt to = {1, SLICE("u@y.example"), SLICE_EMPTY, 0};
	struct transfer_job m = {.id = SLICE(SAMPLE_ID),
	    .sender = slice_of(mails[_i].sender),
	    .envid = slice_of(mails[_i].envid), .flags = mails[_i].flags,
	    .domain = SLICE("y.example"), .route = SLICE_EMPTY,
	    .by_at_ms = mails[_i].by == 0 ? 0
	        : (uint64_t)(NOW + mails[_i].by * INT64_C(1000)),
	    .recipients = {&to, 1}};
	struct job *j = job_new(&m, -1);
	struct content *c = new_content(mails[_i].content);
	struct offers o = offers_of(mails[_i].offers);
	struct buf got = BUF_INIT(10000);
	struct envelope_plan p;
	struct status st;

	if (!envelope_plan(j, c, &o, &p, &st) ||
	    !envelope_mail(j, &p, &o, content_size(c), NOW, &got, &st)) {
		ck_assert_uint_eq(st.code / 100, 5);
		buf_reset(&got);
		buf_printf(&got, "! %u.%u", st.subject, st.detail);
	} else {
		ck_assert_uint_gt(got.len, 2);
		ck_assert_str_eq(got.s + got.len - 2, "\r\n");
		got.len -= 2;
		got.s[got.len] = '\0';
		buf_adds(&got, forms[p.form]);
	}
	ck_assert_msg(strcmp(got.s, mails[_i].want) == 0, "%s: \"%s\"",
	    mails[_i].name, got.s);
	buf_free(&got);
	content_free(&c);
	job_free(&j);
}
END_TEST

static const struct {
	const char *address, *orcpt;
	uint32_t notify;
	bool dsn, utf8;
	const char *want;
} rcpts[] = {
	{"u@y.example", "", 0, true, false, "RCPT TO:<u@y.example>"},
	{"\"a b\"@y.example", "", 0, true, false,
	    "RCPT TO:<\"a b\"@y.example>"},
	{"\"a>b\"@y.example", "", 0, true, false,
	    "RCPT TO:<\"a>b\"@y.example>"},
	{"u@[192.0.2.1]", "", 0, true, false, "RCPT TO:<u@[192.0.2.1]>"},
	{"u@y.example", "rfc822;a+2Bb@z.example", NOTIFY_NEVER, true, false,
	    "RCPT TO:<u@y.example> NOTIFY=NEVER ORCPT=rfc822;a+2Bb@z.example"},
	{"u@y.example", "", NOTIFY_SUCCESS | NOTIFY_DELAY, true, false,
	    "RCPT TO:<u@y.example> NOTIFY=SUCCESS,DELAY"},
	{"u@y.example", "", NOTIFY_FAILURE, true, false,
	    "RCPT TO:<u@y.example> NOTIFY=FAILURE"},
	{"u@y.example", "rfc822;a", NOTIFY_FAILURE, false, false,
	    "RCPT TO:<u@y.example>"},
	{"u@y.example", "rfc822;a b", 0, true, false,
	    "RCPT TO:<u@y.example>"},
	{"u@y.example", "rfc822;a\r\nb", 0, true, false,
	    "RCPT TO:<u@y.example>"},
	{"u@y.example", "utf-8;" U "@z.example", 0, true, true,
	    "RCPT TO:<u@y.example> ORCPT=utf-8;" U "@z.example"},
	{"u@y.example", "utf-8;" U "\xe2\x82\xac\xf0\x9f\x98\x80", 0, true,
	    false, "RCPT TO:<u@y.example> "
	    "ORCPT=utf-8;\\x{FC}\\x{20AC}\\x{1F600}"},
	{"u@y.example", "utf-8;\xff", 0, true, true, "RCPT TO:<u@y.example>"},
	{"u@y.example", "utf-8;\xc3", 0, true, false,
	    "RCPT TO:<u@y.example>"},
	{U "@y.example", "", 0, true, true, "RCPT TO:<" U "@y.example>"},
	{U "@y.example", "", 0, true, false, "! 6.7"},
	{"u@" U ".example", "", 0, true, false,
	    "RCPT TO:<u@xn--tda.example>"},
	{"u", "", 0, true, false, "! 1.3"},
	{"u@", "", 0, true, false, "! 1.3"},
	{"u@y.example\r\n", "", 0, true, false, "! 1.3"},
	{"@r:u@y.example", "", 0, true, false, "! 1.3"},
};

START_TEST(rcpt)
{
	struct rcpt r = {.address = slice_of(rcpts[_i].address),
	    .orcpt = slice_of(rcpts[_i].orcpt), .notify = rcpts[_i].notify};
	struct envelope_plan p = {.utf8 = rcpts[_i].utf8};
	struct offers o = {.dsn = rcpts[_i].dsn, .utf8 = rcpts[_i].utf8};
	struct buf got = BUF_INIT(10000);
	struct status st;

	if (!envelope_rcpt(&r, &p, &o, &got, &st)) {
		buf_reset(&got);
		buf_printf(&got, "! %u.%u\r\n", st.subject, st.detail);
	}
	ck_assert_str_eq(got.s + got.len - 2, "\r\n");
	got.s[got.len - 2] = '\0';
	ck_assert_str_eq(got.s, rcpts[_i].want);
	buf_free(&got);
}
END_TEST

/* ---- health ---- */

static struct ip
ip(const char *text)
{
	struct ip out;

	ck_assert(ip_parse(slice_of(text), &out));
	return out;
}

START_TEST(health)
{
	struct health *h = health_new();
	struct ip a = ip("192.0.2.1"), b = ip("192.0.2.2");
	struct ip six = ip("2001:db8::1"), six2 = ip("2001:db8::2");
	int64_t t = 1000000;

	ck_assert(!health_doubtful(h, &a, t, 5000));
	health_failed(h, &a, t);
	ck_assert(health_doubtful(h, &a, t, 5000));
	ck_assert(!health_doubtful(h, &a, t, 0));
	ck_assert(!health_doubtful(h, &b, t, 5000));
	ck_assert(health_doubtful(h, &a, t + 4800, 5000));
	ck_assert(!health_doubtful(h, &a, t + 5200, 5000));
	health_worked(h, &a);
	ck_assert(!health_doubtful(h, &a, t, 5000));
	/* A family, after three failures without a success. */
	health_failed(h, &six, t);
	health_failed(h, &six, t);
	ck_assert(!health_doubtful(h, &six2, t, 5000));
	health_failed(h, &six, t);
	ck_assert(health_doubtful(h, &six2, t, 5000));
	ck_assert(health_v6_doubtful(h, t, 5000));
	ck_assert(!health_v6_doubtful(h, t + 5200, 5000));
	health_worked(h, &six2);
	ck_assert(!health_v6_doubtful(h, t, 5000));
	/* Where both fail it is not the family. */
	for (int i = 0; i < 3; i++) {
		health_failed(h, &six, t);
		health_failed(h, &a, t);
	}
	ck_assert(!health_v6_doubtful(h, t, 5000));
}
END_TEST

Suite *
remote_envelope_suite(void)
{
	Suite *s = suite_create("remote_envelope");
	TCase *tc = tcase_create("envelope");

	tcase_add_loop_test(tc, mail, 0,
	    (int)(sizeof(mails) / sizeof(mails[0])));
	tcase_add_loop_test(tc, rcpt, 0,
	    (int)(sizeof(rcpts) / sizeof(rcpts[0])));
	tcase_add_test(tc, health);
	suite_add_tcase(s, tc);
	return s;
}
