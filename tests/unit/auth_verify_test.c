/* Unit tests of authd/verify.c and authd/apop.c: what a child decides, and the
 * pool of children. */
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <check.h>

#include "authd/apop.h"
#include "authd/verify.h"
#include "common/base/buf.h"
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "common/io/loop.h"
#include "common/proto/login.h"

Suite *auth_verify_suite(void);

static const struct {
	const char *name;
	uint32_t mechanism;
	const char *stored, *secret, *challenge;
	enum verify_result want;
} cases[] = {
	{"right", LOGIN_PLAIN, "{PLAIN}x", "x", "", VERIFY_OK},
	{"wrong", LOGIN_PLAIN, "{PLAIN}x", "y", "", VERIFY_WRONG},
	{"empty", LOGIN_PLAIN, "{PLAIN}", "", "", VERIFY_WRONG},
	{"unknown scheme", LOGIN_PLAIN, "{ROT13}k", "x", "", VERIFY_UNUSABLE},
	/* RFC 1939, section 7 */
	{"apop", LOGIN_APOP, "{PLAIN}tanstaaf",
	    "c4c9334bac560ecc979e58001b3e22fb",
	    "<1896.697170952@dbc.mtview.ca.us>", VERIFY_OK},
	{"apop, upper case", LOGIN_APOP, "{PLAIN}tanstaaf",
	    "C4C9334BAC560ECC979E58001B3E22FB",
	    "<1896.697170952@dbc.mtview.ca.us>", VERIFY_OK},
	{"apop, other challenge", LOGIN_APOP, "{PLAIN}tanstaaf",
	    "c4c9334bac560ecc979e58001b3e22fb",
	    "<1896.697170953@dbc.mtview.ca.us>", VERIFY_WRONG},
	{"apop, short", LOGIN_APOP, "{PLAIN}tanstaaf",
	    "c4c9334bac560ecc979e58001b3e22f",
	    "<1896.697170952@dbc.mtview.ca.us>", VERIFY_WRONG},
	{"apop, the password itself", LOGIN_APOP, "{PLAIN}tanstaaf",
	    "tanstaaf", "", VERIFY_WRONG},
	{"apop needs the password", LOGIN_APOP, "{CRYPT}tanstaaf",
	    "c4c9334bac560ecc979e58001b3e22fb",
	    "<1896.697170952@dbc.mtview.ca.us>", VERIFY_WRONG},
};

START_TEST(decide)
{
	struct apop *apop = apop_new();
	struct slice stored = slice_of(cases[_i].stored);
	struct verify_request request = {.mechanism = cases[_i].mechanism,
	    .stored = {&stored, 1}, .secret = slice_of(cases[_i].secret),
	    .challenge = slice_of(cases[_i].challenge)};
	struct buf out = BUF_INIT(1024);

	ck_assert_msg(verify_decide(apop, &request, &out).result ==
	    cases[_i].want, "%s", cases[_i].name);
	buf_free(&out);
	apop_free(&apop);
}
END_TEST

START_TEST(contract)
{
	struct buf why = BUF_INIT(1000);

	ck_assert_msg(chan_contract_check(&verify_contract, &why), "%s",
	    why.s);
	buf_free(&why);
}
END_TEST

/* ---- the pool ---- */

static struct conf conf;
static struct loop *loop;
static struct loop_timer *timeout;
static struct verifier *v;
static pid_t died;
static int answers, stop_at;
static enum verify_result results[100];

static void
on_timeout(void *arg)
{
	(void)arg;
	ck_abort_msg("no answer after 20 s");
}

static void
on_forked(void *arg)
{
	(void)arg;
	loop_forked(&loop);
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	(void)arg;
	if (verifier_child(v, pid, wstatus))
		died = pid;
}

static void
on_result(void *arg, const struct verify_answer *answer)
{
	enum verify_result *at = arg;

	*at = (enum verify_result)answer->result;
	if (++answers == stop_at)
		loop_stop(loop);
}

static void
setup(void)
{
	struct verifier_args args = {.conf = &conf, .forked = on_forked};

	memset(&conf, 0, sizeof(conf));
	memset(results, 0, sizeof(results));
	conf.auth_workers = 2;
	conf.auth_queue_max = 50;
	answers = 0;
	died = 0;
	loop = loop_new();
	timeout = loop_timer_new(loop, on_timeout, NULL);
	loop_timer_in(timeout, 20000);
	loop_children(loop, on_child, NULL);
	args.loop = loop;
	/* As root the children become somebody else. */
	args.uid = geteuid() != 0 ? geteuid() : 65534;
	args.gid = geteuid() != 0 ? getegid() : 65534;
	v = verifier_new(&args);
	verifier_start(v);
}

static void
teardown(void)
{
	verifier_free(&v);
	loop_timer_free(&timeout);
	loop_free(&loop);
}

static bool
ask(int i, const char *stored, const char *secret)
{
	struct slice one = slice_of(stored);
	struct verify_request request = {.mechanism = LOGIN_PLAIN,
	    .stored = {&one, 1}, .secret = slice_of(secret),
	    .challenge = SLICE_EMPTY};

	return verifier_submit(v, &request, on_result, &results[i]);
}

START_TEST(pool_answers)
{
	int i;

	for (i = 0; i < 40; i++)
		ck_assert(ask(i, "{PLAIN}yes", i % 3 == 0 ? "yes" : "no"));
	ck_assert_int_eq(answers, 0); /* never from within */
	stop_at = 40;
	loop_run(loop);
	for (i = 0; i < 40; i++)
		ck_assert_int_eq(results[i], i % 3 == 0 ? VERIFY_OK
		    : VERIFY_WRONG);
	ck_assert_int_eq(died, 0);
}
END_TEST

START_TEST(queue_is_bounded)
{
	int i, taken = 0;

	for (i = 0; i < 100; i++)
		taken += ask(i, "{PLAIN}yes", "yes");
	ck_assert_int_eq(taken, 52); /* two are being worked on */
	stop_at = 52;
	loop_run(loop);
	ck_assert(ask(99, "{PLAIN}yes", "yes"));
}
END_TEST

START_TEST(too_long)
{
	static char much[2000];

	memset(much, 'x', sizeof(much) - 1);
	ck_assert(!ask(0, "{PLAIN}yes", much));
	ck_assert(!ask(0, much, "yes"));
}
END_TEST

/* False where the system does not say which they are. */
static bool
kill_children(void)
{
	char path[64], text[256];
	struct buf pids = BUF_INIT(1000);
	struct slice rest, word;
	uint32_t pid;
	FILE *fp;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	fp = fopen(path, "r");
	if (fp == NULL)
		return false;
	while (fgets(text, sizeof(text), fp) != NULL)
		buf_adds(&pids, text);
	fclose(fp);
	rest = buf_slice(&pids);
	while (slice_cut(&rest, ' ', &word))
		if (num_u32(word, 2, INT32_MAX, &pid))
			kill((pid_t)pid, SIGKILL);
	buf_free(&pids);
	return true;
}

/* What a dead child had in hand is undecided; its successor goes on. */
START_TEST(children_are_replaced)
{
	int i, undecided = 0;

	for (i = 0; i < 10; i++)
		ck_assert(ask(i, "{PLAIN}yes", "yes"));
	if (!kill_children())
		return;
	stop_at = 10;
	loop_run(loop);
	for (i = 0; i < 10; i++)
		undecided += results[i] == VERIFY_FAULT;
	ck_assert_int_le(undecided, 2);
	ck_assert_int_ne(died, 0);
}
END_TEST

Suite *
auth_verify_suite(void)
{
	Suite *s = suite_create("auth_verify");
	TCase *tc = tcase_create("verify");

	tcase_add_loop_test(tc, decide, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tc, contract);
	suite_add_tcase(s, tc);
	tc = tcase_create("pool");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pool_answers);
	tcase_add_test(tc, queue_is_bounded);
	tcase_add_test(tc, too_long);
	tcase_add_test(tc, children_are_replaced);
	suite_add_tcase(s, tc);
	return s;
}
