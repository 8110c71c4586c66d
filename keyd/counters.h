/* What keyd counts (common/sys/stats.h). */
#ifndef KEYD_COUNTERS_H
#define KEYD_COUNTERS_H

#include "common/sys/stats.h"

enum keyd_counter {
	COUNT_ASKED,
	COUNT_SIGNED_RSA,   /* in the order of enum key_algorithm */
	COUNT_SIGNED_EC,
	COUNT_SIGNED_ED25519,
	COUNT_SIGNED_DKIM,
	COUNT_REFUSED,
	COUNT_SIGN_TIME,
	COUNT_LOADED,
	COUNT_BAD_FILES,
	COUNT_PUT,
	COUNT_TAKEN,
	COUNT_MISSED,
	COUNT_CERTIFICATES,
	COUNT_EXPIRING,
	COUNT_UNUSABLE,
	COUNT_FIRST_EXPIRY,
	COUNT_ALL
};

extern const struct stats_row keyd_counters[COUNT_ALL];

#endif
