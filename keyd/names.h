/* All folders of tls_dir, for lists and for a look at the dates. */
#ifndef KEYD_NAMES_H
#define KEYD_NAMES_H

#include <stddef.h>

struct pair;

struct names {
	char **v; /* owned, sorted */
	size_t n, cap;
};

/* What stands there now; nothing where it cannot be read. */
void names_read(int dirfd, struct names *out);
void names_free(struct names *n);
/* Reads the folder's pairs and calls fn for each of them, or once with NULL and
 * what is wrong. */
void names_visit(int dirfd, const char *folder,
    void (*fn)(void *arg, const char *folder, const struct pair *p,
    const char *why), void *arg);

#endif
