/*
 * Tables as constant databases (cdb): look-ups through a map of the file that
 * stands there now.  Runs in authd, on keys that are recipients and logins;
 * the files are written by the admin's command, which calls table_write.
 *
 * The first record has the empty key, which no entry can have, and says format
 * and table, so that neither another program's file nor one table in another's
 * place is taken for an answer.
 */
#include <sys/stat.h>

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/table.h"
#include "common/conf/table_int.h"

#define FORMAT "postern-table 1 "
#define LOG_PAUSE_MS 60000 /* between complaints about one table */
#define FILE_SIZE 32

struct table {
	enum table_kind kind;
	int dirfd;             /* owned */
	char *dir;             /* for messages; owned */
	char file[FILE_SIZE]; /* "users.cdb" */
	int64_t check_ms;
	int64_t next_check;    /* clock_mono_ms */
	int64_t next_log;
	struct cdb db;
	bool mapped;           /* db is valid and maps the file of `st` */
	struct stat st;
	bool absent;           /* and need not be there; until next_check */
	struct buf key;        /* the folded key of the look-up at hand */
	uint64_t generation; /* files mapped so far */
};

struct table *
table_open(int dirfd, const char *dir_shown, enum table_kind kind,
    int64_t check_ms)
{
	struct table *t = mem_alloc(sizeof(*t));

	t->kind = kind;
	t->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (t->dirfd == -1)
		die_errno(EXIT_TEMPORARY, "%s", dir_shown);
	t->dir = mem_dup(dir_shown);
	snprintf(t->file, sizeof(t->file), "%s.cdb", table_name(kind));
	t->check_ms = check_ms;
	buf_init(&t->key, TABLE_KEY_MAX);
	return t;
}

static void
unmap(struct table *t)
{
	if (t->mapped)
		cdb_free(&t->db);
	t->mapped = false;
}

void
table_close(struct table **tp)
{
	struct table *t = *tp;

	if (t == NULL)
		return;
	unmap(t);
	close(t->dirfd);
	free(t->dir);
	buf_free(&t->key);
	free(t);
	*tp = NULL;
}

/* Every look-up would say it again; the admin needs it once a minute. */
static enum table_result
broken(struct table *t, const char *why)
{
	int64_t now = clock_mono_ms();

	if (now >= t->next_log) {
		log_warnx("%s/%s: %s; mail waits until %s/%s is compiled "
		    "again with: postern table %s", t->dir, t->file, why,
		    t->dir, table_name(t->kind), table_name(t->kind));
		t->next_log = now + LOG_PAUSE_MS;
	}
	return TABLE_ERROR;
}

static bool
has_format(struct cdb *db, enum table_kind kind)
{
	struct buf want = BUF_INIT(64);
	const void *p;
	bool ok = false;

	buf_adds(&want, FORMAT);
	buf_adds(&want, table_name(kind));
	if (cdb_find(db, "", 0) > 0 && (p = cdb_getdata(db)) != NULL)
		ok = slice_eq(buf_slice(&want),
		    slice_mem(p, cdb_datalen(db)));
	buf_free(&want);
	return ok;
}

static const char *
map_fd(struct table *t, int fd)
{
	struct cdb db;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if (cdb_init(&db, fd) != 0)
		return errno == EPROTO ? "is damaged" : strerror(errno);
	if (!has_format(&db, t->kind)) {
		cdb_free(&db);
		return "is not a compiled table of this name";
	}
	unmap(t);
	t->db = db;
	t->st = st;
	t->mapped = true;
	t->generation++;
	return NULL;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* No text either: nobody forgot to compile it.  Installations from before this
 * table was thought of have none. */
static bool
may_lack(const struct table *t)
{
	struct stat st;

	return t->kind == TABLE_ROUTES &&
	    fstatat(t->dirfd, table_name(t->kind), &st, 0) != 0 &&
	    errno == ENOENT;
}

/* The map is of the file that stood there at most check_ms ago. */
static enum table_result
refresh(struct table *t)
{
	int64_t now = clock_mono_ms();
	const char *why;
	struct stat st;
	int fd;

	if ((t->mapped || t->absent) && now < t->next_check)
		return t->mapped ? TABLE_FOUND : TABLE_NONE;
	t->absent = false;
	if (fstatat(t->dirfd, t->file, &st, 0) != 0) {
		why = strerror(errno);
		unmap(t);
		if (errno != ENOENT || !may_lack(t))
			return broken(t, why);
		t->absent = true;
		t->next_check = now + t->check_ms;
		return TABLE_NONE;
	}
	if (!t->mapped || !same_file(&st, &t->st)) {
		fd = openat(t->dirfd, t->file,
		    O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		why = fd == -1 ? strerror(errno) : map_fd(t, fd);
		if (fd != -1)
			close(fd); /* the map stays */
		if (why != NULL) {
			unmap(t);
			return broken(t, why);
		}
	}
	t->next_check = now + t->check_ms;
	return TABLE_FOUND;
}

enum table_result
table_get(struct table *t, struct slice key, struct slice *value)
{
	enum table_result r = refresh(t);
	const void *p;
	int found;

	if (r != TABLE_FOUND)
		return r;
	if (key.len == 0 || key.len > TABLE_KEY_MAX)
		return TABLE_NONE;
	table_fold(key, &t->key);
	found = cdb_find(&t->db, t->key.s, (unsigned)t->key.len);
	if (found < 0 || (found > 0 && (p = cdb_getdata(&t->db)) == NULL))
		return broken(t, "is damaged");
	if (found == 0)
		return TABLE_NONE;
	*value = slice_mem(p, cdb_datalen(&t->db));
	return TABLE_FOUND;
}

uint64_t
table_generation(struct table *t)
{
	return refresh(t) == TABLE_FOUND ? t->generation : 0;
}

enum table_result
table_each(struct table *t,
    bool (*fn)(void *arg, struct slice key, struct slice value), void *arg)
{
	enum table_result r = refresh(t);
	const void *key, *value;
	unsigned at;
	int more;

	if (r != TABLE_FOUND)
		return r;
	cdb_seqinit(&at, &t->db);
	while ((more = cdb_seqnext(&at, &t->db)) > 0) {
		key = cdb_getkey(&t->db);
		value = cdb_getdata(&t->db);
		if (key == NULL || value == NULL)
			return broken(t, "is damaged");
		if (cdb_keylen(&t->db) == 0)
			continue; /* the format */
		if (!fn(arg, slice_mem(key, cdb_keylen(&t->db)),
		    slice_mem(value, cdb_datalen(&t->db))))
			break;
	}
	return more < 0 ? broken(t, "is damaged") : TABLE_FOUND;
}

/* ---- writing ---- */

struct writer {
	struct cdb_make make;
	const char *shown;
	struct buf *errors;
	bool doubled; /* a key stands there twice */
	int error;    /* errno of the first failed write */
};

static bool
write_entry(void *arg, const struct table_entry *e)
{
	struct writer *w = arg;
	int r;

	r = cdb_make_exists(&w->make, e->key.p, (unsigned)e->key.len);
	if (r > 0) {
		table_complain(w->errors, w->shown, e->line, "%.*s: stands "
		    "here for the second time; remove one of them",
		    SLICE_FMT(e->key));
		w->doubled = true;
		return true;
	}
	if (r < 0 || cdb_make_add(&w->make, e->key.p, (unsigned)e->key.len,
	    e->value.p, (unsigned)e->value.len) != 0) {
		w->error = errno;
		return false;
	}
	return true;
}

bool
table_write(int fd, enum table_kind kind, struct slice text,
    const char *shown, struct buf *errors)
{
	struct writer w = {.shown = shown, .errors = errors};
	struct buf format = BUF_INIT(64);
	bool good;

	buf_adds(&format, FORMAT);
	buf_adds(&format, table_name(kind));
	if (cdb_make_start(&w.make, fd) != 0 ||
	    cdb_make_add(&w.make, "", 0, format.s,
	    (unsigned)format.len) != 0)
		w.error = errno;
	good = w.error == 0 && table_text_each(kind, text, shown, errors,
	    write_entry, &w);
	/* Always, because it gives the memory back. */
	if (cdb_make_finish(&w.make) != 0 && w.error == 0)
		w.error = errno;
	if (w.error != 0)
		table_complain(errors, shown, 0, "cannot be compiled: %s; the "
		    "table in force stays", strerror(w.error));
	buf_free(&format);
	return good && !w.doubled && w.error == 0;
}
