/*
 * DATA (RFC 5321 4.1.1.4).  Runs in the session: content goes from the client's
 * socket through the scanner to queued in pieces as large as they come.
 */
#include "common/conf/conf.h"
#include "common/mail/envelope.h"
#include "smtpd/session.h"

/* Reads up to the end of the message. */
static enum stream_result
receive(struct session *s)
{
	enum stream_result result;
	struct slice in;

	while (s->mail.content.state != CONTENT_END) {
		result = stream_peek(s->net, 1, &in);
		if (result != STREAM_OK)
			return result;
		stream_consume(s->net, content_feed(&s->mail.content, in,
		    message_content, s));
	}
	return STREAM_OK;
}

enum state
cmd_data(struct session *s, struct slice arg)
{
	enum stream_result result;

	if (arg.len > 0) {
		reply(s, 501, "5.5.4", "DATA has no argument");
		return s->state;
	}
	/* RFC 3030 3: DATA cannot carry it */
	if ((s->mail.flags & ENV_BINARYMIME) != 0) {
		reply(s, 503, "5.5.1", "BODY=BINARYMIME needs BDAT");
		return s->state;
	}
	message_start(s, true);
	reply(s, 354, "", "End with a dot on a line of its own");
	s->arg = SLICE_EMPTY; /* it dies with the next read */
	s->verb = SLICE("DATA");
	stream_idle(s->net, (int64_t)s->conf->smtp_data_timeout_ms);
	stream_deadline(s->net, session_deadline(s));
	result = receive(s);
	if (result != STREAM_OK)
		return session_broken(s, result);
	message_finish(s);
	return STATE_GREETED;
}
