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

/* Beside enum login_mechanism: the SCRAM keys of a {PLAIN} password. */
#define VERIFY_DERIVE 3
#define VERIFY_MECHANISM_MAX 3
#define VERIFY_STORED_MAX 24 /* secrets of one account */

struct verify_request {
	uint32_t mechanism;     /* enum login_mechanism, VERIFY_DERIVE */
	struct slices stored;   /* as the users table has them; one fits */
	struct slice secret;    /* password or digest; DERIVE: the salt */
	struct slice challenge; /* APOP */
	uint32_t iterations;    /* DERIVE */
	uint32_t hash;          /* DERIVE: enum scram_hash */
	uint32_t better;        /* 1 + enum password_scheme: where the first one
	                         * fits and is a hash of another method, make
	                         * this; 0: no */
};

struct verify_answer {
	uint32_t result;        /* enum verify_result */
	uint32_t which;         /* OK: index of the one that fits */
	struct slice keys;      /* DERIVE: StoredKey and ServerKey */
	struct slice better;    /* a new hash of the same password, or "" */
};

/* answer's slices live until return. */
typedef void verify_fn(void *arg, const struct verify_answer *answer);

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

/* What a child does: for tests, too.  out receives the answer's octets. */
struct apop;
struct buf;
struct verify_answer verify_decide(const struct apop *apop,
    const struct verify_request *request, struct buf *out);

/* Between authd and its children. */
extern const struct chan_contract verify_contract;

#endif
