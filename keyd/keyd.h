/*
 * keyd: the only one who can read private keys.  Parent and workers.
 */
#ifndef KEYD_KEYD_H
#define KEYD_KEYD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/sys/user.h"

struct cache;
struct chan_server;
struct client;
struct expiry;
struct loop;
struct loop_timer;
struct store;
struct dkim_store;

/* What parent and workers share: opened once, before the cage. */
struct keyd {
	struct conf conf;
	struct sys_user me;
	int tls_fd, dkim_fd;   /* the directories */
	int key_fd, sign_fd, list_fd; /* listening: contracts key, dkim and
	                        * keylist */
	uid_t key_uids[2];     /* who may come there: smtpd and pop3d, */
	uid_t dkim_uids[1];    /* remote, */
	uid_t list_uids[1];    /* root */
	struct cache *cache;
};

/* Opens directories and sockets; dies (100) with what is wrong. */
void keyd_open(struct keyd *k);
/* Forks the workers, replaces those that die, ends on SIGTERM. */
int keyd_run(struct keyd *k);

/* One worker, in its own process. */
struct worker {
	struct keyd *k;
	unsigned number;        /* from 1 on */
	struct loop *loop;
	struct store *store;
	struct dkim_store *dkim;
	struct chan_server *sessions, *signers, *listers;
	struct client *oldest, *newest; /* sessions that are connected */
	struct loop_timer *sweep, *leave;
	struct expiry *expiry;  /* the first worker's */
	bool leaving;
	int64_t leave_ms;
};

/* Enters its cage and serves until SIGTERM, or after SIGHUP until its last
 * session is gone; the exit code. */
int keyd_work(struct keyd *k, unsigned number);

/* The servers of a worker (handshake.c, dkim.c, list.c). */
void handshake_serve(struct worker *w);
/* Ends those that are connected for longer than any handshake's questions
 * take. */
void handshake_sweep(struct worker *w);
void dkim_serve(struct worker *w);
void list_serve(struct worker *w);

/* A slow round through all certificates, for the gauges of `postern stats` and
 * a line in the log of those that end soon (expiry.c). */
struct expiry *expiry_new(struct worker *w);

#endif
