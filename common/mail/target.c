/*
 * Targets: the right-hand side of aliases and the lines of a per-user forward
 * file, cut into addresses, programs, includes and Maildirs, and the words of a
 * program's command line.  Runs in authd (aliases and lists, written by admins
 * or list owners) and in local (forward files, written by users): a broken
 * target is reported and skipped, never guessed at.
 */
#include "common/base/buf.h"
#include "common/mail/address.h"
#include "common/mail/target.h"

#define TARGET_PATH_MAX 4095

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.p[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_blank(s.p[0]))
		s = slice_sub(s, 1, s.len);
	return s;
}

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') ||
		    s.p[i] == 0x7f)
			return true;
	return false;
}

/* Behind the quote that closes the one at s[0], within the line; 0: none. */
static size_t
quoted_end(struct slice s)
{
	for (size_t i = 1; i < s.len && s.p[i] != '\n'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len && s.p[i + 1] != '\n')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/*
 * To the first target: over separators, blanks and comment lines.  The
 * separator in front of what is left tells a line's start from the place
 * behind a comma, where '#' belongs to an address.
 */
static void
skip_to_target(struct slice *rest)
{
	bool line_start = true;

	while (rest->len > 0) {
		char c = rest->p[0];

		if (c == '\n')
			line_start = true;
		else if (c == ',')
			line_start = false;
		else if (c == '#' && line_start) {
			*rest = slice_sub(*rest, slice_find(*rest, '\n', 0),
			    rest->len);
			continue;
		} else if (!is_blank(c))
			return;
		*rest = slice_sub(*rest, 1, rest->len);
	}
}

/* The octets of the target at the start of s, up to its separator. */
static size_t
extent(struct slice s)
{
	bool to_line_end = s.len > 0 && s.p[0] == '|';
	size_t i = 0, end;

	while (i < s.len && s.p[i] != '\n') {
		if (!to_line_end && s.p[i] == ',')
			break;
		/* A quote that is never closed is found by the checks. */
		if (!to_line_end && s.p[i] == '"' &&
		    (end = quoted_end(slice_sub(s, i, s.len))) > 0)
			i += end;
		else
			i++;
	}
	return i;
}

static const char *
path_fault(struct slice path)
{
	if (path.len == 0 || path.p[0] != '/')
		return "path does not begin with /";
	if (path.len > TARGET_PATH_MAX)
		return "path too long";
	return NULL;
}

static const char *
address_fault(struct slice text)
{
	struct address a;
	const char *why = NULL;

	if (text.len > 0 && address_local(text, true, &why))
		return NULL;
	if (text.len > 0 && address_parse(text, true, &a, &why))
		return NULL;
	return why != NULL ? why : "empty address";
}

/* What the octets mean; NULL, or what is wrong with them. */
static const char *
classify(struct slice s, struct target *out)
{
	static const struct slice include = {":include:", 9};

	*out = (struct target){TARGET_ADDRESS, s};
	if (has_control(s))
		return "control character in the target";
	switch (s.p[0]) {
	case '|':
		*out = (struct target){TARGET_PROGRAM,
		    trim(slice_sub(s, 1, s.len))};
		return out->text.len > 0 ? NULL : "no program behind the bar";
	case '\\':
		*out = (struct target){TARGET_MAILBOX,
		    slice_sub(s, 1, s.len)};
		return address_fault(out->text);
	case ':':
		*out = (struct target){TARGET_INCLUDE,
		    trim(slice_sub(s, include.len, s.len))};
		return slice_iprefix(s, include) ? path_fault(out->text)
		    : "unknown :word:, only :include: is known";
	case '/':
		*out = (struct target){TARGET_MAILDIR, s};
		if (s.p[s.len - 1] != '/')
			return "path of a Maildir must end in / (files are not "
			       "appended to)";
		return path_fault(s);
	default:
		return address_fault(s);
	}
}

int
target_next(struct slice *rest, struct target *out, const char **why)
{
	struct target t;
	struct slice s;
	const char *fault;
	size_t n;

	skip_to_target(rest);
	if (rest->len == 0)
		return 0;
	n = extent(*rest);
	s = trim(slice_sub(*rest, 0, n));
	*rest = slice_sub(*rest, n, rest->len);
	/* Quotes round a whole target; those of "a b"@example.org stay. */
	if (s.p[0] == '"' && (n = quoted_end(s)) == s.len) {
		struct slice inner = trim(slice_sub(s, 1, n - 1));

		if (inner.len > 0 && (inner.p[0] == '|' || inner.p[0] == ':' ||
		    inner.p[0] == '/' || inner.p[0] == '\\'))
			s = inner;
	}
	if ((fault = classify(s, &t)) != NULL) {
		*why = fault;
		return -1;
	}
	*out = t;
	return 1;
}

enum quote { BARE, SINGLE, DOUBLE };

/* One word of the command line, appended to out with its NUL. */
static bool
add_word(struct slice command, size_t *at, struct buf *out)
{
	enum quote quote = BARE;
	size_t i = *at;

	for (; i < command.len; i++) {
		char c = command.p[i];

		if (c == '\0')
			return false;
		if (quote == BARE && (is_blank(c) || c == '\n'))
			break;
		if (c == '\'' && quote != DOUBLE)
			quote = quote == BARE ? SINGLE : BARE;
		else if (c == '"' && quote != SINGLE)
			quote = quote == BARE ? DOUBLE : BARE;
		else if (c == '\\' && quote != SINGLE) {
			if (++i == command.len || command.p[i] == '\0')
				return false;
			buf_addc(out, command.p[i]);
		} else
			buf_addc(out, c);
	}
	buf_addc(out, '\0');
	*at = i;
	return quote == BARE;
}

int
target_words(struct slice command, struct buf *out, size_t most)
{
	size_t at = 0, n = 0;

	for (;;) {
		while (at < command.len &&
		    (is_blank(command.p[at]) || command.p[at] == '\n'))
			at++;
		if (at == command.len)
			break;
		if (n == most || !add_word(command, &at, out) || out->overflow)
			return -1;
		n++;
	}
	return (int)n;
}
