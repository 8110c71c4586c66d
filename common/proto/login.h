/*
 * Contract "login": a login session (pop3d, smtpd; client) asks authd (server)
 * who its client is.  One question is under way at a time.
 *
 * Which session may ask for which service is decided by its user
 * (SO_PEERCRED): smtpd for "submission", pop3d for "pop3".
 *
 * Passwords and APOP: TRY, answered with ANSWER.
 *
 * SASL (version 2), RFC 4422: the session passes octets through and knows no
 * mechanism.  Phases of an exchange, and who may say what in each:
 *
 *	phase    session may say        authd answers
 *	idle     START, TRY, ASK        CHALLENGE (asked), DONE (idle), OFFERED
 *	asked    RESPONSE               CHALLENGE (asked), DONE (idle)
 *	         RESPONSE with cancel   DONE with LOGIN_CANCELLED (idle)
 *	         START                  the exchange before is given up
 *
 * Data are octets, base64 being the session's affair.  At most LOGIN_STEPS_MAX
 * responses, each of LOGIN_DATA_MAX octets.  What a mechanism has to say with
 * success (SCRAM's verifier) is a last CHALLENGE that is answered with an empty
 * RESPONSE, as SMTP, POP3 and IMAP want it.
 *
 * A correct login is answered for "pop3" with a ticket: one use, conf
 * ticket_life, bound to service and session id; only the mailbox parent can
 * redeem it (contract "ticket").  For "submission" the user's name is all.
 * Failures are answered after the delay that address and user have earned, with
 * the same words for users who exist and who do not.
 *
 * An authd that only knows version 1 disconnects at ASK and START: temporary.
 */
#ifndef COMMON_PROTO_LOGIN_H
#define COMMON_PROTO_LOGIN_H

#include "common/io/chan.h"

#define TICKET_LEN 32
#define LOGIN_DATA_MAX 9216    /* RFC 4954 4: 12288 octets of base64 */
#define LOGIN_STEPS_MAX 8
#define LOGIN_BINDING_MAX 256  /* octets of channel binding data */

enum login_type {
	LOGIN_TRY = 1,      /* client */
	LOGIN_ANSWER = 2,   /* server */
	LOGIN_OFFER = 3,    /* client: what can be offered in the greeting? */
	LOGIN_OFFERS = 4,   /* server */
	LOGIN_ASK = 5,      /* client: which mechanisms can be offered? */
	LOGIN_OFFERED = 6,  /* server */
	LOGIN_START = 7,    /* client */
	LOGIN_CHALLENGE = 8, /* server */
	LOGIN_RESPONSE = 9, /* client */
	LOGIN_DONE = 10     /* server */
};
enum login_mechanism { LOGIN_PLAIN = 1, LOGIN_APOP = 2 };
enum login_result {
	LOGIN_OK = 1,
	LOGIN_FAILED = 2,  /* wrong, or no such user */
	LOGIN_BLOCKED = 3, /* too many failures from there or for that user */
	LOGIN_TEMP = 4,    /* not to be decided now */
	/* DONE only: */
	LOGIN_CANCELLED = 5,
	LOGIN_UNKNOWN = 6, /* no such mechanism, or not on this connection */
	LOGIN_MALFORMED = 7 /* the mechanism does not allow what was sent */
};

/* What is known of the connection. */
#define LOGIN_TLS 1u      /* it is encrypted */
#define LOGIN_EXPOSED 2u  /* passwords may cross it even where it is not: the
                           * session's configuration says so */
#define LOGIN_FLAGS_ALL 3u

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

/* The TLS session's channel binding data, as far as the session has them. */
struct login_ask {
	struct slice service;
	uint32_t flags;         /* LOGIN_TLS, LOGIN_EXPOSED */
	uint32_t binding;       /* 1: START will have binding data */
	uint32_t certificate;   /* 1: START will have client_cert */
};
struct login_offered {
	struct slice mechanisms; /* names with a space between, best first; "":
	                          * none, AUTH is not offered */
};
struct login_start {
	uint64_t rid;
	struct slice mechanism; /* as the client wrote it */
	struct slice service;   /* "submission", "pop3" */
	struct slice sid;
	struct slice client_ip;
	uint32_t flags;
	uint32_t has_initial;   /* 1: an initial response came, maybe empty */
	struct slice initial;
	struct slice tls_exporter;  /* RFC 9266; "": none */
	struct slice tls_end_point; /* tls-server-end-point, RFC 5929 4 */
	struct slice client_cert;   /* SHA-256 of the client's certificate, 32
	                             * octets; "": it has shown none */
};
struct login_challenge {
	uint64_t rid;
	struct slice data;
};
struct login_response {
	uint64_t rid;
	uint32_t cancel;        /* 1: the client sent "*" */
	struct slice data;
};
struct login_done {
	uint64_t rid;
	uint32_t result;        /* enum login_result */
	struct slice user;      /* LOGIN_OK: the canonical name, user@domain */
	struct slice ticket;    /* LOGIN_OK, "pop3": TICKET_LEN octets */
	struct slice mechanism; /* its name, for Received and logs */
	struct slice secret;    /* the application password's name; "": the
	                         * account's own */
};
union login_msg {
	struct login_offer offer;
	struct login_offers offers;
	struct login_try attempt;
	struct login_answer answer;
	struct login_ask ask;
	struct login_offered offered;
	struct login_start start;
	struct login_challenge challenge;
	struct login_response response;
	struct login_done done;
};

extern const struct chan_contract login_contract;

#endif
