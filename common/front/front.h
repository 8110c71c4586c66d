/*
 * The front of a daemon that clients of the network connect to: its parent
 * process.  It listens, counts clients, forks a session for each and connects
 * sessions to other daemons on request (contract "session").  It reads no octet
 * of any client and never blocks.  What it has in memory is what each session
 * starts with, and every page it writes to between two forks is one that a
 * session has to itself: so it writes to few.
 */
#ifndef COMMON_FRONT_FRONT_H
#define COMMON_FRONT_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf/conf.h"
#include "common/conf/net.h"
#include "common/sys/sandbox.h"

struct stream;

#define FRONT_SID_LEN 13
#define FRONT_SID_SIZE (FRONT_SID_LEN + 1)
#define FRONT_SERVICES_MAX 4
#define FRONT_CHANNELS_MAX 100 /* of one service, a session */

/*
 * A session's way to its parent: the door, through which it pushes the other
 * end of a socket pair of its own at its first question.  While most sessions
 * come to need their channels, the parent connects some ahead of the fork, and
 * no question is asked.
 */
#define FRONT_AHEAD_MAX 2
struct front_way {
	int door;
	int ahead[FRONT_AHEAD_MAX]; /* channels of the services marked so, in
	                             * their order; or -1 */
	unsigned *needed;           /* shared: sessions that needed any */
};
struct chan;
/* The channel (contract "session", as the client), or NULL.  Once. */
struct chan *front_parent(struct front_way *way);
/* The i-th channel made ahead, which is the caller's then, or -1: ask. */
int front_take(struct front_way *way, size_t i);

/* What the parent hands to a session. */
struct front_client {
	const struct conf *conf;
	int fd;           /* its socket, non-blocking */
	struct stream *net; /* made before the fork; to be attached to fd */
	struct front_way way; /* to the parent */
	struct ip ip;     /* its address; "::" for a user of this host */
	struct ip local;  /* the address it connected to; likewise */
	bool user;        /* it came by submit_socket, */
	uid_t uid;        /* and is this, says the kernel */
	bool proxy;       /* a PROXY header comes first */
	char sid[FRONT_SID_SIZE]; /* the session's id in the log */
	void *arg;        /* of front_args */
};

/* Why a client is sent away by the parent. */
enum front_refusal {
	FRONT_TOO_MANY,       /* sessions in all */
	FRONT_TOO_MANY_YOURS, /* of this address */
	FRONT_NO_ROOM         /* a local fault */
};

struct front_limits {
	uint64_t sessions, sessions_per_client;
};

struct front_args {
	const char *protocol;       /* of the [listen] sections: "smtp" */
	const char *user_key;       /* name of the key, for messages */
	const char *user;
	enum role parent, session;
	int backlog;
	bool users;                 /* serves submit_socket, too */
	size_t in_max, out_max;     /* of a session's stream */
	/* What sessions may ask for, and where it listens. */
	struct {
		uint32_t service;   /* enum session_service */
		const char *path;
		bool ahead;         /* the first FRONT_AHEAD_MAX at most */
	} services[FRONT_SERVICES_MAX];
	/* Rows of common/sys/stats.h: a counter, a gauge, and as many counters
	 * as enum front_refusal has values. */
	struct {
		size_t sessions, open, refused;
	} counters;
	/* Asked again after each reload of the configuration. */
	void (*limits)(const struct conf *c, struct front_limits *out);
	/* The line, with its CRLF, for a client that is sent away. */
	void (*refuse)(const struct conf *c, enum front_refusal why,
	    struct stream *s);
	/* In the forked child, before its cage; never returns. */
	void (*run)(const struct front_client *client);
	void *arg;                  /* for run: what sessions share */
};

struct front;

/* Opens listeners and directories; dies (100) with what is wrong.  Both live as
 * long as the process. */
struct front *front_open(struct conf *c, const struct front_args *args);
/* Takes its rights away, says it is ready, serves until SIGTERM. */
int front_run(struct front *f);

/*
 * In a session: reads the header a proxy sends first (the PROXY protocol,
 * versions 1 and 2).  False: a wrong one, or none; logged.  *ip and *local are
 * replaced where it names addresses.
 */
bool front_read_proxy(struct stream *s, int64_t deadline_ms, struct ip *ip,
    struct ip *local);

enum front_proxy_result {
	FRONT_PROXY_OK,   /* *used octets were the header */
	FRONT_PROXY_MORE, /* *used octets must be there for the next look */
	FRONT_PROXY_BAD   /* *why */
};
struct front_proxy {
	bool known; /* false: UNKNOWN, LOCAL or no TCP: the addresses of the
	             * connection itself hold */
	struct ip src, dst;
	uint16_t src_port, dst_port;
};
/* The longest header taken: 16 octets, addresses, and extensions that are
 * skipped. */
#define FRONT_PROXY_MAX 4096
enum front_proxy_result front_parse_proxy(struct slice in,
    struct front_proxy *out, size_t *used, const char **why);

#endif
