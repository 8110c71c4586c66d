/*
 * A job of the contract "transfer" and what becomes of its recipients.
 */
#ifndef REMOTE_JOB_H
#define REMOTE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/conf/route.h"
#include "common/proto/transfer.h"

struct chan;

/* What is said of a recipient; many may share one. */
struct verdict {
	struct verdict *next;
	struct status status;
	bool own;      /* our words, no server's */
	bool relayed;  /* RFC 3461 5.2.2: the next host promises no notices */
};

enum rcpt_state {
	RCPT_OPEN,     /* to be tried */
	RCPT_SENT,     /* RCPT was put into the transaction at hand */
	RCPT_ACCEPTED, /* and was answered 2xx */
	RCPT_LATER,    /* failed for now at this host; the next one may do */
	RCPT_SETTLED
};

struct rcpt {
	uint32_t number, notify;
	struct slice address;   /* as the envelope has it; of job.text */
	struct slice orcpt;
	enum rcpt_state state;
	const struct verdict *verdict; /* the last one; NULL: none yet */
};

struct job {
	uint64_t number;
	struct slice id, sender, envid, domain, route_text; /* of text */
	struct buf text;        /* owns what was copied */
	uint32_t flags;
	uint64_t by_at_ms;
	struct route route;
	int fd;                 /* the queue file; owned, -1 once taken */
	struct rcpt *rcpts;     /* owned */
	size_t nrcpts;
	struct verdict *verdicts; /* owned */
	enum transfer_dest dest;
	char host[TRANSFER_HOST_MAX + 1];
};

/* Copies the record; fd is taken over. */
struct job *job_new(const struct transfer_job *j, int fd);
void job_free(struct job **j);

/* A verdict that lives as long as the job. */
struct verdict *job_verdict(struct job *j, const struct status *st, bool own);
/* Says it of one recipient: LATER if it is temporary, else SETTLED. */
void rcpt_judge(struct rcpt *r, const struct verdict *v);
/* ... of all that are not settled.  A temporary verdict of ours does not cover
 * what a server said before. */
void job_judge(struct job *j, const struct verdict *v);
/* The same in one step, with words of ours. */
void job_fail(struct job *j, uint32_t code, uint32_t subject, uint32_t detail,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Recipients that are neither settled nor LATER; all that are not settled. */
size_t job_nopen(const struct job *j);
size_t job_nunsettled(const struct job *j);
/* LATER ones are OPEN again, for another host. */
void job_reopen(struct job *j);

/* Sends DONE.  Every recipient has a verdict. */
void job_answer(const struct job *j, struct chan *c);

#endif
