/*
 * One value of the configuration: from its text into its member, by its row of
 * the table.  For conf.c only; everybody else reads struct conf.
 */
#ifndef COMMON_CONF_VALUE_H
#define COMMON_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

struct buf;
struct conf_arena;
struct conf_param;

/* Memory that lives as long as one struct conf; *arena starts as NULL. */
void *value_alloc(struct conf_arena **arena, size_t n);
const char *value_text(struct conf_arena **arena, struct slice s);
void value_free(struct conf_arena **arena);

/* Stores text at base + p->off.  On failure nothing is stored and why receives
 * "what is wrong; what is allowed". */
bool value_set(const struct conf_param *p, struct slice text, void *base,
    struct conf_arena **arena, struct buf *why);

/* The words between commas and white space, in one array. */
bool value_next_word(struct slice *rest, struct slice *word);

#endif
