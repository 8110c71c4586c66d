/*
 * The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8
 * (RFC 6531), RET, ENVID, NOTIFY, ORCPT (RFC 3461, RFC 6533), BY (RFC 2852).
 * Runs in the session on what the client sends.  What a duplicate would mean
 * nobody knows, so it is an error (501); what is not known is refused (555):
 * the sender relies on it.
 */
#include "common/base/num.h"
#include "common/mail/envelope.h"
#include "smtpd/param.h"

#define PARAMS_MAX 32 /* more than there are: the rest must be duplicates */
#define ORCPT_MAX 500 /* RFC 3461 4.2: 500 with its keyword */
#define BY_DIGITS_MAX 9

static bool
is_upper_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

static unsigned
hex_value(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/*
 * RFC 3461 4: xtext = *( xchar / hexchar ); the length decoded, or -1.  What it
 * means must be printable (5.4, 4.2): it goes into reports.
 */
static int
xtext_length(struct slice s)
{
	int n = 0;

	for (size_t i = 0; i < s.len; i++, n++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '+') {
			unsigned v;

			if (s.len - i < 3 || !is_upper_hex(s.p[i + 1]) ||
			    !is_upper_hex(s.p[i + 2]))
				return -1;
			v = hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2]);
			if (v < 0x20 || v > 0x7e)
				return -1;
			i += 2;
		} else if (c < 0x21 || c > 0x7e || c == '=') {
			return -1;
		}
	}
	return n;
}

/* RFC 3629: length of the character beyond ASCII at s[at], or 0. */
static size_t
utf8_char(struct slice s, size_t at)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)s.p[at];
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	uint32_t code = c & (0xffu >> (n + 1));

	if (c < 0xc2 || c > 0xf4 || s.len - at < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[at + i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)s.p[at + i] & 0x3fu);
	}
	return code < least[n] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff) ? 0 : n;
}

/* RFC 6533 3: what QCHAR leaves out of ASCII.  Its HEXPOINT has the control
 * characters as well; no address holds one. */
static bool
is_special(unsigned char c)
{
	return c == ' ' || c == '+' || c == '=' || c == '\\';
}

/* RFC 6533 3: "\x{HEX}", shortest form; its length, or 0. */
static size_t
embedded_char(struct slice s, size_t at)
{
	size_t i = at + 3;
	uint64_t code;

	if (s.len - at < 6 || s.p[at + 1] != 'x' || s.p[at + 2] != '{')
		return 0;
	while (i < s.len && is_upper_hex(s.p[i]))
		i++;
	if (i >= s.len || s.p[i] != '}' || i - at - 3 < 2 || i - at - 3 > 6 ||
	    !num_u64_hex(slice_sub(s, at + 3, i), 0x20, 0x10ffff, &code) ||
	    (code >= 0xd800 && code <= 0xdfff) || s.p[at + 3] == '0' ||
	    (code < 0x80 && !is_special((unsigned char)code)))
		return 0;
	return i + 1 - at;
}

/* RFC 6533 3: utf-8-addr-xtext, and with SMTPUTF8 utf-8-addr-unitext. */
static bool
is_utf8_addr(struct slice s, bool utf8)
{
	size_t n;

	for (size_t i = 0; i < s.len; i += n) {
		unsigned char c = (unsigned char)s.p[i];

		n = 1;
		if (c == '\\')
			n = embedded_char(s, i);
		else if (c > 0x7f)
			n = utf8 ? utf8_char(s, i) : 0;
		else if (c < 0x21 || c == 0x7f || c == '+' || c == '=')
			n = 0;
		if (n == 0)
			return false;
	}
	return s.len > 0;
}

/* RFC 5322 3.2.3 atom */
static bool
is_atom(struct slice s)
{
	static const char specials[] = "!#$%&'*+-/=?^_`{|}~";

	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || (c != '\0' &&
		    memchr(specials, c, sizeof(specials) - 1) != NULL)))
			return false;
	}
	return s.len > 0;
}

/* Each reads its value; NULL, or what is wrong with it. */

/* RFC 1870 6: 1*20DIGIT */
static const char *
read_size(struct params *p, struct slice v)
{
	uint64_t n;

	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] < '0' || v.p[i] > '9')
			return "SIZE is a number";
	if (v.len == 0 || v.len > 20)
		return "SIZE has 1 to 20 digits";
	p->size = num_u64(v, 0, UINT64_MAX - 1, &n) ? n : UINT64_MAX;
	return NULL;
}

static const char *
read_body(struct params *p, struct slice v)
{
	if (slice_ieq(v, SLICE("8BITMIME")))
		p->flags |= ENV_8BITMIME;
	else if (slice_ieq(v, SLICE("BINARYMIME")))
		p->flags |= ENV_BINARYMIME;
	else if (!slice_ieq(v, SLICE("7BIT")))
		return "BODY is 7BIT, 8BITMIME or BINARYMIME";
	return NULL;
}

static const char *
read_smtputf8(struct params *p, struct slice v)
{
	(void)v;
	p->flags |= ENV_SMTPUTF8;
	return NULL;
}

static const char *
read_ret(struct params *p, struct slice v)
{
	if (slice_ieq(v, SLICE("FULL")))
		p->flags |= ENV_RET_FULL;
	else if (slice_ieq(v, SLICE("HDRS")))
		p->flags |= ENV_RET_HDRS;
	else
		return "RET is FULL or HDRS";
	return NULL;
}

static const char *
read_envid(struct params *p, struct slice v)
{
	int n = xtext_length(v);

	if (n < 0)
		return "ENVID is printable xtext";
	if (n == 0 || n > ENV_ENVID_MAX)
		return "ENVID has 1 to 100 characters";
	p->envid = v;
	return NULL;
}

/* RFC 2852 4: by-time ";" by-mode [by-trace] */
static const char *
read_by(struct params *p, struct slice v)
{
	size_t semicolon = slice_find(v, ';', 0);
	struct slice time = slice_sub(v, 0, semicolon);
	struct slice mode = slice_sub(v, semicolon + 1, v.len);
	bool minus = slice_prefix(time, SLICE("-"));
	uint32_t seconds;
	int64_t at;

	if (minus || slice_prefix(time, SLICE("+")))
		time = slice_sub(time, 1, time.len);
	if (time.len > BY_DIGITS_MAX ||
	    !num_u32(time, 0, 999999999, &seconds))
		return "BY is SECONDS;R or SECONDS;N";
	if (slice_ieq(mode, SLICE("R")) || slice_ieq(mode, SLICE("RT")))
		p->flags |= ENV_BY_RETURN;
	else if (slice_ieq(mode, SLICE("N")) || slice_ieq(mode, SLICE("NT")))
		p->flags |= ENV_BY_NOTIFY;
	else
		return "BY is SECONDS;R or SECONDS;N";
	if (mode.len == 2)
		p->flags |= ENV_BY_TRACE;
	if ((p->flags & ENV_BY_RETURN) != 0 && (minus || seconds == 0))
		return "BY with R needs a time that is left";
	p->by_s = minus ? 0 : seconds;
	at = p->now_ms + (minus ? -1 : 1) * (int64_t)seconds * 1000;
	p->by_at_ms = at > 0 ? (uint64_t)at : 1;
	return NULL;
}

/* RFC 3461 4.1: NEVER, or a list of the others */
static const char *
read_notify(struct params *p, struct slice v)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} words[] = {
		{"NEVER", NOTIFY_NEVER},
		{"SUCCESS", NOTIFY_SUCCESS},
		{"FAILURE", NOTIFY_FAILURE},
		{"DELAY", NOTIFY_DELAY},
	};
	struct slice word;
	uint32_t bit;

	while (slice_cut(&v, ',', &word)) {
		bit = 0;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (slice_ieq(word, slice_of(words[i].name)))
				bit = words[i].bit;
		if (bit == 0)
			return "NOTIFY is NEVER or of SUCCESS,FAILURE,DELAY";
		if ((p->notify & bit) != 0)
			return "a word of NOTIFY stands twice";
		p->notify |= bit;
	}
	if ((p->notify & NOTIFY_NEVER) != 0 && p->notify != NOTIFY_NEVER)
		return "NOTIFY=NEVER stands alone";
	return NULL;
}

/* RFC 3461 4.2: addr-type ";" xtext; RFC 6533 3 for the type utf-8 */
static const char *
read_orcpt(struct params *p, struct slice v)
{
	size_t semicolon = slice_find(v, ';', 0);
	struct slice type = slice_sub(v, 0, semicolon);
	struct slice address = slice_sub(v, semicolon + 1, v.len);

	if (semicolon == v.len || !is_atom(type))
		return "ORCPT is TYPE;ADDRESS";
	if (v.len > ORCPT_MAX)
		return "ORCPT is longer than 500 octets";
	if (slice_ieq(type, SLICE("utf-8"))) {
		if (!is_utf8_addr(address, p->utf8))
			return "ORCPT: not an address of type utf-8";
	} else if (xtext_length(address) <= 0) {
		return "ORCPT: the address is printable xtext";
	}
	p->orcpt = v;
	return NULL;
}

enum value { WITHOUT, WITH };

static const struct row {
	const char *name;
	enum param_command command;
	enum value value;
	unsigned needs; /* OFFER_*; 0: always there */
	const char *(*read)(struct params *p, struct slice value);
} rows[] = {
	{"SIZE", PARAM_MAIL, WITH, 0, read_size},
	{"BODY", PARAM_MAIL, WITH, 0, read_body},
	{"SMTPUTF8", PARAM_MAIL, WITHOUT, OFFER_SMTPUTF8, read_smtputf8},
	{"RET", PARAM_MAIL, WITH, OFFER_DSN, read_ret},
	{"ENVID", PARAM_MAIL, WITH, OFFER_DSN, read_envid},
	{"BY", PARAM_MAIL, WITH, OFFER_DELIVERBY, read_by},
	{"NOTIFY", PARAM_RCPT, WITH, OFFER_DSN, read_notify},
	{"ORCPT", PARAM_RCPT, WITH, OFFER_DSN, read_orcpt},
};

/* RFC 5321 4.1.2: esmtp-keyword */
static bool
is_keyword(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || (c == '-' && i > 0)))
			return false;
	}
	return s.len > 0;
}

/* esmtp-value, with the octets RFC 6531 3.3 adds where they may stand */
static bool
is_value(struct slice s, bool utf8)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x21 || c == 0x7f || c == '=' || (c > 0x7f && !utf8))
			return false;
	}
	return s.len > 0;
}

static const struct row *
find_row(const struct params *p, struct slice keyword)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].command == p->command &&
		    (rows[i].needs & ~p->offered) == 0 &&
		    slice_ieq(slice_of(rows[i].name), keyword))
			return &rows[i];
	return NULL;
}

static bool
params_one(struct slice word, struct params *p, struct status *st)
{
	size_t equals = slice_find(word, '=', 0);
	struct slice keyword = slice_sub(word, 0, equals);
	struct slice value = slice_sub(word, equals + 1, word.len);
	const struct row *row = find_row(p, keyword);
	const char *wrong = NULL;
	uint32_t bit;

	if (!is_keyword(keyword) ||
	    (equals < word.len && !is_value(value, p->utf8))) {
		status_set(st, 501, 5, 4, "Broken parameter %.*s",
		    SLICE_FMT(slice_sub(word, 0, 80)));
		return false;
	}
	if (row == NULL) {
		status_set(st, 555, 5, 4, "Parameter %.*s is not known",
		    SLICE_FMT(slice_sub(keyword, 0, 80)));
		return false;
	}
	bit = 1u << (row - rows);
	if ((p->seen & bit) != 0)
		wrong = "stands twice";
	else if (row->value == WITH && equals == word.len)
		wrong = "needs a value";
	else if (row->value == WITHOUT && equals < word.len)
		wrong = "has no value";
	if (wrong != NULL) {
		status_set(st, 501, 5, 4, "%s %s", row->name, wrong);
		return false;
	}
	p->seen |= bit;
	wrong = row->read(p, value);
	if (wrong != NULL)
		status_set(st, 501, 5, 4, "%s", wrong);
	return wrong == NULL;
}

/* Is SMTPUTF8 among them?  It tells how the others are to be read. */
static bool
says_smtputf8(struct slice s)
{
	struct slice word;

	while (slice_word(&s, &word))
		if (slice_ieq(word, SLICE("SMTPUTF8")))
			return true;
	return false;
}

/* What is well said and yet not taken here. */
static bool
may_be(const struct params *p, struct status *st)
{
	if ((p->flags & ENV_BINARYMIME) != 0 &&
	    (p->offered & OFFER_BINARYMIME) == 0) {
		status_set(st, 555, 6, 1, "BODY=BINARYMIME is not offered");
		return false;
	}
	/* RFC 2852 4.1 */
	if ((p->flags & ENV_BY_RETURN) != 0 && p->by_s < p->by_least_s) {
		status_set(st, 555, 5, 4, "BY with R needs %llu seconds at "
		    "least", (unsigned long long)p->by_least_s);
		return false;
	}
	return true;
}

bool
params_parse(struct slice s, struct params *p, struct status *st)
{
	struct slice word;
	unsigned n = 0;

	if (slice_find(s, '\t', 0) < s.len) {
		status_set(st, 501, 5, 4, "A tab among the parameters");
		return false;
	}
	if (p->command == PARAM_MAIL)
		p->utf8 = (p->offered & OFFER_SMTPUTF8) != 0 &&
		    says_smtputf8(s);
	while (slice_word(&s, &word)) {
		if (++n > PARAMS_MAX) {
			status_set(st, 501, 5, 4, "Too many parameters");
			return false;
		}
		if (!params_one(word, p, st))
			return false;
	}
	return may_be(p, st);
}
