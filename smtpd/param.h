/*
 * The parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param): a parser that
 * knows each one's grammar.  It does no I/O and knows no session.
 */
#ifndef SMTPD_PARAM_H
#define SMTPD_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"

enum param_command { PARAM_MAIL, PARAM_RCPT };

/* Extensions that can be switched off; the bits of params.offered. */
#define OFFER_SMTPUTF8 1u
#define OFFER_DSN 2u
#define OFFER_DELIVERBY 4u
#define OFFER_BINARYMIME 8u

struct params {
	/* What is allowed, set by the caller */
	enum param_command command;
	unsigned offered; /* OFFER_* */
	bool utf8;        /* values may hold UTF-8: SMTPUTF8 was said (RCPT),
	                   * or is said here (MAIL, set by the parser) */
	int64_t now_ms;   /* wall clock, for BY */
	uint64_t by_least_s; /* RFC 2852 4: least time in mode R */

	/* What was said */
	uint32_t seen;     /* one bit a row of the table: no duplicates */
	uint32_t flags;    /* MAIL: ENV_* */
	uint64_t size;     /* MAIL: SIZE, 0: not said; UINT64_MAX: more than
	                    * fits into 64 bits */
	struct slice envid; /* MAIL: xtext as received */
	uint64_t by_at_ms; /* MAIL: 0: not said */
	uint32_t by_s;     /* MAIL: seconds of BY; 0: none are left */
	uint32_t notify;   /* RCPT: NOTIFY_* */
	struct slice orcpt; /* RCPT: type;xtext as received */
};

/* s is what stands behind the path: "" or " KEY=VALUE KEY ...".  False with the
 * reply (501 or 555) in *st. */
bool params_parse(struct slice s, struct params *p, struct status *st);

#endif
