/*
 * Lanes: the ways to those who do something for a recipient, each with its
 * turns, slots and jobs under way.
 */
#ifndef QMGR_LANE_H
#define QMGR_LANE_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

struct chan_link;
struct loop_timer;
struct message;
struct qmgr;
struct rcpt;

TAILQ_HEAD(rcpts, rcpt);
TAILQ_HEAD(messages, message);

/* Which way a recipient goes next. */
enum lane_no { LANE_RESOLVE, LANE_LOCAL, LANE_SPAWNER, LANE_COUNT };

/* Fresh mail first; retries have a share that fresh mail cannot take. */
enum turn { TURN_FRESH, TURN_RETRY, TURN_COUNT };

enum start { START_OK, START_NOT, START_PAUSE };

struct job {
	struct rcpt *r; /* NULL: free */
	uint32_t serial;
	uint32_t next;  /* free ones: index of the next */
};

struct lane {
	const char *name;          /* who does it */
	struct chan_link *link;
	bool up;
	bool paused;               /* no descriptors: until the pause timer */
	bool shelving;             /* down for long: nobody waits in memory */
	uint32_t limit;            /* of the configuration */
	uint32_t capacity;         /* of the other side */
	uint32_t dest_limit;       /* jobs for one destination; 0: no such */
	uint32_t running[TURN_COUNT];
	uint32_t picks;
	struct messages ring[TURN_COUNT];
	struct job *jobs;
	uint32_t njobs, jobs_cap, free_job;
	struct loop_timer *patience, *pause;
	/* Queues the request on the link, which is flushed afterwards. */
	enum start (*start)(struct qmgr *qm, struct rcpt *r, uint64_t job);
};

void lane_init(struct qmgr *qm);
/* What the configuration says, at the start and after a reload. */
void lane_limits(struct qmgr *qm);
/* r waits for its turn; back: in front of its message's others. */
void lane_add(struct qmgr *qm, struct rcpt *r, enum lane_no lane, bool back);
/* The one whose job this is, or NULL. */
struct rcpt *lane_find(struct lane *lane, uint64_t job);
/* Its job has ended: slots are free again. */
void lane_release(struct qmgr *qm, struct rcpt *r);
/* Takes one that is ready or parked off its lists. */
void lane_remove(struct qmgr *qm, struct rcpt *r);
/* Starts what may start. */
void lane_pump(struct qmgr *qm);
void lane_up(struct qmgr *qm, struct lane *lane, uint32_t capacity);
void lane_down(struct qmgr *qm, struct lane *lane);
uint32_t lane_running(const struct lane *lane);
/* Forgets its jobs, at the end of the process. */
void lane_end(struct qmgr *qm, struct lane *lane);

#endif
