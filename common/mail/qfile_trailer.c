/*
 * Reads a queue file's trailer: the sums that prove envelope and trailer, and
 * the edits, whose places must come in order and lie within the content.  The
 * sums are checked before anything else is believed.
 */
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"

static bool
sum_at(const char *p, uint32_t *sum)
{
	char text[QTEXT_SUM_WIDTH];
	uint64_t n;

	if (!num_u64_hex(slice_mem(p, QTEXT_SUM_WIDTH), 0, UINT32_MAX, &n))
		return false;
	qtext_sum((uint32_t)n, text);
	*sum = (uint32_t)n;
	return memcmp(p, text, sizeof(text)) == 0;
}

/* The last lines of the trailer: words with three sums among them. */
static bool
end_lines(const char *p, uint32_t sums[3])
{
	static const char shape[] = QFILE_TRAILER_END;
	size_t n = 0;

	for (size_t i = 0; i < QFILE_TRAILER_END_LEN;) {
		if (shape[i] != 'x') {
			if (p[i] != shape[i])
				return false;
			i++;
			continue;
		}
		if (!sum_at(p + i, &sums[n++]))
			return false;
		i += QTEXT_SUM_WIDTH;
	}
	return true;
}

enum qfile_result
qfile_check_trailer(struct qfile *q, size_t *length, char why[STATUS_TEXT_MAX])
{
	const struct slice start = SLICE(QFILE_TRAILER_START);
	uint32_t sums[3];
	uint64_t n;
	size_t summed;

	if (q->tail_len < QFILE_TRAILER_START_LEN + QFILE_TRAILER_END_LEN ||
	    !slice_prefix(slice_mem(q->tail, q->tail_len), start) ||
	    q->tail[QFILE_TRAILER_START_LEN - 1] != '\n' ||
	    !num_u64(slice_mem(q->tail + start.len, QFILE_TRAILER_DIGITS),
	    QFILE_TRAILER_START_LEN + QFILE_TRAILER_END_LEN,
	    QFILE_TRAILER_MAX, &n) || n > q->size - q->tail_at)
		return qfile_corrupt(why, q->tail_at, "no whole trailer");
	if (n > q->tail_len) {
		enum qfile_result r = qfile_read_tail(q, (size_t)n, why);

		if (r != QFILE_OK)
			return r;
	}
	if (!end_lines(q->tail + n - QFILE_TRAILER_END_LEN, sums))
		return qfile_corrupt(why, q->tail_at + n, "no whole trailer");
	/* Everything in front of its own sum. */
	summed = (size_t)n - sizeof("\nend\n") + 1 - QTEXT_SUM_WIDTH;
	if (qfile_sum(0, q->tail, summed) != sums[2])
		return qfile_corrupt(why, q->tail_at,
		    "the trailer does not match its sum");
	if (qfile_sum_states(slice_mem(q->head, q->head_len),
	    SLICE("\nrcpt ")) != sums[1])
		return qfile_corrupt(why, 0,
		    "the envelope does not match its sum");
	q->content_sum = sums[0];
	*length = (size_t)n;
	return QFILE_OK;
}

/* "insert 0 123" or "skip 100 20": must come in order and fit the content. */
static bool
parse_edit(struct slice line, struct qedit *e, bool *skip)
{
	struct slice word, offset, length;

	return slice_cut(&line, ' ', &word) &&
	    slice_cut(&line, ' ', &offset) && slice_cut(&line, ' ', &length) &&
	    line.p == NULL && num_u64(offset, 0, INT64_MAX, &e->offset) &&
	    num_u64(length, 1, INT64_MAX, &e->length) &&
	    ((*skip = slice_eq(word, SLICE("skip"))) ||
	    slice_eq(word, SLICE("insert")));
}

static enum qfile_result
add_edit(struct qfile *q, struct slice line, struct slice *rest, uint64_t *done,
    char why[STATUS_TEXT_MAX])
{
	uint64_t at = q->tail_at + (uint64_t)(line.p - q->tail);
	struct qedit e = {0};
	bool skip;

	if (!parse_edit(line, &e, &skip) || e.offset < *done ||
	    e.offset > q->content_length)
		return qfile_corrupt(why, at, "bad edit");
	*done = e.offset;
	if (skip) {
		if (e.length > q->content_length - e.offset)
			return qfile_corrupt(why, at, "bad edit");
		*done += e.length;
		q->message_length -= e.length;
	} else {
		if (rest->len <= e.length || rest->p[e.length] != '\n')
			return qfile_corrupt(why, at, "bad edit");
		e.p = rest->p;
		*rest = slice_sub(*rest, (size_t)e.length + 1, rest->len);
		q->message_length += e.length;
	}
	MEM_PUSH(q->edits, q->nedits, q->edits_cap, e);
	return QFILE_OK;
}

enum qfile_result
qfile_parse_edits(struct qfile *q, size_t length, char why[STATUS_TEXT_MAX])
{
	struct slice rest = slice_mem(q->tail + QFILE_TRAILER_START_LEN,
	    length - QFILE_TRAILER_START_LEN - QFILE_TRAILER_END_LEN);
	uint64_t done = 0;

	q->message_length = q->content_length;
	while (rest.len > 0) {
		enum qfile_result result;
		size_t n = slice_find(rest, '\n', 0);
		struct slice line = slice_sub(rest, 0, n), word, left = line;

		rest = slice_sub(rest, n + 1, rest.len);
		slice_cut(&left, ' ', &word);
		if (qtext_critical(word))
			return qfile_unknown(why,
			    q->tail_at + (uint64_t)(line.p - q->tail), word);
		if (!slice_eq(word, SLICE("insert")) &&
		    !slice_eq(word, SLICE("skip")))
			continue;
		result = add_edit(q, line, &rest, &done, why);
		if (result != QFILE_OK)
			return result;
	}
	if (q->nedits > 0 && q->edits[0].p != NULL &&
	    q->edits[0].offset == 0 && q->edits[0].length <= ENV_RECEIVED_MAX)
		q->env.prepend = slice_mem(q->edits[0].p,
		    (size_t)q->edits[0].length);
	return QFILE_OK;
}
