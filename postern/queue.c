/*
 * Finding messages in the queue.  Runs as user_queue; file names are ours,
 * what is in the files came from strangers.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/sys/sandbox.h"
#include "common/sys/user.h"
#include "postern/match.h"
#include "postern/out.h"
#include "postern/queue.h"

static int
open_failed(const struct postern *p, const char *what)
{
	int error = errno;

	out_error("%s%s%s: %s; %s", p->conf.queue_dir, what[0] != '\0' ? "/"
	    : "", what, strerror(error), error == EACCES
	    ? "run this as root or as user_queue"
	    : "`postern setup` makes it");
	return error == EACCES || error == ENOENT ? EXIT_PERMANENT
	    : EXIT_TEMPORARY;
}

int
queue_open(struct postern *p, struct queue *q)
{
	struct sys_user user;
	int i;

	if (!command_conf(p))
		return EXIT_PERMANENT;
	q->p = p;
	q->now_ms = clock_real_ms();
	for (i = 0; i < QDIR_COUNT; i++)
		q->dirs[i] = -1;
	if (geteuid() == 0) {
		user = user_need("user_queue", p->conf.user_queue);
		sandbox_become(user.uid, user.gid);
	}
	q->dirfd = open(p->conf.queue_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q->dirfd < 0)
		return open_failed(p, "");
	for (i = 0; i < QDIR_COUNT; i++) {
		q->dirs[i] = openat(q->dirfd, qdir_names[i],
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (q->dirs[i] < 0) {
			i = open_failed(p, qdir_names[i]);
			queue_close(q);
			return i;
		}
	}
	return 0;
}

void
queue_close(struct queue *q)
{
	int i;

	for (i = 0; i < QDIR_COUNT; i++)
		if (q->dirs[i] >= 0)
			close(q->dirs[i]);
	close(q->dirfd);
}

static bool
parse_age(const char *name, const char *text, int64_t *ms)
{
	uint64_t n = 0;

	if (text != NULL &&
	    !num_time_ms(slice_of(text), 0, UINT64_C(1) << 50, &n)) {
		out_error("--%s %s: no time; like 90s, 10m, 2h, 3d", name,
		    text);
		return false;
	}
	*ms = (int64_t)n;
	return true;
}

int
queue_filter_parse(struct queue_filter *f)
{
	f->dir = -1;
	if (f->state != NULL) {
		for (f->dir = 0; f->dir < QDIR_COUNT; f->dir++)
			if (strcmp(f->state, qdir_names[f->dir]) == 0)
				break;
		if (f->dir == QDIR_COUNT) {
			out_error("--state %s: there are incoming, deferred, "
			    "hold and corrupt", f->state);
			return EXIT_PERMANENT;
		}
	}
	if (f->older == NULL)
		f->older = f->age; /* its name in release 0.1 */
	f->most = UINT64_MAX;
	if (f->limit != NULL && !num_u64(slice_of(f->limit), 1, UINT32_MAX,
	    &f->most)) {
		out_error("--limit %s: no number", f->limit);
		return EXIT_PERMANENT;
	}
	return parse_age("older", f->older, &f->older_ms) &&
	    parse_age("newer", f->newer, &f->newer_ms) ? 0 : EXIT_PERMANENT;
}

bool
queue_filter_given(const struct queue_filter *f)
{
	return f->state != NULL || f->sender != NULL || f->recipient != NULL ||
	    f->dest != NULL || f->older != NULL || f->age != NULL ||
	    f->newer != NULL || f->limit != NULL;
}

/* By id, that is by age; then by directory. */
static int
by_id(const void *a, const void *b)
{
	const struct queue_item *x = a, *y = b;
	int c = strcmp(x->id.s, y->id.s);

	return c != 0 ? c : (int)x->dir - (int)y->dir;
}

static int
scan_dir(struct queue *q, enum qdir dir, struct queue_items *items)
{
	int fd = openat(q->dirs[dir], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct queue_item item = {.dir = dir};
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return open_failed(q->p, qdir_names[dir]);
	}
	while ((e = readdir(d)) != NULL)
		if (id_parse(slice_of(e->d_name), &item.id))
			MEM_PUSH(items->v, items->n, items->cap, item);
	closedir(d);
	return 0;
}

/* A message that moved on while the directories were read stands there twice;
 * the later place is the true one. */
static void
drop_doubles(struct queue_items *items)
{
	size_t i, kept = 0;

	for (i = 0; i < items->n; i++) {
		if (kept > 0 && strcmp(items->v[kept - 1].id.s,
		    items->v[i].id.s) == 0)
			kept--;
		items->v[kept++] = items->v[i];
	}
	items->n = kept;
}

int
queue_scan(struct queue *q, struct queue_items *items)
{
	int i, code = 0;

	*items = (struct queue_items){.v = NULL};
	for (i = 0; i < QDIR_COUNT && code == 0; i++)
		code = scan_dir(q, (enum qdir)i, items);
	if (items->n > 0) {
		qsort(items->v, items->n, sizeof(*items->v), by_id);
		drop_doubles(items);
	}
	return code;
}

/* A whole id needs no look at the others.  From the last place to the first:
 * messages move that way. */
static bool
find_whole(struct queue *q, const char *text, struct queue_item *item)
{
	struct stat st;
	int i;

	if (!id_parse(slice_of(text), &item->id))
		return false;
	for (i = QDIR_COUNT - 1; i >= 0; i--) {
		item->dir = (enum qdir)i;
		if (fstatat(q->dirs[i], text, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

static int
find_start(struct queue *q, const char *text, struct queue_item *item)
{
	struct queue_items items;
	size_t i, found = 0, len = strlen(text);
	int code = queue_scan(q, &items);

	for (i = 0; i < items.n; i++)
		if (strncmp(items.v[i].id.s, text, len) == 0 && found++ == 0)
			*item = items.v[i];
	free(items.v);
	if (code != 0)
		return code;
	if (found == 1 && len > 0)
		return 0;
	if (found == 0)
		out_error("%s: no such message in the queue", text);
	else
		out_error("%s: %zu messages start so; give more of the id",
		    text, found);
	return EXIT_PERMANENT;
}

int
queue_find(struct queue *q, const char *text, struct queue_item *item)
{
	return find_whole(q, text, item) ? 0 : find_start(q, text, item);
}

struct qfile *
queue_read(struct queue *q, const struct queue_item *item, bool verify,
    char why[STATUS_TEXT_MAX], bool *gone)
{
	struct qfile *file = NULL;
	enum qfile_result r;

	*gone = false;
	why[0] = '\0';
	r = qfile_open(q->dirs[item->dir], item->id.s, false, verify, &file,
	    why);
	switch (r) {
	case QFILE_OK:
		return file;
	case QFILE_ERROR:
		*gone = errno == ENOENT;
		snprintf(why, STATUS_TEXT_MAX, "cannot be read: %s",
		    strerror(errno));
		break;
	case QFILE_NEWER:
	case QFILE_CORRUPT:
		break;
	}
	return NULL;
}

/* Goes there as far as the file tells: by its domain, or because the last
 * attempt went to that host. */
static bool
goes_to(const struct qrcpt *r, struct slice dest)
{
	struct slice domain = r->address;
	size_t at = domain.len;

	if (!queue_is_open(r))
		return false;
	while (at > 0 && domain.p[at - 1] != '@')
		at--;
	domain = at > 0 ? slice_sub(domain, at, domain.len) : SLICE_EMPTY;
	return match_pattern(domain, dest) ||
	    (r->host.len > 0 && match_pattern(r->host, dest));
}

/* "<>" or nothing is the empty sender. */
static bool
is_from(struct slice from, struct slice text)
{
	if (text.len == 0 || slice_eq(text, SLICE("<>")))
		return from.len == 0;
	return match_part(from, text);
}

bool
queue_may_match(const struct queue *q, const struct queue_filter *f,
    const struct queue_item *item)
{
	int64_t age_ms = q->now_ms - id_time_ms(&item->id);

	return (f->dir < 0 || f->dir == (int)item->dir) &&
	    (f->older == NULL || age_ms >= f->older_ms) &&
	    (f->newer == NULL || age_ms <= f->newer_ms);
}

bool
queue_matches(const struct queue_filter *f, struct qfile *file)
{
	bool recipient = f->recipient == NULL, dest = f->dest == NULL;
	size_t i;

	if (file == NULL)
		return recipient && dest && f->sender == NULL;
	if (f->sender != NULL && !is_from(qfile_env(file)->from,
	    slice_of(f->sender)))
		return false;
	for (i = 0; !(recipient && dest) && i < qfile_nrcpts(file); i++) {
		const struct qrcpt *r = qfile_rcpt(file, i);

		recipient |= f->recipient != NULL &&
		    match_part(r->address, slice_of(f->recipient));
		dest |= f->dest != NULL && goes_to(r, slice_of(f->dest));
	}
	return recipient && dest;
}

bool
queue_is_open(const struct qrcpt *r)
{
	return r->state == QSTATE_TODO || r->state == QSTATE_FAILED ||
	    r->state == QSTATE_SUCCESS;
}

const char *
queue_state_name(char state)
{
	switch ((enum qstate)state) {
	case QSTATE_TODO:
		return "todo";
	case QSTATE_DONE:
		return "done";
	case QSTATE_FAILED:
		return "failed";
	case QSTATE_BOUNCED:
		return "bounced";
	case QSTATE_SUCCESS:
		return "delivered, notice owed";
	case QSTATE_EXPANDED:
		return "expanded";
	case QSTATE_CANCELLED:
		return "cancelled";
	}
	return "unknown";
}

int64_t
queue_next(struct qfile *file)
{
	int64_t next = -1;
	size_t i;

	for (i = 0; i < qfile_nrcpts(file); i++) {
		const struct qrcpt *r = qfile_rcpt(file, i);

		if (r->state == QSTATE_TODO && (next < 0 || r->next_ms < next))
			next = r->next_ms;
	}
	return next;
}
