/*
 * The checksum of queue files, and the only file that knows zlib.  It finds
 * what disks and crashes do to a file, not what an attacker does: who can write
 * into the queue directory is the queue.
 */
#include <zlib.h>

#include "common/mail/qfile.h"

uint32_t
qfile_sum(uint32_t sum, const void *p, size_t n)
{
	if (n == 0)
		return sum; /* crc32 takes NULL for "begin anew" */
	return (uint32_t)crc32_z(sum, p, n);
}
