/* `postern explain`: a message's state in sentences. */
#ifndef POSTERN_EXPLAIN_H
#define POSTERN_EXPLAIN_H

#include "common/base/buf.h"
#include "postern/history.h"
#include "postern/pauses.h"
#include "postern/queue.h"

struct explanation {
	struct queue *q;
	const struct queue_item *item;
	struct history history; /* of file */
	struct pauses paused;   /* destinations that an admin stopped */
	struct buf text; /* sentences, one a line; foreign octets as they are */
};

/* explain_text.c: appends what there is to say. */
void explain_file(struct explanation *e, struct qfile *file);
void explain_unreadable(struct explanation *e, const char *why);
/* When a message that is not delivered is given up. */
int64_t explain_expires_ms(const struct explanation *e,
    const struct qfile *file);
/* The pause that holds this recipient up, as far as files tell; or NULL. */
const struct pause *explain_pause(const struct explanation *e,
    const struct qrcpt *r);

/* explain_rcpt.c: one recipient with all its attempts; then all notes */
void explain_recipient(struct explanation *e, const struct qrcpt *r);
void explain_notes(struct explanation *e);
/* "Sun, 22 Nov 2026 19:20:51 +0000 (3m ago)" */
void explain_moment(struct explanation *e, int64_t ms);
void explain_duration(struct explanation *e, uint64_t ms);
/* What strangers wrote does not begin a sentence of its own. */
void explain_foreign(struct explanation *e, const char *before,
    struct slice s, const char *after);

#endif
