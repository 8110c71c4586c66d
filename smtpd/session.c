/*
 * The life of a session: from the fork in the parent to the last reply.  Its
 * input is the client's, every octet of it hostile until checked.  It holds no
 * secret, no file and no right but to its client's socket, to two channels the
 * parent hands it and to a pipe of its own.
 */
#include <sys/socket.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/io/chan.h"
#include "common/proto/address.h"
#include "common/proto/session.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "smtpd/command.h"
#include "smtpd/counters.h"
#include "smtpd/session.h"

#define CHANNEL_WAIT_MS 10000 /* for the parent to connect */
#define LINGER_MS 500         /* for a client to read why it is sent away */
#define LINGER_MAX 262144     /* octets thrown away meanwhile */

static volatile sig_atomic_t stop;

static void
on_term(int signo)
{
	(void)signo;
	stop = 1;
}

/* SIGTERM is let in only while a command is waited for. */
static void
catch_term(sigset_t *waiting)
{
	struct sigaction sa;
	sigset_t term;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_term;
	sigaction(SIGTERM, &sa, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, waiting);
}

int64_t
session_deadline(const struct session *s)
{
	if (s->mail.id.s[0] != '\0' && s->mail.deadline_ms < s->end_ms)
		return s->mail.deadline_ms;
	return s->end_ms;
}

int
session_channel(struct session *s, unsigned service)
{
	enum session_service wanted[2] = {SERVICE_QUEUE, SERVICE_ADDRESS};
	int fds[2] = {-1, -1};
	bool both;

	if (service == SERVICE_QUEUE || service == SERVICE_ADDRESS) {
		fds[0] = front_take(&s->way, service == SERVICE_QUEUE ? 0 : 1);
		if (fds[0] != -1)
			return fds[0];
	}
	if (service == SERVICE_ADDRESS && s->lookup_fd != -1) {
		fds[1] = s->lookup_fd;
		s->lookup_fd = -1;
		return fds[1];
	}
	if (s->parent == NULL)
		s->parent = front_parent(&s->way);
	if (s->parent == NULL)
		return -1;
	both = service == SERVICE_QUEUE && s->lookup == NULL &&
	    s->lookup_fd == -1 && s->way.ahead[1] == -1;
	wanted[0] = (enum session_service)service;
	session_get_channels(s->parent, wanted, both ? 2 : 1, fds,
	    clock_mono_ms() + CHANNEL_WAIT_MS);
	if (both)
		s->lookup_fd = fds[1];
	return fds[0];
}

enum state
session_broken(struct session *s, enum stream_result result)
{
	if (result == STREAM_TIMEOUT)
		return reply_close(s, "timeout", "4.4.2", "Timed out");
	if (result == STREAM_ERROR && errno == EINTR && stop)
		return reply_close(s, "stopped", "4.3.2",
		    "%s is being stopped, come back later", s->conf->hostname);
	s->end = result == STREAM_EOF ? "closed" : "error";
	return STATE_CLOSED;
}

static void
set_peer(struct session *s, const struct ip *ip)
{
	s->ip = *ip;
	ip_text(ip, s->ip_text);
	s->relay = net_any_has(s->conf->relay_networks.v,
	    s->conf->relay_networks.n, ip);
	proc_title("session %s", s->ip_text);
}

/* A user of this host may send anywhere, as one of relay_networks. */
static void
set_user(struct session *s, uid_t uid)
{
	s->user.is = true;
	s->user.uid = uid;
	s->relay = s->submission = true;
	snprintf(s->ip_text, sizeof(s->ip_text), "uid:%u", (unsigned)uid);
	proc_title("session %s", s->ip_text);
}

/* In pieces: an idle session takes no memory. */
static void
greet(struct session *s)
{
	stream_puts(s->net, "220 ");
	stream_puts(s->net, s->conf->hostname);
	stream_puts(s->net, " ");
	stream_puts(s->net, s->conf->smtp_banner);
	stream_puts(s->net, "\r\n");
}

static enum state
one_command(struct session *s, const sigset_t *waiting)
{
	struct slice line = SLICE_EMPTY;
	enum line_result result;

	s->verb = s->arg = SLICE_EMPTY;
	stream_idle(s->net, (int64_t)s->conf->smtp_command_timeout_ms);
	stream_deadline(s->net, session_deadline(s));
	stream_interrupt(s->net, &stop, waiting);
	result = stream_line(s->net, (size_t)s->conf->smtp_line_max, &line);
	stream_interrupt(s->net, NULL, NULL);
	switch (result) {
	case LINE_OK:
		if (memchr(line.p, '\0', line.len) == NULL)
			return smtp_command_run(s, line);
		reply(s, 500, "5.5.2", "NUL in the command");
		return s->state;
	case LINE_LONG:
		reply(s, 500, "5.5.2", "Line too long");
		return s->state;
	case LINE_BARE:
		reply(s, 500, "5.5.2", "Bare CR or LF; lines end in CRLF");
		return s->state;
	case LINE_EOF:
		return session_broken(s, STREAM_EOF);
	case LINE_TIMEOUT:
		return session_broken(s, STREAM_TIMEOUT);
	case LINE_ERROR:
		break;
	}
	return session_broken(s, STREAM_ERROR);
}

/* The last reply must not be lost because input was left unread: the kernel
 * would reset the connection.  The client sees the end at once and closes. */
static void
linger(struct session *s)
{
	struct slice in;
	size_t dropped = 0;

	(void)shutdown(stream_fd(s->net), SHUT_WR);
	stream_deadline(s->net, clock_mono_ms() + LINGER_MS);
	while (dropped < LINGER_MAX &&
	    stream_peek(s->net, 1, &in) == STREAM_OK) {
		dropped += in.len;
		stream_consume(s->net, in.len);
	}
}

static void
serve(struct session *s, const sigset_t *waiting)
{
	while (s->state != STATE_CLOSED) {
		s->state = one_command(s, waiting);
		if (s->state != STATE_CLOSED &&
		    s->errors >= s->conf->errors_max)
			s->state = reply_close(s, "errors", "4.7.0",
			    "Too many errors");
	}
	stream_idle(s->net, LINGER_MS);
	if (stream_flush(s->net) == STREAM_OK && strcmp(s->end, "quit") != 0 &&
	    strcmp(s->end, "closed") != 0 && strcmp(s->end, "timeout") != 0)
		linger(s);
}

static void
log_end(const struct session *s)
{
	int64_t ms = clock_mono_ms() - s->start_ms;

	stats_observe(COUNT_SESSION_TIME, ms * 1000);
	LOG_INFO("session", LS("ip", s->ip_text), LB("helo", s->helo),
	    LU("messages", s->messages),
	    LU("recipients", s->recipients), LU("refused", s->refused),
	    LU("octets", s->octets), LI("ms", ms),
	    LS("end", s->end));
}

void
session_run(const struct front_client *client)
{
	const struct conf *conf = client->conf;
	int keep[] = {client->fd, client->way.door, client->way.ahead[0],
	    client->way.ahead[1]};
	struct ip ip = client->ip;
	struct session s = {
	    .conf = conf,
	    .way = client->way,
	    .local = client->local,
	    .net = client->net,
	    .helo = SLICE_EMPTY,
	    .mail = {.from = BUF_INIT(256), .envid = BUF_INIT(300),
	        .text = BUF_INIT(1048576), .first = BUF_INIT(256),
	        .msgid = BUF_INIT(MESSAGE_ID_MAX)},
	    .user = {.login = BUF_INIT(ADDRESS_LOGIN_MAX),
	        .full_name = BUF_INIT(ADDRESS_FULL_NAME_MAX)},
	    .queue = {.pipe = -1, .room = client->arg},
	    .lookup_fd = -1,
	    .end = "proxy",
	};
	sigset_t waiting;
	bool ok;

	/* What the parent had in memory stays as it is: giving it back would
	 * touch, and so copy, its pages. */
	proc_close_except(keep, sizeof(keep) / sizeof(keep[0]));
	catch_term(&waiting);
	sandbox_enter(ROLE_SMTPD_SESSION, NULL);
	memcpy(s.sid, client->sid, sizeof(s.sid));
	s.start_ms = clock_mono_ms();
	s.end_ms = s.start_ms + (int64_t)conf->smtp_session_timeout_ms;
	stream_attach(s.net, client->fd);
	/* Nothing is answered to a wrong PROXY header: who sends it is no SMTP
	 * client. */
	ok = !client->proxy || front_read_proxy(s.net, s.start_ms +
	    (int64_t)conf->proxy_timeout_ms, &ip, &s.local);
	if (client->user)
		set_user(&s, client->uid);
	else
		set_peer(&s, &ip);
	if (ok) {
		s.state = conf->smtp_helo_required ? STATE_START
		    : STATE_GREETED;
		greet(&s);
		serve(&s, &waiting);
	}
	log_end(&s);
	_exit(0);
}
