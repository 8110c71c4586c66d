/*
 * The hosts that take mail for a domain, in the order they are to be tried
 * (RFC 5321 5.1, RFC 7505), and the addresses of a host.
 */
#ifndef COMMON_DNS_MX_H
#define COMMON_DNS_MX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

#include "common/base/status.h"
#include "common/conf/net.h"

struct dns;

#define MX_HOSTS_MAX 50
#define MX_ADDRESSES_MAX 20 /* of one host */

struct mx_host {
	char *name;           /* owned, NUL-terminated, no last dot */
	uint32_t preference;
	bool secure;          /* its name came by DNSSEC all the way */
};
struct mx {
	struct mx_host *v;    /* owned; ordered: preference, random among
	                       * equals */
	size_t n;
	bool implicit;        /* no MX: the domain itself (RFC 5321 5.1) */
	bool secure;          /* the MX answer was validated */
};

/*
 * mx_lookup: 2xx with at least one host, or why not: 5.1.2 no such domain,
 * 5.1.10 null MX (RFC 7505), 4.4.3 look-up failed for now.  There is a
 * fall-back to the domain itself only when the look-up said "no such type".
 * own: this host's name; hosts from its preference on (inclusive) are dropped
 * and, when none is left, 5.4.6 loop (RFC 5321 5.1).  Own addresses are the
 * caller's to compare.
 */
void mx_lookup(struct dns *d, const char *domain, const char *own,
    int64_t deadline_ms, struct mx *out, struct status *st);
void mx_free(struct mx *m);

/* A and AAAA of a host, asked together, each family in random order: IPv6
 * first where v6_first.  2xx with at least one, else 4.4.3 or 5.4.4 (no
 * address).  want: MX_IPV4, MX_IPV6 or both. */
#define MX_IPV4 1u
#define MX_IPV6 2u
struct mx_address {
	struct ip ip;
	bool secure;
};
size_t mx_addresses(struct dns *d, const char *host, unsigned want,
    bool v6_first, int64_t deadline_ms,
    struct mx_address out[MX_ADDRESSES_MAX], struct status *st);

#endif
