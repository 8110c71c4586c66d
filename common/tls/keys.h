/*
 * The clients of keyd (contract "key"): a session for one handshake, and its
 * parent, which keeps what most sessions will ask for.
 */
#ifndef COMMON_TLS_KEYS_H
#define COMMON_TLS_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/tls/tls.h"

struct keys;

/* A session's way to keyd for one handshake.  fd: a channel as the parent got
 * it (SERVICE_KEY), the client's end of it then; -1: there is none, and every
 * question is answered KEY_TEMP.  context: as in struct tls_accept.  Questions
 * wait until deadline_ms. */
struct keys *keys_new(int fd, const char *context, int64_t deadline_ms);
/* To be called when the handshake is over: keyd has the channel back. */
void keys_free(struct keys **k);
/* For struct tls_accept; lives as long as k. */
const struct tls_keys *keys_ops(struct keys *k);

/*
 * A parent's side, in its event loop: asks keyd for the certificate of clients
 * without a name (and so for what most clients with one get), gives it to ctx,
 * and asks again when a session saw another one (keys_watch_seen, from a
 * session or the parent), at most once a second.
 */
struct loop;
struct keys_watch;
struct keys_watch *keys_watch_new(struct loop *l, struct tls_context *ctx,
    const char *path);
/* Before each fork: is there something to ask?  Costs a look at memory. */
void keys_watch_look(struct keys_watch *w);
void keys_watch_free(struct keys_watch **w);

#endif
