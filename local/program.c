/*
 * One program of an alias or forward file: in a process of its own below the
 * spawner, with the rights of the user it runs as.  The message goes to its
 * standard input through a pipe; what it says on standard output and error is
 * kept as far as it fits a reply.  No shell: the words of the command line are
 * the program's arguments.
 */
#include <sys/pidfd.h>
#include <sys/wait.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/qfile.h"
#include "common/mail/target.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "local/spawner.h"
#include "local/text.h"

#define ARGS_MAX 100u
#define ENV_MAX 20u

/* The program as the process that feeds it sees it. */
struct program {
	const struct spawner *s;
	pid_t pid;           /* leader of its own process group; 0: not begun */
	int pidfd;           /* readable when it has ended */
	int in, out;         /* its standard input; its words */
	int64_t end_ms;      /* clock_mono_ms */
	bool deaf;           /* it closed its standard input */
	bool ended;          /* pidfd says so; not yet waited for */
	bool late;
	struct buf words;
	char *file;
	char **argv, **env;
	const char *dir;     /* where it starts; NULL: / */
	int exec_error;
	bool no_dir;         /* exec_error is chdir's */
};

/* ---- words, environment ---- */

char *
program_clean(struct slice s)
{
	char *copy = slice_dup(s), *p;

	for (p = copy; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) &&
		    strchr("!@%-_=+:,./", *p) == NULL)
			*p = '_';
	return copy;
}

static char *
variable(const char *name, struct slice value, bool clean)
{
	struct buf b = BUF_INIT(65536);
	char *v = clean ? program_clean(value) : slice_dup(value);

	buf_printf(&b, "%s=%s", name, v);
	free(v);
	return b.s;
}

static char *
path_variable(const struct conf *c)
{
	struct buf b = BUF_INIT(65536);
	size_t i;

	buf_adds(&b, "PATH=");
	for (i = 0; i < c->pipe_path.n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ":" : "", c->pipe_path.v[i]);
	return b.s;
}

/* A clean environment: nothing of the daemon's own. */
static char **
environment(const struct spawner *s, const struct delivery_job *j)
{
	char **env = mem_array(ENV_MAX, sizeof(*env));
	struct slice local = j->address, domain = SLICE_EMPTY;
	size_t at = j->address.len, n = 0;

	while (at > 0 && j->address.p[at - 1] != '@')
		at--;
	if (at > 0) {
		local = slice_sub(j->address, 0, at - 1);
		domain = slice_sub(j->address, at, j->address.len);
	}
	env[n++] = path_variable(&s->conf);
	env[n++] = variable("HOME",
	    j->home.len > 0 ? j->home : SLICE("/"), false);
	env[n++] = variable("USER", j->user, true);
	env[n++] = variable("LOGNAME", j->user, true);
	env[n++] = variable("SHELL", SLICE("/bin/sh"), false);
	env[n++] = variable("LANG", SLICE("C"), false);
	env[n++] = variable("SENDER", j->sender, true);
	env[n++] = variable("RECIPIENT", j->address, true);
	env[n++] = variable("LOCAL", local, true);
	env[n++] = variable("DOMAIN", domain, true);
	env[n++] = variable("HOST", domain, true);
	env[n++] = variable("EXTENSION", j->extension, true);
	env[n++] = variable("EXT", j->extension, true);
	env[n++] = variable("MESSAGE_ID", j->id, true);
	env[n] = NULL;
	return env;
}

/* The program's file: as written when it has a slash, else from pipe_path. */
static char *
find_file(const struct conf *c, const char *name)
{
	char path[4200];
	size_t i;

	if (strchr(name, '/') != NULL)
		return mem_dup(name);
	for (i = 0; i < c->pipe_path.n; i++) {
		snprintf(path, sizeof(path), "%s/%s", c->pipe_path.v[i], name);
		if (access(path, X_OK) == 0)
			return mem_dup(path);
	}
	return NULL;
}

static bool
arguments(struct program *p, const struct delivery_job *j, struct buf *words,
    struct status *st)
{
	char *at;
	int i, n;

	n = target_words(j->program, words, ARGS_MAX);
	if (n <= 0) {
		status_set(st, 451, 3, 5, "Command line not understood");
		return false;
	}
	p->argv = mem_array((size_t)n + 1, sizeof(*p->argv));
	at = words->s;
	for (i = 0; i < n; i++) {
		p->argv[i] = at;
		at += strlen(at) + 1;
	}
	p->file = find_file(&p->s->conf, p->argv[0]);
	if (p->file == NULL) {
		status_set(st, 451, 3, 5, "Program %s not found in pipe_path",
		    p->argv[0]);
		return false;
	}
	p->argv[0] = p->file;
	return true;
}

static void
free_strings(char **v)
{
	for (char **s = v; s != NULL && *s != NULL; s++)
		free(*s);
	free(v);
}

/* ---- start ---- */

static _Noreturn void
become_program(struct program *p, int in, int out, int error_fd)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;
	int e;

	setsid();
	sigaction(SIGPIPE, &standard, NULL);
	sigaction(SIGXFSZ, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0) {
		/* A relative path means another file in another directory. */
		if (chdir(p->dir != NULL ? p->dir : "/") != 0)
			e = -errno;
		else {
			execve(p->file, p->argv, p->env);
			e = errno;
		}
	} else
		e = errno;
	while (write(error_fd, &e, sizeof(e)) < 0 && errno == EINTR)
		;
	_exit(EXIT_TEMPORARY);
}

/* Begun with the first octets of the message, so that a message that goes
 * round in circles never starts it. */
static int
start(struct program *p)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	int result = -1, e = 0;
	ssize_t n;

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
	    pipe2(err, O_CLOEXEC) != 0)
		goto out;
	p->pid = fork();
	if (p->pid == 0)
		become_program(p, in[0], out[1], err[1]);
	if (p->pid < 0) {
		p->pid = 0;
		goto out;
	}
	close(err[1]);
	err[1] = -1;
	/* Ends at once with the exec, or brings its errno. */
	do
		n = read(err[0], &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		p->no_dir = e < 0;
		p->exec_error = e < 0 ? -e : e;
		errno = p->exec_error;
		goto out;
	}
	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd < 0)
		goto out;
	p->in = in[1];
	p->out = out[0];
	in[1] = out[0] = -1;
	fcntl(p->in, F_SETFL, O_NONBLOCK);
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	result = 0;
out:
	e = errno;
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
		if (err[i] >= 0)
			close(err[i]);
	}
	errno = e;
	return result;
}

/* ---- feeding ---- */

/* Keeps the start of what the program says. */
static void
listen_to(struct program *p)
{
	char b[4096];
	ssize_t n;

	n = read(p->out, b, sizeof(b));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(p->out);
		p->out = -1;
		return;
	}
	if ((size_t)n > p->words.max - p->words.len)
		n = (ssize_t)(p->words.max - p->words.len);
	buf_add(&p->words, b, (size_t)n);
}

/* Waits until it takes input (when feeding), says something, or time is up. */
static int
wait_for(struct program *p, bool feeding)
{
	struct pollfd v[3] = {{p->out, POLLIN, 0},
	    {feeding ? p->in : -1, POLLOUT, 0}, {p->pidfd, POLLIN, 0}};
	int64_t left = p->end_ms - clock_mono_ms();
	int n;

	if (left <= 0) {
		p->late = true;
		errno = ETIMEDOUT;
		return -1;
	}
	n = poll(v, 3, left > 60000 ? 60000 : (int)left);
	if (n > 0 && v[0].revents != 0)
		listen_to(p);
	if (n > 0 && v[2].revents != 0)
		p->ended = true;
	return 0;
}

static int
feed(void *arg, const char *octets, size_t n)
{
	struct program *p = arg;
	ssize_t w;

	if (p->pid == 0 && start(p) != 0)
		return -1;
	while (n > 0 && !p->deaf) {
		w = write(p->in, octets, n);
		if (w > 0) {
			octets += w;
			n -= (size_t)w;
		} else if (w < 0 && errno == EPIPE) {
			p->deaf = true; /* it need not read everything */
		} else if (w < 0 && errno != EAGAIN && errno != EINTR) {
			return -1;
		} else if (p->ended) {
			/* Who is left of its children does not read either. */
			p->deaf = true;
		} else if (wait_for(p, true) != 0)
			return -1;
	}
	return 0;
}

/* ---- the end ---- */

static void
stop(struct program *p)
{
	int wstatus;

	kill(-p->pid, SIGKILL);
	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &wstatus, 0) < 0 && errno == EINTR)
		;
}

/* Waits for it and what it says; false: time is up and it was killed. */
static bool
finish(struct program *p, int *wstatus)
{
	pid_t done;

	if (p->in >= 0)
		close(p->in);
	p->in = -1;
	for (;;) {
		done = waitpid(p->pid, wstatus, WNOHANG);
		if (done == p->pid)
			break;
		if (wait_for(p, false) != 0) {
			stop(p);
			return false;
		}
	}
	while (p->out >= 0 && p->words.len < p->words.max) {
		size_t before = p->words.len;

		listen_to(p);
		if (p->words.len == before)
			break;
	}
	return true;
}

static const struct {
	int code;
	uint32_t reply, subject, detail;
	const char *text;
} exits[] = {
	{0, 250, 0, 0, "Delivered to program"},
	{99, 250, 0, 0, "Delivered to program"},
	{100, 550, 3, 0, "Program refused the message"},
	{111, 451, 3, 0, "Program asks to try later"},
	{EX_USAGE, 550, 3, 5, "Program was called wrongly"},
	{EX_DATAERR, 550, 6, 0, "Program could not use the message"},
	{EX_NOUSER, 550, 1, 1, "Program does not know the user"},
	{EX_NOHOST, 550, 1, 2, "Program does not know the host"},
	{EX_UNAVAILABLE, 550, 3, 0, "Program refused the message"},
	{EX_SOFTWARE, 550, 3, 0, "Program failed inside"},
	{EX_OSERR, 451, 3, 0, "Program met a system fault"},
	{EX_OSFILE, 550, 3, 5, "Program misses a system file"},
	{EX_CANTCREAT, 550, 3, 0, "Program could not write its output"},
	{EX_IOERR, 451, 3, 0, "Program met an I/O fault"},
	{EX_TEMPFAIL, 451, 3, 0, "Program asks to try later"},
	{EX_PROTOCOL, 550, 5, 0, "Program met a protocol fault"},
	{EX_NOPERM, 550, 7, 0, "Program lacks the permission"},
	{EX_CONFIG, 550, 3, 5, "Program is not configured"},
};

void
program_outcome(int wstatus, const char *words, struct status *st)
{
	const char *gap = *words != '\0' ? ": " : "";
	size_t i;
	int code;

	if (!WIFEXITED(wstatus)) {
		status_set(st, 451, 3, 0, "Program was killed by signal %d%s%s",
		    WTERMSIG(wstatus), gap, words);
		return;
	}
	code = WEXITSTATUS(wstatus);
	for (i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
		if (exits[i].code != code)
			continue;
		status_set(st, exits[i].reply, exits[i].subject,
		    exits[i].detail, "%s%s%s", exits[i].text,
		    code == 0 ? "" : gap, code == 0 ? "" : words);
		return;
	}
	/* What nobody has defined is not worth losing a message for. */
	status_set(st, 451, 3, 0, "Program ended with status %d%s%s", code, gap,
	    words);
}

static void
fault(const struct program *p, struct status *st)
{
	int error = errno;

	if (p->late)
		status_set(st, 451, 4, 7, "Program took longer than "
		    "pipe_timeout and was ended");
	else if (error == ELOOP)
		status_set(st, 554, 4, 6,
		    "Mail loop: delivered to this program before");
	else if (p->no_dir)
		status_set(st, 451, 3, 5, "Home directory cannot be entered: "
		    "%s", strerror(p->exec_error));
	else if (p->exec_error != 0)
		status_set(st, 451, 3, 5, "Program %s cannot be run: %s",
		    p->file, strerror(p->exec_error));
	else
		status_set(st, 451, 3, 0, "Local fault (%s)", strerror(error));
}

/* The words on one line. */
static void
one_line(struct buf *b)
{
	size_t i;

	for (i = 0; i < b->len; i++)
		if (b->s[i] == '\n' || b->s[i] == '\r' || b->s[i] == '\t' ||
		    b->s[i] == '\0')
			b->s[i] = ' ';
	while (b->len > 0 && b->s[b->len - 1] == ' ')
		b->s[--b->len] = '\0';
}

static void
run(struct program *p, struct text *t, struct slice id, int message_fd,
    struct status *st)
{
	char why[STATUS_TEXT_MAX];
	struct qreader *r;
	struct qfile *q;
	int wstatus;

	if (qfile_adopt(message_fd, false, &q, why) != QFILE_OK) {
		status_set(st, 451, 3, 0, "Queue file unreadable: %s", why);
		return;
	}
	if (!slice_eq(qfile_env(q)->id, id)) {
		status_set(st, 451, 3, 0, "Queue file is another message's");
		qfile_free(&q);
		return;
	}
	t->binary = (qfile_env(q)->flags & ENV_BINARYMIME) != 0;
	r = qreader_new(q, TEXT_READ);
	if (text_copy(t, r) != 0) {
		fault(p, st);
		if (p->pid > 0)
			stop(p);
	} else if (finish(p, &wstatus)) {
		one_line(&p->words);
		program_outcome(wstatus, p->words.s, st);
	} else
		fault(p, st);
	qreader_free(&r);
	qfile_free(&q);
}

void
program_run(const struct spawner *s, const struct delivery_job *j,
    int message_fd, struct status *st)
{
	struct program p = {.s = s, .in = -1, .out = -1, .pidfd = -1};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct buf words = BUF_INIT(DELIVERY_PROGRAM_MAX * 2);
	struct buf out = BUF_INIT(2 * TEXT_OUT_MIN);
	char *home = j->home.len > 0 ? slice_dup(j->home) : NULL;
	char *sender = slice_dup(j->sender), *address = slice_dup(j->address);
	struct text t = {.sender = sender, .address = address, .out = &out,
	    .sink = feed, .arg = &p};

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
	buf_init(&p.words, s->conf.pipe_output_max);
	p.end_ms = clock_mono_ms() + (int64_t)s->conf.pipe_timeout_ms;
	p.env = environment(s, j);
	p.dir = home;
	sandbox_become(j->uid, j->gid);
	if (arguments(&p, j, &words, st))
		run(&p, &t, j->id, message_fd, st);
	else
		close(message_fd);
	if (p.words.len > 0) {
		LOG_INFO("program-said", LB("id", j->id), LB("to", j->address),
		    LB("words", buf_slice(&p.words)));
	}
	if (p.in >= 0)
		close(p.in);
	if (p.out >= 0)
		close(p.out);
	if (p.pidfd >= 0)
		close(p.pidfd);
	free_strings(p.env);
	free(p.argv);
	free(p.file);
	free(home);
	free(sender);
	free(address);
	buf_free(&words);
	buf_free(&out);
	buf_free(&p.words);
}
