/*
 * A handshake of a context with itself, in memory, before the fork: what OpenSSL
 * fetches, computes or allocates at first use is there afterwards, shared by
 * all children, and asks for nothing more in their cages.  The key is made for
 * the moment and serves nobody.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/base/log.h"
#include "common/tls/tls_int.h"

#define STEPS_MAX 20

struct rehearsal {
	struct tls_context *ctx;
	EVP_PKEY *key;
	X509 *leaf;
	unsigned char *der; /* owned by OpenSSL */
	int der_len;
	unsigned char fingerprint[TLS_FINGERPRINT_LEN];
	struct key_row row;
};

static X509 *
make_leaf(EVP_PKEY *key, OSSL_LIB_CTX *lib)
{
	X509 *x = X509_new_ex(lib, NULL);
	X509_NAME *name;

	if (x == NULL)
		return NULL;
	name = X509_get_subject_name(x);
	if (!X509_set_version(x, X509_VERSION_3) ||
	    !ASN1_INTEGER_set(X509_get_serialNumber(x), 1) ||
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), 3600) == NULL ||
	    !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"rehearsal", -1, -1, 0) ||
	    !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) ||
	    X509_sign(x, key, EVP_sha256()) <= 0) {
		X509_free(x);
		return NULL;
	}
	return x;
}

/* ---- what keyd would do ---- */

static enum key_result
rehearse_certs(void *arg, struct slice name, const struct slices *known,
    struct key_certs *out)
{
	struct rehearsal *r = arg;

	(void)name;
	(void)known;
	*out = (struct key_certs){.result = KEY_OK, .folder = SLICE_EMPTY,
	    .why = SLICE_EMPTY};
	out->rows = (struct chan_list){&r->row, 1};
	return KEY_OK;
}

static enum key_result
rehearse_sign(void *arg, struct slice fingerprint, uint32_t scheme,
    struct slice content, unsigned char *signature, size_t *len)
{
	struct rehearsal *r = arg;
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	int ok;

	(void)fingerprint;
	(void)scheme;
	ok = m != NULL && EVP_DigestSignInit_ex(m, NULL, "SHA256", r->ctx->lib,
	    "provider=default", r->key, NULL) > 0 &&
	    EVP_DigestSign(m, signature, len, (const unsigned char *)content.p,
	    content.len) > 0;
	EVP_MD_CTX_free(m);
	return ok ? KEY_OK : KEY_TEMP;
}

static void
rehearse_put(void *arg, struct slice id, struct slice session)
{
	(void)arg;
	(void)id;
	(void)session;
}

static struct slice
rehearse_take(void *arg, struct slice id)
{
	(void)arg;
	(void)id;
	return SLICE_EMPTY;
}

/* ---- the handshake ---- */

static bool
shake_hands(SSL *server, SSL *client)
{
	unsigned char octets[64];
	size_t n;
	int i;

	for (i = 0; i < STEPS_MAX; i++) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
		if (SSL_is_init_finished(client) &&
		    SSL_is_init_finished(server))
			break;
	}
	/* One record each way */
	return SSL_write_ex(client, "NOOP\r\n", 6, &n) == 1 &&
	    SSL_read_ex(server, octets, sizeof(octets), &n) == 1 && n == 6 &&
	    SSL_write_ex(server, "250 ok\r\n", 8, &n) == 1 &&
	    SSL_read_ex(client, octets, sizeof(octets), &n) == 1 && n == 8;
}

static bool
rehearse(struct tls_context *ctx, SSL_CTX *server_ctx, SSL_CTX *client_ctx,
    struct rehearsal *r, int version)
{
	struct tls_keys keys = {rehearse_certs, rehearse_sign, rehearse_put,
	    rehearse_take, r};
	struct tls_accept accept = {.keys = &keys, .context = "rehearsal"};
	struct tls t = {.ctx = ctx, .accept = &accept};
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	char name[] = "rehearsal.invalid";
	BIO *one = NULL, *other = NULL;
	bool good = false;

	if (server != NULL && client != NULL &&
	    BIO_new_bio_pair(&one, 0, &other, 0)) {
		SSL_set_bio(server, one, one);
		SSL_set_bio(client, other, other);
		SSL_set_accept_state(server);
		SSL_set_connect_state(client);
		(void)SSL_set_min_proto_version(client, 0);
		(void)SSL_set_max_proto_version(client, version);
		(void)SSL_set_session_id_context(server,
		    (const unsigned char *)"r", 1);
		(void)SSL_set_tlsext_host_name(client, name);
		t.ssl = server;
		(void)SSL_set_app_data(server, &t);
		ctx->provider->keys = &keys;
		good = shake_hands(server, client);
		ctx->provider->keys = NULL;
	}
	SSL_free(server);
	SSL_free(client);
	return good;
}

/* The other side of the rehearsal has all the ciphers there are: the admin's
 * list may be any. */
static SSL_CTX *
other_side(struct tls_context *ctx)
{
	SSL_CTX *c = SSL_CTX_new_ex(ctx->lib, NULL,
	    ctx->server ? TLS_client_method() : TLS_server_method());

	if (c != NULL)
		SSL_CTX_set_security_level(c, 0);
	return c;
}

static bool
prepare(struct tls_context *ctx, struct rehearsal *r, SSL_CTX *other)
{
	unsigned int len = 0;

	r->key = EVP_PKEY_Q_keygen(ctx->lib, "provider=default", "EC",
	    "P-256");
	r->leaf = r->key != NULL ? make_leaf(r->key, ctx->lib) : NULL;
	if (r->leaf == NULL || other == NULL ||
	    !X509_digest(r->leaf, ctx->sha256, r->fingerprint, &len))
		return false;
	r->der_len = i2d_X509(r->leaf, &r->der);
	if (r->der_len <= 0)
		return false;
	r->row = (struct key_row){.algorithm = KEY_EC,
	    .fingerprint = slice_mem(r->fingerprint, len),
	    .chain = slice_mem(r->der, (size_t)r->der_len)};
	return ctx->server || SSL_CTX_use_cert_and_key(other, r->leaf, r->key,
	    NULL, 1) == 1;
}

void
tls_warm(struct tls_context *ctx)
{
	struct rehearsal r = {.ctx = ctx};
	SSL_CTX *other = other_side(ctx);
	bool good = prepare(ctx, &r, other);
	int version;

	for (version = TLS1_3_VERSION; good && version >= TLS1_2_VERSION &&
	    (version == TLS1_3_VERSION || ctx->settings.min <= TLS_1_2);
	    version--)
		good = ctx->server
		    ? rehearse(ctx, ctx->ssl, other, &r, version)
		    : rehearse(ctx, other, ctx->ssl, &r, version);
	/* Told and no more: with a list of ciphers for RSA alone there is no
	 * handshake with this key. */
	if (!good) {
		char why[TLS_WHY_SIZE];

		tls_reason(why, sizeof(why));
		LOG_DEBUG("tls-rehearsal-failed", LS("why", why));
	}
	SSL_CTX_free(other);
	OPENSSL_free(r.der);
	X509_free(r.leaf);
	EVP_PKEY_free(r.key);
	ERR_clear_error();
}
