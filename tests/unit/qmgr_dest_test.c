/*
 * qmgr's destinations as admins and ETRN see them (qmgr_rig.h): lists, pauses,
 * what waits tried now.
 */
#include "tests/unit/qmgr_rig.h"

Suite *qmgr_dest_suite(void);

static struct rig *r;

static const char conf[] = "etrn_domains = x.example, dead.example, "
    ".sub.example, temp.example\n";

static void
setup(void)
{
	r = rig_new(conf);
	rig_start(r);
}

static void
teardown(void)
{
	rig_free(r);
}

static bool
all_gone(struct rig *rig, const void *arg)
{
	const struct rig_message *m = arg;

	for (int i = 0; i < 5; i++)
		if (!rig_nowhere(rig, m[i].id.s))
			return false;
	return true;
}

static bool
all_deferred(struct rig *rig, const void *arg)
{
	const struct rig_message *m = arg;

	for (int i = 0; i < 5; i++)
		if (!rig_in(rig, QDIR_DEFERRED, m[i].id.s))
			return false;
	return true;
}

static void
send_five(struct rig_message m[5], const char *to)
{
	for (int i = 0; i < 5; i++)
		m[i] = rig_send(r, to);
}

static void
deferred_five(struct rig_message m[5], const char *to)
{
	send_five(m, to);
	WAIT_FOR(r, all_deferred, m);
	rig_sleep(r, 50);
}

/* ---- lists ---- */

START_TEST(test_list)
{
	struct rig_message m[5], other;
	struct rig_dest *d;
	size_t n = 6;

	deferred_five(m, "a@dead.example");
	d = rig_dest(r, "dead.example");
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(d->waiting, 5);
	ck_assert_uint_eq(d->running, 0);
	ck_assert_uint_eq(d->paused, 0);
	ck_assert_str_eq(d->error, "4.4.1 451 no route to host "
	    "(mx.example[192.0.2.1]:25)");
	ck_assert_int_gt((int64_t)d->next_ms, clock_real_ms() + 30000);
	r->remote_silent = true;
	n = r->ntransfers + 1;
	other = rig_send(r, "a@x.example");
	WAIT_FOR(r, rig_ntransfers, &n);
	d = rig_dest(r, "x.example");
	ck_assert_uint_eq(d->running, 1);
	ck_assert_uint_eq(d->limit, 5);
	ck_assert_str_eq(d->error, "");
	ck_assert_uint_eq(d->next_ms, 0);
	r->remote_silent = false;
	rig_transfer_answer(r, r->transfers[n - 1]);
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert_ptr_null(rig_dest(r, "nobody.example"));
}
END_TEST

/* ---- pauses ---- */

static const struct {
	const char *to, *dest;
} pauses[] = {
	{"a@x.example", "x.example"},
	{"a@routed1.example", "smtp:[192.0.2.1] concurrency=2"},
	{"ann", "ann@here.example"},
	{"ann", "local"},
	{"prog", "local"},
};

START_TEST(test_pause)
{
	struct rig_message m[5], other;
	const char *dest = pauses[_i].dest;
	struct rig_dest *d;
	struct qfile *q;
	size_t n;

	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RESUME, dest),
	    CONTROL_NOT_FOUND);
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_PAUSE, dest),
	    CONTROL_DONE);
	deferred_five(m, pauses[_i].to);
	other = rig_send(r, "z@other.example");
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert_uint_eq(r->ntransfers, 1);
	ck_assert_uint_eq(r->njobs, 0);
	q = rig_open(r, QDIR_DEFERRED, m[0].id.s, false);
	n = qfile_nrcpts(q) - 1;
	ck_assert(slice_eq(qfile_rcpt(q, n)->rule, SLICE("paused")));
	ck_assert(slice_eq(qfile_rcpt(q, n)->why, SLICE("4.3.2 451 this "
	    "destination is paused: by the test")));
	qfile_free(&q);
	/* also for the next qmgr, and in the list before there is mail */
	rig_end(r, SIGKILL);
	rig_start(r);
	rig_sleep(r, 100);
	d = rig_dest(r, dest);
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(d->paused, 1);
	ck_assert_str_eq(d->reason, "by the test");
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RETRY, dest),
	    CONTROL_FAILED);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->ntransfers + r->njobs, 1);
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RESUME, dest),
	    CONTROL_DONE);
	WAIT_FOR(r, all_gone, m);
	d = rig_dest(r, dest);
	ck_assert(d == NULL || d->paused == 0);
}
END_TEST

static const char *const bad_names[] = {"", "a\nb", "a\tb", " a", "#a"};

START_TEST(test_pause_bad)
{
	if (bad_names[_i][0] == '\0')
		return; /* the contract asks for a name */
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_PAUSE, bad_names[_i]),
	    CONTROL_FAILED);
}
END_TEST

/* The file may be written by hand. */
START_TEST(test_pause_by_hand)
{
	struct rig_message m;
	char path[160];

	snprintf(path, sizeof(path), "%s/paused", r->queue);
	rig_write(path, "# stopped\n\n  x.example\t moving house \nbroken\n"
	    "y.example\t\n");
	kill(r->pid, SIGHUP);
	rig_sleep(r, 100);
	m = rig_send(r, "a@x.example");
	WAIT_FOR(r, rig_deferred, m.id.s);
	ck_assert_str_eq(rig_dest(r, "x.example")->reason, "moving house");
	ck_assert_str_eq(rig_dest(r, "y.example")->reason, "no reason given");
	rig_write(path, "");
	kill(r->pid, SIGHUP);
	WAIT_FOR(r, rig_nowhere, m.id.s);
}
END_TEST

/* What is under way ends. */
START_TEST(test_pause_running)
{
	struct rig_message m[5];
	size_t n = 5;

	r->remote_silent = true;
	send_five(m, "a@x.example");
	WAIT_FOR(r, rig_ntransfers, &n);
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_PAUSE, "x.example"),
	    CONTROL_DONE);
	ck_assert_uint_eq(rig_dest(r, "x.example")->running, 5);
	for (size_t i = 0; i < n; i++)
		rig_transfer_answer(r, r->transfers[i]);
	WAIT_FOR(r, all_gone, m);
}
END_TEST

/* ---- now ---- */

START_TEST(test_retry_known)
{
	struct rig_message m[5];

	deferred_five(m, "a@dead.example");
	r->dead_up = true;
	rig_sleep(r, 100);
	ck_assert(all_deferred(r, m));
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RETRY, "dead.example"),
	    CONTROL_DONE);
	WAIT_FOR(r, all_gone, m);
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RETRY, "no.example"),
	    CONTROL_NOT_FOUND);
}
END_TEST

/* After a restart nobody knows where they go: all are looked at, and those for
 * other places stay as they were. */
START_TEST(test_retry_unknown)
{
	struct rig_message m[5], other;
	struct rig_dest *d;
	size_t n;

	r->failures = 1;
	other = rig_send(r, "temp@x.example");
	WAIT_FOR(r, rig_deferred, other.id.s);
	deferred_five(m, "a@dead.example");
	rig_end(r, SIGTERM);
	rig_start(r);
	rig_sleep(r, 100);
	r->dead_up = true;
	n = r->ntransfers;
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RETRY, "dead.example"),
	    CONTROL_DONE);
	WAIT_FOR(r, all_gone, m);
	rig_sleep(r, 50);
	ck_assert_uint_eq(r->ntransfers, n + 5);
	ck_assert(rig_deferred(r, other.id.s));
	d = rig_dest(r, "x.example");
	ck_assert_uint_eq(d->waiting, 1);
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RETRY, "x.example"),
	    CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, other.id.s);
}
END_TEST

/* ---- ETRN (RFC 1985) ---- */

static const struct {
	const char *name;
	uint32_t code;
} asked[] = {
	{"x.example", 251},
	{"X.Example", 251},
	{"@x.example", 251},
	{"a.sub.example", 251},
	{"sub.example", 459},
	{"notx.example", 459},
	{"a.x.example", 459},
	{"elsewhere.example", 459},
};

START_TEST(test_etrn_names)
{
	ck_assert_uint_eq(rig_etrn(r, asked[_i].name), asked[_i].code);
}
END_TEST

START_TEST(test_etrn)
{
	struct rig_message m[5];

	deferred_five(m, "a@dead.example");
	r->dead_up = true;
	ck_assert_uint_eq(rig_etrn(r, "dead.example"), 253);
	ck_assert_uint_eq(r->etrn_messages, 5);
	WAIT_FOR(r, all_gone, m);
	ck_assert_uint_eq(rig_etrn(r, "dead.example"), 251);
}
END_TEST

/* Also what was deferred one by one, and after a restart. */
START_TEST(test_etrn_unknown)
{
	struct rig_message m[5];

	r->failures = 5;
	deferred_five(m, "temp@temp.example");
	ck_assert_uint_eq(rig_dest(r, "temp.example")->waiting, 5);
	rig_end(r, SIGTERM);
	rig_start(r);
	rig_sleep(r, 100);
	ck_assert_uint_eq(rig_etrn(r, "temp.example"), 250);
	WAIT_FOR(r, all_gone, m);
}
END_TEST

START_TEST(test_etrn_paused)
{
	struct rig_message m[5];

	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_PAUSE, "x.example"),
	    CONTROL_DONE);
	deferred_five(m, "a@x.example");
	ck_assert_uint_eq(rig_etrn(r, "x.example"), 458);
}
END_TEST

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

Suite *
qmgr_dest_suite(void)
{
	Suite *s = suite_create("qmgr_dest");
	TCase *t = tcase_create("dest");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_list);
	tcase_add_loop_test(t, test_pause, 0, COUNT(pauses));
	tcase_add_loop_test(t, test_pause_bad, 0, COUNT(bad_names));
	tcase_add_test(t, test_pause_by_hand);
	tcase_add_test(t, test_pause_running);
	tcase_add_test(t, test_retry_known);
	tcase_add_test(t, test_retry_unknown);
	tcase_add_loop_test(t, test_etrn_names, 0, COUNT(asked));
	tcase_add_test(t, test_etrn);
	tcase_add_test(t, test_etrn_unknown);
	tcase_add_test(t, test_etrn_paused);
	suite_add_tcase(s, t);
	return s;
}
