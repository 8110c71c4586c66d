/*
 * The transaction in hand: its envelope, its content on the way from the
 * scanner to queued, its end.  Runs in the session, on what the client sends.
 * A message that must be refused is swallowed to its end and then answered;
 * one that was answered 250 is durable at queued.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "common/mail/complete.h"
#include "common/mail/envelope.h"
#include "common/mail/phrase.h"
#include "common/mime/header.h"
#include "common/proto/address.h"
#include "common/proto/queue.h"
#include "smtpd/counters.h"
#include "smtpd/param.h"
#include "smtpd/received.h"
#include "smtpd/session.h"

#define KEEP_RCPTS 16 /* what a session keeps room for between messages */
#define KEEP_TEXT 1024
#define FIELD_KEPT 8192 /* octets of a field whose addresses are completed */

bool
message_open(struct session *s, const struct address *from,
    const struct params *p, struct status *st)
{
	struct mail_id id = id_new(p->now_ms);

	if (!enqueue_open(s, slice_of(id.s), p->size)) {
		*st = s->queue.status;
		return false;
	}
	s->mail.id = id;
	s->mail.flags = p->flags;
	s->mail.by_at_ms = p->by_at_ms;
	s->mail.own = s->user.is && user_owns(s, from);
	buf_addslice(&s->mail.from, from->text);
	if (from->domain.len > 0 && from->text.len == from->local.len)
		buf_printf(&s->mail.from, "@%.*s", SLICE_FMT(from->domain));
	buf_addslice(&s->mail.envid, p->envid);
	s->mail.deadline_ms = clock_mono_ms() +
	    (int64_t)s->conf->smtp_transaction_timeout_ms;
	return true;
}

/* As for all transactions before the first. */
static void
forget(struct session *s)
{
	struct mail *m = &s->mail;

	m->id.s[0] = '\0';
	m->flags = 0;
	m->by_at_ms = 0;
	m->own = false;
	buf_reset(&m->from);
	buf_reset(&m->envid);
	buf_reset(&m->text);
	buf_reset(&m->first);
	buf_reset(&m->msgid);
	if (m->text.cap > KEEP_TEXT)
		buf_free(&m->text);
	if (m->rcpts_cap > KEEP_RCPTS) {
		free(m->rcpts);
		m->rcpts = NULL;
		m->rcpts_cap = 0;
	}
	m->nrcpts = 0;
	m->accepted = m->refused = 0;
	m->started = false;
	m->header_done = false;
	m->octets = 0;
	m->faults = 0;
	if (s->complete != NULL)
		complete_reset(s->complete);
}

void
message_drop(struct session *s)
{
	if (s->mail.id.s[0] == '\0')
		return;
	enqueue_abort(s);
	forget(s);
}

/* The recipients in hand as the contract has them; the caller frees v. */
static struct chan_list
recipients(const struct mail *m)
{
	struct env_recipient *v = mem_array(m->nrcpts > 0 ? m->nrcpts : 1,
	    sizeof(*v));

	for (size_t i = 0; i < m->nrcpts; i++) {
		const struct rcpt *r = &m->rcpts[i];
		const char *text = m->text.s + r->at;

		v[i].address = slice_mem(text, r->address_len);
		v[i].orcpt = slice_mem(text + r->address_len, r->orcpt_len);
		v[i].notify = r->notify;
	}
	return (struct chan_list){v, m->nrcpts};
}

static void
add_received(struct session *s, const struct envelope *env, struct buf *out)
{
	struct received r = {
	    .helo = env->client_helo,
	    .ip = s->ip,
	    .hostname = slice_of(s->conf->hostname),
	    .protocol = env->protocol,
	    .id = env->id,
	    .recipient = SLICE_EMPTY,
	    .login = env->login,
	    .uid = s->user.uid,
	    .now_ms = clock_real_ms(),
	};

	/* RFC 5321 7.2: a second recipient may be a blind one. */
	if (s->mail.accepted == 1)
		r.recipient = buf_slice(&s->mail.first);
	received_add(&r, out);
}

static void
send_envelope(struct session *s)
{
	struct mail *m = &s->mail;
	struct buf prepend = BUF_INIT(ENV_RECEIVED_MAX);
	struct envelope env = {
	    .id = slice_of(m->id.s),
	    .from = buf_slice(&m->from),
	    .flags = m->flags,
	    .envid = buf_slice(&m->envid),
	    .by_at_ms = m->by_at_ms,
	    .client_ip = s->user.is ? SLICE_EMPTY : slice_of(s->ip_text),
	    .client_helo = s->helo,
	    .protocol = received_protocol(s->esmtp,
	        (m->flags & ENV_SMTPUTF8) != 0),
	    .login = buf_slice(&s->user.login),
	    .sid = slice_of(s->sid),
	    .recipients = recipients(m),
	};

	add_received(s, &env, &prepend);
	env.prepend = buf_slice(&prepend);
	enqueue_envelope(s, &env);
	free(env.recipients.v);
	buf_free(&prepend);
}

/* The recipients in hand go to queued, the envelope in front of the first. */
static void
send_recipients(struct session *s)
{
	struct mail *m = &s->mail;
	struct queue_rcpts more;

	if (!m->started) {
		send_envelope(s);
		m->started = true;
	} else if (m->nrcpts > 0) {
		more.recipients = recipients(m);
		enqueue_rcpts(s, &more);
		free(more.recipients.v);
	}
	m->nrcpts = 0;
	buf_reset(&m->text);
}

void
message_add(struct session *s, struct slice address, const struct params *p)
{
	struct mail *m = &s->mail;
	struct rcpt r = {.notify = p->notify};

	/* A session holds one record's worth and no more. */
	if (m->nrcpts == ENV_RCPTS_A_RECORD)
		send_recipients(s);
	r.at = (uint32_t)m->text.len;
	r.address_len = (uint16_t)address.len;
	r.orcpt_len = (uint16_t)p->orcpt.len;
	buf_addslice(&m->text, address);
	buf_addslice(&m->text, p->orcpt);
	MEM_PUSH(m->rcpts, m->nrcpts, m->rcpts_cap, r);
	if (m->accepted++ == 0)
		buf_addslice(&m->first, address);
	s->recipients++;
	stats_add(COUNT_RCPTS, 1);
}

/* A field of the header: what the log and `postern trace` know a message by,
 * and what completion looks at. */
static void
field(void *arg, const struct header_field *f)
{
	struct session *s = arg;
	struct mail *m = &s->mail;
	size_t open = slice_find(f->value, '<', 0);

	if (m->msgid.len == 0 && header_is(f, "Message-ID"))
		buf_addslice(&m->msgid, slice_sub(slice_trim(slice_sub(
		    f->value, open < f->value.len ? open : 0, f->value.len)), 0,
		    MESSAGE_ID_MAX));
	if (s->complete != NULL)
		complete_field(s->complete, f);
}

/* RFC 6409 8: only of what begins its way here. */
static void
need_completion(struct session *s)
{
	if (!s->submission || s->complete != NULL)
		return;
	s->complete = mem_alloc(sizeof(*s->complete));
	complete_init(s->complete, slice_of(s->conf->local_domain));
}

void
message_start(struct session *s, bool dots)
{
	send_recipients(s);
	content_init(&s->mail.content, dots,
	    (s->mail.flags & ENV_BINARYMIME) != 0);
	need_completion(s);
	if (s->header == NULL)
		s->header = header_scan_new(s->submission ? FIELD_KEPT : 0,
		    field, s);
	else
		header_scan_reset(s->header);
}

static void
check_header(struct session *s)
{
	const struct header_counts *n = header_scan_counts(s->header);

	if (n->octets > s->conf->header_size_max)
		s->mail.faults |= FAULT_HEADER;
	/* RFC 5321 6.3 */
	if (n->received > s->conf->hops_max)
		s->mail.faults |= FAULT_HOPS;
}

void
message_content(void *arg, struct slice run)
{
	struct session *s = arg;
	struct mail *m = &s->mail;

	if (m->faults != 0)
		return;
	m->octets += run.len;
	if (m->octets > s->conf->message_size_max) {
		m->faults |= FAULT_SIZE;
		return;
	}
	if (!m->header_done) {
		header_scan_feed(s->header, run.p, run.len);
		m->header_done = header_scan_done(s->header);
		check_header(s);
	}
	enqueue_put(s, run);
	if (s->queue.failed)
		m->faults |= FAULT_QUEUE;
}

/* Why the message is refused: what it is wrong with before what is wrong with
 * us. */
static void
fault_status(const struct session *s, struct status *st)
{
	unsigned faults = s->mail.faults;

	if (faults & FAULT_BARE)
		status_set(st, 554, 6, 0, "Bare CR or LF in the message; "
		    "lines end in CRLF");
	else if (faults & FAULT_NUL)
		status_set(st, 554, 6, 0, "NUL in the message");
	else if (faults & FAULT_SIZE)
		status_set(st, 552, 3, 4, "Message larger than %llu octets",
		    (unsigned long long)s->conf->message_size_max);
	else if (faults & FAULT_HEADER)
		status_set(st, 552, 3, 4, "Header larger than %llu octets",
		    (unsigned long long)s->conf->header_size_max);
	else if (faults & FAULT_BCC)
		status_set(st, 554, 6, 0, "Too many Bcc fields to take out");
	else if (faults & FAULT_HOPS)
		status_set(st, 554, 4, 6, "More than %llu Received fields: "
		    "the message runs in a circle",
		    (unsigned long long)s->conf->hops_max);
	else
		*st = s->queue.status;
}

static void
accepted(struct session *s, const struct status *st)
{
	struct mail *m = &s->mail;

	/* As completion has put it there. */
	if (m->msgid.len == 0 && s->complete != NULL)
		buf_printf(&m->msgid, "<%s@%s>", m->id.s, s->conf->hostname);
	LOG_INFO("accepted", LS("id", m->id.s), LS("ip", s->ip_text),
	    LB("from", buf_slice(&m->from)), LB("to", buf_slice(&m->first)),
	    LU("rcpts", m->accepted), LU("size", m->octets),
	    LB("msgid", buf_slice(&m->msgid)));
	stats_add(COUNT_MESSAGES, 1);
	stats_add(COUNT_OCTETS, m->octets);
	s->messages++;
	s->octets += m->octets;
	s->errors = 0;
	s->idle = 0;
	reply(s, st->code, "2.0.0", "Queued as %s", m->id.s);
}

/* What the header lacks, of all of it. */
static struct chan_list
edits(struct session *s, struct buf *name)
{
	struct complete_facts facts = {.id = slice_of(s->mail.id.s),
	    .hostname = slice_of(s->conf->hostname),
	    .sender = buf_slice(&s->mail.from), .date_ms = clock_real_ms()};

	if (s->complete == NULL)
		return (struct chan_list){NULL, 0};
	if (s->mail.own)
		phrase_gecos(buf_slice(&s->user.full_name),
		    buf_slice(&s->user.login), name);
	facts.name = buf_slice(name);
	return complete_end(s->complete, &facts);
}

void
message_finish(struct session *s)
{
	struct mail *m = &s->mail;
	struct buf name = BUF_INIT(ADDRESS_FULL_NAME_MAX);
	struct chan_list list;
	struct status st;
	int64_t began_us;

	if (m->content.bare)
		m->faults |= FAULT_BARE;
	if (m->content.nul)
		m->faults |= FAULT_NUL;
	header_scan_end(s->header);
	check_header(s);
	if (s->complete != NULL && s->complete->too_many)
		m->faults |= FAULT_BCC;
	if (m->faults != 0) {
		enqueue_abort(s);
		fault_status(s, &st);
	} else {
		list = edits(s, &name);
		began_us = clock_mono_us();
		enqueue_end(s, &list, &st);
		stats_observe(COUNT_COMMIT_TIME, clock_mono_us() - began_us);
		buf_free(&name);
	}
	if (status_class(&st) == STATUS_OK) {
		accepted(s, &st);
	} else {
		stats_add(status_class(&st) == STATUS_TEMPORARY
		    ? COUNT_MESSAGES_4 : COUNT_MESSAGES_5, 1);
		reply_status(s, &st);
	}
	forget(s);
}
