/*
 * A recipient's or user's name in the form tables are asked with: canonical
 * (common/mail/address.h), with a domain.
 */
#ifndef AUTHD_NAME_H
#define AUTHD_NAME_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct name {
	struct slice full;   /* local@domain */
	struct slice local;
	struct slice domain;
	bool literal;        /* the domain is an address literal */
	bool bare;           /* it was written without a domain */
	struct buf text;     /* owns the octets; never moves */
};

void name_init(struct name *n);
void name_free(struct name *n);

/* "ann@example.org", or a bare name, which gets bare_domain.  False with *why,
 * and *n untouched, when the grammar does not allow it. */
bool name_parse(struct name *n, struct slice text, struct slice bare_domain,
    const char **why);
/* The same local part in another domain. */
void name_move(struct name *n, struct slice domain);

#endif
