/*
 * common/io/chan: both ends in one event loop over sockets in a directory of
 * their own: accepting, refusing, pausing, ending in every moment, coming back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "tests/unit/chan_example.h"

Suite *chan_server_suite(void);

static char dir[] = "/tmp/postern-chan-XXXXXX";
static char path[sizeof(dir) + 8];
static struct loop *loop;
static int listen_fd;
static struct chan_server *server;

/* What the server's handlers do and saw. */
static struct {
	bool refuse, end_after_record, free_server, close_in_record, pause;
	int opened, records, closed;
	int stop_at; /* records after which the loop ends */
	struct chan_peer *peer; /* the last one */
	struct buf said;
} at_server;

/* The same for the link. */
static struct {
	bool ask_when_up, free_link, disconnect;
	int ups, downs, records;
	int stop_at;
	struct chan_link *link;
} at_link;

static bool
server_opened(void *arg, struct chan_peer *p)
{
	ck_assert_ptr_eq(arg, &at_server);
	at_server.opened++;
	at_server.peer = p;
	ck_assert_uint_eq(chan_version(chan_peer_chan(p)), 3);
	chan_peer_send(p, EXAMPLE_NOTHING, &(struct example_nothing){0});
	return !at_server.refuse;
}

static void
server_closed(void *arg, struct chan_peer *p)
{
	(void)arg;
	at_server.closed++;
	if (p == at_server.peer)
		at_server.peer = NULL;
}

static bool
server_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct example_tell tell = {SLICE("yes")};

	(void)arg;
	at_server.peer = p;
	at_server.records++;
	chan_print(chan_record_find(&example_contract, type), msg,
	    &at_server.said);
	buf_addc(&at_server.said, ';');
	for (size_t i = 0; i < nfds; i++) {
		ck_assert_int_eq(write(fds[i], "x", 1), 1);
		close(fds[i]);
	}
	chan_peer_send(p, EXAMPLE_TELL, &tell);
	if (at_server.pause)
		chan_peer_pause(p, true);
	if (at_server.close_in_record)
		chan_peer_close(p);
	if (at_server.free_server)
		chan_server_free(&server);
	if (at_server.records == at_server.stop_at)
		loop_stop(loop);
	return !at_server.end_after_record;
}

static const struct chan_server_ops server_ops = {server_record,
    server_opened, server_closed};

static bool
link_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	(void)msg;
	(void)fds;
	ck_assert_ptr_eq(arg, &at_link);
	ck_assert_uint_eq(nfds, 0);
	if (type != EXAMPLE_TELL)
		return true;
	at_link.records++;
	if (at_link.free_link)
		chan_link_free(&at_link.link);
	if (at_link.records == at_link.stop_at)
		loop_stop(loop);
	return !at_link.disconnect;
}

static void
link_ask(uint32_t n)
{
	struct example_ask ask = {.n = n};

	ck_assert(chan_link_send(at_link.link, EXAMPLE_ASK, &ask));
}

static void
link_up(void *arg)
{
	(void)arg;
	at_link.ups++;
	ck_assert(chan_link_is_up(at_link.link));
	if (at_link.ask_when_up)
		link_ask(1);
	else
		loop_stop(loop);
}

static void
link_down(void *arg)
{
	(void)arg;
	at_link.downs++;
	ck_assert(!chan_link_is_up(at_link.link));
	loop_stop(loop);
}

static const struct chan_link_ops link_ops = {link_record, link_up, link_down};

static void
link_new(void)
{
	at_link.link = chan_link_new(loop, path, &example_contract, &link_ops,
	    &at_link);
	ck_assert(!chan_link_is_up(at_link.link));
}

static void
server_listen(size_t max_peers)
{
	listen_fd = chan_listen(path, 0600, 16);
	ck_assert_int_ge(listen_fd, 0);
	server = chan_server_new(loop, listen_fd, &example_contract,
	    &server_ops, &at_server, NULL, 0, max_peers, false);
}

static void
setup(void)
{
	char *x = dir + sizeof(dir) - 7;

	memcpy(x, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	memset(&at_server, 0, sizeof(at_server));
	buf_init(&at_server.said, 10000);
	memset(&at_link, 0, sizeof(at_link));
	loop = loop_new();
	server_listen(10);
}

static void
teardown(void)
{
	chan_link_free(&at_link.link);
	chan_server_free(&server);
	if (listen_fd != -1)
		close(listen_fd);
	loop_free(&loop);
	buf_free(&at_server.said);
	(void)unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else is there */
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
run_ms(int64_t ms)
{
	struct loop_timer *t = loop_timer_new(loop, stop, NULL);

	loop_timer_in(t, ms);
	loop_run(loop);
	loop_timer_free(&t);
}

/* The log's lines stay out of the test's output. */
static int stderr_fd;

static void
quiet_begin(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	stderr_fd = fcntl(2, F_DUPFD_CLOEXEC, 3);
	ck_assert_int_ge(dup2(null, 2), 0);
	close(null);
}

static void
quiet_end(void)
{
	ck_assert_int_ge(dup2(stderr_fd, 2), 0);
	close(stderr_fd);
}

START_TEST(test_ask)
{
	at_link.ask_when_up = true;
	at_link.stop_at = 1;
	link_new();
	loop_run(loop);
	ck_assert_int_eq(at_link.ups, 1);
	ck_assert_int_eq(at_link.records, 1);
	ck_assert_str_eq(at_server.said.s, "ask n=1 level=0;");
}
END_TEST

START_TEST(test_dialogue)
{
	struct chan *c;
	int fd, pipe_fds[2];
	char octet;

	link_new();
	loop_run(loop);
	ck_assert_int_eq(at_link.ups, 1);
	ck_assert_int_eq(at_server.opened, 1);
	ck_assert_uint_eq(chan_peer_uid(at_server.peer), getuid());
	chan_peer_set_data(at_server.peer, dir);
	ck_assert_ptr_eq(chan_peer_data(at_server.peer), dir);
	at_link.stop_at = 4;
	for (uint32_t n = 1; n <= 2; n++)
		ck_assert(chan_link_queue(at_link.link, EXAMPLE_ASK,
		    &(struct example_ask){.n = n}, NULL, 0));
	ck_assert_uint_gt(chan_link_pending(at_link.link), 0);
	chan_link_flush(at_link.link);
	ck_assert_uint_eq(chan_link_pending(at_link.link), 0);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	fd = pipe_fds[1];
	ck_assert(chan_link_send_fds(at_link.link, EXAMPLE_FILE,
	    &(struct example_files){7}, &fd, 1));
	link_ask(3);
	ck_assert_uint_eq(chan_link_pending(at_link.link), 0);
	loop_run(loop);
	ck_assert_str_eq(at_server.said.s, "ask n=1 level=0;ask n=2 level=0;"
	    "file n=7;ask n=3 level=0;");
	ck_assert_int_eq(read(pipe_fds[0], &octet, 1), 1);
	ck_assert_int_eq(read(pipe_fds[0], &octet, 1), 0);
	close(pipe_fds[0]);
	/* A second client, which goes before its HELLO, is nobody's. */
	c = chan_connect(path, &example_contract);
	ck_assert_ptr_nonnull(c);
	run_ms(2);
	chan_free(&c);
	run_ms(2);
	ck_assert_int_eq(at_server.opened, 1);
	ck_assert_int_eq(at_server.closed, 0);
	chan_link_free(&at_link.link);
	run_ms(2);
	ck_assert_int_eq(at_server.closed, 1);
	ck_assert_int_eq(at_link.downs, 0);
}
END_TEST

/* The server ends the connection: the last answer still arrives. */
START_TEST(test_server_disconnects)
{
	int how = _i;

	link_new();
	loop_run(loop);
	at_server.end_after_record = how == 0;
	at_server.close_in_record = how == 1;
	at_server.free_server = how == 2;
	link_ask(1);
	link_ask(2);
	quiet_begin();
	loop_run(loop);
	quiet_end();
	ck_assert_int_eq(at_link.downs, 1);
	ck_assert_int_eq(at_link.records, 1);
	ck_assert_int_eq(at_server.records, 1);
	ck_assert_int_eq(at_server.closed, 1);
	ck_assert(!chan_link_send(at_link.link, EXAMPLE_NOTHING, &how));
	if (how < 2)
		return;
	ck_assert_ptr_null(server);
}
END_TEST

/* From outside of any handler. */
START_TEST(test_close_peer)
{
	link_new();
	loop_run(loop);
	chan_peer_close(at_server.peer);
	chan_peer_close(at_server.peer);
	ck_assert_int_eq(at_server.closed, 0);
	quiet_begin();
	loop_run(loop);
	quiet_end();
	ck_assert_int_eq(at_server.closed, 1);
	ck_assert_int_eq(at_link.downs, 1);
}
END_TEST

START_TEST(test_refused_by_opened)
{
	at_server.refuse = true;
	quiet_begin();
	link_new();
	run_ms(100); /* it tries again, later and later */
	quiet_end();
	ck_assert_int_ge(at_server.opened, 2);
	ck_assert_int_le(at_server.opened, 4);
	ck_assert_int_eq(at_server.closed, 0);
}
END_TEST

START_TEST(test_link_ends)
{
	link_new();
	loop_run(loop);
	at_link.free_link = _i == 0;
	at_link.disconnect = _i == 1;
	at_link.stop_at = 1;
	link_ask(1);
	link_ask(2);
	quiet_begin();
	loop_run(loop);
	run_ms(2);
	quiet_end();
	ck_assert_int_eq(at_link.records, 1);
	ck_assert_int_eq(at_link.downs, _i == 1);
	ck_assert_int_eq(at_server.closed, 1);
}
END_TEST

/* The server goes and comes back at the same path. */
START_TEST(test_reconnect)
{
	int64_t start;

	link_new();
	loop_run(loop);
	quiet_begin();
	chan_server_free(&server);
	close(listen_fd);
	loop_run(loop);
	ck_assert_int_eq(at_link.downs, 1);
	run_ms(30);
	server_listen(10);
	start = clock_mono_ms();
	loop_run(loop);
	quiet_end();
	ck_assert_int_eq(at_link.ups, 2);
	ck_assert_int_le(clock_mono_ms() - start, 500);
	at_link.stop_at = 1;
	link_ask(1);
	loop_run(loop);
	ck_assert_int_eq(at_link.records, 1);
}
END_TEST

START_TEST(test_path_too_long)
{
	char longest[200];

	quiet_begin();
	memset(longest, 'x', sizeof(longest));
	longest[120] = '\0';
	errno = 0;
	ck_assert_ptr_null(chan_connect(longest, &example_contract));
	ck_assert_int_eq(errno, ENAMETOOLONG);
	errno = 0;
	ck_assert_int_eq(chan_listen(longest, 0600, 1), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	longest[106] = '\0'; /* no room for ".PID" */
	errno = 0;
	ck_assert_int_eq(chan_listen(longest, 0600, 1), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	quiet_end();
}
END_TEST

START_TEST(test_listen)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0622};
	mode_t mask = umask(077);
	struct stat st;
	int fd;

	for (int i = 0; i < 4; i++) {
		fd = chan_listen(path, modes[i], 1); /* replaces the last */
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert(S_ISSOCK(st.st_mode));
		ck_assert_uint_eq(st.st_mode & 07777, modes[i]);
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
	ck_assert_uint_eq(umask(mask), 077);
	ck_assert_int_eq(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	quiet_begin();
	errno = 0;
	ck_assert_int_eq(chan_listen(path, 0600, 1), -1);
	ck_assert_int_eq(errno, EEXIST);
	quiet_end();
}
END_TEST

static int
raw_connect(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	memcpy(sun.sun_path, path, strlen(path));
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sun,
	    sizeof(sun)), 0);
	return fd;
}

/* The server closed this connection. */
static bool
ended(int fd)
{
	char octet;

	return recv(fd, &octet, 1, MSG_DONTWAIT) == 0;
}

START_TEST(test_uids)
{
	uid_t uids[2] = {getuid() + 1, getuid()};
	size_t nuids = (size_t)_i; /* the last one is ours */
	int fd;

	chan_server_free(&server);
	server = chan_server_new(loop, listen_fd, &example_contract,
	    &server_ops, &at_server, uids, nuids, 10, false);
	fd = raw_connect();
	quiet_begin();
	run_ms(2);
	quiet_end();
	ck_assert(ended(fd) == (nuids < 2));
	close(fd);
	run_ms(2);
}
END_TEST

START_TEST(test_max_peers)
{
	int fds[4];

	chan_server_free(&server);
	server = chan_server_new(loop, listen_fd, &example_contract,
	    &server_ops, &at_server, NULL, 0, 2, _i == 1);
	for (int i = 0; i < 3; i++)
		fds[i] = raw_connect();
	link_new();
	run_ms(10);
	ck_assert(!chan_link_is_up(at_link.link)); /* waits in the back-log */
	close(fds[0]);
	close(fds[1]);
	loop_run(loop);
	ck_assert(chan_link_is_up(at_link.link));
	ck_assert_int_eq(at_server.opened, 1);
	/* No more are accepted, those who are there stay. */
	chan_server_pause(server);
	close(fds[2]);
	fds[3] = raw_connect();
	at_link.stop_at = 1;
	link_ask(1);
	loop_run(loop);
	ck_assert_int_eq(at_link.records, 1);
	ck_assert(!ended(fds[3]));
	close(fds[3]);
}
END_TEST

/* No descriptor is left: a pause, then it goes on. */
START_TEST(test_out_of_descriptors)
{
	struct rlimit before, none;
	int fd, i;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	fd = raw_connect();
	quiet_begin();
	none = before;
	none.rlim_cur = (rlim_t)dup(fd);
	close((int)none.rlim_cur);
	/* Lower numbers may be free in a process that runs many tests. */
	for (i = 3; i < (int)none.rlim_cur; i++)
		ck_assert_int_ne(fcntl(i, F_GETFD), -1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	run_ms(60);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	quiet_end();
	ck_assert_int_eq(at_server.opened, 0);
	link_new();
	run_ms(80);
	ck_assert_int_eq(at_server.opened, 1);
	close(fd);
}
END_TEST

/* Records that were read before a pause come after it. */
START_TEST(test_pause)
{
	link_new();
	loop_run(loop);
	at_server.pause = true;
	for (uint32_t i = 1; i <= 3; i++)
		link_ask(i);
	run_ms(5);
	ck_assert_int_eq(at_server.records, 1);
	ck_assert_int_eq(at_link.records, 1);
	chan_peer_pause(at_server.peer, false);
	run_ms(2);
	ck_assert_int_eq(at_server.records, 2);
	/* Even if the other side is gone meanwhile. */
	chan_link_free(&at_link.link);
	run_ms(5);
	ck_assert_int_eq(at_server.closed, 0);
	at_server.pause = false;
	chan_peer_pause(at_server.peer, false);
	run_ms(5);
	ck_assert_int_eq(at_server.records, 3);
	ck_assert_str_eq(at_server.said.s, "ask n=1 level=0;ask n=2 level=0;"
	    "ask n=3 level=0;");
	ck_assert_int_eq(at_server.closed, 1);
}
END_TEST

/* More records than a receive buffer holds, while paused in between. */
START_TEST(test_pause_many)
{
	link_new();
	loop_run(loop);
	at_server.pause = true;
	for (uint32_t i = 0; i < 3000; i++)
		link_ask(i % 100);
	for (int i = 1; i <= 5; i++) {
		run_ms(1);
		ck_assert_int_eq(at_server.records, i);
		chan_peer_pause(at_server.peer, false);
		/* Somebody sends to it before its turn. */
		chan_peer_send(at_server.peer, EXAMPLE_NOTHING,
		    &(struct example_nothing){0});
	}
	at_server.pause = false;
	at_link.stop_at = 3000;
	loop_run(loop);
	ck_assert_int_eq(at_server.records, 3000);
}
END_TEST

START_TEST(test_added_peer)
{
	struct example_ask ask = {.n = 5};
	struct chan_peer *p;
	struct chan *c;
	int fds[2];

	chan_server_free(&server);
	server = chan_server_new(loop, -1, &example_contract, &server_ops,
	    &at_server, NULL, 0, 1, false);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p = chan_server_add(server, fds[0]);
	ck_assert_ptr_nonnull(p);
	c = chan_new(fds[1], &example_contract, CHAN_CLIENT);
	chan_send(c, EXAMPLE_ASK, &ask);
	at_server.stop_at = 1;
	loop_run(loop);
	ck_assert_ptr_eq(at_server.peer, p);
	ck_assert_int_eq(at_server.opened, 1);
	ck_assert_str_eq(at_server.said.s, "ask n=5 level=0;");
	/* One more is too many: its descriptor is closed. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_ptr_null(chan_server_add(server, fds[0]));
	ck_assert(ended(fds[1]));
	close(fds[1]);
	chan_free(&c);
	run_ms(2);
	ck_assert_int_eq(at_server.closed, 1);
	/* One that never says a word: its end is told all the same. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_ptr_nonnull(chan_server_add(server, fds[0]));
	close(fds[1]);
	run_ms(2);
	ck_assert_int_eq(at_server.opened, 1);
	ck_assert_int_eq(at_server.closed, 2);
}
END_TEST

/* Somebody who breaks the contract goes alone. */
START_TEST(test_bad_peer)
{
	int fd = raw_connect();

	link_new();
	loop_run(loop);
	ck_assert_int_eq(write(fd, "\377\377\377\377", 4), 4);
	quiet_begin();
	run_ms(2);
	quiet_end();
	ck_assert(ended(fd));
	close(fd);
	at_link.stop_at = 1;
	link_ask(1);
	loop_run(loop);
	ck_assert_int_eq(at_server.closed, 0);
}
END_TEST

/* Answers that fill the socket leave by the loop. */
START_TEST(test_slow_reader)
{
	char *big = mem_alloc(EXAMPLE_TEXT_MAX);
	struct example_tell tell = {{big, EXAMPLE_TEXT_MAX}};

	link_new();
	loop_run(loop);
	for (int i = 0; i < 10; i++)
		chan_peer_send(at_server.peer, EXAMPLE_TELL, &tell);
	ck_assert_uint_gt(chan_pending(chan_peer_chan(at_server.peer)), 0);
	at_link.stop_at = 10;
	loop_run(loop);
	ck_assert_int_eq(at_link.records, 10);
	ck_assert_uint_eq(chan_pending(chan_peer_chan(at_server.peer)), 0);
	free(big);
}
END_TEST

Suite *
chan_server_suite(void)
{
	Suite *suite = suite_create("chan_server");
	TCase *tc = tcase_create("server and link");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_ask);
	tcase_add_test(tc, test_dialogue);
	tcase_add_loop_test(tc, test_server_disconnects, 0, 3);
	tcase_add_test(tc, test_close_peer);
	tcase_add_test(tc, test_refused_by_opened);
	tcase_add_loop_test(tc, test_link_ends, 0, 2);
	tcase_add_test(tc, test_reconnect);
	tcase_add_test(tc, test_path_too_long);
	tcase_add_test(tc, test_listen);
	tcase_add_loop_test(tc, test_uids, 0, 3);
	tcase_add_loop_test(tc, test_max_peers, 0, 2);
	tcase_add_test(tc, test_out_of_descriptors);
	tcase_add_test(tc, test_pause);
	tcase_add_test(tc, test_pause_many);
	tcase_add_test(tc, test_added_peer);
	tcase_add_test(tc, test_bad_peer);
	tcase_add_test(tc, test_slow_reader);
	suite_add_tcase(suite, tc);
	return suite;
}
