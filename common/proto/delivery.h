/*
 * Contract "delivery": qmgr (client) and who delivers: local, the spawner,
 * remote (server).  A job is one recipient of one message plus a read-only
 * descriptor of its queue file.  The server says first how many jobs it takes
 * at once; jobs beyond that are refused with a temporary outcome.
 */
#ifndef COMMON_PROTO_DELIVERY_H
#define COMMON_PROTO_DELIVERY_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"

enum delivery_kind {
	DELIVERY_MAILBOX = 1, /* a mailbox of this host: local */
	DELIVERY_ADDRESS = 2, /* an address to be resolved, or elsewhere */
	DELIVERY_PROGRAM = 3, /* a program: spawner */
	DELIVERY_MAILDIR = 4  /* a Maildir named in a forward file: local */
};

enum delivery_type {
	DELIVERY_READY = 1, /* server: capacity; once, first */
	DELIVERY_JOB = 2,   /* client, 1 descriptor (read-only queue file) */
	DELIVERY_DONE = 3   /* server: outcome */
};

/* Limits (octets, elements) */
#define DELIVERY_PATH_MAX 4096
#define DELIVERY_PROGRAM_MAX 4096
#define DELIVERY_EXPANSIONS_MAX 100

/* Flags of a job */
#define JOB_NO_FORWARD 1u /* do not look at the forward file */
#define JOB_CHECK 2u      /* an earlier attempt's outcome may be unknown (found
                           * by a scan, or the server was lost during a job):
                           * look for the file name in cur/ too */

struct delivery_ready {
	uint32_t capacity;
};
struct delivery_job {
	uint64_t job;         /* qmgr's number */
	struct slice id;
	uint32_t number;      /* recipient number: part of the file name */
	uint32_t kind;        /* enum delivery_kind */
	uint32_t flags;       /* JOB_* */
	struct slice address; /* Delivered-To */
	struct slice sender;  /* Return-Path; "" is <> */
	struct slice extension;
	struct slice user;    /* whose rights, for logs and LOGNAME */
	uint32_t uid, gid;
	struct slice home;
	struct slice maildir; /* absolute path */
	struct slice program; /* command line */
};
/* What a forward file asks for instead of (or beside) the mailbox. */
struct delivery_expansion {
	uint32_t kind;        /* enum delivery_kind */
	struct slice address; /* ADDRESS: to resolve; MAILBOX: the mailbox
	                       * itself; PROGRAM, MAILDIR: the owner's address */
	struct slice target;  /* PROGRAM: command line; MAILDIR: path */
};
struct delivery_done {
	uint64_t job;
	uint32_t code, subject, detail; /* struct status */
	struct slice text;
	struct slice host;    /* where it went: "local", a program, a host name */
	struct chan_list expansions; /* struct delivery_expansion, at most
	                      * DELIVERY_EXPANSIONS_MAX;
	                      * with a 2xx code: replaces the recipient */
};
union delivery_msg {
	struct delivery_ready ready;
	struct delivery_job job;
	struct delivery_done done;
};

extern const struct chan_contract delivery_contract;

#endif
