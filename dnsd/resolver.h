/*
 * libunbound behind five functions: a resolver is made whole from the
 * configuration, asked, and thrown away when the configuration changes.
 */
#ifndef DNSD_RESOLVER_H
#define DNSD_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct buf;
struct conf;
struct dns_servers;
struct loop;
struct resolver;

/* What libunbound says to one question. */
struct resolver_said {
	bool failed;          /* no answer: why */
	bool secure, bogus;   /* DNSSEC; bogus: why */
	struct slice packet;  /* else the answer; lives during the call */
	const char *why;
};

/* Belongs to the asker and lives until fn was called or the resolver was
 * freed, whatever comes first. */
struct resolver_call {
	void (*fn)(void *arg, const struct resolver_said *said);
	void *arg;
	struct resolver *resolver; /* below: the resolver's */
	char name[256];
};

/* sockets: how many it may use at once.  NULL: a line in errors. */
struct resolver *resolver_new(struct loop *l, const struct conf *c,
    const struct dns_servers *servers, size_t sockets, struct buf *errors);
/* Not from within a call of fn.  Questions under way are forgotten: their fn is
 * not called. */
void resolver_free(struct resolver **r);

/* name: one that dns_name_ok likes.  fn may be called before the return.
 * NULL, or why it could not be asked (then fn is not called). */
const char *resolver_ask(struct resolver *r, struct resolver_call *call,
    struct slice name, uint32_t type);

/* There are trust anchors. */
bool resolver_validates(const struct resolver *r);

#endif
