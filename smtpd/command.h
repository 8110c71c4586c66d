/*
 * The commands: how a line is split, which ones there are and where each is
 * allowed.
 */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtpd/session.h"

struct command {
	const char *name;
	unsigned states;     /* where it is allowed: IN(...) */
	bool idle;           /* brings no message nearer: their number is
	                      * limited (smtp_idle_commands_max) */
	command_fn *run;
	const char *syntax;  /* for HELP */
};

/* A command line without its CRLF: the verb, and what follows the spaces
 * behind it.  White space at the end is gone (RFC 5321 4.1.1). */
void smtp_command_split(struct slice line, struct slice *verb,
    struct slice *arg);
const struct command *smtp_command_find(struct slice verb);
const struct command *smtp_command_at(size_t i); /* NULL behind the last */

/* Runs one line. */
enum state smtp_command_run(struct session *s, struct slice line);

/* BDAT's argument: "SIZE" or "SIZE LAST". */
bool bdat_parse(struct slice arg, uint64_t *size, bool *last);
/* ETRN's: "[@]DOMAIN" or "#QUEUE" (RFC 1985 5.3). */
bool etrn_parse(struct slice arg, const char **why);

#endif
