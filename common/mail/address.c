/*
 * Addresses: the Mailbox, Path, Domain and address-literal of RFC 5321, with
 * RFC 6531 when asked.  Runs in every process that reads an envelope, an alias
 * or a login name; all its input is foreign.
 *
 * One scanner goes over the octets once, from left to right: each scan_*
 * function takes what its grammar rule allows at *at, moves *at behind it and
 * says on failure why.  Nothing is searched for, so that a '>' or '@' within
 * quotes can never be taken for the one outside.
 */
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/address.h"

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */
#define MAILBOX_MAX (ADDRESS_PATH_MAX - 2)

enum {
	ATEXT = 1,  /* RFC 5322 3.2.3 */
	LETDIG = 2, /* RFC 5321 4.1.2 Let-dig */
	HEX = 4,
	DIGIT = 8,
	DTEXT = 16, /* RFC 5321 4.1.3 dcontent */
	QTEXT = 32, /* RFC 5321 4.1.2 qtextSMTP */
	VISIBLE = 64 /* what a quoted-pairSMTP may quote */
};

static unsigned
classes(unsigned char c)
{
	static const char specials[] = "!#$%&'*+-/=?^_`{|}~";
	unsigned k = 0;

	if (c < 0x20 || c > 0x7e)
		return 0;
	k = VISIBLE;
	if (c != '"' && c != '\\')
		k |= QTEXT;
	if (c != ' ' && (c < '[' || c > ']'))
		k |= DTEXT;
	if (c >= '0' && c <= '9')
		k |= ATEXT | LETDIG | HEX | DIGIT;
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
		k |= ATEXT | LETDIG | ((c | 0x20) <= 'f' ? HEX : 0);
	else if (memchr(specials, c, sizeof(specials) - 1) != NULL)
		k |= ATEXT;
	return k;
}

static bool
is(struct slice s, size_t at, unsigned class)
{
	return at < s.len && (classes((unsigned char)s.p[at]) & class) != 0;
}

static bool
is_octet(struct slice s, size_t at, char c)
{
	return at < s.len && s.p[at] == c;
}

static bool
no(const char **why, const char *text)
{
	*why = text;
	return false;
}

/*
 * Length of the UTF8-non-ascii at s[at], 0 if there is none.  RFC 3629: the
 * shortest form only, no surrogates, nothing above U+10FFFF; and no C1 control
 * characters, which are as little part of an address as the C0 ones.
 */
static size_t
utf8_at(struct slice s, size_t at)
{
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
	unsigned char c = at < s.len ? (unsigned char)s.p[at] : 0;
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	uint32_t code;

	if (c < 0xc2 || c > 0xf4 || s.len - at < n)
		return 0;
	code = c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)s.p[at + i];

		if ((next & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (next & 0x3fu);
	}
	if (code < least[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

/* How many octets at s[at] are one character of the class or beyond ASCII. */
static size_t
text_at(struct slice s, size_t at, unsigned class, bool utf8_ok)
{
	if (is(s, at, class))
		return 1;
	return utf8_ok ? utf8_at(s, at) : 0;
}

static bool
has_utf8(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

/* Why the octet at s[at] cannot stand there: the texts that help most. */
static const char *
why_octet(struct slice s, size_t at, bool utf8_ok, const char *otherwise)
{
	unsigned char c;

	if (at >= s.len)
		return otherwise;
	c = (unsigned char)s.p[at];
	if (c < 0x20 || c == 0x7f)
		return "control character in the address";
	if (c > 0x7f)
		return utf8_ok ? "broken UTF-8 in the address"
		    : "octets above 127 without SMTPUTF8";
	return otherwise;
}

/* Dot-string = Atom *("."  Atom) */
static bool
scan_dot_string(struct slice s, size_t *at, bool utf8_ok, const char **why)
{
	size_t i = *at, n;

	for (;;) {
		if (is_octet(s, i, '.'))
			return no(why, "empty word in the local part (dots)");
		if ((n = text_at(s, i, ATEXT, utf8_ok)) == 0)
			return no(why, why_octet(s, i, utf8_ok, i > *at
			    ? "local part ends in a dot"
			    : "no local part"));
		while (n > 0) {
			i += n;
			n = text_at(s, i, ATEXT, utf8_ok);
		}
		if (!is_octet(s, i, '.'))
			break;
		i++;
	}
	*at = i;
	return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool
scan_quoted(struct slice s, size_t *at, bool utf8_ok, const char **why)
{
	size_t i = *at + 1, n;

	while (!is_octet(s, i, '"')) {
		if (is_octet(s, i, '\\')) {
			/* RFC 5321 4.1.2 quoted-pairSMTP: ASCII only */
			if (!is(s, i + 1, VISIBLE))
				return no(why, why_octet(s, i + 1, false,
				    "backslash without a character"));
			i += 2;
			continue;
		}
		if ((n = text_at(s, i, QTEXT, utf8_ok)) == 0)
			return no(why, why_octet(s, i, utf8_ok,
			    "quoted local part is not closed"));
		i += n;
	}
	*at = i + 1;
	return true;
}

static bool
scan_local(struct slice s, size_t *at, bool utf8_ok, const char **why)
{
	size_t i = *at;
	bool ok = is_octet(s, i, '"') ? scan_quoted(s, &i, utf8_ok, why)
	    : scan_dot_string(s, &i, utf8_ok, why);

	if (!ok)
		return false;
	if (i - *at > ADDRESS_LOCAL_MAX)
		return no(why, "local part longer than 64 octets");
	*at = i;
	return true;
}

/*
 * sub-domain = Let-dig [Ldh-str], or a U-label.  A U-label's length is counted
 * in its A-label form, which is not made here; the domain's own limit holds.
 */
static bool
scan_label(struct slice s, size_t *at, bool utf8_ok, const char **why)
{
	size_t i = *at, n;
	bool ascii = true;

	if (is_octet(s, i, '-'))
		return no(why, "part of the domain begins with a hyphen");
	while ((n = text_at(s, i, LETDIG, utf8_ok)) > 0 ||
	    is_octet(s, i, '-')) {
		ascii = ascii && n <= 1;
		i += n > 0 ? n : 1;
	}
	if (i == *at)
		return no(why, why_octet(s, i, utf8_ok, is_octet(s, i, '.')
		    ? "empty part in the domain (dots)"
		    : "no domain, or a part of it is missing"));
	if (s.p[i - 1] == '-')
		return no(why, "part of the domain ends in a hyphen");
	if (ascii && i - *at > LABEL_MAX)
		return no(why, "part of the domain longer than 63 octets");
	*at = i;
	return true;
}

/* Domain = sub-domain *("." sub-domain) */
static bool
scan_domain(struct slice s, size_t *at, bool utf8_ok, const char **why)
{
	size_t i = *at;

	for (;;) {
		if (!scan_label(s, &i, utf8_ok, why))
			return false;
		if (!is_octet(s, i, '.'))
			break;
		i++;
	}
	if (i - *at > ADDRESS_DOMAIN_MAX)
		return no(why, "domain longer than 255 octets");
	*at = i;
	return true;
}

/* IPv4-address-literal = Snum 3("."  Snum), Snum = 1*3DIGIT up to 255 */
static bool
is_ipv4(struct slice s)
{
	size_t at = 0;

	for (int group = 0; group < 4; group++) {
		unsigned value = 0;
		size_t digits = 0;

		if (group > 0 && !is_octet(s, at++, '.'))
			return false;
		for (; digits < 4 && is(s, at, DIGIT); digits++, at++)
			value = value * 10 + (unsigned)(s.p[at] - '0');
		if (digits == 0 || digits > 3 || value > 255)
			return false;
	}
	return at == s.len;
}

/*
 * IPv6-addr of RFC 5321 4.1.3, but "::" may stand for a single group as well:
 * RFC 4291 2.2 allows it and old writers wrote it.
 */
static bool
is_ipv6(struct slice s)
{
	size_t at = 0, digits;
	int groups = 0;
	bool gap = false, after_colon = false;

	if (is_octet(s, 0, ':')) {
		if (!is_octet(s, 1, ':'))
			return false;
		gap = true;
		at = 2;
	}
	while (at < s.len) {
		size_t start = at;

		for (digits = 0; is(s, at, HEX); digits++)
			at++;
		if (is_octet(s, at, '.')) {
			groups += 2;
			return is_ipv4(slice_sub(s, start, s.len)) &&
			    (gap ? groups < 8 : groups == 8);
		}
		if (digits == 0 || digits > 4)
			return false;
		groups++;
		if ((after_colon = is_octet(s, at, ':'))) {
			at++;
			after_colon = !is_octet(s, at, ':');
			if (!after_colon) {
				if (gap)
					return false;
				gap = true;
				at++;
			}
		} else if (at < s.len)
			return false;
	}
	return !after_colon && (gap ? groups < 8 : groups == 8);
}

/*
 * RFC 5321 4.1.3: the tag of a General-address-literal must be registered, and
 * IPv6 is the only one that is.  So "[2001:db8::1]" is not the tag 2001.
 */
static bool
literal_content(struct slice s, const char **why)
{
	static const struct slice ipv6 = {"IPv6:", 5};

	if (slice_iprefix(s, ipv6))
		return is_ipv6(slice_sub(s, ipv6.len, s.len)) ||
		    no(why, "broken IPv6 address in the address literal");
	return is_ipv4(s) || no(why, "broken address literal");
}

static bool
scan_literal(struct slice s, size_t *at, const char **why)
{
	size_t i = *at + 1;

	while (is(s, i, DTEXT))
		i++;
	if (!is_octet(s, i, ']'))
		return no(why, why_octet(s, i, false,
		    "address literal is not closed"));
	if (i + 1 - *at > ADDRESS_DOMAIN_MAX)
		return no(why, "address literal longer than 255 octets");
	if (!literal_content(slice_sub(s, *at + 1, i), why))
		return false;
	*at = i + 1;
	return true;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static bool
scan_mailbox(struct slice s, size_t *at, bool utf8_ok, struct address *out,
    const char **why)
{
	size_t i = *at, domain;
	bool literal;

	if (!scan_local(s, &i, utf8_ok, why))
		return false;
	if (!is_octet(s, i, '@'))
		return no(why, why_octet(s, i, utf8_ok, i == s.len
		    ? "no domain (@) in the address"
		    : "character not allowed in the local part"));
	domain = ++i;
	literal = is_octet(s, i, '[');
	if (!(literal ? scan_literal(s, &i, why)
	    : scan_domain(s, &i, utf8_ok, why)))
		return false;
	if (i - *at > MAILBOX_MAX)
		return no(why, "address longer than 254 octets");
	out->text = slice_sub(s, *at, i);
	out->local = slice_sub(s, *at, domain - 1);
	out->domain = slice_sub(s, domain, i);
	out->literal = literal;
	out->utf8 = has_utf8(out->text);
	*at = i;
	return true;
}

/* A-d-l ":" of RFC 5321 4.1.2: "@a.example,@b.example:" */
static bool
scan_route(struct slice s, size_t *at, bool utf8_ok, const char **why)
{
	size_t i = *at;

	while (is_octet(s, i, '@')) {
		i++;
		if (!scan_domain(s, &i, utf8_ok, why))
			return false;
		if (is_octet(s, i, ':')) {
			*at = i + 1;
			return true;
		}
		if (!is_octet(s, i, ','))
			break;
		i++;
	}
	return no(why, "broken source route");
}

bool
address_parse(struct slice s, bool utf8_ok, struct address *out,
    const char **why)
{
	struct address a;
	size_t at = 0;

	if (!scan_mailbox(s, &at, utf8_ok, &a, why))
		return false;
	if (at != s.len)
		return no(why, why_octet(s, at, utf8_ok,
		    "character not allowed in the domain"));
	*out = a;
	return true;
}

bool
address_local(struct slice s, bool utf8_ok, const char **why)
{
	size_t at = 0;

	if (!scan_local(s, &at, utf8_ok, why))
		return false;
	return at == s.len || no(why, why_octet(s, at, utf8_ok,
	    "character not allowed in the local part"));
}

bool
address_domain(struct slice s, bool utf8_ok, const char **why)
{
	size_t at = 0;

	if (!scan_domain(s, &at, utf8_ok, why))
		return false;
	return at == s.len || no(why, why_octet(s, at, utf8_ok,
	    "character not allowed in the domain"));
}

bool
address_literal(struct slice s, const char **why)
{
	size_t at = 0;

	if (!is_octet(s, 0, '['))
		return no(why, "address literal without its bracket");
	if (!scan_literal(s, &at, why))
		return false;
	return at == s.len || no(why, "text behind the address literal");
}

/* What stands between the brackets, '<' being behind *at already. */
static bool
scan_bracketed(struct slice s, size_t *at, const struct address_flags *flags,
    struct address *out, const char **why)
{
	static const struct slice postmaster = {"postmaster>", 11};
	size_t start = *at;

	if (flags->null_ok && is_octet(s, start, '>')) {
		*out = (struct address){.local = SLICE_EMPTY,
		    .domain = SLICE_EMPTY, .text = SLICE_EMPTY};
		*at = start + 1;
		return true;
	}
	if (flags->postmaster_ok &&
	    slice_iprefix(slice_sub(s, start, s.len), postmaster)) {
		out->local = slice_sub(s, start, start + postmaster.len - 1);
		out->text = out->local;
		out->domain = SLICE_EMPTY;
		out->literal = out->utf8 = false;
		*at = start + postmaster.len;
		return true;
	}
	if (is_octet(s, *at, '@') && !scan_route(s, at, flags->utf8_ok, why))
		return false;
	if (!scan_mailbox(s, at, flags->utf8_ok, out, why))
		return false;
	if (!is_octet(s, *at, '>'))
		return no(why, why_octet(s, *at, flags->utf8_ok, *at == s.len
		    ? "path without its closing bracket"
		    : "character not allowed in the domain"));
	++*at;
	return true;
}

bool
address_path(struct slice s, struct address_flags flags, struct address *out,
    struct slice *rest, const char **why)
{
	struct address a;
	size_t at = 0, start;

	while (flags.tolerant && is_octet(s, at, ' '))
		at++;
	start = at;
	if (is_octet(s, at, '<')) {
		at++;
		if (!scan_bracketed(s, &at, &flags, &a, why))
			return false;
	} else if (!flags.tolerant || is_octet(s, at, '"')) {
		return no(why, "path without its brackets");
	} else {
		if (!scan_mailbox(s, &at, flags.utf8_ok, &a, why))
			return false;
		if (a.literal)
			return no(why, "path without its brackets");
	}
	/* RFC 5321 4.5.3.1.3 */
	if (at - start > ADDRESS_PATH_MAX)
		return no(why, "path longer than 256 octets");
	if (at < s.len && s.p[at] != ' ')
		return no(why, why_octet(s, at, flags.utf8_ok,
		    "no space behind the path"));
	*out = a;
	*rest = slice_sub(s, at, s.len);
	return true;
}

static void
add_lower(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		buf_addc(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
}

/* The local part octet by octet, quotes and backslashes resolved; quoted says
 * whether *at is within quotes.  False at the end. */
static bool
next_plain(struct slice local, size_t *at, char *c)
{
	bool quoted = is_octet(local, 0, '"');
	size_t end = quoted && local.len > 1 ? local.len - 1 : local.len;

	if (quoted && *at == 0)
		*at = 1;
	if (quoted && is_octet(local, *at, '\\') && *at + 1 < end)
		++*at;
	if (*at >= end)
		return false;
	*c = local.p[(*at)++];
	return true;
}

void
address_local_plain(struct slice local, struct buf *out)
{
	size_t at = 0;
	char c;

	while (next_plain(local, &at, &c))
		buf_addc(out, c);
}

/* Could be written as a Dot-string.  A local part within its quotes was checked
 * already: only the characters and the dots are looked at. */
static bool
needs_quotes(struct slice local)
{
	size_t at = 0;
	char c, last = '.';

	while (next_plain(local, &at, &c)) {
		if (c == '.' && last == '.')
			return true;
		if (c != '.' && (unsigned char)c < 0x80 &&
		    (classes((unsigned char)c) & ATEXT) == 0)
			return true;
		last = c;
	}
	return last == '.';
}

void
address_canonical(const struct address *a, struct buf *out)
{
	bool quotes = is_octet(a->local, 0, '"') && needs_quotes(a->local);
	size_t at = 0;
	char c;

	if (quotes)
		buf_addc(out, '"');
	while (next_plain(a->local, &at, &c)) {
		if (quotes && (c == '"' || c == '\\'))
			buf_addc(out, '\\');
		add_lower(out, slice_mem(&c, 1));
	}
	if (quotes)
		buf_addc(out, '"');
	if (a->domain.len > 0) {
		buf_addc(out, '@');
		add_lower(out, a->domain);
	}
}

/* In step and without memory: it is asked for each recipient. */
bool
address_same(const struct address *a, const struct address *b)
{
	size_t at_a = 0, at_b = 0;
	char x, y;
	bool more_a, more_b;

	if (!slice_ieq(a->domain, b->domain))
		return false;
	for (;;) {
		more_a = next_plain(a->local, &at_a, &x);
		more_b = next_plain(b->local, &at_b, &y);
		if (!more_a || !more_b)
			return more_a == more_b;
		if (!slice_ieq(slice_mem(&x, 1), slice_mem(&y, 1)))
			return false;
	}
}
