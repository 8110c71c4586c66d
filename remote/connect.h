/* A TCP connection, with its end and from its source. */
#ifndef REMOTE_CONNECT_H
#define REMOTE_CONNECT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct ip;

/* What waiting is ended by: SIGTERM's flag and the mask that lets it in. */
struct connect_stop {
	const volatile sig_atomic_t *flag;
	const sigset_t *mask;
};

/* source may be NULL.  -1 with errno: ETIMEDOUT after wait_ms, EINTR when
 * stopped.  *ours: the fault is this host's (no descriptor, no such source). */
int connect_ip(const struct ip *ip, uint16_t port, const struct ip *source,
    int64_t wait_ms, const struct connect_stop *stop, bool *ours);

#endif
