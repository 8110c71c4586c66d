/*
 * ETRN (RFC 1985).  Runs in the session.  The queue holds nothing for hosts
 * that come and ask, so ETRN is not announced; whoever sends it all the same
 * gets its syntax checked and is told that his node is not allowed (459),
 * which is what RFC 1985 has for a node that is not served.  458 would say that
 * it is served and might work later, 502 that the command is unknown.
 */
#include "common/mail/address.h"
#include "smtpd/command.h"

bool
etrn_parse(struct slice arg, const char **why)
{
	if (arg.len == 0) {
		*why = "node is missing";
		return false;
	}
	/* RFC 1985 5.3: "#" and a name this server gives a meaning */
	if (arg.p[0] == '#') {
		for (size_t i = 1; i < arg.len; i++)
			if (arg.p[i] <= ' ' || arg.p[i] >= 0x7f) {
				*why = "broken queue name";
				return false;
			}
		*why = "queue name is missing";
		return arg.len > 1;
	}
	if (arg.p[0] == '@')
		arg = slice_sub(arg, 1, arg.len);
	return address_domain(arg, false, why);
}

enum state
cmd_etrn(struct session *s, struct slice arg)
{
	const char *why = "";

	if (!etrn_parse(arg, &why))
		reply(s, 501, "5.5.4", "ETRN: %s", why);
	else
		reply(s, 459, "4.7.1", "Node %.*s not allowed",
		    SLICE_FMT(slice_sub(arg, 0, 255)));
	return s->state;
}
