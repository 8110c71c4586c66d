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

__attribute__((format(printf, 4, 0)))
static void
put_line(struct session *s, const char *status, const char *code,
    const char *fmt, va_list ap)
{
	char line[REPLY_MAX + 3];
	size_t len;
	int head, n;

	head = snprintf(line, REPLY_MAX + 1, "%s%s%s%s ", status,
	    code[0] != '\0' ? " [" : "", code, code[0] != '\0' ? "]" : "");
	n = vsnprintf(line + head, (size_t)(REPLY_MAX + 1 - head), fmt, ap);
	len = (size_t)head + (n > 0 ? (size_t)n : 0);
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
	va_list ap;

	va_start(ap, fmt);
	put_line(s, "+OK", "", fmt, ap);
	va_end(ap);
}

void
reply_no(struct session *s, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(s, "-ERR", code, fmt, ap);
	va_end(ap);
}

void
reply_error(struct session *s, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(s, "-ERR", code, fmt, ap);
	va_end(ap);
	s->errors++;
}
