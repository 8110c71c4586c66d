/*
 * ETRN (RFC 1985): mail that waits for a domain is tried now.  Runs in qmgr;
 * the names are SMTP clients', whoever they are: what they may name is a list
 * of the configuration, and what they cause is done at most once a minute.
 */
#include <ctype.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/etrn.h"
#include "qmgr/dest.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define PEERS_MAX 65536 /* one a session that asked */
#define AGAIN_MS 60000

/* An entry of etrn_domains: a domain, or what is below it. */
static bool
allows(struct slice entry, struct slice name)
{
	if (entry.len == 0 || entry.p[0] != '.')
		return slice_ieq(entry, name);
	return name.len > entry.len && slice_ieq(entry,
	    slice_sub(name, name.len - entry.len, name.len));
}

static bool
is_allowed(const struct qmgr *qm, struct slice name)
{
	for (size_t i = 0; i < qm->conf.etrn_domains.n; i++)
		if (allows(slice_of(qm->conf.etrn_domains.v[i]), name))
			return true;
	return false;
}

/* All known destinations of it; *paused: one of them is. */
static size_t
start(struct qmgr *qm, struct slice name, bool sub, bool again, bool *paused)
{
	struct dest *d, *next;
	size_t n = 0;

	*paused = false;
	for (d = dest_next(qm, NULL); d != NULL; d = next) {
		next = dest_next(qm, d);
		if (d->no != LANE_REMOTE || !dest_serves(d, name, sub))
			continue;
		n += dest_waiting(d) + d->units;
		*paused |= d->pause != NULL;
		if (!again)
			dest_retry(d);
	}
	return n;
}

/* Was it asked for a moment ago? */
static bool
is_again(struct qmgr *qm, struct slice name)
{
	int64_t now_ms = clock_mono_ms();
	uint64_t h = UINT64_C(14695981039346656037);
	struct etrn_last *last;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (uint64_t)tolower((unsigned char)name.p[i])) *
		    UINT64_C(1099511628211);
	last = &qm->etrn_last[h % ETRN_LAST];
	if (last->hash == h && now_ms - last->at_ms < AGAIN_MS)
		return true;
	last->hash = h;
	last->at_ms = now_ms;
	return false;
}

static void
put(struct status *st, uint32_t code, const char *what, struct slice name,
    const char *more)
{
	/* RFC 1985 5.2; enhanced codes are not defined for 25x */
	status_set(st, code, 0, 0, "%s node %.*s %s", what, SLICE_FMT(name),
	    more);
}

static size_t
answer(struct qmgr *qm, struct slice name, struct status *st)
{
	bool sub = name.len > 0 && name.p[0] == '@', paused, again;
	struct slice domain = slice_sub(name, sub, name.len);
	char count[64];
	size_t n;

	if (!is_allowed(qm, domain)) {
		/* RFC 3463 7.1: delivery not authorized */
		status_set(st, 459, 7, 1, "Node %.*s not allowed",
		    SLICE_FMT(name));
		return 0;
	}
	again = is_again(qm, name);
	n = start(qm, domain, sub, again, &paused);
	if (qm->stopping || paused) {
		status_set(st, 458, 3, 2, "Unable to queue messages for node "
		    "%.*s", SLICE_FMT(name));
		return n;
	}
	if (!again && wait_unknown(qm->wait) > 0)
		sweep_start(qm, domain, sub);
	if (n > 0) {
		snprintf(count, sizeof(count), "%zu pending messages for", n);
		put(st, 253, count, name, "started");
	} else if (wait_unknown(qm->wait) > 0)
		put(st, 250, "Queuing for", name, "started");
	else
		put(st, 251, "No messages waiting for", name, "");
	LOG_INFO("etrn", LB("name", name), LU("messages", n),
	    LS("again", again ? "yes" : "no"));
	return n;
}

static bool
etrn_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const struct etrn_start *s = &((const union etrn_msg *)msg)->start;
	struct etrn_started out = {.code = 0};
	struct status st;
	size_t n;

	(void)fds, (void)nfds;
	if (type != ETRN_START)
		return false;
	n = answer(arg, s->name, &st);
	out.code = st.code;
	out.subject = st.subject;
	out.detail = st.detail;
	out.text = slice_of(st.text);
	out.messages = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	chan_peer_send(p, ETRN_STARTED, &out);
	return true;
}

void
etrn_init(struct qmgr *qm)
{
	static const struct chan_server_ops ops = {.record = etrn_record};

	qm->etrn = chan_server_new(qm->loop, qm->etrn_fd, &etrn_contract,
	    &ops, qm, &qm->smtpd_uid, 1, PEERS_MAX, false);
}
