/*
 * AUTH (RFC 5034): SASL between the client and authd.  Runs in the login
 * session, which only turns base64 into octets and back and knows no mechanism;
 * every octet is the client's.
 */
#include <bsd/string.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "common/io/chan.h"
#include "common/io/stream.h"
#include "common/mime/base64.h"
#include "common/proto/login.h"
#include "pop3d/login.h"
#include "pop3d/auth.h"

#define AUTH_LINE_MAX 12288  /* RFC 4954 4: what base64 of a response takes */
#define AUTH_WAIT_MS 120000  /* for authd: hashes queue up, failures are slow */
#define ASK_WAIT_MS 5000
#define MECHANISMS_MAX 400
#define SERVICE_NAME SLICE("pop3")

/* Strict: nothing but base64.  False: it is not. */
static bool
decode(struct slice text, struct buf *out)
{
	struct base64_decoder d = {.strict = true};

	buf_reset(out);
	return base64_decode(&d, text, out) && base64_decode_end(&d, out) &&
	    !out->overflow;
}

static void
put_challenge(struct session *s, struct slice data)
{
	struct base64_encoder e = {.lines = false};
	struct buf text = BUF_INIT(BASE64_ENCODED_MAX(LOGIN_DATA_MAX));

	base64_encode(&e, data, &text);
	base64_encode_end(&e, &text);
	stream_puts(s->net, "+ ");
	stream_put(s->net, buf_slice(&text));
	stream_puts(s->net, "\r\n");
	buf_wipe(&text);
}

static bool
wait_authd(struct session *s, int64_t wait_ms, uint16_t *type,
    union login_msg *msg)
{
	struct chan *c = login_authd(s);
	int fds[CHAN_MAX_FDS];
	size_t nfds = 0;

	if (c != NULL && chan_wait(c, type, msg, sizeof(*msg), fds, &nfds,
	    clock_mono_ms() + wait_ms) == CHAN_OK)
		return true;
	login_authd_drop(s);
	return false;
}

/* What can be offered: appended to out, or nothing where authd is silent. */
static void
ask_mechanisms(struct session *s, struct buf *out)
{
	struct login_ask ask = {.service = SERVICE_NAME,
	    .flags = login_flags(s)};
	struct chan *c = login_authd(s);
	union login_msg msg;
	uint16_t type;

	if (c == NULL)
		return;
	chan_send(c, LOGIN_ASK, &ask);
	if (!wait_authd(s, ASK_WAIT_MS, &type, &msg))
		return;
	if (type == LOGIN_OFFERED)
		buf_addslice(out, msg.offered.mechanisms);
	else
		login_authd_drop(s);
}

/* In authd's order; what is not here is asked for each time. */
static const char *const known[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256",
	"SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "EXTERNAL", "OAUTHBEARER",
	"XOAUTH2", "CRAM-MD5", "PLAIN", "LOGIN"};
#define NKNOWN (sizeof(known) / sizeof(known[0]))
#define HINT_MS 1000

/* From what another session heard a moment ago: without heap and authd. */
static bool
hinted(struct session *s, char out[MECHANISMS_MAX])
{
	const struct login_hint *h = login_hint(s);
	uint32_t bits = __atomic_load_n(&h->offered, __ATOMIC_RELAXED);

	if (__atomic_load_n(&h->offered_until_ms, __ATOMIC_RELAXED) <=
	    clock_mono_ms())
		return false;
	out[0] = '\0';
	for (size_t i = 0; i < NKNOWN; i++) {
		if ((bits & 1u << i) == 0)
			continue;
		if (out[0] != '\0')
			(void)strlcat(out, " ", MECHANISMS_MAX);
		(void)strlcat(out, known[i], MECHANISMS_MAX);
	}
	return true;
}

static void
learn(struct session *s, struct slice mechanisms)
{
	struct login_hint *h = login_hint(s);
	struct slice word;
	uint32_t bits = 0;

	while (slice_word(&mechanisms, &word)) {
		size_t i = 0;

		while (i < NKNOWN && !slice_eq(word, slice_of(known[i])))
			i++;
		if (i == NKNOWN)
			return;
		bits |= 1u << i;
	}
	__atomic_store_n(&h->offered, bits, __ATOMIC_RELAXED);
	__atomic_store_n(&h->offered_until_ms, bits == 0 ? 0 :
	    clock_mono_ms() + HINT_MS, __ATOMIC_RELAXED);
}

enum state
cmd_login_capa(struct session *s, struct slice arg)
{
	struct buf mechanisms = BUF_INIT(MECHANISMS_MAX);
	char text[MECHANISMS_MAX];
	enum state next;

	if (!hinted(s, text)) {
		ask_mechanisms(s, &mechanisms);
		learn(s, buf_slice(&mechanisms));
		(void)strlcpy(text, mechanisms.s, sizeof(text));
		buf_free(&mechanisms);
	}
	s->mechanisms = text;
	next = cmd_capa(s, arg);
	s->mechanisms = NULL;
	return next;
}

/* The client's next line, as octets.  False: there is none that helps; *next is
 * what comes of it. */
static bool
read_response(struct session *s, struct buf *octets, bool *cancel,
    enum state *next)
{
	struct slice line = SLICE_EMPTY;

	*cancel = false;
	switch (stream_line(s->net, AUTH_LINE_MAX, &line)) {
	case LINE_OK:
		break;
	case LINE_LONG:
	case LINE_BARE:
		line = SLICE("*");
		break;
	case LINE_EOF:
	case LINE_TIMEOUT:
	case LINE_ERROR:
		s->end = "closed";
		*next = STATE_CLOSED;
		return false;
	}
	/* RFC 5034 4: "*" cancels; what is no base64 is as good as that. */
	if (slice_eq(line, SLICE("*")) || !decode(line, octets) ||
	    octets->len > LOGIN_DATA_MAX) {
		buf_reset(octets);
		*cancel = true;
	}
	return true;
}

static enum state
conclude(struct session *s, const struct login_done *done)
{
	switch (done->result) {
	case LOGIN_CANCELLED:
		reply_error(s, "", "Authentication cancelled");
		return STATE_AUTHORIZATION;
	case LOGIN_UNKNOWN:
		reply_error(s, "", "No such mechanism here");
		return STATE_AUTHORIZATION;
	case LOGIN_MALFORMED:
		reply_error(s, "", "The mechanism does not allow that");
		return STATE_AUTHORIZATION;
	default:
		return login_conclude(s, done->result, done->ticket,
		    done->user);
	}
}

/* From authd's first word on. */
static enum state
converse(struct session *s, uint64_t rid, uint16_t type,
    union login_msg *msg, struct buf *octets)
{
	struct login_response response = {.rid = rid};
	enum state next;
	bool cancel;

	for (;;) {
		if (type == LOGIN_DONE && msg->done.rid == rid)
			return conclude(s, &msg->done);
		if (type != LOGIN_CHALLENGE || msg->challenge.rid != rid) {
			login_authd_drop(s);
			return login_not_now(s);
		}
		put_challenge(s, msg->challenge.data);
		if (!read_response(s, octets, &cancel, &next))
			return next;
		response.cancel = cancel;
		response.data = buf_slice(octets);
		chan_send(login_authd(s), LOGIN_RESPONSE, &response);
		if (!wait_authd(s, AUTH_WAIT_MS, &type, msg))
			return login_not_now(s);
	}
}

static bool
send_start(struct session *s, const struct login_start *start,
    uint16_t *type, union login_msg *msg)
{
	struct chan *c = login_authd(s);

	if (c == NULL)
		return false;
	chan_send(c, LOGIN_START, start);
	return wait_authd(s, AUTH_WAIT_MS, type, msg);
}

static enum state
start(struct session *s, struct slice mechanism, struct slice initial,
    bool has_initial)
{
	static uint64_t rid = UINT64_C(1) << 32; /* apart from those of TRY */
	struct buf octets = BUF_INIT(AUTH_LINE_MAX);
	struct login_start msg = {.rid = rid + 1, .mechanism = mechanism,
	    .service = SERVICE_NAME, .sid = login_sid(s),
	    .client_ip = slice_of(s->ip), .flags = login_flags(s),
	    .has_initial = has_initial, .initial = SLICE_EMPTY,
	    .tls_exporter = SLICE_EMPTY, .tls_end_point = SLICE_EMPTY,
	    .client_cert = SLICE_EMPTY};
	bool had = login_authd_open(s);
	union login_msg answer;
	uint16_t type;
	enum state next;

	rid++;
	(void)buf_room(&octets, AUTH_LINE_MAX);
	/* RFC 5034 4: "=" is an empty one. */
	if (has_initial && !slice_eq(initial, SLICE("=")) &&
	    !decode(initial, &octets)) {
		reply_error(s, "", "Not base64");
		buf_wipe(&octets);
		return STATE_AUTHORIZATION;
	}
	msg.initial = buf_slice(&octets);
	/* authd may have been restarted since the last attempt. */
	if (send_start(s, &msg, &type, &answer) ||
	    (had && send_start(s, &msg, &type, &answer)))
		next = converse(s, msg.rid, type, &answer, &octets);
	else
		next = login_not_now(s);
	buf_wipe(&octets);
	return next;
}

enum state
cmd_auth(struct session *s, struct slice arg)
{
	struct buf list = BUF_INIT(MECHANISMS_MAX);
	struct slice rest = arg, mechanism, initial = SLICE_EMPTY, word;
	bool has_initial;

	if (!slice_word(&rest, &mechanism)) {
		/* Not in RFC 5034, but what older clients ask with. */
		ask_mechanisms(s, &list);
		reply_ok(s, "Mechanisms follow");
		rest = buf_slice(&list);
		while (slice_word(&rest, &word)) {
			stream_put(s->net, word);
			stream_puts(s->net, "\r\n");
		}
		stream_puts(s->net, ".\r\n");
		buf_free(&list);
		return s->state;
	}
	has_initial = slice_word(&rest, &initial);
	if (mechanism.len > 64 || slice_trim(rest).len > 0) {
		reply_error(s, "", "AUTH MECHANISM [initial-response]");
		return STATE_AUTHORIZATION;
	}
	return start(s, mechanism, initial, has_initial);
}
