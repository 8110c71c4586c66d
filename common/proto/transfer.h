/*
 * Contract "transfer": qmgr (client) and remote (server).  A job is one message
 * for up to TRANSFER_RCPTS_MAX recipients that go the same way, plus a read-only
 * descriptor of its queue file.  The server says first how many jobs it takes
 * at once; jobs beyond that are refused with a temporary outcome.  A job is
 * answered by one DONE with an outcome for each of its recipients.
 *
 * remote's parent speaks the same contract with its processes (it is the client
 * there), one connection to a destination each.  Only there are WANT, CHANNEL
 * and NONE: a process may make no UNIX socket itself.
 */
#ifndef COMMON_PROTO_TRANSFER_H
#define COMMON_PROTO_TRANSFER_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"

enum transfer_type {
	TRANSFER_READY = 1, /* server: capacity; once, first */
	TRANSFER_JOB = 2,   /* client, 1 descriptor (read-only queue file) */
	TRANSFER_DONE = 3,  /* server */
	/* remote's processes and their parent, while a job is under way */
	TRANSFER_WANT = 4,    /* server: a connection, please */
	TRANSFER_CHANNEL = 5, /* client, 1 descriptor: here it is */
	TRANSFER_NONE = 6     /* client: there is none */
};

enum transfer_service {
	TRANSFER_DNS = 1,   /* dnsd */
	TRANSFER_UNIX = 2,  /* the path of the job's route */
	TRANSFER_DKIM = 3   /* keyd, contract dkim */
};

#define TRANSFER_RCPTS_MAX 1000
#define TRANSFER_ROUTE_MAX 1024
#define TRANSFER_HOST_MAX 300

struct transfer_ready {
	uint32_t capacity;
};
struct transfer_rcpt {
	uint32_t number;       /* recipient number in the queue file */
	struct slice address;
	struct slice orcpt;    /* as in struct env_recipient */
	uint32_t notify;
};
struct transfer_job {
	uint64_t job;          /* qmgr's number */
	struct slice id;
	struct slice sender;   /* "" is <> */
	uint32_t flags;        /* ENV_*: body, SMTPUTF8, RET, BY */
	struct slice envid;
	uint64_t by_at_ms;     /* DELIVERBY deadline, wall clock; 0: none */
	struct slice domain;   /* destination: lower-case A-labels, or an address
	                        * literal with brackets; of the first recipient,
	                        * where the route itself names the host (others
	                        * may be of other domains) */
	struct slice route;    /* text of the routes table (common/conf/route.h)
	                        * or "": by MX */
	struct chan_list recipients; /* struct transfer_rcpt */
};

/* What the job says about the destination as such. */
enum transfer_dest {
	TRANSFER_DEST_FINE = 1,   /* a host took part in the dialogue */
	TRANSFER_DEST_DOWN = 2,   /* no host could be reached, DNS failed for
	                           * now, or none greeted with 2xx */
	TRANSFER_DEST_BUSY = 3,   /* it said so (421, 4xx greeting): fewer
	                           * connections */
	TRANSFER_DEST_UNKNOWN = 4 /* nothing was learnt: local fault */
};
struct transfer_outcome {
	uint32_t number;
	uint32_t code, subject, detail; /* struct status; 2xx: delivered */
	struct slice text;              /* the remote's words, or ours */
	uint32_t own;      /* 1: the words are ours, no server said them */
	uint32_t relayed;  /* 1: the next host does not promise DSN (RFC 3461
	                    * 5.2.2): a success notice is ours to send */
};
struct transfer_done {
	uint64_t job;
	uint32_t dest;          /* enum transfer_dest */
	struct slice host;      /* "mx.example.org[192.0.2.1]:25", or "" */
	struct chan_list outcomes; /* struct transfer_outcome, one a recipient;
	                         * equal outcomes are not folded */
};
struct transfer_want {
	uint32_t service;       /* enum transfer_service */
};
struct transfer_channel {
	uint32_t service;
};
struct transfer_none {
	uint32_t error;         /* errno */
};
union transfer_msg {
	struct transfer_ready ready;
	struct transfer_job job;
	struct transfer_done done;
	struct transfer_want want;
	struct transfer_channel channel;
	struct transfer_none none;
};

extern const struct chan_contract transfer_contract;

#endif
