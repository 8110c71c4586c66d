/*
 * VRFY and EXPN (RFC 5321 3.5).  Runs in the session.  Both tell strangers who
 * exists here, and are off unless smtp_vrfy and smtp_expn say otherwise: VRFY
 * then says 252 to everything that could be an address, EXPN 502.
 */
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "common/mail/envelope.h"
#include "common/proto/address.h"
#include "smtpd/session.h"

/*
 * "<ann@here.example>", "ann@here.example" or "ann", and behind it SMTPUTF8
 * (RFC 6531 3.7.4.2).  The address as authd is asked, or answered: false.
 */
static bool
read_name(struct session *s, struct slice arg, struct buf *out)
{
	struct slice word = arg, extra = SLICE_EMPTY;
	struct address_flags flags = {.postmaster_ok = true};
	struct address a = {.local = SLICE_EMPTY, .domain = SLICE_EMPTY};
	const char *why = "an address or a name is missing";
	bool ok = false;

	/* A quoted local part may hold spaces: the parameter is at the end. */
	while (slice_word(&arg, &extra))
		continue;
	if (s->conf->smtp_smtputf8 && extra.p > word.p &&
	    slice_ieq(extra, SLICE("SMTPUTF8"))) {
		s->utf8_replies = flags.utf8_ok = true;
		word = slice_trim(slice_sub(word, 0,
		    (size_t)(extra.p - word.p)));
	}
	if (word.len > 0 && word.p[0] == '<')
		ok = address_path(word, flags, &a, &extra, &why) &&
		    extra.len == 0;
	else if (word.len > 0 && address_local(word, flags.utf8_ok, &why)) {
		a.local = word;
		ok = true;
	} else if (word.len > 0)
		ok = address_parse(word, flags.utf8_ok, &a, &why);
	if (ok)
		rcpt_address(s, &a, out);
	else
		reply(s, 501, "5.1.3", "Address: %s", why);
	return ok;
}

static void
verify(struct session *s, struct slice address)
{
	struct address_checked c;

	lookup_check(s, address, &c);
	switch (c.result) {
	case ADDRESS_LOCAL:
	case ADDRESS_FULL:
		reply(s, 250, "2.1.5", "<%.*s>", SLICE_FMT(address));
		break;
	case ADDRESS_NONE:
		reply(s, 550, "5.1.1", "No such recipient here");
		break;
	case ADDRESS_REMOTE:
		reply(s, 252, "2.0.0", "Not here; cannot be verified");
		break;
	case ADDRESS_BROKEN:
		reply(s, 550, "5.3.5", "Its alias is broken");
		break;
	default:
		reply(s, 451, "4.3.0", "Cannot be looked up now");
		break;
	}
}

enum state
cmd_vrfy(struct session *s, struct slice arg)
{
	struct buf address = BUF_INIT(ENV_ADDRESS_MAX);

	if (!read_name(s, arg, &address))
		return s->state;
	if (s->conf->smtp_vrfy)
		verify(s, buf_slice(&address));
	else
		/* RFC 5321 7.3: says neither yes nor no */
		reply(s, 252, "2.0.0", "Send a message and see");
	buf_free(&address);
	return s->state;
}

/* All members but the last are lines of a reply that goes on. */
static void
list_members(struct session *s, struct address_members *m)
{
	struct buf line = BUF_INIT(ENV_ADDRESS_MAX);

	for (;;) {
		for (size_t i = 0; i < m->members.n; i++) {
			if (line.len > 0)
				reply_more(s, 250, "2.1.5", "<%.*s>",
				    SLICE_FMT(buf_slice(&line)));
			buf_reset(&line);
			buf_addslice(&line, m->members.v[i]);
		}
		if (m->last || !lookup_more(s, m))
			break;
	}
	if (line.len == 0)
		reply(s, 250, "2.1.5", "Nobody");
	else if (!m->last)
		/* The lines before are in the output: the reply must end. */
		reply(s, 250, "2.1.5", "and more; try again later");
	else
		reply(s, 250, "2.1.5", "<%.*s>", SLICE_FMT(buf_slice(&line)));
	buf_free(&line);
}

static void
expand(struct session *s, struct slice address)
{
	struct address_members m;

	lookup_members(s, address, &m);
	switch (m.result) {
	case ADDRESS_LOCAL:
	case ADDRESS_FULL:
		list_members(s, &m);
		break;
	case ADDRESS_NONE:
		reply(s, 550, "5.1.1", "No such list here");
		break;
	case ADDRESS_REMOTE:
		reply(s, 550, "5.1.2", "Not here");
		break;
	case ADDRESS_BROKEN:
		reply(s, 550, "5.3.5", "The list is broken");
		break;
	default:
		reply(s, 451, "4.3.0", "Cannot be looked up now");
		break;
	}
}

enum state
cmd_expn(struct session *s, struct slice arg)
{
	struct buf address = BUF_INIT(ENV_ADDRESS_MAX);

	if (!s->conf->smtp_expn) {
		/* RFC 3463 3.8: mailing list expansion prohibited */
		reply(s, 502, "5.7.2", "EXPN is switched off");
		return s->state;
	}
	if (!read_name(s, arg, &address))
		return s->state;
	expand(s, buf_slice(&address));
	buf_free(&address);
	return s->state;
}
