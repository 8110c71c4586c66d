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

void
mem_settle(void)
{
	static const size_t sizes[] = {65536, 16384, 4096, 1024, 512, 256, 128,
	    64, 24};
	static struct hole *holes;
	char *top = malloc(TOP_SIZE); /* from the end of the heap */
	size_t i, left = HOLES_MAX;
	struct hole *h;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && top != NULL; i++)
		for (; left > sizes[i]; left -= sizes[i]) {
			h = malloc(sizes[i]);
			if (h == NULL || (char *)h > top) {
				free(h);
				break;
			}
			h->next = holes;
			holes = h;
		}
	free(top);
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
