/*
 * Addresses of RFC 5321 4.1.2 and 4.1.3 (Mailbox, Path, Domain,
 * address-literal), with RFC 6531 3.3 when asked.  Strict: what the grammar
 * does not allow is an error with a reason.
 */
#ifndef COMMON_MAIL_ADDRESS_H
#define COMMON_MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

#define ADDRESS_LOCAL_MAX 64   /* RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX 255 /* 4.5.3.1.2 */
#define ADDRESS_PATH_MAX 256   /* 4.5.3.1.3, with the brackets */

struct buf;

struct address {
	struct slice local;  /* as written, quotes included */
	struct slice domain; /* as written; literal with its brackets; empty
	                      * for <> and <postmaster> */
	struct slice text;   /* local@domain as written (source route gone) */
	bool literal;        /* domain is an address literal */
	bool utf8;           /* has octets above 127 */
};

/* Mailbox alone: "ann@example.org".  *why on failure: a fixed text. */
bool address_parse(struct slice s, bool utf8_ok, struct address *out,
    const char **why);

/*
 * The path of MAIL and RCPT at the start of s: "<@a,@b:ann@example.org>",
 * "<>" (only with null_ok), "<postmaster>" (only with postmaster_ok).
 * tolerant: also "ann@example.org" without brackets (plain atoms only), as far
 * as the next space, and spaces in front of the path.  *rest is what follows
 * the path: empty, or beginning with a space.  A source route is checked and
 * dropped (RFC 5321 appendix C, F.2).
 */
struct address_flags {
	bool utf8_ok, null_ok, postmaster_ok, tolerant;
};
bool address_path(struct slice s, struct address_flags flags,
    struct address *out, struct slice *rest, const char **why);

/* Local-part alone, as bare names in aliases are: "ann", "\"a b\"". */
bool address_local(struct slice s, bool utf8_ok, const char **why);
/* RFC 5321 Domain (letters, digits, hyphens, U-labels with utf8_ok), total and
 * label lengths checked. */
bool address_domain(struct slice s, bool utf8_ok, const char **why);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]"; other tags are not registered, and
 * RFC 5321 4.1.3 asks for that. */
bool address_literal(struct slice s, const char **why);

/*
 * The form tables are asked with: quotes that are not needed taken away
 * ("a.b" -> a.b), quoted-pairs resolved where the result is an atom, all lower
 * case (ASCII).  Domain lower case.  Appends to out.
 */
void address_canonical(const struct address *a, struct buf *out);

/* Local part with quotes and backslashes resolved (what the user's name is). */
void address_local_plain(struct slice local, struct buf *out);

/* Same address: domains without regard to case, local parts as canonical. */
bool address_same(const struct address *a, const struct address *b);

/* A list of addresses as in aliases and .forward files is split by
 * common/mail/target.h. */

#endif
