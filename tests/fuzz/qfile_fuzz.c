/*
 * Fuzz entry of common/mail/qfile.  The first octet chooses: 'R', what follows
 * is a file as it stands; anything else, what follows are parts of one, each
 * ended by a zero octet: lines of the envelope, content, lines of the trailer,
 * records of the journal.  They are put together with the right lengths and
 * sums, so that the parsers behind the sums are reached.
 *
 * Whatever opens must read to its end, must take changes, and must open again
 * with them.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"

#define IMAGE_MAX (16 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice
next_part(struct slice *rest)
{
	struct slice part;

	return slice_cut(rest, '\0', &part) ? part : SLICE_EMPTY;
}

static void
put_trailer(struct buf *out, struct slice envelope, struct slice content,
    struct slice lines)
{
	size_t start = out->len;

	buf_printf(out, "\ntrailer %010zu\n",
	    QFILE_TRAILER_START_LEN + lines.len + QFILE_TRAILER_END_LEN);
	buf_addslice(out, lines);
	buf_printf(out, "sum crc32 content %08x envelope %08x trailer ",
	    (unsigned)qfile_sum(0, content.p, content.len),
	    (unsigned)qfile_sum_states(envelope, SLICE("\nrcpt ")));
	buf_printf(out, "%08x\nend\n",
	    (unsigned)qfile_sum(0, out->s + start, out->len - start));
}

static void
put_record(struct buf *out, struct slice text)
{
	buf_printf(out, "@%010zu %08x\n", text.len,
	    (unsigned)qfile_sum_states(text, SLICE("\nto ")));
	buf_addslice(out, text);
	buf_addc(out, '\n');
}

static void
build(struct slice parts, struct buf *out)
{
	struct buf envelope = BUF_INIT(IMAGE_MAX);
	struct slice lines = next_part(&parts), content = next_part(&parts);
	struct slice part;

	buf_adds(&envelope, QFILE_MAGIC "1\nid 01jar9fq3raaaaaaaaaa\ncontent "
	    QFILE_CONTENT_BLANK "\n");
	buf_addslice(&envelope, lines);
	buf_addc(&envelope, '\n');
	qfile_content_field(envelope.len, content.len,
	    envelope.s + QFILE_CONTENT_AT);
	buf_addslice(out, buf_slice(&envelope));
	buf_addslice(out, content);
	put_trailer(out, buf_slice(&envelope), content, next_part(&parts));
	while (slice_cut(&parts, '\0', &part))
		if (part.len > 0)
			put_record(out, part);
	buf_free(&envelope);
}

/* The message is as long as it says, or broken for a reason. */
static void
read_message(struct qfile *q, size_t bufsize, bool verified)
{
	struct qreader *r = qreader_new(q, bufsize);
	uint64_t length = 0;
	const char *p;
	ssize_t n;

	while ((n = qreader_next(r, &p)) > 0)
		length += (uint64_t)n;
	assert(n == 0 || errno == EBADMSG);
	assert(n == 0 || !verified);
	assert(n < 0 || length == qfile_message_length(q));
	qreader_free(&r);
}

static void
count_attempt(void *arg, const struct qtried *t)
{
	uint64_t *n = arg;

	*n += t->number > 0;
}

static void
look(struct qfile *q)
{
	char why[STATUS_TEXT_MAX];
	uint64_t tried = 0, known = 0;
	uint32_t last = 0;

	assert(qfile_nrcpts(q) > 0);
	assert(qfile_env_fits(qfile_env(q)));
	for (size_t i = 0; i < qfile_nrcpts(q); i++) {
		const struct qrcpt *r = qfile_rcpt(q, i);
		char octet;
		size_t found;

		assert(r->number > last && r->address.len > 0);
		last = r->number;
		assert(qfile_find(q, last, &found) && found == i);
		assert(qfile_state_valid(r->state));
		assert(pread(qfile_fd(q), &octet, 1, (off_t)r->state_at) == 1);
		assert(qfile_state_valid(octet));
		known += r->attempts;
	}
	/* Those of recipients that a crash took are told of, too. */
	assert(qfile_attempts(q, count_attempt, &tried, why) == QFILE_OK);
	assert(tried >= known);
}

/* What opened can be changed, and then opens again. */
static void
change(struct qfile **qp)
{
	static const struct qexpansion v[] = {
		{{"a b@example.org", 15}, 1, {"", 0}, {"", 0}, true}};
	struct qfile *q = *qp, *again = NULL;
	struct status st = {451, 2, 0, "words"};
	size_t i = qfile_nrcpts(q) - 1, before;
	struct qattempt a = {qfile_rcpt(q, i)->number, 1, 2, "deferred",
	    SLICE("host"), &st, "first", false};
	uint32_t attempts = qfile_rcpt(q, i)->attempts;
	char why[STATUS_TEXT_MAX];
	bool fresh = qfile_rcpt(q, i)->state != QSTATE_EXPANDED &&
	    qfile_rcpt(q, i)->number < QFILE_NUMBER_MAX - 1;
	int fd = dup(qfile_fd(q));

	assert(qfile_add_attempts(q, &a, 1) == 0);
	assert(qfile_set_state(q, i, QSTATE_FAILED) == 0 || !fresh);
	assert(qfile_add_note(q, "hold", SLICE("x"), 3) == 0);
	before = qfile_nrcpts(q);
	if (fresh && qfile_add_expansion(q, i, v, 1) == 0)
		before++;
	qfile_free(qp);
	assert(qfile_adopt(fd, false, &again, why) == QFILE_OK);
	assert(qfile_rcpt(again, i)->attempts == attempts + 1);
	assert(qfile_nrcpts(again) == before);
	assert(slice_eq(qfile_hold_reason(again), SLICE("x")));
	look(again);
	qfile_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf image = BUF_INIT(IMAGE_MAX);
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	enum qfile_result r;
	bool verify;
	int fd;

	if (size < 1)
		return 0;
	verify = (data[0] & 1) != 0;
	if (data[0] == 'R')
		buf_add(&image, data + 1, size - 1);
	else
		build(slice_mem(data + 1, size - 1), &image);
	fd = memfd_create("qfile", MFD_CLOEXEC);
	assert(fd >= 0);
	assert(write(fd, image.s, image.len) == (ssize_t)image.len);
	r = qfile_adopt(fd, verify, &q, why);
	assert((r == QFILE_OK) == (q != NULL));
	assert(r == QFILE_OK || why[0] != '\0');
	if (r == QFILE_OK) {
		look(q);
		read_message(q, 3, verify);
		q->content = NULL;
		read_message(q, 65536, verify);
		change(&q);
	}
	buf_free(&image);
	return 0;
}
