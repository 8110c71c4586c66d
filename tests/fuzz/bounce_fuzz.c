/*
 * Fuzz entry of bounce: a notice about any queue file.  The first octet chooses
 * the kind; then, each ended by a zero octet: lines of the envelope, a record
 * of the journal, the sender; the rest is the message's content.  They are put
 * together with the right lengths and sums.
 *
 * Whatever comes, the notice is a message: lines of at most 998 octets that end
 * with CRLF, no NUL, a header of ASCII (but for SMTPUTF8) with the fields that
 * are ours, and as many parts as there should be.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mime/header.h"
#include "queue/bounce.h"

#define IMAGE_MAX (16 * 1024 * 1024)
#define HEADER_FIELDS 9 /* without In-Reply-To, References */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice
next_part(struct slice *rest)
{
	struct slice part;

	return slice_cut(rest, '\0', &part) ? part : SLICE_EMPTY;
}

static void
build(struct slice lines, struct slice record, struct slice content,
    struct buf *out)
{
	struct buf envelope = BUF_INIT(IMAGE_MAX);
	size_t start;

	buf_adds(&envelope, QFILE_MAGIC "1\nid 01jar9fq3raaaaaaaaaa\ncontent "
	    QFILE_CONTENT_BLANK "\n");
	buf_addslice(&envelope, lines);
	buf_addc(&envelope, '\n');
	qfile_content_field(envelope.len, content.len,
	    envelope.s + QFILE_CONTENT_AT);
	buf_addslice(out, buf_slice(&envelope));
	buf_addslice(out, content);
	start = out->len;
	buf_printf(out, "\ntrailer %010zu\n", QFILE_TRAILER_START_LEN +
	    QFILE_TRAILER_END_LEN);
	buf_printf(out, "sum crc32 content %08x envelope %08x trailer ",
	    (unsigned)qfile_sum(0, content.p, content.len),
	    (unsigned)qfile_sum_states(buf_slice(&envelope),
	    SLICE("\nrcpt ")));
	buf_printf(out, "%08x\nend\n", (unsigned)qfile_sum(0, out->s + start,
	    out->len - start));
	if (record.len > 0) {
		buf_printf(out, "@%010zu %08x\n", record.len,
		    (unsigned)qfile_sum_states(record, SLICE("\nto ")));
		buf_addslice(out, record);
		buf_addc(out, '\n');
	}
	buf_free(&envelope);
}

static bool
put(void *arg, struct slice s)
{
	buf_addslice(arg, s);
	return true;
}

static void
check_lines(const struct buf *out)
{
	size_t i, column = 0;

	for (i = 0; i < out->len; i++) {
		assert(out->s[i] != '\0');
		assert((out->s[i] == '\n') ==
		    (i > 0 && out->s[i - 1] == '\r'));
		column = out->s[i] == '\n' ? 0 : column + 1;
		assert(column <= 999); /* with its CR */
	}
	assert(out->len > 2 && out->s[out->len - 1] == '\n');
}

static void
check_header(const struct bounce_notice *n, const struct buf *out)
{
	struct header_field f;
	size_t at = 0, fields = 0, i;

	while (header_next(buf_slice(out), &at, &f)) {
		assert(f.name.len > 0);
		fields++;
	}
	assert(fields == HEADER_FIELDS + (n->original.message_id[0] != '\0'
	    ? 2 : 0));
	for (i = 0; i < at && (n->flags & ENV_SMTPUTF8) == 0; i++)
		assert((unsigned char)out->s[i] < 0x80);
	assert((n->flags & ENV_8BITMIME) != 0 ||
	    !bounce_has_8bit(buf_slice(out)));
}

static void
check_parts(const struct bounce_notice *n, const struct buf *out)
{
	struct slice delimiter = slice_sub(buf_slice(&n->tail), 0,
	    n->tail.len - 4); /* "\r\n--BOUNDARY" */
	const char *p = out->s, *end = out->s + out->len;
	unsigned found = 0;

	while ((p = memmem(p, (size_t)(end - p), delimiter.p,
	    delimiter.len)) != NULL) {
		found++;
		p += delimiter.len;
	}
	assert(found == (n->original.there ? 4 : 3));
}

static void
notice(struct qfile *q, uint32_t kind, struct slice sender)
{
	struct conf conf = {.hostname = "mx.here.example",
	    .bounce_from = "MAILER-DAEMON", .bounce_message_size_max = 1 << 20,
	    .bounce_unasked_size_max = 1 << 10, .bounce_header_size_max = 4096};
	size_t i, n = qfile_nrcpts(q);
	struct bounce_rcpt *v = mem_array(n, sizeof(*v));
	struct bounce_job job = {.kind = kind, .recipients = {v, n}};
	struct bounce_notice b = {.conf = &conf, .q = q, .kind = kind,
	    .to = sender, .told = mem_array(n, sizeof(*b.told)),
	    .now_ms = INT64_C(1764000000123)};
	struct buf out = BUF_INIT(IMAGE_MAX);
	int result;

	b.id = id_new(b.now_ms);
	for (i = 0; i < n; i++) {
		v[i].number = qfile_rcpt(q, i)->number;
		v[i].action = (uint32_t)i % 6;
		v[i].until_ms = i * UINT64_C(0x123456789abcd);
	}
	b.ntold = bounce_choose(q, &job, b.told);
	if (b.ntold > 0) {
		result = bounce_notice_prepare(&b);
		assert(result == 0);
		result = bounce_notice_write(&b, put, &out);
		assert(result == 0 && !out.overflow);
		check_lines(&out);
		check_header(&b, &out);
		check_parts(&b, &out);
	}
	bounce_notice_free(&b);
	buf_free(&out);
	free(b.told);
	free(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf image = BUF_INIT(IMAGE_MAX);
	struct slice rest, lines, record, sender;
	char why[STATUS_TEXT_MAX];
	struct qfile *q = NULL;
	uint32_t kind;
	int fd;

	if (size == 0)
		return 0;
	kind = BOUNCE_FAILURE + data[0] % 3;
	rest = slice_mem(data + 1, size - 1);
	lines = next_part(&rest);
	record = next_part(&rest);
	sender = slice_sub(next_part(&rest), 0, ENV_ADDRESS_MAX);
	build(lines, record, rest.p != NULL ? rest : SLICE_EMPTY, &image);
	fd = memfd_create("bounce", MFD_CLOEXEC);
	if (fd < 0 || write(fd, image.s, image.len) != (ssize_t)image.len)
		abort();
	if (qfile_adopt(fd, true, &q, why) == QFILE_OK)
		notice(q, kind, sender);
	qfile_free(&q);
	buf_free(&image);
	return 0;
}
