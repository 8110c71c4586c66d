/*
 * SASL mechanisms (RFC 4422), server side, as machines without input and
 * output: octets go in, a challenge or a wish comes out.  What they wish for
 * (the account of a name, a slow hash, an answer about a token) is fetched by
 * attempt.c, which then goes on with the function named beside the wish.
 *
 * A name that is nobody's is given an account without secrets: the exchange
 * takes the same steps and ends at the same place.
 */
#ifndef AUTHD_SASL_H
#define AUTHD_SASL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/conf/scram.h"

struct secrets;
struct sasl;

enum sasl_result {
	SASL_MORE,     /* x->out is the challenge; sasl_step with the answer */
	SASL_ACCOUNT,  /* whose name is x->name?  sasl_account */
	SASL_PASSWORD, /* is x->password right?  The end is that answer's */
	SASL_DERIVE,   /* x->keys of the secret number x->which (-1: anything
	                * that costs as much); sasl_derived */
	SASL_TOKEN,    /* whose is the token x->password?  sasl_token */
	SASL_GOOD,     /* secret number x->which, -1: none of them */
	SASL_WRONG,
	SASL_BROKEN    /* the mechanism does not allow what came */
};

/* Mechanism properties */
#define SASL_EXPOSES 1u     /* whoever listens has the password */
#define SASL_BINDS 2u       /* needs channel binding data */
#define SASL_CERTIFICATE 4u /* needs the client's certificate */
#define SASL_NEEDS_PLAIN 8u /* needs a {PLAIN} password */
#define SASL_NEEDS_KEYS 16u /* needs {PLAIN} or SCRAM keys */
#define SASL_NEEDS_HOOK 32u /* needs oauth_introspect */

struct sasl_mechanism {
	struct slice name;
	unsigned needs;
	enum scram_hash hash;
	enum sasl_result (*step)(struct sasl *x, struct slice in);
	enum sasl_result (*account)(struct sasl *x);
	bool client_first;  /* without an initial response an empty challenge
	                     * asks for it */
};

/* In the order they are offered. */
extern const struct sasl_mechanism sasl_mechanisms[];
extern const size_t sasl_nmechanisms;
const struct sasl_mechanism *sasl_find(struct slice name);

/* What the mechanisms know beforehand; all borrowed. */
struct sasl_facts {
	struct slice hostname;
	struct slice exporter, end_point; /* channel binding; "": none */
	struct slice cert;       /* fingerprint; "": none */
	struct slice salt_key;   /* of salts for who has none */
	uint32_t iterations;     /* with such salts */
	bool plus_offered;       /* SCRAM-...-PLUS could have been chosen */
	unsigned scope;          /* enum secrets_scope */
};

#define SASL_TEXT_MAX 24576

struct sasl {
	const struct sasl_mechanism *mech;
	struct sasl_facts facts;
	unsigned at;               /* the mechanism's step */
	bool asked;                /* the empty challenge is out */
	bool doomed;               /* SASL_WRONG comes when the client has
	                            * read why (RFC 7628) */
	const struct secrets *secrets; /* after sasl_account; borrowed */
	int which;
	struct scram_keys keys;
	/* views of text: */
	struct slice name, authzid, password;
	struct slice first_bare, server_first, without_proof, nonce, header;
	unsigned char proof[SCRAM_KEY_MAX];
	struct buf out, text;      /* text never moves */
};

void sasl_init(struct sasl *x, const struct sasl_mechanism *mech,
    const struct sasl_facts *facts);
void sasl_free(struct sasl *x); /* wiped */

/* The first: has_in false where the client sent no initial response. */
enum sasl_result sasl_start(struct sasl *x, bool has_in, struct slice in);
enum sasl_result sasl_step(struct sasl *x, struct slice in);
/* Secrets outside the facts' scope are passed over. */
enum sasl_result sasl_account(struct sasl *x, const struct secrets *secrets);
enum sasl_result sasl_derived(struct sasl *x, bool ok);
/* The hook's answer: the token is good for x->name. */
enum sasl_result sasl_token(struct sasl *x, bool good);

/* Among the mechanisms' files. */
struct slice sasl_keep(struct sasl *x, struct slice s);
extern enum sasl_result sasl_scram_step(struct sasl *x, struct slice in);
extern enum sasl_result sasl_scram_account(struct sasl *x);

/* The salt of a name without keys of its own: always the same, and of no use
 * to know. */
void sasl_salt(struct slice key, struct slice name,
    unsigned char out[SCRAM_SALT_LEN]);

#endif
