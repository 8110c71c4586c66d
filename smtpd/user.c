/*
 * Users of this host, who come by submit_socket.  Runs in the session.  The
 * kernel says the uid; its name is authd's to say, since a session has no file
 * to look into.  Who it was stands in Received, queue file and log, whatever
 * address the message comes from.
 */
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/mail/address.h"
#include "common/proto/address.h"
#include "smtpd/session.h"

/* In the order of submit_sender_check's words. */
enum { SENDER_ANY, SENDER_OWN };

bool
user_identify(struct session *s, struct status *st)
{
	struct user *u = &s->user;
	struct address_user who;

	if (!u->is || u->known)
		return true;
	lookup_user(s, u->uid, &who);
	if (who.result == ADDRESS_TEMP) {
		status_set(st, 451, 3, 0, "Your name cannot be looked up now");
		return false;
	}
	if (who.result == ADDRESS_LOCAL) {
		buf_addslice(&u->login, who.name);
		buf_addslice(&u->full_name, who.full_name);
		u->named = true;
	} else {
		buf_printf(&u->login, "uid:%u", (unsigned)u->uid);
	}
	u->known = true;
	LOG_INFO("user", LU("uid", u->uid), LB("login", buf_slice(&u->login)));
	return true;
}

bool
user_owns(const struct session *s, const struct address *a)
{
	struct slice local = a->local;
	size_t at = local.len;

	if (!s->user.named || !slice_ieq(a->domain,
	    slice_of(s->conf->local_domain)))
		return false;
	for (const char *d = s->conf->recipient_delimiter; *d != '\0'; d++)
		if (slice_find(local, *d, 0) < at)
			at = slice_find(local, *d, 0);
	return slice_ieq(local, buf_slice(&s->user.login)) ||
	    slice_ieq(slice_sub(local, 0, at), buf_slice(&s->user.login));
}

bool
user_may_send(const struct session *s, const struct address *from)
{
	return !s->user.is || s->conf->submit_sender_check == SENDER_ANY ||
	    s->user.uid == 0 || from->text.len == 0 || user_owns(s, from);
}
