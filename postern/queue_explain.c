/*
 * `postern queue explain`: where a message is, why it is there and when it will
 * be tried next, in sentences.  Runs as user_queue on strangers' words.
 */
#include <stdarg.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/queue.h"

#define TEXT_MAX ((size_t)16 * 1024 * 1024)

struct explanation {
	struct queue *q;
	const struct queue_item *item;
	struct buf text; /* sentences, one a line; foreign octets as they are */
};

/* "Sun, 22 Nov 2026 19:20:51 +0000 (3m ago)" */
static void
add_moment(struct explanation *e, int64_t ms)
{
	char date[CLOCK_DATE_SIZE], span[OUT_DURATION_SIZE];
	int64_t now = e->q->now_ms;

	clock_rfc5322(ms, date);
	out_duration(ms > now ? ms - now : now - ms, span);
	if (ms > now)
		buf_printf(&e->text, "%s (in %s)", date, span);
	else
		buf_printf(&e->text, "%s (%s ago)", date, span);
}

static void
add_duration(struct explanation *e, uint64_t ms)
{
	char span[OUT_DURATION_SIZE];

	out_duration((int64_t)ms, span);
	buf_adds(&e->text, span);
}

/* What strangers wrote does not begin a sentence of its own. */
static void
add_foreign(struct explanation *e, const char *before, struct slice s,
    const char *after)
{
	size_t i;

	buf_adds(&e->text, before);
	for (i = 0; i < s.len; i++)
		if (s.p[i] == '\n' || s.p[i] == '\0')
			buf_printf(&e->text, "\\x%02x", (unsigned)s.p[i]);
		else
			buf_addc(&e->text, s.p[i]);
	buf_adds(&e->text, after);
}

static void
origin(struct explanation *e, struct qfile *file)
{
	const struct envelope *env = qfile_env(file);
	struct buf *t = &e->text;
	char size[OUT_SIZE_SIZE];

	out_size(qfile_message_length(file), size);
	buf_printf(t, "%s: a message of %s octets from ", e->item->id.s, size);
	if (env->from.len == 0)
		buf_adds(t, "the empty sender (a bounce or the like)");
	else
		add_foreign(e, "<", env->from, ">");
	buf_adds(t, " came ");
	add_moment(e, id_time_ms(&e->item->id));
	if (env->client_ip.len > 0)
		add_foreign(e, " from ", env->client_ip, "");
	if (env->client_helo.len > 0)
		add_foreign(e, " (", env->client_helo, ")");
	if (env->protocol.len > 0)
		add_foreign(e, " by ", env->protocol, "");
	if (env->sid.len > 0)
		add_foreign(e, ", session ", env->sid, "");
	buf_adds(t, ".\n");
}

static void
place(struct explanation *e, struct qfile *file)
{
	struct slice reason = qfile_hold_reason(file);
	struct buf *t = &e->text;

	switch (e->item->dir) {
	case QDIR_INCOMING:
		buf_adds(t, "It is in incoming/: its first attempt is under "
		    "way or about to begin.\n");
		break;
	case QDIR_DEFERRED:
		buf_adds(t, "It is in deferred/: at least one attempt did not "
		    "succeed.\n");
		break;
	case QDIR_HOLD:
		buf_adds(t, "It is on hold and is not tried until somebody "
		    "says `postern queue release`");
		if (reason.len > 0)
			add_foreign(e, "; the reason given: ", reason, "");
		buf_adds(t, ".\n");
		break;
	case QDIR_CORRUPT:
	case QDIR_COUNT:
		buf_adds(t, "It is in corrupt/ although it can be read: "
		    "something was wrong with it when qmgr looked "
		    "(postern-queue(5)).\n");
		break;
	}
}

/* Why the next attempt is then. */
static void
rule(struct explanation *e, struct slice word)
{
	const struct conf *c = &e->q->p->conf;
	struct buf *t = &e->text;

	if (slice_eq(word, SLICE("first"))) {
		buf_adds(t, ", because the pause behind a first failure is "
		    "retry_first (");
		add_duration(e, c->retry_first_ms);
		buf_adds(t, ")");
	} else if (slice_eq(word, SLICE("retry"))) {
		buf_adds(t, ", because pauses double with each failure");
	} else if (slice_eq(word, SLICE("retry-max"))) {
		buf_adds(t, ", because no pause is longer than retry_max (");
		add_duration(e, c->retry_max_ms);
		buf_adds(t, ")");
	} else if (slice_eq(word, SLICE("lifetime"))) {
		buf_adds(t, ", the last one, at the end of queue_lifetime (");
		add_duration(e, c->queue_lifetime_ms);
		buf_adds(t, ")");
	} else if (slice_eq(word, SLICE("admin"))) {
		buf_adds(t, ", because an admin said so");
	} else if (word.len > 0) {
		add_foreign(e, ", rule ", word, "");
	}
}

static void
attempts(struct explanation *e, const struct qrcpt *r)
{
	struct buf *t = &e->text;

	if (r->attempts == 0)
		return;
	buf_printf(t, " after %u attempt%s, the last one ", r->attempts,
	    r->attempts == 1 ? "" : "s");
	add_moment(e, r->last_ms);
	if (r->host.len > 0)
		add_foreign(e, " at ", r->host, "");
	if (r->why.len > 0)
		add_foreign(e, ": ", r->why, "");
}

static void
waiting(struct explanation *e, const struct qrcpt *r)
{
	struct buf *t = &e->text;

	buf_adds(t, r->attempts == 0 ? " was not tried yet"
	    : " is not delivered");
	attempts(e, r);
	if (e->item->dir == QDIR_HOLD)
		return;
	if (r->next_ms <= e->q->now_ms) {
		buf_adds(t, ". It is due now");
	} else {
		buf_adds(t, ". The next attempt is ");
		add_moment(e, r->next_ms);
	}
	if (r->next_ms != 0)
		rule(e, r->rule);
}

static void
recipient(struct explanation *e, const struct qrcpt *r)
{
	struct buf *t = &e->text;

	add_foreign(e, "  <", r->address, ">");
	if (r->target.len > 0)
		add_foreign(e, " (", r->target, ")");
	switch ((enum qstate)r->state) {
	case QSTATE_TODO:
		waiting(e, r);
		break;
	case QSTATE_DONE:
		buf_adds(t, " is delivered");
		attempts(e, r);
		break;
	case QSTATE_FAILED:
		buf_adds(t, " failed for good");
		attempts(e, r);
		buf_adds(t, ". `postern queue retry` tries it again");
		break;
	case QSTATE_BOUNCED:
		buf_adds(t, " failed for good, and the sender was told");
		attempts(e, r);
		break;
	case QSTATE_SUCCESS:
		buf_adds(t, " is delivered, and a notice to the sender is due");
		attempts(e, r);
		break;
	case QSTATE_EXPANDED:
		buf_adds(t, " stands for others, which follow");
		break;
	case QSTATE_CANCELLED:
		buf_adds(t, " was taken off by an admin");
		break;
	}
	buf_adds(t, ".\n");
}

/* What ends it all. */
static void
lifetime(struct explanation *e, struct qfile *file)
{
	int64_t end = id_time_ms(&e->item->id) +
	    (int64_t)e->q->p->conf.queue_lifetime_ms;

	if (queue_next(file) < 0)
		return;
	buf_adds(&e->text, end > e->q->now_ms
	    ? "What is not delivered then fails for good at the end of "
	    "queue_lifetime: " : "Its queue_lifetime is over, the next failure "
	    "is for good: ");
	add_moment(e, end);
	buf_adds(&e->text, ".\n");
}

static void
explain_file(struct explanation *e, struct qfile *file)
{
	size_t i, n = qfile_nrcpts(file), open = 0;

	origin(e, file);
	place(e, file);
	for (i = 0; i < n; i++)
		open += queue_is_open(qfile_rcpt(file, i));
	buf_printf(&e->text, "%zu of its %zu recipient%s %s not done:\n", open,
	    n, n == 1 ? "" : "s", open == 1 ? "is" : "are");
	for (i = 0; i < n; i++)
		recipient(e, qfile_rcpt(file, i));
	lifetime(e, file);
	if (qfile_journal_torn(file))
		buf_adds(&e->text, "A part of its journal was torn by a crash "
		    "and is ignored.\n");
}

static void
explain_unreadable(struct explanation *e, const char *why)
{
	struct buf *t = &e->text;

	buf_printf(t, "%s: came ", e->item->id.s);
	add_moment(e, id_time_ms(&e->item->id));
	buf_printf(t, " and is in %s/. It cannot be used: %s.\n",
	    qdir_names[e->item->dir], why);
	if (e->item->dir == QDIR_CORRUPT)
		buf_adds(t, "Nothing in corrupt/ is ever touched by postern; "
		    "postern-queue(5) says how to read it and what to do.\n");
}

static void
print(struct explanation *e, struct json *j)
{
	struct slice rest = buf_slice(&e->text), sentence;

	if (e->q->p->json) {
		json_object(j);
		json_key_str(j, "id", slice_of(e->item->id.s));
		json_key_str(j, "state",
		    slice_of(qdir_names[e->item->dir]));
		json_key(j, "sentences");
		json_array(j);
	}
	while (slice_cut(&rest, '\n', &sentence)) {
		if (sentence.len == 0)
			continue;
		if (e->q->p->json) {
			json_str(j, slice_trim(sentence));
			continue;
		}
		out_text(sentence);
		out_printf("\n");
	}
	if (e->q->p->json) {
		json_end(j);
		json_end(j);
	}
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
	file = queue_read(q, &item, item.dir == QDIR_CORRUPT, why, &gone);
	if (gone) {
		out_error("%s: left the queue this moment", item.id.s);
		code = EXIT_TEMPORARY;
	} else {
		if (file != NULL)
			explain_file(&e, file);
		else
			explain_unreadable(&e, why);
		print(&e, j);
	}
	qfile_free(&file);
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
