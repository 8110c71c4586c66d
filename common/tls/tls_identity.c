/*
 * Certificates as keyd hands them out: a chain of DER, made into what OpenSSL
 * needs for a handshake.  Runs in parents (what most clients get) and sessions
 * (the rest); the input is keyd's.
 */
#include <string.h>

#include "common/tls/tls_int.h"

#define CERTIFICATES_MAX 12 /* of one chain */

/* One certificate off the front of *rest, or NULL. */
static X509 *
next_certificate(struct tls_context *ctx, struct slice *rest)
{
	const unsigned char *p = (const unsigned char *)rest->p;
	X509 *x = X509_new_ex(ctx->lib, NULL);

	if (x == NULL)
		return NULL;
	if (d2i_X509(&x, &p, (long)rest->len) == NULL)
		return NULL; /* which freed it */
	rest->len -= (size_t)((const char *)p - rest->p);
	rest->p = (const char *)p;
	return x;
}

static bool
read_chain(struct tls_context *ctx, struct slice rest, struct tls_identity *id)
{
	X509 *x;
	int n;

	id->leaf = next_certificate(ctx, &rest);
	id->chain = sk_X509_new_null();
	if (id->leaf == NULL || id->chain == NULL)
		return false;
	for (n = 1; rest.len > 0; n++) {
		x = n < CERTIFICATES_MAX ? next_certificate(ctx, &rest) : NULL;
		if (x == NULL)
			return false;
		if (sk_X509_push(id->chain, x) == 0) {
			X509_free(x);
			return false;
		}
	}
	return true;
}

bool
tls_identity_read(struct tls_context *ctx, const struct key_row *row,
    struct tls_identity *out)
{
	struct tls_identity id = {.leaf = NULL};
	EVP_PKEY *public_key;

	if (row->fingerprint.len != sizeof(id.fingerprint))
		return false;
	memcpy(id.fingerprint, row->fingerprint.p, sizeof(id.fingerprint));
	if (read_chain(ctx, row->chain, &id)) {
		public_key = X509_get0_pubkey(id.leaf);
		if (public_key != NULL)
			id.key = tls_provider_key(ctx, public_key,
			    id.fingerprint);
	}
	if (id.key == NULL) {
		tls_identity_free(&id);
		return false;
	}
	*out = id;
	return true;
}

void
tls_identity_free(struct tls_identity *id)
{
	X509_free(id->leaf);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key);
	*id = (struct tls_identity){.leaf = NULL};
}
