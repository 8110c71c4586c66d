/* The login session: a client until it is known. */
#ifndef POP3D_LOGIN_H
#define POP3D_LOGIN_H

struct front_client;

#define LOGIN_OUT_MAX 2048 /* octets of replies before they are sent */

/* For struct front_args: enters its cage, serves the client until it is handed
 * over or gone, and ends the process. */
void login_run(const struct front_client *client);

#endif
