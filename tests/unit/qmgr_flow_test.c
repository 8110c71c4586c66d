/*
 * qmgr as a process among the daemons it works with (qmgr_rig.h): the way of
 * messages, expansions, failures, restarts.  qmgr_control_test.c has the
 * admin's wishes and the start on left-overs.
 */
#include "tests/unit/qmgr_rig.h"

Suite *qmgr_flow_suite(void);

static struct rig *r;

static void
setup(void)
{
	r = rig_new("retry_first = 100ms\nretry_max = 200ms\n");
	rig_start(r);
}

static void
setup_slow(void)
{
	r = rig_new("");
	r->bounce_code = 451; /* what failed stays in the file */
	rig_start(r);
}

static void
teardown(void)
{
	rig_free(r);
}

/* ---- the plain way ---- */

START_TEST(test_one)
{
	struct rig_message m = rig_send(r, "ann");
	struct rig_job *j = &r->jobs[0];

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 1);
	ck_assert_uint_eq(r->resolves, 1);
	ck_assert_str_eq(j->id, m.id.s);
	ck_assert_str_eq(j->address, "ann@here.example");
	ck_assert_str_eq(j->sender, "sender@remote.example");
	ck_assert_str_eq(j->target, "/home/x/Maildir");
	ck_assert_uint_eq(j->number, 1);
	ck_assert_uint_eq(j->kind, DELIVERY_MAILBOX);
	ck_assert_uint_eq(j->flags, 0);
	ck_assert_uint_eq(j->uid, 4711);
	ck_assert(rig_logged(r, "delivered id="));
	ck_assert(rig_logged(r, "removed id="));
}
END_TEST

START_TEST(test_many_recipients)
{
	struct rig_message m = rig_send(r, "a b c d e f g h");

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 8);
}
END_TEST

/* Without a notice it is found: by the scan that a new connection causes. */
START_TEST(test_scan_on_connect)
{
	struct rig_message m = rig_message("ann");
	char path[160];

	rig_store(r, &m, QDIR_INCOMING);
	chan_link_free(&r->notice);
	snprintf(path, sizeof(path), "%s/%s", r->run, SOCKET_NOTICE);
	r->notice = chan_link_new(r->loop, path, &notice_contract,
	    &rig_notice_ops, r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->jobs[0].flags, JOB_CHECK);
}
END_TEST

START_TEST(test_rescan)
{
	struct notice_rescan rescan = {0};
	struct rig_message m = rig_message("ann");

	rig_store(r, &m, QDIR_INCOMING);
	ck_assert(chan_link_send(r->notice, NOTICE_RESCAN, &rescan));
	WAIT_FOR(r, rig_nowhere, m.id.s);
}
END_TEST

/* The same notice again, and one for a file that is gone. */
START_TEST(test_late_notices)
{
	struct rig_message m = rig_send(r, "ann"), other = rig_message("bob");

	rig_notify(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	rig_notify(r, &m);
	rig_notify(r, &other);
	m = rig_send(r, "carl");
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 2);
}
END_TEST

/* ---- failures ---- */

static const struct {
	const char *to;
	bool permanent;
	const char *why, *rule;
} failures[] = {
	{"perm", true, "5.2.1 550 mailbox disabled", "permanent"},
	{"none", true, "5.1.1 550 nobody of that name", "permanent"},
	{"temp@remote.example", false, "4.2.0 450 greylisted", "first"},
	{"perm@remote.example", true, "5.1.1 550 no such user", "permanent"},
	{"x@dead.example", false, "4.4.1 451 no route to host", "destination"},
	{"x@-.example", true, "5.1.2 553 no mail can go to this domain: ",
	    "permanent"},
	{"busytable", false, "4.3.0 451 a table could not be read", "first"},
	{"temp", false, "4.2.0 451 try later", "first"},
	{"liar", false, "4.3.0 451 local named places that cannot be",
	    "first"},
};

START_TEST(test_failure)
{
	const struct qrcpt *row;
	struct rig_message m;
	struct qfile *q;
	struct stat st;
	int64_t now = clock_real_ms();

	r->failures = 1;
	m = rig_send(r, failures[_i].to);
	WAIT_FOR(r, rig_deferred, m.id.s);
	rig_sleep(r, 50); /* the hint comes after the move */
	ck_assert(!rig_in(r, QDIR_INCOMING, m.id.s));
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	row = qfile_rcpt(q, 0);
	ck_assert_int_eq(row->state, failures[_i].permanent ? 'F' : 'T');
	ck_assert_uint_eq(row->attempts, 1);
	ck_assert_msg(slice_prefix(row->why, slice_of(failures[_i].why)),
	    "%.*s", SLICE_FMT(row->why));
	ck_assert_msg(slice_eq(row->rule, slice_of(failures[_i].rule)),
	    "%.*s", SLICE_FMT(row->rule));
	ck_assert_int_eq(fstat(qfile_fd(q), &st), 0);
	if (failures[_i].permanent) {
		/* the notice failed for now */
		ck_assert_int_eq(row->next_ms, 0);
		ck_assert_int_ge(st.st_mtim.tv_sec, now / 1000 + 59);
		ck_assert_int_le(st.st_mtim.tv_sec, now / 1000 + 65);
	} else {
		ck_assert_int_ge(row->next_ms, now + 53000);
		ck_assert_int_le(row->next_ms, clock_real_ms() + 67000);
		ck_assert_int_eq(st.st_mtim.tv_sec, row->next_ms / 1000);
	}
	qfile_free(&q);
}
END_TEST

START_TEST(test_temp_then_good)
{
	struct rig_message m;

	r->failures = 3;
	m = rig_send(r, "temp ann");
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(rig_jobs_for(r, "temp@here.example", NULL), 4);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", NULL), 1);
}
END_TEST

static bool
lifetime_logged(struct rig *rig, const void *arg)
{
	(void)arg;
	return rig_logged(rig, "rule=lifetime");
}

static bool
failed_logged(struct rig *rig, const void *arg)
{
	(void)arg;
	return rig_logged(rig, "failed id=");
}

START_TEST(test_lifetime)
{
	struct rig_message m;
	struct qfile *q;

	rig_end(r, SIGTERM);
	rig_configure(r, "retry_first = 100ms\nretry_max = 200ms\n"
	    "queue_lifetime = 1s\n");
	rig_start(r);
	r->bounce_code = 451;
	r->failures = 1000;
	m = rig_send(r, "temp");
	WAIT_FOR(r, lifetime_logged, NULL);
	WAIT_FOR(r, failed_logged, NULL);
	rig_sleep(r, 400);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'F');
	ck_assert(slice_eq(qfile_rcpt(q, 0)->rule, SLICE("lifetime")));
	qfile_free(&q);
	ck_assert_uint_le(r->njobs, 12);
}
END_TEST

/* ---- expansions ---- */

START_TEST(test_list)
{
	struct rig_message m = rig_send(r, "list carl");
	struct rig_job *j = NULL;

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 3);
	ck_assert_uint_eq(rig_jobs_for(r, "carl@here.example", &j), 1);
	ck_assert_uint_eq(j->number, 2);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", &j), 1);
	ck_assert_uint_eq(j->number, 3);
	ck_assert_uint_eq(rig_jobs_for(r, "bob@here.example", &j), 1);
	ck_assert_uint_eq(j->number, 4);
	ck_assert_uint_eq(j->flags, 0);
}
END_TEST

START_TEST(test_owner_sender)
{
	struct rig_message m = rig_send(r, "owned");

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 2);
	ck_assert_str_eq(r->jobs[0].sender, "owner-owned@here.example");
	ck_assert_str_eq(r->jobs[1].sender, "owner-owned@here.example");
}
END_TEST

START_TEST(test_program)
{
	struct rig_message m = rig_send(r, "prog");
	const struct rig_job *j = &r->jobs[0];

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 1);
	ck_assert_uint_eq(j->kind, DELIVERY_PROGRAM);
	ck_assert_str_eq(j->target, "/bin/prog 'a b'\tc");
	ck_assert_str_eq(j->user, "pipe");
	ck_assert_uint_eq(j->uid, 77);
	ck_assert_str_eq(j->address, "prog@here.example");
}
END_TEST

START_TEST(test_forward)
{
	struct rig_message m = rig_send(r, "fwd");
	struct rig_job *j = NULL;

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 5);
	/* the first answered with the forward file; then the mailbox, the
	 * program and the Maildir are the owner's */
	ck_assert_uint_eq(rig_jobs_for(r, "fwd@here.example", &j), 4);
	ck_assert_uint_eq(rig_jobs_for(r, "bob@here.example", NULL), 1);
	for (size_t i = 1; i < r->njobs; i++) {
		j = &r->jobs[i];
		ck_assert_uint_eq(j->uid, 4711);
		if (j->kind == DELIVERY_PROGRAM)
			ck_assert_str_eq(j->target, "/bin/filter");
		else if (j->kind == DELIVERY_MAILDIR)
			ck_assert_str_eq(j->target, "/home/x/Maildir/.lists/");
		else if (strncmp(j->address, "fwd", 3) == 0)
			ck_assert_uint_eq(j->flags & JOB_NO_FORWARD,
			    JOB_NO_FORWARD);
	}
}
END_TEST

static const struct {
	const char *to;
	size_t jobs;
	const char *last;
} loops[] = {
	{"self", 2, "self@here.example"},
	{"ping", 3, "ping@here.example"},
	{"pong", 3, "pong@here.example"},
};

/* Forward files that lead back: the mailbox it started from gets it. */
START_TEST(test_forward_loop)
{
	struct rig_message m = rig_send(r, loops[_i].to);

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, loops[_i].jobs);
	ck_assert_str_eq(r->jobs[r->njobs - 1].address, loops[_i].last);
	ck_assert_uint_eq(r->jobs[r->njobs - 1].flags, JOB_NO_FORWARD);
}
END_TEST

START_TEST(test_deep)
{
	struct rig_message m = rig_send(r, "chain1");
	struct qfile *q;
	size_t n;

	WAIT_FOR(r, rig_deferred, m.id.s);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	n = qfile_nrcpts(q);
	ck_assert_int_eq(qfile_rcpt(q, n - 1)->state, 'F');
	ck_assert(slice_prefix(qfile_rcpt(q, n - 1)->why, SLICE("5.4.6 550")));
	/* alias_depth_max is 20 */
	ck_assert_uint_eq(n, 21);
	ck_assert_uint_eq(r->njobs, 21);
	qfile_free(&q);
}
END_TEST

START_TEST(test_big_list)
{
	struct rig_message m = rig_send(r, "big");
	bool seen[252] = {false};

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 250);
	for (size_t i = 0; i < r->njobs; i++) {
		ck_assert_uint_ge(r->jobs[i].number, 2);
		ck_assert_uint_le(r->jobs[i].number, 251);
		ck_assert(!seen[r->jobs[i].number]);
		seen[r->jobs[i].number] = true;
	}
}
END_TEST

START_TEST(test_too_many)
{
	struct rig_message m;
	struct qfile *q;

	rig_end(r, SIGTERM);
	rig_configure(r, "expansion_max = 249\n");
	rig_start(r);
	r->bounce_code = 451;
	m = rig_send(r, "big");
	WAIT_FOR(r, rig_deferred, m.id.s);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert_uint_eq(qfile_nrcpts(q), 1);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'F');
	qfile_free(&q);
	ck_assert_uint_eq(r->njobs, 0);
}
END_TEST

/* One of a list fails for now, qmgr is killed: the list is not expanded again
 * and nobody gets it twice. */
START_TEST(test_expansion_once)
{
	struct rig_message m;
	struct rig_job *j = NULL;
	struct qfile *q;

	r->failures = 2;
	m = rig_send(r, "mixed");
	WAIT_FOR(r, rig_deferred, m.id.s);
	rig_end(r, SIGKILL);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert_uint_eq(qfile_nrcpts(q), 3);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'X');
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'D');
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, 'T');
	qfile_free(&q);
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", NULL), 1);
	ck_assert_uint_eq(rig_jobs_for(r, "temp@here.example", &j), 3);
	ck_assert_uint_eq(j->number, 3);
	ck_assert_uint_eq(j->flags, JOB_CHECK);
}
END_TEST

/* ---- crashes and daemons that go away ---- */

START_TEST(test_kill_in_flight)
{
	struct rig_message m;
	size_t one = 1;

	r->local_silent = true;
	m = rig_send(r, "ann");
	WAIT_FOR(r, rig_njobs, &one);
	rig_end(r, SIGKILL);
	ck_assert(rig_in(r, QDIR_INCOMING, m.id.s));
	r->local_silent = false;
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 2);
	ck_assert_uint_eq(r->jobs[1].number, 1);
	ck_assert_uint_eq(r->jobs[1].flags, JOB_CHECK);
}
END_TEST

START_TEST(test_term_finishes)
{
	struct rig_message m, other;
	size_t one = 1;
	int wstatus;

	r->local_silent = true;
	m = rig_send(r, "ann");
	WAIT_FOR(r, rig_njobs, &one);
	kill(r->pid, SIGTERM);
	rig_sleep(r, 100);
	other = rig_send(r, "bob");
	rig_sleep(r, 100);
	rig_answer(r, &r->jobs[0]);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	chan_link_free(&r->notice);
	chan_link_free(&r->control);
	chan_link_free(&r->etrn);
	ck_assert_int_eq(waitpid(r->pid, &wstatus, 0), r->pid);
	r->pid = 0;
	ck_assert_int_eq(wstatus, 0);
	ck_assert_uint_eq(r->njobs, 1);
	r->local_silent = false;
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, other.id.s);
}
END_TEST

START_TEST(test_local_restarts)
{
	struct rig_message m, other;
	size_t one = 1;

	r->local_silent = true;
	m = rig_send(r, "ann");
	WAIT_FOR(r, rig_njobs, &one);
	rig_down(&r->local, &r->local_fd);
	other = rig_send(r, "bob");
	rig_sleep(r, 100);
	r->local_silent = false;
	rig_local_up(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert_uint_eq(r->njobs, 3);
	ck_assert_uint_eq(r->jobs[1].flags | r->jobs[2].flags, JOB_CHECK);
	ck_assert(!rig_logged(r, "deferred id="));
}
END_TEST

/* Not there for longer than the patience: nothing is counted, and all goes on
 * at once when it is back. */
START_TEST(test_local_away)
{
	struct rig_message m, other;

	rig_down(&r->local, &r->local_fd);
	rig_sleep(r, 100);
	m = rig_send(r, "ann list");
	rig_sleep(r, 600);
	other = rig_send(r, "bob");
	rig_sleep(r, 200);
	ck_assert(rig_logged(r, "waiting-for"));
	ck_assert(rig_in(r, QDIR_INCOMING, m.id.s));
	rig_local_up(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert_uint_eq(r->njobs, 4);
	ck_assert(!rig_logged(r, "deferred id="));
}
END_TEST

START_TEST(test_authd_away)
{
	struct rig_message m, other;

	rig_down(&r->authd, &r->authd_fd);
	rig_sleep(r, 50);
	m = rig_send(r, "ann");
	rig_sleep(r, 600);
	other = rig_message("bob");
	rig_store(r, &other, QDIR_INCOMING);
	other.n = 0; /* as if there were too many for the notice */
	rig_notify(r, &other);
	rig_sleep(r, 200);
	rig_authd_up(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert_uint_eq(r->njobs, 2);
}
END_TEST

/* A message that takes local with it each time does so three times only. */
START_TEST(test_poison)
{
	struct rig_message m;
	size_t n;

	r->local_silent = true;
	m = rig_send(r, "ann");
	for (n = 1; n <= 3; n++) {
		WAIT_FOR(r, rig_njobs, &n);
		rig_down(&r->local, &r->local_fd);
		rig_local_up(r);
	}
	WAIT_FOR(r, rig_deferred, m.id.s);
	ck_assert(rig_logged(r, "went away during the delivery"));
}
END_TEST

/* ---- turns ---- */

/* Bulk mail leaves a share of the jobs to others. */
START_TEST(test_fair)
{
	struct rig_message big, m;
	struct rig_job *j = NULL;
	size_t n = 2;

	r->local_silent = true;
	rig_down(&r->local, &r->local_fd);
	r->capacity = 3;
	rig_local_up(r);
	big = rig_send(r, "big");
	WAIT_FOR(r, rig_njobs, &n);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->njobs, 2);
	m = rig_send(r, "ann");
	n = 3;
	WAIT_FOR(r, rig_njobs, &n);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", &j), 1);
	r->local_silent = false;
	for (size_t i = 0; i < 3; i++)
		rig_answer(r, &r->jobs[i]);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	WAIT_FOR(r, rig_nowhere, big.id.s);
}
END_TEST

/* One mailbox does not take all jobs. */
START_TEST(test_mailbox_limit)
{
	struct rig_message m[4];
	size_t n = 3;

	rig_end(r, SIGTERM);
	rig_configure(r, "mailbox_concurrency = 2\n");
	rig_start(r);
	r->local_silent = true;
	for (int i = 0; i < 3; i++)
		m[i] = rig_send(r, "ann");
	m[3] = rig_send(r, "bob");
	WAIT_FOR(r, rig_njobs, &n);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->njobs, 3);
	ck_assert_uint_eq(rig_jobs_for(r, "ann@here.example", NULL), 2);
	r->local_silent = false;
	for (size_t i = 0; i < 3; i++)
		rig_answer(r, &r->jobs[i]);
	for (int i = 0; i < 4; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	ck_assert_uint_eq(r->njobs, 4);
}
END_TEST

/* More than may be active wait as files. */
START_TEST(test_active_limit)
{
	struct rig_message m[30];
	size_t n = 10;

	rig_end(r, SIGTERM);
	rig_configure(r, "active_messages_max = 10\n");
	rig_start(r);
	r->local_silent = true;
	for (int i = 0; i < 30; i++)
		m[i] = rig_send(r, i % 2 ? "ann bob" : "carl");
	WAIT_FOR(r, rig_njobs, &n);
	r->local_silent = false;
	for (size_t i = 0; i < r->njobs; i++)
		if (r->jobs[i].job != 0)
			rig_answer(r, &r->jobs[i]);
	for (int i = 0; i < 30; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	ck_assert_uint_eq(r->njobs, 45);
}
END_TEST

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

Suite *
qmgr_flow_suite(void)
{
	Suite *s = suite_create("qmgr_flow");
	TCase *t = tcase_create("flow"), *slow = tcase_create("slow retries");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_one);
	tcase_add_test(t, test_many_recipients);
	tcase_add_test(t, test_scan_on_connect);
	tcase_add_test(t, test_rescan);
	tcase_add_test(t, test_late_notices);
	tcase_add_test(t, test_temp_then_good);
	tcase_add_test(t, test_lifetime);
	tcase_add_test(t, test_list);
	tcase_add_test(t, test_owner_sender);
	tcase_add_test(t, test_program);
	tcase_add_test(t, test_forward);
	tcase_add_loop_test(t, test_forward_loop, 0, COUNT(loops));
	tcase_add_test(t, test_big_list);
	tcase_add_test(t, test_too_many);
	tcase_add_test(t, test_expansion_once);
	tcase_add_test(t, test_kill_in_flight);
	tcase_add_test(t, test_term_finishes);
	tcase_add_test(t, test_local_restarts);
	tcase_add_test(t, test_local_away);
	tcase_add_test(t, test_authd_away);
	tcase_add_test(t, test_fair);
	tcase_add_test(t, test_mailbox_limit);
	tcase_add_test(t, test_active_limit);
	suite_add_tcase(s, t);
	tcase_set_timeout(slow, 60);
	tcase_add_checked_fixture(slow, setup_slow, teardown);
	tcase_add_loop_test(slow, test_failure, 0, COUNT(failures));
	tcase_add_test(slow, test_deep);
	tcase_add_test(slow, test_poison);
	suite_add_tcase(s, slow);
	return s;
}
