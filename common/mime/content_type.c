/*
 * Reads the values of MIME's own header fields.  In remote, local and whoever
 * looks into mail; the octets are whatever the network sent.  All strings go
 * into one buffer that is never longer than the value and is taken at once, so
 * that nothing moves; comments nest, but are counted and not entered.
 */
#include <string.h>

#include "common/base/num.h"
#include "common/mime/content_type.h"

#define SECTIONS_MAX 99u

/* A parameter as it was written, or a piece of one. */
struct piece {
	struct slice name;    /* without its stars */
	struct slice value;   /* unquoted, still percent-encoded */
	uint32_t section;
	bool numbered;        /* name*N */
	bool extended;        /* name* or name*N* */
};

struct reader {
	struct slice s;
	size_t at;
	struct buf *text;
	struct piece pieces[CONTENT_PARAMS_MAX];
	size_t n;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* RFC 2045 5.1 with what occurs besides: no space, control or separator. */
static bool
is_token(char c)
{
	return (unsigned char)c > ' ' && c != 127 &&
	    strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool
more(const struct reader *r)
{
	return r->at < r->s.len;
}

static char
peek(const struct reader *r)
{
	return r->s.p[r->at];
}

/* A comment, which may hold others (RFC 5322 3.2.2); one that never ends ends
 * with the value. */
static void
skip_comment(struct reader *r)
{
	size_t depth = 0;

	for (; more(r); r->at++) {
		char c = peek(r);

		if (c == '\\')
			r->at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0) {
			r->at++;
			return;
		}
	}
	r->at = r->s.len;
}

static void
skip_space(struct reader *r)
{
	while (more(r)) {
		if (peek(r) == '(')
			skip_comment(r);
		else if (is_space(peek(r)))
			r->at++;
		else
			return;
	}
}

/* What text got since it had `from` octets. */
static struct slice
since(const struct reader *r, size_t from)
{
	return slice_mem(r->text->s + from, r->text->len - from);
}

/* A word of token octets in lower case, or "". */
static struct slice
take_token(struct reader *r)
{
	size_t from = r->text->len;

	for (; more(r) && is_token(peek(r)); r->at++)
		buf_addc(r->text, lower(peek(r)));
	return since(r, from);
}

/* RFC 5322 3.2.4; folding goes, a string that does not end ends with the value.
 * A CR, LF or NUL that folds nothing is a blank. */
static struct slice
take_quoted(struct reader *r)
{
	size_t from = r->text->len;

	for (r->at++; more(r) && peek(r) != '"'; r->at++) {
		struct slice rest = slice_sub(r->s, r->at, r->s.len);
		char c;

		if (slice_prefix(rest, SLICE("\r\n")))
			continue; /* LF comes next */
		if (rest.len > 1 && rest.p[0] == '\n' &&
		    (rest.p[1] == ' ' || rest.p[1] == '\t'))
			continue;
		if (rest.len > 1 && rest.p[0] == '\\')
			r->at++;
		c = peek(r);
		if (c == '\0' || c == '\r' || c == '\n')
			c = ' ';
		buf_addc(r->text, c);
	}
	if (more(r))
		r->at++;
	return since(r, from);
}

/* Does a parameter begin at `at`: a word and an equals sign? */
static bool
param_at(const struct reader *r, size_t at)
{
	size_t from = at;

	while (at < r->s.len && is_token(r->s.p[at]))
		at++;
	return at > from && at < r->s.len && r->s.p[at] == '=';
}

/* Up to the next semicolon, or a parameter that lacks it: here or behind a
 * space (so that each word is looked at once). */
static void
skip_junk(struct reader *r)
{
	for (bool here = true; more(r) && peek(r) != ';'; r->at++) {
		if (here && param_at(r, r->at))
			return;
		here = is_space(peek(r));
	}
}

/* A value that is not quoted: all up to the semicolon, for many forget to quote
 * spaces and separators; but a comment and a parameter that lacks its semicolon
 * are none of it. */
static struct slice
take_bare(struct reader *r)
{
	size_t from = r->text->len, end = from;

	while (more(r) && peek(r) != ';') {
		bool space = is_space(peek(r));

		if (space && r->at + 1 < r->s.len &&
		    (r->s.p[r->at + 1] == '(' || param_at(r, r->at + 1)))
			break;
		if (peek(r) != '\r' && peek(r) != '\n')
			buf_addc(r->text, peek(r));
		if (!space)
			end = r->text->len;
		r->at++;
	}
	return slice_mem(r->text->s + from, end - from);
}

/* RFC 2231 3, 4.1: the stars of a parameter's name. */
static void
split_name(struct slice name, struct piece *p)
{
	size_t star;

	if (name.len > 1 && name.p[name.len - 1] == '*') {
		p->extended = true;
		name.len--;
	}
	star = slice_find(name, '*', 0);
	if (star > 0 && star < name.len && num_u32(slice_sub(name, star + 1,
	    name.len), 0, SECTIONS_MAX, &p->section)) {
		p->numbered = true;
		name.len = star;
	}
	p->name = name;
}

/* One parameter; what is none is passed over up to the next semicolon. */
static void
take_param(struct reader *r)
{
	struct piece p = {.section = 0};
	struct slice name;

	skip_space(r);
	name = take_token(r);
	skip_space(r);
	if (name.len == 0 || !more(r) || peek(r) != '=') {
		if (more(r) && peek(r) == '=')
			r->at++;
	} else {
		r->at++;
		skip_space(r);
		p.value = more(r) && peek(r) == '"' ? take_quoted(r)
		    : take_bare(r);
		split_name(name, &p);
		if (r->n < CONTENT_PARAMS_MAX)
			r->pieces[r->n++] = p;
		skip_space(r);
	}
	skip_junk(r);
	if (more(r) && peek(r) == ';')
		r->at++;
}

/* ---- RFC 2231 ---- */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
add_percent(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		int a = -1, b = -1;

		if (s.p[i] == '%' && i + 2 < s.len) {
			a = hex(s.p[i + 1]);
			b = hex(s.p[i + 2]);
		}
		if (a >= 0 && b >= 0) {
			buf_addc(out, (char)(a * 16 + b));
			i += 2;
		} else
			buf_addc(out, s.p[i]);
	}
}

/* charset'language'value; without both quotes all is value. */
static struct slice
take_charset(struct slice s, struct content_param *param)
{
	size_t one = slice_find(s, '\'', 0);
	size_t two = one < s.len ? slice_find(s, '\'', one + 1) : s.len;

	if (two == s.len)
		return s;
	param->charset = slice_sub(s, 0, one);
	param->language = slice_sub(s, one + 1, two);
	return slice_sub(s, two + 1, s.len);
}

static const struct piece *
find_section(const struct reader *r, struct slice name, uint32_t section)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->pieces[i].numbered && r->pieces[i].section == section &&
		    slice_eq(r->pieces[i].name, name))
			return &r->pieces[i];
	return NULL;
}

/* All pieces from *0 on until one is missing, or the single one `p`. */
static void
put_together(struct reader *r, const struct piece *p,
    struct content_param *param)
{
	size_t from = r->text->len;
	uint32_t section = 0;

	while (p != NULL) {
		struct slice value = p->value;

		if (p->extended && section == 0)
			value = take_charset(value, param);
		if (p->extended) {
			param->extended = true;
			add_percent(r->text, value);
		} else
			buf_addslice(r->text, value);
		p = p->numbered ? find_section(r, param->name, ++section)
		    : NULL;
	}
	param->value = since(r, from);
}

/* Where the parameter stands in the result, or a new place; NULL: keep what is
 * there. */
static struct content_param *
place_for(struct content_type *t, const struct piece *p)
{
	for (size_t i = 0; i < t->nparams; i++)
		if (slice_eq(t->params[i].name, p->name))
			return (p->extended || p->numbered) &&
			    !t->params[i].extended ? &t->params[i] : NULL;
	return &t->params[t->nparams++];
}

static void
add_params(struct content_type *t, struct reader *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct piece *p = &r->pieces[i];
		struct content_param *param;

		/* Pieces are put together where the first one stands. */
		if (p->numbered && (p->section != 0 ||
		    find_section(r, p->name, 0) != p))
			continue;
		param = place_for(t, p);
		if (param == NULL)
			continue;
		*param = (struct content_param){.name = p->name,
		    .charset = SLICE_EMPTY, .language = SLICE_EMPTY};
		if (p->numbered || p->extended) {
			put_together(r, p, param);
			/* Made by RFC 2231: stays, whatever else comes. */
			param->extended = true;
		} else
			param->value = p->value;
	}
}

static void
parse_params(struct content_type *t, struct reader *r)
{
	skip_junk(r);
	if (more(r) && peek(r) == ';')
		r->at++;
	while (more(r))
		take_param(r);
	add_params(t, r);
}

static void
begin(struct content_type *t, struct reader *r, struct slice value)
{
	if (value.len > CONTENT_VALUE_MAX)
		value.len = CONTENT_VALUE_MAX;
	if (t->text.max == 0)
		buf_init(&t->text, 2 * (size_t)CONTENT_VALUE_MAX);
	buf_reset(&t->text);
	/* Once as written and once put together: nothing moves later. */
	buf_room(&t->text, 2 * value.len);
	t->nparams = 0;
	t->type = t->subtype = SLICE_EMPTY;
	r->s = value;
	r->at = 0;
	r->n = 0;
	r->text = &t->text;
}

void
content_type_parse(struct content_type *t, struct slice value)
{
	struct reader r;

	begin(t, &r, value);
	skip_space(&r);
	t->type = take_token(&r);
	skip_space(&r);
	if (more(&r) && peek(&r) == '/') {
		r.at++;
		skip_space(&r);
		t->subtype = take_token(&r);
		skip_space(&r);
	}
	if (t->subtype.len == 0 || t->type.len == 0)
		t->type = t->subtype = SLICE_EMPTY;
	parse_params(t, &r);
}

void
content_type_disposition(struct content_type *t, struct slice value)
{
	struct reader r;

	begin(t, &r, value);
	skip_space(&r);
	/* One that forgot the word begins with a parameter. */
	if (!param_at(&r, r.at))
		t->type = take_token(&r);
	skip_space(&r);
	parse_params(t, &r);
}

void
content_type_free(struct content_type *t)
{
	buf_free(&t->text);
	t->nparams = 0;
}

const struct content_param *
content_type_param(const struct content_type *t, const char *name)
{
	for (size_t i = 0; i < t->nparams; i++)
		if (slice_eq(t->params[i].name, slice_of(name)))
			return &t->params[i];
	return NULL;
}

bool
content_type_is(const struct content_type *t, const char *type,
    const char *subtype)
{
	return slice_eq(t->type, slice_of(type)) &&
	    (subtype == NULL || slice_eq(t->subtype, slice_of(subtype)));
}

/* ---- Content-Transfer-Encoding ---- */

static const struct {
	const char *name;
	enum content_encoding encoding;
} encodings[] = {
	{"7bit", ENCODING_7BIT},
	{"8bit", ENCODING_8BIT},
	{"binary", ENCODING_BINARY},
	{"base64", ENCODING_BASE64},
	{"quoted-printable", ENCODING_QP},
	{"x-uuencode", ENCODING_UUENCODE},
	{"uuencode", ENCODING_UUENCODE},
	{"x-uue", ENCODING_UUENCODE},
};

enum content_encoding
content_type_encoding(struct slice value)
{
	struct reader r = {.s = value};
	size_t from;
	struct slice word;

	skip_space(&r);
	/* Some quote it. */
	if (more(&r) && peek(&r) == '"')
		r.at++;
	for (from = r.at; more(&r) && is_token(peek(&r)); r.at++)
		;
	word = slice_sub(value, from, r.at);
	if (word.len == 0)
		return more(&r) ? ENCODING_OTHER : ENCODING_NONE;
	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++)
		if (slice_ieq(word, slice_of(encodings[i].name)))
			return encodings[i].encoding;
	return ENCODING_OTHER;
}

const char *
content_type_encoding_name(enum content_encoding e)
{
	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++)
		if (encodings[i].encoding == e)
			return encodings[i].name;
	return "";
}
