/* What dnsd counts. */
#include "dnsd/counters.h"

#define RESULT(word)                                                           \
	{"dns_answers_total{result=\"" word "\"}", STATS_COUNTER,              \
	    "Answers given to other daemons, by their result."}

const struct stats_row dnsd_counters[COUNT_ALL] = {
	[COUNT_OK] = RESULT("ok"),
	[COUNT_NODATA] = RESULT("nodata"),
	[COUNT_NXDOMAIN] = RESULT("nxdomain"),
	[COUNT_TEMP] = RESULT("temp"),
	[COUNT_BOGUS] = RESULT("bogus"),
	[COUNT_SECURE] = {"dns_secure_total", STATS_COUNTER,
	    "Answers among them that DNSSEC validated."},
	[COUNT_REFUSED] = {"dns_refused_total", STATS_COUNTER,
	    "Questions beyond dns_queries_max."},
	[COUNT_UNDER_WAY] = {"dns_queries", STATS_GAUGE,
	    "Questions under way."},
	[COUNT_TIME] = {"dns_answer_seconds", STATS_HISTOGRAM,
	    "From question to answer."},
};
