/* common/mail/durable: files that are visible whole or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "common/mail/durable.h"

Suite *durable_suite(void);

static char dir[64];
static int dirfd_;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/postern-durable.XXXXXX");
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

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
check_text(const char *name, const char *want)
{
	char got[64] = "";
	int fd = openat(dirfd_, name, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, got, sizeof(got) - 1), 0);
	close(fd);
	ck_assert_str_eq(got, want);
}

/* The whole life of one file; hidden: where O_TMPFILE does not work. */
static void
life(enum durable_mode mode, bool hidden)
{
	int before = open_fds();
	struct durable d, other;
	struct stat st;

	ck_assert_int_eq(durable_open(&d, dirfd_, 0600), 0);
	ck_assert_int_eq(d.tmp[0] != '\0', hidden);
	ck_assert_int_eq(names(false), hidden);
	ck_assert_int_eq(write(d.fd, "whole", 5), 5);
	ck_assert_int_eq(durable_start(&d, mode), 0);
	ck_assert_int_eq(durable_flush(&d, mode), 0);
	ck_assert(!d.linked);
	ck_assert_int_eq(durable_link(&d, "name"), 0);
	ck_assert(d.linked);
	ck_assert_int_eq(durable_sync(&d, mode), 0);
	ck_assert_int_eq(fstat(d.fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 1);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	durable_drop(&d, NULL);
	ck_assert_int_eq(d.fd, -1);
	check_text("name", "whole");
	ck_assert_int_eq(names(false), 1);

	/* A name that is taken is never replaced, and nothing stays behind. */
	ck_assert_int_eq(durable_open(&other, dirfd_, 0600), 0);
	ck_assert_int_eq(write(other.fd, "other", 5), 5);
	ck_assert_int_eq(durable_flush(&other, mode), 0);
	ck_assert_int_eq(durable_link(&other, "name"), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(durable_link(&other, "second"), 0);
	durable_drop(&other, "second");
	check_text("name", "whole");
	ck_assert_int_eq(names(true), 1);
	ck_assert_int_eq(open_fds(), before);
}

START_TEST(nameless)
{
	life(_i == 0 ? DURABLE_ORDERED : DURABLE_STRICT, false);
}
END_TEST

/* A forked child forgets its parent's table of descriptors, in which its own
 * numbers are other files, and works with hidden names until it asks anew. */
START_TEST(forked)
{
	int wstatus;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct durable d;
		bool good = durable_open(&d, dirfd_, 0600) == 0 &&
		    d.tmp[0] == '.';

		durable_drop(&d, NULL);
		good = good && names(false) == 0;
		durable_init();
		good = good && durable_open(&d, dirfd_, 0600) == 0 &&
		    d.tmp[0] == '\0' && durable_link(&d, "child") == 0;
		_exit(good ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert_int_eq(wstatus, 0);
	check_text("child", "");
}
END_TEST

/* What a child does that cannot reach /proc. */
START_TEST(hidden_names)
{
	int wstatus;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		life(_i == 0 ? DURABLE_ORDERED : DURABLE_STRICT, true);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert_int_eq(wstatus, 0);
}
END_TEST

/* As in a parent whose children lose sight of /proc. */
START_TEST(prepared)
{
	int before;
	struct durable d;

	durable_prepare();
	before = open_fds();
	durable_init();
	/* The way to /proc is closed behind the one to the own table. */
	ck_assert_int_eq(open_fds(), before - 1);
	ck_assert_int_eq(durable_open(&d, dirfd_, 0600), 0);
	ck_assert_int_eq(durable_link(&d, "prepared"), 0);
	durable_drop(&d, NULL);
	check_text("prepared", "");
}
END_TEST

START_TEST(dropped)
{
	struct durable d;

	ck_assert_int_eq(durable_open(&d, dirfd_, 0600), 0);
	ck_assert_int_eq(write(d.fd, "half", 4), 4);
	errno = ENOSPC;
	durable_drop(&d, NULL);
	ck_assert_int_eq(errno, ENOSPC);
	durable_drop(&d, NULL); /* twice does no harm */
	ck_assert_int_eq(names(false), 0);
}
END_TEST

START_TEST(no_directory)
{
	int before = open_fds();
	struct durable d;

	ck_assert_int_eq(durable_open(&d, -1, 0600), -1);
	ck_assert_int_eq(errno, EBADF);
	durable_drop(&d, NULL);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* Two files linked, then both synced: the shared commit. */
START_TEST(batch)
{
	struct durable d[8];
	char name[16];

	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(durable_open(&d[i], dirfd_, 0600), 0);
		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_int_eq(write(d[i].fd, name, strlen(name)), 2);
		ck_assert_int_eq(durable_start(&d[i], DURABLE_ORDERED), 0);
	}
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_int_eq(durable_flush(&d[i], DURABLE_ORDERED), 0);
		ck_assert_int_eq(durable_link(&d[i], name), 0);
	}
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_int_eq(durable_sync(&d[i], DURABLE_ORDERED), 0);
		durable_drop(&d[i], NULL);
		check_text(name, name);
	}
}
END_TEST

/* Whatever lies below: an answer, and strict where nothing is known. */
START_TEST(detect)
{
	enum durable_mode mode = durable_detect(dirfd_);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert(mode == DURABLE_ORDERED || mode == DURABLE_STRICT);
	ck_assert_int_eq(durable_detect(proc), DURABLE_STRICT);
	ck_assert_int_eq(durable_detect(-1), DURABLE_STRICT);
	close(proc);
}
END_TEST

Suite *
durable_suite(void)
{
	Suite *s = suite_create("durable");
	TCase *t = tcase_create("durable");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, nameless, 0, 2);
	tcase_add_test(t, forked);
	tcase_add_loop_test(t, hidden_names, 0, 2);
	tcase_add_test(t, prepared);
	tcase_add_test(t, dropped);
	tcase_add_test(t, no_directory);
	tcase_add_test(t, batch);
	tcase_add_test(t, detect);
	suite_add_tcase(s, t);
	return s;
}
