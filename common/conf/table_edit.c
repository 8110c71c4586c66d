/*
 * Changes and compiles tables: the text is the truth and the cdb is made from
 * it, each written beside the old one, synced and renamed, under one lock.
 * Runs in the admin's command only.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/conf/table.h"
#include "common/conf/table_int.h"

#define LOCK_NAME ".lock"
#define NAME_SIZE 64
#define SHOWN_SIZE 4200

/* One change of one table. */
struct work {
	enum table_kind kind;
	const char *name;        /* "users" */
	char shown[SHOWN_SIZE];  /* DIR/users, for messages */
	int dirfd;               /* owned; -1: not open */
	int lock_fd;             /* owned */
	struct stat st;          /* the text's; or what a new one shall have */
	struct buf text;
	struct buf *errors;
};

/* Says what failed and on what; for `return fail(...)`. */
static bool
fail(struct work *w, const char *name, const char *what)
{
	int error = errno;
	const char *slash = strrchr(w->shown, '/');

	table_complain(w->errors, w->shown, 0, "%s %.*s/%s: %s", what,
	    (int)(slash - w->shown), w->shown, name, strerror(error));
	return false;
}

static bool
open_work(struct work *w, const char *dir, enum table_kind kind,
    struct buf *errors)
{
	memset(w, 0, sizeof(*w));
	w->kind = kind;
	w->name = table_name(kind);
	w->errors = errors;
	w->lock_fd = -1;
	buf_init(&w->text, TABLE_TEXT_MAX);
	snprintf(w->shown, sizeof(w->shown), "%s/%s", dir, w->name);
	w->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dirfd == -1) {
		table_complain(errors, dir, 0, "cannot be opened: %s; create "
		    "it, or set table_dir", strerror(errno));
		return false;
	}
	return true;
}

/* The same, and nobody else changes tables meanwhile. */
static bool
open_dir(struct work *w, const char *dir, enum table_kind kind,
    struct buf *errors)
{
	if (!open_work(w, dir, kind, errors))
		return false;
	w->lock_fd = openat(w->dirfd, LOCK_NAME,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->lock_fd == -1 || flock(w->lock_fd, LOCK_EX) != 0)
		return fail(w, LOCK_NAME, "cannot lock");
	return true;
}

static void
close_dir(struct work *w)
{
	if (w->lock_fd != -1)
		close(w->lock_fd);
	if (w->dirfd != -1)
		close(w->dirfd);
	buf_wipe(&w->text);
}

static bool
read_fd(struct work *w, int fd)
{
	ssize_t n;
	char *p;

	if (fstat(fd, &w->st) != 0)
		return fail(w, w->name, "cannot read");
	if (!S_ISREG(w->st.st_mode)) {
		table_complain(w->errors, w->shown, 0,
		    "is not a regular file; move it away");
		return false;
	}
	do {
		p = buf_room(&w->text, 65536);
		if (p == NULL) {
			errno = EFBIG;
			return fail(w, w->name, "cannot read");
		}
		n = read(fd, p, 65536);
		if (n > 0)
			buf_wrote(&w->text, (size_t)n);
	} while (n > 0);
	return n == 0 ? true : fail(w, w->name, "cannot read");
}

static bool
read_text(struct work *w, bool may_be_missing)
{
	int fd = openat(w->dirfd, w->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool ok;

	if (fd == -1 && errno == ENOENT && may_be_missing) {
		/* Passwords are not for everybody's eyes. */
		if (fstat(w->dirfd, &w->st) != 0)
			return fail(w, ".", "cannot read");
		w->st.st_mode = w->kind == TABLE_USERS ? 0640 : 0644;
		return true;
	}
	if (fd == -1) {
		table_complain(w->errors, w->shown, 0, "cannot be read: %s; "
		    "create it (it may be empty) or make it readable",
		    strerror(errno));
		return false;
	}
	ok = read_fd(w, fd);
	close(fd);
	return ok;
}

/* Owner, group and mode of the text. */
static bool
take_owner(struct work *w, int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(w, name, "cannot write");
	if ((st.st_uid != w->st.st_uid || st.st_gid != w->st.st_gid) &&
	    fchown(fd, w->st.st_uid, w->st.st_gid) != 0)
		return fail(w, name, "cannot give to the text's owner");
	if (fchmod(fd, w->st.st_mode & 0777) != 0)
		return fail(w, name, "cannot change the mode of");
	return true;
}

/* A new file beside the one it will replace; the lock makes the name ours. */
static int
create(struct work *w, const char *name)
{
	int fd;

	if (unlinkat(w->dirfd, name, 0) != 0 && errno != ENOENT) {
		fail(w, name, "cannot remove");
		return -1;
	}
	fd = openat(w->dirfd, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		fail(w, name, "cannot create");
	return fd;
}

static bool
write_all(int fd, struct slice text)
{
	ssize_t n;

	while (text.len > 0) {
		n = write(fd, text.p, text.len);
		if (n < 0)
			return false;
		text = slice_sub(text, (size_t)n, text.len);
	}
	return true;
}

/* Makes NAME.tmp whole and durable; removes it otherwise. */
static bool
prepare(struct work *w, const char *name, bool cdb)
{
	int fd = create(w, name);
	bool ok;

	if (fd == -1)
		return false;
	if (cdb)
		ok = table_write(fd, w->kind, buf_slice(&w->text), w->shown,
		    w->errors);
	else
		ok = write_all(fd, buf_slice(&w->text)) ||
		    fail(w, name, "cannot write");
	ok = ok && take_owner(w, fd, name) &&
	    (fsync(fd) == 0 || fail(w, name, "cannot sync"));
	close(fd);
	if (!ok)
		(void)unlinkat(w->dirfd, name, 0);
	return ok;
}

static bool
replace(struct work *w, const char *from, const char *to)
{
	if (renameat(w->dirfd, from, w->dirfd, to) == 0)
		return true;
	fail(w, to, "cannot replace");
	(void)unlinkat(w->dirfd, from, 0);
	return false;
}

/* First everything that can fail, then the names; the text goes first: it is
 * the truth, and the cdb can be made again. */
static bool
commit(struct work *w, bool text)
{
	char text_tmp[NAME_SIZE], cdb_tmp[NAME_SIZE], cdb[NAME_SIZE];

	snprintf(text_tmp, sizeof(text_tmp), ".%s.tmp", w->name);
	snprintf(cdb_tmp, sizeof(cdb_tmp), ".%s.cdb.tmp", w->name);
	snprintf(cdb, sizeof(cdb), "%s.cdb", w->name);
	/* The cdb last, so that its time is never before the text's. */
	if (text && !prepare(w, text_tmp, false))
		return false;
	if (!prepare(w, cdb_tmp, true)) {
		if (text)
			(void)unlinkat(w->dirfd, text_tmp, 0);
		return false;
	}
	if (text && !replace(w, text_tmp, w->name)) {
		(void)unlinkat(w->dirfd, cdb_tmp, 0);
		return false;
	}
	if (!replace(w, cdb_tmp, cdb))
		return false;
	if (fsync(w->dirfd) != 0)
		return fail(w, ".", "cannot sync");
	return true;
}

/* ---- without a change ---- */

static bool
ignore_entry(void *arg, const struct table_entry *e)
{
	(void)arg;
	(void)e;
	return true;
}

/* Neither text nor cdb: an empty table, where one may be missing. */
static bool
is_absent(struct work *w)
{
	char cdb[NAME_SIZE];
	struct stat st;

	snprintf(cdb, sizeof(cdb), "%s.cdb", w->name);
	return w->kind == TABLE_ROUTES &&
	    fstatat(w->dirfd, w->name, &st, 0) != 0 && errno == ENOENT &&
	    fstatat(w->dirfd, cdb, &st, 0) != 0 && errno == ENOENT;
}

static bool
is_before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec ||
	    (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

bool
table_compile(const char *dir, enum table_kind kind, struct buf *errors)
{
	struct work w;
	bool ok = open_dir(&w, dir, kind, errors) &&
	    (is_absent(&w) || (read_text(&w, false) && commit(&w, false)));

	close_dir(&w);
	return ok;
}

enum table_state
table_check(const char *dir, enum table_kind kind, struct buf *errors)
{
	enum table_state state = TABLE_WRONG;
	char cdb[NAME_SIZE];
	struct stat st;
	struct work w;

	if (!open_work(&w, dir, kind, errors))
		;
	else if (is_absent(&w))
		state = TABLE_CURRENT;
	else if (read_text(&w, false) &&
	    table_text_each(kind, buf_slice(&w.text), w.shown, errors,
	    ignore_entry, NULL)) {
		snprintf(cdb, sizeof(cdb), "%s.cdb", w.name);
		state = fstatat(w.dirfd, cdb, &st, 0) == 0 &&
		    !is_before(st.st_mtim, w.st.st_mtim) ? TABLE_CURRENT
		    : TABLE_STALE;
	}
	close_dir(&w);
	return state;
}

/* ---- one entry ---- */

/* Where the entry of a key stands. */
struct place {
	struct slice key; /* folded */
	bool found;
	size_t from, to;
	unsigned entries;
};

static bool
find_place(void *arg, const struct table_entry *e)
{
	struct place *p = arg;

	p->entries++;
	if (!p->found && slice_eq(p->key, e->key)) {
		p->found = true;
		p->from = e->from;
		p->to = e->to;
	}
	return true;
}

/* The line must be this one entry and nothing else. */
static bool
check_line(struct work *w, struct slice key, const char *line)
{
	struct place p = {.key = key};

	if (!table_text_each(w->kind, slice_of(line), "the new entry",
	    w->errors, find_place, &p))
		return false;
	if (p.entries != 1 || !p.found) {
		table_complain(w->errors, "the new entry", 0, "is not one "
		    "entry for %.*s; give one line for it", SLICE_FMT(key));
		return false;
	}
	return true;
}

static void
add_line(struct buf *out, const char *line)
{
	size_t n = strlen(line);

	buf_add(out, line, n);
	if (n == 0 || line[n - 1] != '\n')
		buf_addc(out, '\n');
}

/* The text with line in the entry's place; comments that stand within the old
 * entry stay. */
static void
rewrite(struct buf *out, struct slice text, const struct place *p,
    const char *line)
{
	struct slice old, part;

	if (!p->found) {
		assert(line != NULL); /* nothing to remove: told before */
		buf_addslice(out, text);
		if (text.len > 0 && text.p[text.len - 1] != '\n')
			buf_addc(out, '\n');
		add_line(out, line);
		return;
	}
	buf_addslice(out, slice_sub(text, 0, p->from));
	if (line != NULL)
		add_line(out, line);
	old = slice_sub(text, p->from, p->to);
	if (old.len > 0 && old.p[old.len - 1] == '\n')
		old = slice_sub(old, 0, old.len - 1);
	while (slice_cut(&old, '\n', &part))
		if (table_is_comment(part)) {
			buf_addslice(out, part);
			buf_addc(out, '\n');
		}
	buf_addslice(out, slice_sub(text, p->to, text.len));
}

static enum table_edit
edit(struct work *w, struct slice key, const char *line, bool may_replace)
{
	struct place p = {.key = key};
	struct buf out = BUF_INIT(TABLE_TEXT_MAX);

	if (line != NULL && !check_line(w, key, line))
		return TABLE_FAILED;
	if (!read_text(w, line != NULL) ||
	    !table_text_each(w->kind, buf_slice(&w->text), w->shown,
	    w->errors, find_place, &p))
		return TABLE_FAILED;
	if (!p.found && line == NULL)
		return TABLE_MISSING;
	if (p.found && line != NULL && !may_replace) {
		table_complain(w->errors, w->shown, 0, "%.*s: is there "
		    "already; remove it first", SLICE_FMT(key));
		return TABLE_FAILED;
	}
	rewrite(&out, buf_slice(&w->text), &p, line);
	buf_wipe(&w->text);
	w->text = buf_take(&out);
	if (w->text.overflow) {
		errno = EFBIG;
		fail(w, w->name, "cannot write");
		return TABLE_FAILED;
	}
	if (!commit(w, true))
		return TABLE_FAILED;
	if (!p.found)
		return TABLE_ADDED;
	return line != NULL ? TABLE_REPLACED : TABLE_REMOVED;
}

enum table_edit
table_edit(const char *dir, enum table_kind kind, struct slice key,
    const char *line, bool may_replace, struct buf *errors)
{
	enum table_edit result = TABLE_FAILED;
	struct buf folded = BUF_INIT(TABLE_KEY_MAX);
	struct work w;

	table_fold(key, &folded);
	if (open_dir(&w, dir, kind, errors))
		result = edit(&w, buf_slice(&folded), line, may_replace);
	close_dir(&w);
	buf_free(&folded);
	return result;
}
