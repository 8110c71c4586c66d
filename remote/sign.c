/*
 * DKIM signing, in a remote process.  The message is hashed here, as it will be
 * sent to this host; the sum goes to keyd, which alone can read the keys and
 * sees no mail.  Signed is what somebody submitted who logged in (or was known
 * to the kernel), what came from dkim_networks, and our own notices; never what
 * strangers had forwarded, whatever its From says.
 */
#include <poll.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/mail/dkim_sign.h"
#include "common/mail/envelope.h"
#include "common/proto/dkim.h"
#include "common/proto/transfer.h"
#include "remote/counters.h"
#include "remote/remote.h"
#include "remote/sign.h"

#define KEYD_WAIT_MS 10000
#define DOMAINS_MAX 6        /* the author's and those above it */
#define ADDRESS_OCTETS_MAX 1024
#define FRONT_MAX ((size_t)1024 * 1024)

struct key {
	char selector[DKIM_SELECTOR_MAX + 1];
	enum crypto_kind kind;
	size_t at;           /* where its field begins in front */
};

struct signing {
	struct worker *w;
	struct content *c;
	struct dkim_signer *signer;
	bool asked;          /* keyd, for keys */
	bool later;          /* keyd cannot say: *why */
	char why[DKIM_WHY_MAX + 1];
	struct buf address, author; /* From, and its domain */
	struct slice domain; /* of author: whose keys they are */
	struct key keys[DKIM_SELECTORS_MAX];
	size_t nkeys;
};

void
sign_start(void)
{
	crypto_preload();
}

bool
sign_read(struct remote *r)
{
	const struct conf_list *l = &r->conf.dkim_headers;
	struct dkim_names names;
	const char *bad = "";

	if (!dkim_names_read(l->v, l->n, &names, &bad)) {
		log_warnx("dkim_headers: \"%s\" is no field's name, stands "
		    "twice or is one too many; allowed: up to %u names of "
		    "header fields, with a + behind those that are signed "
		    "once more than they are there", bad, DKIM_NAMES_MAX);
		return false;
	}
	dkim_names_free(&r->dkim_names);
	r->dkim_names = names;
	return true;
}

/* ---- what is signed ---- */

static bool
from_networks(const struct conf *conf, struct slice text)
{
	struct ip ip;

	return ip_parse(text, &ip) && net_any_has(conf->dkim_networks.v,
	    conf->dkim_networks.n, &ip);
}

static bool
is_ours(const struct conf *conf, const struct envelope *e)
{
	if (!conf->dkim_sign)
		return false;
	if (e->login.len > 0 || from_networks(conf, e->client_ip))
		return true;
	/* queue/bounce_job.c; no client can give that word. */
	return conf->dkim_sign_notices && e->from.len == 0 &&
	    slice_eq(e->protocol, SLICE("notice"));
}

/* ---- keyd ---- */

static struct chan *
keyd_chan(struct worker *w)
{
	struct pollfd pfd = {.fd = -1, .events = POLLRDHUP};
	int fd;

	if (w->keyd != NULL) {
		pfd.fd = chan_fd(w->keyd);
		if (poll(&pfd, 1, 0) != 0)
			chan_free(&w->keyd);
	}
	if (w->keyd == NULL) {
		fd = worker_want(w, TRANSFER_DKIM);
		if (fd >= 0)
			w->keyd = chan_new(fd, &dkim_contract, CHAN_CLIENT);
	}
	return w->keyd;
}

static void
wait_for_keyd(struct signing *s, struct slice why)
{
	s->later = true;
	snprintf(s->why, sizeof(s->why), "%.*s", SLICE_FMT(why));
}

/* The answer to question rid; false: the connection is of no use any more. */
static bool
answer(struct signing *s, uint16_t want, uint64_t rid, union dkim_msg *m)
{
	struct worker *w = s->w;
	int fds[CHAN_MAX_FDS];
	uint16_t type;
	size_t nfds;

	if (chan_wait(w->keyd, &type, m, sizeof(*m), fds, &nfds,
	    clock_mono_ms() + KEYD_WAIT_MS) == CHAN_OK && type == want &&
	    (want == DKIM_FOUND ? m->found.rid : m->answer.rid) == rid)
		return true;
	chan_free(&w->keyd);
	wait_for_keyd(s, SLICE("keyd does not answer"));
	return false;
}

static void
take_keys(struct signing *s, const struct dkim_found *f, struct slice domain)
{
	const struct dkim_key *v = f->keys.v;

	s->domain = domain;
	for (size_t i = 0; i < f->keys.n; i++) {
		struct key *k = &s->keys[s->nkeys++];

		snprintf(k->selector, sizeof(k->selector), "%.*s",
		    SLICE_FMT(v[i].selector));
		k->kind = v[i].algorithm == DKIM_RSA_SHA256 ? CRYPTO_RSA
		    : CRYPTO_ED25519;
	}
}

/* The author's domain and, if wished, those above it that have a dot. */
static size_t
candidates(const struct signing *s, struct slice out[DOMAINS_MAX])
{
	struct slice d = buf_slice(&s->author);
	size_t n = 0, dot;

	while (n < DOMAINS_MAX && d.len <= DKIM_DOMAIN_MAX) {
		dot = slice_find(d, '.', 0);
		if (n > 0 && (dot == d.len || !s->w->r->conf.dkim_parents))
			break;
		out[n++] = d;
		if (dot == d.len)
			break;
		d = slice_sub(d, dot + 1, d.len);
	}
	return n;
}

/* All are asked at once; the nearest one that has keys is taken. */
static bool
ask_keys(struct signing *s)
{
	struct slice domains[DOMAINS_MAX];
	size_t n = candidates(s, domains);
	struct chan *c = keyd_chan(s->w);
	union dkim_msg m;

	if (c == NULL) {
		wait_for_keyd(s, SLICE("keyd is not there"));
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		struct dkim_keys q = {.rid = i, .domain = domains[i]};

		chan_queue(c, DKIM_KEYS, &q, NULL, 0);
	}
	for (size_t i = 0; i < n; i++) {
		if (!answer(s, DKIM_FOUND, i, &m))
			return false;
		if (s->nkeys > 0 || s->later)
			continue;
		if (m.found.result == DKIM_OK)
			take_keys(s, &m.found, domains[i]);
		else if (m.found.result != DKIM_NONE)
			wait_for_keyd(s, m.found.why);
	}
	return s->nkeys > 0;
}

/* ---- the message ---- */

static void
cannot(const struct signing *s, const char *why)
{
	LOG_INFO("not-signed", LB("id", content_envelope(s->c)->id),
	    LB("from", buf_slice(&s->address)), LS("why", why));
	stats_add(COUNT_UNSIGNED, 1);
}

/* The header is known: false: nothing can be signed, or not now. */
static bool
find_keys(struct signing *s)
{
	const char *why = "";

	s->asked = true;
	if (!dkim_signer_author(s->signer, &s->address, &s->author, &why)) {
		cannot(s, why);
		return false;
	}
	if (ask_keys(s))
		return true;
	if (!s->later)
		LOG_DEBUG("no-dkim-key", LB("id", content_envelope(s->c)->id),
		    LB("domain", buf_slice(&s->author)));
	return false;
}

static bool
on_piece(void *arg, const char *p, size_t n)
{
	struct signing *s = arg;

	dkim_signer_feed(s->signer, p, n);
	return s->asked || !dkim_signer_header_done(s->signer) ||
	    find_keys(s);
}

/* Small messages stay in memory and are sent from there. */
static enum content_result
hash(struct signing *s, enum content_form form, struct status *st)
{
	struct slice whole;
	enum content_result result = content_whole(s->c, form, &whole, st);

	if (result == CONTENT_STOPPED)
		return content_each(s->c, form, on_piece, s, st);
	if (result == CONTENT_OK && !on_piece(s, whole.p, whole.len))
		result = CONTENT_STOPPED;
	return result;
}

/* ---- signatures ---- */

static bool
send_sum(struct signing *s, struct key *k, int64_t now_s, struct buf *front,
    struct buf *identity)
{
	const struct conf *conf = &s->w->r->conf;
	int64_t life_s = (int64_t)conf->dkim_expire_ms / 1000;
	struct dkim_signature sig = {.kind = k->kind, .domain = s->domain,
	    .selector = slice_of(k->selector),
	    .identity = buf_slice(identity), .time = now_s,
	    .expires = life_s > 0 ? now_s + life_s : 0};
	unsigned char sum[CRYPTO_SHA256_LEN];
	struct dkim_sign q = {.rid = (uint64_t)(k - s->keys),
	    .domain = s->domain, .selector = sig.selector,
	    .hash = slice_mem(sum, sizeof(sum))};
	const char *why = "";

	k->at = front->len;
	if (!dkim_signer_field(s->signer, &sig, front, sum, &why)) {
		cannot(s, why);
		return false;
	}
	chan_queue(s->w->keyd, DKIM_SIGN, &q, NULL, 0);
	return true;
}

/* RFC 6376 3.5: i= is below d=. */
static void
add_identity(struct signing *s, struct buf *out)
{
	size_t at = s->address.len;

	if (s->w->r->conf.dkim_identity != CONF_DKIM_IDENTITY_AUTHOR)
		return;
	while (at > 0 && s->address.s[at - 1] != '@')
		at--;
	buf_add(out, s->address.s, at);
	buf_addslice(out, buf_slice(&s->author));
}

/* The fields without their signatures stand in open, one behind the other. */
static void
collect(struct signing *s, const struct buf *open, struct buf *front)
{
	union dkim_msg m;

	for (size_t i = 0; i < s->nkeys; i++) {
		size_t end = i + 1 < s->nkeys ? s->keys[i + 1].at : open->len;
		size_t from = front->len;

		if (!answer(s, DKIM_SIGNED, i, &m))
			return;
		if (m.answer.result != DKIM_OK) {
			wait_for_keyd(s, m.answer.why);
			continue;
		}
		buf_addslice(front, slice_sub(buf_slice(open),
		    s->keys[i].at, end));
		dkim_signature_add(m.answer.signature, front);
		if (front->overflow)
			front->len = from;
		LOG_DEBUG("signed", LB("id", content_envelope(s->c)->id),
		    LB("domain", s->domain), LS("selector",
		    s->keys[i].selector));
	}
}

static void
make_fields(struct signing *s, struct buf *front)
{
	struct buf open = BUF_INIT(FRONT_MAX);
	struct buf identity = BUF_INIT(ADDRESS_OCTETS_MAX + DKIM_DOMAIN_MAX);
	int64_t now_s = clock_real_ms() / 1000;
	bool good = true;

	if (keyd_chan(s->w) == NULL) {
		wait_for_keyd(s, SLICE("keyd is not there"));
		return;
	}
	add_identity(s, &identity);
	for (size_t i = 0; good && i < s->nkeys; i++)
		good = send_sum(s, &s->keys[i], now_s, &open, &identity);
	if (good)
		collect(s, &open, front);
	else /* What was asked is answered to nobody. */
		chan_free(&s->w->keyd);
	if (front->len > 0)
		stats_add(COUNT_SIGNED, 1);
	buf_free(&open);
	buf_free(&identity);
}

/* keyd cannot be asked: the message waits, but not for ever.  some: not all of
 * the signatures are missing. */
static bool
patience(const struct signing *s, bool some, struct status *st)
{
	int64_t age_ms = clock_real_ms() - content_created_ms(s->c);
	struct slice id = content_envelope(s->c)->id;

	if (age_ms < (int64_t)s->w->r->conf.dkim_wait_ms) {
		LOG_WARN("sign-later", LB("id", id), LS("why", s->why),
		    LS("mend", "see whether keyd runs, and its log"));
		status_set(st, 451, 7, 5, "The message cannot be signed "
		    "(DKIM) for now: %s", s->why);
		return true;
	}
	LOG_WARN(some ? "signed-in-part" : "sent-unsigned", LB("id", id),
	    LS("why", s->why), LS("mend", "see whether keyd runs, and its "
	    "log; dkim_wait is over"));
	if (!some)
		stats_add(COUNT_UNSIGNED, 1);
	return false;
}

bool
sign_content(void *arg, struct content *c, enum content_form form,
    struct buf *front, struct status *st)
{
	struct worker *w = arg;
	const struct conf *conf = &w->r->conf;
	uint32_t canon = conf->dkim_canonicalization;
	struct signing s = {.w = w, .c = c,
	    .address = BUF_INIT(ADDRESS_OCTETS_MAX),
	    .author = BUF_INIT(ADDRESS_OCTETS_MAX)};
	enum content_result result;
	bool good;

	if (!is_ours(conf, content_envelope(c)))
		return true;
	s.signer = dkim_signer_new(&w->r->dkim_names,
	    canon == CONF_DKIM_RELAXED_RELAXED ||
	    canon == CONF_DKIM_RELAXED_SIMPLE ? DKIM_RELAXED : DKIM_SIMPLE,
	    canon == CONF_DKIM_RELAXED_RELAXED ||
	    canon == CONF_DKIM_SIMPLE_RELAXED ? DKIM_RELAXED : DKIM_SIMPLE);
	result = hash(&s, form, st);
	good = result != CONTENT_FAULT;
	if (result == CONTENT_OK) {
		dkim_signer_end(s.signer);
		if (s.asked || find_keys(&s))
			make_fields(&s, front);
	}
	if (good && s.later)
		good = !patience(&s, front->len > 0, st);
	dkim_signer_free(&s.signer);
	buf_free(&s.address);
	buf_free(&s.author);
	return good;
}
