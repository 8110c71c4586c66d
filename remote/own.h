/*
 * Where this host itself listens for mail: a way that leads there is a loop
 * (RFC 5321 5.1).
 */
#ifndef REMOTE_OWN_H
#define REMOTE_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf/net.h"

struct conf;

struct own {
	struct own_place {
		struct ip ip;
		uint16_t port;
	} *v;                   /* owned */
	size_t n, cap;
	uint16_t any[16];       /* ports of listeners on all addresses */
	size_t nany;
};

/* Looks at the listeners of the configuration and the addresses of the host:
 * before the cage. */
void own_find(struct own *o, const struct conf *c);
void own_free(struct own *o);
bool own_has(const struct own *o, const struct ip *ip, uint16_t port);

#endif
