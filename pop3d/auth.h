/* AUTH and the login session's CAPA: what login.c and auth.c share. */
#ifndef POP3D_AUTH_H
#define POP3D_AUTH_H

#include <stdint.h>

#include "common/base/slice.h"
#include "pop3d/session.h"

struct chan;

command_fn cmd_auth, cmd_login_capa;

/* login.c, for auth.c: the channel to authd (NULL: nobody is there), which
 * login_authd_drop gives up; what the connection is for the contract "login";
 * what comes of authd's answer. */
struct chan *login_authd(struct session *s);
void login_authd_drop(struct session *s);
bool login_authd_open(const struct session *s);
uint32_t login_flags(const struct session *s);
struct slice login_sid(const struct session *s);
enum state login_conclude(struct session *s, uint32_t result,
    struct slice ticket, struct slice user);
enum state login_not_now(struct session *s);

#endif
