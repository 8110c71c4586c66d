/*
 * A borrowed view of octets.  It owns nothing and dies with the buffer it
 * points into.  Octets may be anything, NUL included.
 */
#ifndef COMMON_BASE_SLICE_H
#define COMMON_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *p; /* never NULL when made by the functions below */
	size_t len;
};

/* A list of slices, as channel records and parsers return it. */
struct slices {
	struct slice *v; /* owned by whoever decoded it */
	size_t n;
};

#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
/* The same in the initializer of a static table. */
#define SLICE_INIT(lit) {(lit), sizeof(lit) - 1}
#define SLICE_EMPTY ((struct slice){"", 0})
/* For printf: printf("%.*s", SLICE_FMT(s)) */
#define SLICE_FMT(s) (int)(s).len, (s).p

static inline struct slice
slice_of(const char *s)
{
	return (struct slice){s, strlen(s)};
}

static inline struct slice
slice_mem(const void *p, size_t len)
{
	return (struct slice){len > 0 ? p : "", len};
}

/* Octets [from, to) of s; both are clamped to the slice. */
struct slice slice_sub(struct slice s, size_t from, size_t to);

/* Equal octets; slice_ieq ignores the case of ASCII letters only. */
bool slice_eq(struct slice a, struct slice b);
bool slice_ieq(struct slice a, struct slice b);
bool slice_prefix(struct slice s, struct slice prefix);
bool slice_iprefix(struct slice s, struct slice prefix);

/* memcmp order, the shorter of two with a common start first. */
int slice_cmp(struct slice a, struct slice b);

/* Without spaces and tabs at both ends. */
struct slice slice_trim(struct slice s);

/* Index of the octet c in s from position `from`, or s.len without it. */
size_t slice_find(struct slice s, char c, size_t from);

/*
 * Cuts the first part of *rest up to the octet sep into *part and moves *rest
 * behind sep.  False when *rest is used up (rest->p == NULL afterwards); an
 * empty last part after a trailing sep is returned once.
 */
bool slice_cut(struct slice *rest, char sep, struct slice *part);

/* The next word of *rest, words being separated by spaces and tabs. */
bool slice_word(struct slice *rest, struct slice *word);

/* A NUL-terminated copy; the caller frees it. */
char *slice_dup(struct slice s);

#endif
