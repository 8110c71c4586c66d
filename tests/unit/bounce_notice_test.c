/*
 * queue/bounce_notice and its parts: what a notice says of each outcome, who is
 * told of, and what happens when octets do not go out or do not come in.  What
 * other parsers make of it: tests/e2e/test_bounce.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/mail/qfile.h"
#include "queue/bounce.h"
#include "tests/unit/qfile_sample.h"

Suite *bounce_notice_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define RCPTS_MAX 8

static struct conf conf = {.hostname = "mx.here.example",
    .bounce_from = "MAILER-DAEMON", .bounce_message_size_max = 1 << 20,
    .bounce_unasked_size_max = 1 << 20, .bounce_header_size_max = 4096};

/* A message and a notice about all its recipients. */
struct rig {
	struct buf image;
	struct bounce_notice n;
	struct bounce_told told[RCPTS_MAX];
	struct bounce_rcpt rcpts[RCPTS_MAX];
	struct bounce_job job;
};

static void
begin(struct rig *r, const struct envelope *env, struct slice content,
    uint32_t kind, uint32_t action)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	r->image = sample_image(env, content);
	r->n = (struct bounce_notice){.conf = &conf, .kind = kind,
	    .q = sample_open(buf_slice(&r->image)),
	    .to = SLICE("ann@here.example"), .told = r->told,
	    .now_ms = SAMPLE_MS + 7200000};
	r->n.id = id_new(r->n.now_ms);
	r->job = (struct bounce_job){.id = SLICE(SAMPLE_ID), .kind = kind,
	    .sender = r->n.to, .recipients = {r->rcpts, 0}};
	for (i = 0; i < qfile_nrcpts(r->n.q); i++)
		r->rcpts[i] = (struct bounce_rcpt){(uint32_t)i + 1, action, 0};
	r->job.recipients.n = i;
}

static void
end(struct rig *r)
{
	bounce_notice_free(&r->n);
	qfile_free(&r->n.q);
	buf_free(&r->image);
}

static void
attempt(struct rig *r, uint32_t number, const char *outcome, bool remote,
    uint32_t code, uint32_t subject, uint32_t detail, const char *text)
{
	struct status st;
	struct qattempt a = {.number = number, .at_ms = SAMPLE_MS + 1000,
	    .outcome = outcome, .host = SLICE("mx.there.example[192.0.2.1]:25"),
	    .status = &st, .rule = "first", .remote = remote};

	status_set(&st, code, subject, detail, "%s", text);
	ck_assert_int_eq(qfile_add_attempts(r->n.q, &a, 1), 0);
	r->n.q = sample_again(&r->n.q);
}

struct out {
	struct buf text;
	int left; /* pieces that are taken */
};

static bool
put(void *arg, struct slice s)
{
	struct out *o = arg;

	if (o->left-- <= 0)
		return false;
	buf_addslice(&o->text, s);
	return true;
}

static struct buf
notice(struct rig *r)
{
	struct out o = {BUF_INIT(16 << 20), INT32_MAX};

	r->n.ntold = bounce_choose(r->n.q, &r->job, r->told);
	ck_assert_int_eq(bounce_notice_prepare(&r->n), 0);
	ck_assert_int_eq(bounce_notice_write(&r->n, put, &o), 0);
	ck_assert(!o.text.overflow);
	ck_assert_uint_le(o.text.len, bounce_notice_size(&r->n) + 100);
	return o.text;
}

static void
has(const struct buf *text, const char *want)
{
	ck_assert_msg(strstr(text->s, want) != NULL, "no \"%s\" in:\n%s", want,
	    text->s);
}

/* However its lines are broken. */
static void
says(const struct buf *text, const char *want)
{
	struct buf flat = BUF_INIT(16 << 20);
	struct slice rest = buf_slice(text), word, line;

	while (slice_cut(&rest, '\n', &line))
		while (slice_word(&line, &word)) {
			if (word.p[word.len - 1] == '\r')
				word.len--;
			buf_addslice(&flat, word);
			buf_addc(&flat, ' ');
		}
	has(&flat, want);
	buf_free(&flat);
}

static void
has_not(const struct buf *text, const char *want)
{
	ck_assert_msg(strstr(text->s, want) == NULL, "\"%s\" in:\n%s", want,
	    text->s);
}

static const struct {
	const char *name;
	uint32_t kind, action;
	const char *outcome; /* NULL: no attempt is recorded */
	bool remote;
	uint32_t code, subject, detail;
	const char *text;
	/* what is said */
	const char *status, *diagnostic, *words;
} outcomes[] = {
	{"refused", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", true,
	    550, 1, 1, "no such user", "5.1.1", "smtp; 550 5.1.1 no such user",
	    "There is no mailbox with this address."},
	{"without a code of RFC 3463", BOUNCE_FAILURE, BOUNCE_FAILED,
	    "failed", true, 554, 0, 0, "No", "5.0.0", "smtp; 554 No",
	    "The message was not accepted for this address."},
	{"ours", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", false,
	    550, 4, 6, "A loop", "5.4.6", "X-Postern; A loop",
	    "sent round in circles"},
	{"given up", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", true,
	    451, 7, 1, "later", "4.7.1", "smtp; 451 4.7.1 later",
	    "tried again for 2 hours, without"},
	{"nothing known", BOUNCE_FAILURE, BOUNCE_FAILED, NULL, false,
	    0, 0, 0, "", "5.0.0", NULL, "was not accepted"},
	{"a success recorded", BOUNCE_FAILURE, BOUNCE_FAILED, "delivered",
	    true, 250, 0, 0, "OK", "5.0.0", NULL, "was not accepted"},
	{"full", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", true,
	    552, 2, 2, "full", "5.2.2", "smtp; 552 5.2.2 full",
	    "The mailbox is full."},
	{"too large", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", true,
	    552, 3, 4, "big", "5.3.4", "smtp; 552 5.3.4 big",
	    "leave attachments out"},
	{"policy", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", true,
	    550, 7, 26, "no", "5.7.26", "smtp; 550 5.7.26 no",
	    "refused the message"},
	{"no SMTPUTF8", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", false,
	    550, 6, 7, "no", "5.6.7", "X-Postern; no", "plain letters"},
	{"no texts", BOUNCE_FAILURE, BOUNCE_FAILED, "failed", true,
	    550, 1, 1, "", "5.1.1", NULL, "no mailbox"},
	{"delay", BOUNCE_DELAY, BOUNCE_DELAYED, "deferred", false,
	    451, 4, 1, "timed out", "4.4.1", "X-Postern; timed out",
	    "should not send it again"},
	{"delay after a failure", BOUNCE_DELAY, BOUNCE_DELAYED, "failed",
	    true, 550, 1, 1, "no", "4.0.0", NULL, "has not arrived yet"},
	{"delivered", BOUNCE_SUCCESS, BOUNCE_DELIVERED, "delivered", true,
	    250, 1, 5, "OK", "2.1.5", "smtp; 250 2.1.5 OK",
	    "The message was delivered."},
	{"relayed", BOUNCE_SUCCESS, BOUNCE_RELAYED, "relayed", true,
	    250, 0, 0, "OK", "2.0.0", "smtp; 250 OK",
	    "handed to the mail system mx.there.example, which does"},
	{"expanded", BOUNCE_SUCCESS, BOUNCE_EXPANDED, NULL, false, 0, 0, 0, "",
	    "2.0.0", NULL, "is a list"},
	{"an action that does not fit", BOUNCE_SUCCESS, BOUNCE_FAILED,
	    "deferred", true, 451, 0, 0, "no", "2.0.0", NULL,
	    "The message was delivered."},
};

START_TEST(test_outcomes)
{
	struct env_recipient v[] = {{SLICE("carl@there.example"), SLICE_EMPTY,
	    NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY}};
	struct envelope env = sample_env();
	char line[200];
	struct rig r;
	struct buf text;

	env.recipients = (struct chan_list){v, 1};
	begin(&r, &env, SLICE("Subject: x\r\n\r\nbody\r\n"), outcomes[_i].kind,
	    outcomes[_i].action);
	if (outcomes[_i].outcome != NULL)
		attempt(&r, 1, outcomes[_i].outcome, outcomes[_i].remote,
		    outcomes[_i].code, outcomes[_i].subject,
		    outcomes[_i].detail, outcomes[_i].text);
	text = notice(&r);
	snprintf(line, sizeof(line), "\r\nStatus: %s\r\n",
	    outcomes[_i].status);
	has(&text, line);
	if (outcomes[_i].diagnostic != NULL) {
		snprintf(line, sizeof(line), "\r\nDiagnostic-Code: %s\r\n",
		    outcomes[_i].diagnostic);
		has(&text, line);
	} else
		has_not(&text, "Diagnostic-Code");
	says(&text, outcomes[_i].words);
	buf_free(&text);
	end(&r);
}
END_TEST

/* Every code has its words, and words have no codes but the quoted. */
START_TEST(test_all_codes)
{
	struct envelope env = sample_env();
	struct env_recipient v[] = {{SLICE("c@d.example"), SLICE_EMPTY, 0}};
	struct buf text;
	struct rig r;
	uint32_t detail;

	env.recipients = (struct chan_list){v, 1};
	for (detail = 0; detail < 31; detail++) {
		begin(&r, &env, SLICE("\r\n"), BOUNCE_FAILURE, BOUNCE_FAILED);
		attempt(&r, 1, "failed", true, 550, (uint32_t)_i, detail, "w");
		text = notice(&r);
		has(&text, "\r\n    ");
		has(&text, "The mail system mx.there.example said:");
		buf_free(&text);
		end(&r);
	}
}
END_TEST

static const struct {
	uint32_t kind, notify, flags;
	int64_t by_ms; /* before now */
	bool told;
} wishes[] = {
	{BOUNCE_FAILURE, 0, 0, 0, true},
	{BOUNCE_FAILURE, NOTIFY_NEVER, 0, 0, false},
	{BOUNCE_FAILURE, NOTIFY_FAILURE, 0, 0, true},
	{BOUNCE_FAILURE, NOTIFY_SUCCESS | NOTIFY_DELAY, 0, 0, false},
	{BOUNCE_DELAY, 0, 0, 0, true},
	{BOUNCE_DELAY, NOTIFY_DELAY, 0, 0, true},
	{BOUNCE_DELAY, NOTIFY_FAILURE, 0, 0, false},
	{BOUNCE_DELAY, NOTIFY_FAILURE, ENV_BY_NOTIFY, 1000, true},
	{BOUNCE_DELAY, NOTIFY_FAILURE, ENV_BY_NOTIFY, -100000, false},
	{BOUNCE_DELAY, NOTIFY_FAILURE, ENV_BY_RETURN, 1000, false},
	{BOUNCE_DELAY, NOTIFY_NEVER, ENV_BY_NOTIFY, 1000, false},
	{BOUNCE_SUCCESS, 0, 0, 0, false},
	{BOUNCE_SUCCESS, NOTIFY_SUCCESS, 0, 0, true},
	{BOUNCE_SUCCESS, NOTIFY_FAILURE, 0, 0, false},
};

START_TEST(test_wishes)
{
	struct env_recipient v[] = {{SLICE("c@d.example"), SLICE_EMPTY,
	    wishes[_i].notify}};
	struct envelope env = sample_env();
	struct rig r;

	env.recipients = (struct chan_list){v, 1};
	env.flags = wishes[_i].flags;
	if (wishes[_i].by_ms != 0)
		env.by_at_ms = (uint64_t)(clock_real_ms() - wishes[_i].by_ms);
	begin(&r, &env, SLICE("\r\n"), wishes[_i].kind, 0);
	ck_assert_uint_eq(bounce_choose(r.n.q, &r.job, r.told),
	    wishes[_i].told ? 1 : 0);
	end(&r);
}
END_TEST

/* Pieces that nobody takes: at each of them it ends, and says so. */
START_TEST(test_not_taken)
{
	static const char nul[] = "Subject: x\r\n\r\na\0b\r\n";
	struct envelope env = sample_env();
	struct out o;
	struct rig r;
	int i, result;

	env.flags = _i == 0 ? ENV_BINARYMIME | ENV_RET_FULL : ENV_RET_HDRS;
	for (i = 0;; i++) {
		begin(&r, &env, _i == 0 ? slice_mem(nul, sizeof(nul) - 1)
		    : SLICE("Subject: \xff\r\r\n\r\n"), BOUNCE_FAILURE, 0);
		r.n.ntold = bounce_choose(r.n.q, &r.job, r.told);
		ck_assert_int_eq(bounce_notice_prepare(&r.n), 0);
		o = (struct out){BUF_INIT(16 << 20), i};
		result = bounce_notice_write(&r.n, put, &o);
		if (result != 0)
			ck_assert_int_eq(errno, ECANCELED);
		buf_free(&o.text);
		end(&r);
		if (result == 0)
			break;
	}
	ck_assert_int_ge(i, 3);
}
END_TEST

/* Not in the file any more when it is to be passed on. */
START_TEST(test_vanishes)
{
	struct envelope env = sample_env();
	struct buf content = BUF_INIT(1 << 20);
	struct out o = {BUF_INIT(16 << 20), INT32_MAX};
	struct rig r;
	int i;

	buf_adds(&content, "Subject: x\r\n\r\n");
	for (i = 0; i < 10000; i++)
		buf_adds(&content, "a line of the message\r\n");
	begin(&r, &env, buf_slice(&content), BOUNCE_FAILURE, BOUNCE_FAILED);
	r.n.ntold = bounce_choose(r.n.q, &r.job, r.told);
	ck_assert_int_eq(bounce_notice_prepare(&r.n), 0);
	ck_assert(r.n.original.whole);
	ck_assert_int_eq(ftruncate(qfile_fd(r.n.q), 100000), 0);
	ck_assert_int_eq(bounce_notice_write(&r.n, put, &o), -1);
	ck_assert_int_eq(errno, EBADMSG);
	buf_free(&o.text);
	end(&r);
	/* ... and before: the notice is made without it. */
	begin(&r, &env, buf_slice(&content), BOUNCE_FAILURE, BOUNCE_FAILED);
	ck_assert_int_eq(ftruncate(qfile_fd(r.n.q), 100000), 0);
	r.n.ntold = bounce_choose(r.n.q, &r.job, r.told);
	ck_assert_int_eq(bounce_notice_prepare(&r.n), 0);
	ck_assert(!r.n.original.there);
	end(&r);
	buf_free(&content);
}
END_TEST

/* The delimiter is another one each time. */
START_TEST(test_boundary)
{
	struct envelope env = sample_env();
	char seen[2][40] = {"", ""};
	struct rig r;
	int i;

	for (i = 0; i < 2; i++) {
		begin(&r, &env, SLICE("\r\n"), BOUNCE_FAILURE, BOUNCE_FAILED);
		r.n.ntold = bounce_choose(r.n.q, &r.job, r.told);
		ck_assert_int_eq(bounce_notice_prepare(&r.n), 0);
		ck_assert_uint_ge(r.n.tail.len, 36);
		memcpy(seen[i], r.n.tail.s + 4, 32);
		end(&r);
	}
	ck_assert_str_ne(seen[0], seen[1]);
}
END_TEST

/* Where the header ends, wherever it is cut: what is returned of it. */
START_TEST(test_header_cut)
{
	struct envelope env = sample_env();
	struct buf content = BUF_INIT(1 << 20);
	struct bounce_original o;
	struct rig r;
	int i;

	env.prepend = SLICE_EMPTY;
	for (i = 0; i < 50; i++)
		buf_printf(&content, "X-%d: %.*s\r\n", i, i, "yyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
	buf_adds(&content, "\r\nbody\r\n");
	begin(&r, &env, buf_slice(&content), BOUNCE_FAILURE, BOUNCE_FAILED);
	for (i = 1; i < (int)content.len; i++) {
		ck_assert_int_eq(bounce_original_look(&o, r.n.q, false,
		    (uint64_t)i), 0);
		ck_assert(o.there && !o.whole && !o.eight_bit);
		ck_assert_uint_le(o.header, (uint64_t)i);
		/* What it ends with must have been seen. */
		ck_assert(o.header_cut == (i < (int)content.len - 6));
		/* "X-0: \r\n" is the first line. */
		if (i >= 7)
			ck_assert_int_eq(content.s[o.header - 1], '\n');
	}
	ck_assert_uint_eq(o.header, content.len - 8);
	end(&r);
	buf_free(&content);
}
END_TEST

Suite *
bounce_notice_suite(void)
{
	Suite *s = suite_create("bounce_notice");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, test_outcomes, 0, COUNT(outcomes));
	tcase_add_loop_test(tc, test_all_codes, 0, 9);
	tcase_add_loop_test(tc, test_wishes, 0, COUNT(wishes));
	tcase_add_loop_test(tc, test_not_taken, 0, 2);
	tcase_add_test(tc, test_vanishes);
	tcase_add_test(tc, test_boundary);
	tcase_add_test(tc, test_header_cut);
	suite_add_tcase(s, tc);
	return s;
}
