/*
 * What an admin wants done to a message: hold, release, retry, remove.  Runs in
 * qmgr; the other side is `postern queue`, run by root or by the queue's user.
 *
 * A message that is active is stopped first; while a delivery is under way the
 * answer is "busy" and the wish is fulfilled when it ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/control.h"
#include "qmgr/counters.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define PEERS_MAX 16

static const struct answer not_found = {CONTROL_NOT_FOUND,
    "no such message in the queue"};
static const struct answer log_says = {CONTROL_FAILED,
    "could not be done: qmgr's log says why"};
static const struct answer busy = {CONTROL_BUSY,
    "a delivery is under way: it is done when that ends"};
static const struct answer being_written = {CONTROL_FAILED,
    "queued is not done with it: try again"};

static bool
exists(struct qmgr *qm, enum qdir dir, const struct mail_id *id)
{
	struct stat st;

	return fstatat(qm->dirs[dir], id->s, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A waiting message, also one that no scan has seen yet. */
static bool
take_waiting(struct qmgr *qm, const struct mail_id *id, struct wait_info *w)
{
	if (wait_take(qm->wait, id, w))
		return true;
	w->id = *id;
	w->next_ms = 0;
	w->flags = WAIT_UNSURE;
	if (exists(qm, QDIR_DEFERRED, id))
		return true;
	w->flags |= WAIT_FRESH;
	return exists(qm, QDIR_INCOMING, id);
}

static enum qdir
dir_of(const struct wait_info *w)
{
	return w->flags & WAIT_FRESH ? QDIR_INCOMING : QDIR_DEFERRED;
}

static void
set_want(struct message *m, enum want want, struct slice reason)
{
	m->want = want;
	free(m->reason);
	m->reason = slice_dup(reason);
	m->reason_len = reason.len;
}

/* One that is active: stopped, and settled if nothing runs. */
static struct answer
stop_active(struct qmgr *qm, struct message *m, enum want want,
    struct slice reason, const char *done)
{
	set_want(m, want, reason);
	message_stop(qm, m);
	if (m->nlive > 0)
		return busy;
	settle_remove(qm, m);
	return settle_message(qm, m) ? (struct answer){CONTROL_DONE, done} :
	    log_says;
}

/* Reads the file of one that waits.  NULL: *a says why not. */
static struct message *
fetch(struct qmgr *qm, const struct wait_info *w, struct answer *a)
{
	struct message *m;
	bool written;

	m = message_fetch(qm, &w->id, dir_of(w), (w->flags & WAIT_UNSURE) != 0,
	    &written);
	if (m->verdict == VERDICT_GOOD && !written)
		return m;
	*a = written ? being_written : m->verdict == VERDICT_GONE ? not_found :
	    log_says;
	if (m->verdict != VERDICT_GONE)
		wait_put(qm->wait, w);
	message_free(qm, m);
	return NULL;
}

static struct answer
hold(struct qmgr *qm, const struct mail_id *id, struct slice reason)
{
	static const char done[] = "on hold";
	struct message *m = message_find(qm, id);
	struct wait_info w;
	struct answer a;

	if (m != NULL)
		return stop_active(qm, m, WANT_HOLD, reason, done);
	if (!take_waiting(qm, id, &w)) {
		if (exists(qm, QDIR_HOLD, id))
			return (struct answer){CONTROL_DONE,
			    "was on hold already"};
		return not_found;
	}
	m = fetch(qm, &w, &a);
	if (m == NULL)
		return a;
	set_want(m, WANT_HOLD, reason);
	return settle_message(qm, m) ? (struct answer){CONTROL_DONE, done} :
	    log_says;
}

/* All that waits is due now, and what has failed waits again. */
static bool
make_due(struct qmgr *qm, struct message *m, const char *what,
    struct slice reason, int64_t now_ms)
{
	for (size_t i = 0; i < qfile_nrcpts(m->q); i++)
		if (qfile_rcpt(m->q, i)->state == QSTATE_FAILED &&
		    qfile_set_state(m->q, i, QSTATE_TODO) != 0)
			return false;
	if (qfile_add_note(m->q, what, reason, now_ms) != 0)
		return false;
	file_sync_later(qm, m);
	return true;
}

/* A message that was made due waits for its turn. */
static struct answer
go(struct qmgr *qm, struct message *m, const char *verb, int64_t now_ms)
{
	struct wait_info w = {.id = m->id,
	    .next_ms = now_ms,
	    .flags = WAIT_FORCED};

	if (m->dir == QDIR_INCOMING)
		w.flags |= WAIT_FRESH;
	else
		(void)qfile_set_hint(m->q, now_ms);
	if (m->unsure)
		w.flags |= WAIT_UNSURE;
	LOG_INFO(verb, LS("id", m->id.s));
	message_free(qm, m);
	wait_put(qm->wait, &w);
	return (struct answer){CONTROL_DONE, "is tried now"};
}

static struct answer
retry(struct qmgr *qm, const struct mail_id *id, struct slice reason)
{
	struct message *m = message_find(qm, id);
	int64_t now_ms = clock_real_ms();
	struct wait_info w;
	struct answer a;

	if (m != NULL) {
		m->again = true;
		return (struct answer){CONTROL_DONE, "is under way"};
	}
	if (!take_waiting(qm, id, &w)) {
		if (exists(qm, QDIR_HOLD, id))
			return (struct answer){CONTROL_FAILED,
			    "is on hold: release it"};
		return not_found;
	}
	m = fetch(qm, &w, &a);
	if (m == NULL)
		return a;
	if (make_due(qm, m, "retry", reason, now_ms))
		return go(qm, m, "retried", now_ms);
	LOG_ERROR("not-retried", LS("id", id->s), LE());
	message_free(qm, m);
	wait_put(qm->wait, &w);
	return log_says;
}

static struct answer
release(struct qmgr *qm, const struct mail_id *id, struct slice reason)
{
	int64_t now_ms = clock_real_ms();
	struct wait_info known;
	struct message *m;
	bool written;

	m = message_find(qm, id);
	if (m != NULL && m->want == WANT_HOLD) {
		m->want = WANT_NOTHING; /* it was not held yet */
		m->again = true;
		return (struct answer){CONTROL_DONE, "is under way"};
	}
	if (m != NULL || wait_get(qm->wait, id, &known))
		return (struct answer){CONTROL_FAILED, "is not on hold"};
	if (!exists(qm, QDIR_HOLD, id))
		return not_found;
	m = message_fetch(qm, id, QDIR_HOLD, true, &written);
	if (m->verdict == VERDICT_GOOD &&
	    make_due(qm, m, "release", reason, now_ms) &&
	    file_move(qm, id->s, QDIR_HOLD, QDIR_DEFERRED) == 0) {
		m->dir = QDIR_DEFERRED;
		return go(qm, m, "released", now_ms);
	}
	LOG_ERROR("not-released", LS("id", id->s), LE());
	message_free(qm, m);
	return log_says;
}

static struct answer
remove_file(struct qmgr *qm, const struct mail_id *id, enum qdir dir,
    struct slice reason)
{
	if (unlinkat(qm->dirs[dir], id->s, 0) != 0) {
		if (errno == ENOENT)
			return not_found;
		LOG_ERROR("not-removed", LS("id", id->s),
		    LS("dir", qdir_names[dir]), LE());
		return log_says;
	}
	stats_add(COUNT_REMOVED, 1);
	LOG_INFO("removed", LS("id", id->s), LS("by", "admin"),
	    LS("dir", qdir_names[dir]), LB("reason", reason));
	return (struct answer){CONTROL_DONE, "removed"};
}

static struct answer
drop(struct qmgr *qm, const struct mail_id *id, struct slice reason)
{
	struct message *m = message_find(qm, id);
	struct answer a;
	struct wait_info w;

	if (m != NULL)
		return stop_active(qm, m, WANT_REMOVE, reason, "removed");
	if (!take_waiting(qm, id, &w)) {
		if (exists(qm, QDIR_CORRUPT, id))
			return (struct answer){CONTROL_FAILED, "is in "
			    "corrupt/: nothing is ever removed there, "
			    "do it by hand"};
		return remove_file(qm, id, QDIR_HOLD, reason);
	}
	a = remove_file(qm, id, dir_of(&w), reason);
	if (a.result == CONTROL_FAILED)
		wait_put(qm->wait, &w);
	return a;
}

/* False: it breaks the contract. */
static bool
do_act(struct qmgr *qm, const struct control_act *act, struct answer *a)
{
	struct mail_id id;

	if (!id_parse(act->id, &id))
		return false;
	switch (act->action) {
	case CONTROL_HOLD:
		*a = hold(qm, &id, act->reason);
		return true;
	case CONTROL_RELEASE:
		*a = release(qm, &id, act->reason);
		return true;
	case CONTROL_RETRY:
		*a = retry(qm, &id, act->reason);
		return true;
	case CONTROL_REMOVE:
		*a = drop(qm, &id, act->reason);
		return true;
	default:
		return false;
	}
}

static bool
control_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const union control_msg *c = msg;
	struct control_acted acted;
	struct answer a = {CONTROL_FAILED, "qmgr is ending"};
	struct qmgr *qm = arg;

	(void)fds, (void)nfds;
	switch (type) {
	case CONTROL_LIST:
		control_list(qm, p, c->list.dest);
		return true;
	case CONTROL_ACT:
		if (!qm->stopping && !do_act(qm, &c->act, &a))
			return false;
		break;
	case CONTROL_DEST:
		if (!qm->stopping)
			a = control_dest(qm, &c->dest);
		break;
	default:
		return false;
	}
	acted.result = a.result;
	acted.text = slice_of(a.text);
	chan_peer_send(p, CONTROL_ACTED, &acted);
	return true;
}

void
control_init(struct qmgr *qm)
{
	static const struct chan_server_ops ops = {.record = control_record,
	    .closed = control_closed};
	const uid_t uids[] = {0, qm->uid};

	qm->control = chan_server_new(qm->loop, qm->control_fd,
	    &control_contract, &ops, qm, uids, 2, PEERS_MAX, false);
}
