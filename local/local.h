/*
 * local: delivery to Maildirs with the rights of their owners.
 */
#ifndef LOCAL_LOCAL_H
#define LOCAL_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/conf/conf.h"
#include "common/mail/durable.h"
#include "common/proto/delivery.h"

/* What the parent opened before its cage. */
struct local {
	struct conf conf;
	int listen_fd;
	uid_t uid;               /* the parent's own */
	gid_t gid;
	bool becomes;            /* started by root: may become others */
	uid_t virtual_uid;
	gid_t virtual_gid;
	uid_t client_uids[1];    /* qmgr */
	char host[256];          /* for file names */
};

void local_open(struct local *l);
int local_run(struct local *l);

/* Whose rights a delivery process has: one process serves jobs of one owner. */
struct owner {
	uid_t uid;
	gid_t gid;
	char *root; /* the tree it may touch: mail_root, or the home */
	char *maildir; /* a Maildir outside the home, or NULL */
};

/* ---- owners (owner.c) ---- */

/* What forbids a delivery, or NULL. */
const char *owner_unsound(const struct local *l, const struct delivery_job *j);
struct owner owner_of(const struct local *l, const struct delivery_job *j);
bool owner_same(const struct owner *a, const struct owner *b);
void owner_free(struct owner *o);
/* The directory below which a missing Maildir is made (never itself): mail_root
 * or home. */
const char *owner_tree(const struct local *l, uid_t uid, const char *home,
    const char *maildir);
/* Is path root or something below it, by its letters? */
bool owner_below(const char *path, const char *root);

/* ---- delivery processes (process.c) ---- */

/* The file system a process delivers into. */
struct disk {
	enum durable_mode mode;
	dev_t dev;
};

/* A delivery process: takes the owner's rights and serves the channel on fd
 * until it closes; the exit code. */
int process_run(struct local *l, const struct owner *o, int fd);

/* ---- one delivery (deliver.c) ---- */

struct delivery {
	const struct local *l;
	const struct disk *disk;
	enum durable_mode mode;
	/* Copied from the job, released by delivery_free */
	uint64_t job;
	char *id, *address, *sender, *user, *home, *maildir;
	uint32_t number, kind, flags;
	uid_t uid;
	int message_fd;           /* the queue file; owned */
	/* Result */
	struct status status;     /* code 0: still good */
	struct delivery_expansion *expansions; /* of a forward file */
	size_t nexpansions;
	struct buf text;          /* what the expansions point into */
	/* Under way */
	int new_fd;               /* Maildir/new, or -1 */
	struct durable file;
	bool open;
	bool present;             /* it was delivered before */
	bool in_cur;              /* and its owner has seen it */
	bool synced;
	char name[256];
};

struct delivery *delivery_new(const struct local *l, const struct disk *disk,
    const struct delivery_job *job, int message_fd);
void delivery_free(struct delivery **d);

/* The steps; each does nothing once d->status is set. */
void delivery_write(struct delivery *d, struct buf *out);
void delivery_start(struct delivery *d);
void delivery_link(struct delivery *d);
/* The file to be synced (durable_sync_all), or NULL; then what came of it. */
struct durable *delivery_file(struct delivery *d);
void delivery_synced(struct delivery *d, int error);

/* Sets d->status from errno: local faults are temporary. */
void delivery_fault(struct delivery *d, const char *what, const char *path);

/* ---- the owner's forward file (forward.c) ---- */

/* Reads HOME/forward_file if there is one and fills the expansions; true when
 * there is one (or d->status was set because it cannot be used). */
bool forward_read(struct delivery *d);

#endif
