/*
 * The log: one line an event, built on the stack and written by one write(2)
 * to descriptor 2, where the supervisor's logger reads.  Used by every process,
 * the caged ones too; verbs and keys are ours, values may be anybody's and are
 * escaped here and nowhere else.  Takes no memory, so that the end of memory
 * can still be told.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/num.h"

#define LINE_SIZE 4096     /* PIPE_BUF of Linux: a pipe takes it whole */
#define VALUE_MAX 1000     /* octets of one escaped value */
#define SENTENCE_MAX 3000  /* the same of a sentence */
#define SID_MAX 31

static const char cut_mark[] = " cut=yes";
#define TAIL_SIZE (sizeof(cut_mark)) /* the mark and the newline */

struct line {
	char s[LINE_SIZE];
	size_t len; /* at most LINE_SIZE - TAIL_SIZE until the line is sent */
	bool cut;   /* something was left out */
};

/* What all lines of a process have in common; the log is the one module whose
 * callers carry no struct around. */
static struct {
	const char *name;
	bool debug;
	size_t prefix_len, sid_len;
	char prefix[64];                 /* "NAME[pid]: " */
	char sid[sizeof(" sid=\"\"") + (size_t)4 * SID_MAX]; /* " sid=..." */
} self = {.name = "postern"};

/* Without taking memory: a number nobody knows is written into tmp. */
static const char *
error_text(int error, char *tmp, size_t size)
{
#ifdef __GLIBC__
	return strerror_r(error, tmp, size);
#else
	(void)tmp;
	(void)size;
	return strerror(error);
#endif
}

/* The whole text or nothing. */
static bool
put(struct line *l, const char *s, size_t n)
{
	if (n > LINE_SIZE - TAIL_SIZE - l->len)
		return false;
	memcpy(l->s + l->len, s, n);
	l->len += n;
	return true;
}

/* One octet as it stands in a line; returns its length. */
static size_t
escape_octet(unsigned char c, bool quoted, char out[4])
{
	static const char hex[] = "0123456789abcdef";

	if (c < 0x20 || c >= 0x7f) {
		out[0] = '\\';
		out[1] = 'x';
		out[2] = hex[c >> 4];
		out[3] = hex[c & 15];
		return 4;
	}
	if (c == '\\' || (quoted && c == '"')) {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	out[0] = (char)c;
	return 1;
}

/* Writes s escaped, at most max octets, into out; what would be longer is cut
 * between two octets of s and ends in dots. */
static size_t
escape(struct slice s, bool quoted, char *out, size_t max)
{
	size_t len = 0, cut = 0;

	for (size_t i = 0; i < s.len; i++) {
		char one[4];
		size_t n = escape_octet((unsigned char)s.p[i], quoted, one);

		if (len + n > max) {
			memset(out + cut, '.', 3);
			return cut + 3;
		}
		memcpy(out + len, one, n);
		len += n;
		if (len + 3 <= max)
			cut = len;
	}
	return len;
}

static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return s.len > 0;
}

static bool
put_value(struct line *l, struct slice s)
{
	char quoted[VALUE_MAX + 2];
	size_t n;

	if (s.len <= VALUE_MAX && is_plain(s))
		return put(l, s.p, s.len);
	quoted[0] = '"';
	n = 1 + escape(s, true, quoted + 1, VALUE_MAX);
	quoted[n++] = '"';
	return put(l, quoted, n);
}

static bool
put_number(struct line *l, const struct log_field *f)
{
	char text[NUM_TEXT_SIZE];
	uint64_t n = (uint64_t)f->n;
	size_t digits;

	if (f->kind == LOG_NUM && f->n < 0) {
		n = 0 - n;
		if (!put(l, "-", 1))
			return false;
	}
	digits = num_text(n, text);
	return put(l, text, digits);
}

/* " key=value", or nothing and the mark. */
static void
put_field(struct line *l, const struct log_field *f)
{
	char tmp[64];
	size_t before = l->len;
	bool fits;

	fits = put(l, " ", 1) && put(l, f->key, strlen(f->key)) &&
	    put(l, "=", 1);
	switch (f->kind) {
	case LOG_STR:
	case LOG_SLICE:
		fits = fits && put_value(l, f->s);
		break;
	case LOG_NUM:
	case LOG_UNUM:
		fits = fits && put_number(l, f);
		break;
	case LOG_ERRNO:
		fits = fits && put_value(l,
		    slice_of(error_text((int)f->n, tmp, sizeof(tmp))));
		break;
	case LOG_END:
		break;
	}
	if (fits)
		return;
	l->len = before;
	l->cut = true;
}

static void
read_pid(void)
{
	int n = snprintf(self.prefix, sizeof(self.prefix), "%.40s[%ld]: ",
	    self.name, (long)getpid());

	self.prefix_len = n > 0 ? (size_t)n : 0;
}

static void
start(struct line *l)
{
	if (self.prefix_len == 0)
		read_pid();
	l->len = 0;
	l->cut = false;
	put(l, self.prefix, self.prefix_len);
}

static void
send_line(struct line *l)
{
	ssize_t done;

	/* TAIL_SIZE was kept free for these. */
	if (l->cut) {
		memcpy(l->s + l->len, cut_mark, sizeof(cut_mark) - 1);
		l->len += sizeof(cut_mark) - 1;
	}
	l->s[l->len++] = '\n';
	do
		done = write(STDERR_FILENO, l->s, l->len);
	while (done < 0 && errno == EINTR);
}

void
log_open(const char *name)
{
	self.name = name;
	read_pid();
}

void
log_forked(const char *sid)
{
	struct line l = {.len = 0};

	read_pid();
	self.sid_len = 0;
	if (sid == NULL)
		return;
	put_field(&l, &LB("sid", slice_mem(sid, strnlen(sid, SID_MAX))));
	memcpy(self.sid, l.s, l.len);
	self.sid_len = l.len;
}

void
log_debug_set(int on)
{
	self.debug = on != 0;
}

int
log_debug_on(void)
{
	return self.debug;
}

void
log_event(enum log_level level, const char *verb,
    const struct log_field *fields)
{
	static const char *const levels[] = {
		[LOG_ERROR_LEVEL] = " level=error",
		[LOG_WARN_LEVEL] = " level=warn",
		[LOG_INFO_LEVEL] = "",
		[LOG_DEBUG_LEVEL] = " level=debug",
	};
	int saved = errno;
	struct line l;

	if (level == LOG_DEBUG_LEVEL && !self.debug)
		return;
	start(&l);
	put(&l, verb, strlen(verb));
	put(&l, levels[level], strlen(levels[level]));
	put(&l, self.sid, self.sid_len);
	for (; fields != NULL && fields->kind != LOG_END; fields++)
		put_field(&l, fields);
	send_line(&l);
	errno = saved;
}

/* "NAME[pid]: warning: sid=... text: error"; error 0: none. */
__attribute__((format(printf, 3, 0)))
static void
sentence(const char *what, int error, const char *fmt, va_list ap)
{
	char text[SENTENCE_MAX], escaped[SENTENCE_MAX], tmp[64];
	struct line l;
	size_t len;
	int n;

	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		n = snprintf(text, sizeof(text), "%s", "(unprintable)");
	start(&l);
	put(&l, what, strlen(what));
	put(&l, ":", 1);
	put(&l, self.sid, self.sid_len);
	put(&l, " ", 1);
	len = escape(slice_of(text), false, escaped, sizeof(escaped));
	put(&l, escaped, len);
	if ((size_t)n >= sizeof(text))
		put(&l, "...", 3);
	if (error != 0) {
		const char *why = error_text(error, tmp, sizeof(tmp));

		put(&l, ": ", 2);
		put(&l, why, strlen(why));
	}
	send_line(&l);
}

void
log_warn(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	sentence("warning", saved, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
log_warnx(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	sentence("warning", 0, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
die(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	sentence("fatal", 0, fmt, ap);
	va_end(ap);
	_exit(code);
}

void
die_errno(int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	sentence("fatal", saved, fmt, ap);
	va_end(ap);
	_exit(code);
}
