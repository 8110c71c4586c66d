/*
 * Contract "ticket": a mailbox parent (client) redeems at authd (server) what a
 * session gave it, and learns whose rights to take.
 */
#ifndef COMMON_PROTO_TICKET_H
#define COMMON_PROTO_TICKET_H

#include "common/io/chan.h"
#include "common/proto/login.h"

enum ticket_type {
	TICKET_REDEEM = 1,  /* client */
	TICKET_REDEEMED = 2 /* server */
};

struct ticket_redeem {
	uint64_t rid;
	struct slice ticket;
	struct slice service;
	struct slice sid;
};
struct ticket_redeemed {
	uint64_t rid;
	uint32_t ok;          /* 0: no such ticket (used, too old, not yours) */
	struct slice user;
	uint32_t uid, gid;
	struct slice home;
	struct slice maildir; /* absolute path */
};
union ticket_msg {
	struct ticket_redeem redeem;
	struct ticket_redeemed redeemed;
};

extern const struct chan_contract ticket_contract;

#endif
