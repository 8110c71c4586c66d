/* Unit tests of postern/pauses.c: the file that qmgr, postern and admins
 * write. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "postern/pauses.h"

Suite *postern_pauses_suite(void);

static char dir[64];
static int dirfd_;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/paused-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	(void)unlinkat(dirfd_, "paused", 0);
	(void)unlinkat(dirfd_, "paused.new", 0);
	close(dirfd_);
	(void)rmdir(dir);
}

static void
put(const char *text, size_t len)
{
	int fd = openat(dirfd_, "paused", O_WRONLY | O_CREAT | O_TRUNC |
	    O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	close(fd);
}

/* "name=reason;" for each */
static void
says(const char *want)
{
	struct buf out = BUF_INIT(4096);
	struct pauses p;

	ck_assert(pauses_load(dirfd_, &p));
	for (size_t i = 0; i < p.n; i++)
		buf_printf(&out, "%.*s=%.*s;", SLICE_FMT(p.v[i].name),
		    SLICE_FMT(p.v[i].reason));
	ck_assert_str_eq(out.s, want);
	pauses_free(&p);
	buf_free(&out);
}

static const struct {
	const char *text, *want;
} files[] = {
	{"", ""}, {"a.example\twhy\n", "a.example=why;"},
	{"a.example\twhy", "a.example=why;"},
	{"a.example\n", "a.example=no reason given;"},
	{"a.example\t\n", "a.example=no reason given;"},
	{"# a note\n\n  \nb\tc d\te\n", "b=c d\te;"},
	{" b \t c \r\n", "b=c \r;"}, {"\tno name\n", "no name=no reason given;"},
};

START_TEST(reads)
{
	put(files[_i].text, strlen(files[_i].text));
	says(files[_i].want);
}
END_TEST

START_TEST(changes)
{
	struct pauses p;

	says("");
	ck_assert(pauses_load(dirfd_, &p));
	ck_assert(pauses_change(dirfd_, &p, SLICE("a.example"), "one\ttwo\n"));
	pauses_free(&p);
	says("a.example=one?two?;");
	ck_assert(pauses_load(dirfd_, &p));
	ck_assert_ptr_nonnull(pauses_find(&p, SLICE("A.Example")));
	ck_assert_ptr_null(pauses_find(&p, SLICE("example")));
	ck_assert(pauses_change(dirfd_, &p, SLICE("b.example"), "x"));
	pauses_free(&p);
	ck_assert(pauses_load(dirfd_, &p));
	ck_assert(pauses_change(dirfd_, &p, SLICE("A.EXAMPLE"), "again"));
	pauses_free(&p);
	says("b.example=x;A.EXAMPLE=again;");
	ck_assert(pauses_load(dirfd_, &p));
	ck_assert(pauses_change(dirfd_, &p, SLICE("a.example"), NULL));
	pauses_free(&p);
	says("b.example=x;");
}
END_TEST

START_TEST(too_large)
{
	static char text[2 * 1024 * 1024];
	struct pauses p;

	memset(text, 'a', sizeof(text));
	put(text, sizeof(text));
	ck_assert(!pauses_load(dirfd_, &p));
	ck_assert_uint_eq(p.n, 0);
	pauses_free(&p);
}
END_TEST

START_TEST(no_file)
{
	struct pauses p;

	ck_assert_int_eq(symlinkat("/etc/passwd", dirfd_, "paused"), 0);
	ck_assert(!pauses_load(dirfd_, &p));
	pauses_free(&p);
}
END_TEST

START_TEST(names)
{
	ck_assert(pauses_name_valid(SLICE("a.example")));
	ck_assert(pauses_name_valid(SLICE("smtp:[192.0.2.1]:25")));
	ck_assert(!pauses_name_valid(SLICE("")));
	ck_assert(!pauses_name_valid(SLICE("#a")));
	ck_assert(!pauses_name_valid(SLICE(" a")));
	ck_assert(!pauses_name_valid(SLICE("a\tb")));
	ck_assert(!pauses_name_valid(SLICE("a\nb")));
	ck_assert(!pauses_name_valid(slice_mem("a\0b", 3)));
}
END_TEST

Suite *
postern_pauses_suite(void)
{
	Suite *s = suite_create("postern_pauses");
	TCase *t = tcase_create("paused");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, reads, 0,
	    (int)(sizeof(files) / sizeof(files[0])));
	tcase_add_test(t, changes);
	tcase_add_test(t, too_large);
	tcase_add_test(t, no_file);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	return s;
}
