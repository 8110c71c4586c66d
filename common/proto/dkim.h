/*
 * Contract "dkim": processes of remote (client) and keyd (server).  A client
 * asks which keys a domain has, and has the hash of a DKIM signature's data
 * (RFC 6376 3.7) signed with one of them.  A channel of its own with keys of
 * its own: no session with the network can come here, and no TLS key can be
 * used here.  The client speaks first and chooses rid; answers come in the
 * order of the questions.
 */
#ifndef COMMON_PROTO_DKIM_H
#define COMMON_PROTO_DKIM_H

#include "common/io/chan.h"

enum dkim_type {
	DKIM_KEYS = 1,   /* client: what keys has this domain? */
	DKIM_FOUND = 2,  /* server */
	DKIM_SIGN = 3,   /* client */
	DKIM_SIGNED = 4  /* server */
};

enum dkim_result {
	DKIM_OK = 1,
	DKIM_NONE = 2, /* no such domain or selector */
	DKIM_TEMP = 3  /* a local fault: later again */
};

enum dkim_algorithm {
	DKIM_RSA_SHA256 = 1,    /* RFC 6376 3.3.1 */
	DKIM_ED25519_SHA256 = 2 /* RFC 8463 */
};

#define DKIM_DOMAIN_MAX 253
#define DKIM_SELECTOR_MAX 63
#define DKIM_SELECTORS_MAX 8  /* of one domain; further ones are passed over */
#define DKIM_HASH_LEN 32      /* SHA-256 */
#define DKIM_SIGNATURE_MAX 1024
#define DKIM_WHY_MAX 300

struct dkim_keys {
	uint64_t rid;
	struct slice domain;   /* lower case */
};
struct dkim_key {
	struct slice selector;
	uint32_t algorithm;
};
struct dkim_found {
	uint64_t rid;
	uint32_t result;
	struct chan_list keys; /* struct dkim_key, in the selectors' order */
	struct slice why;
};
struct dkim_sign {
	uint64_t rid;
	struct slice domain;
	struct slice selector;
	struct slice hash;     /* DKIM_HASH_LEN octets */
};
struct dkim_signed {
	uint64_t rid;
	uint32_t result;
	uint32_t algorithm;    /* with DKIM_OK */
	struct slice signature;
	struct slice why;
};
union dkim_msg {
	struct dkim_keys keys;
	struct dkim_found found;
	struct dkim_sign sign;
	struct dkim_signed answer;
};

extern const struct chan_contract dkim_contract;

#endif
