/*
 * A small server with TLS, for tests: accepts on 127.0.0.1, forks a session for
 * each client, caged as smtpd's are, with keyd's keys.
 *
 *	test-tlsserve [-aNrw] [-m MIN] [-C CIPHERS] [-t MS] [-u USER] [-A PROTOCOLS] RUN_DIR
 *
 * The first line of its output is the port.  -a asks clients for a certificate,
 * -N does without the certificates preloaded, -r without resumption, -w keeps
 * what it says after the handshake to itself; MIN is 1.0 to 1.3, MS the time for
 * a handshake, USER who sessions are (as root: postern-smtpd), PROTOCOLS the
 * ALPN names ("smtp,esmtp").
 *
 * A session greets, "220 JSON" with what came of the handshake, and answers
 * lines: INFO, "BIND unique|endpoint|exporter" (hex), "SINK OCTETS" (reads so
 * many), "GIVE OCTETS" (writes so many), PID, QUIT; others it sends back.  What
 * came of each handshake stands in its log: "handshake result=...".
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/io/stream.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "common/tls/keys.h"

#define LINE_OCTETS 4096
#define PROTOCOLS_MAX 8

struct serve {
	struct loop *loop;
	struct tls_context *ctx;
	struct keys_watch *watch;
	struct stream *net;
	int listen_fd;
	bool ask_certificate, wordless;
	int64_t timeout_ms;
	const char *alpn[PROTOCOLS_MAX + 1];
};

static int
open_once(void *arg)
{
	int *fd = arg, was = *fd;

	*fd = -1;
	return was;
}

/* ---- a session ---- */

static void
put_info(struct stream *s, const struct tls_info *info)
{
	struct rusage usage = {.ru_minflt = 0};

	stream_printf(s, "{\"version\": \"%s\", \"cipher\": \"%s\", "
	    "\"bits\": %u, \"group\": \"%s\", \"resumed\": %s, "
	    "\"sni\": \"%s\", \"alpn\": \"%s\", \"fingerprint\": \"",
	    info->version, info->cipher, info->bits, info->group,
	    info->resumed ? "true" : "false", info->sni, info->alpn);
	for (size_t i = 0; info->peer_cert && i < TLS_FINGERPRINT_LEN; i++)
		stream_printf(s, "%02x", info->fingerprint[i]);
	(void)getrusage(RUSAGE_SELF, &usage);
	stream_printf(s, "\", \"pid\": %d, \"faults\": %ld}\r\n",
	    (int)getpid(), usage.ru_minflt);
}

static void
put_binding(struct stream *s, const struct tls *t, struct slice word)
{
	unsigned char octets[TLS_BINDING_MAX];
	enum tls_binding type = slice_eq(word, SLICE("unique")) ? TLS_UNIQUE
	    : slice_eq(word, SLICE("endpoint")) ? TLS_SERVER_END_POINT
	    : TLS_EXPORTER;
	size_t n = tls_binding(t, type, octets);

	stream_puts(s, "250 ");
	for (size_t i = 0; i < n; i++)
		stream_printf(s, "%02x", octets[i]);
	stream_puts(s, "\r\n");
}

static void
sink(struct stream *s, struct slice word)
{
	struct slice octets;
	uint64_t left = 0, took = 0;

	(void)num_u64(word, 0, UINT64_MAX, &left);
	while (left > 0 && stream_peek(s, 1, &octets) == STREAM_OK) {
		if (octets.len > left)
			octets.len = (size_t)left;
		stream_consume(s, octets.len);
		left -= octets.len;
		took += octets.len;
	}
	stream_printf(s, "250 %llu\r\n", (unsigned long long)took);
}

static void
give(struct stream *s, struct slice word)
{
	static char octets[10000];
	uint64_t left = 0;
	size_t n;

	(void)num_u64(word, 0, UINT64_MAX, &left);
	memset(octets, 'x', sizeof(octets));
	for (; left > 0; left -= n) {
		n = left < sizeof(octets) ? (size_t)left : sizeof(octets);
		stream_put(s, slice_mem(octets, n));
	}
}

static bool
answer(struct stream *s, const struct tls *t, const struct tls_info *info,
    struct slice line)
{
	struct slice rest = line, word, arg = SLICE_EMPTY;

	if (!slice_word(&rest, &word))
		word = SLICE_EMPTY;
	(void)slice_word(&rest, &arg);
	if (slice_eq(word, SLICE("INFO"))) {
		stream_puts(s, "250 ");
		put_info(s, info);
	} else if (slice_eq(word, SLICE("BIND"))) {
		put_binding(s, t, arg);
	} else if (slice_eq(word, SLICE("SINK"))) {
		sink(s, arg);
	} else if (slice_eq(word, SLICE("GIVE"))) {
		give(s, arg);
	} else if (slice_eq(word, SLICE("QUIT"))) {
		stream_puts(s, "221 bye\r\n");
		return false;
	} else {
		stream_puts(s, "250 ");
		stream_put(s, line);
		stream_puts(s, "\r\n");
	}
	return true;
}

static void
session(struct serve *v, int fd, int key_fd)
{
	struct keys_args ka = {.open = open_once, .arg = &key_fd,
	    .context = "test", .deadline_ms = clock_mono_ms() + v->timeout_ms};
	struct keys *keys = keys_new(&ka);
	struct tls_accept args = {.keys = keys_ops(keys), .context = "test",
	    .alpn = v->alpn, .ask_certificate = v->ask_certificate};
	struct stream *s = v->net;
	struct tls_info info;
	struct tls *t;
	enum tls_result result;
	struct slice line;

	sandbox_enter(ROLE_SMTPD_SESSION, NULL);
	stream_attach(s, fd);
	stream_deadline(s, ka.deadline_ms);
	result = tls_accept(s, v->ctx, &args, &info, &t);
	keys_free(&keys);
	LOG_INFO("handshake", LS("result", tls_result_text(result)),
	    LS("why", info.why), LS("version", info.version),
	    LS("sni", info.sni), LU("resumed", info.resumed));
	if (result == TLS_OK) {
		stream_deadline(s, CLOCK_NEVER);
		if (!v->wordless) {
			stream_puts(s, "220 ");
			put_info(s, &info);
		}
		while (stream_line(s, LINE_OCTETS - 2, &line) == LINE_OK &&
		    answer(s, t, &info, line))
			;
		(void)stream_flush(s);
	}
	stream_free(&s);
	_exit(0);
}

/* ---- the parent ---- */

static void
on_connection(void *arg, unsigned events)
{
	struct serve *v = arg;
	int fd = accept4(v->listen_fd, NULL, NULL,
	    SOCK_NONBLOCK | SOCK_CLOEXEC), key_fd;

	(void)events;
	if (fd == -1)
		return;
	if (v->watch != NULL)
		keys_watch_look(v->watch);
	key_fd = chan_dial(SOCKET_KEY);
	if (proc_fork(NULL) == 0) {
		int keep[] = {fd, key_fd};

		proc_close_except(keep, 2);
		session(v, fd, key_fd);
	}
	close(fd);
	if (key_fd != -1)
		close(key_fd);
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	(void)arg;
	if (wstatus != 0)
		LOG_ERROR("session-died", LI("pid", pid),
		    LI("wstatus", wstatus));
}

static void
on_term(void *arg)
{
	struct serve *v = arg;

	loop_stop(v->loop);
}

static int
listen_somewhere(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		die_errno(EXIT_TEMPORARY, "listen");
	printf("%u\n", (unsigned)ntohs(sa.sin_port));
	fflush(stdout);
	return fd;
}

static void
split(char *words, const char *out[PROTOCOLS_MAX + 1])
{
	size_t n = 0;
	char *p = words, *comma;

	for (; n < PROTOCOLS_MAX && p != NULL; p = comma) {
		comma = strchr(p, ',');
		if (comma != NULL)
			*comma++ = '\0';
		out[n++] = p;
	}
	out[n] = NULL;
}

static enum tls_version
version_of(const char *word)
{
	static const char *const words[] = {"1.0", "1.1", "1.2", "1.3"};

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(words[i], word) == 0)
			return (enum tls_version)i;
	die(EXIT_PERMANENT, "-m: %s", word);
}

static void
enter_cage(const char *user)
{
	struct sandbox_path path = {-1, RUN_EMPTY, SANDBOX_READ};
	struct sys_user me = user_need("-u", user);
	struct sandbox_args args = {.uid = me.uid, .gid = me.gid,
	    .root = RUN_EMPTY, .paths = &path, .npaths = 1};

	sandbox_prepare(ROLE_SMTPD_SESSION, 0);
	sandbox_enter(ROLE_SMTPD_PARENT, &args);
}

int
main(int argc, char *argv[], char *envp[])
{
	static struct serve v = {.timeout_ms = 30000,
	    .alpn = {"smtp", "esmtp", NULL}};
	struct tls_settings settings = {.min = TLS_1_2, .resume = true,
	    .life_s = 7200};
	const char *user = "postern-smtpd";
	bool watch = true;
	uint64_t ms;
	int c;

	proc_start(argc, argv, envp, "tlsserve");
	while ((c = getopt(argc, argv, "aNrwm:C:t:u:A:")) != -1)
		switch (c) {
		case 'a': v.ask_certificate = true; break;
		case 'N': watch = false; break;
		case 'r': settings.resume = false; break;
		case 'w': v.wordless = true; break;
		case 'm': settings.min = version_of(optarg); break;
		case 'C': settings.ciphers = optarg; break;
		case 't':
			if (num_u64(slice_of(optarg), 1, 600000, &ms))
				v.timeout_ms = (int64_t)ms;
			break;
		case 'u': user = optarg; break;
		case 'A': split(optarg, v.alpn); break;
		default: return EXIT_PERMANENT;
		}
	if (argc - optind != 1 || chdir(argv[optind]) != 0)
		die_errno(EXIT_PERMANENT, "usage: test-tlsserve ... RUN_DIR");
	v.listen_fd = listen_somewhere();
	v.ctx = tls_server_new(&settings, "-C");
	enter_cage(user);
	v.loop = loop_new();
	v.net = stream_prepare(LINE_OCTETS, LINE_OCTETS);
	loop_signal(v.loop, SIGTERM, on_term, &v);
	loop_children(v.loop, on_child, &v);
	if (watch)
		v.watch = keys_watch_new(v.loop, v.ctx, SOCKET_KEY);
	(void)loop_io_new(v.loop, v.listen_fd, LOOP_READ, on_connection, &v);
	proc_ready();
	loop_run(v.loop);
	return 0;
}
