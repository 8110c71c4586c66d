/*
 * Files in the drop directory: what sendmail leaves while smtpd does not answer
 * and what pickup takes.  The name of a whole one is an id; what begins with a
 * dot is not whole.  Text lines, then the message:
 *
 *	postern-drop 1
 *	from ann@here.example          <> for the null sender
 *	rcpt bob@there.example         one line each, at least one
 *	body 8bit                      where an octet above 127 is in it
 *	utf8                           where an address has such octets
 *	notify success,failure         of all recipients
 *	ret full                       or hdrs
 *	envid QQ314159                 xtext (RFC 3461 4)
 *	size 1234                      octets of the message; the last line
 *
 * and an empty line.  Values are quoted as in queue files (postern-queue(5),
 * VALUES); lines end in LF, the message's in CRLF.  An unknown line is an
 * error: whoever writes further ones raises the number in the first line, and
 * such a file is left to a newer release.
 */
#ifndef QUEUE_DROP_H
#define QUEUE_DROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"

#define DROP_MODE 0640
/* Recipients a file; sendmail writes several where there are more.  The limit
 * of the head is that of so many of the longest addresses, all quoted. */
#define DROP_RCPTS_MAX 10000u
#define DROP_HEAD_MAX (16u * 1024 * 1024)

struct buf;
struct env_recipient;

struct drop_head {
	struct slice from;
	uint32_t flags;         /* ENV_8BITMIME, _SMTPUTF8, _RET_FULL, _HDRS */
	uint32_t notify;
	struct slice envid;
	uint64_t size;
	size_t nrcpts;
	struct env_recipient *rcpts; /* owned by who read it */
	size_t length;          /* octets of the head, empty line included */
};

/* Appends the head's text. */
void drop_write(const struct drop_head *h, struct buf *out);

enum drop_result {
	DROP_OK,
	DROP_MORE,  /* the empty line is not there yet */
	DROP_BAD,   /* *why: it cannot be one */
	DROP_NEWER  /* a newer version's */
};
/*
 * Reads the head at the start of text, which is decoded in place: what h points
 * to lives as long as text.  With DROP_OK drop_head_free is owed.
 */
enum drop_result drop_read(struct buf *text, size_t rcpts_max,
    struct drop_head *h, const char **why);
/* Could the empty line stand in what came behind the first `from` octets?  For
 * who reads on after DROP_MORE. */
bool drop_may_end(const struct buf *text, size_t from);
void drop_head_free(struct drop_head *h);

#endif
