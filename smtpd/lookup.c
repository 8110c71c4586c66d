/*
 * The way to authd: contract "address".  Runs in the session, and asks about
 * addresses the client named.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

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

/* An older authd closes the channel at a record it does not know: so what it
 * speaks must be known first. */
static bool
speaks(struct session *s, uint16_t version)
{
	int64_t end = clock_mono_ms() + ANSWER_WAIT_MS, left;
	struct pollfd p = {.fd = chan_fd(s->lookup), .events = POLLIN};
	int fds[CHAN_MAX_FDS];
	union address_msg msg;
	uint16_t type;
	size_t nfds;

	(void)chan_flush(s->lookup);
	while (!chan_greeted(s->lookup)) {
		left = end - clock_mono_ms();
		if (left <= 0 || (poll(&p, 1, (int)left) == -1 &&
		    errno != EINTR) || chan_recv(s->lookup, &type, &msg,
		    sizeof(msg), fds, &nfds) != CHAN_AGAIN)
			return true; /* the question will show it */
	}
	return chan_version(s->lookup) >= version;
}

/* A question, its number first. */
struct question {
	uint16_t type, answer;
	void *msg; /* struct address_check or struct address_who */
	uint16_t version; /* of the contract */
};

/* Asks, on a new channel where the old one is dead: authd may have been
 * restarted since the last question. */
static bool
ask(struct session *s, const struct question *q, union address_msg *msg)
{
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
		if (q->version > 1 && !speaks(s, q->version))
			return false;
		s->lookup_rid++;
		memcpy(q->msg, &s->lookup_rid, sizeof(s->lookup_rid));
		chan_queue(s->lookup, q->type, q->msg, NULL, 0);
		if (answer(s, q->answer, msg))
			return true;
	} while (!fresh);
	log_event(LOG_WARN_LEVEL, "authd-unreachable", NULL);
	return false;
}

void
lookup_check(struct session *s, struct slice address,
    struct address_checked *out)
{
	struct address_check check = {.address = address};
	struct question q = {ADDRESS_CHECK, ADDRESS_CHECKED, &check, 1};
	union address_msg msg;

	if (ask(s, &q, &msg))
		*out = msg.checked;
	else
		*out = (struct address_checked){.result = ADDRESS_TEMP};
}

void
lookup_members(struct session *s, struct slice address,
    struct address_members *out)
{
	struct address_check check = {.address = address};
	struct question q = {ADDRESS_EXPN, ADDRESS_MEMBERS, &check, 1};
	union address_msg msg;

	if (ask(s, &q, &msg))
		*out = msg.members;
	else
		*out = (struct address_members){.result = ADDRESS_TEMP,
		    .last = 1};
}

void
lookup_user(struct session *s, uid_t uid, struct address_user *out)
{
	struct address_who who = {.uid = uid};
	struct question q = {ADDRESS_WHO, ADDRESS_USER, &who, 2};
	union address_msg msg;

	if (ask(s, &q, &msg))
		*out = msg.user;
	else
		*out = (struct address_user){.result = ADDRESS_TEMP};
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
