/*
 * A Maildir as POP3 sees it.  Runs in the mailbox process with the rights of
 * the mailbox's owner; names and files are what delivery and the owner's other
 * programs left there.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/maildir.h"
#include "common/mail/uidlist.h"
#include "pop3d/maildrop.h"
#include "pop3d/send.h"

#define LOCK_WAIT_MS 2000
#define COUNT_CHUNK 65536
#define PATH_SIZE (sizeof("new/") + MAILDIR_NAME_MAX)
/* Fewer stale lines than this are not worth writing the list anew. */
#define STALE_LEAST 32

/* One file as a scan found it. */
struct found {
	char *name; /* owned */
	bool in_new;
};

struct scan {
	struct found *v;
	size_t n, cap;
};

static struct slice
base_of(const char *name)
{
	struct slice s = slice_of(name);

	return slice_sub(s, 0, slice_find(s, ':', 0));
}

static void
scan_free(struct scan *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s->v);
	*s = (struct scan){0};
}

/* A directory that is not there holds no messages. */
static int
scan_dir(struct scan *s, int maildir_fd, const char *sub, bool in_new)
{
	struct maildir_entry e;
	struct dirent *d;
	DIR *dir;
	int saved, fd;

	fd = openat(maildir_fd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	for (errno = 0; (d = readdir(dir)) != NULL; errno = 0) {
		if (d->d_type == DT_DIR ||
		    !maildir_parse(slice_of(d->d_name), &e))
			continue;
		MEM_PUSH(s->v, s->n, s->cap,
		    ((struct found){mem_dup(d->d_name), in_new}));
	}
	saved = errno;
	closedir(dir);
	errno = saved;
	return saved == 0 ? 0 : -1;
}

/* By base name; a message that moved while we looked: where it came to. */
static int
compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int r = slice_cmp(base_of(x->name), base_of(y->name));

	return r != 0 ? r : (int)x->in_new - (int)y->in_new;
}

/* All files, sorted by base name, each once. */
static int
scan_maildir(struct scan *s, int maildir_fd)
{
	size_t kept = 0;

	*s = (struct scan){0};
	/* Messages move from new to cur, never back. */
	if (scan_dir(s, maildir_fd, "new", true) != 0 ||
	    scan_dir(s, maildir_fd, "cur", false) != 0) {
		int saved = errno;

		scan_free(s);
		errno = saved;
		return -1;
	}
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), compare_found);
	for (size_t i = 0; i < s->n; i++) {
		if (kept > 0 && slice_eq(base_of(s->v[kept - 1].name),
		    base_of(s->v[i].name)))
			free(s->v[i].name);
		else
			s->v[kept++] = s->v[i];
	}
	s->n = kept;
	return 0;
}

static struct found *
scan_find(const struct scan *s, struct slice base)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = slice_cmp(base_of(s->v[mid].name), base);

		if (r == 0)
			return &s->v[mid];
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* --- making the snapshot --- */

/* The seconds a name begins with: the order of delivery. */
static uint64_t
time_of(struct slice base)
{
	size_t digits = 0;
	uint64_t t = 0;

	while (digits < base.len && base.p[digits] >= '0' &&
	    base.p[digits] <= '9')
		digits++;
	(void)num_u64(slice_sub(base, 0, digits), 0, UINT64_MAX, &t);
	return t;
}

static int
compare_time(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	uint64_t s = time_of(*x), t = time_of(*y);

	return s != t ? (s < t ? -1 : 1) : slice_cmp(*x, *y);
}

/* UIDs for the files that have none.  Where that is impossible now (a full
 * disk, a lock that stays) the others are shown all the same. */
static void
assign(struct maildrop *d, const struct scan *s)
{
	struct slice *new = mem_array(s->n, sizeof(*new));
	enum uidlist_result r;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct slice base = base_of(s->v[i].name);

		if (uidlist_find(d->list, base) == NULL)
			new[n++] = base;
	}
	if (n > 0) {
		qsort(new, n, sizeof(*new), compare_time);
		r = uidlist_assign(d->fd, d->list, new, n,
		    clock_mono_ms() + LOCK_WAIT_MS);
		if (r != UIDLIST_OK)
			LOG_WARN("no-uids", LU("messages", n),
			    LS("why", r == UIDLIST_LOCKED ? "locked"
			    : "error"));
	}
	free(new);
}

static void
add_message(struct maildrop *d, struct found *f)
{
	const struct uidlist_entry *u = uidlist_find(d->list,
	    base_of(f->name));
	struct maildir_entry e;
	struct message *m = &d->v[d->n];

	if (u == NULL || !maildir_parse(slice_of(f->name), &e))
		return;
	*m = (struct message){.name = f->name, .uid = u->uid,
	    .order = u->pop3_order, .in_new = f->in_new};
	m->wire = e.has_wire ? e.wire : u->wire;
	f->name = NULL;
	d->n++;
}

/* By UID, but first those to which a migration gave a place. */
static int
compare_message(const void *a, const void *b)
{
	const struct message *x = a, *y = b;

	if (x->order != y->order && (x->order == 0 || y->order == 0))
		return x->order != 0 ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

static void
number(struct maildrop *d, struct scan *s, size_t most)
{
	d->v = mem_array(s->n, sizeof(*d->v));
	for (size_t i = 0; i < s->n; i++)
		add_message(d, &s->v[i]);
	if (d->n > 0)
		qsort(d->v, d->n, sizeof(*d->v), compare_message);
	d->stale = uidlist_count(d->list) - d->n;
	if (d->n <= most)
		return;
	LOG_WARN("too-many-messages", LU("messages", d->n), LU("shown", most),
	    LS("mend", "pop3_messages_max"));
	while (d->n > most)
		free(d->v[--d->n].name);
}

static enum maildrop_result
fault(void)
{
	switch (errno) {
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENOTDIR:
	case EISDIR:
	case ENXIO: /* a socket, a pipe */
		return MAILDROP_PERM;
	case ENOENT:
		return MAILDROP_GONE;
	default:
		return MAILDROP_TEMP;
	}
}

enum maildrop_result
maildrop_open(struct maildrop *d, const char *path, size_t most)
{
	struct scan s;
	enum maildrop_result r;

	*d = (struct maildrop){.fd = -1};
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0) {
		r = fault();
		/* Nothing was delivered yet. */
		return r == MAILDROP_GONE ? MAILDROP_OK : r;
	}
	if (uidlist_read(d->fd, &d->list) != UIDLIST_OK)
		return MAILDROP_TEMP;
	if (scan_maildir(&s, d->fd) != 0)
		return fault();
	assign(d, &s);
	number(d, &s, most);
	scan_free(&s);
	return MAILDROP_OK;
}

void
maildrop_close(struct maildrop *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->v[i].name);
	free(d->v);
	uidlist_free(&d->list);
	if (d->fd >= 0)
		close(d->fd);
	*d = (struct maildrop){.fd = -1};
}

/* --- messages --- */

static void
path_of(const struct message *m, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s", m->in_new ? "new" : "cur", m->name);
}

/* Somebody renamed or removed messages: finds out which. */
static int
look_again(struct maildrop *d)
{
	struct scan s;

	if (scan_maildir(&s, d->fd) != 0)
		return -1;
	for (size_t i = 0; i < d->n; i++) {
		struct message *m = &d->v[i];
		struct found *f = scan_find(&s, base_of(m->name));

		m->gone = f == NULL;
		if (f == NULL)
			continue;
		free(m->name);
		m->name = f->name;
		m->in_new = f->in_new;
		f->name = mem_dup(m->name); /* scan_find looks at it */
	}
	scan_free(&s);
	return 0;
}

static enum maildrop_result
open_message(const struct maildrop *d, const struct message *m, int *out)
{
	char path[PATH_SIZE];
	struct stat st;
	int fd;

	path_of(m, path);
	fd = openat(d->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK);
	if (fd < 0)
		return fault();
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		errno = EISDIR;
		return MAILDROP_PERM;
	}
	*out = fd;
	return MAILDROP_OK;
}

enum maildrop_result
maildrop_read(struct maildrop *d, size_t i, int *fd)
{
	struct message *m = &d->v[i];
	enum maildrop_result r;

	if (m->gone)
		return MAILDROP_GONE;
	r = open_message(d, m, fd);
	if (r == MAILDROP_GONE) {
		if (look_again(d) != 0)
			return MAILDROP_TEMP;
		r = m->gone ? MAILDROP_GONE : open_message(d, m, fd);
	}
	if (r == MAILDROP_TEMP || r == MAILDROP_PERM)
		LOG_WARN("unreadable", LS("file", m->name), LE());
	return r;
}

/* The octets of the file as they will be on the wire. */
static int
count(int fd, uint64_t *wire)
{
	struct send_count c = {0};
	char *chunk = mem_alloc(COUNT_CHUNK);
	ssize_t n;

	while ((n = read(fd, chunk, COUNT_CHUNK)) != 0) {
		if (n > 0)
			send_count(&c, slice_mem(chunk, (size_t)n));
		else if (errno != EINTR)
			break;
	}
	free(chunk);
	if (n != 0)
		return -1;
	*wire = c.octets;
	return 0;
}

uint64_t
maildrop_size(struct maildrop *d, size_t i)
{
	struct message *m = &d->v[i];
	int fd;

	if (m->wire != UINT64_MAX)
		return m->wire;
	if (maildrop_read(d, i, &fd) != MAILDROP_OK)
		return 0;
	if (count(fd, &m->wire) == 0)
		m->counted = true;
	else
		LOG_WARN("unreadable", LS("file", m->name), LE());
	close(fd);
	return m->counted ? m->wire : 0;
}

/* What was counted goes into the uidlist, so that it is counted once. */
static void
remember(struct maildrop *d)
{
	struct uidlist_wire *v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < d->n; i++) {
		struct message *m = &d->v[i];

		if (m->counted && !m->gone)
			MEM_PUSH(v, n, cap,
			    ((struct uidlist_wire){m->uid, m->wire}));
		m->counted = false;
	}
	if (n > 0)
		(void)uidlist_set_wire(d->fd, d->list, v, n,
		    clock_mono_ms() + LOCK_WAIT_MS);
	free(v);
}

void
maildrop_sizes(struct maildrop *d)
{
	for (size_t i = 0; i < d->n; i++)
		(void)maildrop_size(d, i);
	remember(d);
}

void
maildrop_uidl(const struct maildrop *d, size_t i, struct buf *out)
{
	const struct message *m = &d->v[i];
	const struct uidlist_entry *e = uidlist_find(d->list,
	    base_of(m->name));

	/* Only if somebody took the line away under our hands. */
	if (e == NULL)
		buf_printf(out, "%08x%08x", m->uid, uidlist_validity(d->list));
	else
		uidlist_uidl(d->list, e, out);
}

/* --- UPDATE --- */

void
maildrop_seen_flags(struct slice flags, struct buf *out)
{
	bool has = slice_find(flags, 'S', 0) < flags.len;

	/* In alphabetical order, as everybody expects them. */
	for (size_t i = 0; i < flags.len; i++) {
		if (!has && flags.p[i] > 'S') {
			buf_addc(out, 'S');
			has = true;
		}
		buf_addc(out, flags.p[i]);
	}
	if (!has)
		buf_addc(out, 'S');
}

/* Runs step on the message, once more where somebody renamed it. */
static int
persist(struct maildrop *d, struct message *m,
    int (*step)(struct maildrop *d, struct message *m))
{
	if (m->gone || step(d, m) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	if (look_again(d) != 0)
		return -1;
	return m->gone ? 0 : step(d, m);
}

static int
remove_message(struct maildrop *d, struct message *m)
{
	char path[PATH_SIZE];

	path_of(m, path);
	if (unlinkat(d->fd, path, 0) != 0)
		return -1;
	m->gone = true;
	return 0;
}

/* new/NAME or cur/NAME:2,F becomes cur/NAME:2,FS. */
static int
mark_seen(struct maildrop *d, struct message *m)
{
	struct buf name = BUF_INIT(MAILDIR_NAME_MAX);
	char from[PATH_SIZE], to[PATH_SIZE];
	struct maildir_entry e;
	int r = 0;

	if (!maildir_parse(slice_of(m->name), &e) ||
	    (!m->in_new && slice_find(e.flags, 'S', 0) < e.flags.len))
		return 0;
	path_of(m, from);
	buf_addslice(&name, e.base);
	buf_adds(&name, ":2,");
	maildrop_seen_flags(e.flags, &name);
	if (!name.overflow) {
		snprintf(to, sizeof(to), "cur/%s", name.s);
		r = renameat(d->fd, from, d->fd, to);
	}
	buf_free(&name);
	return r;
}

/*
 * Takes lines out of the uidlist when about half of them are of no use.  Only
 * those whose files were not there at both ends of the session, or that it
 * removed: a scan alone may miss a file that is being renamed.
 */
static void
tidy_list(struct maildrop *d, size_t removed)
{
	size_t n = uidlist_count(d->list), ngone = 0;
	struct slice *gone;
	char **copies;
	struct scan s;

	if (d->stale + removed < STALE_LEAST ||
	    (d->stale + removed) * 2 < n || scan_maildir(&s, d->fd) != 0)
		return;
	for (size_t i = 0; i < d->n; i++) {
		struct message *m = &d->v[i];

		/* Ours that we did not remove: keeps its line. */
		if (!(m->deleted && m->gone))
			MEM_PUSH(s.v, s.n, s.cap,
			    ((struct found){mem_dup(m->name), false}));
	}
	if (s.n > 0)
		qsort(s.v, s.n, sizeof(*s.v), compare_found);
	gone = mem_array(n, sizeof(*gone));
	copies = mem_array(n, sizeof(*copies));
	for (size_t i = 0; i < n; i++) {
		struct slice base = uidlist_at(d->list, i)->base;

		if (scan_find(&s, base) != NULL)
			continue;
		copies[ngone] = slice_dup(base);
		gone[ngone] = slice_of(copies[ngone]);
		ngone++;
	}
	if (ngone > 0)
		(void)uidlist_remove(d->fd, d->list, gone, ngone,
		    clock_mono_ms() + LOCK_WAIT_MS);
	for (size_t i = 0; i < ngone; i++)
		free(copies[i]);
	free(copies);
	free(gone);
	scan_free(&s);
}

size_t
maildrop_update(struct maildrop *d)
{
	size_t failed = 0, removed = 0;

	for (size_t i = 0; i < d->n; i++) {
		struct message *m = &d->v[i];

		if (m->deleted && persist(d, m, remove_message) != 0) {
			LOG_WARN("not-deleted", LS("file", m->name), LE());
			failed++;
		} else if (m->deleted) {
			removed++;
		} else if (m->seen && persist(d, m, mark_seen) != 0) {
			LOG_WARN("not-marked", LS("file", m->name), LE());
		}
	}
	if (d->list != NULL) {
		remember(d);
		tidy_list(d, removed);
	}
	return failed;
}
