/*
 * Flows: the messages of one sender take turns among themselves, and the
 * senders take turns with each other, so that nobody's ten thousand messages
 * stand in front of somebody else's one.  Bounces, fresh mail, bulk and retries
 * of one sender are different flows (enum turn).
 */
#ifndef QMGR_FLOW_H
#define QMGR_FLOW_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "qmgr/lane.h"

struct message;
struct qmgr;

struct flow {
	LIST_ENTRY(flow) hash;
	TAILQ_ENTRY(flow) ring[LANE_COUNT]; /* lane.ring[turn] */
	struct messages queue[LANE_COUNT];  /* with something ready there */
	bool on_ring[LANE_COUNT];
	uint8_t turn;
	uint32_t users;   /* messages */
	uint32_t nparked; /* recipients that wait for their destination */
	uint32_t len;
	char key[];
};

LIST_HEAD(flow_bucket, flow);

void flow_init(struct qmgr *qm);
/* For m->from and m->turn, which do not change as long as it is there. */
void flow_join(struct qmgr *qm, struct message *m);
void flow_leave(struct message *m);

#endif
