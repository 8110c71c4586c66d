/*
 * The envelope on its way out, in a remote process: addresses and parameters
 * that clients, aliases and forward files brought, once more checked before
 * they become command lines, and matched with what the next host offers.
 */
#include <inttypes.h>

#include "common/base/buf.h"
#include "common/mail/address.h"
#include "common/mail/domain.h"
#include "common/mail/envelope.h"
#include "remote/envelope.h"
#include "remote/job.h"

static bool
beyond_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return true;
	return false;
}

/* xtext and the like: printable ASCII without blanks; no parameter else. */
static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return s.len > 0;
}

/* ---- how it goes ---- */

static bool
names_beyond_ascii(const struct job *j)
{
	if (beyond_ascii(j->sender))
		return true;
	for (size_t i = 0; i < j->nrcpts; i++)
		if (beyond_ascii(j->rcpts[i].address))
			return true;
	return false;
}

/* RFC 6531 3.1: without the extension only what does not need it. */
static bool
plan_utf8(const struct job *j, struct content *c, const struct offers *o,
    struct envelope_plan *p, struct status *st)
{
	const struct convert_look *look;

	p->utf8 = o->utf8 && ((j->flags & ENV_SMTPUTF8) != 0 ||
	    names_beyond_ascii(j));
	if (o->utf8 || (j->flags & ENV_SMTPUTF8) == 0)
		return true;
	look = content_look(c, st);
	if (look == NULL)
		return false;
	if (!look->header_8bit)
		return true;
	/* RFC 6531 3.5 has X.6.9 for this */
	status_set(st, 554, 6, 9, "The message has internationalised header "
	    "fields (SMTPUTF8), which the recipient's mail server cannot take");
	return false;
}

/* RFC 6152 3, RFC 3030 3 */
static bool
plan_body(const struct job *j, struct content *c, const struct offers *o,
    struct envelope_plan *p, struct status *st)
{
	bool binary = (j->flags & ENV_BINARYMIME) != 0;
	const struct convert_look *look;

	p->form = CONTENT_AS_IS;
	p->binary = binary && o->binary && o->chunking;
	if (p->binary)
		return true;
	if (o->eight_bit && !binary) {
		p->eight_bit = p->utf8 || (j->flags & ENV_8BITMIME) != 0;
		return true;
	}
	look = content_look(c, st);
	if (look == NULL)
		return false;
	if (!o->eight_bit && look->eight_bit)
		p->form = CONTENT_7BIT;
	else if (binary && look->binary)
		p->form = o->eight_bit ? CONTENT_8BIT : CONTENT_7BIT;
	p->eight_bit = o->eight_bit && (p->utf8 || look->eight_bit);
	return true;
}

bool
envelope_plan(const struct job *j, struct content *c, const struct offers *o,
    struct envelope_plan *out, struct status *st)
{
	struct envelope_plan p = {.form = CONTENT_AS_IS};

	if (!plan_utf8(j, c, o, &p, st) || !plan_body(j, c, o, &p, st))
		return false;
	*out = p;
	return true;
}

/* ---- addresses ---- */

/* The address as this host takes it. */
static bool
put_address(struct slice text, bool utf8, struct buf *out, struct status *st)
{
	const char *why = "";
	struct address a;
	size_t from = out->len;

	if (!address_parse(text, true, &a, &why)) {
		status_set(st, 553, 1, 3, "The address %.*s cannot be used: "
		    "%s", SLICE_FMT(text), why);
		return false;
	}
	if (utf8 || !a.utf8) {
		buf_addslice(out, text);
		return true;
	}
	buf_addslice(out, a.local);
	buf_addc(out, '@');
	if (!beyond_ascii(a.local) && domain_wire(a.domain, out, &why))
		return true;
	out->len = from;
	out->s[from] = '\0';
	status_set(st, 553, 6, 7, "The address %.*s is internationalised, and "
	    "the recipient's mail server does not take such addresses "
	    "(SMTPUTF8)", SLICE_FMT(text));
	return false;
}

/* ---- MAIL ---- */

/* RFC 2852 4: the time that is left; a message that must not be late does not
 * go to a host that makes no promise. */
static bool
put_by(const struct job *j, const struct offers *o, int64_t now_ms,
    struct buf *out, struct status *st)
{
	int64_t left = ((int64_t)j->by_at_ms - now_ms) / 1000;
	bool strict = (j->flags & ENV_BY_RETURN) != 0;

	if (j->by_at_ms == 0)
		return true;
	if (strict && left <= 0) {
		status_set(st, 554, 4, 7, "The time allowed for delivery "
		    "(DELIVERBY) is over");
		return false;
	}
	if (strict && !o->deliver_by) {
		status_set(st, 554, 3, 3, "The next mail server does not "
		    "promise delivery in time (DELIVERBY)");
		return false;
	}
	if (strict && o->by_least > (uint64_t)left) {
		status_set(st, 554, 4, 7, "The next mail server needs %" PRIu64
		    " s for a delivery in time (DELIVERBY), %" PRId64
		    " s are left", o->by_least, left);
		return false;
	}
	if (!o->deliver_by)
		return true;
	if (left < -999999999)
		left = -999999999;
	buf_printf(out, " BY=%" PRId64 ";%s%s", left, strict ? "R" : "N",
	    (j->flags & ENV_BY_TRACE) != 0 ? "T" : "");
	return true;
}

static bool
check_size(const struct offers *o, uint64_t size, struct status *st)
{
	if (!o->size || o->size_max == 0 || size <= o->size_max)
		return true;
	/* RFC 1870 6.1 */
	status_set(st, 552, 3, 4, "The message has %" PRIu64 " octets, the "
	    "recipient's mail server takes %" PRIu64, size, o->size_max);
	return false;
}

bool
envelope_mail(const struct job *j, const struct envelope_plan *p,
    const struct offers *o, uint64_t size, int64_t now_ms, struct buf *out,
    struct status *st)
{
	if (!check_size(o, size, st))
		return false;
	buf_adds(out, "MAIL FROM:<");
	if (j->sender.len > 0 && !put_address(j->sender, p->utf8, out, st))
		return false;
	buf_addc(out, '>');
	if (o->size && size > 0)
		buf_printf(out, " SIZE=%" PRIu64, size);
	if (p->binary)
		buf_adds(out, " BODY=BINARYMIME");
	else if (p->eight_bit)
		buf_adds(out, " BODY=8BITMIME");
	if (p->utf8)
		buf_adds(out, " SMTPUTF8");
	if (o->dsn) {
		/* RFC 3461 5.1 */
		if ((j->flags & ENV_RET_FULL) != 0)
			buf_adds(out, " RET=FULL");
		else if ((j->flags & ENV_RET_HDRS) != 0)
			buf_adds(out, " RET=HDRS");
		if (is_word(j->envid)) {
			buf_adds(out, " ENVID=");
			buf_addslice(out, j->envid);
		}
	}
	if (!put_by(j, o, now_ms, out, st))
		return false;
	buf_adds(out, "\r\n");
	return true;
}

/* ---- RCPT ---- */

static void
put_notify(uint32_t notify, struct buf *out)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} words[] = {
		{NOTIFY_SUCCESS, "SUCCESS"},
		{NOTIFY_FAILURE, "FAILURE"},
		{NOTIFY_DELAY, "DELAY"},
	};
	char sep = '=';

	if (notify == 0)
		return;
	buf_adds(out, " NOTIFY");
	if ((notify & NOTIFY_NEVER) != 0) {
		buf_adds(out, "=NEVER");
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if ((notify & words[i].bit) == 0)
			continue;
		buf_addc(out, sep);
		buf_adds(out, words[i].name);
		sep = ',';
	}
}

/* One character of UTF-8 at the start of s; 0 octets: none. */
static size_t
character(struct slice s, uint32_t *out)
{
	static const struct {
		unsigned char mask, lead;
		size_t n;
	} forms[] = {{0xe0, 0xc0, 2}, {0xf0, 0xe0, 3}, {0xf8, 0xf0, 4}};
	unsigned char first = (unsigned char)s.p[0];

	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		if ((first & forms[f].mask) != forms[f].lead ||
		    s.len < forms[f].n)
			continue;
		*out = (uint32_t)(first & (unsigned char)~forms[f].mask);
		for (size_t i = 1; i < forms[f].n; i++)
			*out = *out << 6 | ((unsigned char)s.p[i] & 0x3f);
		return forms[f].n;
	}
	return 0;
}

/* RFC 6533 3: a utf-8 address is written with \x{HEX} where the host does not
 * take it as it is. */
static void
put_orcpt(struct slice orcpt, bool utf8, struct buf *out)
{
	size_t from = out->len, n;
	uint32_t c;

	buf_adds(out, " ORCPT=");
	for (size_t i = 0; i < orcpt.len; i += n) {
		struct slice rest = slice_sub(orcpt, i, orcpt.len);

		n = 1;
		if ((unsigned char)rest.p[0] < 0x80) {
			if (rest.p[0] <= ' ' || rest.p[0] == 0x7f)
				goto unfit;
			buf_addc(out, rest.p[0]);
			continue;
		}
		n = character(rest, &c);
		if (n == 0)
			goto unfit;
		if (utf8)
			buf_add(out, rest.p, n);
		else
			buf_printf(out, "\\x{%" PRIX32 "}", c);
	}
	return;
unfit:
	out->len = from;
	out->s[from] = '\0';
}

bool
envelope_rcpt(const struct rcpt *r, const struct envelope_plan *p,
    const struct offers *o, struct buf *out, struct status *st)
{
	buf_adds(out, "RCPT TO:<");
	if (!put_address(r->address, p->utf8, out, st))
		return false;
	buf_addc(out, '>');
	if (o->dsn) {
		put_notify(r->notify, out);
		if (r->orcpt.len > 0)
			put_orcpt(r->orcpt, p->utf8, out);
	}
	buf_adds(out, "\r\n");
	return true;
}
