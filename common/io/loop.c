/*
 * The event loop: epoll for descriptors, a heap for timers, a signalfd for
 * signals and children.  Runs in parents and keepers.  It reads nothing from
 * anybody; its handlers do.
 *
 * What epoll hands back is a slot number and a generation, never a pointer, so
 * that an event for something freed earlier in the same round finds nothing.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/loop.h"

#define BATCH 64 /* events taken from the kernel at a time */
#define UNARMED SIZE_MAX
#define DUE (SIZE_MAX - 1)

struct loop_io {
	struct loop *loop;
	int fd; /* the caller's */
	unsigned events;
	loop_io_fn *fn;
	void *arg;
	uint32_t slot;
	uint32_t generation;
};

struct loop_timer {
	struct loop *loop;
	loop_fn *fn;
	void *arg;
	int64_t at_ms;
	size_t heap_at; /* index in the heap, or UNARMED, or DUE */
	size_t due_at;  /* DUE: index in the list of those */
	size_t all_at;  /* index in the list of all */
};

struct callback {
	loop_fn *fn;
	void *arg;
};

struct child_callback {
	loop_child_fn *fn;
	void *arg;
};

struct loop {
	int epoll_fd;
	int64_t now_ms;
	bool stop;

	struct loop_io **ios; /* by slot; NULL where free */
	size_t nios, ios_cap;
	uint32_t *free_slots;
	size_t nfree, free_cap;
	uint32_t generation;

	struct loop_timer **heap; /* armed ones, the earliest first */
	size_t nheap, heap_cap;
	struct loop_timer **due; /* to be called in this round; NULL: stopped */
	size_t ndue, due_cap;
	struct loop_timer **timers; /* all of them: owned */
	size_t ntimers, timers_cap;

	struct callback *after;
	size_t nafter, after_cap;

	int signal_fd; /* -1 until the first loop_signal */
	struct loop_io *signal_io;
	sigset_t signals, mask_before;
	struct callback signal_fns[NSIG];

	struct child_callback *children;
	size_t nchildren, children_cap;
	bool reap; /* children may have ended before SIGCHLD was watched */
};

struct loop *
loop_new(void)
{
	struct loop *l = mem_alloc(sizeof(*l));

	l->signal_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd == -1)
		die_errno(EXIT_TEMPORARY, "cannot create an epoll descriptor");
	sigemptyset(&l->signals);
	l->now_ms = clock_mono_ms();
	return l;
}

/* Gives everything back; signals are as they were before the first
 * loop_signal. */
void
loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	if (l == NULL)
		return;
	close(l->epoll_fd);
	if (l->signal_fd != -1) {
		close(l->signal_fd);
		sigprocmask(SIG_SETMASK, &l->mask_before, NULL);
	}
	for (size_t i = 0; i < l->nios; i++)
		free(l->ios[i]);
	for (size_t i = 0; i < l->ntimers; i++)
		free(l->timers[i]);
	free(l->ios);
	free(l->free_slots);
	free(l->heap);
	free(l->due);
	free(l->timers);
	free(l->after);
	free(l->children);
	free(l);
	*lp = NULL;
}

/* The dispositions need no work: loop_signal made them the default ones, and
 * what was blocked for the parent is not pending in a child. */
void
loop_forked(struct loop **l)
{
	loop_free(l);
}

int64_t
loop_now(const struct loop *l)
{
	return l->now_ms;
}

/* Descriptors */

static struct epoll_event
epoll_event_of(const struct loop_io *io)
{
	struct epoll_event ev;

	memset(&ev, 0, sizeof(ev));
	if (io->events & LOOP_READ)
		ev.events |= EPOLLIN;
	if (io->events & LOOP_WRITE)
		ev.events |= EPOLLOUT;
	if (io->events & LOOP_EXCLUSIVE)
		ev.events |= EPOLLEXCLUSIVE;
	ev.data.u64 = (uint64_t)io->generation << 32 | io->slot;
	return ev;
}

struct loop_io *
loop_io_new(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *arg)
{
	struct loop_io *io = mem_alloc(sizeof(*io));
	struct epoll_event ev;

	io->loop = l;
	io->fd = fd;
	io->events = events;
	io->fn = fn;
	io->arg = arg;
	io->generation = ++l->generation;
	if (l->nfree > 0) {
		io->slot = l->free_slots[--l->nfree];
		l->ios[io->slot] = io;
	} else {
		io->slot = (uint32_t)l->nios;
		MEM_PUSH(l->ios, l->nios, l->ios_cap, io);
	}
	ev = epoll_event_of(io);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == -1)
		die_errno(EXIT_TEMPORARY, "cannot watch descriptor %d", fd);
	return io;
}

void
loop_io_events(struct loop_io *io, unsigned events)
{
	struct epoll_event ev;

	if (io->events == events)
		return;
	/* epoll does not modify an exclusive registration. */
	assert(((io->events | events) & LOOP_EXCLUSIVE) == 0);
	io->events = events;
	ev = epoll_event_of(io);
	if (epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) == -1)
		die_errno(EXIT_TEMPORARY, "cannot watch descriptor %d", io->fd);
}

void
loop_io_free(struct loop_io **iop)
{
	struct loop_io *io = *iop;
	struct loop *l;

	if (io == NULL)
		return;
	l = io->loop;
	/* A descriptor closed before this call stays registered as long as
	 * a forked child has it: its events would wake us for nothing. */
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL) == -1)
		log_warn("descriptor %d was closed while it was watched",
		    io->fd);
	l->ios[io->slot] = NULL;
	MEM_PUSH(l->free_slots, l->nfree, l->free_cap, io->slot);
	free(io);
	*iop = NULL;
}

static void
io_dispatch(struct loop *l, const struct epoll_event *ev)
{
	uint32_t slot = (uint32_t)(ev->data.u64 & UINT32_MAX);
	uint32_t generation = (uint32_t)(ev->data.u64 >> 32);
	struct loop_io *io = slot < l->nios ? l->ios[slot] : NULL;
	unsigned events = 0;

	if (io == NULL || io->generation != generation)
		return; /* freed by an earlier handler of this round */
	if (ev->events & EPOLLIN)
		events |= LOOP_READ;
	if (ev->events & EPOLLOUT)
		events |= LOOP_WRITE;
	/* What is broken can be read and written at once: the handler finds
	 * the reason there, even if it looks for nothing else. */
	if (ev->events & (EPOLLHUP | EPOLLERR))
		events |= LOOP_HANGUP | (io->events & (LOOP_READ | LOOP_WRITE));
	io->fn(io->arg, events);
}

/* Timers */

static void
heap_put(struct loop *l, size_t at, struct loop_timer *t)
{
	l->heap[at] = t;
	t->heap_at = at;
}

/* Moves t from the hole at `at` to where it belongs and closes the hole. */
static void
heap_settle(struct loop *l, size_t at, struct loop_timer *t)
{
	size_t up, down;

	while (at > 0) {
		up = (at - 1) / 2;
		if (l->heap[up]->at_ms <= t->at_ms)
			break;
		heap_put(l, at, l->heap[up]);
		at = up;
	}
	for (;;) {
		down = 2 * at + 1;
		if (down >= l->nheap)
			break;
		if (down + 1 < l->nheap &&
		    l->heap[down + 1]->at_ms < l->heap[down]->at_ms)
			down++;
		if (l->heap[down]->at_ms >= t->at_ms)
			break;
		heap_put(l, at, l->heap[down]);
		at = down;
	}
	heap_put(l, at, t);
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct loop_timer *t = mem_alloc(sizeof(*t));

	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->heap_at = UNARMED;
	t->all_at = l->ntimers;
	MEM_PUSH(l->timers, l->ntimers, l->timers_cap, t);
	return t;
}

void
loop_timer_set(struct loop_timer *t, int64_t at_ms)
{
	struct loop *l = t->loop;
	size_t at;

	if (t->heap_at == DUE)
		loop_timer_stop(t);
	at = t->heap_at;
	t->at_ms = at_ms;
	if (at == UNARMED) {
		at = l->nheap;
		MEM_PUSH(l->heap, l->nheap, l->heap_cap, t);
	}
	heap_settle(l, at, t);
}

void
loop_timer_in(struct loop_timer *t, int64_t wait_ms)
{
	int64_t now = clock_mono_ms();

	loop_timer_set(t, wait_ms < INT64_MAX - now ? now + wait_ms :
	    INT64_MAX);
}

void
loop_timer_stop(struct loop_timer *t)
{
	struct loop *l = t->loop;
	struct loop_timer *last;
	size_t at = t->heap_at;

	t->heap_at = UNARMED;
	if (at == UNARMED)
		return;
	if (at == DUE) {
		l->due[t->due_at] = NULL;
		return;
	}
	last = l->heap[--l->nheap];
	if (last != t)
		heap_settle(l, at, last);
}

void
loop_timer_free(struct loop_timer **tp)
{
	struct loop_timer *t = *tp, *last;
	struct loop *l;

	if (t == NULL)
		return;
	loop_timer_stop(t);
	l = t->loop;
	last = l->timers[--l->ntimers];
	l->timers[t->all_at] = last;
	last->all_at = t->all_at;
	free(t);
	*tp = NULL;
}

/* First all that are due leave the heap: what handlers arm anew waits for the
 * next round, whenever it is due. */
static void
timers_dispatch(struct loop *l)
{
	struct loop_timer *t;

	while (l->nheap > 0 && l->heap[0]->at_ms <= l->now_ms) {
		t = l->heap[0];
		loop_timer_stop(t);
		t->heap_at = DUE;
		t->due_at = l->ndue;
		MEM_PUSH(l->due, l->ndue, l->due_cap, t);
	}
	for (size_t i = 0; i < l->ndue; i++) {
		t = l->due[i];
		if (t == NULL)
			continue;
		t->heap_at = UNARMED;
		t->fn(t->arg);
	}
	l->ndue = 0;
}

static int
sleep_ms(const struct loop *l)
{
	int64_t left;

	if (l->nheap == 0 || l->heap[0]->at_ms == INT64_MAX)
		return -1;
	left = l->heap[0]->at_ms - clock_mono_ms();
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

void
loop_after(struct loop *l, loop_fn *fn, void *arg)
{
	struct callback cb = {fn, arg};

	MEM_PUSH(l->after, l->nafter, l->after_cap, cb);
}

/* Signals and children */

static void
signals_read(void *arg, unsigned events)
{
	struct loop *l = arg;
	struct signalfd_siginfo info[8];
	const struct callback *cb;
	ssize_t len;

	(void)events;
	/* What is left makes the descriptor readable in the next round. */
	len = read(l->signal_fd, info, sizeof(info));
	for (ssize_t i = 0; i < len / (ssize_t)sizeof(info[0]); i++) {
		if (info[i].ssi_signo >= NSIG)
			continue;
		cb = &l->signal_fns[info[i].ssi_signo];
		if (cb->fn != NULL)
			cb->fn(cb->arg);
	}
}

void
loop_signal(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	struct sigaction sa;
	int fd;

	assert(signo > 0 && signo < NSIG);
	l->signal_fns[signo] = (struct callback){fn, arg};
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL; /* inherited SIG_IGN would lose children */
	sigaction(signo, &sa, NULL);
	sigaddset(&l->signals, signo);
	sigprocmask(SIG_BLOCK, &l->signals,
	    l->signal_fd == -1 ? &l->mask_before : NULL);
	fd = signalfd(l->signal_fd, &l->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd == -1)
		die_errno(EXIT_TEMPORARY, "cannot watch signal %d", signo);
	if (l->signal_fd == -1) {
		l->signal_fd = fd;
		l->signal_io = loop_io_new(l, fd, LOOP_READ, signals_read, l);
	}
}

static void
children_reap(void *arg)
{
	struct loop *l = arg;
	int wstatus;
	pid_t pid;

	l->reap = false;
	while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0)
		for (size_t i = 0; i < l->nchildren; i++)
			l->children[i].fn(l->children[i].arg, pid, wstatus);
}

void
loop_children(struct loop *l, loop_child_fn *fn, void *arg)
{
	struct child_callback cb = {fn, arg};

	if (l->nchildren == 0)
		loop_signal(l, SIGCHLD, children_reap, l);
	l->reap = true;
	MEM_PUSH(l->children, l->nchildren, l->children_cap, cb);
}

void
loop_run(struct loop *l)
{
	struct epoll_event events[BATCH];
	int n;

	while (!l->stop) {
		if (l->reap)
			children_reap(l);
		n = epoll_wait(l->epoll_fd, events, BATCH, sleep_ms(l));
		if (n == -1 && errno != EINTR)
			die_errno(EXIT_TEMPORARY, "cannot wait for events");
		l->now_ms = clock_mono_ms();
		for (int i = 0; i < n; i++)
			io_dispatch(l, &events[i]);
		timers_dispatch(l);
		for (size_t i = 0; i < l->nafter; i++)
			l->after[i].fn(l->after[i].arg);
	}
	l->stop = false;
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}
