/* What qmgr counts (common/sys/stats.h). */
#ifndef QMGR_COUNTERS_H
#define QMGR_COUNTERS_H

#include "common/sys/stats.h"

enum qmgr_counter {
	COUNT_NEW,
	COUNT_FOUND,
	COUNT_REMOVED,
	COUNT_ACTIVE,
	COUNT_WAITING,
	COUNT_JOBS,
	COUNT_DELIVERED,
	COUNT_DEFERRED,
	COUNT_FAILED,
	COUNT_EXPANDED,
	COUNT_DELIVERY_TIME,
	COUNT_REPORTED,
	COUNT_DOWN,
	COUNT_CORRUPT,
	COUNT_SCANS,
	COUNT_SCAN_TIME,
	COUNT_ALL
};

extern const struct stats_row qmgr_counters[COUNT_ALL];

#endif
