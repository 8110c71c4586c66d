/*
 * The header a proxy sends in front of a connection it passes on (the PROXY
 * protocol, versions 1 and 2).  A pure parser; session.c reads and applies it.
 */
#ifndef SMTPD_PROXY_H
#define SMTPD_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/net.h"

/* The longest header taken: 16 octets, addresses, and extensions that are
 * skipped. */
#define PROXY_MAX 4096

struct proxy {
	bool known; /* false: UNKNOWN, LOCAL or no TCP: the addresses of the
	             * connection itself hold */
	struct ip src, dst;
	uint16_t src_port, dst_port;
};

enum proxy_result {
	PROXY_OK,   /* *used octets were the header */
	PROXY_MORE, /* incomplete: *used octets must be there for the next look,
	             * more than there are */
	PROXY_BAD   /* *why */
};

enum proxy_result proxy_parse(struct slice in, struct proxy *out, size_t *used,
    const char **why);

#endif
