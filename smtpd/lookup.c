/*
 * The way to authd: contract "address".  Runs in the session, and asks about
 * addresses the client named.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/proto/address.h"
#include "common/proto/session.h"
#include "smtpd/session.h"

#define ANSWER_WAIT_MS 30000

/* Waits for a record of that type to the question last asked. */
static bool
answer(struct session *s, uint16_t type, union address_msg *msg)
{
	int64_t end = clock_mono_ms() + ANSWER_WAIT_MS;
	int fds[CHAN_MAX_FDS];
	uint16_t got;
	size_t nfds;

	if (session_deadline(s) < end)
		end = session_deadline(s);
	while (s->lookup != NULL && chan_wait(s->lookup, &got, msg,
	    sizeof(*msg), fds, &nfds, end) == CHAN_OK) {
		/* rid stands first in all answers: those to questions that
		 * were given up come late. */
		if (msg->checked.rid != s->lookup_rid)
			continue;
		if (got == type)
			return true;
		break;
	}
	chan_free(&s->lookup);
	return false;
}

/* Asks, on a new channel where the old one is dead: authd may have been
 * restarted since the last question. */
static bool
ask(struct session *s, uint16_t question, uint16_t type, struct slice address,
    union address_msg *msg)
{
	struct address_check check = {.address = address};
	bool fresh;
	int fd;

	do {
		/* One that came ahead of its need may be old, too. */
		fresh = s->lookup == NULL && s->lookup_fd == -1;
		if (s->lookup == NULL) {
			fd = session_channel(s, SERVICE_ADDRESS);
			if (fd == -1)
				break;
			s->lookup = chan_new(fd, &address_contract,
			    CHAN_CLIENT);
		}
		check.rid = ++s->lookup_rid;
		chan_queue(s->lookup, question, &check, NULL, 0);
		if (answer(s, type, msg))
			return true;
	} while (!fresh);
	log_event(LOG_WARN_LEVEL, "authd-unreachable", NULL);
	return false;
}

void
lookup_check(struct session *s, struct slice address,
    struct address_checked *out)
{
	union address_msg msg;

	if (ask(s, ADDRESS_CHECK, ADDRESS_CHECKED, address, &msg))
		*out = msg.checked;
	else
		*out = (struct address_checked){.result = ADDRESS_TEMP};
}

void
lookup_members(struct session *s, struct slice address,
    struct address_members *out)
{
	union address_msg msg;

	if (ask(s, ADDRESS_EXPN, ADDRESS_MEMBERS, address, &msg))
		*out = msg.members;
	else
		*out = (struct address_members){.result = ADDRESS_TEMP,
		    .last = 1};
}

bool
lookup_more(struct session *s, struct address_members *out)
{
	union address_msg msg;

	if (!answer(s, ADDRESS_MEMBERS, &msg))
		return false;
	*out = msg.members;
	return true;
}
