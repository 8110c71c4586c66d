/* What sessions ask their parent for: channels to other daemons. */
#ifndef SMTPD_REQUESTS_H
#define SMTPD_REQUESTS_H

struct client;
struct clients;
struct loop;
struct requests;

struct requests *requests_new(struct loop *l, struct clients *clients);
/* client->fd, the parent's end, is watched from now on. */
void requests_watch(struct requests *r, struct client *client);
/* The session is gone. */
void requests_forget(struct requests *r, struct client *client);

#endif
