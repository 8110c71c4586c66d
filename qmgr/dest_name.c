/*
 * Which destination a recipient of another host belongs to, and which domains
 * lead there.  Runs in qmgr; the domains are those of recipients, the routes
 * come from the admin's table by way of authd.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/route.h"
#include "common/mail/domain.h"
#include "qmgr/dest.h"
#include "qmgr/qmgr.h"

#define OTHERS_MAX 1024 /* octets of further domains */

/* A route that does not name the host itself leads by the domain's own MX. */
static bool
by_domain(const struct route *r)
{
	return r->kind == ROUTE_MX && r->host.len == 0;
}

static void
remember_domain(struct dest *d, struct slice domain)
{
	size_t had;

	if (d->domain == NULL) {
		d->domain = slice_dup(domain);
		return;
	}
	if (dest_serves(d, domain, false))
		return;
	had = d->others == NULL ? 0 : strlen(d->others);
	if (had + domain.len + 2 > OTHERS_MAX)
		return; /* a look at the files finds them */
	d->others = mem_grow(d->others, had + domain.len + 2, 1);
	memcpy(d->others + had, domain.p, domain.len);
	d->others[had + domain.len] = '\n';
	d->others[had + domain.len + 1] = '\0';
}

static struct dest *
remote_get(struct qmgr *qm, struct slice domain, struct slice text,
    const struct route *route)
{
	struct slice key = by_domain(route) ? domain : text;
	struct dest *d = dest_get(qm, LANE_REMOTE, key);

	if (d->route == NULL || !slice_eq(slice_of(d->route), text)) {
		free(d->route);
		d->route = slice_dup(text);
		d->most = route->concurrency;
	}
	remember_domain(d, domain);
	return d;
}

struct dest *
dest_remote(struct qmgr *qm, struct slice address, struct slice text,
    struct status *why)
{
	struct buf domain = BUF_INIT(ENV_ADDRESS_MAX);
	size_t at = address.len;
	struct dest *d = NULL;
	struct route route;
	const char *wrong;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	if (!route_parse(text, &route, &wrong))
		/* authd's table says so: an admin's mistake, who mends it */
		status_set(why, 451, 3, 5, "the route to this domain is "
		    "wrong: %s", wrong);
	else if (!domain_wire(slice_sub(address, at, address.len), &domain,
	    &wrong) || domain.overflow)
		/* RFC 3463: bad destination system address */
		status_set(why, 553, 1, 2, "no mail can go to this domain: %s",
		    domain.overflow ? "too long" : wrong);
	else if (route.kind == ROUTE_ERROR)
		status_set(why, 550, 1, 2, "%.*s", SLICE_FMT(route.text));
	else
		d = remote_get(qm, buf_slice(&domain), text, &route);
	buf_free(&domain);
	return d;
}

bool
dest_serves(const struct dest *d, struct slice name, bool sub)
{
	struct slice rest = log_text(d->others), domain = log_text(d->domain);

	do {
		if (slice_ieq(domain, name))
			return true;
		if (sub && domain.len > name.len &&
		    domain.p[domain.len - name.len - 1] == '.' &&
		    slice_ieq(slice_sub(domain, domain.len - name.len,
		    domain.len), name))
			return true;
	} while (slice_cut(&rest, '\n', &domain));
	return false;
}
