/* The parameters of MAIL and RCPT. */
#include <check.h>
#include <stdio.h>

#include "common/mail/envelope.h"
#include "smtpd/param.h"

Suite *smtp_param_suite(void);

#define M PARAM_MAIL
#define R PARAM_RCPT
#define NOW INT64_C(1764000000000)
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A500 A50 A50 A50 A50 A50 A50 A50 A50 A50 A50

/* want: "" or the reply; got: size, flags, by relative to NOW in seconds,
 * notify */
static const struct {
	enum param_command command;
	const char *in;
	unsigned code, subject, detail;
	uint64_t size;
	uint32_t flags, notify;
	const char *text; /* envid or orcpt */
} cases[] = {
	{M, "", 0, 0, 0, 0, 0, 0, ""},
	{M, " ", 0, 0, 0, 0, 0, 0, ""},
	{M, " SIZE=0", 0, 0, 0, 0, 0, 0, ""},
	{M, " size=1234", 0, 0, 0, 1234, 0, 0, ""},
	{M, " SIZE=18446744073709551614", 0, 0, 0, UINT64_MAX - 1, 0, 0, ""},
	{M, " SIZE=18446744073709551616", 0, 0, 0, UINT64_MAX, 0, 0, ""},
	{M, " SIZE=99999999999999999999", 0, 0, 0, UINT64_MAX, 0, 0, ""},
	{M, " SIZE=100000000000000000000", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=-1", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=1K", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=1 SIZE=1", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=1 size=2", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=1  BODY=7BIT", 0, 0, 0, 1, 0, 0, ""},
	{M, " SIZE=1\tBODY=7BIT", 501, 5, 4, 0, 0, 0, ""},
	{M, " SIZE=1=2", 501, 5, 4, 0, 0, 0, ""},
	{M, " BODY=7bit", 0, 0, 0, 0, 0, 0, ""},
	{M, " BODY=8BITMIME", 0, 0, 0, 0, ENV_8BITMIME, 0, ""},
	{M, " BODY=BINARYMIME", 0, 0, 0, 0, ENV_BINARYMIME, 0, ""},
	{M, " body=binaryMIME", 0, 0, 0, 0, ENV_BINARYMIME, 0, ""},
	{M, " BODY=BINARYMIME BODY=7BIT", 501, 5, 4, 0, 0, 0, ""},
	{M, " BODY=9BIT", 501, 5, 4, 0, 0, 0, ""},
	{M, " BODY", 501, 5, 4, 0, 0, 0, ""},
	{M, " SMTPUTF8", 0, 0, 0, 0, ENV_SMTPUTF8, 0, ""},
	{M, " SMTPUTF8=yes", 501, 5, 4, 0, 0, 0, ""},
	{M, " SMTPUTF8 SMTPUTF8", 501, 5, 4, 0, 0, 0, ""},
	{M, " RET=FULL ENVID=QQ314159", 0, 0, 0, 0, ENV_RET_FULL, 0,
	    "QQ314159"},
	{M, " RET=hdrs", 0, 0, 0, 0, ENV_RET_HDRS, 0, ""},
	{M, " RET=HALF", 501, 5, 4, 0, 0, 0, ""},
	{M, " RET=FULL RET=FULL", 501, 5, 4, 0, 0, 0, ""},
	{M, " RET=FULL RET=HDRS", 501, 5, 4, 0, 0, 0, ""},
	{M, " RET", 501, 5, 4, 0, 0, 0, ""},
	{M, " RET=", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a+2Bb+20c", 0, 0, 0, 0, 0, 0, "a+2Bb+20c"},
	{M, " ENVID=a+2bb", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a+", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a+2", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a ENVID=b", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=+61", 0, 0, 0, 0, 0, 0, "+61"},
	{M, " ENVID=a+7F", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a=b", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a+3Db", 0, 0, 0, 0, 0, 0, "a+3Db"},
	{M, " ENVID=a+0A", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=a+FF", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=", 501, 5, 4, 0, 0, 0, ""},
	{M, " ENVID=" A50 A50, 0, 0, 0, 0, 0, 0, A50 A50},
	{M, " ENVID=" A50 A50 "a", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=120;R", 0, 0, 0, 0, ENV_BY_RETURN, 0, ""},
	{M, " BY=+120;nt", 0, 0, 0, 0, ENV_BY_NOTIFY | ENV_BY_TRACE, 0, ""},
	{M, " BY=-120;N", 0, 0, 0, 0, ENV_BY_NOTIFY, 0, ""},
	{M, " BY=0;N", 0, 0, 0, 0, ENV_BY_NOTIFY, 0, ""},
	{M, " BY=1;rt", 0, 0, 0, 0, ENV_BY_RETURN | ENV_BY_TRACE, 0, ""},
	{M, " BY=999999999;R", 0, 0, 0, 0, ENV_BY_RETURN, 0, ""},
	{M, " SIZE=5 BY=60;N", 0, 0, 0, 5, ENV_BY_NOTIFY, 0, ""},
	{M, " BY=60;N SIZE=5 BODY=8BITMIME", 0, 0, 0, 5,
	    ENV_BY_NOTIFY | ENV_8BITMIME, 0, ""},
	{M, " BY=60;N BY=60;N", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=-0;R", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=-;N", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=--1;N", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=+-1;N", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1;TR", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1;R;T", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=0;R", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=-1;R", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1000000000;N", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=;R", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1;", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1;T", 501, 5, 4, 0, 0, 0, ""},
	{M, " BY=1;RTT", 501, 5, 4, 0, 0, 0, ""},
	{M, " AUTH=<>", 555, 5, 4, 0, 0, 0, ""},
	{M, " NOTIFY=NEVER", 555, 5, 4, 0, 0, 0, ""},
	{M, " MT-PRIORITY=3", 555, 5, 4, 0, 0, 0, ""},
	{M, " -X=3", 501, 5, 4, 0, 0, 0, ""},
	{M, " =3", 501, 5, 4, 0, 0, 0, ""},
	{M, " X=\x01", 501, 5, 4, 0, 0, 0, ""},
	{M, " X=\xc3\xa4", 501, 5, 4, 0, 0, 0, ""},
	{M, " \xc3\xa4=1", 501, 5, 4, 0, 0, 0, ""},
	{R, "", 0, 0, 0, 0, 0, 0, ""},
	{R, " NOTIFY=NEVER", 0, 0, 0, 0, 0, NOTIFY_NEVER, ""},
	{R, " notify=success,Failure,DELAY", 0, 0, 0, 0, 0,
	    NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, ""},
	{R, " NOTIFY=SUCCESS,SUCCESS", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=NEVER,DELAY", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=DELAY,NEVER", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=DELAY,", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=,DELAY", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=never,NEVER", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=SOON", 501, 5, 4, 0, 0, 0, ""},
	{R, " NOTIFY=DELAY NOTIFY=DELAY", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=rfc822;ann@here.example", 0, 0, 0, 0, 0, 0,
	    "rfc822;ann@here.example"},
	{R, " ORCPT=rfc822;a+3Db@here.example", 0, 0, 0, 0, 0, 0,
	    "rfc822;a+3Db@here.example"},
	{R, " ORCPT=rfc822", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=rfc822;", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=;ann@here.example", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=rfc(822;ann@here.example", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=rfc822;a+0Ab", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=rfc822;" A500, 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{E4}@here.example", 0, 0, 0, 0, 0, 0,
	    "utf-8;\\x{E4}@here.example"},
	{R, " ORCPT=utf-8;\\x{D800}@here.example", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{110000}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{41}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{0A}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{7F}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;a\\x{2B}b\\x{3D}\\x{20}\\x{5C}@x", 0, 0, 0, 0, 0,
	    0, "utf-8;a\\x{2B}b\\x{3D}\\x{20}\\x{5C}@x"},
	{R, " ORCPT=utf-8;a+2Bb@x", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=UTF-8;\\x{10FFFF}", 0, 0, 0, 0, 0, 0,
	    "UTF-8;\\x{10FFFF}"},
	{R, " ORCPT=utf-8;\\x{e4}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{0E4}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=x400;/C+3Dde/", 0, 0, 0, 0, 0, 0, "x400;/C+3Dde/"},
	{R, " ORCPT=utf-8;\\x{0041}", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\x{E4", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\\", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=utf-8;\xc3\xa4", 501, 5, 4, 0, 0, 0, ""},
	{R, " ORCPT=rfc822;a ORCPT=rfc822;a", 501, 5, 4, 0, 0, 0, ""},
	{R, " SIZE=1", 555, 5, 4, 0, 0, 0, ""},
};

#define NCASES (int)(sizeof(cases) / sizeof(cases[0]))

START_TEST(one)
{
	struct params p = {.command = cases[_i].command, .offered = ~0u,
	    .now_ms = NOW};
	struct status st = {0};
	const char *in = cases[_i].in;
	bool ok = params_parse(slice_of(in), &p, &st);

	ck_assert_msg(ok == (cases[_i].code == 0), "%s: %u %s", in, st.code,
	    st.text);
	if (!ok) {
		ck_assert_msg(st.code == cases[_i].code &&
		    st.subject == cases[_i].subject &&
		    st.detail == cases[_i].detail, "%s: %u 5.%u.%u", in,
		    st.code, st.subject, st.detail);
		return;
	}
	ck_assert_uint_eq(p.size, cases[_i].size);
	ck_assert_uint_eq(p.flags, cases[_i].flags);
	ck_assert_uint_eq(p.notify, cases[_i].notify);
	ck_assert(slice_eq(cases[_i].command == M ? slice_mem(p.envid.p,
	    p.envid.len) : slice_mem(p.orcpt.p, p.orcpt.len),
	    slice_of(cases[_i].text)));
}
END_TEST

/* SMTPUTF8 lets values hold UTF-8, and only UTF-8. */
START_TEST(utf8)
{
	static const struct {
		const char *in;
		bool ok;
	} v[] = {
		{" ORCPT=utf-8;\xc3\xa4@here.example", true},
		{" ORCPT=utf-8;\xc3", false},
		{" ORCPT=utf-8;\xc3(", false},
		{" ORCPT=utf-8;\xed\xa0\x80", false},
		{" ORCPT=utf-8;\xf4\x90\x80\x80", false},
		{" ORCPT=rfc822;\xc3\xa4", false},
	};
	struct status st;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct params p = {.command = R, .offered = ~0u,
		    .utf8 = true};

		ck_assert_msg(params_parse(slice_of(v[i].in), &p, &st) ==
		    v[i].ok, "%s", v[i].in);
	}
}
END_TEST

START_TEST(by)
{
	static const struct {
		const char *in;
		int64_t want;
	} v[] = {
		{" BY=120;R", NOW + 120000},
		{" BY=+120;R", NOW + 120000},
		{" BY=-120;N", NOW - 120000},
		{" BY=0;N", NOW},
		{" BY=-999999999;N", NOW - INT64_C(999999999000)},
	};
	struct status st;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct params p = {.command = M, .offered = ~0u,
		    .now_ms = NOW};

		ck_assert(params_parse(slice_of(v[i].in), &p, &st));
		ck_assert_int_eq((int64_t)p.by_at_ms, v[i].want);
	}
}
END_TEST

/* What is switched off is not known. */
START_TEST(not_offered)
{
	static const struct {
		enum param_command command;
		unsigned offer;
		const char *in;
	} v[] = {
		{M, OFFER_SMTPUTF8, " SMTPUTF8"},
		{M, OFFER_BINARYMIME, " BODY=BINARYMIME"},
		{M, OFFER_DSN, " RET=FULL"},
		{M, OFFER_DSN, " ENVID=a"},
		{M, OFFER_DELIVERBY, " BY=60;N"},
		{R, OFFER_DSN, " NOTIFY=NEVER"},
		{R, OFFER_DSN, " ORCPT=rfc822;a"},
	};
	struct status st;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct params p = {.command = v[i].command, .now_ms = NOW,
		    .offered = ~v[i].offer};
		struct params q = {.command = v[i].command, .now_ms = NOW,
		    .offered = v[i].offer};

		ck_assert(!params_parse(slice_of(v[i].in), &p, &st));
		ck_assert_uint_eq(st.code, 555);
		ck_assert(params_parse(slice_of(v[i].in), &q, &st));
	}
}
END_TEST

/* RFC 2852 4: a least time holds for mode R alone. */
START_TEST(by_least)
{
	static const struct {
		const char *in;
		unsigned code;
	} v[] = {
		{" BY=60;R", 0},
		{" BY=59;R", 555},
		{" BY=59;RT", 555},
		{" BY=0;R", 501},
		{" BY=59;N", 0},
		{" BY=-5;N", 0},
		{"", 0},
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct params p = {.command = M, .offered = ~0u,
		    .now_ms = NOW, .by_least_s = 60};
		struct status st = {0};

		ck_assert(params_parse(slice_of(v[i].in), &p, &st) ==
		    (v[i].code == 0));
		ck_assert_uint_eq(st.code, v[i].code);
	}
}
END_TEST

Suite *
smtp_param_suite(void)
{
	Suite *s = suite_create("smtp_param");
	TCase *tc = tcase_create("param");

	tcase_add_loop_test(tc, one, 0, NCASES);
	tcase_add_test(tc, utf8);
	tcase_add_test(tc, by);
	tcase_add_test(tc, not_offered);
	tcase_add_test(tc, by_least);
	suite_add_tcase(s, tc);
	return s;
}
