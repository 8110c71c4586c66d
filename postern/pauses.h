/* Destinations an admin stopped: the file queue_dir/paused of qmgr(8), one a
 * line, its name, a tab, the reason. */
#ifndef POSTERN_PAUSES_H
#define POSTERN_PAUSES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct pause {
	struct slice name, reason; /* in text */
};
struct pauses {
	struct buf text;
	struct pause *v; /* owned */
	size_t n, cap;
};

/* False: *p is empty, errno; no file is no pause. */
bool pauses_load(int queue_fd, struct pauses *p);
/* NULL: it is not paused. */
const struct pause *pauses_find(const struct pauses *p, struct slice name);
/* Under qmgr's lock: the name with this reason, or without it (NULL).  False:
 * errno; nothing changed. */
bool pauses_change(int queue_fd, const struct pauses *p, struct slice name,
    const char *reason);
/* Can stand in the file. */
bool pauses_name_valid(struct slice name);
void pauses_free(struct pauses *p);

#endif
