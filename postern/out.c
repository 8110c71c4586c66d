/*
 * Output of the admin's command.  What it prints comes from queue files and
 * tables: addresses and words of strangers, which must neither move the
 * terminal's cursor nor break a line of JSON.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "postern/out.h"

void
out_error(const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	for (i = 0; text[i] != '\0'; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	fprintf(stderr, "postern: %s\n", text);
}

void
out_errors(struct slice lines)
{
	struct slice line;

	while (slice_cut(&lines, '\n', &line))
		if (line.len > 0)
			out_error("%.*s", SLICE_FMT(line));
}

/* Octets of the UTF-8 character at s[i], 0: none stands there. */
static size_t
utf8_length(struct slice s, size_t i)
{
	unsigned char c = (unsigned char)s.p[i];
	unsigned char d = i + 1 < s.len ? (unsigned char)s.p[i + 1] : 0;
	size_t n, k;

	if (c < 0x80)
		return 1;
	n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3
	    : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
	if (n == 0 || i + n > s.len)
		return 0;
	for (k = 1; k < n; k++)
		if (((unsigned char)s.p[i + k] & 0xc0) != 0x80)
			return 0;
	/* RFC 3629: no overlong forms, no surrogates, nothing above 10FFFF */
	if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) ||
	    (c == 0xf0 && d < 0x90) || (c == 0xf4 && d > 0x8f))
		return 0;
	return n;
}

/* C1 control characters move terminals, too. */
static bool
is_control(struct slice s, size_t i, size_t n)
{
	unsigned char c = (unsigned char)s.p[i];

	return n == 1 ? c < 0x20 || c == 0x7f
	    : n == 2 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0;
}

void
out_text(struct slice s)
{
	size_t i, n, k;

	for (i = 0; i < s.len; i += n) {
		n = utf8_length(s, i);
		if (n > 0 && !is_control(s, i, n)) {
			fwrite(s.p + i, 1, n, stdout);
			continue;
		}
		n = n == 0 ? 1 : n;
		for (k = 0; k < n; k++)
			printf("\\x%02x", (unsigned char)s.p[i + k]);
	}
}

void
out_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

bool
out_contains(struct slice s, struct slice part)
{
	size_t i;

	for (i = 0; i + part.len <= s.len; i++)
		if (slice_ieq(slice_sub(s, i, i + part.len), part))
			return true;
	return false;
}

void
out_duration(int64_t ms, char out[OUT_DURATION_SIZE])
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {{604800000, "w"}, {86400000, "d"}, {3600000, "h"},
	    {60000, "m"}, {1000, "s"}};
	size_t i, len;

	if (ms < 0)
		ms = 0;
	for (i = 0; i < 4 && ms < units[i].ms; i++)
		continue;
	snprintf(out, OUT_DURATION_SIZE, "%" PRId64 "%s", ms / units[i].ms,
	    units[i].name);
	len = strlen(out);
	if (i < 4 && ms % units[i].ms / units[i + 1].ms > 0)
		snprintf(out + len, OUT_DURATION_SIZE - len, " %" PRId64 "%s",
		    ms % units[i].ms / units[i + 1].ms, units[i + 1].name);
}

void
out_size(uint64_t octets, char out[OUT_SIZE_SIZE])
{
	static const char units[] = " KMGTPE";
	uint64_t whole = octets, rest = 0;
	size_t i = 0;

	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		i++;
	}
	if (i == 0)
		snprintf(out, OUT_SIZE_SIZE, "%" PRIu64, whole);
	else if (whole < 10)
		snprintf(out, OUT_SIZE_SIZE, "%" PRIu64 ".%" PRIu64 "%c",
		    whole, rest * 10 / 1024, units[i]);
	else
		snprintf(out, OUT_SIZE_SIZE, "%" PRIu64 "%c", whole, units[i]);
}

/* ---- JSON ---- */

static void
before_value(struct json *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->depth == 0)
		return;
	if (j->filled[j->depth - 1])
		putchar(',');
	j->filled[j->depth - 1] = true;
	printf("\n%*s", j->depth * 2, "");
}

static void
begin(struct json *j, char open, char close)
{
	assert(j->depth < JSON_DEPTH_MAX);
	before_value(j);
	putchar(open);
	j->close[j->depth] = close;
	j->filled[j->depth++] = false;
}

void
json_object(struct json *j)
{
	begin(j, '{', '}');
}

void
json_array(struct json *j)
{
	begin(j, '[', ']');
}

void
json_end(struct json *j)
{
	assert(j->depth > 0);
	if (j->filled[--j->depth])
		printf("\n%*s", j->depth * 2, "");
	putchar(j->close[j->depth]);
	if (j->depth == 0)
		putchar('\n');
}

void
json_key(struct json *j, const char *key)
{
	before_value(j);
	printf("\"%s\": ", key);
	j->after_key = true;
}

void
json_str(struct json *j, struct slice s)
{
	size_t i, n;

	before_value(j);
	putchar('"');
	for (i = 0; i < s.len; i += n) {
		unsigned char c = (unsigned char)s.p[i];

		n = utf8_length(s, i);
		if (n == 0) {
			n = 1;
			printf("\\u00%02x", c);
		} else if (c == '"' || c == '\\') {
			printf("\\%c", c);
		} else if (is_control(s, i, n)) {
			printf("\\u%04x", (unsigned char)s.p[i + n - 1]);
		} else {
			fwrite(s.p + i, 1, n, stdout);
		}
	}
	putchar('"');
}

void
json_num(struct json *j, int64_t n)
{
	before_value(j);
	printf("%" PRId64, n);
}

void
json_bool(struct json *j, bool b)
{
	before_value(j);
	fputs(b ? "true" : "false", stdout);
}

void
json_time(struct json *j, int64_t real_ms)
{
	char date[CLOCK_DATE_SIZE];

	if (real_ms == 0) {
		before_value(j);
		fputs("null", stdout);
		return;
	}
	clock_rfc3339(real_ms, date);
	json_str(j, slice_of(date));
}

void
json_key_str(struct json *j, const char *key, struct slice s)
{
	json_key(j, key);
	json_str(j, s);
}

void
json_key_num(struct json *j, const char *key, int64_t n)
{
	json_key(j, key);
	json_num(j, n);
}

void
json_key_bool(struct json *j, const char *key, bool b)
{
	json_key(j, key);
	json_bool(j, b);
}

void
json_key_time(struct json *j, const char *key, int64_t real_ms)
{
	json_key(j, key);
	json_time(j, real_ms);
}
