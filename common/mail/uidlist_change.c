/*
 * dovecot-uidlist: everything that changes the file, under the lock that
 * Dovecot takes too.  Runs in the mailbox processes with the rights of the
 * mailbox's owner.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/dotlock.h"
#include "common/mail/maildir.h"
#include "common/mail/uidlist.h"
#include "common/mail/uidlist_int.h"

#define NAME_LOCK UIDLIST_NAME ".lock"
#define NAME_TMP UIDLIST_NAME ".tmp"
#define NAME_BROKEN UIDLIST_NAME ".broken"

/* Takes the lock and reads again what others may have written since. */
static enum uidlist_result
lock(int maildir_fd, struct uidlist *l, struct dotlock *d, int64_t deadline_ms)
{
	struct stat st;

	switch (dotlock_take(d, maildir_fd, NAME_LOCK, deadline_ms)) {
	case DOTLOCK_OK:
		break;
	case DOTLOCK_BUSY:
		return UIDLIST_LOCKED;
	case DOTLOCK_ERROR:
		return uidlist_fault("lock");
	}
	if (l->exists && fstatat(maildir_fd, UIDLIST_NAME, &st, 0) == 0 &&
	    st.st_dev == l->st.st_dev && st.st_ino == l->st.st_ino &&
	    st.st_size == l->st.st_size &&
	    st.st_mtim.tv_sec == l->st.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == l->st.st_mtim.tv_nsec)
		return UIDLIST_OK;
	if (uidlist_load(maildir_fd, l) != 0) {
		enum uidlist_result r = uidlist_fault("read");

		dotlock_release(d);
		return r;
	}
	return UIDLIST_OK;
}

static int
write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		s = slice_sub(s, (size_t)n, s.len);
	}
	return 0;
}

static void
add_header(const struct uidlist *l, struct buf *out)
{
	buf_printf(out, "3 V%" PRIu32 " N%" PRIu32 " G", l->validity, l->next);
	if (l->guid.len > 0)
		buf_addslice(out, l->guid);
	else
		buf_printf(out, "%016" PRIx64 "%016" PRIx64, random_u64(),
		    random_u64());
	buf_addslice(out, l->header); /* with its space in front */
	buf_addc(out, '\n');
}

static void
add_line(const struct uidlist_entry *e, struct buf *out)
{
	buf_addu(out, e->uid);
	if (e->extra.len > 0) {
		buf_addc(out, ' ');
		buf_addslice(out, e->extra);
	}
	buf_adds(out, " :");
	buf_addslice(out, e->base);
	buf_addc(out, '\n');
}

/* A broken file is the only witness of UIDs that were given: it stays. */
static int
set_aside(int maildir_fd)
{
	if (linkat(maildir_fd, UIDLIST_NAME, maildir_fd, NAME_BROKEN, 0) == 0 ||
	    errno == EEXIST || errno == ENOENT)
		return 0;
	return -1;
}

static int
write_tmp(int maildir_fd, struct slice text)
{
	int saved, fd;

	fd = openat(maildir_fd, NAME_TMP, O_WRONLY | O_CREAT | O_TRUNC |
	    O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (write_all(fd, text) == 0 && fsync(fd) == 0)
		return close(fd);
	saved = errno;
	close(fd);
	unlinkat(maildir_fd, NAME_TMP, 0);
	errno = saved;
	return -1;
}

/* Under the lock: the whole list anew, durably, and then read from there. */
static enum uidlist_result
rewrite(int maildir_fd, struct uidlist *l)
{
	struct buf out = BUF_INIT(UIDLIST_TEXT_MAX);
	int r = -1;

	add_header(l, &out);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].uid != 0)
			add_line(&l->v[i], &out);
	if (out.overflow)
		errno = EFBIG;
	else if ((!l->broken || set_aside(maildir_fd) == 0) &&
	    write_tmp(maildir_fd, buf_slice(&out)) == 0)
		r = renameat(maildir_fd, NAME_TMP, maildir_fd, UIDLIST_NAME);
	if (r == 0)
		r = fsync(maildir_fd);
	buf_free(&out);
	if (r != 0) {
		enum uidlist_result result = uidlist_fault("rewrite");

		/* What is in memory now is not what the file says. */
		if (uidlist_load(maildir_fd, l) != 0)
			return uidlist_fault("read");
		return result;
	}
	return uidlist_load(maildir_fd, l) == 0 ? UIDLIST_OK : uidlist_fault("read");
}

/* Under the lock: lines behind the others, durably. */
static int
append(int maildir_fd, struct uidlist *l, struct slice lines)
{
	int saved, fd;

	fd = openat(maildir_fd, UIDLIST_NAME, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (write_all(fd, lines) == 0 && fdatasync(fd) == 0 &&
	    fstat(fd, &l->st) == 0)
		return close(fd);
	saved = errno;
	/* Nobody has seen these UIDs; half a line must not stay. */
	if (ftruncate(fd, l->st.st_size) != 0)
		log_warn("cannot shorten " UIDLIST_NAME);
	close(fd);
	errno = saved;
	return -1;
}

static bool
nameable(struct slice base)
{
	struct maildir_entry e;

	return maildir_parse(base, &e) && slice_eq(e.base, base);
}

/* The lines of the bases that have none yet.  A base that is named twice gets
 * two lines here, of which one counts. */
static size_t
new_lines(struct uidlist *l, const struct slice *bases, size_t n,
    struct buf *out)
{
	uint64_t uid = l->next;
	size_t added = 0;

	for (size_t i = 0; i < n && uid <= UIDLIST_UID_MAX; i++) {
		struct uidlist_entry e = {.extra = SLICE_EMPTY};

		if (uidlist_find(l, bases[i]) != NULL || !nameable(bases[i]))
			continue;
		e.uid = (uint32_t)uid++;
		e.base = bases[i];
		add_line(&e, out);
		added++;
	}
	if (uid > UIDLIST_UID_MAX) {
		log_warnx(UIDLIST_NAME ": no UIDs left below 2^32");
		errno = EOVERFLOW;
		out->overflow = true;
	}
	return added;
}

static enum uidlist_result
assign_locked(int maildir_fd, struct uidlist *l, const struct slice *bases,
    size_t n)
{
	struct buf lines = BUF_INIT(UIDLIST_TEXT_MAX);
	bool whole = l->mend || !l->exists;
	enum uidlist_result r = UIDLIST_OK;
	struct buf text;

	if (new_lines(l, bases, n, &lines) == 0 && !lines.overflow)
		goto out;
	if (lines.overflow ||
	    (!whole && append(maildir_fd, l, buf_slice(&lines)) != 0)) {
		r = uidlist_fault("append");
		goto out;
	}
	/* The entries point into memory, so the lines are kept. */
	text = buf_take(&lines);
	uidlist_own(l, text.s);
	uidlist_take_lines(l, slice_mem(text.s, text.len), false);
	uidlist_index(l);
	if (whole)
		r = rewrite(maildir_fd, l);
out:
	buf_free(&lines);
	return r;
}

enum uidlist_result
uidlist_assign(int maildir_fd, struct uidlist *l, const struct slice *bases,
    size_t n, int64_t deadline_ms)
{
	enum uidlist_result r;
	struct dotlock d;
	size_t known = 0;

	while (known < n && uidlist_find(l, bases[known]) != NULL)
		known++;
	if (known == n)
		return UIDLIST_OK;
	if ((r = lock(maildir_fd, l, &d, deadline_ms)) != UIDLIST_OK)
		return r;
	r = assign_locked(maildir_fd, l, bases, n);
	dotlock_release(&d);
	return r;
}

/* An entry of the list that may be changed. */
static struct uidlist_entry *
find_uid(struct uidlist *l, uint32_t uid)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->v[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < l->n && l->v[low].uid == uid ? &l->v[low] : NULL;
}

enum uidlist_result
uidlist_remove(int maildir_fd, struct uidlist *l, const struct slice *gone,
    size_t n, int64_t deadline_ms)
{
	enum uidlist_result r;
	struct dotlock d;
	bool change;

	if ((r = lock(maildir_fd, l, &d, deadline_ms)) != UIDLIST_OK)
		return r;
	change = l->mend;
	for (size_t i = 0; i < n; i++) {
		uint32_t at = *uidlist_slot(l, gone[i]);

		if (at == 0)
			continue;
		l->v[at - 1].uid = 0; /* rewrite leaves it out */
		change = true;
	}
	if (change)
		r = rewrite(maildir_fd, l);
	dotlock_release(&d);
	return r;
}

/* The fields of an entry with another W. */
static void
add_extra(const struct uidlist_entry *e, uint64_t wire, struct buf *out)
{
	struct slice rest = e->extra, word;

	buf_addc(out, 'W');
	buf_addu(out, wire);
	while (slice_word(&rest, &word)) {
		if (word.p[0] == 'W')
			continue;
		buf_addc(out, ' ');
		buf_addslice(out, word);
	}
}

enum uidlist_result
uidlist_set_wire(int maildir_fd, struct uidlist *l,
    const struct uidlist_wire *v, size_t n, int64_t deadline_ms)
{
	enum uidlist_result r;
	struct dotlock d;
	bool change = false;

	if ((r = lock(maildir_fd, l, &d, deadline_ms)) != UIDLIST_OK)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct uidlist_entry *e = find_uid(l, v[i].uid);
		struct buf extra = BUF_INIT(UIDLIST_TEXT_MAX);
		struct buf taken;

		if (e == NULL || e->wire == v[i].wire)
			continue;
		add_extra(e, v[i].wire, &extra);
		taken = buf_take(&extra);
		uidlist_own(l, taken.s);
		e->extra = slice_mem(taken.s, taken.len);
		change = true;
	}
	if (change)
		r = rewrite(maildir_fd, l);
	dotlock_release(&d);
	return r;
}
