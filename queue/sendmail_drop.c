/*
 * sendmail(1) while smtpd does not answer: the message goes into the drop
 * directory, where everybody may leave files and nobody may look around, and
 * pickup takes it.  A file gets its name when it is whole and on the disk.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sysexits.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/durable.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "queue/sendmail.h"

static bool
write_piece(void *arg, struct slice s)
{
	const struct durable *d = arg;
	ssize_t n;

	while (s.len > 0) {
		n = write(d->fd, s.p, s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		s = slice_sub(s, (size_t)n, s.len);
	}
	return true;
}

/* RFC 3461 4: xtext */
static void
put_xtext(const char *s, struct buf *out)
{
	for (; *s != '\0'; s++)
		if (*s > ' ' && *s < 0x7f && *s != '+' && *s != '=')
			buf_addc(out, *s);
		else
			buf_printf(out, "+%02X", (unsigned char)*s);
}

/* The head for the next recipients that are left, from *from on. */
static void
make_head(const struct letter *l, const struct sendmail_options *o,
    size_t *from, struct buf *out)
{
	struct buf envid = BUF_INIT(3 * (size_t)ENV_ENVID_MAX);
	struct drop_head h = {.from = buf_slice(&l->sender),
	    .flags = o->ret, .notify = o->notify, .size = l->text.octets};

	if (l->text.eight_bit)
		h.flags |= ENV_8BITMIME;
	if (l->utf8)
		h.flags |= ENV_SMTPUTF8;
	if (o->envid != NULL)
		put_xtext(o->envid, &envid);
	h.envid = buf_slice(&envid);
	h.rcpts = mem_array(DROP_RCPTS_MAX, sizeof(*h.rcpts));
	for (; *from < l->nrcpts && h.nrcpts < DROP_RCPTS_MAX; ++*from)
		if (l->rcpts[*from].state == RCPT_LEFT)
			h.rcpts[h.nrcpts++].address =
			    slice_of(l->rcpts[*from].address);
	drop_write(&h, out);
	free(h.rcpts);
	buf_free(&envid);
}

/* What queued keeps free stays free; pickup could not hand it on anyway. */
static bool
has_room(int dirfd, const struct conf *c, uint64_t octets)
{
	struct statvfs v;
	uint64_t there;

	if (fstatvfs(dirfd, &v) != 0)
		return false;
	there = (uint64_t)v.f_bavail * v.f_frsize;
	if (there > octets && there - octets > c->queue_reserve)
		return true;
	errno = ENOSPC;
	return false;
}

static int
write_file(struct durable *d, struct letter *l, struct slice head,
    const char *name)
{
	/* The group is the directory's and may read it: pickup's. */
	if (fchmod(d->fd, DROP_MODE) != 0 || !write_piece(d, head) ||
	    spool_each(&l->text, write_piece, d) != 0)
		return -1;
	/* Strict before the name, since nothing is known of the file system;
	 * behind it the file once more, because nobody but its owner may open
	 * the directory. */
	if (durable_flush(d, DURABLE_STRICT) != 0 ||
	    durable_link(d, name) != 0)
		return -1;
	return durable_sync(d, DURABLE_ORDERED);
}

/* One file; false: errno. */
static bool
leave(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, int dirfd, struct slice head)
{
	struct mail_id id = id_new(clock_real_ms());
	struct durable d = {.fd = -1};
	int error;
	bool ok = has_room(dirfd, c, l->text.octets + head.len) &&
	    durable_open(&d, dirfd, DROP_MODE) == 0 &&
	    write_file(&d, l, head, id.s) == 0;

	error = errno;
	if (d.fd >= 0)
		durable_drop(&d, !ok && d.linked ? id.s : NULL);
	if (ok && o->verbose)
		printf("smtpd does not answer; left as %s/%s\n", c->drop_dir,
		    id.s);
	errno = error;
	return ok;
}

static size_t
next_left(const struct letter *l, size_t from)
{
	while (from < l->nrcpts && l->rcpts[from].state != RCPT_LEFT)
		from++;
	return from;
}

bool
drop_letter(struct letter *l, const struct sendmail_options *o,
    const struct conf *c)
{
	struct buf head = BUF_INIT(SIZE_MAX / 2);
	int dirfd = open(c->drop_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t from = next_left(l, 0);
	bool ok = dirfd >= 0;

	durable_init();
	while (ok && from < l->nrcpts) {
		buf_reset(&head);
		make_head(l, o, &from, &head);
		ok = leave(l, o, c, dirfd, buf_slice(&head));
		from = next_left(l, from);
	}
	if (!ok) {
		sendmail_say(o, "smtpd does not answer, and the message cannot "
		    "be left in %s: %s", c->drop_dir, strerror(errno));
		letter_code(l, EX_TEMPFAIL);
	}
	if (dirfd >= 0)
		close(dirfd);
	buf_free(&head);
	return ok;
}
