/*
 * Command lines and the table of commands.  Runs in the session on what the
 * client sends.  The table says where a command is allowed, so that the
 * sequence error is answered in one place.
 */
#include "common/conf/conf.h"
#include "smtpd/command.h"

/* STARTTLS and AUTH will be two more rows. */
static const struct command commands[] = {
	{"HELO", ANYWHERE, true, cmd_helo, "HELO domain"},
	{"EHLO", ANYWHERE, true, cmd_ehlo, "EHLO domain"},
	{"MAIL", IN(GREETED), false, cmd_mail, "MAIL FROM:<path> [parameters]"},
	{"RCPT", IN(MAIL) | IN(RCPT), false, cmd_rcpt,
	    "RCPT TO:<path> [parameters]"},
	{"DATA", IN(RCPT), false, cmd_data, "DATA"},
	/* Octets follow in whatever state: it sees to the sequence itself */
	{"BDAT", ANYWHERE, false, cmd_bdat, "BDAT size [LAST]"},
	{"RSET", ANYWHERE, true, cmd_rset, "RSET"},
	{"NOOP", ANYWHERE, true, cmd_noop, "NOOP [string]"},
	{"QUIT", ANYWHERE, false, cmd_quit, "QUIT"},
	{"VRFY", ANYWHERE, true, cmd_vrfy, "VRFY address"},
	{"EXPN", ANYWHERE, true, cmd_expn, "EXPN list"},
	{"HELP", ANYWHERE, true, cmd_help, "HELP [command]"},
	{"ETRN", IN(GREETED), true, cmd_etrn, "ETRN node"},
	/* RFC 5321 F.1, F.6: known, and no longer of use */
	{"SEND", ANYWHERE, true, cmd_obsolete, NULL},
	{"SOML", ANYWHERE, true, cmd_obsolete, NULL},
	{"SAML", ANYWHERE, true, cmd_obsolete, NULL},
	{"TURN", ANYWHERE, true, cmd_obsolete, NULL},
	/* A browser was sent here: what it posts are not commands. */
	{"GET", ANYWHERE, true, cmd_foreign, NULL},
	{"HEAD", ANYWHERE, true, cmd_foreign, NULL},
	{"POST", ANYWHERE, true, cmd_foreign, NULL},
	{"PUT", ANYWHERE, true, cmd_foreign, NULL},
	{"CONNECT", ANYWHERE, true, cmd_foreign, NULL},
	{"OPTIONS", ANYWHERE, true, cmd_foreign, NULL},
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

void
smtp_command_split(struct slice line, struct slice *verb, struct slice *arg)
{
	size_t space, from;

	while (line.len > 0 && (line.p[line.len - 1] == ' ' ||
	    line.p[line.len - 1] == '\t'))
		line.len--;
	space = from = slice_find(line, ' ', 0);
	while (from < line.len && line.p[from] == ' ')
		from++;
	*verb = slice_sub(line, 0, space);
	*arg = slice_sub(line, from, line.len);
}

const struct command *
smtp_command_find(struct slice verb)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (slice_ieq(slice_of(commands[i].name), verb))
			return &commands[i];
	return NULL;
}

const struct command *
smtp_command_at(size_t i)
{
	return i < NCOMMANDS ? &commands[i] : NULL;
}

/* The command cannot come now: says what must come before. */
static void
out_of_sequence(struct session *s, const struct command *c)
{
	if (s->state == STATE_START)
		reply(s, 503, "5.5.1", "Say HELO or EHLO first");
	else if (s->state == STATE_BDAT)
		reply(s, 503, "5.5.1", "In the middle of BDAT; send the rest "
		    "or RSET");
	else if (c->run == cmd_data && s->mail.refused > 0)
		/* RFC 2920 3.1: sent ahead, and all recipients failed */
		reply(s, 554, "5.5.1", "No valid recipients");
	else if (s->state == STATE_GREETED)
		reply(s, 503, "5.5.1", "Send MAIL first");
	else if (c->run == cmd_data)
		reply(s, 503, "5.5.1", "Send RCPT first");
	else
		reply(s, 503, "5.5.1", "A transaction is under way; finish it "
		    "or send RSET");
}

enum state
smtp_command_run(struct session *s, struct slice line)
{
	const struct command *c;

	s->utf8_replies = false;
	smtp_command_split(line, &s->verb, &s->arg);
	c = smtp_command_find(s->verb);
	if (c == NULL) {
		reply(s, 500, "5.5.1", "Command not known");
		return s->state;
	}
	if (c->idle && ++s->idle > s->conf->smtp_idle_commands_max)
		return reply_close(s, "idle-commands", "4.7.0",
		    "Too many commands without a message");
	if ((c->states & 1u << s->state) == 0) {
		out_of_sequence(s, c);
		return s->state;
	}
	return c->run(s, s->arg);
}

enum state
cmd_rset(struct session *s, struct slice arg)
{
	if (arg.len > 0) {
		reply(s, 501, "5.5.4", "RSET has no argument");
		return s->state;
	}
	message_drop(s);
	reply(s, 250, "2.0.0", "OK");
	return s->state == STATE_START ? STATE_START : STATE_GREETED;
}

/* RFC 5321 4.1.1.9: an argument is ignored. */
enum state
cmd_noop(struct session *s, struct slice arg)
{
	(void)arg;
	reply(s, 250, "2.0.0", "OK");
	return s->state;
}

enum state
cmd_quit(struct session *s, struct slice arg)
{
	if (arg.len > 0) {
		reply(s, 501, "5.5.4", "QUIT has no argument");
		return s->state;
	}
	message_drop(s);
	reply(s, 221, "2.0.0", "%s closes", s->conf->hostname);
	s->end = "quit";
	return STATE_CLOSED;
}

enum state
cmd_obsolete(struct session *s, struct slice arg)
{
	(void)arg;
	reply(s, 502, "5.5.1", "Command not implemented");
	return s->state;
}

enum state
cmd_foreign(struct session *s, struct slice arg)
{
	(void)arg;
	return reply_close(s, "foreign", "4.7.0", "This is SMTP");
}
