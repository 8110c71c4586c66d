/*
 * Lock files, such that Dovecot and postern may work on one Maildir: NAME is
 * created with O_EXCL and removed at the end; one that has not changed for two
 * minutes is stale.
 *
 * Ours are stale at once when their holder died: it says "postern PID" (no
 * "pid:host", which Dovecot would take for a process of its own kind and ask
 * the kernel about) and holds flock(2) on it as long as it lives.
 */
#ifndef COMMON_MAIL_DOTLOCK_H
#define COMMON_MAIL_DOTLOCK_H

#include <stdint.h>

#define DOTLOCK_STALE_MS (2 * 60 * 1000)

enum dotlock_result {
	DOTLOCK_OK,
	DOTLOCK_BUSY, /* the deadline passed */
	DOTLOCK_ERROR /* errno */
};

struct dotlock {
	int dirfd;        /* borrowed */
	int fd;
	const char *name; /* borrowed */
};

/* Waits until deadline_ms (clock_mono_ms); 0: tries once. */
enum dotlock_result dotlock_take(struct dotlock *l, int dirfd,
    const char *name, int64_t deadline_ms);
/* Removes the file if it is still ours. */
void dotlock_release(struct dotlock *l);

#endif
