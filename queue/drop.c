/*
 * The head of a file in the drop directory.  sendmail writes it, pickup reads
 * it: any user of the host may have written what pickup sees, so nothing in it
 * is believed, and the kernel's word on the file's owner says who sent it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/address.h"
#include "common/mail/envelope.h"
#include "common/mail/qfile_text.h"
#include "queue/drop.h"

#define FIRST_LINE "postern-drop 1\n"
#define FIRST_WORD "postern-drop "

void
drop_write(const struct drop_head *h, struct buf *out)
{
	buf_adds(out, FIRST_LINE "from ");
	qtext_put_word(out, h->from);
	buf_addc(out, '\n');
	for (size_t i = 0; i < h->nrcpts; i++) {
		buf_adds(out, "rcpt ");
		qtext_put_word(out, h->rcpts[i].address);
		buf_addc(out, '\n');
	}
	if (h->flags & ENV_8BITMIME)
		buf_adds(out, "body 8bit\n");
	if (h->flags & ENV_SMTPUTF8)
		buf_adds(out, "utf8\n");
	if (h->notify != 0) {
		buf_adds(out, "notify ");
		qtext_put_notify(out, h->notify);
		buf_addc(out, '\n');
	}
	if (h->flags & (ENV_RET_FULL | ENV_RET_HDRS))
		buf_adds(out, h->flags & ENV_RET_FULL ? "ret full\n"
		    : "ret hdrs\n");
	if (h->envid.len > 0) {
		buf_adds(out, "envid ");
		qtext_put_word(out, h->envid);
		buf_addc(out, '\n');
	}
	buf_printf(out, "size %llu\n\n", (unsigned long long)h->size);
}

/* ---- reading ---- */

struct reader {
	struct drop_head *h;
	char *base;          /* of the text, which is decoded in place */
	const char *origin;  /* the same octets as slices have them */
	size_t cap, rcpts_max;
	bool from, size;
	const char *why;
};

static bool
no(struct reader *r, const char *why)
{
	r->why = why;
	return false;
}

/* The value, decoded where it stands. */
static bool
decode(struct reader *r, struct slice in, struct slice *out)
{
	char *at = r->base + (in.p - r->origin);
	size_t len;

	if (!qtext_word(in, at, &len))
		return no(r, "broken quoting");
	*out = slice_mem(at, len);
	return true;
}

static bool
read_from(struct reader *r, struct slice value)
{
	struct address a;
	const char *why;

	if (r->from)
		return no(r, "two senders");
	r->from = true;
	if (slice_eq(value, SLICE("<>"))) {
		r->h->from = SLICE_EMPTY;
		return true;
	}
	if (!decode(r, value, &r->h->from))
		return false;
	if (!address_parse(r->h->from, true, &a, &why))
		return no(r, "the sender is no address");
	if (a.utf8)
		r->h->flags |= ENV_SMTPUTF8;
	return true;
}

static bool
read_rcpt(struct reader *r, struct slice value)
{
	struct env_recipient rcpt = {.orcpt = SLICE_EMPTY};
	struct address a;
	const char *why;

	if (!decode(r, value, &rcpt.address))
		return false;
	if (!address_parse(rcpt.address, true, &a, &why))
		return no(r, "a recipient is no address");
	if (a.utf8)
		r->h->flags |= ENV_SMTPUTF8;
	if (r->h->nrcpts >= r->rcpts_max)
		return no(r, "too many recipients");
	MEM_PUSH(r->h->rcpts, r->h->nrcpts, r->cap, rcpt);
	return true;
}

static bool
read_body(struct reader *r, struct slice value)
{
	if (!slice_eq(value, SLICE("8bit")))
		return no(r, "an unknown kind of body");
	r->h->flags |= ENV_8BITMIME;
	return true;
}

static bool
read_utf8(struct reader *r, struct slice value)
{
	if (value.len > 0)
		return no(r, "text behind utf8");
	r->h->flags |= ENV_SMTPUTF8;
	return true;
}

static bool
read_notify(struct reader *r, struct slice value)
{
	/* RFC 3461 4.1: never stands alone. */
	return (qtext_notify(value, &r->h->notify) &&
	    (r->h->notify == NOTIFY_NEVER ||
	    (r->h->notify & NOTIFY_NEVER) == 0)) || no(r, "broken notify");
}

static bool
read_ret(struct reader *r, struct slice value)
{
	r->h->flags &= ~(ENV_RET_FULL | ENV_RET_HDRS);
	if (slice_eq(value, SLICE("full")))
		r->h->flags |= ENV_RET_FULL;
	else if (slice_eq(value, SLICE("hdrs")))
		r->h->flags |= ENV_RET_HDRS;
	else
		return no(r, "broken ret");
	return true;
}

/* RFC 3461 4: xtext, and its limit in 5.4 */
static bool
read_envid(struct reader *r, struct slice value)
{
	struct slice e;

	if (!decode(r, value, &e))
		return false;
	if (e.len > ENV_ENVID_MAX)
		return no(r, "envid too long");
	for (size_t i = 0; i < e.len; i++)
		if (e.p[i] <= ' ' || e.p[i] > '~' || e.p[i] == '=')
			return no(r, "broken envid");
	r->h->envid = e;
	return true;
}

static bool
read_size(struct reader *r, struct slice value)
{
	if (r->size)
		return no(r, "two sizes");
	r->size = true;
	return num_u64(value, 0, UINT64_MAX, &r->h->size) ||
	    no(r, "the size is no number");
}

static const struct {
	struct slice name;
	bool (*read)(struct reader *r, struct slice value);
} lines[] = {
	{SLICE_INIT("from"), read_from},
	{SLICE_INIT("rcpt"), read_rcpt},
	{SLICE_INIT("body"), read_body},
	{SLICE_INIT("utf8"), read_utf8},
	{SLICE_INIT("notify"), read_notify},
	{SLICE_INIT("ret"), read_ret},
	{SLICE_INIT("envid"), read_envid},
	{SLICE_INIT("size"), read_size},
};

static bool
read_line(struct reader *r, struct slice line)
{
	struct slice name;

	if (!slice_cut(&line, ' ', &name))
		return no(r, "an empty line");
	if (line.p == NULL)
		line = SLICE_EMPTY;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (slice_eq(name, lines[i].name))
			return lines[i].read(r, line);
	return no(r, "an unknown line");
}

/* Behind the empty line; 0: it is not there. */
static size_t
head_end(struct slice text)
{
	size_t at = 0;

	while ((at = slice_find(text, '\n', at)) < text.len) {
		at++;
		if (at < text.len && text.p[at] == '\n')
			return at + 1;
	}
	return 0;
}

bool
drop_may_end(const struct buf *text, size_t from)
{
	struct slice s = buf_slice(text);

	/* One of the two line ends may have come before. */
	return head_end(slice_sub(s, from > 0 ? from - 1 : 0, s.len)) != 0;
}

static enum drop_result
first_line(struct slice text, const char **why)
{
	struct slice want = SLICE(FIRST_LINE), word = SLICE(FIRST_WORD);

	if (text.len >= want.len && slice_prefix(text, want))
		return DROP_OK;
	if (text.len < want.len && slice_prefix(want, text))
		return DROP_MORE;
	if (slice_prefix(text, word) && text.p[word.len] >= '1' &&
	    text.p[word.len] <= '9')
		return DROP_NEWER;
	*why = "its first line is not \"postern-drop 1\"";
	return DROP_BAD;
}

enum drop_result
drop_read(struct buf *text, size_t rcpts_max, struct drop_head *h,
    const char **why)
{
	struct slice all = buf_slice(text), rest, line;
	struct reader r = {.h = h, .base = text->s, .origin = text->s,
	    .rcpts_max = rcpts_max, .why = NULL};
	enum drop_result first = first_line(all, why);
	size_t end;

	if (first != DROP_OK)
		return first;
	end = head_end(all);
	if (end == 0)
		return DROP_MORE;
	*h = (struct drop_head){.from = SLICE_EMPTY, .envid = SLICE_EMPTY,
	    .length = end};
	rest = slice_sub(all, sizeof(FIRST_LINE) - 1, end - 2);
	while (slice_cut(&rest, '\n', &line))
		if (!read_line(&r, line))
			break;
	if (r.why == NULL && !r.from)
		r.why = "no sender";
	if (r.why == NULL && h->nrcpts == 0)
		r.why = "no recipient";
	if (r.why == NULL && !r.size)
		r.why = "no size";
	if (r.why != NULL) {
		*why = r.why;
		drop_head_free(h);
		return DROP_BAD;
	}
	for (size_t i = 0; i < h->nrcpts; i++)
		h->rcpts[i].notify = h->notify;
	return DROP_OK;
}

void
drop_head_free(struct drop_head *h)
{
	free(h->rcpts);
	h->rcpts = NULL;
	h->nrcpts = 0;
}
