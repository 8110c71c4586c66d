/* Unit tests of authd/address.c: the contract "address" over a socket. */
#include <string.h>
#include <sys/socket.h>

#include <check.h>

#include "authd/address.h"
#include "common/io/loop.h"
#include "common/proto/address.h"
#include "tests/unit/auth_fixture.h"

Suite *auth_address_suite(void);

#define ANSWERS_MAX 64

static struct auth_fixture f;
static struct loop *loop;
static struct loop_timer *timeout;
static struct addresses *addresses;
static int listen_fd;
static struct chan *client;
static struct loop_io *io;

/* What came, as text in the order of its coming. */
static struct buf got;
static unsigned ends, stop_at, targets;

static void
on_timeout(void *arg)
{
	(void)arg;
	ck_abort_msg("no answer after 20 s; so far: %s", got.s);
}

static void
note_members(const struct address_members *m)
{
	size_t i;

	buf_printf(&got, "members %u:", (unsigned)m->result);
	for (i = 0; i < m->members.n; i++)
		buf_printf(&got, " %.*s", SLICE_FMT(m->members.v[i]));
	targets += (unsigned)m->members.n;
	ends += m->last;
	buf_adds(&got, m->last ? ".;" : ";");
}

static void
note(uint16_t type, const union address_msg *msg)
{
	const struct address_target *t;

	switch ((enum address_type)type) {
	case ADDRESS_CHECKED:
		buf_printf(&got, "%u: %u %u;", (unsigned)msg->checked.rid,
		    msg->checked.result, msg->checked.code);
		ends++;
		break;
	case ADDRESS_TARGETS:
		t = msg->targets.targets.v;
		ck_assert_uint_le(msg->targets.targets.n,
		    ADDRESS_TARGETS_A_RECORD);
		buf_printf(&got, "%u: %zu to %.*s;",
		    (unsigned)msg->targets.rid, msg->targets.targets.n,
		    SLICE_FMT(t->address));
		targets += (unsigned)msg->targets.targets.n;
		break;
	case ADDRESS_RESOLVED:
		buf_printf(&got, "%u: end %u %u;",
		    (unsigned)msg->resolved.rid, msg->resolved.result,
		    msg->resolved.code);
		ends++;
		break;
	case ADDRESS_MEMBERS:
		note_members(&msg->members);
		break;
	case ADDRESS_USER:
		buf_printf(&got, "%u: %u %.*s '%.*s';",
		    (unsigned)msg->user.rid, msg->user.result,
		    SLICE_FMT(msg->user.name), SLICE_FMT(msg->user.full_name));
		ends++;
		break;
	case ADDRESS_CHECK:
	case ADDRESS_RESOLVE:
	case ADDRESS_EXPN:
	case ADDRESS_WHO:
		ck_abort_msg("a question as answer");
	}
	if (ends >= stop_at)
		loop_stop(loop);
}

static void
on_answer(void *arg, unsigned events)
{
	union address_msg msg;
	int fds[CHAN_MAX_FDS];
	enum chan_result result;
	uint16_t type;
	size_t nfds;

	(void)arg;
	(void)events;
	while ((result = chan_recv(client, &type, &msg, sizeof(msg), fds,
	    &nfds)) == CHAN_OK)
		note(type, &msg);
	ck_assert_int_eq(result, CHAN_AGAIN);
}

static void
connect_client(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sock", f.dir);
	client = chan_connect(path, &address_contract);
	ck_assert_ptr_nonnull(client);
	(void)chan_flush(client);
	io = loop_io_new(loop, chan_fd(client), LOOP_READ, on_answer, NULL);
}

static void
setup(void)
{
	struct address_args args = {.max_peers = 10};
	char path[128];

	auth_setup(&f, "recipient_delimiter = +\n");
	buf_init(&got, 1000000);
	ends = targets = 0;
	loop = loop_new();
	timeout = loop_timer_new(loop, on_timeout, NULL);
	loop_timer_in(timeout, 20000);
	snprintf(path, sizeof(path), "%s/sock", f.dir);
	listen_fd = chan_listen(path, 0600, 10);
	ck_assert_int_ge(listen_fd, 0);
	args.loop = loop;
	args.directory = f.directory;
	args.listen_fd = listen_fd;
	addresses = addresses_new(&args);
	connect_client();
}

static void
teardown(void)
{
	loop_io_free(&io);
	chan_free(&client);
	addresses_free(&addresses);
	close(listen_fd);
	loop_timer_free(&timeout);
	loop_free(&loop);
	buf_free(&got);
	auth_teardown(&f);
}

static void
ask(uint16_t type, uint64_t rid, const char *address)
{
	struct address_check check = {rid, slice_of(address)};
	struct address_resolve resolve = {rid, slice_of(address), 0};

	if (type == ADDRESS_RESOLVE)
		chan_send(client, type, &resolve);
	else
		chan_send(client, type, &check);
}

static void
run(unsigned want)
{
	stop_at = want;
	loop_run(loop);
}

START_TEST(checks)
{
	ask(ADDRESS_CHECK, 1, "ann@example.org");
	ask(ADDRESS_CHECK, 2, "nobody@example.org");
	ask(ADDRESS_CHECK, 3, "x@elsewhere.example");
	ask(ADDRESS_CHECK, 4, "one@mail.example.com");
	ask(ADDRESS_CHECK, 5, "low@example.org");
	ask(ADDRESS_CHECK, 6, "<<>>");
	run(6);
	ck_assert_str_eq(got.s, "1: 1 0;2: 3 550;3: 2 0;4: 5 550;5: 6 451;"
	    "6: 3 553;");
}
END_TEST

START_TEST(resolves)
{
	ask(ADDRESS_RESOLVE, 7, "ann@example.org");
	ask(ADDRESS_RESOLVE, 8, "sales@example.org");
	ask(ADDRESS_RESOLVE, 9, "nobody@example.org");
	ask(ADDRESS_RESOLVE, 10, "gone@mail.example.com");
	ask(ADDRESS_RESOLVE, 11, "x@elsewhere.example");
	run(5);
	ck_assert_str_eq(got.s, "7: 1 to ann@example.org;7: end 1 0;"
	    "8: 3 to ann@example.org;8: end 1 0;9: end 3 550;10: end 6 451;"
	    "11: end 2 0;");
}
END_TEST

/* Also those who have no mailbox, and a file that was changed. */
START_TEST(users_of_this_host)
{
	static const uint32_t uids[] = {0, 1500, 499, 65534, 7, 4294967294};
	struct address_who who;
	struct slice text = SLICE("root:x:0:0:root:/root:/bin/sh\n"
	    "Sys:x:1500:1600:Sys,room 7:/home/sys:/bin/sh\n"
	    "short:x:7:7\n");
	size_t i;

	for (i = 0; i < 6; i++) {
		who = (struct address_who){i, uids[i]};
		chan_send(client, ADDRESS_WHO, &who);
	}
	run(6);
	ck_assert_str_eq(got.s, "0: 1 root 'root';1: 1 Sys 'Sys';2: 1 low '';"
	    "3: 1 nobody '';4: 3  '';5: 3  '';");
	buf_reset(&got);
	ends = 0;
	auth_write(&f, "etc/passwd", text.p);
	usleep(5000); /* table_check */
	for (i = 1; i < 5; i++) {
		who = (struct address_who){i, uids[i]};
		chan_send(client, ADDRESS_WHO, &who);
	}
	run(4);
	ck_assert_str_eq(got.s, "1: 1 Sys 'Sys,room 7';2: 3  '';3: 3  '';"
	    "4: 3  '';");
}
END_TEST

START_TEST(expands)
{
	ask(ADDRESS_EXPN, 1, "sales@example.org");
	ask(ADDRESS_EXPN, 2, "ann@example.org");
	run(2);
	ck_assert_str_eq(got.s, "members 1: ann@example.org bob@example.org "
	    "Carl@elsewhere.example.;members 3:.;");
}
END_TEST

START_TEST(expands_in_parts)
{
	ask(ADDRESS_EXPN, 1, "many@mail.example.com");
	run(1);
	ck_assert_uint_eq(targets, 250);
}
END_TEST

/* A long list takes several rounds, in which others are answered. */
START_TEST(long_lists_hold_nobody_up)
{
	ask(ADDRESS_RESOLVE, 1, "long@mail.example.com");
	ask(ADDRESS_CHECK, 2, "ann@example.org");
	run(2);
	ck_assert_uint_eq(targets, 3000);
	ck_assert_ptr_nonnull(strstr(got.s, "2: 1 0;"));
	ck_assert(strstr(got.s, "2: 1 0;") < strstr(got.s, "1: end 1 0;"));
	/* 250 addresses more than once are 3000 once */
	ck_assert_ptr_nonnull(strstr(got.s, "1: 100 to m0@"));
}
END_TEST

START_TEST(whoever_leaves_is_forgotten)
{
	unsigned i;

	for (i = 0; i < 20; i++)
		ask(ADDRESS_RESOLVE, i, "long@mail.example.com");
	run(1);
	loop_io_free(&io);
	chan_free(&client);
	connect_client();
	ends = 0;
	buf_reset(&got);
	ask(ADDRESS_CHECK, 99, "ann@example.org");
	run(1);
	ck_assert_str_eq(got.s, "99: 1 0;");
	ck_assert(!addresses_busy(addresses));
}
END_TEST

Suite *
auth_address_suite(void)
{
	Suite *s = suite_create("auth_address");
	TCase *tc = tcase_create("address");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, checks);
	tcase_add_test(tc, resolves);
	tcase_add_test(tc, users_of_this_host);
	tcase_add_test(tc, expands);
	tcase_add_test(tc, expands_in_parts);
	tcase_add_test(tc, long_lists_hold_nobody_up);
	tcase_add_test(tc, whoever_leaves_is_forgotten);
	suite_add_tcase(s, tc);
	return s;
}
