/*
 * Replies of other hosts (RFC 5321 4.2), put together line by line.  Parsers
 * only: no input and no output.
 */
#ifndef REMOTE_REPLY_H
#define REMOTE_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"

#define REPLY_LINE_MAX 4096 /* RFC 5321 4.5.3.1.5 has 512 */
#define REPLY_LINES_MAX 250

struct reply {
	uint32_t code;        /* 200..599, of the last line */
	bool enhanced;        /* RFC 2034: subject and detail were said */
	uint32_t subject, detail;
	unsigned lines;
	char text[STATUS_TEXT_MAX]; /* all lines joined by blanks, codes taken
	                       * away; what does not fit is left out */
	size_t len;
	struct slice said;    /* text of the line last taken; dies with it */
};

enum reply_result {
	REPLY_MORE,  /* the reply goes on */
	REPLY_WHOLE,
	REPLY_BAD    /* no reply at all: *why */
};

void reply_start(struct reply *r);
/* A line without its CRLF. */
enum reply_result reply_line(struct reply *r, struct slice line,
    const char **why);

static inline unsigned
reply_class(const struct reply *r)
{
	return r->code / 100;
}

/* As an outcome.  Without an enhanced code: X.0.0. */
void reply_as_status(const struct reply *r, struct status *out);
/* The same as a temporary one, whatever the code; the code stands in front of
 * the words then. */
void reply_as_temporary(const struct reply *r, uint32_t subject,
    uint32_t detail, struct status *out);

/* What a server offers (RFC 5321 4.1.1.1). */
struct offers {
	bool pipelining;      /* RFC 2920 */
	bool size;            /* RFC 1870 */
	uint64_t size_max;    /* 0: not said */
	bool eight_bit;       /* RFC 6152 */
	bool chunking, binary; /* RFC 3030 */
	bool dsn;             /* RFC 3461 */
	bool utf8;            /* RFC 6531 */
	bool deliver_by;      /* RFC 2852 */
	uint64_t by_least;    /* seconds; 0: not said */
	uint32_t rcpt_max, mail_max, domain_max; /* RFC 9422; 0: not said */
};
/* One line of EHLO's reply behind the first: "SIZE 1000000". */
void offers_line(struct offers *o, struct slice line);

#endif
