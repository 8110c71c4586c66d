/*
 * common/io/stream: lines and octets however they are cut, deadlines, output.
 * Scripted input goes through stream_set_io in pieces of every size; the rest
 * uses socket pairs.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/io/stream.h"

Suite *stream_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* A reader that hands out `chunk` octets at a time, each after an EAGAIN if
 * `again` is set. */
struct script {
	struct slice rest;
	size_t chunk;
	int wake_fd; /* readable: so that the stream's poll returns */
	bool again, asked;
	size_t reads;
};

static ssize_t
script_read(void *arg, void *p, size_t n)
{
	struct script *s = arg;

	s->reads++;
	if (s->again && !s->asked) {
		s->asked = true;
		errno = EAGAIN;
		return -1;
	}
	s->asked = false;
	if (n > s->chunk)
		n = s->chunk;
	if (n > s->rest.len)
		n = s->rest.len;
	memcpy(p, s->rest.p, n);
	s->rest = slice_sub(s->rest, n, s->rest.len);
	return (ssize_t)n;
}

static ssize_t
script_write(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	return (ssize_t)n;
}

static int pair[2];

static void
setup(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &sa, NULL); /* as proc_start does */
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

/* pair[0] is the stream's in every test. */
static void
teardown(void)
{
	if (pair[1] != -1)
		close(pair[1]);
}

static void
peer_closes(void)
{
	close(pair[1]);
	pair[1] = -1;
}

static void
peer_says(const char *text)
{
	size_t len = strlen(text);

	ck_assert_int_eq(write(pair[1], text, len), (ssize_t)len);
}

/* Everything the peer can read now. */
static struct slice
peer_hears(void)
{
	static char got[65536];
	ssize_t n = recv(pair[1], got, sizeof(got), MSG_DONTWAIT);

	return (struct slice){got, n > 0 ? (size_t)n : 0};
}

static void
check_slice(struct slice got, const char *want)
{
	ck_assert_msg(slice_eq(got, slice_of(want)), "got \"%.*s\", want "
	    "\"%s\"", SLICE_FMT(got), want);
}

/* Lines: what comes out is written as "ok(text) long bare eof". */
static const struct line_case {
	const char *name;
	struct slice input;
	size_t max;
	const char *want;
} line_cases[] = {
	{"nothing", SLICE_INIT(""), 10, "eof"},
	{"one", SLICE_INIT("abc\r\n"), 10, "ok(abc) eof"},
	{"empty", SLICE_INIT("\r\n\r\n"), 10, "ok() ok() eof"},
	{"many",
	    SLICE_INIT("a\r\nbc\r\ndef\r\n"), 10, "ok(a) ok(bc) ok(def) eof"},
	{"no end", SLICE_INIT("a\r\nbc"), 10, "ok(a) eof"},
	{"half an end", SLICE_INIT("a\r"), 10, "eof"},
	{"longest",
	    SLICE_INIT("0123456789\r\nb\r\n"), 10, "ok(0123456789) ok(b) eof"},
	{"one too long",
	    SLICE_INIT("0123456789a\r\nb\r\n"), 10, "long ok(b) eof"},
	{"far too long",
	    SLICE_INIT("0123456789012345678901234567890\r\nb\r\n"), 10,
	    "long ok(b) eof"},
	{"long without end", SLICE_INIT("01234567890123456789"), 10, "eof"},
	{"long, CR at the limit", SLICE_INIT("0123456789\rx\r\nb\r\n"), 10,
	    "bare ok(b) eof"},
	{"bare CR", SLICE_INIT("a\rb\r\nc\r\n"), 10, "bare ok(c) eof"},
	{"bare CR first", SLICE_INIT("\rb\r\nc\r\n"), 10, "bare ok(c) eof"},
	{"two CR", SLICE_INIT("a\r\r\nc\r\n"), 10, "bare ok(c) eof"},
	{"bare LF", SLICE_INIT("a\nc\r\n"), 10, "bare ok(c) eof"},
	{"bare LF alone", SLICE_INIT("\nc\r\n"), 10, "bare ok(c) eof"},
	{"bare LF after CRLF",
	    SLICE_INIT("a\r\n\nc\r\n"), 10, "ok(a) bare ok(c) eof"},
	{"bare LFs", SLICE_INIT("a\nb\nc\r\n"), 10, "bare bare ok(c) eof"},
	{"LF CR", SLICE_INIT("a\n\rb\r\n"), 10, "bare bare eof"},
	{"bare CR, then bare LF",
	    SLICE_INIT("a\rb\nc\r\n"), 10, "bare ok(c) eof"},
	{"smuggled end", SLICE_INIT("a\r\n.\rx\r\n"), 10, "ok(a) bare eof"},
	{"long with bare LF", SLICE_INIT("01234567890123456789\nc\r\n"), 10,
	    "bare ok(c) eof"},
	{"long with bare CR early",
	    SLICE_INIT("0\r234567890123456789\r\nc\r\n"), 10,
	    "bare ok(c) eof"},
	{"long with bare CR late",
	    SLICE_INIT("0123456789012345\r789\r\nc\r\n"), 10,
	    "bare ok(c) eof"},
	{"long, then long",
	    SLICE_INIT("01234567890\r\n01234567890\r\nc\r\n"), 10,
	    "long long ok(c) eof"},
	{"long after bare", SLICE_INIT("\n01234567890\r\nc\r\n"), 10,
	    "bare long ok(c) eof"},
	{"NUL", SLICE_INIT("a\0b\r\nc\r\n"), 10, "ok(a#b) ok(c) eof"},
	{"8-bit", SLICE_INIT("\xff\x80\r\n"), 10, "ok(##) eof"},
	{"largest buffer",
	    SLICE_INIT("01234567890123456789012345678901\r\n"), 30,
	    "long eof"},
	{"filling the buffer",
	    SLICE_INIT("012345678901234567890123456789\r\nb\r\n"),
	    30, "ok(012345678901234567890123456789) ok(b) eof"},
	{"empty only", SLICE_INIT("\r\nb\r\n"), 0, "ok() long eof"},
};

static void
lines_as_text(struct stream *s, size_t max, struct buf *out)
{
	struct slice line;

	for (;;) {
		switch (stream_line(s, max, &line)) {
		case LINE_OK:
			buf_adds(out, "ok(");
			for (size_t i = 0; i < line.len; i++)
				buf_addc(out, line.p[i] >= ' ' ?
				    line.p[i] : '#');
			buf_adds(out, ") ");
			break;
		case LINE_LONG:
			buf_adds(out, "long ");
			break;
		case LINE_BARE:
			buf_adds(out, "bare ");
			break;
		case LINE_EOF:
			buf_adds(out, "eof");
			return;
		case LINE_TIMEOUT:
			buf_adds(out, "timeout");
			return;
		case LINE_ERROR:
			buf_adds(out, "error");
			return;
		}
	}
}

START_TEST(test_lines)
{
	const struct line_case *t = &line_cases[_i];

	for (size_t chunk = 1; chunk <= t->input.len + 1; chunk++) {
		struct script script = {.rest = t->input, .chunk = chunk};
		struct stream_io io = {.read = script_read,
		    .write = script_write, .arg = &script};
		struct stream *s = stream_new(dup(pair[0]), 32, 16);
		struct buf got = BUF_INIT(1000);

		script.again = chunk % 2 == 1;
		stream_set_io(s, &io);
		peer_says("x"); /* the stream's poll returns */
		lines_as_text(s, t->max, &got);
		ck_assert_msg(strcmp(got.s, t->want) == 0,
		    "%s, pieces of %zu: got %s, want %s", t->name, chunk,
		    got.s, t->want);
		buf_free(&got);
		stream_free(&s);
		ck_assert_ptr_null(s);
	}
	close(pair[0]);
}
END_TEST

/* The same through a socket, with the lines given ahead by preload. */
START_TEST(test_lines_preloaded)
{
	const struct line_case *t = &line_cases[_i];

	for (size_t cut = 0; cut <= t->input.len; cut++) {
		struct stream *s;
		struct buf got = BUF_INIT(1000);
		int fds[2];
		size_t rest = t->input.len - cut;

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		s = stream_new(fds[0], 32, 16);
		stream_preload(s, slice_sub(t->input, 0, cut));
		ck_assert_uint_eq(stream_buffered(s), cut);
		ck_assert_int_eq(write(fds[1], t->input.p + cut, rest),
		    (ssize_t)rest);
		close(fds[1]);
		lines_as_text(s, t->max, &got);
		ck_assert_str_eq(got.s, t->want);
		buf_free(&got);
		stream_free(&s);
	}
	close(pair[0]);
}
END_TEST

/* Long runs of short lines and of one long line: the buffer is used over and
 * over, and every octet is looked at once. */
START_TEST(test_many_octets)
{
	enum { SIZE = 200000 };
	char *input = mem_alloc(SIZE);
	struct script script = {.rest = {input, SIZE}, .chunk = 1};
	struct stream_io io = {.read = script_read,
		    .write = script_write, .arg = &script};
	struct stream *s = stream_new(pair[0], 65536, 16);
	struct slice line;
	size_t lines = 0;

	for (size_t i = 0; i < SIZE; i++)
		input[i] = 'x';
	memcpy(input + 60000, "\r\n", 2);
	for (size_t i = 60002; i + 8 <= SIZE; i += 8)
		memcpy(input + i, "abcdef\r\n", 8);
	stream_set_io(s, &io);
	ck_assert_int_eq(stream_line(s, 60000, &line), LINE_OK);
	ck_assert_uint_eq(line.len, 60000);
	script.chunk = 1000;
	while (stream_line(s, 60000, &line) == LINE_OK) {
		check_slice(line, "abcdef");
		lines++;
	}
	ck_assert_uint_eq(lines, (SIZE - 60002) / 8);
	stream_free(&s);
	free(input);
}
END_TEST

START_TEST(test_peek)
{
	struct stream *s = stream_new(pair[0], 64, 16);
	struct slice octets = SLICE("untouched"), again;

	ck_assert_int_eq(stream_peek(s, 0, &octets), STREAM_OK);
	ck_assert_uint_eq(octets.len, 0);
	peer_says("MAIL\r\n12345678");
	ck_assert_int_eq(stream_line(s, 20, &octets), LINE_OK);
	check_slice(octets, "MAIL");
	ck_assert_uint_eq(stream_buffered(s), 8);
	ck_assert_int_eq(stream_peek(s, 3, &octets), STREAM_OK);
	check_slice(octets, "12345678");
	stream_consume(s, 5);
	check_slice(stream_leftover(s), "678");
	peer_says("9\r\nQUIT\r\n");
	ck_assert_int_eq(stream_peek(s, 4, &octets), STREAM_OK);
	check_slice(octets, "6789\r\nQUIT\r\n");
	/* No copy: the same octets are shown again. */
	ck_assert_int_eq(stream_peek(s, 1, &again), STREAM_OK);
	ck_assert_ptr_eq(again.p, octets.p);
	stream_consume(s, 6);
	ck_assert_int_eq(stream_line(s, 20, &octets), LINE_OK);
	check_slice(octets, "QUIT");
	peer_says("ab");
	peer_closes();
	again = SLICE("untouched");
	ck_assert_int_eq(stream_peek(s, 3, &again), STREAM_EOF);
	check_slice(again, "untouched");
	check_slice(stream_leftover(s), "ab");
	stream_free(&s);
}
END_TEST

/* Pieces of many sizes over a small buffer: nothing lost, nothing twice. */
START_TEST(test_peek_bulk)
{
	enum { SIZE = 5000 };
	unsigned char input[SIZE];
	size_t at = 0;

	for (size_t i = 0; i < SIZE; i++)
		input[i] = (unsigned char)(i * 31 % 251);
	for (size_t want = 1; want <= 64; want += 7) {
		struct script script = {.rest = slice_mem(input, SIZE),
		    .chunk = want + 5};
		struct stream_io io = {.read = script_read,
		    .write = script_write, .arg = &script};
		struct stream *s = stream_new(dup(pair[0]), 64, 16);
		struct slice got;

		stream_set_io(s, &io);
		for (at = 0; SIZE - at >= want;) {
			size_t n = 1 + at % want;

			ck_assert_int_eq(stream_peek(s, want, &got), STREAM_OK);
			ck_assert_uint_ge(got.len, want);
			ck_assert(memcmp(got.p, input + at, got.len) == 0);
			stream_consume(s, n);
			at += n;
		}
		stream_free(&s);
	}
	close(pair[0]);
}
END_TEST

START_TEST(test_scan_after_consume)
{
	struct stream *s = stream_new(pair[0], 64, 16);
	struct slice octets;

	/* A line was looked for, then a part of it was taken as octets. */
	stream_idle(s, 10);
	peer_says("abcdef");
	ck_assert_int_eq(stream_line(s, 20, &octets), LINE_TIMEOUT);
	ck_assert_int_eq(stream_peek(s, 2, &octets), STREAM_OK);
	stream_consume(s, 2);
	stream_preload(s, SLICE("x\r\ny"));
	peer_says("\r\n");
	ck_assert_int_eq(stream_line(s, 20, &octets), LINE_OK);
	check_slice(octets, "x");
	ck_assert_int_eq(stream_line(s, 20, &octets), LINE_OK);
	check_slice(octets, "ycdef");
	stream_free(&s);
}
END_TEST

START_TEST(test_preload_grows)
{
	struct stream *s = stream_new(pair[0], 8, 16);
	struct slice line;

	peer_says("89\r\n");
	ck_assert_int_eq(stream_peek(s, 4, &line), STREAM_OK);
	stream_preload(s, SLICE("a\r\n01234567"));
	ck_assert_uint_eq(stream_buffered(s), 15);
	ck_assert_int_eq(stream_line(s, 6, &line), LINE_OK);
	check_slice(line, "a");
	ck_assert_int_eq(stream_line(s, 10, &line), LINE_OK);
	check_slice(line, "0123456789");
	stream_free(&s);
}
END_TEST

/* Buffers made ahead serve as others do, also when they are replaced. */
START_TEST(test_prepare)
{
	struct stream *s = stream_prepare(8, 16);
	struct slice line;

	stream_attach(s, pair[0]);
	peer_says("a\r\n01\r\n");
	ck_assert_int_eq(stream_line(s, 6, &line), LINE_OK);
	check_slice(line, "a");
	stream_puts(s, "0123456789abcdef");
	stream_puts(s, "g");
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	check_slice(peer_hears(), "0123456789abcdefg");
	ck_assert_int_eq(stream_line(s, 6, &line), LINE_OK);
	check_slice(line, "01");
	stream_preload(s, SLICE("preloaded\r\n"));
	ck_assert_int_eq(stream_line(s, 9, &line), LINE_OK);
	check_slice(line, "preloaded");
	stream_preload(s, SLICE("once more, longer\r\n"));
	ck_assert_int_eq(stream_line(s, 17, &line), LINE_OK);
	check_slice(line, "once more, longer");
	stream_free(&s);
	ck_assert_ptr_null(s);
	s = stream_prepare(8, 16);
	stream_free(&s);
}
END_TEST

START_TEST(test_reading_flushes)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	struct slice line;

	peer_says("NOOP\r\nNOOP\r\n");
	stream_puts(s, "220 hello\r\n");
	check_slice(peer_hears(), "");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	check_slice(peer_hears(), "220 hello\r\n");
	stream_puts(s, "250 ok\r\n");
	/* The next line is there already: nothing needs to leave. */
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	check_slice(peer_hears(), "");
	stream_printf(s, "250 %s %d\r\n", "ok", 2);
	stream_idle(s, 10);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	check_slice(peer_hears(), "250 ok\r\n250 ok 2\r\n");
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	stream_free(&s);
}
END_TEST

START_TEST(test_output_sizes)
{
	char want[20000];
	struct stream *s = stream_new(pair[0], 64, 100);
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)('a' + i % 26);
	for (size_t n = 0; sent + n <= sizeof(want); n += 13) {
		stream_put(s, (struct slice){want + sent, n});
		sent += n;
	}
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	while (got < sent) {
		struct slice part = peer_hears();

		ck_assert_uint_gt(part.len, 0);
		ck_assert(memcmp(part.p, want + got, part.len) == 0);
		got += part.len;
	}
	want[3000] = '\0';
	stream_printf(s, "%s", want); /* longer than its first try */
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	ck_assert_uint_eq(peer_hears().len, 3000);
	stream_free(&s);
}
END_TEST

START_TEST(test_timeouts)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	int64_t start = clock_mono_ms();
	struct slice line;

	stream_idle(s, 30);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	ck_assert_int_ge(clock_mono_ms() - start, 30);
	peer_says("a\r\nb\r\nc");
	/* A deadline ends the next read even if there is something to read;
	 * what was read before it counts. */
	stream_deadline(s, clock_mono_ms() + 50);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	stream_deadline(s, clock_mono_ms() - 1);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	check_slice(line, "b");
	peer_says("\r\n");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	ck_assert_int_eq(stream_peek(s, 5, &line), STREAM_TIMEOUT);
	/* The reason can still be told. */
	stream_puts(s, "421 too slow\r\n");
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	check_slice(peer_hears(), "421 too slow\r\n");
	stream_deadline(s, CLOCK_NEVER);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	check_slice(line, "c");
	stream_idle(s, CLOCK_NEVER);
	stream_deadline(s, clock_mono_ms() + 20);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	stream_free(&s);
}
END_TEST

/* A peer that reads nothing: the wait for it ends, and is remembered. */
START_TEST(test_output_timeout)
{
	struct stream *s = stream_new(pair[0], 64, 4096);
	char block[4096];
	struct slice line;

	memset(block, 'x', sizeof(block));
	stream_idle(s, 5);
	for (int i = 0; i < 1000; i++)
		stream_put(s, slice_mem(block, sizeof(block)));
	ck_assert_int_eq(stream_flush(s), STREAM_TIMEOUT);
	peer_says("a\r\n");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	stream_puts(s, "dropped");
	ck_assert_int_eq(stream_flush(s), STREAM_TIMEOUT);
	stream_free(&s);
}
END_TEST

START_TEST(test_output_error)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	struct slice line;

	peer_says("a\r\n");
	peer_closes();
	stream_puts(s, "220 hello\r\n");
	errno = 0;
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_ERROR);
	ck_assert_int_eq(errno, EPIPE);
	errno = 0;
	ck_assert_int_eq(stream_flush(s), STREAM_ERROR);
	ck_assert_int_eq(errno, EPIPE);
	stream_free(&s);
}
END_TEST

START_TEST(test_bad_descriptor)
{
	struct stream *s = stream_new(-1, 64, 64);
	struct slice line;

	ck_assert_int_eq(stream_line(s, 20, &line), LINE_ERROR);
	ck_assert_int_eq(errno, EBADF);
	stream_free(&s);
	close(pair[0]);
}
END_TEST

START_TEST(test_drop)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	struct slice line;

	peer_says("STARTTLS\r\nMAIL FROM:<injected@example.org>\r\n");
	ck_assert_int_eq(stream_line(s, 40, &line), LINE_OK);
	ck_assert_uint_gt(stream_buffered(s), 0);
	stream_puts(s, "220 go\r\n");
	stream_drop(s);
	ck_assert_uint_eq(stream_buffered(s), 0);
	peer_says("0123456789012345678901234567890123456789");
	stream_idle(s, 10);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	check_slice(peer_hears(), "");
	stream_drop(s); /* forgets the line that was too long, too */
	peer_says("a\r\n");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	check_slice(line, "a");
	stream_free(&s);
}
END_TEST

START_TEST(test_take_fd)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	struct slice line;
	int fd;

	peer_says("a\r\nb\r\n");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	ck_assert_int_eq(stream_fd(s), pair[0]);
	fd = stream_take_fd(s);
	ck_assert_int_eq(fd, pair[0]);
	check_slice(stream_leftover(s), "b\r\n");
	stream_free(&s);
	ck_assert_int_eq(write(fd, "x", 1), 1); /* still open */
	close(fd);
}
END_TEST

static volatile sig_atomic_t stopped;

static void
on_signal(int signo)
{
	(void)signo;
	stopped = 1;
}

/* A signal that is let in only while waiting for input. */
START_TEST(test_interrupt)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	struct sigaction sa = {.sa_handler = on_signal}, sa_before;
	sigset_t blocked, before;
	struct slice line;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGUSR1, &sa, &sa_before);
	stopped = 0;
	stream_interrupt(s, &stopped, &before);
	peer_says("a\r\nb\r\n");
	raise(SIGUSR1);
	/* What is there is read and handed out. */
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	ck_assert_int_eq(stopped, 0);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_OK);
	check_slice(line, "b");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_ERROR);
	ck_assert_int_eq(errno, EINTR);
	ck_assert_int_eq(stopped, 1);
	ck_assert_int_eq(stream_peek(s, 1, &line), STREAM_ERROR);
	ck_assert_int_eq(errno, EINTR);
	/* A farewell is written, a step in hand read to its end. */
	stream_puts(s, "421 bye\r\n");
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	check_slice(peer_hears(), "421 bye\r\n");
	stream_interrupt(s, NULL, NULL);
	stream_idle(s, 10);
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_TIMEOUT);
	stream_free(&s);
	sigaction(SIGUSR1, &sa_before, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}
END_TEST

static void
trace(void *arg, char dir, struct slice octets)
{
	struct buf *out = arg;

	buf_addc(out, dir);
	buf_addslice(out, octets);
}

START_TEST(test_trace)
{
	struct stream *s = stream_new(pair[0], 64, 64);
	struct buf seen = BUF_INIT(200);
	struct slice line;

	stream_trace(s, trace, &seen);
	peer_says("a\n");
	stream_puts(s, "hello\n");
	ck_assert_int_eq(stream_line(s, 20, &line), LINE_BARE);
	ck_assert_str_eq(seen.s, "Whello\nRa\n");
	buf_free(&seen);
	stream_free(&s);
}
END_TEST

/* ---- sending ahead ---- */

#define AHEAD 60000

/* The peer says all it has before it reads a single octet: both buffers are
 * full, and neither side may wait for the other one to read. */
_Noreturn static void
talk_first(int fd)
{
	struct buf lines = BUF_INIT(2000000);
	char got[4096];
	size_t sent = 0, seen = 0;
	ssize_t n;

	for (int i = 0; i < 20000; i++)
		buf_adds(&lines, "250 a line of the peer\r\n");
	while (sent < lines.len) {
		n = write(fd, lines.s + sent, lines.len - sent);
		if (n <= 0)
			_exit(2);
		sent += (size_t)n;
	}
	while (seen < AHEAD * 20 && (n = read(fd, got, sizeof(got))) > 0)
		seen += (size_t)n;
	_exit(seen == AHEAD * 20 ? 0 : 3);
}

START_TEST(test_ahead)
{
	struct stream *s = stream_new(pair[0], 4096, 8192);
	char *out = mem_alloc(AHEAD);
	enum line_result result;
	size_t lines = 0, left = AHEAD * 20, n;
	struct slice line;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(pair[0]);
		talk_first(pair[1]);
	}
	memset(out, 'x', AHEAD);
	stream_idle(s, 10000);
	while (left > 0 || stream_pending(s) > 0) {
		n = stream_room(s);
		if (n > left)
			n = left;
		if (n > AHEAD)
			n = AHEAD;
		stream_put(s, slice_mem(out, n));
		left -= n;
		ck_assert_int_eq(stream_step(s), STREAM_OK);
		while (stream_ready(s, 100, &line, &result)) {
			ck_assert_int_eq(result, LINE_OK);
			lines++;
		}
	}
	for (; lines < 20000; lines++)
		ck_assert_int_eq(stream_line(s, 100, &line), LINE_OK);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	stream_free(&s);
	free(out);
}
END_TEST

/* What it said before it closed is heard after the write failed. */
START_TEST(test_last_words)
{
	struct stream *s = stream_new(pair[0], 4096, 8192);
	struct slice line;

	ck_assert(stream_silent(s));
	ck_assert_int_eq(write(pair[1], "421 bye\r\n", 9), 9);
	ck_assert(!stream_silent(s));
	close(pair[1]);
	pair[1] = -1;
	stream_puts(s, "a command\r\n");
	ck_assert_int_eq(stream_step(s), STREAM_ERROR);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(stream_step(s), STREAM_ERROR);
	stream_last_words(s);
	ck_assert_uint_eq(stream_pending(s), 0);
	ck_assert_int_eq(stream_line(s, 100, &line), LINE_OK);
	ck_assert(slice_eq(line, SLICE("421 bye")));
	ck_assert_int_eq(stream_line(s, 100, &line), LINE_EOF);
	ck_assert(!stream_silent(s));
	stream_free(&s);
}
END_TEST

START_TEST(test_step_deadline)
{
	struct stream *s = stream_new(pair[0], 4096, 65536);
	char octets[60000] = {0};

	/* Nobody reads at the other end. */
	stream_deadline(s, clock_mono_ms() + 50);
	for (int i = 0; i < 1000; i++) {
		enum stream_result r = STREAM_OK;

		if (stream_room(s) >= sizeof(octets))
			stream_put(s, slice_mem(octets, sizeof(octets)));
		r = stream_step(s);
		if (r == STREAM_OK)
			continue;
		ck_assert_int_eq(r, STREAM_TIMEOUT);
		stream_free(&s);
		return;
	}
	ck_abort_msg("it never ended");
}
END_TEST

Suite *
stream_suite(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("stream");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_lines, 0, COUNT(line_cases));
	tcase_add_loop_test(tc, test_lines_preloaded, 0, COUNT(line_cases));
	tcase_add_test(tc, test_many_octets);
	tcase_add_test(tc, test_peek);
	tcase_add_test(tc, test_peek_bulk);
	tcase_add_test(tc, test_scan_after_consume);
	tcase_add_test(tc, test_preload_grows);
	tcase_add_test(tc, test_prepare);
	tcase_add_test(tc, test_reading_flushes);
	tcase_add_test(tc, test_output_sizes);
	tcase_add_test(tc, test_timeouts);
	tcase_add_test(tc, test_output_timeout);
	tcase_add_test(tc, test_output_error);
	tcase_add_test(tc, test_bad_descriptor);
	tcase_add_test(tc, test_drop);
	tcase_add_test(tc, test_take_fd);
	tcase_add_test(tc, test_interrupt);
	tcase_add_test(tc, test_trace);
	tcase_add_test(tc, test_ahead);
	tcase_add_test(tc, test_last_words);
	tcase_add_test(tc, test_step_deadline);
	suite_add_tcase(suite, tc);
	return suite;
}
