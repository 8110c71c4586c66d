/*
 * A blocking client of the contract "queue" (common/proto/queue.h), for
 * programs that hand in one message after the other: bounce, pickup.  Sessions
 * have their own (smtpd/enqueue.c), which spares queued wake-ups.
 *
 * Every wait has an end.  What goes wrong on the way is remembered: the steps
 * return false, and queue_client_end says what it was.  Nothing but a RESULT of
 * queued's ever becomes a 250.
 */
#ifndef COMMON_PROTO_QUEUE_CLIENT_H
#define COMMON_PROTO_QUEUE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/io/chan.h"

struct envelope;
struct queue_client;

/* fd is a connection to SOCKET_QUEUE (chan_dial) and belongs to the client.
 * NULL with errno: there is no pipe to be had; fd is closed then. */
struct queue_client *queue_client_new(int fd);
void queue_client_free(struct queue_client **q);

/* Begins a message: asks for room for size octets (0: not known). */
bool queue_client_open(struct queue_client *q, struct slice id, uint64_t size);
/* Up to ENV_RECIPIENTS_MAX recipients, in as many records as it takes. */
bool queue_client_envelope(struct queue_client *q,
    const struct envelope *env);
/* Octets of the content; blocks while queued is slower. */
bool queue_client_put(struct queue_client *q, struct slice content);
/* Ends the message, with edits (struct env_edit, or NULL): *st is 250 when it
 * is durable, otherwise why it is not (it is discarded then). */
void queue_client_end(struct queue_client *q, const struct chan_list *edits,
    struct status *st);
/* Takes the message under way back. */
void queue_client_abort(struct queue_client *q);

/* Can the next message go this way?  Otherwise: connect anew. */
bool queue_client_usable(const struct queue_client *q);
/* Octets of the content so far. */
uint64_t queue_client_octets(const struct queue_client *q);

#endif
