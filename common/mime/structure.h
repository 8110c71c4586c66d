/*
 * The description of a message: its parts as a tree, where each of them is in
 * the file and on the wire, and the header fields that IMAP tells of without
 * reading the message again (RFC 9051 7.5.2: BODYSTRUCTURE, ENVELOPE, BINARY,
 * sections).  Built while the message passes by, kept as a short string of
 * octets, read back from it.
 */
#ifndef COMMON_MIME_STRUCTURE_H
#define COMMON_MIME_STRUCTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mime/parts.h"

/* What is beyond is left out, and the description says that it is cut. */
#define STRUCTURE_PARTS_MAX 10000u
#define STRUCTURE_DEPTH_MAX 100u
#define STRUCTURE_FIELD_MAX 8192u   /* octets of one field's value */
#define STRUCTURE_TEXT_MAX 1048576u /* of all values */

/* The numbers stand in files: new ones only at the end. */
enum structure_field {
	/* Of any part: RFC 2045, RFC 2183, RFC 3282, RFC 2557, RFC 1864 */
	FIELD_TYPE,
	FIELD_ENCODING,
	FIELD_ID,
	FIELD_DESCRIPTION,
	FIELD_DISPOSITION,
	FIELD_LANGUAGE,
	FIELD_LOCATION,
	FIELD_MD5,
	/* Of messages: RFC 5322 3.6 */
	FIELD_DATE,
	FIELD_SUBJECT,
	FIELD_FROM,
	FIELD_SENDER,
	FIELD_REPLY_TO,
	FIELD_TO,
	FIELD_CC,
	FIELD_BCC,
	FIELD_IN_REPLY_TO,
	FIELD_MESSAGE_ID,
	FIELD_REFERENCES,
	STRUCTURE_FIELDS
};

struct structure_part {
	/* Indices of other parts; 0: none (0 is the message itself) */
	uint32_t parent, child, next; /* first child, next sibling */
	uint32_t number;              /* among its siblings, 1.. */
	enum part_kind kind;
	enum part_media media;
	enum content_encoding encoding;
	bool no_body;                 /* no empty line */
	/* Octets of the file; header and its empty line are [start, body) */
	uint64_t start, body, end;
	/* The same on the wire, where line ends are CRLF, and line ends */
	uint64_t header_wire, body_wire, header_lines, body_lines;
	/* Values as they came, unfolded, blanks around them gone; NUL, and CR
	 * and LF that fold nothing, are spaces.  p is NULL: no such field.  Of
	 * several the first. */
	struct slice fields[STRUCTURE_FIELDS];
};

struct structure {
	struct structure_part *parts; /* in the order of the message */
	size_t nparts;                /* at least 1 */
	bool cut;                     /* a limit was reached */
	/* Inside */
	size_t cap;
	struct buf text;              /* what fields point into */
};

/* ---- building ---- */

struct structure_builder;

/* lf: the message has LF line ends, as in a Maildir. */
struct structure_builder *structure_builder_new(bool lf);
void structure_builder_feed(struct structure_builder *b, const void *p,
    size_t n);
/* The message is complete.  b is freed; the caller frees the result. */
struct structure *structure_builder_take(struct structure_builder **b);
void structure_builder_free(struct structure_builder **b);

void structure_free(struct structure **s);

/* ---- keeping ---- */

/* Appends it as octets, usually less than what its header fields have. */
void structure_save(const struct structure *s, struct buf *out);
/* NULL: that is no description, or one of a version not known here: build it
 * anew.  It points into nothing of `saved`. */
struct structure *structure_load(struct slice saved);

/* ---- looking up ---- */

/* RFC 9051 6.4.5.1: the part of section path[0].path[1]..., NULL without one.
 * A message's only part is 1; within message/rfc822 its parts are counted. */
const struct structure_part *structure_section(const struct structure *s,
    const uint32_t *path, size_t n);
/* The message that a PART_MESSAGE holds, else NULL. */
const struct structure_part *structure_message(const struct structure *s,
    const struct structure_part *p);

#endif
