/*
 * The whole policy of all roles, in two tables: what each role has, and which
 * system calls each group of calls is made of.  sandbox.c does what stands
 * here; docs/architecture.md (Rights) says it in prose.
 *
 * Filters are inherited and all of them must agree, so that a parent's groups
 * hold its children's, and CALLS_CAGE where a child narrows itself further.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sched.h>

#include "common/sys/sandbox_roles.h"

#define B CALLS_BASIC
#define S CALLS_SOCKET
#define P CALLS_PIPE
#define L CALLS_LOOP
#define A CALLS_ACCEPT
#define C CALLS_CONNECT
#define R CALLS_READ
#define W CALLS_WRITE
#define F CALLS_FORK
#define G CALLS_CAGE
#define U CALLS_BECOME
#define N CALLS_NET
#define O CALLS_OPENED
#define K CALLS_LOCK

/*
 * The spawner's filter and Landlock would be inherited by the programs it
 * runs, which are the admin's and the users' own and need nearly everything.
 * Hence a list of what no mail program has any business with, answered with
 * EPERM because programs probe; and no_new_privs, so that none of them gains
 * anything by a set-id file (postern's own sendmail needs no set-id).  Its own
 * two capabilities are fenced by argument like those of the other parents.
 */
const struct sandbox_role sandbox_roles[ROLE_COUNT] = {
	/* name, root, files, filter, calls, keeps_setid, owner, MB, files */
	[ROLE_SMTPD_PARENT] = {"smtpd parent",
	    ROOT_EMPTY, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | F | G, false, false, 256, 0},
	[ROLE_SMTPD_SESSION] = {"smtpd session",
	    ROOT_EMPTY, FILES_NONE, FILTER_LISTED,
	    B | S | P, false, false, 256, 64},
	[ROLE_QUEUED_PARENT] = {"queued parent",
	    ROOT_GIVEN, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | W | F | G, false, false, 1024, 0},
	[ROLE_QUEUED_WORKER] = {"queued worker",
	    ROOT_SAME, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | W, false, false, 1024, 0},
	[ROLE_QMGR] = {"qmgr",
	    ROOT_GIVEN, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | W, false, false, 4096, 0},
	[ROLE_LOCAL_PARENT] = {"local parent",
	    ROOT_SAME, FILES_OWNER, FILTER_LISTED,
	    B | S | P | L | A | C | R | W | F | G | U, true, false, 512, 0},
	[ROLE_LOCAL_VIRTUAL] = {"local parent, virtual only",
	    ROOT_SAME, FILES_OWNER, FILTER_LISTED,
	    B | S | P | L | A | C | R | W | F | G, false, false, 512, 0},
	[ROLE_LOCAL_DELIVERY] = {"local delivery",
	    ROOT_SAME, FILES_PATHS, FILTER_LISTED,
	    B | S | R | W, false, true, 512, 64},
	[ROLE_SPAWNER_PARENT] = {"spawner parent",
	    ROOT_SAME, FILES_ALL, FILTER_DENIED,
	    0, true, false, 0, 0},
	[ROLE_AUTHD] = {"authd",
	    ROOT_GIVEN, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | F | G, false, false, 8192, 0},
	[ROLE_AUTHD_VERIFY] = {"authd verify",
	    ROOT_SAME, FILES_NONE, FILTER_LISTED,
	    B | S, false, false, 1024, 16},
	[ROLE_POP3D_PARENT] = {"pop3d parent",
	    ROOT_EMPTY, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | F | G, false, false, 256, 0},
	[ROLE_POP3D_SESSION] = {"pop3d session",
	    ROOT_EMPTY, FILES_NONE, FILTER_LISTED,
	    B | S | P, false, false, 256, 64},
	[ROLE_MAILBOX_PARENT] = {"mailbox parent",
	    ROOT_SAME, FILES_OWNER, FILTER_LISTED,
	    B | S | P | L | A | C | R | W | F | G | U, true, false, 1024, 0},
	[ROLE_MAILBOX_VIRTUAL] = {"mailbox parent, virtual only",
	    ROOT_SAME, FILES_OWNER, FILTER_LISTED,
	    B | S | P | L | A | C | R | W | F | G, false, false, 1024, 0},
	[ROLE_POP3D_MAILBOX] = {"pop3d mailbox",
	    ROOT_SAME, FILES_PATHS, FILTER_LISTED,
	    B | S | R | W, false, true, 1024, 64},
	[ROLE_DNSD] = {"dnsd",
	    ROOT_SAME, FILES_PATHS, FILTER_LISTED,
	    B | S | L | A | R | N, false, false, 2048, 0},
	/* It connects to the sockets of LMTP servers, by their paths. */
	[ROLE_REMOTE_PARENT] = {"remote parent",
	    ROOT_SAME, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | N | F | G, false, false, 512, 0},
	[ROLE_REMOTE] = {"remote",
	    ROOT_SAME, FILES_NONE, FILTER_LISTED,
	    B | S | N | O, false, false, 512, 64},
	[ROLE_BOUNCE_PARENT] = {"bounce parent",
	    ROOT_EMPTY, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | A | C | R | F | G, false, false, 512, 0},
	[ROLE_BOUNCE] = {"bounce job",
	    ROOT_EMPTY, FILES_NONE, FILTER_LISTED,
	    B | S | P | O, false, false, 512, 64},
	[ROLE_PICKUP] = {"pickup",
	    ROOT_EMPTY, FILES_PATHS, FILTER_LISTED,
	    B | S | P | L | C | R | W | F | G, false, false, 512, 0},
	[ROLE_PICKUP_FILE] = {"pickup file",
	    ROOT_EMPTY, FILES_NONE, FILTER_LISTED,
	    B | S | P, false, false, 512, 64},
	/* Its workers connect to nobody, and nobody's octets of the network
	 * come here. */
	[ROLE_KEYD_PARENT] = {"keyd parent",
	    ROOT_EMPTY, FILES_PATHS, FILTER_LISTED,
	    B | S | L | A | R | F | G | K, false, false, 4096, 0},
	[ROLE_KEYD] = {"keyd worker",
	    ROOT_EMPTY, FILES_PATHS, FILTER_LISTED,
	    B | S | L | A | R, false, false, 4096, 0},
};

#define WHATEVER ANY, 0, 0, 0
#define IS(arg, value) EQUAL, (arg), (value), 0
#define UP_TO(arg, value) AT_MOST, (arg), (value), 0
#define WITHOUT(arg, bits) MASKED, (arg), (bits), 0

#define NEW_NAMESPACES                                                         \
	((uint64_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |             \
	CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID) |                         \
	(uint64_t)CLONE_NEWNET)
#define SHARING                                                                \
	((uint64_t)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |        \
	CLONE_THREAD | CLONE_PTRACE | CLONE_UNTRACED | CLONE_PARENT))
#define WRITING ((uint64_t)(O_ACCMODE | O_CREAT | O_TRUNC))

/*
 * Names that an architecture does not have are passed over; both spellings
 * (open and openat) stand here because C libraries differ.
 */
const struct sandbox_call sandbox_calls[] = {
	{B, "read", WHATEVER},
	{B, "write", WHATEVER},
	{B, "readv", WHATEVER},
	{B, "writev", WHATEVER},
	{B, "close", WHATEVER},
	{B, "lseek", WHATEVER},
	{B, "fstat", WHATEVER},
	{B, "dup", WHATEVER},
	{B, "dup2", WHATEVER},
	{B, "dup3", WHATEVER},
	{B, "poll", WHATEVER},
	{B, "ppoll", WHATEVER},
	/* F_DUPFD to F_SETLKW; not F_SETOWN and what sends signals */
	{B, "fcntl", UP_TO(1, F_SETLKW)},
	{B, "fcntl", IS(1, F_OFD_GETLK)},
	{B, "fcntl", IS(1, F_OFD_SETLK)},
	{B, "fcntl", IS(1, F_OFD_SETLKW)},
	{B, "fcntl", IS(1, F_DUPFD_CLOEXEC)},
	{B, "fcntl", IS(1, F_SETPIPE_SZ)},
	{B, "fcntl", IS(1, F_GETPIPE_SZ)},
	{B, "mmap", WITHOUT(2, PROT_EXEC)},
	{B, "mprotect", WITHOUT(2, PROT_EXEC)},
	{B, "munmap", WHATEVER},
	{B, "mremap", WHATEVER},
	{B, "madvise", WHATEVER},
	{B, "brk", WHATEVER},
	{B, "futex", WHATEVER},
	{B, "rt_sigaction", WHATEVER},
	{B, "rt_sigprocmask", WHATEVER},
	{B, "rt_sigreturn", WHATEVER},
	{B, "restart_syscall", WHATEVER},
	{B, "clock_gettime", WHATEVER},
	{B, "clock_nanosleep", WHATEVER},
	{B, "nanosleep", WHATEVER},
	{B, "gettimeofday", WHATEVER},
	{B, "getrandom", WHATEVER},
	{B, "getpid", WHATEVER},
	{B, "getppid", WHATEVER},
	{B, "gettid", WHATEVER},
	{B, "getuid", WHATEVER},
	{B, "geteuid", WHATEVER},
	{B, "getgid", WHATEVER},
	{B, "getegid", WHATEVER},
	{B, "getrusage", WHATEVER},
	{B, "umask", WHATEVER},
	{B, "uname", WHATEVER},
	{B, "sysinfo", WHATEVER}, /* qsort of the C library */
	{B, "sched_getaffinity", WHATEVER},
	{B, "sched_yield", WHATEVER},
	{B, "exit", WHATEVER},
	{B, "exit_group", WHATEVER},

	{S, "recvmsg", WHATEVER},
	{S, "recvfrom", WHATEVER},
	{S, "sendmsg", WHATEVER},
	{S, "sendto", WHATEVER},
	{S, "shutdown", WHATEVER},
	{S, "getsockopt", WHATEVER},
	{S, "setsockopt", WHATEVER},
	{S, "getsockname", WHATEVER},
	{S, "getpeername", WHATEVER},

	{P, "pipe", WHATEVER},
	{P, "pipe2", WHATEVER},
	{P, "socketpair", IS(0, AF_UNIX)},

	{L, "epoll_create1", WHATEVER},
	{L, "epoll_ctl", WHATEVER},
	{L, "epoll_wait", WHATEVER},
	{L, "epoll_pwait", WHATEVER},
	{L, "epoll_pwait2", WHATEVER},
	{L, "signalfd4", WHATEVER},
	{L, "eventfd2", WHATEVER},
	{L, "timerfd_create", WHATEVER},
	{L, "timerfd_settime", WHATEVER},

	{A, "accept", WHATEVER},
	{A, "accept4", WHATEVER},

	{C, "socket", IS(0, AF_UNIX)},
	{C, "connect", WHATEVER},

	{N, "socket", IS(0, AF_INET)},
	{N, "socket", IS(0, AF_INET6)},
	{N, "connect", WHATEVER},
	{N, "bind", WHATEVER},

	{R, "open", WITHOUT(1, WRITING)},
	{R, "openat", WITHOUT(2, WRITING)},
	{R, "stat", WHATEVER},
	{R, "lstat", WHATEVER},
	/* newfstatat is also fstat() of glibc, hence everybody's */
	{B, "newfstatat", WHATEVER},
	{R, "statx", WHATEVER},
	{R, "access", WHATEVER},
	{R, "faccessat", WHATEVER},
	{R, "faccessat2", WHATEVER},
	{R, "readlink", WHATEVER},
	{R, "readlinkat", WHATEVER},
	{R, "statfs", WHATEVER},
	{R, "fstatfs", WHATEVER},
	{R, "getdents64", WHATEVER},
	{R | O, "pread64", WHATEVER},
	{R, "preadv", WHATEVER},
	{R, "fadvise64", WHATEVER},
	{R, "readahead", WHATEVER},
	{R, "flock", WHATEVER},

	{W, "open", WHATEVER},
	{W, "openat", WHATEVER},
	{W, "pwrite64", WHATEVER},
	{W, "pwritev", WHATEVER},
	{W, "ftruncate", WHATEVER},
	{W, "fallocate", WHATEVER},
	{W, "fsync", WHATEVER},
	{W, "fdatasync", WHATEVER},
	{W, "sync_file_range", WHATEVER},
	{W, "sync_file_range2", WHATEVER},
	{W, "fchmod", WHATEVER},
	{W, "utimensat", WHATEVER},
	{W, "link", WHATEVER},
	{W, "linkat", WHATEVER},
	{W, "rename", WHATEVER},
	{W, "renameat", WHATEVER},
	{W, "renameat2", WHATEVER},
	{W, "unlink", WHATEVER},
	{W, "unlinkat", WHATEVER},
	{W, "mkdir", WHATEVER},
	{W, "mkdirat", WHATEVER},
	{W, "rmdir", WHATEVER},
	{W, "copy_file_range", WHATEVER},
	{W, "splice", WHATEVER}, /* queued reads pipes without waiting */

	/* fork(): new processes that share nothing */
	{F, "clone", WITHOUT(0, NEW_NAMESPACES | SHARING)},
	{F, "fork", WHATEVER},
	{F, "set_robust_list", WHATEVER},
	{F, "set_tid_address", WHATEVER},
	{F, "rseq", WHATEVER},
	{F, "wait4", WHATEVER},
	{F, "waitid", WHATEVER},
	/* one process or the own group, never everybody */
	{F, "kill", UP_TO(0, INT_MAX)},

	{G, "seccomp", IS(0, SECCOMP_SET_MODE_FILTER)},
	{G, "landlock_create_ruleset", WHATEVER},
	{G, "landlock_add_rule", WHATEVER},
	{G, "landlock_restrict_self", WHATEVER},
	{G, "prctl", IS(0, PR_SET_NO_NEW_PRIVS)},
	{G, "prctl", IS(0, PR_SET_DUMPABLE)},
	{G, "prctl", IS(0, PR_SET_PDEATHSIG)},
	{G, "prlimit64", IS(0, 0)},
	{G, "getrlimit", WHATEVER},
	{G, "setrlimit", WHATEVER},
	{G, "chdir", WHATEVER},
	{G, "close_range", WHATEVER},
	{G, "getresuid", WHATEVER},
	{G, "getresgid", WHATEVER},
	{G, "capget", WHATEVER},
	{G, "capset", WHATEVER},

	{K, "mlock", WHATEVER},
	{K, "mlockall", WHATEVER},

	{U, "setresuid", WHATEVER}, /* see sandbox_compile_ids */
	{U, "setresgid", WHATEVER},
	{U, "setgroups", WHATEVER},
};

const size_t sandbox_ncalls = sizeof(sandbox_calls) / sizeof(sandbox_calls[0]);

const struct sandbox_call sandbox_denied[] = {
	/* other processes */
	{0, "ptrace", WHATEVER},
	{0, "process_vm_readv", WHATEVER},
	{0, "process_vm_writev", WHATEVER},
	{0, "process_madvise", WHATEVER},
	{0, "pidfd_getfd", WHATEVER},
	{0, "kcmp", WHATEVER},
	/* mounts and namespaces; clone3: see sandbox_filter.c */
	{0, "mount", WHATEVER},
	{0, "umount2", WHATEVER},
	{0, "pivot_root", WHATEVER},
	{0, "chroot", WHATEVER},
	{0, "open_tree", WHATEVER},
	{0, "move_mount", WHATEVER},
	{0, "fsopen", WHATEVER},
	{0, "fsconfig", WHATEVER},
	{0, "fsmount", WHATEVER},
	{0, "fspick", WHATEVER},
	{0, "mount_setattr", WHATEVER},
	{0, "unshare", WHATEVER},
	{0, "setns", WHATEVER},
	{0, "clone", MASKED, 0, CLONE_NEWUSER, CLONE_NEWUSER},
	/* the machine */
	{0, "kexec_load", WHATEVER},
	{0, "kexec_file_load", WHATEVER},
	{0, "init_module", WHATEVER},
	{0, "finit_module", WHATEVER},
	{0, "delete_module", WHATEVER},
	{0, "reboot", WHATEVER},
	{0, "swapon", WHATEVER},
	{0, "swapoff", WHATEVER},
	{0, "acct", WHATEVER},
	{0, "quotactl", WHATEVER},
	{0, "quotactl_fd", WHATEVER},
	{0, "syslog", WHATEVER},
	{0, "settimeofday", WHATEVER},
	{0, "clock_settime", WHATEVER},
	{0, "clock_adjtime", WHATEVER},
	{0, "adjtimex", WHATEVER},
	{0, "sethostname", WHATEVER},
	{0, "setdomainname", WHATEVER},
	{0, "iopl", WHATEVER},
	{0, "ioperm", WHATEVER},
	{0, "vhangup", WHATEVER},
	{0, "fanotify_init", WHATEVER},
	{0, "open_by_handle_at", WHATEVER},
	/* corners of the kernel with a long list of holes */
	{0, "bpf", WHATEVER},
	{0, "perf_event_open", WHATEVER},
	{0, "userfaultfd", WHATEVER},
	{0, "io_uring_setup", WHATEVER},
	{0, "io_uring_enter", WHATEVER},
	{0, "io_uring_register", WHATEVER},
	{0, "add_key", WHATEVER},
	{0, "request_key", WHATEVER},
	{0, "keyctl", WHATEVER},
};

const size_t sandbox_ndenied =
    sizeof(sandbox_denied) / sizeof(sandbox_denied[0]);
