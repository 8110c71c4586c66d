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
add_comment(struct slice s, struct buf *out)
{
	buf_adds(out, " (helo ");
	for (size_t i = 0; i < s.len && i < COMMENT_MAX; i++) {
		char c = s.p[i];

		buf_addc(out, c <= ' ' || c >= 0x7f || c == '(' || c == ')' ||
		    c == '\\' ? '?' : c);
	}
	buf_addc(out, ')');
}

void
received_add(const struct received *r, struct buf *out)
{
	char date[CLOCK_DATE_SIZE];
	const char *why;

	/* From-domain: what was said, and what is known in brackets */
	buf_adds(out, "Received: from ");
	if (address_domain(r->helo, false, &why) ||
	    address_literal(r->helo, &why)) {
		buf_addslice(out, r->helo);
		buf_adds(out, " (");
		add_literal(&r->ip, out);
		buf_addc(out, ')');
	} else {
		add_literal(&r->ip, out);
		if (r->helo.len > 0)
			add_comment(r->helo, out);
	}
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
