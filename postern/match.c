/*
 * Patterns with '*' against addresses and destinations, which are strangers':
 * no recursion, and never more work than the product of both lengths.
 */
#include "postern/match.h"
#include "postern/out.h"

static bool
same(char a, char b)
{
	return slice_ieq(slice_mem(&a, 1), slice_mem(&b, 1));
}

bool
match_pattern(struct slice s, struct slice pattern)
{
	size_t i = 0, k = 0, star = pattern.len, from = 0;

	while (i < s.len) {
		if (k < pattern.len && pattern.p[k] == '*') {
			star = k++;
			from = i;
		} else if (k < pattern.len && same(s.p[i], pattern.p[k])) {
			i++;
			k++;
		} else if (star < pattern.len) {
			/* The last '*' takes one octet more. */
			k = star + 1;
			i = ++from;
		} else {
			return false;
		}
	}
	while (k < pattern.len && pattern.p[k] == '*')
		k++;
	return k == pattern.len;
}

bool
match_part(struct slice s, struct slice pattern)
{
	if (slice_find(pattern, '*', 0) < pattern.len)
		return match_pattern(s, pattern);
	return out_contains(s, pattern);
}
