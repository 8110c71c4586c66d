/* Domains as they are looked up and compared on the way to other hosts. */
#ifndef COMMON_MAIL_DOMAIN_H
#define COMMON_MAIL_DOMAIN_H

#include <stdbool.h>

#include "common/base/slice.h"

struct buf;

/*
 * Appends the form of a domain that DNS knows: lower case, U-labels as
 * A-labels (RFC 5890, RFC 6531 3.2), an address literal with its brackets in
 * lower case.  False with *why when there is none; nothing is appended then.
 */
bool domain_wire(struct slice domain, struct buf *out, const char **why);

#endif
