/*
 * common/io/chan: connections over socket pairs: octet by octet, versions,
 * descriptors, what breaks the contract.  chan_codec_test.c has the codec,
 * chan_server_test.c both ends in a loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/chan_cases.h"

Suite *chan_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* What is in the log, which is a memory file meanwhile. */
static int log_fd = -1, stderr_fd = -1;

static void
log_begin(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	stderr_fd = dup(2);
	ck_assert_int_ge(log_fd, 0);
	ck_assert_int_eq(dup2(log_fd, 2), 2);
}

static const char *
log_end(void)
{
	static char text[4096];
	ssize_t n;

	ck_assert_int_eq(dup2(stderr_fd, 2), 2);
	close(stderr_fd);
	n = pread(log_fd, text, sizeof(text) - 1, 0);
	close(log_fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
check_log(const char *text, const char *want)
{
	const char *end = strchr(text, '\n');

	ck_assert_msg(end != NULL && end[1] == '\0', "not one line: %s", text);
	ck_assert_msg(strstr(text, "contract=example") != NULL &&
	    strstr(text, want) != NULL, "log %s lacks %s", text, want);
}

static int pair[2];           /* both closed by teardown where not taken */
static struct chan *server;   /* at pair[0] */
static struct chan *client;   /* at pair[1], where a test wants it */
static struct chan_contract client_contract;

static void
setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	server = chan_new(pair[0], &example_contract, CHAN_SERVER);
	client_contract = example_contract;
}

static void
teardown(void)
{
	if (client != NULL)
		chan_free(&client);
	else if (pair[1] != -1)
		close(pair[1]);
	chan_free(&server);
}

static void
peer_closes(void)
{
	close(pair[1]);
	pair[1] = -1;
}

static void
client_new(void)
{
	client = chan_new(pair[1], &client_contract, CHAN_CLIENT);
}

static void
raw_send(struct slice octets, const int *fds, size_t nfds)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = {0};
	char copy[4096];
	struct iovec iov = {copy, octets.len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cm;

	memcpy(copy, octets.p, octets.len);
	if (nfds > 0) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(pair[1], &mh, MSG_NOSIGNAL),
	    (ssize_t)octets.len);
}

static void
add_frame(struct buf *out, struct slice payload)
{
	for (int shift = 0; shift < 32; shift += 8)
		buf_addc(out, (char)(unsigned char)(payload.len >> shift));
	buf_addslice(out, payload);
}

static void
raw_frame(struct slice payload)
{
	struct buf frame = BUF_INIT(4096);

	add_frame(&frame, payload);
	raw_send(buf_slice(&frame), NULL, 0);
	buf_free(&frame);
}

static enum chan_result
recv_text(struct chan *c, struct buf *text, int *fds, size_t *nfds)
{
	enum chan_result result;
	union example_msg msg;
	uint16_t type;

	result = chan_recv(c, &type, &msg, sizeof(msg), fds, nfds);
	if (result == CHAN_OK)
		chan_print(chan_record_find(&example_contract, type), &msg,
		    text);
	return result;
}

/* The next record of c as text, which is in static memory. */
static const char *
next_text(struct chan *c)
{
	static struct buf text = BUF_INIT(1000);
	int fds[CHAN_MAX_FDS];
	size_t nfds;

	buf_free(&text);
	ck_assert_int_eq(recv_text(c, &text, fds, &nfds), CHAN_OK);
	ck_assert_uint_eq(nfds, 0);
	return text.s;
}

static enum chan_result
next_result(struct chan *c)
{
	struct buf text = BUF_INIT(1000);
	int fds[CHAN_MAX_FDS];
	size_t nfds = 0;
	enum chan_result result = recv_text(c, &text, fds, &nfds);

	buf_free(&text);
	return result;
}

/* Reads until something else than "not yet" comes. */
static enum chan_result
end_result(struct chan *c)
{
	enum chan_result result;
	int tries = 0;

	do
		result = next_result(c);
	while (result == CHAN_AGAIN && tries++ < 3);
	return result;
}

START_TEST(test_dialogue)
{
	struct example_ask ask = {.n = 7, .text = SLICE("hello")};
	struct example_tell tell = {SLICE("world")};
	union example_msg msg;
	int fds[CHAN_MAX_FDS];
	uint16_t type;
	size_t nfds;

	ck_assert_int_eq(fcntl(pair[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
	client_new();
	ck_assert_uint_eq(chan_version(client), 1);
	ck_assert_uint_eq(chan_version(server), 0);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	/* The first request goes with HELLO. */
	ask.level = 3; /* not yet spoken */
	chan_send(client, EXAMPLE_ASK, &ask);
	ck_assert_uint_eq(chan_pending(client), 0);
	ck_assert_str_eq(next_text(server), "ask n=7 text=hello level=0");
	ck_assert_uint_eq(chan_version(server), 3);
	chan_send(server, EXAMPLE_TELL, &tell);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	ck_assert_int_eq(chan_wait(client, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + 1000), CHAN_OK);
	ck_assert_uint_eq(type, EXAMPLE_TELL);
	ck_assert(slice_eq(msg.tell.text, SLICE("world")));
	ck_assert_uint_eq(chan_version(client), 3);
	/* Several, in one piece. */
	chan_queue(client, EXAMPLE_ASK, &ask, NULL, 0);
	chan_queue(client, EXAMPLE_NOTHING, &msg, NULL, 0);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	ck_assert_int_eq(chan_flush(client), CHAN_OK);
	ck_assert_str_eq(next_text(server), "ask n=7 text=hello level=3");
	ck_assert_str_eq(next_text(server), "nothing");
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	/* Nothing comes: the deadline passes. */
	ck_assert_int_eq(chan_wait(client, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + 20), CHAN_TIMEOUT);
	chan_free(&server);
	ck_assert_int_eq(chan_wait(client, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + 1000), CHAN_CLOSED);
}
END_TEST

/* The answer to HELLO leaves even if there is nothing else to say. */
START_TEST(test_hello_answered)
{
	client_new();
	ck_assert_int_eq(chan_flush(client), CHAN_OK);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	ck_assert_int_eq(next_result(client), CHAN_AGAIN);
	ck_assert_uint_eq(chan_version(client), 3);
}
END_TEST

START_TEST(test_wait_on_server_side)
{
	union example_msg msg;
	int fds[CHAN_MAX_FDS];
	uint16_t type;
	size_t nfds;

	client_new();
	ck_assert_int_eq(chan_flush(client), CHAN_OK);
	ck_assert_int_eq(chan_wait(server, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + 10), CHAN_TIMEOUT);
	ck_assert_int_eq(next_result(client), CHAN_AGAIN);
	ck_assert_uint_eq(chan_version(client), 3);
	chan_send(client, EXAMPLE_NOTHING, &msg);
	ck_assert_int_eq(chan_wait(server, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + 1000), CHAN_OK);
	ck_assert_uint_eq(type, EXAMPLE_NOTHING);
}
END_TEST

/* All good payloads behind a HELLO of version 2 in pieces of every size. */
START_TEST(test_pieces)
{
	size_t piece = (size_t)_i + 1, at = 0;
	struct buf octets = BUF_INIT(4096), got = BUF_INIT(4096);
	struct buf want = BUF_INIT(4096);
	int fds[CHAN_MAX_FDS];
	size_t nfds = 0;

	add_frame(&octets, SLICE(HELLO("\1", "\2")));
	for (int i = 0; i < COUNT(decode_cases); i++) {
		if (decode_cases[i].version > 2 ||
		    decode_cases[i].payload.p[2] != 0)
			continue;
		add_frame(&octets, decode_cases[i].payload);
		buf_printf(&want, "%s\n", decode_cases[i].want);
	}
	while (at < octets.len) {
		enum chan_result result;

		raw_send(slice_sub(buf_slice(&octets), at, at + piece), NULL,
		    0);
		at += piece;
		for (;;) {
			result = recv_text(server, &got, fds, &nfds);
			if (result != CHAN_OK)
				break;
			buf_addc(&got, '\n');
		}
		ck_assert_int_eq(result, CHAN_AGAIN);
	}
	ck_assert_str_eq(got.s, want.s);
	buf_free(&octets);
	buf_free(&got);
	buf_free(&want);
}
END_TEST

/* The same faults as above, octet by octet: disconnected with one log line. */
START_TEST(test_bad_record)
{
	const struct bad_case *t = &bad_cases[_i];
	enum chan_result result = CHAN_AGAIN;
	struct buf octets = BUF_INIT(4096);

	add_frame(&octets, SLICE(HELLO("\1", "\2")));
	add_frame(&octets, SLICE(ASK N5));
	add_frame(&octets, t->payload);
	log_begin();
	for (size_t i = 0; i < octets.len; i++) {
		raw_send(slice_sub(buf_slice(&octets), i, i + 1), NULL, 0);
		result = next_result(server);
		if (result == CHAN_BAD)
			break;
		if (result == CHAN_OK)
			result = next_result(server);
		ck_assert_int_eq(result, CHAN_AGAIN);
	}
	ck_assert_msg(result == CHAN_BAD, "%s", t->name);
	ck_assert_int_eq(next_result(server), CHAN_BAD);
	check_log(log_end(), t->place);
	buf_free(&octets);
}
END_TEST

static const struct hello_case {
	const char *name;
	struct slice payload; /* the client's first frame */
	const char *want;     /* in the log */
	enum chan_result result;
} hello_cases[] = {
	{"another contract", SLICE_INIT("\0\0\0\0\1\7\0\0\0exbmple"
	    HELLO_LOWEST("\1") HELLO_HIGHEST("\1")),
	    "why=\"another contract\"", CHAN_BAD},
	{"a longer name", SLICE_INIT("\0\0\0\0\1\10\0\0\0example\0"
	    HELLO_LOWEST("\1") HELLO_HIGHEST("\1")),
	    "why=\"another contract\"", CHAN_BAD},
	{"no name", SLICE_INIT("\0\0\0\0" HELLO_LOWEST("\1")
	    HELLO_HIGHEST("\1")), "field=contract why=missing", CHAN_BAD},
	{"no lowest", SLICE_INIT("\0\0\0\0" HELLO_NAME HELLO_HIGHEST("\1")),
	    "field=lowest why=missing", CHAN_BAD},
	{"no highest", SLICE_INIT("\0\0\0\0" HELLO_NAME HELLO_LOWEST("\1")),
	    "field=highest why=missing", CHAN_BAD},
	{"with descriptors", SLICE_INIT("\0\0\1\0" HELLO_NAME
	    HELLO_LOWEST("\1") HELLO_HIGHEST("\1")),
	    "why=\"wrong number of descriptors\"", CHAN_BAD},
	{"version huge", SLICE_INIT("\0\0\0\0" HELLO_NAME HELLO_LOWEST("\1")
	    "\3\4\0\0\0\0\0\1\0"), "field=highest why=\"too large\"",
	    CHAN_BAD},
	{"no hello", SLICE_INIT(ASK N5), "record=ask field=- why=\"before "
	    "HELLO\"", CHAN_BAD},
	{"too new", SLICE_INIT(HELLO("\4", "\5")),
	    "channel-no-common-version", CHAN_CLOSED},
	{"too old", SLICE_INIT(HELLO("\0", "\0")),
	    "channel-no-common-version", CHAN_CLOSED},
	{"upside down", SLICE_INIT(HELLO("\3", "\1")),
	    "channel-no-common-version", CHAN_CLOSED},
};

START_TEST(test_bad_hello)
{
	const struct hello_case *t = &hello_cases[_i];
	const char *text;

	raw_frame(t->payload);
	log_begin();
	ck_assert_int_eq(next_result(server), t->result);
	text = log_end();
	ck_assert_uint_eq(chan_version(server), 0);
	check_log(text, t->want);
}
END_TEST

START_TEST(test_bad_length)
{
	static const struct slice heads[] = {SLICE_INIT("\3\0\0\0abc"),
	    SLICE_INIT("\0\0\0\0"), SLICE_INIT("\377\377\377\377"),
	    SLICE_INIT("\372\223\4\0"), SLICE_INIT("\0\0\0\200")};

	raw_frame(SLICE(HELLO("\1", "\2")));
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	raw_send(heads[_i], NULL, 0);
	log_begin();
	ck_assert_int_eq(end_result(server), CHAN_BAD);
	check_log(log_end(), "why=\"frame too ");
}
END_TEST

/* The accepting side answers nothing that we could speak. */
START_TEST(test_bad_answer)
{
	static const struct slice answers[] = {SLICE_INIT(HELLO("\4", "\4")),
	    SLICE_INIT(HELLO("\0", "\0")), SLICE_INIT(HELLO("\1", "\2")),
	    SLICE_INIT("\2\0\0\0\1\1\0\0\0x")};
	struct chan *c;
	char got[100];

	c = chan_new(dup(pair[0]), &example_contract, CHAN_CLIENT);
	ck_assert_int_eq(chan_flush(c), CHAN_OK);
	ck_assert_int_gt(read(pair[1], got, sizeof(got)), 0);
	raw_frame(answers[_i]);
	log_begin();
	ck_assert_int_eq(next_result(c), CHAN_BAD);
	check_log(log_end(), _i < 3 ? "why=\"no version of ours\"" :
	    "record=tell field=- why=\"before HELLO\"");
	chan_free(&c);
}
END_TEST

static const struct version_case {
	uint16_t lowest, highest; /* the client's */
	uint16_t want;            /* 0: disconnected */
} version_cases[] = {
	{1, 1, 1}, {1, 2, 2}, {1, 3, 3}, {2, 3, 3}, {3, 3, 3}, {2, 7, 3},
	{3, 9, 3}, {4, 4, 0},
};

START_TEST(test_versions)
{
	static const char *const texts[] = {"ask n=5", "ask n=5 extra=e",
	    "ask n=5 extra=e level=9"};
	const struct version_case *t = &version_cases[_i];
	struct example_ask ask = {.n = 5, .extra = SLICE("e"), .level = 9};
	const char *text;

	client_contract.lowest = t->lowest;
	client_contract.highest = t->highest;
	client_new();
	/* Right behind HELLO: in the lowest version. */
	chan_send(client, EXAMPLE_ASK, &ask);
	if (t->want == 0) {
		log_begin();
		ck_assert_int_eq(next_result(server), CHAN_CLOSED);
		check_log(log_end(), "channel-no-common-version");
		chan_free(&server);
		ck_assert_int_eq(end_result(client), CHAN_CLOSED);
		return;
	}
	text = next_text(server);
	/* level is required since 3: as it was left out, it is 0. */
	ck_assert_str_eq(text, t->lowest == 1 ? "ask n=5 level=0" :
	    t->lowest == 2 ? "ask n=5 extra=e level=0" : texts[2]);
	ck_assert_uint_eq(chan_version(server), t->want);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	ck_assert_int_eq(next_result(client), CHAN_AGAIN);
	ck_assert_uint_eq(chan_version(client), t->want);
	chan_send(client, EXAMPLE_ASK, &ask);
	text = next_text(server);
	ck_assert(strncmp(text, texts[t->want - 1],
	    strlen(texts[t->want - 1])) == 0);
}
END_TEST

/* Descriptors */

/* A pipe whose write end is passed around: what is written there names it. */
static int
pipe_new(int *read_end)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	*read_end = fds[0];
	return fds[1];
}

/* All write ends are closed. */
static bool
pipe_ended(int read_end)
{
	char c;

	return read(read_end, &c, 1) == 0;
}

START_TEST(test_descriptors)
{
	struct buf text = BUF_INIT(1000);
	int read_ends[6], fds[CHAN_MAX_FDS], got[6];
	size_t nfds, ngot = 0;
	char c;

	client_new();
	for (uint32_t i = 0; i < 6; i++) {
		struct example_files msg = {i};
		int two[2];

		/* FILE, FILES, NOTHING, FILE, FILES ...: in one flush */
		if (i % 3 == 0) {
			two[0] = pipe_new(&read_ends[i]);
			chan_queue(client, EXAMPLE_FILE, &msg, two, 1);
		} else if (i % 3 == 1) {
			two[0] = pipe_new(&read_ends[i]);
			two[1] = pipe_new(&read_ends[i + 1]);
			chan_queue(client, EXAMPLE_FILES, &msg, two, 2);
			chan_queue(client, EXAMPLE_NOTHING, &msg, NULL, 0);
		}
	}
	ck_assert_int_eq(chan_flush(client), CHAN_OK);
	while (ngot < 6) {
		enum chan_result result = recv_text(server, &text, fds, &nfds);

		if (result == CHAN_AGAIN)
			continue;
		ck_assert_int_eq(result, CHAN_OK);
		for (size_t i = 0; i < nfds; i++)
			got[ngot++] = fds[i];
	}
	ck_assert_int_eq(recv_text(server, &text, fds, &nfds), CHAN_OK);
	ck_assert_str_eq(text.s, "file n=0files n=1nothingfile n=3files n=4"
	    "nothing");
	for (size_t i = 0; i < 6; i++) {
		ck_assert_int_eq(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(write(got[i], "x", 1), 1);
		close(got[i]);
		ck_assert_int_eq(read(read_ends[i], &c, 1), 1);
		/* The client has closed its own. */
		ck_assert(pipe_ended(read_ends[i]));
		close(read_ends[i]);
	}
	buf_free(&text);
}
END_TEST

/* Received and not yet asked for, queued and not yet sent: closed with the
 * channel. */
START_TEST(test_descriptors_freed)
{
	struct example_files msg = {1};
	int read_ends[3], two[2], fd;

	client_new();
	fd = pipe_new(&read_ends[0]);
	chan_send_fds(client, EXAMPLE_FILE, &msg, &fd, 1);
	two[0] = pipe_new(&read_ends[1]);
	two[1] = pipe_new(&read_ends[2]);
	chan_queue(client, EXAMPLE_FILES, &msg, two, 2);
	chan_free(&server); /* has not read */
	ck_assert(pipe_ended(read_ends[0]));
	ck_assert(!pipe_ended(read_ends[1]));
	ck_assert_int_eq(chan_flush(client), CHAN_CLOSED);
	ck_assert(pipe_ended(read_ends[1]));
	ck_assert(pipe_ended(read_ends[2]));
	/* Into a broken channel: closed at once. */
	close(read_ends[0]);
	fd = pipe_new(&read_ends[0]);
	chan_send_fds(client, EXAMPLE_FILE, &msg, &fd, 1);
	ck_assert(pipe_ended(read_ends[0]));
	for (int i = 0; i < 3; i++)
		close(read_ends[i]);
}
END_TEST

/* More descriptors than records declare: refused, and none is kept. */
START_TEST(test_descriptors_unasked)
{
	static const struct {
		struct slice octets;
		size_t nfds;
		int times;
	} cases[] = {
		{SLICE_INIT("\15\0\0\0" ASK N5), 1, 1},
		{SLICE_INIT("\15\0\0\0\4\0\1\0" N5), 2, 1},
		{SLICE_INIT("\15\0\0\0\4\0\1\0"), 5, 1},
		{SLICE_INIT("\15\0\0"), 5, 1},
		{SLICE_INIT("\0"), 4, 2},
		{SLICE_INIT("\15\0\0"), 16, 1},
		{SLICE_INIT("\15\0\0\0\1\0\377\377\1"), 8, 2},
	};
	enum chan_result result = CHAN_AGAIN;
	int fds[16], read_end, fd;

	raw_frame(SLICE(HELLO("\1", "\2")));
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	log_begin();
	fd = pipe_new(&read_end);
	for (size_t i = 0; i < 16; i++)
		fds[i] = fd;
	for (int i = 0; i < cases[_i].times; i++)
		raw_send(cases[_i].octets, fds, cases[_i].nfds);
	close(fd);
	for (int i = 0; i < 10 && result != CHAN_BAD; i++) {
		int got[CHAN_MAX_FDS];
		size_t ngot = 0;
		struct buf text = BUF_INIT(100);

		result = recv_text(server, &text, got, &ngot);
		if (result == CHAN_OK)
			for (size_t k = 0; k < ngot; k++)
				close(got[k]);
		buf_free(&text);
	}
	check_log(log_end(), "descriptors");
	ck_assert_int_eq(result, CHAN_BAD);
	chan_free(&server);
	ck_assert(pipe_ended(read_end));
	close(read_end);
}
END_TEST

/* Large records, a full socket, a peer that does not read */

START_TEST(test_large)
{
	char *big = mem_alloc(EXAMPLE_TEXT_MAX);
	struct example_tell tell = {{big, EXAMPLE_TEXT_MAX}};
	union example_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds, records = 0, largest = 0;
	uint16_t type;

	for (size_t i = 0; i < EXAMPLE_TEXT_MAX; i++)
		big[i] = (char)(i * 7 % 127);
	client_new();
	ck_assert_int_eq(chan_flush(client), CHAN_OK);
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	for (size_t i = 0; i < 12; i++) {
		tell.text.len = i % 2 == 0 ? EXAMPLE_TEXT_MAX : i;
		chan_queue(server, EXAMPLE_TELL, &tell, NULL, 0);
	}
	while (records < 12) {
		enum chan_result result;

		(void)chan_flush(server);
		if (chan_pending(server) > largest)
			largest = chan_pending(server);
		result = chan_recv(client, &type, &msg, sizeof(msg), fds,
		    &nfds);
		if (result == CHAN_AGAIN)
			continue;
		ck_assert_int_eq(result, CHAN_OK);
		ck_assert_uint_eq(msg.tell.text.len, records % 2 == 0 ?
		    EXAMPLE_TEXT_MAX : records);
		ck_assert(memcmp(msg.tell.text.p, big, msg.tell.text.len) == 0);
		records++;
	}
	ck_assert_uint_gt(largest, 0);
	ck_assert_uint_eq(chan_pending(server), 0);
	free(big);
}
END_TEST

START_TEST(test_stuck)
{
	char *big = mem_alloc(EXAMPLE_TEXT_MAX);
	struct example_tell tell = {{big, EXAMPLE_TEXT_MAX}};
	size_t n = 0, most = 0;

	raw_frame(SLICE(HELLO("\1", "\1")));
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	log_begin();
	while (chan_flush(server) != CHAN_CLOSED && n++ < 100) {
		chan_send(server, EXAMPLE_TELL, &tell);
		if (chan_pending(server) > most)
			most = chan_pending(server);
	}
	check_log(log_end(), "channel-stuck");
	ck_assert_uint_gt(most, 4000000);
	ck_assert_uint_le(most, 17 * (EXAMPLE_TEXT_MAX + 13));
	ck_assert_int_eq(end_result(server), CHAN_CLOSED);
	free(big);
}
END_TEST

/* What came before the peer went is still read. */
START_TEST(test_closed)
{
	raw_frame(SLICE(HELLO("\1", "\2")));
	raw_frame(SLICE(ASK N5));
	raw_frame(SLICE(ASK N5));
	raw_send(SLICE("\15\0\0\0\1"), NULL, 0);
	peer_closes();
	ck_assert_str_eq(next_text(server), "ask n=5 level=0");
	chan_send(server, EXAMPLE_NOTHING, &(struct example_nothing){0});
	ck_assert_str_eq(next_text(server), "ask n=5 level=0");
	ck_assert_int_eq(end_result(server), CHAN_CLOSED);
	ck_assert_int_eq(next_result(server), CHAN_CLOSED);
	ck_assert_int_eq(chan_flush(server), CHAN_CLOSED);
}
END_TEST

/* Passwords do not lie about in what was read and sent. */
START_TEST(test_wipe)
{
	struct example_ask ask = {.n = 5, .text = SLICE("secret")};
	union example_msg msg;
	int fds[CHAN_MAX_FDS];
	uint16_t type;
	size_t nfds;

	client_new();
	chan_send(client, EXAMPLE_ASK, &ask);
	ck_assert_int_eq(chan_recv(server, &type, &msg, sizeof(msg), fds,
	    &nfds), CHAN_OK);
	ck_assert(slice_eq(msg.ask.text, SLICE("secret")));
	chan_wipe(server);
	chan_wipe(client);
	ck_assert(slice_eq(msg.ask.text, SLICE("\0\0\0\0\0\0")));
	/* The connection goes on. */
	ck_assert_int_eq(next_result(server), CHAN_AGAIN);
	ck_assert_int_eq(next_result(client), CHAN_AGAIN);
	chan_send(client, EXAMPLE_ASK, &ask);
	ck_assert_str_eq(next_text(server), "ask n=5 text=secret level=0");
}
END_TEST

START_TEST(test_peer)
{
	pid_t pid;
	uid_t uid;

	ck_assert_int_eq(chan_peer(server, &pid, &uid), 0);
	ck_assert_int_eq(pid, getpid());
	ck_assert_uint_eq(uid, getuid());
	ck_assert_int_eq(chan_fd(server), pair[0]);
}
END_TEST

Suite *
chan_suite(void)
{
	Suite *suite = suite_create("chan");
	TCase *tc = tcase_create("chan");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_dialogue);
	tcase_add_test(tc, test_hello_answered);
	tcase_add_test(tc, test_wait_on_server_side);
	tcase_add_loop_test(tc, test_pieces, 0, 40);
	tcase_add_loop_test(tc, test_bad_record, 0, COUNT(bad_cases));
	tcase_add_loop_test(tc, test_bad_hello, 0, COUNT(hello_cases));
	tcase_add_loop_test(tc, test_bad_length, 0, 5);
	tcase_add_loop_test(tc, test_bad_answer, 0, 4);
	tcase_add_loop_test(tc, test_versions, 0, COUNT(version_cases));
	tcase_add_test(tc, test_descriptors);
	tcase_add_test(tc, test_descriptors_freed);
	tcase_add_loop_test(tc, test_descriptors_unasked, 0, 7);
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_stuck);
	tcase_add_test(tc, test_closed);
	tcase_add_test(tc, test_wipe);
	tcase_add_test(tc, test_peer);
	suite_add_tcase(suite, tc);
	return suite;
}
