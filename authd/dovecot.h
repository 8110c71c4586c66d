/* The Dovecot authentication protocol, served: Postfix (smtpd_sasl_type =
 * dovecot) and Exim (driver = dovecot) ask authd who may submit. */
#ifndef AUTHD_DOVECOT_H
#define AUTHD_DOVECOT_H

#include <sys/types.h>

struct attempts;
struct dovecot;
struct loop;

/* listen_fd is the caller's; uid: who may ask, beside root. */
struct dovecot *dovecot_new(struct loop *l, int listen_fd, uid_t uid,
    struct attempts *attempts);
void dovecot_free(struct dovecot **d);

#endif
