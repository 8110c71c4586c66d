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
	char groups[] = GROUPS; /* OpenSSL's macro takes constness away */

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
	(void)SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ssl, 1);
	if (!SSL_CTX_set_min_proto_version(ssl, versions[ctx->settings.min]) ||
	    !SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ssl, SUITES) ||
	    !SSL_CTX_set1_groups_list(ssl, groups))
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
	if (server)
		ctx->wish = mem_shared(sizeof(*ctx->wish));
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
	if (server)
		ctx->heard = ctx->wish->missed;
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

/* ---- certificates that many get ---- */

static void
forget(struct tls_preload *p)
{
	SSL_CTX_free(p->ssl);
	for (size_t i = 0; i < p->n; i++)
		tls_identity_free(&p->v[i]);
	*p = (struct tls_preload){.n = 0};
}

void
tls_context_free(struct tls_context **ctxp)
{
	struct tls_context *ctx = *ctxp;

	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	for (size_t i = 0; i < TLS_PRELOADS; i++)
		forget(&ctx->preloads[i]);
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

static bool
preload_read(struct tls_context *ctx, const struct key_certs *c,
    struct tls_preload *out)
{
	const struct key_row *rows = c->rows.v;
	bool good = c->rows.n > 0 && c->rows.n <= KEY_ROWS_MAX &&
	    c->folder.len < sizeof(out->folder);

	while (good && out->n < c->rows.n) {
		good = tls_identity_read(ctx, &rows[out->n], &out->v[out->n]);
		out->n += good;
	}
	if (good)
		out->ssl = tls_context_make(ctx);
	if (out->ssl == NULL)
		return false;
	for (size_t i = 0; i < out->n && good; i++)
		good = SSL_CTX_use_cert_and_key(out->ssl, out->v[i].leaf,
		    out->v[i].key, out->v[i].chain, 1) == 1;
	memcpy(out->folder, c->folder.p, c->folder.len);
	return good;
}

/* The folder's place of before, or the next one. */
static struct tls_preload *
place_for(struct tls_context *ctx, bool first, struct slice folder)
{
	size_t i;

	if (first)
		return &ctx->preloads[0];
	for (i = 0; i < TLS_PRELOADS; i++)
		if (ctx->preloads[i].ssl != NULL &&
		    slice_eq(folder, slice_of(ctx->preloads[i].folder)))
			return &ctx->preloads[i];
	ctx->turn = ctx->turn % (TLS_PRELOADS - 1) + 1;
	return &ctx->preloads[ctx->turn];
}

bool
tls_context_preload(struct tls_context *ctx, bool first,
    const struct key_certs *c)
{
	struct tls_preload new = {.n = 0}, *place;

	if (!preload_read(ctx, c, &new)) {
		ERR_clear_error();
		forget(&new);
		return false;
	}
	place = place_for(ctx, first, c->folder);
	forget(place);
	*place = new;
	return true;
}

bool
tls_context_wish(struct tls_context *ctx, char out[TLS_NAME_SIZE])
{
	unsigned missed = __atomic_load_n(&ctx->wish->missed,
	    __ATOMIC_RELAXED);

	if (missed == ctx->heard)
		return false;
	ctx->heard = missed;
	memcpy(out, ctx->wish->name, TLS_NAME_SIZE);
	out[TLS_NAME_SIZE - 1] = '\0';
	return true;
}
