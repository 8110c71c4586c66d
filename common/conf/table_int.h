/* Between table.c (cdb), table_text.c (the text's grammar) and table_edit.c. */
#ifndef COMMON_CONF_TABLE_INT_H
#define COMMON_CONF_TABLE_INT_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "common/conf/table.h"

#define TABLE_KEY_MAX 1000UL               /* octets of a key */
#define TABLE_VALUE_MAX (1024UL * 1024)    /* of an entry, lines joined */
#define TABLE_TEXT_MAX (1024UL * 1024 * 1024) /* of a text file */

/* One entry of the text; slices live until the callback returns. */
struct table_entry {
	struct slice key;   /* folded */
	struct slice value; /* as it goes into the cdb */
	unsigned line;      /* its first line */
	size_t from, to;    /* its octets in the text, comments within
	                     * included, up to behind its last newline */
};

/*
 * Calls fn for every good entry; false stops.  Each bad one becomes a line in
 * errors: "SHOWN:LINE: what; mend".  Returns whether all were good and fn
 * never returned false.
 */
bool table_text_each(enum table_kind kind, struct slice text,
    const char *shown, struct buf *errors,
    bool (*fn)(void *arg, const struct table_entry *e), void *arg);

/* One such line; line 0: the file as a whole. */
void table_complain(struct buf *errors, const char *shown, unsigned line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Replaces what is in out. */
void table_fold(struct slice key, struct buf *out);

/* Is the line blank or a comment? */
bool table_is_comment(struct slice line);

/* Writes the cdb of text into the empty file fd. */
bool table_write(int fd, enum table_kind kind, struct slice text,
    const char *shown, struct buf *errors);

#endif
