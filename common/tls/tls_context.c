/*
 * What is the same for all handshakes of a program: OpenSSL's library context
 * with two providers, settings, and for servers the certificates that most
 * clients get.  Made once, before the fork and before the cage; reads nothing of
 * anybody but the configuration's words.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/tls/tls_int.h"

/* Forward secrecy and authenticated encryption; servers prefer the order, but
 * for clients that put ChaCha20 first (they have no AES in hardware). */
#define STRONG \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
/* What TLS 1.0 and 1.1 have. */
#define OLD \
	":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:" \
	"ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
/* A client that verifies nobody takes whatever encrypts. */
#define WEAK STRONG OLD ":HIGH:MEDIUM:!aNULL:!eNULL:!PSK:!SRP:!SSLv2"
#define SUITES \
	"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:" \
	"TLS_AES_256_GCM_SHA384"
#define GROUPS "X25519:P-256:P-384"

static const int versions[] = {
	[TLS_1_0] = TLS1_VERSION,
	[TLS_1_1] = TLS1_1_VERSION,
	[TLS_1_2] = TLS1_2_VERSION,
	[TLS_1_3] = TLS1_3_VERSION,
};

static _Noreturn void
die_tls(const char *what)
{
	char why[TLS_WHY_SIZE];

	tls_reason(why, sizeof(why));
	die(EXIT_TEMPORARY, "OpenSSL: %s: %s", what, why);
}

static const char *
cipher_list(const struct tls_context *ctx)
{
	if (ctx->ciphers[0] != '\0')
		return ctx->ciphers;
	if (ctx->settings.weak)
		return WEAK;
	return ctx->settings.min < TLS_1_2 ? STRONG OLD : STRONG;
}

/* RFC 8446 4.2.3: signatures with SHA-1 and keys below 112 bits are no more
 * accepted, but by who asks for the old versions or verifies nobody. */
static int
security_level(const struct tls_settings *s)
{
	return s->weak || s->min < TLS_1_2 ? 0 : 2;
}

static void
server_settings(const struct tls_context *ctx, SSL_CTX *ssl)
{
	bool resume = ctx->settings.resume;

	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
	/* No ticket holds a session (RFC 5077): it is kept by keyd, and what
	 * the client has is its name. */
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ssl, resume ? SSL_SESS_CACHE_SERVER |
	    SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR
	    : SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(ssl, resume ? 1 : 0);
	if (ctx->settings.life_s > 0)
		(void)SSL_CTX_set_timeout(ssl, (long)ctx->settings.life_s);
	tls_accept_callbacks(ssl, resume);
}

SSL_CTX *
tls_context_make(struct tls_context *ctx)
{
	SSL_CTX *ssl = SSL_CTX_new_ex(ctx->lib, NULL,
	    ctx->server ? TLS_server_method() : TLS_client_method());

	if (ssl == NULL)
		die_tls("SSL_CTX_new");
	SSL_CTX_set_security_level(ssl, security_level(&ctx->settings));
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION |
	    SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* Without it many mail servers cannot be reached (RFC 5746 4.1 says
	 * what a client may do); renegotiation is off. */
	if (!ctx->server && ctx->settings.weak)
		SSL_CTX_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	(void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	if (!SSL_CTX_set_min_proto_version(ssl, versions[ctx->settings.min]) ||
	    !SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ssl, SUITES) ||
	    !SSL_CTX_set1_groups_list(ssl, GROUPS))
		die_tls("settings");
	if (!SSL_CTX_set_cipher_list(ssl, cipher_list(ctx))) {
		SSL_CTX_free(ssl);
		return NULL;
	}
	if (ctx->server) {
		server_settings(ctx, ssl);
	} else {
		SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
		if (SSL_CTX_dane_enable(ssl) <= 0)
			die_tls("SSL_CTX_dane_enable");
	}
	return ssl;
}

static void
load_providers(struct tls_context *ctx)
{
	ctx->lib = OSSL_LIB_CTX_new();
	if (ctx->lib == NULL)
		die_tls("OSSL_LIB_CTX_new");
	ctx->standard = OSSL_PROVIDER_load(ctx->lib, "default");
	if (ctx->standard == NULL)
		die_tls("the default provider");
	if (!OSSL_PROVIDER_add_builtin(ctx->lib, tls_provider_name,
	    tls_provider_init))
		die_tls("OSSL_PROVIDER_add_builtin");
	/* Behind the standard one, which is so preferred where both have an
	 * algorithm of a name. */
	ctx->own = OSSL_PROVIDER_load(ctx->lib, tls_provider_name);
	if (ctx->own == NULL)
		die_tls("our provider");
	ctx->provider = OSSL_PROVIDER_get0_provider_ctx(ctx->own);
	ctx->provider->lib = ctx->lib;
	ctx->sha256 = EVP_MD_fetch(ctx->lib, "SHA256", NULL);
	if (ctx->sha256 == NULL)
		die_tls("SHA256");
}

/* All of them now: a cage has no files. */
static void
load_authorities(struct tls_context *ctx, const char *file)
{
	ctx->store = X509_STORE_new();
	if (ctx->store == NULL)
		die_tls("X509_STORE_new");
	if (!X509_STORE_load_file_ex(ctx->store, file, ctx->lib, NULL))
		die(EXIT_PERMANENT, "%s: no certificates in PEM can be read "
		    "there", file);
}

static struct tls_context *
context_new(const struct tls_settings *settings, const char *key, bool server)
{
	struct tls_context *ctx = mem_alloc(sizeof(*ctx));

	/* openssl.cnf is not ours: what holds stands in our configuration. */
	if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_SSL_STRINGS |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL))
		die_tls("OPENSSL_init_ssl");
	ctx->settings = *settings;
	ctx->ciphers = mem_dup(settings->ciphers != NULL ? settings->ciphers
	    : "");
	ctx->settings.ciphers = ctx->ciphers;
	ctx->server = server;
	load_providers(ctx);
	ctx->wire = tls_wire_method();
	if (ctx->wire == NULL)
		die_tls("BIO_meth_new");
	if (!server && settings->ca_file != NULL)
		load_authorities(ctx, settings->ca_file);
	ctx->ssl = tls_context_make(ctx);
	if (ctx->ssl == NULL)
		die(EXIT_PERMANENT, "%s: OpenSSL knows no cipher in \"%s\" "
		    "(`openssl ciphers -v` lists them)", key, ctx->ciphers);
	tls_warm(ctx);
	return ctx;
}

struct tls_context *
tls_server_new(const struct tls_settings *settings, const char *key)
{
	return context_new(settings, key, true);
}

struct tls_context *
tls_client_new(const struct tls_settings *settings, const char *key)
{
	return context_new(settings, key, false);
}

static void
forget(struct tls_identity known[], size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		tls_identity_free(&known[i]);
}

void
tls_context_free(struct tls_context **ctxp)
{
	struct tls_context *ctx = *ctxp;

	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	forget(ctx->known, ctx->nknown);
	X509_STORE_free(ctx->store);
	EVP_MD_free(ctx->sha256);
	BIO_meth_free(ctx->wire);
	OSSL_PROVIDER_unload(ctx->own);
	OSSL_PROVIDER_unload(ctx->standard);
	OSSL_LIB_CTX_free(ctx->lib);
	free(ctx->ciphers);
	free(ctx);
	*ctxp = NULL;
}

bool
tls_context_preload(struct tls_context *ctx, const struct key_certs *c)
{
	struct tls_identity known[KEY_ROWS_MAX];
	const struct key_row *rows = c->rows.v;
	SSL_CTX *ssl = NULL;
	bool good = c->rows.n > 0 && c->rows.n <= KEY_ROWS_MAX;
	size_t n = 0;

	while (good && n < c->rows.n) {
		good = tls_identity_read(ctx, &rows[n], &known[n]);
		n += good;
	}
	if (good)
		ssl = tls_context_make(ctx);
	for (size_t i = 0; ssl != NULL && i < n && good; i++)
		good = SSL_CTX_use_cert_and_key(ssl, known[i].leaf,
		    known[i].key, known[i].chain, 1) == 1;
	if (!good || ssl == NULL) {
		ERR_clear_error();
		SSL_CTX_free(ssl);
		forget(known, n);
		return false;
	}
	SSL_CTX_free(ctx->ssl);
	ctx->ssl = ssl;
	forget(ctx->known, ctx->nknown);
	memcpy(ctx->known, known, n * sizeof(known[0]));
	ctx->nknown = n;
	return true;
}
