/* Addresses and networks: what access lists and listeners are made of. */
#ifndef COMMON_CONF_NET_H
#define COMMON_CONF_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/slice.h"

/* IPv4 is kept as v4-mapped IPv6, so that one comparison serves both. */
struct ip {
	uint8_t a[16];
};

struct net {
	struct ip ip;
	uint8_t bits; /* 0..128 */
};

#define IP_TEXT_SIZE 48

bool ip_parse(struct slice s, struct ip *out); /* "192.0.2.1", "2001:db8::1" */
/* port may be NULL; false when it is no address of IP. */
bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *out,
    uint16_t *port);
void ip_text(const struct ip *ip, char out[IP_TEXT_SIZE]);
bool ip_is_v4(const struct ip *ip);
bool ip_equal(const struct ip *a, const struct ip *b);
/* The unit limits are counted by: the address for IPv4, its /64 for IPv6. */
struct ip ip_unit(const struct ip *ip);

/* With or without /bits; no bit may be set behind them. */
bool net_parse(struct slice s, struct net *out);
/* ::/0 and the like mean IPv6 only, although IPv4 is kept mapped. */
bool net_has(const struct net *n, const struct ip *ip);
bool net_any_has(const struct net *v, size_t n, const struct ip *ip);

/* "127.0.0.1:2525", "[::1]:2525", "*:25" (any IPv4), "[::]:25". */
bool net_sockaddr(struct slice s, struct sockaddr_storage *out,
    socklen_t *len);

#endif
