/*
 * What the files of the channel module (chan*.c) share among themselves; nobody
 * else includes it.
 */
#ifndef COMMON_IO_CHAN_INT_H
#define COMMON_IO_CHAN_INT_H

#include "common/base/buf.h"
#include "common/io/chan.h"

/* Octets on the wire */
#define CHAN_LENGTH_SIZE 4 /* u32: octets of what follows */
#define CHAN_HEAD_SIZE 4   /* u16 type, u16 descriptors: counted */
#define CHAN_TAG_SIZE 5    /* u8 tag, u32 length of each field */

#define CHAN_HELLO 0       /* record type */

#define CHAN_MAX_FIELDS 64 /* rows of one table */

/* Descriptors received and not yet handed over: those of a record that is not
 * whole yet, and what one recvmsg may add to them. */
#define CHAN_IN_FDS ((size_t)2 * CHAN_MAX_FDS)
/* Larger buffers are given back when they are empty. */
#define CHAN_IN_KEEP 65536

struct chan_buffer {
	char *p; /* NULL: none */
	size_t size;
};

/* What a connection needs only while there is something to read. */
struct chan_spare {
	struct chan_buffer in;
	struct chan_arena *arena;
};

/* Descriptors that leave with the octet at `at` of the output buffer. */
struct chan_rider {
	size_t at;
	size_t nfds;
	int fds[CHAN_MAX_FDS]; /* owned */
};

struct chan {
	int fd; /* owned */
	const struct chan_contract *contract;
	enum chan_side side;
	uint16_t version; /* what is spoken; 0: the HELLO has not come yet */
	uint16_t need;    /* required fields up to this version must come */
	bool greeted;     /* HELLO went both ways */
	bool answer_owed; /* the HELLO's answer waits in `out` */
	bool bad;         /* the peer broke the contract */
	bool broken;      /* nothing can be sent any more */
	bool eof;         /* nothing will come any more */
	bool drained;     /* the last read took all there was */
	bool asked;       /* something was sent since the last read */

	struct chan_buffer in;
	size_t in_start, in_end;
	int in_fds[CHAN_IN_FDS]; /* owned, oldest first */
	size_t in_nfds;

	struct buf out;
	size_t out_sent; /* octets of it that are gone */
	struct chan_rider *riders;
	size_t nriders, riders_cap, riders_sent;

	struct chan_arena *arena;
};

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
 * How to decode: fields newer than `version` are a fault; required ones may be
 * absent where they are newer than `need`.
 */
struct chan_decoder {
	uint16_t version, need;
	struct chan_arena *arena; /* the caller's: memory of lists */
	struct chan_fault fault;  /* set when decoding fails */
};

/* The fields of one record into its struct. */
bool chan_fields_get(struct chan_decoder *d, const struct chan_record *r,
    struct slice octets, void *msg_out);

/* HELLO: queued first by the connecting side, as the answer by the other. */
void chan_hello_queue(struct chan *c, uint16_t lowest, uint16_t highest);
enum chan_result chan_hello_take(struct chan *c, struct slice fields,
    uint16_t nfds);

/* The peer broke the contract: logged; both return CHAN_BAD.  r may be NULL. */
enum chan_result chan_refuse_fault(struct chan *c,
    const struct chan_fault *fault);
enum chan_result chan_refuse(struct chan *c, const struct chan_record *r,
    const char *why);

/* Nothing more can be sent: what waits is dropped. */
void chan_output_end(struct chan *c);

/* What chan_recv is made of: the next record out of the buffer, and one read
 * into it. */
enum chan_result chan_next(struct chan *c, uint16_t *type, void *msg_out,
    size_t msg_size, int *fds, size_t *nfds);
enum chan_result chan_fill(struct chan *c);
/* The HELLO exchange is complete. */

/*
 * Memory of idle connections: an event loop lends one receive buffer and one
 * arena to whichever channel has something to read, and takes back what is
 * empty afterwards.
 */
void chan_lend(struct chan *c, struct chan_spare *spare);
void chan_return(struct chan *c, struct chan_spare *spare);
void chan_spare_free(struct chan_spare *spare);

/* A connection accepted or connected with SOCK_NONBLOCK and SOCK_CLOEXEC:
 * chan_new without its system calls. */
struct chan *chan_new_ready(int fd, const struct chan_contract *contract,
    enum chan_side side);

/* Octets of the largest struct of the contract. */
size_t chan_msg_size(const struct chan_contract *ct);

void chan_fds_close(const int *fds, size_t nfds);

#endif
