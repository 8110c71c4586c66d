/*
 * Destinations an admin stopped: the text file queue_dir/paused, one a line,
 * its name, a tab, the reason.  It is read at the start and on SIGHUP, and
 * written when postern asks.
 */
#ifndef QMGR_PAUSED_H
#define QMGR_PAUSED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"
#include "qmgr/lane.h"

struct qmgr;

/* All deliveries of this host together. */
#define PAUSED_LOCAL SLICE("local")

/* What the file says now; the destinations are stopped and started. */
void paused_read(struct qmgr *qm);
void paused_free(struct qmgr *qm);
/* The reason for which this destination is paused, to be freed; NULL: it is
 * not. */
char *paused_reason(const struct qmgr *qm, enum lane_no no, struct slice key);
/* The i-th of the list; false: there are not so many. */
bool paused_at(const struct qmgr *qm, size_t i, struct slice *name,
    struct slice *reason);
bool paused_has(const struct qmgr *qm, struct slice name);
/* Adds a name (no control characters) with its reason, or takes it off; the
 * file is durable then.  False: errno, nothing changed. */
bool paused_add(struct qmgr *qm, struct slice name, struct slice reason);
bool paused_remove(struct qmgr *qm, struct slice name);

#endif
