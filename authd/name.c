/*
 * Names as the tables know them.  Runs in authd; the text is a client's (RCPT,
 * USER), or stands in an alias, a list or a forward file.
 */
#include <assert.h>

#include "authd/name.h"
#include "common/mail/address.h"

/* The grammar allows 254 octets, and a new domain 255 behind 64. */
#define NAME_MAX_OCTETS 512

void
name_init(struct name *n)
{
	*n = (struct name){.full = SLICE_EMPTY, .local = SLICE_EMPTY,
	    .domain = SLICE_EMPTY};
	buf_init(&n->text, NAME_MAX_OCTETS);
	(void)buf_room(&n->text, NAME_MAX_OCTETS);
}

void
name_free(struct name *n)
{
	buf_free(&n->text);
}

static void
set(struct name *n, const struct address *a)
{
	buf_reset(&n->text);
	address_canonical(a, &n->text);
	assert(!n->text.overflow);
	n->full = buf_slice(&n->text);
	/* Lower case is as long as what it was made of. */
	n->domain = slice_sub(n->full, n->full.len - a->domain.len,
	    n->full.len);
	n->local = slice_sub(n->full, 0, n->full.len - a->domain.len - 1);
	n->literal = a->literal;
}

bool
name_parse(struct name *n, struct slice text, struct slice bare_domain,
    const char **why)
{
	struct address a = {.domain = bare_domain};

	if (text.len == 0) {
		*why = "no address";
		return false;
	}
	if (address_local(text, true, why)) {
		a.local = text;
		set(n, &a);
		n->bare = true;
		return true;
	}
	if (!address_parse(text, true, &a, why))
		return false;
	set(n, &a);
	n->bare = false;
	return true;
}

void
name_move(struct name *n, struct slice domain)
{
	struct address a = {.domain = domain};
	char local[NAME_MAX_OCTETS];

	memcpy(local, n->local.p, n->local.len);
	a.local = slice_mem(local, n->local.len);
	set(n, &a);
}
