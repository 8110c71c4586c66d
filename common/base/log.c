/*
 * The log: one line an event, built on the stack and written by one write(2) to
 * descriptor 2, where the supervisor's logger reads.  Used by every process, the
 * caged ones too; verbs and keys are ours, values may be anybody's and are
 * escaped here and nowhere else.  Takes no memory, so that the end of memory can
 * still be told.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/num.h"

#define LINE_SIZE 4096  /* PIPE_BUF of Linux: a pipe takes it whole */
#define VALUE_MAX 1000  /* escaped octets of one value, its dots included */
#define SENTENCE_SIZE 2048
#define SID_MAX 31

/* Behind every line there is room for this. */
static const char cut_mark[] = " cut=yes\n";

struct line {
	char s[LINE_SIZE];
	size_t len; /* at most LINE_SIZE - sizeof(cut_mark) */
};

/* The one thing that every line of a process shares. */
static struct {
	const char *name;
	int debug;
	size_t prefix_len;
	size_t sid_len;
	char prefix[64];            /* "NAME[pid]: " */
	char sid[8 + 4 * SID_MAX]; /* " sid=..." or nothing */
} self = {.name = "postern"};

/* What stands in a value without quotes: printable ASCII but space " = \ */
static const unsigned char plain[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1,
	['('] = 1, [')'] = 1, ['*'] = 1, ['+'] = 1, [','] = 1, ['-'] = 1,
	['.'] = 1, ['/'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1,
	['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,
	[':'] = 1, [';'] = 1, ['<'] = 1, ['>'] = 1, ['?'] = 1, ['@'] = 1,
	['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1,
	['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1,
	['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1,
	['S'] = 1, ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,
	['Y'] = 1, ['Z'] = 1, ['['] = 1, [']'] = 1, ['^'] = 1, ['_'] = 1,
	['`'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1,
	['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,
	['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1,
	['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1,
	['x'] = 1, ['y'] = 1, ['z'] = 1, ['{'] = 1, ['|'] = 1, ['}'] = 1,
	['~'] = 1,
};

/* The text of an error number, without taking memory: a number nobody knows is
 * written into tmp. */
static const char *
error_text(int error, char *tmp, size_t size)
{
#ifdef __GLIBC__
	return strerror_r(error, tmp, size);
#else
	(void)tmp;
	(void)size;
	return strerror(error);
#endif
}

static size_t
room(const struct line *l)
{
	return LINE_SIZE - sizeof(cut_mark) - l->len;
}

/* The whole text or nothing. */
static bool
put(struct line *l, const char *s, size_t n)
{
	if (n > room(l))
		return false;
	memcpy(l->s + l->len, s, n);
	l->len += n;
	return true;
}

/* One octet as it stands within quotes; returns its length, at most 4. */
static size_t
escape(unsigned char c, bool quotes, char out[4])
{
	static const char hex[] = "0123456789abcdef";

	if (c < 0x20 || c >= 0x7f) {
		out[0] = '\\';
		out[1] = 'x';
		out[2] = hex[c >> 4];
		out[3] = hex[c & 15];
		return 4;
	}
	if (c == '\\' || (quotes && c == '"')) {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	out[0] = (char)c;
	return 1;
}

/* The escaped octets of s, at most max; what is longer ends in dots.  False:
 * not even its shortened form has room. */
static bool
put_escaped(struct line *l, struct slice s, bool quotes, size_t max)
{
	size_t start = l->len, whole = 0;

	if (max > room(l))
		max = room(l);
	if (max < 3)
		return s.len == 0;
	for (size_t i = 0; i < s.len; i++) {
		size_t n = escape((unsigned char)s.p[i], quotes,
		    l->s + l->len);

		/* LINE_SIZE leaves room for 4 octets too many. */
		if (l->len - start + n > max) {
			memcpy(l->s + start + whole, "...", 3);
			l->len = start + whole + 3;
			return true;
		}
		l->len += n;
		if (l->len - start <= max - 3)
			whole = l->len - start;
	}
	return true;
}

static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!plain[(unsigned char)s.p[i]])
			return false;
	return s.len > 0;
}

static bool
put_value(struct line *l, struct slice s)
{
	if (s.len <= VALUE_MAX && is_plain(s))
		return put(l, s.p, s.len);
	/* A value that must be cut down to nearly nothing says nothing. */
	if (room(l) < 64 && room(l) < 2 + 4 * s.len)
		return false;
	if (!put(l, "\"", 1))
		return false;
	l->len++; /* the closing quote's room */
	if (!put_escaped(l, s, true, VALUE_MAX))
		return false;
	memmove(l->s + l->len, l->s + l->len, 0);
	return true;
}
