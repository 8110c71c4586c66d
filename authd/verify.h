/*
 * Passwords are verified in child processes, one at a time in each, so that a
 * slow hash stalls nobody.  A child that dies or takes too long is replaced;
 * its request ends with VERIFY_FAULT.
 */
#ifndef AUTHD_VERIFY_H
#define AUTHD_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/slice.h"
#include "common/io/chan.h"

struct conf;
struct loop;
struct sys_user;
struct verifier;

enum verify_result {
	VERIFY_OK = 1,
	VERIFY_WRONG = 2,
	VERIFY_UNUSABLE = 3, /* what the table holds cannot be compared with */
	VERIFY_FAULT = 4     /* not to be decided now */
};

struct verify_request {
	uint32_t mechanism;     /* enum login_mechanism */
	struct slice stored;    /* as the users table has it */
	struct slice secret;    /* password or digest */
	struct slice challenge; /* APOP */
};

typedef void verify_fn(void *arg, enum verify_result result);

struct verifier_args {
	struct loop *loop;
	const struct conf *conf; /* borrowed; may be read anew meanwhile */
	uid_t uid;               /* for the children's cage */
	gid_t gid;
	/* In a child, first: closes and wipes what is the parent's. */
	void (*forked)(void *arg);
	void *arg;
};

/* Before the cage: what the children need is loaded, none is forked yet. */
struct verifier *verifier_new(const struct verifier_args *args);
/* Forks the children; after the parent's own sandbox_enter. */
void verifier_start(struct verifier *v);
void verifier_free(struct verifier **v);

/* Copies the request; fn is called once, never from within.  False: there are
 * auth_queue_max waiting already. */
bool verifier_submit(struct verifier *v, const struct verify_request *request,
    verify_fn *fn, void *arg);

/* To be called for every child that ended; false: not one of ours. */
bool verifier_child(struct verifier *v, pid_t pid, int wstatus);

/* What a child does: for tests, too. */
struct apop;
enum verify_result verify_decide(const struct apop *apop,
    const struct verify_request *request);

/* Between authd and its children. */
extern const struct chan_contract verify_contract;

#endif
