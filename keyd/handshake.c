/*
 * The contract "key" in a worker: what sessions of smtpd and pop3d ask while
 * they shake hands.  They talk to the network, and may have been taken over: a
 * channel has its counts, and what is signed its form.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/key.h"
#include "keyd/cache.h"
#include "keyd/content.h"
#include "keyd/counters.h"
#include "keyd/keyd.h"
#include "keyd/store.h"

#define LIFE_MS 30000 /* of a channel: a handshake's questions come at once */

struct client {
	struct worker *w;
	struct chan_peer *peer;
	int64_t since_ms;
	unsigned asks, signs, takes, puts;
	struct pair *told[KEY_ROWS_MAX]; /* owned references */
	size_t ntold;
	struct client *older, *newer;
};

static bool
too_many(struct client *c, const char *what)
{
	stats_add(COUNT_REFUSED, 1);
	LOG_WARN("session-asks-too-much", LS("of", what),
	    LU("uid", chan_peer_uid(c->peer)));
	return false;
}

static void
forget_told(struct client *c)
{
	while (c->ntold > 0)
		pair_unref(&c->told[--c->ntold]);
}

/* ---- certificates ---- */

static bool
is_known(const struct slices *known, struct slice fingerprint)
{
	for (size_t i = 0; i < known->n; i++)
		if (slice_eq(known->v[i], fingerprint))
			return true;
	return false;
}

static bool
on_cert(struct client *c, const struct key_cert *q)
{
	struct key_certs a = {.folder = SLICE_EMPTY, .why = SLICE_EMPTY};
	struct key_row rows[KEY_ROWS_MAX];
	struct store_found found = {.n = 0};
	const char *why = "";

	if (++c->asks > KEY_ASKS_MAX)
		return too_many(c, "certificates");
	stats_add(COUNT_ASKED, 1);
	forget_told(c);
	a.result = store_find(c->w->store, q->name, loop_now(c->w->loop),
	    &found, &why);
	if (a.result != KEY_OK) {
		LOG_WARN("no-certificate", LB("name", q->name),
		    LS("why", why));
		a.why = slice_of(why);
		chan_peer_send(c->peer, KEY_CERTS, &a);
		return true;
	}
	for (size_t i = 0; i < found.n; i++) {
		struct pair *p = c->told[c->ntold++] = pair_ref(found.v[i]);

		rows[i] = (struct key_row){
		    .algorithm = pair_algorithm(p),
		    .fingerprint = pair_fingerprint(p),
		    .chain = is_known(&q->known, pair_fingerprint(p))
		        ? SLICE_EMPTY : pair_chain(p)};
	}
	a.folder = found.folder;
	a.rows = (struct chan_list){rows, found.n};
	chan_peer_send(c->peer, KEY_CERTS, &a);
	return true;
}

/* ---- signatures ---- */

static enum key_result
sign(struct client *c, const struct key_sign *q, unsigned char *out,
    size_t *len, const char **why)
{
	const struct pair *p = NULL;
	enum key_result result;
	int64_t start = clock_mono_us();

	for (size_t i = 0; i < c->ntold; i++)
		if (slice_eq(q->fingerprint, pair_fingerprint(c->told[i])))
			p = c->told[i];
	if (p == NULL) {
		*why = "no certificate that this channel was told of";
		return KEY_BAD;
	}
	if (!content_allowed(q->scheme, q->content,
	    c->w->k->conf.tls_min < CONF_TLS_1_2, why))
		return KEY_BAD;
	result = pair_sign(p, q->scheme, q->content, out, len);
	*why = result == KEY_BAD ? "the scheme is not of this key"
	    : "OpenSSL cannot";
	if (result == KEY_OK) {
		stats_observe(COUNT_SIGN_TIME, clock_mono_us() - start);
		stats_add(COUNT_SIGNED_RSA + (size_t)(pair_algorithm(p) -
		    KEY_RSA), 1);
	}
	return result;
}

static bool
on_sign(struct client *c, const struct key_sign *q)
{
	unsigned char signature[KEY_SIGNATURE_MAX];
	size_t len = sizeof(signature);
	struct key_signed a = {.signature = SLICE_EMPTY, .why = SLICE_EMPTY};
	const char *why = "";

	if (++c->signs > KEY_SIGNS_MAX)
		return too_many(c, "signatures");
	a.result = sign(c, q, signature, &len, &why);
	if (a.result == KEY_OK) {
		a.signature = slice_mem(signature, len);
	} else {
		stats_add(COUNT_REFUSED, 1);
		LOG_WARN("not-signed", LS("why", why),
		    LU("scheme", q->scheme),
		    LU("uid", chan_peer_uid(c->peer)));
		a.why = slice_of(why);
	}
	chan_peer_send(c->peer, KEY_SIGNED, &a);
	return true;
}

/* ---- TLS sessions ---- */

static bool
on_put(struct client *c, const struct key_put *q)
{
	if (++c->puts > KEY_PUTS_MAX)
		return too_many(c, "sessions put");
	if (cache_put(c->w->k->cache, chan_peer_uid(c->peer), q->context,
	    q->id, q->session, loop_now(c->w->loop)))
		stats_add(COUNT_PUT, 1);
	chan_wipe(chan_peer_chan(c->peer));
	return true;
}

static bool
on_take(struct client *c, const struct key_take *q)
{
	struct buf session = BUF_INIT(KEY_SESSION_MAX);
	struct key_taken a;
	bool found;

	if (++c->takes > KEY_TAKES_MAX)
		return too_many(c, "sessions taken");
	(void)buf_room(&session, KEY_SESSION_MAX);
	found = cache_take(c->w->k->cache, chan_peer_uid(c->peer), q->context,
	    q->id, loop_now(c->w->loop), &session);
	stats_add(found ? COUNT_TAKEN : COUNT_MISSED, 1);
	a.session = buf_slice(&session);
	chan_peer_send(c->peer, KEY_TAKEN, &a);
	buf_wipe(&session);
	return true;
}

/* ---- the server ---- */

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct client *c = chan_peer_data(p);

	(void)arg;
	(void)fds;
	(void)nfds;
	switch (type) {
	case KEY_CERT:
		return on_cert(c, msg);
	case KEY_SIGN:
		return on_sign(c, msg);
	case KEY_PUT:
		return on_put(c, msg);
	case KEY_TAKE:
		return on_take(c, msg);
	default:
		return false;
	}
}

static bool
on_opened(void *arg, struct chan_peer *p)
{
	struct worker *w = arg;
	struct client *c = mem_alloc(sizeof(*c));

	c->w = w;
	c->peer = p;
	c->since_ms = loop_now(w->loop);
	c->older = w->newest;
	if (c->older != NULL)
		c->older->newer = c;
	else
		w->oldest = c;
	w->newest = c;
	chan_peer_set_data(p, c);
	return true;
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct worker *w = arg;
	struct client *c = chan_peer_data(p);

	if (c->older != NULL)
		c->older->newer = c->newer;
	else
		w->oldest = c->newer;
	if (c->newer != NULL)
		c->newer->older = c->older;
	else
		w->newest = c->older;
	forget_told(c);
	free(c);
}

void
handshake_sweep(struct worker *w)
{
	int64_t now = loop_now(w->loop);

	for (struct client *c = w->oldest; c != NULL &&
	    now - c->since_ms >= LIFE_MS; c = c->newer)
		chan_peer_close(c->peer);
}

void
handshake_serve(struct worker *w)
{
	static const struct chan_server_ops ops = {.record = on_record,
	    .opened = on_opened, .closed = on_closed};
	const struct keyd *k = w->k;

	w->sessions = chan_server_new(w->loop, k->key_fd, &key_contract, &ops,
	    w, k->key_uids, sizeof(k->key_uids) / sizeof(k->key_uids[0]),
	    (size_t)k->conf.keyd_clients_max, true);
}
