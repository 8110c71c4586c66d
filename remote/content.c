/*
 * Content on its way out, in a remote process: read through the one reader of
 * queue files, converted part by part where the next host asks for it.  The
 * octets are whatever was accepted.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/qfile.h"
#include "remote/content.h"

#define READ_SIZE 262144u
#define WHOLE_MAX (CONTENT_SMALL * 4) /* base64 and quoted-printable grow */

struct content {
	struct qfile *q;      /* owned */
	bool looked;
	struct convert_look look;
	struct buf whole;     /* the message in `form`, once has_whole */
	bool has_whole;
	enum content_form form;
};

static enum content_result
fault(const struct content *c, struct status *st)
{
	if (errno == EBADMSG)
		status_set(st, 451, 3, 0, "The message does not verify in our "
		    "queue");
	else
		status_set(st, 451, 3, 0, "The message cannot be read from "
		    "our queue: %s", strerror(errno));
	LOG_ERROR("content-fault", LB("id", qfile_env(c->q)->id), LE(),
	    LS("mend", errno == EBADMSG ? "the file is damaged: postern queue "
	    "show" : "see the system's log"));
	return CONTENT_FAULT;
}

struct content *
content_open(int fd, struct slice id, struct status *st)
{
	char why[STATUS_TEXT_MAX] = "";
	struct content *c;
	struct qfile *q;

	if (qfile_adopt(fd, false, &q, why) != QFILE_OK) {
		LOG_ERROR("queue-file-unreadable", LB("id", id),
		    LS("why", why));
		status_set(st, 451, 3, 0, "The message cannot be read from "
		    "our queue: %s", why);
		return NULL;
	}
	if (!slice_eq(qfile_env(q)->id, id)) {
		LOG_ERROR("queue-file-other", LB("id", id),
		    LB("found", qfile_env(q)->id));
		qfile_free(&q);
		status_set(st, 451, 3, 0, "The queue file is another "
		    "message's");
		return NULL;
	}
	c = mem_alloc(sizeof(*c));
	c->q = q;
	buf_init(&c->whole, WHOLE_MAX);
	return c;
}

void
content_free(struct content **cp)
{
	struct content *c = *cp;

	if (c == NULL)
		return;
	qfile_free(&c->q);
	buf_free(&c->whole);
	free(c);
	*cp = NULL;
}

uint64_t
content_size(const struct content *c)
{
	return qfile_message_length(c->q);
}

/* As it is.  What the reader gives out is verified only at its end: hold keeps
 * one piece back until then. */
static enum content_result
read_all(struct content *c, bool hold, content_fn *fn, void *arg,
    struct status *st)
{
	struct qreader *r = qreader_new(c->q, READ_SIZE);
	struct buf held = BUF_INIT(SIZE_MAX);
	enum content_result result = CONTENT_OK;
	const char *p;
	ssize_t n;

	while ((n = qreader_next(r, &p)) > 0) {
		if (hold ? held.len > 0 && !fn(arg, held.s, held.len)
		    : !fn(arg, p, (size_t)n)) {
			result = CONTENT_STOPPED;
			break;
		}
		if (!hold)
			continue;
		buf_reset(&held);
		buf_add(&held, p, (size_t)n);
	}
	if (n < 0)
		result = fault(c, st);
	else if (result == CONTENT_OK && held.len > 0 &&
	    !fn(arg, held.s, held.len))
		result = CONTENT_STOPPED;
	qreader_free(&r);
	buf_free(&held);
	return result;
}

struct conversion {
	struct convert *convert;
	content_fn *fn;
	void *arg;
};

static bool
on_converted(void *arg, const void *p, size_t n)
{
	struct conversion *v = arg;

	return v->fn(v->arg, p, n);
}

static bool
on_piece(void *arg, const char *p, size_t n)
{
	struct conversion *v = arg;

	return convert_feed(v->convert, p, n);
}

enum content_result
content_each(struct content *c, enum content_form form, content_fn *fn,
    void *arg, struct status *st)
{
	struct conversion v = {.fn = fn, .arg = arg};
	enum content_result result;

	if (c->has_whole && c->form == form)
		return c->whole.len == 0 || fn(arg, c->whole.s, c->whole.len)
		    ? CONTENT_OK : CONTENT_STOPPED;
	if (form == CONTENT_AS_IS)
		return read_all(c, true, fn, arg, st);
	v.convert = convert_new(form == CONTENT_7BIT ? CONVERT_7BIT
	    : CONVERT_8BIT, on_converted, &v);
	result = read_all(c, true, on_piece, &v, st);
	if (result == CONTENT_OK && !convert_end(v.convert))
		result = CONTENT_STOPPED;
	convert_free(&v.convert);
	return result;
}

static bool
on_whole(void *arg, const char *p, size_t n)
{
	struct buf *whole = arg;

	buf_add(whole, p, n);
	return !whole->overflow;
}

enum content_result
content_whole(struct content *c, enum content_form form, struct slice *out,
    struct status *st)
{
	enum content_result result;

	if (!c->has_whole || c->form != form) {
		if (content_size(c) > CONTENT_SMALL)
			return CONTENT_STOPPED;
		c->has_whole = false;
		buf_reset(&c->whole);
		result = form == CONTENT_AS_IS
		    ? read_all(c, false, on_whole, &c->whole, st)
		    : content_each(c, form, on_whole, &c->whole, st);
		if (result != CONTENT_OK)
			return result;
		c->has_whole = true;
		c->form = form;
	}
	*out = buf_slice(&c->whole);
	return CONTENT_OK;
}

static bool
on_look(void *arg, const char *p, size_t n)
{
	convert_look(arg, p, n);
	return true;
}

const struct convert_look *
content_look(struct content *c, struct status *st)
{
	if (c->looked)
		return &c->look;
	c->look = (struct convert_look){.eight_bit = false};
	if (read_all(c, false, on_look, &c->look, st) != CONTENT_OK)
		return NULL;
	c->looked = true;
	return &c->look;
}
