/*
 * The structure of a message (RFC 2045, RFC 2046) as events, while it passes by
 * in pieces of any size.  What is told of the octets is complete: those of all
 * calls of octets() in a row are the message.
 *
 * - A delimiter is a line of its own: "--", the boundary, "--" for the last,
 *   blanks (RFC 2046 5.1.1).  A line that only begins so is none: boundaries
 *   that begin with another one are common.  The innermost multipart that a
 *   line fits is meant; one of an outer multipart ends all within, whatever
 *   they still wait for, also within a header section.  Behind its last
 *   delimiter a multipart has no more.  Delimiters in a row are one.
 * - The line end before a delimiter belongs to it (there is none directly
 *   behind a header section); the one behind a last delimiter does not, it
 *   belongs to the epilogue or to the next delimiter.
 * - A part without Content-Type is text/plain, in multipart/digest
 *   message/rfc822; one whose type cannot be read is text/plain.
 * - message/rfc822 and message/global hold a message, unless they are said to
 *   be encoded.  What is nested deeper than depth_max, or a
 *   multipart without a usable boundary, is not looked into.
 * - Header fields as common/mime/header.h has them.
 *
 * Memory: a few hundred octets for each open level, boundaries, one header
 * field of at most `keep` octets and one line of at most PARTS_LINE_MAX.
 */
#ifndef COMMON_MIME_PARTS_H
#define COMMON_MIME_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/mime/content_type.h"
#include "common/mime/header.h"

#define PARTS_LINE_MAX 998u    /* a delimiter is not longer */
#define PARTS_BOUNDARY_MAX 990u /* RFC 2046 5.1.1 says 70 */
#define PARTS_DEPTH_MAX 200u

enum part_kind {
	PART_LEAF,
	PART_MULTIPART, /* its children are parts */
	PART_MESSAGE    /* its one child is a message */
};

enum part_media { /* the types that matter here */
	MEDIA_TEXT,
	MEDIA_MULTIPART,
	MEDIA_DIGEST,   /* multipart/digest */
	MEDIA_RFC822,   /* message/rfc822 */
	MEDIA_GLOBAL,   /* message/global: RFC 6532 3.7 */
	MEDIA_PARTIAL,  /* message/partial and message/external-body: 7bit, and
	                 * never encoded (RFC 2046 5.2.2, 5.2.3) */
	MEDIA_MESSAGE,  /* any other message/... */
	MEDIA_OTHER
};

struct parts_place {
	uint64_t octets; /* before it, as fed */
	uint64_t wire;   /* the same with each line end as CRLF */
	uint64_t lines;  /* line ends before it */
};

struct part {
	struct part *parent;  /* NULL: the message itself */
	void *user;           /* the handler's own */
	unsigned depth;       /* 0: the message itself */
	unsigned number;      /* 1.. among its parent's children */
	unsigned nchildren;   /* begun so far */
	/* Known when header() is called */
	enum part_kind kind;
	enum part_media media;
	enum content_encoding encoding;
	bool has_type;        /* a Content-Type field, readable or not */
	bool has_version;     /* MIME-Version */
	bool no_body;         /* the header section did not end: no empty
			       * line */
	bool opaque;          /* set it in header(): a leaf, whatever it is */
	/* Known when end() is called */
	bool cut;             /* the message ended within: no delimiter
			       * follows */
	struct parts_place start; /* of the header section */
	struct parts_place body;
	struct parts_place end;   /* of the body */
	/* Inside of the parser */
	bool digest_child, closed;
	char *boundary;        /* owned; NULL: no delimiters are waited for */
	size_t boundary_len;
};

/* A message: the whole or the child of a PART_MESSAGE. */
static inline bool
part_is_message(const struct part *p)
{
	return p->parent == NULL || p->parent->kind == PART_MESSAGE;
}

enum parts_what {
	PARTS_FIELDS,          /* header section without its empty line */
	PARTS_FIELDS_ENCODING, /* ... a field Content-Transfer-Encoding */
	PARTS_EMPTY_LINE,      /* the end of the header section */
	PARTS_BODY,            /* of a leaf */
	PARTS_PREAMBLE,        /* of a multipart: before the first delimiter, */
	PARTS_EPILOGUE,        /* behind the last one */
	PARTS_DELIMITER        /* of a multipart */
};

/* Any of them may be NULL.  False ends the parse.  p lives until its end(). */
struct parts_handler {
	bool (*start)(void *arg, struct part *p);
	/* A field, when its octets were told; f lives until the return. */
	bool (*field)(void *arg, struct part *p, const struct header_field *f);
	/* The header section is complete; its empty line comes next. */
	bool (*header)(void *arg, struct part *p);
	bool (*octets)(void *arg, struct part *p, enum parts_what what,
	    struct slice s);
	bool (*end)(void *arg, struct part *p);
};

struct parts_options {
	size_t keep;        /* octets of a header field shown and understood */
	unsigned depth_max; /* at most PARTS_DEPTH_MAX */
	bool lf;            /* LF alone ends a line too, as in a Maildir */
};

struct parts *parts_new(const struct parts_handler *h, void *arg,
    const struct parts_options *o);
/* False: the handler said so. */
bool parts_feed(struct parts *p, const void *s, size_t n);
/* The end of the message; all parts end.  False: the handler said so. */
bool parts_end(struct parts *p);
void parts_free(struct parts **p);

#endif
