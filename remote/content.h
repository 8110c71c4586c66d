/*
 * The message of a job: the effective message of its queue file, as it is or
 * made fit for a host that takes less.
 */
#ifndef REMOTE_CONTENT_H
#define REMOTE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/mime/convert.h"

struct buf;
struct content;
struct envelope;

#define CONTENT_SMALL 65536u /* octets kept in memory, and checked before
                              * anything is sent */

enum content_form {
	CONTENT_AS_IS,
	CONTENT_8BIT,  /* no binary */
	CONTENT_7BIT,
	CONTENT_FORMS
};

/* Takes fd over.  NULL: *st says why (a local fault). */
struct content *content_open(int fd, struct slice id, struct status *st);
void content_free(struct content **c);

const struct envelope *content_envelope(const struct content *c);
int64_t content_created_ms(const struct content *c); /* wall clock */
/* Octets of the message as it is, with what stands in front of it. */
uint64_t content_size(const struct content *c);
/* What it holds; reads all of it at the first call.  NULL: *st. */
const struct convert_look *content_look(struct content *c, struct status *st);

enum content_result {
	CONTENT_OK,
	CONTENT_STOPPED, /* fn said so */
	CONTENT_FAULT    /* unreadable, or it does not verify: *st; what was
	                  * given out must not be completed */
};
typedef bool content_fn(void *arg, const char *p, size_t n);

/*
 * Fields in front of the message that are made of it as it will be sent (DKIM
 * signatures).  fn is called by content_prepare, once for each form it is
 * wanted in; what it puts into *front belongs to the message from then on.
 * False: it cannot be sent now, *st.
 */
typedef bool content_front_fn(void *arg, struct content *c,
    enum content_form form, struct buf *front, struct status *st);
void content_front(struct content *c, content_front_fn *fn, void *arg);
/* Before the message is sized, measured or sent in this form. */
bool content_prepare(struct content *c, enum content_form form,
    struct status *st);

/* All of it in pieces.  The last one comes only when the whole was verified. */
enum content_result content_each(struct content *c, enum content_form form,
    content_fn *fn, void *arg, struct status *st);
/* The same in one piece, for small messages: OK, STOPPED (it is too large) or
 * FAULT.  *out lives until the next call with another form. */
enum content_result content_whole(struct content *c, enum content_form form,
    struct slice *out, struct status *st);

#endif
