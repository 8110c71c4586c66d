/*
 * The mailbox process: POP3 after the login (RFC 1939 5 and 6).  Runs with the
 * rights of the mailbox's owner, caged into that one Maildir.  Its input is the
 * client's commands and the messages, both hostile.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/io/stream.h"
#include "pop3d/counters.h"
#include "pop3d/mailbox.h"
#include "pop3d/maildrop.h"
#include "pop3d/send.h"
#include "pop3d/session.h"

#define OUT_SIZE 32768
#define READ_SIZE 65536

struct mailbox {
	const char *user;
	struct maildrop drop;
	uint32_t retrieved;  /* RETRs that went out whole */
	uint32_t deleted;    /* messages removed at QUIT */
	uint64_t octets;     /* of files read for RETR and TOP */
};

/* The index of a message that is there and not marked deleted; false: said. */
static bool
choose(struct session *s, uint32_t number, size_t *i)
{
	struct maildrop *d = &s->mailbox->drop;

	if (number < 1 || number > d->n) {
		reply_no(s, "", "No such message");
		return false;
	}
	if (d->v[number - 1].deleted) {
		reply_no(s, "", "Message %u is deleted", number);
		return false;
	}
	*i = number - 1;
	return true;
}

static bool
numbers(struct session *s, struct slice arg, uint32_t *v, size_t n)
{
	if (command_numbers(arg, v, n))
		return true;
	reply_error(s, "", n == 1 ? "Not a message number"
	    : "Not a message number and a number of lines");
	return false;
}

static void
refuse(struct session *s, enum maildrop_result r)
{
	switch (r) {
	case MAILDROP_GONE:
		reply_no(s, "", "The message was removed by somebody else");
		break;
	case MAILDROP_PERM:
		reply_no(s, "SYS/PERM", "The message cannot be read");
		break;
	case MAILDROP_OK:
	case MAILDROP_TEMP:
		reply_no(s, "SYS/TEMP", "The message cannot be read now");
		break;
	}
}

/* What STAT and LIST count: messages not marked deleted. */
static void
sum(struct session *s, size_t *n, uint64_t *octets)
{
	struct maildrop *d = &s->mailbox->drop;

	*n = 0;
	*octets = 0;
	maildrop_sizes(d);
	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i].deleted)
			continue;
		++*n;
		*octets += maildrop_size(d, i);
	}
}

static enum state
cmd_stat(struct session *s, struct slice arg)
{
	uint64_t octets;
	size_t n;

	(void)arg;
	sum(s, &n, &octets);
	reply_ok(s, "%zu %llu", n, (unsigned long long)octets);
	return s->state;
}

static enum state
list_one(struct session *s, struct slice arg, bool uidl)
{
	struct maildrop *d = &s->mailbox->drop;
	struct buf id = BUF_INIT(1024);
	uint32_t number;
	size_t i;

	if (!numbers(s, arg, &number, 1) || !choose(s, number, &i))
		return s->state;
	if (uidl) {
		maildrop_uidl(d, i, &id);
		reply_ok(s, "%u %s", number, id.s);
		buf_free(&id);
	} else {
		reply_ok(s, "%u %llu", number,
		    (unsigned long long)maildrop_size(d, i));
	}
	return s->state;
}

static enum state
cmd_list(struct session *s, struct slice arg)
{
	struct maildrop *d = &s->mailbox->drop;
	uint64_t octets;
	size_t n;

	if (slice_trim(arg).len > 0)
		return list_one(s, arg, false);
	sum(s, &n, &octets);
	reply_ok(s, "%zu messages (%llu octets)", n,
	    (unsigned long long)octets);
	for (size_t i = 0; i < d->n; i++)
		if (!d->v[i].deleted)
			stream_printf(s->net, "%zu %llu\r\n", i + 1,
			    (unsigned long long)maildrop_size(d, i));
	stream_puts(s->net, ".\r\n");
	return s->state;
}

static enum state
cmd_uidl(struct session *s, struct slice arg)
{
	struct maildrop *d = &s->mailbox->drop;
	struct buf line = BUF_INIT(1024);

	if (slice_trim(arg).len > 0)
		return list_one(s, arg, true);
	reply_ok(s, "Unique-ID listing follows");
	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i].deleted)
			continue;
		buf_reset(&line);
		buf_addu(&line, i + 1);
		buf_addc(&line, ' ');
		maildrop_uidl(d, i, &line);
		buf_adds(&line, "\r\n");
		stream_put(s->net, buf_slice(&line));
	}
	stream_puts(s->net, ".\r\n");
	buf_free(&line);
	return s->state;
}

/* The file through the wire format.  False: it could not be read to its end. */
static bool
send_file(struct session *s, int fd, uint64_t body_lines)
{
	char *chunk = mem_grow(NULL, READ_SIZE, 1);
	struct send out;
	ssize_t n = 1;

	send_begin(&out, s->net, body_lines);
	while (!out.done && n != 0) {
		n = read(fd, chunk, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		s->mailbox->octets += (uint64_t)n;
		send_octets(&out, slice_mem(chunk, (size_t)n));
	}
	if (n >= 0)
		send_end(&out);
	explicit_bzero(chunk, READ_SIZE);
	free(chunk);
	return n >= 0;
}

static enum state
transmit(struct session *s, size_t i, uint64_t body_lines)
{
	struct maildrop *d = &s->mailbox->drop;
	enum maildrop_result r;
	int fd;
	bool whole;

	r = maildrop_read(d, i, &fd);
	if (r != MAILDROP_OK) {
		refuse(s, r);
		return s->state;
	}
	if (body_lines == SEND_ALL)
		reply_ok(s, "%llu octets",
		    (unsigned long long)maildrop_size(d, i));
	else
		reply_ok(s, "Top of message follows");
	whole = send_file(s, fd, body_lines);
	if (!whole)
		LOG_WARN("unreadable", LS("file", d->v[i].name), LE());
	close(fd);
	if (whole)
		return s->state;
	/* What is out cannot be taken back; without its dot the client knows
	 * that it does not have the message. */
	s->end = "unreadable";
	return STATE_CLOSED;
}

static enum state
cmd_retr(struct session *s, struct slice arg)
{
	enum state next;
	uint32_t number;
	size_t i;

	if (!numbers(s, arg, &number, 1) || !choose(s, number, &i))
		return s->state;
	next = transmit(s, i, SEND_ALL);
	if (next == s->state && !s->mailbox->drop.v[i].gone) {
		s->mailbox->drop.v[i].seen = true;
		s->mailbox->retrieved++;
	}
	return next;
}

static enum state
cmd_top(struct session *s, struct slice arg)
{
	uint32_t v[2];
	size_t i;

	if (!numbers(s, arg, v, 2) || !choose(s, v[0], &i))
		return s->state;
	return transmit(s, i, v[1]);
}

static enum state
cmd_dele(struct session *s, struct slice arg)
{
	uint32_t number;
	size_t i;

	if (!numbers(s, arg, &number, 1) || !choose(s, number, &i))
		return s->state;
	s->mailbox->drop.v[i].deleted = true;
	reply_ok(s, "Message %u will be deleted", number);
	return s->state;
}

static enum state
cmd_noop(struct session *s, struct slice arg)
{
	(void)arg;
	reply_ok(s, "Nothing done");
	return s->state;
}

static enum state
cmd_rset(struct session *s, struct slice arg)
{
	struct maildrop *d = &s->mailbox->drop;

	(void)arg;
	for (size_t i = 0; i < d->n; i++)
		d->v[i].deleted = false;
	reply_ok(s, "%zu messages", d->n);
	return s->state;
}

static enum state
cmd_quit(struct session *s, struct slice arg)
{
	struct maildrop *d = &s->mailbox->drop;
	size_t marked = 0, failed;

	(void)arg;
	for (size_t i = 0; i < d->n; i++)
		marked += d->v[i].deleted;
	failed = maildrop_update(d);
	s->mailbox->deleted = (uint32_t)(marked - failed);
	if (failed > 0)
		reply_no(s, "SYS/TEMP", "%zu of %zu messages could not be "
		    "deleted", failed, marked);
	else
		reply_ok(s, "%zu messages deleted", marked);
	s->end = "quit";
	return STATE_CLOSED;
}

static const struct command table[] = {
	{"STAT", IN(TRANSACTION), ARGS_NONE, cmd_stat},
	{"LIST", IN(TRANSACTION), ARGS_OPTIONAL, cmd_list},
	{"RETR", IN(TRANSACTION), ARGS_NEEDED, cmd_retr},
	{"DELE", IN(TRANSACTION), ARGS_NEEDED, cmd_dele},
	{"NOOP", IN(TRANSACTION), ARGS_NONE, cmd_noop},
	{"RSET", IN(TRANSACTION), ARGS_NONE, cmd_rset},
	{"TOP", IN(TRANSACTION), ARGS_NEEDED, cmd_top},
	{"UIDL", IN(TRANSACTION), ARGS_OPTIONAL, cmd_uidl},
	{"CAPA", IN(TRANSACTION), ARGS_OPTIONAL, cmd_capa},
	{"LANG", IN(TRANSACTION), ARGS_OPTIONAL, cmd_lang},
	{"QUIT", IN(TRANSACTION), ARGS_NONE, cmd_quit},
	/* Of the AUTHORIZATION state */
	{"USER", IN(AUTHORIZATION), ARGS_OPTIONAL, NULL},
	{"PASS", IN(AUTHORIZATION), ARGS_OPTIONAL, NULL},
	{"APOP", IN(AUTHORIZATION), ARGS_OPTIONAL, NULL},
	{"AUTH", IN(AUTHORIZATION), ARGS_OPTIONAL, NULL},
	{"STLS", IN(AUTHORIZATION), ARGS_OPTIONAL, NULL},
	{"UTF8", IN(AUTHORIZATION), ARGS_OPTIONAL, NULL},
};

static const struct commands commands = {table,
    sizeof(table) / sizeof(table[0])};

static void
greet(struct session *s, enum maildrop_result r, const char *maildir)
{
	if (r == MAILDROP_OK) {
		reply_ok(s, "%zu messages", s->mailbox->drop.n);
		return;
	}
	stats_add(COUNT_MAILBOXES_CLOSED, 1);
	LOG_WARN("mailbox-closed", LS("user", s->mailbox->user),
	    LS("path", maildir), LU("uid", geteuid()), LE(),
	    LS("mend", "make it and what is in it belong to this uid, mode "
		"0700, and let the uid reach it"));
	reply_no(s, r == MAILDROP_PERM ? "SYS/PERM" : "SYS/TEMP",
	    "The mailbox cannot be opened%s",
	    r == MAILDROP_PERM ? "" : " now");
	s->end = "mailbox";
	s->state = STATE_CLOSED;
}

static void
log_end(const struct session *s)
{
	const struct mailbox *m = s->mailbox;

	stats_add(COUNT_RETRIEVED, m->retrieved);
	stats_add(COUNT_RETRIEVED_OCTETS, m->octets);
	stats_add(COUNT_DELETED, m->deleted);
	stats_observe(COUNT_MAILBOX_TIME,
	    (clock_mono_ms() - s->start_ms) * 1000);
	LOG_INFO("session", LS("user", m->user), LS("ip", s->ip),
	    LU("messages", m->drop.n), LU("retrieved", m->retrieved),
	    LU("deleted", m->deleted), LU("octets", m->octets),
	    LS("utf8", s->utf8 ? "yes" : "no"),
	    LI("ms", clock_mono_ms() - s->start_ms), LS("end", s->end));
}

void
mailbox_serve(const struct mailbox_start *start)
{
	const struct conf *conf = start->conf;
	struct mailbox mailbox = {.user = start->user};
	struct session s = {
		.conf = conf,
		.state = STATE_TRANSACTION,
		.ip = start->ip,
		.alive_fd = start->alive_fd,
		.utf8 = start->utf8,
		.start_ms = clock_mono_ms(),
		.idle_ms = (int64_t)conf->pop3_idle_timeout_ms,
		.mailbox = &mailbox,
	};

	s.end_ms = s.start_ms + (int64_t)conf->pop3_session_timeout_ms;
	s.net = stream_new(start->fd, SESSION_LEFTOVER_MAX, OUT_SIZE);
	stream_preload(s.net, start->leftover);
	stream_idle(s.net, s.idle_ms);
	greet(&s, maildrop_open(&mailbox.drop, start->maildir,
	    (size_t)conf->pop3_messages_max), start->maildir);
	session_serve(&s, &commands);
	log_end(&s);
	maildrop_close(&mailbox.drop);
	stream_free(&s.net);
}
