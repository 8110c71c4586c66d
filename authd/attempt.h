/*
 * One attempt to log in, whatever protocol it came by: from its first octets to
 * its end.  Counts failures, holds their answers back, remembers what was
 * right, issues tickets.
 */
#ifndef AUTHD_ATTEMPT_H
#define AUTHD_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/proto/login.h"

struct attempt;
struct attempts;
struct conf;
struct directory;
struct failures;
struct loop;
struct remember;
struct tickets;
struct verifier;

struct attempts_args {
	struct loop *loop;
	const struct conf *conf; /* borrowed, as all below */
	struct directory *directory;
	struct failures *failures;
	struct tickets *tickets;
	struct verifier *verifier;
	struct remember *remember;
	struct slice salt_key;   /* see sasl.h */
	int upgrades_fd;         /* where better hashes are noted; -1: nowhere */
};

struct attempt_end {
	enum login_result result;
	/* with LOGIN_OK; they live until return */
	struct slice user;
	struct slice ticket;     /* "": the service has none */
	struct slice mechanism, secret;
};

/* Both may be called from within attempt_run and attempt_response. */
struct attempt_ops {
	/* attempt_response is expected next. */
	void (*challenge)(void *arg, struct slice data);
	/* The attempt is gone. */
	void (*done)(void *arg, const struct attempt_end *end);
};

struct attempts *attempts_new(const struct attempts_args *args);
void attempts_free(struct attempts **a);
bool attempts_busy(const struct attempts *a);

/* Which mechanisms can be offered on such a connection: appended to out. */
void attempts_offer(struct attempts *a, const struct login_ask *ask,
    struct buf *out);

/* Both copy what they need and do nothing yet: then attempt_run, once. */
struct attempt *attempt_new_try(struct attempts *a,
    const struct login_try *msg, const struct attempt_ops *ops, void *arg);
struct attempt *attempt_new_sasl(struct attempts *a,
    const struct login_start *msg, const struct attempt_ops *ops, void *arg);
/* msg: what it was made of. */
void attempt_run(struct attempt *a, bool has_in, struct slice in);
/* Is it the client's turn? */
bool attempt_asked(const struct attempt *a);
void attempt_response(struct attempt *a, struct slice data);
void attempt_cancel(struct attempt *a); /* while it is asked: done() */
/* Nobody wants to hear of it any more; what is being verified is still counted.
 * No call of ops follows. */
void attempt_abandon(struct attempt *a);

#endif
