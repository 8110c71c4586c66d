/*
 * Rights: one call per process role.  The whole policy of all roles stands in
 * one table in sandbox_roles.c: user, groups, root directory, limits, Landlock,
 * seccomp filter, no_new_privs, dumpable off (docs/architecture.md, Rights).
 *
 * A filter is compiled once (sandbox_prepare, in the parent, with libseccomp)
 * and loaded raw in the child (sandbox_enter).  A forbidden call kills the
 * process; builds with -DSANDBOX_LOG log it instead (sanitizers, shims).
 */
#ifndef COMMON_SYS_SANDBOX_H
#define COMMON_SYS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum role {
	ROLE_SMTPD_PARENT,
	ROLE_SMTPD_SESSION,
	ROLE_QUEUED_PARENT,    /* forks and watches the workers */
	ROLE_QUEUED_WORKER,
	ROLE_QMGR,
	ROLE_LOCAL_PARENT,     /* keeps CAP_SETUID and CAP_SETGID */
	ROLE_LOCAL_VIRTUAL,    /* the same parent without any capability:
	                        * all mailboxes belong to user_virtual */
	ROLE_LOCAL_DELIVERY,   /* the mailbox's owner */
	ROLE_SPAWNER_PARENT,   /* keeps CAP_SETUID and CAP_SETGID, may exec */
	ROLE_AUTHD,
	ROLE_AUTHD_VERIFY,     /* one password hash at a time */
	ROLE_POP3D_PARENT,
	ROLE_POP3D_SESSION,
	ROLE_MAILBOX_PARENT,   /* keeps CAP_SETUID and CAP_SETGID */
	ROLE_MAILBOX_VIRTUAL,  /* the same without any capability */
	ROLE_POP3D_MAILBOX,    /* the mailbox's owner */
	ROLE_DNSD,
	ROLE_REMOTE_PARENT,
	ROLE_REMOTE,           /* one connection to another host */
	ROLE_BOUNCE_PARENT,
	ROLE_BOUNCE,           /* one notice about one message */
	ROLE_PICKUP,           /* opens what was left, reads nothing of it */
	ROLE_PICKUP_FILE,      /* one file of the drop directory */
	ROLE_KEYD_PARENT,
	ROLE_KEYD,             /* one worker: reads keys, signs */
	ROLE_COUNT
};

/* What a path (or an open directory) may be used for after the cage. */
enum sandbox_access {
	SANDBOX_READ,  /* open for reading, list */
	SANDBOX_WRITE  /* the same and write, create, link, rename, remove */
};

struct sandbox_path {
	int fd;           /* an open directory or file, or -1 */
	const char *path; /* used when fd is -1; skipped if it does not exist */
	enum sandbox_access access;
};

struct sandbox_args {
	/* The user to become, never 0.  Ignored when the suite was not started
	 * by root: then it stays who it is (one ordinary user: tests). */
	uid_t uid;
	gid_t gid;
	/* Directory to become the root, or NULL to leave it.  Roles whose
	 * table says "empty root" must pass the empty directory. */
	const char *root;
	/* Landlock rules, for roles that are given paths; with none of them
	 * nothing can be opened any more.  Other roles take none. */
	const struct sandbox_path *paths;
	size_t npaths;
	/* Owner roles and their parents: least uid setresuid may name (conf:
	 * mailbox_uid_min). */
	uid_t uid_min;
};

/* Compiles the filter of a role; to be called before forking children of that
 * role and before the parent's own sandbox_enter.  uid_min as above. */
void sandbox_prepare(enum role role, uid_t uid_min);

/*
 * Takes all rights away but those of the role, in this order: root directory,
 * groups, user, capabilities, limits, dumpable, no_new_privs, Landlock,
 * seccomp.
 * Ends the process (111) when a step fails.  A kernel without Landlock is
 * logged once at start; with require_sandbox = yes it is fatal.
 * The working directory is left where it is (parents connect to sockets by
 * name relative to the run directory); roles without files change to "/".
 *
 * Directories opened before stay usable through their descriptors only where
 * paths names them; files opened before always.  A parent without CAP_KILL
 * cannot signal a child that became another user: such children need their own
 * clock, and closing their channel ends them.
 */
void sandbox_enter(enum role role, const struct sandbox_args *args);

/* From the configuration, before sandbox_enter. */
void sandbox_require(bool require);

/* For `postern check` and the start-up log: what this kernel offers. */
int sandbox_landlock_abi(void); /* 0: none */

const char *sandbox_role_name(enum role role);

/* False in builds that only log what is forbidden (sanitizers, shims). */
bool sandbox_enforces(void);

/* For a mailbox parent's child: becomes uid/gid with no groups and no
 * capability for ever (part of sandbox_enter; also used by the spawner before
 * exec).  Ends the process on failure. */
void sandbox_become(uid_t uid, gid_t gid);

#endif
