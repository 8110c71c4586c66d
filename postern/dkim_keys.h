/* The keys below dkim_dir, DOMAIN/SELECTOR.pem, for `postern dkim` and `postern
 * check`. */
#ifndef POSTERN_DKIM_KEYS_H
#define POSTERN_DKIM_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/dns/dns.h"

struct dkim_public {
	char *domain, *selector; /* owned */
	char *file;              /* owned */
	enum crypto_kind kind;
	unsigned bits;
	struct buf key;          /* the public half; empty: *why */
	char why[300];
	struct buf name, record; /* "s._domainkey.example.org", its TXT */
};
struct dkim_publics {
	struct dkim_public *v;   /* owned; by domain and selector */
	size_t n, cap;
};

/* Those of a domain, of one selector, or (NULL) all.  -1 with errno: dir cannot
 * be read. */
int dkim_publics_read(const char *dir, const char *domain,
    const char *selector, struct dkim_publics *out);
void dkim_publics_free(struct dkim_publics *p);

enum dkim_published {
	DKIM_PUBLISHED,       /* and it is this key */
	DKIM_UNPUBLISHED,
	DKIM_PUBLISHED_OTHER, /* another key, or a record nobody can use */
	DKIM_UNKNOWN          /* no answer for now */
};
/* What an answer for p->name says; *why: in words. */
enum dkim_published dkim_published(const struct dkim_public *p,
    const struct dns_answer *a, const char **why);

#endif
