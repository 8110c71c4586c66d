/* What dnsd counts (common/sys/stats.h). */
#ifndef DNSD_COUNTERS_H
#define DNSD_COUNTERS_H

#include "common/sys/stats.h"

enum dnsd_counter {
	COUNT_OK,           /* in the order of enum dns_result */
	COUNT_NODATA,
	COUNT_NXDOMAIN,
	COUNT_TEMP,
	COUNT_BOGUS,
	COUNT_SECURE,
	COUNT_REFUSED,
	COUNT_UNDER_WAY,
	COUNT_TIME,
	COUNT_ALL
};

extern const struct stats_row dnsd_counters[COUNT_ALL];

#endif
