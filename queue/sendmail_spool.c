/*
 * The message of sendmail(1) while it is not whole: in memory, and from some
 * size on in a file without a name.  It is read more than once: when smtpd goes
 * away in the middle, the drop directory gets it.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "queue/sendmail.h"

#define MEMORY_MAX (1024u * 1024)
#define PIECE 65536

void
spool_open(struct spool *sp, uint64_t max)
{
	*sp = (struct spool){.memory = BUF_INIT(MEMORY_MAX), .fd = -1,
	    .max = max};
}

void
spool_close(struct spool *sp)
{
	buf_free(&sp->memory);
	if (sp->fd != -1)
		close(sp->fd);
	sp->fd = -1;
}

/* In TMPDIR, as the caller wants it, or where there is usually most room. */
static int
open_file(void)
{
	const char *dirs[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
	char name[4096];
	int fd = -1;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && fd < 0; i++) {
		if (dirs[i] == NULL || dirs[i][0] != '/')
			continue;
		fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
			continue;
		/* A file system without O_TMPFILE. */
		snprintf(name, sizeof(name), "%s/sendmail.XXXXXX", dirs[i]);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
	}
	return fd;
}

static int
write_all(int fd, struct slice s)
{
	ssize_t n;

	while (s.len > 0) {
		n = write(fd, s.p, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		s = slice_sub(s, (size_t)n, s.len);
	}
	return 0;
}

static void
to_file(struct spool *sp, struct slice more)
{
	if (sp->fd == -1)
		sp->fd = open_file();
	if (sp->fd == -1 || write_all(sp->fd, buf_slice(&sp->memory)) != 0 ||
	    write_all(sp->fd, more) != 0)
		sp->error = errno;
	buf_reset(&sp->memory);
}

void
spool_put(struct spool *sp, struct slice octets)
{
	if (sp->error != 0 || sp->too_large)
		return;
	if (octets.len > sp->max - sp->octets) {
		sp->too_large = true;
		return;
	}
	sp->octets += octets.len;
	for (size_t i = 0; i < octets.len && !sp->eight_bit; i++)
		sp->eight_bit = (unsigned char)octets.p[i] > 127;
	if (octets.len > sp->memory.max - sp->memory.len)
		to_file(sp, octets);
	else
		buf_addslice(&sp->memory, octets);
}

int
spool_finish(struct spool *sp)
{
	if (sp->error == 0 && sp->fd != -1)
		to_file(sp, SLICE_EMPTY);
	errno = sp->error;
	return sp->error == 0 ? 0 : -1;
}

int
spool_each(struct spool *sp, bool (*fn)(void *arg, struct slice octets),
    void *arg)
{
	char *piece;
	off_t at = 0;
	ssize_t n = 0;

	errno = 0;
	if (sp->fd == -1)
		return fn(arg, buf_slice(&sp->memory)) ? 0 : -1;
	piece = malloc(PIECE);
	if (piece == NULL)
		return -1;
	while ((uint64_t)at < sp->octets) {
		n = pread(sp->fd, piece, PIECE, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0) /* somebody else has it open? */
			errno = EIO;
		if (n <= 0)
			break;
		errno = 0;
		if (!fn(arg, slice_mem(piece, (size_t)n)))
			break;
		at += n;
	}
	n = (ssize_t)((uint64_t)at < sp->octets ? -1 : 0);
	free(piece);
	return (int)n;
}
