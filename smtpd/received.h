/*
 * The trace field of RFC 5321 4.4 that stands on top of every message taken in.
 */
#ifndef SMTPD_RECEIVED_H
#define SMTPD_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/net.h"

struct buf;

struct received {
	struct slice helo;     /* what HELO or EHLO said; "" if neither came */
	struct ip ip;          /* the client's */
	struct slice login;    /* "": over the network; else a user of this
	                        * host, and */
	uint32_t uid;          /* the kernel's word on it; helo and ip are not
	                        * looked at */
	struct slice hostname; /* ours */
	struct slice protocol; /* RFC 3848, RFC 6531 3.7.3 */
	struct slice id;
	struct slice recipient; /* "": several, and none is told of others */
	int64_t now_ms;        /* wall clock */
};

/* RFC 3848 and RFC 6531: "SMTP", "ESMTP", "UTF8SMTP". */
struct slice received_protocol(bool esmtp, bool smtputf8);
/* A complete field with its CRLF, appended. */
void received_add(const struct received *r, struct buf *out);

#endif
