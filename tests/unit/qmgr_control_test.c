/*
 * qmgr among its daemons (qmgr_rig.h): what admins want, and the start on
 * whatever lies in the queue directory.
 */
#include <sys/file.h>

#include "tests/unit/qmgr_rig.h"

Suite *qmgr_control_suite(void);

static struct rig *r;

static void
setup(void)
{
	r = rig_new("");
	rig_start(r);
}

static void
teardown(void)
{
	rig_free(r);
}

/* One that waits in deferred/ for a minute. */
static struct rig_message
deferred(const char *to)
{
	struct rig_message m = rig_send(r, to);

	WAIT_FOR(r, rig_deferred, m.id.s);
	rig_sleep(r, 50);
	return m;
}

static void
path_of(char path[200], enum qdir dir, const char *name)
{
	snprintf(path, 200, "%s/%s/%s", r->queue, qdir_names[dir], name);
}

/* ---- hold, release, retry, remove ---- */

START_TEST(test_unknown)
{
	for (int action = CONTROL_HOLD; action <= CONTROL_REMOVE; action++)
		ck_assert_int_eq(rig_act(r, (enum control_action)action,
		    "00000000000000000000"), CONTROL_NOT_FOUND);
}
END_TEST

START_TEST(test_hold_release)
{
	struct rig_message m;
	struct qfile *q;

	r->failures = 1;
	m = deferred("temp ann");
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, m.id.s), CONTROL_DONE);
	ck_assert(rig_in(r, QDIR_HOLD, m.id.s));
	ck_assert(!rig_deferred(r, m.id.s));
	q = rig_open(r, QDIR_HOLD, m.id.s, false);
	ck_assert(slice_eq(qfile_hold_reason(q), SLICE("by the test")));
	qfile_free(&q);
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, m.id.s), CONTROL_DONE);
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m.id.s), CONTROL_FAILED);
	/* a restart leaves it there */
	rig_end(r, SIGTERM);
	rig_start(r);
	rig_sleep(r, 100);
	ck_assert(rig_in(r, QDIR_HOLD, m.id.s));
	ck_assert_int_eq(rig_act(r, CONTROL_RELEASE, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", NULL), 1);
	ck_assert_uint_eq(rig_jobs_for(r, "temp@here.example", NULL), 2);
}
END_TEST

START_TEST(test_release_what_is_not_held)
{
	struct rig_message m;

	r->failures = 1;
	m = deferred("temp");
	ck_assert_int_eq(rig_act(r, CONTROL_RELEASE, m.id.s), CONTROL_FAILED);
	ck_assert(rig_deferred(r, m.id.s));
}
END_TEST

START_TEST(test_retry)
{
	struct rig_message m;

	r->failures = 1;
	m = deferred("temp ann");
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 3);
}
END_TEST

static bool
two_failures(struct rig *rig, const void *arg)
{
	const char *first = strstr(rig_log(rig), "failed id=");

	(void)arg;
	return first != NULL && strstr(first + 1, "failed id=") != NULL;
}

/* What has failed is tried again when an admin mended the reason. */
START_TEST(test_retry_failed)
{
	struct rig_message m;

	r->bounce_code = 451; /* or it would be gone */
	m = deferred("perm");
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, two_failures, NULL);
	ck_assert_uint_eq(r->njobs, 2);
	rig_sleep(r, 50);
	ck_assert(rig_deferred(r, m.id.s));
}
END_TEST

static const struct {
	enum qdir dir;
	enum control_result result;
} removals[] = {
	{QDIR_DEFERRED, CONTROL_DONE},
	{QDIR_HOLD, CONTROL_DONE},
	{QDIR_CORRUPT, CONTROL_FAILED},
};

START_TEST(test_remove)
{
	struct rig_message m = rig_message("ann");

	rig_store(r, &m, removals[_i].dir);
	ck_assert_int_eq(rig_act(r, CONTROL_REMOVE, m.id.s),
	    removals[_i].result);
	ck_assert(rig_nowhere(r, m.id.s) ==
	    (removals[_i].result == CONTROL_DONE));
	ck_assert_uint_eq(r->njobs, 0);
}
END_TEST

/* While a delivery is under way the wish waits for its end. */
START_TEST(test_busy)
{
	struct rig_message held, gone, back;
	size_t n = 6;

	r->local_silent = true;
	held = rig_send(r, "ann bob");
	gone = rig_send(r, "ann bob");
	back = rig_send(r, "ann bob");
	WAIT_FOR(r, rig_njobs, &n);
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, held.id.s), CONTROL_BUSY);
	ck_assert_int_eq(rig_act(r, CONTROL_REMOVE, gone.id.s), CONTROL_BUSY);
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, back.id.s), CONTROL_BUSY);
	ck_assert_int_eq(rig_act(r, CONTROL_RELEASE, back.id.s),
	    CONTROL_DONE);
	r->failures = 100;
	for (size_t i = 0; i < n; i++) {
		/* bob's deliveries fail for now */
		if (strncmp(r->jobs[i].address, "bob", 3) == 0)
			snprintf(r->jobs[i].address, 128, "temp@here.example");
		rig_answer(r, &r->jobs[i]);
	}
	r->local_silent = false;
	WAIT_FOR(r, rig_held, held.id.s);
	WAIT_FOR(r, rig_nowhere, gone.id.s);
	WAIT_FOR(r, rig_nowhere, back.id.s);
	ck_assert_uint_eq(r->njobs, 7);
	ck_assert(rig_in(r, QDIR_HOLD, held.id.s));
}
END_TEST

/* While it waits for its mailbox or for authd it is simply stopped. */
START_TEST(test_hold_active)
{
	struct rig_message m;

	rig_down(&r->local, &r->local_fd);
	rig_sleep(r, 50);
	m = rig_send(r, "ann bob");
	rig_sleep(r, 100);
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, m.id.s), CONTROL_DONE);
	ck_assert(rig_in(r, QDIR_HOLD, m.id.s));
	rig_local_up(r);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->njobs, 0);
	ck_assert_int_eq(rig_act(r, CONTROL_RELEASE, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 2);
}
END_TEST

START_TEST(test_policy_hold)
{
	struct rig_message m = rig_message("ann");
	struct qfile *q;

	m.flags = ENV_HOLD;
	rig_store(r, &m, QDIR_INCOMING);
	rig_notify(r, &m);
	WAIT_FOR(r, rig_held, m.id.s);
	q = rig_open(r, QDIR_HOLD, m.id.s, false);
	ck_assert(slice_eq(qfile_hold_reason(q), SLICE("policy")));
	qfile_free(&q);
	ck_assert_int_eq(rig_act(r, CONTROL_RELEASE, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

/* ---- left-overs ---- */

START_TEST(test_left_over)
{
	struct rig_message fresh = rig_message("ann"), old = rig_message("bob");
	struct rig_message done = rig_message("carl"), late = rig_message("d");
	struct rig_message half = rig_message("e f");
	struct status st;
	struct qattempt a = {.number = 1, .at_ms = 1, .outcome = "deferred",
	    .next_ms = clock_real_ms() + 3600000, .host = SLICE("local"),
	    .status = &st, .rule = "retry"};
	struct qfile *q;

	status_set(&st, 451, 2, 0, "later");
	rig_end(r, SIGTERM);
	rig_store(r, &fresh, QDIR_INCOMING);
	rig_store(r, &old, QDIR_DEFERRED);
	rig_store(r, &done, QDIR_INCOMING); /* the crash was before unlink */
	q = rig_open(r, QDIR_INCOMING, done.id.s, true);
	ck_assert_int_eq(qfile_set_state(q, 0, 'D'), 0);
	qfile_free(&q);
	rig_store(r, &late, QDIR_DEFERRED); /* its mtime is wrong */
	q = rig_open(r, QDIR_DEFERRED, late.id.s, true);
	ck_assert_int_eq(qfile_add_attempts(q, &a, 1), 0);
	qfile_free(&q);
	rig_store(r, &half, QDIR_INCOMING); /* the crash was before rename */
	q = rig_open(r, QDIR_INCOMING, half.id.s, true);
	ck_assert_int_eq(qfile_add_attempts(q, &a, 1), 0);
	qfile_free(&q);
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, fresh.id.s);
	WAIT_FOR(r, rig_nowhere, old.id.s);
	WAIT_FOR(r, rig_nowhere, done.id.s);
	WAIT_FOR(r, rig_deferred, half.id.s);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", NULL), 1);
	ck_assert_uint_eq(rig_jobs_for(r, "bob@here.example", NULL), 1);
	ck_assert_uint_eq(rig_jobs_for(r, "f@here.example", NULL), 1);
	ck_assert_uint_eq(r->njobs, 3);
	ck_assert(rig_deferred(r, late.id.s));
}
END_TEST

/* Bends one octet of a stored file. */
static void
damage(enum qdir dir, const char *id, long offset, char c)
{
	char path[200];
	FILE *f;

	path_of(path, dir, id);
	f = fopen(path, "r+");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, offset, offset < 0 ? SEEK_END : SEEK_SET),
	    0);
	fputc(c, f);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(test_corrupt)
{
	struct rig_message bad = rig_message("ann"), worse = rig_message("bob");
	struct rig_message newer = rig_message("carl"), good;

	rig_end(r, SIGTERM);
	rig_store(r, &bad, QDIR_INCOMING);
	damage(QDIR_INCOMING, bad.id.s, 60, '\x01');
	rig_store(r, &worse, QDIR_DEFERRED);
	damage(QDIR_DEFERRED, worse.id.s, -3, 'x');
	rig_store(r, &newer, QDIR_DEFERRED);
	damage(QDIR_DEFERRED, newer.id.s, 14, '9');
	rig_start(r);
	WAIT_FOR(r, rig_corrupt, bad.id.s);
	WAIT_FOR(r, rig_corrupt, worse.id.s);
	good = rig_send(r, "ann");
	WAIT_FOR(r, rig_nowhere, good.id.s);
	ck_assert(rig_deferred(r, newer.id.s));
	ck_assert(rig_logged(r, "newer-queue-file"));
	ck_assert(rig_logged(r, "moved-to-corrupt"));
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

/* local found that the content does not verify. */
START_TEST(test_corrupt_content)
{
	struct rig_message m = rig_message("temp"), sound;
	char path[200];
	struct qfile *q;
	uint64_t at;

	r->failures = 2;
	r->temp_subject = 6;
	rig_store(r, &m, QDIR_INCOMING);
	q = rig_open(r, QDIR_INCOMING, m.id.s, false);
	at = qfile_content_offset(q);
	qfile_free(&q);
	damage(QDIR_INCOMING, m.id.s, (long)at, 'X');
	rig_notify(r, &m);
	WAIT_FOR(r, rig_corrupt, m.id.s);
	/* the same words about a good one change nothing */
	sound = deferred("temp");
	path_of(path, QDIR_CORRUPT, sound.id.s);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_strange_names)
{
	struct rig_message m = rig_message("ann");
	char path[200];

	rig_end(r, SIGTERM);
	path_of(path, QDIR_INCOMING, "core");
	rig_write(path, "x");
	path_of(path, QDIR_INCOMING, ".tmp1");
	rig_write(path, "x");
	path_of(path, QDIR_DEFERRED, "00000000000000000000");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	path_of(path, QDIR_DEFERRED, "00000000000000000001");
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	path_of(path, QDIR_DEFERRED, "00000000000000000002");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	rig_store(r, &m, QDIR_INCOMING);
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert(rig_logged(r, "no-queue-files"));
	ck_assert(rig_in(r, QDIR_INCOMING, "core"));
}
END_TEST

static bool
unreadable_logged(struct rig *rig, const void *arg)
{
	(void)arg;
	return rig_logged(rig, "queue-file-unreadable");
}

START_TEST(test_unreadable)
{
	struct rig_message m = rig_message("ann");
	char path[200];

	if (RIG_SANITIZED && getuid() == 0)
		return; /* without the cage root reads everything */
	rig_end(r, SIGTERM);
	rig_configure(r, "retry_first = 300ms\n");
	rig_start(r);
	rig_store(r, &m, QDIR_INCOMING);
	path_of(path, QDIR_INCOMING, m.id.s);
	ck_assert_int_eq(chmod(path, 0), 0);
	rig_notify(r, &m);
	WAIT_FOR(r, unreadable_logged, NULL);
	rig_sleep(r, 50);
	ck_assert(rig_in(r, QDIR_INCOMING, m.id.s));
	ck_assert_int_eq(chmod(path, 0600), 0);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

/* What queued has its lock on is not touched. */
START_TEST(test_locked)
{
	struct rig_message m = rig_message("ann");
	struct notice_rescan rescan = {0};
	char path[200];
	int fd;

	rig_store(r, &m, QDIR_INCOMING);
	path_of(path, QDIR_INCOMING, m.id.s);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert(chan_link_send(r->notice, NOTICE_RESCAN, &rescan));
	rig_sleep(r, 200);
	ck_assert_uint_eq(r->njobs, 0);
	close(fd);
	/* the notice comes sooner than the next look at it */
	rig_notify(r, &m);
	ck_assert(rig_run(r, rig_nowhere, m.id.s, 500));
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

/* The second qmgr of a queue waits for the end of the first. */
START_TEST(test_lock)
{
	struct rig_message m;
	pid_t first = r->pid, second = fork();

	if (second == 0)
		rig_child(r);
	rig_sleep(r, 300);
	ck_assert(rig_logged(r, "is locked by another qmgr"));
	rig_end(r, SIGTERM);
	ck_assert_int_ne(kill(first, 0), 0);
	r->pid = second;
	m = rig_message("ann");
	rig_store(r, &m, QDIR_INCOMING);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	chan_link_free(&r->notice);
	chan_link_free(&r->control);
	chan_link_free(&r->etrn);
}
END_TEST

START_TEST(test_reload)
{
	struct rig_message m;

	r->failures = 1;
	rig_configure(r, "retry_first = 100ms\n");
	kill(r->pid, SIGHUP);
	rig_sleep(r, 200);
	m = rig_send(r, "temp");
	ck_assert(rig_run(r, rig_nowhere, m.id.s, 3000));
	/* a broken one changes nothing */
	rig_configure(r, "retry_first = soon\n");
	kill(r->pid, SIGHUP);
	rig_sleep(r, 200);
	r->failures = 1;
	m = rig_send(r, "temp");
	ck_assert(rig_run(r, rig_nowhere, m.id.s, 3000));
}
END_TEST

/* ---- many ---- */

static long
resident_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	fclose(f);
	return kb;
}

static bool
scanned(struct rig *rig, const void *files)
{
	return rig_logged(rig, files);
}

#define MANY 20000

/* Deferred messages cost a few octets each, and fresh mail flows meanwhile. */
START_TEST(test_many_waiting)
{
	struct timespec times[2];
	struct rig_message m = rig_message("ann");
	char from[200], path[200];
	long before = resident_kb(r->pid), after;
	int64_t start;

	rig_end(r, SIGTERM);
	rig_store(r, &m, QDIR_DEFERRED);
	path_of(from, QDIR_DEFERRED, m.id.s);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_sec = clock_real_ms() / 1000 + 3600;
	times[1].tv_nsec = 0;
	ck_assert_int_eq(utimensat(AT_FDCWD, from, times, 0), 0);
	/* the same file by many names: only its times are looked at */
	for (int i = 1; i < MANY; i++) {
		m.id = id_new(clock_real_ms());
		path_of(path, QDIR_DEFERRED, m.id.s);
		ck_assert_int_eq(link(from, path), 0);
	}
	start = clock_mono_ms();
	rig_start(r);
	m = rig_send(r, "ann");
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_int_lt(clock_mono_ms() - start, 5000);
	WAIT_FOR(r, scanned, "found=20000");
	after = resident_kb(r->pid);
	ck_assert_msg(RIG_SANITIZED || after - before < MANY * 200 / 1024,
	    "%ld kB for %d messages", after - before, MANY);
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

Suite *
qmgr_control_suite(void)
{
	Suite *s = suite_create("qmgr_control");
	TCase *t = tcase_create("control");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_unknown);
	tcase_add_test(t, test_hold_release);
	tcase_add_test(t, test_release_what_is_not_held);
	tcase_add_test(t, test_retry);
	tcase_add_test(t, test_retry_failed);
	tcase_add_loop_test(t, test_remove, 0, 3);
	tcase_add_test(t, test_busy);
	tcase_add_test(t, test_hold_active);
	tcase_add_test(t, test_policy_hold);
	tcase_add_test(t, test_left_over);
	tcase_add_test(t, test_corrupt);
	tcase_add_test(t, test_corrupt_content);
	tcase_add_test(t, test_strange_names);
	tcase_add_test(t, test_unreadable);
	tcase_add_test(t, test_locked);
	tcase_add_test(t, test_lock);
	tcase_add_test(t, test_reload);
	tcase_add_test(t, test_many_waiting);
	suite_add_tcase(s, t);
	return s;
}
