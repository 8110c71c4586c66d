/*
 * Contract "authadmin": the admin's command (postern; client) asks authd
 * (server) whose logins failed and who is blocked, and ends blocks.  Only root
 * (or the one user a whole suite runs as) may connect.
 *
 * LIST is answered with ENTRY records, the last of which has last = 1 and
 * nothing else; UNBLOCK with UNBLOCKED.  One question at a time.
 */
#ifndef COMMON_PROTO_AUTHADMIN_H
#define COMMON_PROTO_AUTHADMIN_H

#include "common/io/chan.h"

#define AUTHADMIN_NAME_MAX 64

enum authadmin_type {
	AUTHADMIN_LIST = 1,    /* client */
	AUTHADMIN_ENTRY = 2,   /* server */
	AUTHADMIN_UNBLOCK = 3, /* client */
	AUTHADMIN_UNBLOCKED = 4 /* server */
};
enum authadmin_kind { AUTHADMIN_ADDRESS = 1, AUTHADMIN_USER = 2 };

struct authadmin_list {
	uint32_t blocked;    /* 1: only who is blocked */
};
struct authadmin_entry {
	uint32_t last;
	uint32_t kind;       /* enum authadmin_kind */
	struct slice name;   /* an address (of a /64 its first) or a user */
	uint32_t count;      /* failures that count */
	uint64_t age_ms;     /* since the last one */
	uint64_t left_ms;    /* of the block; 0: none */
};
struct authadmin_unblock {
	struct slice name;   /* as ENTRY has it, or any address of the /64;
	                      * "": all */
};
struct authadmin_unblocked {
	uint32_t n;          /* how many were forgotten */
};
union authadmin_msg {
	struct authadmin_list list;
	struct authadmin_entry entry;
	struct authadmin_unblock unblock;
	struct authadmin_unblocked unblocked;
};

extern const struct chan_contract authadmin_contract;

#endif
