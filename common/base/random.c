/*
 * Random octets from the kernel: ids, tickets, challenges, Maildir names.  Used
 * by every process.  There is no pool here, and so nothing that a forked child
 * could share with its parent or its brothers: a call costs well under a
 * microsecond and is made a few times a message.
 */
#include <sys/random.h>

#include <assert.h>
#include <errno.h>

#include "common/base/log.h"
#include "common/base/random.h"

void
random_bytes(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			die_errno(EXIT_TEMPORARY, "no random octets");
		}
		at += got;
		n -= (size_t)got;
	}
}

uint64_t
random_u64(void)
{
	uint64_t n;

	random_bytes(&n, sizeof(n));
	return n;
}

uint32_t
random_below(uint32_t below)
{
	uint64_t n, whole;

	assert(below > 0);
	/* The last, incomplete run of `below` values would favour the small
	 * ones.  With 64 bits it is all but never hit. */
	whole = UINT64_MAX - UINT64_MAX % below;
	do
		n = random_u64();
	while (n >= whole);
	return (uint32_t)(n % below);
}
