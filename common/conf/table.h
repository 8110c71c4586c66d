/*
 * Tables: text files compiled to cdb with atomic replacement.  DIR/NAME is the
 * text, DIR/NAME.cdb the compiled one.  A reader maps the cdb and looks now and
 * then (conf: table_check) whether a newer one stands there.
 *
 * Text syntax, one entry a line, '#' comments, blank lines ignored:
 *   domains   example.org            (local: mailboxes and aliases live here)
 *             example.net relay      (passed on: what is nobody here)
 *   routes    KEY ROUTE              (KEY: domain, .domain for what is below
 *                                     it, user@domain, *; common/conf/route.h)
 *   aliases   KEY: target, target    (KEY: user@domain, @domain, bare name;
 *                                     a line that starts with white space goes
 *                                     on the one before)
 *   users     the passwd-file form of Dovecot:
 *             user@domain:{SCHEME}hash:uid:gid:gecos:home::extra=value ...
 * Keys are folded to lower case (ASCII) when compiled and when looked up.
 */
#ifndef COMMON_CONF_TABLE_H
#define COMMON_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct table;
struct buf;

enum table_kind { TABLE_DOMAINS, TABLE_ALIASES, TABLE_USERS, TABLE_ROUTES };
#define TABLE_KINDS (TABLE_ROUTES + 1)
/* The value of a row of domains that is not local. */
#define TABLE_RELAY SLICE("relay")
enum table_result {
	TABLE_FOUND,
	TABLE_NONE,
	TABLE_ERROR /* unreadable or broken: a temporary failure */
};

/* dirfd: the table directory, opened before the cage; kept by the table too.
 * check_ms: see table_check.  Never fails: a missing file is an error at the
 * look-up (TABLE_ERROR, logged once a minute with file and mend); routes alone
 * may be missing, text and all, and is empty then. */
struct table *table_open(int dirfd, const char *dir_shown,
    enum table_kind kind, int64_t check_ms);
void table_close(struct table **t);

/* *value points into the map until the next call on t. */
enum table_result table_get(struct table *t, struct slice key,
    struct slice *value);
/* Changes whenever another file is read; 0 when none can be. */
uint64_t table_generation(struct table *t);
/* All entries in the file's order: the callback returns false to stop. */
enum table_result table_each(struct table *t,
    bool (*fn)(void *arg, struct slice key, struct slice value), void *arg);

const char *table_name(enum table_kind kind); /* "users" */

/*
 * Compiles DIR/NAME to DIR/NAME.cdb: written beside it, fsynced, renamed.
 * Errors as lines "FILE:LINE: what; mend".  The cdb gets the owner, group and
 * mode of the text file.
 */
bool table_compile(const char *dir, enum table_kind kind, struct buf *errors);

/* Looks at both files and changes nothing.  WRONG: errors has the lines. */
enum table_state {
	TABLE_CURRENT, /* the text is good, the cdb not older */
	TABLE_STALE,   /* the text is good, but not compiled since it changed */
	TABLE_WRONG
};
enum table_state table_check(const char *dir, enum table_kind kind,
    struct buf *errors);

/* One entry's value as the compiler writes it. */
struct table_user {
	struct slice name;     /* ann@example.org, as written */
	struct slice password; /* "{SCHEME}..." or a bare hash, "": none */
	uint32_t uid, gid;     /* 0: user_virtual's */
	struct slice home;     /* "": mail_root/DOMAIN/USER */
	struct slice maildir;  /* extra field mail=maildir:PATH (or, as Dovecot
	                        * writes, userdb_mail=), absolute or "~/...";
	                        * "": HOME/Maildir */
	struct slice gecos;    /* kept, not used */
	struct slice shell;    /* kept, not used */
	struct slice extra;    /* all extra fields as written, mail= among them;
	                        * table_user_format adds it if it is not */
};
/* False: *why says what is wrong and the mend. */
bool table_user_parse(struct slice value, struct table_user *out,
    const char **why);
/* Appends the line without its newline.  False when it would not be read back
 * as the same (a colon in a field, a control character). */
bool table_user_format(const struct table_user *u, struct buf *out);

/* Changes the text file under a lock (DIR/.lock) and compiles it: replaces the
 * entry of key by line, or appends it; line NULL removes it.  Comments and
 * order stay.  -1 with a message in errors. */
enum table_edit { TABLE_ADDED, TABLE_REPLACED, TABLE_REMOVED, TABLE_MISSING,
	TABLE_FAILED };
enum table_edit table_edit(const char *dir, enum table_kind kind,
    struct slice key, const char *line, bool may_replace,
    struct buf *errors);

#endif
