/*
 * Who is connected: one slot a session, in a table of a fixed size.
 */
#ifndef SMTPD_CLIENTS_H
#define SMTPD_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf/net.h"

struct chan_peer;

struct client {
	pid_t pid;              /* 0: the slot is free */
	uint32_t next;          /* in its chain or in the free list */
	struct ip unit;         /* ip_unit of its address */
	bool counted;           /* against the limit of its address */
	uint8_t channels[2];    /* how many it was given, by kind */
	int fd;                 /* to the session, until it first asks, or -1 */
	struct chan_peer *peer; /* then; NULL once closed */
};

#define CLIENTS_CHAINS 1024 /* a power of two */
#define CLIENT_NONE UINT32_MAX

struct clients {
	size_t max, n;
	size_t used;      /* slots that were ever in use: 0 .. used-1 */
	uint32_t free;    /* list of free ones below used */
	uint32_t chains[CLIENTS_CHAINS];
	struct client v[];
};

/* The table is the parent's alone: children are forked without it, so that
 * they neither see who else is connected nor pay for its pages. */
struct clients *clients_new(size_t max);
void clients_free(struct clients **c);
/* How many counted ones have this unit. */
size_t clients_count(const struct clients *c, const struct ip *unit);
/* A slot, or NULL when all are in use. */
struct client *clients_add(struct clients *c, const struct ip *unit,
    bool counted);
void clients_remove(struct clients *c, struct client *client);
struct client *clients_find(struct clients *c, pid_t pid); /* or NULL */

#endif
