/*
 * `postern trace`: what daemons logged of a message, as a timeline or JSON.
 * The log files are opened with the caller's rights; then root becomes
 * user_queue, because what is in them came from strangers.
 */
#include <sys/stat.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "postern/args.h"
#include "postern/logline.h"
#include "postern/out.h"
#include "postern/postern.h"
#include "postern/trace.h"
#include "postern/trace_sum.h"

#define SHOWN_RCPTS 20
#define VALUE_MAX 4096

/* ---- text ---- */

/* "+12 ms", "+1.234 s", "+3m 12s" */
static void
put_span(int64_t us, char out[OUT_DURATION_SIZE])
{
	char span[OUT_DURATION_SIZE];
	int64_t ms = us / 1000;

	if (ms < 0)
		snprintf(out, OUT_DURATION_SIZE, "%" PRId64 " ms", ms);
	else if (ms < 1000)
		snprintf(out, OUT_DURATION_SIZE, "+%" PRId64 " ms", ms);
	else if (ms < 60000)
		snprintf(out, OUT_DURATION_SIZE, "+%" PRId64 ".%03" PRId64
		    " s", ms / 1000, ms % 1000);
	else {
		out_duration(ms, span);
		snprintf(out, OUT_DURATION_SIZE, "+%.20s", span);
	}
}

/* The fields as they were logged, but for those that every line has. */
static void
print_fields(const struct trace_message *m, const struct trace_event *e)
{
	struct slice rest = e->fields, before = rest, key;
	struct buf value = BUF_INIT(VALUE_MAX);

	while (logline_field(&rest, &key, &value)) {
		struct slice raw = slice_sub(before, 0,
		    (size_t)(rest.p - before.p));
		bool known = slice_eq(key, SLICE("id"))
		    ? slice_eq(buf_slice(&value), slice_of(m->id))
		    : slice_eq(key, SLICE("sid")) &&
		    slice_eq(buf_slice(&value), slice_of(m->sid));

		if (!known) {
			out_printf(" ");
			out_text(slice_trim(raw));
		}
		before = rest;
	}
	buf_free(&value);
}

/* Of its first event whose time is known; 0: of none. */
static int64_t
start_us(const struct trace *t, const struct trace_message *m)
{
	int64_t us = 0;

	for (size_t i = 0; i < m->n && us == 0; i++)
		us = t->events[t->order[m->from + i]].us;
	return us;
}

static void
print_events(const struct trace *t, const struct trace_message *m)
{
	int64_t start = start_us(t, m);
	char date[CLOCK_DATE_SIZE], span[OUT_DURATION_SIZE], name[64];

	if (start > 0) {
		clock_rfc5322(start / 1000, date);
		out_printf("  %s\n", date);
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct trace_event *e = &t->events[t->order[m->from + i]];

		if (e->us > 0)
			put_span(e->us - start, span);
		else
			span[0] = '\0';
		snprintf(name, sizeof(name), "%.*s[%u]", SLICE_FMT(e->program),
		    e->pid);
		out_printf("  %s%11s  %-20s  ", e->kind == LOGTIME_NONE ? "~"
		    : " ", span, name);
		out_text(e->verb);
		print_fields(m, e);
		out_printf("\n");
	}
}

static void
put_words(const char *before, const struct buf *s, const char *after)
{
	if (s->len == 0)
		return;
	out_printf("%s", before);
	out_text(buf_slice(s));
	out_printf("%s", after);
}

static void
print_recipients(const struct trace_sum *s)
{
	size_t n = s->n < SHOWN_RCPTS ? s->n : SHOWN_RCPTS;

	for (size_t i = 0; i < n; i++) {
		const struct trace_rcpt *r = &s->v[i];

		put_words("  ", &r->to, ": ");
		out_text(r->verb);
		put_words(" ", &r->status, "");
		put_words(" at ", &r->host, "");
		put_words(": ", &r->why, "");
		out_printf("\n");
	}
	if (s->n > n)
		out_printf("  (+%zu more recipients)\n", s->n - n);
}

static void
print_message(const struct trace *t, const struct trace_message *m)
{
	struct trace_sum s;

	trace_sum(t, m, &s);
	if (m->id[0] == '\0') {
		out_printf("session %s", m->sid);
	} else {
		out_printf("%s from <", m->id);
		out_text(buf_slice(&s.from));
		out_printf(">");
		put_words(", client ", &s.ip, "");
		put_words(", ", &s.size, " octets");
		put_words(", Message-ID ", &s.msgid, "");
		if (m->sid[0] != '\0')
			out_printf(", session %s", m->sid);
	}
	out_printf("\n");
	print_recipients(&s);
	print_events(t, m);
	trace_sum_free(&s);
}

/* ---- the list ---- */

/* "delivered", or "3 delivered, 1 deferred" */
static void
print_result(const struct trace_sum *s)
{
	size_t n;
	bool any = false;

	for (size_t i = 0; i < s->n; i++) {
		size_t k = 0;

		while (!slice_eq(s->v[k].verb, s->v[i].verb))
			k++;
		if (k < i)
			continue; /* counted already */
		for (n = 0; k < s->n; k++)
			n += slice_eq(s->v[k].verb, s->v[i].verb);
		out_printf("%s", any ? ", " : "");
		if (s->n > 1)
			out_printf("%zu ", n);
		out_text(s->v[i].verb);
		any = true;
	}
	if (!any)
		out_printf("%s", s->refused > 0 ? "refused" : "under way");
}

static void
print_row(const struct trace *t, const struct trace_message *m)
{
	char date[CLOCK_DATE_SIZE];
	struct trace_sum s;

	trace_sum(t, m, &s);
	clock_rfc5322(start_us(t, m) / 1000, date);
	out_printf("%-20s  %s  <", m->id[0] != '\0' ? m->id : m->sid, date);
	out_text(buf_slice(&s.from));
	out_printf("> -> ");
	out_text(buf_slice(&s.to));
	out_printf("  ");
	print_result(&s);
	out_printf("%s\n", m->cause ? " (with a notice)" : "");
	trace_sum_free(&s);
}

/* ---- JSON ---- */

static bool
came_before(const struct trace_event *e, struct slice key, const char *at)
{
	struct slice rest = e->fields, other;
	struct buf value = BUF_INIT(VALUE_MAX);
	bool found = false;

	while (!found && logline_field(&rest, &other, &value) &&
	    other.p < at)
		found = slice_eq(other, key);
	buf_free(&value);
	return found;
}

static void
json_event(struct json *j, const struct trace_event *e)
{
	struct slice rest = e->fields, key;
	struct buf value = BUF_INIT(VALUE_MAX);
	char name[64];

	json_object(j);
	json_key_time(j, "time", e->us / 1000);
	json_key_bool(j, "logged", e->kind != LOGTIME_NONE);
	json_key_str(j, "program", e->program);
	json_key_num(j, "pid", e->pid);
	json_key_str(j, "event", e->verb);
	json_key(j, "fields");
	json_object(j);
	while (logline_field(&rest, &key, &value)) {
		if (came_before(e, key, key.p))
			continue;
		snprintf(name, sizeof(name), "%.*s", SLICE_FMT(key));
		json_key_str(j, name, buf_slice(&value));
	}
	json_end(j);
	json_end(j);
	buf_free(&value);
}

static void
json_recipients(struct json *j, const struct trace_sum *s)
{
	json_key(j, "recipients");
	json_array(j);
	for (size_t i = 0; i < s->n; i++) {
		const struct trace_rcpt *r = &s->v[i];

		json_object(j);
		json_key_str(j, "address", buf_slice(&r->to));
		json_key_str(j, "outcome", r->verb);
		json_key_str(j, "status", buf_slice(&r->status));
		json_key_str(j, "host", buf_slice(&r->host));
		json_key_str(j, "why", buf_slice(&r->why));
		json_end(j);
	}
	json_end(j);
}

static void
json_message(struct json *j, const struct trace *t,
    const struct trace_message *m)
{
	struct trace_sum s;

	trace_sum(t, m, &s);
	json_object(j);
	json_key_str(j, "id", slice_of(m->id));
	json_key_str(j, "sid", slice_of(m->sid));
	json_key_bool(j, "linked", m->cause);
	json_key_str(j, "from", buf_slice(&s.from));
	json_key_str(j, "to", buf_slice(&s.to));
	json_key_str(j, "client", buf_slice(&s.ip));
	json_key_str(j, "message_id", buf_slice(&s.msgid));
	json_key_str(j, "end", s.end);
	json_recipients(j, &s);
	json_key(j, "events");
	json_array(j);
	for (size_t i = 0; i < m->n; i++)
		json_event(j, &t->events[t->order[m->from + i]]);
	json_end(j);
	json_end(j);
	trace_sum_free(&s);
}

/* ---- the command ---- */

static void
print(const struct postern *p, const struct trace *t, bool all)
{
	struct json j = {.depth = 0};
	size_t own = 0;
	bool list;

	for (size_t i = 0; i < t->nmessages; i++)
		own += !t->messages[i].cause;
	list = own > 1 && !all && !p->json;
	if (p->json)
		json_array(&j);
	for (size_t i = 0; i < t->nmessages; i++) {
		const struct trace_message *m = &t->messages[i];

		if (m->n == 0)
			continue;
		if (p->json)
			json_message(&j, t, m);
		else if (list)
			print_row(t, m);
		else {
			out_printf("%s", i > 0 ? "\n" : "");
			print_message(t, m);
		}
	}
	if (p->json)
		json_end(&j);
	if (list)
		out_printf("%zu lives; `postern trace ID` shows one, --all "
		    "shows all\n", t->nmessages);
	if (t->more)
		out_error("there is more than is shown: ask for less");
}

static bool
stdin_has_lines(void)
{
	struct stat st;

	return fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) ||
	    S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* Every source that can be read is. */
static bool
open_sources(const struct postern *p, const char *log, int argc, char *argv[],
    struct logfiles *files)
{
	bool good = true;

	(void)proc_max_files();
	if (log != NULL)
		good = logfiles_add(files, log);
	for (int i = 0; i < argc; i++)
		good = logfiles_add(files, argv[i]) && good;
	if (log == NULL && argc == 0)
		good = logfiles_add(files, stdin_has_lines() ? "-"
		    : p->conf.log_dir);
	return good;
}

static int
run(struct postern *p, struct trace *t, const struct logfiles *files,
    bool all)
{
	struct sys_user user;

	if (geteuid() == 0) {
		user = user_need("user_queue", p->conf.user_queue);
		sandbox_become(user.uid, user.gid);
	}
	if (!trace_read(t, files))
		return EXIT_TEMPORARY;
	if (t->nmessages == 0) {
		out_error("%.*s: nothing in these logs",
		    SLICE_FMT(t->what.text));
		return EXIT_PERMANENT;
	}
	print(p, t, all);
	return 0;
}

int
trace_command(struct postern *p, int argc, char *argv[])
{
	struct trace t = {.now_ms = clock_real_ms()};
	struct logfiles files = {.v = NULL};
	const char *log = NULL;
	bool all = false, good;
	struct args_option options[] = {{"log", 'l', NULL, &log},
	    {"all", 'a', &all, NULL}, ARGS_END};
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc == 0)
		return command_usage(trace_command);
	if (!trace_what(argv[0], &t.what)) {
		out_error("%s: no id (or 8 characters of one), session, "
		    "address or Message-ID", argv[0]);
		return EXIT_PERMANENT;
	}
	if (!command_conf(p))
		return EXIT_PERMANENT;
	good = open_sources(p, log, argc - 1, argv + 1, &files);
	code = files.n > 0 ? run(p, &t, &files, all) : EXIT_PERMANENT;
	if (code == 0 && !good)
		code = EXIT_TEMPORARY;
	trace_free(&t);
	logfiles_free(&files);
	return code;
}
