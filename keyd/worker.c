/*
 * A worker of keyd: reads keys, signs.  One process a core, since a signature
 * with RSA takes a millisecond; all of them accept on the same sockets.
 */
#include <signal.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "keyd/cache.h"
#include "keyd/keyd.h"
#include "keyd/pair.h"
#include "keyd/store.h"

#define SWEEP_MS 1000
#define LEAVE_LOOK_MS 20
#define LEAVE_MS 1000    /* SIGTERM: for handshakes that are under way */
#define RETIRE_MS 10000  /* SIGHUP: likewise */

static void
on_sweep(void *arg)
{
	struct worker *w = arg;

	handshake_sweep(w);
	loop_timer_in(w->sweep, SWEEP_MS);
}

static void
on_leave(void *arg)
{
	struct worker *w = arg;

	if (w->oldest == NULL || loop_now(w->loop) >= w->leave_ms)
		loop_stop(w->loop);
	else
		loop_timer_in(w->leave, LEAVE_LOOK_MS);
}

static void
leave(struct worker *w, int64_t wait_ms)
{
	if (!w->leaving) {
		chan_server_pause(w->sessions);
		chan_server_pause(w->signers);
		chan_server_pause(w->listers);
	}
	w->leaving = true;
	w->leave_ms = loop_now(w->loop) + wait_ms;
	/* Not at once: who has just connected is still to be heard. */
	loop_timer_in(w->leave, LEAVE_LOOK_MS);
}

static void
on_term(void *arg)
{
	leave(arg, LEAVE_MS);
}

static void
on_hup(void *arg)
{
	leave(arg, RETIRE_MS);
}

static void
enter_cage(const struct worker *w)
{
	struct sandbox_path paths[] = {{w->k->tls_fd, NULL, SANDBOX_READ},
	    {w->k->dkim_fd, NULL, SANDBOX_READ}};
	struct sandbox_args args = {.uid = w->k->me.uid, .gid = w->k->me.gid,
	    .root = RUN_EMPTY, .paths = paths, .npaths = 2};

	sandbox_enter(ROLE_KEYD, &args);
}

int
keyd_work(struct keyd *k, unsigned number)
{
	static struct worker w;
	const struct conf *c = &k->conf;

	proc_title("worker %u", number);
	w.k = k;
	w.number = number;
	if (!pair_start() && number == 1)
		LOG_INFO("memory-not-locked", LS("why", "RLIMIT_MEMLOCK; "
		    "keys may reach the swap"));
	w.loop = loop_new();
	loop_signal(w.loop, SIGTERM, on_term, &w);
	loop_signal(w.loop, SIGHUP, on_hup, &w);
	enter_cage(&w);
	w.store = store_new(k->tls_fd, (size_t)c->keyd_names_max,
	    (int64_t)c->tls_check_ms);
	w.sweep = loop_timer_new(w.loop, on_sweep, &w);
	w.leave = loop_timer_new(w.loop, on_leave, &w);
	loop_timer_in(w.sweep, SWEEP_MS);
	handshake_serve(&w);
	dkim_serve(&w);
	list_serve(&w);
	if (number == 1)
		w.expiry = expiry_new(&w);
	loop_run(w.loop);
	chan_server_free(&w.sessions);
	store_free(&w.store);
	return 0;
}
