/*
 * What stands right of the colon in aliases and in a per-user forward file:
 *   ann@example.org, bob               addresses (a bare name is local)
 *   \ann                               the mailbox itself, no further look-up
 *   "|/usr/bin/prog arg 'a b'"         a program, words split here, no shell
 *   |/usr/bin/prog arg                 the same to the end of the line
 *   :include:/etc/postern/lists/staff  addresses of a file (aliases only)
 *   /home/ann/Maildir/.lists/          a Maildir (forward files only)
 * Comma or newline separates; '#' starts a comment at a line's start.
 */
#ifndef COMMON_MAIL_TARGET_H
#define COMMON_MAIL_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

enum target_kind {
	TARGET_ADDRESS,  /* text: address or bare name */
	TARGET_MAILBOX,  /* text: address or bare name behind the backslash */
	TARGET_PROGRAM,  /* text: the command line without the bar */
	TARGET_INCLUDE,  /* text: the path */
	TARGET_MAILDIR   /* text: the path, ends in '/' */
};

struct target {
	enum target_kind kind;
	struct slice text;
};

/*
 * Cuts the next target off *rest.  1: *out is set; 0: no more; -1: broken, *why
 * says how (the broken one is skipped, the caller goes on).
 */
int target_next(struct slice *rest, struct target *out, const char **why);

/* Words of a command line: spaces separate, '...' and "..." group, backslash
 * takes the next octet as it is (not within '...').  Words are written to out,
 * each followed by a NUL; their number, or -1 (unclosed quote, too many). */
struct buf;
int target_words(struct slice command, struct buf *out, size_t most);

#endif
