/*
 * A way to another host, as the table "routes" writes it (postern-tables(5)):
 *
 *	mx                            by the domain's MX records (the default)
 *	smtp:HOST[:PORT]              the MX records of HOST
 *	smtp:[HOST][:PORT]            HOST itself, by its addresses
 *	lmtp:[HOST]:PORT  lmtp:/PATH  LMTP (RFC 2033) over TCP or a UNIX socket
 *	error:TEXT                    5.1.2 with that text: nothing goes there
 *
 * smtp:, lmtp: and mx may be followed by options, separated by blanks: source=ADDRESS (once for each
 * family), concurrency=N, helo=NAME.
 */
#ifndef COMMON_CONF_ROUTE_H
#define COMMON_CONF_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/net.h"

#define ROUTE_TEXT_MAX 1024

enum route_kind {
	ROUTE_MX,      /* host "": of the destination's own domain */
	ROUTE_HOST,    /* host's addresses (or a literal), no MX */
	ROUTE_UNIX,    /* path */
	ROUTE_ERROR    /* text */
};

struct route {
	enum route_kind kind;
	bool lmtp;
	struct slice host;       /* views into the text */
	uint16_t port;           /* 0: the default */
	struct slice path, text, helo;
	bool has_source4, has_source6;
	struct ip source4, source6;
	uint32_t concurrency;    /* 0: the configuration's */
};

/* "" is "mx".  False: *why says what is wrong. */
bool route_parse(struct slice text, struct route *out, const char **why);

#endif
