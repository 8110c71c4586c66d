/* What pop3d and pop3d-mailbox count (common/sys/stats.h). */
#ifndef POP3D_COUNTERS_H
#define POP3D_COUNTERS_H

#include "common/sys/stats.h"

enum pop3d_counter {
	COUNT_SESSIONS,
	COUNT_SESSIONS_OPEN,
	COUNT_REFUSED, /* three, in the order of enum front_refusal */
	COUNT_LOGINS_GOOD = COUNT_REFUSED + 3,
	COUNT_LOGINS_BAD,
	COUNT_LOGINS_BLOCKED,
	COUNT_LOGINS_UNDECIDED,
	COUNT_ALL
};

enum mailbox_counter {
	COUNT_MAILBOXES,
	COUNT_MAILBOXES_OPEN,
	COUNT_MAILBOXES_IN_USE,
	COUNT_MAILBOXES_CLOSED,
	COUNT_MAILBOX_TIME,
	COUNT_RETRIEVED,
	COUNT_RETRIEVED_OCTETS,
	COUNT_DELETED,
	COUNT_MAILBOX_ALL
};

extern const struct stats_row pop3d_counters[COUNT_ALL];
extern const struct stats_row mailbox_counters[COUNT_MAILBOX_ALL];

#endif
