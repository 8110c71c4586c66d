/* The figures of pop3d and pop3d-mailbox, as `postern stats` shows them. */
#include "pop3d/counters.h"

#define REFUSED "Connections refused, by the limit that was reached."
#define LOGINS "Logins, by how they ended; undecided is a fault of ours."

const struct stats_row pop3d_counters[COUNT_ALL] = {
	[COUNT_SESSIONS] = {"pop3_sessions_total", STATS_COUNTER,
	    "Connections that were taken."},
	[COUNT_SESSIONS_OPEN] = {"pop3_sessions_open", STATS_GAUGE,
	    "Sessions before their login, now."},
	[COUNT_REFUSED] = {"pop3_refused_connections_total{why=\"sessions\"}",
	    STATS_COUNTER, REFUSED},
	[COUNT_REFUSED + 1] =
	    {"pop3_refused_connections_total{why=\"client\"}",
	    STATS_COUNTER, REFUSED},
	[COUNT_REFUSED + 2] =
	    {"pop3_refused_connections_total{why=\"fault\"}",
	    STATS_COUNTER, REFUSED},
	[COUNT_LOGINS_GOOD] = {"pop3_logins_total{result=\"good\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGINS_BAD] = {"pop3_logins_total{result=\"bad\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGINS_BLOCKED] = {"pop3_logins_total{result=\"blocked\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGINS_UNDECIDED] = {"pop3_logins_total{result=\"undecided\"}",
	    STATS_COUNTER, LOGINS},
};

const struct stats_row mailbox_counters[COUNT_MAILBOX_ALL] = {
	[COUNT_MAILBOXES] = {"pop3_mailbox_sessions_total", STATS_COUNTER,
	    "Mailboxes that were opened."},
	[COUNT_MAILBOXES_OPEN] = {"pop3_mailbox_sessions_open", STATS_GAUGE,
	    "Mailboxes in use now."},
	[COUNT_MAILBOXES_IN_USE] = {"pop3_mailbox_in_use_total", STATS_COUNTER,
	    "Logins refused by pop3_sessions_per_user_max."},
	[COUNT_MAILBOXES_CLOSED] = {"pop3_mailbox_faults_total", STATS_COUNTER,
	    "Mailboxes that could not be opened."},
	[COUNT_MAILBOX_TIME] = {"pop3_mailbox_session_seconds",
	    STATS_HISTOGRAM, "How long sessions lasted behind their login."},
	[COUNT_RETRIEVED] = {"pop3_retrieved_messages_total", STATS_COUNTER,
	    "Messages sent whole by RETR."},
	[COUNT_RETRIEVED_OCTETS] = {"pop3_retrieved_bytes_total",
	    STATS_COUNTER, "Octets read for RETR and TOP."},
	[COUNT_DELETED] = {"pop3_deleted_messages_total", STATS_COUNTER,
	    "Messages removed at QUIT."},
};
