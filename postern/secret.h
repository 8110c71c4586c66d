/* Passwords for the users table: read from where nobody looks on. */
#ifndef POSTERN_SECRET_H
#define POSTERN_SECRET_H

#include "common/base/slice.h"
#include "postern/postern.h"

struct buf;
struct scram_keys;

/* How the password is given; at most one. */
struct secret_options {
	const char *file;   /* -p FILE: its first line; "-": standard input's */
	const char *hash;   /* --hash: as it shall stand in the table */
	const char *scheme; /* --scheme: yescrypt, sha512, bcrypt,
	                     * scram-sha-256, plain */
	bool none;          /* --no-password: nobody can log in */
};
#define SECRET_OPTIONS(o)                                                      \
	{"password-file", 'p', NULL, &(o).file},                               \
	{"hash", 0, NULL, &(o).hash},                                          \
	{"scheme", 0, NULL, &(o).scheme},                                      \
	{"no-password", 0, &(o).none, NULL}

/* What goes into the table is appended to out (released with buf_wipe).
 * Without -p: from the terminal, asked twice, or the first line of standard
 * input.  An exit code. */
int secret_make(struct postern *p, const struct secret_options *o,
    struct buf *out);
/* SCRAM keys of a password; like: with this salt and number of iterations, NULL:
 * with a new salt. */
int secret_scram(struct postern *p, struct slice secret,
    const struct scram_keys *like, struct buf *out);

#endif
