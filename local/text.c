/*
 * The text of a delivery on its way from the queue file to mailbox or program,
 * in large pieces.  In delivery processes and the spawner's feeders; the
 * content is whatever the network sent.
 */
#include <errno.h>
#include <string.h>

#include "common/mail/qfile.h"
#include "common/mime/convert.h"
#include "common/mime/header.h"
#include "local/text.h"

#define FIELD_KEPT 2048u

static void
on_field(void *arg, const struct header_field *f)
{
	struct text *t = arg;

	if (header_is(f, "Delivered-To") &&
	    slice_ieq(slice_trim(f->value), slice_of(t->address)))
		t->looped = true;
}

static int
spill(struct text *t)
{
	if (t->out->overflow) {
		errno = ENOBUFS;
		return -1;
	}
	if (t->out->len == 0)
		return 0;
	if (t->sink(t->arg, t->out->s, t->out->len) != 0)
		return -1;
	t->size += t->out->len;
	buf_reset(t->out);
	return 0;
}

/* CRLF becomes LF; a CR that stands alone stays.  The last CR is held back
 * until the octet behind it is known. */
static void
put_lf(struct text *t, const char *p, size_t n)
{
	const char *end = p + n, *cr, *stop;

	while (p < end) {
		if (t->cr && *p != '\n')
			buf_addc(t->out, '\r');
		t->cr = false;
		cr = memchr(p, '\r', (size_t)(end - p));
		stop = cr != NULL ? cr : end;
		if (stop > p)
			buf_add(t->out, p, (size_t)(stop - p));
		p = stop;
		if (cr != NULL) {
			t->cr = true;
			p++;
		}
	}
}

static int
put(struct text *t, const char *p, size_t n)
{
	size_t part;

	for (; n > 0; p += part, n -= part) {
		part = n < TEXT_READ ? n : TEXT_READ;
		if (t->out->len + part + 1 > t->out->max && spill(t) != 0)
			return -1;
		if (t->crlf)
			buf_add(t->out, p, part);
		else
			put_lf(t, p, part);
	}
	return 0;
}

static void
put_top(struct text *t)
{
	const char *eol = t->crlf ? "\r\n" : "\n";

	buf_printf(t->out, "Return-Path: <%s>%s", t->sender, eol);
	buf_printf(t->out, "Delivered-To: %s%s", t->address, eol);
	t->wire = t->out->len + (t->crlf ? 0 : 2);
}

static int
put_wire(struct text *t, const char *p, size_t n)
{
	t->wire += n;
	return put(t, p, n);
}

static bool
put_converted(void *arg, const void *p, size_t n)
{
	return put_wire(arg, p, n) == 0;
}

/* All pieces of the message; c is NULL unless it is binary. */
static int
copy_pieces(struct text *t, struct qreader *r, struct convert *c)
{
	const char *p;
	ssize_t n;

	while ((n = qreader_next(r, &p)) > 0) {
		if (!header_scan_done(t->scan))
			header_scan_feed(t->scan, p, (size_t)n);
		if (t->looped)
			return 0;
		if (c != NULL && !convert_feed(c, p, (size_t)n))
			return -1;
		if (c == NULL && put_wire(t, p, (size_t)n) != 0)
			return -1;
	}
	if (n < 0)
		return -1;
	return c == NULL || convert_end(c) ? 0 : -1;
}

static int
copy(struct text *t, struct qreader *r)
{
	struct convert *c = t->binary
	    ? convert_new(CONVERT_8BIT, put_converted, t) : NULL;
	int result, error;

	put_top(t);
	result = copy_pieces(t, r, c);
	error = errno;
	convert_free(&c);
	errno = error;
	if (result != 0)
		return -1;
	if (!header_scan_done(t->scan))
		header_scan_end(t->scan);
	if (t->looped) {
		errno = ELOOP;
		return -1;
	}
	if (t->cr)
		buf_addc(t->out, '\r');
	return spill(t);
}

int
text_copy(struct text *t, struct qreader *r)
{
	int result, error;

	buf_reset(t->out);
	t->scan = header_scan_new(FIELD_KEPT, on_field, t);
	result = copy(t, r);
	error = errno;
	header_scan_free(&t->scan);
	errno = error;
	return result;
}
