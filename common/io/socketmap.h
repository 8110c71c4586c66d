/*
 * Client of the socketmap protocol (Sendmail's, also Postfix's
 * socketmap_table(5)): a netstring "MAP KEY" goes to a UNIX socket, a netstring
 * "OK VALUE", "NOTFOUND ", "TEMP why", "TIMEOUT why" or "PERM why" comes back.
 * One connection a question, in an event loop.
 */
#ifndef COMMON_IO_SOCKETMAP_H
#define COMMON_IO_SOCKETMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SOCKETMAP_KEY_MAX 16384
#define SOCKETMAP_REPLY_MAX 100000 /* what the protocol allows */

enum socketmap_result {
	SOCKETMAP_FOUND,
	SOCKETMAP_NONE,
	SOCKETMAP_ERROR /* nobody there, too slow, or it said so; logged */
};

struct loop;
struct socketmap;

/* value lives until return. */
typedef void socketmap_fn(void *arg, enum socketmap_result result,
    struct slice value);

/* Asks; fn is called once, never from within.  NULL: it could not be sent
 * (logged), and fn is not called. */
struct socketmap *socketmap_ask(struct loop *l, const char *path,
    struct slice map, struct slice key, int64_t wait_ms, socketmap_fn *fn,
    void *arg);
/* Gives the question up; not after fn was called. */
void socketmap_drop(struct socketmap **s);

/* The reply's netstring at the start of in.  1: whole, *body is set; 0: more is
 * needed; -1: none of the protocol. */
int socketmap_netstring(struct slice in, struct slice *body);
/* What the body means; *value behind the word. */
enum socketmap_result socketmap_meaning(struct slice body,
    struct slice *value);

#endif
