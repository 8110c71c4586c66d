/* System users by name, looked up before the cage. */
#ifndef COMMON_SYS_USER_H
#define COMMON_SYS_USER_H

#include <stdbool.h>
#include <sys/types.h>

struct sys_user {
	uid_t uid;
	gid_t gid;
};

/* False if there is no such user (errno 0) or the look-up failed (errno). */
bool user_find(const char *name, struct sys_user *out);
/* The uid to expect on a channel from the daemon of this user: the named
 * user's; as non-root, the own uid.  Dies (100) with a clear text naming key
 * and user if it does not exist. */
struct sys_user user_need(const char *conf_key, const char *name);

#endif
