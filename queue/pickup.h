/*
 * pickup: takes in what sendmail(1) left in the drop directory while smtpd did
 * not answer.  A parent that looks at names, owners and kinds of files, and a
 * process for each file that reads it and hands it to queued.
 */
#ifndef QUEUE_PICKUP_H
#define QUEUE_PICKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"

/* What the parent opened before its cage. */
struct pickup {
	struct conf conf;
	uid_t uid;
	gid_t gid;
	int drop_fd;               /* drop_dir */
	gid_t drop_gid;            /* its group: every file made there has it */
	bool check_gid;            /* the directory's set-gid bit says so */
	int queue_fds[QDIR_COUNT]; /* to see whether an id is there */
	int inotify_fd;            /* -1: none, then only drop_scan */
};

/* Opens all of that; dies (100) with what is wrong and the mend. */
void pickup_open(struct pickup *p);
/* Until SIGTERM. */
int pickup_run(struct pickup *p);

/* ---- what lies there (pickup_dir.c) ---- */

/* How files that are no mail are called from then on. */
#define PICKUP_BAD "bad."

/* NULL: a file that may be read; *later: not now, but perhaps soon. */
const char *pickup_strange(const struct pickup *p, const struct stat *st,
    int64_t now_ms, bool *later);
/* Out of the way, under a name that is not looked at again; what is neither
 * file nor directory is removed.  Logged. */
void pickup_set_aside(const struct pickup *p, const char *name,
    const struct stat *st, const char *why);
/* The id of a file's message: the same however often it is taken in. */
struct mail_id pickup_id(const struct stat *st, const char *name);
enum pickup_known { PICKUP_NEW, PICKUP_QUEUED, PICKUP_BUSY };
/* Is it in the queue already?  (A crash between queued's word and unlink.) */
enum pickup_known pickup_known(const struct pickup *p,
    const struct mail_id *id);

/* ---- whose turn it is (pickup_users.c) ---- */

struct pickup_user {
	uid_t uid;
	struct mail_id *names;  /* from next on: still to be taken, oldest
	                         * first */
	size_t n, cap, next;
	unsigned running;       /* processes that have files of this user */
	int64_t pause_ms;       /* nothing before (clock_mono_ms) */
	int64_t wait_ms;        /* of the last pause; 0: none */
};

struct pickup_users {
	struct pickup_user *v;
	size_t n, cap, turn;
	size_t names;           /* of all that wait */
	size_t user_max;        /* names of one user */
	bool more;              /* there are files that have no place here */
};

void pickup_users_free(struct pickup_users *u);
/* Before a look through the directory: whoever has nothing is forgotten. */
void pickup_users_begin(struct pickup_users *u, int64_t now_ms);
/* False: no place. */
bool pickup_users_add(struct pickup_users *u, uid_t uid,
    const struct mail_id *name);
/* Behind it: the oldest first, each once. */
void pickup_users_end(struct pickup_users *u);
/* The next file of the next user who has one and no pause, users with fewer
 * processes first and none with more than `most`; NULL: none.  It counts as
 * running from then on. */
struct pickup_user *pickup_users_next(struct pickup_users *u, int64_t now_ms,
    unsigned most, struct mail_id *name);
/* NULL: unknown. */
struct pickup_user *pickup_users_find(struct pickup_users *u, uid_t uid);
/* When pickup_users_next will have something to give without anything else
 * happening; CLOCK_NEVER: never. */
int64_t pickup_users_wake(const struct pickup_users *u, unsigned most);

/* ---- one file (pickup_file.c) ---- */

enum pickup_end {
	PICKUP_TAKEN = 0,
	PICKUP_NEWER = 98,    /* of a newer release: stays */
	PICKUP_SHORT = 99,    /* fewer octets than its head says */
	PICKUP_NO_MAIL = 100, /* it cannot be taken, now or later; said why */
	PICKUP_REFUSED = 111, /* not now */
	PICKUP_DOWN = 112     /* queued does not work */
};

struct pickup_job {
	int fd;            /* the file, open for reading */
	int queue_fd;      /* connections to queued and authd (-1: none) */
	int who_fd;
	uid_t uid;         /* its owner */
	struct mail_id id;
	int64_t left_ms;   /* when it was left, wall clock */
	const char *name;  /* for the log */
};

/* The process: enters its cage, reads the file, hands it in; the exit code. */
int pickup_process(const struct conf *c, const struct pickup_job *job);
/* The same without a cage: tests, fuzzers. */
enum pickup_end pickup_file(const struct conf *c,
    const struct pickup_job *job);

#endif
