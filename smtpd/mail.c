/*
 * MAIL (RFC 5321 4.1.1.2).  Runs in the session: reads the reverse-path and its
 * parameters strictly, asks queued for room, and only then says yes.
 */
#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "common/mail/envelope.h"
#include "smtpd/param.h"
#include "smtpd/session.h"

/* The path behind "FROM:" and its parameters.  False: answered. */
static bool
read_mail(struct session *s, struct slice arg, struct address *from,
    struct params *p)
{
	struct address_flags flags = {.utf8_ok = s->conf->smtp_smtputf8,
	    .null_ok = true, .tolerant = s->conf->smtp_mail_tolerant};
	struct slice rest = SLICE_EMPTY;
	const char *why = "";
	struct status st;

	if (!slice_iprefix(arg, SLICE("FROM:"))) {
		reply(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
		return false;
	}
	if (!rcpt_path(s, slice_sub(arg, 5, arg.len), flags, from, &rest,
	    &why)) {
		reply(s, 501, "5.1.7", "Sender: %s", why);
		return false;
	}
	if (!s->esmtp && rest.len > 0) {
		reply(s, 555, "5.5.4", "Parameters need EHLO");
		return false;
	}
	if (!params_parse(rest, p, &st)) {
		reply_status(s, &st);
		return false;
	}
	/* RFC 6531 3.5 */
	if (from->utf8 && (p->flags & ENV_SMTPUTF8) == 0) {
		reply(s, 553, "5.6.7", "Sender beyond ASCII needs SMTPUTF8");
		return false;
	}
	return true;
}

enum state
cmd_mail(struct session *s, struct slice arg)
{
	struct params p = {.command = PARAM_MAIL,
	    .offered = session_offers(s), .now_ms = clock_real_ms(),
	    .by_least_s = s->conf->smtp_deliverby_min_ms / 1000};
	struct address from;
	struct status st;

	if (!read_mail(s, arg, &from, &p))
		return s->state;
	/* RFC 1870 6.1 */
	if (p.size > s->conf->message_size_max) {
		reply(s, 552, "5.3.4", "Message larger than %llu octets",
		    (unsigned long long)s->conf->message_size_max);
		return s->state;
	}
	if (!user_identify(s, &st)) {
		reply_status(s, &st);
		return s->state;
	}
	if (!user_may_send(s, &from)) {
		reply(s, 553, "5.7.1", "%.*s may not send from that address",
		    SLICE_FMT(buf_slice(&s->user.login)));
		return s->state;
	}
	if (s->mails >= s->conf->mails_per_session_max)
		return reply_close(s, "mails", "4.7.0", "No more than %llu "
		    "messages a session; open a new one",
		    (unsigned long long)s->conf->mails_per_session_max);
	if (!message_open(s, &from, &p, &st)) {
		reply_status(s, &st);
		return s->state;
	}
	s->mails++;
	reply(s, 250, "2.1.0", "OK");
	return STATE_MAIL;
}
