/*
 * What an address is.  The order, for ann+x@example.org:
 *
 *	1. the alias ann+x@example.org, in the local domain also ann+x
 *	2. the mailbox of that name
 *	3. both again for ann, with the extension x
 *	4. postmaster only: both in the local domain (RFC 5321 4.5.1)
 *	5. the catch-all alias @example.org
 *	6. in a domain of kind relay: elsewhere (and 4 is left out there)
 */
#ifndef AUTHD_LOOKUP_H
#define AUTHD_LOOKUP_H

#include "authd/directory.h"
#include "authd/name.h"

enum lookup_kind {
	LOOKUP_ALIAS,
	LOOKUP_MAILBOX,
	LOOKUP_NONE,
	LOOKUP_REMOTE,
	LOOKUP_RELAY,  /* elsewhere, for everybody's mail */
	LOOKUP_ERROR
};

struct lookup {
	enum lookup_kind kind;
	struct slice targets;   /* ALIAS: until the next question */
	struct slice local, domain; /* ALIAS: its name; local "": catch-all */
	bool bare;              /* it stands in the table without its domain,
	                         * or could */
	struct slice extension; /* what stood behind the delimiter, in the
	                         * name asked for */
	struct mailbox mailbox;
	struct buf text;        /* owns local and domain; never moves */
};

void lookup_init(struct lookup *l);
void lookup_free(struct lookup *l);

/* n may be moved to the local domain; l->extension points into it. */
void lookup_name(struct directory *d, struct name *n, bool mailbox_only,
    struct lookup *l);

/* The alias owner-NAME of the alias found: its address is appended to out.  The
 * targets of l are gone afterwards. */
enum directory_result lookup_owner(struct directory *d, const struct lookup *l,
    struct buf *out);

#endif
