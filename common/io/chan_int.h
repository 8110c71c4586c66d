/*
 * What the files of the channel module (chan.c, chan_codec.c, chan_server.c,
 * chan_link.c) share among themselves; nobody else includes it.
 */
#ifndef COMMON_IO_CHAN_INT_H
#define COMMON_IO_CHAN_INT_H

#include "common/base/buf.h"
#include "common/io/chan.h"

/* Octets on the wire */
#define CHAN_LENGTH_SIZE 4 /* u32: octets of what follows */
#define CHAN_HEAD_SIZE 4   /* u16 type, u16 descriptors: counted */
#define CHAN_TAG_SIZE 5    /* u8 tag, u32 length of each field */

#define CHAN_MAX_FIELDS 64 /* rows of one table */

/* Where and how a record breaks its contract. */
struct chan_fault {
	const char *record; /* NULL: none was recognized */
	const char *field;  /* NULL: not the fault of one field */
	const char *why;
};

uint32_t chan_get32(const char *p);
uint16_t chan_get16(const char *p);

/* A whole frame of record r, appended to out. */
void chan_frame_put(const struct chan_record *r, uint16_t version,
    const void *msg, uint32_t max_frame, struct buf *out);

/*
 * The fields of one record.  Fields newer than `version` are a fault; a field
 * may only be missed by a peer that knows it: required ones newer than `need`
 * may be absent.
 */
bool chan_fields_get(const struct chan_record *r, uint16_t version,
    uint16_t need, struct slice octets, struct chan_arena *arena, void *msg_out,
    struct chan_fault *fault);

/* What chan_recv is made of: the next record out of the buffer, and one read
 * into it. */
enum chan_result chan_next(struct chan *c, uint16_t *type, void *msg_out,
    size_t msg_size, int *fds, size_t *nfds);
enum chan_result chan_fill(struct chan *c);
/* The HELLO exchange is complete. */
bool chan_greeted(const struct chan *c);

/*
 * Memory of idle connections.  chan_buffer_lend gives the channel a buffer of
 * *size octets if it has none; chan_buffer_return takes an empty one back
 * (nothing happens where *p is set already: the channel's own is freed).
 */
struct chan_buffer {
	char *p; /* NULL: none */
	size_t size;
};
void chan_buffer_lend(struct chan *c, struct chan_buffer *spare);
void chan_buffer_return(struct chan *c, struct chan_buffer *spare);

/* A connection accepted or connected with SOCK_NONBLOCK and SOCK_CLOEXEC:
 * chan_new without its system calls. */
struct chan *chan_new_ready(int fd, const struct chan_contract *contract,
    enum chan_side side);

/* Octets of the largest struct of the contract. */
size_t chan_msg_size(const struct chan_contract *ct);

void chan_fds_close(const int *fds, size_t nfds);

#endif
