/*
 * `postern trace`: the life of messages, put together from the lines of all
 * daemons.  A line belongs to a message by its id, and one without an id by the
 * session (sid) that had to do with the message; a notice and the message that
 * caused it (fields id and notice of bounce) belong together.
 */
#ifndef POSTERN_TRACE_H
#define POSTERN_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "postern/logfile.h"
#include "postern/logtime.h"

#define TRACE_MESSAGES_MAX 10000
#define TRACE_EVENTS_MAX 1000000
#define TRACE_NAME_SIZE 32 /* an id or a sid */

/* What is looked for. */
struct trace_what {
	struct slice text;  /* as given, without "<" and ">" */
	bool id;            /* an id, or the start of one: 8 characters */
	bool sid;           /* may be a session */
	bool address;       /* an address or Message-ID; may have '*' */
};
/* False: nothing one could look for. */
bool trace_what(const char *text, struct trace_what *out);

struct trace_event {
	char *line;         /* owned: from the program's name on */
	int64_t us;         /* since 1970; of a line without a time what it says
	                     * itself of it, or 0 */
	enum logtime_kind kind; /* whether its logger said when, and how */
	size_t seq;         /* of all lines read */
	struct slice program, verb, fields; /* in line */
	uint32_t pid;
};

/* A message; or a session in which none came to be, whose id is "". */
struct trace_message {
	char id[TRACE_NAME_SIZE], sid[TRACE_NAME_SIZE];
	bool cause;         /* found only as what caused a notice, or as one */
	size_t from, n;     /* its events: trace.order[from] on, by time */
};

struct trace {
	struct trace_what what;
	int64_t now_ms;
	struct trace_event *events; /* owned */
	size_t nevents, events_cap;
	struct trace_message *messages; /* owned; oldest first */
	size_t nmessages, messages_cap;
	size_t *order;      /* owned: indexes into events */
	bool more;          /* a limit was reached */
};

/* Reads all files, several times.  False: said what is wrong. */
bool trace_read(struct trace *t, const struct logfiles *files);
void trace_free(struct trace *t);

#endif
