/*
 * qmgr in bad weather (qmgr_rig.h): messages to everywhere, hosts that go and
 * come, daemons that restart, an admin who wants everything at once, kills.  In
 * the end the sky is clear and all of it is gone, one way or the other.
 * QMGR_STORM=N makes N times as much of it, QMGR_SEED another one.
 */
#define RIG_TRANSFERS 100000
#define RIG_JOBS 100000
#include "common/base/random.h"
#include "tests/unit/qmgr_rig.h"

Suite *qmgr_storm_suite(void);

#define STEPS 400
#define NAMES 4096

static struct rig *r;
static uint64_t seed;
static struct mail_id names[NAMES];
static size_t nnames;

static uint32_t
dice(uint32_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % sides;
}

static long
setting(const char *name, long usual)
{
	const char *s = getenv(name);

	return s != NULL ? strtol(s, NULL, 10) : usual;
}

static void
weather(struct rig *rig, const struct rig_transfer *t,
    struct transfer_done *d)
{
	struct transfer_outcome *v = d->outcomes.v;
	static const struct transfer_outcome bad[] = {
		{0, 450, 2, 0, SLICE_INIT("later"), 0, 0},
		{0, 421, 4, 5, SLICE_INIT("busy"), 0, 0},
		{0, 550, 1, 1, SLICE_INIT("no"), 0, 0},
		{0, 451, 4, 1, SLICE_INIT("away"), 1, 0},
		{0, 250, 0, 0, SLICE_INIT("ok"), 0, 1},
	};
	uint32_t how = dice(8), number;

	(void)rig, (void)t;
	d->dest = how == 0 ? TRANSFER_DEST_DOWN : how == 1 ?
	    TRANSFER_DEST_BUSY : how == 2 ? TRANSFER_DEST_UNKNOWN :
	    TRANSFER_DEST_FINE;
	for (size_t i = 0; i < d->outcomes.n; i++) {
		if (how > 3 && dice(4) != 0)
			continue;
		number = v[i].number;
		v[i] = bad[how == 0 ? 3 : how == 1 ? 1 : dice(5)];
		v[i].number = number;
	}
	/* now and then it forgets some */
	if (dice(20) == 0 && d->outcomes.n > 1)
		d->outcomes.n--;
}

static const char *const places[] = {"@here.example", "@a.example",
	"@b.example", "@routed1.example", "@routed2.example", "@c.example"};
static const char *const locals[] = {"ann", "bob", "list", "rlist", "perm",
	"temp", "fwd", "prog", "none", "owned", "mixed", "ping"};

static void
message(void)
{
	static const char *const from[] = {NULL, "", "x@y.example",
	    "list-1@z.example", "list-2@z.example"};
	char to[1024] = "";
	struct rig_message m;
	uint32_t n = 1 + dice(dice(4) == 0 ? 12 : 3);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = dice(6);

		snprintf(to + strlen(to), sizeof(to) - strlen(to), " %s%s",
		    locals[place == 0 ? dice(12) : dice(2)], places[place]);
	}
	m = rig_message(to);
	m.from = from[dice(5)];
	m.notify = (uint32_t[]){0, 0, NOTIFY_SUCCESS, NOTIFY_NEVER,
	    NOTIFY_FAILURE | NOTIFY_SUCCESS, NOTIFY_DELAY}[dice(6)];
	if (dice(8) == 0) {
		m.flags = dice(2) ? ENV_BY_RETURN : ENV_BY_NOTIFY;
		m.by_at_ms = (uint64_t)clock_real_ms() + dice(1000);
	}
	rig_store(r, &m, QDIR_INCOMING);
	if (dice(8) != 0) /* others are found */
		rig_notify(r, &m);
	if (nnames < NAMES)
		names[nnames++] = m.id;
}

static void
answer_some(void)
{
	for (size_t i = 0; i < r->ntransfers; i++)
		if (r->transfers[i]->job != 0 && dice(3) == 0)
			rig_transfer_answer(r, r->transfers[i]);
}

static void
all_silent(bool silent)
{
	r->remote_silent = silent;
	for (size_t i = 0; !silent && i < r->ntransfers; i++)
		if (r->transfers[i]->job != 0)
			rig_transfer_answer(r, r->transfers[i]);
}

/* What was under way with a daemon is not answered any more. */
static void
remote_restarts(void)
{
	if (r->remote == NULL) {
		rig_remote_up(r);
		return;
	}
	rig_down(&r->remote, &r->remote_fd);
	for (size_t i = 0; i < r->ntransfers; i++)
		r->transfers[i]->job = 0;
	r->nrunning = 0;
	if (dice(3) != 0)
		rig_remote_up(r);
}

static void
qmgr_restarts(void)
{
	bool killed = dice(2);

	all_silent(false); /* or it would wait */
	if (r->remote != NULL) {
		rig_down(&r->remote, &r->remote_fd);
		for (size_t i = 0; i < r->ntransfers; i++)
			r->transfers[i]->job = 0;
		r->nrunning = 0;
	}
	if (killed)
		rig_end(r, SIGKILL);
	else
		ck_assert_int_eq(rig_end(r, SIGTERM), 0);
	rig_remote_up(r);
	rig_start(r);
}

static void
admin(void)
{
	static const char *const dests[] = {"a.example", "b.example",
	    "smtp:[192.0.2.1] concurrency=2", "local"};
	const char *dest = dests[dice(4)];

	switch (dice(3)) {
	case 0:
		if (nnames > 0)
			(void)rig_act(r, (enum control_action)(1 + dice(3)),
			    names[dice((uint32_t)nnames)].s);
		break;
	case 1:
		(void)rig_act_dest(r, (enum control_dest_action)(1 + dice(3)),
		    dest);
		break;
	default:
		(void)rig_dest(r, dest);
		(void)rig_etrn(r, "a.example");
		break;
	}
}

static void
step(void)
{
	switch (dice(40)) {
	case 0:
		remote_restarts();
		break;
	case 1:
		if (r->bounce != NULL)
			rig_down(&r->bounce, &r->bounce_fd);
		else
			rig_bounce_up(r);
		break;
	case 2:
		all_silent(dice(2));
		break;
	case 3:
		r->failures = dice(20);
		r->bounce_code = dice(3) == 0 ? 451 : 250;
		break;
	case 4:
	case 5:
	case 6:
		admin();
		break;
	case 7:
		if (dice(3) == 0)
			qmgr_restarts();
		break;
	case 8:
		rig_down(&r->authd, &r->authd_fd);
		rig_sleep(r, dice(10));
		rig_authd_up(r);
		break;
	case 9:
		kill(r->pid, SIGHUP);
		break;
	case 10:
	case 11:
	case 12:
	case 13:
		answer_some();
		break;
	default:
		message();
		break;
	}
	rig_sleep(r, dice(6));
}

static void
clear_up(void)
{
	static const char *const dests[] = {"a.example", "b.example",
	    "smtp:[192.0.2.1] concurrency=2", "local"};

	const struct notice_rescan rescan = {0};

	r->weather = NULL;
	r->failures = 0;
	r->bounce_code = 250;
	if (r->remote == NULL)
		rig_remote_up(r);
	if (r->bounce == NULL)
		rig_bounce_up(r);
	all_silent(false);
	ck_assert(chan_link_send(r->notice, NOTICE_RESCAN, &rescan));
	for (int i = 0; i < 4; i++)
		(void)rig_act_dest(r, CONTROL_DEST_RESUME, dests[i]);
	for (size_t i = 0; i < nnames; i++)
		if (rig_in(r, QDIR_HOLD, names[i].s))
			(void)rig_act(r, CONTROL_RELEASE, names[i].s);
}

static bool
all_gone(struct rig *rig, const void *arg)
{
	(void)arg;
	for (size_t i = 0; i < nnames; i++)
		if (!rig_nowhere(rig, names[i].s))
			return false;
	return true;
}

/* What is left, and what the log says of the first. */
static void
show_left(void)
{
	char command[1024];
	bool first = true;

	(void)rig_dest(r, "");
	for (size_t i = 0; i < r->ndests; i++)
		printf("%s: paused %u running %u limit %u ready %u waiting "
		    "%llu next %lld %s\n", r->dests[i].dest,
		    r->dests[i].paused, r->dests[i].running,
		    r->dests[i].limit, r->dests[i].ready,
		    (unsigned long long)r->dests[i].waiting,
		    (long long)r->dests[i].next_ms - clock_real_ms(),
		    r->dests[i].error);
	for (size_t i = 0; i < nnames; i++) {
		if (rig_nowhere(r, names[i].s))
			continue;
		printf("left: %s\n", names[i].s);
		fflush(stdout);
		if (!first)
			continue;
		first = false;
		snprintf(command, sizeof(command), "cd %s; "
		    "grep %s log | tail -20; tail -n 30 queue/*/%s", r->dir,
		    names[i].s, names[i].s);
		if (fork() == 0) {
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
			_exit(1);
		}
		(void)wait(NULL);
	}
}

START_TEST(test_storm)
{
	long steps = STEPS * setting("QMGR_STORM", 1);

	seed = (uint64_t)setting("QMGR_SEED", 1) + (uint64_t)_i;
	nnames = 0;
	r = rig_new("retry_first = 50ms\nretry_max = 200ms\n"
	    "delay_warning = 500ms\ndest_concurrency = 4\n"
	    "dest_concurrency_first = 2\nremote_recipients_max = 3\n"
	    "etrn_domains = a.example\nqueue_lifetime = 20s\n");
	r->weather = weather;
	rig_start(r);
	while (steps-- > 0 && nnames < NAMES)
		step();
	clear_up();
	if (!rig_run(r, all_gone, NULL, 40000)) {
		show_left();
		ck_abort_msg("left over");
	}
	ck_assert(!rig_logged(r, "corrupt"));
	rig_free(r);
}
END_TEST

Suite *
qmgr_storm_suite(void)
{
	Suite *s = suite_create("qmgr_storm");
	TCase *t = tcase_create("storm");

	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, test_storm, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
