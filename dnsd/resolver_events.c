/*
 * The event interface that libunbound asks for (unbound-event.h), on the
 * project's loop: its sockets and timers are watches and timers of dnsd's one
 * loop, and its state machines run in dnsd's one thread.  No input is read
 * here.
 *
 * An event is armed by `add` (or add_timer) and disarmed by `del`; while it is
 * armed a watch or a timer of ours stands for it.  libunbound may disarm, change
 * and free an event from within its own call: hence nothing of it is touched
 * after the call.
 */
#include <sys/time.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unbound.h>
#include <unbound-event.h>

#include "common/base/mem.h"
#include "common/io/loop.h"
#include "dnsd/resolver_events.h"

struct base {
	struct ub_event_base super; /* first: libunbound knows only this */
	struct loop *loop;
};

struct event {
	struct ub_event super; /* first */
	struct loop *loop;
	int fd;
	short bits;
	void (*fn)(int fd, short bits, void *arg);
	void *arg;
	struct loop_io *io;       /* while armed, with a descriptor */
	struct loop_timer *timer; /* made when it is first needed */
	int64_t wait_ms;          /* of an armed time-out; -1: none */
};

static struct event *
event_of(struct ub_event *ev)
{
	assert(ev->magic == UB_EVENT_MAGIC);
	return (struct event *)(void *)ev;
}

static int64_t
wait_of(const struct timeval *tv)
{
	return (int64_t)tv->tv_sec * 1000 + (tv->tv_usec + 999) / 1000;
}

static void
disarm(struct event *e)
{
	loop_io_free(&e->io);
	if (e->timer != NULL)
		loop_timer_stop(e->timer);
	e->wait_ms = -1;
}

static void
on_io(void *arg, unsigned events)
{
	struct event *e = arg;
	short bits = 0;

	if (events & LOOP_READ)
		bits |= UB_EV_READ;
	if (events & LOOP_WRITE)
		bits |= UB_EV_WRITE;
	if (!(e->bits & UB_EV_PERSIST))
		disarm(e);
	else if (e->wait_ms >= 0)
		loop_timer_in(e->timer, e->wait_ms); /* the wait begins anew */
	e->fn(e->fd, bits, e->arg);
}

static void
on_time(void *arg)
{
	struct event *e = arg;

	if (!(e->bits & UB_EV_PERSIST))
		disarm(e);
	else
		loop_timer_in(e->timer, e->wait_ms);
	e->fn(e->fd, UB_EV_TIMEOUT, e->arg);
}

static void
arm(struct event *e, const struct timeval *tv)
{
	unsigned events = 0;

	disarm(e);
	if (e->bits & UB_EV_READ)
		events |= LOOP_READ;
	if (e->bits & UB_EV_WRITE)
		events |= LOOP_WRITE;
	if (e->fd >= 0 && events != 0)
		e->io = loop_io_new(e->loop, e->fd, events, on_io, e);
	if (tv == NULL)
		return;
	if (e->timer == NULL)
		e->timer = loop_timer_new(e->loop, on_time, e);
	e->wait_ms = wait_of(tv);
	loop_timer_in(e->timer, e->wait_ms);
}

static void
event_add_bits(struct ub_event *ev, short bits)
{
	event_of(ev)->bits |= bits;
}

static void
event_del_bits(struct ub_event *ev, short bits)
{
	struct event *e = event_of(ev);

	e->bits = (short)(e->bits & ~bits);
}

static void
event_set_fd(struct ub_event *ev, int fd)
{
	event_of(ev)->fd = fd;
}

static void
event_free(struct ub_event *ev)
{
	struct event *e = event_of(ev);

	disarm(e);
	loop_timer_free(&e->timer);
	free(e);
}

static int
event_add(struct ub_event *ev, struct timeval *tv)
{
	arm(event_of(ev), tv);
	return 0;
}

static int
event_del(struct ub_event *ev)
{
	disarm(event_of(ev));
	return 0;
}

static int
event_add_timer(struct ub_event *ev, struct ub_event_base *base,
    void (*fn)(int, short, void *), void *arg, struct timeval *tv)
{
	struct event *e = event_of(ev);

	(void)base;
	disarm(e);
	e->fd = -1;
	e->bits = UB_EV_TIMEOUT;
	e->fn = fn;
	e->arg = arg;
	arm(e, tv);
	return 0;
}

/* Signals are dnsd's own affair; libunbound does not ask for them. */
static int
event_add_signal(struct ub_event *ev, struct timeval *tv)
{
	(void)ev;
	(void)tv;
	return -1;
}

static int
event_del_signal(struct ub_event *ev)
{
	(void)ev;
	return -1;
}

/* Another system's. */
static void
event_unregister(struct ub_event *ev)
{
	(void)ev;
}

static void
event_wouldblock(struct ub_event *ev, int bits)
{
	(void)ev;
	(void)bits;
}

static struct ub_event_vmt event_vmt = {event_add_bits, event_del_bits,
    event_set_fd, event_free, event_add, event_del, event_add_timer, event_del,
    event_add_signal, event_del_signal, event_unregister, event_wouldblock};

static struct ub_event *
base_new_event(struct ub_event_base *base, int fd, short bits,
    void (*fn)(int, short, void *), void *arg)
{
	struct event *e = mem_alloc(sizeof(*e));

	e->super.magic = UB_EVENT_MAGIC;
	e->super.vmt = &event_vmt;
	e->loop = ((struct base *)(void *)base)->loop;
	e->fd = fd;
	e->bits = bits;
	e->fn = fn;
	e->arg = arg;
	e->wait_ms = -1;
	return &e->super;
}

static struct ub_event *
base_new_signal(struct ub_event_base *base, int fd,
    void (*fn)(int, short, void *), void *arg)
{
	(void)base;
	(void)fd;
	(void)fn;
	(void)arg;
	return NULL;
}

static struct ub_event *
base_register(struct ub_event_base *base, void *wsaevent,
    void (*fn)(int, short, void *), void *arg)
{
	(void)base;
	(void)wsaevent;
	(void)fn;
	(void)arg;
	return NULL;
}

/* The loop is not libunbound's to run, to end or to free. */
static void
base_free(struct ub_event_base *base)
{
	(void)base;
}

static int
base_dispatch(struct ub_event_base *base)
{
	(void)base;
	return -1;
}

static int
base_loopexit(struct ub_event_base *base, struct timeval *tv)
{
	(void)base;
	(void)tv;
	return -1;
}

static struct ub_event_base_vmt base_vmt = {base_free, base_dispatch,
    base_loopexit, base_new_event, base_new_signal, base_register};

struct ub_event_base *
events_new(struct loop *l)
{
	struct base *b = mem_alloc(sizeof(*b));

	b->super.magic = UB_EVENT_MAGIC;
	b->super.vmt = &base_vmt;
	b->loop = l;
	return &b->super;
}

void
events_free(struct ub_event_base **b)
{
	free(*b);
	*b = NULL;
}
