/*
 * Contract "etrn": an smtpd session (client) asks qmgr (server) to try what
 * waits for a destination (RFC 1985).  One answer a question, in order.
 */
#ifndef COMMON_PROTO_ETRN_H
#define COMMON_PROTO_ETRN_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"

enum etrn_type {
	ETRN_START = 1, /* client */
	ETRN_STARTED = 2 /* server */
};

struct etrn_start {
	struct slice name;   /* lower-case domain; "@domain": subdomains too */
};
struct etrn_started {
	uint32_t code, subject, detail; /* 250, 251, 252, 253, 458, 459 */
	struct slice text;
	uint32_t messages;   /* how many wait */
};
union etrn_msg {
	struct etrn_start start;
	struct etrn_started started;
};

extern const struct chan_contract etrn_contract;

#endif
