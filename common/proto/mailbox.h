/*
 * Contract "mailbox": a login session (client) hands its client over to the
 * mailbox parent (server).  One OPEN a connection; the session keeps its copy
 * of the descriptor until the answer: on a refusal it answers the client
 * itself, on OPENED it ends without another octet and the mailbox process
 * greets the client with the reply to the login command.
 */
#ifndef COMMON_PROTO_MAILBOX_H
#define COMMON_PROTO_MAILBOX_H

#include "common/io/chan.h"
#include "common/proto/login.h"

#define MAILBOX_LEFTOVER_MAX 16384

enum mailbox_type {
	MAILBOX_OPEN = 1,  /* client, 1 descriptor: the client's socket */
	MAILBOX_OPENED = 2 /* server */
};
enum mailbox_result {
	MAILBOX_OK = 1,
	MAILBOX_BAD_TICKET = 2,
	MAILBOX_IN_USE = 3, /* too many sessions of this user */
	MAILBOX_TEMP = 4    /* local fault: try later */
};

struct mailbox_open {
	struct slice ticket;
	struct slice service;
	struct slice sid;
	struct slice client_ip;
	struct slice leftover; /* octets read from the client, not yet handled */
	uint32_t flags;        /* MAILBOX_UTF8 */
};
#define MAILBOX_UTF8 1u       /* RFC 6856: the client said UTF8 */
struct mailbox_opened {
	uint32_t result;
	struct slice text;
};
union mailbox_msg {
	struct mailbox_open open;
	struct mailbox_opened opened;
};

extern const struct chan_contract mailbox_contract;

#endif
