/*
 * remote: delivery to other hosts, by SMTP and LMTP.
 */
#ifndef REMOTE_REMOTE_H
#define REMOTE_REMOTE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/conf/net.h"
#include "common/mail/dkim_sign.h"
#include "remote/hosts.h"
#include "remote/own.h"

struct chan;
struct dns;
struct health;
struct job;
struct session;

/* What the parent opened before its cage. */
struct remote {
	struct conf conf;
	int listen_fd;
	uid_t uid;
	gid_t gid;
	uid_t client_uids[1];      /* qmgr */
	struct own own;
	struct health *health;     /* shared with the processes */
	bool has_source4, has_source6;
	struct ip source4, source6;
	struct dkim_names dkim_names; /* what dkim_headers says */
};

void remote_open(struct remote *r);
int remote_run(struct remote *r);

/* ---- processes (process.c) ---- */

/* A process and its one connection. */
struct worker {
	const struct remote *r;    /* borrowed */
	struct chan *parent;       /* owned */
	struct session *session;   /* owned; NULL: not connected */
	struct place place;        /* where to */
	size_t most;               /* recipients the host takes at once */
	struct dns *dns;           /* owned; NULL: not asked yet */
	int dns_fd;                /* of dns, to see whether it lives */
	struct chan *keyd;         /* owned; NULL: not asked yet */
	volatile sig_atomic_t *stop;
	sigset_t stop_mask;        /* lets SIGTERM in */
};

/* Serves the channel on fd until it closes; the exit code. */
int worker_run(struct remote *r, const char *place, int fd);
/* A connection from the parent (enum transfer_service), or -1 with errno. */
int worker_want(struct worker *w, uint32_t service);

/* ---- one job (attempt.c) ---- */

/* Each recipient has a verdict afterwards.  False: the process is being stopped
 * and nothing is to be said of it. */
bool attempt_run(struct worker *w, struct job *j);

#endif
