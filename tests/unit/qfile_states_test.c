/* common/mail/qfile: many states at once, and who was told of what. */
#include <errno.h>

#include "common/base/mem.h"
#include "common/base/random.h"
#include "tests/unit/qfile_sample.h"

Suite *qfile_states_suite(void);

#define MANY 5000

/* A file with that many recipients, some of which are long. */
static struct qfile *
many_file(size_t n, uint32_t notify)
{
	struct env_recipient *rcpts = mem_array(n, sizeof(*rcpts));
	char (*names)[1024] = mem_array(n, sizeof(*names));
	struct envelope env = sample_env();
	struct buf image;
	struct qfile *q;

	for (size_t i = 0; i < n; i++) {
		int pad = i % 100 == 99 ? 900 : 1;

		snprintf(names[i], sizeof(names[i]), "u%zu%0*d@example.org", i,
		    pad, 0);
		rcpts[i] = (struct env_recipient){slice_of(names[i]),
		    SLICE_EMPTY, notify};
	}
	env.recipients = (struct chan_list){rcpts, n};
	image = sample_image(&env, SLICE("Subject: x\r\n\r\nHello.\r\n"));
	q = sample_open(buf_slice(&image));
	buf_free(&image);
	free(names);
	free(rcpts);
	return q;
}

/* Each `every`-th row from `first` on, at most `most`. */
static const struct {
	const char *name;
	size_t first, every, most;
} picks[] = {
	{"none", 0, 1, 0},
	{"one", 7, 1, 1},
	{"all", 0, 1, MANY},
	{"every second", 1, 2, MANY},
	{"far apart", 3, 97, MANY},
	{"two at the ends", 0, MANY - 1, 2},
	{"the last", MANY - 1, 1, 1},
};

START_TEST(test_set)
{
	struct qfile *q = many_file(MANY, 0);
	struct buf before = sample_read(qfile_fd(q)), after;
	size_t rows[MANY], n = 0, changed = 0;
	char states[MANY];

	for (size_t i = picks[_i].first; i < MANY && n < picks[_i].most;
	    i += picks[_i].every) {
		rows[n] = i;
		states[n++] = "DFSBCT"[random_below(6)];
	}
	ck_assert_int_eq(qfile_set_states(q, rows, states, n), 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(qfile_rcpt(q, rows[i])->state, states[i]);
	after = sample_read(qfile_fd(q));
	ck_assert_uint_eq(after.len, before.len);
	for (size_t i = 0; i < after.len; i++)
		changed += after.s[i] != before.s[i];
	ck_assert_uint_le(changed, n);
	/* all sums are right, all others are as they were */
	q = sample_again(&q);
	for (size_t i = 0, k = 0; i < MANY; i++) {
		bool picked = k < n && rows[k] == i;

		ck_assert_int_eq(qfile_rcpt(q, i)->state,
		    picked ? states[k] : 'T');
		k += picked;
	}
	buf_free(&before);
	buf_free(&after);
	qfile_free(&q);
}
END_TEST

/* Rows of the journal, too. */
START_TEST(test_set_expanded)
{
	static const struct qexpansion v[] = {
		{{"a@example.org", 13}, 1, {"", 0}, {"", 0}, false},
		{{"b@example.org", 13}, 1, {"", 0}, {"", 0}, false}};
	const size_t rows[] = {0, 2, 3, 4};
	struct qfile *q = many_file(3, 0);

	ck_assert_int_eq(qfile_add_expansion(q, 1, v, 2), 0);
	ck_assert_int_eq(qfile_set_states(q, rows, "DFBD", 4), 0);
	q = sample_again(&q);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'D');
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'X');
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, 'F');
	ck_assert_int_eq(qfile_rcpt(q, 3)->state, 'B');
	ck_assert_int_eq(qfile_rcpt(q, 4)->state, 'D');
	qfile_free(&q);
}
END_TEST

static const struct {
	size_t row;
	char state;
} bad[] = {{1, 'D'}, {0, 'X'}, {0, 'Z'}, {99, 'D'}};

/* One that cannot be, and nothing is done. */
START_TEST(test_set_refused)
{
	struct qfile *q = many_file(3, 0);
	const size_t rows[] = {bad[_i].row, 2};
	const char states[] = {bad[_i].state, 'D'};

	ck_assert_int_eq(qfile_add_expansion(q, 1, NULL, 0), 0);
	ck_assert_int_eq(qfile_set_states(q, rows, states, 2), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, 'T');
	q = sample_again(&q);
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, 'T');
	qfile_free(&q);
}
END_TEST

/* ---- who is told ---- */

static const struct qexpansion members[] = {
	{{"a@example.org", 13}, 1, {"", 0}, {"", 0}, false},
	{{"b@example.org", 13}, 1, {"", 0}, {"", 0}, false}};
static const struct qexpansion list[] = {
	{{"a@example.org", 13}, 1, {"", 0}, {"owner@example.org", 17}, true}};

static const struct {
	const char *name;
	uint32_t notify;
	const struct qexpansion *v;
	size_t n;
	bool told;       /* nothing is owed */
	uint32_t member; /* notify of the first of them */
} expansions[] = {
	{"nothing asked", 0, members, 2, true, 0},
	{"failure", NOTIFY_FAILURE, members, 2, true, NOTIFY_FAILURE},
	{"one", NOTIFY_SUCCESS, members, 1, true, NOTIFY_SUCCESS},
	{"several", NOTIFY_SUCCESS | NOTIFY_FAILURE, members, 2, false,
	    NOTIFY_FAILURE},
	{"nothing but success", NOTIFY_SUCCESS, members, 2, false,
	    NOTIFY_NEVER},
	{"a list", NOTIFY_SUCCESS, list, 1, false, 0},
	{"never", NOTIFY_NEVER, members, 2, true, NOTIFY_NEVER},
};

START_TEST(test_expanded)
{
	struct qfile *q = many_file(1, expansions[_i].notify);
	struct qfile *again;

	ck_assert_int_eq(qfile_set_told(q, 0), -1);
	ck_assert_int_eq(qfile_add_expansion(q, 0, expansions[_i].v,
	    expansions[_i].n), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'X');
		ck_assert(qfile_rcpt(q, 0)->told == expansions[_i].told);
		ck_assert_uint_eq(qfile_rcpt(q, 1)->notify,
		    expansions[_i].member);
		again = sample_again(&q);
		q = again;
	}
	ck_assert_int_eq(qfile_set_told(q, 0), 0);
	q = sample_again(&q);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'X');
	ck_assert(qfile_rcpt(q, 0)->told);
	qfile_free(&q);
}
END_TEST

START_TEST(test_notes)
{
	struct qfile *q = many_file(1, 0);

	ck_assert(!qfile_warned(q));
	ck_assert(!qfile_late(q));
	ck_assert_int_eq(qfile_add_note(q, "late", SLICE_EMPTY, 1), 0);
	ck_assert(qfile_late(q));
	q = sample_again(&q);
	ck_assert(!qfile_warned(q));
	ck_assert(qfile_late(q));
	ck_assert_int_eq(qfile_add_note(q, "warned", SLICE_EMPTY, 1), 0);
	q = sample_again(&q);
	ck_assert(qfile_warned(q));
	qfile_free(&q);
}
END_TEST

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

Suite *
qfile_states_suite(void)
{
	Suite *s = suite_create("qfile_states");
	TCase *t = tcase_create("states");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_set, 0, COUNT(picks));
	tcase_add_test(t, test_set_expanded);
	tcase_add_loop_test(t, test_set_refused, 0, COUNT(bad));
	tcase_add_loop_test(t, test_expanded, 0, COUNT(expansions));
	tcase_add_test(t, test_notes);
	suite_add_tcase(s, t);
	return s;
}
