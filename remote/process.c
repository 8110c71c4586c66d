/*
 * A remote process: one connection to one place, for the jobs its parent hands
 * to it.  It parses what other hosts say, and has no file, no exec, no socket
 * but the TCP connections it makes; anything else comes from its parent.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/dns/dns.h"
#include "common/io/chan.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "remote/counters.h"
#include "remote/job.h"
#include "remote/remote.h"
#include "remote/session.h"

#define WANT_WAIT_MS 10000

static volatile sig_atomic_t stop;

static void
on_term(int signo)
{
	(void)signo;
	stop = 1;
}

/* SIGTERM comes in only where a wait lets it. */
static void
catch_term(sigset_t *mask)
{
	struct sigaction sa = {.sa_handler = on_term};
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, mask);
	sigdelset(mask, SIGTERM);
	sigaction(SIGTERM, &sa, NULL);
}

int
worker_want(struct worker *w, uint32_t service)
{
	struct transfer_want want = {.service = service};
	int fds[CHAN_MAX_FDS];
	union transfer_msg m;
	uint16_t type;
	size_t nfds;

	chan_send(w->parent, TRANSFER_WANT, &want);
	if (chan_wait(w->parent, &type, &m, sizeof(m), fds, &nfds,
	    clock_mono_ms() + WANT_WAIT_MS) != CHAN_OK) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (type == TRANSFER_CHANNEL && m.channel.service == service)
		return fds[0];
	if (type != TRANSFER_NONE)
		die(EXIT_TEMPORARY, "the parent answered out of turn");
	errno = (int)m.none.error;
	return -1;
}

/* The next job; NULL: the parent has none any more. */
static struct job *
take(struct worker *w)
{
	int fds[CHAN_MAX_FDS];
	union transfer_msg m;
	uint16_t type;
	size_t nfds;

	if (chan_wait(w->parent, &type, &m, sizeof(m), fds, &nfds,
	    CLOCK_NEVER) != CHAN_OK || type != TRANSFER_JOB)
		return NULL;
	return job_new(&m.job, fds[0]);
}

static void
count(const struct job *j, int64_t began_us)
{
	stats_add(COUNT_JOBS, 1);
	stats_observe(COUNT_JOB_TIME, clock_mono_us() - began_us);
	for (size_t i = 0; i < j->nrcpts; i++) {
		const struct verdict *v = j->rcpts[i].verdict;
		enum status_class class = status_class(&v->status);

		stats_add(class == STATUS_OK ? COUNT_DELIVERED :
		    class == STATUS_TEMPORARY ? COUNT_LATER :
		    COUNT_FAILED, 1);
	}
}

int
worker_run(struct remote *r, const char *place, int fd)
{
	struct worker w = {.r = r, .stop = &stop, .dns_fd = -1};
	int64_t began_us;
	struct job *j;

	catch_term(&w.stop_mask);
	proc_title("%s", place);
	sandbox_enter(ROLE_REMOTE, NULL);
	w.parent = chan_new(fd, &transfer_contract, CHAN_SERVER);
	while (!stop && (j = take(&w)) != NULL) {
		began_us = clock_mono_us();
		if (attempt_run(&w, j)) {
			count(j, began_us);
			job_answer(j, w.parent);
		}
		job_free(&j);
	}
	if (w.session != NULL)
		session_quit(w.session);
	session_free(&w.session);
	dns_free(&w.dns);
	chan_free(&w.keyd);
	chan_free(&w.parent);
	return 0;
}
