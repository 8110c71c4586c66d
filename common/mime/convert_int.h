/*
 * Inside of the converter (convert*.c); nobody else includes this.
 */
#ifndef COMMON_MIME_CONVERT_INT_H
#define COMMON_MIME_CONVERT_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mime/convert.h"
#include "common/mime/qp.h"
#include "common/mime/scan.h"

/* ---- where it goes ---- */

struct convert_out {
	convert_fn *fn;
	void *arg;
	struct buf buf; /* collects small pieces */
	bool failed;    /* fn said so; nothing more is written */
};

void convert_put(struct convert_out *o, struct slice s);
void convert_puts(struct convert_out *o, const char *s);
void convert_flush(struct convert_out *o);
/* The buffer, with room for n octets (at most CONVERT_ROOM_MAX). */
#define CONVERT_ROOM_MAX 16384u
struct buf *convert_room(struct convert_out *o, size_t n);

/* ---- lines that pass, and are mended where they cannot ---- */

enum mend {
	MEND_HEADER, /* NUL, bare CR and LF become spaces, long lines are
	              * folded */
	MEND_TEXT,   /* what nobody decodes: encoded as quoted-printable has it,
	              * a person can read it */
	MEND_BASE64, /* what no decoder looks at goes, the rest is wrapped */
	MEND_QP      /* decoded and encoded anew */
};

struct convert_lines {
	enum mend mend;
	unsigned bad;    /* SCAN_* that cannot pass */
	unsigned seen;   /* SCAN_* of what went out */
	struct buf line; /* the start of a line that may still pass */
	bool mending;    /* the line under way cannot pass */
	bool cr;         /* mending: CR seen, what follows decides */
	uint32_t column;
	char blank;      /* of a header: not yet written */
	struct qp_encoder encoder;
	struct qp_decoder decoder;
};

void convert_lines_init(struct convert_lines *l);
void convert_lines_free(struct convert_lines *l);
void convert_lines_start(struct convert_lines *l, enum mend mend,
    unsigned bad);
void convert_lines_feed(struct convert_lines *l, struct convert_out *o,
    struct slice s);
/* Nothing follows on the last line. */
void convert_lines_end(struct convert_lines *l, struct convert_out *o);

#endif
