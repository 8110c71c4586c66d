/*
 * One event is one line on stderr, written by one write(2): a fixed verb, then
 * key=value (logfmt).  Values with spaces, quotes, '=', backslashes or octets
 * outside printable ASCII, and empty ones, are quoted and escaped ("\xNN", \"
 * and \\), so that no foreign octet can forge a field or a line.  Never
 * secrets, never message text.  A failed write is ignored: no daemon stops for
 * its log.
 *
 *	LOG_INFO("accepted", LS("id", id), LU("size", size), LB("from", slice));
 *
 *	smtpd[312]: accepted sid=m7q2 id=c2k4 size=1200 from="\"a b\"@c.example"
 *
 * Events that are not LOG_INFO say so behind the verb: level=error, warn or
 * debug.  A value is cut to 1000 octets ("..." at its end) and a line to 4096,
 * what a pipe takes whole: fields that do not fit are left out and cut=yes
 * stands for them.  errno is the same after every call.
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <errno.h>
#include <stdint.h>

#include "common/base/slice.h"

enum log_level {
	LOG_ERROR_LEVEL,
	LOG_WARN_LEVEL,
	LOG_INFO_LEVEL,
	LOG_DEBUG_LEVEL
};

enum log_kind { LOG_END, LOG_STR, LOG_SLICE, LOG_NUM, LOG_UNUM, LOG_ERRNO };

struct log_field {
	const char *key;
	enum log_kind kind;
	struct slice s;
	int64_t n;
};

static inline struct slice
log_text(const char *s) /* may be NULL */
{
	return s != NULL ? slice_of(s) : SLICE_EMPTY;
}

#define LS(k, str) ((struct log_field){(k), LOG_SLICE, log_text(str), 0})
#define LB(k, slc) ((struct log_field){(k), LOG_SLICE, (slc), 0})
#define LU(k, num)                                                             \
	((struct log_field){(k), LOG_UNUM, SLICE_EMPTY, (int64_t)(num)})
#define LI(k, num)                                                             \
	((struct log_field){(k), LOG_NUM, SLICE_EMPTY, (int64_t)(num)})
/* error="strerror(errno)" as it was when the call was made */
#define LE()                                                                   \
	((struct log_field){"error", LOG_ERRNO, SLICE_EMPTY, errno})

#define LOG_FIELDS(...)                                                        \
	((const struct log_field[]){__VA_ARGS__,                               \
	    {NULL, LOG_END, {NULL, 0}, 0}})

#define LOG_ERROR(verb, ...)                                                   \
	log_event(LOG_ERROR_LEVEL, (verb), LOG_FIELDS(__VA_ARGS__))
#define LOG_WARN(verb, ...)                                                    \
	log_event(LOG_WARN_LEVEL, (verb), LOG_FIELDS(__VA_ARGS__))
#define LOG_INFO(verb, ...)                                                    \
	log_event(LOG_INFO_LEVEL, (verb), LOG_FIELDS(__VA_ARGS__))
#define LOG_DEBUG(verb, ...)                                                   \
	do {                                                                   \
		if (log_debug_on())                                            \
			log_event(LOG_DEBUG_LEVEL, (verb),                     \
			    LOG_FIELDS(__VA_ARGS__));                          \
	} while (0)

/* Every line opens with "NAME[pid]: "; keeps the pointer. */
void log_open(const char *name);
/* After fork: the pid in the prefix is read anew; sid (or NULL) is put into
 * every later line as sid=... and is copied (at most 31 octets). */
void log_forked(const char *sid);
void log_debug_set(int on);
int log_debug_on(void);
/* fields may be NULL: a verb alone. */
void log_event(enum log_level level, const char *verb,
    const struct log_field *fields);

/* Plain sentences for start-up and fatal ends; foreign octets are escaped:
 * "smtpd[312]: warning: cannot open x: No such file or directory".
 * log_warn and die_errno add ": strerror(errno)". */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says it ("fatal: ...") and ends the process: EXIT_PERMANENT or
 * EXIT_TEMPORARY.  Takes no memory, and ends by _exit(2): what a forked child
 * inherited in stdio buffers or atexit handlers is its parent's affair. */
_Noreturn void die(int code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
_Noreturn void die_errno(int code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Exit codes (STYLE, section 5) */
#define EXIT_DONE_STOP 99
#define EXIT_PERMANENT 100
#define EXIT_TEMPORARY 111

#endif
