/*
 * Lists of addresses of header fields and command lines.  In sendmail, on what
 * its caller typed or piped in; in smtpd and pickup on what submitters send.
 *
 * One pass from left to right takes words, dots and signs; what a word was good
 * for is known when the next sign comes: in front of '<' it was a name, in front
 * of ':' a group's, else a part of the address.
 */
#include "common/base/buf.h"
#include "common/mail/address.h"
#include "common/mail/addrlist.h"

#define PART_MAX 1000 /* wider than any valid one: the grammar says it is */

/* The element in hand. */
struct element {
	struct buf local;    /* plain: quotes and backslashes resolved */
	struct buf domain;
	bool at;             /* the '@' came */
	bool angle;          /* within '<' and '>' */
	bool closed;         /* '>' came: nothing may follow */
	bool quotes;         /* the local part was written with quotes */
	bool apart;          /* two words without a dot between them */
	bool word;           /* the last thing was a word */
	bool any;            /* something came */
	const char *end;     /* of the local part, in the text */
	const char *why;     /* what is wrong, or NULL */
};

static void
element_reset(struct element *e)
{
	buf_reset(&e->local);
	buf_reset(&e->domain);
	e->at = e->quotes = e->apart = e->word = false;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the comment that opens at at; its end when it is not closed. */
static size_t
skip_comment(struct slice s, size_t at)
{
	size_t depth = 0;

	for (; at < s.len; at++) {
		if (s.p[at] == '\\') {
			at++;
			continue;
		}
		if (s.p[at] == '(')
			depth++;
		else if (s.p[at] == ')' && --depth == 0)
			return at + 1;
	}
	return s.len;
}

/* The quoted string that opens at at, without its quotes; behind it.  Line
 * ends of folding are no part of it (RFC 5322 3.2.4). */
static size_t
take_quoted(struct slice s, size_t at, struct buf *out, const char **why)
{
	for (at++; at < s.len && s.p[at] != '"'; at++) {
		if (s.p[at] == '\r' || s.p[at] == '\n')
			continue;
		if (s.p[at] == '\\' && at + 1 < s.len)
			at++;
		buf_addc(out, s.p[at]);
	}
	if (at >= s.len) {
		*why = "quoted string is not closed";
		return s.len;
	}
	return at + 1;
}

static size_t
take_literal(struct slice s, size_t at, struct buf *out, const char **why)
{
	for (; at < s.len && s.p[at] != ']'; at++)
		if (!blank(s.p[at]))
			buf_addc(out, s.p[at]);
	if (at >= s.len) {
		*why = "address literal is not closed";
		return s.len;
	}
	buf_addc(out, ']');
	return at + 1;
}

static bool
one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* What ends an atom. */
static bool
special(char c)
{
	return blank(c) || one_of(c, "()<>[]:;@\\,.\"");
}

static size_t
take_atom(struct slice s, size_t at, struct buf *out)
{
	for (; at < s.len; at++) {
		/* RFC 5322 4.1: a quoted pair may stand anywhere. */
		if (s.p[at] == '\\' && at + 1 < s.len)
			at++;
		else if (special(s.p[at]))
			break;
		buf_addc(out, s.p[at]);
	}
	return at;
}

/* A word, a quoted string or a literal: part of the name or address. */
static size_t
take_word(struct slice s, size_t at, struct element *e)
{
	struct buf *to = e->at ? &e->domain : &e->local;
	size_t start = at;

	if (e->closed)
		e->why = "text behind the closing bracket";
	if (e->word)
		e->apart = true;
	e->word = true;
	if (s.p[at] == '"') {
		e->quotes = true;
		if (e->at)
			e->why = "quotes in the domain";
		return take_quoted(s, at, to, &e->why);
	}
	if (s.p[at] == '[' && e->at)
		return take_literal(s, at, to, &e->why);
	at = take_atom(s, at, to);
	if (at == start) { /* a sign that has no business here */
		if (e->why == NULL && (e->angle || e->at))
			e->why = "character not allowed in the address";
		e->apart = true;
		at++;
	}
	return at;
}

/* RFC 5322 4.4 obs-route: "<@a.example,@b.example:ann@c.example>" */
static size_t
skip_route(struct slice s, size_t at)
{
	size_t end = at;

	while (end < s.len && blank(s.p[end]))
		end++;
	if (end >= s.len || s.p[end] != '@')
		return at;
	while (end < s.len && s.p[end] != ':' && s.p[end] != '>')
		end++;
	return end < s.len && s.p[end] == ':' ? end + 1 : at;
}

static size_t
take_sign(struct slice s, size_t at, struct element *e)
{
	struct buf *to = e->at ? &e->domain : &e->local;

	switch (s.p[at]) {
	case '.':
		/* Dots in a name without quotes are old and common. */
		buf_addc(to, '.');
		e->word = false;
		return at + 1;
	case '@':
		if (e->at || e->closed)
			e->why = "more than one @ in the address";
		e->at = true;
		e->word = false;
		return at + 1;
	case '<':
		if (e->angle || e->closed)
			e->why = "bracket within brackets";
		element_reset(e); /* it was the name */
		e->angle = true;
		return skip_route(s, at + 1);
	default: /* '>' */
		if (!e->angle)
			e->why = "closing bracket without an opening one";
		e->angle = false;
		e->closed = true;
		return at + 1;
	}
}

/* The local part in the form SMTP wants. */
static void
put_local(const struct element *e, struct buf *out)
{
	const char *why;

	if (!e->quotes || address_local(buf_slice(&e->local), true, &why)) {
		buf_addslice(out, buf_slice(&e->local));
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < e->local.len; i++) {
		if (e->local.s[i] == '"' || e->local.s[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, e->local.s[i]);
	}
	buf_addc(out, '"');
}

static bool
element_ok(struct element *e, struct buf *out)
{
	struct address a;

	if (e->why == NULL && e->angle)
		e->why = "bracket is not closed";
	if (e->why == NULL && e->apart)
		e->why = "words without brackets around the address";
	if (e->why == NULL && (e->local.overflow || e->domain.overflow))
		e->why = "address too long";
	if (e->why != NULL)
		return false;
	if (e->closed && !e->at && !e->quotes && e->local.len == 0)
		return true; /* <> */
	put_local(e, out);
	if (!e->at)
		return address_local(buf_slice(out), true, &e->why);
	buf_addc(out, '@');
	/* A root's dot behind the domain is no part of it (RFC 5321 2.3.5). */
	if (e->domain.len > 1 && e->domain.s[e->domain.len - 1] == '.')
		e->domain.s[--e->domain.len] = '\0';
	buf_addslice(out, buf_slice(&e->domain));
	return address_parse(buf_slice(out), true, &a, &e->why);
}

/* One element up to the ',' or ';' behind it, or the end. */
static size_t
take_element(struct addrlist *list, struct element *e, size_t *start)
{
	struct slice s = list->rest;
	size_t at = 0;

	*start = 0;
	while (at < s.len) {
		char c = s.p[at];

		if (blank(c)) {
			at++;
			continue;
		}
		if (c == '(') {
			at = skip_comment(s, at);
			continue;
		}
		if (c == ',' && !e->angle)
			return at;
		/* The end of a group, and the comma of some programs. */
		if (c == ';' && !e->angle) {
			list->in_group = false;
			return at;
		}
		if (c == ':' && !e->angle && !e->at && !e->closed &&
		    !list->in_group) {
			list->in_group = true;
			element_reset(e);
			e->any = false;
			e->why = NULL;
			*start = ++at;
			continue;
		}
		e->any = true;
		if (one_of(c, ".@<>")) {
			at = take_sign(s, at, e);
			continue;
		}
		at = take_word(s, at, e);
		if (!e->at)
			e->end = s.p + at;
	}
	return at;
}

int
addrlist_next(struct addrlist *list, struct buf *out, const char **why)
{
	struct element e = {.local = BUF_INIT(PART_MAX),
	    .domain = BUF_INIT(PART_MAX)};
	struct slice whole;
	size_t start, end;
	int result = 0;

	buf_reset(out);
	list->bare = NULL;
	while (result == 0 && list->rest.len > 0) {
		element_reset(&e);
		e.angle = e.closed = e.any = false;
		e.why = NULL;
		end = take_element(list, &e, &start);
		whole = slice_sub(list->rest, start, end);
		list->rest = slice_sub(list->rest, end + 1, list->rest.len);
		if (!e.any) /* RFC 5322 4.4: empty elements */
			continue;
		result = element_ok(&e, out) && !out->overflow ? 1 : -1;
		if (result == 1 && !e.at && out->len > 0)
			list->bare = e.end;
		if (result == 1)
			break;
		*why = e.why != NULL ? e.why : "address too long";
		buf_reset(out);
		whole = slice_trim(whole);
		buf_addslice(out, slice_sub(whole, 0, out->max));
	}
	buf_free(&e.local);
	buf_free(&e.domain);
	return result;
}
