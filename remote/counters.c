/* The figures of remote, as `postern stats` shows them. */
#include "remote/counters.h"

#define RCPTS "Recipients of jobs, by how they ended."
#define SIGNED "Messages of ours sent with a DKIM signature, or without one although "    \
	"there is a key or might be."
#define CONNECTIONS "Attempts to connect to another host."

const struct stats_row remote_counters[COUNT_ALL] = {
	[COUNT_JOBS] = {"remote_jobs_total", STATS_COUNTER,
	    "Jobs: a message for one destination."},
	[COUNT_JOB_TIME] = {"remote_job_seconds", STATS_HISTOGRAM,
	    "How long they took, with looking up and connecting."},
	[COUNT_DELIVERED] = {"remote_recipients_total{result=\"delivered\"}",
	    STATS_COUNTER, RCPTS},
	[COUNT_LATER] = {"remote_recipients_total{result=\"later\"}",
	    STATS_COUNTER, RCPTS},
	[COUNT_FAILED] = {"remote_recipients_total{result=\"failed\"}",
	    STATS_COUNTER, RCPTS},
	[COUNT_CONNECTED] = {"remote_connections_total{result=\"good\"}",
	    STATS_COUNTER, CONNECTIONS},
	[COUNT_NOT_CONNECTED] =
	    {"remote_connections_total{result=\"failed\"}", STATS_COUNTER,
	    CONNECTIONS},
	[COUNT_PROCESSES] = {"remote_processes_total", STATS_COUNTER,
	    "Processes made, each for one connection."},
	[COUNT_PROCESSES_OPEN] = {"remote_processes_open", STATS_GAUGE,
	    "Processes now."},
	[COUNT_SIGNED] = {"remote_dkim_messages_total{result=\"signed\"}",
	    STATS_COUNTER, SIGNED},
	[COUNT_UNSIGNED] =
	    {"remote_dkim_messages_total{result=\"not_signed\"}",
	    STATS_COUNTER, SIGNED},
};
