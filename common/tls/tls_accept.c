/*
 * The server's side of a handshake.  Runs in a session, in its cage; the input
 * is an unknown client's, taken apart by OpenSSL.  Certificates, signatures and
 * old sessions are asked for while the handshake is under way (struct
 * tls_keys): OpenSSL's callbacks block here, as sessions may.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/io/stream.h"
#include "common/tls/tls_int.h"

static const struct tls_keys *
keys_of(const struct tls *t)
{
	return t->accept->keys;
}

static int
local_fault(struct tls *t, const char *what, struct slice why)
{
	t->local_fault = true;
	snprintf(t->why, sizeof(t->why), "%s: %.*s", what, SLICE_FMT(why));
	return 0;
}

/* Too weak a key, for example (security_level). */
static int
unusable(struct tls *t, struct slice folder)
{
	char reason[TLS_WHY_SIZE], text[2 * TLS_WHY_SIZE];

	tls_reason(reason, sizeof(reason));
	snprintf(text, sizeof(text), "%.*s: %s", SLICE_FMT(folder), reason);
	return local_fault(t, "certificate cannot be used", slice_of(text));
}

/* ---- certificates ---- */

static bool
has(const struct tls_preload *p, struct slice fingerprint)
{
	for (size_t i = 0; i < p->n; i++)
		if (slice_eq(fingerprint, slice_mem(p->v[i].fingerprint,
		    TLS_FINGERPRINT_LEN)))
			return true;
	return false;
}

/* The preloaded ones that are these and no others, or NULL. */
static struct tls_preload *
find_preload(struct tls_context *ctx, const struct key_certs *c)
{
	const struct key_row *rows = c->rows.v;
	struct tls_preload *p;
	size_t i, k;

	for (i = 0; i < TLS_PRELOADS; i++) {
		p = &ctx->preloads[i];
		for (k = 0; k < c->rows.n && has(p, rows[k].fingerprint); k++)
			;
		if (p->ssl != NULL && p->n == c->rows.n && k == c->rows.n)
			return p;
	}
	return NULL;
}

/* Known, and yet none of a set that is good as a whole. */
static struct tls_identity *
find_identity(struct tls_context *ctx, struct slice fingerprint)
{
	for (size_t i = 0; i < TLS_PRELOADS; i++)
		for (size_t k = 0; k < ctx->preloads[i].n; k++) {
			struct tls_identity *id = &ctx->preloads[i].v[k];

			if (slice_eq(fingerprint, slice_mem(id->fingerprint,
			    TLS_FINGERPRINT_LEN)))
				return id;
		}
	return NULL;
}

static bool
use_row(struct tls *t, const struct key_row *row)
{
	struct tls_identity id = {.leaf = NULL}, *use = &id;
	bool good;

	if (row->chain.len == 0)
		use = find_identity(t->ctx, row->fingerprint);
	else if (!tls_identity_read(t->ctx, row, &id))
		return false;
	good = use != NULL && SSL_use_cert_and_key(t->ssl, use->leaf,
	    use->key, use->chain, 1) == 1;
	tls_identity_free(&id);
	return good;
}

/* The parent may like to have them, for those to come. */
static void
wish_for(struct tls_context *ctx, const char *name)
{
	snprintf(ctx->wish->name, sizeof(ctx->wish->name), "%s", name);
	__atomic_add_fetch(&ctx->wish->missed, 1, __ATOMIC_RELAXED);
}

static int
use_certificates(struct tls *t, const char *name, const struct key_certs *c)
{
	struct tls_preload *p = find_preload(t->ctx, c);
	const struct key_row *rows = c->rows.v;

	if (p != NULL)
		return SSL_get_SSL_CTX(t->ssl) == p->ssl ||
		    SSL_set_SSL_CTX(t->ssl, p->ssl) != NULL;
	wish_for(t->ctx, name);
	SSL_certs_clear(t->ssl);
	for (size_t i = 0; i < c->rows.n; i++)
		if (!use_row(t, &rows[i]))
			return unusable(t, c->folder);
	return 1;
}

/* The client has said its name: which certificates are there for it? */
static int
on_certificate(SSL *ssl, void *arg)
{
	struct tls *t = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct slice known[KEY_KNOWN_MAX];
	struct slices list = {known, 0};
	struct key_certs c;

	(void)arg;
	if (name == NULL)
		name = "";
	for (size_t i = 0; i < TLS_PRELOADS; i++)
		for (size_t k = 0; k < t->ctx->preloads[i].n &&
		    list.n < KEY_KNOWN_MAX; k++)
			known[list.n++] = slice_mem(
			    t->ctx->preloads[i].v[k].fingerprint,
			    TLS_FINGERPRINT_LEN);
	if (keys_of(t)->certs(keys_of(t)->arg, slice_of(name), &list, &c) !=
	    KEY_OK)
		return local_fault(t, "no certificate", c.why);
	return use_certificates(t, name, &c);
}

static int
on_servername(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- ALPN (RFC 7301) ---- */

/* The client's list: octet of length, name, and so on; OpenSSL has looked that
 * it is one. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned int inlen, void *arg)
{
	struct tls *t = SSL_get_app_data(ssl);
	const char *const *ours;
	unsigned int at;

	(void)arg;
	for (ours = t->accept->alpn; ours != NULL && *ours != NULL; ours++)
		for (at = 0; at < inlen; at += in[at] + 1u)
			if (slice_eq(slice_of(*ours),
			    slice_mem(in + at + 1, in[at]))) {
				*out = in + at + 1;
				*outlen = in[at];
				return SSL_TLSEXT_ERR_OK;
			}
	/* RFC 7301 3.2: no_application_protocol */
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- resumption ---- */

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);
	unsigned char octets[KEY_SESSION_MAX], *p = octets;
	const unsigned char *id;
	unsigned int idlen;
	int len;

	if (t->accept == NULL || keys_of(t)->put == NULL)
		return 0;
	id = SSL_SESSION_get_id(session, &idlen);
	len = i2d_SSL_SESSION(session, NULL);
	if (idlen > 0 && len > 0 && (size_t)len <= sizeof(octets)) {
		len = i2d_SSL_SESSION(session, &p);
		keys_of(t)->put(keys_of(t)->arg, slice_mem(id, idlen),
		    slice_mem(octets, (size_t)len));
		explicit_bzero(octets, sizeof(octets));
	}
	return 0; /* no reference is kept */
}

static SSL_SESSION *
on_get_session(SSL *ssl, const unsigned char *id, int idlen, int *copy)
{
	struct tls *t = SSL_get_app_data(ssl);
	const unsigned char *p;
	struct slice octets;

	*copy = 0;
	if (t->accept == NULL || keys_of(t)->take == NULL || idlen <= 0)
		return NULL;
	octets = keys_of(t)->take(keys_of(t)->arg,
	    slice_mem(id, (size_t)idlen));
	if (octets.len == 0)
		return NULL;
	p = (const unsigned char *)octets.p;
	return d2i_SSL_SESSION(NULL, &p, (long)octets.len);
}

/* ---- client certificates ---- */

/* Any will do: it is its fingerprint that an account may be bound to. */
static int
on_verify(int good, X509_STORE_CTX *c)
{
	(void)good;
	(void)c;
	return 1;
}

void
tls_accept_callbacks(SSL_CTX *ssl, bool resume)
{
	SSL_CTX_set_cert_cb(ssl, on_certificate, NULL);
	(void)SSL_CTX_set_tlsext_servername_callback(ssl, on_servername);
	SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
	if (resume) {
		SSL_CTX_sess_set_new_cb(ssl, on_new_session);
		SSL_CTX_sess_set_get_cb(ssl, on_get_session);
	}
}

enum tls_result
tls_accept(struct stream *s, struct tls_context *ctx,
    const struct tls_accept *args, struct tls_info *info, struct tls **out)
{
	struct tls *t;
	enum tls_result result;

	*info = (struct tls_info){.bits = 0};
	if (stream_buffered(s) > 0) {
		snprintf(info->why, sizeof(info->why),
		    "the client talked ahead in plain text");
		return TLS_REFUSED;
	}
	t = tls_wire_new(ctx, s);
	if (t == NULL) {
		tls_reason(info->why, sizeof(info->why));
		return TLS_LOCAL;
	}
	t->accept = args;
	ctx->provider->keys = args->keys;
	ctx->provider->result = KEY_OK;
	SSL_set_accept_state(t->ssl);
	/* Without a context OpenSSL resumes no session of a client that showed
	 * a certificate. */
	(void)SSL_set_session_id_context(t->ssl,
	    (const unsigned char *)args->context,
	    (unsigned int)strlen(args->context));
	if (args->ask_certificate)
		SSL_set_verify(t->ssl, SSL_VERIFY_PEER |
		    SSL_VERIFY_CLIENT_ONCE, on_verify);
	result = tls_handshake(t, s);
	if (result == TLS_REFUSED && ctx->provider->result != KEY_OK)
		result = TLS_LOCAL;
	if (result != TLS_OK) {
		memcpy(info->why, t->why, sizeof(info->why));
		ctx->provider->keys = NULL;
		tls_free(t);
		return result;
	}
	tls_info_fill(t, info);
	tls_wire_attach(t, s);
	*out = t;
	return TLS_OK;
}

const char *
tls_result_text(enum tls_result r)
{
	static const char *const words[] = {
		[TLS_OK] = "ok",
		[TLS_CLOSED] = "closed",
		[TLS_TIMEOUT] = "timeout",
		[TLS_REFUSED] = "refused",
		[TLS_LOCAL] = "local fault",
	};

	return words[r];
}
