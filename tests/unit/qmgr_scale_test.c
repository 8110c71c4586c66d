/*
 * qmgr with very many messages (qmgr_rig.h): what it costs that a destination
 * is dead, how long fresh mail to another one takes meanwhile, how much memory
 * is held.  The bounds are wide, because the machine may be busy otherwise;
 * QMGR_SCALE=N sets the number of messages, and the figures are printed then.
 */
#define RIG_TRANSFERS 200000
#include "tests/unit/qmgr_rig.h"

Suite *qmgr_scale_suite(void);

#define FRESH 200

static struct rig *r;

static void
setup(void)
{
	r = rig_new("");
}

static void
teardown(void)
{
	rig_free(r);
}

static size_t
scale(size_t usual)
{
	const char *s = getenv("QMGR_SCALE");

	return s != NULL ? (size_t)strtoul(s, NULL, 10) : usual;
}

static void
figure(const char *what, long n)
{
	if (getenv("QMGR_SCALE") != NULL)
		printf("%s: %ld\n", what, n);
}

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

/* Microseconds of CPU so far. */
static long
cpu_us(pid_t pid)
{
	char path[64], line[512];
	unsigned long user, sys;
	const char *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	fclose(f);
	p = strrchr(line, ')');
	for (int i = 0; i < 12; i++)
		p = strchr(p + 1, ' ');
	user = strtoul(p + 1, NULL, 10);
	sys = strtoul(strchr(p + 1, ' ') + 1, NULL, 10);
	return (long)(user + sys) * 10000;
}

/* Files of n messages in dir; names that are not theirs will do where nobody
 * opens them. */
static void
store_many(size_t n, const char *to, enum qdir dir, int64_t mtime_s)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
	    {.tv_sec = mtime_s}};
	struct rig_message m;
	char path[200];

	for (size_t i = 0; i < n; i++) {
		m = rig_message(to);
		rig_store(r, &m, dir);
		snprintf(path, sizeof(path), "%s/%s/%s", r->queue,
		    qdir_names[dir], m.id.s);
		if (mtime_s != 0)
			ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0),
			    0);
	}
}

static void
link_many(size_t n, int64_t mtime_s)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
	    {.tv_sec = mtime_s}};
	char from[200] = "", path[200];
	struct rig_message m;

	for (size_t i = 0; i < n; i++) {
		m = rig_message("a@dead.example");
		snprintf(path, sizeof(path), "%s/%s/%s", r->queue,
		    qdir_names[QDIR_DEFERRED], m.id.s);
		if (i % 30000 != 0) { /* a file has so many names at most */
			ck_assert_int_eq(link(from, path), 0);
			continue;
		}
		rig_store(r, &m, QDIR_DEFERRED);
		ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
		memcpy(from, path, sizeof(from));
	}
}

struct latency {
	int64_t worst_us, sum_us;
};

static bool
came(struct rig *rig, const void *arg)
{
	const struct rig_message *m = arg;
	struct rig_transfer *t;

	for (size_t i = rig->ntransfers; i > 0; i--) {
		t = rig->transfers[i - 1];
		if (strcmp(t->id, m->id.s) == 0)
			return true;
	}
	return false;
}

/* From the notice until remote has the job, again and again. */
static struct latency
measure(int n, int64_t pause_ms)
{
	struct latency l = {0, 0};
	struct rig_message m;
	int64_t start_us, us;

	for (int i = 0; i < n; i++) {
		m = rig_message("a@fine.example");
		rig_store(r, &m, QDIR_INCOMING);
		start_us = clock_mono_us();
		rig_notify(r, &m);
		WAIT_FOR(r, came, &m);
		us = clock_mono_us() - start_us;
		l.sum_us += us;
		if (us > l.worst_us)
			l.worst_us = us;
		if (pause_ms > 0)
			rig_sleep(r, pause_ms);
	}
	figure("fresh mail, average us", (long)(l.sum_us / n));
	figure("fresh mail, worst us", (long)l.worst_us);
	return l;
}

static void
check_latency(struct latency l, int n)
{
	if (RIG_SANITIZED)
		return;
	ck_assert_msg(l.sum_us / n < 100000, "%lld us",
	    (long long)(l.sum_us / n));
	ck_assert_msg(l.worst_us < 1000000, "%lld us", (long long)l.worst_us);
}

/* All of them are due at once, and there is nobody there. */
START_TEST(test_dead)
{
	size_t n = scale(3000);
	long before_us, before_kb;

	store_many(n, "a@dead.example", QDIR_DEFERRED, 0);
	rig_start(r);
	before_kb = resident_kb(r->pid);
	check_latency(measure(FRESH, 2), FRESH);
	while (rig_dest(r, "dead.example") == NULL ||
	    rig_dest(r, "dead.example")->waiting < n)
		rig_sleep(r, 50);
	figure("CPU us for them", cpu_us(r->pid));
	figure("resident kB", resident_kb(r->pid));
	ck_assert_uint_le(r->ntransfers, FRESH + 10);
	ck_assert(RIG_SANITIZED || resident_kb(r->pid) - before_kb <
	    (long)(n * 200 / 1024) + 8192);
	/* from now on they cost nothing */
	before_us = cpu_us(r->pid);
	check_latency(measure(FRESH, 0), FRESH);
	rig_sleep(r, 200);
	figure("CPU us afterwards", cpu_us(r->pid) - before_us);
	r->dead_up = true;
	before_us = clock_mono_us();
	ck_assert_int_eq(rig_act_dest(r, CONTROL_DEST_RETRY, "dead.example"),
	    CONTROL_DONE);
	while (rig_dest(r, "dead.example")->waiting > 0 ||
	    rig_dest(r, "dead.example")->running > 0)
		rig_sleep(r, 20);
	figure("ms until all were sent", (long)(clock_mono_us() - before_us) /
	    1000);
}
END_TEST

/* Very many wait for later: a start reads their names while mail flows. */
START_TEST(test_waiting)
{
	size_t n = scale(20000);
	int64_t start_ms;
	char found[32];

	link_many(n, clock_real_ms() / 1000 + 3000);
	start_ms = clock_mono_ms();
	rig_start(r);
	check_latency(measure(1, 0), 1);
	figure("ms from start to first mail", (long)(clock_mono_ms() -
	    start_ms));
	check_latency(measure(FRESH, 1), FRESH);
	snprintf(found, sizeof(found), "found=%zu", n);
	while (!rig_logged(r, found))
		rig_sleep(r, 20);
	figure("ms until all were found", (long)(clock_mono_ms() - start_ms));
	figure("resident kB", resident_kb(r->pid));
	ck_assert(RIG_SANITIZED || resident_kb(r->pid) <
	    (long)(n * 200 / 1024) + 10240);
	check_latency(measure(FRESH, 0), FRESH);
}
END_TEST

/* A message to very many, and one to somebody: it does not wait for them. */
START_TEST(test_big)
{
	enum { N = 20000 };
	struct env_recipient *rcpts = mem_array(N, sizeof(*rcpts));
	char (*names)[32] = mem_array(N, sizeof(*names));
	struct envelope env = {.from = SLICE("s@x.example"),
	    .recipients = {rcpts, N}};
	struct mail_id id = id_new(clock_real_ms());

	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "u%d@d%d.example", i,
		    i % 5000);
		rcpts[i] = (struct env_recipient){slice_of(names[i]),
		    SLICE_EMPTY, 0};
	}
	env.id = slice_of(id.s);
	rig_start(r);
	rig_store_env(r, &env, QDIR_INCOMING);
	kill(r->pid, SIGHUP);
	check_latency(measure(50, 2), 50);
	free(names);
	free(rcpts);
}
END_TEST

Suite *
qmgr_scale_suite(void)
{
	Suite *s = suite_create("qmgr_scale");
	TCase *t = tcase_create("dead"), *w = tcase_create("waiting");

	tcase_set_timeout(t, 600);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_dead);
	tcase_add_test(t, test_big);
	suite_add_tcase(s, t);
	tcase_set_timeout(w, 600);
	tcase_add_checked_fixture(w, setup, teardown);
	tcase_add_test(w, test_waiting);
	suite_add_tcase(s, w);
	return s;
}
