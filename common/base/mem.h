/* Memory that is there or the process ends with 111 (STYLE, section 4). */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

#define MEM_THERE __attribute__((returns_nonnull, warn_unused_result))

/* The first two zeroed, overflow of n * size checked; mem_grow is realloc. */
MEM_THERE void *mem_alloc(size_t n);
MEM_THERE void *mem_array(size_t n, size_t size);
MEM_THERE void *mem_grow(void *p, size_t n, size_t size);
MEM_THERE char *mem_dup(const char *s);

/* For a parent that forks much: no list of small free pieces that an allocation
 * walks through (mem_start, first), and the holes that the start left in the
 * heap are filled (mem_settle, last).  A child's first allocations then take
 * fresh memory and leave the pages it shares with its parent alone. */
void mem_start(void);
void mem_settle(void);

/* For a process that will wait for long: what is free goes back to the kernel,
 * some 20 us. */
void mem_trim(void);
/* Zeroed, and shared with the children forked later: for hints, which any of
 * them may spoil.  Never given back. */
void *mem_shared(size_t n);

/* Equal in constant time for equal lengths. */
int mem_equal_ct(const void *a, const void *b, size_t n);

/*
 * Growing array: MEM_PUSH(v, n, cap, item) appends item to v.
 */
#define MEM_PUSH(v, n, cap, item)                                              \
	do {                                                                   \
		if ((n) == (cap)) {                                            \
			(cap) = (cap) ? (cap) * 2 : 8;                         \
			(v) = mem_grow((v), (cap), sizeof(*(v)));              \
		}                                                              \
		(v)[(n)++] = (item);                                           \
	} while (0)

#endif
