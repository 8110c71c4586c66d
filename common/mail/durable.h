/*
 * Durable files: O_TMPFILE, write, sync_file_range, linkat to the final name,
 * fsync: one journal commit, and only whole files ever become visible
 * (docs/architecture.md, Durability).  Used by queued and by local.
 *
 * Two-phase, so that many files share a commit: durable_link all that are
 * complete, then durable_sync them.
 */
#ifndef COMMON_MAIL_DURABLE_H
#define COMMON_MAIL_DURABLE_H

#include <stdbool.h>
#include <sys/types.h>

enum durable_mode {
	DURABLE_ORDERED, /* ordered journalling (ext4 data=ordered): write,
	                  * link, fsync */
	DURABLE_STRICT   /* fsync, link, fsync the file and the directory */
};

/* From the file system's type and mount options behind dirfd ("auto"); logs
 * what was chosen and why.  Reads /proc and /sys: before the cage. */
enum durable_mode durable_detect(int dirfd);
/* The same for a path; DURABLE_STRICT when it cannot be looked at. */
enum durable_mode durable_detect_path(const char *path);

/* Process-wide, in a parent before its cage: opens /proc, from which
 * durable_init of its children reaches their own /proc/self/fd even when the
 * root directory was changed since. */
void durable_prepare(void);
/* Process-wide: opens /proc/self/fd for linkat; call after fork and before the
 * cage, once a process.  Without durable_prepare it opens /proc itself. */
void durable_init(void);

/* A nameless file in dirfd (mode), or, where the file system has no O_TMPFILE,
 * a file with a hidden temporary name that durable_drop removes. */
struct durable {
	int fd;          /* read and write; close-on-exec */
	int dirfd;       /* borrowed */
	char tmp[64];    /* "" with O_TMPFILE */
	bool linked;
};
int durable_open(struct durable *d, int dirfd, mode_t mode);
/* Starts write-back and does not wait: for batches, before durable_flush. */
int durable_start(struct durable *d, enum durable_mode mode);
/* Starts write-back and waits for the data (ordered) or fsyncs (strict). */
int durable_flush(struct durable *d, enum durable_mode mode);
/* Gives it its name; EEXIST when it is taken. */
int durable_link(struct durable *d, const char *name);
/* The commit.  After a failure the file must not be trusted again.  Strict
 * needs dirfd to be open for reading (not O_PATH). */
int durable_sync(struct durable *d, enum durable_mode mode);
/*
 * The commit of n files that were linked in this order; v may have holes (NULL).
 * errors[i] becomes 0 or the errno of file i.  Ordered: the fsync of the last
 * one commits the journal with the names of all before it on that file system,
 * whose data durable_flush has seen written; each further fsync would only make
 * the device flush its cache once more.  When it fails, all are failed.
 */
void durable_sync_all(struct durable *const *v, size_t n,
    enum durable_mode mode, int *errors);
/* Closes; what was not linked vanishes.  unlink_name: also the linked name. */
void durable_drop(struct durable *d, const char *unlink_name);

#endif
