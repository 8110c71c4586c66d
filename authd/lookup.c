/*
 * The order in which tables are asked about an address, in authd.  The address
 * is a client's (RCPT) or stands in an alias: what it costs is bounded by the
 * grammar's lengths and SPLITS_MAX.
 */
#include <string.h>

#include "authd/lookup.h"
#include "common/conf/conf.h"

#define TEXT_MAX 1024
#define SPLITS_MAX 8 /* places of the delimiter that are tried */

void
lookup_init(struct lookup *l)
{
	*l = (struct lookup){.kind = LOOKUP_NONE, .targets = SLICE_EMPTY,
	    .local = SLICE_EMPTY, .domain = SLICE_EMPTY,
	    .extension = SLICE_EMPTY};
	mailbox_init(&l->mailbox);
	buf_init(&l->text, TEXT_MAX);
	(void)buf_room(&l->text, TEXT_MAX);
}

void
lookup_free(struct lookup *l)
{
	mailbox_free(&l->mailbox);
	buf_free(&l->text);
}

static void
set_alias(struct lookup *l, struct slice local, struct slice domain)
{
	buf_reset(&l->text);
	buf_addslice(&l->text, local);
	buf_addslice(&l->text, domain);
	l->kind = LOOKUP_ALIAS;
	l->local = slice_sub(buf_slice(&l->text), 0, local.len);
	l->domain = slice_sub(buf_slice(&l->text), local.len, l->text.len);
}

/* One name, as alias and as mailbox: FOUND and ERROR end the search. */
static enum directory_result
try_name(struct directory *d, struct slice local, struct slice domain,
    bool mailbox_only, struct lookup *l)
{
	enum directory_result r = DIRECTORY_NONE;

	if (!mailbox_only) {
		r = directory_alias(d, local, domain, false, &l->targets);
		if (r == DIRECTORY_NONE && l->bare)
			r = directory_alias(d, local, domain, true,
			    &l->targets);
		if (r == DIRECTORY_FOUND)
			set_alias(l, local, domain);
	}
	if (r == DIRECTORY_NONE) {
		r = directory_mailbox(d, local, domain, l->bare, &l->mailbox);
		if (r == DIRECTORY_FOUND)
			l->kind = LOOKUP_MAILBOX;
	}
	if (r == DIRECTORY_ERROR)
		l->kind = LOOKUP_ERROR;
	return r;
}

/* Any octet of recipient_delimiter separates; the longest name that is there
 * wins, so that mary-ann-lists finds mary-ann before mary. */
static enum directory_result
try_extensions(struct directory *d, const struct name *n, bool mailbox_only,
    struct lookup *l)
{
	const char *delimiters = directory_conf(d)->recipient_delimiter;
	enum directory_result r;
	unsigned tries = 0;
	size_t i;

	if (delimiters[0] == '\0' || n->local.p[0] == '"')
		return DIRECTORY_NONE;
	for (i = n->local.len; i-- > 1 && tries < SPLITS_MAX;) {
		if (strchr(delimiters, n->local.p[i]) == NULL)
			continue;
		tries++;
		l->extension = slice_sub(n->local, i + 1, n->local.len);
		r = try_name(d, slice_sub(n->local, 0, i), n->domain,
		    mailbox_only, l);
		if (r != DIRECTORY_NONE)
			return r;
	}
	l->extension = SLICE_EMPTY;
	return DIRECTORY_NONE;
}

static enum directory_result
try_postmaster(struct directory *d, const struct name *n, struct lookup *l)
{
	enum directory_result r;

	if (l->bare || !slice_eq(n->local, SLICE("postmaster")))
		return DIRECTORY_NONE;
	l->bare = true;
	r = try_name(d, n->local, directory_local_domain(d), false, l);
	if (r == DIRECTORY_NONE)
		l->bare = false;
	return r;
}

static void
try_catch_all(struct directory *d, const struct name *n, struct lookup *l)
{
	switch (directory_alias(d, SLICE_EMPTY, n->domain, false,
	    &l->targets)) {
	case DIRECTORY_FOUND:
		set_alias(l, SLICE_EMPTY, n->domain);
		break;
	case DIRECTORY_ERROR:
		l->kind = LOOKUP_ERROR;
		break;
	case DIRECTORY_NONE:
		l->kind = LOOKUP_NONE;
		break;
	}
}

void
lookup_name(struct directory *d, struct name *n, bool mailbox_only,
    struct lookup *l)
{
	bool relay = false;

	l->kind = LOOKUP_NONE;
	l->extension = SLICE_EMPTY;
	switch (directory_domain(d, n)) {
	case DOMAIN_ERROR:
		l->kind = LOOKUP_ERROR;
		return;
	case DOMAIN_REMOTE:
		l->kind = LOOKUP_REMOTE;
		return;
	case DOMAIN_LOCAL:
		l->bare = true;
		break;
	case DOMAIN_LOCAL_RELAY:
		relay = true;
		l->bare = true;
		break;
	case DOMAIN_RELAY:
		relay = true;
		l->bare = false;
		break;
	case DOMAIN_VIRTUAL:
		l->bare = false;
		break;
	}
	if (try_name(d, n->local, n->domain, mailbox_only, l) !=
	    DIRECTORY_NONE)
		return;
	if (try_extensions(d, n, mailbox_only, l) != DIRECTORY_NONE)
		return;
	if (!mailbox_only &&
	    (relay || try_postmaster(d, n, l) == DIRECTORY_NONE))
		try_catch_all(d, n, l);
	if (relay && l->kind == LOOKUP_NONE)
		l->kind = LOOKUP_RELAY;
}

enum directory_result
lookup_owner(struct directory *d, const struct lookup *l, struct buf *out)
{
	struct buf owner = BUF_INIT(TEXT_MAX);
	struct slice local, ignored;
	enum directory_result r = DIRECTORY_NONE;

	buf_adds(&owner, directory_conf(d)->owner_prefix);
	if (l->local.len > 0 && l->local.p[0] != '"' && owner.len > 0) {
		buf_addslice(&owner, l->local);
		local = buf_slice(&owner);
		r = directory_alias(d, local, l->domain, false, &ignored);
		if (r == DIRECTORY_NONE && l->bare)
			r = directory_alias(d, local, l->domain, true,
			    &ignored);
		if (r == DIRECTORY_FOUND) {
			buf_addslice(out, local);
			buf_addc(out, '@');
			buf_addslice(out, l->domain);
		}
	}
	buf_free(&owner);
	return r;
}
