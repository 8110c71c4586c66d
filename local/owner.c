/*
 * Whose rights a delivery needs, and whether they may be had.  In local's
 * parent; the jobs come from qmgr, their ids and paths from the users table,
 * the system's users and, for Maildirs in forward files, from mailbox owners.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "local/local.h"

bool
owner_below(const char *path, const char *root)
{
	size_t n = strlen(root);

	while (n > 1 && root[n - 1] == '/')
		n--;
	if (n == 1)
		return path[0] == '/';
	return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* Absolute, and what it is below can be told from its letters. */
static bool
path_sound(struct slice path)
{
	struct slice rest = path, part;

	if (path.len == 0 || path.p[0] != '/' ||
	    path.len > DELIVERY_PATH_MAX ||
	    memchr(path.p, '\0', path.len) != NULL)
		return false;
	while (slice_cut(&rest, '/', &part))
		if (slice_eq(part, SLICE("..")))
			return false;
	return true;
}

static const char *
ids_unsound(const struct local *l, uint32_t uid, uint32_t gid)
{
	if (!l->becomes)
		return uid == geteuid() ? NULL : l->conf.virtual_only
		    ? "virtual_only = yes, and it is not user_virtual's"
		    : "not started by root: only the own uid can be served";
	if (uid < l->conf.mailbox_uid_min || gid < l->conf.mailbox_uid_min)
		return "uid or gid below mailbox_uid_min";
	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return "no uid or gid";
	if (uid != l->virtual_uid &&
	    (uid == l->uid || uid == l->client_uids[0]))
		return "uid of a daemon";
	return NULL;
}

static bool
is_virtual(const struct local *l, uid_t uid, const char *home,
    const char *maildir)
{
	return uid == l->virtual_uid && owner_below(home, l->conf.mail_root) &&
	    owner_below(maildir, l->conf.mail_root);
}

const char *
owner_unsound(const struct local *l, const struct delivery_job *j)
{
	const char *why = ids_unsound(l, j->uid, j->gid);
	char *home, *maildir;

	if (why != NULL)
		return why;
	if (j->kind != DELIVERY_MAILBOX && j->kind != DELIVERY_MAILDIR)
		return "no delivery of this kind";
	if (!path_sound(j->home) || j->home.len == 1)
		return "home is no absolute path, or has .. in it";
	if (!path_sound(j->maildir))
		return "Maildir is no absolute path, or has .. in it";
	if (j->kind == DELIVERY_MAILBOX || j->uid != l->virtual_uid)
		return NULL;
	/* All virtual mailboxes are one user's: nothing else keeps a forward
	 * file out of its neighbour's. */
	home = slice_dup(j->home);
	maildir = slice_dup(j->maildir);
	if (!owner_below(maildir, home))
		why = "Maildir of a forward file outside of the home";
	free(home);
	free(maildir);
	return why;
}

struct owner
owner_of(const struct local *l, const struct delivery_job *j)
{
	struct owner o = {.uid = j->uid, .gid = j->gid};
	char *home = slice_dup(j->home), *maildir = slice_dup(j->maildir);

	if (is_virtual(l, j->uid, home, maildir)) {
		o.root = mem_dup(l->conf.mail_root);
	} else {
		o.root = home;
		home = NULL;
		if (!owner_below(maildir, o.root)) {
			o.maildir = maildir;
			maildir = NULL;
		}
	}
	free(home);
	free(maildir);
	return o;
}

const char *
owner_tree(const struct local *l, uid_t uid, const char *home,
    const char *maildir)
{
	return is_virtual(l, uid, home, maildir) ? l->conf.mail_root : home;
}

bool
owner_same(const struct owner *a, const struct owner *b)
{
	if (a->uid != b->uid || a->gid != b->gid ||
	    strcmp(a->root, b->root) != 0)
		return false;
	if (a->maildir == NULL || b->maildir == NULL)
		return a->maildir == b->maildir;
	return strcmp(a->maildir, b->maildir) == 0;
}

void
owner_free(struct owner *o)
{
	free(o->root);
	free(o->maildir);
	o->root = o->maildir = NULL;
}
