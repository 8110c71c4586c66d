/* What the files of front share; nobody else's. */
#ifndef COMMON_FRONT_FRONT_INT_H
#define COMMON_FRONT_FRONT_INT_H

#include <sys/types.h>

#include "common/front/front.h"

struct buf;
struct chan_peer;
struct front_requests;
struct loop;
struct loop_io;

/* front_listen.c: sockets we open and those a supervisor hands over. */
#define FRONT_LISTENERS_MAX 64
#define FRONT_LISTEN_TEXT_MAX 65536

struct front_listener {
	int fd;             /* owned */
	bool proxy;
	bool users;         /* a UNIX socket: SO_PEERCRED says who it is */
	char name[80];      /* section and address, for messages */
	struct loop_io *io; /* owned; NULL while nothing is accepted */
	struct front *front;
};

/* Opens all sections of the protocol, at most FRONT_LISTENERS_MAX - 1; dies
 * (100) with what is wrong and the mend.  Returns how many. */
size_t front_listen(const struct conf *c, const char *protocol, int backlog,
    struct front_listener v[FRONT_LISTENERS_MAX]);
/* The same for submit_socket.  False: there is none, or there is a log line
 * that says why; who serves the network goes on without it. */
bool front_listen_users(const struct conf *c, int backlog,
    struct front_listener *l);
/* What all this says, to be compared after a reload. */
void front_listen_text(const struct conf *c, const char *protocol, bool users,
    struct buf *out);

/* front_clients.c: one slot a session, in a table of a fixed size. */
struct front_slot {
	pid_t pid;              /* 0: the slot is free */
	uint32_t next;          /* in its chain or in the free list */
	struct ip unit;         /* who is counted: front_unit */
	bool counted;           /* against the limit of its address */
	uint8_t channels[FRONT_SERVICES_MAX]; /* how many it was given */
	bool known;             /* it has asked for something */
	struct chan_peer *peer; /* then; NULL once closed */
};

#define FRONT_CHAINS 1024 /* a power of two */

struct front_clients {
	size_t max, n;
	size_t used;            /* slots ever in use: 0 .. used-1 */
	uint32_t free;          /* list of free ones below used */
	uint32_t chains[FRONT_CHAINS];
	struct front_slot v[];
};

/* What clients are counted by: ip_unit of the address, or the uid in a form that
 * no address's unit has. */
struct ip front_unit(const struct front_client *client);
/* The table is the parent's alone: children are forked without it, so that
 * they neither see who else is connected nor pay for its pages. */
struct front_clients *front_clients_new(size_t max);
void front_clients_free(struct front_clients **c);
/* How many counted ones have this unit. */
size_t front_clients_count(const struct front_clients *c,
    const struct ip *unit);
/* A slot, or NULL when all are in use. */
struct front_slot *front_clients_add(struct front_clients *c,
    const struct ip *unit, bool counted);
void front_clients_remove(struct front_clients *c, struct front_slot *slot);
struct front_slot *front_clients_find(struct front_clients *c, pid_t pid);

/* front_requests.c: what sessions ask for, channels to other daemons. */
struct front_requests *front_requests_new(struct loop *l,
    struct front_clients *clients, const struct front_args *args);
/* The sessions' side of the door, which they inherit. */
int front_requests_door(const struct front_requests *r);
/* The session is gone. */
void front_requests_forget(struct front_slot *slot);

#endif
