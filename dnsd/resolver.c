/*
 * libunbound: options, servers, trust anchors, questions.  Runs in dnsd; what
 * libunbound reads comes from anybody who has a zone.
 *
 * libunbound's own words (its log) come through a stream that this file reads:
 * they go to our log, escaped, and the reason of a failure into the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>
#include <unbound-event.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/dns/server.h"
#include "common/proto/dns.h"
#include "dnsd/resolver.h"
#include "dnsd/resolver_events.h"

#define CLASS_IN 1
#define SECURE 2 /* of libunbound's callback */
#define BOGUS 1
#define SOCKETS_LEAST 16
#define SOCKETS_MOST 1000
#define TCP_MOST 32 /* each has a buffer of 64 kB */

struct resolver {
	struct ub_event_base *base; /* owned */
	struct ub_ctx *ctx;         /* owned */
	bool validates;
	bool ending;                /* answers go nowhere */
};

/* libunbound has one log for all its contexts, and so it lives as long as the
 * process. */
static struct {
	FILE *stream;
	char last[400]; /* what was said last, without its head */
} words;

/* ---- libunbound's log ---- */

/* "[time] libunbound[pid:0] error: words" */
static struct slice
without_head(struct slice line)
{
	size_t at = slice_find(line, ']', 0);

	at = slice_find(line, ']', at + 1);
	at = slice_find(line, ':', at);
	return at < line.len ? slice_trim(slice_sub(line, at + 1, line.len)) :
	    line;
}

static ssize_t
on_log(void *cookie, const char *p, size_t n)
{
	struct slice rest = slice_mem(p, n), line;

	(void)cookie;
	while (slice_cut(&rest, '\n', &line)) {
		line = without_head(line);
		if (line.len == 0)
			continue;
		snprintf(words.last, sizeof(words.last), "%.*s",
		    SLICE_FMT(line));
		/* Failures are told with their questions (question.c). */
		if (slice_prefix(line, SLICE("SERVFAIL <")) ||
		    slice_prefix(line, SLICE("validation failure <")))
			continue;
		LOG_WARN("libunbound", LB("says", line));
	}
	return (ssize_t)n;
}

/* The reason of a failure, if the last words are about this name:
 * "SERVFAIL <name. A IN>: reason". */
static const char *
reason_of(const char *name)
{
	struct slice said = slice_of(words.last), about;
	size_t from = strlen("SERVFAIL <"), to;
	const char *end;

	if (!slice_prefix(said, SLICE("SERVFAIL <")))
		return NULL;
	to = slice_find(said, ' ', from);
	about = slice_sub(said, from, to);
	if (about.len > 1 && about.p[about.len - 1] == '.')
		about.len--;
	end = strstr(words.last, ">: ");
	if (end == NULL || !slice_ieq(about, slice_of(name)))
		return NULL;
	return end + 3;
}

/* ---- options ---- */

struct option {
	const char *name, *value;
};

/* What is the same in every configuration. */
static const struct option fixed[] = {
	{"do-not-query-localhost:", "no"}, /* resolvers on 127.0.0.1 */
	{"log-servfail:", "yes"},          /* for reason_of */
	{"val-log-squelch:", "no"},
	{"verbosity:", "0"},
	{"minimal-responses:", "yes"},
	{"trust-anchor-signaling:", "no"},
	{"root-key-sentinel:", "no"},
	{"msg-cache-slabs:", "1"},         /* one thread */
	{"rrset-cache-slabs:", "1"},
	{"infra-cache-slabs:", "1"},
	{"key-cache-slabs:", "1"},
	/* A server that came back is found soon, and a dead one costs little:
	 * it is tried with at most one question at a time. */
	{"infra-host-ttl:", "30"},
	{"infra-keep-probing:", "yes"},
	{"infra-cache-max-rtt:", "8000"},
	{"insecure-lan-zones:", "yes"},    /* RFC 6303: nobody signs them */
};

static void
option(struct resolver *r, const char *name, const char *value,
    struct buf *errors)
{
	int error = ub_ctx_set_option(r->ctx, name, value);

	if (error != 0)
		buf_printf(errors, "libunbound: option %s %s: %s\n", name,
		    value, ub_strerror(error));
}

static void
option_number(struct resolver *r, const char *name, uint64_t n,
    struct buf *errors)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	option(r, name, text, errors);
}

static void
set_sizes(struct resolver *r, const struct conf *c, size_t sockets,
    struct buf *errors)
{
	uint64_t size = c->dns_cache_size;

	/* Records are most of it; a message refers to them. */
	option_number(r, "rrset-cache-size:", size / 2, errors);
	option_number(r, "msg-cache-size:", size / 4, errors);
	option_number(r, "key-cache-size:", size / 16, errors);
	option_number(r, "neg-cache-size:", size / 16, errors);
	/* About 500 octets a server. */
	option_number(r, "infra-cache-numhosts:", size / 8 / 500, errors);
	if (sockets > SOCKETS_MOST)
		sockets = SOCKETS_MOST;
	if (sockets < SOCKETS_LEAST)
		sockets = SOCKETS_LEAST;
	option_number(r, "outgoing-range:", sockets, errors);
	option_number(r, "outgoing-num-tcp:", sockets < TCP_MOST ? sockets :
	    TCP_MOST, errors);
	option_number(r, "num-queries-per-thread:", c->dns_queries_max,
	    errors);
}

static void
set_behaviour(struct resolver *r, const struct conf *c,
    const struct dns_servers *servers, struct buf *errors)
{
	size_t i;

	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		option(r, fixed[i].name, fixed[i].value, errors);
	option(r, "do-ip6:", c->dns_ipv6 ? "yes" : "no", errors);
	option_number(r, "cache-max-ttl:", c->dns_ttl_max_ms / 1000, errors);
	option_number(r, "cache-max-negative-ttl:",
	    c->dns_negative_ttl_max_ms / 1000, errors);
	/* Without servers of our own, the reverse zones of private networks
	 * are not asked of the world. */
	option(r, "unblock-lan-zones:", servers->recursive &&
	    servers->nstubs == 0 ? "no" : "yes", errors);
	/* Missing hints would end in failures without a word. */
	if (c->dns_root_hints[0] != '\0') {
		struct buf text = BUF_INIT(2 * 1024 * 1024);

		if (dns_file_read(c->dns_root_hints, &text) == 0)
			option(r, "root-hints:", c->dns_root_hints, errors);
		else
			log_warn("dns_root_hints %s: cannot be read; those of "
			    "libunbound are used", c->dns_root_hints);
		buf_free(&text);
	}
}

static void
check(int error, const char *what, const char *value, struct buf *errors)
{
	if (error != 0)
		buf_printf(errors, "libunbound: %s %s: %s\n", what, value,
		    ub_strerror(error));
}

static void
set_servers(struct resolver *r, const struct dns_servers *servers,
    struct buf *errors)
{
	const struct dns_stub *stub;
	size_t i;

	for (i = 0; i < servers->n; i++)
		check(ub_ctx_set_fwd(r->ctx, servers->v[i].text), "resolver",
		    servers->v[i].text, errors);
	for (i = 0; i < servers->nstubs; i++) {
		stub = &servers->stubs[i];
		check(ub_ctx_set_stub(r->ctx, stub->zone[0] == '\0' ? "." :
		    stub->zone, stub->server.text, 0), "server of a zone",
		    stub->server.text, errors);
	}
}

/* Says at start and at each reload what answers will be worth. */
static void
set_anchors(struct resolver *r, const struct conf *c, struct buf *errors)
{
	const char *path = c->dns_trust_anchor;
	size_t i;

	if (!c->dns_dnssec) {
		log_warnx("dns_dnssec = no: answers are not validated");
		option(r, "module-config:", "iterator", errors);
		return;
	}
	switch (dns_anchor_look(path)) {
	case DNS_ANCHOR_NONE:
		log_warnx("dns_trust_anchor is empty: answers are not "
		    "validated");
		break;
	case DNS_ANCHOR_MISSING:
		log_warn("dns_trust_anchor %s: cannot be read, answers are not "
		    "validated; install the root's key (Debian: "
		    "dns-root-data)", path);
		break;
	case DNS_ANCHOR_EMPTY:
		log_warnx("dns_trust_anchor %s: has no DS or DNSKEY record, "
		    "answers are not validated", path);
		break;
	case DNS_ANCHOR_THERE:
		check(ub_ctx_add_ta_file(r->ctx, path), "trust anchor", path,
		    errors);
		r->validates = true;
		break;
	}
	if (!r->validates)
		option(r, "module-config:", "iterator", errors);
	for (i = 0; r->validates && i < c->dns_insecure.n; i++)
		option(r, "domain-insecure:", c->dns_insecure.v[i], errors);
}

/* libunbound answers some names itself (RFC 6303, RFC 6761); a zone that has
 * servers here is not among them. */
static void
unblock(struct resolver *r, const struct dns_servers *servers,
    struct buf *errors)
{
	const char *zone;
	size_t i;

	for (i = 0; i < servers->nstubs; i++) {
		zone = servers->stubs[i].zone;
		while (zone != NULL && *zone != '\0') {
			check(ub_ctx_zone_remove(r->ctx, zone), "zone", zone,
			    errors);
			if (errors->len > 0)
				return; /* said what its files are like */
			zone = strchr(zone, '.');
			if (zone != NULL)
				zone++;
		}
	}
}

/* ---- questions ---- */

static const char *
code_words(int code)
{
	switch (code) {
	case 2:
		return "the name servers fail or do not answer";
	case 3:
		return "no such name";
	case 5:
		return "the name server refuses to answer";
	default:
		return "the resolver fails";
	}
}

static void
on_answer(void *arg, int code, void *packet, int len, int security,
    char *why_bogus, int limited)
{
	struct resolver_call *call = arg;
	struct resolver_said said = {.failed = code != 0,
	    .secure = security == SECURE, .bogus = security == BOGUS,
	    .packet = SLICE_EMPTY, .why = ""};

	(void)limited;
	if (call->resolver->ending)
		return;
	if (said.bogus)
		said.why = why_bogus != NULL ? why_bogus :
		    "does not validate";
	else if (said.failed)
		said.why = reason_of(call->name);
	if (said.why == NULL)
		said.why = code_words(code);
	if (!said.failed && packet != NULL && len > 0)
		said.packet = slice_mem(packet, (size_t)len);
	call->fn(call->arg, &said);
}

const char *
resolver_ask(struct resolver *r, struct resolver_call *call,
    struct slice name, uint32_t type)
{
	int error;

	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	if (name.len >= sizeof(call->name))
		return "the name is too long";
	memcpy(call->name, name.p, name.len);
	call->name[name.len] = '\0';
	call->resolver = r;
	error = ub_resolve_event(r->ctx, name.len == 0 ? "." : call->name,
	    (int)type, CLASS_IN, call, on_answer, NULL);
	return error == 0 ? NULL : ub_strerror(error);
}

/* A question that libunbound answers itself makes it read its files and take
 * its memory now, and say what it does not like. */
static void
on_trial(void *arg, int code, void *packet, int len, int security,
    char *why_bogus, int limited)
{
	(void)arg;
	(void)code;
	(void)packet;
	(void)len;
	(void)security;
	(void)why_bogus;
	(void)limited;
}

static void
try_out(struct resolver *r, struct buf *errors)
{
	int error = ub_resolve_event(r->ctx, "localhost", DNS_A, CLASS_IN,
	    NULL, on_trial, NULL);

	if (error != 0)
		buf_printf(errors, "libunbound: %s\n", ub_strerror(error));
}

/* ---- life ---- */

static bool
open_context(struct resolver *r, struct loop *l, struct buf *errors)
{
	static const cookie_io_functions_t io = {NULL, on_log, NULL, NULL};

	if (words.stream == NULL)
		words.stream = fopencookie(NULL, "w", io);
	words.last[0] = '\0';
	r->base = events_new(l);
	r->ctx = ub_ctx_create_ub_event(r->base);
	if (r->ctx == NULL || words.stream == NULL) {
		buf_adds(errors, "libunbound: out of memory or of random "
		    "numbers\n");
		return false;
	}
	setvbuf(words.stream, NULL, _IOLBF, 0);
	(void)ub_ctx_debugout(r->ctx, words.stream);
	return true;
}

struct resolver *
resolver_new(struct loop *l, const struct conf *c,
    const struct dns_servers *servers, size_t sockets, struct buf *errors)
{
	struct resolver *r = mem_alloc(sizeof(*r));
	size_t before = errors->len;

	if (open_context(r, l, errors)) {
		set_sizes(r, c, sockets, errors);
		set_behaviour(r, c, servers, errors);
		set_servers(r, servers, errors);
		set_anchors(r, c, errors);
		if (errors->len == before)
			unblock(r, servers, errors);
		if (errors->len == before)
			try_out(r, errors);
	}
	if (errors->len > before) {
		if (words.last[0] != '\0')
			buf_printf(errors, "libunbound says: %s\n",
			    words.last);
		resolver_free(&r);
	}
	return r;
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	if (r == NULL)
		return;
	/* What is under way ends with failures. */
	r->ending = true;
	if (r->ctx != NULL)
		ub_ctx_delete(r->ctx);
	events_free(&r->base);
	free(r);
	*rp = NULL;
}

bool
resolver_validates(const struct resolver *r)
{
	return r->validates;
}
