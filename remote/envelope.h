/*
 * MAIL and RCPT with the parameters a host offers, and what of a message it
 * cannot take.
 */
#ifndef REMOTE_ENVELOPE_H
#define REMOTE_ENVELOPE_H

#include <stdbool.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "remote/content.h"
#include "remote/reply.h"

struct buf;
struct job;
struct rcpt;

/* How the message goes to this host. */
struct envelope_plan {
	enum content_form form;
	bool eight_bit;  /* BODY=8BITMIME */
	bool binary;     /* BODY=BINARYMIME, by BDAT */
	bool utf8;       /* SMTPUTF8 */
};

/* False: it cannot go there; *st (permanent, or a local fault). */
bool envelope_plan(const struct job *j, struct content *c,
    const struct offers *o, struct envelope_plan *out, struct status *st);
/* size: octets as they will be sent, 0: not known.  now_ms: wall clock. */
bool envelope_mail(const struct job *j, const struct envelope_plan *p,
    const struct offers *o, uint64_t size, int64_t now_ms, struct buf *out,
    struct status *st);
bool envelope_rcpt(const struct rcpt *r, const struct envelope_plan *p,
    const struct offers *o, struct buf *out, struct status *st);

#endif
