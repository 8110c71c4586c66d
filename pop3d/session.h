/*
 * What a login session and a mailbox process have in common: a client, a state,
 * a table of commands, replies.
 */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct conf;
struct login;
struct mailbox;
struct stream;

#define SESSION_LEFTOVER_MAX 16384 /* what fits the contract "mailbox" */

enum state {
	STATE_AUTHORIZATION,
	STATE_USER,        /* in AUTHORIZATION, a USER was accepted */
	STATE_TRANSACTION,
	STATE_CLOSED       /* the last reply is in the output */
};
#define IN(s) (1u << STATE_##s)

struct session {
	const struct conf *conf;
	struct stream *net;
	enum state state;
	const char *ip;         /* borrowed */
	bool utf8;              /* RFC 6856: the client said UTF8 */
	bool handed_over;       /* the client is somebody else's now */
	int alive_fd;           /* owned; closed before the last reply, or -1 */
	unsigned errors;        /* commands that made no sense, failed logins */
	int64_t start_ms;       /* clock_mono_ms */
	int64_t end_ms;         /* nothing is waited for after this */
	int64_t idle_ms;        /* for one command */
	const char *end;        /* why it ended, for the log */
	const char *mechanisms; /* for CAPA; NULL or "": none */
	struct login *login;    /* login session */
	struct mailbox *mailbox; /* mailbox process */
};

enum command_args { ARGS_NONE, ARGS_OPTIONAL, ARGS_NEEDED };

/* Handlers append their reply and return the next state. */
typedef enum state command_fn(struct session *s, struct slice arg);

struct command {
	const char *name;
	unsigned states;        /* where it is allowed: IN(...) */
	enum command_args args;
	command_fn *run;        /* NULL: known, but allowed in no state here */
};

struct commands {
	const struct command *v;
	size_t n;
};

/* Reads and runs commands until the state is STATE_CLOSED, then sees the last
 * reply off (unless the client was handed over). */
void session_serve(struct session *s, const struct commands *commands);

/* command.c.  A command line without its CRLF: the word, and what stands behind
 * the one space that follows it, exactly (a password may begin with a space).
 * *has_arg: there was such a space and something behind it. */
void command_split(struct slice line, struct slice *word, struct slice *arg,
    bool *has_arg);
/* Up to three numbers' worth of arguments: "MSG", "MSG LINES". */
bool command_numbers(struct slice arg, uint32_t *v, size_t n);
enum state command_run(struct session *s, const struct commands *commands,
    struct slice line);

/* reply.c.  One line; what could break it is replaced.  code: a response code
 * of RFC 2449 8 or RFC 3206 without its brackets, or "". */
void reply_ok(struct session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The client could not have known better: a message that is gone. */
void reply_no(struct session *s, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Counted against pop3_errors_max. */
void reply_error(struct session *s, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Commands of both programs (command.c). */
command_fn cmd_capa, cmd_lang;

#endif
