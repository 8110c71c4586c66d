/*
 * The event loop of parents and keepers: epoll, timers in milliseconds, signals
 * and children.  One loop per process, single-threaded.
 */
#ifndef COMMON_IO_LOOP_H
#define COMMON_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct loop_io;    /* one watched descriptor */
struct loop_timer; /* one timer */

#define LOOP_READ 1u
#define LOOP_WRITE 2u
#define LOOP_HANGUP 4u /* reported, never asked for */
#define LOOP_EXCLUSIVE 8u /* EPOLLEXCLUSIVE: a listening socket shared by
                           * several processes; fixed for its lifetime */

typedef void loop_io_fn(void *arg, unsigned events);
typedef void loop_fn(void *arg);

struct loop *loop_new(void);
/* Not from within a handler.  What was made in the loop is gone with it. */
void loop_free(struct loop **l);

/* Watches fd for events; the descriptor stays the caller's, who frees the watch
 * before closing it.  May be called and freed from within handlers: a freed one
 * gets no further call.  With LOOP_HANGUP come LOOP_READ and LOOP_WRITE where
 * they were asked for; with events 0 only LOOP_HANGUP comes.  A descriptor that
 * cannot be watched ends the process (111), as any lack of memory does. */
struct loop_io *loop_io_new(struct loop *l, int fd, unsigned events,
    loop_io_fn *fn, void *arg);
void loop_io_events(struct loop_io *io, unsigned events);
void loop_io_free(struct loop_io **io);

/* Timers: one-shot; set again to move, loop_timer_stop to disarm.  at_ms is on
 * the clock_mono_ms clock.  Kept in a heap: thousands are fine. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg);
void loop_timer_set(struct loop_timer *t, int64_t at_ms);
void loop_timer_in(struct loop_timer *t, int64_t wait_ms);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer **t);

/* Calls fn once each time round the loop, after all handlers of the round and
 * before sleeping: the place for batches (commit what is complete). */
void loop_after(struct loop *l, loop_fn *fn, void *arg);

/* Delivers signo through the loop (signalfd; SIGTERM, SIGHUP, SIGUSR1 ...): it
 * is blocked from then on.  Before the cage, as loop_new. */
void loop_signal(struct loop *l, int signo, loop_fn *fn, void *arg);

/* Calls fn for every child that ended (SIGCHLD, waitpid(-1) until none is
 * left), those that ended before this call included. */
typedef void loop_child_fn(void *arg, pid_t pid, int wstatus);
void loop_children(struct loop *l, loop_child_fn *fn, void *arg);

/* clock_mono_ms as of the start of this round: no system call. */
int64_t loop_now(const struct loop *l);

/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* In a forked child, before anything else is done with the loop: closes the
 * epoll and signal descriptors, restores the default signal dispositions and
 * mask, releases all memory.  Watches and timers must not be freed afterwards,
 * nor before (that would end them in the parent). */
void loop_forked(struct loop **l);

#endif
