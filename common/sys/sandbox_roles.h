/*
 * The table of roles and what its columns mean.  For sandbox*.c and their test
 * only; everybody else calls sandbox_enter.
 */
#ifndef COMMON_SYS_SANDBOX_ROLES_H
#define COMMON_SYS_SANDBOX_ROLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/sys/sandbox.h"

/* Which directory is "/" (only as root can it be changed). */
enum sandbox_root {
	ROOT_EMPTY, /* an empty one, root's, that nobody may write to */
	ROOT_GIVEN, /* args.root, if the caller names one */
	ROOT_SAME   /* the parent's */
};

/* What Landlock leaves of the file system. */
enum sandbox_files {
	FILES_NONE,  /* nothing can be opened */
	FILES_PATHS, /* args.paths */
	FILES_OWNER, /* what the file modes allow, but no device, socket, fifo
	              * or program: the parent of processes that narrow it to
	              * their owner's directory */
	FILES_ALL    /* no Landlock */
};

/* What seccomp does with a call. */
enum sandbox_filter {
	FILTER_LISTED, /* calls of the role's groups; any other kills */
	FILTER_DENIED  /* those of the denied list fail with EPERM */
};

/* Groups of calls; sandbox_calls says what is in each. */
#define CALLS_BASIC 0x001u   /* memory, open descriptors, signals, time, end */
#define CALLS_SOCKET 0x002u  /* sockets that are there */
#define CALLS_PIPE 0x004u    /* new pipes and socket pairs */
#define CALLS_LOOP 0x008u    /* epoll, signalfd, timerfd, eventfd */
#define CALLS_ACCEPT 0x010u  /* new connections from listening sockets */
#define CALLS_CONNECT 0x020u /* new UNIX sockets */
#define CALLS_READ 0x040u    /* open files and directories for reading */
#define CALLS_WRITE 0x080u   /* make, write, sync, name and remove files */
#define CALLS_FORK 0x100u    /* children, no threads and no namespaces */
#define CALLS_CAGE 0x200u    /* what the children's sandbox_enter calls */
#define CALLS_OPENED 0x1000u /* read files that are open already anywhere */
#define CALLS_LOCK 0x2000u   /* keep memory out of the swap */
#define CALLS_NET 0x800u     /* new TCP and UDP sockets */
#define CALLS_BECOME 0x400u  /* another user, by argument from uid_min on */

struct sandbox_role {
	const char *name;
	enum sandbox_root root;
	enum sandbox_files files;
	enum sandbox_filter filter;
	uint32_t calls;      /* FILTER_LISTED: CALLS_... */
	bool keeps_setid;    /* keeps CAP_SETUID and CAP_SETGID */
	bool owner;          /* becomes args.uid even if it is not root */
	unsigned memory_mb;  /* RLIMIT_AS; 0: as it is */
	unsigned open_files; /* RLIMIT_NOFILE; 0: as it is */
};

extern const struct sandbox_role sandbox_roles[ROLE_COUNT];

enum sandbox_test {
	ANY,     /* whatever the arguments */
	EQUAL,   /* argument arg == a */
	AT_MOST, /* argument arg <= a */
	MASKED   /* (argument arg & a) == b */
};

struct sandbox_call {
	uint32_t groups;
	const char *name;
	enum sandbox_test test;
	unsigned arg;
	uint64_t a, b;
};

/* Allowed calls by group, and the denied list of FILTER_DENIED. */
extern const struct sandbox_call sandbox_calls[];
extern const size_t sandbox_ncalls;
extern const struct sandbox_call sandbox_denied[];
extern const size_t sandbox_ndenied;

/* sandbox_filter.c: programs for the kernel; made before the cage. */
struct sock_filter;
struct sandbox_bpf {
	struct sock_filter *v; /* NULL: none */
	unsigned short n;
};
struct sandbox_bpf sandbox_compile(const struct sandbox_role *role);
/* For roles that keep CAP_SETUID: no id below uid_min, no group. */
struct sandbox_bpf sandbox_compile_ids(const struct sandbox_role *role,
    uid_t uid_min);
/* False when the kernel has no filters; ends the process on other errors. */
bool sandbox_load(const struct sandbox_bpf *bpf);

/* sandbox_landlock.c: a ruleset's descriptor, or -1 when the role has none or
 * the kernel cannot keep it. */
int sandbox_ruleset(const struct sandbox_role *role,
    const struct sandbox_args *args);
/* Can this kernel keep the role's rules? */
bool sandbox_landlock_works(const struct sandbox_role *role);
void sandbox_restrict(int ruleset); /* closes it */

/* Sanitizers and fault shims call what no role may: their builds only log, and
 * leave limits and dumpable alone. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_LOG_ONLY 1
#endif
#endif
#if defined(SANDBOX_LOG) || defined(__SANITIZE_ADDRESS__)
#undef SANDBOX_LOG_ONLY
#define SANDBOX_LOG_ONLY 1
#endif
#ifndef SANDBOX_LOG_ONLY
#define SANDBOX_LOG_ONLY 0
#endif

#endif
