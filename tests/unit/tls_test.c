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

START_TEST(test_first_handshake)
{
	struct meeting m = {.result = TLS_LOCAL};

	rig_keeper_init(&m.keeper);
	rig_keeper_add(&m.keeper, &ec);
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

Suite *
tls_suite(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("tls");

	tcase_add_unchecked_fixture(t, make_all, free_all);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_first_handshake);
	suite_add_tcase(s, t);
	return s;
}
