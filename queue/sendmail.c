/*
 * sendmail(1): reads the message, then finds the way it goes.  Runs with its
 * caller's rights, on its caller's words.  Whole before anything is sent: what
 * the caller does not finish is nobody's mail, and smtpd does not wait for slow
 * callers.
 */
#include <sysexits.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "queue/sendmail.h"

#define PIECE 65536
#define ERRORS_MAX 65536

void
sendmail_say(const struct sendmail_options *o, const char *fmt, ...)
{
	struct buf text = BUF_INIT(4096);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	/* Callers show it on terminals; it has addresses in it. */
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.s[i] < ' ' || text.s[i] == 0x7f)
			text.s[i] = '?';
	fprintf(stderr, "%s: %s\n", o->program, text.s);
	buf_free(&text);
}

/* ---- the message ---- */

struct intake {
	const struct sendmail_options *o;
	const struct conf *c;
	struct letter *l;
};

static void
on_header(void *arg, struct slice fields)
{
	struct intake *in = arg;
	struct buf out = BUF_INIT(fields.len + 8192);

	letter_header(in->l, in->o, in->c, fields, &out);
	buf_adds(&out, "\r\n");
	spool_put(&in->l->text, buf_slice(&out));
	buf_free(&out);
}

static void
on_body(void *arg, struct slice octets)
{
	struct intake *in = arg;

	spool_put(&in->l->text, octets);
}

static bool
too_large(struct letter *l, const struct text *t,
    const struct sendmail_options *o, const struct conf *c)
{
	if (text_header_too_large(t))
		sendmail_say(o, "header larger than %llu octets",
		    (unsigned long long)c->header_size_max);
	else if (l->text.too_large)
		sendmail_say(o, "message larger than %llu octets",
		    (unsigned long long)c->message_size_max);
	else
		return false;
	letter_code(l, EX_UNAVAILABLE);
	return true;
}

/* Standard input up to its end, or to the dot. */
static bool
read_message(struct letter *l, const struct sendmail_options *o,
    const struct conf *c)
{
	struct intake in = {o, c, l};
	struct text_sink sink = {on_header, on_body, &in};
	struct text *t = text_new(o->ignore_dots, (size_t)c->header_size_max);
	char *piece = malloc(PIECE);
	ssize_t n = 0;
	bool more = true;

	while (piece != NULL && more && !l->text.too_large) {
		n = read(STDIN_FILENO, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		more = text_feed(t, slice_mem(piece, (size_t)n), &sink);
	}
	if (piece == NULL || n < 0) {
		sendmail_say(o, "reading the message: %s", strerror(errno));
		letter_code(l, EX_IOERR);
		n = -1;
	} else {
		text_end(t, &sink);
		if (too_large(l, t, o, c)) {
			n = -1;
		} else if (spool_finish(&l->text) != 0) {
			sendmail_say(o, "keeping the message: %s",
			    strerror(errno));
			letter_code(l, EX_IOERR);
			n = -1;
		}
	}
	free(piece);
	text_free(&t);
	return n >= 0;
}

/* ---- modes ---- */

static bool
has_rcpts(struct letter *l, const struct sendmail_options *o)
{
	if (l->nrcpts > 0)
		return true;
	/* Broken ones were said already. */
	if (l->code == EX_OK)
		sendmail_say(o, o->from_header ? "no recipient in To, Cc or "
		    "Bcc of the header" : "no recipient; see sendmail(1)");
	letter_code(l, EX_USAGE);
	return false;
}

static void
send_letter(struct letter *l, const struct sendmail_options *o,
    const struct conf *c)
{
	if (!read_message(l, o, c) || !has_rcpts(l, o))
		return;
	if (smtp_send(l, o, c, false) == WAY_CLOSED)
		(void)drop_letter(l, o, c);
}

static void
verify(struct letter *l, const struct sendmail_options *o,
    const struct conf *c)
{
	if (!has_rcpts(l, o))
		return;
	if (smtp_send(l, o, c, true) == WAY_CLOSED) {
		sendmail_say(o, "smtpd does not answer: nothing can be "
		    "verified now");
		letter_code(l, EX_TEMPFAIL);
	}
}

static int
letters(const struct sendmail_options *o, const struct conf *c)
{
	struct letter l = {.code = EX_OK};

	spool_open(&l.text, c->message_size_max);
	if (!letter_sender(&l, o, c)) {
		letter_free(&l);
		return EX_DATAERR;
	}
	for (int i = 0; i < o->nrcpts; i++)
		letter_add(&l, o, c, slice_of(o->rcpts[i]));
	/* Nobody is named: the message need not be waited for. */
	if (o->mode == SENDMAIL_VERIFY)
		verify(&l, o, c);
	else if (o->from_header || has_rcpts(&l, o))
		send_letter(&l, o, c);
	letter_free(&l);
	return l.code;
}

/* The file, or, where the caller may not read it or there is none, what it
 * would say by default. */
static bool
configure(const struct sendmail_options *o, struct conf *c)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	const char *file = o->conf_file != NULL ? o->conf_file
	    : CONF_DEFAULT_FILE;
	struct slice rest, line;
	bool ok;

	if (o->conf_file == NULL && access(file, R_OK) != 0) {
		conf_defaults(c);
		return true;
	}
	ok = conf_read(file, c, &errors);
	rest = buf_slice(&errors);
	while (!ok && slice_cut(&rest, '\n', &line))
		if (line.len > 0)
			sendmail_say(o, "%.*s", SLICE_FMT(line));
	buf_free(&errors);
	return ok;
}

int
sendmail_run(const struct sendmail_options *o)
{
	struct conf c;
	int code;

	if (!configure(o, &c))
		return EX_CONFIG;
	switch (o->mode) {
	case SENDMAIL_SEND:
	case SENDMAIL_VERIFY:
		code = letters(o, &c);
		break;
	case SENDMAIL_SMTP:
		code = smtp_relay(&c);
		break;
	default:
		code = admin_run(o, &c);
		break;
	}
	conf_free(&c);
	if (fflush(stdout) != 0 && code == EX_OK)
		code = EX_IOERR;
	return code;
}
