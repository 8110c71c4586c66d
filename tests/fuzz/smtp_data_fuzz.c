/*
 * Message text in pieces: however it is cut, the same is found.  The first
 * octet chooses DATA, BDAT or BINARYMIME and seeds the cuts.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "smtpd/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA, BDAT, BINARY };

static void
collect(void *arg, struct slice run)
{
	assert(run.len > 0);
	buf_addslice(arg, run);
}

/* most 0: whole. */
static size_t
feed(struct content *c, unsigned how, struct slice in, size_t most,
    unsigned seed, struct buf *out)
{
	size_t at = 0, n, took;

	content_init(c, how == DATA, how == BINARY);
	while (at < in.len && c->state != CONTENT_END) {
		n = in.len - at;
		if (most > 0) {
			seed = seed * 1103515245u + 12345u;
			n = 1 + (seed >> 16) % most;
			if (n > in.len - at)
				n = in.len - at;
		}
		took = content_feed(c, slice_sub(in, at, at + n), collect, out);
		assert(took == n || (took < n && c->state == CONTENT_END));
		at += took;
	}
	return at;
}

/* What is handed out as clean text is clean; of BINARYMIME the header. */
static void
check_clean(struct slice out, unsigned how)
{
	if (how == BINARY && slice_prefix(out, SLICE("\r\n")))
		return;
	for (size_t i = 4; how == BINARY && i <= out.len; i++)
		if (slice_eq(slice_sub(out, i - 4, i), SLICE("\r\n\r\n")))
			out.len = i;
	for (size_t i = 0; i < out.len; i++) {
		assert(out.p[i] != '\0');
		assert(out.p[i] != '\n' || (i > 0 && out.p[i - 1] == '\r'));
		assert(out.p[i] != '\r' || i + 1 == out.len ||
		    out.p[i + 1] == '\n');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t most[] = {1, 2, 3, 7, 64};
	struct buf whole = BUF_INIT(1 << 20), pieces = BUF_INIT(1 << 20);
	struct content a, b;
	struct slice in;
	unsigned how;
	bool open;
	size_t took;

	if (size == 0 || size > 1 << 20)
		return 0;
	how = data[0] % 4 == 3 ? BINARY : data[0] & 1;
	in = slice_mem(data + 1, size - 1);
	took = feed(&a, how, in, 0, 0, &whole);
	open = how != DATA && content_finish(&a);
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		buf_reset(&pieces);
		assert(feed(&b, how, in, most[i], data[0], &pieces) == took);
		assert(open == (how != DATA && content_finish(&b)));
		assert(a.state == b.state && a.bare == b.bare &&
		    a.nul == b.nul);
		assert(a.bare ||
		    slice_eq(buf_slice(&whole), buf_slice(&pieces)));
	}
	if (!a.bare && !a.nul)
		check_clean(buf_slice(&whole), how);
	if (how == DATA && a.state == CONTENT_END && !a.bare)
		assert(took >= 3 && slice_eq(slice_sub(in, took - 3, took),
		    SLICE(".\r\n")));
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
