/*
 * A server of a protocol of text lines on a UNIX socket, in an event loop: for
 * foreign programs (Postfix, Exim) that speak no contract of ours.  Lines end
 * with LF and are bounded; a peer that breaks a bound, or does not read what it
 * is told, is disconnected.
 */
#ifndef COMMON_IO_LINEPEER_H
#define COMMON_IO_LINEPEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/slice.h"

struct loop;
struct linepeer;
struct linepeer_server;

struct linepeer_ops {
	void (*opened)(void *arg, struct linepeer *p);
	/* line without its LF, any other octet in it; false: disconnect. */
	bool (*line)(void *arg, struct linepeer *p, struct slice line);
	void (*closed)(void *arg, struct linepeer *p); /* last call for p */
};

/* listen_fd is the caller's; only uid (and root) may connect. */
struct linepeer_server *linepeer_server_new(struct loop *l, int listen_fd,
    uid_t uid, size_t max_peers, const struct linepeer_ops *ops, void *arg);
void linepeer_server_free(struct linepeer_server **s);

void linepeer_set_data(struct linepeer *p, void *data);
void *linepeer_data(const struct linepeer *p);
/* Queued, written as the peer takes it. */
void linepeer_send(struct linepeer *p, struct slice text);

#endif
