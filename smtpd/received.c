/*
 * Builds the Received field.  Runs in the session; the HELO name and the
 * recipient in it are the client's words, checked by their grammars where they
 * came in.  With smtp_helo_check = none a HELO name may be anything: what is no
 * domain and no literal becomes a comment, free of what could end it.
 */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/mail/address.h"
#include "smtpd/received.h"

#define COMMENT_MAX 100

struct slice
received_protocol(bool esmtp, bool smtputf8)
{
	if (smtputf8)
		return SLICE("UTF8SMTP");
	return esmtp ? SLICE("ESMTP") : SLICE("SMTP");
}

/* RFC 5321 4.1.3 address-literal */
static void
add_literal(const struct ip *ip, struct buf *out)
{
	char text[IP_TEXT_SIZE];

	ip_text(ip, text);
	buf_adds(out, ip_is_v4(ip) ? "[" : "[IPv6:");
	buf_adds(out, text);
	buf_addc(out, ']');
}

/* RFC 5322 3.2.2: ctext without folding */
static void
add_ctext(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len && i < COMMENT_MAX; i++) {
		char c = s.p[i];

		buf_addc(out, c <= ' ' || c >= 0x7f || c == '(' || c == ')' ||
		    c == '\\' ? '?' : c);
	}
}

/* From-domain of RFC 5321 4.4 for who came over the network: what was said,
 * and what is known in brackets. */
static void
add_client(const struct received *r, struct buf *out)
{
	const char *why;

	if (address_domain(r->helo, false, &why) ||
	    address_literal(r->helo, &why)) {
		buf_addslice(out, r->helo);
		buf_adds(out, " (");
		add_literal(&r->ip, out);
		buf_addc(out, ')');
		return;
	}
	add_literal(&r->ip, out);
	if (r->helo.len == 0)
		return;
	buf_adds(out, " (helo ");
	add_ctext(r->helo, out);
	buf_addc(out, ')');
}

/* The same for a user of this host: it is this host. */
static void
add_user(const struct received *r, struct buf *out)
{
	buf_addslice(out, r->hostname);
	buf_adds(out, " (user ");
	add_ctext(r->login, out);
	buf_printf(out, ", uid %u)", (unsigned)r->uid);
}

void
received_add(const struct received *r, struct buf *out)
{
	char date[CLOCK_DATE_SIZE];

	buf_adds(out, "Received: from ");
	if (r->login.len > 0)
		add_user(r, out);
	else
		add_client(r, out);
	buf_adds(out, "\r\n\tby ");
	buf_addslice(out, r->hostname);
	buf_adds(out, " with ");
	buf_addslice(out, r->protocol);
	buf_adds(out, " id ");
	buf_addslice(out, r->id);
	if (r->recipient.len > 0) {
		buf_adds(out, "\r\n\tfor <");
		buf_addslice(out, r->recipient);
		buf_addc(out, '>');
	}
	clock_rfc5322(r->now_ms, date);
	buf_adds(out, ";\r\n\t");
	buf_adds(out, date);
	buf_adds(out, "\r\n");
}
