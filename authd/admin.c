/*
 * Failed logins for the admin's eyes, in authd.  The peer is root's command;
 * the names shown are strangers', and shown as they came: the command escapes
 * them.
 */
#include "authd/admin.h"
#include "authd/failures.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/authadmin.h"

#define PEERS_MAX 16

struct listing {
	struct chan_peer *peer;
	bool blocked;
};

static void
show(void *arg, const struct failures_entry *e)
{
	struct listing *l = arg;
	struct authadmin_entry msg = {.kind = e->is_user ? AUTHADMIN_USER
	    : AUTHADMIN_ADDRESS, .name = slice_sub(e->name, 0,
	    AUTHADMIN_NAME_MAX), .count = e->count,
	    .age_ms = (uint64_t)e->age_ms, .left_ms = (uint64_t)e->left_ms};

	if (e->left_ms > 0 || !l->blocked)
		chan_peer_send(l->peer, AUTHADMIN_ENTRY, &msg);
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const struct authadmin_entry last = {.last = 1, .name = SLICE_EMPTY};
	struct authadmin_unblocked done;
	struct failures *f = arg;
	struct listing l = {.peer = p};

	(void)fds;
	(void)nfds;
	if (type == AUTHADMIN_LIST) {
		l.blocked = ((const struct authadmin_list *)msg)->blocked != 0;
		failures_each(f, clock_mono_ms(), show, &l);
		chan_peer_send(p, AUTHADMIN_ENTRY, &last);
		return true;
	}
	done.n = failures_forget(f,
	    ((const struct authadmin_unblock *)msg)->name);
	LOG_INFO("unblock", LB("name",
	    ((const struct authadmin_unblock *)msg)->name), LU("n", done.n));
	chan_peer_send(p, AUTHADMIN_UNBLOCKED, &done);
	return true;
}

struct chan_server *
admin_new(struct loop *l, int listen_fd, uid_t uid, struct failures *failures)
{
	static const struct chan_server_ops ops = {on_record, NULL, NULL};

	return chan_server_new(l, listen_fd, &authadmin_contract, &ops,
	    failures, &uid, 1, PEERS_MAX, false);
}
