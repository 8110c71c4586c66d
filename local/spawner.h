/*
 * The spawner: runs programs from aliases and forward files, because programs
 * must not be caged by whoever delivers mail.
 */
#ifndef LOCAL_SPAWNER_H
#define LOCAL_SPAWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/status.h"
#include "common/conf/conf.h"
#include "common/proto/delivery.h"

struct spawner {
	struct conf conf;
	int listen_fd;
	uid_t uid;
	gid_t gid;
	bool becomes;         /* started by root: may become others */
	uid_t client_uids[1]; /* qmgr */
};

void spawner_open(struct spawner *s);
int spawner_run(struct spawner *s);

/* What forbids a job, or NULL. */
const char *spawner_unsound(const struct spawner *s,
    const struct delivery_job *j);

/* One job, in a process of its own: becomes the user, runs the program with the
 * message (message_fd: taken over) on its standard input, waits, fills in the
 * status. */
void program_run(const struct spawner *s, const struct delivery_job *job,
    int message_fd, struct status *st);

/* What an exit status (waitpid) means for the message; words: what the program
 * said, or "". */
void program_outcome(int wstatus, const char *words, struct status *st);

/* A copy fit for the environment of a program: octets other than letters,
 * digits and !@%-_=+:,./ become '_'. */
char *program_clean(struct slice s);

#endif
