/*
 * A library for LD_PRELOAD that breaks the n-th system call of a program: kills
 * it before or after the call, makes the call fail, or lets a write fall short.
 * Tests count n up until the shim says that it was not reached.
 *
 *	POSTERN_FAULT=call=linkat,n=3,do=kill-before
 *
 *	call   one of the names in calls[] below, several joined by '+', or
 *	       "any": all that change something (not open, read, pread, recvmsg)
 *	n      which one, counted from 1 over all processes that share the
 *	       counter; "3+" is the third and all later ones
 *	do     kill-before, kill-after, short (half of the octets; counts only
 *	       calls that write octets), errno=EIO (ENOSPC ...)
 *	name   only programs of this name (program_invocation_short_name), so
 *	       that a whole suite may be started with one environment
 *	stderr "yes": writes to descriptor 2 count too
 *
 *	POSTERN_FAULT_REACHED=PATH
 *
 * PATH is made when it is not there and holds the counter: its first octet is
 * '1' when the n-th call was reached and '0' before; octets 8 to 15 are the
 * number of calls so far (unsigned, the machine's order).  Without it every
 * program counts for itself (with the children it forks).
 *
 * Everything is opened before main, so that cages do not matter; afterwards
 * the shim makes only the calls the program asked for.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum call {
	CALL_WRITE, CALL_WRITEV, CALL_PWRITE, CALL_PWRITEV, CALL_SENDTO,
	CALL_SENDMSG, CALL_FSYNC, CALL_FDATASYNC, CALL_SYNC_FILE_RANGE,
	CALL_FTRUNCATE, CALL_LINK, CALL_LINKAT, CALL_RENAME, CALL_RENAMEAT,
	CALL_RENAMEAT2, CALL_UNLINK, CALL_UNLINKAT, CALL_MKDIRAT,
	CALL_UTIMENSAT, CALL_OPEN, CALL_READ, CALL_PREAD, CALL_RECVMSG,
	CALL_COUNT
};

static const struct {
	const char *name;
	bool octets;  /* writes some: may fall short */
	bool changes; /* belongs to "any" */
} calls[CALL_COUNT] = {
	[CALL_WRITE] = {"write", true, true},
	[CALL_WRITEV] = {"writev", true, true},
	[CALL_PWRITE] = {"pwrite", true, true},
	[CALL_PWRITEV] = {"pwritev", true, true},
	[CALL_SENDTO] = {"sendto", true, true}, /* send, too */
	[CALL_SENDMSG] = {"sendmsg", true, true},
	[CALL_FSYNC] = {"fsync", false, true},
	[CALL_FDATASYNC] = {"fdatasync", false, true},
	[CALL_SYNC_FILE_RANGE] = {"sync_file_range", false, true},
	[CALL_FTRUNCATE] = {"ftruncate", false, true},
	[CALL_LINK] = {"link", false, true},
	[CALL_LINKAT] = {"linkat", false, true},
	[CALL_RENAME] = {"rename", false, true},
	[CALL_RENAMEAT] = {"renameat", false, true},
	[CALL_RENAMEAT2] = {"renameat2", false, true},
	[CALL_UNLINK] = {"unlink", false, true},
	[CALL_UNLINKAT] = {"unlinkat", false, true},
	[CALL_MKDIRAT] = {"mkdirat", false, true}, /* mkdir, too */
	[CALL_UTIMENSAT] = {"utimensat", false, true}, /* futimens, too */
	[CALL_OPEN] = {"open", false, false}, /* openat, too */
	[CALL_READ] = {"read", false, false},
	[CALL_PREAD] = {"pread", false, false},
	[CALL_RECVMSG] = {"recvmsg", false, false},
};

static const struct {
	const char *name;
	int value;
} errors[] = {
	{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
	{"EROFS", EROFS}, {"EFBIG", EFBIG}, {"EMFILE", EMFILE},
	{"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES},
	{"EPERM", EPERM}, {"ENOENT", ENOENT}, {"EEXIST", EEXIST},
	{"EINTR", EINTR}, {"EAGAIN", EAGAIN}, {"EPIPE", EPIPE},
	{"ECONNRESET", ECONNRESET}, {"EOPNOTSUPP", EOPNOTSUPP},
	{"EINVAL", EINVAL}, {"ENOSYS", ENOSYS},
};

enum fault { FAULT_NONE, FAULT_BEFORE, FAULT_AFTER, FAULT_ERRNO, FAULT_SHORT };

/* What is in the file, or in memory shared with children. */
struct counter {
	char reached; /* '0' or '1' */
	char pad[7];
	_Atomic uint64_t count;
};

static struct {
	enum fault what;
	int error;
	uint64_t n;
	bool later;    /* n and all after it */
	bool log;      /* descriptor 2 counts */
	bool wanted[CALL_COUNT];
	struct counter *counter; /* NULL: the shim does nothing */
} shim;

/* ---- start ---- */

static _Noreturn void
refuse(const char *what)
{
	dprintf(STDERR_FILENO, "fault-shim: bad POSTERN_FAULT: %s\n", what);
	_exit(100);
}

static void
set_calls(char *list)
{
	char *name;

	while ((name = strsep(&list, "+")) != NULL) {
		bool found = false;

		for (int i = 0; i < CALL_COUNT; i++) {
			if (strcmp(name, calls[i].name) != 0 &&
			    (strcmp(name, "any") != 0 || !calls[i].changes))
				continue;
			shim.wanted[i] = true;
			found = true;
		}
		if (!found)
			refuse(name);
	}
}

static void
set_fault(const char *what)
{
	if (strcmp(what, "kill-before") == 0)
		shim.what = FAULT_BEFORE;
	else if (strcmp(what, "kill-after") == 0)
		shim.what = FAULT_AFTER;
	else if (strcmp(what, "short") == 0)
		shim.what = FAULT_SHORT;
	else if (strncmp(what, "errno=", 6) == 0)
		shim.what = FAULT_ERRNO;
	else
		refuse(what);
	if (shim.what != FAULT_ERRNO)
		return;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(what + 6, errors[i].name) == 0)
			shim.error = errors[i].value;
	if (shim.error == 0)
		refuse(what);
}

static void
set_number(const char *text)
{
	char *end;

	shim.n = strtoull(text, &end, 10);
	shim.later = *end == '+';
	if (shim.n == 0 || end[shim.later] != '\0')
		refuse(text);
}

/* False: this program is not meant. */
static bool
parse(char *spec)
{
	bool meant = true;
	char *part;

	while ((part = strsep(&spec, ",")) != NULL) {
		char *value = strchr(part, '=');

		if (value != NULL)
			*value++ = '\0';
		else
			refuse(part);
		if (strcmp(part, "call") == 0)
			set_calls(value);
		else if (strcmp(part, "n") == 0)
			set_number(value);
		else if (strcmp(part, "do") == 0)
			set_fault(value);
		else if (strcmp(part, "name") == 0)
			meant = strcmp(value,
			    program_invocation_short_name) == 0;
		else if (strcmp(part, "stderr") == 0)
			shim.log = strcmp(value, "yes") == 0;
		else
			refuse(part);
	}
	if (shim.n == 0 || shim.what == FAULT_NONE)
		refuse("n and do are needed");
	return meant;
}

static struct counter *
map_counter(const char *path)
{
	struct counter *c;
	int fd = -1;

	if (path != NULL) {
		fd = (int)syscall(SYS_openat, AT_FDCWD, path,
		    O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0 ||
		    syscall(SYS_ftruncate, fd, sizeof(*c)) < 0) {
			dprintf(STDERR_FILENO, "fault-shim: %s: %s\n", path,
			    strerror(errno));
			_exit(111);
		}
	}
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
	    fd >= 0 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, fd, 0);
	if (c == MAP_FAILED) {
		dprintf(STDERR_FILENO, "fault-shim: mmap: %s\n",
		    strerror(errno));
		_exit(111);
	}
	if (fd >= 0)
		close(fd);
	if (c->reached == '\0')
		c->reached = '0';
	return c;
}

__attribute__((constructor)) static void
start(void)
{
	const char *spec = getenv("POSTERN_FAULT");
	char *copy;

	if (spec == NULL)
		return;
	copy = strdup(spec);
	if (copy == NULL)
		_exit(111);
	if (parse(copy))
		shim.counter = map_counter(getenv("POSTERN_FAULT_REACHED"));
	free(copy);
}

/* ---- at each call ---- */

/* A cage that forbids kill kills as well. */
static _Noreturn void
end_program(void)
{
	syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	for (;;)
		__builtin_trap();
}

/* What is to happen at this call. */
static enum fault
arrive(enum call call, int fd)
{
	uint64_t now;

	if (shim.counter == NULL || !shim.wanted[call])
		return FAULT_NONE;
	if (shim.what == FAULT_SHORT && !calls[call].octets)
		return FAULT_NONE;
	if (fd == STDERR_FILENO && !shim.log)
		return FAULT_NONE;
	now = atomic_fetch_add(&shim.counter->count, 1) + 1;
	if (now != shim.n && !(shim.later && now > shim.n))
		return FAULT_NONE;
	shim.counter->reached = '1';
	if (shim.what == FAULT_BEFORE)
		end_program();
	if (shim.what == FAULT_ERRNO)
		errno = shim.error;
	return shim.what;
}

static long
leave(enum fault fault, long result)
{
	if (fault == FAULT_AFTER)
		end_program();
	return result;
}

/* One call without octets: the whole body of its function. */
#define PASS(call, fd, ...)                                                    \
	do {                                                                   \
		enum fault fault_ = arrive((call), (fd));                      \
		if (fault_ == FAULT_ERRNO)                                     \
			return -1;                                             \
		return (int)leave(fault_, syscall(__VA_ARGS__));               \
	} while (0)

static size_t
shorter(enum fault fault, size_t n)
{
	return fault == FAULT_SHORT && n > 1 ? n / 2 : n;
}

/* The first octets of v, half of all of them, in *piece: enough for one
 * call, which then writes less than asked for. */
static struct iovec
first_piece(const struct iovec *v, size_t n)
{
	struct iovec piece = {NULL, 0};
	size_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += v[i].iov_len;
	for (size_t i = 0; i < n && piece.iov_len == 0; i++)
		piece = v[i];
	if (piece.iov_len > all / 2 && all > 1)
		piece.iov_len = all / 2;
	return piece;
}

/* ---- calls with octets ---- */

ssize_t
write(int fd, const void *p, size_t n)
{
	enum fault fault = arrive(CALL_WRITE, fd);

	if (fault == FAULT_ERRNO)
		return -1;
	return leave(fault, syscall(SYS_write, fd, p, shorter(fault, n)));
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	enum fault fault = arrive(CALL_WRITEV, fd);
	struct iovec piece;

	if (fault == FAULT_ERRNO)
		return -1;
	if (fault == FAULT_SHORT && n > 0) {
		piece = first_piece(v, (size_t)n);
		v = &piece;
		n = 1;
	}
	return leave(fault, syscall(SYS_writev, fd, v, n));
}

static ssize_t
pwrite_any(int fd, const void *p, size_t n, off_t at)
{
	enum fault fault = arrive(CALL_PWRITE, fd);

	if (fault == FAULT_ERRNO)
		return -1;
	return leave(fault,
	    syscall(SYS_pwrite64, fd, p, shorter(fault, n), at));
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite_any(fd, p, n, at);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return pwrite_any(fd, p, n, at);
}

static ssize_t
pwritev_any(int fd, const struct iovec *v, int n, off_t at)
{
	enum fault fault = arrive(CALL_PWRITEV, fd);
	struct iovec piece;

	if (fault == FAULT_ERRNO)
		return -1;
	if (fault == FAULT_SHORT && n > 0) {
		piece = first_piece(v, (size_t)n);
		v = &piece;
		n = 1;
	}
	return leave(fault, syscall(SYS_pwritev, fd, v, n, at, 0L));
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return pwritev_any(fd, v, n, at);
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	return pwritev_any(fd, v, n, at);
}

ssize_t
sendto(int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to,
    socklen_t tolen)
{
	enum fault fault = arrive(CALL_SENDTO, fd);

	if (fault == FAULT_ERRNO)
		return -1;
	return leave(fault, syscall(SYS_sendto, fd, p, shorter(fault, n),
	    flags, to.__sockaddr__, tolen));
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	return sendto(fd, p, n, flags, (const struct sockaddr *)NULL, 0);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	enum fault fault = arrive(CALL_SENDMSG, fd);
	struct msghdr less = *m;
	struct iovec piece;

	if (fault == FAULT_ERRNO)
		return -1;
	if (fault == FAULT_SHORT && m->msg_iovlen > 0) {
		piece = first_piece(m->msg_iov, m->msg_iovlen);
		less.msg_iov = &piece;
		less.msg_iovlen = 1;
	}
	return leave(fault, syscall(SYS_sendmsg, fd, &less, flags));
}

/* ---- calls that sync or cut ---- */

int
fsync(int fd)
{
	PASS(CALL_FSYNC, fd, SYS_fsync, fd);
}

int
fdatasync(int fd)
{
	PASS(CALL_FDATASYNC, fd, SYS_fdatasync, fd);
}

int
sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
	PASS(CALL_SYNC_FILE_RANGE, fd, SYS_sync_file_range, fd, at, n, flags);
}

int
ftruncate(int fd, off_t size)
{
	PASS(CALL_FTRUNCATE, fd, SYS_ftruncate, fd, size);
}

int
ftruncate64(int fd, off64_t size)
{
	PASS(CALL_FTRUNCATE, fd, SYS_ftruncate, fd, size);
}

int
futimens(int fd, const struct timespec t[2])
{
	PASS(CALL_UTIMENSAT, fd, SYS_utimensat, fd, NULL, t, 0);
}

int
utimensat(int dirfd, const char *path, const struct timespec t[2], int flags)
{
	PASS(CALL_UTIMENSAT, -1, SYS_utimensat, dirfd, path, t, flags);
}

/* ---- names: by the system call the C library would have made, because a
 * cage may know only that one ---- */

int
link(const char *from, const char *to)
{
#ifdef SYS_link
	PASS(CALL_LINK, -1, SYS_link, from, to);
#else
	PASS(CALL_LINK, -1, SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
#endif
}

int
linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
	PASS(CALL_LINKAT, -1, SYS_linkat, fromfd, from, tofd, to, flags);
}

int
rename(const char *from, const char *to)
{
#ifdef SYS_rename
	PASS(CALL_RENAME, -1, SYS_rename, from, to);
#else
	PASS(CALL_RENAME, -1, SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
#endif
}

int
renameat(int fromfd, const char *from, int tofd, const char *to)
{
#ifdef SYS_renameat
	PASS(CALL_RENAMEAT, -1, SYS_renameat, fromfd, from, tofd, to);
#else
	PASS(CALL_RENAMEAT, -1, SYS_renameat2, fromfd, from, tofd, to, 0);
#endif
}

int
renameat2(int fromfd, const char *from, int tofd, const char *to,
    unsigned flags)
{
	PASS(CALL_RENAMEAT2, -1, SYS_renameat2, fromfd, from, tofd, to, flags);
}

int
unlink(const char *path)
{
#ifdef SYS_unlink
	PASS(CALL_UNLINK, -1, SYS_unlink, path);
#else
	PASS(CALL_UNLINK, -1, SYS_unlinkat, AT_FDCWD, path, 0);
#endif
}

int
unlinkat(int dirfd, const char *path, int flags)
{
	PASS(CALL_UNLINKAT, -1, SYS_unlinkat, dirfd, path, flags);
}

int
mkdirat(int dirfd, const char *path, mode_t mode)
{
	PASS(CALL_MKDIRAT, -1, SYS_mkdirat, dirfd, path, mode);
}

int
mkdir(const char *path, mode_t mode)
{
#ifdef SYS_mkdir
	PASS(CALL_MKDIRAT, -1, SYS_mkdir, path, mode);
#else
	PASS(CALL_MKDIRAT, -1, SYS_mkdirat, AT_FDCWD, path, mode);
#endif
}

/* ---- opening and reading ---- */

static int
open_any(int dirfd, const char *path, int flags, va_list ap)
{
	mode_t mode = 0;

	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
		mode = va_arg(ap, mode_t);
	PASS(CALL_OPEN, -1, SYS_openat, dirfd, path, flags, mode);
}

#define OPEN(dirfd, path, flags)                                               \
	do {                                                                   \
		va_list ap_;                                                   \
		int fd_;                                                       \
		va_start(ap_, flags);                                          \
		fd_ = open_any((dirfd), (path), (flags), ap_);                 \
		va_end(ap_);                                                   \
		return fd_;                                                    \
	} while (0)

int
open(const char *path, int flags, ...)
{
	OPEN(AT_FDCWD, path, flags);
}

int
open64(const char *path, int flags, ...)
{
	OPEN(AT_FDCWD, path, flags);
}

int
openat(int dirfd, const char *path, int flags, ...)
{
	OPEN(dirfd, path, flags);
}

int
openat64(int dirfd, const char *path, int flags, ...)
{
	OPEN(dirfd, path, flags);
}

ssize_t
read(int fd, void *p, size_t n)
{
	enum fault fault = arrive(CALL_READ, fd);

	if (fault == FAULT_ERRNO)
		return -1;
	return leave(fault, syscall(SYS_read, fd, p, n));
}

static ssize_t
pread_any(int fd, void *p, size_t n, off_t at)
{
	enum fault fault = arrive(CALL_PREAD, fd);

	if (fault == FAULT_ERRNO)
		return -1;
	return leave(fault, syscall(SYS_pread64, fd, p, n, at));
}

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	return pread_any(fd, p, n, at);
}

ssize_t
pread64(int fd, void *p, size_t n, off64_t at)
{
	return pread_any(fd, p, n, at);
}

/* What _FORTIFY_SOURCE makes of the two. */
ssize_t __read_chk(int fd, void *p, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *p, size_t n, off_t at, size_t room);
ssize_t __pread64_chk(int fd, void *p, size_t n, off64_t at, size_t room);

ssize_t
__read_chk(int fd, void *p, size_t n, size_t room)
{
	if (n > room)
		abort();
	return read(fd, p, n);
}

ssize_t
__pread_chk(int fd, void *p, size_t n, off_t at, size_t room)
{
	if (n > room)
		abort();
	return pread_any(fd, p, n, at);
}

ssize_t
__pread64_chk(int fd, void *p, size_t n, off64_t at, size_t room)
{
	if (n > room)
		abort();
	return pread_any(fd, p, n, at);
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	enum fault fault = arrive(CALL_RECVMSG, fd);

	if (fault == FAULT_ERRNO)
		return -1;
	return leave(fault, syscall(SYS_recvmsg, fd, m, flags));
}
