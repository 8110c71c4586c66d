/*
 * Contract "control": postern (client) tells qmgr (server) what an admin wants
 * done to messages and, since version 2, to destinations.  When qmgr is
 * stopped, postern takes its lock on the queue directory and changes the files
 * itself with the same code (common/mail).
 */
#ifndef COMMON_PROTO_CONTROL_H
#define COMMON_PROTO_CONTROL_H

#include "common/io/chan.h"

enum control_type {
	CONTROL_ACT = 1, /* client */
	CONTROL_ACTED = 2, /* server, in order: to ACT and DEST */
	CONTROL_DEST = 3,  /* client: something for a destination */
	CONTROL_LIST = 4,  /* client: destinations, please */
	CONTROL_DEST_INFO = 5 /* server: one each, then one that is `last` */
};
enum control_action {
	CONTROL_HOLD = 1,
	CONTROL_RELEASE = 2,
	CONTROL_RETRY = 3,  /* next attempt now */
	CONTROL_REMOVE = 4
};
enum control_result {
	CONTROL_DONE = 1,
	CONTROL_NOT_FOUND = 2,
	CONTROL_BUSY = 3,   /* a delivery is under way: done when it ends */
	CONTROL_FAILED = 4
};

#define CONTROL_DEST_MAX 1024  /* octets of a destination's name */
#define CONTROL_ERROR_MAX 1024 /* of its last error: status, host, words */

struct control_act {
	uint32_t action;
	struct slice id;
	struct slice reason;
};
struct control_acted {
	uint32_t result;
	struct slice text;
};
enum control_dest_action {
	CONTROL_DEST_PAUSE = 1,  /* nothing is sent there until RESUME; kept in
	                          * queue_dir/paused, so it outlives a restart */
	CONTROL_DEST_RESUME = 2, /* and all that waits is tried now */
	CONTROL_DEST_RETRY = 3   /* all that waits for it is tried now */
};
struct control_dest {
	uint32_t action;         /* enum control_dest_action */
	struct slice dest;       /* as shown by LIST */
	struct slice reason;
};
struct control_list {
	struct slice dest;       /* only this one, or "" for all */
};
struct control_dest_info {
	uint32_t last;           /* 1: no destination, the end */
	struct slice dest;       /* domain, route, "local", a mailbox */
	uint32_t paused;
	struct slice reason;     /* of the pause */
	uint32_t running;        /* jobs under way */
	uint32_t limit;          /* jobs at once allowed now */
	uint32_t ready;          /* recipients in memory that wait */
	uint64_t waiting;        /* messages known to wait on disk */
	uint64_t next_ms;        /* next try while it is down; 0: not down */
	uint64_t failed_ms;      /* when `error` was said, wall clock; 0: never */
	struct slice error;      /* the last one, one line */
};
union control_msg {
	struct control_act act;
	struct control_acted acted;
	struct control_dest dest;
	struct control_list list;
	struct control_dest_info dest_info;
};

extern const struct chan_contract control_contract;

#endif
