/*
 * What a message holds, before anybody thinks of converting it.  In remote,
 * for each message, so at the speed of memory; on whatever the network sent.
 */
#include <string.h>

#include "common/mime/convert.h"
#include "common/mime/scan.h"

/* Bits of state.  The first two say where in the header section we are. */
#define WHERE 3u
#define AT_LINE 0u  /* at the first octet of a line */
#define LINE_CR 1u  /* ... which was CR: the empty line? */
#define IN_LINE 2u
#define IN_LINE_CR 3u
#define LAST_CR 4u  /* the octet before is CR */
#define IN_BODY 8u
#define CR_ALONE 16u /* binary only because that CR was the last octet */

/* How many of the octets belong to the header section, its empty line
 * included. */
static size_t
header_part(struct convert_look *l, const char *p, size_t n)
{
	unsigned where = l->state & WHERE;
	size_t at = 0;

	while (at < n && (l->state & IN_BODY) == 0) {
		const char *lf;

		if (where == AT_LINE) {
			where = p[at] == '\r' ? LINE_CR : IN_LINE;
			at += where == LINE_CR;
		} else if (where != IN_LINE && p[at] == '\n') {
			at++;
			if (where == LINE_CR)
				l->state |= IN_BODY;
			where = AT_LINE;
		} else if ((lf = memchr(p + at, '\n', n - at)) == NULL) {
			where = p[n - 1] == '\r' ? IN_LINE_CR : IN_LINE;
			at = n;
		} else {
			size_t end = (size_t)(lf - p);

			where = end > at && lf[-1] == '\r' ? AT_LINE : IN_LINE;
			at = end + 1;
		}
	}
	l->state = (l->state & ~WHERE) | where;
	return at;
}

static unsigned
scan_part(struct convert_look *l, const char *p, size_t n)
{
	struct scan s = {l->column, (l->state & LAST_CR) != 0};
	unsigned found = scan_octets(&s, p, n);

	l->column = s.column;
	l->state = s.cr ? l->state | LAST_CR : l->state & ~LAST_CR;
	return found;
}

void
convert_look(struct convert_look *l, const void *v, size_t n)
{
	const char *p = v;
	unsigned found = 0;
	size_t header;

	if (n == 0)
		return;
	/* What looked like the message's last octet was not. */
	if ((l->state & CR_ALONE) != 0) {
		l->binary = false;
		l->state &= ~CR_ALONE;
	}
	header = header_part(l, p, n);
	if (header > 0) {
		found = scan_part(l, p, header);
		l->header_8bit |= (found & SCAN_HIGH) != 0;
	}
	if (header < n) {
		unsigned body = scan_part(l, p + header, n - header);

		l->eight_bit |= (body & SCAN_HIGH) != 0;
		found |= body;
	}
	if ((found & (SCAN_NUL | SCAN_BARE | SCAN_LONG)) != 0)
		l->binary = true;
	else if (!l->binary && ((l->state & LAST_CR) != 0 ||
	    l->column > SCAN_LINE_MAX)) {
		/* Unless more comes. */
		l->binary = true;
		l->state |= CR_ALONE;
	}
}
