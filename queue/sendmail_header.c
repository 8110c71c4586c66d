/*
 * Sender, recipients and header of what sendmail(1) hands in.  In sendmail, on
 * its command line and the message's header, which is a program's text and may
 * have anything in it.  Date and Message-ID are not its business: smtpd and
 * pickup add them to what lacks them.
 */
#include <sysexits.h>

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/mail/address.h"
#include "common/mail/addrlist.h"
#include "common/mail/phrase.h"
#include "common/mime/header.h"
#include "queue/sendmail.h"

#define ADDRESS_MAX 1200

void
letter_code(struct letter *l, int code)
{
	if (l->code == EX_OK || (l->code == EX_TEMPFAIL && code != EX_OK))
		l->code = code;
}

void
letter_free(struct letter *l)
{
	for (size_t i = 0; i < l->nrcpts; i++) {
		free(l->rcpts[i].address);
		free(l->rcpts[i].key);
	}
	free(l->rcpts);
	free(l->slots);
	buf_free(&l->sender);
	spool_close(&l->text);
}

/* The name of who calls, by the kernel's word and not by the environment's. */
static void
caller(struct buf *out)
{
	uid_t uid = getuid();
	const struct passwd *pw = getpwuid(uid);
	const char *why;

	if (pw != NULL && address_local(slice_of(pw->pw_name), false, &why))
		buf_adds(out, pw->pw_name);
	else
		buf_printf(out, "uid-%u", (unsigned)uid);
}

/* The domain where there is none. */
static void
complete(struct buf *address, const struct conf *c)
{
	struct address a;
	const char *why;

	if (address->len == 0 ||
	    address_parse(buf_slice(address), true, &a, &why))
		return;
	buf_addc(address, '@');
	buf_adds(address, c->local_domain);
}

static bool
has_utf8(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

bool
letter_sender(struct letter *l, const struct sendmail_options *o,
    const struct conf *c)
{
	struct addrlist list;
	struct buf more = BUF_INIT(ADDRESS_MAX);
	const char *why = "no address";
	int first;

	buf_init(&l->sender, ADDRESS_MAX);
	if (o->sender == NULL) {
		caller(&l->sender);
	} else if (o->sender[0] != '\0') {
		list = addrlist_of(slice_of(o->sender));
		first = addrlist_next(&list, &l->sender, &why);
		if (first == 1 && addrlist_next(&list, &more, &why) != 0) {
			why = "more than one address";
			first = -1;
		}
		buf_free(&more);
		if (first != 1) {
			sendmail_say(o, "-f %s: %s", o->sender, why);
			return false;
		}
	}
	complete(&l->sender, c);
	l->utf8 = l->utf8 || has_utf8(buf_slice(&l->sender));
	return true;
}

/* FNV-1a: where to look for an address. */
static size_t
place(struct slice s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
	return (size_t)(h ^ h >> 32);
}

static void
index_insert(struct letter *l, size_t number)
{
	struct slice key = slice_of(l->rcpts[number].key);
	size_t i = place(key) & (l->nslots - 1);

	while (l->slots[i] != 0)
		i = (i + 1) & (l->nslots - 1);
	l->slots[i] = (uint32_t)number + 1;
}

/* Twice named, once sent. */
static bool
known(const struct letter *l, struct slice key)
{
	size_t i;

	if (l->nslots == 0)
		return false;
	for (i = place(key) & (l->nslots - 1); l->slots[i] != 0;
	    i = (i + 1) & (l->nslots - 1))
		if (slice_eq(slice_of(l->rcpts[l->slots[i] - 1].key), key))
			return true;
	return false;
}

static void
add_rcpt(struct letter *l, struct slice address, struct slice key)
{
	struct sendmail_rcpt r = {slice_dup(address), slice_dup(key),
	    RCPT_OPEN};

	MEM_PUSH(l->rcpts, l->nrcpts, l->rcpts_cap, r);
	if (2 * l->nrcpts <= l->nslots) {
		index_insert(l, l->nrcpts - 1);
		return;
	}
	free(l->slots);
	l->nslots = l->nslots > 0 ? 2 * l->nslots : 64;
	l->slots = mem_array(l->nslots, sizeof(*l->slots));
	for (size_t i = 0; i < l->nrcpts; i++)
		index_insert(l, i);
}

static void
refuse_address(struct letter *l, const struct sendmail_options *o,
    const char *text, const char *why)
{
	if (!o->quiet)
		sendmail_say(o, "%s: %s", text, why);
	letter_code(l, EX_DATAERR);
}

void
letter_add(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, struct slice text)
{
	struct addrlist list = addrlist_of(text);
	struct buf address = BUF_INIT(ADDRESS_MAX), key = BUF_INIT(ADDRESS_MAX);
	struct address a;
	const char *why = "";
	int found;

	while ((found = addrlist_next(&list, &address, &why)) != 0) {
		if (found == 1 && address.len == 0) {
			found = -1;
			why = "nobody is named";
		}
		if (found == -1) {
			refuse_address(l, o, address.s, why);
			continue;
		}
		complete(&address, c);
		if (!address_parse(buf_slice(&address), true, &a, &why)) {
			refuse_address(l, o, address.s, why);
			continue;
		}
		buf_reset(&key);
		address_canonical(&a, &key);
		if (known(l, buf_slice(&key)))
			continue;
		l->utf8 = l->utf8 || a.utf8;
		add_rcpt(l, buf_slice(&address), buf_slice(&key));
	}
	buf_free(&address);
	buf_free(&key);
}

/* Only for -F: the name of who calls is known to smtpd and pickup, which add
 * From where there is none. */
static void
add_from(const struct letter *l, const struct sendmail_options *o,
    const struct conf *c, struct buf *out)
{
	struct buf self = BUF_INIT(ADDRESS_MAX);

	if (l->sender.len > 0) {
		buf_addslice(&self, buf_slice(&l->sender));
	} else { /* <> is no author */
		caller(&self);
		complete(&self, c);
	}
	buf_adds(out, "From: ");
	phrase_add(slice_of(o->full_name), out);
	buf_addc(out, ' ');
	buf_addc(out, '<');
	buf_addslice(out, buf_slice(&self));
	buf_adds(out, ">\r\n");
	buf_free(&self);
}

/* ---- the header ---- */

/* What the header is about: a message, or one that is sent once more. */
struct resent {
	bool found;    /* a Resent- field */
	size_t end;    /* where the newest block of them ends */
};

static bool
is_resent(const struct header_field *f)
{
	return slice_iprefix(f->name, SLICE("Resent-"));
}

/* RFC 5322 3.6.6: the newest block stands on top.  It ends where a trace field
 * stands or where a field comes again that a block has once. */
static struct resent
newest_block(struct slice fields)
{
	static const char *const once[] = {"Resent-Date", "Resent-From",
	    "Resent-Sender", "Resent-Message-ID"};
	struct resent r = {false, fields.len};
	struct header_field f;
	unsigned seen = 0;
	size_t at = 0, before = 0;

	for (; header_next(fields, &at, &f); before = at) {
		if (r.found && (header_is(&f, "Received") ||
		    header_is(&f, "Return-Path"))) {
			r.end = before;
			break;
		}
		if (!is_resent(&f))
			continue;
		r.found = true;
		for (unsigned i = 0; i < 4; i++) {
			if (!header_is(&f, once[i]))
				continue;
			if ((seen & 1u << i) != 0) {
				r.end = before;
				return r;
			}
			seen |= 1u << i;
		}
	}
	return r;
}

static bool
names_recipients(const struct header_field *f, bool resent)
{
	struct slice name = f->name;

	if (resent != is_resent(f))
		return false;
	if (resent)
		name = slice_sub(name, 7, name.len);
	return slice_ieq(name, SLICE("To")) || slice_ieq(name, SLICE("Cc")) ||
	    slice_ieq(name, SLICE("Bcc"));
}

/* For nobody's eyes. */
static bool
is_dropped(const struct header_field *f)
{
	return header_is(f, "Bcc") || header_is(f, "Resent-Bcc");
}

void
letter_header(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, struct slice fields, struct buf *out)
{
	struct resent r = newest_block(fields);
	struct header_field f;
	bool from = false;
	size_t at = 0, before = 0;

	for (; header_next(fields, &at, &f); before = at) {
		if (o->from_header && before < r.end &&
		    names_recipients(&f, r.found))
			letter_add(l, o, c, f.value);
		from = from || header_is(&f, "From");
		if (!is_dropped(&f))
			buf_addslice(out, slice_sub(fields, before, at));
	}
	if (!from && o->full_name != NULL && o->full_name[0] != '\0')
		add_from(l, o, c, out);
}
