/* Replies of other hosts and what they offer. */
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "remote/reply.h"

Suite *remote_reply_suite(void);

/* lines are separated by | ; want: "code subject.detail class text" of the
 * outcome, "..." when it is not whole, or "! why" */
static const struct {
	const char *in, *want;
} replies[] = {
	{"250 ok", "250 0.0 ok"},
	{"250", "250 0.0 (no text)"},
	{"250 ", "250 0.0 (no text)"},
	{"250-one|250-two|250 three", "250 0.0 one two three"},
	{"250-one", "..."},
	{"250-one|250", "250 0.0 one"},
	{"550 5.1.1 no such user", "550 1.1 no such user"},
	{"550-5.1.1 no such|550 5.1.1 user", "550 1.1 no such user"},
	{"550-5.1.1 no such|550 user", "550 1.1 no such user"},
	{"550-5.1.1 a|550 5.7.1 b", "550 7.1 a b"},
	{"550 4.1.1 other class", "550 0.0 4.1.1 other class"},
	{"550 5.1.1", "550 1.1 (no text)"},
	{"550 5.1.1x", "550 0.0 5.1.1x"},
	{"550 5.1", "550 0.0 5.1"},
	{"550 5.1.1.1 x", "550 0.0 5.1.1.1 x"},
	{"550 5.1000.1 x", "550 0.0 5.1000.1 x"},
	{"550 5.0001.1 x", "550 0.0 5.0001.1 x"},
	{"550 5..1 x", "550 0.0 5..1 x"},
	{"550 5.999.999 x", "550 999.999 x"},
	{"550  5.1.1 two blanks", "550 0.0 5.1.1 two blanks"},
	/* the last line's code counts */
	{"250-a|550 b", "550 0.0 a b"},
	/* what must not reach a log or a journal as it is */
	{"250 a\tb\x7f\x1b[0m", "250 0.0 a?b??[0m"},
	{"250 \xc3\xa4", "250 0.0 ??"},
	{"", "! code"},
	{"25", "! code"},
	{"2", "! code"},
	{"abc", "! code"},
	{"25a x", "! code"},
	{" 250 x", "! code"},
	{"-50 x", "! code"},
	{"+25 x", "! code"},
	{"199 x", "! code"},
	{"600 x", "! code"},
	{"000 x", "! code"},
	{"250x", "! code"},
	{"2500", "! code"},
	{"250\tx", "! code"},
	{"250-a|hello", "! code"},
};

static void
show(const struct reply *r, struct buf *out)
{
	struct status st;

	reply_as_status(r, &st);
	buf_printf(out, "%u %u.%u %s", st.code, st.subject, st.detail,
	    st.text);
}

START_TEST(parse)
{
	struct slice rest = slice_of(replies[_i].in), line;
	struct buf got = BUF_INIT(10000);
	enum reply_result result = REPLY_MORE;
	const char *why = NULL;
	struct reply r;

	reply_start(&r);
	while (result == REPLY_MORE && slice_cut(&rest, '|', &line))
		result = reply_line(&r, line, &why);
	if (result == REPLY_MORE)
		buf_adds(&got, "...");
	else if (result == REPLY_WHOLE)
		show(&r, &got);
	if (result == REPLY_BAD) {
		ck_assert_ptr_nonnull(why);
		ck_assert_msg(replies[_i].want[0] == '!' &&
		    strstr(why, replies[_i].want + 2) != NULL, "%s: %s",
		    replies[_i].in, why);
	} else
		ck_assert_str_eq(got.s, replies[_i].want);
	buf_free(&got);
}
END_TEST

/* A NUL is an octet like another. */
START_TEST(nul)
{
	struct status st;
	const char *why;
	struct reply r;

	reply_start(&r);
	ck_assert_int_eq(reply_line(&r, SLICE("250 a\0b"), &why),
	    REPLY_WHOLE);
	reply_as_status(&r, &st);
	ck_assert_str_eq(st.text, "a?b");
}
END_TEST

START_TEST(bounds)
{
	struct buf line = BUF_INIT(10000);
	const char *why;
	struct reply r;
	int i;

	reply_start(&r);
	buf_adds(&line, "250-");
	while (line.len < REPLY_LINE_MAX)
		buf_addc(&line, 'x');
	for (i = 0; i < REPLY_LINES_MAX; i++)
		ck_assert_int_eq(reply_line(&r, buf_slice(&line), &why),
		    REPLY_MORE);
	ck_assert_uint_lt(strlen(r.text), STATUS_TEXT_MAX);
	ck_assert_int_eq(reply_line(&r, buf_slice(&line), &why), REPLY_BAD);
	buf_free(&line);
}
END_TEST

START_TEST(temporary)
{
	struct status st;
	const char *why;
	struct reply r;

	reply_start(&r);
	ck_assert_int_eq(reply_line(&r, SLICE("554 5.7.1 go away"), &why),
	    REPLY_WHOLE);
	reply_as_temporary(&r, 3, 2, &st);
	ck_assert_uint_eq(st.code, 451);
	ck_assert_uint_eq(st.subject, 3);
	ck_assert_str_eq(st.text, "554 go away");
	reply_start(&r);
	ck_assert_int_eq(reply_line(&r, SLICE("421 4.7.0 later"), &why),
	    REPLY_WHOLE);
	reply_as_temporary(&r, 3, 2, &st);
	ck_assert_uint_eq(st.code, 421);
	ck_assert_uint_eq(st.subject, 7);
	ck_assert_str_eq(st.text, "later");
}
END_TEST

/* ---- offers ---- */

static const struct {
	const char *in, *want; /* lines separated by | */
} offers[] = {
	{"", ""},
	{"PIPELINING", "pipelining"},
	{"pipelining|8bitmime|Chunking|BINARYMIME|DSN|SMTPUTF8",
	    "pipelining 8bit chunking binary dsn utf8"},
	{"SIZE", "size=0"},
	{"SIZE 1000", "size=1000"},
	{"SIZE 99999999999999999999", "size=0"},
	{"SIZE -1", "size=0"},
	{"SIZE=1000", ""},
	{"DELIVERBY", "by=0"},
	{"DELIVERBY 240", "by=240"},
	{"LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1 OTHER=2",
	    "rcpt=20 mail=5 domain=1"},
	{"LIMITS RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX=", ""},
	{"LIMITS rcptmax=4294967296", ""},
	{"X-PIPELINING|PIPELININGX|8BITMIME=1", ""},
	{"  DSN  ", "dsn"},
	{"DSN with words", "dsn"},
	{"AUTH PLAIN LOGIN|STARTTLS|HELP", ""},
};

static void
show_offers(const struct offers *o, struct buf *out)
{
	const struct {
		bool there;
		const char *name;
	} flags[] = {{o->pipelining, "pipelining"}, {o->eight_bit, "8bit"},
	    {o->chunking, "chunking"}, {o->binary, "binary"}, {o->dsn, "dsn"},
	    {o->utf8, "utf8"}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (flags[i].there)
			buf_printf(out, " %s", flags[i].name);
	if (o->size)
		buf_printf(out, " size=%llu", (unsigned long long)o->size_max);
	if (o->deliver_by)
		buf_printf(out, " by=%llu", (unsigned long long)o->by_least);
	if (o->rcpt_max != 0)
		buf_printf(out, " rcpt=%u", o->rcpt_max);
	if (o->mail_max != 0)
		buf_printf(out, " mail=%u", o->mail_max);
	if (o->domain_max != 0)
		buf_printf(out, " domain=%u", o->domain_max);
}

START_TEST(ehlo)
{
	struct slice rest = slice_of(offers[_i].in), line;
	struct offers o = {.pipelining = false};
	struct buf got = BUF_INIT(1000);

	while (slice_cut(&rest, '|', &line))
		offers_line(&o, line);
	show_offers(&o, &got);
	ck_assert_str_eq(got.len > 0 ? got.s + 1 : "", offers[_i].want);
	buf_free(&got);
}
END_TEST

Suite *
remote_reply_suite(void)
{
	Suite *s = suite_create("remote_reply");
	TCase *tc = tcase_create("reply");

	tcase_add_loop_test(tc, parse, 0,
	    (int)(sizeof(replies) / sizeof(replies[0])));
	tcase_add_test(tc, nul);
	tcase_add_test(tc, bounds);
	tcase_add_test(tc, temporary);
	tcase_add_loop_test(tc, ehlo, 0,
	    (int)(sizeof(offers) / sizeof(offers[0])));
	suite_add_tcase(s, tc);
	return s;
}
