/*
 * Messages on the wire: LF becomes CRLF, CRLF stays, a dot at a line's start is
 * doubled, and the end is a dot on a line (RFC 1939 3).
 */
#ifndef POP3D_SEND_H
#define POP3D_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct stream;

#define SEND_ALL UINT64_MAX

/* Where in the message we are; octets may come in pieces of any size. */
struct send {
	struct stream *net;
	uint64_t body_lines; /* still to send of the body (TOP), or SEND_ALL */
	uint64_t line_len;   /* octets of the line so far, the LF not */
	bool cr;             /* the line's last octet so far is CR */
	bool header;
	bool done;           /* the asked lines are out: more is dropped */
};

void send_begin(struct send *s, struct stream *net, uint64_t body_lines);
void send_octets(struct send *s, struct slice in);
/* Ends an unfinished line, and the message. */
void send_end(struct send *s);

/* Octets on the wire (without the dots, and without what send_end adds to a
 * line that has no end): the W of file names.  Counted piece by piece. */
struct send_count {
	uint64_t octets;
	bool cr;
};
void send_count(struct send_count *c, struct slice in);

#endif
