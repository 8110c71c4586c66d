/*
 * Contract "address": who asks authd what an address is (smtpd sessions for
 * RCPT, EXPN and VRFY; qmgr to resolve).  The client chooses rid; answers may
 * come in any order.  Any number of requests may be under way.
 */
#ifndef COMMON_PROTO_ADDRESS_H
#define COMMON_PROTO_ADDRESS_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"
#include "common/proto/delivery.h"

enum address_type {
	ADDRESS_CHECK = 1,    /* client: is this a recipient? */
	ADDRESS_CHECKED = 2,  /* server */
	ADDRESS_RESOLVE = 3,  /* client: where does it go? */
	ADDRESS_TARGETS = 4,  /* server: some targets (repeated) */
	ADDRESS_RESOLVED = 5, /* server: end of a resolution */
	ADDRESS_EXPN = 6,     /* client */
	ADDRESS_MEMBERS = 7,  /* server: names, `last` set on the last */
	ADDRESS_WHO = 8,      /* client, version 2: who of this host is it? */
	ADDRESS_USER = 9      /* server, version 2 */
};

enum address_result {
	ADDRESS_LOCAL = 1,   /* exists here (mailbox, alias, catch-all).  CHECK:
	                      * or is passed on for everybody, in a domain of
	                      * kind "relay" */
	ADDRESS_REMOTE = 2,  /* the domain is not ours; RESOLVE: or is passed on.
	                      * CHECK with a code: nothing goes there, says its
	                      * route */
	ADDRESS_NONE = 3,    /* the domain is ours, nobody has that name */
	ADDRESS_FULL = 4,    /* over quota */
	ADDRESS_BROKEN = 5,  /* exists, but its alias is wrong (loop, too many):
	                      * permanent, status says why */
	ADDRESS_TEMP = 6     /* a table could not be read: try later */
};

struct address_check { /* CHECK, EXPN */
	uint64_t rid;
	struct slice address;
};
struct address_checked {
	uint64_t rid;
	uint32_t result;     /* enum address_result */
	uint32_t code, subject, detail; /* what a refusal should say; 0 if OK */
	struct slice text;
};

/* RESOLVE flags */
#define RESOLVE_MAILBOX 1u /* the mailbox itself: no alias look-up */

struct address_resolve {
	uint64_t rid;
	struct slice address;
	uint32_t flags;
};

/* One place a message goes to.  All targets of one resolution are distinct. */
struct address_target {
	uint32_t kind;         /* enum delivery_kind */
	struct slice address;  /* mailbox address or forward address; for a
	                        * program the address that led to its alias,
	                        * with its extension */
	struct slice user;     /* mailbox: its name; program: the user to run as */
	uint32_t uid, gid;     /* mailbox, program */
	struct slice home;     /* mailbox: home directory */
	struct slice maildir;  /* mailbox: absolute path */
	struct slice extension; /* mailbox, program: what stood behind the
	                         * delimiter */
	struct slice program;  /* command line */
	struct slice sender;   /* replaced reverse-path (owner-), "" = keep; an
	                        * empty reverse-path stays empty all the same:
	                        * the client sees to it */
};
struct address_targets {
	uint64_t rid;
	struct chan_list targets; /* struct address_target, at most 100 */
};
struct address_resolved {
	uint64_t rid;
	uint32_t result;       /* as for CHECK; LOCAL: the targets came before */
	uint32_t code, subject, detail;
	struct slice text;
	struct slice route;    /* REMOTE: text of the domain's row in the table
	                        * routes, "": by MX; since version 2 */
};
struct address_members {
	uint64_t rid;
	uint32_t result;
	uint32_t last;
	struct slices members;
	struct slice text;     /* why not */
};
/* A user of this host, by the kernel's word on a socket's other end.  Who asks
 * must know that version 2 is spoken (chan_greeted, chan_version). */
struct address_who {
	uint64_t rid;
	uint32_t uid;
};
struct address_user {
	uint64_t rid;
	uint32_t result;       /* LOCAL, NONE: the uid has no name; TEMP */
	struct slice name;     /* login name */
	struct slice full_name; /* as it stands in the passwd file, or "" */
};
union address_msg {
	struct address_check check;
	struct address_checked checked;
	struct address_resolve resolve;
	struct address_targets targets;
	struct address_resolved resolved;
	struct address_members members;
	struct address_who who;
	struct address_user user;
};

#define ADDRESS_TARGETS_A_RECORD 100
#define ADDRESS_LOGIN_MAX 255
#define ADDRESS_FULL_NAME_MAX 1000

extern const struct chan_contract address_contract;

#endif
