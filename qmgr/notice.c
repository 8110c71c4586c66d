/*
 * What queued's workers tell: a message is durable.  Runs in qmgr; the values
 * are an SMTP client's, within the limits of the contract.
 */
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/notice.h"
#include "qmgr/counters.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define AGAIN_MS 1000
#define PEERS_MAX 256 /* more than queue_workers can be, restarts included */

/* What the notice does not say must be read. */
#define READ_FLAGS (ENV_HOLD | ENV_BY_RETURN | ENV_BY_NOTIFY)

static bool
new_message(struct qmgr *qm, const struct notice_new *n, uint16_t version)
{
	struct wait_info w = {.flags = WAIT_FRESH}, known;

	if (!id_parse(n->id, &w.id))
		return false;
	if (qm->stopping || message_find(qm, &w.id) != NULL)
		return true;
	if (wait_get(qm->wait, &w.id, &known)) {
		/* Found by a scan before it was durable: now it is.  Its file
		 * says what was done since. */
		if ((known.flags & WAIT_UNSURE) && (known.flags & WAIT_FRESH))
			wait_put(qm->wait, &w);
		return true;
	}
	stats_add(COUNT_NEW, 1);
	if (n->recipients.n == 0 || n->recipients.n != n->nrcpts ||
	    version < 2 || (n->flags & READ_FLAGS) != 0 ||
	    qmgr_active(qm) >= qm->conf.active_messages_max)
		wait_put(qm->wait, &w); /* its file is read in its turn */
	else
		message_notice(qm, &w.id, n);
	return true;
}

static bool
notice_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const union notice_msg *notice = msg;
	struct qmgr *qm = arg;

	(void)fds, (void)nfds;
	switch (type) {
	case NOTICE_NEW:
		return new_message(qm, &notice->new_message,
		    chan_version(chan_peer_chan(p)));
	case NOTICE_RESCAN:
		scan_start(qm, QDIR_INCOMING);
		return true;
	default:
		return false;
	}
}

/* What this worker (or the one before it) could not tell is in the files. */
static bool
notice_opened(void *arg, struct chan_peer *p)
{
	(void)p;
	scan_start(arg, QDIR_INCOMING);
	/* Until our answer reaches it, it cannot tell us of what it commits
	 * behind the back of this scan. */
	scan_within(arg, QDIR_INCOMING, AGAIN_MS);
	return true;
}

void
notice_init(struct qmgr *qm)
{
	static const struct chan_server_ops ops = {.record = notice_record,
	    .opened = notice_opened};

	qm->notice = chan_server_new(qm->loop, qm->notice_fd,
	    &notice_contract, &ops, qm, &qm->uid, 1, PEERS_MAX, false);
}
