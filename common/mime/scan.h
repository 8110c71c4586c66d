/*
 * What a run of octets holds that not every way can carry, at the speed of
 * memory: 8-bit octets, NUL, a CR or LF that stands alone, lines above 998
 * octets (RFC 5322 2.1.1, RFC 2045 2.7-2.9).
 */
#ifndef COMMON_MIME_SCAN_H
#define COMMON_MIME_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_HIGH 1u /* an octet above 127 */
#define SCAN_NUL 2u
#define SCAN_BARE 4u /* CR without LF behind it, LF without CR before it */
#define SCAN_LONG 8u /* a line of more than SCAN_LINE_MAX octets */

#define SCAN_LINE_MAX 998u /* without its CRLF */

struct scan { /* starts as 0 */
	uint32_t column; /* octets since the last LF, a CR included */
	bool cr;         /* the last octet was CR */
};

/* What the next octets hold; a CR at their end is judged with what follows, and
 * so is a line that is too long only if its last octet is no CR. */
unsigned scan_octets(struct scan *s, const void *p, size_t n);
/* Nothing follows. */
unsigned scan_end(const struct scan *s);

#endif
