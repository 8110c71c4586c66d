/* The mailbox process: the TRANSACTION state of one session. */
#ifndef POP3D_MAILBOX_H
#define POP3D_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"

struct conf;

/* What the parent knows of a client that logged in. */
struct mailbox_start {
	const struct conf *conf;
	int fd;              /* the client's socket; belongs to the session */
	int alive_fd;        /* closed before the last reply, or -1 */
	struct slice leftover; /* its octets that were read before */
	const char *user;    /* canonical name */
	const char *ip;
	const char *maildir; /* absolute */
	bool utf8;
};

/* Serves the client to the end of the session.  The process has its owner's
 * rights already. */
void mailbox_serve(const struct mailbox_start *start);

#endif
