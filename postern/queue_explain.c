/*
 * `postern explain` and `postern queue explain`: where a message is, what was
 * tried, why it waits and until when, in sentences or as JSON.  Runs as
 * user_queue on strangers' words, and reads files only.
 */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "postern/args.h"
#include "postern/explain.h"
#include "postern/out.h"

#define TEXT_MAX ((size_t)64 * 1024 * 1024)

static void
json_attempts(struct json *j, const struct history *h, uint32_t number)
{
	size_t from, n = history_of(h, number, &from);

	json_key(j, number > 0 ? "attempts" : "notes");
	json_array(j);
	for (size_t i = from; i < from + n; i++) {
		const struct qtried *t = &h->v[i].t;

		json_object(j);
		json_key_time(j, "at", t->at_ms);
		json_key_str(j, number > 0 ? "outcome" : "note", t->what);
		json_key_str(j, number > 0 ? "why" : "reason", t->why);
		if (number > 0) {
			json_key_str(j, "host", t->host);
			json_key_bool(j, "remote", t->remote);
			json_key_time(j, "next", t->next_ms);
			json_key_str(j, "rule", t->rule);
		}
		json_end(j);
	}
	json_end(j);
}

static void
json_file(struct explanation *e, struct qfile *file, struct json *j)
{
	bool tried = queue_next(file) >= 0;
	size_t i;

	json_key_time(j, "created", id_time_ms(&e->item->id));
	json_key_num(j, "size", (int64_t)qfile_message_length(file));
	json_key_str(j, "sender", qfile_env(file)->from);
	if (qfile_hold_reason(file).len > 0)
		json_key_str(j, "held", qfile_hold_reason(file));
	json_key_bool(j, "warned", qfile_warned(file));
	json_key_time(j, "expires", tried ? explain_expires_ms(e, file) : 0);
	json_key(j, "recipients");
	json_array(j);
	for (i = 0; i < qfile_nrcpts(file); i++) {
		const struct qrcpt *r = qfile_rcpt(file, i);
		bool todo = r->state == QSTATE_TODO &&
		    e->item->dir != QDIR_HOLD;

		json_object(j);
		json_key_num(j, "number", r->number);
		json_key_str(j, "address", r->address);
		json_key_str(j, "state", slice_of(queue_state_name(r->state)));
		if (r->target.len > 0)
			json_key_str(j, "target", r->target);
		json_key_time(j, "next", todo ? r->next_ms : 0);
		json_key_str(j, "rule", todo ? r->rule : SLICE_EMPTY);
		if (explain_pause(e, r) != NULL)
			json_key_str(j, "paused", explain_pause(e, r)->reason);
		json_attempts(j, &e->history, r->number);
		json_end(j);
	}
	json_end(j);
	json_attempts(j, &e->history, 0);
}

static void
print_json(struct explanation *e, struct qfile *file, struct json *j)
{
	struct slice rest = buf_slice(&e->text), sentence;

	json_object(j);
	json_key_str(j, "id", slice_of(e->item->id.s));
	json_key_str(j, "state", slice_of(qdir_names[e->item->dir]));
	json_key(j, "sentences");
	json_array(j);
	while (slice_cut(&rest, '\n', &sentence))
		if (sentence.len > 0)
			json_str(j, slice_trim(sentence));
	json_end(j);
	if (file != NULL)
		json_file(e, file, j);
	json_end(j);
}

static void
print_text(struct explanation *e)
{
	struct slice rest = buf_slice(&e->text), sentence;

	while (slice_cut(&rest, '\n', &sentence)) {
		if (sentence.len == 0)
			continue;
		out_text(sentence);
		out_printf("\n");
	}
	if (e->text.overflow)
		out_printf("... and more; `postern explain --json` has it "
		    "all\n");
}

static int
explain(struct queue *q, const char *id, struct json *j)
{
	struct explanation e = {.q = q, .text = BUF_INIT(TEXT_MAX)};
	char why[STATUS_TEXT_MAX];
	struct queue_item item;
	struct qfile *file;
	bool gone;
	int code = queue_find(q, id, &item);

	if (code != 0)
		return code;
	e.item = &item;
	if (!pauses_load(q->dirfd, &e.paused))
		out_error("%s/paused: %s", q->p->conf.queue_dir,
		    strerror(errno));
	file = queue_read(q, &item, item.dir == QDIR_CORRUPT, why, &gone);
	if (gone) {
		out_error("%s: left the queue this moment", item.id.s);
		code = EXIT_TEMPORARY;
	} else {
		if (file != NULL)
			explain_file(&e, file);
		else
			explain_unreadable(&e, why);
		if (q->p->json)
			print_json(&e, file, j);
		else
			print_text(&e);
	}
	qfile_free(&file);
	history_free(&e.history);
	pauses_free(&e.paused);
	buf_free(&e.text);
	return code;
}

int
queue_explain(struct postern *p, int argc, char *argv[])
{
	struct json j = {.depth = 0};
	struct queue q;
	int code, result, i;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc == 0)
		return command_usage(queue_explain);
	code = queue_open(p, &q);
	if (code != 0)
		return code;
	if (p->json)
		json_array(&j);
	for (i = 0; i < argc; i++) {
		result = explain(&q, argv[i], &j);
		if (result > code)
			code = result;
	}
	if (p->json)
		json_end(&j);
	queue_close(&q);
	return code;
}
