/*
 * The Dovecot authentication protocol 1.2, server side, in authd.  The peer is
 * another mail server on this host; what it hands on is a stranger's.  Only the
 * services smtp and submission are known, so that no ticket is given.
 */
#include <sys/queue.h>

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "authd/attempt.h"
#include "authd/dovecot.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/base/random.h"
#include "common/io/linepeer.h"
#include "common/mime/base64.h"
#include "common/proto/login.h"

#define PEERS_MAX 256
#define REQUESTS_MAX 64 /* under way, of one peer */
#define OUT_MAX 16384

struct request {
	LIST_ENTRY(request) list;
	struct peer *peer;
	uint32_t id;
	struct attempt *attempt;
};

struct peer {
	struct dovecot *d;
	struct linepeer *line;
	size_t n;
	LIST_HEAD(request_list, request) requests;
};

struct dovecot {
	struct linepeer_server *server;
	struct attempts *attempts;
};

static void
request_free(struct request *r)
{
	LIST_REMOVE(r, list);
	r->peer->n--;
	free(r);
}

static struct request *
find(struct peer *p, uint32_t id)
{
	struct request *r;

	LIST_FOREACH(r, &p->requests, list)
		if (r->id == id)
			return r;
	return NULL;
}

static bool
decode(struct slice text, struct buf *out)
{
	struct base64_decoder d = {.strict = true};

	return base64_decode(&d, text, out) && base64_decode_end(&d, out) &&
	    !out->overflow && out->len <= LOGIN_DATA_MAX;
}

/* ---- what attempts say ---- */

static void
on_challenge(void *arg, struct slice data)
{
	struct request *r = arg;
	struct base64_encoder e = {.lines = false};
	struct buf out = BUF_INIT(OUT_MAX);

	(void)buf_room(&out, OUT_MAX);
	buf_printf(&out, "CONT\t%" PRIu32 "\t", r->id);
	base64_encode(&e, data, &out);
	base64_encode_end(&e, &out);
	buf_addc(&out, '\n');
	linepeer_send(r->peer->line, buf_slice(&out));
	buf_wipe(&out);
}

static void
on_done(void *arg, const struct attempt_end *end)
{
	struct request *r = arg;
	struct buf out = BUF_INIT(OUT_MAX);

	if (end->result == LOGIN_OK) {
		buf_printf(&out, "OK\t%" PRIu32 "\tuser=%.*s\n", r->id,
		    SLICE_FMT(end->user));
	} else {
		buf_printf(&out, "FAIL\t%" PRIu32 "%s\n", r->id,
		    end->result == LOGIN_TEMP || end->result == LOGIN_BLOCKED
		    ? "\ttemp" : "");
	}
	linepeer_send(r->peer->line, buf_slice(&out));
	buf_free(&out);
	request_free(r);
}

static const struct attempt_ops attempt_ops = {on_challenge, on_done};

/* ---- what the peer says ---- */

static void
fail(struct peer *p, uint32_t id)
{
	struct buf out = BUF_INIT(100);

	buf_printf(&out, "FAIL\t%" PRIu32 "\n", id);
	linepeer_send(p->line, buf_slice(&out));
	buf_free(&out);
}

/* name=value or name; *resp: the initial response, which is the last. */
static bool
take_parameter(struct login_start *start, struct slice word,
    struct slice *resp)
{
	if (slice_prefix(word, SLICE("service="))) {
		word = slice_sub(word, 8, word.len);
		if (!slice_eq(word, SLICE("smtp")) &&
		    !slice_eq(word, SLICE("submission")))
			return false;
		start->service = SLICE("submission");
	} else if (slice_prefix(word, SLICE("rip="))) {
		start->client_ip = slice_sub(word, 4, word.len);
	} else if (slice_eq(word, SLICE("secured")) ||
	    slice_prefix(word, SLICE("secured="))) {
		start->flags |= LOGIN_TLS;
	} else if (slice_prefix(word, SLICE("resp="))) {
		start->has_initial = 1;
		*resp = slice_sub(word, 5, word.len);
	}
	return true;
}

/* AUTH id mechanism parameter ... */
static bool
take_auth(struct peer *p, struct slice rest)
{
	/* What may cross the wire is for the other server to decide. */
	struct login_start start = {.service = SLICE_EMPTY,
	    .flags = LOGIN_EXPOSED, .sid = SLICE("dovecot"),
	    .client_ip = SLICE_EMPTY, .initial = SLICE_EMPTY,
	    .tls_exporter = SLICE_EMPTY, .tls_end_point = SLICE_EMPTY,
	    .client_cert = SLICE_EMPTY};
	struct slice id, resp = SLICE_EMPTY, word;
	struct buf octets = BUF_INIT(OUT_MAX);
	struct request *r;
	uint32_t number;
	bool good = true;

	if (!slice_cut(&rest, '\t', &id) ||
	    !num_u32(id, 0, UINT32_MAX, &number) ||
	    !slice_cut(&rest, '\t', &start.mechanism) ||
	    find(p, number) != NULL)
		return false;
	while (good && slice_cut(&rest, '\t', &word))
		good = take_parameter(&start, word, &resp);
	(void)buf_room(&octets, OUT_MAX);
	if (!good || start.service.len == 0 || p->n >= REQUESTS_MAX ||
	    start.client_ip.len > 64 ||
	    !decode(slice_eq(resp, SLICE("=")) ? SLICE_EMPTY : resp,
	    &octets)) {
		fail(p, number);
	} else {
		r = mem_alloc(sizeof(*r));
		r->peer = p;
		r->id = number;
		p->n++;
		LIST_INSERT_HEAD(&p->requests, r, list);
		r->attempt = attempt_new_sasl(p->d->attempts, &start,
		    &attempt_ops, r);
		attempt_run(r->attempt, start.has_initial != 0,
		    buf_slice(&octets));
	}
	buf_wipe(&octets);
	return true;
}

static bool
take_cont(struct peer *p, struct slice rest)
{
	struct buf octets = BUF_INIT(OUT_MAX);
	struct request *r;
	struct slice id;
	uint32_t number;

	if (!slice_cut(&rest, '\t', &id) ||
	    !num_u32(id, 0, UINT32_MAX, &number))
		return false;
	r = find(p, number);
	if (r == NULL || !attempt_asked(r->attempt)) {
		fail(p, number);
		return true;
	}
	(void)buf_room(&octets, OUT_MAX);
	if (decode(rest.p != NULL ? rest : SLICE_EMPTY, &octets))
		attempt_response(r->attempt, buf_slice(&octets));
	else
		attempt_cancel(r->attempt);
	buf_wipe(&octets);
	return true;
}

static bool
take_cancel(struct peer *p, struct slice rest)
{
	struct request *r;
	uint32_t number;

	if (!num_u32(rest, 0, UINT32_MAX, &number))
		return false;
	r = find(p, number);
	if (r != NULL) {
		attempt_abandon(r->attempt);
		request_free(r);
	}
	return true;
}

static bool
take_version(struct peer *p, struct slice rest)
{
	(void)p;
	return slice_eq(rest, SLICE("1")) || slice_prefix(rest, SLICE("1\t"));
}

static bool
take_cpid(struct peer *p, struct slice rest)
{
	(void)p;
	(void)rest;
	return true;
}

static const struct {
	struct slice word;
	bool (*take)(struct peer *p, struct slice rest);
} words[] = {
	{SLICE_INIT("AUTH"), take_auth},
	{SLICE_INIT("CONT"), take_cont},
	{SLICE_INIT("CANCEL"), take_cancel},
	{SLICE_INIT("VERSION"), take_version},
	{SLICE_INIT("CPID"), take_cpid},
};

static bool
on_line(void *arg, struct linepeer *line, struct slice text)
{
	struct slice rest = text, word;
	size_t i;

	(void)arg;
	if (!slice_cut(&rest, '\t', &word))
		return false;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_eq(word, words[i].word))
			return rest.p != NULL &&
			    words[i].take(linepeer_data(line), rest);
	return true; /* of a later minor version */
}

static void
on_opened(void *arg, struct linepeer *line)
{
	static unsigned cuid;
	struct dovecot *d = arg;
	struct peer *p = mem_alloc(sizeof(*p));
	struct login_ask ask = {.service = SLICE("submission"),
	    .flags = LOGIN_EXPOSED};
	struct buf out = BUF_INIT(OUT_MAX), names = BUF_INIT(400);
	struct slice rest, name;

	p->d = d;
	p->line = line;
	linepeer_set_data(line, p);
	attempts_offer(d->attempts, &ask, &names);
	buf_adds(&out, "VERSION\t1\t2\n");
	rest = buf_slice(&names);
	while (slice_word(&rest, &name))
		buf_printf(&out, "MECH\t%.*s%s\n", SLICE_FMT(name),
		    slice_eq(name, SLICE("PLAIN")) ||
		    slice_eq(name, SLICE("LOGIN")) ? "\tplaintext" : "");
	buf_printf(&out, "SPID\t%d\nCUID\t%u\nCOOKIE\t%016" PRIx64 "%016"
	    PRIx64 "\nDONE\n", getpid(), ++cuid, random_u64(), random_u64());
	linepeer_send(line, buf_slice(&out));
	buf_free(&out);
	buf_free(&names);
}

static void
on_closed(void *arg, struct linepeer *line)
{
	struct peer *p = linepeer_data(line);
	struct request *r, *next;

	(void)arg;
	for (r = LIST_FIRST(&p->requests); r != NULL; r = next) {
		next = LIST_NEXT(r, list);
		attempt_abandon(r->attempt);
		request_free(r);
	}
	free(p);
}

struct dovecot *
dovecot_new(struct loop *l, int listen_fd, uid_t uid,
    struct attempts *attempts)
{
	static const struct linepeer_ops ops = {on_opened, on_line, on_closed};
	struct dovecot *d = mem_alloc(sizeof(*d));

	d->attempts = attempts;
	d->server = linepeer_server_new(l, listen_fd, uid, PEERS_MAX, &ops, d);
	return d;
}

void
dovecot_free(struct dovecot **d)
{
	if (*d == NULL)
		return;
	linepeer_server_free(&(*d)->server);
	free(*d);
	*d = NULL;
}
