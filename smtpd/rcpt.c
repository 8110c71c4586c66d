/*
 * RCPT (RFC 5321 4.1.1.3).  Runs in the session: reads the forward-path and its
 * parameters strictly and asks authd whether it is somebody, so that nobody is
 * bounced later who could have been refused here.  Who may send elsewhere is
 * decided here as well: clients of relay_networks only.
 */
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "common/mail/envelope.h"
#include "common/proto/address.h"
#include "smtpd/counters.h"
#include "smtpd/param.h"
#include "smtpd/session.h"

/* "[192.0.2.1]" of the address this client connected to (RFC 5321 4.1.3). */
static bool
is_own_literal(const struct session *s, struct slice domain)
{
	struct slice text = slice_sub(domain, 1, domain.len - 1);
	struct ip ip;

	if (slice_iprefix(text, SLICE("IPv6:")))
		text = slice_sub(text, 5, text.len);
	return !s->user.is && ip_parse(text, &ip) &&
	    ip_equal(&ip, &s->local);
}

/* RFC 6409 4.2: what leaves here is qualified. */
static bool
bare_path(const struct session *s, struct slice path, bool utf8_ok,
    struct address *out, struct slice *rest)
{
	size_t end = slice_find(path, '>', 0);
	struct slice local = slice_sub(path, 1, end);
	struct slice behind = slice_sub(path, end + 1, path.len);
	const char *why;

	if (!s->submission || !slice_prefix(path, SLICE("<")) ||
	    end == path.len || !address_local(local, utf8_ok, &why) ||
	    (behind.len > 0 && behind.p[0] != ' '))
		return false;
	*out = (struct address){.local = local, .text = local,
	    .domain = slice_of(s->conf->local_domain)};
	for (size_t i = 0; i < local.len; i++)
		out->utf8 = out->utf8 || (unsigned char)local.p[i] > 127;
	*rest = behind;
	return true;
}

bool
rcpt_path(const struct session *s, struct slice path,
    struct address_flags flags, struct address *out, struct slice *rest,
    const char **why)
{
	return address_path(path, flags, out, rest, why) ||
	    bare_path(s, path, flags.utf8_ok, out, rest);
}

void
rcpt_address(const struct session *s, const struct address *a, struct buf *out)
{
	buf_addslice(out, a->local);
	buf_addc(out, '@');
	if (a->domain.len == 0 || (a->literal && is_own_literal(s, a->domain)))
		buf_adds(out, s->conf->local_domain);
	else
		buf_addslice(out, a->domain);
}

/* The path behind "TO:" and its parameters.  False: answered. */
static bool
read_rcpt(struct session *s, struct slice arg, struct address *to,
    struct params *p)
{
	struct address_flags flags = {.utf8_ok = s->conf->smtp_smtputf8,
	    .postmaster_ok = true, .tolerant = s->conf->smtp_mail_tolerant};
	struct slice rest = SLICE_EMPTY;
	const char *why = "";
	struct status st;

	if (!slice_iprefix(arg, SLICE("TO:"))) {
		reply(s, 501, "5.5.4", "Syntax: RCPT TO:<address>");
		return false;
	}
	if (!rcpt_path(s, slice_sub(arg, 3, arg.len), flags, to, &rest,
	    &why)) {
		reply(s, 501, "5.1.3", "Recipient: %s", why);
		return false;
	}
	/* RFC 6531 3.5 */
	if (to->utf8 && (s->mail.flags & ENV_SMTPUTF8) == 0) {
		reply(s, 553, "5.6.7", "Recipient beyond ASCII needs "
		    "SMTPUTF8");
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
	return true;
}

/* What authd's answer means to this client; false: answered. */
static bool
may_receive(struct session *s, const struct address_checked *c)
{
	struct status st;

	switch (c->result) {
	case ADDRESS_LOCAL:
		return true;
	case ADDRESS_REMOTE:
		if (s->relay && c->code < 400)
			return true;
		status_set(&st, 550, 7, 1, "Relaying denied");
		break;
	case ADDRESS_NONE:
		status_set(&st, 550, 1, 1, "No such recipient here");
		break;
	case ADDRESS_FULL:
		status_set(&st, 452, 2, 2, "Mailbox full");
		break;
	case ADDRESS_BROKEN:
		status_set(&st, 550, 3, 5, "Recipient's alias is broken");
		break;
	default:
		status_set(&st, 451, 3, 0, "Recipient cannot be looked up now");
		break;
	}
	/* What a route says is for those who may go that way. */
	if (c->code >= 400 && (c->result != ADDRESS_REMOTE || s->relay))
		status_set(&st, c->code, c->subject, c->detail, "%.*s",
		    SLICE_FMT(c->text));
	reply_status(s, &st);
	return false;
}

/* Answers; true: accepted. */
static bool
take_rcpt(struct session *s, struct slice arg)
{
	struct params p = {.command = PARAM_RCPT,
	    .offered = session_offers(s),
	    .utf8 = (s->mail.flags & ENV_SMTPUTF8) != 0};
	struct buf address = BUF_INIT(ENV_ADDRESS_MAX);
	struct address_checked checked;
	struct address to;
	bool ok;

	if (!read_rcpt(s, arg, &to, &p))
		return false;
	/* RFC 5321 4.5.3.1.10 */
	if (s->mail.accepted >= s->conf->recipients_max) {
		reply(s, 452, "4.5.3", "Too many recipients");
		return false;
	}
	rcpt_address(s, &to, &address);
	lookup_check(s, buf_slice(&address), &checked);
	ok = may_receive(s, &checked);
	if (ok) {
		message_add(s, buf_slice(&address), &p);
		reply(s, 250, "2.1.5", "OK");
	}
	buf_free(&address);
	return ok;
}

enum state
cmd_rcpt(struct session *s, struct slice arg)
{
	if (take_rcpt(s, arg))
		return STATE_RCPT;
	s->mail.refused++;
	stats_add(s->error < 500 ? COUNT_RCPTS_4 : COUNT_RCPTS_5, 1);
	return s->state;
}
