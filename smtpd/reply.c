/*
 * Replies (RFC 5321 4.2, RFC 2034).  Runs in the session.  Texts may quote what
 * the client or another daemon said: what could break a reply line or a
 * terminal is replaced here.
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/base/log.h"
#include "common/io/stream.h"
#include "common/mail/envelope.h"
#include "smtpd/session.h"

#define LINE_MAX_OUT 510 /* RFC 5321 4.5.3.1.5, without CRLF */

static void
clean(char *text, size_t len, bool utf8)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f || (c > 0x7f && !utf8))
			text[i] = '?';
	}
}

/* Writes the line; it stays in out for the log. */
__attribute__((format(printf, 6, 0)))
static struct slice
put_line(struct session *s, unsigned code, char sep, const char *enhanced,
    char out[LINE_MAX_OUT + 3], const char *fmt, va_list ap)
{
	int head, n;
	size_t len;

	head = snprintf(out, LINE_MAX_OUT + 1, "%03u%c%s%s", code, sep,
	    enhanced, enhanced[0] != '\0' ? " " : "");
	n = vsnprintf(out + head, (size_t)(LINE_MAX_OUT + 1 - head), fmt, ap);
	len = (size_t)head + (n > 0 ? (size_t)n : 0);
	if (len > LINE_MAX_OUT)
		len = LINE_MAX_OUT;
	clean(out + head, len - (size_t)head, s->utf8_replies ||
	    (s->mail.flags & ENV_SMTPUTF8) != 0);
	out[len] = '\r';
	out[len + 1] = '\n';
	stream_put(s->net, slice_mem(out, len + 2));
	return slice_mem(out, len);
}

static void
log_refusal(struct session *s, unsigned code, struct slice line)
{
	if (code >= 500)
		s->errors++;
	s->refused++;
	if (s->mail.id.s[0] != '\0')
		LOG_INFO("refused", LS("id", s->mail.id.s),
		    LS("ip", s->ip_text), LB("from", buf_slice(&s->mail.from)),
		    LB("command", s->verb), LB("arg", s->arg),
		    LB("reply", line));
	else
		LOG_INFO("refused", LS("ip", s->ip_text),
		    LB("command", s->verb), LB("arg", s->arg),
		    LB("reply", line));
}

void
reply(struct session *s, unsigned code, const char *enhanced, const char *fmt,
    ...)
{
	char out[LINE_MAX_OUT + 3];
	struct slice line;
	va_list ap;

	va_start(ap, fmt);
	line = put_line(s, code, ' ', enhanced, out, fmt, ap);
	va_end(ap);
	if (code >= 400)
		log_refusal(s, code, line);
}

void
reply_more(struct session *s, unsigned code, const char *enhanced,
    const char *fmt, ...)
{
	char out[LINE_MAX_OUT + 3];
	va_list ap;

	va_start(ap, fmt);
	put_line(s, code, '-', enhanced, out, fmt, ap);
	va_end(ap);
}

void
reply_status(struct session *s, const struct status *st)
{
	char enhanced[STATUS_ENHANCED_SIZE];

	status_enhanced(st, enhanced);
	reply(s, st->code, enhanced, "%s", st->text);
}

enum state
reply_close(struct session *s, const char *why, const char *enhanced,
    const char *fmt, ...)
{
	char out[LINE_MAX_OUT + 3];
	struct slice line;
	va_list ap;

	va_start(ap, fmt);
	line = put_line(s, 421, ' ', enhanced, out, fmt, ap);
	va_end(ap);
	log_refusal(s, 421, line);
	s->end = why;
	return STATE_CLOSED;
}
