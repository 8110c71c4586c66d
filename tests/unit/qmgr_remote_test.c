/*
 * qmgr and remote (qmgr_rig.h): which recipients share a job, what becomes of
 * the outcomes, destinations that are slow, busy or down.
 */
#include "tests/unit/qmgr_rig.h"

Suite *qmgr_remote_suite(void);

static struct rig *r;

static void
setup(void)
{
	r = rig_new("retry_first = 200ms\nretry_max = 400ms\n");
	rig_start(r);
}

static void
setup_slow(void)
{
	r = rig_new("");
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

static void
answer_all(void)
{
	for (size_t i = 0; i < r->ntransfers; i++)
		if (r->transfers[i]->job != 0)
			rig_transfer_answer(r, r->transfers[i]);
}

/* The jobs for this destination. */
static size_t
transfers_to(const char *domain)
{
	size_t n = 0;

	for (size_t i = 0; i < r->ntransfers; i++)
		n += strcmp(r->transfers[i]->domain, domain) == 0;
	return n;
}

/* ---- jobs ---- */

START_TEST(test_one)
{
	struct rig_message m = rig_message("Ann@Remote.Example");
	struct rig_transfer *t;

	m.envid = "QQ314159";
	m.orcpt = "rfc822;ann@first.example";
	m.notify = NOTIFY_FAILURE;
	m.flags = ENV_8BITMIME | ENV_RET_HDRS;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 1);
	t = r->transfers[0];
	ck_assert_str_eq(t->id, m.id.s);
	ck_assert_str_eq(t->domain, "remote.example");
	ck_assert_str_eq(t->route, "");
	ck_assert_str_eq(t->first, "Ann@Remote.Example");
	ck_assert_str_eq(t->sender, "sender@remote.example");
	ck_assert_str_eq(t->envid, "QQ314159");
	ck_assert_str_eq(t->orcpt, "rfc822;ann@first.example");
	ck_assert_uint_eq(t->notify, NOTIFY_FAILURE);
	ck_assert_uint_eq(t->flags, ENV_8BITMIME | ENV_RET_HDRS);
	ck_assert(rig_logged(r, "host=mx.example[192.0.2.1]:25"));
}
END_TEST

/* What stands in the file arrives as well as what the notice says. */
START_TEST(test_from_file)
{
	struct rig_message m = rig_message("ann@remote.example");

	m.envid = "E1";
	m.orcpt = "rfc822;x";
	m.notify = NOTIFY_NEVER;
	rig_store(r, &m, QDIR_DEFERRED);
	kill(r->pid, SIGHUP);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_str_eq(r->transfers[0]->envid, "E1");
	ck_assert_str_eq(r->transfers[0]->orcpt, "rfc822;x");
	ck_assert_uint_eq(r->transfers[0]->notify, NOTIFY_NEVER);
}
END_TEST

static const struct {
	const char *address, *domain;
} domains[] = {
	{"x@b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
	{"x@[192.0.2.7]", "[192.0.2.7]"},
	{"x@[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
	{"x@a.b.c.EXAMPLE", "a.b.c.example"},
};

START_TEST(test_domain)
{
	struct rig_message m = rig_send(r, domains[_i].address);

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_str_eq(r->transfers[0]->domain, domains[_i].domain);
}
END_TEST

/* One job a destination; recipients of this host are nobody else's. */
START_TEST(test_groups)
{
	struct rig_message m = rig_send(r, "a@one.example b@two.example carl "
	    "c@one.example d@ONE.example e@two.example");

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 2);
	ck_assert_uint_eq(r->njobs, 1);
	for (size_t i = 0; i < 2; i++) {
		const struct rig_transfer *t = r->transfers[i];
		bool one = strcmp(t->domain, "one.example") == 0;

		ck_assert_uint_eq(t->n, one ? 3 : 2);
		ck_assert_uint_eq(t->numbers[0], one ? 1 : 2);
		ck_assert_uint_eq(t->numbers[1], one ? 4 : 6);
	}
}
END_TEST

/* A route that names the host brings domains together, one that says only how
 * does not. */
START_TEST(test_route)
{
	struct rig_message m = rig_send(r, "a@routed1.example "
	    "b@routed2.example c@plain.example");

	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 2);
	ck_assert_uint_eq(transfers_to("routed1.example"), 1);
	for (size_t i = 0; i < 2; i++) {
		if (strcmp(r->transfers[i]->domain, "plain.example") == 0)
			continue;
		ck_assert_uint_eq(r->transfers[i]->n, 2);
		ck_assert_str_eq(r->transfers[i]->route,
		    "smtp:[192.0.2.1] concurrency=2");
	}
}
END_TEST

START_TEST(test_route_concurrency)
{
	struct rig_message m[6];
	size_t n = 2;

	r->remote_silent = true;
	for (int i = 0; i < 6; i++)
		m[i] = rig_send(r, "a@routed1.example");
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->ntransfers, 2);
	r->remote_silent = false;
	answer_all();
	for (int i = 0; i < 6; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	ck_assert_uint_le(r->most_running, 2);
}
END_TEST

START_TEST(test_job_size)
{
	struct rig_message m;

	restart("remote_recipients_max = 3\n");
	m = rig_send(r, "a@x.example b@x.example c@x.example d@x.example "
	    "e@x.example f@x.example g@x.example h@x.example");
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 3);
	ck_assert_uint_eq(r->transfers[0]->n, 3);
	ck_assert_uint_eq(r->transfers[2]->n, 2);
}
END_TEST

/* A list's copies leave with the list's sender and without what was asked of
 * the original. */
START_TEST(test_list)
{
	struct rig_message m = rig_message("rlist");

	m.envid = "E1";
	m.notify = NOTIFY_FAILURE;
	m.flags = ENV_8BITMIME | ENV_RET_FULL;
	rig_submit(r, &m);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 1);
	ck_assert_uint_eq(r->transfers[0]->n, 2);
	ck_assert_str_eq(r->transfers[0]->sender, "owner-rlist@here.example");
	ck_assert_str_eq(r->transfers[0]->envid, "");
	ck_assert_uint_eq(r->transfers[0]->notify, 0);
	ck_assert_uint_eq(r->transfers[0]->flags, ENV_8BITMIME);
}
END_TEST

/* 3,000 recipients of one host: read in parts, sent in jobs. */
START_TEST(test_many)
{
	static struct env_recipient rcpts[3000];
	static char names[3000][32];
	struct envelope env = {.from = SLICE("s@x.example"),
	    .recipients = {rcpts, 3000}};
	struct mail_id id = id_new(clock_real_ms());
	bool seen[3001] = {false};
	size_t n = 0;

	for (int i = 0; i < 3000; i++) {
		snprintf(names[i], sizeof(names[i]), "u%d@big.example", i);
		rcpts[i] = (struct env_recipient){slice_of(names[i]),
		    SLICE_EMPTY, 0};
	}
	env.id = slice_of(id.s);
	rig_store_env(r, &env, QDIR_DEFERRED);
	kill(r->pid, SIGHUP);
	WAIT_FOR(r, rig_nowhere, id.s);
	for (size_t i = 0; i < r->ntransfers; i++)
		for (size_t k = 0; k < r->transfers[i]->n; k++, n++) {
			ck_assert(!seen[r->transfers[i]->numbers[k]]);
			seen[r->transfers[i]->numbers[k]] = true;
		}
	ck_assert_uint_eq(n, 3000);
	ck_assert_uint_ge(r->most_running, 1);
	ck_assert_uint_le(r->ntransfers, 15);
	ck_assert_uint_ge(r->ntransfers, 5);
}
END_TEST

/* ---- outcomes ---- */

START_TEST(test_outcomes)
{
	struct rig_message m;
	struct qfile *q;

	r->failures = 1;
	m = rig_send(r, "a@x.example perm@x.example temp@x.example");
	WAIT_FOR(r, rig_deferred, m.id.s);
	rig_sleep(r, 50);
	q = rig_open(r, QDIR_DEFERRED, m.id.s, false);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'D');
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'B');
	ck_assert(qfile_rcpt(q, 1)->remote);
	ck_assert_int_eq(qfile_rcpt(q, 2)->state, 'T');
	ck_assert(qfile_rcpt(q, 2)->remote);
	ck_assert(slice_eq(qfile_rcpt(q, 2)->host,
	    SLICE("mx.example[192.0.2.1]:25")));
	qfile_free(&q);
	ck_assert_uint_eq(r->nnotices, 1);
	ck_assert_uint_eq(r->notices[0].n, 1);
	ck_assert_uint_eq(r->notices[0].numbers[0], 2);
	/* an hour later */
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m.id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 2);
	ck_assert_uint_eq(r->transfers[1]->n, 1);
	ck_assert_uint_eq(r->transfers[1]->numbers[0], 3);
	ck_assert_uint_eq(r->nnotices, 1);
}
END_TEST

/* Recipients that failed together are tried together. */
START_TEST(test_retry_together)
{
	struct rig_message m;
	size_t two = 2;

	r->failures = 3;
	m = rig_send(r, "temp@x.example temp@x.example temp@x.example");
	WAIT_FOR(r, rig_ntransfers, &two);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 2);
	ck_assert_uint_eq(r->transfers[1]->n, 3);
}
END_TEST

/* ---- remote goes away ---- */

START_TEST(test_remote_restarts)
{
	struct rig_message m;
	size_t one = 1;

	r->remote_silent = true;
	m = rig_send(r, "a@x.example b@x.example");
	WAIT_FOR(r, rig_ntransfers, &one);
	rig_down(&r->remote, &r->remote_fd);
	r->remote_silent = false;
	rig_remote_up(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 2);
	ck_assert_uint_eq(r->transfers[1]->n, 2);
	ck_assert(!rig_logged(r, "deferred id="));
}
END_TEST

START_TEST(test_remote_away)
{
	struct rig_message m, other;

	rig_down(&r->remote, &r->remote_fd);
	rig_sleep(r, 50);
	m = rig_send(r, "a@x.example b@x.example carl");
	rig_sleep(r, 600);
	other = rig_send(r, "c@x.example");
	rig_sleep(r, 100);
	ck_assert(rig_logged(r, "waiting-for"));
	ck_assert_uint_eq(r->njobs, 1); /* carl waits for nobody */
	rig_remote_up(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert(!rig_logged(r, "deferred id="));
}
END_TEST

START_TEST(test_kill_in_flight)
{
	struct rig_message m;
	size_t one = 1;

	r->remote_silent = true;
	m = rig_send(r, "a@x.example b@x.example");
	WAIT_FOR(r, rig_ntransfers, &one);
	rig_end(r, SIGKILL);
	r->remote_silent = false;
	rig_start(r);
	WAIT_FOR(r, rig_nowhere, m.id.s);
	ck_assert_uint_eq(r->ntransfers, 2);
}
END_TEST

/* An admin holds and removes what waits and what is under way. */
START_TEST(test_stop)
{
	struct rig_message waits, runs;
	size_t n = 1;

	restart("dest_concurrency_first = 1\n");
	r->remote_silent = true;
	runs = rig_send(r, "a@x.example b@x.example");
	WAIT_FOR(r, rig_ntransfers, &n);
	waits = rig_send(r, "c@x.example d@x.example");
	rig_sleep(r, 100);
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, waits.id.s), CONTROL_DONE);
	ck_assert_int_eq(rig_act(r, CONTROL_HOLD, runs.id.s), CONTROL_BUSY);
	r->remote_silent = false;
	r->failures = 10;
	snprintf(r->transfers[0]->locals[0], 12, "temp");
	answer_all();
	WAIT_FOR(r, rig_held, runs.id.s);
	ck_assert_int_eq(rig_act(r, CONTROL_RELEASE, waits.id.s),
	    CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, waits.id.s);
	ck_assert_int_eq(rig_act(r, CONTROL_REMOVE, runs.id.s), CONTROL_DONE);
}
END_TEST

/* ---- concurrency ---- */

START_TEST(test_concurrency)
{
	struct rig_message m[60];
	size_t n = 5;

	r->remote_silent = true;
	for (int i = 0; i < 60; i++)
		m[i] = rig_send(r, "a@x.example");
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->ntransfers, 5);
	answer_all();
	/* five went well: six at once */
	n = 11;
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->ntransfers, 11);
	r->remote_silent = false;
	answer_all();
	for (int i = 0; i < 60; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	ck_assert_uint_le(r->most_running, 20);
}
END_TEST

/* Somebody's many messages do not stand before somebody else's one. */
START_TEST(test_senders)
{
	struct rig_message m[40], other = rig_message("a@x.example");
	size_t n = 5;

	r->remote_silent = true;
	for (int i = 0; i < 40; i++)
		m[i] = rig_send(r, "a@x.example");
	WAIT_FOR(r, rig_ntransfers, &n);
	other.from = "else@other.example";
	rig_submit(r, &other);
	rig_sleep(r, 100);
	rig_transfer_answer(r, r->transfers[0]);
	rig_transfer_answer(r, r->transfers[1]);
	n = 7;
	WAIT_FOR(r, rig_ntransfers, &n);
	ck_assert(strcmp(r->transfers[5]->id, other.id.s) == 0 ||
	    strcmp(r->transfers[6]->id, other.id.s) == 0);
	r->remote_silent = false;
	answer_all();
	for (int i = 0; i < 40; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	WAIT_FOR(r, rig_nowhere, other.id.s);
}
END_TEST

/* Retries and bulk leave a quarter of remote's jobs to fresh mail. */
START_TEST(test_share)
{
	struct rig_message old[12], fresh;
	char to[40];
	size_t n = 6;

	rig_down(&r->remote, &r->remote_fd);
	r->remote_capacity = 8;
	rig_remote_up(r);
	r->remote_silent = true;
	for (int i = 0; i < 12; i++) {
		snprintf(to, sizeof(to), "a@d%d.example", i);
		old[i] = rig_message(to);
		rig_store(r, &old[i], QDIR_DEFERRED);
	}
	kill(r->pid, SIGHUP);
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->ntransfers, 6);
	fresh = rig_send(r, "a@new.example");
	n = 7;
	WAIT_FOR(r, rig_ntransfers, &n);
	ck_assert_str_eq(r->transfers[6]->id, fresh.id.s);
	r->remote_silent = false;
	answer_all();
	for (int i = 0; i < 12; i++)
		WAIT_FOR(r, rig_nowhere, old[i].id.s);
}
END_TEST

/* With one job at a time, each kind of mail has its turns. */
START_TEST(test_turns)
{
	enum { N = 12 };
	struct rig_message m[2 * N];
	size_t n = 1, bounces = 0, normal = 0;
	char to[40];

	rig_down(&r->remote, &r->remote_fd);
	r->remote_capacity = 1;
	rig_remote_up(r);
	r->remote_silent = true;
	for (int i = 0; i < 2 * N; i++) {
		snprintf(to, sizeof(to), "a@d%d.example", i);
		m[i] = rig_message(to);
		m[i].from = i < N ? "" : "s@x.example";
		rig_submit(r, &m[i]);
		rig_sleep(r, 1);
	}
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 50);
	for (; n < N; n++) {
		rig_transfer_answer(r, r->transfers[n - 1]);
		WAIT_FOR(r, rig_ntransfers, &(size_t){n + 1});
	}
	for (size_t i = 1; i < N; i++) {
		bounces += r->transfers[i]->sender[0] == '\0';
		normal += r->transfers[i]->sender[0] != '\0';
	}
	ck_assert_uint_ge(bounces, 2);
	ck_assert_uint_ge(normal, 2 * bounces);
	r->remote_silent = false;
	rig_transfer_answer(r, r->transfers[N - 1]);
	for (int i = 0; i < 2 * N; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
}
END_TEST

/* ---- down ---- */

static bool
all_deferred(struct rig *rig, const void *arg)
{
	const struct rig_message *m = arg;

	for (int i = 0; i < 30; i++)
		if (!rig_in(rig, QDIR_DEFERRED, m[i].id.s))
			return false;
	return true;
}

/* One learns that it is down, the others are told, and go when it is back. */
START_TEST(test_down)
{
	struct rig_message m[30], other;
	const struct qrcpt *row;
	struct qfile *q;
	size_t n;

	for (int i = 0; i < 30; i++)
		m[i] = rig_send(r, "a@dead.example");
	WAIT_FOR(r, all_deferred, m);
	ck_assert_uint_le(r->ntransfers, 6);
	rig_sleep(r, 20);
	q = rig_open(r, QDIR_DEFERRED, m[29].id.s, false);
	row = qfile_rcpt(q, 0);
	ck_assert_int_eq(row->state, 'T');
	ck_assert(slice_eq(row->rule, SLICE("destination")));
	ck_assert(slice_prefix(row->why, SLICE("4.4.1 451 no route to host")));
	ck_assert(!row->remote);
	qfile_free(&q);
	/* probed by one now and then; others are not delayed */
	rig_sleep(r, 1000);
	ck_assert_uint_le(r->ntransfers, 12);
	ck_assert_uint_ge(r->ntransfers, 3);
	n = r->ntransfers;
	other = rig_send(r, "a@fine.example");
	WAIT_FOR(r, rig_nowhere, other.id.s);
	ck_assert_uint_le(r->ntransfers, n + 2);
	r->dead_up = true;
	for (int i = 0; i < 30; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	ck_assert(rig_logged(r, "destination-up dest=dead.example"));
}
END_TEST

/* The same when they were found on disk, all due at once. */
START_TEST(test_down_left_over)
{
	struct rig_message m[30];

	rig_end(r, SIGTERM);
	for (int i = 0; i < 30; i++) {
		m[i] = rig_message("a@dead.example");
		rig_store(r, &m[i], QDIR_DEFERRED);
	}
	rig_start(r);
	rig_sleep(r, 1000);
	ck_assert_uint_le(r->ntransfers, 15);
	r->dead_up = true;
	for (int i = 0; i < 30; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
}
END_TEST

/* Those for two places go to the one that is there. */
START_TEST(test_down_half)
{
	struct rig_message m = rig_send(r, "a@dead.example"), both;
	struct qfile *q;

	WAIT_FOR(r, rig_deferred, m.id.s);
	both = rig_send(r, "a@dead.example b@fine.example c@dead.example");
	WAIT_FOR(r, rig_deferred, both.id.s);
	rig_sleep(r, 20);
	q = rig_open(r, QDIR_DEFERRED, both.id.s, false);
	ck_assert_int_eq(qfile_rcpt(q, 0)->state, 'T');
	ck_assert_int_eq(qfile_rcpt(q, 1)->state, 'D');
	qfile_free(&q);
	r->dead_up = true;
	WAIT_FOR(r, rig_nowhere, m.id.s);
	WAIT_FOR(r, rig_nowhere, both.id.s);
	ck_assert_uint_eq(transfers_to("fine.example"), 1);
}
END_TEST

/* An admin's retry of one message is a probe, whatever is known. */
START_TEST(test_down_forced)
{
	struct rig_message m[2];
	size_t n;

	restart("");
	m[0] = rig_send(r, "a@dead.example");
	WAIT_FOR(r, rig_deferred, m[0].id.s);
	m[1] = rig_send(r, "b@dead.example");
	WAIT_FOR(r, rig_deferred, m[1].id.s);
	rig_sleep(r, 50);
	n = r->ntransfers + 1;
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m[1].id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 50);
	ck_assert_uint_eq(r->ntransfers, n);
	ck_assert(rig_deferred(r, m[1].id.s));
	r->dead_up = true;
	ck_assert_int_eq(rig_act(r, CONTROL_RETRY, m[1].id.s), CONTROL_DONE);
	WAIT_FOR(r, rig_nowhere, m[1].id.s);
	WAIT_FOR(r, rig_nowhere, m[0].id.s);
}
END_TEST

START_TEST(test_busy)
{
	struct rig_message m[10];

	for (int i = 0; i < 10; i++)
		m[i] = rig_send(r, "a@busy.example");
	rig_sleep(r, 1000);
	/* it said so to each of the first, then it was left alone */
	ck_assert_uint_le(r->ntransfers, 16);
	ck_assert(rig_logged(r, "destination-down dest=busy.example"));
	ck_assert(rig_in(r, QDIR_DEFERRED, m[9].id.s));
}
END_TEST

/* At the end of its lifetime a message fails, whether its destination is tried
 * or not. */
START_TEST(test_down_lifetime)
{
	struct rig_message m[3];
	size_t n = 3;

	restart("retry_first = 10s\nqueue_lifetime = 1s\n");
	for (int i = 0; i < 3; i++)
		m[i] = rig_send(r, "a@dead.example");
	WAIT_FOR(r, rig_nnotices, &n);
	for (int i = 0; i < 3; i++)
		WAIT_FOR(r, rig_nowhere, m[i].id.s);
	ck_assert_uint_le(r->ntransfers, 3);
	ck_assert(rig_logged(r, "rule=lifetime"));
}
END_TEST

/* ---- many ---- */

/* More than may be in memory for one destination wait in its line, in
 * incoming/, and none is forgotten. */
START_TEST(test_line)
{
	struct rig_message m, first = {.n = 0};
	size_t n = 5;

	r->remote_silent = true;
	for (int i = 0; i < 1500; i++) {
		m = rig_send(r, "a@x.example");
		if (i == 0)
			first = m;
		if (i % 50 == 0)
			rig_sleep(r, 5);
	}
	WAIT_FOR(r, rig_ntransfers, &n);
	rig_sleep(r, 300);
	ck_assert_uint_eq(r->ntransfers, 5);
	m = rig_send(r, "a@other.example");
	n = 6;
	WAIT_FOR(r, rig_ntransfers, &n);
	ck_assert_str_eq(r->transfers[5]->id, m.id.s);
	r->remote_silent = false;
	answer_all();
	n = 1501;
	WAIT_FOR(r, rig_ntransfers, &n);
	WAIT_FOR(r, rig_nowhere, first.id.s);
	rig_sleep(r, 100);
	ck_assert_uint_eq(r->ntransfers, 1501);
	ck_assert(!rig_logged(r, "deferred id="));
}
END_TEST

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

Suite *
qmgr_remote_suite(void)
{
	Suite *s = suite_create("qmgr_remote");
	TCase *t = tcase_create("remote"), *slow = tcase_create("slow retries");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_one);
	tcase_add_test(t, test_from_file);
	tcase_add_loop_test(t, test_domain, 0, COUNT(domains));
	tcase_add_test(t, test_groups);
	tcase_add_test(t, test_route);
	tcase_add_test(t, test_route_concurrency);
	tcase_add_test(t, test_job_size);
	tcase_add_test(t, test_list);
	tcase_add_test(t, test_many);
	tcase_add_test(t, test_retry_together);
	tcase_add_test(t, test_remote_restarts);
	tcase_add_test(t, test_remote_away);
	tcase_add_test(t, test_kill_in_flight);
	tcase_add_test(t, test_concurrency);
	tcase_add_test(t, test_senders);
	tcase_add_test(t, test_share);
	tcase_add_test(t, test_turns);
	tcase_add_test(t, test_down);
	tcase_add_test(t, test_down_left_over);
	tcase_add_test(t, test_down_half);
	tcase_add_test(t, test_down_forced);
	tcase_add_test(t, test_busy);
	tcase_add_test(t, test_down_lifetime);
	tcase_add_test(t, test_line);
	suite_add_tcase(s, t);
	tcase_set_timeout(slow, 60);
	tcase_add_checked_fixture(slow, setup_slow, teardown);
	tcase_add_test(slow, test_outcomes);
	tcase_add_test(slow, test_stop);
	suite_add_tcase(s, slow);
	return s;
}
