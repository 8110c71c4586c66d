/*
 * Looks over message text for what cannot be carried everywhere.  In remote,
 * local and the spawner, on whatever the network sent: no octet is handled
 * alone.  One loop that compilers turn into vector code finds all but the long
 * lines; for these it is enough to see a line end somewhere in the next 1000
 * octets, looking from the end.
 */
#include <string.h>

#include "common/mime/scan.h"

#define BLOCK 512u /* constant, so that the loop is vectorized at -O2 */

struct block {
	unsigned char high, nul, bare;
};

/* n octets behind the first one. */
static inline void
look(struct block *b, const unsigned char *p, size_t n)
{
	unsigned char high = 0, nul = 0, bare = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char lf = p[i + 1] == '\n', cr = p[i] == '\r';

		high |= p[i + 1];
		nul |= p[i + 1] == 0;
		bare |= lf ^ cr;
	}
	b->high |= high;
	b->nul |= nul;
	b->bare |= bare;
}

/* Lines: from each start the last LF within reach is looked for. */
static unsigned
long_lines(struct scan *s, const char *p, size_t n)
{
	const size_t most = SCAN_LINE_MAX + 2;
	unsigned found = 0;
	size_t at = 0;

	while (at < n) {
		size_t room = s->column < most ? most - s->column : 0;
		size_t window = n - at < room ? n - at : room;
		const char *lf = window > 0
		    ? memrchr(p + at, '\n', window) : NULL;

		if (lf == NULL && window < room) {
			s->column += (uint32_t)window;
			return found;
		}
		if (lf == NULL) {
			found |= SCAN_LONG;
			lf = memchr(p + at, '\n', n - at);
		}
		if (lf == NULL) {
			s->column = (uint32_t)most;
			return found;
		}
		at = (size_t)(lf - p) + 1;
		s->column = 0;
	}
	return found;
}

unsigned
scan_octets(struct scan *s, const void *v, size_t n)
{
	const unsigned char *p = v;
	struct block b = {0};
	unsigned found;
	size_t at = 0;

	if (n == 0)
		return 0;
	b.high = p[0];
	b.nul = p[0] == 0;
	b.bare = (p[0] == '\n') != s->cr;
	for (; n - at > BLOCK; at += BLOCK)
		look(&b, p + at, BLOCK);
	look(&b, p + at, n - at - 1);
	found = long_lines(s, v, n);
	s->cr = p[n - 1] == '\r';
	return found | ((b.high & 0x80) != 0 ? SCAN_HIGH : 0) |
	    (b.nul != 0 ? SCAN_NUL : 0) | (b.bare != 0 ? SCAN_BARE : 0);
}

unsigned
scan_end(const struct scan *s)
{
	return (s->cr ? SCAN_BARE : 0) |
	    (s->column - s->cr > SCAN_LINE_MAX ? SCAN_LONG : 0);
}
