/*
 * The envelope: what SMTP says around a message.  One struct for channel
 * records and queue file; the fields of the queue file's envelope are the
 * tables declared here.
 */
#ifndef COMMON_MAIL_ENVELOPE_H
#define COMMON_MAIL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/io/chan.h"

/* RFC 3461 4.1 */
#define NOTIFY_NEVER 1u
#define NOTIFY_SUCCESS 2u
#define NOTIFY_FAILURE 4u
#define NOTIFY_DELAY 8u

/* Bits of envelope.flags */
#define ENV_8BITMIME 1u
#define ENV_SMTPUTF8 2u
#define ENV_BINARYMIME 4u
#define ENV_RET_FULL 8u      /* RFC 3461 4.3 */
#define ENV_RET_HDRS 16u
#define ENV_BY_RETURN 32u    /* RFC 2852: mode R */
#define ENV_BY_NOTIFY 64u    /* mode N */
#define ENV_BY_TRACE 128u    /* T */
#define ENV_HOLD 256u        /* goes to hold/ */
#define ENV_DOUBLE 512u      /* a report on a report that could not be
                              * delivered: if it fails it is given up */

/* Limits of the strings (octets) */
#define ENV_ADDRESS_MAX 1024 /* wider than RFC 5321: UTF-8 */
#define ENV_ENVID_MAX 100    /* RFC 3461 4.4, decoded xtext; 5.4 */
#define ENV_ORCPT_MAX 600
#define ENV_RECEIVED_MAX 4096
#define ENV_TEXT_MAX 300
#define ENV_ENVID_TEXT_MAX 300 /* as received: xtext of ENV_ENVID_MAX */
#define ENV_IP_MAX 64
#define ENV_WORD_MAX 32        /* protocol, sid */
#define ENV_RECIPIENTS_MAX 100000
#define ENV_RCPTS_A_RECORD 500 /* recipients in one channel record */
#define ENV_EDITS_MAX 64
#define ENV_EDIT_TEXT_MAX 4096

struct env_recipient {
	struct slice address; /* local@domain as the client wrote it */
	struct slice orcpt;   /* RFC 3461 4.2 "type;xtext" as received, or "" */
	uint32_t notify;      /* NOTIFY_*, 0: not said */
};

struct envelope {
	struct slice id;           /* 20 characters */
	struct slice from;         /* reverse-path without brackets, "" = <> */
	uint32_t flags;            /* ENV_* */
	struct slice envid;        /* RFC 3461 4.4, xtext as received */
	uint64_t by_at_ms;         /* DELIVERBY deadline, wall clock; 0: none */
	/* Where it came from, for Received, logs and explain */
	struct slice client_ip;    /* "192.0.2.1", "" for local */
	struct slice client_helo;
	struct slice protocol;     /* RFC 3848: ESMTP, SMTP, UTF8SMTP ... */
	struct slice login;        /* authenticated user, or "" */
	struct slice sid;          /* the session's id in the log */
	/* What is inserted in front of the content: complete header fields
	 * with CRLF (Received). */
	struct slice prepend;
	struct chan_list recipients; /* struct env_recipient */
};

/* A correction of the content (submission): at `offset` of the content `skip`
 * octets are left out and `text` (complete lines with CRLF) stands there. */
struct env_edit {
	uint64_t offset, skip;
	struct slice text;
};
extern const struct chan_record env_edit_record;

extern const struct chan_field env_recipient_fields[];
extern const struct chan_record env_recipient_record;
#define ENVELOPE_NFIELDS 12
/* For contracts that carry an envelope as their record: the same field rows,
 * offsets relative to struct envelope. */
extern const struct chan_field envelope_fields[ENVELOPE_NFIELDS];

#endif
