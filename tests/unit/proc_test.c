/* The start of a program, what the supervisor hands over, users. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sys/proc.h"
#include "common/sys/user.h"

Suite *proc_suite(void);

/* Runs fn in a child with a quiet stderr: 0 when it returned true. */
static int
in_child(bool (*fn)(void))
{
	pid_t pid = fork();
	int status, null;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		_exit(fn() ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
start(void)
{
	static char name[] = "test", *argv[] = {name, NULL};

	/* Not the test's own arguments: the title is written over them. */
	proc_start(1, argv, environ, "test");
}

static bool
closed_standard_fds(void)
{
	mode_t mask;

	close(0);
	close(1);
	start();
	mask = umask(0);
	return is_open(0) && is_open(1) && is_open(2) && mask == 077;
}

static bool
survives_sigpipe(void)
{
	int v[2];

	start();
	if (pipe(v) != 0)
		return false;
	close(v[0]);
	return write(v[1], "x", 1) == -1 && errno == EPIPE;
}

/* Descriptors 10 to 19 are open; which of them stay? */
static const struct {
	int keep[5];
	size_t n;
	const char *open; /* of 10 to 19 */
} keeps[] = {
	{{0}, 0, "----------"},
	{{10}, 1, "+---------"},
	{{19, 10}, 2, "+--------+"},
	{{12, 11, 12, -1, 2}, 5, "-++-------"},
	{{15, 13}, 2, "---+-+----"},
	{{40}, 1, "----------"},
};

static int keep_case;

static bool
close_others(void)
{
	int fd;

	for (fd = 10; fd < 20; fd++)
		if (dup2(0, fd) == -1)
			return false;
	dup2(0, 100);
	proc_close_except(keeps[keep_case].keep, keeps[keep_case].n);
	for (fd = 10; fd < 20; fd++)
		if (is_open(fd) != (keeps[keep_case].open[fd - 10] == '+'))
			return false;
	return !is_open(100) && is_open(0) && is_open(2);
}

START_TEST(close_except)
{
	keep_case = _i;
	ck_assert_int_eq(in_child(close_others), 0);
}
END_TEST

static void
set_listen(const char *pid, const char *fds, const char *names)
{
	char own[16];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	if (pid != NULL)
		setenv("LISTEN_PID", strcmp(pid, "own") == 0 ? own : pid, 1);
	setenv("LISTEN_FDS", fds, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
	dup2(0, 3);
	dup2(0, 4);
}

static bool
listen_two(void)
{
	set_listen("own", "2", "smtp:pop");
	return proc_listen_fds() == 2 && proc_listen_fds() == 2 &&
	    strcmp(proc_listen_name(0), "smtp") == 0 &&
	    strcmp(proc_listen_name(1), "pop") == 0 &&
	    proc_listen_name(2)[0] == '\0' &&
	    proc_listen_name(-1)[0] == '\0' &&
	    fcntl(3, F_GETFD) == FD_CLOEXEC &&
	    getenv("LISTEN_FDS") == NULL;
}

static bool
listen_without_pid(void)
{
	set_listen(NULL, "2", NULL);
	return proc_listen_fds() == 2 && proc_listen_name(0)[0] == '\0';
}

static bool
listen_of_another(void)
{
	set_listen("1", "2", "smtp:pop");
	return proc_listen_fds() == 0 && proc_listen_name(0)[0] == '\0';
}

static bool
listen_wrong_number(void)
{
	set_listen("own", "4294967298", NULL);
	return proc_listen_fds() == 0;
}

static bool
readiness(void)
{
	char dir[] = "/tmp/proc.XXXXXX", got[64];
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int v[2], s = socket(AF_UNIX, SOCK_DGRAM, 0);
	bool ok;

	if (mkdtemp(dir) == NULL || pipe(v) != 0)
		return false;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", dir);
	ok = bind(s, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	start();
	unlink(sa.sun_path); /* connected already: a cage hides the path */
	rmdir(dir);
	ok = ok && getenv("NOTIFY_SOCKET") == NULL;
	proc_ready_fd(v[1]);
	proc_ready();
	ok = ok && read(v[0], got, sizeof(got)) == 1 && got[0] == '\n' &&
	    read(v[0], got, sizeof(got)) == 0; /* and closed */
	ok = ok && recv(s, got, sizeof(got), 0) == 7 &&
	    memcmp(got, "READY=1", 7) == 0;
	proc_reloading();
	ok = ok && recv(s, got, sizeof(got), 0) > 12 &&
	    memcmp(got, "RELOADING=1\n", 12) == 0;
	proc_stopping();
	return ok && recv(s, got, sizeof(got), 0) == 10 &&
	    memcmp(got, "STOPPING=1", 10) == 0;
}

static bool
no_readiness(void)
{
	unsetenv("NOTIFY_SOCKET");
	start();
	proc_ready();
	proc_stopping();
	return true;
}

static void
handler(int signo)
{
	(void)signo;
}

/* A child has no handler of its parent and nothing blocked. */
static bool
fork_resets(void)
{
	struct sigaction sa = {.sa_handler = handler};
	sigset_t all;
	int status;
	pid_t pid;

	sigaction(SIGTERM, &sa, NULL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pid = proc_fork("sid");
	if (pid == 0) {
		raise(SIGTERM);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	    WTERMSIG(status) == SIGTERM;
}

static bool
bad_ready_fd(void)
{
	proc_ready_fd(999);
	return true;
}

static const struct {
	const char *name;
	bool (*fn)(void);
	int want;
} cases[] = {
	{"closed standard descriptors", closed_standard_fds, 0},
	{"SIGPIPE", survives_sigpipe, 0},
	{"LISTEN_FDS", listen_two, 0},
	{"LISTEN_FDS without LISTEN_PID", listen_without_pid, 0},
	{"LISTEN_FDS of another process", listen_of_another, 0},
	{"LISTEN_FDS that wraps", listen_wrong_number, 0},
	{"readiness", readiness, 0},
	{"nobody asks", no_readiness, 0},
	{"signals after fork", fork_resets, 0},
	{"-d with a closed descriptor", bad_ready_fd, 100},
};

START_TEST(process)
{
	int got = in_child(cases[_i].fn);

	ck_assert_msg(got == cases[_i].want, "%s: %d", cases[_i].name, got);
}
END_TEST

START_TEST(max_files)
{
	ck_assert_int_gt(proc_max_files(), 3);
}
END_TEST

START_TEST(find)
{
	struct sys_user user = {77, 77};
	struct passwd *pw = getpwnam("root");

	ck_assert(!user_find("no-such-user-here", &user));
	ck_assert_int_eq(errno, 0);
	ck_assert_uint_eq(user.uid, 77);
	ck_assert_ptr_nonnull(pw);
	ck_assert(user_find("root", &user));
	ck_assert_uint_eq(user.uid, 0);
}
END_TEST

static bool
need_nobody(void)
{
	user_need("user_smtpd", "no-such-user-here");
	return true;
}

static bool
need_root(void)
{
	user_need("user_smtpd", "root");
	return true;
}

/* As root a missing user ends the program; else it is who one is. */
START_TEST(need)
{
	int want = geteuid() == 0 ? 100 : 0;

	ck_assert_int_eq(in_child(need_nobody), want);
	ck_assert_int_eq(in_child(need_root), want);
	if (want == 0)
		ck_assert_uint_eq(user_need("k", "no-such-user").uid,
		    geteuid());
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
proc_suite(void)
{
	Suite *s = suite_create("proc");
	TCase *t = tcase_create("proc");

	tcase_add_loop_test(t, process, 0, COUNT(cases));
	tcase_add_loop_test(t, close_except, 0, COUNT(keeps));
	tcase_add_test(t, max_files);
	tcase_add_test(t, find);
	tcase_add_test(t, need);
	suite_add_tcase(s, t);
	return s;
}
