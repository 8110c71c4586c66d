/*
 * The message a notice is about: what of it can be returned, and the return
 * itself.  In bounce's job processes; every octet is the network's.
 *
 * It is read twice, and never held: first to know what it is (how its header
 * ends, whether it is text), then to be passed on.
 */
#include <errno.h>
#include <string.h>

#include "common/mime/convert.h"
#include "common/mime/header.h"
#include "common/mime/qp.h"
#include "queue/bounce.h"

#define READ_SIZE (64u * 1024)
#define FIELD_KEEP 4096u /* octets of a field that are looked at */
#define LINE_MAX_OCTETS 998u /* RFC 5322 2.1.1 */

/* The header section, octet by octet, as far as it may be returned. */
struct head {
	uint64_t at, most;
	uint64_t whole_lines; /* octets up to the last line's end */
	uint64_t column;
	bool cr;
	bool ended;           /* the empty line was seen */
	bool eight_bit, binary;
};

static void
line_end(struct head *h)
{
	if (h->column == 0)
		h->ended = true;
	else
		h->whole_lines = h->at;
	h->column = 0;
	h->cr = false;
}

/* How many of n octets were taken: fewer when the section ended or there may be
 * no more of it. */
static size_t
head_feed(struct head *h, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && !h->ended && h->at < h->most; i++) {
		unsigned char c = (unsigned char)p[i];

		h->at++;
		if (h->cr && c == '\n') {
			line_end(h);
			continue;
		}
		if (h->cr || c == '\n' || c == '\0')
			h->binary = true; /* a bare CR; a bare LF; NUL */
		h->cr = c == '\r';
		if (c >= 0x80)
			h->eight_bit = true;
		if (!h->cr && ++h->column > LINE_MAX_OCTETS)
			h->binary = true;
	}
	return i;
}

/* ---- fields that are shown ---- */

static void
show(struct slice value, bool utf8, char out[BOUNCE_SHOWN_MAX + 1])
{
	struct buf text = BUF_INIT(8 * FIELD_KEEP), clean =
	    BUF_INIT(24 * FIELD_KEEP);
	struct slice s;
	size_t n;

	bounce_decode(value, &text);
	bounce_clean(buf_slice(&text), utf8, &clean);
	s = slice_trim(buf_slice(&clean));
	n = s.len;
	if (n > BOUNCE_SHOWN_MAX) {
		n = BOUNCE_SHOWN_MAX;
		while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(out, s.p, n);
	out[n] = '\0';
	buf_free(&text);
	buf_free(&clean);
}

/* RFC 5322 3.6.4, without quoting and comments: what others can be expected to
 * find again. */
static bool
sane_message_id(struct slice s)
{
	size_t i, ats = 0;

	if (s.len < 5 || s.len > BOUNCE_SHOWN_MAX || s.p[0] != '<' ||
	    s.p[s.len - 1] != '>')
		return false;
	for (i = 1; i < s.len - 1; i++) {
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f ||
		    strchr("<>()\\\",;:", s.p[i]) != NULL)
			return false;
		ats += s.p[i] == '@';
	}
	return ats == 1 && s.p[1] != '@' && s.p[s.len - 2] != '@';
}

static void
on_field(void *arg, const struct header_field *f)
{
	struct bounce_original *o = arg;
	struct slice value = f->value;

	if (header_is(f, "Subject") && o->subject[0] == '\0')
		show(value, true, o->subject);
	else if (header_is(f, "Date") && o->date[0] == '\0')
		show(value, false, o->date);
	else if (header_is(f, "Message-ID") && o->message_id[0] == '\0') {
		/* Folded in front of the id, often. */
		while (value.len > 0 && strchr(" \t\r\n", value.p[0]) != NULL &&
		    value.p[0] != '\0')
			value = slice_sub(value, 1, value.len);
		value = slice_trim(value);
		if (sane_message_id(value)) {
			memcpy(o->message_id, value.p, value.len);
			o->message_id[value.len] = '\0';
		}
	}
}

/* ---- the look ---- */

struct look {
	struct head head;
	struct header_scan *scan;
	struct convert_look body;
};

/* Reads as much as has to be known; -1 with errno. */
static int
look_through(struct look *l, struct qfile *q, bool whole)
{
	struct qreader *r = qreader_new(q, READ_SIZE);
	const char *p;
	ssize_t n;
	size_t in_head;
	int saved;

	while ((n = qreader_next(r, &p)) > 0) {
		in_head = head_feed(&l->head, p, (size_t)n);
		(void)header_scan_feed(l->scan, p, in_head);
		if (whole)
			convert_look(&l->body, p, (size_t)n);
		else if (l->head.ended || l->head.at == l->head.most)
			break;
	}
	saved = errno;
	qreader_free(&r);
	errno = saved;
	return n < 0 ? -1 : 0;
}

/* The header alone: what of it there is. */
static void
keep_header(struct bounce_original *o, const struct head *h, uint64_t length)
{
	uint64_t end = h->ended ? h->at - 2 : h->at;

	o->whole = false;
	o->header = end;
	/* More was not looked at: up to the last line's end. */
	if (!h->ended && h->at < length) {
		o->header_cut = true;
		if (h->whole_lines > 0)
			o->header = h->whole_lines;
	}
	o->there = o->header > 0;
	o->header_8bit = o->eight_bit = h->eight_bit;
	o->binary = h->binary || (h->cr && !h->ended);
}

/* ---- the return ---- */

struct sink {
	bounce_put_fn *put;
	void *arg;
	struct qp_encoder qp;
	struct buf encoded;
};

static bool
put_encoded(struct sink *s)
{
	bool good = s->encoded.len == 0 ||
	    s->put(s->arg, buf_slice(&s->encoded));

	buf_reset(&s->encoded);
	return good;
}

static bool
qp_feed(struct sink *s, const char *p, size_t n)
{
	size_t at, len;

	for (at = 0; at < n; at += len) {
		len = n - at < READ_SIZE ? n - at : READ_SIZE;
		qp_encode(&s->qp, slice_mem(p + at, len), &s->encoded);
		if (!put_encoded(s))
			return false;
	}
	return true;
}

static bool
qp_end(struct sink *s)
{
	qp_encode_end(&s->qp, true, &s->encoded);
	return put_encoded(s);
}

static bool
convert_out(void *arg, const void *p, size_t n)
{
	struct sink *s = arg;

	return s->put(s->arg, slice_mem(p, n));
}

/* Passes octets on as they have to be. */
static bool
feed(const struct bounce_original *o, struct sink *s, struct convert *c,
    const char *p, size_t n)
{
	if (!o->binary)
		return s->put(s->arg, slice_mem(p, n));
	return o->whole ? convert_feed(c, p, n) : qp_feed(s, p, n);
}

static int
pass_on(const struct bounce_original *o, struct qreader *r, struct sink *s,
    struct convert *c)
{
	uint64_t left = o->whole ? UINT64_MAX : o->header;
	const char *p;
	ssize_t n = 1;

	while (left > 0 && (n = qreader_next(r, &p)) > 0) {
		if ((uint64_t)n > left)
			n = (ssize_t)left;
		left -= (uint64_t)n;
		if (!feed(o, s, c, p, (size_t)n)) {
			errno = ECANCELED;
			return -1;
		}
	}
	if (n < 0)
		return -1;
	if (o->binary && !(o->whole ? convert_end(c) : qp_end(s))) {
		errno = ECANCELED;
		return -1;
	}
	return 0;
}

int
bounce_original_write(const struct bounce_original *o, struct qfile *q,
    bounce_put_fn *put, void *arg)
{
	struct sink s = {.put = put, .arg = arg,
	    .encoded = BUF_INIT(QP_ENCODED_MAX(READ_SIZE))};
	struct convert *c = NULL;
	struct qreader *r;
	int result, saved;

	if (o->whole && o->binary)
		c = convert_new(CONVERT_8BIT, convert_out, &s);
	r = qreader_new(q, READ_SIZE);
	result = pass_on(o, r, &s, c);
	saved = errno;
	qreader_free(&r);
	if (c != NULL)
		convert_free(&c);
	buf_free(&s.encoded);
	errno = saved;
	return result;
}

/* ---- the look as a whole ---- */

static bool
look_at(void *arg, struct slice octets)
{
	convert_look(arg, octets.p, octets.len);
	return true;
}

/* A message that must be converted: is it text afterwards?  What the converter
 * leaves as it is (header sections within the message) may not be. */
static int
look_converted(struct bounce_original *o, struct qfile *q)
{
	struct convert_look after = {.eight_bit = false};

	if (bounce_original_write(o, q, look_at, &after) != 0)
		return -1;
	o->whole = !after.binary;
	o->eight_bit = after.eight_bit || after.header_8bit;
	return 0;
}

int
bounce_original_look(struct bounce_original *o, struct qfile *q, bool whole,
    uint64_t header_max)
{
	struct look l = {.head = {.most = header_max}};
	struct bounce_original header;
	int result;

	memset(o, 0, sizeof(*o));
	l.scan = header_scan_new(FIELD_KEEP, on_field, o);
	result = look_through(&l, q, whole);
	if (result == 0)
		header_scan_end(l.scan);
	header_scan_free(&l.scan);
	/* The sender is told all the same, without what is damaged. */
	if (result != 0)
		return errno == EBADMSG ? 0 : -1;
	keep_header(o, &l.head, qfile_message_length(q));
	/* A header that is no text cannot be mended by converting parts, and
	 * one that large is no header. */
	if (!whole || o->binary || o->header_cut)
		return 0;
	header = *o;
	o->whole = true;
	o->there = qfile_message_length(q) > 0;
	o->eight_bit = o->header_8bit || l.body.eight_bit ||
	    l.body.header_8bit;
	o->binary = l.body.binary ||
	    (qfile_env(q)->flags & ENV_BINARYMIME) != 0;
	if (o->binary && look_converted(o, q) != 0)
		return -1;
	if (!o->whole)
		*o = header;
	return 0;
}
