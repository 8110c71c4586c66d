/*
 * local and the spawner, each in a process and a cage of its own with their
 * children, spoken to as qmgr does.  As root the daemons have their users; the
 * test is nobody meanwhile.
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
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/sockets.h"
#include "common/sys/sandbox.h"
#include "local/local.h"
#include "local/spawner.h"
#include "tests/unit/qfile_sample.h"

Suite *local_parent_suite(void);

#define NOBODY 65534
#define OTHER 23456 /* somebody else's uid and gid */
#define WAIT_MS 15000
#define HELLO SLICE("Subject: hello\r\n\r\nHello.\r\n")

static struct {
	char dir[64], run[96], mail[96], homes[96], conf[96], sock[160];
	pid_t pid;
	struct chan *c;
	uint32_t capacity;
	uint64_t job;
} rig;

static void
become(uid_t uid)
{
	if (getuid() != 0)
		return;
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setegid(uid), 0);
	ck_assert_int_eq(seteuid(uid), 0);
}

static void
make_dir(char *out, size_t size, const char *name, mode_t mode)
{
	snprintf(out, size, "%s/%s", rig.dir, name);
	ck_assert_int_eq(mkdir(out, 0700), 0);
	ck_assert_int_eq(chmod(out, mode), 0);
}

static void
setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	memset(&rig, 0, sizeof(rig));
	become(NOBODY);
	umask(022);
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/postern-local.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig.dir));
	ck_assert_int_eq(chmod(rig.dir, 0755), 0);
	make_dir(rig.run, sizeof(rig.run), "run", 02755);
	make_dir(rig.mail, sizeof(rig.mail), "mail", 0700);
	make_dir(rig.homes, sizeof(rig.homes), "homes", 0777);
	snprintf(rig.conf, sizeof(rig.conf), "%s/postern.conf", rig.dir);
}

static void
teardown(void)
{
	int wstatus = 0;
	pid_t pid;

	chan_free(&rig.c);
	become(0);
	if (rig.pid > 0) {
		kill(rig.pid, SIGTERM);
		ck_assert_int_eq(waitpid(rig.pid, &wstatus, 0), rig.pid);
		ck_assert_int_eq(wstatus, 0);
	}
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", rig.dir, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
}

static void
write_conf(const char *more)
{
	FILE *f = fopen(rig.conf, "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "hostname = here.example\nrun_dir = %s\nmail_root = %s\n"
	    "user_queue = nobody\nuser_virtual = nobody\nuser_local = daemon\n"
	    "%s", rig.run, rig.mail, more);
	fclose(f);
}

_Noreturn static void
daemon_(bool spawner)
{
	static struct local l;
	static struct spawner s;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/log", rig.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || dup2(fd, 2) < 0)
		_exit(99);
	if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0))
		_exit(98);
	log_open(spawner ? "spawner" : "local");
	conf_load(spawner ? &s.conf : &l.conf, rig.conf);
	conf_keep(rig.conf);
	if (spawner) {
		spawner_open(&s);
		_exit(spawner_run(&s));
	}
	local_open(&l);
	_exit(local_run(&l));
}

/* The next record; false: closed. */
static bool
next(uint16_t *type, union delivery_msg *m)
{
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	enum chan_result r = chan_wait(rig.c, type, m, sizeof(*m), fds, &nfds,
	    clock_mono_ms() + WAIT_MS);

	ck_assert_int_ne(r, CHAN_TIMEOUT);
	ck_assert_int_ne(r, CHAN_BAD);
	return r == CHAN_OK;
}

static void
connect_(void)
{
	union delivery_msg m;
	uint16_t type;

	for (int i = 0; i < WAIT_MS && rig.c == NULL; i++) {
		rig.c = chan_connect(rig.sock, &delivery_contract);
		if (rig.c == NULL)
			usleep(1000);
	}
	ck_assert_ptr_nonnull(rig.c);
	ck_assert(next(&type, &m));
	ck_assert_uint_eq(type, DELIVERY_READY);
	rig.capacity = m.ready.capacity;
}

static void
start(bool spawner, const char *more)
{
	write_conf(more);
	snprintf(rig.sock, sizeof(rig.sock), "%s/%s", rig.run,
	    spawner ? SOCKET_SPAWNER : SOCKET_LOCAL);
	rig.pid = fork();
	ck_assert_int_ge(rig.pid, 0);
	if (rig.pid == 0)
		daemon_(spawner);
	connect_();
}

static void
signal_(int signo)
{
	become(0);
	ck_assert_int_eq(kill(rig.pid, signo), 0);
	become(NOBODY);
}

/* Waits for the end of the daemon. */
static void
ended(void)
{
	int wstatus;

	ck_assert_int_eq(waitpid(rig.pid, &wstatus, 0), rig.pid);
	ck_assert_int_eq(wstatus, 0);
	rig.pid = 0;
}

/* Pids of the daemon's children; their number. */
static int
children(pid_t v[16])
{
	char path[64], text[512];
	char *p = text, *end;
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children",
	    (long)rig.pid, (long)rig.pid);
	f = fopen(path, "r");
	if (f == NULL)
		return -1; /* a kernel without it */
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	while (n < 16 && (v[n] = (pid_t)strtol(p, &end, 10)) > 0) {
		n++;
		p = end;
	}
	return n;
}

/* ---- jobs ---- */

static int
message_fd(void)
{
	struct envelope env = sample_env();
	struct buf image = sample_image(&env, HELLO);
	int fd = sample_fd(buf_slice(&image));

	buf_free(&image);
	return fd;
}

static void
send_job(struct delivery_job *j)
{
	int fd = message_fd();

	j->job = ++rig.job;
	j->id = SLICE(SAMPLE_ID);
	if (j->address.len == 0)
		j->address = SLICE("ann@example.org");
	chan_send_fds(rig.c, DELIVERY_JOB, j, &fd, 1);
}

/* The outcome of some job, its number in *job. */
static uint32_t
outcome(uint64_t *job, char text[STATUS_TEXT_MAX])
{
	union delivery_msg m;
	uint16_t type;

	if (!next(&type, &m))
		return 0;
	ck_assert_uint_eq(type, DELIVERY_DONE);
	*job = m.done.job;
	snprintf(text, STATUS_TEXT_MAX, "%.*s", SLICE_FMT(m.done.text));
	return m.done.code;
}

static uint32_t
do_job(struct delivery_job *j, char text[STATUS_TEXT_MAX])
{
	uint64_t job = 0;
	uint32_t code;

	send_job(j);
	code = outcome(&job, text);
	if (code != 0)
		ck_assert_uint_eq(job, rig.job);
	return code;
}

static char home[128], maildir[160];

/* A virtual mailbox below mail_root. */
static struct delivery_job
mailbox(const char *name)
{
	snprintf(home, sizeof(home), "%s/example.org/%s", rig.mail, name);
	snprintf(maildir, sizeof(maildir), "%s/Maildir", home);
	return (struct delivery_job){.number = 1, .kind = DELIVERY_MAILBOX,
	    .address = SLICE_EMPTY, .sender = SLICE_EMPTY,
	    .extension = SLICE_EMPTY, .user = SLICE("ann"),
	    .uid = geteuid(), .gid = getegid(), .home = slice_of(home),
	    .maildir = slice_of(maildir), .program = SLICE_EMPTY};
}

static int
files_in(const char *sub, struct stat *last)
{
	char path[256], name[512];
	struct dirent *e;
	DIR *d;
	int n = 0;

	become(0);
	snprintf(path, sizeof(path), "%s/%s", maildir, sub);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (last != NULL)
			ck_assert_int_eq(stat(name, last), 0);
	}
	if (d != NULL)
		closedir(d);
	become(NOBODY);
	return n;
}

START_TEST(delivers)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	struct stat st;

	start(false, _i == 1 ? "virtual_only = yes\n" : "");
	j = mailbox("ann");
	ck_assert_uint_eq(rig.capacity, 20);
	ck_assert_msg(do_job(&j, text) == 250, "%s", text);
	ck_assert_int_eq(files_in("new", &st), 1);
	ck_assert_uint_eq(st.st_uid, geteuid());
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_eq(do_job(&j, text), 250);
	ck_assert_str_eq(text, "Delivered before");
}
END_TEST

START_TEST(many)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	uint64_t job, sum = 0;
	uint32_t code;

	start(false, "local_concurrency = 100\nlocal_processes_max = 50\n");
	ck_assert_uint_eq(rig.capacity, 50); /* what can be kept */
	j = mailbox("ann");
	for (uint32_t i = 1; i <= 50; i++) {
		j.number = i;
		send_job(&j);
	}
	for (int i = 0; i < 50; i++) {
		code = outcome(&job, text);
		ck_assert_msg(code == 250, "%s", text);
		sum += job;
	}
	ck_assert_uint_eq(sum, 50 * 51 / 2);
	ck_assert_int_eq(files_in("new", NULL), 50);
}
END_TEST

START_TEST(refuses)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];

	start(false, "");
	j = mailbox("ann");
	j.uid = 0;
	ck_assert_uint_eq(do_job(&j, text), 451);
	ck_assert_str_eq(text, "Mailbox not configured soundly");
	j = mailbox("ann");
	j.home = SLICE("relative");
	ck_assert_uint_eq(do_job(&j, text), 451);
	j = mailbox("ann");
	j.kind = DELIVERY_MAILDIR;
	j.maildir = slice_of(rig.homes);
	ck_assert_uint_eq(do_job(&j, text), 451);
	/* And goes on. */
	j = mailbox("ann");
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

/* Only qmgr's user may connect. */
START_TEST(strangers)
{
	struct chan *c;
	union delivery_msg m;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t nfds;

	if (getuid() != 0)
		return;
	start(false, "");
	become(0);
	c = chan_connect(rig.sock, &delivery_contract);
	ck_assert_ptr_nonnull(c);
	become(NOBODY);
	ck_assert_int_eq(chan_wait(c, &type, &m, sizeof(m), fds, &nfds,
	    clock_mono_ms() + WAIT_MS), CHAN_CLOSED);
	chan_free(&c);
}
END_TEST

/* A delivery process dies: at work, its job is to be tried again; idle, nobody
 * hears of it. */
START_TEST(process_dies)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	uint64_t job;
	pid_t v[16];
	int n;

	start(false, "");
	j = mailbox("ann");
	ck_assert_uint_eq(do_job(&j, text), 250);
	n = children(v);
	if (n < 0)
		return;
	ck_assert_int_eq(n, 1);
	become(0);
	ck_assert_int_eq(kill(v[0], _i == 0 ? SIGSTOP : SIGKILL), 0);
	become(NOBODY);
	j.number = 2;
	if (_i == 0) {
		send_job(&j);
		usleep(50000);
		become(0);
		ck_assert_int_eq(kill(v[0], SIGKILL), 0);
		become(NOBODY);
		ck_assert_uint_eq(outcome(&job, text), 451);
		ck_assert_uint_eq(job, rig.job);
		ck_assert_ptr_nonnull(strstr(text, "ended early"));
	} else
		usleep(50000);
	ck_assert_uint_eq(do_job(&j, text), 250);
	ck_assert_int_eq(files_in("new", NULL), 2);
}
END_TEST

START_TEST(idle_process_ends)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	pid_t v[16];
	int n = -1;

	start(false, "local_idle = 50ms\n");
	for (uint32_t k = 1; k < 6; k++) {
		j = mailbox("ann");
		j.number = k;
		ck_assert_uint_eq(do_job(&j, text), 250);
		/* all around the moment at which it ends */
		usleep(20000 * k);
	}
	for (int i = 0; i < 500 && (n = children(v)) > 0; i++)
		usleep(10000);
	ck_assert_int_le(n, 0);
}
END_TEST

START_TEST(reload)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	pid_t v[16], w[16];

	start(false, "");
	j = mailbox("ann");
	ck_assert_uint_eq(do_job(&j, text), 250);
	if (children(v) != 1)
		return;
	write_conf("maildir_crlf = yes\n");
	signal_(SIGHUP);
	usleep(100000);
	j.number = 2;
	ck_assert_uint_eq(do_job(&j, text), 250);
	ck_assert_int_eq(children(w), 1);
	ck_assert_int_ne(v[0], w[0]);
	ck_assert_int_eq(files_in("new", NULL), 2);
}
END_TEST

START_TEST(term)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	uint64_t job;
	pid_t v[16];

	start(false, "");
	j = mailbox("ann");
	ck_assert_uint_eq(do_job(&j, text), 250);
	if (_i == 0) { /* nothing in hand */
		signal_(SIGTERM);
		ck_assert_uint_eq(outcome(&job, text), 0);
		ended();
		return;
	}
	if (children(v) != 1)
		return;
	become(0);
	ck_assert_int_eq(kill(v[0], SIGSTOP), 0);
	become(NOBODY);
	j.number = 2;
	send_job(&j);
	usleep(50000);
	signal_(SIGTERM);
	usleep(50000);
	/* One that comes now is not taken, nor answered: qmgr keeps it. */
	j.number = 3;
	send_job(&j);
	usleep(50000);
	become(0);
	ck_assert_int_eq(kill(v[0], SIGCONT), 0);
	become(NOBODY);
	ck_assert_uint_eq(outcome(&job, text), 250);
	ck_assert_uint_eq(job, rig.job - 1);
	ck_assert_uint_eq(outcome(&job, text), 0);
	ended();
	ck_assert_int_eq(files_in("new", NULL), 2);
}
END_TEST

/* ---- users of their own, as root ---- */

static void
give(const char *path)
{
	become(0);
	ck_assert_int_eq(chown(path, OTHER, OTHER), 0);
	become(NOBODY);
}

static struct delivery_job
user_mailbox(void)
{
	struct delivery_job j;

	snprintf(home, sizeof(home), "%s/ann", rig.homes);
	snprintf(maildir, sizeof(maildir), "%s/Maildir", home);
	ck_assert_int_eq(mkdir(home, 0700), 0);
	give(home);
	j = mailbox("x");
	snprintf(home, sizeof(home), "%s/ann", rig.homes);
	snprintf(maildir, sizeof(maildir), "%s/Maildir", home);
	j.home = slice_of(home);
	j.maildir = slice_of(maildir);
	j.uid = j.gid = OTHER;
	return j;
}

START_TEST(user)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	struct stat st;

	if (getuid() != 0)
		return;
	start(false, "");
	j = user_mailbox();
	ck_assert_msg(do_job(&j, text) == 250, "%s", text);
	ck_assert_int_eq(files_in("new", &st), 1);
	ck_assert_uint_eq(st.st_uid, OTHER);
	ck_assert_uint_eq(st.st_gid, OTHER);
	/* His second process does not stand in another one's way. */
	j = mailbox("bob");
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

START_TEST(home_missing)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];

	if (getuid() != 0)
		return;
	start(false, "");
	j = user_mailbox();
	ck_assert_int_eq(rename(home, "/nonexistent/x"), -1);
	become(0);
	ck_assert_int_eq(rmdir(home), 0);
	become(NOBODY);
	ck_assert_uint_eq(do_job(&j, text), 451);
	ck_assert_str_eq(text, "Home directory is missing");
	/* Mounted again, it works: for the next process, which is there soon. */
	ck_assert_int_eq(mkdir(home, 0700), 0);
	give(home);
	for (int i = 0; i < 20 && do_job(&j, text) != 250; i++)
		usleep(50000);
	ck_assert_str_eq(text, "Delivered to mailbox");
}
END_TEST

/* A Maildir outside of the home: that one, if it is there, and nothing else. */
START_TEST(outside)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX], other[96], link[200];

	if (getuid() != 0)
		return;
	start(false, "");
	j = user_mailbox();
	snprintf(other, sizeof(other), "%s/other", rig.dir);
	snprintf(maildir, sizeof(maildir), "%s/Maildir", other);
	j.kind = DELIVERY_MAILDIR;
	j.maildir = slice_of(maildir);
	ck_assert_int_eq(mkdir(other, 0700), 0);
	ck_assert_int_eq(chmod(other, 0777), 0);
	if (sandbox_enforces() && sandbox_landlock_abi() >= 2) {
		/* Not there: it may not be made, whatever the modes say. */
		ck_assert_uint_eq(do_job(&j, text), 451);
		/* A link out of the home leads nowhere. */
		snprintf(link, sizeof(link), "%s/Maildir", home);
		become(0);
		ck_assert_int_eq(symlink(other, link), 0);
		become(NOBODY);
		j.kind = DELIVERY_MAILBOX;
		j.maildir = slice_of(link);
		ck_assert_uint_eq(do_job(&j, text), 451);
		ck_assert_ptr_nonnull(strstr(text, "not accessible"));
		j.kind = DELIVERY_MAILDIR;
		j.maildir = slice_of(maildir);
		usleep(100000); /* that process is gone */
	}
	ck_assert_int_eq(mkdir(maildir, 0700), 0);
	give(maildir);
	ck_assert_msg(do_job(&j, text) == 250, "%s", text);
	ck_assert_int_eq(files_in("new", NULL), 1);
}
END_TEST

/* ---- the spawner ---- */

static struct delivery_job
program(const char *command)
{
	struct delivery_job j = mailbox("ann");

	j.kind = DELIVERY_PROGRAM;
	j.program = slice_of(command);
	j.home = slice_of(rig.dir);
	if (getuid() == 0)
		j.uid = j.gid = OTHER;
	return j;
}

START_TEST(runs)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX], want[64];

	start(true, "");
	ck_assert_uint_eq(rig.capacity, 20);
	j = program("/bin/sh -c 'id -u; exit 100'");
	ck_assert_uint_eq(do_job(&j, text), 550);
	snprintf(want, sizeof(want), "Program refused the message: %u",
	    (unsigned)j.uid);
	ck_assert_str_eq(text, want);
	j = program("/bin/cat");
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

START_TEST(spawner_refuses)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];

	start(true, "");
	for (int i = 0; i < 4; i++) {
		j = program("/bin/true");
		if (i == 0)
			j.uid = 0;
		else if (i == 1)
			j.gid = 0;
		else if (i == 2)
			j.uid = getuid() == 0 ? NOBODY : geteuid() + 1;
		else
			j.kind = DELIVERY_MAILBOX;
		ck_assert_uint_eq(do_job(&j, text), 451);
		ck_assert_ptr_nonnull(strstr(text, "Program refused: "));
	}
	j = program("/bin/true");
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

START_TEST(many_programs)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	uint64_t job;
	int good = 0, later = 0;

	start(true, "pipe_processes_max = 5\n");
	ck_assert_uint_eq(rig.capacity, 5);
	j = program("/bin/sleep 0.3");
	for (int i = 0; i < 7; i++)
		send_job(&j);
	for (int i = 0; i < 7; i++)
		switch (outcome(&job, text)) {
		case 250:
			good++;
			break;
		case 451:
			later++;
			break;
		default:
			ck_abort_msg("%s", text);
		}
	ck_assert_int_eq(good, 5);
	ck_assert_int_eq(later, 2);
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

/* A program may kill who feeds it; it is only its own mail. */
START_TEST(feeder_dies)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];

	start(true, "");
	j = program("/bin/sh -c 'kill -9 $PPID; sleep 0.2'");
	ck_assert_uint_eq(do_job(&j, text), 451);
	ck_assert_ptr_nonnull(strstr(text, "ended early"));
	j = program("/bin/true");
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

/* Who asked has gone: nothing is told to somebody else. */
START_TEST(asker_gone)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];

	start(true, "");
	j = program("/bin/sleep 0.3");
	send_job(&j);
	usleep(50000);
	chan_free(&rig.c);
	connect_();
	j = program("/bin/sleep 0.6");
	ck_assert_uint_eq(do_job(&j, text), 250);
}
END_TEST

START_TEST(spawner_term)
{
	struct delivery_job j;
	char text[STATUS_TEXT_MAX];
	uint64_t job;

	start(true, "");
	if (_i == 1) {
		j = program("/bin/sleep 0.4");
		send_job(&j);
		usleep(100000);
	}
	signal_(SIGTERM);
	usleep(50000);
	if (_i == 1) {
		send_job(&j); /* not answered */
		ck_assert_uint_eq(outcome(&job, text), 250);
		ck_assert_uint_eq(job, rig.job - 1);
	}
	ck_assert_uint_eq(outcome(&job, text), 0);
	ended();
}
END_TEST

Suite *
local_parent_suite(void)
{
	Suite *s = suite_create("local_parent");
	TCase *t = tcase_create("local");
	TCase *u = tcase_create("spawner");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, delivers, 0, 2);
	tcase_add_test(t, many);
	tcase_add_test(t, refuses);
	tcase_add_test(t, strangers);
	tcase_add_loop_test(t, process_dies, 0, 2);
	tcase_add_test(t, idle_process_ends);
	tcase_add_test(t, reload);
	tcase_add_loop_test(t, term, 0, 2);
	tcase_add_test(t, user);
	tcase_add_test(t, home_missing);
	tcase_add_test(t, outside);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(u, setup, teardown);
	tcase_set_timeout(u, 60);
	tcase_add_test(u, runs);
	tcase_add_test(u, spawner_refuses);
	tcase_add_test(u, many_programs);
	tcase_add_test(u, feeder_dies);
	tcase_add_test(u, asker_gone);
	tcase_add_loop_test(u, spawner_term, 0, 2);
	suite_add_tcase(s, u);
	return s;
}
