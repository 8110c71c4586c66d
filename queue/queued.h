/*
 * queued: the only writer of new queue files.  Parent and workers.
 */
#ifndef QUEUE_QUEUED_H
#define QUEUE_QUEUED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/status.h"
#include "common/conf/conf.h"
#include "common/mail/durable.h"

/* What parent and workers share: opened once, before the cage. */
struct queued {
	struct conf conf;
	int listen_fd;
	int queue_fd;         /* queue_dir */
	int incoming_fd;      /* queue_dir/incoming */
	uid_t client_uids[2]; /* who may hand in mail: smtpd, the queue user */
	size_t nclients;
	uid_t uid;            /* postern-queue */
	gid_t gid;
	enum durable_mode mode;
};

/* Opens directories and socket; dies (100) with what is wrong and the mend. */
void queued_open(struct queued *q);
/* Forks the workers, replaces those that die, ends on SIGTERM. */
int queued_run(struct queued *q);

/* One worker: enters its cage and serves until SIGTERM; the exit code. */
int worker_run(struct queued *q, unsigned number);

/* ---- room on the disk (space.c) ---- */

struct space {
	int dirfd;
	uint64_t reserve;        /* octets never promised away */
	uint64_t reserve_inodes;
	uint64_t promised;       /* octets of messages under way */
	uint64_t free_octets;    /* as of the last look */
	uint64_t free_inodes;
	int64_t looked_ms;       /* clock_mono_ms */
	bool failed;             /* the last look failed */
};

void space_init(struct space *s, int dirfd, uint64_t reserve,
    uint64_t reserve_inodes);
/* True when a message of size octets (0: not said) may be taken; otherwise *st
 * is the 452 or 451 to answer. */
bool space_ask(struct space *s, uint64_t size, int64_t now_ms,
    struct status *st);
/* The status for a failed write: ENOSPC, EDQUOT -> 452, else 451. */
void space_write_failed(int error, struct status *st);

/* ---- one message being received (intake.c) ---- */

struct envelope;
struct chan_list;
struct intake;

/* An envelope that outlives its record. */
struct intake *intake_new(const struct envelope *env);
void intake_free(struct intake **m);
/* False: more recipients than ENV_RECIPIENTS_MAX, or too late: the envelope has
 * been written. */
bool intake_add_recipients(struct intake *m, const struct chan_list *more);
const struct envelope *intake_env(const struct intake *m);
uint64_t intake_octets(const struct intake *m); /* content so far */

/* Takes content; -1 with errno when the disk refuses. */
int intake_content(struct intake *m, int dirfd, const char *p, size_t n);
/*
 * The commit in steps, so that a batch shares it: write everything out, start
 * the data's way to the disk, wait for it and give the file its name, sync.
 * Each -1 with errno; intake_discard then removes what became visible.
 */
int intake_write(struct intake *m, int dirfd);
int intake_start(struct intake *m, enum durable_mode mode);
int intake_link(struct intake *m, enum durable_mode mode);
int intake_sync(struct intake *m, enum durable_mode mode);
void intake_discard(struct intake *m);

#endif
