/*
 * ETRN (RFC 1985): a client asks that what waits for a host be tried now.  Runs
 * in the session, which asks qmgr.  Attempts are all that it brings about, but
 * those cost, so it is for clients of ours; others are told that the node is
 * not allowed (459), which tells nothing about the queue.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "common/proto/etrn.h"
#include "common/proto/session.h"
#include "smtpd/command.h"

#define ANSWER_WAIT_MS 30000

bool
etrn_parse(struct slice arg, const char **why)
{
	if (arg.len == 0) {
		*why = "node is missing";
		return false;
	}
	/* RFC 1985 5.3: "#" and a name this server gives a meaning */
	if (arg.p[0] == '#') {
		for (size_t i = 1; i < arg.len; i++)
			if (arg.p[i] <= ' ' || arg.p[i] >= 0x7f) {
				*why = "broken queue name";
				return false;
			}
		*why = "queue name is missing";
		return arg.len > 1;
	}
	if (arg.p[0] == '@')
		arg = slice_sub(arg, 1, arg.len);
	return address_domain(arg, false, why);
}

bool
session_may_etrn(const struct session *s)
{
	return s->conf->smtp_etrn && (s->relay ||
	    net_any_has(s->conf->smtp_etrn_networks.v,
	    s->conf->smtp_etrn_networks.n, &s->ip));
}

/* False: there is no answer on this channel. */
static bool
ask(struct session *s, const struct etrn_start *start, struct status *st)
{
	int64_t end = clock_mono_ms() + ANSWER_WAIT_MS;
	int fds[CHAN_MAX_FDS];
	union etrn_msg msg;
	uint16_t type;
	size_t nfds;

	if (session_deadline(s) < end)
		end = session_deadline(s);
	chan_queue(s->etrn, ETRN_START, start, NULL, 0);
	if (chan_wait(s->etrn, &type, &msg, sizeof(msg), fds, &nfds, end) !=
	    CHAN_OK || type != ETRN_STARTED) {
		chan_free(&s->etrn);
		return false;
	}
	status_set(st, msg.started.code, msg.started.subject,
	    msg.started.detail, "%.*s", SLICE_FMT(msg.started.text));
	LOG_INFO("etrn", LB("name", start->name), LU("status", st->code),
	    LU("messages", msg.started.messages));
	return true;
}

/* Asks, on a new channel where the old one is dead. */
static void
start(struct session *s, struct slice name)
{
	char lower[ADDRESS_DOMAIN_MAX + 1];
	struct etrn_start msg;
	struct status st;
	bool fresh;
	int fd;

	for (size_t i = 0; i < name.len; i++)
		lower[i] = name.p[i] >= 'A' && name.p[i] <= 'Z'
		    ? (char)(name.p[i] | 0x20) : name.p[i];
	msg.name = slice_mem(lower, name.len);
	do {
		fresh = s->etrn == NULL;
		if (fresh) {
			fd = session_channel(s, SERVICE_ETRN);
			if (fd == -1)
				break;
			s->etrn = chan_new(fd, &etrn_contract, CHAN_CLIENT);
		}
		if (ask(s, &msg, &st)) {
			reply_status(s, &st);
			return;
		}
	} while (!fresh);
	LOG_WARN("qmgr-unreachable", LS("for", "etrn"));
	reply(s, 458, "4.3.0", "Unable to queue messages for node %.*s",
	    SLICE_FMT(name));
}

enum state
cmd_etrn(struct session *s, struct slice arg)
{
	const char *why = "";

	if (!etrn_parse(arg, &why))
		reply(s, 501, "5.5.4", "ETRN: %s", why);
	else if (!s->conf->smtp_etrn)
		reply(s, 502, "5.5.1", "ETRN is switched off");
	else if (!session_may_etrn(s) || arg.p[0] == '#')
		/* No name of a queue has a meaning here. */
		reply(s, 459, "4.7.1", "Node %.*s not allowed",
		    SLICE_FMT(slice_sub(arg, 0, 255)));
	else
		start(s, arg);
	return s->state;
}
