/*
 * Contract "queue": who hands in mail (smtpd session; client) and a queued
 * worker (server).
 *
 *	client: PIPE (1 descriptor: read end of the content pipe), once, first;
 *	        again after an ABORT answered by a new pipe is not needed
 *	for each message:
 *	client: OPEN        asks for room; may be left out for a small message
 *	                    when somebody asked a moment ago
 *	server: OPENED      250, or 452/451: no MESSAGE may follow then
 *	client: MESSAGE     envelope, with up to ENV_RCPTS_A_RECORD recipients
 *	client: RCPTS       further recipients, as often as needed
 *	client: END         so many octets went into the pipe: commit
 *	   or   ABORT       so many octets went into the pipe: discard them
 *	server: RESULT      the reply: 250 means durable (none after ABORT)
 *
 * RESULT may come before END (disk full): the client stops writing and sends
 * ABORT with the octets it wrote.  EOF on either descriptor without END
 * discards.  Content is CRLF text without dot-stuffing; with the flag BINARYMIME
 * any octets may stand behind its header section.
 *
 * edits of END come in rising order, do not overlap, lie within the content and
 * bring complete lines; they are left out where version 1 is spoken, so that
 * who sends them must know that it is not (by OPENED, or chan_greeted).
 */
#ifndef COMMON_PROTO_QUEUE_H
#define COMMON_PROTO_QUEUE_H

#include "common/io/chan.h"
#include "common/mail/envelope.h"

enum queue_type {
	QUEUE_PIPE = 1,
	QUEUE_OPEN = 2,
	QUEUE_OPENED = 3,
	QUEUE_MESSAGE = 4, /* struct envelope */
	QUEUE_RCPTS = 5,
	QUEUE_END = 6,
	QUEUE_ABORT = 7,
	QUEUE_RESULT = 8
};

struct queue_pipe {
	uint32_t unused;
};
struct queue_open {
	struct slice id;
	uint64_t size; /* SIZE= of MAIL, 0: not said */
};
struct queue_rcpts {
	struct chan_list recipients; /* struct env_recipient */
};
struct queue_end { /* END and ABORT */
	uint64_t octets;
	struct chan_list edits; /* END: struct env_edit, since version 2 */
};
struct queue_result { /* OPENED and RESULT: a struct status on the wire */
	uint32_t code, subject, detail;
	struct slice text;
};
union queue_msg {
	struct queue_pipe pipe;
	struct queue_open open;
	struct envelope message;
	struct queue_rcpts rcpts;
	struct queue_end end;
	struct queue_result result;
};

extern const struct chan_contract queue_contract;

#endif
