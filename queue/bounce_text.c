/*
 * Text for notices: foreign octets made harmless, decoded where people read
 * them, and set in lines.  In bounce's job processes; the octets are whatever
 * the network sent.
 */
#include "common/base/num.h"
#include "common/mime/base64.h"
#include "queue/bounce.h"

#define COLUMNS 72
#define FIELD_COLUMNS 76
#define PIECE_MAX 900 /* RFC 5322 2.1.1: lines of at most 998 octets */

static unsigned char
octet(struct slice s, size_t at)
{
	return (unsigned char)s.p[at];
}

size_t
bounce_utf8(struct slice s, size_t at)
{
	unsigned char c = octet(s, at), least = 0x80, most = 0xbf;
	size_t n, i;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	/* RFC 3629 4: no detours, no surrogates, nothing above U+10FFFF. */
	if (c == 0xe0)
		least = 0xa0;
	else if (c == 0xf0)
		least = 0x90;
	else if (c == 0xed)
		most = 0x9f;
	else if (c == 0xf4)
		most = 0x8f;
	if (n > s.len - at)
		return 0;
	for (i = 1; i < n; i++) {
		if (octet(s, at + i) < least || octet(s, at + i) > most)
			return 0;
		least = 0x80;
		most = 0xbf;
	}
	return n;
}

/* The character of n octets at `at`, which is well-formed. */
static uint32_t
character(struct slice s, size_t at, size_t n)
{
	uint32_t c = octet(s, at);
	size_t i;

	if (n > 1)
		c &= 0x7fu >> n;
	for (i = 1; i < n; i++)
		c = c << 6 | (octet(s, at + i) & 0x3fu);
	return c;
}

/* Does it show itself, where it stands? */
static bool
shows(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} hidden[] = {
		{0, 0x1f}, {0x7f, 0x9f},
		{0xad, 0xad},         /* soft hyphen */
		{0x200b, 0x200f},     /* no width; marks of direction */
		{0x2028, 0x202e},     /* separators; overrides of direction */
		{0x2060, 0x206f},
		{0xfeff, 0xfeff}, {0xfff9, 0xfffb},
		{0xe0000, 0xe0fff},   /* tags */
	};
	size_t i;

	for (i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (c >= hidden[i].from && c <= hidden[i].to)
			return false;
	return true;
}

bool
bounce_is_ascii(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (octet(s, i) < 0x20 || octet(s, i) >= 0x7f)
			return false;
	return true;
}

bool
bounce_has_8bit(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (octet(s, i) >= 0x80)
			return true;
	return false;
}

void
bounce_clean(struct slice s, bool utf8, struct buf *out)
{
	size_t at, n;

	for (at = 0; at < s.len; at += n) {
		n = bounce_utf8(s, at);
		if (n == 0 || (n > 1 && !utf8) ||
		    !shows(character(s, at, n))) {
			buf_addc(out, '?');
			if (n == 0)
				n = 1;
		} else
			buf_add(out, s.p + at, n);
	}
}

/* ---- xtext ---- */

static bool
hex_octet(struct slice s, size_t at, uint64_t *c)
{
	return at + 2 <= s.len &&
	    num_u64_hex(slice_sub(s, at, at + 2), 0, 255, c);
}

bool
bounce_xtext(struct slice s, struct buf *out)
{
	size_t at = 0;
	uint64_t c;

	while (at < s.len) {
		c = octet(s, at++);
		if (c == '+') {
			if (!hex_octet(s, at, &c))
				return false;
			at += 2;
		} else if (c == '=' || c <= ' ')
			return false;
		/* RFC 3461 5.4: the value decoded is graphic and spaces */
		if (c < 0x20 || c >= 0x7f)
			return false;
		buf_addc(out, (char)c);
	}
	return true;
}

void
bounce_utf8_xtext(struct slice address, struct buf *out)
{
	size_t at, n;
	uint32_t c;

	for (at = 0; at < address.len; at += n) {
		n = bounce_utf8(address, at);
		if (n == 0) {
			buf_addc(out, '?');
			n = 1;
			continue;
		}
		c = character(address, at, n);
		/* QCHAR is printable without space, plus, equals and the
		 * backslash, which stays where it is an escape's. */
		if (n > 1 || c <= ' ' || c == 0x7f || c == '+' || c == '=' ||
		    (c == '\\' && !(address.len - at > 2 &&
		    address.p[at + 1] == 'x' && address.p[at + 2] == '{')))
			buf_printf(out, "\\x{%02X}", (unsigned)c);
		else
			buf_addc(out, (char)c);
	}
}

/* ---- encoded words ---- */

static bool
decode_b(struct slice s, struct buf *out)
{
	struct base64_decoder d = {.strict = true};

	return base64_decode(&d, s, out) && base64_decode_end(&d, out);
}

static bool
decode_q(struct slice s, struct buf *out)
{
	size_t i;
	uint64_t c;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '=') {
			if (!hex_octet(s, i + 1, &c))
				return false;
			buf_addc(out, (char)c);
			i += 2;
		} else
			buf_addc(out, s.p[i] == '_' ? ' ' : s.p[i]);
	}
	return true;
}

/* "=?charset?q?text?=" at the start of s: its length, 0: none.  What it says
 * is appended. */
static size_t
encoded_word(struct slice s, struct buf *out)
{
	struct buf octets = BUF_INIT(256);
	struct slice rest, charset, how, text;
	size_t end, i;
	bool good, latin;

	if (!slice_prefix(s, SLICE("=?")))
		return 0;
	rest = slice_sub(s, 2, s.len);
	if (!slice_cut(&rest, '?', &charset) || rest.p == NULL ||
	    !slice_cut(&rest, '?', &how) || rest.p == NULL)
		return 0;
	end = slice_find(rest, '?', 0);
	if (end + 1 >= rest.len || rest.p[end + 1] != '=')
		return 0;
	text = slice_sub(rest, 0, end);
	charset.len = slice_find(charset, '*', 0); /* RFC 2231 5 */
	latin = slice_ieq(charset, SLICE("iso-8859-1"));
	good = (latin || slice_ieq(charset, SLICE("utf-8")) ||
	    slice_ieq(charset, SLICE("us-ascii"))) &&
	    (slice_ieq(how, SLICE("q")) ? decode_q(text, &octets)
	    : slice_ieq(how, SLICE("b")) && decode_b(text, &octets)) &&
	    !octets.overflow;
	for (i = 0; good && latin && i < octets.len; i++) {
		unsigned char c = octet(buf_slice(&octets), i);

		if (c >= 0x80) {
			buf_addc(out, (char)(0xc0 | c >> 6));
			buf_addc(out, (char)(0x80 | (c & 0x3f)));
		} else
			buf_addc(out, (char)c);
	}
	if (good && !latin)
		buf_addslice(out, buf_slice(&octets));
	buf_free(&octets);
	return good ? (size_t)(rest.p + end + 2 - s.p) : 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void
bounce_decode(struct slice value, struct buf *out)
{
	struct buf text = BUF_INIT(out->max);
	size_t at = 0, n, blanks;
	bool after_word = false;

	while (at < value.len) {
		for (blanks = 0; at + blanks < value.len &&
		    is_blank(value.p[at + blanks]); blanks++)
			;
		at += blanks;
		/* RFC 2047 6.2: blanks between two encoded words are none. */
		n = text.len;
		if (blanks > 0 && n > 0 && at < value.len)
			buf_addc(&text, ' ');
		if (at == value.len)
			break;
		if (blanks > 0 && after_word) {
			struct buf next = BUF_INIT(1024);

			if (encoded_word(slice_sub(value, at, value.len),
			    &next) > 0)
				text.s[text.len = n] = '\0';
			buf_free(&next);
		}
		n = encoded_word(slice_sub(value, at, value.len), &text);
		after_word = n > 0;
		at += n;
		while (n == 0 && at < value.len && !is_blank(value.p[at]))
			buf_addc(&text, value.p[at++]);
	}
	bounce_clean(buf_slice(&text), true, out);
	buf_free(&text);
}

/* ---- lines ---- */

static size_t
columns(struct slice s)
{
	size_t i, n = 0;

	for (i = 0; i < s.len; i++)
		n += (octet(s, i) & 0xc0) != 0x80;
	return n;
}

/* At most PIECE_MAX octets of a word, whole characters. */
static struct slice
piece(struct slice word)
{
	if (word.len > PIECE_MAX) {
		word.len = PIECE_MAX;
		while (word.len > 1 && (octet(word, word.len) & 0xc0) == 0x80)
			word.len--;
	}
	return word;
}

void
bounce_fill(const char *text, unsigned indent, struct buf *out)
{
	struct slice rest = slice_of(text), word, part;
	size_t column = 0;
	bool broken;

	while (slice_word(&rest, &word)) {
		for (broken = false; word.len > 0; broken = true) {
			part = piece(word);
			word = slice_sub(word, part.len, word.len);
			if (column > 0 && (broken ||
			    column + 1 + columns(part) > COLUMNS)) {
				buf_adds(out, "\r\n");
				column = 0;
			}
			if (column == 0)
				buf_printf(out, "%*s", (int)indent, "");
			else
				buf_addc(out, ' ');
			column += (column == 0 ? indent : 1) + columns(part);
			buf_addslice(out, part);
		}
	}
	buf_adds(out, "\r\n");
}

void
bounce_field(struct buf *out, const char *name, const char *type,
    struct slice value)
{
	struct slice word, part;
	size_t column = strlen(name) + 1;
	bool broken, first = type == NULL;

	buf_adds(out, name);
	buf_addc(out, ':');
	if (type != NULL) {
		buf_printf(out, " %s;", type);
		column += 2 + strlen(type);
	}
	while (slice_word(&value, &word)) {
		for (broken = false; word.len > 0; broken = true) {
			part = piece(word);
			word = slice_sub(word, part.len, word.len);
			if (broken || (!first &&
			    column + 1 + columns(part) > FIELD_COLUMNS)) {
				buf_adds(out, "\r\n");
				column = 0;
			}
			buf_addc(out, ' ');
			buf_addslice(out, part);
			column += 1 + columns(part);
			first = false;
		}
	}
	buf_adds(out, "\r\n");
}
