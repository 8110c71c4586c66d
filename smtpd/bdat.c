/*
 * BDAT (RFC 3030).  Runs in the session.  The octets of every chunk are read
 * exactly, also those of a chunk that is refused: what follows them is a
 * command again.  Where their number cannot be read the session ends.
 *
 * Chunks are text: lines end in CRLF and hold no NUL, as after DATA, and a
 * message that does not end in CRLF gets one.  With BODY=BINARYMIME that holds
 * for the header section; the rest is octets, and kept to the octet.
 */
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "smtpd/command.h"

bool
bdat_parse(struct slice arg, uint64_t *size, bool *last)
{
	struct slice word;
	uint64_t n;
	bool is_last = false;

	if (!slice_word(&arg, &word) || !num_u64(word, 0, INT64_MAX, &n))
		return false;
	if (slice_word(&arg, &word)) {
		if (!slice_ieq(word, SLICE("LAST")) || slice_word(&arg, &word))
			return false;
		is_last = true;
	}
	*size = n;
	*last = is_last;
	return true;
}

/* Reads a chunk; take: into the message, otherwise nowhere. */
static enum stream_result
receive(struct session *s, uint64_t size, bool take)
{
	enum stream_result result;
	struct slice in;

	while (size > 0) {
		result = stream_peek(s->net, 1, &in);
		if (result != STREAM_OK)
			return result;
		if (in.len > size)
			in.len = (size_t)size;
		if (take)
			content_feed(&s->mail.content, in, message_content, s);
		stream_consume(s->net, in.len);
		size -= in.len;
	}
	return STREAM_OK;
}

/* NULL, or why the chunk cannot come now. */
static const char *
wrong_moment(const struct session *s)
{
	switch (s->state) {
	case STATE_RCPT:
	case STATE_BDAT:
		return NULL;
	case STATE_START:
		return "Say HELO or EHLO first";
	case STATE_MAIL:
		return s->mail.refused > 0 ? "No valid recipients"
		    : "Send RCPT first";
	case STATE_GREETED:
	case STATE_CLOSED:
		break;
	}
	return "Send MAIL first";
}

/* A chunk is in. */
static enum state
chunk_done(struct session *s, uint64_t size, bool last)
{
	if (last && content_finish(&s->mail.content))
		message_content(s, SLICE("\r\n"));
	/* A message that is lost is said to be lost at once; chunks that are
	 * on their way find no transaction and are swallowed. */
	if (last || s->mail.faults != 0 || s->mail.content.bare ||
	    s->mail.content.nul) {
		message_finish(s);
		return STATE_GREETED;
	}
	reply(s, 250, "2.0.0", "%llu octets received",
	    (unsigned long long)size);
	return STATE_BDAT;
}

enum state
cmd_bdat(struct session *s, struct slice arg)
{
	enum stream_result result;
	const char *wrong;
	uint64_t size;
	bool last;

	if (!bdat_parse(arg, &size, &last))
		return reply_close(s, "bdat", "4.5.4", "BDAT without a size: "
		    "what follows cannot be told from commands");
	wrong = wrong_moment(s);
	if (wrong == NULL && s->state == STATE_RCPT && s->conf->smtp_chunking)
		message_start(s, false);
	s->arg = SLICE_EMPTY; /* it dies with the next read */
	s->verb = SLICE("BDAT");
	stream_idle(s->net, (int64_t)s->conf->smtp_data_timeout_ms);
	stream_deadline(s->net, session_deadline(s));
	result = receive(s, size, wrong == NULL && s->conf->smtp_chunking);
	if (result != STREAM_OK)
		return session_broken(s, result);
	if (!s->conf->smtp_chunking) {
		reply(s, 502, "5.5.1", "CHUNKING is not offered");
		return s->state;
	}
	if (wrong != NULL) {
		reply(s, 503, "5.5.1", "%s", wrong);
		return s->state;
	}
	return chunk_done(s, size, last);
}
