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

/*
 * A session's way to keyd for one handshake.  open gives a channel (contract
 * "key", the client's end), or -1; it is called at the first question, which
 * for most clients that only connect never comes, and once more where that
 * channel was dead already (keyd was started anew).
 */
struct keys_args {
	int (*open)(void *arg);
	void *arg;
	const char *context;   /* as in struct tls_accept */
	int64_t deadline_ms;   /* no answer is waited for longer */
};
struct keys *keys_new(const struct keys_args *args);
/* To be called when the handshake is over: keyd has the channel back. */
void keys_free(struct keys **k);
/* For struct tls_accept; lives as long as k. */
const struct tls_keys *keys_ops(struct keys *k);

/*
 * A parent's side, in its event loop: asks keyd for the certificates of clients
 * that name nobody, gives them to ctx, and asks for more where sessions had to
 * (tls_context_wish); a new question at most once a second.  path is of the
 * socket, as for chan_dial.  keys_watch_new waits for a moment for the first
 * answer: to be called before proc_ready.
 */
struct loop;
struct keys_watch;
struct keys_watch *keys_watch_new(struct loop *l, struct tls_context *ctx,
    const char *path);
/* Before each fork: a look at memory, and a question to keyd if it says so. */
void keys_watch_look(struct keys_watch *w);
void keys_watch_free(struct keys_watch **w);

#endif
