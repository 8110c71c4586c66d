/*
 * Contract "login": a login session (pop3d; client) asks authd (server) to
 * verify a password or APOP digest.  One request under way at a time.
 * A correct one is answered with a ticket: one use, conf ticket_life, bound to
 * service and session id; only the mailbox parent can redeem it (contract
 * "ticket").  Failures are answered after the delay that address and user have
 * earned, with the same words for users who exist and who do not.
 */
#ifndef COMMON_PROTO_LOGIN_H
#define COMMON_PROTO_LOGIN_H

#include "common/io/chan.h"

#define TICKET_LEN 32

enum login_type {
	LOGIN_TRY = 1,   /* client */
	LOGIN_ANSWER = 2, /* server */
	LOGIN_OFFER = 3, /* client: what can be offered in the greeting? */
	LOGIN_OFFERS = 4 /* server */
};
enum login_mechanism { LOGIN_PLAIN = 1, LOGIN_APOP = 2 };
enum login_result {
	LOGIN_OK = 1,
	LOGIN_FAILED = 2,  /* wrong, or no such user */
	LOGIN_BLOCKED = 3, /* too many failures from there or for that user */
	LOGIN_TEMP = 4     /* not to be decided now */
};

struct login_try {
	uint64_t rid;
	uint32_t mechanism;
	struct slice service;   /* "pop3" */
	struct slice sid;       /* session id, binds the ticket */
	struct slice user;
	struct slice secret;    /* password, or 32 hex digits of the digest */
	struct slice challenge; /* APOP: the banner's msg-id with its brackets */
	struct slice client_ip;
};
struct login_answer {
	uint64_t rid;
	uint32_t result;        /* enum login_result */
	struct slice ticket;    /* TICKET_LEN octets, with LOGIN_OK */
	struct slice user;      /* the canonical name */
};
struct login_offer {
	uint32_t unused;
};
struct login_offers {
	uint32_t apop;          /* 1: some account can use APOP */
};
union login_msg {
	struct login_offer offer;
	struct login_offers offers;
	struct login_try attempt;
	struct login_answer answer;
};

extern const struct chan_contract login_contract;

#endif
