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
	d->nexpansions = 0;
}

/*
 * A home that is not mounted has no forward file to be seen, and a mailbox
 * elsewhere would take what is not for it.  One inside of the home is missing
 * with it.
 */
static bool
home_there(const struct delivery *d)
{
	struct stat st;

	return owner_below(d->maildir, d->home) ||
	    owner_tree(d->l, d->uid, d->home, d->maildir) != d->home ||
	    stat(d->home, &st) == 0;
}

/* -1: no file; -2: not usable (status set); else the descriptor. */
static int
open_file(struct delivery *d, const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		if ((errno == ENOENT || errno == ENOTDIR) && home_there(d))
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

/* A backslash and a name stand for the mailbox of that name: here it must be
 * this one, or somebody else's mail would end in it. */
static bool
is_own(const struct delivery *d, struct slice name)
{
	struct slice own[] = {slice_of(d->address), slice_of(d->user)};
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (slice_ieq(name, own[i]))
			return true;
		while (own[i].len > 0 && own[i].p[own[i].len - 1] != '@')
			own[i].len--;
		if (own[i].len > 0 && slice_ieq(name,
		    slice_sub(own[i], 0, own[i].len - 1)))
			return true;
	}
	return false;
}

/* One target becomes one expansion; what is wrong with it, or NULL. */
static const char *
expand(struct delivery *d, const struct target *t, struct delivery_expansion *e)
{
	*e = (struct delivery_expansion){.address = slice_of(d->address),
	    .target = SLICE_EMPTY};
	switch (t->kind) {
	case TARGET_ADDRESS:
		e->kind = DELIVERY_ADDRESS;
		e->address = t->text;
		return t->text.len <= ENV_ADDRESS_MAX ? NULL
		    : "address too long";
	case TARGET_MAILBOX:
		e->kind = DELIVERY_MAILBOX;
		return is_own(d, t->text) ? NULL
		    : "the name behind \\ is not this mailbox's";
	case TARGET_PROGRAM:
		e->kind = DELIVERY_PROGRAM;
		e->target = t->text;
		return t->text.len <= DELIVERY_PROGRAM_MAX ? NULL
		    : "command line too long";
	case TARGET_MAILDIR:
		e->kind = DELIVERY_MAILDIR;
		e->target = t->text;
		return t->text.len <= DELIVERY_PATH_MAX ? NULL
		    : "path too long";
	case TARGET_INCLUDE:
		break;
	}
	return ":include: is for aliases";
}

/* The targets; what is wrong with one of them, or NULL. */
static const char *
read_targets(struct delivery *d)
{
	struct slice rest = buf_slice(&d->text);
	struct delivery_expansion e;
	struct target t;
	const char *why;
	size_t cap = 0;
	int r;

	while ((r = target_next(&rest, &t, &why)) != 0) {
		if (r < 0 || (why = expand(d, &t, &e)) != NULL)
			return why;
		if (d->nexpansions == DELIVERY_EXPANSIONS_MAX)
			return "too many targets";
		MEM_PUSH(d->expansions, d->nexpansions, cap, e);
	}
	return NULL;
}

bool
forward_read(struct delivery *d)
{
	char path[DELIVERY_PATH_MAX + 256];
	const char *name = d->l->conf.forward_file, *why;
	int fd, n;

	if (*name == '\0')
		return false;
	n = snprintf(path, sizeof(path), "%s/%s", d->home, name);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		delivery_fault(d, "forward file", d->home);
		return true;
	}
	fd = open_file(d, path);
	if (fd < 0)
		return fd == -2;
	if (!read_file(d, path, fd, &d->text)) {
		close(fd);
		return true;
	}
	close(fd);
	why = read_targets(d);
	if (why != NULL) {
		/* Nothing may be lost because of one bad line. */
		refuse(d, path, why);
		return true;
	}
	if (d->nexpansions == 0)
		return false; /* an empty file forwards nothing */
	status_set(&d->status, 250, 0, 0, "Forwarded");
	return true;
}
