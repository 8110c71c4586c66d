/*
 * For tests of TLS: keys and certificates made on the spot, and a key keeper in
 * memory that signs with them (struct tls_keys).
 */
#ifndef TESTS_UNIT_TLS_RIG_H
#define TESTS_UNIT_TLS_RIG_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/tls/tls.h"

struct rig_cert {
	EVP_PKEY *key;
	X509 *leaf;
	unsigned char *der;
	int der_len;
	unsigned char fingerprint[TLS_FINGERPRINT_LEN];
	enum key_algorithm algorithm;
};

static inline EVP_PKEY *
rig_key(const char *type)
{
	if (strcmp(type, "RSA") == 0)
		return EVP_RSA_gen(2048);
	if (strcmp(type, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_EC_gen(type);
}

static inline void
rig_make(struct rig_cert *c, const char *type, const char *name)
{
	const EVP_MD *md = strcmp(type, "ED25519") == 0 ? NULL : EVP_sha256();
	unsigned int n = 0;
	X509_NAME *subject;

	memset(c, 0, sizeof(*c));
	c->algorithm = strcmp(type, "RSA") == 0 ? KEY_RSA
	    : strcmp(type, "ED25519") == 0 ? KEY_ED25519 : KEY_EC;
	c->key = rig_key(type);
	ck_assert_ptr_nonnull(c->key);
	c->leaf = X509_new();
	X509_set_version(c->leaf, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c->leaf), 7);
	X509_gmtime_adj(X509_getm_notBefore(c->leaf), -60);
	X509_gmtime_adj(X509_getm_notAfter(c->leaf), 3600);
	subject = X509_get_subject_name(c->leaf);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(c->leaf, subject);
	X509_set_pubkey(c->leaf, c->key);
	ck_assert_int_gt(X509_sign(c->leaf, c->key, md), 0);
	c->der_len = i2d_X509(c->leaf, &c->der);
	ck_assert_int_gt(c->der_len, 0);
	X509_digest(c->leaf, EVP_sha256(), c->fingerprint, &n);
}

static inline void
rig_free(struct rig_cert *c)
{
	OPENSSL_free(c->der);
	X509_free(c->leaf);
	EVP_PKEY_free(c->key);
}

static inline struct key_row
rig_row(const struct rig_cert *c)
{
	return (struct key_row){.algorithm = c->algorithm,
	    .fingerprint = slice_mem(c->fingerprint, TLS_FINGERPRINT_LEN),
	    .chain = slice_mem(c->der, (size_t)c->der_len)};
}

/* ---- the keeper ---- */

#define RIG_CERTS 4
#define RIG_SESSIONS 8

struct rig_session {
	unsigned char id[64], octets[KEY_SESSION_MAX];
	size_t idlen, len;
};

struct rig_keeper {
	struct rig_cert *certs[RIG_CERTS];
	size_t n;
	struct key_row rows[RIG_CERTS];
	enum key_result certs_say, sign_says; /* 0: as it is */
	char name[300];     /* asked for last */
	uint32_t scheme;    /* used last */
	unsigned signs, asks, puts, takes;
	struct rig_session sessions[RIG_SESSIONS];
	struct rig_session taken;
	struct tls_keys ops;
};

static inline enum key_result
rig_certs(void *arg, struct slice name, const struct slices *known,
    struct key_certs *out)
{
	struct rig_keeper *k = arg;

	k->asks++;
	snprintf(k->name, sizeof(k->name), "%.*s", SLICE_FMT(name));
	*out = (struct key_certs){.result = KEY_OK,
	    .folder = SLICE("default"), .why = SLICE("as the test says")};
	if (k->certs_say != 0)
		return k->certs_say;
	for (size_t i = 0; i < k->n; i++) {
		k->rows[i] = rig_row(k->certs[i]);
		for (size_t j = 0; j < known->n; j++)
			if (slice_eq(known->v[j], k->rows[i].fingerprint))
				k->rows[i].chain = SLICE_EMPTY;
	}
	out->rows = (struct chan_list){k->rows, k->n};
	return KEY_OK;
}

static inline const EVP_MD *
rig_digest(uint32_t scheme)
{
	switch (scheme) {
	case KEY_ED25519_PURE:
		return NULL;
	case KEY_RSA_PKCS1_SHA1:
	case KEY_ECDSA_SHA1:
		return EVP_sha1();
	case KEY_RSA_PKCS1_SHA384:
	case KEY_ECDSA_SHA384:
	case KEY_RSA_PSS_SHA384:
		return EVP_sha384();
	case KEY_RSA_PKCS1_SHA512:
	case KEY_ECDSA_SHA512:
	case KEY_RSA_PSS_SHA512:
		return EVP_sha512();
	case KEY_RSA_MD5_SHA1:
		return EVP_md5_sha1();
	default:
		return EVP_sha256();
	}
}

static inline enum key_result
rig_sign(void *arg, struct slice fingerprint, uint32_t scheme,
    struct slice content, unsigned char *signature, size_t *len)
{
	struct rig_keeper *k = arg;
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	EVP_PKEY_CTX *p = NULL;
	int ok = 0;

	k->signs++;
	k->scheme = scheme;
	for (size_t i = 0; i < k->n; i++) {
		if (!slice_eq(fingerprint, slice_mem(k->certs[i]->fingerprint,
		    TLS_FINGERPRINT_LEN)))
			continue;
		ok = EVP_DigestSignInit(m, &p, rig_digest(scheme), NULL,
		    k->certs[i]->key);
		if (scheme >= KEY_RSA_PSS_SHA256 &&
		    scheme <= KEY_RSA_PSS_SHA512) {
			EVP_PKEY_CTX_set_rsa_padding(p,
			    RSA_PKCS1_PSS_PADDING);
			EVP_PKEY_CTX_set_rsa_pss_saltlen(p,
			    RSA_PSS_SALTLEN_DIGEST);
		}
		ok = ok > 0 && EVP_DigestSign(m, signature, len,
		    (const unsigned char *)content.p, content.len) > 0;
	}
	EVP_MD_CTX_free(m);
	if (k->sign_says != 0)
		return k->sign_says;
	return ok ? KEY_OK : KEY_BAD;
}

static inline void
rig_put(void *arg, struct slice id, struct slice session)
{
	struct rig_keeper *k = arg;
	struct rig_session *s = &k->sessions[k->puts++ % RIG_SESSIONS];

	memcpy(s->id, id.p, id.len);
	s->idlen = id.len;
	memcpy(s->octets, session.p, session.len);
	s->len = session.len;
}

static inline struct slice
rig_take(void *arg, struct slice id)
{
	struct rig_keeper *k = arg;

	k->takes++;
	for (size_t i = 0; i < RIG_SESSIONS; i++) {
		struct rig_session *s = &k->sessions[i];

		if (s->idlen == 0 || !slice_eq(id, slice_mem(s->id, s->idlen)))
			continue;
		k->taken = *s;
		s->idlen = 0;
		return slice_mem(k->taken.octets, k->taken.len);
	}
	return SLICE_EMPTY;
}

static inline void
rig_keeper_init(struct rig_keeper *k)
{
	memset(k, 0, sizeof(*k));
	k->ops = (struct tls_keys){rig_certs, rig_sign, rig_put, rig_take, k};
}

static inline void
rig_keeper_add(struct rig_keeper *k, struct rig_cert *c)
{
	k->certs[k->n++] = c;
}

#endif
