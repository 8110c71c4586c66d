/*
 * Fuzz entry of queue/sendmail_text: however the input is cut, the message is
 * the same; its lines end in CRLF and nothing else, the header consists of
 * fields, and read once more it does not change.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/mime/header.h"
#include "queue/sendmail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct got {
	struct buf header, body;
	int headers;
};

static void
on_header(void *arg, struct slice s)
{
	struct got *g = arg;

	assert(g->headers++ == 0);
	buf_addslice(&g->header, s);
}

static void
on_body(void *arg, struct slice s)
{
	struct got *g = arg;

	assert(g->headers == 1);
	buf_addslice(&g->body, s);
}

static void
feed(struct got *g, struct slice in, size_t step, bool dots)
{
	struct text_sink sink = {on_header, on_body, g};
	struct text *t = text_new(dots, 5000);
	bool more = true;

	*g = (struct got){BUF_INIT(SIZE_MAX / 2), BUF_INIT(SIZE_MAX / 2), 0};
	for (size_t at = 0; at < in.len && more; at += step)
		more = text_feed(t, slice_sub(in, at, at + step), &sink);
	text_end(t, &sink);
	assert(g->headers == 1);
	if (text_header_too_large(t)) { /* an error: nothing more is said */
		buf_reset(&g->header);
		buf_reset(&g->body);
	}
	text_free(&t);
}

static void
check_lines(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		assert(s.p[i] != '\0');
		assert((s.p[i] == '\r') ==
		    (i + 1 < s.len && s.p[i + 1] == '\n'));
		assert(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
	}
	assert(s.len == 0 || s.p[s.len - 1] == '\n');
}

static void
check_header(struct slice s)
{
	struct header_field f;
	size_t at = 0;

	while (header_next(s, &at, &f))
		assert(f.name.len > 0);
	assert(at == s.len);
}

static void
free_got(struct got *g)
{
	buf_free(&g->header);
	buf_free(&g->body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	struct buf whole = BUF_INIT(SIZE_MAX / 2);
	struct got a, b;
	bool dots = size > 0 && data[size - 1] % 2 == 0;

	feed(&a, in, size + 1, dots);
	feed(&b, in, 1, dots);
	assert(slice_eq(buf_slice(&a.header), buf_slice(&b.header)));
	assert(slice_eq(buf_slice(&a.body), buf_slice(&b.body)));
	free_got(&b);
	check_lines(buf_slice(&a.header));
	check_lines(buf_slice(&a.body));
	check_header(buf_slice(&a.header));
	buf_addslice(&whole, buf_slice(&a.header));
	buf_adds(&whole, "\r\n");
	buf_addslice(&whole, buf_slice(&a.body));
	feed(&b, buf_slice(&whole), 7, true);
	assert(slice_eq(buf_slice(&a.header), buf_slice(&b.header)));
	assert(slice_eq(buf_slice(&a.body), buf_slice(&b.body)));
	free_got(&b);
	free_got(&a);
	buf_free(&whole);
	return 0;
}
