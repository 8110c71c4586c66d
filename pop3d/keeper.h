/*
 * The mailbox parent: takes over clients that logged in, redeems their tickets
 * and makes a mailbox process with the owner's rights for each.
 */
#ifndef POP3D_KEEPER_H
#define POP3D_KEEPER_H

#include "common/conf/conf.h"

struct keeper;

/* Opens the socket and directories; dies (100) with what is wrong. */
struct keeper *keeper_open(struct conf *c);
/* Takes its rights away, says it is ready, serves until SIGTERM. */
int keeper_run(struct keeper *k);

#endif
