/* The figures of queued, bounce and pickup, as `postern stats` shows them. */
#include "queue/counters.h"

#define REFUSED "Messages refused for now, by the reason: no room on the disk, "   \
	"or a write that failed."
#define NOTICES "Notices sent, by their kind."

const struct stats_row queued_counters[COUNT_QUEUED_ALL] = {
	[COUNT_COMMITS] = {"queue_commits_total", STATS_COUNTER,
	    "Commits to the disk; messages that are complete together share "
	    "one."},
	[COUNT_QUEUED] = {"queue_messages_total", STATS_COUNTER,
	    "Messages that were made durable."},
	[COUNT_QUEUED_OCTETS] = {"queue_written_bytes_total", STATS_COUNTER,
	    "Octets of their contents."},
	[COUNT_COMMIT_TIME] = {"queue_commit_seconds", STATS_HISTOGRAM,
	    "How long commits took, with writing and naming the files."},
	[COUNT_FSYNC_TIME] = {"queue_fsync_seconds", STATS_HISTOGRAM,
	    "How long the disk took of that to make them durable."},
	[COUNT_NO_ROOM] = {"queue_refused_total{why=\"room\"}", STATS_COUNTER,
	    REFUSED},
	[COUNT_WRITE_FAILED] = {"queue_refused_total{why=\"write\"}",
	    STATS_COUNTER, REFUSED},
};

const struct stats_row bounce_counters[COUNT_BOUNCE_ALL] = {
	[COUNT_NOTICES] = {"bounce_notices_total{kind=\"failure\"}",
	    STATS_COUNTER, NOTICES},
	[COUNT_NOTICES + 1] = {"bounce_notices_total{kind=\"delay\"}",
	    STATS_COUNTER, NOTICES},
	[COUNT_NOTICES + 2] = {"bounce_notices_total{kind=\"success\"}",
	    STATS_COUNTER, NOTICES},
	[COUNT_NOTICES_DOUBLE] = {"bounce_double_total", STATS_COUNTER,
	    "Notices of them that postmaster got, the sender being empty."},
	[COUNT_NOTICES_NONE] = {"bounce_none_total", STATS_COUNTER,
	    "Notices that rightly were not sent."},
	[COUNT_NOTICES_LATER] = {"bounce_faults_total", STATS_COUNTER,
	    "Notices that could not be made for now."},
};

const struct stats_row pickup_counters[COUNT_PICKUP_ALL] = {
	[COUNT_TAKEN] = {"pickup_messages_total", STATS_COUNTER,
	    "Messages taken in from the drop directory."},
	[COUNT_TAKEN_OCTETS] = {"pickup_bytes_total", STATS_COUNTER,
	    "Octets of them."},
	[COUNT_NOT_TAKEN] = {"pickup_refused_total", STATS_COUNTER,
	    "Files in the drop directory that are no messages."},
};
