/* Unit tests of authd/login.c: the contract "login", asked over sockets, with
 * verifying children behind it. */
#include <string.h>
#include <sys/socket.h>

#include <check.h>

#include "authd/attempt.h"
#include "authd/failures.h"
#include "authd/login.h"
#include "authd/remember.h"
#include "authd/ticket.h"
#include "authd/verify.h"
#include "common/base/clock.h"
#include "common/io/loop.h"
#include "common/proto/authadmin.h"
#include "common/proto/login.h"
#include "tests/unit/auth_fixture.h"

Suite *auth_login_suite(void);

#define DELAY_MS 60

static struct auth_fixture f;
static struct loop *loop;
static struct loop_timer *timeout;
static struct failures *failures;
static struct tickets *tickets;
static struct verifier *verifier;
static struct remember *memory;
static struct attempts *attempts;
static struct logins *logins;
static int listen_fd;
static struct chan *client;
static struct loop_io *io;

/* The last answer. */
static struct {
	uint64_t rid;
	uint32_t result;
	unsigned char ticket[TICKET_LEN];
	size_t ticket_len;
	char user[300];
	bool closed;
} got;

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
	(void)verifier_child(verifier, pid, wstatus);
}

static void
on_answer(void *arg, unsigned events)
{
	union login_msg msg;
	int fds[CHAN_MAX_FDS];
	enum chan_result result;
	uint16_t type;
	size_t nfds;

	(void)arg;
	(void)events;
	while ((result = chan_recv(client, &type, &msg, sizeof(msg), fds,
	    &nfds)) == CHAN_OK) {
		got.rid = msg.answer.rid;
		got.result = msg.answer.result;
		got.ticket_len = msg.answer.ticket.len;
		memcpy(got.ticket, msg.answer.ticket.p, got.ticket_len);
		snprintf(got.user, sizeof(got.user), "%.*s",
		    SLICE_FMT(msg.answer.user));
		loop_stop(loop);
	}
	if (result == CHAN_AGAIN)
		return;
	got.closed = true;
	loop_io_free(&io);
	loop_stop(loop);
}

static void
connect_client(void)
{
	char path[128];

	loop_io_free(&io);
	chan_free(&client);
	snprintf(path, sizeof(path), "%s/sock", f.dir);
	client = chan_connect(path, &login_contract);
	ck_assert_ptr_nonnull(client);
	(void)chan_flush(client);
	io = loop_io_new(loop, chan_fd(client), LOOP_READ, on_answer, NULL);
}

static void
start_verifier(void)
{
	struct verifier_args args = {.loop = loop, .conf = &f.conf,
	    .forked = on_forked};

	args.uid = geteuid() != 0 ? geteuid() : 65534;
	args.gid = geteuid() != 0 ? getegid() : 65534;
	verifier = verifier_new(&args);
	verifier_start(verifier);
}

static void
start_logins(void)
{
	struct attempts_args all = {.loop = loop, .conf = &f.conf,
	    .directory = f.directory, .failures = failures,
	    .tickets = tickets, .verifier = verifier, .remember = memory,
	    .salt_key = SLICE("a key for tests"), .upgrades_fd = -1};
	struct login_args args = {.loop = loop, .directory = f.directory,
	    .listen_fd = listen_fd, .max_peers = 10};

	attempts = attempts_new(&all);
	args.attempts = attempts;
	logins = logins_new(&args);
}

static void
setup(void)
{
	char path[128];

	auth_setup(&f, "auth_failure_delay = 60ms\nauth_failures_max = 5\n");
	memset(&got, 0, sizeof(got));
	loop = loop_new();
	timeout = loop_timer_new(loop, on_timeout, NULL);
	loop_timer_in(timeout, 20000);
	loop_children(loop, on_child, NULL);
	snprintf(path, sizeof(path), "%s/sock", f.dir);
	listen_fd = chan_listen(path, 0600, 10);
	ck_assert_int_ge(listen_fd, 0);
	failures = failures_new(&f.conf);
	tickets = tickets_new();
	start_verifier();
	memory = remember_new();
	start_logins();
	connect_client();
}

static void
teardown(void)
{
	loop_io_free(&io);
	chan_free(&client);
	verifier_free(&verifier);
	logins_free(&logins);
	attempts_free(&attempts);
	remember_free(&memory);
	tickets_free(&tickets);
	failures_free(&failures);
	close(listen_fd);
	loop_timer_free(&timeout);
	loop_free(&loop);
	auth_teardown(&f);
}

static struct login_try
attempt(struct slice user, const char *secret)
{
	return (struct login_try){.rid = 7, .mechanism = LOGIN_PLAIN,
	    .service = SLICE("pop3"), .sid = SLICE("s1"), .user = user,
	    .secret = slice_of(secret), .challenge = SLICE_EMPTY,
	    .client_ip = SLICE("192.0.2.7")};
}

/* Milliseconds until the answer. */
static int64_t
try(const struct login_try *msg)
{
	int64_t start = clock_mono_ms();

	got.result = 0;
	chan_send(client, LOGIN_TRY, msg);
	loop_run(loop);
	return clock_mono_ms() - start;
}

static const struct {
	const char *name;
	struct slice user;
	const char *secret;
	uint32_t want;
	const char *canonical;
} cases[] = {
	{"right", {"ann@example.org", 15}, "annsecret", LOGIN_OK,
	    "ann@example.org"},
	{"any case of the name", {"ANN@Example.Org", 15}, "annsecret",
	    LOGIN_OK, "ann@example.org"},
	{"bare name", {"bare", 4}, "baresecret", LOGIN_OK,
	    "bare@mail.example.com"},
	{"a real hash", {"hashed@example.org", 18}, "Hello world!", LOGIN_OK,
	    "hashed@example.org"},
	{"wrong", {"ann@example.org", 15}, "annsecreT", LOGIN_FAILED, ""},
	{"empty", {"ann@example.org", 15}, "", LOGIN_FAILED, ""},
	{"no such user", {"nobody@example.org", 18}, "x", LOGIN_FAILED, ""},
	{"no such domain", {"ann@elsewhere.example", 21}, "annsecret",
	    LOGIN_FAILED, ""},
	{"no password", {"mary-ann@example.org", 20}, "", LOGIN_FAILED, ""},
	{"locked", {"locked@example.org", 18}, "x", LOGIN_FAILED, ""},
	{"unknown scheme", {"odd@example.org", 15}, "x", LOGIN_FAILED, ""},
	{"NUL in the name", {"ann@example.org\0x", 17}, "annsecret",
	    LOGIN_FAILED, ""},
	{"no name", {"", 0}, "annsecret", LOGIN_FAILED, ""},
	{"extension", {"ann+x@example.org", 17}, "annsecret", LOGIN_FAILED,
	    ""},
	{"alias", {"postmaster", 10}, "annsecret", LOGIN_FAILED, ""},
	{"entry that is wrong", {"low@example.org", 15}, "x", LOGIN_TEMP, ""},
};

START_TEST(plain)
{
	struct login_try msg = attempt(cases[_i].user, cases[_i].secret);
	int64_t took = try(&msg);

	ck_assert_msg(got.result == cases[_i].want, "%s: %u",
	    cases[_i].name, got.result);
	ck_assert_uint_eq(got.rid, 7);
	ck_assert_str_eq(got.user, cases[_i].canonical);
	ck_assert_uint_eq(got.ticket_len,
	    cases[_i].want == LOGIN_OK ? TICKET_LEN : 0);
	if (cases[_i].want == LOGIN_FAILED)
		ck_assert_int_ge(took, DELAY_MS - 2);
}
END_TEST

START_TEST(the_ticket_is_good)
{
	struct login_try msg = attempt(SLICE("ann@example.org"), "annsecret");
	struct ticket_redeem redeem = {.service = SLICE("pop3"),
	    .sid = SLICE("s1")};
	struct ticket_owner owner;

	(void)try(&msg);
	redeem.ticket = slice_mem(got.ticket, got.ticket_len);
	ck_assert(ticket_redeem(tickets, &redeem, loop_now(loop), &owner));
	ck_assert(slice_eq(owner.user, SLICE("ann@example.org")));
	ck_assert_uint_eq(owner.uid, 4001);
}
END_TEST

START_TEST(apop)
{
	struct login_try msg = attempt(SLICE("ann@example.org"),
	    "0123456789abcdef0123456789abcdef");

	msg.mechanism = LOGIN_APOP;
	msg.challenge = SLICE("<1@x>");
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_FAILED);
	/* MD5 of "<1@x>annsecret" */
	msg.secret = SLICE("ae9ece81630c461313543e75e1acac19");
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_OK);
	/* only a hash is stored */
	msg.user = SLICE("hashed@example.org");
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_FAILED);
}
END_TEST

START_TEST(failures_grow_slower_and_block)
{
	struct login_try msg = attempt(SLICE("ann@example.org"), "wrong");
	int64_t least = DELAY_MS;
	int i;

	for (i = 0; i < 5; i++, least *= 2) {
		ck_assert_int_ge(try(&msg), least - 2);
		ck_assert_uint_eq(got.result, LOGIN_FAILED);
	}
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_BLOCKED);
	/* also with the right password, and from elsewhere */
	msg = attempt(SLICE("ann@example.org"), "annsecret");
	msg.client_ip = SLICE("198.51.100.1");
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_BLOCKED);
	msg.user = SLICE("bare");
	msg.secret = SLICE("baresecret");
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_OK);
}
END_TEST

/* Hanging up does not save anybody from being counted. */
START_TEST(abandoned_attempts_count)
{
	struct login_try msg = attempt(SLICE("ann@example.org"), "wrong");
	int64_t until;
	int i;

	for (i = 0; i < 5; i++) {
		chan_send(client, LOGIN_TRY, &msg);
		connect_client();
	}
	msg = attempt(SLICE("bare"), "baresecret");
	until = clock_mono_ms() + 10000;
	do {
		(void)try(&msg);
	} while (got.result != LOGIN_BLOCKED && clock_mono_ms() < until);
	ck_assert_uint_eq(got.result, LOGIN_BLOCKED);
}
END_TEST

START_TEST(one_at_a_time)
{
	struct login_try msg = attempt(SLICE("ann@example.org"), "annsecret");

	chan_send(client, LOGIN_TRY, &msg);
	chan_send(client, LOGIN_TRY, &msg);
	while (!got.closed)
		loop_run(loop);
	connect_client();
	got.closed = false;
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_OK);
}
END_TEST

START_TEST(tables_gone)
{
	struct login_try msg = attempt(SLICE("ann@example.org"), "annsecret");
	struct directory_args args = {.conf = &f.conf,
	    .table_fd = f.table_fd, .etc_fd = -1};
	char path[128];

	snprintf(path, sizeof(path), "%s/tables/users.cdb", f.dir);
	ck_assert_int_eq(unlink(path), 0);
	logins_free(&logins);
	attempts_free(&attempts);
	directory_free(&f.directory);
	f.directory = directory_new(&args);
	start_logins();
	connect_client();
	(void)try(&msg);
	ck_assert_uint_eq(got.result, LOGIN_TEMP);
}
END_TEST

START_TEST(contracts)
{
	static const struct chan_contract *const both[] = {&login_contract,
	    &authadmin_contract};
	struct buf why = BUF_INIT(1000);

	ck_assert_msg(chan_contract_check(both[_i], &why), "%s", why.s);
	buf_free(&why);
}
END_TEST

Suite *
auth_login_suite(void)
{
	Suite *s = suite_create("auth_login");
	TCase *tc = tcase_create("login");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, plain, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(tc, contracts, 0, 2);
	tcase_add_test(tc, the_ticket_is_good);
	tcase_add_test(tc, apop);
	tcase_add_test(tc, failures_grow_slower_and_block);
	tcase_add_test(tc, abandoned_attempts_count);
	tcase_add_test(tc, one_at_a_time);
	tcase_add_test(tc, tables_gone);
	suite_add_tcase(s, tc);
	return s;
}
