/* `postern check`: the users that the daemons become. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "postern/check.h"

#define NUSERS 12

struct role {
	const char *key, *name;
	struct sys_user *keep; /* NULL: of no further interest */
	struct sys_user user;
	bool found;
};

static const char how[] = "create it (INSTALL, Users), or name another";

static void
find(struct check *c, struct role *r)
{
	r->found = user_find(r->name, &r->user);
	if (!r->found) {
		check_finding(c, CHECK_ERROR, how,
		    "%s = %s: no such system user%s%s", r->key, r->name,
		    errno != 0 ? ": " : "",
		    errno != 0 ? strerror(errno) : "");
		return;
	}
	if (r->user.uid == 0) {
		check_finding(c, CHECK_ERROR, "name an unprivileged user",
		    "%s = %s: is root", r->key, r->name);
		r->found = false;
	}
	if (r->keep != NULL)
		*r->keep = r->user;
}

/* One user for two daemons is one wall less between them. */
static void
compare(struct check *c, const struct role *v)
{
	size_t i, k;

	for (i = 0; i < NUSERS; i++)
		for (k = 0; k < i; k++)
			if (v[i].found && v[k].found &&
			    v[i].user.uid == v[k].user.uid)
				check_finding(c, CHECK_WARNING,
				    "give each a user of its own",
				    "%s and %s are both uid %u", v[k].key,
				    v[i].key, (unsigned)v[i].user.uid);
}

/* run_dir and the sockets in it have the group of user_smtpd; whoever connects
 * must be in it, and the daemons have no other group than their primary one. */
static void
check_group(struct check *c, const struct role *v)
{
	size_t i;

	for (i = 0; i < NUSERS; i++)
		if (v[0].found && v[i].found &&
		    v[i].user.gid != v[0].user.gid &&
		    strcmp(v[i].key, "user_pipe") != 0 &&
		    strcmp(v[i].key, "user_virtual") != 0)
			check_finding(c, CHECK_ERROR, "give both one primary "
			    "group", "%s = %s: has another group than %s, it "
			    "cannot connect to the others", v[i].key,
			    v[i].name, v[0].key);
}

void
check_users(struct check *c)
{
	const struct conf *conf = &c->p->conf;
	struct role v[NUSERS] = {
		{.key = "user_smtpd", .name = conf->user_smtpd,
		    .keep = &c->smtpd},
		{.key = "user_queue", .name = conf->user_queue,
		    .keep = &c->queue},
		{.key = "user_local", .name = conf->user_local},
		{.key = "user_pipe", .name = conf->user_pipe},
		{.key = "user_auth", .name = conf->user_auth,
		    .keep = &c->auth},
		{.key = "user_pop3d", .name = conf->user_pop3d},
		{.key = "user_mailbox", .name = conf->user_mailbox},
		{.key = "user_dns", .name = conf->user_dns},
		{.key = "user_remote", .name = conf->user_remote},
		{.key = "user_bounce", .name = conf->user_bounce},
		{.key = "user_key", .name = conf->user_key, .keep = &c->key},
		{.key = "user_virtual", .name = conf->user_virtual,
		    .keep = &c->virtual_user},
	};
	size_t i;

	/* Without root the whole suite is one user's. */
	if (!c->root)
		return;
	c->users_known = true;
	for (i = 0; i < NUSERS; i++) {
		find(c, &v[i]);
		c->users_known = c->users_known && v[i].found;
	}
	compare(c, v);
	check_group(c, v);
	if (v[NUSERS - 1].found && !conf->virtual_only &&
	    c->virtual_user.uid < conf->mailbox_uid_min)
		check_finding(c, CHECK_ERROR, "lower mailbox_uid_min, or give "
		    "the user a higher uid", "user_virtual = %s: uid %u is "
		    "below mailbox_uid_min (%u), local may not become it",
		    conf->user_virtual, (unsigned)c->virtual_user.uid,
		    (unsigned)conf->mailbox_uid_min);
}
