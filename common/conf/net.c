/*
 * IP addresses and networks as text and as 16 octets.  Used by every program
 * that keeps an access list or a listener.  The text comes from the
 * configuration and, in address literals, from SMTP clients; the socket
 * addresses come from the kernel and from PROXY headers.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/num.h"
#include "common/conf/net.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};

static struct ip
ip_from_v4(const void *four)
{
	struct ip ip;

	memcpy(ip.a, v4_prefix, sizeof(v4_prefix));
	memcpy(ip.a + sizeof(v4_prefix), four, 4);
	return ip;
}

bool
ip_parse(struct slice s, struct ip *out)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;

	/* inet_pton wants a NUL at the end and would stop at one within. */
	if (s.len == 0 || s.len >= sizeof(text) ||
	    memchr(s.p, '\0', s.len) != NULL)
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = ip_from_v4(&v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return false;
	memcpy(out->a, &v6, sizeof(out->a));
	return true;
}

bool
ip_from_sockaddr(const struct sockaddr *sa, struct ip *out, uint16_t *port)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		*out = ip_from_v4(&in.sin_addr);
		if (port != NULL)
			*port = ntohs(in.sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(out->a, &in6.sin6_addr, sizeof(out->a));
		if (port != NULL)
			*port = ntohs(in6.sin6_port);
		return true;
	}
	return false;
}

void
ip_text(const struct ip *ip, char out[IP_TEXT_SIZE])
{
	const char *text;

	if (ip_is_v4(ip))
		text = inet_ntop(AF_INET, ip->a + sizeof(v4_prefix), out,
		    IP_TEXT_SIZE);
	else
		text = inet_ntop(AF_INET6, ip->a, out, IP_TEXT_SIZE);
	assert(text != NULL);
}

bool
ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->a, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool
ip_equal(const struct ip *a, const struct ip *b)
{
	return memcmp(a->a, b->a, sizeof(a->a)) == 0;
}

struct ip
ip_unit(const struct ip *ip)
{
	struct ip unit = *ip;

	if (!ip_is_v4(ip))
		memset(unit.a + 8, 0, 8);
	return unit;
}

/* Are all bits of ip behind the first `bits` zero? */
static bool
tail_is_zero(const struct ip *ip, unsigned bits)
{
	unsigned i = bits / 8;

	if (bits % 8 != 0) {
		if ((ip->a[i] & (0xffu >> (bits % 8))) != 0)
			return false;
		i++;
	}
	for (; i < sizeof(ip->a); i++)
		if (ip->a[i] != 0)
			return false;
	return true;
}

bool
net_parse(struct slice s, struct net *out)
{
	size_t slash = slice_find(s, '/', 0);
	struct slice host = slice_sub(s, 0, slash);
	bool dotted = slice_find(host, ':', 0) == host.len;
	uint32_t bits = dotted ? 32 : 128;
	struct ip ip;

	if (!ip_parse(host, &ip))
		return false;
	if (slash < s.len && !num_u32(slice_sub(s, slash + 1, s.len), 0, bits,
	    &bits))
		return false;
	if (dotted)
		bits += 96;
	/* 10.0.0.1/8 is more often a slip than a wish. */
	if (!tail_is_zero(&ip, bits))
		return false;
	out->ip = ip;
	out->bits = (uint8_t)bits;
	return true;
}

bool
net_has(const struct net *n, const struct ip *ip)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;
	unsigned mask = 0xff00u >> rest & 0xffu;

	/* ::/0 means every IPv6 address: IPv4 only looks as if it were within,
	 * because it is kept mapped. */
	if (n->bits < 96 && ip_is_v4(ip))
		return false;
	if (memcmp(n->ip.a, ip->a, whole) != 0)
		return false;
	return rest == 0 || ((n->ip.a[whole] ^ ip->a[whole]) & mask) == 0;
}

bool
net_any_has(const struct net *v, size_t n, const struct ip *ip)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (net_has(&v[i], ip))
			return true;
	return false;
}

static bool
v6_sockaddr(struct slice host, uint16_t port, struct sockaddr_storage *out,
    socklen_t *len)
{
	struct sockaddr_in6 in6;
	struct ip ip;

	/* A mapped address would need a socket that serves both families;
	 * those are never made. */
	if (slice_find(host, ':', 0) == host.len || !ip_parse(host, &ip) ||
	    ip_is_v4(&ip))
		return false;
	memset(&in6, 0, sizeof(in6));
	in6.sin6_family = AF_INET6;
	in6.sin6_port = htons(port);
	memcpy(&in6.sin6_addr, ip.a, sizeof(ip.a));
	memset(out, 0, sizeof(*out));
	memcpy(out, &in6, sizeof(in6));
	*len = sizeof(in6);
	return true;
}

static bool
v4_sockaddr(struct slice host, uint16_t port, struct sockaddr_storage *out,
    socklen_t *len)
{
	struct sockaddr_in in;
	struct ip ip;

	memset(&in, 0, sizeof(in));
	in.sin_family = AF_INET;
	in.sin_port = htons(port);
	if (!slice_eq(host, SLICE("*"))) {
		if (slice_find(host, ':', 0) < host.len || !ip_parse(host, &ip))
			return false;
		memcpy(&in.sin_addr, ip.a + sizeof(v4_prefix), 4);
	}
	memset(out, 0, sizeof(*out));
	memcpy(out, &in, sizeof(in));
	*len = sizeof(in);
	return true;
}

bool
net_sockaddr(struct slice s, struct sockaddr_storage *out, socklen_t *len)
{
	struct slice host;
	uint32_t port;
	size_t end;

	for (end = s.len; end > 0 && s.p[end - 1] != ':'; end--)
		continue;
	if (end == 0 || !num_u32(slice_sub(s, end, s.len), 0, 65535, &port))
		return false;
	host = slice_sub(s, 0, end - 1);
	if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		return v6_sockaddr(slice_sub(host, 1, host.len - 1),
		    (uint16_t)port, out, len);
	return v4_sockaddr(host, (uint16_t)port, out, len);
}
