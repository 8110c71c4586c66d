/*
 * One SMTP session: a process forked for one connection, in a cage without
 * files.  It reads as the dialogue reads: a command, its handler, the reply.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/conf/net.h"
#include "common/front/front.h"
#include "common/io/stream.h"
#include "common/mail/address.h"
#include "common/mail/id.h"
#include "smtpd/content.h"

struct address_checked;
struct address_members;
struct address_user;
struct chan;
struct chan_list;
struct complete;
struct conf;
struct envelope;
struct header_scan;
struct params;
struct queue_rcpts;

/* A session's buffers.  They are touched only as far as they are filled; those
 * of an idle session lie on one page. */
#define SESSION_IN_SIZE 32768
#define SESSION_OUT_SIZE 1000

enum state {
	STATE_START,   /* neither HELO nor EHLO yet */
	STATE_GREETED,
	STATE_MAIL,    /* MAIL was accepted, no recipient yet */
	STATE_RCPT,    /* at least one recipient was accepted */
	STATE_BDAT,    /* between chunks */
	STATE_CLOSED   /* the last reply is in the output */
};
#define IN(s) (1u << STATE_##s)
#define ANYWHERE (~0u)

/* Why a message is refused at its end; several may be true. */
#define FAULT_BARE 1u   /* a bare CR or LF in it */
#define FAULT_NUL 2u
#define FAULT_SIZE 4u   /* larger than message_size_max */
#define FAULT_HEADER 8u /* larger than header_size_max */
#define FAULT_HOPS 16u  /* more than hops_max Received fields */
#define FAULT_QUEUE 32u /* queued is gone or said no: queue.status */
#define FAULT_BCC 64u   /* submission: more Bcc than can be taken out */

struct rcpt {
	uint32_t at; /* in mail.text: address, then orcpt */
	uint16_t address_len, orcpt_len;
	uint32_t notify;
};

/* The transaction in hand. */
struct mail {
	struct mail_id id;    /* "": none is in hand */
	struct buf from;      /* reverse-path without brackets */
	bool own;             /* it is the user's own address */
	struct buf envid;     /* xtext */
	uint32_t flags;       /* ENV_* */
	uint64_t by_at_ms;
	int64_t deadline_ms;  /* clock_mono_ms */
	/* Recipients that are not at queued yet: at most one record's */
	struct rcpt *rcpts;
	size_t nrcpts, rcpts_cap;
	struct buf text;
	unsigned accepted, refused; /* recipients in all */
	struct buf first;     /* the first accepted one, for the log */
	struct buf msgid;     /* Message-ID, for the log */
	/* The content */
	bool started;         /* the envelope is on its way to queued */
	struct content content;
	bool header_done;
	uint64_t octets;
	unsigned faults;
};

/* The way to queued (enqueue.c). */
struct enqueue {
	struct chan *chan;    /* NULL: not connected */
	int pipe;             /* write end, or -1 */
	bool wide;            /* its buffer was enlarged */
	enum { QUEUE_FREE, QUEUE_UNASKED, QUEUE_OPEN_DONE, QUEUE_RECEIVES }
	    phase;
	int64_t *room;        /* shared with all sessions: until when
	                       * (clock_mono_ms) there is room for small
	                       * messages without asking; only a hint */
	char *held;           /* content not yet in the pipe; NULL: no memory */
	size_t nheld;
	uint64_t written;     /* octets of this message in the pipe */
	bool failed;          /* status says why */
	bool answered;        /* RESULT came before END */
	struct status status;
};

/* A user of this host (user.c). */
struct user {
	bool is;              /* it came by submit_socket, */
	uid_t uid;            /* says the kernel */
	bool known;           /* authd was asked: */
	bool named;           /* the uid has a name */
	struct buf login;     /* it, or "uid:1000" */
	struct buf full_name; /* GECOS, or "" */
};

struct session {
	const struct conf *conf;
	struct stream *net;
	struct front_way way; /* until parent is made */
	struct chan *parent;  /* made at the first need */
	struct chan *lookup;  /* contract "address", likewise */
	struct chan *etrn;    /* contract "etrn", likewise */
	int lookup_fd;        /* came with the way to queued; or -1 */
	uint64_t lookup_rid;
	struct ip ip, local;
	bool relay;           /* may send anywhere: relay_networks, users */
	bool submission;      /* the message's first server: completes it */
	struct user user;
	char ip_text[IP_TEXT_SIZE]; /* for logs: "192.0.2.1", "uid:1000" */
	char sid[FRONT_SID_SIZE];
	enum state state;
	bool esmtp;           /* EHLO, not HELO */
	bool utf8_replies;    /* this command allowed UTF-8 in its reply */
	struct slice helo;    /* "" before HELO */
	char helo_text[ADDRESS_DOMAIN_MAX];
	struct slice verb, arg; /* the command in hand, for the log */
	struct mail mail;
	struct enqueue queue;
	struct header_scan *header;
	struct complete *complete; /* submission: what the header lacks */
	int64_t start_ms, end_ms; /* clock_mono_ms */
	unsigned errors;      /* refusals since the last accepted message */
	unsigned idle;        /* commands that brought no message nearer */
	unsigned mails;       /* transactions */
	unsigned messages, recipients, refused; /* for the log */
	unsigned error;       /* code of the last refusal */
	uint64_t octets;
	const char *end;      /* why it ended, for the log */
};

/* session.c: never returns.  client->arg: front_args.arg. */
void session_run(const struct front_client *client);
/* A channel from the parent (enum session_service), or -1.  The first time
 * both are asked for at once: who sends mail needs both. */
int session_channel(struct session *s, unsigned service);
/* After what moment nothing is waited for any more. */
int64_t session_deadline(const struct session *s);
/* Reading failed: says so, as far as there is somebody to hear. */
enum state session_broken(struct session *s, enum stream_result result);

/* etrn.c */
bool session_may_etrn(const struct session *s);
/* helo.c: OFFER_* of smtpd/param.h */
unsigned session_offers(const struct session *s);

/* reply.c: one line, sanitized; 4xx and 5xx are logged, 5xx are counted. */
void reply(struct session *s, unsigned code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Not the last line of a reply. */
void reply_more(struct session *s, unsigned code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void reply_status(struct session *s, const struct status *st);
/* 421 and the end of the session. */
enum state reply_close(struct session *s, const char *why,
    const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define MESSAGE_ID_MAX 240 /* octets logged of a Message-ID */

/* message.c: the transaction towards queued.  False: the reply is in *st. */
bool message_open(struct session *s, const struct address *from,
    const struct params *p, struct status *st);
void message_add(struct session *s, struct slice address,
    const struct params *p);
/* The envelope to queued, and ready for content. */
void message_start(struct session *s, bool dots);
content_fn message_content; /* arg: the session */
/* Refuses or commits, answers, and the transaction is over. */
void message_finish(struct session *s);
void message_drop(struct session *s); /* RSET and its like */

/* enqueue.c: what happens to the message at queued.  Where that fails it is
 * remembered in queue.failed and queue.status, and the rest does nothing. */
bool enqueue_open(struct session *s, struct slice id, uint64_t size);
void enqueue_envelope(struct session *s, const struct envelope *env);
void enqueue_rcpts(struct session *s, const struct queue_rcpts *rcpts);
void enqueue_put(struct session *s, struct slice content);
/* edits: struct env_edit */
void enqueue_end(struct session *s, const struct chan_list *edits,
    struct status *st);
void enqueue_abort(struct session *s);

/* lookup.c: asks authd; what the answers point to lives until the next call.
 * Where authd does not answer the result is ADDRESS_TEMP. */
void lookup_check(struct session *s, struct slice address,
    struct address_checked *out);
void lookup_members(struct session *s, struct slice address,
    struct address_members *out);
/* The next record of them; false: authd is gone. */
bool lookup_more(struct session *s, struct address_members *out);

/* The same for a uid of this host. */
void lookup_user(struct session *s, uid_t uid, struct address_user *out);

/* user.c: learns the user's name, once.  False: the reply is in *st. */
bool user_identify(struct session *s, struct status *st);
/* Is it the user's own address, with or without an extension? */
bool user_owns(const struct session *s, const struct address *a);
bool user_may_send(const struct session *s, const struct address *from);

/* Handlers append their reply and return the next state. */
typedef enum state command_fn(struct session *s, struct slice arg);
command_fn cmd_helo, cmd_ehlo, cmd_mail, cmd_rcpt, cmd_data, cmd_bdat, cmd_rset,
    cmd_noop, cmd_quit, cmd_vrfy, cmd_expn, cmd_help, cmd_etrn, cmd_obsolete,
    cmd_foreign;

/* rcpt.c: the path of MAIL or RCPT.  Users of this host may leave local_domain
 * away: the address then has it, but not its text. */
bool rcpt_path(const struct session *s, struct slice path,
    struct address_flags flags, struct address *out, struct slice *rest,
    const char **why);
/* local@domain of what MAIL, RCPT or VRFY named, with the domain filled
 * in where there is none or where it is a literal of ours. */
void rcpt_address(const struct session *s, const struct address *a,
    struct buf *out);

#endif
