/*
 * What became of a recipient: its next state, its next try, the log, what is to
 * be written.
 */
#ifndef QMGR_OUTCOME_H
#define QMGR_OUTCOME_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "qmgr/lane.h"

struct dest;
struct qmgr;
struct rcpt;

void outcome_set(struct qmgr *qm, struct rcpt *r, const struct status *status,
    struct slice host);
/* The same from remote: d is where it was tried, what is how that is now. */
struct outcome_from {
	struct dest *dest;  /* or NULL */
	struct slice host;
	bool remote;        /* the next host's own words */
	bool relayed;       /* ... and it promises no notices */
};
void outcome_set_from(struct qmgr *qm, struct rcpt *r,
    const struct status *status, const struct outcome_from *from);
/* r (idle) cannot go to d now, or has too many before it: it waits without
 * being in memory.  No attempt is counted, but who was never tried gets d's
 * last error for a reason, and whose time is over fails for it. */
void outcome_park(struct qmgr *qm, struct rcpt *r, struct dest *d);
/* Nobody is there to do it: no attempt is counted. */
void outcome_shelve(struct qmgr *qm, struct rcpt *r, enum lane_no lane);

#endif
