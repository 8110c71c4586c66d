/*
 * What sendmail(1) is asked for besides sending: mailq, newaliases and -q are
 * postern(8)'s work, and -bs is smtpd's.  Runs with the caller's rights, who
 * is told when they do not reach.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "queue/sendmail.h"

#define PIECE 16384

/* postern(8) is installed beside the real sendmail, whatever link it was called
 * by. */
static bool
find_postern(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n <= 0)
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL || (size_t)(slash - path) + sizeof("/postern") > size)
		return false;
	memcpy(slash, "/postern", sizeof("/postern"));
	return access(path, X_OK) == 0;
}

static int
run_postern(const struct sendmail_options *o, const char *const *words)
{
	const char *args[12];
	char path[4096];
	size_t n = 0;

	if (!find_postern(path, sizeof(path))) {
		sendmail_say(o, "postern(8) is not beside sendmail; use "
		    "`postern %s`", words[0]);
		return EX_OSFILE;
	}
	args[n++] = "postern";
	if (o->conf_file != NULL) {
		args[n++] = "-c";
		args[n++] = o->conf_file;
	}
	for (; *words != NULL && n < 11; words++)
		args[n++] = *words;
	args[n] = NULL;
	fflush(stdout);
	execv(path, (char *const *)(uintptr_t)args);
	sendmail_say(o, "%s: %s", path, strerror(errno));
	return EX_OSERR;
}

/* Before postern complains in its own words. */
static bool
may(const struct sendmail_options *o, const char *path, int how,
    const char *what)
{
	if (access(path, how) == 0 || errno != EACCES)
		return true;
	sendmail_say(o, "%s: only root and the user of the queue may %s",
	    path, what);
	return false;
}

static int
list_queue(const struct sendmail_options *o, const struct conf *c)
{
	static const char *const words[] = {"queue", "list", NULL};

	if (!may(o, c->queue_dir, R_OK | X_OK, "look at the queue"))
		return EX_NOPERM;
	return run_postern(o, words);
}

static int
compile_aliases(const struct sendmail_options *o, const struct conf *c)
{
	static const char *const words[] = {"table", "aliases", NULL};

	if (!may(o, c->table_dir, W_OK | X_OK, "compile the aliases"))
		return EX_NOPERM;
	return run_postern(o, words);
}

static int
run_queue(const struct sendmail_options *o, const struct conf *c)
{
	const char *words[] = {"queue", "retry", NULL, NULL, NULL, NULL};

	if (!may(o, c->queue_dir, R_OK | X_OK, "run the queue"))
		return EX_NOPERM;
	if (o->run_what == 'I') {
		words[2] = o->run_text;
	} else {
		words[2] = "--all";
		if (o->run_what != '\0') {
			words[3] = o->run_what == 'R' ? "--recipient"
			    : "--sender";
			words[4] = o->run_text;
		}
	}
	return run_postern(o, words);
}

int
admin_run(const struct sendmail_options *o, const struct conf *c)
{
	switch (o->mode) {
	case SENDMAIL_LIST:
		return list_queue(o, c);
	case SENDMAIL_ALIASES:
		return compile_aliases(o, c);
	default:
		return run_queue(o, c);
	}
}

/* ---- -bs ---- */

/* Octets from one descriptor to the other until the end of the first. */
static bool
copy(int from, int to)
{
	char piece[PIECE];
	struct pollfd p = {.fd = from, .events = POLLIN};
	ssize_t n, done, w;

	for (;;) {
		n = read(from, piece, sizeof(piece));
		if (n < 0 && errno == EAGAIN)
			(void)poll(&p, 1, -1);
		else if (n == 0 || (n < 0 && errno != EINTR))
			return n == 0;
		for (done = 0; done < n; done += w) {
			w = write(to, piece + done, (size_t)(n - done));
			if (w < 0 && errno != EINTR)
				return false;
			if (w < 0)
				w = 0;
		}
	}
}

/* One process for each direction: neither waits for the other. */
int
smtp_relay(const struct conf *c)
{
	int fd = smtp_dial(c), flags;
	pid_t child;
	bool ok;

	if (fd < 0) {
		printf("421 4.3.2 %s does not take mail now, try later\r\n",
		    c->hostname);
		fflush(stdout);
		return EX_TEMPFAIL;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags != -1)
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	child = fork();
	if (child == -1)
		return EX_OSERR;
	if (child == 0) {
		(void)copy(STDIN_FILENO, fd);
		/* The caller's end: smtpd answers what it has and closes. */
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	ok = copy(fd, STDOUT_FILENO);
	/* It waits for further commands, and nobody is there for them. */
	kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	return ok ? EX_OK : EX_IOERR;
}
