/*
 * The client's side of a handshake.  Runs in processes of remote; the input is
 * another host's, taken apart by OpenSSL.  Verification never ends a handshake:
 * what came of it is told, and the caller decides before anything is sent.
 */
#include <bsd/string.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/io/stream.h"
#include "common/tls/tls_int.h"

/* Goes on whatever was found; the first finding stays the result. */
static int
on_verify(int good, X509_STORE_CTX *c)
{
	(void)good;
	(void)c;
	return 1;
}

/* RFC 6698 2.1: usage, selector, matching type, data.  How many can be used,
 * -1: OpenSSL cannot. */
static int
add_tlsa(SSL *ssl, const struct tls_connect *args)
{
	const unsigned char *p;
	int usable = 0, r;
	size_t i;

	if (SSL_dane_enable(ssl, args->name) <= 0)
		return -1;
	for (i = 0; i < args->ntlsa; i++) {
		p = (const unsigned char *)args->tlsa[i].p;
		/* RFC 7672 3.1.3: PKIX-TA and PKIX-EE cannot be used */
		if (args->tlsa[i].len < 4 || p[0] < 2)
			continue;
		r = SSL_dane_tlsa_add(ssl, p[0], p[1], p[2], p + 3,
		    args->tlsa[i].len - 3);
		if (r < 0)
			return -1;
		usable += r > 0;
	}
	/* RFC 7672 3.1.1: names and dates of a DANE-EE(3) do not matter */
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	return usable;
}

static bool
set_names(SSL *ssl, const struct tls_connect *args)
{
	const char *const *name = args->names;

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (args->name != NULL && !SSL_set1_host(ssl, args->name))
		return false;
	for (; name != NULL && *name != NULL; name++)
		if (!SSL_add1_host(ssl, *name))
			return false;
	return true;
}

static bool
prepare(struct tls *t, const struct tls_connect *args, struct tls_peer *peer)
{
	char name[TLS_NAME_SIZE]; /* OpenSSL's macro takes constness away */
	int usable = 0;

	SSL_set_connect_state(t->ssl);
	if (args->name != NULL &&
	    (strlcpy(name, args->name, sizeof(name)) >= sizeof(name) ||
	    SSL_set_tlsext_host_name(t->ssl, name) != 1))
		return false;
	SSL_set_verify(t->ssl, SSL_VERIFY_PEER, on_verify);
	if (args->ntlsa > 0) {
		usable = add_tlsa(t->ssl, args);
		if (usable < 0)
			return false;
		peer->dane_usable = usable > 0;
	}
	if (args->pkix && t->ctx->store != NULL &&
	    !SSL_set1_verify_cert_store(t->ssl, t->ctx->store))
		return false;
	return (!args->pkix && usable == 0) || set_names(t->ssl, args);
}

static void
judge(const struct tls *t, const struct tls_connect *args,
    struct tls_peer *peer)
{
	long v = SSL_get_verify_result(t->ssl);
	const char *why;

	if (!args->pkix && !peer->dane_usable)
		why = args->ntlsa > 0 ? "no TLSA record can be used"
		    : "nothing was asked for";
	else if (v == X509_V_OK && SSL_get0_peer_certificate(t->ssl) != NULL) {
		peer->verified = true;
		return;
	} else
		why = X509_verify_cert_error_string(v);
	snprintf(peer->why, sizeof(peer->why), "%s", why);
}

enum tls_result
tls_connect(struct stream *s, struct tls_context *ctx,
    const struct tls_connect *args, struct tls_info *info,
    struct tls_peer *peer, struct tls **out)
{
	struct tls *t;
	enum tls_result result = TLS_LOCAL;

	*info = (struct tls_info){.bits = 0};
	*peer = (struct tls_peer){.verified = false};
	if (stream_buffered(s) > 0) {
		snprintf(info->why, sizeof(info->why),
		    "the server talked ahead in plain text");
		return TLS_REFUSED;
	}
	t = tls_wire_new(ctx, s);
	if (t == NULL) {
		tls_reason(info->why, sizeof(info->why));
		return TLS_LOCAL;
	}
	if (prepare(t, args, peer))
		result = tls_handshake(t, s);
	else
		tls_reason(t->why, sizeof(t->why));
	if (result != TLS_OK) {
		memcpy(info->why, t->why, sizeof(info->why));
		tls_free(t);
		return result;
	}
	judge(t, args, peer);
	tls_info_fill(t, info);
	tls_wire_attach(t, s);
	*out = t;
	return TLS_OK;
}
