/*
 * The life of a program: its first steps, readiness towards s6 and systemd,
 * sockets handed over by the supervisor, children.  Runs in every daemon; the
 * only input is the environment the supervisor made.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <bsd/stdlib.h>
#include <bsd/unistd.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/base/slice.h"
#include "common/sys/proc.h"

#define LISTEN_FIRST 3
#define LISTEN_MAX 256
#define KEEP_MAX 64
#define TITLE_MAX 128

/* What the supervisor gave this process; set at start, cleared in children. */
static struct {
	int ready_fd;       /* s6's, or -1 */
	int notify_fd;      /* systemd's socket, or -1 */
	int listen_n;       /* descriptors handed over; -1: not looked yet */
	char *listen_names; /* LISTEN_FDNAMES, or NULL */
	bool settled;       /* the heap; holes of later reloads are used again,
	                     * filling them each time would never end */
} given = {-1, -1, -1, NULL, false};

/* A socket opened as descriptor 2 would receive the log. */
static void
open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1)
			_exit(EXIT_TEMPORARY);
	} while (fd <= 2);
	close(fd);
}

/* sd_notify(3): a datagram to the socket named in the environment, "@" for an
 * abstract name.  Connected now, because the cage will hide it. */
static void
connect_notify(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	socklen_t len;
	size_t n;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n < sizeof(sa.sun_path)) {
		memcpy(sa.sun_path, path, n);
		if (path[0] == '@')
			sa.sun_path[0] = '\0';
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd != -1 &&
		    connect(fd, (const struct sockaddr *)&sa, len) == 0) {
			given.notify_fd = fd;
		} else {
			log_warn("NOTIFY_SOCKET %s", path);
			if (fd != -1)
				close(fd);
		}
	}
	unsetenv("NOTIFY_SOCKET");
}

/* The title is the command line, as without us; what libbsd's function needs is
 * looked up here, and not by every child again. */
static void
show_command(int argc, char *argv[])
{
	struct buf b = BUF_INIT(1024);
	int i;

	for (i = 0; i < argc; i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "", argv[i]);
	setproctitle("-%s", b.s);
	buf_free(&b);
}

void
proc_start(int argc, char *argv[], char *envp[], const char *name)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	open_standard_fds();
	umask(077);
	sigaction(SIGPIPE, &ignore, NULL);
	log_open(name);
	setprogname(name);
	setproctitle_init(argc, argv, envp);
	mem_start();
	show_command(argc, argv);
	clock_preload();
	connect_notify();
}

static void
notify(const char *text)
{
	size_t n = strlen(text);

	if (given.notify_fd == -1)
		return;
	if (send(given.notify_fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		log_warn("notification to the supervisor");
}

void
proc_ready_fd(int fd)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		die_errno(EXIT_PERMANENT, "-d %d: not an open descriptor", fd);
	given.ready_fd = fd;
}

void
proc_ready(void)
{
	if (given.ready_fd != -1) {
		if (write(given.ready_fd, "\n", 1) != 1)
			log_warn("readiness on descriptor %d", given.ready_fd);
		close(given.ready_fd);
		given.ready_fd = -1;
	}
	notify("READY=1");
	if (!given.settled)
		mem_settle();
	given.settled = true;
	LOG_INFO("ready", LS("version", POSTERN_VERSION));
}

void
proc_reloading(void)
{
	char text[80];

	/* systemd matches the moment against its own request. */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	    clock_mono_us());
	notify(text);
}

void
proc_stopping(void)
{
	notify("STOPPING=1");
}

void
proc_title(const char *fmt, ...)
{
	char title[TITLE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(title, sizeof(title), fmt, ap);
	va_end(ap);
	setproctitle("%s", title);
}

/* The supervisor's word, if it is meant for this process. */
static int
read_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint32_t who, n;

	if (fds == NULL || !num_u32(slice_of(fds), 1, LISTEN_MAX, &n))
		return 0;
	if (pid != NULL && (!num_u32(slice_of(pid), 1, INT32_MAX, &who) ||
	    (pid_t)who != getpid()))
		return 0;
	return (int)n;
}

int
proc_listen_fds(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int i;

	if (given.listen_n != -1)
		return given.listen_n;
	given.listen_n = read_listen_fds();
	for (i = 0; i < given.listen_n; i++)
		if (fcntl(LISTEN_FIRST + i, F_SETFD, FD_CLOEXEC) == -1)
			die_errno(EXIT_PERMANENT,
			    "LISTEN_FDS: descriptor %d", LISTEN_FIRST + i);
	if (names != NULL && given.listen_n > 0)
		given.listen_names = mem_dup(names);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return given.listen_n;
}

const char *
proc_listen_name(int i)
{
	static char name[64];
	struct slice rest, part = SLICE_EMPTY;
	int at = 0;

	name[0] = '\0';
	if (given.listen_names == NULL || i < 0 || i >= proc_listen_fds())
		return name;
	rest = slice_of(given.listen_names);
	while (slice_cut(&rest, ':', &part))
		if (at++ == i)
			snprintf(name, sizeof(name), "%.*s", SLICE_FMT(part));
	return name;
}

/* Handlers and blocked signals are the parent's business. */
static void
reset_signals(void)
{
	static const int handled[] = {SIGHUP, SIGINT, SIGTERM, SIGCHLD,
	    SIGUSR1, SIGUSR2, SIGALRM};
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaction(handled[i], &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t
proc_fork(const char *sid)
{
	/* Without the handlers of pthread_atfork and the locks of a library
	 * for threads, of which there are none: pages each child would copy. */
	pid_t pid = _Fork();

	if (pid == 0) {
		reset_signals();
		log_forked(sid);
	}
	return pid;
}

static void
close_between(unsigned first, unsigned last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0) != 0)
		die_errno(EXIT_TEMPORARY, "close_range");
}

void
proc_close_except(const int *keep, size_t n)
{
	int sorted[KEEP_MAX] = {0};
	unsigned next = 3;
	size_t i, j;

	assert(n <= KEEP_MAX);
	for (i = 0; i < n; i++) {
		for (j = i; j > 0 && sorted[j - 1] > keep[i]; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = keep[i];
	}
	given.ready_fd = -1;
	given.notify_fd = -1;
	for (i = 0; i < n; i++) {
		if (sorted[i] < (int)next)
			continue; /* 0-2, -1 or named twice */
		if (sorted[i] > (int)next)
			close_between(next, (unsigned)sorted[i] - 1);
		next = (unsigned)sorted[i] + 1;
	}
	close_between(next, ~0u);
}

long
proc_max_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die_errno(EXIT_TEMPORARY, "getrlimit");
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			log_warn("the limit of open descriptors");
		if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
			die_errno(EXIT_TEMPORARY, "getrlimit");
	}
	return limit.rlim_cur > LONG_MAX ? LONG_MAX : (long)limit.rlim_cur;
}
