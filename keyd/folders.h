/* All folders of tls_dir, for lists and for a look at the dates. */
#ifndef KEYD_FOLDERS_H
#define KEYD_FOLDERS_H

#include <stddef.h>

struct pair;

struct folders {
	char **v; /* owned, sorted */
	size_t n, cap;
};

/* What stands there now; nothing where it cannot be read. */
void folders_read(int dirfd, struct folders *out);
void folders_free(struct folders *n);
/* Reads the folder's pairs and calls fn for each of them, or once with NULL and
 * what is wrong. */
void folders_visit(int dirfd, const char *folder,
    void (*fn)(void *arg, const char *folder, const struct pair *p,
    const char *why), void *arg);

#endif
