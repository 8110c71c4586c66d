/*
 * Contract "session": a session process and the parent that forked it (smtpd,
 * pop3d), over a socket pair made before the fork.
 *
 * The session speaks first and may ask at any time for a channel to another
 * daemon; the parent connects and hands over the descriptor, on which the
 * session is the client.  Each service at most 100 times a session.
 */
#ifndef COMMON_PROTO_SESSION_H
#define COMMON_PROTO_SESSION_H

#include "common/io/chan.h"

enum session_service {
	SERVICE_QUEUE = 1,   /* contract queue */
	SERVICE_ADDRESS = 2, /* contract address */
	SERVICE_LOGIN = 3,   /* contract login */
	SERVICE_MAILBOX = 4, /* contract mailbox */
	SERVICE_ETRN = 5,    /* contract etrn */
	SERVICE_DNS = 6,     /* contract dns */
	SERVICE_KEY = 7      /* contract key */
};

enum session_type {
	SESSION_GET = 1,     /* session: struct session_get */
	SESSION_CHANNEL = 2, /* parent: struct session_channel, 1 descriptor */
	SESSION_NONE = 3     /* parent: the daemon does not answer */
};

struct session_get {
	uint32_t service;
};
struct session_channel {
	uint32_t service;
};
struct session_none {
	uint32_t service;
	struct slice why;
};
union session_msg {
	struct session_get get;
	struct session_channel channel;
	struct session_none none;
};

extern const struct chan_contract session_contract;

/* Session side: asks and waits until deadline_ms; the descriptor or -1. */
int session_get_channel(struct chan *parent, enum session_service service,
    int64_t deadline_ms);
/* The same for n services with one question. */
void session_get_channels(struct chan *parent,
    const enum session_service *services, size_t n, int *got,
    int64_t deadline_ms);

#endif
