/*
 * Maildir (Maildir++ folders), interoperable with every other Maildir program.
 * Names made here: TIME.ID.NUMBER.HOST,S=SIZE,W=WIRESIZE - deterministic, so
 * that a repeated delivery meets EEXIST.  S: octets of the file, W: octets on
 * the wire (every LF counted as CRLF).
 */
#ifndef COMMON_MAIL_MAILDIR_H
#define COMMON_MAIL_MAILDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/mail/id.h"

#define MAILDIR_NAME_MAX 255

/* Creates DIR and cur, new, tmp (0700) where missing, DIR's parents not.
 * Returns 0 or -1 with errno. */
int maildir_make(int dirfd, const char *name);

/* "1764000000.0a1b....1.mx.example,S=5,W=6"; what has a meaning in names
 * ('/', ':', ',') or cannot be seen becomes '_' in host, and 100 octets of it
 * are kept. */
void maildir_name(const struct mail_id *id, uint32_t number, struct slice host,
    uint64_t size, uint64_t wire, char out[MAILDIR_NAME_MAX + 1]);

/* What a file name says: no path, everything up to the first ':' is base.
 * False for names that are no message's: hidden ones, and those that no uidlist
 * line could hold (CR, LF, NUL). */
struct maildir_entry {
	struct slice base;   /* without flags: what the uidlist remembers */
	struct slice flags;  /* behind ":2,", or empty */
	bool has_size, has_wire;
	uint64_t size, wire; /* S= and W= */
};
bool maildir_parse(struct slice name, struct maildir_entry *out);

/* True when base (any flags) is in new/ or cur/ of the open Maildir: before a
 * repeated delivery after a crash.  -1 with errno. */
int maildir_has(int maildir_fd, struct slice base);

#endif
