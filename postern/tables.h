/* Tables, as the commands that change and list them need them.  Every function
 * says what went wrong; the result is an exit code, 0 for success. */
#ifndef POSTERN_TABLES_H
#define POSTERN_TABLES_H

#include "common/base/slice.h"
#include "common/conf/table.h"
#include "postern/postern.h"

struct buf;

/* The compiled table in the text's order; a stale one is compiled first if that
 * is allowed, else it is said. */
int tables_each(struct postern *p, enum table_kind kind,
    bool (*fn)(void *arg, struct slice key, struct slice value), void *arg);
/* One entry's value is appended to out; *found says whether there is one. */
int tables_get(struct postern *p, enum table_kind kind, struct slice key,
    struct buf *out, bool *found);
/* Changes the text and compiles it (table_edit). */
int tables_edit(struct postern *p, enum table_kind kind, struct slice key,
    const char *line, bool may_replace);
int tables_compile(struct postern *p, enum table_kind kind);

/* "ann@example.org" or a bare name, which gets local_domain: its canonical form
 * replaces out.  The domain must be ours. */
int tables_own_address(struct postern *p, const char *text, struct buf *out);
/* 0: *ours is set. */
int tables_own_domain(struct postern *p, struct slice domain, bool *ours);

/* What was done, as text or JSON: "added user ann@example.org". */
void tables_say(struct postern *p, const char *done, const char *what,
    struct slice name);

#endif
