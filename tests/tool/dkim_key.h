/* The private half of a DKIM signature, which in the suite is keyd's: for the
 * unit tests and tests/tool/dkim. */
#ifndef TESTS_TOOL_DKIM_KEY_H
#define TESTS_TOOL_DKIM_KEY_H

#include <stdbool.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

static inline bool
dkim_key_rsa(EVP_PKEY *key, struct slice sum, unsigned char *out, size_t *n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good = EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_sign(ctx, out, n, (const unsigned char *)sum.p,
	    sum.len) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static inline bool
dkim_key_sign(struct slice pem, struct slice sum, struct buf *signature)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	unsigned char out[1024];
	size_t n = sizeof(out);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = key != NULL;

	if (good && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		good = dkim_key_rsa(key, sum, out, &n);
	else if (good)
		good = EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(ctx, out, &n, (const unsigned char *)sum.p,
		    sum.len) == 1;
	if (good)
		buf_add(signature, out, n);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return good;
}

#endif
