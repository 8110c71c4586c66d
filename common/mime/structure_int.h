/* Inside of common/mime/structure*.c; nobody else includes this. */
#ifndef COMMON_MIME_STRUCTURE_INT_H
#define COMMON_MIME_STRUCTURE_INT_H

#include <stdint.h>

struct structure;
struct structure_part;

/* A part at the end, and its place in the tree: child of parent, behind its
 * last child (0: it is the first). */
struct structure_part *structure_add(struct structure *s, uint32_t parent,
    uint32_t last_child);

#endif
