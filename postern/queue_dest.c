/*
 * `postern queue dest`: destinations as qmgr has them (contract "control"), and
 * an admin's pauses.  While qmgr is stopped only its file of pauses can be told
 * of and changed.  Runs as user_queue; names and errors are strangers'.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/control.h"
#include "postern/args.h"
#include "postern/control.h"
#include "postern/match.h"
#include "postern/out.h"
#include "postern/pauses.h"
#include "postern/queue.h"

/* The version of the contract that knows destinations. */
#define VERSION 2

struct dest {
	struct buf dest, reason, error;
	struct control_dest_info info; /* its slices are not used */
};
struct dests {
	struct dest *v; /* owned */
	size_t n, cap;
};

static struct buf
keep(struct slice s)
{
	struct buf b = BUF_INIT(CONTROL_DEST_MAX + STATUS_TEXT_MAX);

	buf_addslice(&b, s);
	return b;
}

static void
add(struct dests *all, const struct control_dest_info *info)
{
	struct dest d = {.dest = keep(info->dest),
	    .reason = keep(info->reason), .error = keep(info->error),
	    .info = *info};

	MEM_PUSH(all->v, all->n, all->cap, d);
}

static void
dests_free(struct dests *all)
{
	for (size_t i = 0; i < all->n; i++) {
		buf_free(&all->v[i].dest);
		buf_free(&all->v[i].reason);
		buf_free(&all->v[i].error);
	}
	free(all->v);
	all->v = NULL;
	all->n = all->cap = 0;
}

static int
by_name(const void *a, const void *b)
{
	return slice_cmp(buf_slice(&((const struct dest *)a)->dest),
	    buf_slice(&((const struct dest *)b)->dest));
}

/* ---- showing ---- */

static void
put(const char *before, const struct buf *text, const char *after)
{
	if (text->len == 0)
		return;
	out_printf("%s", before);
	out_text(buf_slice(text));
	out_printf("%s", after);
}

static void
text_dest(const struct queue *q, const struct dest *d)
{
	const struct control_dest_info *i = &d->info;
	char span[OUT_DURATION_SIZE];
	size_t width = d->dest.len;

	out_text(buf_slice(&d->dest));
	out_printf("%*s  %4" PRIu32 "/%-4" PRIu32 "  %6" PRIu32 "  %8" PRIu64,
	    width < 30 ? (int)(30 - width) : 0, "", i->running, i->limit,
	    i->ready, i->waiting);
	if (i->paused) {
		out_printf("  paused");
		put(": ", &d->reason, "");
	} else if (i->next_ms > 0) {
		out_duration((int64_t)i->next_ms - q->now_ms, span);
		out_printf("  down, next try in %s", span);
	}
	if (d->error.len > 0) {
		out_duration(q->now_ms - (int64_t)i->failed_ms, span);
		out_printf("  last error %s ago: ", span);
		out_text(buf_slice(&d->error));
	}
	out_printf("\n");
}

static void
json_dest(struct json *j, const struct dest *d)
{
	const struct control_dest_info *i = &d->info;

	json_object(j);
	json_key_str(j, "dest", buf_slice(&d->dest));
	json_key_bool(j, "paused", i->paused != 0);
	json_key_str(j, "reason", buf_slice(&d->reason));
	json_key_num(j, "running", i->running);
	json_key_num(j, "limit", i->limit);
	json_key_num(j, "ready", i->ready);
	json_key_num(j, "waiting", i->waiting <= INT64_MAX
	    ? (int64_t)i->waiting : INT64_MAX);
	json_key_time(j, "next", (int64_t)i->next_ms);
	json_key_str(j, "error", buf_slice(&d->error));
	json_key_time(j, "error_at", (int64_t)i->failed_ms);
	json_end(j);
}

static void
show(const struct queue *q, struct dests *all, const char *pattern)
{
	struct json j = {.depth = 0};
	size_t shown = 0;

	if (all->n > 1)
		qsort(all->v, all->n, sizeof(*all->v), by_name);
	if (q->p->json)
		json_array(&j);
	for (size_t i = 0; i < all->n; i++) {
		if (pattern != NULL && !match_pattern(
		    buf_slice(&all->v[i].dest), slice_of(pattern)))
			continue;
		if (q->p->json)
			json_dest(&j, &all->v[i]);
		else {
			if (shown == 0)
				out_printf("%-30s  %4s/%-4s  %6s  %8s  %s\n",
				    "DESTINATION", "RUN", "MOST", "READY",
				    "WAITING", "STATE");
			text_dest(q, &all->v[i]);
		}
		shown++;
	}
	if (q->p->json)
		json_end(&j);
	else if (shown == 0)
		out_printf("nothing is known of %s\n",
		    pattern != NULL ? "it" : "any destination");
}

/* ---- asking ---- */

static bool
ask(struct control *qmgr, struct dests *all)
{
	struct control_list list = {.dest = SLICE_EMPTY};
	int fds[CHAN_MAX_FDS];
	union control_msg msg;
	uint16_t type;
	size_t nfds;

	if (!control_speaks(qmgr, VERSION))
		return false;
	chan_queue(qmgr->chan, CONTROL_LIST, &list, NULL, 0);
	for (;;) {
		if (chan_wait(qmgr->chan, &type, &msg, sizeof(msg), fds, &nfds,
		    clock_mono_ms() + CONTROL_ANSWER_MS) != CHAN_OK ||
		    type != CONTROL_DEST_INFO) {
			out_error("qmgr did not answer; look at its log");
			return false;
		}
		if (msg.dest_info.last)
			return true;
		add(all, &msg.dest_info);
	}
}

static void
pauses_only(const struct pauses *paused, struct dests *all)
{
	for (size_t i = 0; i < paused->n; i++) {
		struct control_dest_info info = {.dest = paused->v[i].name,
		    .paused = 1, .reason = paused->v[i].reason,
		    .error = SLICE_EMPTY};

		add(all, &info);
	}
}

static int
load(const struct queue *q, struct pauses *paused)
{
	if (pauses_load(q->dirfd, paused))
		return 0;
	out_error("%s/paused: %s", q->p->conf.queue_dir, strerror(errno));
	return EXIT_TEMPORARY;
}

static int
list(const struct queue *q, const char *pattern)
{
	struct dests all = {.v = NULL};
	struct pauses paused = {.text = BUF_INIT(0)};
	struct control qmgr;
	int code = control_reach(q, false, &qmgr);

	if (code == 0 && qmgr.chan != NULL) {
		code = ask(&qmgr, &all) ? 0 : EXIT_TEMPORARY;
	} else if (code == 0) {
		out_error("qmgr is stopped: only its pauses are known");
		code = load(q, &paused);
		pauses_only(&paused, &all);
	}
	if (code == 0)
		show(q, &all, pattern);
	dests_free(&all);
	pauses_free(&paused);
	control_close(&qmgr);
	return code;
}

/* ---- changing ---- */

struct change {
	enum control_dest_action action;
	const char *dest, *reason;
};

static int
answer(const struct queue *q, const struct change *c,
    enum control_result result, const char *text)
{
	bool good = result == CONTROL_DONE || result == CONTROL_BUSY;
	struct json j = {.depth = 0};

	if (q->p->json) {
		json_object(&j);
		json_key_str(&j, "dest", slice_of(c->dest));
		json_key_bool(&j, "done", good);
		json_key_str(&j, "text", slice_of(text));
		json_end(&j);
	} else if (good) {
		out_text(slice_of(c->dest));
		out_printf(": ");
		out_text(slice_of(text));
		out_printf("\n");
	} else {
		out_error("%s: %s", c->dest, text);
	}
	return good ? 0 : EXIT_PERMANENT;
}

static int
change_there(const struct queue *q, struct control *qmgr,
    const struct change *c)
{
	struct control_dest dest = {.action = (uint32_t)c->action,
	    .dest = slice_of(c->dest), .reason = slice_of(c->reason)};
	char text[STATUS_TEXT_MAX + 1];
	int fds[CHAN_MAX_FDS];
	union control_msg msg;
	uint16_t type;
	size_t nfds;

	if (!control_speaks(qmgr, VERSION))
		return EXIT_TEMPORARY;
	chan_queue(qmgr->chan, CONTROL_DEST, &dest, NULL, 0);
	if (chan_wait(qmgr->chan, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + CONTROL_ANSWER_MS) != CHAN_OK ||
	    type != CONTROL_ACTED) {
		out_error("qmgr did not answer; look at its log");
		return EXIT_TEMPORARY;
	}
	snprintf(text, sizeof(text), "%.*s", SLICE_FMT(msg.acted.text));
	return answer(q, c, (enum control_result)msg.acted.result, text);
}

static int
change_here(const struct queue *q, const struct change *c)
{
	struct slice name = slice_of(c->dest);
	struct pauses paused;
	int code = load(q, &paused);
	bool is_paused = pauses_find(&paused, name) != NULL;

	if (code != 0) {
		pauses_free(&paused);
		return code;
	}
	if (c->action == CONTROL_DEST_RETRY)
		code = answer(q, c, CONTROL_FAILED, "qmgr is stopped");
	else if (c->action == CONTROL_DEST_RESUME && !is_paused)
		code = answer(q, c, CONTROL_NOT_FOUND, "is not paused");
	else if (!pauses_name_valid(name))
		code = answer(q, c, CONTROL_FAILED,
		    "is no name of a destination");
	else if (!pauses_change(q->dirfd, &paused, name,
	    c->action == CONTROL_DEST_PAUSE ? c->reason : NULL))
		code = answer(q, c, CONTROL_FAILED, strerror(errno));
	else
		code = answer(q, c, CONTROL_DONE, c->action ==
		    CONTROL_DEST_PAUSE ? "is paused when qmgr starts"
		    : "is no longer paused when qmgr starts");
	pauses_free(&paused);
	return code;
}

static int
change(const struct queue *q, const struct change *c)
{
	struct control qmgr;
	int code = control_reach(q, true, &qmgr);

	if (code != 0)
		return code;
	code = qmgr.chan != NULL ? change_there(q, &qmgr, c)
	    : change_here(q, c);
	control_close(&qmgr);
	return code;
}

/* "pause", "resume", "retry" with the destination behind it */
static bool
find_action(const char *word, struct change *c)
{
	static const struct {
		const char *word;
		enum control_dest_action action;
	} words[] = {{"pause", CONTROL_DEST_PAUSE},
	    {"resume", CONTROL_DEST_RESUME}, {"retry", CONTROL_DEST_RETRY}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			c->action = words[i].action;
			return true;
		}
	return false;
}

int
queue_dest(struct postern *p, int argc, char *argv[])
{
	struct change c = {.reason = ""};
	struct args_option options[] = {{"reason", 'r', NULL, &c.reason},
	    ARGS_END};
	struct queue q;
	bool changes;
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	changes = argc > 1 && find_action(argv[0], &c);
	/* pause DEST [reason] */
	if (argc > (changes ? c.action == CONTROL_DEST_PAUSE ? 3 : 2 : 1))
		return command_usage(queue_dest);
	if (argc == 3)
		c.reason = argv[2];
	if (strlen(c.reason) > STATUS_TEXT_MAX ||
	    (changes && strlen(argv[1]) > CONTROL_DEST_MAX)) {
		out_error("destination or reason too long");
		return EXIT_PERMANENT;
	}
	code = queue_open(p, &q);
	if (code != 0)
		return code;
	c.dest = changes ? argv[1] : NULL;
	code = changes ? change(&q, &c) : list(&q, argc > 0 ? argv[0] : NULL);
	queue_close(&q);
	return code;
}
