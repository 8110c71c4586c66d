/* smtpd's parent: accepts, forks, hands channels to its sessions. */
#ifndef SMTPD_PARENT_H
#define SMTPD_PARENT_H

#include "common/conf/conf.h"

struct smtpd {
	struct conf conf;
	struct parent *parent; /* made by parent_open */
};

/* Opens listeners and directories; dies (100) with what is wrong. */
void parent_open(struct smtpd *d);
/* Takes its rights away, says it is ready, serves until SIGTERM. */
int parent_run(struct smtpd *d);

#endif
