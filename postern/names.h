/* A set of ids or session ids, each with a number. */
#ifndef POSTERN_NAMES_H
#define POSTERN_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define NAME_SIZE 32
#define NAMES_NONE SIZE_MAX

struct name {
	char s[NAME_SIZE];
};
struct names {
	struct name *v;  /* owned; in the order they came */
	size_t n, cap;
	size_t *slots;   /* owned: index + 1, 0: free */
	size_t nslots;   /* a power of two, or 0 */
};

/* 1 to 31 of a-z, 0-9 and '-'. */
bool name_valid(struct slice s);
size_t names_find(const struct names *v, struct slice s);
/* The number of s, which is valid; *fresh: it was not there. */
size_t names_add(struct names *v, struct slice s, bool *fresh);
void names_free(struct names *v);

#endif
