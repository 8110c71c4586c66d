/*
 * Routes: the text of a row of the table "routes" taken apart.  Runs in
 * postern (when the table is compiled), authd and remote; the text is the
 * admin's.
 */
#include "common/base/num.h"
#include "common/conf/route.h"

#define PATH_MOST 107 /* sun_path, its NUL left out */
#define NAME_MOST 255
#define CONCURRENCY_MOST 10000

static const char *
parse_port(struct slice s, uint16_t *out)
{
	uint32_t n;

	if (!num_u32(s, 1, 65535, &n))
		return "the port is not a number from 1 to 65535";
	*out = (uint16_t)n;
	return NULL;
}

/* Letters, digits and hyphens; one label will do: "localhost". */
static bool
is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '.' ? i == 0 || i + 1 == s.len || s.p[i - 1] == '.'
		    : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || c == '-' || c == '_'))
			return false;
	}
	return s.len > 0 && s.len <= NAME_MOST;
}

/* A name or, in brackets, an address. */
static const char *
check_host(struct slice host, bool brackets)
{
	struct ip ip;

	if (brackets && slice_iprefix(host, SLICE("IPv6:")))
		host = slice_sub(host, 5, host.len);
	if (brackets && ip_parse(host, &ip))
		return NULL;
	if (ip_parse(host, &ip))
		return "an address needs brackets: [192.0.2.1]";
	return is_name(host) ? NULL :
	    "the host is neither a name nor an address";
}

/* "HOST", "HOST:PORT", "[HOST]", "[HOST]:PORT" */
static const char *
parse_place(struct slice s, struct route *r)
{
	bool brackets = s.len > 0 && s.p[0] == '[';
	size_t end;
	const char *why;

	if (brackets) {
		end = slice_find(s, ']', 0);
		if (end == s.len)
			return "the bracket is not closed";
		r->host = slice_sub(s, 1, end);
		s = slice_sub(s, end + 1, s.len);
	} else {
		end = slice_find(s, ':', 0);
		r->host = slice_sub(s, 0, end);
		s = slice_sub(s, end, s.len);
	}
	r->kind = brackets ? ROUTE_HOST : ROUTE_MX;
	if ((why = check_host(r->host, brackets)) != NULL)
		return why;
	if (slice_iprefix(r->host, SLICE("IPv6:")))
		r->host = slice_sub(r->host, 5, r->host.len);
	if (s.len == 0)
		return NULL;
	if (s.p[0] != ':')
		return "behind the host may stand :PORT only";
	return parse_port(slice_sub(s, 1, s.len), &r->port);
}

static const char *
parse_smtp(struct slice s, struct route *r)
{
	return parse_place(s, r);
}

static const char *
parse_lmtp(struct slice s, struct route *r)
{
	const char *why;

	r->lmtp = true;
	if (s.len > 0 && s.p[0] == '/') {
		r->kind = ROUTE_UNIX;
		r->path = s;
		return s.len <= PATH_MOST ? NULL : "the path is too long";
	}
	if ((why = parse_place(s, r)) != NULL)
		return why;
	/* RFC 2033 5: not on port 25, and never by MX */
	if (r->kind != ROUTE_HOST)
		return "LMTP is not found by MX records; write the host in "
		    "brackets";
	if (r->port == 0)
		return "LMTP has no port of its own; write lmtp:[HOST]:PORT";
	return r->port != 25 ? NULL : "LMTP must not use port 25";
}

static const char *
parse_source(struct slice value, struct route *r)
{
	struct ip ip;
	bool v4;

	if (!ip_parse(value, &ip))
		return "source= needs an address";
	v4 = ip_is_v4(&ip);
	if (v4 ? r->has_source4 : r->has_source6)
		return "source= stands there twice for one family";
	if (v4) {
		r->has_source4 = true;
		r->source4 = ip;
	} else {
		r->has_source6 = true;
		r->source6 = ip;
	}
	return NULL;
}

static bool
is_bracketed(struct slice s)
{
	struct ip ip;

	if (s.len < 3 || s.p[0] != '[' || s.p[s.len - 1] != ']')
		return false;
	s = slice_sub(s, 1, s.len - 1);
	if (slice_iprefix(s, SLICE("IPv6:")))
		s = slice_sub(s, 5, s.len);
	return ip_parse(s, &ip);
}

static const char *
parse_option(struct slice word, struct route *r)
{
	size_t eq = slice_find(word, '=', 0);
	struct slice key = slice_sub(word, 0, eq);
	struct slice value = slice_sub(word, eq + 1, word.len);

	if (slice_eq(key, SLICE("source")))
		return parse_source(value, r);
	if (slice_eq(key, SLICE("concurrency")))
		return num_u32(value, 1, CONCURRENCY_MOST, &r->concurrency)
		    ? NULL : "concurrency= needs a number from 1 to 10000";
	if (slice_eq(key, SLICE("helo"))) {
		r->helo = value;
		return is_name(value) || is_bracketed(value) ? NULL :
		    "helo= needs a name, or an address in brackets";
	}
	return "unknown option; allowed: source=ADDRESS, concurrency=N, "
	    "helo=NAME";
}

static const char *
parse(struct slice text, struct route *r)
{
	static const struct {
		struct slice word;
		const char *(*fn)(struct slice rest, struct route *r);
	} kinds[] = {
		{SLICE_INIT("smtp:"), parse_smtp},
		{SLICE_INIT("lmtp:"), parse_lmtp},
	};
	struct slice rest = slice_trim(text), word = SLICE_EMPTY;
	const char *why = "unknown kind; allowed: mx, smtp:HOST, "
	    "smtp:[HOST]:PORT, lmtp:[HOST]:PORT, lmtp:/PATH, error:TEXT";

	r->kind = ROUTE_MX;
	if (slice_iprefix(rest, SLICE("error:"))) {
		r->kind = ROUTE_ERROR;
		r->text = slice_trim(slice_sub(rest, 6, rest.len));
		return NULL;
	}
	if (rest.len == 0 || !slice_word(&rest, &word))
		return NULL;
	if (slice_ieq(word, SLICE("mx")))
		why = NULL;
	else
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (slice_iprefix(word, kinds[i].word))
				why = kinds[i].fn(slice_sub(word,
				    kinds[i].word.len, word.len), r);
	while (why == NULL && slice_word(&rest, &word))
		why = parse_option(word, r);
	return why;
}

bool
route_parse(struct slice text, struct route *out, const char **why)
{
	struct route r = {.host = SLICE_EMPTY, .path = SLICE_EMPTY,
	    .text = SLICE_EMPTY, .helo = SLICE_EMPTY};
	const char *wrong = parse(text, &r);

	if (wrong != NULL) {
		*why = wrong;
		return false;
	}
	*out = r;
	return true;
}
