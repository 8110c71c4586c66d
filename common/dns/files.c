/*
 * The files beside postern.conf that say whom dnsd asks and trusts:
 * resolv.conf, trust anchors.  Read by dnsd at start and at SIGHUP, and by
 * `postern check`; they are the admin's.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/dns/server.h"

#define FILE_MAX ((size_t)1024 * 1024)
#define PIECE 4096

int
dns_file_read(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int saved;
	struct stat st;
	ssize_t n = -1;
	char *p;

	buf_reset(out);
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) != 0)
		goto out;
	errno = EINVAL;
	if (!S_ISREG(st.st_mode))
		goto out;
	while ((p = out->len < FILE_MAX ? buf_room(out, PIECE) : NULL) != NULL
	    && (n = read(fd, p, PIECE)) > 0)
		buf_wrote(out, (size_t)n);
	if (p == NULL) {
		errno = EFBIG;
		n = -1;
	}
out:
	saved = errno;
	close(fd);
	errno = saved;
	return n == 0 ? 0 : -1;
}

/* Zone file syntax: a word DS or DNSKEY in front of any comment. */
static bool
has_record(struct slice text)
{
	struct slice line, word;

	while (slice_cut(&text, '\n', &line)) {
		line = slice_sub(line, 0, slice_find(line, ';', 0));
		while (slice_word(&line, &word))
			if (slice_ieq(word, SLICE("DS")) ||
			    slice_ieq(word, SLICE("DNSKEY")))
				return true;
	}
	return false;
}

enum dns_anchor
dns_anchor_look(const char *path)
{
	struct buf text = BUF_INIT(FILE_MAX + PIECE);
	enum dns_anchor found;

	if (path[0] == '\0')
		return DNS_ANCHOR_NONE;
	if (dns_file_read(path, &text) != 0)
		found = DNS_ANCHOR_MISSING;
	else
		found = has_record(buf_slice(&text)) ? DNS_ANCHOR_THERE :
		    DNS_ANCHOR_EMPTY;
	buf_free(&text);
	return found;
}
