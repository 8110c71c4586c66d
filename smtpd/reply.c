/*
 * Replies (RFC 5321 4.2, RFC 2034).  Runs in the session.  Texts may quote what
 * the client or another daemon said: what could break a reply line or a
 * terminal is replaced here.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/io/stream.h"
#include "common/mail/envelope.h"
#include "smtpd/counters.h"
#include "smtpd/session.h"

#define LINE_MAX_OUT 510 /* RFC 5321 4.5.3.1.5, without CRLF */
#define LINE_SIZE (LINE_MAX_OUT + 2)
#define TEXT_SIZE (LINE_MAX_OUT + 1)

static size_t
add(char line[LINE_SIZE], size_t len, struct slice text)
{
	text = slice_sub(text, 0, LINE_MAX_OUT - len);
	memcpy(line + len, text.p, text.len);
	return len + text.len;
}

/* Writes the line; it stays in line, without CRLF, for the log. */
static struct slice
put_line(struct session *s, unsigned code, char sep, const char *enhanced,
    const char *text, char line[LINE_SIZE])
{
	bool utf8 = s->utf8_replies || (s->mail.flags & ENV_SMTPUTF8) != 0;
	size_t len = 4;

	assert(code >= 200 && code <= 599);
	line[0] = (char)('0' + code / 100);
	line[1] = (char)('0' + code / 10 % 10);
	line[2] = (char)('0' + code % 10);
	line[3] = sep;
	len = add(line, len, slice_of(enhanced));
	if (enhanced[0] != '\0')
		line[len++] = ' ';
	len = add(line, len, slice_of(text));
	for (size_t i = 4; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < 0x20 || c == 0x7f || (c > 0x7f && !utf8))
			line[i] = '?';
	}
	line[len] = '\r';
	line[len + 1] = '\n';
	stream_put(s->net, slice_mem(line, len + 2));
	return slice_mem(line, len);
}

static void
log_refusal(struct session *s, unsigned code, struct slice line)
{
	if (code >= 500)
		s->errors++;
	s->refused++;
	s->error = code;
	stats_add(code < 500 ? COUNT_REPLIES_4 : COUNT_REPLIES_5, 1);
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
	char text[TEXT_SIZE], out[LINE_SIZE];
	struct slice line;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line = put_line(s, code, ' ', enhanced, text, out);
	if (code >= 400)
		log_refusal(s, code, line);
}

void
reply_more(struct session *s, unsigned code, const char *enhanced,
    const char *fmt, ...)
{
	char text[TEXT_SIZE], out[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_line(s, code, '-', enhanced, text, out);
}

void
reply_status(struct session *s, const struct status *st)
{
	char enhanced[STATUS_ENHANCED_SIZE];
	/* It may be another daemon's word. */
	bool valid = st->code >= 200 && st->code <= 599;

	status_enhanced(st, enhanced);
	reply(s, valid ? st->code : 451, enhanced, "%s", st->text);
}

enum state
reply_close(struct session *s, const char *why, const char *enhanced,
    const char *fmt, ...)
{
	char text[TEXT_SIZE], out[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_refusal(s, 421, put_line(s, 421, ' ', enhanced, text, out));
	s->end = why;
	return STATE_CLOSED;
}
