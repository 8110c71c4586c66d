/*
 * Contract "notice": a queued worker (client) tells qmgr (server) of durable
 * messages.  Nothing is answered: the files are the truth, and whenever a
 * connection is new qmgr scans incoming/ for what it has not heard of.
 */
#ifndef COMMON_PROTO_NOTICE_H
#define COMMON_PROTO_NOTICE_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"

enum notice_type {
	NOTICE_NEW = 1,   /* client: incoming/ID is durable */
	NOTICE_RESCAN = 2 /* client: some notices could not be sent */
};

#define NOTICE_RCPTS_MAX 100

struct notice_new {
	struct slice id;
	struct slice from;
	uint64_t size;           /* content octets */
	uint32_t flags;          /* ENV_* */
	struct slice envid;      /* since version 2; before it, and when there
	                          * is a deadline, qmgr reads the file */
	uint32_t nrcpts;         /* in the file; more than `recipients` holds:
	                          * qmgr reads the file */
	struct chan_list recipients; /* struct env_recipient */
};
struct notice_rescan {
	uint32_t unused;
};
union notice_msg {
	struct notice_new new_message;
	struct notice_rescan rescan;
};

extern const struct chan_contract notice_contract;

#endif
