/*
 * Notices to the sender, by way of bounce.
 */
#ifndef QMGR_REPORT_H
#define QMGR_REPORT_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "common/base/status.h"

struct message;
struct qmgr;
struct rcpt;
struct report;

void report_init(struct qmgr *qm);
/* Begins the next notice that is owed (m->nlive is then 1); false: there is
 * none, or none can be sent now.  m's file is good and all is recorded. */
bool report_next(struct qmgr *qm, struct message *m);
/* bounce answered (or is gone): r was a notice, and is freed. */
void report_ended(struct qmgr *qm, struct rcpt *r, const struct status *st,
    struct slice id);
void report_free(struct report **report);

#endif
