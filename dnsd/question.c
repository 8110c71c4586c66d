/*
 * Questions of other daemons, from the record to the answer.  Runs in dnsd; its
 * peers are our own processes, but what they ask for is whatever strangers
 * named, and a session that was taken over may ask for anything.
 *
 * A question whose asker gave up, or whose time is over, stays until libunbound
 * is done with it: those are bounded, too.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/dns/server.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/dns.h"
#include "dnsd/counters.h"
#include "dnsd/packet.h"
#include "dnsd/question.h"
#include "dnsd/resolver.h"

#define PEER_LEAST 64         /* questions that any peer may have under way */
#define PEER_SHARE 4          /* or this part of all */
#define PENDING_MAX (1u << 20) /* answers that a peer does not take */
#define COMPLAINTS_MS 1000    /* one line a second about limits */

/* A connection. */
struct asker {
	struct chan_peer *peer;
	struct question *first; /* its questions under way */
	size_t n;
};

struct link {
	struct question *before, *behind;
};

struct question {
	struct resolver_call call;
	struct questions *qs;
	struct asker *asker; /* NULL: nobody waits any more */
	uint64_t rid;
	uint32_t type;
	char *name;          /* owned */
	size_t name_len;
	int64_t since_us;
	struct loop_timer *timer;
	bool asking;         /* resolver_ask has not returned */
	bool done;
	struct link all, own;
};

struct questions {
	struct loop *loop;
	const struct conf *conf;
	struct resolver *resolver;
	struct chan_server *server;
	struct question *first;
	size_t n, waiting;   /* all, and those with an asker */
	struct packet packet;
	int64_t complained_ms;
};

static const char *const result_words[] = {NULL, "ok", "nodata", "nxdomain",
    "temp", "bogus"};

/* ---- lists ---- */

static void
enter(struct question *q)
{
	struct questions *qs = q->qs;
	struct asker *a = q->asker;

	q->all.behind = qs->first;
	if (qs->first != NULL)
		qs->first->all.before = q;
	qs->first = q;
	q->own.behind = a->first;
	if (a->first != NULL)
		a->first->own.before = q;
	a->first = q;
	qs->n++;
	qs->waiting++;
	a->n++;
	stats_add(COUNT_UNDER_WAY, 1);
}

/* Nobody waits for it any more. */
static void
abandon(struct question *q)
{
	struct asker *a = q->asker;

	if (a == NULL)
		return;
	if (q->own.before != NULL)
		q->own.before->own.behind = q->own.behind;
	else
		a->first = q->own.behind;
	if (q->own.behind != NULL)
		q->own.behind->own.before = q->own.before;
	a->n--;
	q->qs->waiting--;
	q->asker = NULL;
	loop_timer_free(&q->timer);
}

static void
leave(struct question *q)
{
	struct questions *qs = q->qs;

	abandon(q);
	if (q->all.before != NULL)
		q->all.before->all.behind = q->all.behind;
	else
		qs->first = q->all.behind;
	if (q->all.behind != NULL)
		q->all.behind->all.before = q->all.before;
	qs->n--;
	stats_sub(COUNT_UNDER_WAY, 1);
	free(q->name);
	free(q);
}

/* ---- answers ---- */

static const char *
type_word(uint32_t type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	case DNS_TLSA:
		return "TLSA";
	default:
		return NULL;
	}
}

/* What somebody may want to know: failures at once, the rest with log_debug. */
static void
note(const struct question *q, const struct dns_answer *out)
{
	struct slice name = slice_mem(q->name, q->name_len);
	const char *type = type_word(q->type);

	if (out->result == DNS_BOGUS)
		LOG_WARN("bogus", LB("name", name), LS("type", type),
		    LB("why", out->why));
	else if (out->result == DNS_TEMP)
		LOG_INFO("no-answer", LB("name", name), LS("type", type),
		    LB("why", out->why));
	else
		LOG_DEBUG("answer", LB("name", name), LS("type", type),
		    LS("result", result_words[out->result]),
		    LU("records", out->records.n), LU("secure", out->secure),
		    LU("ttl", out->ttl));
}

static void
send_answer(struct chan_peer *peer, struct dns_answer *out)
{
	out->why = slice_sub(out->why, 0, DNS_WHY_MAX);
	stats_add(COUNT_OK + out->result - DNS_OK, 1);
	if (out->secure)
		stats_add(COUNT_SECURE, 1);
	chan_peer_send(peer, DNS_ANSWER, out);
}

static void
give(struct question *q, struct dns_answer *out)
{
	struct chan_peer *peer;

	if (q->asker == NULL)
		return;
	out->rid = q->rid;
	stats_observe(COUNT_TIME, clock_mono_us() - q->since_us);
	note(q, out);
	peer = q->asker->peer;
	abandon(q);
	send_answer(peer, out);
}

static void
give_temp(struct question *q, const char *why)
{
	struct dns_answer out = {.result = DNS_TEMP, .canonical = SLICE_EMPTY,
	    .why = slice_of(why)};

	give(q, &out);
}

static void
on_said(void *arg, const struct resolver_said *said)
{
	struct question *q = arg;
	struct dns_answer out = {.canonical = SLICE_EMPTY,
	    .why = slice_of(said->why)};

	assert(!q->done);
	if (q->asker != NULL && said->bogus) {
		out.result = DNS_BOGUS;
		give(q, &out);
	} else if (q->asker != NULL && said->failed) {
		give_temp(q, said->why);
	} else if (q->asker != NULL) {
		packet_read(&q->qs->packet, said->packet,
		    slice_mem(q->name, q->name_len), q->type, &out);
		out.secure = said->secure && out.result != DNS_TEMP;
		give(q, &out);
	}
	q->done = true;
	if (!q->asking)
		leave(q);
}

static void
on_late(void *arg)
{
	give_temp(arg, "no answer within dns_timeout");
}

/* ---- questions ---- */

static void
ask(struct question *q)
{
	const char *why;

	q->asking = true;
	q->done = false;
	q->call.fn = on_said;
	q->call.arg = q;
	why = resolver_ask(q->qs->resolver, &q->call,
	    slice_mem(q->name, q->name_len), q->type);
	q->asking = false;
	if (why != NULL)
		give_temp(q, why);
	if (why != NULL || q->done)
		leave(q);
}

/* One line a second at most: each is the work of somebody who asks too much. */
static void
complain(struct questions *qs, const char *what)
{
	int64_t now = loop_now(qs->loop);

	stats_add(COUNT_REFUSED, 1);
	if (qs->complained_ms != 0 && now - qs->complained_ms < COMPLAINTS_MS)
		return;
	qs->complained_ms = now;
	LOG_WARN("too-many-questions", LS("limit", what),
	    LU("under-way", qs->waiting), LU("all", qs->n));
}

static const char *
limit_reached(struct questions *qs, const struct asker *a)
{
	size_t most = qs->conf->dns_queries_max;
	size_t share = most / PEER_SHARE;

	if (share < PEER_LEAST)
		share = PEER_LEAST;
	if (qs->waiting >= most || qs->n >= 2 * most)
		return "dns_queries_max";
	return a->n >= share ? "of-one-connection" : NULL;
}

static void
refuse(struct chan_peer *p, uint64_t rid, enum dns_result result,
    const char *why)
{
	struct dns_answer out = {.rid = rid, .result = result,
	    .canonical = SLICE_EMPTY, .why = slice_of(why)};

	send_answer(p, &out);
}

static void
question_new(struct questions *qs, struct asker *a,
    const struct dns_query *query)
{
	struct question *q = mem_alloc(sizeof(*q));

	q->qs = qs;
	q->asker = a;
	q->rid = query->rid;
	q->type = query->type;
	q->name = slice_dup(query->name);
	q->name_len = query->name.len;
	q->since_us = clock_mono_us();
	q->timer = loop_timer_new(qs->loop, on_late, q);
	loop_timer_in(q->timer, (int64_t)qs->conf->dns_timeout_ms);
	enter(q);
	ask(q);
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct questions *qs = arg;
	struct asker *a = chan_peer_data(p);
	const struct dns_query *query = msg;
	const char *why;

	(void)type;
	(void)fds;
	(void)nfds;
	if (type_word(query->type) == NULL) {
		LOG_WARN("peer-refused", LU("uid", chan_peer_uid(p)),
		    LS("why", "a type that nobody asks for"),
		    LU("type", query->type));
		return false;
	}
	if (chan_pending(chan_peer_chan(p)) > PENDING_MAX) {
		LOG_WARN("peer-refused", LU("uid", chan_peer_uid(p)),
		    LS("why", "does not take its answers"));
		return false;
	}
	if (!dns_name_ok(query->name, &why)) {
		refuse(p, query->rid, DNS_NXDOMAIN, why);
	} else if ((why = limit_reached(qs, a)) != NULL) {
		complain(qs, why);
		refuse(p, query->rid, DNS_TEMP, "too many questions at a time");
	} else {
		question_new(qs, a, query);
	}
	return true;
}

static bool
on_opened(void *arg, struct chan_peer *p)
{
	struct asker *a = mem_alloc(sizeof(*a));

	(void)arg;
	a->peer = p;
	chan_peer_set_data(p, a);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct asker *a = chan_peer_data(p);

	(void)arg;
	while (a->first != NULL)
		abandon(a->first);
	free(a);
}

/* ---- life ---- */

struct questions *
questions_new(const struct questions_args *args)
{
	static const struct chan_server_ops ops = {on_record, on_opened,
	    on_closed};
	struct questions *qs = mem_alloc(sizeof(*qs));

	qs->loop = args->loop;
	qs->conf = args->conf;
	qs->resolver = args->resolver;
	packet_init(&qs->packet);
	qs->server = chan_server_new(qs->loop, args->listen_fd, &dns_contract,
	    &ops, qs, args->uids, args->nuids, args->conf->dns_clients_max,
	    false);
	return qs;
}

void
questions_resolver(struct questions *qs, struct resolver *r)
{
	struct question **v = mem_array(qs->n + 1, sizeof(struct question *));
	struct question *q, *behind;
	size_t n = 0, i;

	resolver_free(&qs->resolver);
	qs->resolver = r;
	for (q = qs->first; q != NULL; q = behind) {
		behind = q->all.behind;
		if (q->asker != NULL)
			v[n++] = q;
		else
			leave(q);
	}
	/* Each may be answered at once, which ends no other. */
	for (i = 0; i < n; i++)
		ask(v[i]);
	free(v);
}

void
questions_pause(struct questions *qs)
{
	chan_server_pause(qs->server);
}

size_t
questions_busy(const struct questions *qs)
{
	return qs->waiting;
}

void
questions_free(struct questions **qsp)
{
	struct questions *qs = *qsp;
	struct question *q, *behind;

	if (qs == NULL)
		return;
	chan_server_free(&qs->server);
	resolver_free(&qs->resolver);
	for (q = qs->first; q != NULL; q = behind) {
		behind = q->all.behind;
		leave(q);
	}
	packet_free(&qs->packet);
	free(qs);
	*qsp = NULL;
}
