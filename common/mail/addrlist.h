/*
 * Lists of addresses as header fields have them (RFC 5322 3.4) and as people
 * write them behind sendmail: "Ann <ann@here.example>, bob, staff: x@y, z;".
 * Groups, comments, quoted strings, folding, source routes and the obsolete
 * forms of RFC 5322 4.4 are understood; encoded words only stand where nothing
 * is looked at.  No recursion, whatever the depth of comments.
 */
#ifndef COMMON_MAIL_ADDRLIST_H
#define COMMON_MAIL_ADDRLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

struct buf;

struct addrlist {
	struct slice rest;  /* not yet looked at */
	bool in_group;
	const char *bare;   /* of the address last given: where its domain is
	                     * missing, in the text; NULL: it has one */
};

static inline struct addrlist
addrlist_of(struct slice text)
{
	return (struct addrlist){text, false, NULL};
}

/*
 * The next address: 1 and its RFC 5321 form in out, which is emptied first
 * (quotes only where they are needed; without "@" for a bare local name; "" for
 * "<>").  0: no more.  -1: broken, *why says how and out has the element as it
 * was written, cut to out's limit; the caller goes on.
 */
int addrlist_next(struct addrlist *list, struct buf *out, const char **why);

#endif
