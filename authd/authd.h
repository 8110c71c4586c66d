/* authd: what its parts hang on. */
#ifndef AUTHD_AUTHD_H
#define AUTHD_AUTHD_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "common/sys/user.h"

struct authd {
	struct conf conf;
	struct sys_user me, smtpd, queue, pop3d, mailbox; /* who may connect */
	int table_fd, etc_fd; /* etc_fd -1: nobody asks for the
	                       * users of this host */
	int address_fd, login_fd, ticket_fd, admin_fd; /* listening */
	uid_t admin;          /* who started us: may ask for failures */
	struct loop *loop;
	struct loop_timer *leave;
	int64_t leave_ms; /* when to end at the latest */
	struct directory *directory;
	struct attempts *attempts;
	struct dovecot *dovecot; /* NULL: not served */
	struct sys_user dovecot_user;
	int dovecot_fd;       /* listening; -1: none */
	struct remember *remember;
	unsigned char salt_key[32]; /* of salts for nobody's names */
	int upgrades_fd;      /* append only; -1: none */
	struct failures *failures;
	struct tickets *tickets;
	struct verifier *verifier;
	struct addresses *addresses;
	struct logins *logins;
	struct chan_server *redeemers, *admins;
};

/* What needs names and rights: users, directories, sockets.  Dies (100) with
 * the mend where something is missing. */
void authd_open(struct authd *a);
/* Enters the cage, serves until SIGTERM; the exit code. */
int authd_run(struct authd *a);

#endif
