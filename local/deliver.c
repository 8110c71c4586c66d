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

#define EARLY_WRITE 262144u /* octets that start their write-back at once */

struct delivery *
delivery_new(const struct local *l, const struct disk *disk,
    const struct delivery_job *job, int message_fd)
{
	struct delivery *d;

	d = mem_alloc(sizeof(*d));
	d->l = l;
	d->disk = disk;
	d->mode = disk->mode;
	d->job = job->job;
	d->id = slice_dup(job->id);
	d->address = slice_dup(job->address);
	d->sender = slice_dup(job->sender);
	d->user = slice_dup(job->user);
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
	free(d->user);
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

/* The directories between the tree's top and the Maildir, one after the other:
 * made or, when all are there, brought to the disk. */
static int
for_parents(const struct delivery *d, const char *top, int (*fn)(const char *))
{
	char *path = mem_dup(d->maildir), *slash;
	size_t n = strlen(top);
	int result = 0;

	while (n > 0 && top[n - 1] == '/')
		n--;
	for (slash = path + n; *slash == '/';)
		slash++;
	while (result == 0 && (slash = strchr(slash, '/')) != NULL) {
		*slash = '\0';
		result = fn(path);
		*slash++ = '/';
	}
	free(path);
	return result;
}

static int
make_dir(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static int
sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result, error;

	/* One that may be passed and not read cannot be synced either. */
	if (fd < 0)
		return errno == EACCES ? 0 : -1;
	result = fsync(fd);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

/* The top itself, home or mail_root, is never made: if it is not there it is not
 * mounted, or a mistake. */
static int
make_maildir(const struct delivery *d)
{
	const char *top = owner_tree(d->l, d->uid, d->home, d->maildir);
	bool within = owner_below(d->maildir, top);

	if ((within && for_parents(d, top, make_dir) != 0) ||
	    maildir_make(AT_FDCWD, d->maildir) != 0)
		return -1;
	/* With ordered journalling the message's own commit has all this. */
	if (d->mode != DURABLE_STRICT)
		return 0;
	return (!within || (sync_dir(top) == 0 &&
	    for_parents(d, top, sync_dir) == 0)) &&
	    sync_dir(d->maildir) == 0 ? 0 : -1;
}

static int
open_new(struct delivery *d)
{
	char path[DELIVERY_PATH_MAX + 8];
	struct stat st;

	snprintf(path, sizeof(path), "%s/new", d->maildir);
	d->new_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->new_fd < 0 && errno == ENOENT && make_maildir(d) == 0)
		d->new_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->new_fd < 0 || fstat(d->new_fd, &st) != 0)
		return -1;
	/* Another file system is mounted here, of which nothing is known. */
	if (st.st_dev != d->disk->dev)
		d->mode = DURABLE_STRICT;
	return 0;
}

static void
no_maildir(struct delivery *d)
{
	int error = errno;
	const char *top = owner_tree(d->l, d->uid, d->home, d->maildir);

	delivery_fault(d, "open", d->maildir);
	if (error == ENOENT) {
		status_set(&d->status, 451, 2, 0, "%s",
		    top == d->home ? "Home directory is missing"
		    : "Directory of the mailboxes is missing");
		LOG_ERROR("home-missing", LS("id", d->id), LS("path", top),
		    LS("mend", "create or mount it"));
	} else if ((error == EACCES || error == EPERM) &&
	    !owner_below(d->maildir, top))
		LOG_ERROR("maildir-missing", LS("id", d->id),
		    LS("path", d->maildir), LU("uid", d->uid),
		    LS("mend", "outside of the home: create it for its owner"));
}

/* A repeated delivery after a crash: the client may have moved the file to
 * cur/ since.  1: it is there, 0: not, -1 with errno. */
static int
look(struct delivery *d)
{
	struct maildir_entry e;
	struct stat st;
	int fd, found, error;

	if (fstatat(d->new_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (errno != ENOENT || !maildir_parse(slice_of(d->name), &e))
		return -1;
	fd = openat(d->new_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	found = maildir_has(fd, e.base);
	error = errno;
	close(fd);
	errno = error;
	d->in_cur = found > 0;
	return found;
}

/* An earlier attempt gave it its name and may not have lived to see it on the
 * disk. */
static int
sync_present(struct delivery *d)
{
	int fd, result, error;

	if (fsync(d->new_fd) != 0)
		return -1;
	if (!d->in_cur)
		return 0;
	fd = openat(d->new_fd, "../cur", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	result = fsync(fd);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

/* ---- the text ---- */

static int
write_file(void *arg, const char *p, size_t n)
{
	struct delivery *d = arg;
	size_t whole = n;
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
	/* A large one: the disk works while we copy. */
	return whole >= EARLY_WRITE ? durable_start(&d->file, d->mode) : 0;
}

static void
write_message(struct delivery *d, struct qfile *q, struct buf *out)
{
	struct text t = {.sender = d->sender,
	    .address = d->address,
	    .crlf = d->l->conf.maildir_crlf,
	    .binary = (qfile_env(q)->flags & ENV_BINARYMIME) != 0,
	    .out = out,
	    .sink = write_file,
	    .arg = d};
	struct qreader *r;
	struct mail_id id;
	int result, error;

	if (!id_parse(slice_of(d->id), &id) ||
	    !slice_eq(qfile_env(q)->id, slice_of(id.s))) {
		status_set(&d->status, 451, 3, 0,
		    "Queue file is another message's");
		return;
	}
	r = qreader_new(q, TEXT_READ);
	result = text_copy(&t, r);
	error = errno;
	qreader_free(&r);
	errno = error;
	if (result != 0 && errno == ELOOP) {
		status_set(&d->status, 554, 4, 6,
		    "Mail loop: delivered to this mailbox before");
		return;
	}
	if (result != 0) {
		delivery_fault(d, "write", d->maildir);
		return;
	}
	maildir_name(&id, d->number, slice_of(d->l->host), t.size, t.wire,
	    d->name);
	if ((d->flags & JOB_CHECK) == 0)
		return;
	result = look(d);
	if (result < 0)
		delivery_fault(d, "look", d->maildir);
	d->present = result > 0;
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
		no_maildir(d);
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

struct durable *
delivery_file(struct delivery *d)
{
	return d->status.code == 0 && !d->present && d->open &&
	    d->file.linked ? &d->file : NULL;
}

void
delivery_synced(struct delivery *d, int error)
{
	if (d->status.code != 0)
		return;
	if (d->present) {
		if (sync_present(d) == 0)
			d->synced = true;
		else
			delivery_fault(d, "fsync", d->maildir);
	} else if (delivery_file(d) != NULL) {
		if (error == 0)
			d->synced = true;
		else {
			errno = error;
			delivery_fault(d, "fsync", d->maildir);
			durable_drop(&d->file, d->name);
			d->open = false;
		}
	}
	if (d->synced)
		status_set(&d->status, 250, 0, 0, d->present
			? "Delivered before" : "Delivered to mailbox");
	else if (d->status.code == 0)
		status_set(&d->status, 451, 3, 0, "Not delivered");
}
