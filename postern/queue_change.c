/*
 * `postern queue hold`, release, retry and remove.  Runs as user_queue.  A
 * running qmgr is asked (contract "control"); when it is stopped its lock is
 * taken and the files are changed here, by the same rules: release and retry
 * make due again what has failed for good, and corrupt/ is never touched.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/control.h"
#include "postern/args.h"
#include "postern/control.h"
#include "postern/out.h"
#include "postern/queue.h"

struct change {
	struct queue q;
	enum control_action action;
	struct slice reason;
	struct control qmgr;
	struct json j;
};

/* What became of one message. */
struct answer {
	enum control_result result;
	char text[STATUS_TEXT_MAX];
};

static void
say(struct answer *a, enum control_result result, const char *text)
{
	a->result = result;
	snprintf(a->text, sizeof(a->text), "%s", text);
}

static void
say_errno(struct answer *a, const char *what)
{
	a->result = CONTROL_FAILED;
	snprintf(a->text, sizeof(a->text), "%s: %s", what, strerror(errno));
}

/* ---- without qmgr ---- */

static bool
move(struct change *c, const struct queue_item *item, enum qdir to)
{
	struct stat st;

	if (renameat2(c->q.dirs[item->dir], item->id.s, c->q.dirs[to],
	    item->id.s, RENAME_NOREPLACE) == 0)
		return true;
	if (errno != EINVAL && errno != ENOSYS)
		return false;
	if (fstatat(c->q.dirs[to], item->id.s, &st, AT_SYMLINK_NOFOLLOW) ==
	    0) {
		errno = EEXIST;
		return false;
	}
	return renameat(c->q.dirs[item->dir], item->id.s, c->q.dirs[to],
	    item->id.s) == 0;
}

static bool
make_due(struct change *c, struct qfile *file, const char *what)
{
	size_t i;

	for (i = 0; i < qfile_nrcpts(file); i++)
		if (qfile_rcpt(file, i)->state == QSTATE_FAILED &&
		    qfile_set_state(file, i, QSTATE_TODO) != 0)
			return false;
	return qfile_add_note(file, what, c->reason, c->q.now_ms) == 0 &&
	    qfile_sync(file) == 0;
}

/* hold, release, retry of a file that is open for writing. */
static void
change_file(struct change *c, const struct queue_item *item,
    struct qfile *file, struct answer *a)
{
	switch (c->action) {
	case CONTROL_HOLD:
		if (qfile_add_note(file, "hold", c->reason, c->q.now_ms) != 0 ||
		    qfile_sync(file) != 0 || !move(c, item, QDIR_HOLD))
			say_errno(a, "cannot be held");
		else
			say(a, CONTROL_DONE, "on hold");
		break;
	case CONTROL_RELEASE:
		if (!make_due(c, file, "release") ||
		    !move(c, item, QDIR_DEFERRED) ||
		    qfile_set_hint(file, c->q.now_ms) != 0)
			say_errno(a, "cannot be released");
		else
			say(a, CONTROL_DONE, "is tried when qmgr starts");
		break;
	case CONTROL_RETRY:
		if (!make_due(c, file, "retry") ||
		    (item->dir == QDIR_DEFERRED &&
		    qfile_set_hint(file, c->q.now_ms) != 0))
			say_errno(a, "cannot be made due");
		else
			say(a, CONTROL_DONE, "is tried when qmgr starts");
		break;
	case CONTROL_REMOVE:
		break;
	}
}

static void
remove_file(struct change *c, const struct queue_item *item, struct answer *a)
{
	if (item->dir == QDIR_CORRUPT)
		say(a, CONTROL_FAILED, "is in corrupt/: nothing is ever "
		    "removed there, do it by hand");
	else if (unlinkat(c->q.dirs[item->dir], item->id.s, 0) != 0)
		say_errno(a, "cannot be removed");
	else
		say(a, CONTROL_DONE, "removed");
}

/* queued locks a file until it is durable. */
static bool
is_durable(struct qfile *file)
{
	if (flock(qfile_fd(file), LOCK_SH | LOCK_NB) != 0)
		return false;
	(void)flock(qfile_fd(file), LOCK_UN);
	return true;
}

static void
change_here(struct change *c, const struct queue_item *item, struct answer *a)
{
	struct qfile *file = NULL;
	char why[STATUS_TEXT_MAX] = "";

	if (c->action == CONTROL_REMOVE) {
		remove_file(c, item, a);
		return;
	}
	if (item->dir == QDIR_CORRUPT)
		say(a, CONTROL_FAILED, "is in corrupt/: see postern-queue(5)");
	else if (c->action == CONTROL_HOLD && item->dir == QDIR_HOLD)
		say(a, CONTROL_DONE, "was on hold already");
	else if (c->action == CONTROL_RELEASE && item->dir != QDIR_HOLD)
		say(a, CONTROL_FAILED, "is not on hold");
	else if (c->action == CONTROL_RETRY && item->dir == QDIR_HOLD)
		say(a, CONTROL_FAILED, "is on hold: release it");
	else if (qfile_open(c->q.dirs[item->dir], item->id.s, true, false,
	    &file, why) != QFILE_OK)
		say(a, CONTROL_FAILED, why[0] != '\0' ? why
		    : strerror(errno));
	else if (item->dir == QDIR_INCOMING && !is_durable(file))
		say(a, CONTROL_FAILED,
		    "queued is not done with it: try again");
	else
		change_file(c, item, file, a);
	qfile_free(&file);
}

/* ---- with qmgr ---- */

static void
change_there(struct change *c, const struct queue_item *item,
    struct answer *a)
{
	struct control_act act = {.action = (uint32_t)c->action,
	    .id = slice_of(item->id.s), .reason = c->reason};
	union control_msg msg;
	int fds[CHAN_MAX_FDS];
	uint16_t type;
	size_t nfds;

	chan_queue(c->qmgr.chan, CONTROL_ACT, &act, NULL, 0);
	if (chan_wait(c->qmgr.chan, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + CONTROL_ANSWER_MS) != CHAN_OK) {
		say(a, CONTROL_FAILED, "qmgr did not answer; look at its log");
		return;
	}
	a->result = (enum control_result)msg.acted.result;
	snprintf(a->text, sizeof(a->text), "%.*s",
	    SLICE_FMT(msg.acted.text));
}

/* ---- both ---- */

static int
change_one(struct change *c, const struct queue_item *item)
{
	static const char *const results[] = {"", "done", "not-found", "busy",
	    "failed"};
	struct answer a = {.result = CONTROL_FAILED};

	if (c->qmgr.chan != NULL)
		change_there(c, item, &a);
	else
		change_here(c, item, &a);
	if (a.result < CONTROL_DONE || a.result > CONTROL_FAILED)
		a.result = CONTROL_FAILED;
	if (c->q.p->json) {
		json_object(&c->j);
		json_key_str(&c->j, "id", slice_of(item->id.s));
		json_key_str(&c->j, "result", slice_of(results[a.result]));
		json_key_str(&c->j, "text", slice_of(a.text));
		json_end(&c->j);
	} else if (a.result == CONTROL_DONE || a.result == CONTROL_BUSY) {
		out_printf("%s: ", item->id.s);
		out_text(slice_of(a.text));
		out_printf("\n");
	} else {
		out_error("%s: %s", item->id.s, a.text);
	}
	return a.result == CONTROL_DONE || a.result == CONTROL_BUSY ? 0
	    : EXIT_PERMANENT;
}

static int
change_listed(struct change *c, int argc, char *argv[])
{
	struct queue_item item;
	int code = 0, result, i;

	for (i = 0; i < argc; i++) {
		result = queue_find(&c->q, argv[i], &item);
		if (result == 0)
			result = change_one(c, &item);
		if (result > code)
			code = result;
	}
	return code;
}

/* Where this change makes no sense, --all means the others. */
static bool
concerns(enum control_action action, enum qdir dir)
{
	if (dir == QDIR_CORRUPT)
		return false;
	if (action == CONTROL_RELEASE)
		return dir == QDIR_HOLD;
	return action == CONTROL_REMOVE || dir != QDIR_HOLD;
}

static int
change_all(struct change *c, const struct queue_filter *f)
{
	struct queue_items items;
	char why[STATUS_TEXT_MAX];
	int result, code = queue_scan(&c->q, &items);
	struct qfile *file;
	bool gone, ours;
	uint64_t done = 0;
	size_t i;

	for (i = 0; i < items.n && done < f->most; i++) {
		if (!concerns(c->action, items.v[i].dir) ||
		    !queue_may_match(&c->q, f, &items.v[i]))
			continue;
		file = queue_read(&c->q, &items.v[i], false, why, &gone);
		ours = !gone && queue_matches(f, file);
		qfile_free(&file);
		result = ours ? change_one(c, &items.v[i]) : 0;
		done += ours;
		if (result > code)
			code = result;
	}
	free(items.v);
	return code;
}

static int
change(struct change *c, const struct queue_filter *f, int argc, char *argv[])
{
	int code = control_reach(&c->q, true, &c->qmgr);

	if (code != 0)
		return code;
	if (c->q.p->json)
		json_array(&c->j);
	code = f->all ? change_all(c, f) : change_listed(c, argc, argv);
	if (c->q.p->json)
		json_end(&c->j);
	control_close(&c->qmgr);
	return code;
}

static int
run(struct postern *p, int argc, char *argv[], enum control_action action,
    int (*command)(struct postern *, int, char *[]))
{
	struct change c = {.action = action};
	struct queue_filter f = {.state = NULL};
	const char *reason = "";
	struct args_option options[] = {QUEUE_FILTER_OPTIONS(f),
	    {"all", 0, &f.all, NULL}, {"reason", 'r', NULL, &reason},
	    ARGS_END};
	bool filtered;
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	filtered = queue_filter_given(&f);
	if (f.all ? argc > 0 : argc == 0 || filtered)
		return command_usage(command);
	if (strlen(reason) > STATUS_TEXT_MAX) {
		out_error("--reason: longer than %d octets", STATUS_TEXT_MAX);
		return EXIT_PERMANENT;
	}
	c.reason = slice_of(reason);
	code = queue_filter_parse(&f);
	if (code == 0)
		code = queue_open(p, &c.q);
	if (code != 0)
		return code;
	code = change(&c, &f, argc, argv);
	queue_close(&c.q);
	return code;
}

int
queue_hold(struct postern *p, int argc, char *argv[])
{
	return run(p, argc, argv, CONTROL_HOLD, queue_hold);
}

int
queue_release(struct postern *p, int argc, char *argv[])
{
	return run(p, argc, argv, CONTROL_RELEASE, queue_release);
}

int
queue_retry(struct postern *p, int argc, char *argv[])
{
	return run(p, argc, argv, CONTROL_RETRY, queue_retry);
}

int
queue_remove(struct postern *p, int argc, char *argv[])
{
	return run(p, argc, argv, CONTROL_REMOVE, queue_remove);
}
