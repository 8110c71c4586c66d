/*
 * All secrets of one account.  The password field of the users table is the
 * first; the extra fields may hold more (words without spaces or colons):
 *
 *	postern_secret={SCHEME}value        another form of the same password:
 *	                                    SCRAM keys beside a hash
 *	postern_app=NAME;SCOPES;{SCHEME}value  an application password; SCOPES are
 *	                                    imap, pop3, submission with + between
 *	postern_cert=HEX                    SHA-256 of a client's certificate, for
 *	                                    EXTERNAL
 *
 * Other programs that read the file pass such fields over.
 */
#ifndef COMMON_CONF_SECRETS_H
#define COMMON_CONF_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

#define SECRETS_MAX 24      /* of an account */
#define SECRETS_CERTS_MAX 8
#define SECRETS_NAME_MAX 48 /* of an application password's name */
#define SECRETS_CERT_LEN 32 /* octets of a fingerprint */

enum secrets_scope {
	SECRETS_IMAP = 1,
	SECRETS_POP3 = 2,
	SECRETS_SUBMISSION = 4,
	SECRETS_EVERYWHERE = 7
};

struct secret {
	struct slice stored; /* "{SCHEME}value" */
	struct slice name;   /* application password's; "": the account's own */
	unsigned scopes;     /* enum secrets_scope */
};

struct secrets {
	struct secret v[SECRETS_MAX]; /* views of what was parsed */
	size_t n;
	unsigned char certs[SECRETS_CERTS_MAX][SECRETS_CERT_LEN];
	size_t ncerts;
};

/* Unusable passwords (none, locked) are left out; a locked one ('!' or '*' in
 * front of the password field) locks the whole account.  False: a field is
 * wrong or too much; *why says so, and what came before it counts. */
bool secrets_parse(struct slice password, struct slice extra,
    struct secrets *out, const char **why);

/* "imap+pop3".  False: an unknown word, or none. */
bool secrets_scopes(struct slice text, unsigned *scopes);
/* The scope of a service of the contract "login"; 0: unknown. */
unsigned secrets_service(struct slice service);
/* Letters, digits, '.', '_' and '-'. */
bool secrets_name(struct slice name);

#define SECRETS_FIELD_SECRET SLICE("postern_secret=")
#define SECRETS_FIELD_APP SLICE("postern_app=")
#define SECRETS_FIELD_CERT SLICE("postern_cert=")

#endif
