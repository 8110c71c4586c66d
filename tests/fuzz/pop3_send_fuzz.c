/*
 * Fuzz entry of pop3d/send: what a client makes of the lines it gets (dots
 * taken away, lines up to the lone dot) is the message with CRLF at its lines'
 * ends, whatever the pieces, and is as long as was counted.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/io/stream.h"
#include "pop3d/send.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IN_MAX 4096 /* so that all of it fits a pipe */

static void
transmit(struct slice in, size_t piece, struct buf *out, uint64_t *counted)
{
	struct send_count count = {0};
	struct stream *s;
	struct send send;
	char chunk[4096];
	ssize_t n;
	int fds[2];

	if (pipe(fds) != 0)
		abort();
	s = stream_new(fds[1], 16, 512);
	send_begin(&send, s, SEND_ALL);
	for (size_t at = 0; at < in.len; at += piece) {
		send_octets(&send, slice_sub(in, at, at + piece));
		send_count(&count, slice_sub(in, at, at + piece));
	}
	send_end(&send);
	assert(stream_flush(s) == STREAM_OK);
	stream_free(&s);
	while ((n = read(fds[0], chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	close(fds[0]);
	*counted = count.octets;
}

/* As RFC 1939 3 tells clients to read. */
static void
receive(struct slice in, struct buf *out)
{
	struct slice line;
	size_t end;

	for (;;) {
		for (end = 0; in.p[end] != '\r' || in.p[end + 1] != '\n'; end++)
			assert(end + 2 < in.len);
		line = slice_sub(in, 0, end);
		in = slice_sub(in, end + 2, in.len);
		if (slice_eq(line, SLICE(".")))
			break;
		if (line.len > 0 && line.p[0] == '.')
			line = slice_sub(line, 1, line.len);
		buf_addslice(out, line);
		buf_adds(out, "\r\n");
	}
	assert(in.len == 0);
}

/* The plain way: every octet looked at. */
static void
expect(struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
			buf_addc(out, '\r');
		buf_addc(out, in.p[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf wire = BUF_INIT(10 * IN_MAX), got = BUF_INIT(10 * IN_MAX);
	struct buf want = BUF_INIT(10 * IN_MAX);
	struct slice in;
	uint64_t counted;

	if (size < 1 || size > IN_MAX)
		return 0;
	in = slice_mem(data + 1, size - 1);
	transmit(in, (size_t)data[0] + 1, &wire, &counted);
	receive(buf_slice(&wire), &got);
	expect(in, &want);
	assert(counted == want.len);
	if (in.len > 0 && in.p[in.len - 1] != '\n')
		buf_adds(&want, "\r\n");
	assert(slice_eq(buf_slice(&got), buf_slice(&want)));
	buf_free(&wire);
	buf_free(&got);
	buf_free(&want);
	return 0;
}
