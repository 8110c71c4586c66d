/*
 * Signatures.  Runs in keyd's workers; what is signed comes from sessions with
 * the network and was looked at before (content.c), or from remote.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "keyd/pair_int.h"

struct scheme {
	uint32_t scheme;
	enum key_algorithm algorithm;
	const char *digest; /* NULL: none of its own */
	bool pss;
};

static const struct scheme schemes[] = {
	{KEY_ECDSA_SHA256, KEY_EC, "SHA256", false},
	{KEY_RSA_PSS_SHA256, KEY_RSA, "SHA256", true},
	{KEY_RSA_PSS_SHA384, KEY_RSA, "SHA384", true},
	{KEY_RSA_PSS_SHA512, KEY_RSA, "SHA512", true},
	{KEY_RSA_PKCS1_SHA256, KEY_RSA, "SHA256", false},
	{KEY_RSA_PKCS1_SHA384, KEY_RSA, "SHA384", false},
	{KEY_RSA_PKCS1_SHA512, KEY_RSA, "SHA512", false},
	{KEY_RSA_PKCS1_SHA1, KEY_RSA, "SHA1", false},
	{KEY_RSA_MD5_SHA1, KEY_RSA, "MD5-SHA1", false},
	{KEY_ECDSA_SHA384, KEY_EC, "SHA384", false},
	{KEY_ECDSA_SHA512, KEY_EC, "SHA512", false},
	{KEY_ECDSA_SHA1, KEY_EC, "SHA1", false},
	{KEY_ED25519_PURE, KEY_ED25519, NULL, false},
};

enum key_result
pair_sign(const struct pair *p, uint32_t scheme, struct slice content,
    unsigned char *out, size_t *len)
{
	const struct scheme *s = NULL;
	EVP_PKEY_CTX *c = NULL;
	EVP_MD_CTX *m;
	bool good;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (schemes[i].scheme == scheme)
			s = &schemes[i];
	if (s == NULL || s->algorithm != p->algorithm)
		return KEY_BAD;
	m = EVP_MD_CTX_new();
	good = m != NULL && EVP_DigestSignInit_ex(m, &c, s->digest, NULL, NULL,
	    p->key, NULL) > 0;
	/* RFC 8446 4.2.3: the salt is as long as the hash */
	if (good && s->pss)
		good = EVP_PKEY_CTX_set_rsa_padding(c,
		    RSA_PKCS1_PSS_PADDING) > 0 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(c,
		    RSA_PSS_SALTLEN_DIGEST) > 0;
	good = good && EVP_DigestSign(m, out, len,
	    (const unsigned char *)content.p, content.len) > 0;
	EVP_MD_CTX_free(m);
	ERR_clear_error();
	return good ? KEY_OK : KEY_TEMP;
}

/* RFC 6376 3.3.1: PKCS #1 v1.5 over the hash. */
static bool
sign_hash(const struct pair *p, struct slice hash, unsigned char *out,
    size_t *len)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(p->key, NULL);
	bool good = c != NULL && EVP_PKEY_sign_init(c) > 0 &&
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) > 0 &&
	    EVP_PKEY_sign(c, out, len, (const unsigned char *)hash.p,
	    hash.len) > 0;

	EVP_PKEY_CTX_free(c);
	ERR_clear_error();
	return good;
}

enum key_result
pair_sign_dkim(const struct pair *p, struct slice hash, unsigned char *out,
    size_t *len)
{
	/* RFC 8463 3: Ed25519 signs the hash as it would a message. */
	if (p->algorithm == KEY_ED25519)
		return pair_sign(p, KEY_ED25519_PURE, hash, out, len);
	if (p->algorithm != KEY_RSA)
		return KEY_BAD;
	return sign_hash(p, hash, out, len) ? KEY_OK : KEY_TEMP;
}
