/*
 * One attempt for the recipients of a job: host after host, transaction after
 * transaction, until each of them has an answer or no host is left.  In a
 * remote process; what decides here is what other hosts and their DNS said.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/dns/dns.h"
#include "common/mail/envelope.h"
#include "remote/connect.h"
#include "remote/content.h"
#include "remote/counters.h"
#include "remote/health.h"
#include "remote/hosts.h"
#include "remote/job.h"
#include "remote/remote.h"
#include "remote/session.h"
#include "remote/sign.h"
#include "remote/transaction.h"

struct attempt {
	struct worker *w;
	struct job *j;
	const struct conf *conf;
	struct content *c;        /* owned */
	struct hosts hosts;
	int64_t deadline_ms;
	unsigned tried;           /* addresses */
	const struct verdict *refusal; /* by EHLO and HELO, for good */
	bool other;               /* something else than that went wrong */
	bool over;                /* no other host is to be asked */
};

/* ---- verdicts ---- */

static void
learn(struct attempt *a, enum transfer_dest dest)
{
	if (dest == TRANSFER_DEST_DOWN &&
	    a->j->dest != TRANSFER_DEST_UNKNOWN)
		return;
	a->j->dest = dest;
}

static void
judge(struct attempt *a, const struct status *st, bool own)
{
	job_judge(a->j, job_verdict(a->j, st, own));
	a->other = true;
}

/* ---- the connection ---- */

static void
drop(struct worker *w)
{
	if (w->session != NULL)
		session_quit(w->session);
	session_free(&w->session);
}

static const char *
helo_name(const struct attempt *a, char *out, size_t size)
{
	const struct route *r = &a->j->route;

	if (r->helo.len > 0)
		snprintf(out, size, "%.*s", SLICE_FMT(r->helo));
	else
		snprintf(out, size, "%s", a->conf->remote_helo_name[0] != '\0'
		    ? a->conf->remote_helo_name : a->conf->hostname);
	return out;
}

/* The address to come from, or NULL: the system's choice. */
static const struct ip *
source(const struct attempt *a, const struct ip *to)
{
	const struct route *r = &a->j->route;
	const struct remote *own = a->w->r;

	if (ip_is_v4(to))
		return r->has_source4 ? &r->source4
		    : own->has_source4 ? &own->source4 : NULL;
	return r->has_source6 ? &r->source6
	    : own->has_source6 ? &own->source6 : NULL;
}

static void
no_connection(struct attempt *a, bool ours)
{
	int error = errno;
	struct status st;

	if (ours) {
		LOG_WARN("cannot-connect", LB("id", a->j->id),
		    LS("host", a->j->host), LE(),
		    LS("mend", error == EADDRNOTAVAIL
		    ? "is the source address one of this host?" : ""));
		status_set(&st, 451, 3, 0, "We could not open a connection to "
		    "%s: %s", a->j->host, strerror(error));
		a->over = error == EINTR;
	} else {
		status_set(&st, 451, 4, 1, "No connection to %s: %s",
		    a->j->host, strerror(error));
		learn(a, TRANSFER_DEST_DOWN);
	}
	judge(a, &st, true);
}

/* A dead first choice costs little while there are others. */
static int64_t
connect_wait(struct attempt *a)
{
	const struct hosts *h = &a->hosts;
	uint64_t ms = a->conf->remote_connect_timeout_ms;

	if ((h->next < h->n || h->mx_next < h->mx.n) &&
	    a->conf->remote_first_connect_timeout_ms < ms)
		ms = a->conf->remote_first_connect_timeout_ms;
	return (int64_t)ms;
}

static int
connect_place(struct attempt *a, const struct place *p)
{
	struct connect_stop stop = {a->w->stop, &a->w->stop_mask};
	bool ours = true;
	int fd;

	if (a->j->route.kind == ROUTE_UNIX) {
		snprintf(a->j->host, sizeof(a->j->host), "%.*s",
		    SLICE_FMT(a->j->route.path));
		fd = worker_want(a->w, TRANSFER_UNIX);
		if (fd < 0)
			no_connection(a, false);
		return fd;
	}
	place_text(p, a->j->host, sizeof(a->j->host));
	fd = connect_ip(&p->ip, p->port, source(a, &p->ip), connect_wait(a),
	    &stop, &ours);
	if (fd >= 0)
		return fd;
	if (!ours)
		health_failed(a->w->r->health, &p->ip, clock_mono_ms());
	no_connection(a, ours);
	return -1;
}

static void
on_hello(struct attempt *a, enum hello h, struct status *st, bool own)
{
	struct worker *w = a->w;

	switch (h) {
	case HELLO_OK:
		learn(a, TRANSFER_DEST_FINE);
		w->most = (size_t)a->conf->remote_transaction_recipients_max;
		if (w->session->offers.rcpt_max > 0)
			w->most = w->session->offers.rcpt_max;
		if (w->most > TRANSFER_RCPTS_MAX)
			w->most = TRANSFER_RCPTS_MAX;
		return;
	case HELLO_REFUSED:
		learn(a, TRANSFER_DEST_FINE);
		a->refusal = job_verdict(a->j, st, false);
		/* Only if no other host says something else. */
		status_set(st, 451, st->subject, st->detail, "%u %s",
		    a->refusal->status.code, a->refusal->status.text);
		job_judge(a->j, job_verdict(a->j, st, false));
		break;
	case HELLO_BUSY:
		learn(a, TRANSFER_DEST_BUSY);
		judge(a, st, own);
		break;
	case HELLO_FAILED:
		learn(a, TRANSFER_DEST_DOWN);
		judge(a, st, own);
		break;
	}
	drop(w);
}

/* Connects and says hello; true: w->session can be used. */
static bool
arrive(struct attempt *a, const struct place *p)
{
	struct worker *w = a->w;
	char name[256];
	struct status st;
	bool own = true, tcp = a->j->route.kind != ROUTE_UNIX;
	enum hello h;
	int fd;

	a->tried++;
	fd = connect_place(a, p);
	stats_add(fd < 0 ? COUNT_NOT_CONNECTED : COUNT_CONNECTED, 1);
	if (fd < 0)
		return false;
	w->session = session_new(a->conf, fd, a->j->route.lmtp, a->j->host);
	w->session->stop = w->stop;
	w->session->stop_mask = &w->stop_mask;
	w->session->deadline_ms = a->deadline_ms;
	w->place = *p;
	h = session_hello(w->session, helo_name(a, name, sizeof(name)), &st,
	    &own);
	LOG_DEBUG("connected", LB("id", a->j->id), LS("host", a->j->host),
	    LU("hello", h));
	if (w->session->fault == FAULT_STOPPED)
		a->over = true;
	if (tcp && h == HELLO_FAILED && own)
		health_failed(w->r->health, &p->ip, clock_mono_ms());
	else if (tcp)
		health_worked(w->r->health, &p->ip);
	on_hello(a, h, &st, own);
	return h == HELLO_OK;
}

/* ---- transactions ---- */

static bool
exhausted(const struct attempt *a)
{
	const struct session *s = a->w->session;

	return s->mails >= a->conf->remote_messages_per_connection ||
	    (s->offers.mail_max > 0 && s->mails >= s->offers.mail_max);
}

enum use {
	USE_DONE,  /* whoever is not settled may be tried elsewhere */
	USE_AGAIN  /* the same host, on a new connection */
};

static enum use
lost(struct attempt *a, bool progress)
{
	struct session *s = a->w->session;

	a->other = true;
	if (s->fault == FAULT_STOPPED)
		a->over = true;
	if (!progress)
		learn(a, s->busy ? TRANSFER_DEST_BUSY
		    : TRANSFER_DEST_DOWN);
	return job_nopen(a->j) > 0 ? USE_AGAIN : USE_DONE;
}

/* Content that nobody said was binary: from now on it is.  False: it was said,
 * and converting it did not help. */
static bool
binary(struct attempt *a)
{
	bool known = (a->j->flags & ENV_BINARYMIME) != 0;

	LOG_WARN("binary-content", LB("id", a->j->id), LS("host", a->j->host),
	    LS("converted", known ? "yes" : "no"));
	a->j->flags |= ENV_BINARYMIME;
	if (!known)
		return true;
	job_fail(a->j, 451, 6, 5, "The message could not be converted for %s",
	    a->j->host);
	a->over = true;
	learn(a, TRANSFER_DEST_UNKNOWN);
	return false;
}

static enum use
use_session(struct attempt *a)
{
	struct worker *w = a->w;
	bool progress = false;

	w->session->deadline_ms = a->deadline_ms;
	while (job_nopen(a->j) > 0) {
		if (!session_alive(w->session) || exhausted(a))
			return USE_AGAIN;
		/* An answer too many would be taken for the next one's. */
		if (progress && !session_fresh(w->session)) {
			w->session->closing = true;
			return USE_AGAIN;
		}
		switch (transaction_run(w->session, a->j, a->c, &w->most,
		    progress)) {
		case TRANSACTION_DONE:
			learn(a, TRANSFER_DEST_FINE);
			progress = true;
			break;
		case TRANSACTION_STALE:
			return USE_AGAIN;
		case TRANSACTION_LOST:
			return lost(a, progress);
		case TRANSACTION_BARE:
			return binary(a) ? USE_AGAIN : USE_DONE;
		case TRANSACTION_DOUBT:
			learn(a, TRANSFER_DEST_FINE);
			a->over = true;
			return USE_DONE;
		case TRANSACTION_FAULT:
			a->over = true;
			learn(a, TRANSFER_DEST_UNKNOWN);
			return USE_DONE;
		}
	}
	if (job_nunsettled(a->j) > 0)
		a->other = true;
	return USE_DONE;
}

/* A connection that is not needed for anything else is kept for more mail,
 * if it is sound. */
static void
tidy(struct attempt *a)
{
	struct worker *w = a->w;

	if (w->session != NULL &&
	    (!session_alive(w->session) || exhausted(a) || *w->stop))
		drop(w);
}

/* ---- hosts ---- */

static struct dns *
on_dns(void *arg)
{
	struct attempt *a = arg;
	struct worker *w = a->w;
	struct pollfd pfd = {.fd = w->dns_fd, .events = POLLRDHUP};

	if (w->dns != NULL && poll(&pfd, 1, 0) != 0)
		dns_free(&w->dns);
	if (w->dns == NULL) {
		w->dns_fd = worker_want(w, TRANSFER_DNS);
		if (w->dns_fd >= 0)
			w->dns = dns_new(w->dns_fd);
	}
	return w->dns;
}

/* The next place that is not the one we are connected with. */
static bool
next_place(struct attempt *a, struct place *out, struct status *why)
{
	struct worker *w = a->w;

	if (a->over || a->tried >= a->conf->remote_addresses_max)
		return false;
	if (a->j->route.kind == ROUTE_UNIX) {
		*out = (struct place){.port = 0};
		return a->tried == 0 && w->session == NULL;
	}
	while (hosts_next(&a->hosts, out, why))
		if (w->session == NULL || out->port != w->place.port ||
		    !ip_equal(&out->ip, &w->place.ip))
			return true;
	return false;
}

/* Nowhere to go. */
static void
no_place(struct attempt *a, const struct status *why)
{
	struct pollfd pfd = {.fd = a->w->dns_fd, .events = POLLRDHUP};
	bool gone = a->hosts.local ||
	    (a->w->dns != NULL && poll(&pfd, 1, 0) != 0);

	job_judge(a->j, job_verdict(a->j, why, true));
	a->other = true;
	if (!gone && status_class(why) == STATUS_TEMPORARY)
		learn(a, TRANSFER_DEST_DOWN);
}

/* An idle connection of an earlier job. */
static void
reuse(struct attempt *a)
{
	struct worker *w = a->w;

	if (w->session == NULL)
		return;
	if (!session_alive(w->session) || exhausted(a) ||
	    !session_fresh(w->session)) {
		session_free(&w->session);
		return;
	}
	snprintf(a->j->host, sizeof(a->j->host), "%s", w->session->host);
}

static void
run(struct attempt *a)
{
	struct worker *w = a->w;
	bool again = false;
	struct place p = {.port = 0};
	struct status why;

	status_set(&why, 451, 4, 4, "No host found");
	reuse(a);
	for (;;) {
		if (w->session == NULL) {
			if (again)
				p = w->place;
			else if (next_place(a, &p, &why))
				job_reopen(a->j);
			else
				break;
			again = false;
			if (!arrive(a, &p))
				continue;
		}
		again = use_session(a) == USE_AGAIN && !a->over;
		if (again) {
			drop(w);
			continue;
		}
		if (a->over || job_nunsettled(a->j) == 0 ||
		    !next_place(a, &p, &why))
			break;
		drop(w);
		job_reopen(a->j);
		(void)arrive(a, &p);
	}
	if (a->tried == 0 && w->session == NULL && !a->over &&
	    job_nunsettled(a->j) > 0)
		no_place(a, &why);
	if (a->refusal != NULL && !a->other)
		job_judge(a->j, a->refusal);
	tidy(a);
}

/* ---- the whole ---- */

/* What needs no host.  True: there is something left to do. */
static bool
prepare(struct attempt *a)
{
	struct job *j = a->j;
	const char *why = "";
	struct status st;

	if (!route_parse(j->route_text, &j->route, &why)) {
		LOG_ERROR("route-unusable", LB("id", j->id),
		    LB("route", j->route_text), LS("why", why));
		job_fail(j, 451, 3, 5, "The route to %.*s is not usable here: "
		    "%s", SLICE_FMT(j->domain), why);
		return false;
	}
	if (j->route.kind == ROUTE_ERROR) {
		job_fail(j, 550, 1, 2, "%.*s", SLICE_FMT(j->route.text.len > 0
		    ? j->route.text : SLICE("No mail is sent there")));
		return false;
	}
	if (j->by_at_ms != 0 && (j->flags & ENV_BY_RETURN) != 0 &&
	    clock_real_ms() >= (int64_t)j->by_at_ms) {
		job_fail(j, 554, 4, 7, "The time allowed for delivery "
		    "(DELIVERBY) is over");
		return false;
	}
	a->c = content_open(j->fd, j->id, &st);
	j->fd = -1;
	if (a->c == NULL) {
		job_judge(j, job_verdict(j, &st, true));
		return false;
	}
	content_front(a->c, sign_content, a->w);
	return true;
}

bool
attempt_run(struct worker *w, struct job *j)
{
	const struct conf *conf = &w->r->conf;
	struct attempt a = {.w = w, .j = j, .conf = conf,
	    .hosts = {.conf = conf, .job = j, .own = &w->r->own,
	        .health = w->r->health, .dns = on_dns, .arg = &a},
	    .deadline_ms = clock_mono_ms() +
	        (int64_t)conf->remote_transaction_timeout_ms};

	hosts_start(&a.hosts);
	if (prepare(&a))
		run(&a);
	hosts_free(&a.hosts);
	content_free(&a.c);
	if (*w->stop && job_nunsettled(j) == j->nrcpts)
		return false;
	for (size_t i = 0; i < j->nrcpts; i++)
		if (j->rcpts[i].verdict == NULL) {
			job_fail(j, 451, 3, 0, "Not tried");
			break;
		}
	return true;
}
