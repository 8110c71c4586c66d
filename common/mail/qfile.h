/*
 * The queue file: postern-queue(5).  One reader and one writer for every
 * program that touches it.  Four parts:
 *
 *	envelope  text, one field a line ("rcpt T ann@example.org"); the state
 *	          octet of each recipient is overwritten in place
 *	content   as received, CRLF; never changes
 *	trailer   edits of the content; the sums of all three
 *	journal   framed records: attempts, expansions, notes
 *
 * Values are quoted (%XX), so that no address can forge a line or a field.
 * Unknown fields are skipped and kept; one that begins with an upper-case
 * letter is critical: who does not know it leaves the file alone.
 */
#ifndef COMMON_MAIL_QFILE_H
#define COMMON_MAIL_QFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"

#define QFILE_VERSION 1

/* The directories of the queue below queue_dir. */
enum qdir { QDIR_INCOMING, QDIR_DEFERRED, QDIR_HOLD, QDIR_CORRUPT, QDIR_COUNT };
extern const char *const qdir_names[QDIR_COUNT];

/* State octet of a recipient */
enum qstate {
	QSTATE_TODO = 'T',
	QSTATE_DONE = 'D',   /* delivered */
	QSTATE_FAILED = 'F', /* permanent failure, sender not yet told */
	QSTATE_BOUNCED = 'B', /* permanent failure, sender told (or rightly
	                       * not) */
	QSTATE_SUCCESS = 'S', /* delivered, a notice is owed (NOTIFY=SUCCESS);
	                       * then it becomes DONE */
	QSTATE_EXPANDED = 'X', /* replaced by its journalled expansion */
	QSTATE_CANCELLED = 'C' /* removed by an admin */
};

/* ---- writing (queued) ---- */

/*
 * Appends the envelope's text for env (created_ms: wall clock) to out, which
 * must be empty, with the content's offset and length fields blank.
 * *content_at receives the position of these fixed-width digits in the text.
 * The content begins where the text ends.  An envelope beyond the limits of
 * envelope.h, with a bad id or without recipients sets out->overflow.
 */
struct buf;
void qfile_envelope(const struct envelope *env, int64_t created_ms,
    struct buf *out, size_t *content_at);
/* Fills offset and length into the text (or into 32 octets to be pwritten). */
#define QFILE_CONTENT_WIDTH 32
void qfile_content_field(uint64_t offset, uint64_t length,
    char out[QFILE_CONTENT_WIDTH]);
/* Running checksum over content: start with 0. */
uint32_t qfile_sum(uint32_t sum, const void *p, size_t n);
/* Appends the trailer for the text of qfile_envelope (content field filled in),
 * the edits (prepend inserted at 0, then these, rising and not overlapping:
 * else out->overflow) and the content's sum and length. */
void qfile_trailer(struct slice envelope_text, const struct envelope *env,
    const struct env_edit *edits, size_t nedits,
    uint32_t content_sum, uint64_t content_length, struct buf *out);

/* ---- reading ---- */

enum qfile_result {
	QFILE_OK,
	QFILE_CORRUPT, /* does not verify: to corrupt/, never deleted */
	QFILE_NEWER,   /* written by a version we cannot read: left alone */
	QFILE_ERROR    /* a read error (errno): temporary */
};

/* A recipient as the file and its journal say. */
struct qrcpt {
	struct slice address;
	struct slice orcpt;
	uint32_t notify;
	char state;           /* enum qstate */
	bool told;            /* EXPANDED: its octet says so, too.  If success
	                       * notices were asked for and this is false, one
	                       * is owed (RFC 3461 5.2.7.3) */
	uint32_t number;      /* 1.. in file order, expansions go on counting:
	                       * part of the Maildir name.  Rising, but what a
	                       * crash took from the journal leaves a gap */
	uint32_t parent;      /* number of the recipient it was expanded from,
	                       * or 0 */
	uint64_t state_at;    /* offset of its state octet in the file */
	/* Resolved delivery, for expansions; else kind is 0 */
	uint32_t kind;        /* enum delivery_kind of proto/delivery.h */
	struct slice target;  /* see there */
	struct slice sender;  /* sender replaced by owner-..., valid when
	                       * has_sender */
	bool has_sender;      /* notify and orcpt are then empty (a list: RFC
	                       * 3461 5.2.7.1).  A recipient from an expansion
	                       * has its parent's notify, orcpt and sender
	                       * unless it was given a sender of its own; one of
	                       * several reports no success (5.2.7.3) */
	/* From the journal's attempts */
	uint32_t attempts;
	int64_t last_ms, next_ms; /* wall clock; 0: never / at once */
	struct slice host;    /* where the last attempt went */
	struct slice why;     /* "4.2.0 451 the words" of the last attempt */
	bool remote;          /* why are the next host's own words */
	struct slice outcome; /* of the last attempt: "delivered", "relayed",
	                       * "deferred", "failed", or "" */
	struct slice rule;    /* what set next_ms: the attempt's rule; "hold"
	                       * after a hold note, "admin" after release and
	                       * retry */
};

/* The status of the last attempt, as it was recorded; false without any. */
bool qrcpt_status(const struct qrcpt *r, struct status *out);

struct qfile; /* an open queue file */

/*
 * Opens NAME in dirfd.  want_write: O_RDWR, for state changes and the journal.
 * verify: also the content's checksum is read (costs reading everything);
 * without it only structure and the sums of envelope and trailer are checked.
 * why: what does not verify, in words with the offset.  A NAME that is an id
 * must be the file's own.
 */
enum qfile_result qfile_open(int dirfd, const char *name, bool want_write,
    bool verify, struct qfile **out, char why[STATUS_TEXT_MAX]);
/* The same for a descriptor, which then belongs to the qfile and is closed on
 * failure too.  Its offset is neither used nor moved. */
enum qfile_result qfile_adopt(int fd, bool verify, struct qfile **out,
    char why[STATUS_TEXT_MAX]);
void qfile_free(struct qfile **q);

int qfile_fd(const struct qfile *q);
/* Without its recipients, see below. */
const struct envelope *qfile_env(const struct qfile *q);
int64_t qfile_created_ms(const struct qfile *q);
uint64_t qfile_content_offset(const struct qfile *q);
uint64_t qfile_content_length(const struct qfile *q);
/* Octets of the effective message (edits applied). */
uint64_t qfile_message_length(const struct qfile *q);
size_t qfile_nrcpts(const struct qfile *q);
/* Valid until qfile_add_expansion, which may move them all. */
struct qrcpt *qfile_rcpt(struct qfile *q, size_t i);
/* The index of recipient `number`; false: no such recipient. */
bool qfile_find(const struct qfile *q, uint32_t number, size_t *i);
/* Held by an admin or a policy, with the reason ("" if not held). */
struct slice qfile_hold_reason(const struct qfile *q);
/* The sender was told of the delay (a note "warned"). */
bool qfile_warned(const struct qfile *q);
/* ... and of the deadline of RFC 2852 that passed (a note "late"). */
bool qfile_late(const struct qfile *q);
/* A part of the journal was torn (a crash within an append) and is ignored.
 * Later records are unharmed; the next append first cuts a torn end off. */
bool qfile_journal_torn(const struct qfile *q);

/* One line of the journal's history. */
struct qtried {
	uint32_t number;      /* of the recipient; 0: a note on the message */
	int64_t at_ms, next_ms; /* wall clock; 0: not said */
	struct slice what;    /* outcome of an attempt, or the note's word:
	                       * "hold", "release", "retry", "warned" ... */
	struct slice host, rule;
	struct slice why;     /* "4.2.0 451 the words"; of a note its reason */
	bool remote;          /* why are the next host's own words */
};
/* Reads the journal again and hands out all attempts and notes, oldest first;
 * what t points to lives as long as the call.  An attempt whose recipient was
 * lost to a crash is among them. */
enum qfile_result qfile_attempts(struct qfile *q,
    void (*fn)(void *arg, const struct qtried *t), void *arg,
    char why[STATUS_TEXT_MAX]);

/* ---- the effective message ---- */

/*
 * Streams the message as every delivery sees it.  Verifies the content's
 * checksum on the way: the call that reaches the end returns -1 with errno
 * EBADMSG if it does not match (nothing must be published then).
 */
struct qreader;
/* q must outlive it; bufsize: octets a read. */
struct qreader *qreader_new(struct qfile *q, size_t bufsize);
/* Octets ready at *p (a view until the next call); 0: end; -1: errno. */
ssize_t qreader_next(struct qreader *r, const char **p);
void qreader_free(struct qreader **r);

/* ---- changes (qmgr, and postern while holding qmgr's lock) ---- */
/* All return 0 or -1 with errno; after -1 nothing changed, in memory either.
 * Nothing is synced: qfile_sync is.  The file was opened with want_write. */

/* Not for EXPANDED (see qfile_add_expansion) and not of a recipient that is:
 * EINVAL. */
int qfile_set_state(struct qfile *q, size_t i, char state);
/* The same for many recipients with few writes: i[0] < i[1] < ..., the states
 * in `states`.  After -1 some of them may be written, none of them changed in
 * memory: repeat it. */
int qfile_set_states(struct qfile *q, const size_t *i, const char *states,
    size_t n);
/* Journal: one framed record of lines, appended with one write. */
struct qattempt {
	uint32_t number;         /* recipient */
	int64_t at_ms, next_ms;  /* wall clock */
	const char *outcome;     /* "delivered", "relayed", "deferred", "failed" */
	struct slice host;
	const struct status *status;
	const char *rule;        /* "first", "retry", "retry-max", "lifetime" */
	bool remote;             /* status has the next host's own words */
};
int qfile_add_attempts(struct qfile *q, const struct qattempt *v, size_t n);
/* The sender heard that recipient i was expanded. */
int qfile_set_told(struct qfile *q, size_t i);
/*
 * Replaces recipient i by these; none is allowed.  It becomes EXPANDED: the
 * record makes it so, whatever its octet says.  One that is already: EEXIST,
 * nothing is written.  qfile_sync must succeed before the first of them is
 * delivered: Maildir names carry the numbers, and those of a record that a
 * crash took are given out again.
 */
struct qexpansion {
	struct slice address;
	uint32_t kind;           /* enum delivery_kind */
	struct slice target;
	struct slice sender;     /* replaced sender, when has_sender */
	bool has_sender;
};
int qfile_add_expansion(struct qfile *q, size_t i, const struct qexpansion *v,
    size_t n);
/* what: hold, release, retry, remove, warned, late (or any lower-case word).
 * hold sets the reason; release ends it; release and retry make all due at
 * at_ms. */
int qfile_add_note(struct qfile *q, const char *what, struct slice reason,
    int64_t at_ms);
/* fdatasync.  After a failure the file must not be trusted again. */
int qfile_sync(struct qfile *q);
/* mtime as the hint for the next try (start-up is readdir + stat).  The last
 * step: every other change sets mtime to now. */
int qfile_set_hint(struct qfile *q, int64_t next_ms);

#endif
