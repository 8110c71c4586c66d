/*
 * `postern queue list`: one line a message, oldest first.  Runs as user_queue;
 * addresses are strangers' and printed escaped.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/queue.h"

#define SHOWN_RCPTS 3

/* What the columns need, also of what cannot be read. */
struct row {
	const struct queue_item *item;
	struct qfile *file; /* NULL: why says it */
	const char *why;
	size_t open;        /* recipients still open ... */
	size_t failed;      /* ... of which so many failed for good */
};

static void
print_next(const struct queue *q, const struct row *row)
{
	char text[OUT_DURATION_SIZE] = "now";
	int64_t next = queue_next(row->file);

	if (row->item->dir == QDIR_HOLD)
		out_printf("  %-8s", "held");
	else if (next < 0)
		out_printf("  %-8s", row->failed > 0 ? "failed"
		    : row->open > 0 ? "notice" : "-");
	else {
		if (next > q->now_ms)
			out_duration(next - q->now_ms, text);
		out_printf("  %-8s", text);
	}
}

static void
print_recipients(const struct row *row)
{
	size_t i, n = qfile_nrcpts(row->file), shown = 0;

	for (i = 0; i < n && shown < SHOWN_RCPTS; i++) {
		const struct qrcpt *r = qfile_rcpt(row->file, i);

		if (row->open > 0 && !queue_is_open(r))
			continue;
		out_printf("%s", shown++ == 0 ? " " : ", ");
		out_text(r->address);
	}
	if (row->open > shown)
		out_printf(" (+%zu)", row->open - shown);
}

static void
print_text(const struct queue *q, const struct row *row)
{
	char age[OUT_DURATION_SIZE], size[OUT_SIZE_SIZE];

	out_duration(q->now_ms - id_time_ms(&row->item->id), age);
	out_printf("%s  %-8s  %8s", row->item->id.s,
	    qdir_names[row->item->dir], age);
	if (row->file == NULL) {
		out_printf("  ");
		out_text(slice_of(row->why));
		out_printf("\n");
		return;
	}
	out_size(qfile_message_length(row->file), size);
	out_printf("  %6s", size);
	print_next(q, row);
	out_printf("  <");
	out_text(qfile_env(row->file)->from);
	out_printf("> ->");
	print_recipients(row);
	out_printf("\n");
}

static void
json_recipients(struct json *j, const struct row *row)
{
	size_t i;

	json_key(j, "recipients");
	json_array(j);
	for (i = 0; i < qfile_nrcpts(row->file); i++) {
		const struct qrcpt *r = qfile_rcpt(row->file, i);

		json_object(j);
		json_key_str(j, "address", r->address);
		json_key_str(j, "state", slice_of(queue_state_name(r->state)));
		json_key_num(j, "attempts", r->attempts);
		if (r->why.len > 0)
			json_key_str(j, "why", r->why);
		json_end(j);
	}
	json_end(j);
}

static void
print_json(struct json *j, const struct row *row)
{
	int64_t next;

	json_object(j);
	json_key_str(j, "id", slice_of(row->item->id.s));
	json_key_str(j, "state", slice_of(qdir_names[row->item->dir]));
	json_key_time(j, "created", id_time_ms(&row->item->id));
	if (row->file == NULL) {
		json_key_str(j, "why", slice_of(row->why));
		json_end(j);
		return;
	}
	next = queue_next(row->file);
	json_key_num(j, "size", (int64_t)qfile_message_length(row->file));
	json_key_str(j, "sender", qfile_env(row->file)->from);
	json_key_time(j, "next", next > 0 && row->item->dir != QDIR_HOLD
	    ? next : 0);
	json_recipients(j, row);
	json_end(j);
}

struct listing {
	struct queue q;
	struct queue_filter filter;
	struct json j;
	uint64_t messages, octets;
};

static void
count(struct row *row, uint64_t *octets)
{
	size_t i;

	*octets += qfile_message_length(row->file);
	for (i = 0; i < qfile_nrcpts(row->file); i++) {
		const struct qrcpt *r = qfile_rcpt(row->file, i);

		row->open += queue_is_open(r);
		row->failed += r->state == QSTATE_FAILED;
	}
}

static void
list_item(struct listing *l, const struct queue_item *item)
{
	char why[STATUS_TEXT_MAX];
	struct row row = {.item = item, .why = why};
	bool gone;

	if (!queue_may_match(&l->q, &l->filter, item))
		return;
	row.file = queue_read(&l->q, item, false, why, &gone);
	if (gone)
		return;
	if (queue_matches(&l->filter, row.file)) {
		l->messages++;
		if (row.file != NULL)
			count(&row, &l->octets);
		if (l->q.p->json)
			print_json(&l->j, &row);
		else
			print_text(&l->q, &row);
	}
	qfile_free(&row.file);
}

static int
list(struct listing *l)
{
	struct queue_items items;
	char size[OUT_SIZE_SIZE];
	size_t i;
	int code = queue_scan(&l->q, &items);

	if (l->q.p->json)
		json_array(&l->j);
	else if (items.n > 0)
		out_printf("%-20s  %-8s  %8s  %6s  %-8s  %s\n", "ID", "STATE",
		    "AGE", "SIZE", "NEXT", "SENDER -> RECIPIENTS");
	for (i = 0; i < items.n && l->messages < l->filter.most; i++)
		list_item(l, &items.v[i]);
	free(items.v);
	if (l->q.p->json) {
		json_end(&l->j);
	} else {
		out_size(l->octets, size);
		out_printf("%llu message%s%s, %s octets\n",
		    (unsigned long long)l->messages,
		    l->messages == 1 ? "" : "s",
		    i < items.n ? " (more are there)" : "", size);
	}
	return code;
}

int
queue_list(struct postern *p, int argc, char *argv[])
{
	struct listing l = {.filter = {.state = NULL}};
	struct args_option options[] = {QUEUE_FILTER_OPTIONS(l.filter), ARGS_END};
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc != 0)
		return command_usage(queue_list);
	code = queue_filter_parse(&l.filter);
	if (code == 0)
		code = queue_open(p, &l.q);
	if (code != 0)
		return code;
	code = list(&l);
	queue_close(&l.q);
	return code;
}
