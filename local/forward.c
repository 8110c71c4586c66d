/*
 * The owner's forward file: where mail goes instead of, or beside, the mailbox.
 * Read with the owner's rights in a delivery process; the owner's own words.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address.h"
#include "common/mail/target.h"
#include "local/local.h"

#define FORWARD_MAX 65536

static void
refuse(struct delivery *d, const char *path, const char *why)
{
	LOG_WARN("forward-refused", LS("id", d->id), LS("to", d->address),
	    LS("path", path), LS("why", why));
	status_set(&d->status, 451, 3, 5, "Forward file not usable: %s", why);
}

/* -1: no file; -2: not usable (status set); else the descriptor. */
static int
open_file(struct delivery *d, const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return -1;
		delivery_fault(d, "forward file", path);
		return -2;
	}
	if (fstat(fd, &st) != 0)
		delivery_fault(d, "forward file", path);
	else if (!S_ISREG(st.st_mode))
		refuse(d, path, "it is no regular file");
	else if (st.st_uid != d->uid && st.st_uid != 0)
		refuse(d, path, "it belongs to somebody else");
	else if ((st.st_mode & 022) != 0)
		refuse(d, path, "others may write it (chmod go-w)");
	else if (st.st_size > FORWARD_MAX)
		refuse(d, path, "it is too large");
	else
		return fd;
	close(fd);
	return -2;
}

static bool
read_file(struct delivery *d, const char *path, int fd, struct buf *text)
{
	ssize_t n;

	while ((n = read(fd, buf_room(text, 4096), 4096)) > 0) {
		buf_wrote(text, (size_t)n);
		if (text->len > FORWARD_MAX)
			break;
	}
	if (n < 0)
		delivery_fault(d, "forward file", path);
	else if (text->len > FORWARD_MAX)
		refuse(d, path, "it is too large");
	return d->status.code == 0;
}

/* One target becomes one expansion; false: it is not usable. */
static bool
expand(struct delivery *d, const struct target *t, struct delivery_expansion *e)
{
	switch (t->kind) {
	case TARGET_ADDRESS:
		e->kind = DELIVERY_ADDRESS;
		e->address = t->text;
		return t->text.len > 0 && t->text.len <= ENV_ADDRESS_MAX;
	case TARGET_MAILBOX:
		e->kind = DELIVERY_MAILBOX;
		e->address = slice_of(d->address);
		return true;
	case TARGET_PROGRAM:
		e->kind = DELIVERY_PROGRAM;
		e->address = slice_of(d->address);
		e->target = t->text;
		return t->text.len > 0 && t->text.len <= DELIVERY_PROGRAM_MAX;
	case TARGET_MAILDIR:
		e->kind = DELIVERY_MAILDIR;
		e->address = slice_of(d->address);
		e->target = t->text;
		return t->text.len <= DELIVERY_PATH_MAX;
	case TARGET_INCLUDE:
		return false;
	}
	return false;
}

bool
forward_read(struct delivery *d)
{
	char path[DELIVERY_PATH_MAX + 256];
	const char *name = d->l->conf.forward_file, *why;
	struct delivery_expansion e;
	struct target t;
	struct slice rest;
	int fd, r;
	size_t cap = 0;

	if (*name == '\0')
		return false;
	snprintf(path, sizeof(path), "%s/%s", d->home, name);
	fd = open_file(d, path);
	if (fd < 0)
		return fd == -2;
	if (!read_file(d, path, fd, &d->text)) {
		close(fd);
		return true;
	}
	close(fd);
	rest = buf_slice(&d->text);
	while ((r = target_next(&rest, &t, &why)) != 0) {
		e = (struct delivery_expansion){.address = SLICE_EMPTY,
		    .target = SLICE_EMPTY};
		if (r < 0 || !expand(d, &t, &e)) {
			/* Nothing may be lost because of one bad line. */
			refuse(d, path, r < 0 ? why : "a target that cannot "
				"stand there");
			return true;
		}
		if (d->nexpansions == DELIVERY_EXPANSIONS_MAX) {
			refuse(d, path, "too many targets");
			return true;
		}
		MEM_PUSH(d->expansions, d->nexpansions, cap, e);
	}
	if (d->nexpansions == 0)
		return false; /* an empty file forwards nothing */
	status_set(&d->status, 250, 0, 0, "Forwarded");
	return true;
}
