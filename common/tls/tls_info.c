/*
 * What came of a handshake: for logs, Received fields and SASL.  Runs where the
 * handshake did; names are the peer's, and escaped by whoever writes them.
 */
#include <string.h>

#include <openssl/err.h>

#include "common/tls/tls_int.h"

#define EXPORTER "EXPORTER-Channel-Binding"
#define EXPORTER_LEN 32

static void
copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text != NULL ? text : "");
}

void
tls_reason(char *out, size_t size)
{
	const char *data = NULL;
	unsigned long code = 0, e;
	const char *text;
	int flags = 0;

	/* The last one is what libssl made of it. */
	while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0)
		code = e;
	text = code != 0 ? ERR_reason_error_string(code) : NULL;
	copy(out, size, text != NULL ? text : "connection lost");
}

void
tls_info_fill(const struct tls *t, struct tls_info *info)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	const unsigned char *alpn = NULL;
	unsigned int n = 0;
	X509 *peer = SSL_get0_peer_certificate(t->ssl);
	int bits = 0;
	long group;

	copy(info->version, sizeof(info->version), SSL_get_version(t->ssl));
	if (cipher != NULL) {
		copy(info->cipher, sizeof(info->cipher),
		    SSL_CIPHER_standard_name(cipher));
		info->bits = (unsigned)SSL_CIPHER_get_bits(cipher, &bits);
	}
	group = SSL_get_negotiated_group(t->ssl);
	if (group != 0)
		copy(info->group, sizeof(info->group),
		    SSL_group_to_name(t->ssl, (int)group));
	info->resumed = SSL_session_reused(t->ssl) != 0;
	if (t->ctx->server)
		copy(info->sni, sizeof(info->sni), SSL_get_servername(t->ssl,
		    TLSEXT_NAMETYPE_host_name));
	SSL_get0_alpn_selected(t->ssl, &alpn, &n);
	if (alpn != NULL && n < sizeof(info->alpn))
		memcpy(info->alpn, alpn, n);
	if (peer != NULL && X509_digest(peer, t->ctx->sha256,
	    info->fingerprint, NULL))
		info->peer_cert = true;
}

/* RFC 5929 3.1: the first Finished of the handshake: the client's, but with a
 * resumed session the server's. */
static size_t
unique(const struct tls *t, unsigned char out[TLS_BINDING_MAX])
{
	bool ours = (SSL_session_reused(t->ssl) != 0) == t->ctx->server;

	/* RFC 9266 4.2: TLS 1.3 has none.  RFC 7627 5.4: without the extended
	 * master secret it binds nothing. */
	if (SSL_version(t->ssl) >= TLS1_3_VERSION ||
	    SSL_get_extms_support(t->ssl) != 1)
		return 0;
	return ours ? SSL_get_finished(t->ssl, out, TLS_BINDING_MAX)
	    : SSL_get_peer_finished(t->ssl, out, TLS_BINDING_MAX);
}

/* RFC 5929 4.1: the hash of the certificate's signature; SHA-256 for the weak
 * ones.  None is defined where the signature has no hash (Ed25519). */
static size_t
end_point(const struct tls *t, unsigned char out[TLS_BINDING_MAX])
{
	X509 *x = t->ctx->server ? SSL_get_certificate(t->ssl)
	    : SSL_get0_peer_certificate(t->ssl);
	int digest = NID_undef;
	unsigned int n = 0;
	EVP_MD *md;

	if (x == NULL || !X509_get_signature_info(x, &digest, NULL, NULL, NULL)
	    || digest == NID_undef)
		return 0;
	if (digest == NID_md5 || digest == NID_sha1)
		digest = NID_sha256;
	md = EVP_MD_fetch(t->ctx->lib, OBJ_nid2sn(digest), NULL);
	if (md == NULL || EVP_MD_get_size(md) > TLS_BINDING_MAX ||
	    !X509_digest(x, md, out, &n))
		n = 0;
	EVP_MD_free(md);
	return n;
}

static size_t
exporter(const struct tls *t, unsigned char out[TLS_BINDING_MAX])
{
	if (SSL_version(t->ssl) < TLS1_3_VERSION &&
	    SSL_get_extms_support(t->ssl) != 1)
		return 0;
	return SSL_export_keying_material(t->ssl, out, EXPORTER_LEN, EXPORTER,
	    sizeof(EXPORTER) - 1, (const unsigned char *)"", 0, 1) == 1
	    ? EXPORTER_LEN : 0;
}

size_t
tls_binding(const struct tls *t, enum tls_binding type,
    unsigned char out[TLS_BINDING_MAX])
{
	size_t n = 0;

	switch (type) {
	case TLS_UNIQUE:
		n = unique(t, out);
		break;
	case TLS_SERVER_END_POINT:
		n = end_point(t, out);
		break;
	case TLS_EXPORTER:
		n = exporter(t, out);
		break;
	}
	ERR_clear_error();
	return n;
}
