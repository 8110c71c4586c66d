/*
 * Dots, in a remote process.  The content is whatever was accepted once; a bare
 * CR or LF in it could be a line end to the next host and so end the message
 * early, or begin another one: such content is refused here, whatever the
 * envelope said of it.
 */
#include <string.h>

#include "remote/dots.h"

/* One line, or a part of one, without a dot at its start.  False: bare. */
static bool
sound(const struct dots *d, const char *p, size_t n, bool ends)
{
	size_t text = n;

	if (d->cr && p[0] != '\n')
		return false;
	if (ends) {
		text--; /* the LF */
		if (text == 0 ? !d->cr : p[text - 1] != '\r')
			return false;
		if (text > 0)
			text--;
	} else if (p[n - 1] == '\r')
		text--;
	return memchr(p, '\r', text) == NULL;
}

void
dots_put(struct dots *d, const char *p, size_t n)
{
	const char *from = p, *end = p + n, *lf;
	size_t part;

	if (n > 0 && memchr(p, '\0', n) != NULL)
		d->bare = true;
	while (p < end && !d->bare) {
		lf = memchr(p, '\n', (size_t)(end - p));
		part = lf != NULL ? (size_t)(lf - p) + 1 : (size_t)(end - p);
		if (!sound(d, p, part, lf != NULL)) {
			d->bare = true;
			break;
		}
		if (!d->within && *p == '.') {
			if (p > from)
				d->put(d->arg, slice_mem(from,
				    (size_t)(p - from)));
			d->put(d->arg, SLICE("."));
			from = p;
		}
		p += part;
		d->within = lf == NULL;
		d->cr = d->within && p[-1] == '\r';
	}
	if (!d->bare && end > from)
		d->put(d->arg, slice_mem(from, (size_t)(end - from)));
}

void
dots_end(struct dots *d)
{
	/* A CR at the very end becomes the line end it began. */
	if (d->cr)
		d->put(d->arg, SLICE("\n.\r\n"));
	else
		d->put(d->arg, d->within ? SLICE("\r\n.\r\n")
		                         : SLICE(".\r\n"));
}
