/*
 * The dialogue of a POP3 client with its process: command lines in, replies
 * out, until somebody ends it.  Runs in the login session and in the mailbox
 * process; its input is the client's, every octet of it hostile until checked.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "common/io/stream.h"
#include "pop3d/session.h"

#define LINGER_MS 500    /* for a client to read why it is sent away */
#define LINGER_MAX 65536 /* octets thrown away meanwhile */

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
	sigdelset(waiting, SIGTERM);
}

static enum state
broken(struct session *s, enum line_result result)
{
	if (result == LINE_ERROR && errno == EINTR && stop) {
		reply_no(s, "SYS/TEMP", "The server is being stopped");
		s->end = "stopped";
		return STATE_CLOSED;
	}
	/* RFC 1939 3: the autologout timer closes without a word. */
	s->end = result == LINE_TIMEOUT ? "timeout"
	    : result == LINE_EOF ? "closed" : "error";
	return STATE_CLOSED;
}

static enum state
one_command(struct session *s, const struct commands *commands,
    const sigset_t *waiting)
{
	struct slice line = SLICE_EMPTY;
	enum line_result result;

	stream_idle(s->net, s->idle_ms);
	stream_deadline(s->net, s->end_ms);
	stream_interrupt(s->net, &stop, waiting);
	result = stream_line(s->net, (size_t)s->conf->pop3_line_max, &line);
	stream_interrupt(s->net, NULL, NULL);
	switch (result) {
	case LINE_OK:
		if (memchr(line.p, '\0', line.len) == NULL)
			return command_run(s, commands, line);
		reply_error(s, "", "NUL in the command");
		return s->state;
	case LINE_LONG:
		reply_error(s, "", "Line too long");
		return s->state;
	case LINE_BARE:
		reply_error(s, "", "Bare CR or LF; lines end in CRLF");
		return s->state;
	case LINE_EOF:
	case LINE_TIMEOUT:
	case LINE_ERROR:
		break;
	}
	return broken(s, result);
}

/* Who was sent away shall read why: with input left unread the kernel would
 * reset the connection and take the last reply with it. */
static bool
sent_away(const struct session *s)
{
	static const char *const why[] = {"errors", "stopped", "mailbox"};

	for (size_t i = 0; i < sizeof(why) / sizeof(why[0]); i++)
		if (strcmp(s->end, why[i]) == 0)
			return true;
	return false;
}

static void
see_off(struct session *s)
{
	struct slice in;
	size_t dropped = 0;

	if (stream_flush(s->net) != STREAM_OK || !sent_away(s))
		return;
	stream_idle(s->net, LINGER_MS);
	stream_deadline(s->net, clock_mono_ms() + LINGER_MS);
	while (dropped < LINGER_MAX &&
	    stream_peek(s->net, 1, &in) == STREAM_OK) {
		dropped += in.len;
		stream_consume(s->net, in.len);
	}
}

void
session_serve(struct session *s, const struct commands *commands)
{
	sigset_t waiting;

	catch_term(&waiting);
	while (s->state != STATE_CLOSED) {
		s->state = one_command(s, commands, &waiting);
		if (s->state != STATE_CLOSED &&
		    s->errors >= s->conf->pop3_errors_max) {
			reply_no(s, "", "Too many errors");
			s->end = "errors";
			s->state = STATE_CLOSED;
		}
	}
	if (s->alive_fd >= 0)
		close(s->alive_fd);
	if (!s->handed_over)
		see_off(s);
}
