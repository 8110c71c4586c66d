/* `postern check`: findings, each with its mend. */
#ifndef POSTERN_CHECK_H
#define POSTERN_CHECK_H

#include <stdbool.h>

#include "common/sys/user.h"
#include "postern/out.h"
#include "postern/postern.h"

enum check_level {
	CHECK_NOTE,    /* good to know; not counted */
	CHECK_WARNING,
	CHECK_ERROR
};

struct check {
	struct postern *p;
	struct json j;
	unsigned errors, warnings;
	bool root;               /* users and owners can be told */
	struct sys_user queue, auth, smtpd, key, virtual_user; /* with root */
	bool users_known;
};

/* One line: what is wrong; mend: what to do. */
void check_finding(struct check *c, enum check_level level, const char *mend,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void check_users(struct check *c);     /* check_users.c */
void check_places(struct check *c);    /* check_places.c: directories, disks */
void check_tables(struct check *c);    /* check_tables.c */
void check_dns(struct check *c);       /* check_dns.c */
void check_tls(struct check *c);       /* check_tls.c */
void check_dkim(struct check *c);      /* check_dkim.c */
void check_running(struct check *c);   /* check_running.c */
void check_kernel(struct check *c);    /* check.c */

#endif
