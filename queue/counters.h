/* What queued, bounce and pickup count (common/sys/stats.h). */
#ifndef QUEUE_COUNTERS_H
#define QUEUE_COUNTERS_H

#include "common/sys/stats.h"

enum queued_counter {
	COUNT_COMMITS,
	COUNT_QUEUED,
	COUNT_QUEUED_OCTETS,
	COUNT_COMMIT_TIME,
	COUNT_FSYNC_TIME,
	COUNT_NO_ROOM,
	COUNT_WRITE_FAILED,
	COUNT_QUEUED_ALL
};

enum bounce_counter {
	COUNT_NOTICES, /* three, in the order of enum bounce_kind */
	COUNT_NOTICES_DOUBLE = COUNT_NOTICES + 3,
	COUNT_NOTICES_NONE,
	COUNT_NOTICES_LATER,
	COUNT_BOUNCE_ALL
};

enum pickup_counter {
	COUNT_TAKEN,
	COUNT_TAKEN_OCTETS,
	COUNT_NOT_TAKEN,
	COUNT_PICKUP_ALL
};

extern const struct stats_row queued_counters[COUNT_QUEUED_ALL];
extern const struct stats_row bounce_counters[COUNT_BOUNCE_ALL];
extern const struct stats_row pickup_counters[COUNT_PICKUP_ALL];

#endif
