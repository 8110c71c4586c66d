/*
 * A Maildir as POP3 sees it: a snapshot with numbers, made when the session
 * begins.  Other sessions and programs may change the Maildir meanwhile;
 * messages that they remove are gone, those that they rename are found again.
 */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct buf;
struct uidlist;

struct message {
	char *name;      /* with flags; owned by the maildrop */
	uint32_t uid;
	uint32_t order;  /* O field of the uidlist, or 0 */
	uint64_t wire;   /* UINT64_MAX: not known yet */
	bool in_new;     /* new/, not cur/ */
	bool counted;    /* wire was counted: worth remembering */
	bool gone;       /* somebody removed it */
	bool deleted;    /* marked by DELE */
	bool seen;       /* sent whole by RETR */
};

struct maildrop {
	int fd;              /* the Maildir; -1: there is none, hence no mail */
	struct uidlist *list;
	struct message *v;   /* owned, in the order of their numbers */
	size_t n;
	size_t stale;        /* entries of the uidlist without a file */
};

/* What a failure means for the client. */
enum maildrop_result {
	MAILDROP_OK,
	MAILDROP_GONE,
	MAILDROP_TEMP,  /* errno: a local fault */
	MAILDROP_PERM   /* errno: the file cannot be read as it is */
};

/* path: where the owner's Maildir is or would be.  At most `most` messages are
 * shown, those with the lowest UIDs. */
enum maildrop_result maildrop_open(struct maildrop *d, const char *path,
    size_t most);
void maildrop_close(struct maildrop *d);

/* A descriptor to read message i from. */
enum maildrop_result maildrop_read(struct maildrop *d, size_t i, int *fd);
/* Octets on the wire: from the name, the uidlist, or counted; 0 if it cannot be
 * read.  maildrop_sizes makes sure of all messages at once and remembers what
 * it counted. */
uint64_t maildrop_size(struct maildrop *d, size_t i);
void maildrop_sizes(struct maildrop *d);
void maildrop_uidl(const struct maildrop *d, size_t i, struct buf *out);

/* RFC 1939 6, UPDATE: removes what is marked deleted, marks what was sent as
 * seen.  How many of the deleted ones could not be removed. */
size_t maildrop_update(struct maildrop *d);

/* "FS" -> "FS", "F" -> "FS": the flags of a file name with S among them. */
void maildrop_seen_flags(struct slice flags, struct buf *out);

#endif
