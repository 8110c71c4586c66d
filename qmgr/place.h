/*
 * A place: where one copy of a message goes, as authd or a forward file said.
 * Lives in memory from the resolution to the delivery; what outlasts a restart
 * is written into the queue file as an expansion (kind, address, target).
 */
#ifndef QMGR_PLACE_H
#define QMGR_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct address_target;
struct buf;
struct delivery_expansion;

struct place {
	uint32_t kind; /* enum delivery_kind */
	uint32_t uid, gid;
	bool no_forward;       /* MAILBOX: its forward file was read already */
	bool forward;          /* ADDRESS: stood in a forward file */
	struct slice address;  /* as in struct address_target */
	struct slice user, home, extension;
	struct slice maildir;  /* MAILBOX, MAILDIR */
	struct slice program;
	struct slice sender;   /* replaced reverse-path, "" = keep */
	char room[];           /* what the slices point to */
};

/* All are the caller's, who frees them with free(3). */
struct place *place_of_target(const struct address_target *t);
/* From the forward file of the mailbox `owner`. */
struct place *place_of_expansion(const struct delivery_expansion *e,
    const struct place *owner);

/*
 * The target of an expansion in the queue file:
 *
 *	PROGRAM, MAILDIR  uid, gid, user, home, extension and command line or
 *	                  path, with tabs between them: a restart needs them all
 *	MAILBOX           "noforward", or "extension", a tab and the extension,
 *	                  or ""
 *	ADDRESS           "forward" if it comes from a forward file, or ""
 */
#define PLACE_TARGET_FORWARD SLICE("forward")
/* False when it cannot be written: a tab in one of the values, too long. */
bool place_put_target(const struct place *p, struct buf *out);
/* The reverse for PROGRAM and MAILDIR; NULL when it cannot be read. */
struct place *place_parse(uint32_t kind, struct slice address,
    struct slice target);
/* The reverse for MAILBOX: puts into p, which authd gave, what target says;
 * the extension stays a part of target. */
void place_apply_target(struct place *p, struct slice target);

#endif
