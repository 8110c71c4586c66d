/*
 * The text of a message as it arrives after DATA or in BDAT chunks: finds its
 * end, takes the dots of RFC 5321 4.5.2 away and notices what no message may
 * hold.  A pure state machine: what it finds does not depend on where the
 * pieces were cut.
 *
 * Only CRLF ends a line and only CRLF.CRLF ends DATA.  A bare CR, a bare LF or
 * a NUL is neither; it is noted and the text goes on, so that the whole message
 * is swallowed and then refused.
 *
 * With BODY=BINARYMIME (RFC 3030 3) only the header section is text.  What is
 * behind its empty line are octets: all are handed out, none is looked at.
 */
#ifndef SMTPD_CONTENT_H
#define SMTPD_CONTENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"

enum content_state {
	CONTENT_START,  /* at the start of a line */
	CONTENT_LINE,   /* within one */
	CONTENT_CR,     /* behind a CR */
	CONTENT_DOT,    /* behind a dot at the start, which is held back */
	CONTENT_DOT_CR, /* behind that dot and a CR, both held back */
	CONTENT_END,    /* DATA: the end was seen */
	CONTENT_EMPTY_CR, /* BINARYMIME: behind a CR at the start of a line */
	CONTENT_OCTETS  /* BINARYMIME: behind the header section */
};

struct content {
	enum content_state state;
	bool dots; /* DATA; false: BDAT, dots mean nothing */
	bool binary; /* BINARYMIME, in BDAT only */
	bool bare; /* a CR without LF or an LF without CR was there */
	bool nul;
};

/* Called for each run of content, in order; the octets live until return.
 * Once bare is set nothing more is handed out. */
typedef void content_fn(void *arg, struct slice run);

void content_init(struct content *sc, bool dots, bool binary);
/* Takes octets up to the end of the message or of the piece; returns how many.
 * What is behind the end is not looked at. */
size_t content_feed(struct content *sc, struct slice in, content_fn *fn,
    void *arg);
/* BDAT: the message ended here.  True if the last line is not complete: a CRLF
 * must be added (RFC 3030 does not ask for one at the end).  Never to octets of
 * BINARYMIME. */
bool content_finish(struct content *sc);

#endif
