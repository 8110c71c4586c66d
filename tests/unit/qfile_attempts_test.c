/* common/mail/qfile: the history that qfile_attempts hands out. */
#include <errno.h>

#include "common/mail/qfile_int.h"
#include "tests/unit/qfile_sample.h"

Suite *qfile_attempts_suite(void);

#define AT(n) (SAMPLE_MS + 1000 * (n))

/* What was handed out, a line each. */
static void
note_down(void *arg, const struct qtried *t)
{
	struct buf *out = arg;

	buf_printf(out, "%u %.*s at=%lld next=%lld", t->number,
	    SLICE_FMT(t->what), (long long)(t->at_ms - SAMPLE_MS),
	    (long long)(t->next_ms > 0 ? t->next_ms - SAMPLE_MS : 0));
	if (t->host.len > 0)
		buf_printf(out, " host=%.*s", SLICE_FMT(t->host));
	if (t->rule.len > 0)
		buf_printf(out, " rule=%.*s", SLICE_FMT(t->rule));
	if (t->remote)
		buf_adds(out, " remote");
	if (t->why.len > 0)
		buf_printf(out, " [%.*s]", SLICE_FMT(t->why));
	buf_addc(out, '\n');
}

static void
history_is(struct qfile *q, const char *want)
{
	struct buf out = BUF_INIT(1 << 20);
	char why[STATUS_TEXT_MAX] = "";

	ck_assert_int_eq(qfile_attempts(q, note_down, &out, why), QFILE_OK);
	ck_assert_str_eq(out.s, want);
	buf_free(&out);
}

static struct qfile *
sample(void)
{
	struct buf image = sample_small();
	struct qfile *q = sample_open(buf_slice(&image));

	buf_free(&image);
	return q;
}

static void
attempt(struct qfile *q, uint32_t number, int n, const char *outcome,
    const char *text)
{
	struct status st;
	struct qattempt a = {.number = number, .at_ms = AT(n),
	    .next_ms = AT(n + 60), .outcome = outcome,
	    .host = SLICE("mx.example[192.0.2.1]"), .status = &st,
	    .rule = "retry", .remote = true};

	status_set(&st, 451, 2, 1, "%s", text);
	ck_assert_int_eq(qfile_add_attempts(q, &a, 1), 0);
}

START_TEST(none)
{
	struct qfile *q = sample();

	history_is(q, "");
	qfile_free(&q);
}
END_TEST

/* Just written and read anew, in the order of the journal. */
START_TEST(all_of_them)
{
	static const struct qexpansion to[] = {
		{{"carl@example.org", 16}, 1, {"", 0}, {"", 0}, false},
	};
	static const char want[] =
	    "1 deferred at=1000 next=61000 host=mx.example[192.0.2.1] "
	    "rule=retry remote [4.2.1 451 first = words]\n"
	    "2 deferred at=2000 next=62000 host=mx.example[192.0.2.1] "
	    "rule=retry remote [4.2.1 451 other]\n"
	    "0 hold at=3000 next=0 [let me look]\n"
	    "0 release at=4000 next=0\n"
	    "0 warned at=5000 next=0\n"
	    "3 deferred at=6000 next=66000 host=mx.example[192.0.2.1] "
	    "rule=retry remote [4.2.1 451 third]\n"
	    "1 delivered at=7000 next=67000 host=mx.example[192.0.2.1] "
	    "rule=retry remote [4.2.1 451 there]\n";
	struct qfile *q = sample();

	attempt(q, 1, 1, "deferred", "first = words");
	attempt(q, 2, 2, "deferred", "other");
	ck_assert_int_eq(qfile_add_note(q, "hold", SLICE("let me look"),
	    AT(3)), 0);
	ck_assert_int_eq(qfile_add_note(q, "release", SLICE_EMPTY, AT(4)), 0);
	ck_assert_int_eq(qfile_add_note(q, "warned", SLICE_EMPTY, AT(5)), 0);
	ck_assert_int_eq(qfile_add_expansion(q, 1, to, 1), 0);
	attempt(q, 3, 6, "deferred", "third");
	attempt(q, 1, 7, "delivered", "there");
	history_is(q, want);
	q = sample_again(&q);
	history_is(q, want);
	/* Nothing was changed by looking. */
	ck_assert_uint_eq(qfile_nrcpts(q), 3);
	ck_assert_uint_eq(qfile_rcpt(q, 0)->attempts, 2);
	ck_assert(qfile_warned(q));
	ck_assert_int_eq(qfile_add_note(q, "retry", SLICE_EMPTY, AT(8)), 0);
	qfile_free(&q);
}
END_TEST

/* More than a window of them. */
START_TEST(many)
{
	struct buf out = BUF_INIT(64 << 20);
	struct qfile *q = sample();
	char why[STATUS_TEXT_MAX];
	size_t lines = 0;

	for (int i = 0; i < 5000; i++)
		attempt(q, 1, i, "deferred", "the same words every time, and "
		    "many of them, so that it takes some room");
	q = sample_again(&q);
	ck_assert_int_eq(qfile_attempts(q, note_down, &out, why), QFILE_OK);
	for (size_t i = 0; i < out.len; i++)
		lines += out.s[i] == '\n';
	ck_assert_uint_eq(lines, 5000);
	buf_free(&out);
	qfile_free(&q);
}
END_TEST

/* A torn part is passed over as it is when the file is opened. */
START_TEST(torn)
{
	struct qfile *q = sample();
	struct buf image;
	struct slice cut;

	attempt(q, 1, 1, "deferred", "kept");
	attempt(q, 2, 2, "deferred", "torn");
	image = sample_read(qfile_fd(q));
	qfile_free(&q);
	cut = slice_sub(buf_slice(&image), 0, image.len - 10);
	q = sample_open(cut);
	ck_assert(qfile_journal_torn(q));
	history_is(q, "1 deferred at=1000 next=61000 "
	    "host=mx.example[192.0.2.1] rule=retry remote "
	    "[4.2.1 451 kept]\n");
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

Suite *
qfile_attempts_suite(void)
{
	Suite *s = suite_create("qfile_attempts");
	TCase *t = tcase_create("history");

	tcase_add_test(t, none);
	tcase_add_test(t, all_of_them);
	tcase_add_test(t, many);
	tcase_add_test(t, torn);
	suite_add_tcase(s, t);
	return s;
}
