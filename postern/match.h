/* What an admin types to choose by: text, or a pattern with '*'. */
#ifndef POSTERN_MATCH_H
#define POSTERN_MATCH_H

#include <stdbool.h>

#include "common/base/slice.h"

/* '*' stands for any octets, none included; the rest for itself, whatever the
 * case of ASCII letters.  The whole of s. */
bool match_pattern(struct slice s, struct slice pattern);
/* Without a '*': pattern stands somewhere in s. */
bool match_part(struct slice s, struct slice pattern);

#endif
