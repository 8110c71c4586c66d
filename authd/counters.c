/* The figures of authd, as `postern stats` shows them. */
#include "authd/counters.h"

#define LOOKUPS "Look-ups of addresses, by who asks: check at RCPT, resolve "  \
	"for delivery, expn."
#define LOGINS "Logins, by how they ended; undecided is a fault of ours."

const struct stats_row authd_counters[COUNT_ALL] = {
	[COUNT_CHECKS] = {"auth_lookups_total{kind=\"check\"}", STATS_COUNTER,
	    LOOKUPS},
	[COUNT_RESOLVES] = {"auth_lookups_total{kind=\"resolve\"}",
	    STATS_COUNTER, LOOKUPS},
	[COUNT_EXPNS] = {"auth_lookups_total{kind=\"expn\"}", STATS_COUNTER,
	    LOOKUPS},
	[COUNT_LOOKUPS_LATER] = {"auth_lookup_faults_total", STATS_COUNTER,
	    "Look-ups that could not be answered for now."},
	[COUNT_LOGINS_GOOD] = {"auth_logins_total{result=\"good\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGINS_BAD] = {"auth_logins_total{result=\"bad\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGINS_BLOCKED] = {"auth_logins_total{result=\"blocked\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGINS_UNDECIDED] = {"auth_logins_total{result=\"undecided\"}",
	    STATS_COUNTER, LOGINS},
	[COUNT_LOGIN_TIME] = {"auth_login_seconds", STATS_HISTOGRAM,
	    "From the question to the answer of good logins."},
	[COUNT_TICKETS_REFUSED] = {"auth_tickets_refused_total", STATS_COUNTER,
	    "Tickets shown that were used, too old or not ours."},
	[COUNT_REMEMBERED] = {"auth_remembered_total", STATS_COUNTER,
	    "Right passwords that were remembered and not hashed again."},
};
