/*
 * Where to: MX records, addresses, literals, routes; in a remote process.  The
 * names are recipients' domains and what their DNS says, parsed by dnsd.
 *
 * Hosts of one preference are looked up together, because one that turns out to
 * be this host rules out all others from that preference on.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/dns/dns.h"
#include "remote/health.h"
#include "remote/hosts.h"
#include "remote/own.h"

#define GROUP_MAX 200 /* places of one preference */

void
place_text(const struct place *p, char *out, size_t size)
{
	char ip[IP_TEXT_SIZE];

	ip_text(&p->ip, ip);
	snprintf(out, size, "%s[%s]:%u", p->name, ip, (unsigned)p->port);
}

void
hosts_start(struct hosts *h)
{
	status_set(&h->why, 451, 4, 4, "No host found");
}

void
hosts_free(struct hosts *h)
{
	mx_free(&h->mx);
	free(h->v);
	h->v = NULL;
	h->n = h->cap = h->next = 0;
}

static uint16_t
port_of(const struct hosts *h)
{
	return h->job->route.port != 0 ? h->job->route.port
	    : (uint16_t)h->conf->remote_port;
}

/* Its port is one that we listen at: that is us. */
static bool
is_own(const struct hosts *h, const struct ip *ip)
{
	return own_has(h->own, ip, port_of(h));
}

static void
add(struct hosts *h, const struct ip *ip, const char *name)
{
	struct place p = {.ip = *ip, .port = port_of(h)};
	bool v4 = ip_is_v4(ip);

	if (h->n == GROUP_MAX ||
	    h->conf->remote_families == (v4 ? CONF_FAMILIES_IPV6
	    : CONF_FAMILIES_IPV4))
		return;
	snprintf(p.name, sizeof(p.name), "%s", name);
	MEM_PUSH(h->v, h->n, h->cap, p);
}

/* Doubtful ones last, the order is kept otherwise. */
static void
order(struct hosts *h)
{
	int64_t now = clock_mono_ms();
	int64_t memory = (int64_t)h->conf->remote_failure_memory_ms;
	struct place *sorted;
	size_t n = 0;

	if (h->n < 2)
		return;
	sorted = mem_array(h->n, sizeof(*sorted));
	for (int last = 0; last < 2; last++)
		for (size_t i = 0; i < h->n; i++)
			if (health_doubtful(h->health, &h->v[i].ip, now,
			    memory) == (last == 1))
				sorted[n++] = h->v[i];
	free(h->v);
	h->v = sorted;
	h->cap = h->n;
}

/* A failure for now outweighs a no. */
static void
note(struct hosts *h, const struct status *st)
{
	bool now = status_class(st) == STATUS_TEMPORARY;

	if (h->failed_now && !now)
		return;
	h->failed_now = h->failed_now || now;
	h->why = *st;
}

static struct dns *
resolver(struct hosts *h)
{
	struct dns *d = h->dns(h->arg);
	struct status st;

	h->deadline_ms = clock_mono_ms() +
	    (int64_t)h->conf->remote_dns_timeout_ms;
	if (d == NULL) {
		h->local = true;
		status_set(&st, 451, 4, 3, "Our name service is not running");
		note(h, &st);
	}
	return d;
}

/* The addresses of one host into the group; false: one of them is ours. */
static bool
add_host(struct hosts *h, const char *name)
{
	struct mx_address v[MX_ADDRESSES_MAX];
	static const unsigned families[] = {MX_IPV4 | MX_IPV6, MX_IPV4,
	    MX_IPV6};
	struct dns *d = resolver(h);
	struct status st;
	bool v6_first;
	size_t n;

	if (d == NULL)
		return true;
	v6_first = !health_v6_doubtful(h->health, clock_mono_ms(),
	    (int64_t)h->conf->remote_failure_memory_ms);
	n = mx_addresses(d, name, families[h->conf->remote_families],
	    v6_first, h->deadline_ms, v, &st);
	if (n == 0)
		note(h, &st);
	for (size_t i = 0; i < n; i++)
		if (is_own(h, &v[i].ip))
			return false;
	for (size_t i = 0; i < n; i++)
		add(h, &v[i].ip, name);
	return true;
}

/* ---- the kinds of ways ---- */

/* A host named by the admin: that it cannot be found is no reason to give mail
 * back. */
static void
soften(struct hosts *h)
{
	char text[STATUS_TEXT_MAX];

	if (status_class(&h->why) != STATUS_PERMANENT)
		return;
	snprintf(text, sizeof(text), "%s", h->why.text);
	status_set(&h->why, 451, h->why.subject, h->why.detail, "The route to "
	    "%.*s: %s", SLICE_FMT(h->job->domain), text);
	h->failed_now = true;
}

static void
begin_mx(struct hosts *h)
{
	struct slice host = h->job->route.host.len > 0 ? h->job->route.host
	    : h->job->domain;
	char *name = slice_dup(host);
	struct dns *d = resolver(h);
	struct status st;

	if (d != NULL) {
		mx_lookup(d, name, h->conf->hostname, h->deadline_ms, &h->mx,
		    &st);
		if (status_class(&st) != STATUS_OK)
			note(h, &st);
	}
	free(name);
	if (h->job->route.host.len > 0)
		soften(h);
}

/* "192.0.2.1" or, as in address literals, "IPv6:2001:db8::1" */
static bool
literal(struct slice s, struct ip *out)
{
	if (slice_iprefix(s, SLICE("IPv6:")))
		s = slice_sub(s, 5, s.len);
	return ip_parse(s, out);
}

static void
own_place(struct hosts *h, bool route)
{
	struct status st;

	h->looped = true;
	h->n = 0;
	if (route) {
		h->local = true;
		status_set(&st, 451, 4, 6, "The route to %.*s leads back to "
		    "this host", SLICE_FMT(h->job->domain));
		LOG_ERROR("route-loop", LB("domain", h->job->domain),
		    LB("route", h->job->route_text),
		    LS("mend", "name another host in the table routes"));
	} else
		status_set(&st, 554, 4, 6, "Mail for %.*s loops back to this "
		    "host", SLICE_FMT(h->job->domain));
	note(h, &st);
}

static void
begin_host(struct hosts *h)
{
	struct slice host = h->job->route.host;
	bool ours;
	char *name;
	struct ip ip;

	if (literal(host, &ip)) {
		ours = is_own(h, &ip);
		add(h, &ip, "");
	} else {
		name = slice_dup(host);
		ours = !add_host(h, name);
		free(name);
	}
	soften(h);
	if (ours)
		own_place(h, true);
}

/* RFC 5321 4.1.3: a destination in brackets. */
static void
begin_literal(struct hosts *h)
{
	struct slice d = h->job->domain;
	struct ip ip;

	d = slice_sub(d, 1, d.len > 0 ? d.len - 1 : 0);
	if (!literal(d, &ip))
		status_set(&h->why, 553, 1, 2, "%.*s is no address of a host",
		    SLICE_FMT(h->job->domain));
	else if (is_own(h, &ip))
		own_place(h, false);
	else
		add(h, &ip, "");
}

static void
begin(struct hosts *h)
{
	const struct route *r = &h->job->route;

	h->begun = true;
	if (r->kind == ROUTE_HOST)
		begin_host(h);
	else if (r->host.len == 0 && slice_prefix(h->job->domain, SLICE("[")))
		begin_literal(h);
	else
		begin_mx(h);
	order(h);
}

/* The hosts of the next preference. */
static bool
next_group(struct hosts *h)
{
	uint32_t preference;
	bool ours = false;

	if (h->looped || h->mx_next == h->mx.n)
		return false;
	h->n = h->next = 0;
	preference = h->mx.v[h->mx_next].preference;
	while (h->mx_next < h->mx.n && !ours &&
	    h->mx.v[h->mx_next].preference == preference)
		ours = !add_host(h, h->mx.v[h->mx_next++].name);
	if (ours)
		own_place(h, h->job->route.host.len > 0);
	order(h);
	if (h->job->route.host.len > 0)
		soften(h);
	return true;
}

bool
hosts_next(struct hosts *h, struct place *out, struct status *st)
{
	if (!h->begun)
		begin(h);
	while (h->next == h->n)
		if (!next_group(h)) {
			*st = h->why;
			return false;
		}
	*out = h->v[h->next++];
	return true;
}
