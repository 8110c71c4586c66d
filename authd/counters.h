/* What authd counts (common/sys/stats.h). */
#ifndef AUTHD_COUNTERS_H
#define AUTHD_COUNTERS_H

#include "common/sys/stats.h"

enum authd_counter {
	COUNT_CHECKS,
	COUNT_RESOLVES,
	COUNT_EXPNS,
	COUNT_LOOKUPS_LATER,
	COUNT_LOGINS_GOOD,
	COUNT_LOGINS_BAD,
	COUNT_LOGINS_BLOCKED,
	COUNT_LOGINS_UNDECIDED,
	COUNT_LOGIN_TIME,
	COUNT_TICKETS_REFUSED,
	COUNT_REMEMBERED,
	COUNT_ALL
};

extern const struct stats_row authd_counters[COUNT_ALL];

#endif
