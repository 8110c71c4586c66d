/* All that was tried with a message, from its journal. */
#ifndef POSTERN_HISTORY_H
#define POSTERN_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/mail/qfile.h"

struct history_entry {
	struct qtried t; /* its slices point into own */
	char *own;       /* owned */
	size_t order;    /* in the journal */
};
struct history {
	struct history_entry *v; /* owned; by recipient, oldest first; notes
	                          * (number 0) before all */
	size_t n, cap;
};

/* False: *why says what hinders it; *h is to be freed all the same. */
bool history_read(struct qfile *file, struct history *h,
    char why[STATUS_TEXT_MAX]);
/* Those of one recipient, or the notes (number 0): h->v[*from] on. */
size_t history_of(const struct history *h, uint32_t number, size_t *from);
void history_free(struct history *h);

#endif
