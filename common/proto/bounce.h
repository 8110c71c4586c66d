/*
 * Contract "bounce": qmgr (client) and bounce (server).  A job asks for one
 * notice (RFC 3464) about recipients of one message; everything else bounce
 * reads from the queue file, whose read-only descriptor comes along.  The
 * server says first how many jobs it takes at once.
 *
 * DONE with 2xx: the notice is durable in the queue (or rightly none was sent,
 * text says why): qmgr marks the recipients, so that nobody is told twice.
 */
#ifndef COMMON_PROTO_BOUNCE_H
#define COMMON_PROTO_BOUNCE_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"

enum bounce_type {
	BOUNCE_READY = 1, /* server: capacity; once, first */
	BOUNCE_JOB = 2,   /* client, 1 descriptor (read-only queue file) */
	BOUNCE_DONE = 3   /* server */
};

/* RFC 3464 2.3.3; one notice has one kind, its recipients may differ */
enum bounce_kind {
	BOUNCE_FAILURE = 1,
	BOUNCE_DELAY = 2,
	BOUNCE_SUCCESS = 3 /* delivered, relayed, expanded */
};
enum bounce_action {
	BOUNCE_FAILED = 1,
	BOUNCE_DELAYED = 2,
	BOUNCE_DELIVERED = 3,
	BOUNCE_RELAYED = 4,
	BOUNCE_EXPANDED = 5
};

#define BOUNCE_RCPTS_MAX 1000

struct bounce_ready {
	uint32_t capacity;
};
struct bounce_rcpt {
	uint32_t number;     /* in the queue file; status, host, words and time
	                      * are those of its last attempt there */
	uint32_t action;     /* enum bounce_action */
	uint64_t until_ms;   /* DELAYED: tried until then (wall clock) */
};
struct bounce_job {
	uint64_t job;
	struct slice id;
	uint32_t kind;       /* enum bounce_kind */
	struct slice sender; /* who is told: the reverse-path that holds for these
	                      * recipients; "" : postmaster (double bounce) */
	struct chan_list recipients; /* struct bounce_rcpt */
};
struct bounce_done {
	uint64_t job;
	uint32_t code, subject, detail; /* struct status */
	struct slice text;
	struct slice id;     /* of the notice, or "" */
};
union bounce_msg {
	struct bounce_ready ready;
	struct bounce_job job;
	struct bounce_done done;
};

extern const struct chan_contract bounce_contract;

#endif
