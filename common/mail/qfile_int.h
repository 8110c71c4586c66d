/*
 * Inside of the queue file's reader and writer (qfile_*.c, qreader.c); nobody
 * else includes this.
 */
#ifndef COMMON_MAIL_QFILE_INT_H
#define COMMON_MAIL_QFILE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/mail/qfile.h"

/* ---- fixed places: postern-queue(5) ---- */

#define QFILE_MAGIC "postern-queue "
/* Behind "postern-queue 1\n", "id ", the id, "\ncontent " */
#define QFILE_ID_AT 19
#define QFILE_CONTENT_AT 48
#define QFILE_FIXED_LEN (QFILE_CONTENT_AT + QFILE_CONTENT_WIDTH + 1)
#define QFILE_OFFSET_DIGITS 12
#define QFILE_LENGTH_DIGITS 19
#define QFILE_CONTENT_BLANK "                                "

#define QFILE_TRAILER_START "\ntrailer "
#define QFILE_TRAILER_DIGITS 10
#define QFILE_TRAILER_START_LEN                                                \
	(sizeof(QFILE_TRAILER_START) - 1 + QFILE_TRAILER_DIGITS + 1)
#define QFILE_TRAILER_END                                                      \
	"sum crc32 content xxxxxxxx envelope xxxxxxxx trailer xxxxxxxx\nend\n"
#define QFILE_TRAILER_END_LEN (sizeof(QFILE_TRAILER_END) - 1)
#define QFILE_TRAILER_MAX (1024 * 1024)
#define QFILE_ENVELOPE_MAX (512 * 1024 * 1024)

/* "@0000000123 0123abcd\n" + text + "\n" */
#define QFILE_FRAME_DIGITS 10
#define QFILE_FRAME_LEN (1 + QFILE_FRAME_DIGITS + 1 + 8 + 1)
#define QFILE_RECORD_MAX (1024 * 1024)

#define QFILE_TARGET_MAX 4096        /* a path or a command line */
#define QFILE_NUMBER_MAX 20000000    /* recipients with all expansions */

struct qflag {
	const char *word;
	uint32_t bit;
};
extern const struct qflag qflags[];
extern const size_t nqflags;

/* The limits of envelope.h are kept. */
bool qfile_env_fits(const struct envelope *env);
bool qfile_rcpt_fits(const struct env_recipient *r);

/* ---- an open file ---- */

struct qedit {
	uint64_t offset; /* in the content */
	uint64_t length; /* octets inserted or skipped */
	const char *p;   /* what is inserted (in tail); NULL: skip */
};

struct qrow {
	struct qrcpt r;  /* first: qfile_rcpt gives this away */
	char *own;       /* owned: the strings of an expansion's recipient */
	char *words;     /* owned: the strings of the last attempt */
};

struct qfile {
	int fd;
	uint64_t size;           /* when it was opened */
	/* One block for head and, where it was read along, content and tail;
	 * or two. */
	char *head;              /* owned: the envelope, decoded in place */
	size_t head_len;
	const char *content;     /* whole content in memory, or NULL */
	char *tail;              /* trailer and what was read of the journal */
	size_t tail_len;
	char *tail_own;          /* owned: tail's own block, or NULL */
	uint64_t tail_at;        /* offset of tail in the file */

	struct envelope env;
	int64_t created_ms;
	uint64_t content_at, content_length;
	uint32_t content_sum;
	bool content_good;       /* verified when it was opened */
	uint64_t message_length;
	struct qedit *edits;     /* owned, in the order of their offsets */
	size_t nedits, edits_cap;
	struct qrow *rows;       /* owned */
	size_t nrows, rows_cap;

	uint64_t journal_at;     /* where the journal begins */
	uint64_t journal_end;    /* behind its last good record */
	bool warned, late;       /* notes say so */
	bool torn;               /* something in it did not verify */
	bool cut;                /* ... the end: cut before the next append */
	uint32_t last_number;    /* highest recipient number ever seen */
	char *hold;              /* owned: the reason, or NULL */
	size_t hold_len;
};

/* Says what does not verify ("octet 17: ..."), returns QFILE_CORRUPT. */
enum qfile_result qfile_corrupt(char why[STATUS_TEXT_MAX], uint64_t offset,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "octet 17: critical field Xyz is unknown", returns QFILE_NEWER. */
enum qfile_result qfile_unknown(char why[STATUS_TEXT_MAX], uint64_t offset,
    struct slice name);
/* The same for errno and QFILE_ERROR. */
enum qfile_result qfile_failed(char why[STATUS_TEXT_MAX], const char *what);
/* Up to n octets at offset, fewer only at the file's end; -1: errno. */
ssize_t qfile_pread(int fd, char *p, size_t n, uint64_t offset);

bool qfile_state_valid(char c);
/* The sum of text with every state octet counted as 'T'.  They stand behind
 * key, a newline and a line's first word ("\nrcpt ", "\nto "). */
uint32_t qfile_sum_states(struct slice text, struct slice key);

/* Reads the first n octets of the tail into a block of their own. */
enum qfile_result qfile_read_tail(struct qfile *q, size_t n,
    char why[STATUS_TEXT_MAX]);
/* qfile_trailer.c: the sums, *length receives the trailer's; then the edits */
enum qfile_result qfile_check_trailer(struct qfile *q, size_t *length,
    char why[STATUS_TEXT_MAX]);
enum qfile_result qfile_parse_edits(struct qfile *q, size_t length,
    char why[STATUS_TEXT_MAX]);
/* qfile_envelope.c: the lines of q->head */
enum qfile_result qfile_parse_envelope(struct qfile *q,
    char why[STATUS_TEXT_MAX]);
/* qfile_journal.c: reads all of it, from tail and from the file */
enum qfile_result qfile_read_journal(struct qfile *q,
    char why[STATUS_TEXT_MAX]);

/* qfile_rows.c: recipients in memory */
struct qrow *qfile_add_row(struct qfile *q);
/* What an attempt, a note or an expansion means, read or just written. */
struct qtry {
	int64_t at_ms, next_ms;
	struct slice host, rule, why, outcome; /* copied */
	bool remote;
};
void qfile_apply_try(struct qrow *row, const struct qtry *t);
void qfile_apply_note(struct qfile *q, struct slice what, struct slice reason,
    int64_t at_ms);
/* A recipient the expansion of row `parent` made, one of several; address,
 * target and sender are copied, the rest comes from the parent. */
void qfile_apply_to(struct qfile *q, size_t parent, const struct qrcpt *r,
    bool several);
/* Takes back the rows from index n on. */
void qfile_drop_rows(struct qfile *q, size_t n);

#endif
