/*
 * Contract "control": postern (client) tells qmgr (server) what an admin wants
 * done to messages.  When qmgr is stopped, postern takes its lock on the queue
 * directory and changes the files itself with the same code (common/mail).
 */
#ifndef COMMON_PROTO_CONTROL_H
#define COMMON_PROTO_CONTROL_H

#include "common/io/chan.h"

enum control_type {
	CONTROL_ACT = 1, /* client */
	CONTROL_ACTED = 2 /* server, in order */
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

struct control_act {
	uint32_t action;
	struct slice id;
	struct slice reason;
};
struct control_acted {
	uint32_t result;
	struct slice text;
};
union control_msg {
	struct control_act act;
	struct control_acted acted;
};

extern const struct chan_contract control_contract;

#endif
