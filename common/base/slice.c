/*
 * Slices: comparing, cutting and searching borrowed octets.  Used by every
 * process and on everybody's input; nothing here reads behind a slice's end,
 * stops at NUL or asks for the locale.
 */
#include "common/base/mem.h"
#include "common/base/slice.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ASCII letters only: the one bit by which their cases differ. */
static bool
same_octets_nocase(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned x = (unsigned char)a[i];
		unsigned y = (unsigned char)b[i];

		if (x == y)
			continue;
		if ((x ^ y) != 0x20 || (x | 0x20) < 'a' || (x | 0x20) > 'z')
			return false;
	}
	return true;
}

/* memcmp may not be given NULL, not even with a length of 0. */
static bool
same_octets(const char *a, const char *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

struct slice
slice_sub(struct slice s, size_t from, size_t to)
{
	if (to > s.len)
		to = s.len;
	if (from > to)
		from = to;
	/* Adding even 0 to NULL is undefined. */
	if (s.p == NULL)
		return SLICE_EMPTY;
	return (struct slice){s.p + from, to - from};
}

bool
slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && same_octets(a.p, b.p, a.len);
}

bool
slice_ieq(struct slice a, struct slice b)
{
	return a.len == b.len && same_octets_nocase(a.p, b.p, a.len);
}

bool
slice_prefix(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && same_octets(s.p, prefix.p, prefix.len);
}

bool
slice_iprefix(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len &&
	    same_octets_nocase(s.p, prefix.p, prefix.len);
}

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n > 0 ? memcmp(a.p, b.p, n) : 0;

	if (r != 0)
		return r;
	return (a.len > b.len) - (a.len < b.len);
}

struct slice
slice_trim(struct slice s)
{
	while (s.len > 0 && is_blank(s.p[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_blank(s.p[0])) {
		s.p++;
		s.len--;
	}
	return s;
}

size_t
slice_find(struct slice s, char c, size_t from)
{
	const char *at;

	if (from >= s.len)
		return s.len;
	at = memchr(s.p + from, (unsigned char)c, s.len - from);
	return at != NULL ? (size_t)(at - s.p) : s.len;
}

bool
slice_cut(struct slice *rest, char sep, struct slice *part)
{
	size_t at;

	if (rest->p == NULL)
		return false;
	at = slice_find(*rest, sep, 0);
	*part = (struct slice){rest->p, at};
	if (at == rest->len)
		*rest = (struct slice){NULL, 0};
	else
		*rest = (struct slice){rest->p + at + 1, rest->len - at - 1};
	return true;
}

bool
slice_word(struct slice *rest, struct slice *word)
{
	size_t from = 0, to;

	while (from < rest->len && is_blank(rest->p[from]))
		from++;
	for (to = from; to < rest->len && !is_blank(rest->p[to]); to++)
		continue;
	if (from == to) {
		*rest = slice_sub(*rest, to, to);
		return false;
	}
	*word = (struct slice){rest->p + from, to - from};
	*rest = (struct slice){rest->p + to, rest->len - to};
	return true;
}

char *
slice_dup(struct slice s)
{
	char *copy = mem_grow(NULL, s.len + 1, 1);

	if (s.len > 0)
		memcpy(copy, s.p, s.len);
	copy[s.len] = '\0';
	return copy;
}
