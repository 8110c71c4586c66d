/*
 * Encoded words.  In processes that show, sort or search mail; the value is
 * whatever the network sent.  Memory: as much as the value has octets.
 */
#include <string.h>

#include "common/mime/base64.h"
#include "common/mime/charset.h"
#include "common/mime/content_type.h"
#include "common/mime/words.h"

#define CHARSET_MOST 60u  /* octets of a charset and language */
#define WORD_MOST 8192u  /* of a word: RFC 2047 2 says 75, others say more */

/* =?charset*language?B?text?= */
struct word {
	struct slice charset;
	char encoding; /* 'B' or 'Q' */
	struct slice text;
};

struct decoder {
	struct charsets *cs;
	struct buf *out;
	/* Decoded words that are not yet written: of one charset */
	struct slice charset;
	struct buf octets;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The word at the start of s: its length, or 0. */
static size_t
word_at(struct slice s, struct word *w)
{
	size_t a, b, star;
	const char *end;

	if (!slice_prefix(s, SLICE("=?")))
		return 0;
	s = slice_sub(s, 0, WORD_MOST);
	a = slice_find(slice_sub(s, 0, CHARSET_MOST), '?', 2);
	b = a + 2;
	if (b >= s.len || s.p[a] != '?' || s.p[b] != '?')
		return 0;
	w->encoding = s.p[a + 1];
	if (w->encoding == 'b' || w->encoding == 'q')
		w->encoding = (char)(w->encoding - 32);
	if (w->encoding != 'B' && w->encoding != 'Q')
		return 0;
	end = memmem(s.p + b + 1, s.len - b - 1, "?=", 2);
	if (end == NULL)
		return 0;
	w->charset = slice_sub(s, 2, a);
	/* RFC 2231 5: a language */
	star = slice_find(w->charset, '*', 0);
	w->charset.len = star;
	w->text = slice_mem(s.p + b + 1, (size_t)(end - s.p) - b - 1);
	/* That is the next word, and this one has no end. */
	if (memmem(w->text.p, w->text.len, "=?", 2) != NULL)
		return 0;
	return (size_t)(end - s.p) + 2;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2047 4.2 */
static void
add_q(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		int a = -1, b = -1;

		if (s.p[i] == '=' && i + 2 < s.len) {
			a = hex(s.p[i + 1]);
			b = hex(s.p[i + 2]);
		}
		if (a >= 0 && b >= 0) {
			buf_addc(out, (char)(a * 16 + b));
			i += 2;
		} else if (s.p[i] == '_')
			buf_addc(out, ' ');
		else if (s.p[i] != '\r' && s.p[i] != '\n')
			buf_addc(out, s.p[i]);
	}
}

/* RFC 2047 4.1 */
static void
add_b(struct buf *out, struct slice s)
{
	struct base64_decoder d = {.strict = false};

	base64_decode(&d, s, out);
	base64_decode_end(&d, out);
}

static void
flush(struct decoder *d)
{
	if (d->octets.len > 0)
		charsets_decode(d->cs, d->charset, buf_slice(&d->octets),
		    d->out);
	buf_reset(&d->octets);
}

static void
add_word(struct decoder *d, const struct word *w)
{
	if (d->octets.len > 0 && (!slice_ieq(w->charset, d->charset) ||
	    charsets_shifts(d->cs, w->charset)))
		flush(d);
	d->charset = w->charset;
	if (w->encoding == 'B')
		add_b(&d->octets, w->text);
	else
		add_q(&d->octets, w->text);
}

/* What is no word, unfolded (RFC 5322 2.2.3): CRLF, or LF, before a blank
 * goes. */
static void
add_text(struct decoder *d, struct slice s)
{
	struct buf plain = BUF_INIT(s.len);

	for (size_t i = 0; i < s.len; i++) {
		size_t lf = i + (s.p[i] == '\r' && i + 1 < s.len);

		if (s.p[lf] == '\n' && lf + 1 < s.len &&
		    (s.p[lf + 1] == ' ' || s.p[lf + 1] == '\t'))
			i = lf;
		else
			buf_addc(&plain, s.p[i]);
	}
	charsets_utf8(buf_slice(&plain), d->out);
	buf_free(&plain);
}

/* The position of the next word at or behind `at` that can be decoded, or
 * value.len. */
static size_t
next_word(const struct decoder *d, struct slice value, size_t at,
    struct word *w, size_t *len)
{
	while (at < value.len) {
		const char *p = memmem(value.p + at, value.len - at, "=?", 2);

		if (p == NULL)
			break;
		at = (size_t)(p - value.p);
		*len = word_at(slice_sub(value, at, value.len), w);
		if (*len > 0 && charsets_known(d->cs, w->charset))
			return at;
		at += *len > 0 ? *len : 2;
	}
	return value.len;
}

static bool
all_space(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_space(s.p[i]))
			return false;
	return true;
}

/* What would be a line's end, or a string's, to those who get the text. */
static void
tame(struct buf *out, size_t from)
{
	for (; from < out->len; from++)
		if (out->s[from] == '\0' || out->s[from] == '\r' ||
		    out->s[from] == '\n')
			out->s[from] = ' ';
}

void
words_decode(struct charsets *cs, struct slice value, struct buf *out)
{
	struct decoder d = {.cs = cs, .out = out, .charset = SLICE_EMPTY};
	bool after_word = false;
	size_t from = 0, start = out->len, at, len;
	struct word w;

	buf_init(&d.octets, value.len + 8);
	for (;;) {
		struct slice between;

		at = next_word(&d, value, from, &w, &len);
		between = slice_sub(value, from, at);
		/* RFC 2047 6.2: blanks between two words are none. */
		if (!after_word || at == value.len || !all_space(between)) {
			flush(&d);
			add_text(&d, between);
		}
		if (at == value.len)
			break;
		add_word(&d, &w);
		after_word = true;
		from = at + len;
	}
	buf_free(&d.octets);
	tame(out, start);
}

void
words_param(struct charsets *cs, const struct content_param *p,
    struct buf *out)
{
	size_t start = out->len;

	if (p->charset.len == 0 ||
	    !charsets_decode(cs, p->charset, p->value, out)) {
		if (p->extended)
			charsets_utf8(p->value, out);
		else
			words_decode(cs, p->value, out);
	}
	tame(out, start);
}
