/*
 * System users, in authd.  The C library's look-ups would open name services
 * inside the cage; here it is one file, read as a whole when it is new, and
 * kept sorted by name.  The file is the administrator's.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "authd/system.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"

#define PASSWD_MAX ((size_t)64 * 1024 * 1024)
#define NOBODY 65534
#define COMPLAIN_MS 60000

struct entry {
	struct slice name, folded, home;
	uid_t uid;
	gid_t gid;
};

struct system_users {
	int etc_fd; /* the caller's */
	uid_t uid_min;
	struct buf text; /* the file, then the folded names */
	struct buf folded;
	struct entry *v;
	size_t n, cap;
	struct stat seen;
	bool loaded;
	int64_t looked_ms, complained_ms;
};

struct system_users *
system_new(int etc_fd, uid_t uid_min)
{
	struct system_users *s = mem_alloc(sizeof(*s));

	s->etc_fd = etc_fd;
	s->uid_min = uid_min;
	buf_init(&s->text, PASSWD_MAX);
	buf_init(&s->folded, PASSWD_MAX);
	s->looked_ms = s->complained_ms = -COMPLAIN_MS;
	return s;
}

void
system_free(struct system_users **sp)
{
	struct system_users *s = *sp;

	if (s == NULL)
		return;
	buf_free(&s->text);
	buf_free(&s->folded);
	free(s->v);
	free(s);
	*sp = NULL;
}

/* name:x:uid:gid:gecos:home:shell */
static bool
split_entry(struct slice line, struct slice field[6], uint32_t *uid)
{
	for (size_t i = 0; i < 6; i++)
		if (!slice_cut(&line, ':', &field[i]))
			return false;
	return field[0].len > 0 && num_u32(field[2], 0, UINT32_MAX - 1, uid);
}

/* Nobody reads the mail of services: their homes are no homes. */
static bool
has_home(struct slice home)
{
	return home.len > 1 && home.p[0] == '/' &&
	    !slice_eq(home, SLICE("/nonexistent"));
}

static bool
parse_entry(struct slice line, uid_t uid_min, struct entry *out)
{
	struct slice field[6];
	uint32_t uid, gid;

	if (!split_entry(line, field, &uid) ||
	    !num_u32(field[3], 0, UINT32_MAX - 1, &gid))
		return false;
	if (uid < uid_min || uid == NOBODY || !has_home(field[5]))
		return false;
	*out = (struct entry){.name = field[0], .home = field[5], .uid = uid,
	    .gid = gid};
	return true;
}

static int
by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct entry *)a)->folded,
	    ((const struct entry *)b)->folded);
}

static bool
read_whole(int fd, struct buf *out)
{
	ssize_t n;
	char *p;

	buf_reset(out);
	while ((p = buf_room(out, 65536)) != NULL) {
		n = read(fd, p, 65536);
		if (n <= 0)
			return n == 0;
		buf_wrote(out, (size_t)n);
	}
	errno = EFBIG;
	return false;
}

static void
parse_all(struct system_users *s)
{
	struct slice rest = buf_slice(&s->text), line;
	struct entry e;
	size_t i, at = 0;

	s->n = 0;
	while (slice_cut(&rest, '\n', &line))
		if (parse_entry(line, s->uid_min, &e))
			MEM_PUSH(s->v, s->n, s->cap, e);
	buf_reset(&s->folded);
	for (i = 0; i < s->n; i++)
		buf_addslice(&s->folded, s->v[i].name);
	for (i = 0; i < s->folded.len; i++)
		if (s->folded.s[i] >= 'A' && s->folded.s[i] <= 'Z')
			s->folded.s[i] |= 0x20;
	for (i = 0; i < s->n; i++) {
		s->v[i].folded = slice_mem(s->folded.s + at,
		    s->v[i].name.len);
		at += s->v[i].name.len;
	}
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), by_name);
}

static bool
load(struct system_users *s)
{
	int fd = openat(s->etc_fd, "passwd", O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = fstat(fd, &s->seen) == 0 && read_whole(fd, &s->text);
	close(fd);
	s->loaded = ok;
	if (ok)
		parse_all(s);
	return ok;
}

static bool
changed(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino || a->st_dev != b->st_dev ||
	    a->st_size != b->st_size ||
	    a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	    a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

/* The newest file; false: it cannot be read. */
static bool
refresh(struct system_users *s, int64_t check_ms)
{
	int64_t now = clock_mono_ms();
	struct stat st;

	if (s->loaded && now - s->looked_ms < check_ms)
		return true;
	s->looked_ms = now;
	if (s->loaded && fstatat(s->etc_fd, "passwd", &st, 0) == 0 &&
	    !changed(&st, &s->seen))
		return true;
	if (load(s))
		return true;
	if (now - s->complained_ms >= COMPLAIN_MS) {
		s->complained_ms = now;
		log_warn("/etc/passwd cannot be read, mail for system users "
		    "waits; make it readable for user_auth");
	}
	return false;
}

enum directory_result
system_find(struct system_users *s, struct slice name, int64_t check_ms,
    struct system_user *out)
{
	struct entry key = {.folded = name};
	const struct entry *e;

	if (!refresh(s, check_ms))
		return DIRECTORY_ERROR;
	if (s->n == 0)
		return DIRECTORY_NONE;
	e = bsearch(&key, s->v, s->n, sizeof(*s->v), by_name);
	if (e == NULL)
		return DIRECTORY_NONE;
	*out = (struct system_user){e->name, e->uid, e->gid, e->home};
	return DIRECTORY_FOUND;
}

enum directory_result
system_name(struct system_users *s, uid_t uid, int64_t check_ms,
    struct slice *name, struct slice *gecos)
{
	struct slice rest, line, field[6];
	uint32_t has;

	if (!refresh(s, check_ms))
		return DIRECTORY_ERROR;
	rest = buf_slice(&s->text);
	while (slice_cut(&rest, '\n', &line))
		if (split_entry(line, field, &has) && has == uid) {
			*name = field[0];
			*gecos = field[4];
			return DIRECTORY_FOUND;
		}
	return DIRECTORY_NONE;
}
