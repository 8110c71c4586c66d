/*
 * Outcomes.  Every process makes them; their texts may quote what a client, a
 * foreign host or a user's file said and therefore are cleaned here, once, of
 * whatever could break a reply, a journal line or a log line.
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/base/status.h"

/* RFC 3463 2: subject and detail have at most three digits. */
static unsigned
three_digits(uint32_t n)
{
	return n > 999 ? 999 : (unsigned)n;
}

void
status_set(struct status *st, uint32_t code, uint32_t subject, uint32_t detail,
    const char *fmt, ...)
{
	/* Not straight into st: an argument may be its old text. */
	char text[STATUS_TEXT_MAX];
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	for (i = 0; text[i] != '\0'; i++)
		if (text[i] < 0x20 || text[i] >= 0x7f)
			text[i] = '?';
	memcpy(st->text, text, i + 1);
	st->code = code;
	st->subject = subject;
	st->detail = detail;
}

enum status_class
status_class(const struct status *st)
{
	switch (st->code / 100) {
	case 2:
	case 3:
		return STATUS_OK;
	case 5:
		return STATUS_PERMANENT;
	default:
		/* 4xx; and a code that is none must not bounce a message. */
		return STATUS_TEMPORARY;
	}
}

void
status_enhanced(const struct status *st, char out[STATUS_ENHANCED_SIZE])
{
	(void)snprintf(out, STATUS_ENHANCED_SIZE, "%d.%u.%u", (int)status_class(st),
	    three_digits(st->subject), three_digits(st->detail));
}
