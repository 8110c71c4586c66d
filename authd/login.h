/* Logins: the contract "login", served. */
#ifndef AUTHD_LOGIN_H
#define AUTHD_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct conf;
struct directory;
struct failures;
struct logins;
struct loop;
struct tickets;
struct verifier;

struct login_args {
	struct loop *loop;
	const struct conf *conf; /* borrowed, as all below */
	struct directory *directory;
	struct failures *failures;
	struct tickets *tickets;
	struct verifier *verifier;
	int listen_fd;
	const uid_t *uids; /* who may connect; NULL: anybody */
	size_t nuids;
	size_t max_peers;
};

struct logins *logins_new(const struct login_args *args);
void logins_pause(struct logins *l); /* no new connections */
bool logins_busy(const struct logins *l);
void logins_free(struct logins **l);

#endif
