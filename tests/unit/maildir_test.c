/* common/mail/maildir: names both ways, and the look for a message. */
#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mail/maildir.h"

Suite *maildir_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static char dir[64];
static int dirfd = -1;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/maildir_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd, 0);
}

static void
touch(const char *name)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void
teardown(void)
{
	static const char *const files[] = {"m/new/1.a.1.h,S=1",
		"m/cur/2.a.1.h:2,S", "m/cur/3.a.1.h", "file"};
	static const char *const dirs[] = {"m/new", "m/cur", "m/tmp", "m"};

	for (int i = 0; i < COUNT(files); i++)
		unlinkat(dirfd, files[i], 0);
	for (int i = 0; i < COUNT(dirs); i++)
		unlinkat(dirfd, dirs[i], AT_REMOVEDIR);
	close(dirfd);
	ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(make)
{
	struct stat st;

	ck_assert_int_eq(maildir_make(dirfd, "m"), 0);
	ck_assert_int_eq(fstatat(dirfd, "m/tmp", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	/* Again, and with a part missing: no harm. */
	ck_assert_int_eq(unlinkat(dirfd, "m/new", AT_REMOVEDIR), 0);
	ck_assert_int_eq(maildir_make(dirfd, "m"), 0);
	ck_assert_int_eq(fstatat(dirfd, "m/new", &st, 0), 0);
	ck_assert_int_eq(maildir_make(dirfd, "a/b"), -1);
	ck_assert_int_eq(errno, ENOENT);
	touch("file");
	ck_assert_int_eq(maildir_make(dirfd, "file"), -1);
	ck_assert_int_eq(errno, ENOTDIR);
}
END_TEST

START_TEST(name)
{
	struct mail_id id = id_new(INT64_C(1764000000123));
	char out[MAILDIR_NAME_MAX + 1], want[MAILDIR_NAME_MAX + 1];
	char longest[300];
	struct maildir_entry e;

	maildir_name(&id, 7, SLICE("mx.example"), 5, 6, out);
	snprintf(want, sizeof(want), "1764000000.%s.7.mx.example,S=5,W=6",
	    id.s);
	ck_assert_str_eq(out, want);
	maildir_name(&id, 7, SLICE("a/b:c,d\n\xc3"), 5, 6, out);
	snprintf(want, sizeof(want), "1764000000.%s.7.a_b_c_d__,S=5,W=6",
	    id.s);
	ck_assert_str_eq(out, want);
	memset(longest, 'x', sizeof(longest));
	maildir_name(&id, UINT32_MAX, slice_mem(longest, sizeof(longest)),
	    INT64_MAX, INT64_MAX, out);
	ck_assert(maildir_parse(slice_of(out), &e));
	ck_assert(e.has_size && e.size == INT64_MAX);
	ck_assert(e.has_wire && e.wire == INT64_MAX);
}
END_TEST

#define NONE (-1)

static const struct {
	const char *name, *base, *flags; /* base NULL: refused */
	int size, wire;
} parse_cases[] = {
	{"1.a.1.h", "1.a.1.h", "", NONE, NONE},
	{"1.a.1.h,S=20,W=21:2,FS", "1.a.1.h,S=20,W=21", "FS", 20, 21},
	{"1.a.1.h,W=21,S=20:2,", "1.a.1.h,W=21,S=20", "", 20, 21},
	{"1.a.h:1,x", "1.a.h", "", NONE, NONE},
	{"1.a.h:", "1.a.h", "", NONE, NONE},
	{"1.a:b:2,S", "1.a", "", NONE, NONE},
	{"x,S=,W=-1", "x,S=,W=-1", "", NONE, NONE},
	{"x,S=1x,W=99999999999999999999", "x,S=1x,W=99999999999999999999", "",
	    NONE, NONE},
	{"x,S=1,S=2", "x,S=1,S=2", "", 1, NONE},
	{"S=1", "S=1", "", 1, NONE},
	{"a b", "a b", "", NONE, NONE},
	{"", NULL, NULL, NONE, NONE},
	{".", NULL, NULL, NONE, NONE},
	{".hidden", NULL, NULL, NONE, NONE},
	{":2,S", NULL, NULL, NONE, NONE},
	{"a/b", NULL, NULL, NONE, NONE},
	{"a\nb", NULL, NULL, NONE, NONE},
	{"a\rb", NULL, NULL, NONE, NONE},
	{"a:2,\n", NULL, NULL, NONE, NONE},
};

START_TEST(parse)
{
	struct slice s = slice_of(parse_cases[_i].name);
	struct maildir_entry e;
	bool ok = maildir_parse(s, &e);

	ck_assert_msg(ok == (parse_cases[_i].base != NULL), "%s", s.p);
	if (!ok)
		return;
	ck_assert_msg(slice_eq(e.base, slice_of(parse_cases[_i].base)), "%s",
	    s.p);
	ck_assert_msg(slice_eq(e.flags, slice_of(parse_cases[_i].flags)), "%s",
	    s.p);
	ck_assert_msg(e.has_size == (parse_cases[_i].size != NONE), "%s", s.p);
	ck_assert_msg(e.has_wire == (parse_cases[_i].wire != NONE), "%s", s.p);
	if (e.has_size)
		ck_assert_uint_eq(e.size, (uint64_t)parse_cases[_i].size);
	if (e.has_wire)
		ck_assert_uint_eq(e.wire, (uint64_t)parse_cases[_i].wire);
}
END_TEST

START_TEST(parse_nul)
{
	struct maildir_entry e;

	ck_assert(!maildir_parse(SLICE("a\0b"), &e));
}
END_TEST

START_TEST(has)
{
	char longest[300];
	int fd;

	memset(longest, 'x', sizeof(longest));
	ck_assert_int_eq(maildir_make(dirfd, "m"), 0);
	touch("m/new/1.a.1.h,S=1");
	touch("m/cur/2.a.1.h:2,S");
	touch("m/cur/3.a.1.h");
	fd = openat(dirfd, "m", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(maildir_has(fd, SLICE("1.a.1.h,S=1")), 1);
	ck_assert_int_eq(maildir_has(fd, SLICE("2.a.1.h")), 1);
	ck_assert_int_eq(maildir_has(fd, SLICE("3.a.1.h")), 1);
	ck_assert_int_eq(maildir_has(fd, SLICE("1.a.1.h")), 0);
	ck_assert_int_eq(maildir_has(fd, SLICE("2.a.1.h:2,S")), 0);
	ck_assert_int_eq(maildir_has(fd, SLICE("2.a.1")), 0);
	ck_assert_int_eq(maildir_has(fd, slice_mem(longest, 300)), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	close(fd);
	/* A directory that is no Maildir has no messages. */
	ck_assert_int_eq(maildir_has(dirfd, SLICE("1.a.1.h")), 0);
}
END_TEST

Suite *
maildir_suite(void)
{
	Suite *s = suite_create("maildir");
	TCase *t = tcase_create("maildir");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, make);
	tcase_add_test(t, name);
	tcase_add_loop_test(t, parse, 0, COUNT(parse_cases));
	tcase_add_test(t, parse_nul);
	tcase_add_test(t, has);
	suite_add_tcase(s, t);
	return s;
}
