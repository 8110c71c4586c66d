/*
 * Dates of all certificates: a round through tls_dir now and then, a few folders
 * at a time, for the gauges of `postern stats`; the log hears once a day what
 * ends soon.  Runs in the first worker.
 */
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "keyd/counters.h"
#include "keyd/keyd.h"
#include "keyd/folders.h"
#include "keyd/pair.h"

#define FIRST_MS 500 /* not while everything starts */
#define STEP_MS 50
#define STEP_FOLDERS 2
#define ROUND_MS (3600 * 1000)
#define SAY_MS (24LL * 3600 * 1000)
#define SAY_MAX 20 /* lines a round */

struct expiry {
	struct worker *w;
	struct loop_timer *timer;
	struct folders folders;
	size_t next;
	bool saying;      /* this round's findings go to the log */
	int64_t said_ms;
	unsigned lines;
	uint64_t all, expiring, unusable;
	int64_t first;    /* seconds since 1970; 0: none */
};

static void
visit(void *arg, const char *folder, const struct pair *p, const char *why)
{
	struct expiry *e = arg;
	int64_t now = clock_real_ms() / 1000, end;

	(void)why; /* told when it is asked for */
	if (p == NULL) {
		e->unusable++;
		return;
	}
	e->all++;
	end = pair_not_after(p);
	if (e->first == 0 || end < e->first)
		e->first = end;
	if (end - now > (int64_t)(e->w->k->conf.tls_expiry_warning_ms / 1000))
		return;
	e->expiring++;
	if (e->saying && e->lines++ < SAY_MAX)
		LOG_WARN(end <= now ? "certificate-expired"
		    : "certificate-expires", LS("folder", folder),
		    LI("days", (end - now) / 86400));
}

static void
begin(struct expiry *e)
{
	int64_t now = loop_now(e->w->loop);

	folders_read(e->w->k->tls_fd, &e->folders);
	e->next = 0;
	e->saying = e->said_ms == 0 || now - e->said_ms >= SAY_MS;
	if (e->saying)
		e->said_ms = now;
	e->lines = 0;
	e->all = e->expiring = e->unusable = 0;
	e->first = 0;
}

static void
end(struct expiry *e)
{
	folders_free(&e->folders);
	stats_set(COUNT_CERTIFICATES, e->all);
	stats_set(COUNT_EXPIRING, e->expiring);
	stats_set(COUNT_UNUSABLE, e->unusable);
	stats_set(COUNT_FIRST_EXPIRY, e->first > 0 ? (uint64_t)e->first : 0);
	if (e->saying && e->lines > SAY_MAX)
		LOG_WARN("certificates-expire", LU("more",
		    e->lines - SAY_MAX));
}

static void
on_step(void *arg)
{
	struct expiry *e = arg;

	if (e->folders.v == NULL)
		begin(e);
	for (int i = 0; i < STEP_FOLDERS && e->next < e->folders.n; i++)
		folders_visit(e->w->k->tls_fd, e->folders.v[e->next++], visit, e);
	if (e->next < e->folders.n) {
		loop_timer_in(e->timer, STEP_MS);
		return;
	}
	end(e);
	loop_timer_in(e->timer, ROUND_MS);
}

struct expiry *
expiry_new(struct worker *w)
{
	struct expiry *e = mem_alloc(sizeof(*e));

	e->w = w;
	e->timer = loop_timer_new(w->loop, on_step, e);
	loop_timer_in(e->timer, FIRST_MS);
	return e;
}
