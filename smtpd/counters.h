/* What smtpd counts (common/sys/stats.h). */
#ifndef SMTPD_COUNTERS_H
#define SMTPD_COUNTERS_H

#include "common/sys/stats.h"

enum smtpd_counter {
	COUNT_SESSIONS,
	COUNT_SESSIONS_OPEN,
	COUNT_REFUSED, /* three, in the order of enum front_refusal */
	COUNT_SESSION_TIME = COUNT_REFUSED + 3,
	COUNT_MESSAGES,
	COUNT_MESSAGES_4,
	COUNT_MESSAGES_5,
	COUNT_OCTETS,
	COUNT_COMMIT_TIME,
	COUNT_RCPTS,
	COUNT_RCPTS_4,
	COUNT_RCPTS_5,
	COUNT_REPLIES_4,
	COUNT_REPLIES_5,
	COUNT_ALL
};

extern const struct stats_row smtpd_counters[COUNT_ALL];

#endif
