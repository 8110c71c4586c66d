/*
 * The words of a queue file's lines.  What is written here are addresses,
 * greetings and remote hosts' replies, all hostile: whatever could end a word,
 * a line or a field is quoted.  Used by queued and qmgr when they write, by
 * every reader of a queue file when it reads.
 */
#include <assert.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/mail/envelope.h"
#include "common/mail/qfile_text.h"

#define TIME_LEN 24 /* 2026-11-22T19:20:51.123Z */

/* enum delivery_kind of common/proto/delivery.h, which this layer cannot
 * include: the numbers are part of that contract, the words of this format. */
static const char *const kinds[] = {
	NULL, "mailbox", "address", "program", "maildir",
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct {
	const char *word;
	uint32_t bit;
} notify_words[] = {
	{"never", NOTIFY_NEVER},
	{"success", NOTIFY_SUCCESS},
	{"failure", NOTIFY_FAILURE},
	{"delay", NOTIFY_DELAY},
};
#define NNOTIFY (sizeof(notify_words) / sizeof(notify_words[0]))

static bool
plain_in_word(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '%' && c != '<' && c != '>' &&
	    c != '=' && c != ';';
}

static bool
plain_in_rest(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '%';
}

static void
put_quoted(struct buf *out, struct slice s, bool (*plain)(unsigned char))
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0, from = 0; i <= s.len; i++) {
		unsigned char c = i < s.len ? (unsigned char)s.p[i] : 0;

		if (i < s.len && plain(c))
			continue;
		buf_add(out, s.p + from, i - from);
		from = i + 1;
		if (i < s.len)
			buf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]},
			    3);
	}
}

void
qtext_put_word(struct buf *out, struct slice s)
{
	if (s.len == 0)
		buf_adds(out, "<>");
	else
		put_quoted(out, s, plain_in_word);
}

void
qtext_put_pair(struct buf *out, const char *key, struct slice s)
{
	if (s.len == 0)
		return;
	buf_addc(out, ' ');
	buf_adds(out, key);
	buf_addc(out, '=');
	put_quoted(out, s, plain_in_word);
}

void
qtext_put_rest(struct buf *out, struct slice s)
{
	put_quoted(out, s, plain_in_rest);
}

void
qtext_put_time(struct buf *out, int64_t ms)
{
	char text[CLOCK_DATE_SIZE];

	clock_rfc3339(ms, text);
	buf_add(out, text, TIME_LEN);
}

void
qtext_put_notify(struct buf *out, uint32_t notify)
{
	bool first = true;

	for (size_t i = 0; i < NNOTIFY; i++) {
		if ((notify & notify_words[i].bit) == 0)
			continue;
		if (!first)
			buf_addc(out, ',');
		buf_adds(out, notify_words[i].word);
		first = false;
	}
}

void
qtext_put_kind(struct buf *out, uint32_t kind)
{
	assert(qtext_kind_known(kind));
	buf_adds(out, kinds[kind]);
}

bool
qtext_kind_known(uint32_t kind)
{
	return kind > 0 && kind < NKINDS;
}

/* Upper-case only, as it is written: one text for one value. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
qtext_word(struct slice in, char *at, size_t *len)
{
	if (slice_eq(in, SLICE("<>"))) {
		*len = 0;
		return true;
	}
	return qtext_rest(in, at, len);
}

bool
qtext_rest(struct slice in, char *at, size_t *len)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int high, low;

		if (in.p[i] != '%') {
			at[n++] = in.p[i];
			continue;
		}
		if (in.len - i < 3)
			return false;
		high = hex_value(in.p[i + 1]);
		low = hex_value(in.p[i + 2]);
		if (high < 0 || low < 0)
			return false;
		at[n++] = (char)(high * 16 + low);
		i += 2;
	}
	*len = n;
	return true;
}

static bool
number(struct slice s, size_t from, size_t digits, uint32_t most, int64_t *out)
{
	uint32_t n;

	if (!num_u32(slice_sub(s, from, from + digits), 0, most, &n))
		return false;
	*out = n;
	return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, year >= 1970. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	/* The year begins in March, so that the leap day is its last. */
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;
	int64_t of_year = (153 * m + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

bool
qtext_time(struct slice in, int64_t *ms)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	int64_t year, month, day, hour, minute, second, milli;

	if (in.len != TIME_LEN)
		return false;
	for (size_t i = 0; i < TIME_LEN; i++)
		if (shape[i] != 'd' && in.p[i] != shape[i])
			return false;
	if (!number(in, 0, 4, 9999, &year) || !number(in, 5, 2, 12, &month) ||
	    !number(in, 8, 2, 31, &day) || !number(in, 11, 2, 23, &hour) ||
	    !number(in, 14, 2, 59, &minute) ||
	    !number(in, 17, 2, 59, &second) || !number(in, 20, 3, 999, &milli))
		return false;
	if (year < 1970 || month < 1 || day < 1)
		return false;
	*ms = (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 +
	    second) * 1000 + milli;
	return true;
}

bool
qtext_notify(struct slice in, uint32_t *notify)
{
	uint32_t bits = 0;
	struct slice word;

	while (slice_cut(&in, ',', &word)) {
		size_t i = 0;

		while (i < NNOTIFY &&
		    !slice_eq(word, slice_of(notify_words[i].word)))
			i++;
		if (i == NNOTIFY)
			return false;
		bits |= notify_words[i].bit;
	}
	*notify = bits;
	return true;
}

bool
qtext_kind(struct slice in, uint32_t *kind)
{
	for (uint32_t i = 1; i < NKINDS; i++) {
		if (slice_eq(in, slice_of(kinds[i]))) {
			*kind = i;
			return true;
		}
	}
	return false;
}

void
qtext_sum(uint32_t sum, char out[QTEXT_SUM_WIDTH])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = QTEXT_SUM_WIDTH; i-- > 0; sum >>= 4)
		out[i] = hex[sum & 15];
}

void
qtext_digits(uint64_t n, size_t width, char *out)
{
	for (size_t i = width; i-- > 0; n /= 10)
		out[i] = (char)('0' + n % 10);
}
