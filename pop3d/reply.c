/*
 * Replies: +OK and -ERR (RFC 1939 3).  Runs in the login session and in the
 * mailbox process.  Texts may quote what the client said; what could break the
 * line or a terminal is replaced here.
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/io/stream.h"
#include "pop3d/session.h"

#define REPLY_MAX 510 /* RFC 2449 4: 512 octets with CRLF */

static void
put_line(struct session *s, const char *status, const char *code,
    const char *text)
{
	char line[REPLY_MAX + 3];
	size_t len;
	int n;

	n = snprintf(line, REPLY_MAX + 1, "%s%s%s%s %s", status,
	    code[0] != '\0' ? " [" : "", code, code[0] != '\0' ? "]" : "",
	    text);
	len = n > 0 ? (size_t)n : 0;
	if (len > REPLY_MAX)
		len = REPLY_MAX;
	for (size_t i = 0; i < len; i++)
		if (line[i] < 0x20 || line[i] > 0x7e)
			line[i] = '?';
	line[len] = '\r';
	line[len + 1] = '\n';
	stream_put(s->net, slice_mem(line, len + 2));
}

void
reply_ok(struct session *s, const char *fmt, ...)
{
	char text[REPLY_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_line(s, "+OK", "", text);
}

void
reply_no(struct session *s, const char *code, const char *fmt, ...)
{
	char text[REPLY_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_line(s, "-ERR", code, text);
}

void
reply_error(struct session *s, const char *code, const char *fmt, ...)
{
	char text[REPLY_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_line(s, "-ERR", code, text);
	s->errors++;
}
