/*
 * TLS on streams: our server against our client and against OpenSSL's own, with
 * a key keeper in memory.  The client's side runs in a child.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/io/stream.h"
#include "tests/unit/tls_rig.h"

Suite *tls_suite(void);

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))
#define PATIENCE_MS 20000

static struct rig_cert rsa, ec, ec384, ed;
static struct tls_context *server, *client;
static const char *const alpn[] = {"smtp", "esmtp", NULL};

static void
make_all(void)
{
	struct tls_settings s = {.min = TLS_1_2, .resume = true,
	    .life_s = 3600};
	struct tls_settings c = {.min = TLS_1_0, .weak = true};

	signal(SIGPIPE, SIG_IGN);
	rig_make(&rsa, "RSA", "mx.example");
	rig_make(&ec, "P-256", "mx.example");
	rig_make(&ec384, "P-384", "mx.example");
	rig_make(&ed, "ED25519", "mx.example");
	server = tls_server_new(&s, "tls_ciphers");
	client = tls_client_new(&c, "tls_ciphers");
}

static void
free_all(void)
{
	tls_context_free(&server);
	tls_context_free(&client);
	rig_free(&rsa);
	rig_free(&ec);
	rig_free(&ec384);
	rig_free(&ed);
}

/* ---- one meeting of a server with a client in a child ---- */

struct meeting {
	struct rig_keeper keeper;
	struct tls_accept accept;
	struct tls_info info;
	enum tls_result result;
	struct tls *tls;
	struct stream *s;
	pid_t pid;
};

/* What the child does with its end; returns its exit code. */
typedef int child_fn(int fd, void *arg);

static void
meet_begin(struct meeting *m, child_fn *fn, void *arg)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	m->pid = fork();
	ck_assert_int_ne(m->pid, -1);
	if (m->pid == 0) {
		close(pair[0]);
		alarm(60);
		_exit(fn(pair[1], arg));
	}
	close(pair[1]);
	m->s = stream_new(pair[0], 4096, 4096);
	stream_deadline(m->s, clock_mono_ms() + PATIENCE_MS);
}

static void
meet(struct meeting *m, struct tls_context *ctx, child_fn *fn, void *arg)
{
	meet_begin(m, fn, arg);
	if (m->accept.keys == NULL)
		m->accept.keys = &m->keeper.ops;
	if (m->accept.context == NULL)
		m->accept.context = "smtp";
	if (m->accept.alpn == NULL)
		m->accept.alpn = alpn;
	m->result = tls_accept(m->s, ctx, &m->accept, &m->info, &m->tls);
}

static int
meet_end(struct meeting *m)
{
	int status = 0;

	stream_free(&m->s);
	ck_assert_int_eq(waitpid(m->pid, &status, 0), m->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/* Our own client: greeting, a line there and back, and the end. */
static int
plain_client(int fd, void *arg)
{
	struct tls_connect args = {.name = "mx.example"};
	struct stream *s = stream_new(fd, 4096, 4096);
	struct tls_peer peer;
	struct tls_info info;
	struct tls *t;
	struct slice line;

	(void)arg;
	stream_deadline(s, clock_mono_ms() + PATIENCE_MS);
	if (tls_connect(s, client, &args, &info, &peer, &t) != TLS_OK)
		return 2;
	if (!info.peer_cert || info.resumed)
		return 3;
	if (stream_line(s, 1000, &line) != LINE_OK ||
	    !slice_eq(line, SLICE("220 hello")))
		return 4;
	stream_puts(s, "EHLO me\r\n");
	if (stream_line(s, 1000, &line) != LINE_OK ||
	    !slice_eq(line, SLICE("250 you")))
		return 5;
	if (stream_line(s, 1000, &line) != LINE_EOF)
		return 6;
	stream_free(&s);
	return 0;
}

static void
serve_plain_client(struct meeting *m)
{
	struct slice line;

	stream_puts(m->s, "220 hello\r\n");
	ck_assert_int_eq(stream_line(m->s, 1000, &line), LINE_OK);
	ck_assert(slice_eq(line, SLICE("EHLO me")));
	stream_puts(m->s, "250 you\r\n");
	ck_assert_int_eq(stream_flush(m->s), STREAM_OK);
}

static void
prepare(struct meeting *m, struct rig_cert *cert)
{
	memset(m, 0, sizeof(*m));
	rig_keeper_init(&m->keeper);
	if (cert != NULL)
		rig_keeper_add(&m->keeper, cert);
}

START_TEST(test_first_handshake)
{
	struct meeting m;

	prepare(&m, &ec);
	meet(&m, server, plain_client, NULL);
	ck_assert_msg(m.result == TLS_OK, "%s: %s", tls_result_text(m.result),
	    m.info.why);
	ck_assert_str_eq(m.info.version, "TLSv1.3");
	ck_assert_str_eq(m.info.sni, "mx.example");
	ck_assert_str_eq(m.keeper.name, "mx.example");
	ck_assert_uint_eq(m.keeper.signs, 1);
	ck_assert_uint_eq(m.keeper.scheme, KEY_ECDSA_SHA256);
	ck_assert_uint_eq(m.keeper.puts, 1);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* ---- OpenSSL's own client, which can do odd things ---- */

struct wish {
	int min, max;
	const char *sigalgs, *ciphers;
	const char *alpn;   /* as on the wire */
	const char *plain;  /* said before the handshake */
	struct rig_cert *cert;
	const char *save, *use; /* file of a session */
	bool renegotiate;
	int updates; /* of its key, before it says anything */
};

static SSL *
foreign_ssl(SSL_CTX *c, const struct wish *w, int fd)
{
	char name[] = "mx.example";
	SSL *ssl;

	SSL_CTX_set_security_level(c, 0);
	SSL_CTX_set_min_proto_version(c, w->min);
	SSL_CTX_set_max_proto_version(c, w->max);
	if (w->sigalgs != NULL) {
		char *list = strdup(w->sigalgs);

		SSL_CTX_set1_sigalgs_list(c, list);
		free(list);
	}
	if (w->ciphers != NULL)
		SSL_CTX_set_cipher_list(c, w->ciphers);
	if (w->alpn != NULL)
		SSL_CTX_set_alpn_protos(c, (const unsigned char *)w->alpn,
		    (unsigned)strlen(w->alpn));
	if (w->cert != NULL)
		SSL_CTX_use_cert_and_key(c, w->cert->leaf, w->cert->key, NULL,
		    1);
	ssl = SSL_new(c);
	SSL_set_fd(ssl, fd);
	SSL_set_tlsext_host_name(ssl, name);
	if (w->use != NULL) {
		FILE *f = fopen(w->use, "r");
		SSL_SESSION *session = PEM_read_SSL_SESSION(f, NULL, NULL,
		    NULL);

		fclose(f);
		SSL_set_session(ssl, session);
		SSL_SESSION_free(session);
	}
	return ssl;
}

/* 0: as it should; 20 and more: the alert it got. */
static int
foreign_client(int fd, void *arg)
{
	const struct wish *w = arg;
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	SSL *ssl = foreign_ssl(c, w, fd);
	char answer[64];
	FILE *f;
	int n;

	if (w->plain != NULL && write(fd, w->plain, strlen(w->plain)) < 0)
		return 1;
	if (SSL_connect(ssl) != 1) {
		unsigned long e = ERR_get_error();

		/* libssl's reasons of alerts are 1000 and the alert */
		return ERR_GET_REASON(e) > 1000
		    ? ERR_GET_REASON(e) - 1000 : 2;
	}
	if (w->renegotiate) {
		(void)SSL_renegotiate(ssl);
		return SSL_do_handshake(ssl) == 1 ? 0 : 3;
	}
	for (n = 0; n < w->updates; n++)
		if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
		    SSL_do_handshake(ssl) != 1)
			return 7;
	n = SSL_read(ssl, answer, sizeof(answer));
	if (n != 11 || memcmp(answer, "220 hello\r\n", 11) != 0)
		return 4;
	if (SSL_write(ssl, "EHLO me\r\n", 9) != 9 ||
	    SSL_read(ssl, answer, sizeof(answer)) != 9)
		return 5;
	if (w->save != NULL) {
		f = fopen(w->save, "w");
		PEM_write_SSL_SESSION(f, SSL_get1_session(ssl));
		fclose(f);
	}
	/* RFC 8446 6.1: the end is said, not only made */
	if (SSL_read(ssl, answer, sizeof(answer)) > 0 ||
	    SSL_get_shutdown(ssl) != SSL_RECEIVED_SHUTDOWN)
		return 6;
	SSL_free(ssl);
	SSL_CTX_free(c);
	return 0;
}

/* ---- keys and schemes ---- */

static const struct {
	const char *name;
	struct rig_cert *cert;
	int version;
	const char *sigalgs, *ciphers;
	uint32_t scheme;
} scheme_cases[] = {
	{"RSA, 1.3", &rsa, TLS1_3_VERSION, NULL, NULL, KEY_RSA_PSS_SHA256},
	{"RSA, 1.3, SHA-384", &rsa, TLS1_3_VERSION, "rsa_pss_rsae_sha384",
	    NULL, KEY_RSA_PSS_SHA384},
	{"RSA, 1.3, SHA-512", &rsa, TLS1_3_VERSION, "rsa_pss_rsae_sha512",
	    NULL, KEY_RSA_PSS_SHA512},
	{"RSA, 1.2, PSS", &rsa, TLS1_2_VERSION, "rsa_pss_rsae_sha256", NULL,
	    KEY_RSA_PSS_SHA256},
	{"RSA, 1.2, PKCS1", &rsa, TLS1_2_VERSION, "rsa_pkcs1_sha256", NULL,
	    KEY_RSA_PKCS1_SHA256},
	{"RSA, 1.2, PKCS1, SHA-384", &rsa, TLS1_2_VERSION,
	    "rsa_pkcs1_sha384", NULL, KEY_RSA_PKCS1_SHA384},
	{"RSA, 1.2, PKCS1, SHA-512", &rsa, TLS1_2_VERSION,
	    "rsa_pkcs1_sha512", NULL, KEY_RSA_PKCS1_SHA512},
	{"P-256, 1.3", &ec, TLS1_3_VERSION, NULL, NULL, KEY_ECDSA_SHA256},
	{"P-256, 1.2", &ec, TLS1_2_VERSION, NULL, NULL, KEY_ECDSA_SHA256},
	{"P-256, 1.2, SHA-384", &ec, TLS1_2_VERSION, "ECDSA+SHA384", NULL,
	    KEY_ECDSA_SHA384},
	{"P-256, 1.2, ChaCha20", &ec, TLS1_2_VERSION, NULL,
	    "ECDHE-ECDSA-CHACHA20-POLY1305", KEY_ECDSA_SHA256},
	{"P-384, 1.3", &ec384, TLS1_3_VERSION, NULL, NULL, KEY_ECDSA_SHA384},
	{"P-384, 1.2", &ec384, TLS1_2_VERSION, "ECDSA+SHA384", NULL,
	    KEY_ECDSA_SHA384},
	{"Ed25519, 1.3", &ed, TLS1_3_VERSION, NULL, NULL, KEY_ED25519_PURE},
	{"Ed25519, 1.2", &ed, TLS1_2_VERSION, NULL, NULL, KEY_ED25519_PURE},
};

START_TEST(test_schemes)
{
	struct wish w = {.min = scheme_cases[_i].version,
	    .max = scheme_cases[_i].version,
	    .sigalgs = scheme_cases[_i].sigalgs,
	    .ciphers = scheme_cases[_i].ciphers};
	struct meeting m;

	prepare(&m, scheme_cases[_i].cert);
	meet(&m, server, foreign_client, &w);
	ck_assert_msg(m.result == TLS_OK, "%s: %s: %s", scheme_cases[_i].name,
	    tls_result_text(m.result), m.info.why);
	ck_assert_msg(m.keeper.scheme == scheme_cases[_i].scheme,
	    "%s: scheme %x", scheme_cases[_i].name, m.keeper.scheme);
	ck_assert_uint_eq(m.keeper.signs, 1);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* A client takes what it can: of two keys each gets its own. */
START_TEST(test_two_keys)
{
	struct wish old = {.max = TLS1_2_VERSION,
	    .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"};
	struct wish new = {.max = TLS1_3_VERSION};
	struct meeting m;

	prepare(&m, &rsa);
	rig_keeper_add(&m.keeper, &ec);
	meet(&m, server, foreign_client, &old);
	ck_assert_msg(m.result == TLS_OK, "%s", m.info.why);
	ck_assert_str_eq(m.info.cipher,
	    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);

	prepare(&m, &rsa);
	rig_keeper_add(&m.keeper, &ec);
	meet(&m, server, foreign_client, &new);
	ck_assert_int_eq(m.result, TLS_OK);
	ck_assert_uint_eq(m.keeper.scheme, KEY_ECDSA_SHA256);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* ---- what is refused ---- */

enum { ALERT_HANDSHAKE = 40, ALERT_VERSION = 70, ALERT_INTERNAL = 80,
	ALERT_ALPN = 120 };

static const struct {
	const char *name;
	struct wish wish;
	enum tls_result result;
	int exit;
} refused_cases[] = {
	{"TLS 1.1", {.max = TLS1_1_VERSION}, TLS_REFUSED, ALERT_VERSION},
	{"TLS 1.0", {.max = TLS1_VERSION}, TLS_REFUSED, ALERT_VERSION},
	{"a weak cipher", {.max = TLS1_2_VERSION,
	    .ciphers = "ECDHE-ECDSA-AES128-SHA"}, TLS_REFUSED,
	    ALERT_HANDSHAKE},
	{"no forward secrecy", {.max = TLS1_2_VERSION,
	    .ciphers = "AES128-GCM-SHA256"}, TLS_REFUSED, ALERT_HANDSHAKE},
	{"anonymous", {.max = TLS1_2_VERSION, .ciphers = "AECDH-AES128-SHA"},
	    TLS_REFUSED, ALERT_HANDSHAKE},
	{"another protocol", {.alpn = "\x02h2\x08http/1.1"}, TLS_REFUSED,
	    ALERT_ALPN},
	{"another protocol, 1.2", {.alpn = "\x08http/1.1",
	    .max = TLS1_2_VERSION}, TLS_REFUSED, ALERT_ALPN},
	{"a protocol like ours", {.alpn = "\x04smt!\x05smtpx"}, TLS_REFUSED,
	    ALERT_ALPN},
	{"an IMAP client", {.alpn = "\x04imap"}, TLS_REFUSED, ALERT_ALPN},
};

START_TEST(test_refused)
{
	struct wish w = refused_cases[_i].wish;
	struct meeting m;

	prepare(&m, &ec);
	meet(&m, server, foreign_client, &w);
	ck_assert_msg(m.result == refused_cases[_i].result, "%s: %s: %s",
	    refused_cases[_i].name, tls_result_text(m.result), m.info.why);
	ck_assert_str_ne(m.info.why, "");
	ck_assert_int_eq(meet_end(&m), refused_cases[_i].exit);
}
END_TEST

START_TEST(test_alpn)
{
	struct wish w = {.alpn = "\x02h2\x05" "esmtp"};
	struct meeting m;

	prepare(&m, &ec);
	meet(&m, server, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_OK);
	ck_assert_str_eq(m.info.alpn, "esmtp");
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* What was said in plain text is not taken for something that was protected. */
START_TEST(test_talked_ahead)
{
	struct wish w = {.plain = "STARTTLS\r\nRSET\r\n"};
	struct meeting m;
	struct slice line;

	prepare(&m, &ec);
	meet_begin(&m, foreign_client, &w);
	ck_assert_int_eq(stream_line(m.s, 1000, &line), LINE_OK);
	m.accept = (struct tls_accept){&m.keeper.ops, "smtp", alpn, false};
	ck_assert_int_eq(tls_accept(m.s, server, &m.accept, &m.info, &m.tls),
	    TLS_REFUSED);
	ck_assert_uint_eq(m.keeper.asks, 0);
	(void)meet_end(&m);
}
END_TEST

START_TEST(test_no_keyd)
{
	struct wish w = {.max = _i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION};
	struct meeting m;

	prepare(&m, &ec);
	m.keeper.certs_say = KEY_TEMP;
	meet(&m, server, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_LOCAL);
	ck_assert_str_eq(m.info.why, "no certificate: as the test says");
	ck_assert_int_ge(meet_end(&m), ALERT_HANDSHAKE);

	prepare(&m, &ec);
	m.keeper.sign_says = KEY_TEMP;
	meet(&m, server, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_LOCAL);
	ck_assert_int_eq(meet_end(&m), ALERT_INTERNAL);

	/* and no certificate that suits */
	prepare(&m, NULL);
	meet(&m, server, foreign_client, &w);
	ck_assert_int_ne(m.result, TLS_OK);
	ck_assert_int_ge(meet_end(&m), ALERT_HANDSHAKE);
}
END_TEST

static int
silent_client(int fd, void *arg)
{
	char octet;

	(void)arg;
	return read(fd, &octet, 1) >= 0 ? 0 : 1;
}

static int
leaving_client(int fd, void *arg)
{
	(void)arg;
	close(fd);
	return 0;
}

static int
noisy_client(int fd, void *arg)
{
	char octets[1000];

	(void)arg;
	memset(octets, 'A', sizeof(octets));
	for (int i = 0; i < 100; i++)
		if (write(fd, octets, sizeof(octets)) < 0)
			break;
	shutdown(fd, SHUT_WR);
	while (read(fd, octets, sizeof(octets)) > 0)
		;
	return 0;
}

START_TEST(test_no_handshake)
{
	static child_fn *const fns[] = {silent_client, leaving_client,
	    noisy_client};
	static const enum tls_result results[] = {TLS_TIMEOUT, TLS_CLOSED,
	    TLS_REFUSED};
	struct meeting m;

	prepare(&m, &ec);
	meet_begin(&m, fns[_i], NULL);
	stream_deadline(m.s, clock_mono_ms() + (_i == 0 ? 50 : PATIENCE_MS));
	m.accept = (struct tls_accept){&m.keeper.ops, "smtp", alpn, false};
	ck_assert_int_eq(tls_accept(m.s, server, &m.accept, &m.info, &m.tls),
	    results[_i]);
	ck_assert_uint_eq(m.keeper.asks, 0);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

START_TEST(test_renegotiation)
{
	struct wish w = {.max = TLS1_2_VERSION, .renegotiate = true};
	struct meeting m;
	struct slice line;

	prepare(&m, &ec);
	meet(&m, server, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_OK);
	ck_assert_int_ne(stream_line(m.s, 1000, &line), LINE_OK);
	ck_assert_uint_eq(m.keeper.signs, 1);
	ck_assert_int_eq(meet_end(&m), 3);
}
END_TEST

/* RFC 8446 4.6.3: new keys whenever the peer likes. */
START_TEST(test_key_updates)
{
	struct wish w = {.max = TLS1_3_VERSION,
	    .updates = _i == 0 ? 10 : 500};
	struct meeting m;

	prepare(&m, &ec);
	meet(&m, server, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_OK);
	usleep(_i == 0 ? 0 : 300000); /* many at a time */
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* ---- old clients ---- */

START_TEST(test_old)
{
	struct tls_settings s = {.min = TLS_1_0};
	struct tls_context *old = tls_server_new(&s, "tls_ciphers");
	struct wish w = {.min = TLS1_VERSION, .max = TLS1_VERSION};
	static const uint32_t schemes[] = {KEY_RSA_MD5_SHA1, KEY_ECDSA_SHA1};
	struct meeting m;

	prepare(&m, _i == 0 ? &rsa : &ec);
	meet(&m, old, foreign_client, &w);
	ck_assert_msg(m.result == TLS_OK, "%s", m.info.why);
	ck_assert_str_eq(m.info.version, "TLSv1");
	ck_assert_uint_eq(m.keeper.scheme, schemes[_i]);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
	tls_context_free(&old);
}
END_TEST

/* ---- resumption ---- */

START_TEST(test_resumption)
{
	char file[] = "/tmp/postern-tls-XXXXXX";
	int version = _i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct wish first = {.max = version, .save = file};
	struct wish second = {.max = version, .use = file};
	struct rig_keeper kept;
	struct meeting m;

	close(mkstemp(file));
	prepare(&m, &ec);
	meet(&m, server, foreign_client, &first);
	ck_assert_int_eq(m.result, TLS_OK);
	ck_assert_uint_eq(m.keeper.puts, 1);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
	kept = m.keeper;

	/* Resumed: nothing is signed.  What was taken is gone. */
	for (int round = 0; round < 2; round++) {
		prepare(&m, &ec);
		memcpy(m.keeper.sessions, kept.sessions,
		    sizeof(kept.sessions));
		meet(&m, server, foreign_client, &second);
		ck_assert_int_eq(m.result, TLS_OK);
		ck_assert_int_eq(m.info.resumed, round == 0);
		ck_assert_uint_eq(m.keeper.takes, 1);
		ck_assert_uint_eq(m.keeper.signs, round == 0 ? 0 : 1);
		ck_assert_str_eq(m.info.sni, "mx.example");
		serve_plain_client(&m);
		ck_assert_int_eq(meet_end(&m), 0);
		memcpy(kept.sessions, m.keeper.sessions,
		    sizeof(kept.sessions));
		for (int i = 0; i < RIG_SESSIONS; i++)
			if (m.keeper.puts > 0) /* those of this round */
				kept.sessions[i].idlen = 0;
	}
	unlink(file);
}
END_TEST

/* A session of another protocol is none of ours. */
START_TEST(test_context)
{
	char file[] = "/tmp/postern-tls-XXXXXX";
	struct wish first = {.max = TLS1_3_VERSION, .save = file};
	struct wish second = {.max = TLS1_3_VERSION, .use = file};
	struct rig_session kept;
	struct meeting m;

	close(mkstemp(file));
	prepare(&m, &ec);
	meet(&m, server, foreign_client, &first);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
	kept = m.keeper.sessions[0];
	prepare(&m, &ec);
	m.keeper.sessions[0] = kept; /* a keeper that gives it all the same */
	m.accept.context = "pop3";
	meet(&m, server, foreign_client, &second);
	ck_assert(!m.info.resumed);
	if (m.result == TLS_OK)
		serve_plain_client(&m);
	(void)meet_end(&m);
	unlink(file);
}
END_TEST

/* ---- certificates of clients, bindings ---- */

START_TEST(test_client_certificate)
{
	struct wish w = {.max = TLS1_3_VERSION, .cert = &ed};
	struct meeting m;

	prepare(&m, &ec);
	m.accept.ask_certificate = _i == 0;
	meet(&m, server, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_OK);
	ck_assert_int_eq(m.info.peer_cert, _i == 0);
	if (_i == 0)
		ck_assert_mem_eq(m.info.fingerprint, ed.fingerprint,
		    TLS_FINGERPRINT_LEN);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* The client writes its three bindings, each behind its length. */
static int
binding_client(int fd, void *arg)
{
	struct tls_connect args = {.name = "mx.example"};
	struct stream *s = stream_new(fd, 4096, 4096);
	struct tls_context *ctx = arg;
	unsigned char octets[TLS_BINDING_MAX];
	struct tls_peer peer;
	struct tls_info info;
	struct tls *t;

	stream_deadline(s, clock_mono_ms() + PATIENCE_MS);
	if (tls_connect(s, ctx, &args, &info, &peer, &t) != TLS_OK)
		return 2;
	for (unsigned i = TLS_UNIQUE; i <= TLS_EXPORTER; i++) {
		size_t n = tls_binding(t, (enum tls_binding)i, octets);

		stream_printf(s, "%zu\r\n", n);
		stream_put(s, slice_mem(octets, n));
	}
	if (stream_flush(s) != STREAM_OK)
		return 3;
	stream_free(&s);
	return 0;
}

START_TEST(test_bindings)
{
	struct tls_settings s = {.min = TLS_1_2};
	struct tls_context *twelve = tls_server_new(&s, "tls_ciphers");
	static const size_t lengths[3] = {0, 32, 32}; /* of TLS 1.3 */
	unsigned char octets[TLS_BINDING_MAX];
	struct slice line, got;
	struct meeting m;
	char n[8];

	prepare(&m, _i == 2 ? &ed : &ec);
	meet(&m, twelve, binding_client, client);
	ck_assert_int_eq(m.result, TLS_OK);
	for (unsigned i = TLS_UNIQUE; i <= TLS_EXPORTER; i++) {
		size_t want = lengths[i];

		/* RFC 5929 4.1: Ed25519's signature has no hash */
		if (_i == 2 && i == TLS_SERVER_END_POINT)
			want = 0;
		ck_assert_uint_eq(tls_binding(m.tls, (enum tls_binding)i,
		    octets), want);
		snprintf(n, sizeof(n), "%zu", want);
		ck_assert_int_eq(stream_line(m.s, 100, &line), LINE_OK);
		ck_assert(slice_eq(line, slice_of(n)));
		if (want == 0)
			continue;
		ck_assert_int_eq(stream_peek(m.s, want, &got), STREAM_OK);
		ck_assert_mem_eq(got.p, octets, want);
		stream_consume(m.s, want);
	}
	ck_assert_int_eq(meet_end(&m), 0);
	tls_context_free(&twelve);
}
END_TEST

/* ---- much data, both ways, through small buffers ---- */

#define MUCH 3000000

static int
mirror_client(int fd, void *arg)
{
	struct tls_connect args = {.name = NULL};
	struct stream *s = stream_new(fd, 5000, 3000);
	struct tls_peer peer;
	struct tls_info info;
	struct slice octets;
	struct tls *t;
	size_t left = MUCH;

	(void)arg;
	stream_deadline(s, clock_mono_ms() + PATIENCE_MS);
	if (tls_connect(s, client, &args, &info, &peer, &t) != TLS_OK)
		return 2;
	while (left > 0) {
		if (stream_peek(s, 1, &octets) != STREAM_OK)
			return 3;
		stream_put(s, octets);
		left -= octets.len;
		stream_consume(s, octets.len);
	}
	if (stream_flush(s) != STREAM_OK)
		return 4;
	stream_free(&s);
	return 0;
}

START_TEST(test_much)
{
	static unsigned char out[MUCH];
	struct meeting m;
	struct slice octets;
	size_t sent = 0, got = 0, n;
	uint32_t x = 1;

	for (n = 0; n < MUCH; n++) {
		x = x * 1664525u + 1013904223u;
		out[n] = (unsigned char)(x >> 24);
	}
	prepare(&m, &ec);
	meet(&m, server, mirror_client, NULL);
	ck_assert_int_eq(m.result, TLS_OK);
	while (got < MUCH) {
		n = MUCH - sent > 40000 ? 40000 : MUCH - sent;
		stream_put(m.s, slice_mem(out + sent, n));
		sent += n;
		while (got < sent) {
			ck_assert_int_eq(stream_peek(m.s, 1, &octets),
			    STREAM_OK);
			ck_assert_mem_eq(octets.p, out + got, octets.len);
			got += octets.len;
			stream_consume(m.s, octets.len);
		}
	}
	ck_assert_int_eq(meet_end(&m), 0);
}
END_TEST

/* A write that the peer does not take yet is no lost octet, and one that it
 * never takes ends by the deadline. */
START_TEST(test_slow_reader)
{
	static char out[4000000];
	struct meeting m;

	memset(out, 'x', sizeof(out));
	prepare(&m, &ec);
	meet(&m, server, plain_client, NULL);
	ck_assert_int_eq(m.result, TLS_OK);
	stream_deadline(m.s, clock_mono_ms() + 200);
	kill(m.pid, SIGSTOP);
	stream_put(m.s, slice_mem(out, sizeof(out)));
	ck_assert_int_eq(stream_flush(m.s), STREAM_TIMEOUT);
	kill(m.pid, SIGCONT);
	ck_assert_int_ne(meet_end(&m), 0);
}
END_TEST

/* ---- certificates that are known before ---- */

START_TEST(test_preload)
{
	struct tls_settings s = {.min = TLS_1_2};
	struct tls_context *ctx = tls_server_new(&s, "tls_ciphers");
	struct key_row row = rig_row(&ec);
	struct key_certs c = {.result = KEY_OK, .folder = SLICE("default"),
	    .rows = {&row, 1}};
	struct wish w = {.max = TLS1_3_VERSION};
	char name[TLS_NAME_SIZE];
	struct meeting m;

	ck_assert(tls_context_preload(ctx, true, &c));
	prepare(&m, &ec);
	meet(&m, ctx, foreign_client, &w);
	ck_assert_msg(m.result == TLS_OK, "%s", m.info.why);
	ck_assert_uint_eq(m.keeper.rows[0].chain.len, 0); /* was known */
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
	ck_assert(!tls_context_wish(ctx, name));

	/* It was renewed: with another kind of key. */
	prepare(&m, &rsa);
	meet(&m, ctx, foreign_client, &w);
	ck_assert_msg(m.result == TLS_OK, "%s", m.info.why);
	ck_assert_uint_eq(m.keeper.scheme, KEY_RSA_PSS_SHA256);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
	ck_assert(tls_context_wish(ctx, name));
	ck_assert_str_eq(name, "mx.example");
	ck_assert(!tls_context_wish(ctx, name));

	/* Another folder's, beside it. */
	row = rig_row(&ec384);
	c.folder = SLICE("mx.example");
	ck_assert(tls_context_preload(ctx, false, &c));
	prepare(&m, &ec384);
	meet(&m, ctx, foreign_client, &w);
	ck_assert_int_eq(m.result, TLS_OK);
	ck_assert_uint_eq(m.keeper.rows[0].chain.len, 0);
	ck_assert_uint_eq(m.keeper.scheme, KEY_ECDSA_SHA384);
	serve_plain_client(&m);
	ck_assert_int_eq(meet_end(&m), 0);
	ck_assert(!tls_context_wish(ctx, name));

	/* Nothing that is a certificate. */
	row.chain = SLICE("0\x82");
	ck_assert(!tls_context_preload(ctx, true, &c));
	tls_context_free(&ctx);
}
END_TEST

/* ---- our client and what it verifies ---- */

struct verify {
	struct tls_context *ctx;
	struct tls_connect args;
	bool verified, usable;
};

static int
verify_client(int fd, void *arg)
{
	const struct verify *v = arg;
	struct stream *s = stream_new(fd, 4096, 4096);
	struct tls_peer peer;
	struct tls_info info;
	struct tls *t;

	stream_deadline(s, clock_mono_ms() + PATIENCE_MS);
	if (tls_connect(s, v->ctx, &v->args, &info, &peer, &t) != TLS_OK)
		return 2;
	if (peer.verified != v->verified)
		return 3;
	if (peer.dane_usable != v->usable)
		return 4;
	if (!peer.verified && peer.why[0] == '\0')
		return 5;
	stream_free(&s);
	return 0;
}

START_TEST(test_verify)
{
	char file[] = "/tmp/postern-ca-XXXXXX";
	FILE *f = fdopen(mkstemp(file), "w");
	struct tls_settings s = {.min = TLS_1_2, .ca_file = file};
	unsigned char tlsa[35] = {3, 0, 1}, wrong[35] = {3, 0, 1},
	    pkix[35] = {1, 0, 1}, strange[6] = {3, 0, 9, 1, 2, 3};
	struct slice right = slice_mem(tlsa, 35), bad = slice_mem(wrong, 35);
	struct slice both[2] = {bad, right};
	struct slice unusable[2] = {slice_mem(pkix, 35),
	    slice_mem(strange, 6)};
	static const char *const further[] = {"mx.example", NULL};
	struct verify v = {NULL, {.name = "mx.example"}, false, false};
	struct meeting m;

	PEM_write_X509(f, ec.leaf);
	fclose(f);
	v.ctx = tls_client_new(&s, "x");
	memcpy(tlsa + 3, ec.fingerprint, 32);
	switch (_i) {
	case 0: /* nothing asked */
		break;
	case 1: /* trusted, and the name is right */
		v.args.pkix = v.verified = true;
		break;
	case 2:
		v.args.pkix = true;
		v.args.name = "other.example";
		break;
	case 3: /* the name of MX or its canonical one */
		v.args.pkix = v.verified = true;
		v.args.name = "other.example";
		v.args.names = further;
		break;
	case 4: /* not trusted */
		tls_context_free(&v.ctx);
		v.ctx = client;
		v.args.pkix = true;
		break;
	case 5:
		v.args.tlsa = &right;
		v.args.ntlsa = 1;
		v.verified = v.usable = true;
		break;
	case 6:
		v.args.tlsa = &bad;
		v.args.ntlsa = 1;
		v.usable = true;
		break;
	case 7:
		v.args.tlsa = both;
		v.args.ntlsa = 2;
		v.verified = v.usable = true;
		break;
	case 8: /* RFC 7672 3.1.3 */
		v.args.tlsa = unusable;
		v.args.ntlsa = 2;
		break;
	case 9: /* DANE-EE does not look at names (RFC 7672 3.1.1) */
		v.args.tlsa = &right;
		v.args.ntlsa = 1;
		v.args.name = "other.example";
		v.verified = v.usable = true;
		break;
	}
	prepare(&m, &ec);
	meet(&m, server, verify_client, &v);
	ck_assert_msg(m.result == TLS_OK, "%s", m.info.why);
	ck_assert_int_eq(meet_end(&m), 0);
	if (v.ctx != client)
		tls_context_free(&v.ctx);
	unlink(file);
}
END_TEST

Suite *
tls_suite(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("tls");

	tcase_add_unchecked_fixture(t, make_all, free_all);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_first_handshake);
	tcase_add_loop_test(t, test_schemes, 0, COUNT(scheme_cases));
	tcase_add_test(t, test_two_keys);
	tcase_add_loop_test(t, test_refused, 0, COUNT(refused_cases));
	tcase_add_test(t, test_alpn);
	tcase_add_test(t, test_talked_ahead);
	tcase_add_loop_test(t, test_no_keyd, 0, 2);
	tcase_add_loop_test(t, test_no_handshake, 0, 3);
	tcase_add_test(t, test_renegotiation);
	tcase_add_loop_test(t, test_key_updates, 0, 2);
	tcase_add_loop_test(t, test_old, 0, 2);
	tcase_add_loop_test(t, test_resumption, 0, 2);
	tcase_add_test(t, test_context);
	tcase_add_loop_test(t, test_client_certificate, 0, 2);
	tcase_add_loop_test(t, test_bindings, 0, 3);
	tcase_add_test(t, test_much);
	tcase_add_test(t, test_slow_reader);
	tcase_add_test(t, test_preload);
	tcase_add_loop_test(t, test_verify, 0, 10);
	suite_add_tcase(s, t);
	return s;
}
