/*
 * HELO and EHLO (RFC 5321 4.1.1.1).  Runs in the session.  The name is the
 * client's claim: checked as far as smtp_helo_check says, put into Received and
 * the log, and believed for nothing.
 */
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "smtpd/param.h"
#include "smtpd/session.h"

/* In the order of smtp_helo_check's words. */
enum { CHECK_NONE, CHECK_SYNTAX, CHECK_FQDN };

#define LIMITS_MAX 999999 /* RFC 9422 4: six digits */

/* NULL, or why the name is refused. */
static const char *
wrong_name(const struct session *s, struct slice name)
{
	const char *why;

	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
			return "not one word of printable ASCII";
	if (name.len > ADDRESS_DOMAIN_MAX)
		return "longer than 255 octets";
	if (s->conf->smtp_helo_check == CHECK_NONE)
		return NULL;
	if (name.p[0] == '[')
		return address_literal(name, &why) ? NULL : why;
	if (!address_domain(name, false, &why))
		return why;
	if (s->conf->smtp_helo_check == CHECK_FQDN &&
	    slice_find(name, '.', 0) == name.len)
		return "not a fully qualified name";
	return NULL;
}

/* Takes the name; everything that came before is forgotten. */
static bool
greet(struct session *s, struct slice name)
{
	const char *why;

	if (name.len == 0) {
		reply(s, 501, "5.5.4", "Your name is missing");
		return false;
	}
	why = wrong_name(s, name);
	if (why != NULL) {
		reply(s, 501, "5.5.4", "Your name: %s", why);
		return false;
	}
	message_drop(s);
	memcpy(s->helo_text, name.p, name.len);
	s->helo = slice_mem(s->helo_text, name.len);
	return true;
}

enum state
cmd_helo(struct session *s, struct slice arg)
{
	if (!greet(s, arg))
		return s->state;
	s->esmtp = false;
	reply(s, 250, "", "%s", s->conf->hostname);
	return STATE_GREETED;
}

static unsigned
limit(uint64_t n)
{
	return n > LIMITS_MAX ? LIMITS_MAX : (unsigned)n;
}

unsigned
session_offers(const struct session *s)
{
	const struct conf *c = s->conf;

	return (c->smtp_smtputf8 ? OFFER_SMTPUTF8 : 0) |
	    (c->smtp_dsn ? OFFER_DSN : 0) |
	    (c->smtp_deliverby ? OFFER_DELIVERBY : 0) |
	    (c->smtp_binarymime && c->smtp_chunking ? OFFER_BINARYMIME : 0);
}

/* RFC 2852 4: the least time of mode R, if there is one */
static void
offer_deliverby(struct session *s)
{
	uint64_t least = s->conf->smtp_deliverby_min_ms / 1000;

	if (least > 0)
		reply_more(s, 250, "", "DELIVERBY %llu",
		    (unsigned long long)least);
	else
		reply_more(s, 250, "", "DELIVERBY");
}

enum state
cmd_ehlo(struct session *s, struct slice arg)
{
	const struct conf *c = s->conf;
	unsigned offers = session_offers(s);

	if (!greet(s, arg))
		return s->state;
	s->esmtp = true;
	reply_more(s, 250, "", "%s", c->hostname);
	reply_more(s, 250, "", "PIPELINING");
	reply_more(s, 250, "", "SIZE %llu",
	    (unsigned long long)c->message_size_max);
	reply_more(s, 250, "", "8BITMIME");
	if (offers & OFFER_SMTPUTF8)
		reply_more(s, 250, "", "SMTPUTF8");
	reply_more(s, 250, "", "ENHANCEDSTATUSCODES");
	if (c->smtp_chunking)
		reply_more(s, 250, "", "CHUNKING");
	if (offers & OFFER_BINARYMIME)
		reply_more(s, 250, "", "BINARYMIME");
	if (offers & OFFER_DSN)
		reply_more(s, 250, "", "DSN");
	if (offers & OFFER_DELIVERBY)
		offer_deliverby(s);
	if (session_may_etrn(s))
		reply_more(s, 250, "", "ETRN");
	if (c->smtp_vrfy)
		reply_more(s, 250, "", "VRFY");
	/* RFC 5321 3.5.2: must be listed where it works */
	if (c->smtp_expn)
		reply_more(s, 250, "", "EXPN");
	reply_more(s, 250, "", "HELP");
	reply(s, 250, "", "LIMITS MAILMAX=%u RCPTMAX=%u",
	    limit(c->mails_per_session_max), limit(c->recipients_max));
	return STATE_GREETED;
}
