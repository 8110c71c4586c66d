/*
 * One file of the drop directory.  Runs in a process of its own, which has that
 * file, connections to queued and authd, and nothing else: any user of the host
 * may have written what is read here.  Who that is said the kernel.
 *
 * What the file says is checked as smtpd checks what it is told, and the header
 * is completed in the same way.
 */
#include <sys/stat.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/mail/address.h"
#include "common/mail/complete.h"
#include "common/mail/envelope.h"
#include "common/mail/phrase.h"
#include "common/mime/header.h"
#include "common/proto/address.h"
#include "common/proto/queue_client.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "queue/counters.h"
#include "queue/drop.h"
#include "queue/pickup.h"

#define PIECE 65536
#define KEEP_FIELD 16384     /* of a field, for its completion */
#define WHO_WAIT_MS 10000

/* In the order of submit_sender_check's words. */
enum { SENDER_ANY, SENDER_OWN };

struct work {
	const struct conf *c;
	const struct pickup_job *job;
	struct buf text;         /* the head, then octets of the message */
	struct drop_head h;
	struct buf login;        /* name of the owner, or "uid:1000" */
	struct buf full_name;    /* or "" */
	bool named;
	struct queue_client *q;
	/* The message on its way */
	struct header_scan *scan;
	struct complete complete;
	uint64_t left;           /* octets still to come */
	char last;               /* octet of it so far */
	bool eight_bit;          /* one above 127 came */
	const char *why;         /* what is wrong with it, or NULL */
};

static enum pickup_end
no_mail(struct work *w, const char *why)
{
	stats_add(COUNT_NOT_TAKEN, 1);
	LOG_WARN("not-taken", LS("name", w->job->name),
	    LU("uid", w->job->uid), LS("why", why));
	return PICKUP_NO_MAIL;
}

/* ---- the head ---- */

/* The next octets of the file behind those in text; 0: its end, -1: errno. */
static ssize_t
read_more(struct work *w)
{
	char *room = buf_room(&w->text, PIECE);
	ssize_t n;

	if (room == NULL) {
		errno = EFBIG;
		return -1;
	}
	do
		n = read(w->job->fd, room, PIECE);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		buf_wrote(&w->text, (size_t)n);
	return n;
}

/* Up to where the head may end.  PICKUP_TAKEN: go on. */
static enum pickup_end
read_on(struct work *w)
{
	size_t from;
	ssize_t n;

	do {
		from = w->text.len;
		n = read_more(w);
		if (n == 0)
			return PICKUP_SHORT;
		if (n < 0 && errno == EFBIG)
			return no_mail(w, "its head is too large");
		if (n < 0) {
			log_warn("%s", w->job->name);
			return PICKUP_REFUSED;
		}
		/* The first piece shows whether it is one of ours at all. */
	} while (from > 0 && !drop_may_end(&w->text, from));
	return PICKUP_TAKEN;
}

/* recipients_max is a limit of one SMTP transaction: with smtpd there the same
 * recipients would have come in several. */
static enum pickup_end
read_head(struct work *w)
{
	const char *why = "";
	enum drop_result r;
	enum pickup_end end;

	while ((r = drop_read(&w->text, DROP_RCPTS_MAX, &w->h, &why)) ==
	    DROP_MORE) {
		end = read_on(w);
		if (end != PICKUP_TAKEN)
			return end;
	}
	if (r == DROP_NEWER) {
		LOG_WARN("newer-file", LS("name", w->job->name),
		    LU("uid", w->job->uid), LS("why", "a newer release wrote "
		    "it, or nobody; it is left"));
		return PICKUP_NEWER;
	}
	if (r == DROP_BAD)
		return no_mail(w, why);
	if (w->h.size > w->c->message_size_max)
		return no_mail(w, "larger than message_size_max");
	w->left = w->h.size;
	return PICKUP_TAKEN;
}

/* ---- who it was ---- */

/* An older authd closes the channel at a question it does not know. */
static bool
speaks(struct chan *c, uint16_t version, int64_t end_ms)
{
	struct pollfd p = {.fd = chan_fd(c), .events = POLLIN};
	int fds[CHAN_MAX_FDS];
	union address_msg msg;
	uint16_t type;
	size_t nfds;
	int64_t left;

	(void)chan_flush(c);
	while (!chan_greeted(c)) {
		left = end_ms - clock_mono_ms();
		if (left <= 0 || (poll(&p, 1, (int)left) == -1 &&
		    errno != EINTR) || chan_recv(c, &type, &msg, sizeof(msg),
		    fds, &nfds) != CHAN_AGAIN)
			return true; /* the question will show it */
	}
	return chan_version(c) >= version;
}

/* False: nobody can say now. */
static bool
ask(struct work *w, struct chan *c)
{
	struct address_who who = {.rid = 1, .uid = w->job->uid};
	int64_t end = clock_mono_ms() + WHO_WAIT_MS;
	int fds[CHAN_MAX_FDS];
	union address_msg msg;
	uint16_t type;
	size_t nfds;

	if (!speaks(c, 2, end))
		return true;
	chan_queue(c, ADDRESS_WHO, &who, NULL, 0);
	if (chan_wait(c, &type, &msg, sizeof(msg), fds, &nfds, end) !=
	    CHAN_OK || type != ADDRESS_USER ||
	    msg.user.result == ADDRESS_TEMP)
		return false;
	if (msg.user.result == ADDRESS_LOCAL) {
		buf_addslice(&w->login, msg.user.name);
		phrase_gecos(msg.user.full_name, msg.user.name,
		    &w->full_name);
	}
	return true;
}

static bool
identify(struct work *w)
{
	struct chan *c;
	bool ok;

	if (w->job->who_fd == -1)
		return false;
	c = chan_new(w->job->who_fd, &address_contract, CHAN_CLIENT);
	ok = ask(w, c);
	chan_free(&c);
	w->named = w->login.len > 0;
	if (!w->named)
		buf_printf(&w->login, "uid:%u", (unsigned)w->job->uid);
	return ok;
}

/* As smtpd has it: with or without an extension. */
static bool
owns(const struct work *w, struct slice from)
{
	struct address a;
	const char *why;
	size_t at;

	if (!w->named || !address_parse(from, true, &a, &why) ||
	    !slice_ieq(a.domain, slice_of(w->c->local_domain)))
		return false;
	at = a.local.len;
	for (const char *d = w->c->recipient_delimiter; *d != '\0'; d++)
		if (slice_find(a.local, *d, 0) < at)
			at = slice_find(a.local, *d, 0);
	return slice_ieq(a.local, buf_slice(&w->login)) ||
	    slice_ieq(slice_sub(a.local, 0, at), buf_slice(&w->login));
}

static bool
may_send(const struct work *w)
{
	return w->c->submit_sender_check == SENDER_ANY || w->job->uid == 0 ||
	    w->h.from.len == 0 || owns(w, w->h.from);
}

/* ---- the message ---- */

/* RFC 5322 3.2.2: ctext */
static void
add_ctext(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		buf_addc(out, c <= ' ' || c >= 0x7f || c == '(' || c == ')' ||
		    c == '\\' ? '?' : c);
	}
}

/* RFC 5321 4.4.  "with": no protocol brought it. */
static void
add_received(const struct work *w, struct buf *out)
{
	char date[CLOCK_DATE_SIZE];

	buf_printf(out, "Received: from %s (user ", w->c->hostname);
	add_ctext(buf_slice(&w->login), out);
	buf_printf(out, ", uid %u)\r\n\tby %s with local id %s",
	    (unsigned)w->job->uid, w->c->hostname, w->job->id.s);
	if (w->h.nrcpts == 1) {
		buf_adds(out, "\r\n\tfor <");
		buf_addslice(out, w->h.rcpts[0].address);
		buf_addc(out, '>');
	}
	clock_rfc5322(clock_real_ms(), date);
	buf_printf(out, ";\r\n\t%s\r\n", date);
}

static bool
send_envelope(struct work *w)
{
	struct buf prepend = BUF_INIT(ENV_RECEIVED_MAX);
	struct envelope env = {
	    .id = slice_of(w->job->id.s),
	    .from = w->h.from,
	    .flags = w->h.flags,
	    .envid = w->h.envid,
	    .client_ip = SLICE_EMPTY,
	    .client_helo = SLICE_EMPTY,
	    .protocol = SLICE("local"),
	    .login = buf_slice(&w->login),
	    .sid = SLICE_EMPTY,
	    .recipients = {w->h.rcpts, w->h.nrcpts},
	};
	bool ok;

	add_received(w, &prepend);
	env.prepend = buf_slice(&prepend);
	ok = queue_client_envelope(w->q, &env);
	buf_free(&prepend);
	return ok;
}

/* sendmail writes CRLF and nothing else: RFC 5321 2.3.8. */
static void
check_octets(struct work *w, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if ((c == '\n') != (w->last == '\r'))
			w->why = "a bare CR or LF in it";
		if (c == '\0')
			w->why = "a NUL in it";
		w->last = c;
		w->eight_bit = w->eight_bit || (unsigned char)c > 127;
	}
	if (w->eight_bit && (w->h.flags & ENV_8BITMIME) == 0)
		w->why = "octets above 127, and its head says there are none";
}

static void
check_header(struct work *w)
{
	const struct header_counts *n = header_scan_counts(w->scan);

	if (n->octets > w->c->header_size_max)
		w->why = "header larger than header_size_max";
	/* RFC 5321 6.3 */
	if (n->received > w->c->hops_max)
		w->why = "more Received fields than hops_max";
	if (w->complete.too_many)
		w->why = "too many Bcc fields";
}

/* False: stop, why or queued says the reason. */
static bool
pass(struct work *w, struct slice s)
{
	if (s.len > w->left)
		w->why = "octets behind its end";
	else
		check_octets(w, s);
	if (w->why != NULL)
		return false;
	if (!header_scan_done(w->scan)) {
		(void)header_scan_feed(w->scan, s.p, s.len);
		check_header(w);
	}
	w->left -= s.len;
	return w->why == NULL && queue_client_put(w->q, s);
}

static enum pickup_end
read_content(struct work *w, struct buf *piece)
{
	ssize_t n;

	/* What came with the head first. */
	if (!pass(w, slice_sub(buf_slice(&w->text), w->h.length, w->text.len)))
		return PICKUP_REFUSED;
	for (;;) {
		buf_reset(piece);
		n = read(w->job->fd, buf_room(piece, PIECE), PIECE);
		if (n == 0)
			return w->left == 0 ? PICKUP_TAKEN : PICKUP_SHORT;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			log_warn("%s", w->job->name);
		if (n < 0 || !pass(w, slice_mem(piece->s, (size_t)n)))
			return PICKUP_REFUSED;
	}
}

static enum pickup_end
send_content(struct work *w)
{
	struct buf piece = BUF_INIT(PIECE);
	enum pickup_end end = read_content(w, &piece);

	buf_free(&piece);
	if (end != PICKUP_TAKEN)
		return end;
	if (w->last != '\n')
		w->why = "its last line does not end";
	header_scan_end(w->scan);
	check_header(w);
	return w->why == NULL ? PICKUP_TAKEN : PICKUP_REFUSED;
}

/* The wall clock's word when it was left, unless its owner set it to
 * nonsense. */
static int64_t
submitted_ms(const struct work *w)
{
	int64_t now = clock_real_ms();

	return w->job->left_ms > 0 && w->job->left_ms <= now ? w->job->left_ms
	    : now;
}

static enum pickup_end
from_status(const struct status *st)
{
	if (status_class(st) == STATUS_OK)
		return PICKUP_TAKEN;
	if (status_class(st) == STATUS_PERMANENT)
		return PICKUP_NO_MAIL;
	return st->subject == 3 && st->detail == 0 ? PICKUP_DOWN
	    : PICKUP_REFUSED;
}

static enum pickup_end
commit(struct work *w)
{
	struct complete_facts facts = {.id = slice_of(w->job->id.s),
	    .hostname = slice_of(w->c->hostname), .sender = w->h.from,
	    .name = SLICE_EMPTY, .date_ms = submitted_ms(w)};
	struct chan_list edits;
	struct status st;
	enum pickup_end end;

	if (owns(w, w->h.from)) /* somebody else's name is not known */
		facts.name = buf_slice(&w->full_name);
	edits = complete_end(&w->complete, &facts);
	queue_client_end(w->q, &edits, &st);
	end = from_status(&st);
	if (end == PICKUP_TAKEN) {
		stats_add(COUNT_TAKEN, 1);
		stats_add(COUNT_TAKEN_OCTETS, w->h.size);
		LOG_INFO("accepted", LS("id", w->job->id.s),
		    LS("name", w->job->name), LU("uid", w->job->uid),
		    LB("login", buf_slice(&w->login)), LB("from", w->h.from),
		    LB("to", w->h.rcpts[0].address), LU("rcpts", w->h.nrcpts),
		    LU("size", w->h.size));
	} else {
		LOG_WARN("not-queued", LS("id", w->job->id.s),
		    LS("name", w->job->name), LU("uid", w->job->uid),
		    LU("status", st.code), LS("why", st.text));
	}
	return end;
}

static enum pickup_end
hand_in(struct work *w)
{
	enum pickup_end end;
	struct status st;

	if (!queue_client_open(w->q, slice_of(w->job->id.s), w->h.size) ||
	    !send_envelope(w)) {
		queue_client_end(w->q, NULL, &st);
		return from_status(&st) == PICKUP_DOWN ? PICKUP_DOWN
		    : PICKUP_REFUSED;
	}
	w->scan = header_scan_new(KEEP_FIELD, complete_field, &w->complete);
	end = send_content(w);
	if (end == PICKUP_TAKEN)
		return commit(w);
	queue_client_abort(w->q);
	return w->why != NULL ? no_mail(w, w->why) : end;
}

enum pickup_end
pickup_file(const struct conf *c, const struct pickup_job *job)
{
	struct work w = {.c = c, .job = job, .text = BUF_INIT(DROP_HEAD_MAX),
	    .login = BUF_INIT(ADDRESS_LOGIN_MAX),
	    .full_name = BUF_INIT(PHRASE_NAME_MAX), .why = NULL};
	enum pickup_end end;

	complete_init(&w.complete, slice_of(c->local_domain));
	w.q = queue_client_new(job->queue_fd);
	end = read_head(&w);
	if (end == PICKUP_TAKEN && (w.q == NULL || !identify(&w)))
		end = PICKUP_DOWN;
	else if (job->who_fd != -1 && end != PICKUP_TAKEN)
		close(job->who_fd);
	if (end == PICKUP_TAKEN && !may_send(&w))
		end = no_mail(&w, "its owner may not send from that address "
		    "(submit_sender_check)");
	if (end == PICKUP_TAKEN)
		end = hand_in(&w);
	header_scan_free(&w.scan);
	complete_free(&w.complete);
	drop_head_free(&w.h);
	queue_client_free(&w.q);
	buf_free(&w.text);
	buf_free(&w.login);
	buf_free(&w.full_name);
	return end;
}

int
pickup_process(const struct conf *c, const struct pickup_job *job)
{
	proc_title("uid %u", (unsigned)job->uid);
	sandbox_enter(ROLE_PICKUP_FILE, NULL);
	return (int)pickup_file(c, job);
}
