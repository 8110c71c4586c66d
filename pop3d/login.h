/* The login session: a client until it is known. */
#ifndef POP3D_LOGIN_H
#define POP3D_LOGIN_H

#include <stdint.h>

struct front_client;

#define LOGIN_OUT_MAX 2048 /* octets of replies before they are sent */

/* For struct front_args: enters its cage, serves the client until it is handed
 * over or gone, and ends the process. */
/* What one session heard of authd and the others need not ask (front_args.arg):
 * does anybody have a password that APOP can use? */
struct login_hint {
	int64_t until_ms; /* clock_mono_ms */
	uint32_t apop;
	uint32_t offered;         /* SASL mechanisms, bits of auth.c's table */
	int64_t offered_until_ms;
};
struct session;
struct login_hint *login_hint(struct session *s);

void login_run(const struct front_client *client);

#endif
