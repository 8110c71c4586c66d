/* The figures of qmgr, as `postern stats` shows them. */
#include "qmgr/counters.h"

#define MESSAGES "Messages that came: told by queued, or found in the queue's "    \
	"directories."
#define DELIVERIES "Attempts, one for each recipient, by their outcome; expanded " \
	"are aliases and forward files."

const struct stats_row qmgr_counters[COUNT_ALL] = {
	[COUNT_NEW] = {"qmgr_messages_total{from=\"notice\"}", STATS_COUNTER,
	    MESSAGES},
	[COUNT_FOUND] = {"qmgr_messages_total{from=\"scan\"}", STATS_COUNTER,
	    MESSAGES},
	[COUNT_REMOVED] = {"qmgr_removed_messages_total", STATS_COUNTER,
	    "Messages that are done with."},
	[COUNT_ACTIVE] = {"qmgr_active_messages", STATS_GAUGE,
	    "Messages in work now."},
	[COUNT_WAITING] = {"qmgr_waiting_messages", STATS_GAUGE,
	    "Messages that wait for their next attempt now."},
	[COUNT_JOBS] = {"qmgr_running_jobs", STATS_GAUGE,
	    "Deliveries and notices under way now."},
	[COUNT_DELIVERED] = {"qmgr_deliveries_total{outcome=\"delivered\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_DEFERRED] = {"qmgr_deliveries_total{outcome=\"deferred\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_FAILED] = {"qmgr_deliveries_total{outcome=\"failed\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_EXPANDED] = {"qmgr_deliveries_total{outcome=\"expanded\"}",
	    STATS_COUNTER, DELIVERIES},
	[COUNT_DELIVERY_TIME] = {"qmgr_delivery_seconds", STATS_HISTOGRAM,
	    "From a message's birth at MAIL to its delivery, for each "
	    "recipient."},
	[COUNT_REPORTED] = {"qmgr_notices_total", STATS_COUNTER,
	    "Notices that bounce was asked for, with its answer."},
	[COUNT_DOWN] = {"qmgr_destinations_down_total", STATS_COUNTER,
	    "How often a destination was found to be down."},
	[COUNT_CORRUPT] = {"qmgr_corrupt_messages_total", STATS_COUNTER,
	    "Queue files that did not verify."},
	[COUNT_SCANS] = {"qmgr_scans_total", STATS_COUNTER,
	    "Looks at a whole directory of the queue."},
	[COUNT_SCAN_TIME] = {"qmgr_scan_seconds", STATS_HISTOGRAM,
	    "How long they took."},
};
