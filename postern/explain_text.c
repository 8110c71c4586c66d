/*
 * `postern explain`: where a message is, why it is there and when it is given
 * up, in sentences.  Runs as user_queue on strangers' words; from the file and
 * the configuration alone, so that no daemon is needed.
 */
#include "common/base/clock.h"
#include "postern/explain.h"
#include "postern/out.h"

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
		explain_foreign(e, "<", env->from, ">");
	buf_adds(t, " came ");
	explain_moment(e, id_time_ms(&e->item->id));
	if (env->client_ip.len > 0)
		explain_foreign(e, " from ", env->client_ip, "");
	if (env->client_helo.len > 0)
		explain_foreign(e, " (", env->client_helo, ")");
	if (env->login.len > 0)
		explain_foreign(e, ", logged in as ", env->login, ",");
	if (env->protocol.len > 0)
		explain_foreign(e, " by ", env->protocol, "");
	if (env->sid.len > 0)
		explain_foreign(e, ", session ", env->sid, "");
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
			explain_foreign(e, "; the reason given: ", reason, "");
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

/* RFC 2852 4.3: with mode R, at the time that the sender set. */
static bool
has_deadline(const struct envelope *env)
{
	return env->by_at_ms > 0 && env->by_at_ms <= INT64_MAX &&
	    (env->flags & ENV_BY_RETURN) != 0;
}

/* As qmgr has it (qmgr/duty.c). */
int64_t
explain_expires_ms(const struct explanation *e, const struct qfile *file)
{
	const struct conf *c = &e->q->p->conf;
	const struct envelope *env = qfile_env(file);
	int64_t end = id_time_ms(&e->item->id) + (int64_t)(env->from.len > 0
	    ? c->queue_lifetime_ms : c->bounce_lifetime_ms);

	return has_deadline(env) && (int64_t)env->by_at_ms < end
	    ? (int64_t)env->by_at_ms : end;
}

/* Whether the sender knows that it takes long. */
static void
warning(struct explanation *e, struct qfile *file)
{
	const struct envelope *env = qfile_env(file);
	struct buf *t = &e->text;
	uint64_t after = e->q->p->conf.delay_warning_ms;

	if (env->from.len == 0)
		return;
	if (qfile_warned(file)) {
		buf_adds(t, "The sender was told that it takes long.\n");
	} else if (after > 0) {
		buf_adds(t, "The sender was not yet told that it takes long; "
		    "that is due ");
		explain_moment(e, id_time_ms(&e->item->id) + (int64_t)after);
		buf_adds(t, " (delay_warning).\n");
	}
	if (env->by_at_ms > 0 && env->by_at_ms <= INT64_MAX &&
	    (env->flags & ENV_BY_NOTIFY) != 0) {
		buf_adds(t, qfile_late(file) ? "He was told that the time he "
		    "set had passed: " : "He wants to be told if it is not "
		    "delivered by ");
		explain_moment(e, (int64_t)env->by_at_ms);
		buf_adds(t, " (DELIVERBY).\n");
	}
}

/* What ends it all, and whom that is told. */
static void
lifetime(struct explanation *e, struct qfile *file)
{
	const struct envelope *env = qfile_env(file);
	struct buf *t = &e->text;
	int64_t end = explain_expires_ms(e, file);
	const char *key = env->from.len > 0 ? "queue_lifetime"
	    : "bounce_lifetime";

	if (queue_next(file) < 0)
		return;
	warning(e, file);
	if (has_deadline(env) && (int64_t)env->by_at_ms == end)
		buf_adds(t, "What is not delivered by the time that the sender "
		    "set (DELIVERBY) fails for good: ");
	else if (end > e->q->now_ms)
		buf_printf(t, "What is not delivered then fails for good at "
		    "the end of %s: ", key);
	else
		buf_printf(t, "Its %s is over, the next failure is for good: ",
		    key);
	explain_moment(e, end);
	if (env->from.len == 0)
		buf_adds(t, "; as it has no sender, postmaster is told "
		    "(double_bounce)");
	else
		buf_adds(t, "; then it goes back to its sender");
	buf_adds(t, ".\n");
}

void
explain_file(struct explanation *e, struct qfile *file)
{
	char why[STATUS_TEXT_MAX] = "";
	size_t i, n = qfile_nrcpts(file), open = 0;
	bool whole = history_read(file, &e->history, why);

	origin(e, file);
	place(e, file);
	for (i = 0; i < n; i++)
		open += queue_is_open(qfile_rcpt(file, i));
	buf_printf(&e->text, "%zu of its %zu recipient%s %s not done:\n", open,
	    n, n == 1 ? "" : "s", open == 1 ? "is" : "are");
	for (i = 0; i < n; i++)
		explain_recipient(e, qfile_rcpt(file, i));
	explain_notes(e);
	lifetime(e, file);
	if (!whole)
		buf_printf(&e->text, "Not all attempts could be read: %s.\n",
		    why);
	if (qfile_journal_torn(file))
		buf_adds(&e->text, "A part of its journal was torn by a crash "
		    "and is ignored.\n");
}

void
explain_unreadable(struct explanation *e, const char *why)
{
	struct buf *t = &e->text;

	buf_printf(t, "%s: came ", e->item->id.s);
	explain_moment(e, id_time_ms(&e->item->id));
	buf_printf(t, " and is in %s/. It cannot be used: %s.\n",
	    qdir_names[e->item->dir], why);
	if (e->item->dir == QDIR_CORRUPT)
		buf_adds(t, "Nothing in corrupt/ is ever touched by postern; "
		    "postern-queue(5) says how to read it and what to do.\n");
}
