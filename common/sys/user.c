/*
 * System users by name.  Runs in parents at start, before the cage; authd also
 * asks for mailbox owners later.  The names come from the configuration or,
 * in authd, from recipients.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/sys/user.h"

#define ENTRY_MAX ((size_t)1024 * 1024) /* octets of one entry */

bool
user_find(const char *name, struct sys_user *out)
{
	struct passwd pw, *found = NULL;
	size_t size = 1024;
	char *mem = mem_alloc(size);
	int error;

	/* The buffer's need is known only by trying. */
	while ((error = getpwnam_r(name, &pw, mem, size, &found)) == ERANGE &&
	    size < ENTRY_MAX) {
		size *= 2;
		mem = mem_grow(mem, size, 1);
	}
	if (found != NULL) {
		out->uid = pw.pw_uid;
		out->gid = pw.pw_gid;
	}
	free(mem);
	/* Some back-ends say "not there" with one of these. */
	if (error == ENOENT || error == ESRCH)
		error = 0;
	errno = error;
	return found != NULL;
}

struct sys_user
user_need(const char *conf_key, const char *name)
{
	struct sys_user user = {geteuid(), getegid()};

	if (user.uid != 0)
		return user;
	if (!user_find(name, &user)) {
		if (errno != 0)
			die_errno(EXIT_TEMPORARY,
			    "%s = %s: the user cannot be looked up", conf_key,
			    name);
		die(EXIT_PERMANENT, "%s = %s: no such system user; create it "
		    "(INSTALL, Users) or name another in the configuration",
		    conf_key, name);
	}
	if (user.uid == 0)
		die(EXIT_PERMANENT, "%s = %s: is root; name an unprivileged "
		    "user", conf_key, name);
	return user;
}
