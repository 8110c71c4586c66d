/*
 * Keys by libcrypto: public ones that strangers published are verified with
 * (DKIM), and private ones are made and looked at by the admin's command.  No
 * private key is used here: that is keyd's.
 */
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/base/mem.h"

struct crypto_public {
	EVP_PKEY *key; /* owned */
	enum crypto_kind kind;
};

static EVP_PKEY *
rsa_key(struct slice octets)
{
	const unsigned char *p = (const unsigned char *)octets.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)octets.len);

	if (key == NULL) {
		p = (const unsigned char *)octets.p;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)octets.len);
	}
	/* Nothing may stand behind it. */
	if (key != NULL && (p != (const unsigned char *)octets.p +
	    octets.len || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
	    EVP_PKEY_get_bits(key) > (int)CRYPTO_RSA_BITS_MAX)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

struct crypto_public *
crypto_public_new(enum crypto_kind kind, struct slice octets)
{
	struct crypto_public *k;
	EVP_PKEY *key = NULL;

	if (octets.len > CRYPTO_PEM_MAX)
		return NULL;
	if (kind == CRYPTO_RSA)
		key = rsa_key(octets);
	else if (octets.len == CRYPTO_ED25519_LEN)
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
		    (const unsigned char *)octets.p, octets.len);
	ERR_clear_error();
	if (key == NULL)
		return NULL;
	k = mem_alloc(sizeof(*k));
	k->key = key;
	k->kind = kind;
	return k;
}

void
crypto_public_free(struct crypto_public **kp)
{
	if (*kp == NULL)
		return;
	EVP_PKEY_free((*kp)->key);
	free(*kp);
	*kp = NULL;
}

unsigned
crypto_public_bits(const struct crypto_public *k)
{
	return (unsigned)EVP_PKEY_get_bits(k->key);
}

static bool
verify_rsa(EVP_PKEY *key, struct slice sum, struct slice signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_verify(ctx, (const unsigned char *)signature.p,
	    signature.len, (const unsigned char *)sum.p, sum.len) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static bool
verify_ed25519(EVP_PKEY *key, struct slice sum, struct slice signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, (const unsigned char *)signature.p,
	    signature.len, (const unsigned char *)sum.p, sum.len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

bool
crypto_public_verify(const struct crypto_public *k, struct slice sum,
    struct slice signature)
{
	bool good = k->kind == CRYPTO_RSA ? verify_rsa(k->key, sum, signature)
	    : verify_ed25519(k->key, sum, signature);

	ERR_clear_error();
	return good;
}

/* ---- private keys ---- */

bool
crypto_key_make(enum crypto_kind kind, unsigned bits, struct buf *pem)
{
	EVP_PKEY *key = kind == CRYPTO_RSA
	    ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)
	    : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem());
	bool good = false;
	char *p;
	long n;

	if (key != NULL && bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio,
	    key, NULL, NULL, 0, NULL, NULL) == 1) {
		n = BIO_get_mem_data(bio, &p);
		good = n > 0 && (size_t)n <= CRYPTO_PEM_MAX;
		if (good) {
			(void)buf_room(pem, CRYPTO_PEM_MAX);
			buf_add(pem, p, (size_t)n);
			good = !pem->overflow;
		}
	}
	BIO_free(bio);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

static bool
put_rsa(EVP_PKEY *key, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	if (n > 0)
		buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0;
}

static bool
put_ed25519(EVP_PKEY *key, struct buf *out)
{
	unsigned char raw[CRYPTO_ED25519_LEN];
	size_t n = sizeof(raw);

	if (EVP_PKEY_get_raw_public_key(key, raw, &n) != 1 || n != sizeof(raw))
		return false;
	buf_add(out, raw, n);
	return true;
}

/* Nobody is asked for a passphrase. */
static int
no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

bool
crypto_key_public(struct slice pem, enum crypto_kind *kind, unsigned *bits,
    struct buf *out)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL,
	    no_passphrase, NULL);
	bool good = false;

	if (key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		good = put_rsa(key, out);
		*kind = CRYPTO_RSA;
	} else if (key != NULL &&
	    EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
		good = put_ed25519(key, out);
		*kind = CRYPTO_ED25519;
	}
	if (good)
		*bits = (unsigned)EVP_PKEY_get_bits(key);
	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return good;
}
