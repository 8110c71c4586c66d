/* Destinations an admin stopped: the file queue_dir/paused of qmgr(8), one a
 * line, its name, a tab, the reason. */
#ifndef POSTERN_PAUSED_H
#define POSTERN_PAUSED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct pause {
	struct slice name, reason; /* in text */
};
struct paused {
	struct buf text;
	struct pause *v; /* owned */
	size_t n, cap;
};

/* False: *p is empty, errno; no file is no pause. */
bool paused_load(int queue_fd, struct paused *p);
/* NULL: it is not paused. */
const struct pause *paused_find(const struct paused *p, struct slice name);
/* Under qmgr's lock: the name with this reason, or without it (NULL).  False:
 * errno; nothing changed. */
bool paused_change(int queue_fd, const struct paused *p, struct slice name,
    const char *reason);
/* Can stand in the file. */
bool paused_name_valid(struct slice name);
void paused_free(struct paused *p);

#endif
