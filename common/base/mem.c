/*
 * Memory that is there or the process ends with 111: no caller in postern tests
 * for its lack.  Used by every process.  Sizes from outside are checked against
 * a limit before they get here; the overflow check is the last line of defence.
 */
#include <sys/mman.h>

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"

/* Octets in all; another malloc may not begin where this one's heap ends. */
#ifdef __SANITIZE_ADDRESS__
#define HOLES_MAX 0
#else
#define HOLES_MAX ((size_t)512 * 1024)
#endif
#define TOP_SIZE 131000 /* just below what malloc maps apart */
#define CACHED_MAX 1032
#define CACHED_LEAST 24
#define CACHED_STEP 16

static _Noreturn void
exhausted(size_t n, size_t size)
{
	die(EXIT_TEMPORARY, "out of memory (%zu times %zu octets)", n, size);
}

void
mem_start(void)
{
#ifdef M_MXFAST
	(void)mallopt(M_MXFAST, 0);
#endif
}

/* Filled holes, one behind the other: they stay for good, some KB a process. */
struct hole {
	struct hole *next;
};

/* Takes pieces of this size while there are any below top; what is left of the
 * octets to be given away. */
static size_t
fill_holes(size_t size, const char *top, size_t left)
{
	static struct hole *holes;
	struct hole *h;

	for (; left > size; left -= size) {
		h = malloc(size);
		if (h == NULL || (char *)h > top) {
			free(h);
			break;
		}
		h->next = holes;
		holes = h;
	}
	return left;
}

void
mem_settle(void)
{
	static const size_t sizes[] = {65536, 16384, 4096};
	char *top = malloc(TOP_SIZE); /* from the end of the heap */
	size_t i, size, left = HOLES_MAX;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && top != NULL; i++)
		left = fill_holes(sizes[i], top, left);
	/* malloc keeps a list for each small size, too. */
	for (size = CACHED_MAX; size >= CACHED_LEAST && top != NULL;
	    size -= CACHED_STEP)
		left = fill_holes(size, top, left);
	free(top);
}

void
mem_trim(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}

void *
mem_shared(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exhausted(n, 1);
	return p;
}

void *
mem_alloc(size_t n)
{
	return mem_array(n, 1);
}

void *
mem_array(size_t n, size_t size)
{
	void *p;

	/* calloc(0) may answer NULL, which would look like a lack. */
	if (n == 0 || size == 0)
		n = size = 1;
	p = calloc(n, size);
	if (p == NULL)
		exhausted(n, size);
	return p;
}

void *
mem_grow(void *p, size_t n, size_t size)
{
	void *grown;

	if (n == 0 || size == 0)
		n = size = 1;
	if (n > SIZE_MAX / size)
		exhausted(n, size);
	grown = realloc(p, n * size);
	if (grown == NULL)
		exhausted(n, size);
	return grown;
}

char *
mem_dup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(mem_grow(NULL, n, 1), s, n);
}

int
mem_equal_ct(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *x = a;
	const volatile unsigned char *y = b;
	unsigned char differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(x[i] ^ y[i]);
	return differ == 0;
}
