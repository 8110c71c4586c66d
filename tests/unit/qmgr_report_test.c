/*
 * qmgr and bounce (qmgr_rig.h): who is told of failures, delays and successes,
 * once each; lifetimes and deadlines.
 */
#include "tests/unit/qmgr_rig.h"

Suite *qmgr_report_suite(void);

static struct rig *r;

static void
setup(void)
{
	r = rig_new("retry_first = 100ms\nretry_max = 200ms\n");
	rig_start(r);
}

static void
teardown(void)
{
	rig_free(r);
}

static void
restart(const char *conf)
{
	rig_end(r, SIGTERM);
	rig_configure(r, conf);
	rig_start(r);
}

/* ---- failures ---- */

START_TEST(test_one_notice)
{
	struct rig_message m = rig_send(r, "perm none perm@x.example "
	    "perm@y.example ann none");

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->notices[0].kind, BOUNCE_FAILURE);
	ck_assert_str_eq(r->notices[0].id, m.id.s);
	ck_assert_str_eq(r->notices[0].sender, "sender@remote.example");
	ck_assert_uint_eq(r->notices[0].n, 5);
	ck_assert_uint_eq(r->notices[0].numbers[4], 6);
	ck_assert_uint_eq(r->notices[0].actions[0], BOUNCE_FAILED);
}
END_TEST

/* Those that fail later have a notice of their own; nobody is told twice. */
START_TEST(test_later)
{
	struct rig_message m;
	size_t two = 2;

	r->failures = 2;
	m = rig_send(r, "perm temp@x.example");
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->nnotices, 1);
	restart("retry_first = 100ms\nqueue_lifetime = 1s\n");
	r->failures = 1000;
	WAIT_FOR(r, rig_nnotices, &two);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 2);
	ck_assert_uint_eq(r->notices[1].n, 1);
	ck_assert_uint_eq(r->notices[1].numbers[0], 2);
}
END_TEST

static const struct {
	const char *name, *from;
	uint32_t flags, notify;
	size_t notices;
	const char *to; /* of the notice */
} failures[] = {
	{"nothing said", "a@x.example", 0, 0, 1, "a@x.example"},
	{"failure", "a@x.example", 0, NOTIFY_FAILURE, 1, "a@x.example"},
	{"never", "a@x.example", 0, NOTIFY_NEVER, 0, NULL},
	{"success only", "a@x.example", 0, NOTIFY_SUCCESS, 0, NULL},
	{"delay only", "a@x.example", 0, NOTIFY_DELAY, 0, NULL},
	{"a bounce", "", 0, 0, 1, ""},
	{"a bounce of a bounce", "", ENV_DOUBLE, 0, 0, NULL},
};

START_TEST(test_failure)
{
	struct rig_message m = rig_message("perm");

	m.from = failures[_i].from;
	m.flags = failures[_i].flags;
	m.notify = failures[_i].notify;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, failures[_i].notices);
	if (failures[_i].notices > 0)
		ck_assert_str_eq(r->notices[0].sender, failures[_i].to);
	else
		ck_assert(rig_logged(r, "not-bounced id="));
}
END_TEST

/* A list's failures go to its owner. */
START_TEST(test_list_owner)
{
	struct rig_message m = rig_message("plist perm");

	m.notify = NOTIFY_NEVER; /* which is the sender's wish, not theirs */
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_str_eq(r->notices[0].sender, "owner-plist@here.example");
	ck_assert_uint_eq(r->notices[0].n, 1);
	ck_assert_uint_eq(r->notices[0].numbers[0], 3);
}
END_TEST

/* bounce is not there: it waits in deferred/, and goes on when it is back. */
START_TEST(test_bounce_away)
{
	struct rig_message m;
	struct qfile *q;

	rig_down(&r->bounce, &r->bounce_fd);
	rig_sleep(r, 400);
	m = rig_send(r, "perm ann");
	WAIT_FOR(r, rig_deferred, m.id.s);
	rig_sleep(r, 300);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'F');
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'D');
	qfile_free(&q);
	rig_bounce_up(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->njobs, 2);
}
END_TEST

START_TEST(test_bounce_fails)
{
	struct rig_message m;
	size_t three = 3;

	r->bounce_code = 451;
	m = rig_send(r, "perm");
	WAIT_FOR(r, rig_nnotices, &three);
	ck_assert(rig_in(r, QDIR_DEFERRED, m.id.s));
	r->bounce_code = 250;
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

/* A notice nobody will ever take: given up. */
START_TEST(test_bounce_refuses)
{
	struct rig_message m;

	r->bounce_code = 552;
	m = rig_send(r, "perm");
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert(rig_logged(r, "not-reported id="));
	ck_assert_uint_eq(r->nnotices, 1);
}
END_TEST

/* Killed while it waits for bounce: told after the start. */
START_TEST(test_killed)
{
	struct rig_message m;

	rig_down(&r->bounce, &r->bounce_fd);
	m = rig_send(r, "perm temp@x.example");
	rig_sleep(r, 150);
	rig_end(r, SIGKILL);
	rig_bounce_up(r);
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->notices[0].n, 1);
	ck_assert_uint_eq(r->njobs, 1);
}
END_TEST

/* ---- success ---- */

static const struct {
	const char *to;
	uint32_t notify;
	size_t notices, n;
	uint32_t action;
} successes[] = {
	{"ann", NOTIFY_SUCCESS, 1, 1, BOUNCE_DELIVERED},
	{"ann", NOTIFY_FAILURE, 0, 0, 0},
	{"prog", NOTIFY_SUCCESS, 1, 1, BOUNCE_DELIVERED},
	{"list", NOTIFY_SUCCESS, 1, 1, BOUNCE_EXPANDED},
	{"owned", NOTIFY_SUCCESS, 1, 1, BOUNCE_DELIVERED},
	{"rlist", NOTIFY_SUCCESS, 1, 1, BOUNCE_DELIVERED},
	{"rlist", NOTIFY_FAILURE, 0, 0, 0},
	/* the next host promises notices, or not */
	{"a@x.example", NOTIFY_SUCCESS, 0, 0, 0},
	{"plain@x.example", NOTIFY_SUCCESS, 1, 1, BOUNCE_RELAYED},
	{"ann bob", NOTIFY_SUCCESS, 1, 2, BOUNCE_DELIVERED},
	{"fwd", NOTIFY_SUCCESS, 1, 1, BOUNCE_EXPANDED},
};

START_TEST(test_success)
{
	struct rig_message m = rig_message(successes[_i].to);

	m.notify = successes[_i].notify;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, successes[_i].notices);
	if (r->nnotices == 0)
		return;
	ck_assert_uint_eq(r->notices[0].kind, BOUNCE_SUCCESS);
	ck_assert_uint_eq(r->notices[0].n, successes[_i].n);
	ck_assert_uint_eq(r->notices[0].actions[0], successes[_i].action);
	/* prog's program took its place */
	ck_assert_uint_eq(r->notices[0].numbers[0], _i == 2 ? 2 : 1);
}
END_TEST

/* What is owed survives a crash, and what was told is not told again. */
START_TEST(test_success_killed)
{
	struct rig_message m = rig_message("list plain@x.example "
	    "temp@x.example");
	struct qfile *q;

	r->failures = 1000;
	m.notify = NOTIFY_SUCCESS;
	rig_down(&r->bounce, &r->bounce_fd);
	rig_submit(r, &m);
	rig_sleep(r, 600);
	rig_end(r, SIGKILL);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'X');
	ck_assert(!qfile_rcpt(q, 0)->told);
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'S');
	ck_assert(slice_eq(qfile_rcpt(q, 1)->outcome, SLICE("relayed")));
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, 'T');
	qfile_free(&q);
	rig_bounce_up(r);
	rig_start(r);
	rig_sleep(r, 600);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->notices[0].n, 2);
	rig_end(r, SIGKILL);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert(qfile_rcpt(q, 0)->told);
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'D');
	qfile_free(&q);
	rig_start(r);
	r->failures = 0;
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
}
END_TEST

/* ---- delays ---- */

static const struct {
	uint32_t notify, flags;
	const char *from, *conf;
	size_t notices;
} delays[] = {
	{0, 0, NULL, "delay_warning = 500ms\n", 1},
	{NOTIFY_DELAY, 0, NULL, "delay_warning = 500ms\n", 1},
	{NOTIFY_FAILURE, 0, NULL, "delay_warning = 500ms\n", 0},
	{NOTIFY_NEVER, 0, NULL, "delay_warning = 500ms\n", 0},
	{0, 0, "", "delay_warning = 500ms\n", 0},
	{0, 0, NULL, "delay_warning = 0\n", 0},
};

START_TEST(test_delay)
{
	struct rig_message m = rig_message("temp@x.example ann temp");
	char conf[128];

	snprintf(conf, sizeof(conf), "retry_first = 10s\n%s", delays[_i].conf);
	restart(conf);
	m.notify = delays[_i].notify;
	m.from = delays[_i].from;
	r->failures = 1000;
	rig_submit(r, &m);
	rig_sleep(r, 1000);
	ck_assert_uint_eq(r->nnotices, delays[_i].notices);
	ck_assert_uint_eq(r->ntransfers, 1);
	if (r->nnotices == 0)
		return;
	ck_assert_uint_eq(r->notices[0].kind, BOUNCE_DELAY);
	ck_assert_uint_eq(r->notices[0].n, 2);
	ck_assert_uint_eq(r->notices[0].actions[1], BOUNCE_DELAYED);
	ck_assert_int_gt((int64_t)r->notices[0].until_ms,
	    clock_real_ms() + INT64_C(86400000));
	/* once, also for the next qmgr */
	rig_end(r, SIGTERM);
	rig_start(r);
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m.id.s), CONTROL_DONE);
	rig_sleep(r, 500);
	ck_assert_uint_eq(r->ntransfers, 2);
	ck_assert_uint_eq(r->nnotices, 1);
}
END_TEST

/* A message in a line is warned of, too, and stays there. */
START_TEST(test_delay_in_line)
{
	struct rig_message m[3];
	size_t n = 3;

	restart("retry_first = 10s\ndelay_warning = 700ms\n");
	for (int i = 0; i < 3; i++)
		m[i] = rig_send(r, "a@dead.example");
	WAIT_FOR(r, rig_nnotices, &n);
	rig_sleep(r, 300);
	ck_assert_uint_eq(r->nnotices, 3);
	ck_assert_uint_le(r->ntransfers, 3);
	ck_assert_uint_eq(rig_dest(r, "dead.example")->waiting, 3);
	ck_assert(rig_deferred(r, m[0].id.s));
}
END_TEST

/* ---- deadlines (RFC 2852) ---- */

START_TEST(test_deadline_return)
{
	struct rig_message m = rig_message("temp@x.example ann");
	int64_t start_ms = clock_mono_ms();

	restart("retry_first = 10s\n");
	m.flags = ENV_BY_RETURN;
	m.by_at_ms = (uint64_t)clock_real_ms() + 700;
	r->failures = 1000;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_int_ge(clock_mono_ms() - start_ms, 600);
	ck_assert_int_lt(clock_mono_ms() - start_ms, 3000);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->notices[0].kind, BOUNCE_FAILURE);
	ck_assert(rig_logged(r, "status=5.4.7"));
	ck_assert(rig_logged(r, "rule=deadline"));
	ck_assert_uint_eq(r->transfers[0]->by_at_ms, m.by_at_ms);
}
END_TEST

/* Found when its time is over: not tried any more. */
START_TEST(test_deadline_over)
{
	struct rig_message m = rig_message("a@x.example ann");

	m.flags = ENV_BY_RETURN;
	m.by_at_ms = (uint64_t)clock_real_ms() - 1;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers + r->njobs, 0);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->notices[0].n, 2);
}
END_TEST

/* Nobody is told of the success of a bounce. */
START_TEST(test_success_of_bounce)
{
	struct rig_message m = rig_message("ann list plain@x.example");

	m.from = "";
	m.notify = NOTIFY_SUCCESS;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 0);
}
END_TEST

START_TEST(test_deadline_notify)
{
	struct rig_message m = rig_message("temp@x.example");
	size_t one = 1;

	restart("retry_first = 10s\n");
	m.flags = ENV_BY_NOTIFY;
	m.notify = NOTIFY_FAILURE; /* not DELAY, but not NEVER either */
	m.by_at_ms = (uint64_t)clock_real_ms() + 700;
	r->failures = 1000;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nnotices, &one);
	ck_assert_uint_eq(r->notices[0].kind, BOUNCE_DELAY);
	rig_sleep(r, 300);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert(rig_deferred(r, m.id.s));
	r->failures = 0;
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
}
END_TEST

/* Mail from <> has a lifetime of its own. */
START_TEST(test_bounce_lifetime)
{
	struct rig_message m = rig_message("temp@x.example");

	restart("retry_first = 100ms\nbounce_lifetime = 1s\n");
	m.from = "";
	r->failures = 1000;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_str_eq(r->notices[0].sender, "");
}
END_TEST

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

Suite *
qmgr_report_suite(void)
{
	Suite *s = suite_create("qmgr_report");
	TCase *t = tcase_create("report");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_one_notice);
	tcase_add_test(t, test_later);
	tcase_add_loop_test(t, test_failure, 0, COUNT(failures));
	tcase_add_test(t, test_list_owner);
	tcase_add_test(t, test_bounce_away);
	tcase_add_test(t, test_bounce_fails);
	tcase_add_test(t, test_bounce_refuses);
	tcase_add_test(t, test_killed);
	tcase_add_loop_test(t, test_success, 0, COUNT(successes));
	tcase_add_test(t, test_success_killed);
	tcase_add_loop_test(t, test_delay, 0, COUNT(delays));
	tcase_add_test(t, test_delay_in_line);
	tcase_add_test(t, test_deadline_return);
	tcase_add_test(t, test_deadline_over);
	tcase_add_test(t, test_success_of_bounce);
	tcase_add_test(t, test_deadline_notify);
	tcase_add_test(t, test_bounce_lifetime);
	suite_add_tcase(s, t);
	return s;
}
