/*
 * common/proto/queue_client: a client handing in messages to a queued that is
 * honest, refuses at each step, or goes away at each step.  The server is a
 * process with a script.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/envelope.h"
#include "common/proto/queue.h"
#include "common/proto/queue_client.h"

Suite *queue_client_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define ID "01jar9fq3raaaaaaaaaa"
#define WAIT_MS 10000
#define LARGE (3u * 1024 * 1024)

/* What the server does with a message. */
enum script {
	TAKES,
	GOES_AT_OPEN,
	REFUSES_OPEN,
	GOES_AT_MESSAGE,
	REFUSES_MESSAGE, /* RESULT before END, reading on */
	GOES_AT_CONTENT, /* when half of it came */
	REFUSES_CONTENT,
	SAYS_YES_EARLY,
	GOES_AT_END,
	REFUSES_END,
	SAYS_NONSENSE
};

/* What the server saw, told through its exit code: 0, or a line's number. */
#define WANT(x)                                                                \
	do {                                                                   \
		if (!(x))                                                      \
			_exit(__LINE__ % 250 + 1);                             \
	} while (0)

struct server {
	struct chan *chan;
	int pipe;
	size_t rcpts;
	uint64_t octets, from; /* in all; where the message began */
	char sum;
	size_t edits;
};

static void
say(struct server *s, uint16_t type, uint32_t code, const char *text)
{
	struct queue_result r = {.code = code, .subject = 3, .detail = 1,
	    .text = slice_of(text)};

	chan_send(s->chan, type, &r);
}

/* Reads the pipe until the octets of `upto` came. */
static void
drain(struct server *s, uint64_t upto)
{
	char p[4096];
	ssize_t n;

	while (s->octets - s->from < upto) {
		n = read(s->pipe, p, sizeof(p));
		WANT(n > 0);
		for (ssize_t i = 0; i < n; i++)
			s->sum = (char)(s->sum * 31 + p[i]);
		s->octets += (uint64_t)n;
	}
}

/* The next record; content is taken while there is none. */
static uint16_t
next(struct server *s, union queue_msg *m)
{
	struct pollfd wait[2] = {{.fd = chan_fd(s->chan), .events = POLLIN},
	    {.fd = s->pipe, .events = POLLIN}};
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;
	enum chan_result r;

	for (;;) {
		r = chan_recv(s->chan, &type, m, sizeof(*m), fds, &nfds);
		if (r == CHAN_CLOSED)
			_exit(0); /* the client has enough */
		if (r == CHAN_OK && type != QUEUE_PIPE)
			return type;
		if (r == CHAN_OK) {
			/* The client's end is its own affair. */
			s->pipe = wait[1].fd = fds[0];
			WANT(fcntl(s->pipe, F_SETFL, 0) == 0);
			continue;
		}
		WANT(r == CHAN_AGAIN && poll(wait, 2, WAIT_MS) > 0);
		if ((wait[1].revents & POLLIN) != 0)
			drain(s, s->octets - s->from + 1);
		else if (wait[1].revents != 0 && wait[0].revents == 0)
			wait[1].fd = -1; /* its writer is gone */
	}
}

static void
message(struct server *s, enum script script)
{
	union queue_msg m;
	uint16_t type;

	WANT(next(s, &m) == QUEUE_OPEN);
	WANT(slice_eq(m.open.id, SLICE(ID)));
	if (script == GOES_AT_OPEN)
		_exit(0);
	if (script == REFUSES_OPEN) {
		say(s, QUEUE_OPENED, 452, "no room");
		return;
	}
	say(s, QUEUE_OPENED, 250, "OK");
	type = next(s, &m);
	if (type == QUEUE_ABORT)
		return;
	WANT(type == QUEUE_MESSAGE);
	s->rcpts = m.message.recipients.n;
	if (script == GOES_AT_MESSAGE)
		_exit(0);
	if (script == REFUSES_MESSAGE || script == SAYS_YES_EARLY)
		say(s, QUEUE_RESULT, script == SAYS_YES_EARLY ? 250 : 452,
		    "too much");
	if (script == SAYS_NONSENSE)
		say(s, QUEUE_OPENED, 250, "again");
	if (script == GOES_AT_CONTENT || script == REFUSES_CONTENT)
		drain(s, LARGE / 2);
	if (script == GOES_AT_CONTENT)
		_exit(0);
	if (script == REFUSES_CONTENT)
		say(s, QUEUE_RESULT, 452, "full");
	if (script == TAKES || script == GOES_AT_END || script == REFUSES_END)
		drain(s, LARGE / 2);
	while ((type = next(s, &m)) == QUEUE_RCPTS)
		s->rcpts += m.rcpts.recipients.n;
	s->edits = m.end.edits.n;
	if (script == GOES_AT_END)
		_exit(0);
	drain(s, m.end.octets);
	s->from = s->octets;
	if (type == QUEUE_ABORT || script == REFUSES_MESSAGE ||
	    script == REFUSES_CONTENT)
		return;
	WANT(type == QUEUE_END);
	if (script == REFUSES_END)
		say(s, QUEUE_RESULT, 451, "disk");
	else
		say(s, QUEUE_RESULT, 250, s->rcpts == 1200 ? "1200 recipients"
		    : s->edits == 2 ? "2 edits" : "Queued");
}

static pid_t server_pid;

static struct queue_client *
start(enum script first, uint16_t version)
{
	static struct chan_contract older;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	server_pid = fork();
	ck_assert_int_ge(server_pid, 0);
	if (server_pid == 0) {
		struct server s = {.pipe = -1};

		close(pair[0]);
		older = queue_contract;
		older.highest = version;
		s.chan = chan_new(pair[1], &older, CHAN_SERVER);
		message(&s, first);
		for (;;)
			message(&s, TAKES);
	}
	close(pair[1]);
	return queue_client_new(pair[0]);
}

static void
end(struct queue_client **q)
{
	int wstatus;

	queue_client_free(q);
	ck_assert_ptr_null(*q);
	ck_assert_int_eq(waitpid(server_pid, &wstatus, 0), server_pid);
	ck_assert_msg(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0,
	    "the server met something at line %d (mod 250)",
	    WEXITSTATUS(wstatus) - 1);
}

/* One message of LARGE octets to so many recipients, in pieces of a size. */
static struct status
hand_in(struct queue_client *q, size_t nrcpts, size_t piece,
    const struct chan_list *edits)
{
	struct env_recipient *v = mem_array(nrcpts, sizeof(*v));
	struct envelope env = {.id = SLICE(ID), .from = SLICE_EMPTY,
	    .envid = SLICE_EMPTY, .client_ip = SLICE_EMPTY,
	    .client_helo = SLICE_EMPTY, .protocol = SLICE_EMPTY,
	    .login = SLICE_EMPTY, .sid = SLICE_EMPTY, .prepend = SLICE_EMPTY,
	    .recipients = {v, nrcpts}};
	char *p = mem_alloc(piece);
	struct status st;
	size_t i, n;

	for (i = 0; i < nrcpts; i++)
		v[i] = (struct env_recipient){SLICE("a@b"), SLICE_EMPTY, 0};
	if (queue_client_open(q, SLICE(ID), LARGE))
		(void)queue_client_envelope(q, &env);
	for (i = 0; i < LARGE; i += n) {
		n = LARGE - i < piece ? LARGE - i : piece;
		if (!queue_client_put(q, slice_mem(p, n)))
			break;
	}
	queue_client_end(q, edits, &st);
	free(v);
	free(p);
	return st;
}

static const struct {
	const char *name;
	enum script script;
	uint32_t code;
	bool usable; /* the next message goes the same way */
} scripts[] = {
	{"takes", TAKES, 250, true},
	{"goes at open", GOES_AT_OPEN, 451, false},
	{"refuses open", REFUSES_OPEN, 452, true},
	{"goes at message", GOES_AT_MESSAGE, 451, false},
	{"refuses message", REFUSES_MESSAGE, 452, true},
	{"goes at content", GOES_AT_CONTENT, 451, false},
	{"refuses content", REFUSES_CONTENT, 452, true},
	{"says yes early", SAYS_YES_EARLY, 451, true},
	{"goes at end", GOES_AT_END, 451, false},
	{"refuses end", REFUSES_END, 451, true},
	{"says nonsense", SAYS_NONSENSE, 451, false},
};

START_TEST(test_scripts)
{
	struct queue_client *q = start(scripts[_i].script, 2);
	struct status st = hand_in(q, 1, 5000, NULL);

	ck_assert_msg(st.code == scripts[_i].code, "%s: %u %s",
	    scripts[_i].name, (unsigned)st.code, st.text);
	ck_assert_msg(queue_client_usable(q) == scripts[_i].usable, "%s",
	    scripts[_i].name);
	st = hand_in(q, 1, 5000, NULL);
	ck_assert_msg(st.code == (scripts[_i].usable ? 250 : 451), "%s: %u %s",
	    scripts[_i].name, (unsigned)st.code, st.text);
	end(&q);
}
END_TEST

static const size_t pieces[] = {77, 4096, 65536, 65537, 1000000, LARGE};

START_TEST(test_pieces)
{
	struct queue_client *q = start(TAKES, 2);
	struct status st = hand_in(q, 1, pieces[_i], NULL);

	ck_assert_msg(st.code == 250, "%zu: %u %s", pieces[_i],
	    (unsigned)st.code, st.text);
	ck_assert_uint_eq(queue_client_octets(q), LARGE);
	end(&q);
}
END_TEST

START_TEST(test_many_recipients)
{
	struct queue_client *q = start(TAKES, 2);
	struct status st = hand_in(q, 1200, 60000, NULL);

	ck_assert_uint_eq(st.code, 250);
	ck_assert_str_eq(st.text, "1200 recipients");
	end(&q);
}
END_TEST

START_TEST(test_abort)
{
	struct queue_client *q = start(TAKES, 2);
	struct status st;

	ck_assert(queue_client_open(q, SLICE(ID), 0));
	queue_client_abort(q); /* nothing was begun */
	ck_assert(queue_client_usable(q));
	st = hand_in(q, 1, 60000, NULL);
	ck_assert_uint_eq(st.code, 250);
	end(&q);
}
END_TEST

/* Edits that an older queued would leave out are not sent at all. */
START_TEST(test_edits)
{
	struct env_edit v[2] = {{.offset = 1, .text = SLICE("a\r\n")},
	    {.offset = 2, .skip = 1, .text = SLICE_EMPTY}};
	struct chan_list edits = {v, 2};
	struct queue_client *q = start(TAKES, (uint16_t)(1 + _i));
	struct status st = hand_in(q, 1, 60000, &edits);

	if (_i == 0) {
		ck_assert_uint_eq(st.code, 451);
		st = hand_in(q, 1, 60000, NULL);
		ck_assert_uint_eq(st.code, 250);
	} else {
		ck_assert_uint_eq(st.code, 250);
		ck_assert_str_eq(st.text, "2 edits");
	}
	end(&q);
}
END_TEST

static void
set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
}

Suite *
queue_client_suite(void)
{
	Suite *s = suite_create("queue_client");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, test_scripts, 0, COUNT(scripts));
	tcase_add_loop_test(tc, test_pieces, 0, COUNT(pieces));
	tcase_add_test(tc, test_many_recipients);
	tcase_add_test(tc, test_abort);
	tcase_add_loop_test(tc, test_edits, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}
