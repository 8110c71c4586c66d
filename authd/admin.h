/* The contract "authadmin", served: failures shown and forgotten. */
#ifndef AUTHD_ADMIN_H
#define AUTHD_ADMIN_H

#include <sys/types.h>

struct chan_server;
struct failures;
struct loop;

/* listen_fd is the caller's; uid: who may ask. */
struct chan_server *admin_new(struct loop *l, int listen_fd, uid_t uid,
    struct failures *failures);

#endif
