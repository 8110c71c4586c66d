/* What local and the spawner count (common/sys/stats.h). */
#ifndef LOCAL_COUNTERS_H
#define LOCAL_COUNTERS_H

#include "common/sys/stats.h"

enum local_counter {
	COUNT_DELIVERED,
	COUNT_FORWARDED,
	COUNT_LATER,
	COUNT_FAILED,
	COUNT_BATCHES,
	COUNT_BATCH_TIME,
	COUNT_FSYNC_TIME,
	COUNT_PROCESSES,
	COUNT_PROCESSES_OPEN,
	COUNT_LOCAL_ALL
};

enum spawner_counter {
	COUNT_PROGRAMS,
	COUNT_PROGRAMS_LATER,
	COUNT_PROGRAMS_FAILED,
	COUNT_PROGRAMS_OPEN,
	COUNT_PROGRAM_TIME,
	COUNT_SPAWNER_ALL
};

extern const struct stats_row local_counters[COUNT_LOCAL_ALL];
extern const struct stats_row spawner_counters[COUNT_SPAWNER_ALL];

#endif
