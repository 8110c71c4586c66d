/*
 * The connection of a remote process.  What comes in is another host's: replies
 * of any length, in any order, or no SMTP at all; each wait for one has its own
 * end, so that a reply that drips does not hold us longer than none.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/io/stream.h"
#include "remote/session.h"

#define IN_MAX 16384u
#define OUT_MAX 131072u /* a small message with its envelope in one write */
#define STOP_GRACE_MS 10000 /* for an answer that decides on delivered or not */

#define WAIT(name) offsetof(struct conf, remote_##name##_timeout_ms)

/* RFC 5321 4.5.3.2 */
static const struct {
	const char *what;  /* was waited for */
	size_t timeout;    /* where it stands in struct conf */
} steps[STEP_COUNT] = {
	[STEP_NONE] = {"nothing", WAIT(block)},
	[STEP_GREETING] = {"the greeting", WAIT(greeting)},
	[STEP_EHLO] = {"the reply to EHLO", WAIT(helo)},
	[STEP_HELO] = {"the reply to HELO", WAIT(helo)},
	[STEP_RSET] = {"the reply to RSET", WAIT(mail)},
	[STEP_MAIL] = {"the reply to MAIL FROM", WAIT(mail)},
	[STEP_RCPT] = {"the reply to RCPT TO", WAIT(rcpt)},
	[STEP_DATA] = {"the reply to DATA", WAIT(data)},
	[STEP_CHUNK] = {"the reply to BDAT", WAIT(end)},
	[STEP_END] = {"the reply to the end of the message", WAIT(end)},
	[STEP_QUIT] = {"the reply to QUIT", WAIT(quit)},
};

static int64_t
time_for(const struct session *s, enum step step)
{
	const char *base = (const char *)s->conf;
	uint64_t ms;

	memcpy(&ms, base + steps[step].timeout, sizeof(ms));
	return (int64_t)ms;
}

struct session *
session_new(const struct conf *conf, int fd, bool lmtp, const char *host)
{
	struct session *s = mem_alloc(sizeof(*s));

	s->conf = conf;
	s->stream = stream_new(fd, IN_MAX, OUT_MAX);
	s->lmtp = lmtp;
	snprintf(s->host, sizeof(s->host), "%s", host);
	s->deadline_ms = CLOCK_NEVER;
	reply_start(&s->in);
	return s;
}

void
session_free(struct session **sp)
{
	struct session *s = *sp;

	if (s == NULL)
		return;
	stream_free(&s->stream);
	free(s->owed);
	free(s);
	*sp = NULL;
}

bool
session_fresh(const struct session *s)
{
	return stream_silent(s->stream);
}

/* ---- what is owed ---- */

void
session_expect(struct session *s, enum step step, size_t index)
{
	struct pending *bigger;

	if (s->nowed == s->cap) {
		size_t cap = s->cap == 0 ? 16 : s->cap * 2;

		bigger = mem_array(cap, sizeof(*bigger));
		for (size_t i = 0; i < s->nowed; i++)
			bigger[i] = s->owed[(s->first + i) % s->cap];
		free(s->owed);
		s->owed = bigger;
		s->cap = cap;
		s->first = 0;
	}
	s->owed[(s->first + s->nowed++) % s->cap] =
	    (struct pending){step, (uint32_t)index};
}

static enum step
owed_step(const struct session *s)
{
	return s->nowed > 0 ? s->owed[s->first].step : STEP_NONE;
}

static struct pending
owed_take(struct session *s)
{
	struct pending p = {STEP_NONE, 0};

	if (s->nowed > 0) {
		p = s->owed[s->first];
		s->first = (s->first + 1) % s->cap;
		s->nowed--;
	}
	return p;
}

/* ---- faults ---- */

static bool
fail(struct session *s, enum fault fault, const char *why)
{
	if (s->fault != FAULT_NONE)
		return false;
	s->fault = fault;
	s->fault_step = owed_step(s);
	s->fault_errno = errno;
	s->fault_why = why;
	if (fault == FAULT_ERROR && (errno == ECONNRESET || errno == EPIPE))
		s->fault = FAULT_CLOSED;
	if (fault == FAULT_ERROR && errno == EINTR)
		s->fault = FAULT_STOPPED;
	return false;
}

void
session_fault_status(const struct session *s, struct status *st)
{
	const char *what = steps[s->fault_step].what;

	if (s->fault_step == STEP_NONE)
		what = "an end of the sending";
	switch (s->fault) {
	case FAULT_NONE:
	case FAULT_CLOSED:
		status_set(st, 451, 4, 2, "%s closed the connection while we "
		    "waited for %s", s->host, what);
		break;
	case FAULT_TIMEOUT:
		status_set(st, 451, 4, 2, "%s was silent for too long while "
		    "we waited for %s", s->host, what);
		break;
	case FAULT_ERROR:
		status_set(st, 451, 4, 2, "The connection to %s broke while "
		    "we waited for %s: %s", s->host, what,
		    strerror(s->fault_errno));
		break;
	case FAULT_GARBAGE:
		status_set(st, 451, 5, 0, "%s does not speak SMTP: in place "
		    "of %s came %s", s->host, what, s->fault_why);
		break;
	case FAULT_STOPPED:
		status_set(st, 451, 3, 2, "This host was being stopped");
		break;
	}
	if (s->fault_step == STEP_END && s->fault != FAULT_STOPPED)
		status_set(st, st->code, st->subject, st->detail, "%s; the "
		    "message may have arrived all the same", st->text);
}

/* ---- replies ---- */

/* A whole reply is there. */
static bool
dispatch(struct session *s)
{
	struct pending p = owed_take(s);
	struct reply r = s->in;

	reply_start(&s->in);
	if (r.code == 421)
		s->closing = s->busy = true;
	LOG_DEBUG("reply", LS("host", s->host), LS("to", steps[p.step].what),
	    LU("code", r.code), LS("text", r.text));
	if (s->reply == NULL || !s->reply(s->arg, p.step, p.index, &r))
		s->closing = true;
	/* RFC 5321 3.8: what is owed besides will not come. */
	if (r.code == 421)
		return fail(s, FAULT_CLOSED, NULL);
	return true;
}

static bool
take(struct session *s, enum line_result result, struct slice line)
{
	const char *why = "";

	switch (result) {
	case LINE_OK:
		break;
	case LINE_LONG:
		return fail(s, FAULT_GARBAGE, "a line that is too long");
	case LINE_BARE:
		return fail(s, FAULT_GARBAGE, "a line that does not end in "
		    "CRLF");
	case LINE_EOF:
		return fail(s, FAULT_CLOSED, NULL);
	case LINE_TIMEOUT:
		return fail(s, FAULT_TIMEOUT, NULL);
	case LINE_ERROR:
		return fail(s, FAULT_ERROR, NULL);
	}
	switch (reply_line(&s->in, line, &why)) {
	case REPLY_BAD:
		return fail(s, FAULT_GARBAGE, why);
	case REPLY_MORE:
	case REPLY_WHOLE:
		break;
	}
	if (owed_step(s) == STEP_EHLO && s->in.lines > 1)
		offers_line(&s->offers, s->in.said);
	return line.len > 3 && line.p[3] == '-' ? true : dispatch(s);
}

/* Those that are buffered. */
static bool
drain(struct session *s)
{
	enum line_result result;
	struct slice line;

	while (s->fault == FAULT_NONE &&
	    stream_ready(s->stream, REPLY_LINE_MAX, &line, &result))
		(void)take(s, result, line);
	return s->fault == FAULT_NONE;
}

bool
session_quiet(struct session *s)
{
	if (drain(s) && stream_buffered(s->stream) > 0)
		(void)fail(s, FAULT_GARBAGE, "half a line");
	return session_alive(s);
}

/* A write failed: what the peer said before it closed explains it. */
static void
last_words(struct session *s)
{
	enum line_result result;
	struct slice line;

	stream_last_words(s->stream);
	stream_deadline(s->stream, clock_mono_ms() + time_for(s, STEP_QUIT));
	do
		result = stream_line(s->stream, REPLY_LINE_MAX, &line);
	while (take(s, result, line) && s->nowed > 0);
	(void)fail(s, FAULT_CLOSED, NULL);
}

static bool
write_step(struct session *s)
{
	switch (stream_step(s->stream)) {
	case STREAM_OK:
		return drain(s);
	case STREAM_EOF:
		(void)drain(s);
		return fail(s, FAULT_CLOSED, NULL);
	case STREAM_TIMEOUT:
		return fail(s, FAULT_TIMEOUT, NULL);
	case STREAM_ERROR:
		if (errno != EPIPE && errno != ECONNRESET)
			return fail(s, FAULT_ERROR, NULL);
		last_words(s);
		return false;
	}
	return false;
}

static void
ready_to_write(struct session *s)
{
	stream_idle(s->stream, time_for(s, STEP_NONE));
	stream_deadline(s->stream, s->deadline_ms);
}

void
session_put(struct session *s, struct slice octets)
{
	size_t n;

	while (octets.len > 0 && s->fault == FAULT_NONE) {
		n = stream_room(s->stream);
		if (n == 0) {
			ready_to_write(s);
			(void)write_step(s);
			continue;
		}
		if (n > octets.len)
			n = octets.len;
		stream_put(s->stream, slice_sub(octets, 0, n));
		octets = slice_sub(octets, n, octets.len);
	}
}

/* ---- waiting ---- */

static void
ready_to_read(struct session *s)
{
	int64_t end = clock_mono_ms() + time_for(s, owed_step(s));

	if (end > s->deadline_ms)
		end = s->deadline_ms;
	stream_idle(s->stream, CLOCK_NEVER);
	stream_deadline(s->stream, end);
	stream_interrupt(s->stream, s->firm ? NULL : s->stop,
	    s->firm ? NULL : s->stop_mask);
}

/* One reply, with its own end. */
static void
read_reply(struct session *s)
{
	size_t owed = s->nowed;
	enum line_result result;
	struct slice line;

	ready_to_read(s);
	do {
		result = stream_line(s->stream, REPLY_LINE_MAX, &line);
		/* Whether it was delivered is worth a short wait. */
		if (result == LINE_ERROR && errno == EINTR && !s->firm &&
		    owed_step(s) == STEP_END) {
			s->firm = true;
			if (s->deadline_ms > clock_mono_ms() + STOP_GRACE_MS)
				s->deadline_ms = clock_mono_ms() +
				    STOP_GRACE_MS;
			ready_to_read(s);
			continue;
		}
		if (!take(s, result, line))
			return;
	} while (s->nowed == owed);
}

bool
session_settle(struct session *s)
{
	ready_to_write(s);
	while (s->fault == FAULT_NONE && stream_pending(s->stream) > 0)
		(void)write_step(s);
	while (s->fault == FAULT_NONE && s->nowed > 0)
		if (drain(s) && s->nowed > 0)
			read_reply(s);
	return session_alive(s);
}
