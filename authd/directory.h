/*
 * Who is who: the tables of domains, aliases and users, and the system's users
 * where they have mailboxes.  lookup.h says in which order they are asked.
 */
#ifndef AUTHD_DIRECTORY_H
#define AUTHD_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/sys/user.h"

struct conf;
struct directory;
struct include_dirs;
struct name;

struct directory_args {
	const struct conf *conf; /* borrowed; may be read anew meanwhile */
	int table_fd;            /* table_dir; the caller's */
	int etc_fd;              /* /etc, or -1: nobody asks for the system's
	                          * users */
	struct sys_user virtual_user; /* owns virtual mailboxes */
	struct sys_user pipe_user;    /* runs programs of aliases */
};

enum directory_result {
	DIRECTORY_FOUND,
	DIRECTORY_NONE,
	DIRECTORY_ERROR /* unreadable or wrong; logged with the mend */
};

enum directory_domain {
	DOMAIN_LOCAL,   /* local_domain: also bare alias names, system users */
	DOMAIN_LOCAL_RELAY, /* the same, and whoever is nobody is passed on */
	DOMAIN_VIRTUAL, /* of the table */
	DOMAIN_RELAY,   /* of the table, passed on: whoever is nobody here */
	DOMAIN_REMOTE,
	DOMAIN_ERROR
};

/* In which forms passwords are stored at all; some mechanisms need one. */
#define DIRECTORY_PLAIN 1u
#define DIRECTORY_SCRAM_SHA256 2u
#define DIRECTORY_SCRAM_SHA1 4u
unsigned directory_forms(struct directory *d);

struct directory *directory_new(const struct directory_args *args);
void directory_free(struct directory **d);
const struct conf *directory_conf(const struct directory *d);
struct sys_user directory_pipe_user(const struct directory *d);
struct include_dirs *directory_includes(struct directory *d);
struct slice directory_local_domain(const struct directory *d);

/* The host's own name stands for local_domain, unless it is a domain of the
 * table itself: then n is moved there. */
enum directory_domain directory_domain(struct directory *d, struct name *n);

/* The route of an address that is not delivered here, by the longest key that
 * matches: the address, its domain, .DOMAIN of the nearest one above it, *.
 * NONE: by MX. */
enum directory_result directory_route(struct directory *d,
    const struct name *n, struct slice *route);

/* *targets: the alias's right-hand side, until the next question.  local "":
 * the catch-all of the domain.  bare: without a domain. */
enum directory_result directory_alias(struct directory *d, struct slice local,
    struct slice domain, bool bare, struct slice *targets);

/* The login name of a uid of this host, and its full name as it stands there;
 * views until the next question. */
enum directory_result directory_login(struct directory *d, uid_t uid,
    struct slice *name, struct slice *gecos);

struct mailbox {
	struct slice address;  /* canonical */
	struct slice user;     /* for LOGNAME and logs */
	uint32_t uid, gid;
	struct slice home;     /* absolute */
	struct slice maildir;  /* absolute */
	struct slice password; /* until the next question */
	struct slice extra;    /* likewise: the row's extra fields, which may
	                        * hold more secrets */
	struct buf text;       /* owns the others; never moves */
};
void mailbox_init(struct mailbox *m);
void mailbox_free(struct mailbox *m);

/* The mailbox of exactly this name.  local_domain: it is the local domain,
 * whose users may stand in the table without it, or be the system's. */
enum directory_result directory_mailbox(struct directory *d,
    struct slice local, struct slice domain, bool local_domain,
    struct mailbox *out);

#endif
