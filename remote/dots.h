/*
 * The content of DATA (RFC 5321 4.5.2): a dot more where a line begins with
 * one.  Any pieces; states what has no place between CRLF lines.
 */
#ifndef REMOTE_DOTS_H
#define REMOTE_DOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

typedef void dots_fn(void *arg, struct slice octets);

struct dots {
	dots_fn *put;
	void *arg;
	bool within; /* a line has begun */
	bool cr;     /* the last octet was a CR */
	bool bare;   /* a CR or LF stood alone, or a NUL came: it must not go
	              * this way (nothing is put from then on) */
};

void dots_put(struct dots *d, const char *p, size_t n);
/* The line end that may be missing, and the dot. */
void dots_end(struct dots *d);

#endif
