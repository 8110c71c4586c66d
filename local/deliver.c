/*
 * One delivery into a Maildir: the message's effective text with Return-Path
 * and Delivered-To on top, LF line ends, under a name that is the same at every
 * attempt.  In a delivery process, with the owner's rights; the content is
 * whatever the network sent.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/id.h"
#include "common/mail/maildir.h"
#include "common/mail/qfile.h"
#include "local/local.h"
#include "local/text.h"

struct delivery *
delivery_new(const struct local *l, enum durable_mode mode,
    const struct delivery_job *job, int message_fd)
{
	struct delivery *d;

	d = mem_alloc(sizeof(*d));
	d->l = l;
	d->mode = mode;
	d->job = job->job;
	d->id = slice_dup(job->id);
	d->address = slice_dup(job->address);
	d->sender = slice_dup(job->sender);
	d->home = slice_dup(job->home);
	d->maildir = slice_dup(job->maildir);
	d->number = job->number;
	d->kind = job->kind;
	d->flags = job->flags;
	d->uid = job->uid;
	d->message_fd = message_fd;
	d->new_fd = -1;
	buf_init(&d->text, 262144);
	return d;
}

void
delivery_free(struct delivery **dp)
{
	struct delivery *d = *dp;

	if (d->open)
		durable_drop(&d->file, NULL);
	if (d->new_fd >= 0)
		close(d->new_fd);
	if (d->message_fd >= 0)
		close(d->message_fd);
	free(d->expansions);
	buf_free(&d->text);
	free(d->id);
	free(d->address);
	free(d->sender);
	free(d->home);
	free(d->maildir);
	free(d);
	*dp = NULL;
}

void
delivery_fault(struct delivery *d, const char *what, const char *path)
{
	int error = errno;
	const char *mend = "see the system's log";

	if (error == ENOSPC || error == EDQUOT) {
		status_set(&d->status, 452, 2, 2, "Mailbox is full (%s)",
		    strerror(error));
		mend = "free space or raise the quota";
	} else if (error == EACCES || error == EPERM) {
		status_set(&d->status, 451, 2, 1, "Mailbox not accessible (%s)",
		    strerror(error));
		mend = "make it belong to its owner with mode 0700";
	} else if (error == EBADMSG) {
		status_set(&d->status, 451, 3, 0, "Queue file does not verify");
		mend = "the file is damaged: postern queue show";
	} else
		status_set(&d->status, 451, 3, 0, "Local fault (%s: %s)", what,
		    strerror(error));
	errno = error;
	LOG_ERROR("delivery-fault", LS("id", d->id), LS("to", d->address),
	    LS("step", what), LS("path", path), LU("uid", d->uid), LE(),
	    LS("mend", mend));
}

/* ---- the Maildir ---- */

/* Creates what is missing between the mail root and the Maildir. */
static int
make_parents(const char *path, const char *root)
{
	char *p = mem_dup(path), *slash;
	size_t n = strlen(root);
	int result = 0;

	if (strncmp(path, root, n) == 0)
		for (slash = strchr(p + n + 1, '/'); slash != NULL;
		    slash = strchr(slash + 1, '/')) {
			*slash = '\0';
			if (mkdir(p, 0700) != 0 && errno != EEXIST) {
				result = -1;
				break;
			}
			*slash = '/';
		}
	free(p);
	return result;
}

static int
open_new(struct delivery *d)
{
	char path[DELIVERY_PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/new", d->maildir);
	d->new_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->new_fd >= 0 || errno != ENOENT)
		return d->new_fd;
	/* The first message of a new mailbox. */
	if (make_parents(d->maildir, d->l->conf.mail_root) != 0 ||
	    maildir_make(AT_FDCWD, d->maildir) != 0)
		return -1;
	d->new_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return d->new_fd;
}

/* A repeated delivery after a crash: the client may have moved the file to
 * cur/ since. */
static bool
in_cur(struct delivery *d)
{
	struct maildir_entry e;
	int fd, found;

	fd = openat(d->new_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !maildir_parse(slice_of(d->name), &e)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	found = maildir_has(fd, e.base);
	close(fd);
	return found > 0;
}

/* ---- the text ---- */

static int
write_file(void *arg, const char *p, size_t n)
{
	struct delivery *d = arg;
	ssize_t w;

	while (n > 0) {
		w = write(d->file.fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static void
write_message(struct delivery *d, struct qfile *q, struct buf *out)
{
	struct text t = {.sender = d->sender,
	    .address = d->address,
	    .crlf = d->l->conf.maildir_crlf,
	    .out = out,
	    .sink = write_file,
	    .arg = d};
	struct qreader *r;
	struct mail_id id;
	int result;

	r = qreader_new(q, TEXT_READ);
	result = text_copy(&t, r);
	qreader_free(&r);
	if (result != 0 && errno == ELOOP) {
		status_set(&d->status, 554, 4, 6,
		    "Mail loop: delivered to this mailbox before");
		return;
	}
	if (result != 0) {
		delivery_fault(d, "write", d->maildir);
		return;
	}
	if (!id_parse(slice_of(d->id), &id)) {
		status_set(&d->status, 451, 3, 0, "Message id not understood");
		return;
	}
	maildir_name(&id, d->number, slice_of(d->l->host), t.size, t.wire,
	    d->name);
	if ((d->flags & JOB_CHECK) != 0)
		d->present = in_cur(d);
}

/* ---- the steps ---- */

static bool
ready(const struct delivery *d)
{
	return d->status.code == 0 && !d->present && d->open;
}

void
delivery_write(struct delivery *d, struct buf *out)
{
	char why[STATUS_TEXT_MAX];
	struct qfile *q;
	enum qfile_result r;

	if (d->kind == DELIVERY_MAILBOX && (d->flags & JOB_NO_FORWARD) == 0 &&
	    forward_read(d))
		return;
	r = qfile_adopt(d->message_fd, false, &q, why);
	d->message_fd = -1;
	if (r != QFILE_OK) {
		LOG_ERROR("queue-file-unreadable", LS("id", d->id),
		    LS("why", why));
		status_set(&d->status, 451, 3, 0, "Queue file unreadable: %s",
		    why);
		return;
	}
	if (open_new(d) < 0)
		delivery_fault(d, "open", d->maildir);
	else if (durable_open(&d->file, d->new_fd, 0600) != 0)
		delivery_fault(d, "create", d->maildir);
	else {
		d->open = true;
		write_message(d, q, out);
	}
	qfile_free(&q);
}

void
delivery_start(struct delivery *d)
{
	if (ready(d) && durable_start(&d->file, d->mode) != 0)
		delivery_fault(d, "write-back", d->maildir);
}

void
delivery_link(struct delivery *d)
{
	if (!ready(d))
		return;
	if (durable_flush(&d->file, d->mode) != 0)
		delivery_fault(d, "write-back", d->maildir);
	else if (durable_link(&d->file, d->name) == 0)
		return;
	else if (errno == EEXIST)
		d->present = true;
	else
		delivery_fault(d, "link", d->maildir);
}

void
delivery_sync(struct delivery *d)
{
	if (ready(d) && durable_sync(&d->file, d->mode) != 0) {
		delivery_fault(d, "fsync", d->maildir);
		durable_drop(&d->file, d->name);
		d->open = false;
	}
	if (d->present && d->new_fd >= 0 && d->status.code == 0) {
		/* An earlier attempt gave it its name and may not have lived
		 * to see it on the disk. */
		if (fsync(d->new_fd) != 0)
			delivery_fault(d, "fsync", d->maildir);
	}
	if (d->status.code == 0 && d->nexpansions == 0)
		status_set(&d->status, 250, 0, 0, d->present
			? "Delivered before" : "Delivered to mailbox");
}
