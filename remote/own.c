/* The host's own places, in remote's parent at start; asked by its processes
 * about addresses that DNS named. */
#include <sys/types.h>

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "remote/own.h"

static void
add(struct own *o, const struct ip *ip, uint16_t port)
{
	struct own_place p = {*ip, port};

	MEM_PUSH(o->v, o->n, o->cap, p);
}

static bool
is_any(const struct ip *ip)
{
	static const struct ip v6;
	static const uint8_t v4[4];

	return ip_equal(ip, &v6) ||
	    (ip_is_v4(ip) && memcmp(ip->a + 12, v4, 4) == 0);
}

static bool
is_loopback(const struct ip *ip)
{
	struct ip v6;

	return (ip_is_v4(ip) && ip->a[12] == 127) ||
	    (ip_parse(SLICE("::1"), &v6) && ip_equal(ip, &v6));
}

/* All addresses of this host, with one port. */
static void
add_interfaces(struct own *o, uint16_t port)
{
	struct ifaddrs *list = NULL;
	struct ip ip;

	if (o->nany < sizeof(o->any) / sizeof(o->any[0]))
		o->any[o->nany++] = port;
	if (getifaddrs(&list) != 0) {
		log_warn("the addresses of this host cannot be listed; mail "
		    "loops through them are noticed late");
		return;
	}
	for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL &&
		    ip_from_sockaddr(i->ifa_addr, &ip, NULL))
			add(o, &ip, port);
	freeifaddrs(list);
}

static void
add_listener(struct own *o, const char *text)
{
	struct sockaddr_storage ss;
	socklen_t len;
	uint16_t port = 0;
	struct ip ip;

	/* fd:... are somebody else's; the host's name tells of them. */
	if (!net_sockaddr(slice_of(text), &ss, &len) ||
	    !ip_from_sockaddr((const struct sockaddr *)&ss, &ip, &port))
		return;
	if (is_any(&ip))
		add_interfaces(o, port);
	else
		add(o, &ip, port);
}

void
own_find(struct own *o, const struct conf *c)
{
	*o = (struct own){.n = 0};
	for (size_t i = 0; i < c->nlisten; i++)
		for (size_t k = 0; k < c->listen[i].address.n; k++)
			if (strcmp(c->listen[i].protocol, "smtp") == 0)
				add_listener(o, c->listen[i].address.v[k]);
}

void
own_free(struct own *o)
{
	free(o->v);
	*o = (struct own){.n = 0};
}

bool
own_has(const struct own *o, const struct ip *ip, uint16_t port)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].port == port && ip_equal(&o->v[i].ip, ip))
			return true;
	if (!is_loopback(ip) && !is_any(ip))
		return false;
	for (size_t i = 0; i < o->nany; i++)
		if (o->any[i] == port)
			return true;
	return false;
}
