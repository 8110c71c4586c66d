/*
 * Header completion.  In smtpd's sessions and in pickup, on the header of what
 * users of this host submit.  The content itself is never changed: the edits
 * stand in the queue file's trailer.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/addrlist.h"
#include "common/mail/complete.h"
#include "common/mail/phrase.h"
#include "common/mime/header.h"

#define ADDRESS_MAX 1200
#define DOMAIN_MAX 300
#define TEXTS_MAX 65536

enum {
	SEEN_DATE = 1,
	SEEN_FROM = 2,
	SEEN_MESSAGE_ID = 4,
	SEEN_RESENT = 8,       /* any Resent- field */
	SEEN_RESENT_DATE = 16,
	SEEN_RESENT_FROM = 32
};

static const struct row {
	const char *name;
	unsigned seen;
	bool addresses;  /* bare names get the domain */
	enum { KEPT, DROPPED, EMPTY_DROPPED } drop;
} rows[] = {
	{"Date", SEEN_DATE, false, EMPTY_DROPPED},
	{"From", SEEN_FROM, true, EMPTY_DROPPED},
	{"Message-ID", SEEN_MESSAGE_ID, false, EMPTY_DROPPED},
	{"Sender", 0, true, KEPT},
	{"Reply-To", 0, true, KEPT},
	{"To", 0, true, KEPT},
	{"Cc", 0, true, KEPT},
	{"Bcc", 0, false, DROPPED},
	{"Resent-Date", SEEN_RESENT_DATE, false, KEPT},
	{"Resent-From", SEEN_RESENT_FROM, true, KEPT},
	{"Resent-Sender", 0, true, KEPT},
	{"Resent-To", 0, true, KEPT},
	{"Resent-Cc", 0, true, KEPT},
	{"Resent-Bcc", 0, false, DROPPED},
	{"Return-Path", 0, false, DROPPED},
	{"Content-Length", 0, false, DROPPED},
};

void
complete_init(struct complete *c, struct slice domain)
{
	*c = (struct complete){.domain = BUF_INIT(DOMAIN_MAX),
	    .added = BUF_INIT(ENV_EDIT_TEXT_MAX),
	    .texts = BUF_INIT(TEXTS_MAX)};
	buf_addc(&c->domain, '@');
	buf_addslice(&c->domain, domain);
}

void
complete_free(struct complete *c)
{
	free(c->edits);
	free(c->cuts);
	c->edits = NULL;
	c->cuts = NULL;
	c->ncuts = c->cuts_cap = 0;
	buf_free(&c->domain);
	buf_free(&c->added);
	buf_free(&c->texts);
}

void
complete_reset(struct complete *c)
{
	c->ncuts = 0;
	c->seen = 0;
	c->headless = c->too_many = false;
	buf_reset(&c->added);
	buf_reset(&c->texts);
}

/* One place is kept for what is added on top. */
static bool
add_edit(struct complete *c, uint64_t offset, uint64_t skip, struct slice text)
{
	struct complete_cut *last = c->ncuts > 0 ? &c->cuts[c->ncuts - 1]
	    : NULL;
	struct complete_cut cut = {offset, skip, c->texts.len, text.len};

	/* Fields side by side are one cut. */
	if (last != NULL && text.len == 0 && last->length == 0 &&
	    last->offset + last->skip == offset) {
		last->skip += skip;
		return true;
	}
	if (c->ncuts >= ENV_EDITS_MAX - 1)
		return false;
	buf_addslice(&c->texts, text);
	if (c->texts.overflow)
		return false;
	MEM_PUSH(c->cuts, c->ncuts, c->cuts_cap, cut);
	return true;
}

/* The field once more, with the domain behind each bare name.  What is too
 * long for an edit stays as it is. */
static void
add_domains(struct complete *c, const struct header_field *f)
{
	struct addrlist list = addrlist_of(f->value);
	struct buf address = BUF_INIT(ADDRESS_MAX);
	struct buf field = BUF_INIT(ENV_EDIT_TEXT_MAX);
	const char *why, *from = f->name.p, *end = f->value.p + f->value.len;
	int found;

	if (f->cut)
		return;
	while ((found = addrlist_next(&list, &address, &why)) != 0) {
		if (found != 1 || list.bare == NULL)
			continue;
		buf_add(&field, from, (size_t)(list.bare - from));
		buf_addslice(&field, buf_slice(&c->domain));
		from = list.bare;
	}
	if (from != f->name.p) {
		buf_add(&field, from, (size_t)(end - from));
		buf_adds(&field, "\r\n");
		if (!field.overflow)
			(void)add_edit(c, f->offset, f->length,
			    buf_slice(&field));
	}
	buf_free(&address);
	buf_free(&field);
}

/* Nothing is in front of it but what is cut away. */
static bool
is_first(const struct complete *c, const struct header_field *f)
{
	return f->offset == 0 || (c->ncuts == 1 && c->cuts[0].offset == 0 &&
	    c->cuts[0].length == 0 && c->cuts[0].skip == f->offset);
}

/* What an mbox has in front of a message, once or (forwarded) more often. */
static bool
is_mbox_line(const struct header_field *f)
{
	return slice_prefix(f->value, SLICE("From ")) ||
	    slice_prefix(f->value, SLICE(">From "));
}

static bool
is_empty(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r' &&
		    s.p[i] != '\n')
			return false;
	return true;
}

static void
drop(struct complete *c, const struct header_field *f)
{
	if (!add_edit(c, f->offset, f->length, SLICE_EMPTY))
		c->too_many = true;
}

void
complete_field(void *arg, const struct header_field *f)
{
	struct complete *c = arg;

	if (c->headless) /* it is text, whatever it looks like */
		return;
	if (f->name.len == 0) {
		if (!is_first(c, f))
			return;
		if (is_mbox_line(f))
			drop(c, f);
		else
			c->headless = true;
		return;
	}
	if (slice_iprefix(f->name, SLICE("Resent-")))
		c->seen |= SEEN_RESENT;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!header_is(f, rows[i].name))
			continue;
		if (rows[i].drop == DROPPED ||
		    (rows[i].drop == EMPTY_DROPPED && is_empty(f->value))) {
			drop(c, f);
			return;
		}
		c->seen |= rows[i].seen;
		if (rows[i].addresses)
			add_domains(c, f);
		return;
	}
}

static void
put_date(struct buf *out, const char *name, int64_t ms)
{
	char date[CLOCK_DATE_SIZE];

	clock_rfc5322(ms, date);
	buf_printf(out, "%s: %s\r\n", name, date);
}

static void
put_from(struct complete *c, const char *name,
    const struct complete_facts *facts)
{
	buf_printf(&c->added, "%s: ", name);
	if (facts->sender.len > 0 && facts->name.len > 0) {
		phrase_add(facts->name, &c->added);
		buf_adds(&c->added, " <");
		buf_addslice(&c->added, facts->sender);
		buf_addc(&c->added, '>');
	} else if (facts->sender.len > 0) {
		buf_addslice(&c->added, facts->sender);
	} else {
		buf_adds(&c->added, "MAILER-DAEMON");
		buf_addslice(&c->added, buf_slice(&c->domain));
	}
	buf_adds(&c->added, "\r\n");
}

static void
put_missing(struct complete *c, const struct complete_facts *facts)
{
	/* RFC 5322 3.6.6: what is sent once more has its own date and sender,
	 * and the first ones stay as they are. */
	if (c->seen & SEEN_RESENT) {
		if (!(c->seen & SEEN_RESENT_DATE))
			put_date(&c->added, "Resent-Date", facts->date_ms);
		if (!(c->seen & SEEN_RESENT_FROM))
			put_from(c, "Resent-From", facts);
	}
	if (!(c->seen & SEEN_DATE))
		put_date(&c->added, "Date", facts->date_ms);
	if (!(c->seen & SEEN_FROM))
		put_from(c, "From", facts);
	if (!(c->seen & SEEN_MESSAGE_ID)) {
		buf_adds(&c->added, "Message-ID: <");
		buf_addslice(&c->added, facts->id);
		buf_addc(&c->added, '@');
		buf_addslice(&c->added, facts->hostname);
		buf_adds(&c->added, ">\r\n");
	}
	/* The text begins at once: with this it has a header. */
	if (c->headless)
		buf_adds(&c->added, "\r\n");
}

struct chan_list
complete_end(struct complete *c, const struct complete_facts *facts)
{
	struct env_edit *e;
	size_t n = 0;

	put_missing(c, facts);
	free(c->edits);
	c->edits = e = mem_array(c->ncuts + 1, sizeof(*c->edits));
	if (c->added.len > 0)
		e[n++] = (struct env_edit){0, 0, buf_slice(&c->added)};
	for (size_t i = 0; i < c->ncuts; i++)
		e[n++] = (struct env_edit){c->cuts[i].offset, c->cuts[i].skip,
		    slice_mem(c->texts.s + c->cuts[i].at, c->cuts[i].length)};
	return (struct chan_list){e, n};
}
