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
struct dest;
struct flow;
struct loop_timer;
struct message;
struct qmgr;
struct rcpt;

TAILQ_HEAD(rcpts, rcpt);
TAILQ_HEAD(messages, message);
TAILQ_HEAD(flows, flow);

/* Which way a recipient goes next. */
enum lane_no {
	LANE_RESOLVE,
	LANE_LOCAL,
	LANE_SPAWNER,
	LANE_REMOTE,
	LANE_REPORT, /* bounce: what the sender is told */
	LANE_COUNT
};

/* Each kind of mail has its turns, and fresh mail has a share of all jobs that
 * no other kind can take. */
enum turn {
	TURN_NORMAL,
	TURN_BOUNCE, /* from <> */
	TURN_BULK,   /* to very many */
	TURN_RETRY,  /* whatever was attempted before */
	TURN_COUNT
};

enum start { START_OK, START_NOT, START_PAUSE };

struct job {
	struct rcpt *r; /* NULL: free; of several the one that leads */
	uint32_t serial;
	uint32_t next;  /* free ones: index of the next */
	int64_t at_ms;  /* clock_mono_ms of its start */
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
	int32_t credit[TURN_COUNT];
	struct flows ring[TURN_COUNT];
	struct job *jobs;
	uint32_t njobs, jobs_cap, free_job;
	uint32_t shelf;            /* line of those that wait for it */
	struct loop_timer *patience, *pause;
	/* Queues the request on the link, which is flushed afterwards. */
	enum start (*start)(struct qmgr *qm, struct rcpt *r, uint64_t job);
};

void lane_init(struct qmgr *qm);
/* What the configuration says, at the start and after a reload. */
void lane_limits(struct qmgr *qm);
/* r waits for its turn (with those it leads); back: in front of its message's
 * others. */
void lane_add(struct qmgr *qm, struct rcpt *r, enum lane_no lane, bool back);
/* The one whose job this is, or NULL. */
struct rcpt *lane_find(struct lane *lane, uint64_t job);
/* Its job has ended: slots are free again.  It and those it led are moved to
 * `freed`, idle. */
void lane_release(struct qmgr *qm, struct rcpt *r, struct rcpts *freed);
/* Takes one that is ready, parked or led off its lists; those it led are idle
 * then. */
void lane_remove(struct qmgr *qm, struct rcpt *r);
/* Starts what may start. */
void lane_pump(struct qmgr *qm);
void lane_up(struct qmgr *qm, struct lane *lane, uint32_t capacity);
void lane_down(struct qmgr *qm, struct lane *lane);
uint32_t lane_running(const struct lane *lane);
/* Forgets its jobs, at the end of the process. */
void lane_end(struct qmgr *qm, struct lane *lane);

#endif
