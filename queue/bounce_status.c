/*
 * The part of a notice that programs read: message/delivery-status (RFC 3464),
 * or its form for UTF-8 (RFC 6533).  In bounce's job processes; addresses and
 * words are the network's and are cleaned before they stand in a field.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/mail/address.h"
#include "queue/bounce.h"

#define VALUE_MAX 16384u /* \x{10FFFF} for each of ENV_ADDRESS_MAX octets */

static const char *const actions[] = {
	[BOUNCE_FAILED] = "failed",
	[BOUNCE_DELAYED] = "delayed",
	[BOUNCE_DELIVERED] = "delivered",
	[BOUNCE_RELAYED] = "relayed",
	[BOUNCE_EXPANDED] = "expanded",
};

static void
date_field(struct buf *out, const char *name, int64_t at_ms)
{
	char date[CLOCK_DATE_SIZE];

	clock_rfc5322(at_ms, date);
	bounce_field(out, name, NULL, slice_of(date));
}

/* RFC 3464 2.2, the message as a whole. */
static void
message_fields(const struct bounce_notice *n, struct buf *out)
{
	const struct envelope *env = qfile_env(n->q);
	struct buf value = BUF_INIT(VALUE_MAX);
	const char *why;

	/* RFC 3461 6.3: as the sender meant it */
	if (env->envid.len > 0 && bounce_xtext(env->envid, &value) &&
	    value.len > 0)
		bounce_field(out, "Original-Envelope-Id", NULL,
		    buf_slice(&value));
	buf_free(&value);
	bounce_field(out, "Reporting-MTA", "dns",
	    slice_of(n->conf->hostname));
	if (address_domain(env->client_helo, false, &why))
		bounce_field(out, "Received-From-MTA", "dns",
		    env->client_helo);
	date_field(out, "Arrival-Date", qfile_created_ms(n->q));
	bounce_field(out, "X-Postern-Queue-Id", NULL, env->id);
}

/* An address in the form the part may hold: RFC 6533 3 where it is UTF-8. */
static void
address_field(struct buf *out, const char *name, struct slice address,
    bool utf8)
{
	struct buf value = BUF_INIT(VALUE_MAX);
	bool wide = bounce_has_8bit(address);

	if (wide && !utf8)
		bounce_utf8_xtext(address, &value);
	else
		bounce_clean(address, utf8, &value);
	bounce_field(out, name, wide ? "utf-8" : "rfc822", buf_slice(&value));
	buf_free(&value);
}

/* ORCPT, "type;xtext" as received (RFC 3461 4.2).  Its type is the sender's
 * affair; what is no xtext, or would not be text, is left out. */
static void
original_recipient(struct buf *out, struct slice orcpt, bool utf8)
{
	struct buf type = BUF_INIT(64), value = BUF_INIT(VALUE_MAX);
	struct slice rest = orcpt, word;
	bool good;

	if (!slice_cut(&rest, ';', &word) || rest.p == NULL ||
	    word.len == 0 || rest.len == 0)
		return;
	for (size_t i = 0; i < word.len; i++)
		if (!((word.p[i] | 0x20) >= 'a' && (word.p[i] | 0x20) <= 'z') &&
		    !(word.p[i] >= '0' && word.p[i] <= '9') &&
		    word.p[i] != '-')
			return;
	buf_addslice(&type, word);
	if (slice_ieq(word, SLICE("utf-8"))) {
		/* Its escapes are its own, and are no xtext. */
		good = true;
		if (utf8)
			bounce_clean(rest, true, &value);
		else
			bounce_utf8_xtext(rest, &value);
	} else
		good = bounce_xtext(rest, &value);
	if (good && !type.overflow && !value.overflow && value.len > 0)
		bounce_field(out, "Original-Recipient", type.s,
		    buf_slice(&value));
	buf_free(&type);
	buf_free(&value);
}

struct slice
bounce_host(struct slice host, struct slice *ip)
{
	struct slice name = slice_sub(host, 0, slice_find(host, '[', 0));
	size_t close = slice_find(host, ']', name.len);
	struct slice literal = slice_sub(host, name.len, close + 1);
	const char *why;

	*ip = SLICE_EMPTY;
	if (name.len == host.len) {
		name = slice_sub(host, 0, slice_find(host, ':', 0));
		return address_domain(name, false, &why) ? name : SLICE_EMPTY;
	}
	if (close == host.len || literal.len < 3)
		return SLICE_EMPTY;
	*ip = slice_sub(literal, 1, literal.len - 1);
	for (size_t i = 0; i < ip->len; i++)
		if ((ip->p[i] < '0' || ip->p[i] > '9') &&
		    ((ip->p[i] | 0x20) < 'a' || (ip->p[i] | 0x20) > 'f') &&
		    ip->p[i] != '.' && ip->p[i] != ':') {
			*ip = SLICE_EMPTY;
			break;
		}
	if (name.len == 0)
		return ip->len > 0 ? literal : SLICE_EMPTY;
	return address_domain(name, false, &why) ? name : SLICE_EMPTY;
}

/* RFC 3464 2.3.5 and 2.3.6: who said it, and the words. */
static void
words_fields(const struct bounce_told *t, struct buf *out)
{
	struct buf value = BUF_INIT(VALUE_MAX);
	char enhanced[STATUS_ENHANCED_SIZE];
	struct slice host, ip;

	if (t->remote) {
		host = bounce_host(t->r->host, &ip);
		buf_addslice(&value, host);
		if (host.len > 0 && ip.len > 0 && host.p[0] != '[')
			buf_printf(&value, " (%.*s)", SLICE_FMT(ip));
		if (host.len > 0)
			bounce_field(out, "Remote-MTA", "dns",
			    buf_slice(&value));
		buf_reset(&value);
		buf_printf(&value, "%u ", (unsigned)t->status.code);
		/* Nothing but 0.0 where the host gave none */
		if (t->status.subject != 0 || t->status.detail != 0) {
			status_enhanced(&t->status, enhanced);
			buf_printf(&value, "%s ", enhanced);
		}
	}
	bounce_clean(slice_of(t->status.text), false, &value);
	if (t->has_words && t->status.text[0] != '\0')
		bounce_field(out, "Diagnostic-Code", t->remote ? "smtp"
		    : "X-Postern", buf_slice(&value));
	buf_free(&value);
}

static void
recipient_fields(const struct bounce_told *t, bool utf8, struct buf *out)
{
	char enhanced[STATUS_ENHANCED_SIZE];

	buf_adds(out, "\r\n");
	original_recipient(out, t->r->orcpt, utf8);
	address_field(out, "Final-Recipient", t->address, utf8);
	bounce_field(out, "Action", NULL, slice_of(actions[t->action]));
	status_enhanced(&t->status, enhanced);
	bounce_field(out, "Status", NULL, slice_of(enhanced));
	words_fields(t, out);
	if (t->has_words && t->r->last_ms > 0)
		date_field(out, "Last-Attempt-Date", t->r->last_ms);
	if (t->action == BOUNCE_DELAYED && t->until_ms > 0 &&
	    t->until_ms < INT64_MAX)
		date_field(out, "Will-Retry-Until", (int64_t)t->until_ms);
}

void
bounce_status(const struct bounce_notice *n, bool utf8, struct buf *out)
{
	size_t i;

	message_fields(n, out);
	for (i = 0; i < n->ntold; i++)
		recipient_fields(&n->told[i], utf8, out);
}
