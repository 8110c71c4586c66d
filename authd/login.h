/* Logins: the contract "login", served. */
#ifndef AUTHD_LOGIN_H
#define AUTHD_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/slice.h"

struct attempts;
struct directory;
struct logins;
struct loop;

/* Sessions of this user may ask for this service. */
struct login_right {
	uid_t uid;
	struct slice service;
};

#define LOGIN_RIGHTS_MAX 8

struct login_args {
	struct loop *loop;
	struct directory *directory; /* borrowed, as attempts */
	struct attempts *attempts;
	int listen_fd;
	const struct login_right *rights; /* NULL: anybody, anything */
	size_t nrights;
	size_t max_peers;
};

struct logins *logins_new(const struct login_args *args);
void logins_pause(struct logins *l); /* no new connections */
void logins_free(struct logins **l);

#endif
