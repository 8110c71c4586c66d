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
	uid_t client_uids[3]; /* who may hand in mail: smtpd, the queue user,
	                       * bounce */
	size_t nclients;
	uid_t uid;            /* postern-queue */
	gid_t gid;
	enum durable_mode mode;
	size_t files_max;     /* open descriptors of a process */
};

/* Opens directories and socket; dies (100) with what is wrong and the mend. */
void queued_open(struct queued *q);
/* Forks the workers, replaces those that die, ends on SIGTERM. */
int queued_run(struct queued *q);

/* One worker: enters its cage and serves until SIGTERM, or after SIGHUP until
 * its last submitter is gone; the exit code. */
int worker_run(struct queued *q, unsigned number);

/* ---- room on the disk (space.c) ---- */

/* A message that did not say its size is taken for this large. */
#define SPACE_UNKNOWN 65536u

struct space {
	int dirfd;
	uint64_t reserve;        /* octets never promised away */
	uint64_t reserve_inodes;
	uint64_t promised;       /* octets of messages under way */
	uint64_t free_octets;    /* as of the last look */
	uint64_t free_inodes;
	int64_t looked_ms;       /* clock_mono_ms */
	int64_t told_ms;         /* the log heard of the lack */
	bool failed;             /* the last look failed */
};

void space_init(struct space *s, int dirfd, uint64_t reserve,
    uint64_t reserve_inodes);
/* True when a message of size octets (0: not said) may be taken; otherwise *st
 * is the 452 or 451 to answer. */
bool space_ask(struct space *s, uint64_t size, int64_t now_ms,
    struct status *st);
/* For a message under way that may be larger than it said: false when the
 * reserve is touched. */
bool space_left(struct space *s, int64_t now_ms, struct status *st);
/* The status for a failed write: ENOSPC, EDQUOT -> 452, else 451. */
void space_write_failed(int error, struct status *st);

/* ---- pipes of submitters (relay.c) ---- */

#define RELAY_SIZE (256u * 1024)

struct relay {
	int in, out;
	char *octets; /* what relay_read brought */
};

void relay_open(struct relay *r); /* dies without descriptors */
void relay_close(struct relay *r);
/* Is it a pipe's end for reading? */
bool relay_takes(int fd);
/* Octets the pipe can hold; PIPE_SIZE_USUAL where nobody changed it. */
#define PIPE_SIZE_USUAL 65536u
uint64_t relay_room(int fd);
/* Reads up to `most` octets (and RELAY_SIZE) from the pipe into r->octets and
 * never waits, whatever the pipe's flags.  Their number; 0: the end; -1 with
 * errno, EAGAIN when there are none for now. */
ssize_t relay_read(struct relay *r, int fd, uint64_t most);

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
/* Corrections of the content, which is all there (struct env_edit); copied.
 * False: they do not rise, overlap, lie outside of the content or bring what is
 * no line. */
bool intake_set_edits(struct intake *m, const struct chan_list *edits);
const struct envelope *intake_env(const struct intake *m);
uint64_t intake_octets(const struct intake *m); /* content so far */
/* The envelope has been written: it cannot change any more. */
bool intake_begun(const struct intake *m);
size_t intake_memory(const struct intake *m); /* octets of the envelope */

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
/* The file under way, for durable_sync_all; the intake's. */
struct durable *intake_file(struct intake *m);
void intake_discard(struct intake *m);

#endif
