/*
 * Client of dnsd.  Runs in processes that block with a deadline: remote's,
 * smtpd's sessions, postern.  What comes back was parsed and bounded by dnsd;
 * the names in it are strangers'.
 *
 * At most WINDOW questions are under way, fewer than dnsd allows a connection.
 * A connection that is lost is made anew (where this process may make one) and
 * what was not answered is asked again: dnsd may be restarted at any time.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/dns/dns.h"
#include "common/io/chan.h"
#include "common/proto/sockets.h"

#define WINDOW 24
#define RETRY_MS 3000 /* that dnsd may be away before we give up */
#define RETRY_FIRST_MS 20
#define RETRY_MOST_MS 250
#define HANGUPS 3 /* connections lost without an answer */

/* One question's answer, copied. */
struct reply {
	struct dns_answer answer;
	bool asked, given;
	void *memory; /* owned: records and octets of answer */
};

struct dns {
	struct chan *chan;   /* NULL: not connected */
	bool dials;
	uint64_t rid;        /* of the first question of this call */
	struct reply *v;     /* owned; of the last call */
	size_t n;
};

struct dns *
dns_new(int fd)
{
	struct dns *d = mem_alloc(sizeof(*d));

	d->chan = chan_new(fd, &dns_contract, CHAN_CLIENT);
	return d;
}

struct dns *
dns_dial(void)
{
	struct dns *d = mem_alloc(sizeof(*d));

	d->dials = true;
	return d;
}

static void
forget(struct dns *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		free(d->v[i].memory);
	free(d->v);
	d->v = NULL;
	d->n = 0;
}

void
dns_free(struct dns **dp)
{
	struct dns *d = *dp;

	if (d == NULL)
		return;
	forget(d);
	chan_free(&d->chan);
	free(d);
	*dp = NULL;
}

/* ---- answers ---- */

static struct slice
copy(char **at, struct slice s)
{
	char *to = *at;

	if (s.len == 0)
		return SLICE_EMPTY;
	memcpy(to, s.p, s.len);
	*at += s.len;
	return (struct slice){to, s.len};
}

/* Records first, for their alignment, then all octets. */
static void
keep(struct reply *r, const struct dns_answer *from)
{
	const struct dns_record *in = from->records.v;
	struct dns_record *out;
	size_t octets = from->canonical.len + from->why.len, i;
	char *at;

	for (i = 0; i < from->records.n; i++)
		octets += in[i].name.len + in[i].data.len;
	r->memory = out = mem_alloc(from->records.n * sizeof(*out) + octets +
	    1);
	at = (char *)(out + from->records.n);
	r->answer = *from;
	r->answer.canonical = copy(&at, from->canonical);
	r->answer.why = copy(&at, from->why);
	for (i = 0; i < from->records.n; i++) {
		out[i].preference = in[i].preference;
		out[i].name = copy(&at, in[i].name);
		out[i].data = copy(&at, in[i].data);
	}
	r->answer.records.v = out;
	r->given = true;
}

static void
give_up(struct dns *d, const char *why)
{
	struct reply *r;
	size_t i;

	for (i = 0; i < d->n; i++) {
		r = &d->v[i];
		if (r->given)
			continue;
		r->answer.result = DNS_TEMP;
		r->answer.why = slice_of(why);
		r->given = true;
	}
}

/* A result that we do not know, and an OK without a record, are faults. */
static void
take(struct dns *d, const struct dns_answer *a)
{
	uint64_t i = a->rid - d->rid;

	if (a->rid < d->rid || i >= d->n || !d->v[i].asked || d->v[i].given)
		return; /* of an earlier call, whose time was over */
	keep(&d->v[i], a);
	if (a->result < DNS_OK || (a->result == DNS_OK && a->records.n == 0)) {
		d->v[i].answer.result = DNS_TEMP;
		d->v[i].answer.why = SLICE("dnsd gave a strange answer");
	}
}

/* ---- questions ---- */

static void
send_question(struct dns *d, const struct dns_question *q, size_t i)
{
	struct dns_query query = {.rid = d->rid + i, .type = q[i].type,
	    .name = slice_of(q[i].name)};

	d->v[i].asked = true;
	if (query.name.len > DNS_ASK_MAX) {
		d->v[i].answer.result = DNS_NXDOMAIN;
		d->v[i].answer.why = SLICE("the name is too long");
		d->v[i].given = true;
		return;
	}
	chan_queue(d->chan, DNS_QUERY, &query, NULL, 0);
}

/* Asks on where there is room; false: all are answered. */
static bool
ask_more(struct dns *d, const struct dns_question *q)
{
	size_t i, open = 0, left = 0;

	for (i = 0; i < d->n; i++)
		open += d->v[i].asked && !d->v[i].given;
	for (i = 0; i < d->n; i++) {
		if (d->v[i].given)
			continue;
		if (!d->v[i].asked && open < WINDOW) {
			send_question(d, q, i);
			open += !d->v[i].given;
		}
		left += !d->v[i].given;
	}
	return left > 0;
}

static void
lost(struct dns *d)
{
	size_t i;

	chan_free(&d->chan);
	for (i = 0; i < d->n; i++)
		d->v[i].asked = false;
}

static void
rest(int64_t wait_ms, int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_mono_ms();

	if (wait_ms > left)
		wait_ms = left;
	if (wait_ms > 0)
		(void)poll(NULL, 0, (int)wait_ms);
}

/* With dnsd away for a moment: tries again, longer each time. */
static bool
connect_again(struct dns *d, int64_t *until_ms, int64_t deadline_ms)
{
	int64_t wait_ms = RETRY_FIRST_MS;

	if (!d->dials)
		return false;
	while ((d->chan = chan_connect(SOCKET_DNS, &dns_contract)) == NULL) {
		if (*until_ms == 0)
			*until_ms = clock_mono_ms() + RETRY_MS;
		if (clock_mono_ms() >= deadline_ms ||
		    clock_mono_ms() >= *until_ms)
			return false;
		rest(wait_ms, deadline_ms);
		wait_ms = wait_ms * 2 < RETRY_MOST_MS ? wait_ms * 2 :
		    RETRY_MOST_MS;
	}
	return true;
}

/* Until all are answered; otherwise the reason why they are not. */
static const char *
converse(struct dns *d, const struct dns_question *q, int64_t deadline_ms)
{
	int64_t until_ms = 0;
	unsigned hangups = 0;
	union dns_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	for (;;) {
		if (d->chan == NULL &&
		    !connect_again(d, &until_ms, deadline_ms))
			return "dnsd is not there";
		if (!ask_more(d, q))
			return NULL;
		switch (chan_wait(d->chan, &type, &msg, sizeof(msg), fds,
		    &nfds, deadline_ms)) {
		case CHAN_OK:
			take(d, &msg.answer);
			until_ms = 0;
			hangups = 0;
			break;
		case CHAN_TIMEOUT:
			return "no answer from dnsd in time";
		case CHAN_BAD:
			lost(d);
			return "dnsd broke the contract";
		case CHAN_CLOSED:
		case CHAN_AGAIN:
			lost(d);
			if (!d->dials)
				return "the connection to dnsd is lost";
			if (++hangups == HANGUPS)
				return "dnsd hangs up";
			rest(RETRY_FIRST_MS, deadline_ms);
			break;
		}
	}
}

void
dns_ask(struct dns *d, const struct dns_question *q, size_t n,
    const struct dns_answer **answers, int64_t deadline_ms)
{
	const char *why;
	size_t i;

	d->rid += d->n;
	forget(d);
	d->v = mem_array(n > 0 ? n : 1, sizeof(*d->v));
	d->n = n;
	for (i = 0; i < n; i++) {
		d->v[i].answer.canonical = d->v[i].answer.why = SLICE_EMPTY;
		d->v[i].answer.rid = d->rid + i;
		answers[i] = &d->v[i].answer;
	}
	why = n > 0 ? converse(d, q, deadline_ms) : NULL;
	if (why != NULL)
		give_up(d, why);
}
