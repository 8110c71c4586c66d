/*
 * The files that :include: may name: below the directories of the parameter
 * include_dirs, which are opened before the cage.
 */
#ifndef AUTHD_INCLUDE_H
#define AUTHD_INCLUDE_H

#include <stddef.h>

#include "common/base/slice.h"

#define INCLUDE_MAX ((size_t)16 * 1024 * 1024) /* octets of one file */

struct conf_list;
struct include_dirs;

/* A directory that is not there is no fault as long as nobody asks for it. */
struct include_dirs *include_new(const struct conf_list *dirs);
void include_free(struct include_dirs **d);
/* The i-th directory's descriptor for the cage, -1: not there, -2: no more. */
int include_fd(const struct include_dirs *d, size_t i);

/*
 * The whole file, which the caller frees.  NULL: *why says it in words, errno
 * may add to it (0: nothing to add).  Links are not followed.
 */
char *include_read(const struct include_dirs *d, struct slice path,
    size_t *len, const char **why);

#endif
