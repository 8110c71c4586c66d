/*
 * Reads lines that common/base/log.c wrote, whatever logger put its own words
 * in front.  In the admin's command; log files may hold anybody's lines.
 */
#include "common/base/buf.h"
#include "common/base/num.h"
#include "postern/logline.h"

#define HOST_WORDS 3 /* of a logger in front of "smtpd[312]: " */

static bool
is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_lower(s.p[i]) && s.p[i] != '_')
			return false;
	return s.len > 0;
}

/* "smtpd[312]:" */
static bool
take_program(struct slice word, struct logline *out)
{
	size_t at = slice_find(word, '[', 0);
	uint32_t pid;

	if (at == 0 || word.len < at + 4 || word.p[word.len - 1] != ':' ||
	    word.p[word.len - 2] != ']' ||
	    !is_word(slice_sub(word, 0, at)) ||
	    !num_u32(slice_sub(word, at + 1, word.len - 2), 0, UINT32_MAX,
	    &pid))
		return false;
	out->program = slice_sub(word, 0, at);
	out->pid = pid;
	return true;
}

bool
logline_parse(struct slice line, int64_t now_ms, struct logline *out)
{
	struct logline l = {.program = SLICE_EMPTY};
	struct slice word;
	int strange = 0;

	l.kind = logtime_take(&line, now_ms, &l.us);
	for (;;) {
		struct slice rest = line;

		if (!slice_cut(&rest, ' ', &word))
			return false;
		if (!take_program(word, &l)) {
			if (l.program.len > 0)
				break;
			if (++strange > HOST_WORDS)
				return false;
		}
		line = rest;
		/* Twice where a logger puts it in front, too. */
	}
	if (!is_word(word))
		return false;
	l.verb = word;
	l.fields = slice_sub(line, word.len + 1, line.len);
	*out = l;
	return true;
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	    : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is behind the opening quote, to the closing one; *at behind that. */
static bool
quoted(struct slice s, size_t *at, struct buf *value)
{
	int high, low;

	while (*at < s.len && s.p[*at] != '"') {
		if (s.p[*at] != '\\') {
			buf_addc(value, s.p[(*at)++]);
			continue;
		}
		if (*at + 1 >= s.len)
			return false;
		if (s.p[*at + 1] != 'x') {
			buf_addc(value, s.p[*at + 1]);
			*at += 2;
			continue;
		}
		high = *at + 3 < s.len ? hex(s.p[*at + 2]) : -1;
		low = *at + 3 < s.len ? hex(s.p[*at + 3]) : -1;
		if (high < 0 || low < 0)
			return false;
		buf_addc(value, (char)(16 * high + low));
		*at += 4;
	}
	return (*at)++ < s.len;
}

bool
logline_field(struct slice *rest, struct slice *key, struct buf *value)
{
	struct slice s = *rest;
	size_t equals = slice_find(s, '=', 0), at = equals + 1, end;

	buf_reset(value);
	if (equals >= s.len || !is_word(slice_sub(s, 0, equals)))
		return false;
	if (at < s.len && s.p[at] == '"') {
		at++;
		if (!quoted(s, &at, value))
			return false;
	} else {
		end = slice_find(s, ' ', at);
		buf_addslice(value, slice_sub(s, at, end));
		at = end;
	}
	if (at < s.len && s.p[at] != ' ')
		return false;
	*key = slice_sub(s, 0, equals);
	*rest = slice_sub(s, at + 1, s.len);
	return !value->overflow;
}

bool
logline_get(const struct logline *l, const char *key, struct buf *value)
{
	struct slice rest = l->fields, name;

	while (logline_field(&rest, &name, value))
		if (slice_eq(name, slice_of(key)))
			return true;
	buf_reset(value);
	return false;
}
