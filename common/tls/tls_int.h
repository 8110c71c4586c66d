/* What the files of the module tls share. */
#ifndef COMMON_TLS_TLS_INT_H
#define COMMON_TLS_TLS_INT_H

#include <openssl/bio.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/buf.h"
#include "common/tls/tls.h"

/* Our provider's own state (tls_provider.c): who signs, for the moment of one
 * handshake, and the library context for what is public. */
struct tls_provider {
	OSSL_LIB_CTX *lib;
	const struct tls_keys *keys; /* NULL: nobody */
	enum key_result result;      /* of the last signature that failed */
};

/* A certificate with its chain and the handle of its key. */
struct tls_identity {
	unsigned char fingerprint[TLS_FINGERPRINT_LEN];
	X509 *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY *key; /* of our provider */
};

/* Certificates of one folder, with an SSL_CTX that has them. */
struct tls_preload {
	char folder[TLS_NAME_SIZE];
	SSL_CTX *ssl; /* NULL: this place is free */
	struct tls_identity v[KEY_ROWS_MAX];
	size_t n;
};

/* Shared with sessions, which write. */
struct tls_wish {
	unsigned missed;
	char name[TLS_NAME_SIZE];
};

struct tls_context {
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *standard, *own;
	struct tls_provider *provider; /* of own */
	BIO_METHOD *wire;
	struct tls_settings settings;
	char *ciphers;    /* owned copy */
	bool server;
	X509_STORE *store; /* client: trusted certificates, or NULL */
	EVP_MD *sha256;
	SSL_CTX *ssl;      /* without a certificate */
	struct tls_preload preloads[TLS_PRELOADS];
	size_t turn;       /* of the places behind the first */
	struct tls_wish *wish; /* server; shared */
	unsigned heard;    /* of wish->missed */
};

struct tls {
	struct tls_context *ctx;
	SSL *ssl;
	int fd;            /* the stream's */
	struct buf out;    /* written by OpenSSL, not yet by us */
	bool handshaking;
	bool eof;          /* the peer has closed */
	bool broken;       /* no goodbye any more */
	bool dry;          /* the last read found nothing */
	bool noisy;        /* the peer sends much and says nothing */
	const struct tls_accept *accept; /* during the handshake */
	bool local_fault;
	char why[TLS_WHY_SIZE];
};

/* tls_provider.c */
extern const char tls_provider_name[];
OSSL_provider_init_fn tls_provider_init;
/* A key of our provider for this certificate's public key. */
EVP_PKEY *tls_provider_key(struct tls_context *ctx, EVP_PKEY *public_key,
    const unsigned char fingerprint[TLS_FINGERPRINT_LEN]);

/* tls_identity.c */
bool tls_identity_read(struct tls_context *ctx, const struct key_row *row,
    struct tls_identity *out);
void tls_identity_free(struct tls_identity *id);

/* tls_context.c */
SSL_CTX *tls_context_make(struct tls_context *ctx);

/* tls_accept.c: callbacks of the server's SSL_CTX */
void tls_accept_callbacks(SSL_CTX *ssl, bool resume);
/* tls_warm.c: a handshake in memory, so that what OpenSSL loads at first use is
 * loaded before the fork and before the cage. */
void tls_warm(struct tls_context *ctx);

/* tls_wire.c */
BIO_METHOD *tls_wire_method(void);
struct tls *tls_wire_new(struct tls_context *ctx, struct stream *s);
void tls_free(struct tls *t);
/* Everything out that is waiting: 0, or -1 with errno. */
int tls_wire_flush(struct tls *t);
/* The handshake in hand to its end. */
enum tls_result tls_handshake(struct tls *t, struct stream *s);
/* The stream is encrypted from now on. */
void tls_wire_attach(struct tls *t, struct stream *s);

/* tls_info.c */
void tls_info_fill(const struct tls *t, struct tls_info *info);
/* The newest of OpenSSL's reasons, in its words; the queue is empty then. */
void tls_reason(char *out, size_t size);

#endif
