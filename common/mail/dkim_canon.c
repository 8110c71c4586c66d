/*
 * Canonical forms for DKIM.  In remote's processes, on mail that is to be
 * signed, and wherever signatures are verified: the octets are anybody's.
 *
 * Most of a body is its own canonical form: such runs are found by a loop that
 * does nothing else and are handed on where they lie.
 */
#include <stdlib.h>

#include "common/base/crypto.h"
#include "common/base/mem.h"
#include "common/mail/dkim_canon.h"
#include "common/mime/header.h"

/* ---- body ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
give(struct dkim_body *b, const char *p, size_t n)
{
	b->any = true;
	b->out(b->arg, p, n);
}

static void
give_empty_lines(struct dkim_body *b)
{
	static const char lines[] = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"
	    "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
	const uint64_t most = (sizeof(lines) - 1) / 2;

	while (b->empty > 0) {
		uint64_t n = b->empty < most ? b->empty : most;

		give(b, lines, (size_t)n * 2);
		b->empty -= n;
	}
}

/* An octet that is neither CR nor, in the relaxed form, a blank. */
static void
put_octet(struct dkim_body *b, char c)
{
	give_empty_lines(b);
	if (b->blank)
		give(b, " ", 1);
	b->blank = false;
	give(b, &c, 1);
	b->line = true;
}

static void
end_line(struct dkim_body *b)
{
	b->blank = false;
	if (b->line)
		give(b, "\r\n", 2);
	else
		b->empty++;
	b->line = false;
}

static void
put(struct dkim_body *b, char c)
{
	if (b->cr) {
		b->cr = false;
		if (c == '\n') {
			end_line(b);
			return;
		}
		put_octet(b, '\r');
	}
	if (c == '\r')
		b->cr = true;
	else if (b->canon == DKIM_RELAXED && is_blank(c))
		b->blank = true;
	else
		put_octet(b, c);
}

/* Is the octet at i one that goes on in a run: neither a blank that may be
 * changed nor a CR? */
static bool
goes_on(const char *p, size_t i, size_t n, bool relaxed)
{
	return i < n && p[i] != '\r' && !(relaxed && is_blank(p[i]));
}

/* Octets at p that are their own canonical form; the state behind them is that
 * of *line with nothing waiting. */
static size_t
run(const char *p, size_t n, bool relaxed, bool *line)
{
	size_t i = 0;

	for (;;) {
		while (i < n && (unsigned char)p[i] > ' ') {
			*line = true;
			i++;
		}
		if (i == n)
			return i;
		if (p[i] == '\r') {
			if (!*line || i + 2 >= n || p[i + 1] != '\n' ||
			    p[i + 2] == '\r')
				return i;
			i += 2;
			*line = false;
			continue;
		}
		if (relaxed && is_blank(p[i]) && (p[i] == '\t' ||
		    !goes_on(p, i + 1, n, true)))
			return i;
		*line = true;
		i++;
	}
}

void
dkim_body_feed(struct dkim_body *b, const char *p, size_t n)
{
	size_t i = 0, len;

	while (i < n) {
		if (b->cr || b->blank) {
			put(b, p[i++]);
			continue;
		}
		if (b->empty > 0) {
			if (!goes_on(p, i, n, b->canon == DKIM_RELAXED)) {
				put(b, p[i++]);
				continue;
			}
			give_empty_lines(b);
		}
		len = run(p + i, n - i, b->canon == DKIM_RELAXED, &b->line);
		if (len > 0)
			give(b, p + i, len);
		i += len;
		if (i < n)
			put(b, p[i++]);
	}
}

void
dkim_body_end(struct dkim_body *b)
{
	if (b->cr) {
		b->cr = false;
		put_octet(b, '\r');
	}
	/* A last line without its CRLF gets one (3.4.3, 3.4.4); empty ones go,
	 * and so do blanks at its end. */
	if (b->line)
		give(b, "\r\n", 2);
	if (!b->any && b->canon == DKIM_SIMPLE)
		give(b, "\r\n", 2);
	b->line = b->blank = false;
	b->empty = 0;
}

/* ---- header ---- */

void
dkim_relaxed(struct slice name, struct slice value, struct buf *out)
{
	bool blank = false, any = false;
	size_t i;

	for (i = 0; i < name.len; i++)
		buf_addc(out, name.p[i] >= 'A' && name.p[i] <= 'Z'
		    ? (char)(name.p[i] | 0x20) : name.p[i]);
	buf_addc(out, ':');
	for (i = 0; i < value.len; i++) {
		size_t from = i;

		if (is_blank(value.p[i])) {
			blank = true;
			continue;
		}
		/* Unfolded: what follows is a blank. */
		if (value.p[i] == '\r' && i + 1 < value.len &&
		    value.p[i + 1] == '\n') {
			i++;
			continue;
		}
		if (blank && any)
			buf_addc(out, ' ');
		blank = false;
		any = true;
		while (i + 1 < value.len && !is_blank(value.p[i + 1]) &&
		    value.p[i + 1] != '\r')
			i++;
		buf_add(out, value.p + from, i + 1 - from);
	}
}

void
dkim_fields_free(struct dkim_fields *f)
{
	buf_free(&f->text);
	free(f->v);
	*f = (struct dkim_fields)DKIM_FIELDS_INIT;
}

void
dkim_fields_add(struct dkim_fields *f, const struct header_field *field)
{
	struct dkim_field k = {.at = f->text.len, .name_len = field->name.len};
	/* Blanks and the colon lie between the two (common/mime/header.h). */
	size_t between = (size_t)(field->value.p - field->name.p);

	if (field->name.len == 0)
		return;
	if (field->cut || f->n == DKIM_FIELDS_MAX) {
		f->overflow = true;
		return;
	}
	buf_add(&f->text, field->name.p, between + field->value.len);
	if (f->text.overflow) {
		f->overflow = true;
		return;
	}
	k.value_at = k.at + between;
	k.end = f->text.len;
	MEM_PUSH(f->v, f->n, f->cap, k);
}

struct slice
dkim_fields_name(const struct dkim_fields *f, size_t i)
{
	return slice_sub(buf_slice(&f->text), f->v[i].at, f->v[i].at +
	    f->v[i].name_len);
}

struct slice
dkim_fields_value(const struct dkim_fields *f, size_t i)
{
	return slice_sub(buf_slice(&f->text), f->v[i].value_at, f->v[i].end);
}

bool
dkim_fields_take(struct dkim_fields *f, struct slice name, size_t *i)
{
	for (size_t k = f->n; k > 0; k--) {
		if (f->v[k - 1].taken ||
		    !slice_ieq(dkim_fields_name(f, k - 1), name))
			continue;
		f->v[k - 1].taken = true;
		*i = k - 1;
		return true;
	}
	return false;
}

void
dkim_fields_untake(struct dkim_fields *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->v[i].taken = false;
}

void
dkim_fields_hash(const struct dkim_fields *f, size_t i, enum dkim_canon canon,
    struct crypto_hash *h)
{
	struct buf form = BUF_INIT(DKIM_HEADER_MAX);

	if (canon == DKIM_SIMPLE) {
		crypto_hash_add(h, f->text.s + f->v[i].at,
		    f->v[i].end - f->v[i].at);
	} else {
		dkim_relaxed(dkim_fields_name(f, i), dkim_fields_value(f, i),
		    &form);
		crypto_hash_add(h, form.s, form.len);
	}
	crypto_hash_add(h, "\r\n", 2);
	buf_free(&form);
}
