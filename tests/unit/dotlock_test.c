/* common/mail/dotlock: one at a time, the dead ones' removed, Dovecot's kept. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/mail/dotlock.h"

Suite *dotlock_suite(void);

static char dir[64];
static int dirfd = -1;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/dotlock_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd, 0);
}

static void
teardown(void)
{
	unlinkat(dirfd, "lock", 0);
	close(dirfd);
	ck_assert_int_eq(rmdir(dir), 0);
}

static bool
exists(void)
{
	struct stat st;

	return fstatat(dirfd, "lock", &st, 0) == 0;
}

static void
write_lock(const char *text, time_t age)
{
	struct timespec times[2];
	int fd = openat(dirfd, "lock", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	times[0].tv_sec = times[1].tv_sec = time(NULL) - age;
	times[0].tv_nsec = times[1].tv_nsec = 0;
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
}

START_TEST(excludes)
{
	struct dotlock a, b;
	int64_t from = clock_mono_ms();

	ck_assert_int_eq(dotlock_take(&a, dirfd, "lock", 0), DOTLOCK_OK);
	ck_assert(exists());
	ck_assert_int_eq(dotlock_take(&b, dirfd, "lock", from + 50),
	    DOTLOCK_BUSY);
	ck_assert_int_ge(clock_mono_ms(), from + 50);
	dotlock_release(&a);
	ck_assert(!exists());
	ck_assert_int_eq(dotlock_take(&b, dirfd, "lock", 0), DOTLOCK_OK);
	dotlock_release(&b);
}
END_TEST

START_TEST(dead_holder)
{
	struct dotlock l;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* Dies with the lock, as after kill -9. */
		_exit(dotlock_take(&l, dirfd, "lock", 0) == DOTLOCK_OK ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(exists());
	ck_assert_int_eq(dotlock_take(&l, dirfd, "lock",
	    clock_mono_ms() + 1000), DOTLOCK_OK);
	dotlock_release(&l);
}
END_TEST

START_TEST(dovecots)
{
	struct dotlock l;

	/* Held by a process we cannot know: only its age counts, and a file's
	 * ctime cannot be set back. */
	write_lock("1234:mx.example", 0);
	ck_assert_int_eq(dotlock_take(&l, dirfd, "lock",
	    clock_mono_ms() + 20), DOTLOCK_BUSY);
	write_lock("1234:mx.example", 1000);
	ck_assert_int_eq(dotlock_take(&l, dirfd, "lock",
	    clock_mono_ms() + 20), DOTLOCK_BUSY);
	ck_assert(exists());
}
END_TEST

START_TEST(overridden)
{
	struct dotlock l;

	ck_assert_int_eq(dotlock_take(&l, dirfd, "lock", 0), DOTLOCK_OK);
	ck_assert_int_eq(unlinkat(dirfd, "lock", 0), 0);
	write_lock("1234:mx.example", 0);
	dotlock_release(&l);
	ck_assert(exists());
}
END_TEST

START_TEST(impossible)
{
	struct dotlock l;

	ck_assert_int_eq(dotlock_take(&l, dirfd, "no/lock",
	    clock_mono_ms() + 1000), DOTLOCK_ERROR);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* Processes add to a number in turn; none may be lost. */
START_TEST(many)
{
	enum { PROCESSES = 4, ROUNDS = 25 };
	int *count, fd = openat(dirfd, "count", O_RDWR | O_CREAT, 0600);
	int sum = 0, status;
	pid_t pids[PROCESSES];

	ck_assert_int_eq(write(fd, &sum, sizeof(sum)), sizeof(sum));
	count = &sum;
	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p] != 0)
			continue;
		for (int i = 0; i < ROUNDS; i++) {
			struct dotlock l;

			if (dotlock_take(&l, dirfd, "lock",
			    clock_mono_ms() + 20000) != DOTLOCK_OK ||
			    pread(fd, count, sizeof(*count), 0) < 0)
				_exit(1);
			++*count;
			if (pwrite(fd, count, sizeof(*count), 0) < 0)
				_exit(1);
			dotlock_release(&l);
		}
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++) {
		/* Not any child: other tests may have left some. */
		ck_assert_int_eq(waitpid(pids[p], &status, 0), pids[p]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(pread(fd, &sum, sizeof(sum), 0), sizeof(sum));
	ck_assert_int_eq(sum, PROCESSES * ROUNDS);
	close(fd);
	unlinkat(dirfd, "count", 0);
}
END_TEST

Suite *
dotlock_suite(void)
{
	Suite *s = suite_create("dotlock");
	TCase *t = tcase_create("dotlock");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, excludes);
	tcase_add_test(t, dead_holder);
	tcase_add_test(t, dovecots);
	tcase_add_test(t, overridden);
	tcase_add_test(t, impossible);
	tcase_add_test(t, many);
	suite_add_tcase(s, t);
	return s;
}
