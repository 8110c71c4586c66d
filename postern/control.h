/* The way to qmgr, or to its lock where it is stopped. */
#ifndef POSTERN_CONTROL_H
#define POSTERN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "postern/queue.h"

#define CONTROL_ANSWER_MS 30000

struct control {
	struct chan *chan; /* to qmgr; NULL: it is stopped */
	int lock_fd;       /* qmgr's lock, held; -1: not */
};

/* Asks for qmgr; where nobody answers, and lock, its lock is taken.  Says what
 * went wrong; an exit code. */
int control_reach(const struct queue *q, bool lock, struct control *c);
void control_close(struct control *c);
/* Does qmgr speak this version of the contract?  Before anything is sent. */
bool control_speaks(struct control *c, uint16_t version);

#endif
