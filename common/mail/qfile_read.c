/*
 * Opens a queue file and proves its structure: fixed places first, then the
 * sums, and only then is anything interpreted.  Used by every program that
 * touches the queue.  The file was written by queued from foreign values and
 * lay on a disk: whatever does not verify is named with its place and left
 * alone.  A small file costs open, fstat and one read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"

#define WHOLE_MAX (64 * 1024)  /* files up to this are read at once */
#define HEAD_FIRST (16 * 1024) /* of larger ones: holds most envelopes */
#define TAIL_FIRST (64 * 1024) /* holds most trailers and journals */
#define VERIFY_CHUNK (64 * 1024)

/* ---- telling ---- */

enum qfile_result
qfile_corrupt(char why[STATUS_TEXT_MAX], uint64_t offset, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(why, STATUS_TEXT_MAX, "octet %llu: ",
	    (unsigned long long)offset);
	va_start(ap, fmt);
	vsnprintf(why + n, STATUS_TEXT_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	return QFILE_CORRUPT;
}

enum qfile_result
qfile_unknown(char why[STATUS_TEXT_MAX], uint64_t offset, struct slice name)
{
	if (name.len > 40)
		name.len = 40;
	snprintf(why, STATUS_TEXT_MAX,
	    "octet %llu: critical field %.*s is of a newer version",
	    (unsigned long long)offset, SLICE_FMT(name));
	return QFILE_NEWER;
}

enum qfile_result
qfile_failed(char why[STATUS_TEXT_MAX], const char *what)
{
	int saved = errno;

	snprintf(why, STATUS_TEXT_MAX, "%s: %s", what, strerror(saved));
	errno = saved;
	return QFILE_ERROR;
}

ssize_t
qfile_pread(int fd, char *p, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, p + done, n - done,
		    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* ---- states and sums ---- */

bool
qfile_state_valid(char c)
{
	return c == QSTATE_TODO || c == QSTATE_DONE || c == QSTATE_FAILED ||
	    c == QSTATE_EXPANDED || c == QSTATE_CANCELLED ||
	    c == QSTATE_BOUNCED || c == QSTATE_SUCCESS;
}

uint32_t
qfile_sum_states(struct slice text, struct slice key)
{
	const char todo = QSTATE_TODO;
	const char *p = text.p, *end = text.p + text.len, *found;
	uint32_t sum = 0;

	while ((found = memmem(p, (size_t)(end - p), key.p, key.len)) != NULL) {
		const char *state = found + key.len;

		/* Anything else there is damage: let the sum say so. */
		if (state == end || !qfile_state_valid(*state))
			break;
		sum = qfile_sum(sum, p, (size_t)(state - p));
		sum = qfile_sum(sum, &todo, 1);
		p = state + 1;
	}
	return qfile_sum(sum, p, (size_t)(end - p));
}

/* ---- the fixed places at the front ---- */

static enum qfile_result
check_version(const struct qfile *q, size_t have, char why[STATUS_TEXT_MAX])
{
	struct slice line = slice_mem(q->head, have);
	struct slice magic = SLICE(QFILE_MAGIC);
	uint32_t version;

	if (!slice_prefix(line, magic))
		return qfile_corrupt(why, 0, "not a queue file");
	line = slice_sub(line, magic.len, slice_find(line, '\n', 0));
	if (!num_u32(line, 1, UINT32_MAX, &version) || line.p[0] == '0')
		return qfile_corrupt(why, magic.len, "bad version");
	if (version > QFILE_VERSION) {
		snprintf(why, STATUS_TEXT_MAX,
		    "format version %u is newer than this program's (%d)",
		    version, QFILE_VERSION);
		return QFILE_NEWER;
	}
	return QFILE_OK;
}

static enum qfile_result
check_content_field(struct qfile *q, char why[STATUS_TEXT_MAX])
{
	struct slice field = slice_mem(q->head + QFILE_CONTENT_AT,
	    QFILE_CONTENT_WIDTH);
	uint64_t at, length;

	if (slice_eq(field, SLICE(QFILE_CONTENT_BLANK)))
		return qfile_corrupt(why, QFILE_CONTENT_AT,
		    "the file was never completed");
	if (!num_u64(slice_sub(field, 0, QFILE_OFFSET_DIGITS), 0, UINT64_MAX,
	    &at) || field.p[QFILE_OFFSET_DIGITS] != ' ' ||
	    !num_u64(slice_sub(field, QFILE_OFFSET_DIGITS + 1, field.len), 0,
	    UINT64_MAX, &length))
		return qfile_corrupt(why, QFILE_CONTENT_AT,
		    "bad content field");
	if (at <= QFILE_FIXED_LEN || at > q->size || length > q->size - at)
		return qfile_corrupt(why, QFILE_CONTENT_AT,
		    "the file ends at %llu, before its content",
		    (unsigned long long)q->size);
	if (at > QFILE_ENVELOPE_MAX)
		return qfile_corrupt(why, QFILE_CONTENT_AT,
		    "the envelope is too long");
	q->content_at = at;
	q->content_length = length;
	return QFILE_OK;
}

static enum qfile_result
check_fixed(struct qfile *q, size_t have, char why[STATUS_TEXT_MAX])
{
	const char *p = q->head;
	enum qfile_result result;
	struct mail_id id;

	result = check_version(q, have, why);
	if (result != QFILE_OK)
		return result;
	if (have < QFILE_FIXED_LEN)
		return qfile_corrupt(why, have, "the file ends");
	if (memcmp(p + QFILE_ID_AT - 4, "\nid ", 4) != 0 ||
	    !id_parse(slice_mem(p + QFILE_ID_AT, ID_LEN), &id))
		return qfile_corrupt(why, QFILE_ID_AT, "bad id");
	if (memcmp(p + QFILE_ID_AT + ID_LEN, "\ncontent ", 9) != 0 ||
	    p[QFILE_FIXED_LEN - 1] != '\n')
		return qfile_corrupt(why, QFILE_CONTENT_AT,
		    "bad content field");
	return check_content_field(q, why);
}

/* ---- what is read, and where it lies in memory ---- */

static enum qfile_result
read_exactly(struct qfile *q, char *p, size_t n, uint64_t at,
    char why[STATUS_TEXT_MAX])
{
	ssize_t got = qfile_pread(q->fd, p, n, at);

	if (got < 0)
		return qfile_failed(why, "cannot read");
	if ((size_t)got < n)
		return qfile_corrupt(why, at + (uint64_t)got, "the file ends");
	return QFILE_OK;
}

/* The whole file is in q->head. */
static void
split_whole(struct qfile *q, bool keep_content)
{
	q->head_len = (size_t)q->content_at;
	q->tail_at = q->content_at + q->content_length;
	q->tail_len = (size_t)(q->size - q->tail_at);
	if (keep_content) {
		q->content = q->head + q->content_at;
		q->tail = q->head + q->tail_at;
		return;
	}
	memmove(q->head + q->head_len, q->head + q->tail_at, q->tail_len);
	q->head = mem_grow(q->head, q->head_len + q->tail_len, 1);
	q->tail = q->head + q->head_len;
}

enum qfile_result
qfile_read_tail(struct qfile *q, size_t n, char why[STATUS_TEXT_MAX])
{
	q->tail_own = mem_grow(q->tail_own, n, 1);
	q->tail = q->tail_own;
	q->tail_len = n;
	return read_exactly(q, q->tail, n, q->tail_at, why);
}

/* A file too large for one read: envelope and tail each in its block. */
static enum qfile_result
read_parts(struct qfile *q, size_t have, char why[STATUS_TEXT_MAX])
{
	enum qfile_result result = QFILE_OK;
	uint64_t rest;

	q->head_len = (size_t)q->content_at;
	q->head = mem_grow(q->head, q->head_len, 1);
	if (q->head_len > have)
		result = read_exactly(q, q->head + have, q->head_len - have,
		    have, why);
	if (result != QFILE_OK)
		return result;
	q->tail_at = q->content_at + q->content_length;
	rest = q->size - q->tail_at;
	return qfile_read_tail(q,
	    rest < TAIL_FIRST ? (size_t)rest : TAIL_FIRST, why);
}

static enum qfile_result
read_file(struct qfile *q, bool keep_content, char why[STATUS_TEXT_MAX])
{
	enum qfile_result result;
	struct stat st;
	size_t want;
	ssize_t got;

	if (fstat(q->fd, &st) < 0)
		return qfile_failed(why, "cannot stat");
	if (!S_ISREG(st.st_mode))
		return qfile_corrupt(why, 0, "not a regular file");
	q->size = (uint64_t)st.st_size;
	want = q->size <= WHOLE_MAX ? (size_t)q->size : HEAD_FIRST;
	q->head = mem_grow(NULL, want, 1);
	got = qfile_pread(q->fd, q->head, want, 0);
	if (got < 0)
		return qfile_failed(why, "cannot read");
	/* Its journal's end may have been cut since fstat. */
	if ((size_t)got < want)
		q->size = (uint64_t)got;
	result = check_fixed(q, (size_t)got, why);
	if (result != QFILE_OK)
		return result;
	if ((uint64_t)got < q->size)
		return read_parts(q, (size_t)got, why);
	split_whole(q, keep_content);
	return QFILE_OK;
}

/* ---- content ---- */

static enum qfile_result
verify_content(struct qfile *q, char why[STATUS_TEXT_MAX])
{
	enum qfile_result result = QFILE_OK;
	uint32_t sum = 0;
	uint64_t done = 0;
	char *chunk;

	if (q->content != NULL) {
		sum = qfile_sum(0, q->content, (size_t)q->content_length);
	} else {
		chunk = mem_grow(NULL, VERIFY_CHUNK, 1);
		while (done < q->content_length && result == QFILE_OK) {
			uint64_t left = q->content_length - done;
			size_t n = left < VERIFY_CHUNK ? (size_t)left
			                               : VERIFY_CHUNK;

			result = read_exactly(q, chunk, n,
			    q->content_at + done, why);
			if (result == QFILE_OK)
				sum = qfile_sum(sum, chunk, n);
			done += n;
		}
		free(chunk);
	}
	if (result != QFILE_OK)
		return result;
	if (sum != q->content_sum)
		return qfile_corrupt(why, q->content_at,
		    "the content does not match its sum");
	q->content_good = true;
	return QFILE_OK;
}

/* ---- open ---- */

static enum qfile_result
load(struct qfile *q, bool keep_content, bool verify,
    char why[STATUS_TEXT_MAX])
{
	enum qfile_result result;
	size_t length = 0;

	result = read_file(q, keep_content, why);
	if (result == QFILE_OK)
		result = qfile_check_trailer(q, &length, why);
	if (result == QFILE_OK)
		result = qfile_parse_envelope(q, why);
	if (result == QFILE_OK)
		result = qfile_parse_edits(q, length, why);
	if (result == QFILE_OK) {
		q->journal_at = q->tail_at + length;
		result = qfile_read_journal(q, why);
	}
	if (result == QFILE_OK && verify)
		result = verify_content(q, why);
	return result;
}

static enum qfile_result
adopt(int fd, bool keep_content, bool verify, struct qfile **out,
    char why[STATUS_TEXT_MAX])
{
	struct qfile *q = mem_alloc(sizeof(*q));
	enum qfile_result result;

	q->fd = fd;
	result = load(q, keep_content, verify, why);
	if (result == QFILE_OK)
		*out = q;
	else
		qfile_free(&q);
	return result;
}

enum qfile_result
qfile_adopt(int fd, bool verify, struct qfile **out, char why[STATUS_TEXT_MAX])
{
	return adopt(fd, true, verify, out, why);
}

enum qfile_result
qfile_open(int dirfd, const char *name, bool want_write, bool verify,
    struct qfile **out, char why[STATUS_TEXT_MAX])
{
	enum qfile_result result;
	struct qfile *q = NULL;
	struct mail_id id;
	int fd;

	do
		/* O_NONBLOCK: a FIFO somebody left there must not stop us. */
		fd = openat(dirfd, name, (want_write ? O_RDWR : O_RDONLY) |
		    O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 && (errno == ELOOP || errno == EISDIR || errno == ENXIO))
		return qfile_corrupt(why, 0, "not a regular file");
	if (fd < 0)
		return qfile_failed(why, "cannot open");
	/* Who writes states has no use for the content. */
	result = adopt(fd, !want_write, verify, &q, why);
	if (result != QFILE_OK)
		return result;
	if (id_parse(slice_of(name), &id) &&
	    !slice_eq(slice_of(name), q->env.id)) {
		qfile_free(&q);
		return qfile_corrupt(why, QFILE_ID_AT,
		    "the file is named differently");
	}
	*out = q;
	return QFILE_OK;
}

void
qfile_free(struct qfile **qp)
{
	struct qfile *q = *qp;
	int saved = errno;

	if (q == NULL)
		return;
	qfile_drop_rows(q, 0);
	free(q->rows);
	free(q->edits);
	free(q->head);
	free(q->tail_own);
	free(q->hold);
	close(q->fd);
	free(q);
	*qp = NULL;
	errno = saved;
}

/* ---- questions ---- */

int
qfile_fd(const struct qfile *q)
{
	return q->fd;
}

const struct envelope *
qfile_env(const struct qfile *q)
{
	return &q->env;
}

int64_t
qfile_created_ms(const struct qfile *q)
{
	return q->created_ms;
}

uint64_t
qfile_content_offset(const struct qfile *q)
{
	return q->content_at;
}

uint64_t
qfile_content_length(const struct qfile *q)
{
	return q->content_length;
}

uint64_t
qfile_message_length(const struct qfile *q)
{
	return q->message_length;
}

struct slice
qfile_hold_reason(const struct qfile *q)
{
	return q->hold != NULL ? slice_mem(q->hold, q->hold_len) : SLICE_EMPTY;
}

bool
qfile_warned(const struct qfile *q)
{
	return q->warned;
}

bool
qfile_late(const struct qfile *q)
{
	return q->late;
}

bool
qfile_journal_torn(const struct qfile *q)
{
	return q->torn;
}
