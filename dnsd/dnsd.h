/* dnsd: what its parts hang on. */
#ifndef DNSD_DNSD_H
#define DNSD_DNSD_H

#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/sys/user.h"

struct dnsd {
	struct conf conf;
	struct sys_user me;
	uid_t uids[4];            /* who may ask */
	int listen_fd;
	size_t sockets;           /* that the resolver may use */
	struct loop *loop;
	struct loop_timer *leave;
	int64_t leave_ms;         /* when to end at the latest */
	struct loop_timer *look;  /* at resolv.conf */
	int64_t resolv_mtime;     /* nanoseconds, as it was read */
	ino_t resolv_inode;
	bool of_resolv;           /* resolv.conf says whom to ask */
	struct questions *questions;
};

/* What needs names and rights: users, sockets.  Dies (100) with the mend where
 * something is missing. */
void dnsd_open(struct dnsd *d);
/* Makes the resolver, enters the cage, serves until SIGTERM; the exit code. */
int dnsd_run(struct dnsd *d);

#endif
