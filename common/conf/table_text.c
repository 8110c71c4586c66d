/*
 * The text of tables: lines to entries, and the fields of a user.  Runs in the
 * admin's command on the admin's files; the fields of a user are taken apart
 * in authd too.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/num.h"
#include "common/conf/route.h"
#include "common/conf/table.h"
#include "common/conf/table_int.h"

#define SHOWN_MAX 80 /* octets of foreign text repeated in a message */
#define UID_LAST 4294967294u

struct reader {
	enum table_kind kind;
	const char *shown;
	struct buf *errors;
	struct slice text;
	size_t at;         /* of the next line */
	unsigned line;     /* of the line before it */
	struct buf joined; /* the entry at hand without its key and newlines */
	struct buf key;
	bool failed;
};

const char *
table_name(enum table_kind kind)
{
	static const char *const names[] = {
		[TABLE_DOMAINS] = "domains",
		[TABLE_ALIASES] = "aliases",
		[TABLE_USERS] = "users",
		[TABLE_ROUTES] = "routes",
	};

	return names[kind];
}

void
table_complain(struct buf *errors, const char *shown, unsigned line,
    const char *fmt, ...)
{
	va_list ap;

	buf_adds(errors, shown);
	if (line > 0)
		buf_printf(errors, ":%u", line);
	buf_adds(errors, ": ");
	va_start(ap, fmt);
	buf_vprintf(errors, fmt, ap);
	va_end(ap);
	buf_addc(errors, '\n');
}

void
table_fold(struct slice key, struct buf *out)
{
	size_t i;

	buf_reset(out);
	for (i = 0; i < key.len; i++) {
		char c = key.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		buf_addc(out, c);
	}
}

bool
table_is_comment(struct slice line)
{
	line = slice_trim(line);
	return line.len == 0 || line.p[0] == '#';
}

/* Control characters could forge lines in logs and protocols. */
static bool
has_control(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') ||
		    s.p[i] == 0x7f)
			return true;
	return false;
}

/* Where the octet c first stands outside of "quoted text". */
static size_t
find_unquoted(struct slice s, char c)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] == c)
			return i;
	}
	return s.len;
}

/* Letters, digits, '-' and '.', UTF-8; no empty label. */
static bool
is_domain(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '.' ? i == 0 || i + 1 == s.len || s.p[i - 1] == '.' :
		    !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
		    c >= 0x80))
			return false;
	}
	return s.len > 0 && s.len <= 255;
}

/* user@domain, @domain or a bare name; the finer rules are authd's. */
static bool
is_address(struct slice s, bool domain_alone)
{
	size_t at = find_unquoted(s, '@');
	struct slice local = slice_sub(s, 0, at);

	if (at < s.len && !is_domain(slice_sub(s, at + 1, s.len)))
		return false;
	if (local.len == 0)
		return domain_alone && at < s.len;
	if (local.p[0] == '"')
		return local.len > 2 && local.p[local.len - 1] == '"';
	return find_unquoted(local, ' ') == local.len &&
	    slice_find(local, '"', 0) == local.len &&
	    slice_find(local, '\t', 0) == local.len;
}

static struct slice
line_at(const struct reader *r, size_t at)
{
	return slice_sub(r->text, at, slice_find(r->text, '\n', at));
}

static void
next_line(struct reader *r, struct slice line)
{
	r->at += line.len;
	if (r->at < r->text.len)
		r->at++; /* the newline; the last line may have none */
	r->line++;
}

/* Appends the lines that belong to an alias; comments do not end it. */
static size_t
join_lines(struct reader *r)
{
	size_t end = r->at, at = r->at;
	unsigned line = r->line, last = r->line;
	struct slice next;

	while (at < r->text.len) {
		next = line_at(r, at);
		if (!table_is_comment(next) && next.p[0] != ' ' &&
		    next.p[0] != '\t')
			break;
		at += next.len < r->text.len - at ? next.len + 1 : next.len;
		line++;
		if (table_is_comment(next))
			continue;
		if (r->joined.len > 0)
			buf_addc(&r->joined, ' ');
		buf_addslice(&r->joined, slice_trim(next));
		end = at;
		last = line;
	}
	/* Comments behind the last line are the next entry's. */
	r->at = end;
	r->line = last;
	return end;
}

static const char *
entry_domain(struct slice line, struct table_entry *e)
{
	struct slice rest = line;

	e->key = SLICE_EMPTY;
	(void)slice_word(&rest, &e->key);
	e->value = slice_trim(rest);
	if (!is_domain(e->key))
		return "not a domain; allowed: one domain a line, like "
		    "example.org";
	if (e->value.len > 0 && !slice_eq(e->value, TABLE_RELAY))
		return "behind the domain may stand the word relay only";
	return NULL;
}

/* example.org, [192.0.2.1], .example.org, ann@example.org, * */
static bool
is_route_key(struct slice s)
{
	if (slice_eq(s, SLICE("*")))
		return true;
	if (slice_prefix(s, SLICE("[")))
		return slice_find(s, ']', 0) == s.len - 1;
	if (slice_prefix(s, SLICE(".")))
		return is_domain(slice_sub(s, 1, s.len));
	return find_unquoted(s, '@') < s.len ? is_address(s, false)
	    : is_domain(s);
}

static const char *
entry_route(struct slice line, struct table_entry *e)
{
	struct slice rest = line;
	const char *why = NULL;
	struct route route;

	e->key = SLICE_EMPTY;
	(void)slice_word(&rest, &e->key);
	e->value = slice_trim(rest);
	if (!is_route_key(e->key))
		return "the key is wrong; allowed: example.org, .example.org, "
		    "user@example.org, *";
	if (e->value.len == 0)
		return "no route; allowed: KEY ROUTE, like example.org "
		    "smtp:[192.0.2.1]:25";
	if (e->value.len > ROUTE_TEXT_MAX)
		return "the route is too long";
	return route_parse(e->value, &route, &why) ? NULL : why;
}

static const char *
entry_alias(struct reader *r, struct slice line, struct table_entry *e)
{
	size_t colon = find_unquoted(line, ':');

	e->key = slice_trim(slice_sub(line, 0, colon));
	buf_reset(&r->joined);
	buf_addslice(&r->joined,
	    slice_trim(slice_sub(line, colon + 1, line.len)));
	e->to = join_lines(r);
	e->value = buf_slice(&r->joined);
	if (line.p[0] == ' ' || line.p[0] == '\t')
		return "goes on an entry, but there is none before it; "
		    "remove the white space at its start";
	if (colon == line.len)
		return "no colon; allowed: KEY: TARGET, TARGET";
	if (!is_address(e->key, true))
		return "the key is not an address; allowed: user@domain, "
		    "@domain, or a bare name";
	if (e->value.len == 0)
		return "no targets; name at least one, or remove the entry";
	return NULL;
}

static const char *
entry_user(struct slice line, struct table_entry *e)
{
	struct table_user u;
	const char *why;

	e->value = line;
	if (!table_user_parse(line, &u, &why))
		return why;
	e->key = u.name;
	return NULL;
}

static const char *
entry_parse(struct reader *r, struct slice line, struct table_entry *e)
{
	const char *why = NULL;

	switch (r->kind) {
	case TABLE_DOMAINS:
		why = entry_domain(line, e);
		break;
	case TABLE_ALIASES:
		why = entry_alias(r, line, e);
		break;
	case TABLE_USERS:
		why = entry_user(line, e);
		break;
	case TABLE_ROUTES:
		why = entry_route(line, e);
		break;
	}
	if (why != NULL)
		return why;
	if (e->key.len > TABLE_KEY_MAX || r->joined.overflow ||
	    e->value.len > TABLE_VALUE_MAX)
		return "the entry is too long; split it";
	if (has_control(e->key) || has_control(e->value))
		return "has a control character (a CR of DOS line ends?); "
		    "allowed: printable text";
	return NULL;
}

static bool
read_entry(struct reader *r,
    bool (*fn)(void *arg, const struct table_entry *e), void *arg)
{
	struct slice line = line_at(r, r->at);
	struct table_entry e = {.key = SLICE_EMPTY, .value = SLICE_EMPTY,
	    .from = r->at};
	const char *why;

	next_line(r, line);
	e.to = r->at;
	e.line = r->line;
	if (table_is_comment(line))
		return true;
	why = entry_parse(r, line, &e);
	if (why == NULL) {
		table_fold(e.key, &r->key);
		e.key = buf_slice(&r->key);
		return fn(arg, &e);
	}
	line = slice_sub(line, 0, slice_find(line, ':', 0)); /* no password */
	line = slice_sub(line, 0, SHOWN_MAX);
	table_complain(r->errors, r->shown, e.line, "\"%.*s\": %s",
	    has_control(line) ? 0 : (int)line.len, line.p, why);
	r->failed = true;
	return true;
}

bool
table_text_each(enum table_kind kind, struct slice text, const char *shown,
    struct buf *errors, bool (*fn)(void *arg, const struct table_entry *e),
    void *arg)
{
	struct reader r = {.kind = kind, .shown = shown, .errors = errors,
	    .text = text, .joined = BUF_INIT(TABLE_VALUE_MAX),
	    .key = BUF_INIT(TABLE_KEY_MAX)};
	bool more = true;

	while (more && r.at < text.len)
		more = read_entry(&r, fn, arg);
	buf_free(&r.joined);
	buf_free(&r.key);
	return more && !r.failed;
}

/* ---- users ---- */

static bool
parse_id(struct slice s, uint32_t *out)
{
	*out = 0;
	return s.len == 0 || num_u32(s, 0, UID_LAST, out);
}

/* The value of an extra field mail=... (Dovecot also writes userdb_mail=). */
static bool
is_mail(struct slice field, struct slice *value)
{
	if (slice_prefix(field, SLICE("userdb_")))
		field = slice_sub(field, 7, field.len);
	if (!slice_prefix(field, SLICE("mail=")))
		return false;
	*value = slice_sub(field, 5, field.len);
	return true;
}

static const char *
parse_extra(struct slice extra, struct table_user *u)
{
	struct slice rest = extra, word, value;
	bool seen = false;

	u->extra = slice_trim(extra);
	while (slice_word(&rest, &word)) {
		if (!is_mail(word, &value))
			continue;
		if (seen)
			return "mail= stands there twice; remove one";
		seen = true;
		if (!slice_prefix(value, SLICE("maildir:")))
			return "only mail=maildir:PATH is supported; convert "
			    "the mailbox, or remove the field";
		u->maildir = slice_sub(value, 8, value.len);
		if (slice_find(u->maildir, ':', 0) < u->maildir.len)
			return "mail=maildir:PATH with options behind the "
			    "path is not supported; remove them";
		if (!slice_prefix(u->maildir, SLICE("/")) &&
		    !slice_prefix(u->maildir, SLICE("~/")))
			return "mail=maildir: needs an absolute path or one "
			    "that starts with ~/";
	}
	return NULL;
}

bool
table_user_parse(struct slice value, struct table_user *out,
    const char **why)
{
	enum { PASSWORD, UID, GID, GECOS, HOME, SHELL, FIELDS };
	struct table_user u = {.maildir = SLICE_EMPTY};
	struct slice f[FIELDS], rest;
	size_t colon = find_unquoted(value, ':'), i;

	u.name = slice_sub(value, 0, colon);
	for (i = 0; i < FIELDS; i++) {
		f[i] = SLICE_EMPTY;
		if (colon < value.len) {
			size_t end = slice_find(value, ':', colon + 1);

			f[i] = slice_sub(value, colon + 1, end);
			colon = end;
		}
	}
	/* The extra fields may have colons of their own. */
	rest = slice_sub(value, colon < value.len ? colon + 1 : value.len,
	    value.len);
	u.password = f[PASSWORD];
	u.gecos = f[GECOS];
	u.home = f[HOME];
	u.shell = f[SHELL];
	*why = NULL;
	if (find_unquoted(value, ':') == value.len)
		*why = "no colon; allowed: "
		    "user@domain:{SCHEME}HASH:UID:GID:NAME:HOME::EXTRA";
	else if (!is_address(u.name, false))
		*why = "the name is not an address; allowed: user@domain or a "
		    "bare name";
	else if (!parse_id(f[UID], &u.uid))
		*why = "the uid is not a number; allowed: 1 to 4294967294, or "
		    "nothing for user_virtual's";
	else if (!parse_id(f[GID], &u.gid))
		*why = "the gid is not a number; allowed: 1 to 4294967294, or "
		    "nothing for user_virtual's";
	else if (u.home.len > 0 && u.home.p[0] != '/')
		*why = "the home directory is not an absolute path; give one, "
		    "or nothing for the one below mail_root";
	else
		*why = parse_extra(rest, &u);
	if (*why != NULL)
		return false;
	*out = u;
	return true;
}

static void
add_id(struct buf *out, uint32_t id)
{
	buf_addc(out, ':');
	if (id != 0)
		buf_addu(out, id);
}

static void
add_field(struct buf *out, struct slice s)
{
	buf_addc(out, ':');
	if (s.len > 0)
		buf_addslice(out, s);
}

static bool
names_mail(struct slice extra)
{
	struct slice word, value;

	while (extra.len > 0 && slice_word(&extra, &word))
		if (is_mail(word, &value))
			return true;
	return false;
}

bool
table_user_format(const struct table_user *u, struct buf *out)
{
	size_t from = out->len;
	struct table_user check;
	struct slice line;
	const char *why;

	buf_addslice(out, u->name);
	add_field(out, u->password);
	add_id(out, u->uid);
	add_id(out, u->gid);
	add_field(out, u->gecos);
	add_field(out, u->home);
	add_field(out, u->shell);
	buf_addc(out, ':');
	if (u->extra.len > 0)
		buf_addslice(out, u->extra);
	if (u->maildir.len > 0 && !names_mail(u->extra)) {
		if (u->extra.len > 0)
			buf_addc(out, ' ');
		buf_adds(out, "userdb_mail=maildir:");
		buf_addslice(out, u->maildir);
	}
	/* Octets that mean something in the line would shift the fields. */
	line = slice_sub(buf_slice(out), from, out->len);
	return !out->overflow && !has_control(line) &&
	    table_user_parse(line, &check, &why) &&
	    slice_eq(check.name, u->name) &&
	    slice_eq(check.password, slice_mem(u->password.p,
	    u->password.len)) &&
	    check.uid == u->uid && check.gid == u->gid &&
	    slice_eq(check.home, slice_mem(u->home.p, u->home.len)) &&
	    slice_eq(check.maildir, slice_mem(u->maildir.p, u->maildir.len)) &&
	    slice_prefix(check.extra, slice_mem(u->extra.p, u->extra.len));
}
