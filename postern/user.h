/* Rows of the users table, for the commands that change them. */
#ifndef POSTERN_USER_H
#define POSTERN_USER_H

#include <stdbool.h>

#include "common/conf/table.h"
#include "postern/postern.h"

#define USER_LINE_MAX 16384

struct buf;

/* The entry of that name: under the full address, or bare in local_domain.
 * *name receives the full one, *value the row (released with buf_wipe). */
int user_find_entry(struct postern *p, const char *text, struct buf *name,
    struct buf *value);
/* Writes the entry and says so (done NULL: does not). */
int user_put(struct postern *p, const struct table_user *u, bool replace,
    const char *done);

#endif
