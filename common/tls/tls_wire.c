/*
 * Between OpenSSL and the descriptor of a stream.  Runs in sessions and in
 * clients; the input is the network's.
 *
 * What OpenSSL writes while it shakes hands is gathered and leaves in one piece
 * when there is something to wait for: a flight is one write.  The last flight
 * of a server (TLS 1.3 sends the session's ticket there) waits for the first
 * answer, so that no small segment is held back until the one before it is
 * acknowledged.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "common/base/mem.h"
#include "common/io/stream.h"
#include "common/tls/tls_int.h"

/* The largest flight, which is one with a long chain; beyond that it leaves in
 * pieces. */
#define OUT_MAX 65536
/* Reads in a row that bring no data but alerts, new keys and wishes for another
 * handshake (several hundred each, if the peer is after that).  An honest peer
 * sends one or two records of them; deadlines are looked at where somebody
 * waits, which is not here. */
#define NOISE_MAX 32

/* ---- the BIO below the SSL ---- */

int
tls_wire_flush(struct tls *t)
{
	ssize_t n;

	while (t->out.len > 0) {
		n = write(t->fd, t->out.s, t->out.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		buf_consume(&t->out, (size_t)n);
	}
	if (!t->handshaking)
		buf_free(&t->out);
	return 0;
}

static int
wire_write(BIO *bio, const char *p, size_t n, size_t *used)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t w;

	BIO_clear_retry_flags(bio);
	if (t->out.len > 0 || t->handshaking) {
		if (t->out.len + n <= OUT_MAX || tls_wire_flush(t) == 0) {
			buf_add(&t->out, p, n);
			assert(!t->out.overflow);
			*used = n;
			if (t->handshaking || tls_wire_flush(t) == 0 ||
			    errno == EAGAIN)
				return 1;
			*used = 0;
			return 0;
		}
		w = -1;
	} else {
		do
			w = write(t->fd, p, n);
		while (w < 0 && errno == EINTR);
	}
	if (w < 0) {
		if (errno == EAGAIN)
			BIO_set_retry_write(bio);
		return 0;
	}
	*used = (size_t)w;
	return 1;
}

/* Reading flushes writing, as everywhere. */
static int
wire_read(BIO *bio, char *p, size_t n, size_t *used)
{
	struct tls *t = BIO_get_data(bio);
	ssize_t r;

	BIO_clear_retry_flags(bio);
	/* A peer that closed may have said why: that is still read. */
	(void)tls_wire_flush(t);
	do
		r = read(t->fd, p, n);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		t->dry = errno == EAGAIN;
		if (t->dry)
			BIO_set_retry_read(bio);
		return 0;
	}
	if (r == 0) {
		t->eof = true;
		return 0;
	}
	*used = (size_t)r;
	return 1;
}

static long
wire_ctrl(BIO *bio, int command, long number, void *p)
{
	const struct tls *t = BIO_get_data(bio);

	(void)number;
	(void)p;
	if (command == BIO_CTRL_EOF)
		return t->eof;
	/* wire_read and the stream flush */
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *
tls_wire_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() |
	    BIO_TYPE_SOURCE_SINK, "postern wire");

	if (m == NULL || !BIO_meth_set_write_ex(m, wire_write) ||
	    !BIO_meth_set_read_ex(m, wire_read) ||
	    !BIO_meth_set_ctrl(m, wire_ctrl))
		return NULL;
	return m;
}

/* ---- the stream above it ---- */

/* What SSL_read or SSL_write said, as read(2) and write(2) would. */
static ssize_t
io_result(struct tls *t, int n)
{
	int e = errno;

	switch (SSL_get_error(t->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		t->broken = true;
		errno = e != 0 && e != EAGAIN ? e : EPIPE;
		return -1;
	default:
		/* An alert may be waiting: a last try. */
		t->broken = true;
		(void)tls_wire_flush(t);
		ERR_clear_error();
		errno = EPROTO;
		return -1;
	}
}

/* SSL_read, which comes back after each record without data (there is no
 * SSL_MODE_AUTO_RETRY), until there is some or nothing is left. */
static int
read_record(struct tls *t, void *p, size_t n, size_t *got)
{
	unsigned noise;
	int r = 0;

	for (noise = 0; noise < NOISE_MAX; noise++) {
		t->dry = false;
		ERR_clear_error();
		errno = 0;
		r = SSL_read_ex(t->ssl, p, n, got);
		if (r == 1 || t->dry ||
		    SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ)
			return r;
	}
	t->noisy = true;
	return r;
}

/* Several records, where they are there already. */
static ssize_t
io_read(void *arg, void *p, size_t n)
{
	struct tls *t = arg;
	size_t used = 0, got;
	int r;

	do {
		r = read_record(t, (char *)p + used, n - used, &got);
		if (t->noisy) {
			t->broken = true;
			errno = EPROTO;
			return -1;
		}
		if (r != 1)
			return used > 0 ? (ssize_t)used : io_result(t, r);
		used += got;
	} while (used < n && SSL_has_pending(t->ssl));
	return (ssize_t)used;
}

static ssize_t
io_write(void *arg, const void *p, size_t n)
{
	struct tls *t = arg;
	size_t used;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(t->ssl, p, n, &used);
	if (r == 1)
		return (ssize_t)used;
	r = (int)io_result(t, r);
	if (r == 0) { /* no end of input, here */
		errno = EPIPE;
		return -1;
	}
	return r;
}

static bool
io_pending(void *arg)
{
	const struct tls *t = arg;

	return SSL_has_pending(t->ssl) != 0;
}

static short
io_wants(void *arg, short events)
{
	const struct tls *t = arg;

	if (t->out.len > 0 || SSL_want_write(t->ssl))
		events |= POLLOUT;
	if (SSL_want_read(t->ssl))
		events |= POLLIN;
	return events;
}

static int
io_flush(void *arg)
{
	return tls_wire_flush(arg);
}

/* close_notify, if it leaves at once; the peer's is not waited for. */
static void
io_end(void *arg)
{
	struct tls *t = arg;

	if (!t->broken) {
		ERR_clear_error();
		(void)SSL_shutdown(t->ssl);
		(void)tls_wire_flush(t);
	}
	tls_free(t);
}

void
tls_wire_attach(struct tls *t, struct stream *s)
{
	static const struct stream_io io = {.read = io_read,
	    .write = io_write, .pending = io_pending, .wants = io_wants,
	    .flush = io_flush, .end = io_end};
	struct stream_io mine = io;

	mine.arg = t;
	t->handshaking = false;
	t->accept = NULL;
	t->ctx->provider->keys = NULL;
	if (t->out.len == 0)
		buf_free(&t->out);
	stream_set_io(s, &mine);
}

struct tls *
tls_wire_new(struct tls_context *ctx, struct stream *s)
{
	struct tls *t = mem_alloc(sizeof(*t));
	BIO *bio;

	t->ctx = ctx;
	t->fd = stream_fd(s);
	t->handshaking = true;
	buf_init(&t->out, OUT_MAX * 2);
	t->ssl = SSL_new(ctx->preloads[0].ssl != NULL ? ctx->preloads[0].ssl
	    : ctx->ssl);
	bio = BIO_new(ctx->wire);
	if (t->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		tls_free(t);
		return NULL;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	(void)SSL_set_app_data(t->ssl, t);
	return t;
}

void
tls_free(struct tls *t)
{
	SSL_free(t->ssl);
	buf_wipe(&t->out);
	free(t);
}

/* One step; true when there is an answer. */
static bool
handshake_step(struct tls *t, struct stream *s, enum tls_result *result)
{
	enum stream_result wait;
	short events = POLLIN;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(t->ssl);
	if (r == 1) {
		*result = TLS_OK;
		return true;
	}
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_WRITE:
		events = POLLOUT;
		break;
	case SSL_ERROR_WANT_READ:
		if (t->out.len > 0)
			events |= POLLOUT;
		break;
	default:
		*result = t->local_fault ? TLS_LOCAL
		    : t->eof || SSL_get_error(t->ssl, r) == SSL_ERROR_SYSCALL
		    ? TLS_CLOSED : TLS_REFUSED;
		return true;
	}
	wait = stream_wait(s, events);
	*result = wait == STREAM_TIMEOUT ? TLS_TIMEOUT : TLS_CLOSED;
	return wait != STREAM_OK;
}

enum tls_result
tls_handshake(struct tls *t, struct stream *s)
{
	enum tls_result result;

	while (!handshake_step(t, s, &result))
		;
	if (result == TLS_OK)
		return result;
	/* With its alert, if there is one */
	(void)tls_wire_flush(t);
	if (t->why[0] == '\0')
		tls_reason(t->why, sizeof(t->why));
	return result;
}
