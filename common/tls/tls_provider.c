/*
 * The OpenSSL provider "postern": keys that are only names of keys.  What is
 * public about a key (sizes, curve, comparisons) the standard provider says by
 * the certificate's public key; a signature is asked for at whoever serves the
 * handshake in hand (struct tls_keys).  Runs in sessions, and once in their
 * parent; there is no private key here to be lost.
 *
 * provider-keymgmt(7), provider-signature(7).
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "common/base/mem.h"
#include "common/tls/tls_int.h"

#define SIGNER "POSTERN-SIGN"
#define PARAM_SOURCE "postern-source"
#define N(a) (sizeof(a) / sizeof((a)[0]))

const char tls_provider_name[] = "postern";

/* A key: the public part, and what to call the private one. */
struct handle {
	struct tls_provider *provider;
	enum key_algorithm algorithm;
	EVP_PKEY *public_key; /* owned reference */
	unsigned char fingerprint[TLS_FINGERPRINT_LEN];
};

/* How tls_provider_key hands a handle's content through EVP_PKEY_fromdata. */
struct source {
	EVP_PKEY *public_key;
	unsigned char fingerprint[TLS_FINGERPRINT_LEN];
};

static const char *const algorithm_names[] = {
	[KEY_RSA] = "RSA", [KEY_EC] = "EC", [KEY_ED25519] = "ED25519",
};

/* ---- key management ---- */

static struct handle *
handle_new(void *provider, enum key_algorithm algorithm)
{
	struct handle *h = mem_alloc(sizeof(*h));

	h->provider = provider;
	h->algorithm = algorithm;
	return h;
}

static void *
rsa_new(void *provider)
{
	return handle_new(provider, KEY_RSA);
}

static void *
ec_new(void *provider)
{
	return handle_new(provider, KEY_EC);
}

static void *
ed25519_new(void *provider)
{
	return handle_new(provider, KEY_ED25519);
}

static void
handle_free(void *key)
{
	struct handle *h = key;

	if (h == NULL)
		return;
	EVP_PKEY_free(h->public_key);
	free(h);
}

static int
handle_has(const void *key, int selection)
{
	const struct handle *h = key;

	(void)selection;
	return h != NULL && h->public_key != NULL;
}

static int
handle_match(const void *one, const void *other, int selection)
{
	const struct handle *a = one, *b = other;

	(void)selection;
	return a->public_key != NULL && b->public_key != NULL &&
	    EVP_PKEY_eq(a->public_key, b->public_key) == 1;
}

/* Either from tls_provider_key, or a public key to be compared with. */
static int
handle_import(void *key, int selection, const OSSL_PARAM params[])
{
	struct handle *h = key;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_SOURCE);
	struct source source;
	EVP_PKEY_CTX *c;
	int ok;

	if (h->public_key != NULL)
		return 0;
	if (p != NULL) {
		if (p->data_size != sizeof(source))
			return 0;
		memcpy(&source, p->data, sizeof(source));
		if (!EVP_PKEY_up_ref(source.public_key))
			return 0;
		h->public_key = source.public_key;
		memcpy(h->fingerprint, source.fingerprint,
		    sizeof(h->fingerprint));
		return 1;
	}
	if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0)
		return 0;
	c = EVP_PKEY_CTX_new_from_name(h->provider->lib,
	    algorithm_names[h->algorithm], "provider=default");
	/* fromdata takes params that it does not change. */
	ok = c != NULL && EVP_PKEY_fromdata_init(c) > 0 &&
	    EVP_PKEY_fromdata(c, &h->public_key, EVP_PKEY_PUBLIC_KEY,
	    (OSSL_PARAM *)(uintptr_t)params) > 0;
	EVP_PKEY_CTX_free(c);
	return ok;
}

/* The private part cannot be exported: there is none. */
static int
handle_export(void *key, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct handle *h = key;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
	    h->public_key == NULL)
		return 0;
	return EVP_PKEY_export(h->public_key, selection, callback, arg);
}

static const OSSL_PARAM *
import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(PARAM_SOURCE, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)selection;
	return types;
}

static int
handle_get(void *key, OSSL_PARAM params[])
{
	struct handle *h = key;

	return h->public_key != NULL &&
	    EVP_PKEY_get_params(h->public_key, params);
}

static const OSSL_PARAM *
handle_gettable(void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL,
		    0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL,
		    0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return types;
}

static const char *
operation_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? SIGNER : NULL;
}

/* ISO C has no conversion between pointers to functions and void; the table
 * wants void (*)(void). */
#define FN(f) ((void (*)(void))(f))

#define KEYMGMT(name)                                                          \
	static const OSSL_DISPATCH name##_functions[] = {                      \
		{OSSL_FUNC_KEYMGMT_NEW, FN(name##_new)},                       \
		{OSSL_FUNC_KEYMGMT_FREE, FN(handle_free)},                     \
		{OSSL_FUNC_KEYMGMT_HAS, FN(handle_has)},                       \
		{OSSL_FUNC_KEYMGMT_MATCH, FN(handle_match)},                   \
		{OSSL_FUNC_KEYMGMT_IMPORT, FN(handle_import)},                 \
		{OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FN(import_types)},            \
		{OSSL_FUNC_KEYMGMT_EXPORT, FN(handle_export)},                 \
		{OSSL_FUNC_KEYMGMT_EXPORT_TYPES, FN(import_types)},            \
		{OSSL_FUNC_KEYMGMT_GET_PARAMS, FN(handle_get)},                \
		{OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FN(handle_gettable)},      \
		{OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FN(operation_name)},  \
		{0, NULL},                                                     \
	}

KEYMGMT(rsa);
KEYMGMT(ec);
KEYMGMT(ed25519);

/* ---- signatures ---- */

enum digest { D_NONE, D_SHA1, D_SHA256, D_SHA384, D_SHA512, D_MD5_SHA1, D_ALL };

struct signer {
	struct tls_provider *provider;
	struct handle *key; /* borrowed: the operation's EVP_PKEY holds it */
	enum digest digest;
	bool pss;
};

static void *
signer_new(void *provider, const char *properties)
{
	struct signer *s = mem_alloc(sizeof(*s));

	(void)properties;
	s->provider = provider;
	return s;
}

static void
signer_free(void *signer)
{
	free(signer);
}

static void *
signer_dup(void *signer)
{
	struct signer *s = mem_alloc(sizeof(*s));

	memcpy(s, signer, sizeof(*s));
	return s;
}

static bool
digest_find(const char *name, enum digest *out)
{
	static const struct {
		const char *name;
		enum digest digest;
	} rows[] = {
		{"", D_NONE},
		{"SHA1", D_SHA1}, {"SHA-1", D_SHA1},
		{"SHA2-256", D_SHA256}, {"SHA256", D_SHA256}, {"SHA-256", D_SHA256},
		{"SHA2-384", D_SHA384}, {"SHA384", D_SHA384}, {"SHA-384", D_SHA384},
		{"SHA2-512", D_SHA512}, {"SHA512", D_SHA512}, {"SHA-512", D_SHA512},
		{"MD5-SHA1", D_MD5_SHA1},
	};
	size_t i;

	for (i = 0; i < N(rows); i++)
		if (slice_ieq(slice_of(rows[i].name),
		    slice_of(name != NULL ? name : ""))) {
			*out = rows[i].digest;
			return true;
		}
	return false;
}

static int
signer_set(void *signer, const OSSL_PARAM params[])
{
	struct signer *s = signer;
	const OSSL_PARAM *p;
	int mode;

	if (params == NULL)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p == NULL)
		return 1; /* the salt is as long as the hash, always */
	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		s->pss = slice_ieq(slice_of(p->data),
		    slice_of(OSSL_PKEY_RSA_PAD_MODE_PSS));
		return s->pss || slice_ieq(slice_of(p->data),
		    slice_of(OSSL_PKEY_RSA_PAD_MODE_PKCSV15));
	}
	if (!OSSL_PARAM_get_int(p, &mode))
		return 0;
	s->pss = mode == RSA_PKCS1_PSS_PADDING;
	return s->pss || mode == RSA_PKCS1_PADDING;
}

static const OSSL_PARAM *
signer_settable(void *signer, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_END,
	};

	(void)signer;
	(void)provider;
	return types;
}

static int
signer_init(void *signer, const char *digest, void *key,
    const OSSL_PARAM params[])
{
	struct signer *s = signer;

	if (key != NULL)
		s->key = key;
	s->pss = false;
	return s->key != NULL && digest_find(digest, &s->digest) &&
	    signer_set(s, params);
}

/* The scheme's number, or 0. */
static uint32_t
scheme_of(const struct signer *s)
{
	static const uint32_t rsa[D_ALL] = {
		[D_SHA1] = KEY_RSA_PKCS1_SHA1,
		[D_SHA256] = KEY_RSA_PKCS1_SHA256,
		[D_SHA384] = KEY_RSA_PKCS1_SHA384,
		[D_SHA512] = KEY_RSA_PKCS1_SHA512,
		[D_MD5_SHA1] = KEY_RSA_MD5_SHA1,
	};
	static const uint32_t pss[D_ALL] = {
		[D_SHA256] = KEY_RSA_PSS_SHA256,
		[D_SHA384] = KEY_RSA_PSS_SHA384,
		[D_SHA512] = KEY_RSA_PSS_SHA512,
	};
	static const uint32_t ec[D_ALL] = {
		[D_SHA1] = KEY_ECDSA_SHA1,
		[D_SHA256] = KEY_ECDSA_SHA256,
		[D_SHA384] = KEY_ECDSA_SHA384,
		[D_SHA512] = KEY_ECDSA_SHA512,
	};

	switch (s->key->algorithm) {
	case KEY_RSA:
		return s->pss ? pss[s->digest] : rsa[s->digest];
	case KEY_EC:
		return ec[s->digest];
	case KEY_ED25519:
		return s->digest == D_NONE ? KEY_ED25519_PURE : 0;
	}
	return 0;
}

static int
signer_sign(void *signer, unsigned char *out, size_t *len, size_t room,
    const unsigned char *content, size_t content_len)
{
	struct signer *s = signer;
	const struct tls_keys *keys = s->provider->keys;
	unsigned char signature[KEY_SIGNATURE_MAX];
	size_t n = sizeof(signature);
	uint32_t scheme = scheme_of(s);
	int size = EVP_PKEY_get_size(s->key->public_key);

	if (size <= 0 || scheme == 0)
		return 0;
	if (out == NULL) {
		*len = (size_t)size;
		return 1;
	}
	s->provider->result = KEY_TEMP;
	if (keys == NULL || content_len > KEY_CONTENT_MAX)
		return 0;
	s->provider->result = keys->sign(keys->arg,
	    slice_mem(s->key->fingerprint, TLS_FINGERPRINT_LEN), scheme,
	    slice_mem(content, content_len), signature, &n);
	if (s->provider->result != KEY_OK || n == 0 || n > room)
		return 0;
	memcpy(out, signature, n);
	*len = n;
	return 1;
}

static const OSSL_DISPATCH signer_functions[] = {
	{OSSL_FUNC_SIGNATURE_NEWCTX, FN(signer_new)},
	{OSSL_FUNC_SIGNATURE_FREECTX, FN(signer_free)},
	{OSSL_FUNC_SIGNATURE_DUPCTX, FN(signer_dup)},
	{OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FN(signer_init)},
	{OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FN(signer_sign)},
	{OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FN(signer_set)},
	{OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FN(signer_settable)},
	{0, NULL},
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM keymgmts[] = {
	{"RSA:rsaEncryption", "provider=postern", rsa_functions, NULL},
	{"EC:id-ecPublicKey", "provider=postern", ec_functions, NULL},
	{"ED25519", "provider=postern", ed25519_functions, NULL},
	{NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signatures[] = {
	{SIGNER, "provider=postern", signer_functions, NULL},
	{NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keymgmts;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static void
provider_end(void *provider)
{
	free(provider);
}

static const OSSL_DISPATCH provider_functions[] = {
	{OSSL_FUNC_PROVIDER_TEARDOWN, FN(provider_end)},
	{OSSL_FUNC_PROVIDER_QUERY_OPERATION, FN(provider_query)},
	{0, NULL},
};

int
tls_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provider)
{
	(void)handle;
	(void)in;
	*provider = mem_alloc(sizeof(struct tls_provider));
	*out = provider_functions;
	return 1;
}

EVP_PKEY *
tls_provider_key(struct tls_context *ctx, EVP_PKEY *public_key,
    const unsigned char fingerprint[TLS_FINGERPRINT_LEN])
{
	struct source source = {.public_key = public_key};
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(PARAM_SOURCE, &source, sizeof(source)),
		OSSL_PARAM_END,
	};
	EVP_PKEY_CTX *c = NULL;
	EVP_PKEY *key = NULL;
	size_t i;

	memcpy(source.fingerprint, fingerprint, sizeof(source.fingerprint));
	for (i = KEY_RSA; i < N(algorithm_names); i++)
		if (EVP_PKEY_is_a(public_key, algorithm_names[i]))
			c = EVP_PKEY_CTX_new_from_name(ctx->lib,
			    algorithm_names[i], "provider=postern");
	if (c != NULL && EVP_PKEY_fromdata_init(c) > 0)
		(void)EVP_PKEY_fromdata(c, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(c);
	return key;
}
