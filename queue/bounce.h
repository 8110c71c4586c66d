/*
 * bounce: tells senders what became of their mail (RFC 3461, 3464, 6522).  A
 * parent that reads no mail, and a process for each notice.
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/base/status.h"
#include "common/conf/conf.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"
#include "common/proto/bounce.h"

/* What the parent opened before its cage. */
struct bounce {
	struct conf conf;
	int listen_fd;
	uid_t uid;
	gid_t gid;
	uid_t client_uids[1]; /* qmgr */
};

/* Opens the socket; dies (100) with what is wrong and the mend. */
void bounce_open(struct bounce *b);
/* Takes jobs and forks a process for each, until SIGTERM. */
int bounce_run(struct bounce *b);

/* ---- one job (bounce_job.c) ---- */

/* The process: enters its cage, serves the one job that comes through job_fd,
 * and hands the notice in over queue_fd (a connection to queued); the exit
 * code. */
int bounce_process(const struct conf *conf, int job_fd, int queue_fd);

struct queue_client;

/* What became of a job: 2xx, and the notice's id if one was sent. */
struct bounce_result {
	struct status status;
	struct mail_id id; /* s[0] is NUL: none */
};

/* message_fd is taken over.  What is sent goes through q. */
void bounce_job(const struct conf *conf, const struct bounce_job *job,
    int message_fd, struct queue_client *q, struct bounce_result *out);

/* ---- one notice ---- */

struct bounce_told;

/* Who is told of, of the job's recipients; told has room for all of them. */
size_t bounce_choose(struct qfile *q, const struct bounce_job *job,
    struct bounce_told *told);

/* A recipient the notice tells of. */
struct bounce_told {
	const struct qrcpt *r;  /* borrowed from the qfile */
	struct slice address;   /* shown as the final recipient */
	struct slice original;  /* what the sender wrote, or the same */
	uint32_t action;        /* enum bounce_action */
	uint64_t until_ms;
	struct status status;   /* fits the action */
	bool has_words;         /* status and its text are those of the last
	                         * attempt; else they are made up */
	bool remote;            /* and the next host's own */
	size_t group;           /* index of the first one told the same */
};

#define BOUNCE_SHOWN_MAX 300 /* octets of a header field's value */

/* What is known of the message itself. */
struct bounce_original {
	bool there;           /* it, or its header, can be returned */
	bool whole;           /* it is returned, not only its header */
	uint64_t header;      /* octets of the header that are returned */
	bool header_cut;      /* it goes on */
	bool eight_bit;       /* what is returned has octets above 127 */
	bool header_8bit;     /* its header section has */
	bool binary;          /* it is no text with lines of 998 octets: it is
	                       * encoded (header), converted (whole) */
	/* As text to be shown, "" where there is none */
	char subject[BOUNCE_SHOWN_MAX + 1]; /* UTF-8 */
	char date[BOUNCE_SHOWN_MAX + 1];    /* ASCII */
	char message_id[BOUNCE_SHOWN_MAX + 1]; /* "<a@b>", ASCII, or "" */
};

struct bounce_notice {
	/* Set by the caller */
	const struct conf *conf;
	struct qfile *q;
	uint32_t kind;         /* enum bounce_kind */
	struct slice to;
	bool doubled;          /* to the postmaster, about mail from <> */
	struct bounce_told *told; /* the caller's */
	size_t ntold;
	struct mail_id id;     /* of the notice */
	int64_t now_ms;        /* wall clock */
	/* Set by bounce_notice_prepare */
	struct bounce_original original;
	struct buf head;       /* header section and all of the first parts */
	struct buf tail;       /* closing delimiter */
	uint32_t flags;        /* ENV_*: what the envelope must say */
};

/* Octets that go out; false: no more of them. */
typedef bool bounce_put_fn(void *arg, struct slice octets);

/* Looks at the message and makes all but its return; -1 with errno: the queue
 * file cannot be read. */
int bounce_notice_prepare(struct bounce_notice *n);
/* Upper bound of what will go out, roughly: for queued's room. */
uint64_t bounce_notice_size(const struct bounce_notice *n);
/* -1 with errno when the queue file cannot be read or does not verify (nothing
 * must be committed then), or ECANCELED: put said so. */
int bounce_notice_write(struct bounce_notice *n, bounce_put_fn *put,
    void *arg);
void bounce_notice_free(struct bounce_notice *n);

/* ---- the message (bounce_original.c) ---- */

/* whole: it shall be returned whole if that can be done; otherwise its header,
 * up to header_max octets.  -1 with errno: cannot be read. */
int bounce_original_look(struct bounce_original *o, struct qfile *q,
    bool whole, uint64_t header_max);
/* As bounce_notice_write. */
int bounce_original_write(const struct bounce_original *o, struct qfile *q,
    bounce_put_fn *put, void *arg);

/* ---- the parts (bounce_words.c, bounce_status.c) ---- */

/* What a person reads.  Groups the recipients. */
void bounce_words(struct bounce_notice *n, struct buf *out);
/* RFC 3464; utf8: as message/global-delivery-status (RFC 6533). */
void bounce_status(const struct bounce_notice *n, bool utf8, struct buf *out);
/* The subject of the notice. */
void bounce_subject(const struct bounce_notice *n, struct buf *out);

/* The host's name in "mx.example.org[192.0.2.1]:25": a domain or an address
 * literal; empty if it is neither.  ip: "192.0.2.1" or empty. */
struct slice bounce_host(struct slice host, struct slice *ip);

/* ---- text (bounce_text.c) ---- */

/* Octets of the well-formed character (RFC 3629) at s.p[at], or 0. */
size_t bounce_utf8(struct slice s, size_t at);
/* Printable ASCII and nothing else. */
bool bounce_is_ascii(struct slice s);
bool bounce_has_8bit(struct slice s);
/* Without what could end a line, hide or reorder what is shown, or is broken:
 * '?' stands for it.  utf8: characters above 127 stay. */
void bounce_clean(struct slice s, bool utf8, struct buf *out);
/* RFC 3461 4: decoded; false when it is no xtext, or holds more than printable
 * ASCII (5.4). */
bool bounce_xtext(struct slice s, struct buf *out);
/* RFC 6533 3: the form of 7 bits.  Escapes that are there stay. */
void bounce_utf8_xtext(struct slice address, struct buf *out);
/* RFC 2047: encoded words in charsets that are known here become UTF-8;
 * unfolded, clean. */
void bounce_decode(struct slice value, struct buf *out);
/* A paragraph: its words in lines of 72 columns, behind an indent. */
void bounce_fill(const char *text, unsigned indent, struct buf *out);
/* "Name: type; value", folded; type may be NULL. */
void bounce_field(struct buf *out, const char *name, const char *type,
    struct slice value);

#endif
