/* A line of a daemon's log (common/base/log.h), read back. */
#ifndef POSTERN_LOGLINE_H
#define POSTERN_LOGLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "postern/logtime.h"

struct buf;

struct logline {
	enum logtime_kind kind;
	int64_t us;            /* unless LOGTIME_NONE */
	struct slice program;  /* "smtpd" */
	uint32_t pid;
	struct slice verb;     /* "accepted" */
	struct slice fields;   /* behind it, for logline_field */
};

/* False: no event of ours.  The slices point into line. */
bool logline_parse(struct slice line, int64_t now_ms, struct logline *out);

/* The next key=value of *rest; the value, its escapes undone, replaces what is
 * in value.  False at the end, and where the line is no longer well-formed. */
bool logline_field(struct slice *rest, struct slice *key, struct buf *value);
/* The value of the first field of that name; false: none. */
bool logline_get(const struct logline *l, const char *key, struct buf *value);

#endif
