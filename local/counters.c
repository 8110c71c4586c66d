/* The figures of local and the spawner, as `postern stats` shows them. */
#include "local/counters.h"

#define DELIVERIES "Deliveries to mailboxes, by how they ended."
#define PROGRAMS "Programs of aliases and forward files, by how they ended."

const struct stats_row local_counters[COUNT_LOCAL_ALL] = {
	[COUNT_DELIVERED] = {"local_deliveries_total{result=\"delivered\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_FORWARDED] = {"local_deliveries_total{result=\"forwarded\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_LATER] = {"local_deliveries_total{result=\"later\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_FAILED] = {"local_deliveries_total{result=\"failed\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_BATCHES] = {"local_batches_total", STATS_COUNTER,
	    "Commits to the disk; deliveries that go together share one."},
	[COUNT_BATCH_TIME] = {"local_batch_seconds", STATS_HISTOGRAM,
	    "How long they took, with writing and naming the files."},
	[COUNT_FSYNC_TIME] = {"local_fsync_seconds", STATS_HISTOGRAM,
	    "How long the disk took of that to make them durable."},
	[COUNT_PROCESSES] = {"local_processes_total", STATS_COUNTER,
	    "Delivery processes made."},
	[COUNT_PROCESSES_OPEN] = {"local_processes_open", STATS_GAUGE,
	    "Delivery processes now."},
};

const struct stats_row spawner_counters[COUNT_SPAWNER_ALL] = {
	[COUNT_PROGRAMS] = {"spawner_programs_total{result=\"delivered\"}",
	    STATS_COUNTER, PROGRAMS},
	[COUNT_PROGRAMS_LATER] = {"spawner_programs_total{result=\"later\"}",
	    STATS_COUNTER, PROGRAMS},
	[COUNT_PROGRAMS_FAILED] = {"spawner_programs_total{result=\"failed\"}",
	    STATS_COUNTER, PROGRAMS},
	[COUNT_PROGRAMS_OPEN] = {"spawner_programs_open", STATS_GAUGE,
	    "Programs that run now."},
	[COUNT_PROGRAM_TIME] = {"spawner_program_seconds", STATS_HISTOGRAM,
	    "How long programs took."},
};
