/* common/io/loop: descriptors, timers, signals, children, and what forks do. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/io/loop.h"

Suite *loop_suite(void);

static struct loop *loop;
static struct buf seen = BUF_INIT(1000); /* what happened, in letters */

static void
setup(void)
{
	loop = loop_new();
	buf_reset(&seen);
}

static void
teardown(void)
{
	loop_free(&loop);
	ck_assert_ptr_null(loop);
	buf_free(&seen);
}

/* Timers */

static void
note(void *arg)
{
	buf_adds(&seen, arg);
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Runs the loop for a while. */
static void
run_ms(int64_t ms)
{
	struct loop_timer *t = loop_timer_new(loop, stop, NULL);

	loop_timer_in(t, ms);
	loop_run(loop);
	loop_timer_free(&t);
	ck_assert_ptr_null(t);
}

static char letter_a[] = "a", letter_b[] = "b", letter_c[] = "c",
    letter_d[] = "d";

START_TEST(test_timers)
{
	int64_t now = clock_mono_ms();
	struct loop_timer *a = loop_timer_new(loop, note, letter_a);
	struct loop_timer *b = loop_timer_new(loop, note, letter_b);
	struct loop_timer *c = loop_timer_new(loop, note, letter_c);
	struct loop_timer *d = loop_timer_new(loop, note, letter_d);

	loop_timer_set(a, now + 30);
	loop_timer_set(b, now + 10);
	loop_timer_set(c, now + 20);
	loop_timer_set(d, CLOCK_NEVER);
	loop_timer_set(a, now + 5); /* moved to the front */
	loop_timer_stop(c);
	loop_timer_stop(c);
	run_ms(40);
	ck_assert_str_eq(seen.s, "ab");
	ck_assert_int_ge(clock_mono_ms(), now + 40);
	/* One-shot: nothing more comes; set again it does. */
	loop_timer_set(b, 0);
	loop_timer_free(&a);
	run_ms(5);
	ck_assert_str_eq(seen.s, "abb");
	loop_timer_free(&b);
	loop_timer_free(&c);
	loop_timer_free(&d);
	loop_timer_free(&d); /* NULL already */
}
END_TEST

struct ticker {
	struct loop_timer *timer, *other;
	int left;
};

static void
tick(void *arg)
{
	struct ticker *t = arg;

	buf_adds(&seen, "t");
	if (--t->left > 0) {
		loop_timer_set(t->timer, 0); /* the next round, not this one */
	} else {
		loop_timer_free(&t->timer); /* from within */
		loop_timer_free(&t->other); /* another one that is due */
		loop_stop(loop);
	}
}

static void
round_ends(void *arg)
{
	(void)arg;
	buf_adds(&seen, ".");
}

START_TEST(test_timer_in_handler)
{
	struct ticker t = {.left = 3};

	loop_after(loop, round_ends, NULL);
	t.timer = loop_timer_new(loop, tick, &t);
	t.other = loop_timer_new(loop, note, letter_a);
	loop_timer_set(t.timer, 0);
	loop_timer_in(t.other, 100000);
	loop_run(loop);
	ck_assert_str_eq(seen.s, "t.t.t.");
	/* Both due in the same round: the first frees the second. */
	t.left = 1;
	t.timer = loop_timer_new(loop, tick, &t);
	t.other = loop_timer_new(loop, note, letter_a);
	loop_timer_set(t.timer, 0);
	loop_timer_set(t.other, 1);
	loop_run(loop);
	ck_assert_str_eq(seen.s, "t.t.t.t.");
}
END_TEST

enum { MANY = 3000 };
static struct {
	struct loop_timer *timer;
	int64_t at_ms;
	bool fired;
} many[MANY];
static int64_t last_at_ms;
static size_t fired;

static void
many_fn(void *arg)
{
	size_t i = (size_t)((char *)arg - (char *)many) / sizeof(many[0]);

	ck_assert(!many[i].fired);
	ck_assert_int_ge(many[i].at_ms, last_at_ms);
	last_at_ms = many[i].at_ms;
	many[i].fired = true;
	fired++;
}

START_TEST(test_many_timers)
{
	uint32_t x = 12345;
	size_t want = 0;

	last_at_ms = 0;
	fired = 0;
	for (size_t i = 0; i < MANY; i++) {
		x = x * 1664525 + 1013904223;
		many[i].timer = loop_timer_new(loop, many_fn, &many[i]);
		many[i].at_ms = 1 + (x >> 8) % 500;
		many[i].fired = false;
		loop_timer_set(many[i].timer, many[i].at_ms);
	}
	for (size_t i = 0; i < MANY; i += 3) {
		many[i].at_ms = 501 - many[i].at_ms;
		loop_timer_set(many[i].timer, many[i].at_ms);
	}
	for (size_t i = 0; i < MANY; i += 5)
		loop_timer_stop(many[i].timer);
	for (size_t i = 0; i < MANY; i += 7)
		loop_timer_free(&many[i].timer);
	for (size_t i = 0; i < MANY; i++)
		want += i % 5 != 0 && i % 7 != 0;
	run_ms(1);
	ck_assert_uint_eq(fired, want);
	for (size_t i = 0; i < MANY; i++)
		loop_timer_free(&many[i].timer);
}
END_TEST

/* Descriptors */

struct watch {
	int fd;
	struct loop_io *io;
	struct watch *victim; /* freed when this one is called */
	unsigned events;
	int calls;
};

static void
watch_fn(void *arg, unsigned events)
{
	struct watch *w = arg;
	char c;

	w->calls++;
	w->events = events;
	if (events & LOOP_READ)
		(void)!read(w->fd, &c, 1);
	if (w->victim != NULL) {
		loop_io_free(&w->victim->io);
		w->victim = NULL;
	}
}

START_TEST(test_read_write)
{
	struct watch w = {0};
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w.fd = fds[0];
	w.io = loop_io_new(loop, fds[0], LOOP_READ, watch_fn, &w);
	run_ms(5);
	ck_assert_int_eq(w.calls, 0);
	ck_assert_int_eq(write(fds[1], "ab", 2), 2);
	run_ms(5);
	ck_assert_int_eq(w.calls, 2); /* level-triggered, an octet a call */
	ck_assert_uint_eq(w.events, LOOP_READ);
	loop_io_events(w.io, LOOP_READ | LOOP_WRITE);
	run_ms(0);
	ck_assert_uint_eq(w.events, LOOP_WRITE);
	loop_io_events(w.io, 0);
	w.calls = 0;
	ck_assert_int_eq(write(fds[1], "a", 1), 1);
	run_ms(5);
	ck_assert_int_eq(w.calls, 0);
	close(fds[1]);
	run_ms(0);
	ck_assert_uint_eq(w.events, LOOP_HANGUP);
	loop_io_events(w.io, LOOP_READ);
	run_ms(0);
	ck_assert_uint_eq(w.events, LOOP_READ | LOOP_HANGUP);
	loop_io_free(&w.io);
	ck_assert_ptr_null(w.io);
	loop_io_free(&w.io);
	close(fds[0]);
}
END_TEST

/* The end of a pipe is something to read for who looks for nothing else. */
START_TEST(test_pipe_end)
{
	struct watch w = {0};
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	w.fd = fds[0];
	w.io = loop_io_new(loop, fds[0], LOOP_READ, watch_fn, &w);
	close(fds[1]);
	run_ms(0);
	ck_assert_uint_eq(w.events, LOOP_READ | LOOP_HANGUP);
	loop_io_free(&w.io);
	close(fds[0]);
}
END_TEST

/* Two are ready in the same round, the first frees the second; another takes
 * the second's place at once. */
START_TEST(test_free_in_round)
{
	struct watch a = {0}, b = {0}, c = {0};
	int one[2], two[2], three[2];

	ck_assert_int_eq(pipe(one), 0);
	ck_assert_int_eq(pipe(two), 0);
	ck_assert_int_eq(pipe(three), 0);
	a.fd = one[0];
	b.fd = two[0];
	a.victim = &b;
	b.victim = &a;
	a.io = loop_io_new(loop, a.fd, LOOP_READ, watch_fn, &a);
	b.io = loop_io_new(loop, b.fd, LOOP_READ, watch_fn, &b);
	ck_assert_int_eq(write(one[1], "x", 1), 1);
	ck_assert_int_eq(write(two[1], "x", 1), 1);
	run_ms(2);
	ck_assert_int_eq(a.calls + b.calls, 1);
	ck_assert((a.io == NULL) != (b.io == NULL));
	c.fd = three[0];
	c.io = loop_io_new(loop, c.fd, LOOP_READ, watch_fn, &c);
	run_ms(2);
	ck_assert_int_eq(c.calls, 0);
	loop_io_free(&a.io);
	loop_io_free(&b.io);
	loop_io_free(&c.io);
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
		close(three[i]);
	}
}
END_TEST

static void
own_end(void *arg, unsigned events)
{
	struct watch *w = arg;

	(void)events;
	w->calls++;
	loop_io_free(&w->io);
	loop_stop(loop);
}

START_TEST(test_free_in_own_handler)
{
	struct watch w = {0};
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	w.io = loop_io_new(loop, fds[0], LOOP_READ | LOOP_EXCLUSIVE, own_end,
	    &w);
	loop_run(loop);
	run_ms(2);
	ck_assert_int_eq(w.calls, 1);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(test_after)
{
	struct watch w = {0};
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "xyz", 3), 3);
	w.fd = fds[0];
	w.io = loop_io_new(loop, fds[0], LOOP_READ, watch_fn, &w);
	loop_after(loop, round_ends, NULL);
	run_ms(5);
	ck_assert_int_eq(w.calls, 3);
	ck_assert_str_eq(seen.s, "...."); /* three reads, the timer */
	loop_io_free(&w.io);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(test_now)
{
	int64_t before = clock_mono_ms();

	run_ms(3);
	ck_assert_int_ge(loop_now(loop), before + 3);
	ck_assert_int_le(loop_now(loop), clock_mono_ms());
}
END_TEST

/* Signals and children */

START_TEST(test_signals)
{
	sigset_t before, after;

	sigprocmask(SIG_SETMASK, NULL, &before);
	loop_signal(loop, SIGUSR1, note, letter_a);
	loop_signal(loop, SIGUSR2, note, letter_b);
	raise(SIGUSR1);
	raise(SIGUSR1); /* pending already: one signal */
	run_ms(2);
	ck_assert_str_eq(seen.s, "a");
	raise(SIGUSR2);
	run_ms(2);
	ck_assert_str_eq(seen.s, "ab");
	loop_free(&loop);
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&before, SIGUSR1),
	    sigismember(&after, SIGUSR1));
	loop = loop_new();
}
END_TEST

static pid_t children[4];
static int children_gone;

static void
child_fn(void *arg, pid_t pid, int wstatus)
{
	(void)arg;
	for (int i = 0; i < 4; i++)
		if (children[i] == pid) {
			ck_assert(WIFEXITED(wstatus));
			ck_assert_int_eq(WEXITSTATUS(wstatus), 10 + i);
			children_gone++;
		}
	if (children_gone == 4)
		loop_stop(loop);
}

static void
fork_child(int i)
{
	children[i] = fork();
	ck_assert_int_ge(children[i], 0);
	if (children[i] == 0)
		_exit(10 + i);
}

START_TEST(test_children)
{
	children_gone = 0;
	/* One ends before anybody looks. */
	fork_child(0);
	usleep(10000);
	loop_children(loop, child_fn, NULL);
	for (int i = 1; i < 4; i++)
		fork_child(i);
	loop_run(loop);
	ck_assert_int_eq(children_gone, 4);
}
END_TEST

/* What a child does with the loop is nothing to its parent. */
START_TEST(test_forked)
{
	struct watch w = {0};
	int fds[2], wstatus;
	sigset_t mask;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	w.fd = fds[0];
	w.io = loop_io_new(loop, fds[0], LOOP_READ, watch_fn, &w);
	loop_signal(loop, SIGTERM, note, letter_a);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		loop_forked(&loop);
		sigprocmask(SIG_SETMASK, NULL, &mask);
		if (loop != NULL || sigismember(&mask, SIGTERM) == 1)
			_exit(1);
		raise(SIGTERM); /* ends this process */
		_exit(2);
	}
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert(WIFSIGNALED(wstatus));
	ck_assert_int_eq(WTERMSIG(wstatus), SIGTERM);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	raise(SIGTERM);
	run_ms(5);
	ck_assert_int_eq(w.calls, 1);
	ck_assert_str_eq(seen.s, "a");
	loop_io_free(&w.io);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

Suite *
loop_suite(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_timers);
	tcase_add_test(tc, test_timer_in_handler);
	tcase_add_test(tc, test_many_timers);
	tcase_add_test(tc, test_read_write);
	tcase_add_test(tc, test_pipe_end);
	tcase_add_test(tc, test_free_in_round);
	tcase_add_test(tc, test_free_in_own_handler);
	tcase_add_test(tc, test_after);
	tcase_add_test(tc, test_now);
	tcase_add_test(tc, test_signals);
	tcase_add_test(tc, test_children);
	tcase_add_test(tc, test_forked);
	suite_add_tcase(suite, tc);
	return suite;
}
