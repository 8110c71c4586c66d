/*
 * Channels: typed records between daemons over a UNIX stream socket, with
 * descriptors (SCM_RIGHTS).  A contract (common/proto/NAME.h) declares its
 * records as tables; encoder, decoder, manual and fuzzers work from the tables
 * and nobody packs octets by hand.
 *
 * On the wire: u32 length of what follows, u16 record type, u16 number of
 * descriptors, then fields: u8 tag, u32 length, octets.  All numbers are
 * little-endian.  A record's frame length is checked against the contract's
 * limit before memory is taken.
 *
 * The connecting side speaks first: HELLO {contract name, lowest, highest};
 * the accepting side answers HELLO with the chosen version, or closes.  The
 * HELLO exchange is done inside this module; chan_connect does not wait for
 * the answer, so that a first request may follow at once (the connecting side
 * then speaks its lowest version until the answer came).  For that reason a
 * required field that is newer than the highest of both lowest versions may be
 * absent in what the accepting side receives.
 */
#ifndef COMMON_IO_CHAN_H
#define COMMON_IO_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"

enum field_type {
	FIELD_U32,  /* uint32_t member, 4 octets on the wire */
	FIELD_U64,  /* uint64_t member, 8 octets */
	FIELD_STR,  /* struct slice member */
	FIELD_STRS, /* struct slices member; repeated on the wire */
	FIELD_LIST  /* struct chan_list member of sub-records; repeated */
};

/* A decoded or to-be-encoded list of sub-records: v points to n structs of
 * field.sub->size octets. */
struct chan_list {
	void *v;
	size_t n;
};

struct chan_field {
	const char *name;
	uint8_t tag;          /* 1..255, unique in its record, never reused */
	enum field_type type;
	uint32_t max;         /* STR(S): octets of one; U32/U64: largest value,
	                       * 0 = any; LIST: see max_n */
	uint32_t max_n;       /* STRS, LIST: elements; else 0 */
	bool required;        /* STRS, LIST: at least one */
	uint16_t since;       /* first contract version that has it */
	size_t off;           /* offset in the struct */
	const struct chan_record *sub; /* LIST: the element's table */
};

enum chan_side { CHAN_CLIENT = 1, CHAN_SERVER = 2 }; /* client connects */

struct chan_record {
	const char *name;
	uint16_t type;        /* 1..; 0 is HELLO; sub-records use 0 */
	uint8_t from;         /* CHAN_CLIENT, CHAN_SERVER or both */
	uint8_t nfds;         /* descriptors that ride along, exactly */
	size_t size;          /* of the C struct */
	const struct chan_field *fields;
	size_t nfields;
};

struct chan_contract {
	const char *name;     /* "queue", "auth" ... */
	uint16_t lowest, highest;
	uint32_t max_frame;   /* octets of the largest record, length word
	                       * excluded; at least CHAN_LEAST_FRAME */
	const struct chan_record *records;
	size_t nrecords;
};

#define CHAN_MAX_FDS 4
#define CHAN_LEAST_FRAME 128 /* of max_frame: HELLO fits */

struct chan;

enum chan_result {
	CHAN_OK,      /* a record was decoded */
	CHAN_AGAIN,   /* no whole record there yet (non-blocking) */
	CHAN_CLOSED,  /* the peer is gone */
	CHAN_TIMEOUT, /* the deadline passed (blocking) */
	CHAN_BAD      /* the peer broke the contract; logged, close it */
};

/* fd becomes non-blocking (and close-on-exec) and belongs to the channel.
 * side is what this process is; CHAN_CLIENT queues its HELLO at once,
 * CHAN_SERVER may send once it has received one. */
struct chan *chan_new(int fd, const struct chan_contract *contract,
    enum chan_side side);
/* Connects to a UNIX socket path (relative to the working directory, which in
 * sandboxed parents is the run directory); NULL with errno. */
struct chan *chan_connect(const char *path,
    const struct chan_contract *contract);
/* The connection alone, to be handed over to the process that will be the
 * client on it; -1 with errno. */
int chan_dial(const char *path);
void chan_free(struct chan **c);
/* Overwrites what was received and taken out, and what was sent: after records
 * with secrets.  The record in hand is gone. */
void chan_wipe(struct chan *c);
int chan_fd(const struct chan *c);
/* What is spoken: the lowest version until the HELLO was answered, 0 on the
 * accepting side until it came. */
uint16_t chan_version(const struct chan *c);
/* Did HELLO go both ways?  (chan_recv takes it in and says CHAN_AGAIN.) */
bool chan_greeted(const struct chan *c);

/* Kernel's word on the peer (SO_PEERCRED); -1 on failure. */
int chan_peer(const struct chan *c, pid_t *pid, uid_t *uid);

/*
 * Encodes msg (the struct of record `type`) into the output buffer and takes
 * the descriptors over: they are closed after sending (also on failure).
 * nfds must match the record.  Asserts on a type this side may not send or a
 * field beyond its limit: check foreign input before.  Output that the peer
 * does not take is bounded (16 frames, at least 4 MB, and 1024 records with
 * descriptors): beyond that the connection is given up.
 * chan_queue only buffers; chan_send also tries to write what fits now.
 * A broken connection shows at the next chan_recv, after what came before.
 * chan_free does not flush.
 */
void chan_queue(struct chan *c, uint16_t type, const void *msg,
    const int *fds, size_t nfds);
void chan_send(struct chan *c, uint16_t type, const void *msg);
void chan_send_fds(struct chan *c, uint16_t type, const void *msg,
    const int *fds, size_t nfds);
/* Octets waiting to be written: watch LOOP_WRITE and call chan_flush. */
size_t chan_pending(const struct chan *c);
enum chan_result chan_flush(struct chan *c);

/*
 * The next whole record: *type says which, msg_out receives the struct (room
 * for the largest struct of the contract: use a union).  Slices and lists in
 * it live in the channel until the next chan_recv.  Descriptors are stored in
 * fds (room for CHAN_MAX_FDS), *nfds their number, and are the caller's.
 * Non-blocking: call until CHAN_AGAIN, then wait with level-triggered poll.
 */
enum chan_result chan_recv(struct chan *c, uint16_t *type, void *msg_out,
    size_t msg_size, int *fds, size_t *nfds);
/* The same, waiting until deadline_ms (clock_mono_ms); flushes first. */
enum chan_result chan_wait(struct chan *c, uint16_t *type, void *msg_out,
    size_t msg_size, int *fds, size_t *nfds, int64_t deadline_ms);

/* The tables at work without a socket: tests, fuzzers, queue file. */
struct buf;
/* Appends a whole frame, length word included (out->overflow: nothing). */
void chan_encode(const struct chan_contract *ct, uint16_t version,
    uint16_t type, const void *msg, struct buf *out);
/* payload: the octets behind the length word.  arena receives the memory of
 * lists and is freed with chan_arena_free. */
struct chan_arena;
struct chan_arena *chan_arena_new(void);
void chan_arena_reset(struct chan_arena *a);
void chan_arena_free(struct chan_arena **a);
bool chan_decode(const struct chan_contract *ct, uint16_t version,
    enum chan_side from, struct slice payload, struct chan_arena *arena,
    uint16_t *type, void *msg_out, size_t msg_size, const char **why);
const struct chan_record *chan_record_find(const struct chan_contract *ct,
    uint16_t type);
/* The tables are sound: unique tags and types, members inside their structs,
 * lists one level deep, and the largest record that they allow fits max_frame
 * (so that chan_queue never fails for its length).  For each contract's unit
 * test; false: *why says which record and field. */
bool chan_contract_check(const struct chan_contract *ct, struct buf *why);
/* One line of text for a record: names and escaped values (tests/tool/chan). */
void chan_print(const struct chan_record *r, const void *msg, struct buf *out);

/*
 * Server side of an event loop in one piece: listens (fd), accepts, checks the
 * peer's uid against allowed uids, decodes and calls handlers.  A handler may
 * do anything to any peer, and free the server.
 */
struct loop;
struct chan_server;
struct chan_peer; /* one connection */

struct chan_server_ops {
	/* A record arrived; msg lives until return.  Descriptors belong to the
	 * handler.  Return false to disconnect the peer. */
	bool (*record)(void *arg, struct chan_peer *p, uint16_t type,
	    const void *msg, const int *fds, size_t nfds);
	/* New connection, its HELLO has come: what the server says first is
	 * sent here (may be NULL); false refuses it, without closed(). */
	bool (*opened)(void *arg, struct chan_peer *p);
	/* The connection is gone (may be NULL); last call for p.  Not called
	 * for peers that went before their HELLO, except those that
	 * chan_server_add returned. */
	void (*closed)(void *arg, struct chan_peer *p);
};

/* listen_fd is the caller's and becomes non-blocking; -1: only chan_server_add.
 * exclusive: several processes accept on it.  uids == NULL: anybody; nuids 0:
 * nobody.  max_peers: further ones wait in the back-log. */
struct chan_server *chan_server_new(struct loop *l, int listen_fd,
    const struct chan_contract *ct, const struct chan_server_ops *ops,
    void *arg, const uid_t *uids, size_t nuids, size_t max_peers,
    bool exclusive);
void chan_server_pause(struct chan_server *s); /* accept no more */
/* Every peer is closed (with closed()); within a handler that happens to the
 * peer in hand when it returns. */
void chan_server_free(struct chan_server **s);
/* A peer made from a descriptor somebody handed over; its uid is not checked.
 * NULL if there are max_peers already (fd is closed then, too).  Nothing may be
 * sent to it before opened(). */
struct chan_peer *chan_server_add(struct chan_server *s, int fd);

struct chan *chan_peer_chan(struct chan_peer *p);
void *chan_peer_data(struct chan_peer *p);
void chan_peer_set_data(struct chan_peer *p, void *data);
uid_t chan_peer_uid(const struct chan_peer *p);
/* Sends now (a record to the peer whose handler is running: when it returns,
 * with all its others in one write), the rest by the loop. */
void chan_peer_send(struct chan_peer *p, uint16_t type, const void *msg);
void chan_peer_send_fds(struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds);
/* Disconnects after the current handler returned; what cannot be written at
 * once is dropped. */
void chan_peer_close(struct chan_peer *p);
/* Stop/start reading from this peer (back-pressure). */
void chan_peer_pause(struct chan_peer *p, bool pause);

/*
 * Client side in an event loop: keeps one connection to a path, reconnects with
 * back-off (20 ms doubling to 1 s), tells of both.  It is up when the other
 * side answered the HELLO; a handler may free it.
 */
struct chan_link;
struct chan_link_ops {
	bool (*record)(void *arg, uint16_t type, const void *msg,
	    const int *fds, size_t nfds); /* false: disconnect */
	/* Connected: send what must come first.  Lost: requests in flight will
	 * not be answered.  Either may be NULL; down only after up. */
	void (*up)(void *arg);
	void (*down)(void *arg);
};
struct chan_link *chan_link_new(struct loop *l, const char *path,
    const struct chan_contract *ct, const struct chan_link_ops *ops, void *arg);
void chan_link_free(struct chan_link **l);
bool chan_link_is_up(const struct chan_link *l);
/* False when the link is down (descriptors are closed). */
bool chan_link_send(struct chan_link *l, uint16_t type, const void *msg);
bool chan_link_send_fds(struct chan_link *l, uint16_t type, const void *msg,
    const int *fds, size_t nfds);
/* The same in two steps, for many records at a time: they leave in one write
 * (each with descriptors in its own).  What is queued must be flushed. */
bool chan_link_queue(struct chan_link *l, uint16_t type, const void *msg,
    const int *fds, size_t nfds);
void chan_link_flush(struct chan_link *l);
/* Octets queued and not yet written. */
size_t chan_link_pending(const struct chan_link *l);

/* A listening UNIX socket at path (an old one is replaced by rename), mode
 * given whatever the umask; non-blocking, close-on-exec.  -1 with errno,
 * logged: path too long for the system (with ".PID" behind it), something else
 * than a socket in its place. */
int chan_listen(const char *path, mode_t mode, int backlog);

#endif
