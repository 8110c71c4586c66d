/*
 * local/program and the spawner's rules: programs run for real, in a process of
 * their own that becomes the user, as below the spawner.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "common/base/clock.h"
#include "common/sys/proc.h"
#include "local/spawner.h"
#include "tests/unit/qfile_sample.h"

Suite *local_program_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define NOBODY 65534
#define HELLO SLICE("Subject: hello\r\n\r\nHello.\r\n")

static char home[64];
static struct spawner spawner;
static const char *const where[] = {"/nonexistent", "/usr/bin", "/bin"};
static const char *path_list[COUNT(where)];

static void
setup(void)
{
	umask(022);
	snprintf(home, sizeof(home), "/tmp/postern-program.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(home));
	if (geteuid() == 0)
		ck_assert_int_eq(chown(home, NOBODY, NOBODY), 0);
	memset(&spawner, 0, sizeof(spawner));
	for (int i = 0; i < COUNT(where); i++)
		path_list[i] = where[i];
	spawner.conf.pipe_path.v = path_list;
	spawner.conf.pipe_path.n = COUNT(where);
	spawner.conf.pipe_timeout_ms = 20000;
	spawner.conf.pipe_output_max = 4096;
}

static void
teardown(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", home, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
}

static struct delivery_job
job_of(const char *command)
{
	bool root = geteuid() == 0;

	return (struct delivery_job){.id = SLICE(SAMPLE_ID), .number = 1,
	    .kind = DELIVERY_PROGRAM, .address = SLICE("ann+x@example.org"),
	    .sender = SLICE("sender@example.net"), .extension = SLICE("x"),
	    .user = SLICE("ann"), .uid = root ? NOBODY : geteuid(),
	    .gid = root ? NOBODY : getegid(), .home = slice_of(home),
	    .program = slice_of(command)};
}

static int
message_fd(struct slice content)
{
	struct envelope env = sample_env();
	struct buf image = sample_image(&env, content);
	int fd = sample_fd(buf_slice(&image));

	buf_free(&image);
	return fd;
}

/* As the spawner does it; fd is closed here. */
static struct status
run_fd(const struct delivery_job *j, int fd)
{
	struct status st = {.code = 0};
	int pair[2], keep[2], wstatus;
	pid_t pid;

	ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
	pid = proc_fork(NULL);
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		keep[0] = pair[1];
		keep[1] = fd;
		proc_close_except(keep, 2);
		program_run(&spawner, j, fd, &st);
		_exit(write(pair[1], &st, sizeof(st)) != sizeof(st));
	}
	close(pair[1]);
	close(fd);
	ck_assert_int_eq(read(pair[0], &st, sizeof(st)), sizeof(st));
	close(pair[0]);
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert_int_eq(wstatus, 0);
	return st;
}

static struct status
run(const char *command, struct slice content)
{
	struct delivery_job j = job_of(command);

	return run_fd(&j, message_fd(content));
}

static struct buf
read_back(const char *name)
{
	struct buf text;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", home, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s", path);
	text = sample_read(fd);
	close(fd);
	return text;
}

static bool
exists(const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", home, name);
	return lstat(path, &st) == 0;
}

/* ---- exit codes ---- */

static const struct {
	int code;
	uint32_t reply;
} codes[] = {
	{0, 250}, {99, 250}, {100, 550}, {111, 451}, {1, 451}, {2, 451},
	{63, 451}, {64, 550}, {65, 550}, {66, 451}, {67, 550}, {68, 550},
	{69, 550}, {70, 550}, {71, 451}, {72, 550}, {73, 550}, {74, 451},
	{75, 451}, {76, 550}, {77, 550}, {78, 550}, {79, 451}, {126, 451},
	{127, 451}, {255, 451},
};

START_TEST(outcome)
{
	struct status st;

	program_outcome(codes[_i].code << 8, "some words", &st);
	ck_assert_uint_eq(st.code, codes[_i].reply);
	if (codes[_i].code != 0)
		ck_assert_ptr_nonnull(strstr(st.text, ": some words"));
	program_outcome(codes[_i].code << 8, "", &st);
	ck_assert_uint_eq(st.code, codes[_i].reply);
	ck_assert_ptr_null(strchr(st.text, ':'));
	program_outcome(9, "words", &st);
	ck_assert_uint_eq(st.code, 451);
	ck_assert_ptr_nonnull(strstr(st.text, "signal 9"));
}
END_TEST

/* What a command line comes to. */
static const struct {
	const char *command;
	uint32_t code;
	const char *words; /* in the text */
} cases[] = {
	{"/bin/true", 250, "Delivered to program"},
	{"true", 250, "Delivered to program"},
	{"/bin/sh -c 'exit 67'", 550, "does not know the user"},
	{"/bin/sh -c 'echo no such box; exit 67'", 550, ": no such box"},
	{"/bin/sh -c 'echo full >&2; exit 75'", 451, ": full"},
	{"/bin/sh -c 'echo a; echo b; exit 1'", 451, "status 1: a b"},
	{"/bin/sh -c 'printf \"a\\033[2Jb\\001\"; exit 1'", 451, "a?[2Jb?"},
	{"/bin/sh -c 'kill -9 $$'", 451, "signal 9"},
	{"/bin/sh -c 'kill -13 $$'", 451, "signal 13"},
	{"nosuchprogram", 451, "not found in pipe_path"},
	{"/no/such/program", 451, "No such file"},
	{"/etc/passwd", 451, "Permission denied"},
	{"/tmp", 451, "cannot be run"},
	{"/bin/sh -c 'unclosed", 451, "not understood"},
	{"   ", 451, "not understood"},
	{"''", 451, ""},
	{"/bin/false", 451, "status 1"},
	/* No shell looks at it. */
	{"/bin/sh -c 'echo \"$1\"; exit 100' x '$HOME;`id`*'", 550,
	    ": $HOME;`id`*"},
	{"/bin/false; /bin/true", 451, "No such file"},
};

START_TEST(commands)
{
	struct status st = run(cases[_i].command, HELLO);

	ck_assert_msg(st.code == cases[_i].code, "%s: %u %s",
	    cases[_i].command, (unsigned)st.code, st.text);
	ck_assert_msg(strstr(st.text, cases[_i].words) != NULL, "%s: %s",
	    cases[_i].command, st.text);
}
END_TEST

START_TEST(clean)
{
	char *s = program_clean(SLICE("aZ09!@%-_=+:,./ \"'`$;&|<>*?()\n\xc3"));

	ck_assert_str_eq(s, "aZ09!@%-_=+:,./________________");
	free(s);
}
END_TEST

/* ---- what it gets ---- */

START_TEST(gets_message)
{
	struct status st = run("/bin/sh -c 'cat >got'", HELLO);
	struct buf text;

	ck_assert_uint_eq(st.code, 250);
	text = read_back("got");
	ck_assert_str_eq(text.s, "Return-Path: <sender@example.net>\n"
	    "Delivered-To: ann+x@example.org\nReceived: here\n"
	    "Subject: hello\n\nHello.\n");
	buf_free(&text);
}
END_TEST

START_TEST(gets_much)
{
	const size_t size = 3000000;
	char *octets = malloc(size), want[32];
	struct status st;
	struct buf text;

	ck_assert_ptr_nonnull(octets);
	memset(octets, 'x', size);
	st = run("/bin/sh -c 'wc -c >got'", slice_mem(octets, size));
	ck_assert_uint_eq(st.code, 250);
	text = read_back("got");
	snprintf(want, sizeof(want), "%zu\n", size + 34 + 32 + 15);
	ck_assert_str_eq(text.s, want);
	buf_free(&text);
	free(octets);
}
END_TEST

/* Exactly these, and nothing of ours. */
START_TEST(gets_environment)
{
	static const char *const want[] = {
		"PATH=/nonexistent:/usr/bin:/bin", "USER=ann", "LOGNAME=ann",
		"SHELL=/bin/sh", "LANG=C", "SENDER=sender_x@example.net",
		"RECIPIENT=ann+x@example.org", "LOCAL=ann+x",
		"DOMAIN=example.org", "HOST=example.org", "EXTENSION=x",
		"EXT=x", ("MESSAGE_ID=" SAMPLE_ID)};
	struct delivery_job j = job_of("/bin/sh -c '/usr/bin/env >got'");
	struct slice rest, line;
	struct buf text;
	char have_home[80];
	int n = 0, known = 0;

	ck_assert_int_eq(setenv("LD_PRELOAD", "", 1), 0);
	ck_assert_int_eq(setenv("POSTERN_SECRET", "x", 1), 0);
	j.sender = SLICE("sender`x@example.net");
	ck_assert_uint_eq(run_fd(&j, message_fd(HELLO)).code, 250);
	snprintf(have_home, sizeof(have_home), "HOME=%s", home);
	text = read_back("got");
	rest = buf_slice(&text);
	while (slice_cut(&rest, '\n', &line)) {
		if (line.len == 0 || slice_prefix(line, SLICE("PWD=")) ||
		    slice_prefix(line, SLICE("SHLVL=")) ||
		    slice_prefix(line, SLICE("_=")) ||
		    slice_prefix(line, SLICE("OLDPWD=")))
			continue; /* the shell's own */
		n++;
		known += slice_eq(line, slice_of(have_home));
		for (int i = 0; i < COUNT(want); i++)
			known += slice_eq(line, slice_of(want[i]));
	}
	ck_assert_int_eq(known, COUNT(want) + 1);
	ck_assert_int_eq(n, COUNT(want) + 1);
	buf_free(&text);
}
END_TEST

/* Standard input, output, error, and no descriptor of ours. */
START_TEST(gets_descriptors)
{
	struct status st;
	int leak = open("/dev/null", O_RDONLY); /* not even these */

	ck_assert_int_ge(leak, 0);
	st = run("/bin/sh -c 'ls /proc/$$/fd; exit 1'", HELLO);
	ck_assert_str_eq(st.text, "Program ended with status 1: 0 1 2");
	close(leak);
}
END_TEST

START_TEST(gets_process)
{
	char want[160];
	struct status st;
	struct delivery_job j = job_of("/bin/sh -c 'pwd; exit 1'");

	snprintf(want, sizeof(want), "Program ended with status 1: %s", home);
	ck_assert_str_eq(run_fd(&j, message_fd(HELLO)).text, want);
	j.home = SLICE_EMPTY;
	ck_assert_str_eq(run_fd(&j, message_fd(HELLO)).text,
	    "Program ended with status 1: /");
	/* A home that is not there is not replaced by another place. */
	j.home = SLICE("/nonexistent/home");
	st = run_fd(&j, message_fd(HELLO));
	ck_assert_uint_eq(st.code, 451);
	ck_assert_ptr_nonnull(strstr(st.text, "Home directory"));
	/* Its own session; the default reaction to SIGPIPE; the user. */
	st = run("/bin/sh -c 'test $(ps -o sid= -p $$) = $$ && echo leader; "
	    "id -u; id -G; exit 1'", HELLO);
	snprintf(want, sizeof(want), "leader %u %u",
	    geteuid() == 0 ? NOBODY : (unsigned)geteuid(),
	    geteuid() == 0 ? NOBODY : (unsigned)getegid());
	if (geteuid() == 0)
		ck_assert_msg(strstr(st.text, want) != NULL, "%s", st.text);
	st = run("/bin/sh -c 'yes | head -1 >/dev/null; exit 1'", HELLO);
	ck_assert_str_eq(st.text, "Program ended with status 1");
}
END_TEST

/* ---- what it does ---- */

/* It need not read everything, nor anything. */
static const char *const deaf[] = {
	"/bin/true",
	"/bin/sh -c 'exec 0<&-; sleep 0.2; exit 0'",
	"/bin/sh -c 'read x; exit 0'",
	"head -c 10",
	/* Who stays behind with its input does not keep us. */
	"/bin/sh -c 'sleep 10 & exit 0'",
	"/bin/sh -c 'sleep 10 >/dev/null 2>&1 & exit 0'",
};

START_TEST(deaf_program)
{
	const size_t size = 2000000;
	char *octets = malloc(size);
	int64_t began = clock_mono_ms();
	struct status st;

	ck_assert_ptr_nonnull(octets);
	memset(octets, 'x', size);
	st = run(deaf[_i], slice_mem(octets, size));
	ck_assert_msg(st.code == 250, "%s: %s", deaf[_i], st.text);
	ck_assert_int_lt(clock_mono_ms() - began, 5000);
	free(octets);
}
END_TEST

/* Time is up: it and its group are killed, and it is tried again. */
static const char *const slow[] = {
	"/bin/sh -c 'echo $$ >pid; sleep 30'",
	"/bin/sh -c 'echo $$ >pid; trap \"\" TERM HUP; sleep 30 & wait'",
	"/bin/sh -c 'echo $$ >pid; cat >/dev/null; sleep 30'",
	"/bin/sh -c 'echo $$ >pid; exec yes'",
	"/bin/sh -c 'echo $$ >pid; exec >&- 2>&-; sleep 30'",
};

START_TEST(too_slow)
{
	const size_t size = _i % 2 ? 2000000 : 10;
	char *octets = malloc(size);
	int64_t began = clock_mono_ms();
	struct status st;
	struct buf text;
	pid_t group;
	int i;

	ck_assert_ptr_nonnull(octets);
	memset(octets, 'x', size);
	spawner.conf.pipe_timeout_ms = 400;
	st = run(slow[_i], slice_mem(octets, size));
	ck_assert_uint_eq(st.code, 451);
	ck_assert_ptr_nonnull(strstr(st.text, "pipe_timeout"));
	ck_assert_int_lt(clock_mono_ms() - began, 4000);
	text = read_back("pid");
	group = (pid_t)strtol(text.s, NULL, 10);
	ck_assert_int_gt(group, 1);
	/* Orphans are reaped by init in a moment. */
	for (i = 0; i < 200 && kill(-group, 0) == 0; i++)
		usleep(10000);
	if (i == 200) { /* zombies, where nobody reaps */
		char path[64], state[256] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%ld/stat", (long)group);
		f = fopen(path, "r");
		if (f != NULL) {
			state[fread(state, 1, sizeof(state) - 1, f)] = '\0';
			fclose(f);
		}
		ck_assert(*state == '\0' || strstr(state, ") Z") != NULL);
	}
	buf_free(&text);
	free(octets);
}
END_TEST

/* It may talk as much as it likes; the start is kept. */
START_TEST(talkative)
{
	struct status st;

	spawner.conf.pipe_output_max = _i == 0 ? 10 : 0;
	st = run("/bin/sh -c 'seq 1000000; exit 1'", HELLO);
	ck_assert_uint_eq(st.code, 451);
	ck_assert_str_eq(st.text, _i == 0
	    ? "Program ended with status 1: 1 2 3 4 5"
	    : "Program ended with status 1");
}
END_TEST

/* A message that runs in a circle does not even start it. */
START_TEST(loops)
{
	struct status st = run("/bin/sh -c 'echo >started'",
	    SLICE("Delivered-To: ann+x@example.org\r\n\r\nHello.\r\n"));

	ck_assert_uint_eq(st.code, 554);
	ck_assert(!exists("started"));
}
END_TEST

/* Nor does one that is known to be damaged; one that shows it late is not
 * brought to its end, and no outcome counts. */
START_TEST(damaged)
{
	struct envelope env = sample_env();
	struct buf content = BUF_INIT(1 << 22), image;
	struct delivery_job j = job_of("/bin/sh -c 'echo >started; "
	    "cat >/dev/null; echo >finished'");
	struct status st;

	for (size_t i = 0; i < (_i == 0 ? 10 : 1000000); i++)
		buf_addc(&content, 'x');
	image = sample_image(&env, buf_slice(&content));
	if (_i == 2)
		j.id = SLICE("01jar9fq3rbbbbbbbbbb");
	else
		image.s[image.len - 200] ^= 1;
	st = run_fd(&j, sample_fd(buf_slice(&image)));
	ck_assert_uint_eq(st.code, 451);
	ck_assert(!exists("finished"));
	ck_assert(_i == 1 || !exists("started"));
	buf_free(&image);
	buf_free(&content);
}
END_TEST

/* ---- whom it may run as ---- */

static const struct {
	const char *name;
	bool good;
	uint32_t uid, gid, kind;
	const char *program;
} jobs[] = {
	{"user", true, 1000, 1000, DELIVERY_PROGRAM, "x"},
	{"root", false, 0, 1000, DELIVERY_PROGRAM, "x"},
	{"root's group", false, 1000, 0, DELIVERY_PROGRAM, "x"},
	{"low uid", false, 99, 1000, DELIVERY_PROGRAM, "x"},
	{"low gid", false, 1000, 99, DELIVERY_PROGRAM, "x"},
	{"no uid", false, UINT32_MAX, 1000, DELIVERY_PROGRAM, "x"},
	{"no gid", false, 1000, UINT32_MAX, DELIVERY_PROGRAM, "x"},
	{"the spawner", false, 501, 1000, DELIVERY_PROGRAM, "x"},
	{"qmgr", false, 502, 1000, DELIVERY_PROGRAM, "x"},
	{"a mailbox", false, 1000, 1000, DELIVERY_MAILBOX, "x"},
	{"no program", false, 1000, 1000, DELIVERY_PROGRAM, ""},
};

START_TEST(sound)
{
	struct spawner s = {.uid = 501, .gid = 501, .becomes = true,
	    .client_uids = {502}};
	struct delivery_job j = {.kind = jobs[_i].kind, .uid = jobs[_i].uid,
	    .gid = jobs[_i].gid, .program = slice_of(jobs[_i].program)};

	s.conf.mailbox_uid_min = 100;
	ck_assert_msg((spawner_unsound(&s, &j) == NULL) == jobs[_i].good,
	    "%s", jobs[_i].name);
}
END_TEST

/* Not started by root: as oneself and as nobody else, and never as root. */
START_TEST(own_only)
{
	struct spawner s = {.uid = geteuid(), .gid = getegid()};
	struct delivery_job j = {.kind = DELIVERY_PROGRAM,
	    .uid = geteuid() + 1, .gid = 1000, .program = SLICE("x")};

	ck_assert_ptr_nonnull(spawner_unsound(&s, &j));
	j.uid = geteuid();
	ck_assert_int_eq(spawner_unsound(&s, &j) == NULL, geteuid() != 0);
}
END_TEST

Suite *
local_program_suite(void)
{
	Suite *s = suite_create("local_program");
	TCase *t = tcase_create("local_program");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, outcome, 0, COUNT(codes));
	tcase_add_loop_test(t, commands, 0, COUNT(cases));
	tcase_add_test(t, clean);
	tcase_add_test(t, gets_message);
	tcase_add_test(t, gets_much);
	tcase_add_test(t, gets_environment);
	tcase_add_test(t, gets_descriptors);
	tcase_add_test(t, gets_process);
	tcase_add_loop_test(t, deaf_program, 0, COUNT(deaf));
	tcase_add_loop_test(t, too_slow, 0, COUNT(slow));
	tcase_add_loop_test(t, talkative, 0, 2);
	tcase_add_test(t, loops);
	tcase_add_loop_test(t, damaged, 0, 3);
	tcase_add_loop_test(t, sound, 0, COUNT(jobs));
	tcase_add_test(t, own_only);
	suite_add_tcase(s, t);
	return s;
}
