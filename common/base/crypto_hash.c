/*
 * Hashes by libcrypto, in every process that needs one.  What is hashed may be
 * anybody's.
 */
#include <stdlib.h>

#include <openssl/evp.h>

#include "common/base/crypto.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct crypto_hash {
	EVP_MD *md;      /* owned */
	EVP_MD_CTX *ctx; /* owned */
};

static _Noreturn void
failed(void)
{
	die(EXIT_TEMPORARY, "libcrypto cannot hash (out of memory?)");
}

static void
begin(struct crypto_hash *h)
{
	if (EVP_DigestInit_ex(h->ctx, h->md, NULL) != 1)
		failed();
}

struct crypto_hash *
crypto_hash_new(enum crypto_digest digest)
{
	EVP_MD *md = EVP_MD_fetch(NULL, digest == CRYPTO_MD5 ? "MD5"
	    : "SHA2-256", NULL);
	struct crypto_hash *h;

	if (md == NULL && digest == CRYPTO_MD5)
		return NULL;
	if (md == NULL)
		die(EXIT_TEMPORARY, "libcrypto offers no SHA-256 (is its "
		    "configuration, openssl.cnf, sound?)");
	h = mem_alloc(sizeof(*h));
	h->md = md;
	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL)
		failed();
	begin(h);
	return h;
}

void
crypto_hash_free(struct crypto_hash **hp)
{
	struct crypto_hash *h = *hp;

	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	free(h);
	*hp = NULL;
}

void
crypto_hash_add(struct crypto_hash *h, const void *p, size_t n)
{
	if (n > 0 && EVP_DigestUpdate(h->ctx, p, n) != 1)
		failed();
}

size_t
crypto_hash_end(struct crypto_hash *h, unsigned char out[CRYPTO_HASH_MAX])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_DigestFinal_ex(h->ctx, sum, &n) != 1 || n > CRYPTO_HASH_MAX)
		failed();
	memcpy(out, sum, n);
	explicit_bzero(sum, sizeof(sum));
	begin(h);
	return n;
}

void
crypto_preload(void)
{
	unsigned char sum[CRYPTO_HASH_MAX];
	struct crypto_hash *h = crypto_hash_new(CRYPTO_SHA256);

	crypto_hash_add(h, "a", 1);
	(void)crypto_hash_end(h, sum);
	crypto_hash_free(&h);
}
