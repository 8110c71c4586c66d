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
#define FRONT_MAX ((size_t)1024 * 1024)
/* base64 and quoted-printable grow */
#define WHOLE_MAX (CONTENT_SMALL * 4 + FRONT_MAX)

struct content {
	struct qfile *q;      /* owned */
	bool looked;
	struct convert_look look;
	struct buf whole;     /* the message in `form`, once has_whole */
	bool has_whole;
	enum content_form form;
	bool whole_fronted;   /* front stands in it */
	content_front_fn *front_fn; /* NULL: nothing stands in front */
	void *front_arg;
	struct buf front;     /* of front_form, once has_front */
	bool has_front;
	enum content_form front_form;
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
	buf_init(&c->front, FRONT_MAX);
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
	buf_free(&c->front);
	free(c);
	*cp = NULL;
}

uint64_t
content_size(const struct content *c)
{
	return qfile_message_length(c->q) + c->front.len;
}

const struct envelope *
content_envelope(const struct content *c)
{
	return qfile_env(c->q);
}

int64_t
content_created_ms(const struct content *c)
{
	return qfile_created_ms(c->q);
}

/* ---- what stands in front ---- */

void
content_front(struct content *c, content_front_fn *fn, void *arg)
{
	c->front_fn = fn;
	c->front_arg = arg;
}

bool
content_prepare(struct content *c, enum content_form form, struct status *st)
{
	struct buf front = BUF_INIT(FRONT_MAX);
	bool good;

	if (c->front_fn == NULL || (c->has_front && c->front_form == form))
		return true;
	/* It sees the message alone. */
	buf_reset(&c->front);
	c->has_front = false;
	if (c->whole_fronted)
		c->has_whole = c->whole_fronted = false;
	good = c->front_fn(c->front_arg, c, form, &front, st);
	if (good) {
		buf_free(&c->front);
		c->front = buf_take(&front);
		c->has_front = true;
		c->front_form = form;
	}
	buf_free(&front);
	return good;
}

/* ---- pieces ---- */

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

/* The message alone, in this form. */
static enum content_result
read_form(struct content *c, enum content_form form, bool hold,
    content_fn *fn, void *arg, struct status *st)
{
	struct conversion v = {.fn = fn, .arg = arg};
	enum content_result result;

	if (form == CONTENT_AS_IS)
		return read_all(c, hold, fn, arg, st);
	v.convert = convert_new(form == CONTENT_7BIT ? CONVERT_7BIT
	    : CONVERT_8BIT, on_converted, &v);
	result = read_all(c, hold, on_piece, &v, st);
	if (result == CONTENT_OK && !convert_end(v.convert))
		result = CONTENT_STOPPED;
	convert_free(&v.convert);
	return result;
}

enum content_result
content_each(struct content *c, enum content_form form, content_fn *fn,
    void *arg, struct status *st)
{
	bool whole = c->has_whole && c->form == form;

	if (c->front.len > 0 && !(whole && c->whole_fronted) &&
	    !fn(arg, c->front.s, c->front.len))
		return CONTENT_STOPPED;
	if (!whole)
		return read_form(c, form, true, fn, arg, st);
	return c->whole.len == 0 || fn(arg, c->whole.s, c->whole.len)
	    ? CONTENT_OK : CONTENT_STOPPED;
}

static bool
on_whole(void *arg, const char *p, size_t n)
{
	struct buf *whole = arg;

	buf_add(whole, p, n);
	return !whole->overflow;
}

static void
put_front(struct content *c)
{
	struct buf all = BUF_INIT(WHOLE_MAX);

	(void)buf_room(&all, c->front.len + c->whole.len);
	buf_addslice(&all, buf_slice(&c->front));
	buf_addslice(&all, buf_slice(&c->whole));
	buf_free(&c->whole);
	c->whole = buf_take(&all);
	c->whole_fronted = true;
}

enum content_result
content_whole(struct content *c, enum content_form form, struct slice *out,
    struct status *st)
{
	enum content_result result;

	if (!c->has_whole || c->form != form) {
		if (qfile_message_length(c->q) > CONTENT_SMALL)
			return CONTENT_STOPPED;
		c->has_whole = c->whole_fronted = false;
		buf_reset(&c->whole);
		result = read_form(c, form, false, on_whole, &c->whole, st);
		if (result != CONTENT_OK)
			return result;
		c->has_whole = true;
		c->form = form;
	}
	if (c->front.len > 0 && !c->whole_fronted)
		put_front(c);
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
