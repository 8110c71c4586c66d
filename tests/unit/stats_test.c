/* Unit tests of common/sys/stats and stats_file: counting, what outlives a
 * restart, and files that are not what they should be. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/sys/stats.h"
#include "common/sys/stats_file.h"

Suite *stats_suite(void);

enum { SESSIONS, NOW, TIME, BAD4, BAD5, NROWS };

static const struct stats_row rows[NROWS] = {
	[SESSIONS] = {"t_sessions_total", STATS_COUNTER, "Sessions."},
	[NOW] = {"t_sessions_open", STATS_GAUGE, "Sessions now."},
	[TIME] = {"t_session_seconds", STATS_HISTOGRAM, "How long."},
	[BAD4] = {"t_refused_total{class=\"4\"}", STATS_COUNTER, "Refused."},
	[BAD5] = {"t_refused_total{class=\"5\"}", STATS_COUNTER, "Refused."},
};

static char dir[64], path[128];

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/stats-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/" STATS_DIR, dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/" STATS_DIR "/prog", dir);
}

static void
teardown(void)
{
	static const char *const names[] = {"stats/prog", "stats/prog.bad",
	    "stats/prog.new", "stats/link", "stats", ""};
	char name[128];

	stats_open("/nonexistent", "prog", rows, NROWS); /* lets go */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, names[i]);
		(void)remove(name);
	}
}

static struct stats_file
look(void)
{
	struct stats_file f;
	const char *why = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(stats_file_read(fd, &f, &why) == STATS_FILE_OK, "%s",
	    why);
	close(fd);
	return f;
}

static uint64_t
value(size_t row, size_t more)
{
	struct stats_file f = look();
	uint64_t n;

	ck_assert_uint_eq(f.n, NROWS);
	ck_assert(slice_eq(f.v[row].name, slice_of(rows[row].name)));
	ck_assert(slice_eq(f.v[row].help, slice_of(rows[row].help)));
	ck_assert_int_eq((int)f.v[row].kind, (int)rows[row].kind);
	n = f.values[f.v[row].slot + more];
	stats_file_free(&f);
	return n;
}

START_TEST(counts)
{
	struct stats_file f;
	struct stat st;

	stats_open(dir, "prog", rows, NROWS);
	stats_add(SESSIONS, 1);
	stats_add(SESSIONS, 2);
	stats_set(NOW, 5);
	stats_add(NOW, 2);
	stats_sub(NOW, 3);
	stats_add(BAD5, 7);
	stats_add(NROWS, 1); /* none of ours: nothing happens */
	ck_assert_uint_eq(value(SESSIONS, 0), 3);
	ck_assert_uint_eq(value(NOW, 0), 4);
	ck_assert_uint_eq(value(BAD4, 0), 0);
	ck_assert_uint_eq(value(BAD5, 0), 7);
	f = look();
	ck_assert(slice_eq(f.program, SLICE("prog")));
	ck_assert_uint_eq(f.values[STATS_SLOT_PID], (uint64_t)getpid());
	ck_assert_uint_gt(f.values[STATS_SLOT_START], 0);
	ck_assert_uint_eq(f.bounds, STATS_BOUNDS);
	stats_file_free(&f);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
}
END_TEST

static const struct {
	int64_t us;
	size_t bucket;
	uint64_t sum;
} times[] = {
	{-5, 0, 0}, {0, 0, 0}, {1, 0, 1}, {100, 0, 100}, {101, 1, 101},
	{200, 1, 200}, {201, 2, 201}, {400, 2, 400}, {401, 3, 401},
	{INT64_C(100) << 31, 31, UINT64_C(100) << 31},
	{(INT64_C(100) << 31) + 1, 32, (UINT64_C(100) << 31) + 1},
	{INT64_MAX, 32, INT64_MAX},
};

START_TEST(observes)
{
	stats_open(dir, "prog", rows, NROWS);
	stats_observe(TIME, times[_i].us);
	for (size_t i = 0; i <= STATS_BOUNDS; i++)
		ck_assert_msg(value(TIME, i) == (i == times[_i].bucket),
		    "bucket %zu of %lld", i, (long long)times[_i].us);
	ck_assert_uint_eq(value(TIME, STATS_BOUNDS + 1), times[_i].sum);
}
END_TEST

START_TEST(children_share)
{
	int wstatus;
	pid_t pid;

	stats_open(dir, "prog", rows, NROWS);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 1000; i++)
			stats_add(SESSIONS, 1);
		_exit(0);
	}
	for (int i = 0; i < 1000; i++)
		stats_add(SESSIONS, 1);
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert_uint_eq(value(SESSIONS, 0), 2000);
}
END_TEST

START_TEST(without_a_file)
{
	stats_open("/nonexistent", "prog", rows, NROWS);
	stats_add(SESSIONS, 1);
	stats_set(NOW, 1);
	stats_observe(TIME, 1);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(outlives_a_restart)
{
	struct stat before, after;

	stats_open(dir, "prog", rows, NROWS);
	stats_add(SESSIONS, 3);
	stats_set(NOW, 9);
	stats_observe(TIME, 150);
	ck_assert_int_eq(stat(path, &before), 0);
	stats_open(dir, "prog", rows, NROWS);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	stats_add(SESSIONS, 1);
	ck_assert_uint_eq(value(SESSIONS, 0), 4);
	ck_assert_uint_eq(value(NOW, 0), 0); /* nobody is there yet */
	ck_assert_uint_eq(value(TIME, 1), 1);
}
END_TEST

/* Another release: rows came, went and moved. */
START_TEST(outlives_an_upgrade)
{
	static const struct stats_row older[] = {
		{"t_gone_total", STATS_COUNTER, "No more."},
		{"t_session_seconds", STATS_HISTOGRAM, "In other words."},
		{"t_sessions_total", STATS_COUNTER, "Sessions."},
		{"t_sessions_open_total", STATS_COUNTER, "Another kind then."},
	};

	stats_open(dir, "prog", older, 4);
	stats_add(0, 1);
	stats_observe(1, 150);
	stats_add(2, 5);
	stats_add(3, 6);
	stats_open(dir, "prog", rows, NROWS);
	ck_assert_uint_eq(value(SESSIONS, 0), 5);
	ck_assert_uint_eq(value(TIME, 1), 1);
	ck_assert_uint_eq(value(TIME, STATS_BOUNDS + 1), 150);
	ck_assert_uint_eq(value(NOW, 0), 0);
	stats_add(SESSIONS, 1);
	ck_assert_uint_eq(value(SESSIONS, 0), 6);
}
END_TEST

/* ---- files that are not what they should be ---- */

static struct buf
whole(void)
{
	struct stats_layout to;

	stats_file_text("prog", rows, NROWS, 4096, &to);
	ck_assert(!to.text.overflow);
	ck_assert_uint_eq(to.offset, 4096);
	ck_assert_uint_eq(to.nvalues, 512);
	return to.text;
}

static void
put(struct slice s, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, s.p, s.len), (ssize_t)s.len);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void
is_made_anew(void)
{
	char aside[160];
	struct stat st;

	stats_open(dir, "prog", rows, NROWS);
	stats_add(SESSIONS, 1);
	ck_assert_uint_eq(value(SESSIONS, 0), 1);
	snprintf(aside, sizeof(aside), "%s.bad", path);
	ck_assert_int_eq(lstat(aside, &st), 0);
}

/* Every octet of the text changed, and the file cut at every place. */
START_TEST(damaged)
{
	struct buf b = whole();
	struct stats_file f;
	const char *why;

	for (size_t i = 0; i < b.len; i++) {
		int fd;

		b.s[i] ^= 1;
		put(buf_slice(&b), 8192);
		b.s[i] ^= 1;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_msg(stats_file_read(fd, &f, &why) == STATS_FILE_BAD,
		    "octet %zu", i);
		close(fd);
	}
	is_made_anew();
	buf_free(&b);
}
END_TEST

START_TEST(cut)
{
	static const size_t sizes[] = {0, 1, 16, 100, 4095, 4096, 8191};
	struct buf b = whole();

	put(slice_sub(buf_slice(&b), 0, sizes[_i]), sizes[_i]);
	is_made_anew();
	buf_free(&b);
}
END_TEST

START_TEST(foreign)
{
	char other[128];

	if (_i == 0) {
		ck_assert_int_eq(mkdir(path, 0700), 0);
	} else if (_i == 1) {
		snprintf(other, sizeof(other), "%s/stats/link", dir);
		ck_assert_int_eq(symlink("link", path), 0);
	} else {
		ck_assert_int_eq(mkfifo(path, 0600), 0);
	}
	is_made_anew();
}
END_TEST

START_TEST(huge)
{
	struct slice text = SLICE("postern-stats 1\nprogram prog\n");

	put(text, 1 << 20);
	is_made_anew();
}
END_TEST

/* Texts with a right sum and wrong lines. */
static const struct {
	const char *name, *lines;
	bool good;
} texts[] = {
	{"whole", "program p\norder little\nvalues 4096 512\nbounds 100 32\n"
	    "counter 2 a_total Help.\n", true},
	{"a line of a later release", "program p\nvalues 4096 512\n"
	    "bounds 100 32\nunits 2 seconds\n", true},
	{"no program", "values 4096 512\nbounds 100 32\n", false},
	{"no values", "program p\nbounds 100 32\n", false},
	{"program is a path", "program ../p\nvalues 4096 512\n", false},
	{"other order", "program p\norder middle\nvalues 4096 512\n", false},
	{"offset in the text", "program p\nvalues 8 512\n", false},
	{"offset out of reach", "program p\nvalues 99999999 512\n", false},
	{"too many values", "program p\nvalues 4096 16385\n", false},
	{"a number and more", "program p\nvalues 4096 512 1\n", false},
	{"no bounds", "program p\nvalues 4096 512\ngauge 2 a Help.\n",
	    false},
	{"slot of the start", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "gauge 0 a Help.\n", false},
	{"slot too high", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "gauge 512 a Help.\n", false},
	{"histogram too high", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "histogram 479 a_seconds Help.\n", false},
	{"histogram at the end", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "histogram 478 a_seconds Help.\n", true},
	{"no help", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "counter 2 a\n", false},
	{"a bad name", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "counter 2 A Help.\n", false},
	{"control characters", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "counter 2 a \x1b[2J\n", false},
	{"one name twice", "program p\nvalues 4096 512\nbounds 100 32\n"
	    "gauge 2 a Help.\ngauge 3 a Help.\n", false},
	{"one family, two kinds", "program p\nvalues 4096 512\n"
	    "bounds 100 32\ngauge 2 a Help.\ncounter 3 a_total Help.\n",
	    false},
	{"one family, two labels", "program p\nvalues 4096 512\n"
	    "bounds 100 32\ngauge 2 a{b=\"1\"} Help.\n"
	    "gauge 3 a{b=\"2\"} Help.\n", true},
	{"an empty line", "program p\nvalues 4096 512\n\n", false},
};

static uint32_t
fnv(const char *s)
{
	uint32_t h = UINT32_C(2166136261);

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT32_C(16777619);
	return h;
}

START_TEST(lines)
{
	char text[512], all[640];
	struct stats_file f;
	const char *why;
	int fd, n;

	snprintf(text, sizeof(text), "postern-stats 1\n%s", texts[_i].lines);
	n = snprintf(all, sizeof(all), "%send %08x\n", text,
	    (unsigned)fnv(text));
	put(slice_mem(all, (size_t)n), 8192);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (stats_file_read(fd, &f, &why) == STATS_FILE_OK) {
		ck_assert_msg(texts[_i].good, "%s", texts[_i].name);
		stats_file_free(&f);
	} else {
		ck_assert_msg(!texts[_i].good, "%s", texts[_i].name);
	}
	close(fd);
}
END_TEST

static const struct {
	enum stats_kind kind;
	const char *name;
	const char *family, *labels; /* NULL: no name */
} names[] = {
	{STATS_GAUGE, "a", "a", ""},
	{STATS_COUNTER, "a_total", "a", ""},
	{STATS_HISTOGRAM, "a_seconds", "a_seconds", ""},
	{STATS_COUNTER, "a_total{b=\"c\"}", "a", "b=\"c\""},
	{STATS_GAUGE, "a{b=\"c\",d=\"4-x_y\"}", "a",
	    "b=\"c\",d=\"4-x_y\""},
	{STATS_GAUGE, "a{b=\"\"}", "a", "b=\"\""},
	{STATS_COUNTER, "a", NULL, NULL}, {STATS_COUNTER, "_total", NULL, NULL},
	{STATS_HISTOGRAM, "a", NULL, NULL}, {STATS_GAUGE, "a_total", NULL, NULL},
	{STATS_GAUGE, "a_sum", NULL, NULL}, {STATS_GAUGE, "a_count", NULL, NULL},
	{STATS_GAUGE, "", NULL, NULL}, {STATS_GAUGE, "1a", NULL, NULL},
	{STATS_GAUGE, "a-b", NULL, NULL}, {STATS_GAUGE, "a{}", NULL, NULL},
	{STATS_GAUGE, "a{b}", NULL, NULL}, {STATS_GAUGE, "a{b=c}", NULL, NULL},
	{STATS_GAUGE, "a{b=\"c\"", NULL, NULL},
	{STATS_GAUGE, "a{b=\"c\"}x", NULL, NULL},
	{STATS_GAUGE, "a{b=\"c\",}", NULL, NULL},
	{STATS_GAUGE, "a{b=\"c d\"}", NULL, NULL},
	{STATS_GAUGE, "a b", NULL, NULL}, {STATS_GAUGE, "a{b=\"", NULL, NULL},
	{STATS_GAUGE, "a{b=", NULL, NULL}, {STATS_GAUGE, "a{", NULL, NULL},
	{STATS_GAUGE, "A", NULL, NULL},
};

START_TEST(valid_names)
{
	struct slice name = slice_of(names[_i].name);
	enum stats_kind kind = names[_i].kind;

	ck_assert_msg(stats_name_valid(kind, name) ==
	    (names[_i].family != NULL), "%s", names[_i].name);
	if (names[_i].family == NULL)
		return;
	ck_assert(slice_eq(stats_family(kind, name),
	    slice_of(names[_i].family)));
	ck_assert(slice_eq(stats_labels(name), slice_of(names[_i].labels)));
}
END_TEST

/* Only the process that opened it holds the lock, and as long as it lives. */
START_TEST(says_who_runs)
{
	struct stats_file f;
	int go[2], ready[2], wstatus;
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		stats_open(dir, "prog", rows, NROWS);
		(void)!write(ready[1], "x", 1);
		(void)!read(go[0], &c, 1);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	f = look();
	ck_assert(f.running);
	stats_file_free(&f);
	ck_assert_int_eq(write(go[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	f = look();
	ck_assert(!f.running);
	stats_file_free(&f);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(ready[i]);
	}
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *
stats_suite(void)
{
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("stats");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, counts);
	tcase_add_loop_test(t, observes, 0, N(times));
	tcase_add_test(t, children_share);
	tcase_add_test(t, without_a_file);
	tcase_add_test(t, outlives_a_restart);
	tcase_add_test(t, outlives_an_upgrade);
	tcase_add_test(t, damaged);
	tcase_add_loop_test(t, cut, 0, 7);
	tcase_add_loop_test(t, foreign, 0, 3);
	tcase_add_test(t, huge);
	tcase_add_loop_test(t, lines, 0, N(texts));
	tcase_add_loop_test(t, valid_names, 0, N(names));
	tcase_add_test(t, says_who_runs);
	suite_add_tcase(s, t);
	return s;
}
