/* A hash table of short names, for `postern trace`.  The names stand in log
 * files; what is no id or sid is not taken. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "postern/names.h"

bool
name_valid(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c == '-'))
			return false;
	}
	return s.len > 0 && s.len < NAME_SIZE;
}

/* The slot that holds s, or where it would go. */
static size_t
slot(const struct names *v, struct slice s)
{
	uint64_t h = UINT64_C(14695981039346656037);
	size_t at;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
	at = (size_t)(h ^ h >> 32) & (v->nslots - 1);
	while (v->slots[at] != 0 &&
	    !slice_eq(slice_of(v->v[v->slots[at] - 1].s), s))
		at = (at + 1) & (v->nslots - 1);
	return at;
}

static void
grow(struct names *v)
{
	size_t n = v->nslots > 0 ? 2 * v->nslots : 64;

	free(v->slots);
	v->slots = mem_array(n, sizeof(*v->slots));
	v->nslots = n;
	for (size_t i = 0; i < v->n; i++)
		v->slots[slot(v, slice_of(v->v[i].s))] = i + 1;
}

size_t
names_find(const struct names *v, struct slice s)
{
	size_t at;

	if (v->nslots == 0 || s.len == 0 || s.len >= NAME_SIZE)
		return NAMES_NONE;
	at = v->slots[slot(v, s)];
	return at > 0 ? at - 1 : NAMES_NONE;
}

size_t
names_add(struct names *v, struct slice s, bool *fresh)
{
	struct name name = {.s = ""};
	size_t at = names_find(v, s);

	*fresh = at == NAMES_NONE;
	if (!*fresh)
		return at;
	if (2 * v->n >= v->nslots)
		grow(v);
	memcpy(name.s, s.p, s.len);
	at = slot(v, s);
	MEM_PUSH(v->v, v->n, v->cap, name);
	v->slots[at] = v->n;
	return v->n - 1;
}

void
names_free(struct names *v)
{
	free(v->v);
	free(v->slots);
	*v = (struct names){.v = NULL};
}
