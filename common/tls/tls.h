/*
 * TLS on a stream, as server and as client.  OpenSSL stands behind this module
 * and nowhere else.  A context is made once, in a parent before it forks: all
 * algorithms are loaded, a handshake with itself was made, and its children
 * find everything there.  A child makes one struct tls from it.
 *
 * A server has no private key: certificates and signatures come from whoever
 * struct tls_keys asks (keyd: common/tls/keys.h), by way of an OpenSSL provider
 * whose keys are names of keys.
 */
#ifndef COMMON_TLS_TLS_H
#define COMMON_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/proto/key.h"

struct stream;
struct tls_context;
struct tls; /* TLS on one stream, which owns it */

#define TLS_WHY_SIZE 200
#define TLS_FINGERPRINT_LEN 32
#define TLS_NAME_SIZE 256

enum tls_version { TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 };

struct tls_settings {
	enum tls_version min;
	const char *ciphers;  /* up to TLS 1.2, in OpenSSL's words; NULL or "":
	                       * ours */
	/* Server */
	bool resume;          /* sessions are kept (tls_keys.put and take) */
	uint32_t life_s;      /* so long */
	/* Client: what is not verified may be weak: any cipher that encrypts,
	 * any signature (opportunistic TLS, RFC 7435). */
	bool weak;
	const char *ca_file;  /* trusted certificates in PEM, read now; NULL:
	                       * none */
};

/* Dies (100) with a text that names key when the ciphers are none. */
struct tls_context *tls_server_new(const struct tls_settings *settings,
    const char *key);
struct tls_context *tls_client_new(const struct tls_settings *settings,
    const char *key);
void tls_context_free(struct tls_context **ctx);

/*
 * Parent of servers: certificates that many clients get.  Sessions forked later
 * have them parsed already and ask only whether they are still good.  first:
 * those for clients that name nobody; the others share TLS_PRELOADS - 1 places,
 * by folder.  False: not parsed, those before stay.
 */
#define TLS_PRELOADS 4
bool tls_context_preload(struct tls_context *ctx, bool first,
    const struct key_certs *c);
/* Did a session get certificates that were not preloaded?  Then its client's
 * name is in out, and what it was is forgotten.  Sessions write there: it may
 * be anything. */
bool tls_context_wish(struct tls_context *ctx, char out[TLS_NAME_SIZE]);

enum tls_result {
	TLS_OK,
	TLS_CLOSED,  /* the peer went away */
	TLS_TIMEOUT,
	TLS_REFUSED, /* no agreement with the peer; it was told by an alert */
	TLS_LOCAL    /* a fault on this side: no key daemon, no certificate */
};
const char *tls_result_text(enum tls_result r);


struct tls_info {
	char version[12];      /* "TLSv1.3" */
	char cipher[48];       /* as RFC 8446 and others name it */
	unsigned bits;
	char group[32];        /* of the key exchange; "": unknown */
	bool resumed;
	char sni[TLS_NAME_SIZE];  /* what the client named, or "": any octets,
	                           * to be escaped */
	char alpn[32];         /* agreed on, or "" */
	bool peer_cert;
	unsigned char fingerprint[TLS_FINGERPRINT_LEN]; /* SHA-256 of it */
	char why[TLS_WHY_SIZE]; /* unless TLS_OK: for the log */
};

/* What the server's side asks while a client waits.  Each may block. */
struct tls_keys {
	/* out lives until the next call */
	enum key_result (*certs)(void *arg, struct slice name,
	    const struct slices *known, struct key_certs *out);
	/* *len: room, then what was used */
	enum key_result (*sign)(void *arg, struct slice fingerprint,
	    uint32_t scheme, struct slice content, unsigned char *signature,
	    size_t *len);
	/* May be NULL where sessions are not kept. */
	void (*put)(void *arg, struct slice id, struct slice session);
	struct slice (*take)(void *arg, struct slice id); /* "": none */
	void *arg;
};

struct tls_accept {
	const struct tls_keys *keys;   /* needed until tls_accept returns */
	const char *context;           /* protocol: sessions of another one are
	                                * not resumed */
	/* RFC 7301: our protocol's names, NULL behind the last.  A client that
	 * names protocols and none of these is refused: its octets were meant
	 * for somebody else (ALPACA). */
	const char *const *alpn;
	bool ask_certificate;          /* of the client; any is taken, and its
	                                * fingerprint told */
};

/*
 * The handshake on a stream that is idle: nothing buffered (else the peer is
 * refused: what came before was not protected), all written.  The stream's idle
 * time and deadline hold.  From TLS_OK on the stream is encrypted; its last
 * octets of the handshake leave with what is written next, or at the next read.
 * Otherwise the stream must be freed.
 */
enum tls_result tls_accept(struct stream *s, struct tls_context *ctx,
    const struct tls_accept *args, struct tls_info *info, struct tls **out);

struct tls_connect {
	const char *name;   /* SNI, and what certificates are matched with;
	                     * NULL: none */
	bool pkix;          /* the chain must lead to the context's authorities
	                     * and name must match (RFC 6125) */
	const char *const *names; /* further names that match; NULL-terminated,
	                           * or NULL */
	/* RFC 7672: TLSA records (RDATA, RFC 6698 2.1).  One that can be used
	 * must match; with none usable nothing is verified and *dane_usable of
	 * the result is false. */
	const struct slice *tlsa;
	size_t ntlsa;
};
struct tls_peer {
	bool verified;     /* by pkix or DANE, as was asked */
	bool dane_usable;  /* at least one record could be used */
	char why[TLS_WHY_SIZE]; /* not verified: why not */
};

/* The client's side.  A peer that does not verify is not refused here: the
 * caller decides by *peer before it sends anything. */
enum tls_result tls_connect(struct stream *s, struct tls_context *ctx,
    const struct tls_connect *args, struct tls_info *info,
    struct tls_peer *peer, struct tls **out);

enum tls_binding {
	TLS_UNIQUE,           /* RFC 5929 3: up to TLS 1.2 */
	TLS_SERVER_END_POINT, /* RFC 5929 4 */
	TLS_EXPORTER          /* RFC 9266: with TLS 1.2 only where the master
	                       * secret is bound to the handshake (RFC 7627) */
};
#define TLS_BINDING_MAX 64
/* Channel binding data for SASL: octets written, 0: not to be had. */
size_t tls_binding(const struct tls *t, enum tls_binding type,
    unsigned char out[TLS_BINDING_MAX]);

#endif
