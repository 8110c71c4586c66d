/*
 * pickup's parent: watches the drop directory, says whose file is next, and
 * forks a process for it.  It sees names and what the kernel says of them, and
 * removes what queued has.  Files that are not taken now stay where they are.
 */
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "queue/pickup.h"

#define PROCESSES 4          /* files read at once */
#define USER_PROCESSES (PROCESSES - 1u) /* no user has them all */
#define PAUSE_FIRST_MS 250
#define PAUSE_MAX_MS 30000
#define SHORT_MS 60000       /* until a file that lacks octets is no mail */
#define SCAN_SHARE 10        /* looking takes at most a tenth of the time */
#define SCAN_LEAST_MS 100
#define LOCK_TRIES 50        /* of 100 ms */

/* A file with a process of its own. */
struct slot {
	pid_t pid;           /* 0: free */
	struct mail_id name;
	struct stat st;
};

struct parent {
	struct pickup *p;
	struct loop *loop;
	struct loop_io *events;
	struct loop_timer *timer;
	struct pickup_users users;
	struct slot slots[PROCESSES];
	size_t busy;
	int64_t next_scan_ms;    /* clock_mono_ms */
	int64_t scan_from_ms;    /* not before: what the last one cost */
	int64_t pause_ms;        /* queued is away: nothing before */
	int64_t wait_ms;         /* of the last such pause */
	bool stopping;
};

static int64_t
longer(int64_t wait_ms)
{
	if (wait_ms == 0)
		return PAUSE_FIRST_MS;
	return wait_ms * 2 < PAUSE_MAX_MS ? wait_ms * 2 : PAUSE_MAX_MS;
}

static void
pause_all(struct parent *p)
{
	p->wait_ms = longer(p->wait_ms);
	p->pause_ms = loop_now(p->loop) + p->wait_ms;
}

static void
pause_user(struct parent *p, uid_t uid)
{
	struct pickup_user *u = pickup_users_find(&p->users, uid);

	if (u == NULL)
		return;
	u->wait_ms = longer(u->wait_ms);
	u->pause_ms = loop_now(p->loop) + u->wait_ms;
}

static void
idle_user(struct parent *p, uid_t uid)
{
	struct pickup_user *u = pickup_users_find(&p->users, uid);

	if (u != NULL)
		u->running--;
}

/* ---- one file ---- */

static void
remove_file(struct parent *p, const struct slot *s)
{
	struct stat st;

	/* Its owner may have put another one in its place. */
	if (fstatat(p->p->drop_fd, s->name.s, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    st.st_ino != s->st.st_ino || st.st_dev != s->st.st_dev)
		return;
	if (unlinkat(p->p->drop_fd, s->name.s, 0) != 0 && errno != ENOENT) {
		LOG_ERROR("not-removed", LS("name", s->name.s), LE());
		pause_user(p, s->st.st_uid);
	}
}

/* The descriptor, or -1; *st is the file's.  Leases and pipes are not waited
 * for. */
static int
open_file(struct parent *p, const char *name, struct stat *st)
{
	const char *why;
	bool later = false;
	int fd;

	if (fstatat(p->p->drop_fd, name, st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	why = pickup_strange(p->p, st, clock_real_ms(), &later);
	fd = why != NULL ? -1 : openat(p->p->drop_fd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (why == NULL && fd < 0 && errno == EACCES)
		why = "it cannot be read: its mode is not 0640";
	if (fd >= 0) {
		/* What is open counts, and not what was looked at. */
		if (fstat(fd, st) != 0) {
			close(fd);
			return -1;
		}
		why = pickup_strange(p->p, st, clock_real_ms(), &later);
	}
	if (why == NULL)
		return fd;
	if (fd >= 0)
		close(fd);
	if (!later)
		pickup_set_aside(p->p, name, st, why);
	return -1;
}

/* In the child. */
static _Noreturn void
child(struct parent *p, const struct pickup_job *job)
{
	int keep[3] = {job->fd, job->queue_fd, job->who_fd};

	loop_forked(&p->loop);
	proc_close_except(keep, 3);
	_exit(pickup_process(&p->p->conf, job));
}

static bool
start(struct parent *p, struct slot *s, int fd)
{
	struct pickup_job job = {.fd = fd, .uid = s->st.st_uid,
	    .id = pickup_id(&s->st, s->name.s), .name = s->name.s,
	    .left_ms = (int64_t)s->st.st_mtim.tv_sec * 1000};

	job.queue_fd = chan_dial(SOCKET_QUEUE);
	job.who_fd = job.queue_fd < 0 ? -1 : chan_dial(SOCKET_ADDRESS);
	if (job.queue_fd >= 0 && job.who_fd >= 0) {
		s->pid = proc_fork(NULL);
		if (s->pid == 0)
			child(p, &job);
		if (s->pid < 0)
			log_warn("cannot fork for a file");
	} else {
		if (p->wait_ms == 0)
			log_warn("cannot connect to %s; files wait",
			    job.queue_fd < 0 ? SOCKET_QUEUE : SOCKET_ADDRESS);
		s->pid = -1;
	}
	if (job.queue_fd >= 0)
		close(job.queue_fd);
	if (job.who_fd >= 0)
		close(job.who_fd);
	if (s->pid > 0) {
		p->busy++;
		return true;
	}
	s->pid = 0;
	return false;
}

static struct slot *
free_slot(struct parent *p)
{
	for (size_t i = 0; i < PROCESSES; i++)
		if (p->slots[i].pid == 0)
			return &p->slots[i];
	return NULL;
}

/* The user is free again where no process was started. */
static void
begin(struct parent *p, struct slot *s, uid_t listed)
{
	int fd = open_file(p, s->name.s, &s->st);
	struct mail_id id;

	if (fd < 0) {
		idle_user(p, listed);
		return;
	}
	id = pickup_id(&s->st, s->name.s);
	switch (pickup_known(p->p, &id)) {
	case PICKUP_QUEUED:
		LOG_INFO("taken-before", LS("id", id.s),
		    LS("name", s->name.s));
		remove_file(p, s);
		idle_user(p, listed);
		break;
	case PICKUP_BUSY:
		p->users.more = true;
		pause_user(p, listed);
		idle_user(p, listed);
		break;
	case PICKUP_NEW:
		/* The list's owner is who waits for this process, whoever the
		 * file's is by now. */
		if (!start(p, s, fd)) {
			p->users.more = true;
			pause_all(p);
			idle_user(p, listed);
		} else {
			s->st.st_uid = listed;
		}
		break;
	}
	close(fd);
}

static void
dispatch(struct parent *p)
{
	int64_t now = loop_now(p->loop);
	struct pickup_user *u;
	struct mail_id name;
	struct slot *s;

	while (!p->stopping && now >= p->pause_ms &&
	    (s = free_slot(p)) != NULL &&
	    (u = pickup_users_next(&p->users, now, USER_PROCESSES, &name)) !=
	    NULL) {
		s->name = name;
		begin(p, s, u->uid);
	}
}

static void
short_file(struct parent *p, const struct slot *s)
{
	struct stat st;

	if (fstatat(p->p->drop_fd, s->name.s, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_ino == s->st.st_ino && clock_real_ms() -
	    (int64_t)st.st_ctim.tv_sec * 1000 > SHORT_MS)
		pickup_set_aside(p->p, s->name.s, &s->st,
		    "it is not whole: fewer octets than it says");
}

static void
ended(struct parent *p, const struct slot *s, int code)
{
	struct pickup_user *u = pickup_users_find(&p->users, s->st.st_uid);

	switch (code) {
	case PICKUP_TAKEN:
		remove_file(p, s);
		p->wait_ms = 0;
		if (u != NULL && u->pause_ms <= loop_now(p->loop))
			u->wait_ms = 0;
		break;
	case PICKUP_NO_MAIL:
		pickup_set_aside(p->p, s->name.s, &s->st,
		    "see the line above");
		break;
	case PICKUP_SHORT:
		short_file(p, s);
		break;
	case PICKUP_NEWER:
		break;
	case PICKUP_REFUSED:
		p->users.more = true;
		pause_user(p, s->st.st_uid);
		break;
	default: /* PICKUP_DOWN, or the process died */
		p->users.more = true;
		pause_all(p);
		break;
	}
}

static void schedule(struct parent *p);

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct parent *p = arg;
	struct slot *s = NULL;

	for (size_t i = 0; i < PROCESSES; i++)
		if (p->slots[i].pid == pid)
			s = &p->slots[i];
	if (s == NULL)
		return;
	s->pid = 0;
	p->busy--;
	idle_user(p, s->st.st_uid);
	if (WIFEXITED(wstatus)) {
		ended(p, s, WEXITSTATUS(wstatus));
	} else {
		/* What kills its reader is never read again. */
		LOG_ERROR("process-died", LI("pid", pid),
		    LI("wstatus", wstatus));
		pickup_set_aside(p->p, s->name.s, &s->st,
		    "the process that read it died");
	}
	if (p->stopping && p->busy == 0)
		loop_stop(p->loop);
	dispatch(p);
	schedule(p);
}

/* ---- what lies there ---- */

/* A name that begins with a dot: not whole yet, and at some time never. */
static void
partial(struct parent *p, const char *name, const struct stat *st)
{
	int64_t age = clock_real_ms() - (int64_t)st->st_ctim.tv_sec * 1000;

	if (age < (int64_t)p->p->conf.drop_partial_max_ms)
		return;
	if (unlinkat(p->p->drop_fd, name, 0) == 0)
		LOG_INFO("partial-removed", LS("name", name),
		    LU("uid", st->st_uid));
	else if (errno != ENOENT)
		pickup_set_aside(p->p, name, st, "no file");
}

static void
found(struct parent *p, const char *name)
{
	struct mail_id id;
	struct stat st;
	bool later;
	const char *why;

	if (slice_prefix(slice_of(name), SLICE(PICKUP_BAD)) ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    fstatat(p->p->drop_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	if (name[0] == '.') {
		partial(p, name, &st);
		return;
	}
	why = pickup_strange(p->p, &st, clock_real_ms(), &later);
	if (!id_parse(slice_of(name), &id))
		why = "its name is no id";
	if (why == NULL)
		(void)pickup_users_add(&p->users, st.st_uid, &id);
	else if (later)
		p->users.more = true;
	else
		pickup_set_aside(p->p, name, &st, why);
}

static void
scan(struct parent *p)
{
	int64_t begun = clock_mono_ms(), cost;
	int fd = openat(p->p->drop_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	p->users.user_max = (size_t)p->p->conf.drop_user_max;
	pickup_users_begin(&p->users, begun);
	if (d == NULL) {
		log_warn("drop_dir cannot be read");
		if (fd >= 0)
			close(fd);
	} else {
		while ((e = readdir(d)) != NULL)
			found(p, e->d_name);
		closedir(d);
	}
	pickup_users_end(&p->users);
	cost = clock_mono_ms() - begun;
	p->next_scan_ms = begun + cost +
	    (int64_t)p->p->conf.drop_scan_ms;
	p->scan_from_ms = begun + cost * (SCAN_SHARE + 1) + SCAN_LEAST_MS;
}

/* When there is something to do without anybody saying so. */
static void
schedule(struct parent *p)
{
	int64_t at = p->next_scan_ms, wake;

	if (p->stopping)
		return;
	/* What had no place, or was put off, is found by looking again. */
	if (p->users.more && p->users.names == 0 && p->busy == 0 &&
	    p->scan_from_ms < at)
		at = p->scan_from_ms > p->pause_ms ? p->scan_from_ms
		    : p->pause_ms;
	wake = pickup_users_wake(&p->users, USER_PROCESSES);
	if (wake < p->pause_ms)
		wake = p->pause_ms;
	if (p->busy < PROCESSES && p->users.names > 0 && wake < at)
		at = wake;
	loop_timer_set(p->timer, at);
}

static void
on_timer(void *arg)
{
	struct parent *p = arg;
	int64_t now = loop_now(p->loop);

	if (now >= p->next_scan_ms || (p->users.more && p->users.names == 0 &&
	    p->busy == 0 && now >= p->scan_from_ms))
		scan(p);
	dispatch(p);
	schedule(p);
}

/* Fresh files come in front of a look through the directory. */
static void
on_events(void *arg, unsigned events)
{
	struct parent *p = arg;
	_Alignas(struct inotify_event) char room[16384];
	const struct inotify_event *e;
	ssize_t n;

	(void)events;
	n = read(p->p->inotify_fd, room, sizeof(room));
	for (ssize_t at = 0; at < n;) {
		e = (const struct inotify_event *)(const void *)(room + at);
		at += (ssize_t)(sizeof(*e) + e->len);
		if (e->mask & IN_Q_OVERFLOW)
			p->users.more = true;
		else if (e->len > 0)
			found(p, e->name);
	}
	dispatch(p);
	schedule(p);
}

/* ---- the process ---- */

static void
on_term(void *arg)
{
	struct parent *p = arg;

	proc_stopping();
	p->stopping = true;
	loop_timer_stop(p->timer);
	if (p->busy == 0)
		loop_stop(p->loop);
}

static void
on_hup(void *arg)
{
	struct parent *p = arg;

	if (p->stopping)
		return;
	proc_reloading();
	if (conf_reload(&p->p->conf))
		p->next_scan_ms = loop_now(p->loop);
	proc_ready();
	schedule(p);
}

static void
check_drop_dir(struct pickup *p)
{
	struct stat st;

	if (fstat(p->drop_fd, &st) != 0)
		die_errno(EXIT_TEMPORARY, "drop_dir %s", p->conf.drop_dir);
	if (geteuid() == 0 && st.st_uid != p->uid)
		die(EXIT_PERMANENT, "drop_dir %s belongs to uid %u, not to "
		    "user_queue (%s); `postern setup` mends it",
		    p->conf.drop_dir, (unsigned)st.st_uid,
		    p->conf.user_queue);
	if ((st.st_mode & 0002) != 0 && (st.st_mode & S_ISVTX) == 0)
		die(EXIT_PERMANENT, "drop_dir %s: everybody may remove others' "
		    "files there (mode %04o); `postern setup` mends it",
		    p->conf.drop_dir, (unsigned)(st.st_mode & 07777));
	p->drop_gid = st.st_gid;
	p->check_gid = (st.st_mode & S_ISGID) != 0;
}

static int
open_dir(const char *key, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die_errno(EXIT_PERMANENT, "%s: %s cannot be opened; `postern "
		    "setup` makes it", key, path);
	return fd;
}

/* One pickup a directory; an earlier one may be ending. */
static void
lock_drop_dir(const struct pickup *p)
{
	const struct timespec pause = {0, 100000000};

	for (int i = 0; flock(p->drop_fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			die_errno(EXIT_TEMPORARY, "drop_dir %s: cannot be "
			    "locked: one pickup a directory",
			    p->conf.drop_dir);
		if (i == 0)
			log_warnx("drop_dir %s is another pickup's: waiting",
			    p->conf.drop_dir);
		nanosleep(&pause, NULL);
	}
}

void
pickup_open(struct pickup *p)
{
	const struct conf *c = &p->conf;
	struct sys_user me = user_need("user_queue", c->user_queue);
	int queue_fd;

	p->uid = me.uid;
	p->gid = me.gid;
	p->drop_fd = open_dir("drop_dir", c->drop_dir);
	check_drop_dir(p);
	lock_drop_dir(p);
	queue_fd = open_dir("queue_dir", c->queue_dir);
	for (int i = 0; i < QDIR_COUNT; i++) {
		p->queue_fds[i] = openat(queue_fd, qdir_names[i],
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (p->queue_fds[i] < 0)
			die_errno(EXIT_PERMANENT, "queue_dir: %s/%s cannot be "
			    "opened; `postern setup` makes it", c->queue_dir,
			    qdir_names[i]);
	}
	close(queue_fd);
	p->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->inotify_fd < 0 || inotify_add_watch(p->inotify_fd, c->drop_dir,
	    IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
		log_warn("drop_dir is not watched, only looked at (drop_scan)");
		if (p->inotify_fd >= 0)
			close(p->inotify_fd);
		p->inotify_fd = -1;
	}
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered (make "
		    "it with group postern and mode 2750; `postern check` "
		    "shows all)", c->run_dir);
	(void)proc_max_files();
}

static void
enter_cage(const struct pickup *p)
{
	struct sandbox_path paths[] = {
	    {conf_keep_fd(), NULL, SANDBOX_READ},
	    {p->drop_fd, NULL, SANDBOX_WRITE},
	    {p->queue_fds[QDIR_INCOMING], NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = p->uid, .gid = p->gid,
	    .root = RUN_EMPTY, .paths = paths, .npaths = 3};

	sandbox_require(p->conf.require_sandbox);
	sandbox_prepare(ROLE_PICKUP_FILE, 0);
	sandbox_enter(ROLE_PICKUP, &args);
}

int
pickup_run(struct pickup *pickup)
{
	struct parent p = {.p = pickup};

	enter_cage(pickup);
	p.loop = loop_new();
	loop_signal(p.loop, SIGTERM, on_term, &p);
	loop_signal(p.loop, SIGHUP, on_hup, &p);
	loop_children(p.loop, on_child, &p);
	p.timer = loop_timer_new(p.loop, on_timer, &p);
	if (pickup->inotify_fd >= 0)
		p.events = loop_io_new(p.loop, pickup->inotify_fd, LOOP_READ,
		    on_events, &p);
	loop_timer_in(p.timer, 0); /* what is there already */
	proc_ready();
	loop_run(p.loop);
	pickup_users_free(&p.users);
	return 0;
}
