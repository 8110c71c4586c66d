/*
 * The cage of each role, from inside: a child enters the role the way the
 * daemons do (sessions and deliveries below their parent) and makes one call.
 * As root also the change of user, of root directory and of capabilities.
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"

Suite *sandbox_suite(void);

#define NOBODY 65534
#define UID_MIN 500

#define ENTERED 0  /* exit codes of the child: the call worked */
#define DENIED 1   /* it failed with EACCES, EPERM, EXDEV */
#define STRANGE 2  /* it failed otherwise */

/* One temporary tree: empty/ (root's), own/a own/b (the role's), own/file,
 * other/file (not in the role's paths). */
static struct {
	char dir[64];
	char empty[80], own[80], other[80];
	int own_fd, other_fd, proc_fd;
} tree;

static void
make_file(const char *dir, const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "text\n", 5), 5);
	close(fd);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
}

static void
make_dir(char *path, size_t size, const char *above, const char *name,
    bool own)
{
	snprintf(path, size, "%s/%s", above, name);
	ck_assert_int_eq(mkdir(path, own ? 0755 : 0555), 0);
	if (own && geteuid() == 0)
		ck_assert_int_eq(chown(path, NOBODY, NOBODY), 0);
}

static void
set_up(void)
{
	char path[160];
	mode_t mask = umask(022);

	snprintf(tree.dir, sizeof(tree.dir), "/tmp/sandbox.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(tree.dir));
	ck_assert_int_eq(chmod(tree.dir, 0755), 0);
	make_dir(tree.empty, sizeof(tree.empty), tree.dir, "empty", false);
	make_dir(tree.own, sizeof(tree.own), tree.dir, "own", true);
	make_dir(tree.other, sizeof(tree.other), tree.dir, "other", true);
	make_dir(path, sizeof(path), tree.own, "a", true);
	make_dir(path, sizeof(path), tree.own, "b", true);
	make_file(tree.own, "file");
	make_file(tree.other, "file");
	tree.own_fd = open(tree.own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree.other_fd = open(tree.other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tree.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert(tree.own_fd >= 0 && tree.other_fd >= 0 && tree.proc_fd >= 0);
	umask(mask);
}

static void
tear_down(void)
{
	static const char *const files[] = {"own/file", "own/new", "own/a/new",
	    "own/b/new", "own/moved", "other/file", "other/new"};
	static const char *const dirs[] = {"own/a", "own/b", "own/dir", "own",
	    "other", "empty", ""};
	char path[160];
	size_t i;

	close(tree.own_fd);
	close(tree.other_fd);
	close(tree.proc_fd);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", tree.dir, files[i]);
		unlink(path);
	}
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", tree.dir, dirs[i]);
		rmdir(path);
	}
}

/* ---- what is tried: 0, or -1 with errno ---- */

static int
close_if(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int
try_open_passwd(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		errno = EACCES; /* another root directory */
	return close_if(fd);
}

static int
try_read_own(void)
{
	return close_if(openat(tree.own_fd, "file", O_RDONLY | O_CLOEXEC));
}

static int
try_read_other(void)
{
	return close_if(openat(tree.other_fd, "file", O_RDONLY | O_CLOEXEC));
}

static int
try_write_own(void)
{
	return close_if(openat(tree.own_fd, "file",
	    O_WRONLY | O_TRUNC | O_CLOEXEC));
}

static int
try_write_other(void)
{
	return close_if(openat(tree.other_fd, "new",
	    O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* The recipe of every durable file. */
static int
try_tmpfile_link(void)
{
	char name[16];
	int fd = openat(tree.own_fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int self = openat(tree.proc_fd, "self/fd",
	    O_PATH | O_DIRECTORY | O_CLOEXEC);
	int tmp;

	if (fd < 0 || self < 0)
		return -1;
	tmp = openat(fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (tmp < 0)
		return -1;
	snprintf(name, sizeof(name), "%d", tmp);
	if (write(tmp, "x", 1) != 1 ||
	    linkat(self, name, fd, "new", AT_SYMLINK_FOLLOW) != 0)
		return -1;
	return fsync(tmp);
}

static int
try_rename(void)
{
	if (close_if(openat(tree.own_fd, "a/new",
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) != 0)
		return -1;
	return renameat(tree.own_fd, "a/new", tree.own_fd, "b/new");
}

static int
try_unlink(void)
{
	return unlinkat(tree.own_fd, "file", 0);
}

static int
try_mkdir(void)
{
	return mkdirat(tree.own_fd, "dir", 0700);
}

static int
try_steal(void)
{
	return linkat(tree.other_fd, "file", tree.own_fd, "moved", 0);
}

static int
try_tcp(void)
{
	return close_if(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int
try_unix(void)
{
	return close_if(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int
try_pair(void)
{
	int v[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, v);
}

static int
try_pipe(void)
{
	int v[2];

	return pipe2(v, O_CLOEXEC);
}

static int
try_exec(void)
{
	static char name[] = "/bin/true";
	char *argv[] = {name, NULL};

	return execve(name, argv, environ);
}

static int
try_fork(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : 0;
}

static int
try_thread(void)
{
	return (int)syscall(SYS_clone, CLONE_VM | CLONE_FS | CLONE_SIGHAND |
	    CLONE_THREAD, NULL, NULL, NULL, NULL);
}

static int
try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
try_clone_namespace(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL,
	    NULL, NULL);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : 0;
}

static int
try_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int
try_kill_parent(void)
{
	return kill(getppid(), 0);
}

static int
try_kill_all(void)
{
	return (int)syscall(SYS_kill, -1, 0);
}

static int
try_mount(void)
{
	return mount("none", "/", "tmpfs", 0, NULL);
}

static int
try_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

static int
try_memory(void)
{
	char *p = malloc(1000000);

	if (p == NULL)
		return -1;
	memset(p, 1, 1000000);
	p = realloc(p, 3000000);
	free(p);
	return 0;
}

static int
try_be_root(void)
{
	return setresuid(0, 0, 0);
}

static int
try_be_root_hidden(void)
{
	return (int)syscall(SYS_setresuid, 0x100000000, 0x100000000,
	    0x100000000);
}

static int
try_stay_part_root(void)
{
	return setresuid((uid_t)-1, 0, (uid_t)-1);
}

static int
try_be_daemon(void)
{
	return setresuid(UID_MIN - 1, UID_MIN - 1, UID_MIN - 1);
}

static int
try_groups(void)
{
	gid_t group = UID_MIN;

	return setgroups(1, &group);
}

static int
try_setuid(void)
{
	return setuid(0);
}

static int
try_become(void)
{
	sandbox_become(UID_MIN + 7, UID_MIN + 8);
	return getuid() == UID_MIN + 7 && getegid() == UID_MIN + 8 ? 0 : -1;
}

static int
try_log(void)
{
	return fprintf(stderr, "%s", "") < 0 ? -1 : 0;
}

static int
try_limit_other(void)
{
	return prlimit(getppid(), RLIMIT_CORE, NULL, NULL);
}

static int
try_own_signals(void)
{
	return fcntl(STDERR_FILENO, F_SETOWN, getppid());
}

/* ---- how the child gets there ---- */

static enum role
parent_of(enum role role)
{
	switch (role) {
	case ROLE_SMTPD_SESSION:
		return ROLE_SMTPD_PARENT;
	case ROLE_POP3D_SESSION:
		return ROLE_POP3D_PARENT;
	case ROLE_QUEUED_WORKER:
		return ROLE_QUEUED_PARENT;
	case ROLE_LOCAL_DELIVERY:
		return ROLE_LOCAL_PARENT;
	case ROLE_POP3D_MAILBOX:
		return ROLE_MAILBOX_PARENT;
	case ROLE_AUTHD_VERIFY:
		return ROLE_AUTHD;
	case ROLE_BOUNCE:
		return ROLE_BOUNCE_PARENT;
	case ROLE_REMOTE:
		return ROLE_REMOTE_PARENT;
	case ROLE_PICKUP_FILE:
		return ROLE_PICKUP;
	case ROLE_KEYD:
		return ROLE_KEYD_PARENT;
	default:
		return role;
	}
}

static bool
takes_paths(enum role role)
{
	return role != ROLE_LOCAL_PARENT && role != ROLE_MAILBOX_PARENT &&
	    role != ROLE_LOCAL_VIRTUAL && role != ROLE_MAILBOX_VIRTUAL &&
	    role != ROLE_SPAWNER_PARENT && role != ROLE_SMTPD_SESSION &&
	    role != ROLE_POP3D_SESSION && role != ROLE_AUTHD_VERIFY &&
	    role != ROLE_BOUNCE && role != ROLE_REMOTE &&
	    role != ROLE_PICKUP_FILE;
}

static bool
has_empty_root(enum role role)
{
	return role == ROLE_SMTPD_PARENT || role == ROLE_POP3D_PARENT ||
	    role == ROLE_SMTPD_SESSION || role == ROLE_POP3D_SESSION ||
	    role == ROLE_BOUNCE_PARENT || role == ROLE_BOUNCE ||
	    role == ROLE_PICKUP || role == ROLE_PICKUP_FILE ||
	    role == ROLE_KEYD_PARENT || role == ROLE_KEYD;
}

static void
enter(enum role role)
{
	const struct sandbox_path own = {tree.own_fd, NULL, SANDBOX_WRITE};
	struct sandbox_args args = {.uid = NOBODY, .gid = NOBODY,
	    .uid_min = UID_MIN};

	if (has_empty_root(role))
		args.root = tree.empty;
	else if (parent_of(role) == ROLE_QUEUED_PARENT || role == ROLE_QMGR)
		args.root = tree.own;
	if (takes_paths(role)) {
		args.paths = &own;
		args.npaths = 1;
	}
	sandbox_enter(role, &args);
}

static _Noreturn void
child(enum role role, int (*call)(void))
{
	sandbox_prepare(role, UID_MIN);
	if (parent_of(role) != role) {
		pid_t pid;
		int status;

		enter(parent_of(role));
		pid = proc_fork("test");
		if (pid == -1)
			_exit(STRANGE);
		if (pid > 0) {
			if (waitpid(pid, &status, 0) != pid)
				_exit(STRANGE);
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
			    WEXITSTATUS(status));
		}
	}
	enter(role);
	if (call() == 0)
		_exit(ENTERED);
	_exit(errno == EACCES || errno == EPERM || errno == EXDEV ||
	    errno == ESRCH ? DENIED : STRANGE);
}

static int
outcome(enum role role, int (*call)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		child(role, call);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
	    WEXITSTATUS(status);
}

/* ---- the cases ---- */

enum want {
	OK,
	KILL,    /* by the filter */
	DENY,    /* by Landlock, file modes or an EPERM of the filter */
	OK_ROOT  /* OK where the test began as root, else it cannot be tried */
};

static const struct {
	enum role role;
	const char *name;
	int (*call)(void);
	enum want want;
} cases[] = {
#define T(role, call, want) {ROLE_##role, #role " " #call, try_##call, want}
	/* What every listed role must not and what all may. */
#define COMMON(role)                                                           \
	T(role, exec, KILL), T(role, ptrace, KILL), T(role, namespace, KILL),  \
	T(role, mount, KILL), T(role, code, KILL), T(role, tcp, KILL),         \
	T(role, kill_all, KILL), T(role, limit_other, KILL),                   \
	T(role, own_signals, KILL), T(role, setuid, KILL),                     \
	T(role, memory, OK), T(role, log, OK)
	COMMON(SMTPD_PARENT), COMMON(SMTPD_SESSION), COMMON(QUEUED_PARENT),
	COMMON(QUEUED_WORKER), COMMON(QMGR), COMMON(LOCAL_PARENT),
	COMMON(LOCAL_DELIVERY), COMMON(AUTHD), COMMON(AUTHD_VERIFY),
	COMMON(POP3D_PARENT), COMMON(POP3D_SESSION), COMMON(MAILBOX_PARENT),
	COMMON(POP3D_MAILBOX), COMMON(LOCAL_VIRTUAL), COMMON(MAILBOX_VIRTUAL),
	COMMON(BOUNCE_PARENT), COMMON(BOUNCE),
	COMMON(PICKUP), COMMON(PICKUP_FILE),

	/* One process for one connection: nothing but its descriptors. */
#define CONNECTION(role)                                                       \
	T(role, open_passwd, KILL), T(role, read_own, KILL),                   \
	T(role, unlink, KILL), T(role, unix, KILL), T(role, fork, KILL),       \
	T(role, thread, KILL), T(role, clone_namespace, KILL),                 \
	T(role, kill_parent, KILL), T(role, be_daemon, KILL),                  \
	T(role, pipe, OK), T(role, pair, OK)
	CONNECTION(SMTPD_SESSION), CONNECTION(POP3D_SESSION),
	CONNECTION(BOUNCE), CONNECTION(PICKUP_FILE),

	T(AUTHD_VERIFY, open_passwd, KILL), T(AUTHD_VERIFY, read_own, KILL),
	T(AUTHD_VERIFY, unix, KILL), T(AUTHD_VERIFY, fork, KILL),
	T(AUTHD_VERIFY, pipe, KILL), T(AUTHD_VERIFY, kill_parent, KILL),

	/* Their parents: read what they were given, connect, fork. */
#define ACCEPTING(role)                                                        \
	T(role, open_passwd, DENY), T(role, read_own, OK),                     \
	T(role, read_other, DENY), T(role, write_own, KILL),                   \
	T(role, unlink, KILL), T(role, unix, OK), T(role, fork, OK),           \
	T(role, thread, KILL), T(role, clone_namespace, KILL),                 \
	T(role, be_daemon, KILL)
	ACCEPTING(SMTPD_PARENT), ACCEPTING(POP3D_PARENT), ACCEPTING(AUTHD),
	ACCEPTING(BOUNCE_PARENT),

	/* Who connects with other hosts: TCP alone, no file, no UNIX socket. */
	T(REMOTE, tcp, OK), T(REMOTE, exec, KILL), T(REMOTE, ptrace, KILL),
	T(REMOTE, open_passwd, KILL), T(REMOTE, read_own, KILL),
	T(REMOTE, unlink, KILL), T(REMOTE, unix, KILL), T(REMOTE, pair, KILL),
	T(REMOTE, pipe, KILL), T(REMOTE, fork, KILL), T(REMOTE, thread, KILL),
	T(REMOTE, clone_namespace, KILL), T(REMOTE, kill_parent, KILL),
	T(REMOTE, own_signals, KILL), T(REMOTE, code, KILL),
	T(REMOTE, be_daemon, KILL), T(REMOTE, memory, OK), T(REMOTE, log, OK),
	T(REMOTE_PARENT, exec, KILL), T(REMOTE_PARENT, code, KILL),
	T(REMOTE_PARENT, kill_all, KILL), T(REMOTE_PARENT, setuid, KILL),
	ACCEPTING(REMOTE_PARENT),

	/* Who asks the DNS: the network, no UNIX socket of its own making, and
	 * of files what it was given. */
	T(DNSD, tcp, OK), T(DNSD, exec, KILL), T(DNSD, ptrace, KILL),
	T(DNSD, open_passwd, DENY), T(DNSD, read_own, OK),
	T(DNSD, read_other, DENY), T(DNSD, write_own, KILL),
	T(DNSD, unlink, KILL), T(DNSD, unix, KILL), T(DNSD, pair, KILL),
	T(DNSD, pipe, KILL), T(DNSD, fork, KILL), T(DNSD, thread, KILL),
	T(DNSD, clone_namespace, KILL), T(DNSD, kill_parent, KILL),
	T(DNSD, own_signals, KILL), T(DNSD, code, KILL),
	T(DNSD, be_daemon, KILL), T(DNSD, setuid, KILL), T(DNSD, memory, OK),
	T(DNSD, log, OK),

	/* The queue. */
#define QUEUE(role)                                                            \
	T(role, open_passwd, DENY), T(role, read_own, OK),                     \
	T(role, read_other, DENY), T(role, write_own, OK),                     \
	T(role, write_other, DENY), T(role, tmpfile_link, OK),                 \
	T(role, rename, OK), T(role, unlink, OK), T(role, steal, DENY),        \
	T(role, unix, OK), T(role, be_daemon, KILL)
	QUEUE(QUEUED_PARENT), QUEUE(QUEUED_WORKER), QUEUE(QMGR),
	T(QUEUED_PARENT, fork, OK), T(QUEUED_WORKER, fork, KILL),
	T(QMGR, fork, KILL),
	QUEUE(PICKUP), T(PICKUP, fork, OK), T(PICKUP, thread, KILL),
	T(PICKUP, clone_namespace, KILL),

	/* The mailbox owners. */
#define OWNER(role)                                                            \
	T(role, open_passwd, DENY), T(role, read_own, OK),                     \
	T(role, read_other, DENY), T(role, write_own, OK),                     \
	T(role, write_other, DENY), T(role, tmpfile_link, OK),                 \
	T(role, rename, OK), T(role, unlink, OK), T(role, mkdir, OK),          \
	T(role, steal, DENY), T(role, unix, KILL), T(role, pipe, KILL),        \
	T(role, fork, KILL), T(role, thread, KILL),                            \
	T(role, kill_parent, KILL), T(role, be_daemon, KILL),                  \
	T(role, be_root, KILL)
	OWNER(LOCAL_DELIVERY), OWNER(POP3D_MAILBOX),

	/* Their parents: other users, but only those of mailboxes. */
#define SETTING(role)                                                          \
	T(role, fork, OK), T(role, unix, OK), T(role, thread, KILL),           \
	T(role, clone_namespace, KILL), T(role, be_root, KILL),                \
	T(role, be_root_hidden, KILL), T(role, stay_part_root, KILL),          \
	T(role, be_daemon, KILL), T(role, groups, KILL),                       \
	T(role, become, OK_ROOT)
	SETTING(LOCAL_PARENT), SETTING(MAILBOX_PARENT),

	/* The same where all mailboxes have one owner. */
	T(LOCAL_VIRTUAL, fork, OK), T(LOCAL_VIRTUAL, be_daemon, KILL),
	T(LOCAL_VIRTUAL, groups, KILL), T(LOCAL_VIRTUAL, rename, OK),
	T(MAILBOX_VIRTUAL, fork, OK), T(MAILBOX_VIRTUAL, be_daemon, KILL),
	T(MAILBOX_VIRTUAL, groups, KILL), T(MAILBOX_VIRTUAL, rename, OK),

	T(SPAWNER_PARENT, fork, OK), T(SPAWNER_PARENT, unix, OK),
	T(SPAWNER_PARENT, tcp, OK), T(SPAWNER_PARENT, open_passwd, OK),
	T(SPAWNER_PARENT, memory, OK), T(SPAWNER_PARENT, exec, OK),
	T(SPAWNER_PARENT, become, OK_ROOT),
	T(SPAWNER_PARENT, be_root, DENY),
	T(SPAWNER_PARENT, be_root_hidden, DENY),
	T(SPAWNER_PARENT, stay_part_root, DENY),
	T(SPAWNER_PARENT, be_daemon, DENY), T(SPAWNER_PARENT, groups, DENY),
	T(SPAWNER_PARENT, setuid, DENY), T(SPAWNER_PARENT, ptrace, DENY),
	T(SPAWNER_PARENT, mount, DENY), T(SPAWNER_PARENT, namespace, DENY),
	T(SPAWNER_PARENT, clone_namespace, DENY),
};

/* Delivery for the one owner below a parent that has no capability. */
static int
try_virtual_delivery(void)
{
	pid_t pid = proc_fork(NULL);
	int status;

	if (pid == 0) {
		enter(ROLE_LOCAL_DELIVERY);
		_exit(try_rename() == 0 && try_tmpfile_link() == 0 ? 0 : 1);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 ? -1 :
	    0;
}

START_TEST(virtual_delivery)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		sandbox_prepare(ROLE_LOCAL_DELIVERY, UID_MIN);
		enter(ROLE_LOCAL_VIRTUAL);
		_exit(try_virtual_delivery() == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(call)
{
	enum want want = cases[_i].want;
	int got;

	if (want == OK_ROOT && geteuid() != 0)
		return;
	if (!sandbox_enforces() && want != OK && want != OK_ROOT)
		return;
	if (want == DENY && sandbox_landlock_abi() < 2)
		return;
	got = outcome(cases[_i].role, cases[_i].call);
	ck_assert_msg(got == (want == KILL ? 128 + SIGSYS :
	    want == DENY ? DENIED : ENTERED), "%s: got %d", cases[_i].name,
	    got);
}
END_TEST

/* ---- what /proc says ---- */

struct seen {
	char text[4096];
};

static void
read_proc(pid_t pid, const char *name, struct seen *seen)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	n = read(fd, seen->text, sizeof(seen->text) - 1);
	ck_assert_int_gt(n, 0);
	seen->text[n] = '\0';
	close(fd);
}

static void
has_line(const struct seen *seen, enum role role, const char *line)
{
	ck_assert_msg(strstr(seen->text, line) != NULL, "%s: no \"%s\" in\n%s",
	    sandbox_role_name(role), line, seen->text);
}

/* A child in the role, which waits until the other end of *gate is closed. */
static pid_t
child_in(enum role role, int *gate)
{
	int up[2], down[2];
	pid_t pid;
	char c = 0;

	ck_assert_int_eq(pipe2(up, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(down, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		close(down[1]);
		close(up[0]);
		enter(role);
		if (write(up[1], "x", 1) == 1)
			(void)!read(down[0], &c, 1);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	ck_assert_int_eq(read(up[0], &c, 1), 1);
	close(up[0]);
	*gate = down[1];
	return pid;
}

START_TEST(proc_status)
{
	enum role role = (enum role)_i;
	bool setid = role == ROLE_LOCAL_PARENT || role == ROLE_MAILBOX_PARENT ||
	    role == ROLE_SPAWNER_PARENT;
	const char *caps = setid ? "00000000000000c0" : "0000000000000000";
	struct seen seen;
	char line[160], path[64], root[256];
	ssize_t n;
	int gate, end;
	pid_t pid = child_in(role, &gate);

	read_proc(pid, "status", &seen);
	has_line(&seen, role, "NoNewPrivs:\t1\n");
	has_line(&seen, role, "Seccomp:\t2\n");
	if (geteuid() == 0) {
		has_line(&seen, role, "Uid:\t65534\t65534\t65534\t65534\n");
		has_line(&seen, role, "Gid:\t65534\t65534\t65534\t65534\n");
		has_line(&seen, role, "Groups:\t \n");
		snprintf(line, sizeof(line), "CapPrm:\t%s\nCapEff:\t%s\n"
		    "CapBnd:\t%s\nCapAmb:\t0000000000000000\n", caps, caps,
		    caps);
		has_line(&seen, role, line);
		snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
		n = readlink(path, root, sizeof(root) - 1);
		ck_assert_int_gt(n, 0);
		root[n] = '\0';
		if (has_empty_root(role))
			ck_assert_str_eq(root, tree.empty);
		else if (role == ROLE_QMGR || role == ROLE_QUEUED_PARENT)
			ck_assert_str_eq(root, tree.own);
		else
			ck_assert_str_eq(root, "/");
	} else {
		has_line(&seen, role, "CapEff:\t0000000000000000\n");
	}
	read_proc(pid, "limits", &seen);
	if (sandbox_enforces())
		has_line(&seen, role, "Max core file size        0        ");
	close(gate);
	ck_assert_int_eq(waitpid(pid, &end, 0), pid);
	ck_assert_int_eq(end, 0);
}
END_TEST

/* ---- what ends the process before it is caged ---- */

static int
end_of(void (*fn)(void))
{
	pid_t pid = fork();
	int status, null;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
enter_as_root(void)
{
	sandbox_enter(ROLE_QMGR, &(struct sandbox_args){.uid = 0, .gid = 0});
}

static void
enter_full_root(void)
{
	sandbox_enter(ROLE_SMTPD_PARENT, &(struct sandbox_args){.uid = NOBODY,
	    .gid = NOBODY, .root = "/etc"});
}

static void
enter_writable_root(void)
{
	sandbox_enter(ROLE_SMTPD_PARENT, &(struct sandbox_args){.uid = NOBODY,
	    .gid = NOBODY, .root = tree.other});
}

static void
enter_no_root(void)
{
	sandbox_enter(ROLE_SMTPD_PARENT, &(struct sandbox_args){.uid = NOBODY,
	    .gid = NOBODY});
}

static void
enter_low_owner(void)
{
	sandbox_enter(ROLE_LOCAL_DELIVERY, &(struct sandbox_args){
	    .uid = UID_MIN - 1, .gid = NOBODY, .uid_min = UID_MIN});
}

static void
enter_root_group(void)
{
	sandbox_enter(ROLE_LOCAL_DELIVERY, &(struct sandbox_args){
	    .uid = NOBODY, .gid = 0, .uid_min = 1});
}

START_TEST(refused)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(end_of(enter_as_root), 100);
	ck_assert_int_eq(end_of(enter_full_root), 100);
	ck_assert_int_eq(end_of(enter_writable_root), 100);
	ck_assert_int_eq(end_of(enter_no_root), 100);
	ck_assert_int_eq(end_of(enter_low_owner), 111);
	ck_assert_int_eq(end_of(enter_root_group), 111);
}
END_TEST

Suite *
sandbox_suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("sandbox");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, call, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_loop_test(t, proc_status, 0, ROLE_COUNT);
	tcase_add_test(t, virtual_delivery);
	tcase_add_test(t, refused);
	suite_add_tcase(s, t);
	return s;
}
