/*
 * dovecot-uidlist (version 3): UIDs, UIDVALIDITY and POP3 UIDLs of a Maildir.
 * The file is the truth; it is appended durably before a UID is shown to a
 * client, and rewritten (temporary name, fsync, rename) when it shrinks.
 * Locked with dovecot-uidlist.lock (O_EXCL, stale after 2 minutes) as Dovecot
 * does, so that both may work on one Maildir.
 *
 *	3 V1764000000 N17 G0123abcd...
 *	12 W2048 S2000 P0000000c5f... :1764000000.x.1.host,S=2000,W=2048
 *
 * A torn last line, lines that make no sense and the older of two lines for one
 * file are left out and leave the file with the next rewriting; a header that
 * makes no sense counts as no list, and the file is kept beside the new one as
 * dovecot-uidlist.broken.  Version 1 is read, other versions are an error.
 */
#ifndef COMMON_MAIL_UIDLIST_H
#define COMMON_MAIL_UIDLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct uidlist_entry {
	uint32_t uid;
	struct slice base;   /* file name without flags */
	struct slice extra;  /* the "Kvalue Kvalue" words as they stand, kept */
	struct slice pop3;   /* P field, or empty */
	uint32_t pop3_order; /* O field: place in POP3's list, or 0 */
	uint64_t wire, size; /* W and S fields, or UINT64_MAX */
};

struct uidlist;

enum uidlist_result { UIDLIST_OK, UIDLIST_LOCKED, UIDLIST_ERROR };

/* Reads the list (none: an empty one with a fresh UIDVALIDITY). */
enum uidlist_result uidlist_read(int maildir_fd, struct uidlist **out);
void uidlist_free(struct uidlist **l);
uint32_t uidlist_validity(const struct uidlist *l);
uint32_t uidlist_next(const struct uidlist *l);
size_t uidlist_count(const struct uidlist *l);
/* In UID order.  Entries, and the slices in them, live until the next of the
 * functions below that change the list: these must not be given such slices. */
const struct uidlist_entry *uidlist_at(const struct uidlist *l, size_t i);
/* By base name (hashed); NULL if unknown. */
const struct uidlist_entry *uidlist_find(const struct uidlist *l,
    struct slice base);

/*
 * Gives UIDs to these base names (in the given order) that the file does not
 * know yet: locks, reads again what others appended, appends, fsyncs, unlocks.
 * Afterwards *l holds them.  deadline_ms for the lock (clock_mono_ms).
 */
enum uidlist_result uidlist_assign(int maildir_fd, struct uidlist *l,
    const struct slice *bases, size_t n, int64_t deadline_ms);
/* Rewrites without the entries whose base is in gone (n of them): when half of
 * the file is stale, and at clean ends. */
enum uidlist_result uidlist_remove(int maildir_fd, struct uidlist *l,
    const struct slice *gone, size_t n, int64_t deadline_ms);
/* Remembers sizes on the wire that were counted: the W fields of these UIDs. */
struct uidlist_wire {
	uint32_t uid;
	uint64_t wire;
};
enum uidlist_result uidlist_set_wire(int maildir_fd, struct uidlist *l,
    const struct uidlist_wire *v, size_t n, int64_t deadline_ms);

/* UIDL of an entry: the P field (an empty one stands for the base name), else
 * UID and validity as Dovecot writes them by default (%08Xu%08Xv: its X is
 * lower-case hexadecimal). */
struct buf;
void uidlist_uidl(const struct uidlist *l, const struct uidlist_entry *e,
    struct buf *out);

#endif
