/*
 * DKIM signatures on mail that began its way here: the last step before a
 * message leaves, over exactly what will leave.
 */
#ifndef REMOTE_SIGN_H
#define REMOTE_SIGN_H

#include <stdbool.h>

#include "remote/content.h"

struct buf;
struct remote;
struct status;
struct worker;

/* What dkim_headers says into *r; false: said what is wrong, *r untouched.
 * Before the cage sign_start once; after a reload sign_read alone. */
void sign_start(void);
bool sign_read(struct remote *r);

/*
 * A content_front_fn; arg: the struct worker.  Puts the DKIM-Signature fields
 * for the message in this form into *front: none where it is not to be signed,
 * or cannot be (logged).  False: *st, it has to wait for keyd.
 */
bool sign_content(void *arg, struct content *c, enum content_form form,
    struct buf *front, struct status *st);

#endif
