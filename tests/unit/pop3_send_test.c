/* pop3d/send: messages on the wire, whole, octet by octet, and their tops. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/io/stream.h"
#include "pop3d/send.h"

Suite *pop3_send_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* What comes out when the octets go in in pieces. */
static void
run(struct slice in, size_t piece, uint64_t body_lines, struct buf *out)
{
	struct stream *s;
	struct send send;
	char chunk[4096];
	ssize_t n;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	s = stream_new(fds[1], 16, 64);
	send_begin(&send, s, body_lines);
	for (size_t at = 0; at < in.len; at += piece)
		send_octets(&send, slice_sub(in, at, at + piece));
	send_end(&send);
	ck_assert_int_eq(stream_flush(s), STREAM_OK);
	stream_free(&s);
	while ((n = read(fds[0], chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	close(fds[0]);
}

#define ALL (-1)

static const struct {
	const char *name;
	struct slice in;
	int lines;
	const char *want;
	uint64_t wire; /* with lines == ALL */
} cases[] = {
	{"empty", {"", 0}, ALL, ".\r\n", 0},
	{"LF", {"a: b\n\nc\n", 8}, ALL, "a: b\r\n\r\nc\r\n.\r\n", 11},
	{"CRLF", {"a: b\r\n\r\nc\r\n", 11}, ALL, "a: b\r\n\r\nc\r\n.\r\n", 11},
	{"mixed", {"a\r\nb\nc\r\n", 8}, ALL, "a\r\nb\r\nc\r\n.\r\n", 9},
	{"no end", {"a\nb", 3}, ALL, "a\r\nb\r\n.\r\n", 4},
	{"ends in CR", {"a\r", 2}, ALL, "a\r\r\n.\r\n", 2},
	{"bare CR", {"a\rb\r\rc\r\r\n", 9}, ALL, "a\rb\r\rc\r\r\n.\r\n", 9},
	{"only LF", {"\n\n", 2}, ALL, "\r\n\r\n.\r\n", 4},
	{"dots", {".\n..\n.a\na.\n", 11}, ALL,
	    "..\r\n...\r\n..a\r\na.\r\n.\r\n", 15},
	{"dot at the end", {"a\n.", 3}, ALL, "a\r\n..\r\n.\r\n", 4},
	{"dot and CR", {".\r\n.\r\n", 6}, ALL, "..\r\n..\r\n.\r\n", 6},
	{"dot behind a bare CR", {"a\r.\n", 4}, ALL, "a\r.\r\n.\r\n", 5},
	{"top 0", {"a: b\n\nc\nd\n", 10}, 0, "a: b\r\n\r\n.\r\n", 0},
	{"top 1", {"a: b\n\nc\nd\n", 10}, 1, "a: b\r\n\r\nc\r\n.\r\n", 0},
	{"top all", {"a: b\n\nc\nd\n", 10}, 2, "a: b\r\n\r\nc\r\nd\r\n.\r\n", 0},
	{"top more", {"a: b\n\nc\nd\n", 10}, 9, "a: b\r\n\r\nc\r\nd\r\n.\r\n", 0},
	{"top CRLF", {"a: b\r\n\r\nc\r\nd\r\n", 14}, 1,
	    "a: b\r\n\r\nc\r\n.\r\n", 0},
	{"top empty lines", {"a: b\n\n\n\nd\n", 10}, 2,
	    "a: b\r\n\r\n\r\n\r\n.\r\n", 0},
	{"top no body", {"a: b\n", 5}, 3, "a: b\r\n.\r\n", 0},
	{"top no header", {"\nc\nd\n", 5}, 1, "\r\nc\r\n.\r\n", 0},
	{"top dots", {"a: b\n\n.\n.\n", 10}, 1, "a: b\r\n\r\n..\r\n.\r\n", 0},
	{"top unfinished", {"a: b\n\nc", 7}, 5, "a: b\r\n\r\nc\r\n.\r\n", 0},
	{"top space line", {"a: b\n \nc: d\n\ne\n", 15}, 0,
	    "a: b\r\n \r\nc: d\r\n\r\n.\r\n", 0},
};

START_TEST(sends)
{
	struct buf out = BUF_INIT(10000);
	uint64_t lines = cases[_i].lines == ALL ? SEND_ALL
	    : (uint64_t)cases[_i].lines;

	for (size_t piece = 1; piece <= cases[_i].in.len + 1; piece++) {
		buf_reset(&out);
		run(cases[_i].in, piece, lines, &out);
		ck_assert_msg(strcmp(out.s, cases[_i].want) == 0,
		    "%s, pieces of %zu: %s", cases[_i].name, piece, out.s);
	}
	buf_free(&out);
}
END_TEST

START_TEST(counts)
{
	struct slice in = cases[_i].in;

	for (size_t piece = 1; piece <= in.len + 1; piece++) {
		struct send_count c = {0};

		for (size_t at = 0; at < in.len; at += piece)
			send_count(&c, slice_sub(in, at, at + piece));
		if (cases[_i].lines == ALL)
			ck_assert_msg(c.octets == cases[_i].wire, "%s",
			    cases[_i].name);
	}
}
END_TEST

/* NUL is an octet of a message like any other. */
START_TEST(nul)
{
	struct buf out = BUF_INIT(1000);

	run(slice_mem("a\0\n.\0\n", 6), 6, SEND_ALL, &out);
	ck_assert_uint_eq(out.len, 12);
	ck_assert_int_eq(memcmp(out.s, "a\0\r\n..\0\r\n.\r\n", 12), 0);
	buf_free(&out);
}
END_TEST

Suite *
pop3_send_suite(void)
{
	Suite *s = suite_create("pop3_send");
	TCase *t = tcase_create("pop3_send");

	tcase_add_loop_test(t, sends, 0, COUNT(cases));
	tcase_add_loop_test(t, counts, 0, COUNT(cases));
	tcase_add_test(t, nul);
	suite_add_tcase(s, t);
	return s;
}
