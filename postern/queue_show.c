/*
 * `postern queue show`: envelope, recipients and, with --message, the message
 * as every delivery sees it.  Runs as user_queue; all of it is strangers'.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/proto/delivery.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/queue.h"

#define READ_SIZE 65536

/* One line "name: value", left out where there is none. */
static void
line(const char *name, struct slice value)
{
	if (value.len == 0)
		return;
	out_printf("%s: ", name);
	out_text(value);
	out_printf("\n");
}

static void
line_time(const char *name, int64_t real_ms)
{
	char date[CLOCK_DATE_SIZE];

	if (real_ms == 0)
		return;
	clock_rfc5322(real_ms, date);
	line(name, slice_of(date));
}

static const struct {
	uint32_t bit;
	const char *name;
} flag_names[] = {
	{ENV_8BITMIME, "8bitmime"}, {ENV_SMTPUTF8, "smtputf8"},
	{ENV_BINARYMIME, "binarymime"}, {ENV_RET_FULL, "ret=full"},
	{ENV_RET_HDRS, "ret=hdrs"}, {ENV_BY_RETURN, "by=return"},
	{ENV_BY_NOTIFY, "by=notify"}, {ENV_BY_TRACE, "by=trace"},
	{ENV_HOLD, "hold"},
};

#define NFLAGS (sizeof(flag_names) / sizeof(flag_names[0]))

static const char *
kind_name(uint32_t kind)
{
	static const char *const names[] = {"", "mailbox", "address",
	    "program", "maildir"};

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "";
}

static void
text_recipient(const struct qrcpt *r)
{
	out_printf("recipient %u: %s <", r->number,
	    queue_state_name(r->state));
	out_text(r->address);
	out_printf(">");
	if (r->parent != 0)
		out_printf(" from %u", r->parent);
	if (r->kind != 0)
		out_printf(" %s", kind_name(r->kind));
	if (r->target.len > 0) {
		out_printf(" ");
		out_text(r->target);
	}
	out_printf("\n");
	if (r->has_sender) {
		out_printf("  sender: <");
		out_text(r->sender);
		out_printf(">\n");
	}
	if (r->attempts > 0)
		out_printf("  attempts: %u\n", r->attempts);
	line_time("  last", r->last_ms);
	line("  host", r->host);
	line("  why", r->why);
	if (r->state == QSTATE_TODO) {
		line_time("  next", r->next_ms);
		line("  rule", r->rule);
	}
	line("  orcpt", r->orcpt);
}

static void
text_envelope(struct qfile *file, const struct queue_item *item)
{
	const struct envelope *env = qfile_env(file);
	size_t i;

	out_printf("id: %s\nstate: %s\n", item->id.s, qdir_names[item->dir]);
	line("held because", qfile_hold_reason(file));
	line_time("created", qfile_created_ms(file));
	out_printf("size: %llu\nsender: <",
	    (unsigned long long)qfile_message_length(file));
	out_text(env->from);
	out_printf(">\n");
	line("client", env->client_ip);
	line("helo", env->client_helo);
	line("protocol", env->protocol);
	line("login", env->login);
	line("sid", env->sid);
	line("envid", env->envid);
	line_time("deliver by", env->by_at_ms <= INT64_MAX
	    ? (int64_t)env->by_at_ms : 0);
	if (env->flags != 0) {
		out_printf("flags:");
		for (i = 0; i < NFLAGS; i++)
			if (env->flags & flag_names[i].bit)
				out_printf(" %s", flag_names[i].name);
		out_printf("\n");
	}
	for (i = 0; i < qfile_nrcpts(file); i++)
		text_recipient(qfile_rcpt(file, i));
}

static void
json_recipient(struct json *j, const struct qrcpt *r)
{
	json_object(j);
	json_key_num(j, "number", r->number);
	json_key_str(j, "address", r->address);
	json_key_str(j, "state", slice_of(queue_state_name(r->state)));
	if (r->parent != 0)
		json_key_num(j, "parent", r->parent);
	if (r->kind != 0)
		json_key_str(j, "kind", slice_of(kind_name(r->kind)));
	if (r->target.len > 0)
		json_key_str(j, "target", r->target);
	if (r->has_sender)
		json_key_str(j, "sender", r->sender);
	if (r->orcpt.len > 0)
		json_key_str(j, "orcpt", r->orcpt);
	json_key_num(j, "attempts", r->attempts);
	json_key_time(j, "last", r->last_ms);
	json_key_time(j, "next", r->state == QSTATE_TODO ? r->next_ms : 0);
	json_key_str(j, "host", r->host);
	json_key_str(j, "why", r->why);
	json_key_str(j, "rule", r->rule);
	json_end(j);
}

static void
json_envelope(struct json *j, struct qfile *file,
    const struct queue_item *item)
{
	const struct envelope *env = qfile_env(file);
	size_t i;

	json_object(j);
	json_key_str(j, "id", slice_of(item->id.s));
	json_key_str(j, "state", slice_of(qdir_names[item->dir]));
	if (qfile_hold_reason(file).len > 0)
		json_key_str(j, "held", qfile_hold_reason(file));
	json_key_time(j, "created", qfile_created_ms(file));
	json_key_num(j, "size", (int64_t)qfile_message_length(file));
	json_key_str(j, "sender", env->from);
	json_key_str(j, "client", env->client_ip);
	json_key_str(j, "helo", env->client_helo);
	json_key_str(j, "protocol", env->protocol);
	json_key_str(j, "login", env->login);
	json_key_str(j, "sid", env->sid);
	json_key_str(j, "envid", env->envid);
	json_key(j, "flags");
	json_array(j);
	for (i = 0; i < NFLAGS; i++)
		if (env->flags & flag_names[i].bit)
			json_str(j, slice_of(flag_names[i].name));
	json_end(j);
	json_key(j, "recipients");
	json_array(j);
	for (i = 0; i < qfile_nrcpts(file); i++)
		json_recipient(j, qfile_rcpt(file, i));
	json_end(j);
	json_end(j);
}

/* The octets as they are: for files and pipes. */
static int
print_message(struct qfile *file, const struct queue_item *item)
{
	struct qreader *r = qreader_new(file, READ_SIZE);
	const char *p;
	ssize_t n;

	while ((n = qreader_next(r, &p)) > 0)
		fwrite(p, 1, (size_t)n, stdout);
	if (n < 0)
		out_error("%s: %s", item->id.s, errno == EBADMSG
		    ? "the content does not match its checksum"
		    : strerror(errno));
	qreader_free(&r);
	return n < 0 ? EXIT_TEMPORARY : 0;
}

static int
show(struct queue *q, const char *text, bool message, struct json *j)
{
	char why[STATUS_TEXT_MAX];
	struct queue_item item;
	struct qfile *file;
	bool gone;
	int code = queue_find(q, text, &item);

	if (code != 0)
		return code;
	file = queue_read(q, &item, false, why, &gone);
	if (file == NULL) {
		out_error("%s in %s/: %s", item.id.s, qdir_names[item.dir],
		    why);
		return gone ? EXIT_TEMPORARY : EXIT_PERMANENT;
	}
	if (message)
		code = print_message(file, &item);
	else if (q->p->json)
		json_envelope(j, file, &item);
	else
		text_envelope(file, &item);
	qfile_free(&file);
	return code;
}

int
queue_show(struct postern *p, int argc, char *argv[])
{
	bool message = false;
	struct args_option options[] = {{"message", 'm', &message, NULL},
	    ARGS_END};
	struct json j = {.depth = 0};
	struct queue q;
	int code, result, i;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc == 0)
		return command_usage(queue_show);
	code = queue_open(p, &q);
	if (code != 0)
		return code;
	if (p->json && !message)
		json_array(&j);
	for (i = 0; i < argc; i++) {
		if (i > 0 && !p->json && !message)
			out_printf("\n");
		result = show(&q, argv[i], message, &j);
		if (result > code)
			code = result;
	}
	if (p->json && !message)
		json_end(&j);
	queue_close(&q);
	return code;
}
