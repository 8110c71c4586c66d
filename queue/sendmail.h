/*
 * sendmail(1): what programs call to hand in mail.  Runs as whoever calls it,
 * with no right of its own.  What it is piped and told is prepared here (line
 * ends, recipients, From) and goes to smtpd's UNIX socket, or, while that does
 * not answer, into the drop directory for pickup.
 */
#ifndef QUEUE_SENDMAIL_H
#define QUEUE_SENDMAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "queue/drop.h"

enum sendmail_mode {
	SENDMAIL_SEND,    /* -bm, the usual one */
	SENDMAIL_SMTP,    /* -bs */
	SENDMAIL_VERIFY,  /* -bv */
	SENDMAIL_LIST,    /* -bp, mailq */
	SENDMAIL_ALIASES, /* -bi, -I, newaliases */
	SENDMAIL_RUN      /* -q */
};

/* What was asked for (sendmail_options.c). */
struct sendmail_options {
	enum sendmail_mode mode;
	const char *program;   /* the name it was called by, for messages */
	const char *conf_file; /* -C, or NULL */
	const char *sender;    /* -f, -r; NULL: who calls */
	const char *full_name; /* -F, or NULL */
	bool from_header;      /* -t */
	bool ignore_dots;      /* -i */
	bool verbose;          /* -v */
	bool quiet;            /* -oeq: no words about refused recipients */
	uint32_t notify;       /* -N, NOTIFY_*; 0: not said */
	uint32_t ret;          /* -R: ENV_RET_FULL, ENV_RET_HDRS or 0 */
	const char *envid;     /* -V, or NULL */
	char run_what;         /* -qX: 'I', 'R', 'S', or '\0': all */
	const char *run_text;
	char **rcpts;          /* behind the options */
	int nrcpts;
};

/* False: wrong usage, said why.  Unknown options end that way too. */
bool sendmail_options(int argc, char *argv[], struct sendmail_options *out);

/* ---- the octets of the message (sendmail_spool.c) ---- */

/* A message waits here until it is whole: in memory, a large one in a file
 * without a name. */
struct spool {
	struct buf memory;
	int fd;             /* -1: all is in memory */
	uint64_t octets;
	uint64_t max;       /* more is not taken: too_large */
	bool too_large;
	int error;          /* errno of a failed write, or 0 */
	bool eight_bit;     /* an octet above 127 was put */
};
void spool_open(struct spool *sp, uint64_t max);
void spool_close(struct spool *sp);
void spool_put(struct spool *sp, struct slice octets);
/* What is held in memory reaches the file; -1 with errno. */
int spool_finish(struct spool *sp);
/* All of it, piece by piece, from the start; fn returns false to stop.
 * -1: read error (errno), or fn stopped (errno 0). */
int spool_each(struct spool *sp, bool (*fn)(void *arg, struct slice octets),
    void *arg);

/* ---- from what was piped in to a message (sendmail_text.c) ---- */

/*
 * Takes octets in pieces of any size.  A line ends in LF, in any number of CRs
 * with an LF behind, or, in the body, in CRs alone; each becomes CRLF.  In the
 * header CRs alone become a space: no field can be made of what was one line.
 * NUL is dropped.  Lines "From ..." in front are dropped.  Unless ignore_dots,
 * a line that is a dot ends the message.  The header ends at the first line
 * that is no field.
 */
struct text;
struct text *text_new(bool ignore_dots, size_t header_max);
void text_free(struct text **t);
/* header: once, with all fields (each with its CRLF; no empty line), before
 * the body's first octet. */
struct text_sink {
	void (*header)(void *arg, struct slice fields);
	void (*body)(void *arg, struct slice octets);
	void *arg;
};
/* False: the end was seen, no more is wanted. */
bool text_feed(struct text *t, struct slice in, const struct text_sink *sink);
void text_end(struct text *t, const struct text_sink *sink);
bool text_header_too_large(const struct text *t);

/* ---- recipients and the header (sendmail_header.c) ---- */

enum rcpt_state {
	RCPT_OPEN,
	RCPT_TAKEN,          /* by RCPT; the message is not sent yet */
	RCPT_SENT,
	RCPT_REFUSED,        /* said so */
	RCPT_LEFT            /* nobody could say: for the drop directory */
};

struct sendmail_rcpt {
	char *address;       /* local@domain, as written */
	char *key;           /* its canonical form */
	enum rcpt_state state;
};

struct letter {
	struct sendmail_rcpt *rcpts;
	size_t nrcpts, rcpts_cap;
	uint32_t *slots;     /* by key: number of a recipient + 1, or 0 */
	size_t nslots;
	struct buf sender;   /* "" is <> */
	bool utf8;           /* an address has octets above 127 */
	int code;            /* the worst so far: sysexits */
	struct spool text;
};

/* Who sends: -f, or who calls.  False: said what is wrong with -f. */
bool letter_sender(struct letter *l, const struct sendmail_options *o,
    const struct conf *c);
/* Adds the addresses of a list.  What is broken is said and remembered in
 * code; the others are taken. */
void letter_add(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, struct slice list);
/*
 * The header as it leaves: without Bcc, and with -F's From where there is none;
 * appended to out.  With -t the recipients are added.
 */
void letter_header(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, struct slice fields, struct buf *out);
void letter_free(struct letter *l);

/* ---- ways out ---- */

enum way {
	WAY_DONE,    /* smtpd has answered for all; letter.code says what */
	WAY_CLOSED,  /* smtpd does not work now: some recipients are left */
	WAY_FAILED   /* a fault of our own, or nobody is let in; said, and in
	              * letter.code */
};
/* sendmail_smtp.c: to smtpd's socket.  verify: RCPT only, says what was
 * answered. */
enum way smtp_send(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, bool verify);
/* The exit code for a refusal: "550 5.1.1 ..." */
int smtp_exit_code(unsigned code, struct slice text);
/* -bs: stdin and stdout become smtpd's; the exit code. */
int smtp_relay(const struct conf *c);
/* Connects to submit_socket within the time; -1 with errno. */
int smtp_dial(const struct conf *c);

/* sendmail_drop.c: for the recipients that are left, into the drop directory;
 * false: not possible, said why. */
bool drop_letter(struct letter *l, const struct sendmail_options *o,
    const struct conf *c);

/* sendmail_admin.c: mailq, newaliases, -q; the exit code. */
int admin_run(const struct sendmail_options *o, const struct conf *c);

/* sendmail.c */
int sendmail_run(const struct sendmail_options *o);
/* One line on stderr behind the program's name. */
void sendmail_say(const struct sendmail_options *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Remembers the worst of two exit codes: a temporary one hides behind a
 * permanent one, which the caller can mend. */
void letter_code(struct letter *l, int code);

#endif
