/* common/mail/qfile: states, and the journal with its attempts, expansions and
 * notes, whole and torn. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/mail/qfile_int.h"
#include "tests/unit/qfile_sample.h"

Suite *qfile_journal_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define AT(n) (SAMPLE_MS + 1000 * (n))

static struct status
refused(void)
{
	struct status st;

	status_set(&st, 451, 2, 1, "mailbox is = locked; <try later> %%");
	return st;
}

static void
attempt(struct qfile *q, uint32_t number, int64_t at_ms, int64_t next_ms)
{
	struct status st = refused();
	struct qattempt a = {number, at_ms, next_ms, "deferred",
	    SLICE("mx 1\n.example"), &st, "first", false};

	ck_assert_int_eq(qfile_add_attempts(q, &a, 1), 0);
}

static const struct qexpansion two[] = {
	{{"carl@example.org", 16}, 1, {"", 0}, {"", 0}, false},
	{{"dora=%@example.org", 18}, 3, {"/bin/x 'a b'\n", 13},
	    {"", 0}, true},
};

static struct qfile *
small_file(void)
{
	struct buf image = sample_small();
	struct qfile *q = sample_open(buf_slice(&image));

	buf_free(&image);
	return q;
}

static void
check_attempt(struct qfile *q, size_t i, uint32_t attempts, int64_t at_ms)
{
	const struct qrcpt *r = qfile_rcpt(q, i);

	ck_assert_uint_eq(r->attempts, attempts);
	ck_assert_int_eq(r->last_ms, at_ms);
	ck_assert_int_eq(r->next_ms, at_ms + 60000);
	CK_SLICE(r->host, "mx 1\n.example");
	CK_SLICE(r->rule, "first");
	CK_SLICE(r->why, "4.2.1 451 mailbox is = locked; <try later> %");
}

START_TEST(attempts)
{
	struct qfile *q = small_file();

	for (int again = 0; again < 2; again++) {
		if (again == 1)
			q = sample_again(&q);
		else {
			attempt(q, 1, AT(1), AT(61));
			attempt(q, 2, AT(2), AT(62));
			attempt(q, 1, AT(3), AT(63));
		}
		check_attempt(q, 0, 2, AT(3));
		check_attempt(q, 1, 1, AT(2));
		ck_assert(!qfile_journal_torn(q));
	}
	qfile_free(&q);
}
END_TEST

START_TEST(attempt_text)
{
	static const char want[] =
	    "\ntry 1 deferred at=2025-11-24T16:00:01.123Z "
	    "next=2025-11-24T16:01:01.123Z rule=first host=mx%201%0A.example "
	    "status=4.2.1 code=451 "
	    "text=mailbox is = locked; <try later> %25\n\n";
	struct qfile *q = small_file();
	struct buf image;

	attempt(q, 1, AT(1), AT(61));
	image = sample_read(qfile_fd(q));
	ck_assert_ptr_nonnull(memmem(image.s, image.len, want,
	    sizeof(want) - 1));
	buf_free(&image);
	qfile_free(&q);
}
END_TEST

/* Attempts refused before anything is written. */
START_TEST(attempts_refused)
{
	struct qfile *q = small_file();
	struct status st = refused();
	struct qattempt a[] = {
		{1, AT(1), 0, "deferred", SLICE_EMPTY, &st, NULL, false},
		{3, AT(1), 0, "deferred", SLICE_EMPTY, &st, NULL, false},
	};
	struct stat before, after;

	ck_assert_int_eq(fstat(qfile_fd(q), &before), 0);
	ck_assert_int_eq(qfile_add_attempts(q, a, 2), -1);
	ck_assert_int_eq(errno, EINVAL);
	a[0].outcome = "two words";
	ck_assert_int_eq(qfile_add_attempts(q, a, 1), -1);
	ck_assert_int_eq(fstat(qfile_fd(q), &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_uint_eq(qfile_rcpt(q, 0)->attempts, 0);
	a[0].outcome = "delivered";
	ck_assert_int_eq(qfile_add_attempts(q, a, 1), 0);
	ck_assert_int_eq(qfile_add_attempts(q, a, 0), 0);
	q = sample_again(&q);
	ck_assert_uint_eq(qfile_rcpt(q, 0)->attempts, 1);
	ck_assert_int_eq(qfile_rcpt(q, 0)->next_ms, 0);
	qfile_free(&q);
}
END_TEST

/* ---- states ---- */

static const char states[] = {QSTATE_DONE, QSTATE_FAILED, QSTATE_CANCELLED,
	QSTATE_TODO};

START_TEST(states_in_place)
{
	struct qfile *q = small_file();

	ck_assert_int_eq(qfile_add_expansion(q, 0, two, 2), 0);
	for (size_t i = 1; i < 4; i++)
		ck_assert_int_eq(qfile_set_state(q, i, states[_i]), 0);
	ck_assert_int_eq(qfile_rcpt(q, 3)->state, states[_i]);
	q = sample_again(&q);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_EXPANDED);
	for (size_t i = 1; i < 4; i++)
		ck_assert_int_eq(qfile_rcpt(q, i)->state, states[_i]);
	ck_assert(!qfile_journal_torn(q));
	qfile_free(&q);
}
END_TEST

START_TEST(states_refused)
{
	struct qfile *q = small_file();

	ck_assert_int_eq(qfile_set_state(q, 0, QSTATE_EXPANDED), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(qfile_set_state(q, 0, 'Z'), -1);
	ck_assert_int_eq(qfile_add_expansion(q, 0, NULL, 0), 0);
	ck_assert_int_eq(qfile_set_state(q, 0, QSTATE_DONE), -1);
	ck_assert_int_eq(errno, EINVAL);
	qfile_free(&q);
}
END_TEST

/* ---- expansions ---- */

static void
check_two(struct qfile *q)
{
	const struct qrcpt *c = qfile_rcpt(q, 2), *d = qfile_rcpt(q, 3);

	ck_assert_uint_eq(qfile_nrcpts(q), 4);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_TODO);
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, QSTATE_EXPANDED);
	CK_SLICE(c->address, "carl@example.org");
	ck_assert_uint_eq(c->number, 3);
	ck_assert_uint_eq(c->parent, 2);
	ck_assert_uint_eq(c->kind, 1);
	ck_assert_int_eq(c->state, QSTATE_TODO);
	ck_assert(!c->has_sender);
	/* From bob, whom it replaces. */
	CK_SLICE(c->orcpt, "rfc822;bob+2B@example.org");
	ck_assert_uint_eq(c->notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	CK_SLICE(d->address, "dora=%@example.org");
	ck_assert_uint_eq(d->number, 4);
	ck_assert_uint_eq(d->kind, 3);
	CK_SLICE(d->target, "/bin/x 'a b'\n");
	ck_assert(d->has_sender);
	CK_SLICE(d->sender, "");
	CK_SLICE(d->orcpt, "");
	ck_assert_uint_eq(d->notify, 0);
}

START_TEST(expansion)
{
	struct qfile *q = small_file();
	struct stat before, after;
	size_t i = 99;

	ck_assert_int_eq(qfile_add_expansion(q, 1, two, 2), 0);
	check_two(q);
	attempt(q, 4, AT(1), AT(61));
	q = sample_again(&q);
	check_two(q);
	check_attempt(q, 3, 1, AT(1));
	ck_assert(qfile_find(q, 4, &i));
	ck_assert_uint_eq(i, 3);
	ck_assert(!qfile_find(q, 5, &i));
	ck_assert(!qfile_find(q, 0, &i));
	/* Once only, whoever asks. */
	ck_assert_int_eq(fstat(qfile_fd(q), &before), 0);
	ck_assert_int_eq(qfile_add_expansion(q, 1, two, 2), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(fstat(qfile_fd(q), &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
	qfile_free(&q);
}
END_TEST

/* Of an expansion's recipient; what has no sender of its own keeps the one the
 * list gave it. */
START_TEST(nested_expansion)
{
	struct qfile *q = small_file();
	struct qexpansion list = {SLICE("list@example.org"), 2, SLICE_EMPTY,
	    SLICE("owner-list@example.org"), true};

	ck_assert_int_eq(qfile_add_expansion(q, 1, &list, 1), 0);
	ck_assert_int_eq(qfile_add_expansion(q, 2, two, 2), 0);
	ck_assert_int_eq(qfile_add_expansion(q, 4, NULL, 0), 0);
	q = sample_again(&q);
	ck_assert_uint_eq(qfile_nrcpts(q), 5);
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, QSTATE_EXPANDED);
	ck_assert_uint_eq(qfile_rcpt(q, 3)->parent, 3);
	ck_assert(qfile_rcpt(q, 3)->has_sender);
	CK_SLICE(qfile_rcpt(q, 3)->sender, "owner-list@example.org");
	CK_SLICE(qfile_rcpt(q, 3)->orcpt, "");
	CK_SLICE(qfile_rcpt(q, 4)->sender, "");
	ck_assert_int_eq(qfile_rcpt(q, 4)->state, QSTATE_EXPANDED);
	qfile_free(&q);
}
END_TEST

/* The octet alone says nothing; the record alone says all. */
START_TEST(record_wins_over_octet)
{
	struct qfile *q = small_file();
	uint64_t at;
	int fd;

	at = qfile_rcpt(q, 0)->state_at;
	ck_assert_int_eq(pwrite(qfile_fd(q), "X", 1, (off_t)at), 1);
	q = sample_again(&q);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_TODO);
	ck_assert_int_eq(qfile_add_expansion(q, 0, two, 2), 0);
	fd = qfile_fd(q);
	ck_assert_int_eq(pwrite(fd, "D", 1, (off_t)at), 1);
	q = sample_again(&q);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_EXPANDED);
	ck_assert_uint_eq(qfile_nrcpts(q), 4);
	qfile_free(&q);
}
END_TEST

static void
fill_list(struct qexpansion *v, char (*names)[32], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "member-%zu@example.org",
		    i);
		v[i] = (struct qexpansion){slice_of(names[i]), 2, SLICE_EMPTY,
		    SLICE_EMPTY, false};
	}
}

/* More than one record: all parts or nothing. */
START_TEST(large_expansion)
{
	enum { N = 100000 };
	struct qexpansion *v = calloc(N, sizeof(*v));
	char (*names)[32] = calloc(N, sizeof(*names));
	struct qfile *q = small_file();
	off_t start = lseek(qfile_fd(q), 0, SEEK_END), end;

	ck_assert(v != NULL && names != NULL);
	fill_list(v, names, N);
	ck_assert_int_eq(qfile_add_expansion(q, 0, v, N), 0);
	attempt(q, N + 2, AT(1), AT(61));
	ck_assert_int_eq(qfile_set_state(q, N + 1, QSTATE_DONE), 0);
	q = sample_again(&q);
	ck_assert(!qfile_journal_torn(q));
	ck_assert_uint_eq(qfile_nrcpts(q), N + 2);
	CK_SLICE(qfile_rcpt(q, N + 1)->address, names[N - 1]);
	ck_assert_int_eq(qfile_rcpt(q, N + 1)->state, QSTATE_DONE);
	check_attempt(q, N + 1, 1, AT(1));
	/* Without its last part there is no expansion, but the numbers that
	 * were given out are not given again. */
	end = lseek(qfile_fd(q), 0, SEEK_END);
	ck_assert_int_eq(ftruncate(qfile_fd(q), start + (end - start) / 2), 0);
	q = sample_again(&q);
	ck_assert(qfile_journal_torn(q));
	ck_assert_uint_eq(qfile_nrcpts(q), 2);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_TODO);
	ck_assert_int_eq(qfile_add_expansion(q, 0, v, 2), 0);
	ck_assert_uint_gt(qfile_rcpt(q, 2)->number, 1000);
	attempt(q, qfile_rcpt(q, 3)->number, AT(5), AT(65));
	q = sample_again(&q);
	ck_assert_uint_eq(qfile_nrcpts(q), 4);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_EXPANDED);
	check_attempt(q, 3, 1, AT(5));
	ck_assert(!qfile_journal_torn(q));
	qfile_free(&q);
	free(v);
	free(names);
}
END_TEST

/* A missing part in the middle is noticed too. */
START_TEST(part_lost)
{
	enum { N = 60000 };
	struct qexpansion *v = calloc(N, sizeof(*v));
	char (*names)[32] = calloc(N, sizeof(*names));
	struct qfile *q = small_file();
	off_t start = lseek(qfile_fd(q), 0, SEEK_END);
	char zeros[4096] = "";

	ck_assert(v != NULL && names != NULL);
	fill_list(v, names, N);
	ck_assert_int_eq(qfile_add_expansion(q, 0, v, N), 0);
	ck_assert_int_eq(pwrite(qfile_fd(q), zeros, sizeof(zeros),
	    start + 1200000), sizeof(zeros));
	q = sample_again(&q);
	ck_assert(qfile_journal_torn(q));
	ck_assert_uint_eq(qfile_nrcpts(q), 2);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_TODO);
	qfile_free(&q);
	free(v);
	free(names);
}
END_TEST

static const struct {
	const char *name;
	struct qexpansion e;
} expansion_cases[] = {
	{"kind 0", {{"a", 1}, 0, {"", 0}, {"", 0}, false}},
	{"kind 5", {{"a", 1}, 5, {"", 0}, {"", 0}, false}},
	{"no address", {{"", 0}, 1, {"", 0}, {"", 0}, false}},
	{"long address", {{NULL, ENV_ADDRESS_MAX + 1}, 1, {"", 0}, {"", 0},
	    false}},
	{"long target", {{"a", 1}, 3, {NULL, QFILE_TARGET_MAX + 1}, {"", 0},
	    false}},
	{"long sender", {{"a", 1}, 1, {"", 0}, {NULL, ENV_ADDRESS_MAX + 1},
	    true}},
};

START_TEST(expansions_refused)
{
	static const char room[QFILE_TARGET_MAX + 1];
	struct qexpansion e = expansion_cases[_i].e;
	struct qfile *q = small_file();

	e.address.p = e.address.p != NULL ? e.address.p : room;
	e.target.p = e.target.p != NULL ? e.target.p : room;
	e.sender.p = e.sender.p != NULL ? e.sender.p : room;
	ck_assert_int_eq(qfile_add_expansion(q, 0, &e, 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(qfile_nrcpts(q), 2);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_TODO);
	qfile_free(&q);
}
END_TEST

/* ---- notes ---- */

START_TEST(notes)
{
	struct qfile *q = small_file();

	attempt(q, 1, AT(1), AT(61));
	ck_assert_int_eq(qfile_set_state(q, 1, QSTATE_DONE), 0);
	ck_assert_int_eq(qfile_add_note(q, "hold", SLICE("a <b>; c=d\n"),
	    AT(2)), 0);
	for (int again = 0; again < 2; again++) {
		CK_SLICE(qfile_hold_reason(q), "a <b>; c=d\n");
		CK_SLICE(qfile_rcpt(q, 0)->rule, "hold");
		ck_assert_int_eq(qfile_rcpt(q, 0)->next_ms, AT(61));
		q = sample_again(&q);
	}
	ck_assert_int_eq(qfile_add_note(q, "release", SLICE_EMPTY, AT(3)), 0);
	for (int again = 0; again < 2; again++) {
		CK_SLICE(qfile_hold_reason(q), "");
		CK_SLICE(qfile_rcpt(q, 0)->rule, "admin");
		ck_assert_int_eq(qfile_rcpt(q, 0)->next_ms, AT(3));
		/* Not of a recipient that is done. */
		CK_SLICE(qfile_rcpt(q, 1)->rule, "");
		q = sample_again(&q);
	}
	ck_assert_int_eq(qfile_add_note(q, "hold", SLICE_EMPTY, AT(4)), 0);
	CK_SLICE(qfile_hold_reason(q), "no reason given");
	ck_assert_int_eq(qfile_add_note(q, "retry", SLICE("x"), AT(5)), 0);
	ck_assert_int_eq(qfile_add_note(q, "remove", SLICE("x"), AT(6)), 0);
	q = sample_again(&q);
	CK_SLICE(qfile_hold_reason(q), "no reason given");
	ck_assert_int_eq(qfile_rcpt(q, 0)->next_ms, AT(5));
	ck_assert_int_eq(qfile_add_note(q, "Hold", SLICE("x"), AT(6)), -1);
	ck_assert_int_eq(qfile_add_note(q, "", SLICE("x"), AT(6)), -1);
	ck_assert_int_eq(qfile_add_note(q, "a b", SLICE("x"), AT(6)), -1);
	qfile_free(&q);
}
END_TEST

START_TEST(hint)
{
	struct qfile *q = small_file();
	struct stat st;

	ck_assert_int_eq(qfile_set_hint(q, AT(7)), 0);
	ck_assert_int_eq(qfile_sync(q), 0);
	ck_assert_int_eq(fstat(qfile_fd(q), &st), 0);
	ck_assert_int_eq(st.st_mtim.tv_sec * 1000 +
	    st.st_mtim.tv_nsec / 1000000, AT(7));
	qfile_free(&q);
}
END_TEST

/* ---- damage ---- */

/* A file with three records: attempt on 1, expansion of 2, attempt on 3. */
static struct buf
three_records(uint64_t ends[4])
{
	struct qfile *q = small_file();
	struct buf image;

	ends[0] = (uint64_t)lseek(qfile_fd(q), 0, SEEK_END);
	attempt(q, 1, AT(1), AT(61));
	ends[1] = (uint64_t)lseek(qfile_fd(q), 0, SEEK_END);
	ck_assert_int_eq(qfile_add_expansion(q, 1, two, 2), 0);
	ends[2] = (uint64_t)lseek(qfile_fd(q), 0, SEEK_END);
	attempt(q, 3, AT(2), AT(62));
	ends[3] = (uint64_t)lseek(qfile_fd(q), 0, SEEK_END);
	image = sample_read(qfile_fd(q));
	ck_assert_uint_eq(image.len, ends[3]);
	qfile_free(&q);
	return image;
}

/* q holds these of the three records. */
static void
check_records(struct qfile *q, bool first, bool second, bool third)
{
	if (first)
		check_attempt(q, 0, 1, AT(1));
	else
		ck_assert_uint_eq(qfile_rcpt(q, 0)->attempts, 0);
	if (second)
		check_two(q);
	else {
		ck_assert_uint_eq(qfile_nrcpts(q), 2);
		ck_assert_int_eq(qfile_rcpt(q, 1)->state, QSTATE_TODO);
		return;
	}
	if (third)
		check_attempt(q, 2, 1, AT(2));
	else
		ck_assert_uint_eq(qfile_rcpt(q, 2)->attempts, 0);
}

/* Cut anywhere within the journal: what is whole counts, and what is appended
 * afterwards can be read. */
START_TEST(journal_cut_anywhere)
{
	uint64_t ends[4];
	struct buf image = three_records(ends);

	for (uint64_t n = ends[0]; n <= ends[3]; n++) {
		struct qfile *q = sample_open(slice_mem(image.s, n));
		bool first = n >= ends[1], second = n >= ends[2];
		bool torn = n != ends[0] && n != ends[1] && n != ends[2] &&
		    n != ends[3];

		ck_assert_int_eq(qfile_journal_torn(q), torn);
		check_records(q, first, second, n >= ends[3]);
		attempt(q, 2, AT(9), AT(69));
		q = sample_again(&q);
		ck_assert(!qfile_journal_torn(q));
		check_records(q, first, second, n >= ends[3]);
		check_attempt(q, 1, 1, AT(9));
		qfile_free(&q);
	}
	buf_free(&image);
}
END_TEST

/* The same with zeros where the octets never came.  A record whose last newline
 * alone is missing is whole enough, unless it is the last one. */
START_TEST(journal_zeros_anywhere)
{
	uint64_t ends[4];
	struct buf image = three_records(ends);

	for (uint64_t n = ends[3] - 1; n >= ends[0]; n--) {
		bool first = n >= ends[1] - 1, second = n >= ends[2] - 1;
		struct qfile *q;

		image.s[n] = '\0';
		q = sample_open(buf_slice(&image));
		ck_assert(qfile_journal_torn(q));
		check_records(q, first, second, false);
		attempt(q, 2, AT(9), AT(69));
		q = sample_again(&q);
		ck_assert_int_eq(qfile_journal_torn(q),
		    n == ends[1] - 1 || n == ends[2] - 1);
		check_records(q, first, second, false);
		check_attempt(q, 1, 1, AT(9));
		qfile_free(&q);
	}
	buf_free(&image);
}
END_TEST

/* A record in the middle lost: the others count, and stay. */
START_TEST(journal_record_lost)
{
	uint64_t ends[4];
	struct buf image = three_records(ends);
	struct qfile *q;

	memset(image.s + ends[_i], '\0', ends[_i + 1] - ends[_i]);
	q = sample_open(buf_slice(&image));
	ck_assert(qfile_journal_torn(q));
	check_records(q, _i != 0, _i != 1, true);
	attempt(q, 2, AT(9), AT(69));
	q = sample_again(&q);
	check_records(q, _i != 0, _i != 1, true);
	check_attempt(q, 1, 1, AT(9));
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

START_TEST(journal_bits_flipped_anywhere)
{
	uint64_t ends[4];
	struct buf image = three_records(ends);

	for (uint64_t at = ends[0]; at < ends[3]; at++) {
		for (int bit = 0; bit < 8; bit++) {
			char why[STATUS_TEXT_MAX] = "";
			struct qfile *q = NULL;
			enum qfile_result r;

			image.s[at] = (char)(image.s[at] ^ (1 << bit));
			r = sample_try(buf_slice(&image), &q, why);
			ck_assert_msg(r == QFILE_OK, "%s", why);
			if (qfile_journal_torn(q) &&
			    (at == ends[1] - 1 || at == ends[2] - 1))
				check_records(q, true, true, true);
			else if (qfile_journal_torn(q))
				check_records(q, at >= ends[1],
				    at < ends[1] || at >= ends[2],
				    at < ends[2]);
			else /* then it was a state octet, and still is one */
				ck_assert(qfile_state_valid(image.s[at]) &&
				    (at == qfile_rcpt(q, 2)->state_at ||
				    at == qfile_rcpt(q, 3)->state_at));
			qfile_free(&q);
			image.s[at] = (char)(image.s[at] ^ (1 << bit));
		}
	}
	buf_free(&image);
}
END_TEST

/* ---- records as others may write them ---- */

static void
put_record(struct buf *out, const char *text)
{
	size_t n = strlen(text);

	buf_printf(out, "@%010zu %08x\n%s\n", n,
	    (unsigned)qfile_sum(0, text, n), text);
}

/* A second expansion of the same recipient, as from a program that did not
 * look; its numbers are taken all the same. */
START_TEST(second_record_is_ignored)
{
	struct qfile *q = small_file();
	struct buf image;

	ck_assert_int_eq(qfile_add_expansion(q, 1, two, 2), 0);
	image = sample_read(qfile_fd(q));
	qfile_free(&q);
	put_record(&image, "expand 2 total=2 from=0\nto T 5 mailbox x\n"
	    "to T 6 mailbox y\n");
	q = sample_open(buf_slice(&image));
	check_two(q);
	ck_assert_int_eq(qfile_add_expansion(q, 0, two, 2), 0);
	ck_assert_uint_eq(qfile_rcpt(q, 4)->number, 7);
	q = sample_again(&q);
	ck_assert_uint_eq(qfile_nrcpts(q), 6);
	ck_assert_uint_eq(qfile_rcpt(q, 5)->number, 8);
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

static const struct {
	const char *name, *text;
	enum qfile_result want;
} record_cases[] = {
	{"unknown line", "weather fine\n", QFILE_OK},
	{"unknown line alone", "weather\n", QFILE_OK},
	{"empty line", "\n", QFILE_OK},
	{"critical line", "Weather fine\n", QFILE_NEWER},
	{"unknown pair", "try 1 deferred at=2025-11-24T16:00:00.123Z a=b\n",
	    QFILE_OK},
	{"critical pair", "try 1 deferred A=b\n", QFILE_NEWER},
	{"unknown recipient", "try 9 deferred\n", QFILE_OK},
	{"no recipient", "try\n", QFILE_CORRUPT},
	{"recipient 0", "try 0 deferred\n", QFILE_CORRUPT},
	{"no outcome", "try 1\n", QFILE_CORRUPT},
	{"bad time", "try 1 deferred at=now\n", QFILE_CORRUPT},
	{"bad host", "try 1 deferred host=%\n", QFILE_CORRUPT},
	{"empty host", "try 1 deferred host=\n", QFILE_CORRUPT},
	{"bad text", "try 1 deferred text=a %zz\n", QFILE_CORRUPT},
	{"empty text", "try 1 deferred text=\n", QFILE_OK},
	{"no pair", "try 1 deferred host\n", QFILE_CORRUPT},
	{"to without expand", "to T 3 mailbox a\n", QFILE_CORRUPT},
	{"expand nobody", "expand 1 total=0 from=0\n", QFILE_OK},
	{"expand unknown", "expand 9 total=1 from=0\nto T 10 mailbox a\n",
	    QFILE_OK},
	{"expand twice", "expand 1 total=0\nexpand 1 total=0\n",
	    QFILE_CORRUPT},
	{"expand critical", "expand 1 total=0 From=0\n", QFILE_NEWER},
	{"too few", "expand 1 total=2 from=0\nto T 3 mailbox a\n", QFILE_OK},
	{"too many", "expand 1 total=1 from=0\nto T 3 mailbox a\n"
	    "to T 4 mailbox b\n", QFILE_OK},
	{"middle part", "expand 1 total=2 from=1\nto T 3 mailbox a\n",
	    QFILE_OK},
	{"number falls", "expand 1 total=2 from=0\nto T 3 mailbox a\n"
	    "to T 3 mailbox b\n", QFILE_CORRUPT},
	{"number of another", "expand 1 total=1 from=0\nto T 2 mailbox a\n",
	    QFILE_CORRUPT},
	{"number too large",
	    "expand 1 total=1 from=0\nto T 4294967297 mailbox a\n",
	    QFILE_CORRUPT},
	{"unknown kind", "expand 1 total=1 from=0\nto T 3 pigeon a\n",
	    QFILE_CORRUPT},
	{"critical kind", "expand 1 total=1 from=0\nto T 3 Pigeon a\n",
	    QFILE_NEWER},
	{"no address", "expand 1 total=1 from=0\nto T 3 mailbox\n",
	    QFILE_CORRUPT},
	{"empty address", "expand 1 total=1 from=0\nto T 3 mailbox <>\n",
	    QFILE_CORRUPT},
	{"to critical", "expand 1 total=1 from=0\nto T 3 mailbox a A=b\n",
	    QFILE_NEWER},
	{"note alone", "note\n", QFILE_CORRUPT},
	{"note unknown", "note sing reason=x\n", QFILE_OK},
	{"note critical", "note Sing\n", QFILE_NEWER},
	{"note bad", "note hold at=x\n", QFILE_CORRUPT},
};

START_TEST(records)
{
	struct buf image = sample_small();
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	enum qfile_result r;

	put_record(&image, record_cases[_i].text);
	r = sample_try(buf_slice(&image), &q, why);
	ck_assert_msg(r == record_cases[_i].want, "%s: %d %s",
	    record_cases[_i].name, (int)r, why);
	ck_assert_int_eq(q != NULL, r == QFILE_OK);
	if (q != NULL) {
		ck_assert(!qfile_journal_torn(q));
		ck_assert_uint_eq(qfile_nrcpts(q), 2);
	}
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

/* A remote's words that look like a frame are no frame, not even when the
 * record they stand in is broken. */
START_TEST(words_forge_no_record)
{
	struct qfile *q = small_file();
	struct status st;
	struct qattempt a = {1, AT(1), AT(61), "deferred",
	    SLICE("\n@0000000007 00000000\nnote x\n\n"), &st, "first", false};
	struct buf image;
	char *at;

	status_set(&st, 451, 0, 0, "@0000000001 00000000");
	memcpy(st.text, "\n", 1); /* as status_set would never leave it */
	ck_assert_int_eq(qfile_add_attempts(q, &a, 1), 0);
	image = sample_read(qfile_fd(q));
	at = memmem(image.s, image.len, "try 1", 5);
	ck_assert_ptr_nonnull(at);
	at[0] = 'T';
	qfile_free(&q);
	q = sample_open(buf_slice(&image));
	ck_assert(qfile_journal_torn(q));
	ck_assert_uint_eq(qfile_rcpt(q, 0)->attempts, 0);
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

/* A large journal, read through the window; the last attempt counts. */
START_TEST(long_journal)
{
	struct qfile *q = small_file();
	struct status st = refused();
	struct qattempt *v = calloc(2000, sizeof(*v));

	ck_assert_ptr_nonnull(v);
	for (uint32_t i = 0; i < 2000; i++)
		v[i] = (struct qattempt){1 + i % 2, AT(i), AT(i + 60),
		    "deferred", SLICE("mx 1\n.example"), &st, "first", false};
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(qfile_add_attempts(q, v, 2000), 0);
	q = sample_again(&q);
	ck_assert(!qfile_journal_torn(q));
	check_attempt(q, 0, 20000, AT(1998));
	check_attempt(q, 1, 20000, AT(1999));
	qfile_free(&q);
	free(v);
}
END_TEST

/* Nothing but fake frames: given up in time, without losing anything. */
START_TEST(endless_fakes)
{
	struct buf image = sample_small();
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;

	for (int i = 0; i < 100000; i++)
		buf_adds(&image, "@0001000000 00000000\n\n");
	ck_assert_int_eq(sample_try(buf_slice(&image), &q, why),
	    QFILE_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why, "the journal is beyond repair"));
	ck_assert_ptr_null(q);
	buf_free(&image);
}
END_TEST

/* ---- full disks ---- */

/* An append that falls short leaves everything as it was, and the next one
 * works. */
START_TEST(append_falls_short)
{
	char path[] = "/tmp/postern-qfile.XXXXXX", why[STATUS_TEXT_MAX];
	struct rlimit all, little;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	struct buf image = sample_small();
	struct status st = refused();
	struct qattempt a = {1, AT(1), AT(61), "deferred",
	    SLICE("mx 1\n.example"), &st, "first", false};
	struct qfile *q = NULL;
	struct stat s;
	int fd = mkostemp(path, O_CLOEXEC), r[3];

	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(write(fd, image.s, image.len), (ssize_t)image.len);
	ck_assert_int_eq(qfile_adopt(fd, true, &q, why), QFILE_OK);
	ck_assert_int_eq(sigaction(SIGXFSZ, &ignore, &old), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	little = all;
	little.rlim_cur = image.len + 50;
	/* No assertions meanwhile: Check writes files, too. */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	r[0] = qfile_add_attempts(q, &a, 1) < 0 ? errno : 0;
	r[1] = qfile_add_expansion(q, 1, two, 2) < 0 ? errno : 0;
	r[2] = qfile_add_note(q, "hold", SLICE("x"), AT(1)) < 0 ? errno : 0;
	setrlimit(RLIMIT_FSIZE, &all);
	ck_assert_int_eq(sigaction(SIGXFSZ, &old, NULL), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(r[i], EFBIG);
	ck_assert_uint_eq(qfile_nrcpts(q), 2);
	ck_assert_uint_eq(qfile_rcpt(q, 0)->attempts, 0);
	CK_SLICE(qfile_hold_reason(q), "");
	ck_assert_int_eq(fstat(qfile_fd(q), &s), 0);
	ck_assert_int_eq(s.st_size, (off_t)image.len);
	attempt(q, 2, AT(1), AT(61));
	ck_assert_int_eq(qfile_add_expansion(q, 1, two, 2), 0);
	q = sample_again(&q);
	check_two(q);
	check_attempt(q, 1, 1, AT(1));
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

/* A file opened for reading only is never changed. */
START_TEST(read_only)
{
	char path[] = "/tmp/postern-qfile.XXXXXX", why[STATUS_TEXT_MAX];
	struct buf image = sample_small();
	struct qfile *q = NULL;
	int fd = mkostemp(path, O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image.s, image.len), (ssize_t)image.len);
	close(fd);
	ck_assert_int_eq(qfile_open(AT_FDCWD, path, false, true, &q, why),
	    QFILE_OK);
	unlink(path);
	ck_assert_int_eq(qfile_set_state(q, 0, QSTATE_DONE), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, QSTATE_TODO);
	ck_assert_int_eq(qfile_add_expansion(q, 1, two, 2), -1);
	ck_assert_uint_eq(qfile_nrcpts(q), 2);
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

static TCase *
damage_case(void)
{
	TCase *t = tcase_create("damage");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, journal_cut_anywhere);
	tcase_add_test(t, journal_zeros_anywhere);
	tcase_add_loop_test(t, journal_record_lost, 0, 2);
	tcase_add_test(t, journal_bits_flipped_anywhere);
	tcase_add_test(t, second_record_is_ignored);
	tcase_add_loop_test(t, records, 0, COUNT(record_cases));
	tcase_add_test(t, words_forge_no_record);
	tcase_add_test(t, long_journal);
	tcase_add_test(t, endless_fakes);
	tcase_add_test(t, append_falls_short);
	tcase_add_test(t, read_only);
	return t;
}

Suite *
qfile_journal_suite(void)
{
	Suite *s = suite_create("qfile_journal");
	TCase *t = tcase_create("changes");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, attempts);
	tcase_add_test(t, attempt_text);
	tcase_add_test(t, attempts_refused);
	tcase_add_loop_test(t, states_in_place, 0, COUNT(states));
	tcase_add_test(t, states_refused);
	tcase_add_test(t, expansion);
	tcase_add_test(t, nested_expansion);
	tcase_add_test(t, record_wins_over_octet);
	tcase_add_test(t, second_record_is_ignored);
	tcase_add_test(t, large_expansion);
	tcase_add_test(t, part_lost);
	tcase_add_loop_test(t, expansions_refused, 0, COUNT(expansion_cases));
	tcase_add_test(t, notes);
	tcase_add_test(t, hint);
	suite_add_tcase(s, t);
	suite_add_tcase(s, damage_case());
	return s;
}
