/*
 * Contract "key": a session with TLS (smtpd, pop3d; client, over a descriptor
 * its parent dialled for it) and keyd (server).  One channel is for one
 * handshake: the session asks which certificates a name has, has what it is
 * about to send signed, takes an old TLS session out of the store and puts the
 * new one in.  It never sees a private key, and what it can have signed is a
 * server's part of a TLS handshake and nothing else: the whole content is
 * passed, and keyd looks at its form (RFC 8446 4.4.3, RFC 8422 5.4) before it
 * hashes and signs it.
 *
 * The session speaks first, and waits for each answer; PUT has none.  A channel
 * takes KEY_ASKS_MAX of CERT and KEY_SIGNS_MAX, KEY_TAKES_MAX and KEY_PUTS_MAX
 * of the others; SIGN only for certificates that were told on it.  Who asks
 * more is disconnected.
 */
#ifndef COMMON_PROTO_KEY_H
#define COMMON_PROTO_KEY_H

#include "common/io/chan.h"

enum key_type {
	KEY_CERT = 1,   /* client: what is there for a name? */
	KEY_CERTS = 2,  /* server */
	KEY_SIGN = 3,   /* client */
	KEY_SIGNED = 4, /* server */
	KEY_PUT = 5,    /* client: a TLS session to be kept; no answer */
	KEY_TAKE = 6,   /* client: a TLS session, which is gone then */
	KEY_TAKEN = 7   /* server */
};

enum key_result {
	KEY_OK = 1,
	KEY_NONE = 2, /* nothing for this name, and no "default" */
	KEY_TEMP = 3, /* a local fault: later again */
	KEY_BAD = 4   /* will not be signed: form or scheme */
};

enum key_algorithm { KEY_RSA = 1, KEY_EC = 2, KEY_ED25519 = 3 };

/* RFC 8446 4.2.3; in TLS 1.2 an ECDSA scheme says the hash alone (RFC 5246
 * 7.4.1.4.1).  The last one is what TLS before 1.2 signs with RSA. */
enum key_scheme {
	KEY_RSA_PKCS1_SHA1 = 0x0201,
	KEY_ECDSA_SHA1 = 0x0203,
	KEY_RSA_PKCS1_SHA256 = 0x0401,
	KEY_ECDSA_SHA256 = 0x0403,
	KEY_RSA_PKCS1_SHA384 = 0x0501,
	KEY_ECDSA_SHA384 = 0x0503,
	KEY_RSA_PKCS1_SHA512 = 0x0601,
	KEY_ECDSA_SHA512 = 0x0603,
	KEY_RSA_PSS_SHA256 = 0x0804,
	KEY_RSA_PSS_SHA384 = 0x0805,
	KEY_RSA_PSS_SHA512 = 0x0806,
	KEY_ED25519_PURE = 0x0807,
	KEY_RSA_MD5_SHA1 = 0xff01
};

#define KEY_NAME_MAX 255
#define KEY_FINGERPRINT_LEN 32 /* SHA-256 of the certificate */
#define KEY_KNOWN_MAX 8
#define KEY_ROWS_MAX 3         /* one for each algorithm */
#define KEY_CHAIN_MAX 24576
#define KEY_CONTENT_MAX 256
#define KEY_SIGNATURE_MAX 1024 /* RSA with 8192 bits */
#define KEY_SESSION_ID_MAX 32
#define KEY_SESSION_MAX 440    /* octets of one TLS session; larger ones (with
                                * a client's certificate) are not kept */
#define KEY_CONTEXT_MAX 16
#define KEY_WHY_MAX 300

#define KEY_ASKS_MAX 8
#define KEY_SIGNS_MAX 4
#define KEY_TAKES_MAX 4
#define KEY_PUTS_MAX 4

struct key_cert {
	struct slice name;   /* server name of the client (SNI), or "" */
	struct slices known; /* fingerprints of certificates the session has
	                      * already: their chains are not sent again */
};
struct key_row {
	uint32_t algorithm;       /* enum key_algorithm */
	struct slice fingerprint; /* also the handle for SIGN */
	struct slice chain;       /* DER, one behind the other, the server's own
	                           * first; "": known */
};
struct key_certs {
	uint32_t result;
	struct slice folder;   /* where it was found: "default", NAME, *.NAME */
	struct chan_list rows; /* struct key_row, none unless KEY_OK */
	struct slice why;      /* unless KEY_OK: for the log */
};
struct key_sign {
	struct slice fingerprint;
	uint32_t scheme;      /* enum key_scheme */
	struct slice content; /* not hashed yet */
};
struct key_signed {
	uint32_t result;
	struct slice signature;
	struct slice why;
};
/* context: of the protocol ("smtp"); a session of one is none of another. */
struct key_put {
	struct slice id;
	struct slice session;
	struct slice context;
};
struct key_take {
	struct slice id;
	struct slice context;
};
struct key_taken {
	struct slice session; /* "": there is none */
};
union key_msg {
	struct key_cert cert;
	struct key_certs certs;
	struct key_sign sign;
	struct key_signed answer;
	struct key_put put;
	struct key_take take;
	struct key_taken taken;
};

extern const struct chan_contract key_contract;

#endif
