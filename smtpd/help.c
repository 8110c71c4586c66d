/* HELP (RFC 5321 4.1.1.8).  Runs in the session. */
#include "smtpd/command.h"

enum state
cmd_help(struct session *s, struct slice arg)
{
	const struct command *c;

	if (arg.len > 0) {
		c = smtp_command_find(arg);
		if (c == NULL || c->syntax == NULL)
			reply(s, 504, "5.5.4", "No help on that");
		else
			reply(s, 214, "2.0.0", "%s", c->syntax);
		return s->state;
	}
	for (size_t i = 0; (c = smtp_command_at(i)) != NULL; i++)
		if (c->syntax != NULL)
			reply_more(s, 214, "2.0.0", "%s", c->syntax);
	reply(s, 214, "2.0.0", "See RFC 5321");
	return s->state;
}
