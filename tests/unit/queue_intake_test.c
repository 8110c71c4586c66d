/* queue/intake: one message from the channel's record to a durable file. */
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/mem.h"
#include "common/mail/durable.h"
#include "queue/queued.h"
#include "tests/unit/qfile_sample.h"

Suite *queue_intake_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static char dir[64];
static int dirfd_;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/postern-intake.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
	durable_init();
}

/* Names in the directory; removes them with `clean`. */
static int
names(bool clean)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n++;
		if (clean)
			unlinkat(dirfd_, e->d_name, 0);
	}
	closedir(d);
	return n;
}

static void
teardown(void)
{
	names(true);
	close(dirfd_);
	rmdir(dir);
}

/* size octets that look like text and are the same each time. */
static char *
content_of(size_t size)
{
	char *p = mem_array(size + 1, 1);

	for (size_t i = 0; i < size; i++)
		p[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n'
		    : (char)('a' + (i * 7 + i / 72) % 26);
	return p;
}

/* All of the content in pieces; 0 or -1. */
static int
feed(struct intake *m, const char *p, size_t size, size_t piece)
{
	size_t n;

	for (; size > 0; p += n, size -= n) {
		n = size < piece ? size : piece;
		if (intake_content(m, dirfd_, p, n) != 0)
			return -1;
	}
	return 0;
}

/* The whole commit; NULL, or the step that failed, its errno kept. */
static const char *
commit(struct intake *m, enum durable_mode mode)
{
	const char *failed = intake_write(m, dirfd_) != 0 ? "write"
	    : intake_start(m, mode) != 0 ? "start"
	    : intake_link(m, mode) != 0 ? "link"
	    : durable_sync(intake_file(m), mode) != 0 ? "sync" : NULL;
	int error = errno;

	if (failed != NULL)
		intake_discard(m);
	errno = error;
	return failed;
}

static void
check_file(const char *content, size_t size, size_t nrcpts)
{
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	struct buf got;
	int error;
	enum qfile_result r = qfile_open(dirfd_, SAMPLE_ID, false, true, &q,
	    why);

	ck_assert_msg(r == QFILE_OK, "%s", why);
	ck_assert_uint_eq(qfile_nrcpts(q), nrcpts);
	CK_SLICE(qfile_env(q)->from, "sender@example.net");
	CK_SLICE(qfile_env(q)->client_helo, "client.example");
	ck_assert_uint_eq(qfile_content_length(q), size);
	got = sample_message(q, 4096, &error);
	ck_assert_int_eq(error, 0);
	ck_assert_uint_eq(got.len, 16 + size);
	ck_assert_int_eq(memcmp(got.s, "Received: here\r\n", 16), 0);
	ck_assert_int_eq(memcmp(got.s + 16, content, size), 0);
	buf_free(&got);
	qfile_free(&q);
}

/* Around what is kept in memory, and in pieces of all kinds. */
static const struct {
	size_t size, piece;
} sizes[] = {
	{0, 1}, {1, 1}, {100, 1}, {100, 7}, {32767, 32767}, {32768, 32768},
	{32768, 1000}, {32769, 32769}, {32769, 32768}, {32769, 1},
	{40000, 20000}, {65536, 65536}, {70001, 3}, {300000, 65536},
	{3000000, 262144},
};

START_TEST(whole)
{
	size_t size = sizes[_i / 2].size;
	enum durable_mode mode = _i % 2 ? DURABLE_STRICT : DURABLE_ORDERED;
	int before = sample_open_fds();
	char *content = content_of(size);
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);

	ck_assert_int_eq(feed(m, content, size, sizes[_i / 2].piece), 0);
	ck_assert_uint_eq(intake_octets(m), size);
	ck_assert_int_eq(intake_begun(m), size > 32768);
	ck_assert_int_eq(names(false), 0); /* nothing is seen before the end */
	ck_assert_ptr_null(commit(m, mode));
	intake_free(&m);
	ck_assert_ptr_null(m);
	check_file(content, size, 2);
	ck_assert_int_eq(names(true), 1);
	ck_assert_int_eq(sample_open_fds(), before);
	free(content);
}
END_TEST

/* The record's memory is used again while the message is under way. */
START_TEST(outlives_record)
{
	char from[] = "sender@example.net", address[] = "ann@example.org";
	struct env_recipient r = {{address, 15}, SLICE_EMPTY, 0};
	struct envelope env = sample_env();
	struct intake *m;

	env.from = (struct slice){from, sizeof(from) - 1};
	env.recipients = (struct chan_list){&r, 1};
	m = intake_new(&env);
	memset(from, 'x', sizeof(from));
	memset(address, 'x', sizeof(address));
	memset(&r, 0, sizeof(r));
	ck_assert_ptr_null(commit(m, DURABLE_ORDERED));
	intake_free(&m);
	check_file("", 0, 1);
}
END_TEST

static struct env_recipient *
many_rcpts(char (*names_)[40], size_t n, size_t from)
{
	struct env_recipient *v = mem_array(n, sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		snprintf(names_[i], 40, "user%zu@example.org", from + i);
		v[i].address = slice_of(names_[i]);
		v[i].orcpt = SLICE_EMPTY;
	}
	return v;
}

START_TEST(many_recipients)
{
	static char text[ENV_RCPTS_A_RECORD][40];
	char why[STATUS_TEXT_MAX], want[40];
	struct envelope env = sample_env();
	struct qfile *q;
	struct intake *m;
	size_t n = 0, last = 0;

	env.recipients = (struct chan_list){NULL, 0};
	m = intake_new(&env);
	for (int i = 0; i < 5; i++) {
		struct chan_list more = {many_rcpts(text, ENV_RCPTS_A_RECORD,
		    n), ENV_RCPTS_A_RECORD};

		ck_assert(intake_add_recipients(m, &more));
		ck_assert_uint_gt(intake_memory(m), last);
		last = intake_memory(m);
		n += more.n;
		free(more.v);
	}
	ck_assert_ptr_null(commit(m, DURABLE_ORDERED));
	intake_free(&m);
	ck_assert_int_eq(qfile_open(dirfd_, SAMPLE_ID, false, true, &q, why),
	    QFILE_OK);
	ck_assert_uint_eq(qfile_nrcpts(q), n);
	for (size_t i = 0; i < n; i++) {
		snprintf(want, sizeof(want), "user%zu@example.org", i);
		CK_SLICE(qfile_rcpt(q, i)->address, want);
	}
	qfile_free(&q);
}
END_TEST

START_TEST(too_many_recipients)
{
	static char text[ENV_RCPTS_A_RECORD][40];
	struct chan_list more = {many_rcpts(text, ENV_RCPTS_A_RECORD, 0),
	    ENV_RCPTS_A_RECORD};
	struct envelope env = sample_env();
	struct intake *m;
	size_t n = 0;

	env.recipients.n = 0;
	m = intake_new(&env);
	for (; n + more.n <= ENV_RECIPIENTS_MAX; n += more.n)
		ck_assert(intake_add_recipients(m, &more));
	ck_assert(!intake_add_recipients(m, &more));
	ck_assert_uint_eq(intake_env(m)->recipients.n, n);
	intake_free(&m);
	free(more.v);
}
END_TEST

/* Recipients behind an envelope that was written would be lost: refused. */
START_TEST(too_late)
{
	char *content = content_of(40000);
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);
	struct chan_list none = {NULL, 0};

	ck_assert_int_eq(feed(m, content, 40000, 40000), 0);
	ck_assert(!intake_add_recipients(m, &env.recipients));
	ck_assert(!intake_add_recipients(m, &none));
	intake_free(&m);
	ck_assert_int_eq(names(false), 0);
	free(content);
}
END_TEST

START_TEST(no_recipients)
{
	int before = sample_open_fds();
	struct envelope env = sample_env();
	struct intake *m;

	env.recipients.n = 0;
	m = intake_new(&env);
	ck_assert_str_eq(commit(m, DURABLE_ORDERED), "write");
	intake_free(&m);
	ck_assert_int_eq(names(false), 0);
	ck_assert_int_eq(sample_open_fds(), before);
}
END_TEST

/* An id that is taken stays the first one's. */
START_TEST(taken)
{
	char *content = content_of(50000);
	struct envelope env = sample_env();
	struct intake *first = intake_new(&env), *second = intake_new(&env);
	enum durable_mode mode = _i ? DURABLE_STRICT : DURABLE_ORDERED;

	ck_assert_int_eq(feed(first, content, 50000, 50000), 0);
	ck_assert_ptr_null(commit(first, mode));
	ck_assert_int_eq(feed(second, "other\r\n", 7, 7), 0);
	ck_assert_str_eq(commit(second, mode), "link");
	ck_assert_int_eq(errno, EEXIST);
	intake_free(&second);
	intake_free(&first);
	ck_assert_int_eq(names(false), 1);
	check_file(content, 50000, 2);
	free(content);
}
END_TEST

/* What is discarded leaves nothing, whenever that happens. */
START_TEST(discarded)
{
	int before = sample_open_fds();
	char *content = content_of(50000);
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);
	size_t size = _i % 2 ? 50000 : 500;

	ck_assert_int_eq(feed(m, content, size, size), 0);
	switch (_i / 2) {
	case 3:
		ck_assert_int_eq(intake_write(m, dirfd_), 0);
		ck_assert_int_eq(intake_link(m, DURABLE_ORDERED), 0);
		ck_assert_int_eq(names(false), 1);
		break;
	case 2:
		ck_assert_int_eq(intake_write(m, dirfd_), 0);
		ck_assert_int_eq(intake_start(m, DURABLE_ORDERED), 0);
		break;
	case 1:
		ck_assert_int_eq(intake_write(m, dirfd_), 0);
		break;
	default:
		break;
	}
	intake_discard(m);
	intake_discard(m);
	intake_free(&m);
	intake_free(&m);
	ck_assert_int_eq(names(false), 0);
	ck_assert_int_eq(sample_open_fds(), before);
	free(content);
}
END_TEST

/* qmgr's scan must see that queued is not done with it. */
START_TEST(locked)
{
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);
	int fd;

	ck_assert_int_eq(intake_write(m, dirfd_), 0);
	ck_assert_int_eq(intake_link(m, DURABLE_ORDERED), 0);
	fd = openat(dirfd_, SAMPLE_ID, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), -1);
	ck_assert_int_eq(durable_sync(intake_file(m), DURABLE_ORDERED), 0);
	ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), -1);
	intake_free(&m);
	ck_assert_int_eq(flock(fd, LOCK_SH | LOCK_NB), 0);
	close(fd);
}
END_TEST

/* The disk is full behind each so many octets: at whatever step it shows, there
 * is an error and no file. */
START_TEST(full_disk)
{
	int before = sample_open_fds();
	size_t size = _i % 2 ? 100000 : 1000;
	char *content = content_of(size);
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	struct rlimit limit, less;
	const char *failed = "content";
	int set, error;

	sigaction(SIGXFSZ, &ignore, &old);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	less = limit;
	less.rlim_cur = (rlim_t)(_i / 2) * size / 8;
	/* No assertion until it is lifted: Check writes to a file. */
	set = setrlimit(RLIMIT_FSIZE, &less);
	if (feed(m, content, size, 16384) == 0)
		failed = commit(m, DURABLE_ORDERED);
	else
		intake_discard(m);
	error = errno;
	set += setrlimit(RLIMIT_FSIZE, &limit);
	sigaction(SIGXFSZ, &old, NULL);
	ck_assert_int_eq(set, 0);
	ck_assert_ptr_nonnull(failed);
	ck_assert_int_eq(error, EFBIG);
	intake_free(&m);
	ck_assert_int_eq(names(false), 0);
	ck_assert_int_eq(sample_open_fds(), before);
	free(content);
}
END_TEST

#define EDIT(o, s, t) {(o), (s), {(t), sizeof(t) - 1}}

static const struct {
	const char *name;
	bool ok;
	size_t n;
	struct env_edit edits[4];
	const char *want;
} edit_cases[] = {
	{"none", true, 0, {EDIT(0, 0, "")}, "Ab\r\nCd\r\n\r\nEf\r\n"},
	{"in front", true, 1, {EDIT(0, 0, "X\r\n")},
	    "X\r\nAb\r\nCd\r\n\r\nEf\r\n"},
	{"at the end", true, 1, {EDIT(14, 0, "X\r\n")},
	    "Ab\r\nCd\r\n\r\nEf\r\nX\r\n"},
	{"all of it", true, 1, {EDIT(0, 14, "")}, ""},
	{"replaced", true, 1, {EDIT(4, 4, "X\r\n")},
	    "Ab\r\nX\r\n\r\nEf\r\n"},
	{"side by side", true, 3, {EDIT(0, 0, "X\r\n"), EDIT(0, 4, ""),
	    EDIT(4, 4, "")}, "X\r\n\r\nEf\r\n"},
	{"an empty line", true, 1, {EDIT(4, 0, "\r\n")},
	    "Ab\r\n\r\nCd\r\n\r\nEf\r\n"},
	{"behind the end", false, 1, {EDIT(15, 0, "X\r\n")}, NULL},
	{"over the end", false, 1, {EDIT(10, 5, "")}, NULL},
	{"far over it", false, 1, {EDIT(10, UINT64_MAX, "")}, NULL},
	{"far behind it", false, 1, {EDIT(UINT64_MAX, 1, "")}, NULL},
	{"overlapping", false, 2, {EDIT(0, 4, ""), EDIT(3, 1, "")}, NULL},
	{"falling", false, 2, {EDIT(4, 0, "X\r\n"), EDIT(0, 0, "X\r\n")},
	    NULL},
	{"nothing", false, 1, {EDIT(0, 0, "")}, NULL},
	{"no line", false, 1, {EDIT(0, 0, "X")}, NULL},
	{"bare LF", false, 1, {EDIT(0, 0, "X\n")}, NULL},
	{"bare CR", false, 1, {EDIT(0, 0, "X\rY\r\n")}, NULL},
	{"a lone CR at the end", false, 1, {EDIT(0, 0, "X\r\n\r")}, NULL},
	{"NUL", false, 1, {EDIT(0, 0, "X\0\r\n")}, NULL},
};

START_TEST(edits)
{
	struct chan_list list = {(void *)(uintptr_t)edit_cases[_i].edits,
	    edit_cases[_i].n};
	char text[4][8], why[STATUS_TEXT_MAX] = "";
	struct env_edit copy[4];
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);
	struct qfile *q = NULL;
	struct buf got;
	int error;

	/* The record dies: what it pointed to must have been copied. */
	for (size_t i = 0; i < list.n; i++) {
		copy[i] = edit_cases[_i].edits[i];
		memcpy(text[i], copy[i].text.p, copy[i].text.len);
		copy[i].text.p = text[i];
	}
	list.v = copy;
	ck_assert_int_eq(feed(m, "Ab\r\nCd\r\n\r\nEf\r\n", 14, 5), 0);
	ck_assert_msg(intake_set_edits(m, &list) == edit_cases[_i].ok, "%s",
	    edit_cases[_i].name);
	memset(copy, 0, sizeof(copy));
	memset(text, 0, sizeof(text));
	if (edit_cases[_i].ok) {
		ck_assert_ptr_null(commit(m, DURABLE_ORDERED));
		ck_assert_msg(qfile_open(dirfd_, SAMPLE_ID, false, true, &q,
		    why) == QFILE_OK, "%s: %s", edit_cases[_i].name, why);
		ck_assert_uint_eq(qfile_content_length(q), 14);
		got = sample_message(q, 4096, &error);
		ck_assert_int_eq(error, 0);
		ck_assert_msg(slice_eq(slice_sub(buf_slice(&got), 16,
		    got.len), slice_of(edit_cases[_i].want)), "%s: got %s",
		    edit_cases[_i].name, got.s);
		buf_free(&got);
		qfile_free(&q);
	}
	intake_free(&m);
}
END_TEST

START_TEST(no_directory)
{
	char *content = content_of(40000);
	struct envelope env = sample_env();
	struct intake *m = intake_new(&env);

	ck_assert_int_eq(intake_content(m, -1, content, 100), 0);
	ck_assert_int_eq(intake_write(m, -1), -1);
	ck_assert_int_eq(errno, EBADF);
	intake_discard(m);
	ck_assert_int_eq(intake_content(m, -1, content, 40000), -1);
	ck_assert_int_eq(errno, EBADF);
	intake_free(&m);
	free(content);
}
END_TEST

Suite *
queue_intake_suite(void)
{
	Suite *s = suite_create("queue_intake");
	TCase *t = tcase_create("queue_intake");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, whole, 0, 2 * COUNT(sizes));
	tcase_add_test(t, outlives_record);
	tcase_add_test(t, many_recipients);
	tcase_add_test(t, too_many_recipients);
	tcase_add_test(t, too_late);
	tcase_add_test(t, no_recipients);
	tcase_add_loop_test(t, taken, 0, 2);
	tcase_add_loop_test(t, discarded, 0, 8);
	tcase_add_test(t, locked);
	tcase_add_loop_test(t, full_disk, 0, 18);
	tcase_add_test(t, no_directory);
	tcase_add_loop_test(t, edits, 0,
	    (int)(sizeof(edit_cases) / sizeof(edit_cases[0])));
	suite_add_tcase(s, t);
	return s;
}
