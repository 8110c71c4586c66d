/*
 * One connection to another host: commands go out ahead of their answers,
 * replies come back in order and are given to who asked (RFC 2920).  Nothing
 * here waits for the peer to read while the peer waits for us to.
 *
 *	session_put(s, SLICE("MAIL FROM:<>\r\n"));
 *	session_expect(s, STEP_MAIL, 0);
 *	if (!session_settle(s)) ... s->fault says what went wrong
 */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/proto/transfer.h"
#include "remote/reply.h"

struct conf;
struct session;
struct stream;

enum step {
	STEP_NONE,     /* nothing was asked: the peer talks by itself */
	STEP_GREETING,
	STEP_EHLO,     /* LHLO too */
	STEP_HELO,
	STEP_RSET,
	STEP_MAIL,
	STEP_RCPT,     /* index: of the recipient in its job */
	STEP_DATA,
	STEP_CHUNK,    /* BDAT without LAST */
	STEP_END,      /* behind the content; LMTP: index of the recipient */
	STEP_QUIT,
	STEP_COUNT
};

enum fault {
	FAULT_NONE,
	FAULT_CLOSED,   /* by the peer */
	FAULT_TIMEOUT,
	FAULT_ERROR,    /* fault_errno */
	FAULT_GARBAGE,  /* no SMTP: fault_why */
	FAULT_STOPPED   /* we are told to end */
};

/* False: the connection is of no use any more. */
typedef bool session_reply_fn(void *arg, enum step step, size_t index,
    const struct reply *r);

struct pending {
	enum step step;
	uint32_t index;
};

struct session {
	const struct conf *conf;  /* borrowed */
	struct stream *stream;    /* owned */
	bool lmtp;
	struct offers offers;
	char host[TRANSFER_HOST_MAX + 1]; /* "mx.example.org[192.0.2.1]:25" */
	int64_t deadline_ms;      /* of what is under way as a whole */
	unsigned mails;           /* transactions begun */
	int64_t used_ms;          /* end of the last one */
	bool reset;               /* RSET must stand before the next MAIL */
	bool closing;             /* 421, or a handler's wish: not to be used */
	bool busy;                /* it was 421 */
	session_reply_fn *reply;
	void *arg;
	/* Answers that are owed: a ring */
	struct pending *owed;     /* owned */
	size_t first, nowed, cap;
	struct reply in;          /* the one at hand */
	/* What ended it */
	enum fault fault;
	enum step fault_step;
	int fault_errno;
	const char *fault_why;
	/* Set by SIGTERM; waits end unless `firm` */
	const volatile sig_atomic_t *stop;
	const sigset_t *stop_mask;
	bool firm;
};

/* fd is connected and taken over. */
struct session *session_new(const struct conf *conf, int fd, bool lmtp,
    const char *host);
void session_free(struct session **s);

/* Octets to be sent; replies that come meanwhile are handed out.  After a fault
 * it does nothing. */
void session_put(struct session *s, struct slice octets);
void session_expect(struct session *s, enum step step, size_t index);
/* Waits until nothing is owed any more; false: fault or closing. */
bool session_settle(struct session *s);
static inline bool
session_alive(const struct session *s)
{
	return s->fault == FAULT_NONE && !s->closing;
}
/* It was not closed, nor did the peer say anything, while it was idle. */
bool session_fresh(const struct session *s);
/* Nothing is owed: what is there all the same is handed out as STEP_NONE.
 * False: the connection is of no use any more. */
bool session_quiet(struct session *s);

enum hello {
	HELLO_OK,
	HELLO_REFUSED, /* permanently, by EHLO and HELO; *st */
	HELLO_BUSY,    /* 421 or another 4xx; *st */
	HELLO_FAILED   /* no greeting, 5xx in its place, a fault; *st */
};
/* Greeting, EHLO or LHLO, HELO where EHLO is unknown.  *own: the words in *st
 * are ours. */
enum hello session_hello(struct session *s, const char *name,
    struct status *st, bool *own);
/* QUIT, and a short wait for its answer. */
void session_quit(struct session *s);
/* What the fault means for those whose fate it decided. */
void session_fault_status(const struct session *s, struct status *st);

#endif
