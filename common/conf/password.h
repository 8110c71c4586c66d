/*
 * Passwords as the users table stores them: "{SCHEME}value", or a bare hash of
 * crypt(3).  Schemes have Dovecot's names:
 *
 *	{CRYPT} {BLF-CRYPT} {SHA256-CRYPT} {SHA512-CRYPT} {YESCRYPT}
 *	{MD5-CRYPT} {DES-CRYPT}       whatever crypt(3) of this system verifies
 *	{SCRAM-SHA-256} {SCRAM-SHA-1} keys of SCRAM (common/conf/scram.h)
 *	{PLAIN} {CLEARTEXT}           the password itself: APOP and CRAM-MD5
 *	                              need it
 *
 * An empty value, and one that starts with '*' or '!', matches nothing.  The
 * work is that of one hash (tens of milliseconds): in authd only the verifying
 * children call these.
 */
#ifndef COMMON_CONF_PASSWORD_H
#define COMMON_CONF_PASSWORD_H

#include <stdbool.h>

#include "common/base/slice.h"

#define PASSWORD_MAX 511         /* octets of a password: crypt(3)'s limit */
#define PASSWORD_STORED_MAX 1024 /* octets of what the table holds */

/* The words of the parameter password_scheme, in their order. */
enum password_scheme { PASSWORD_YESCRYPT, PASSWORD_SHA512, PASSWORD_BCRYPT };

enum password_result {
	PASSWORD_OK,
	PASSWORD_WRONG,
	PASSWORD_UNUSABLE, /* the stored value cannot be compared with: unknown
	                    * scheme, or a hash that crypt(3) does not know */
	PASSWORD_FAULT     /* not to be decided now (memory, libcrypt) */
};

struct buf;

/* May log in at all: not empty and not locked. */
bool password_usable(struct slice stored);
/* Its scheme is known; *why says what is wrong, for the admin. */
bool password_known(struct slice stored, const char **why);

/* secret may hold anything; a NUL in it never matches. */
enum password_result password_verify(struct slice stored, struct slice secret);

/* {PLAIN} and {CLEARTEXT}: the password itself. */
bool password_plain(struct slice stored, struct slice *plain);

/* A hash of crypt(3) by another method than scheme's. */
bool password_outdated(struct slice stored, enum password_scheme scheme);

/* Appends "{CRYPT}hash" with a new salt.  False: *why. */
bool password_make(enum password_scheme scheme, struct slice secret,
    struct buf *out, const char **why);

/*
 * A hash that nothing matches but that costs as much as one of scheme: what
 * users who do not exist are verified against.  Dies (111) where libcrypt
 * cannot do it.
 */
void password_dummy(enum password_scheme scheme, struct buf *out);

#endif
