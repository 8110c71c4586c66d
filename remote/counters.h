/* What remote counts (common/sys/stats.h). */
#ifndef REMOTE_COUNTERS_H
#define REMOTE_COUNTERS_H

#include "common/sys/stats.h"

enum remote_counter {
	COUNT_JOBS,
	COUNT_JOB_TIME,
	COUNT_DELIVERED,
	COUNT_LATER,
	COUNT_FAILED,
	COUNT_CONNECTED,
	COUNT_NOT_CONNECTED,
	COUNT_PROCESSES,
	COUNT_PROCESSES_OPEN,
	COUNT_SIGNED,
	COUNT_UNSIGNED,
	COUNT_ALL
};

extern const struct stats_row remote_counters[COUNT_ALL];

#endif
