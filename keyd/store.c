/*
 * The certificates of tls_dir by name.  Runs in keyd's workers.  Names are what
 * clients of the network say; the files are the admin's, and may change at any
 * moment, one of a pair before the other.
 *
 * A pair that does not fit, or cannot be read, never takes the place of one that
 * served: the old one goes on, and the log says what mends it.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "keyd/counters.h"
#include "keyd/store.h"

#define BUCKETS 1024

struct file {
	struct pair_mark marks[2]; /* of certificate and key, as read last */
	struct pair *pair;         /* the last good one, or NULL */
};

struct folder {
	char name[KEY_NAME_MAX + 1];
	size_t len;
	int64_t checked_ms;
	struct file files[STORE_FILES];
	char why[PAIR_WHY_SIZE];      /* of a first load that failed */
	struct folder *next;          /* in its bucket */
	struct folder *older, *newer; /* by use */
};

struct store {
	int dirfd;
	size_t max, n;
	int64_t check_ms;
	struct folder *buckets[BUCKETS];
	struct folder *oldest, *newest;
	char why[PAIR_WHY_SIZE];
};

const char *const store_files[STORE_FILES][2] = {
	{"cert.pem", "key.pem"},
	{"cert-ecdsa.pem", "key-ecdsa.pem"},
	{"cert-rsa.pem", "key-rsa.pem"},
	{"cert-ed25519.pem", "key-ed25519.pem"},
};

/* ---- names ---- */

bool
store_name_valid(struct slice name)
{
	size_t i;
	char c, before = '.';

	if (slice_prefix(name, SLICE("*.")))
		name = slice_sub(name, 2, name.len);
	if (name.len == 0 || name.len > KEY_NAME_MAX - 2)
		return false;
	for (i = 0; i < name.len; before = name.p[i++]) {
		c = name.p[i];
		if (c == '.' ? before == '.' : !((c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return before != '.';
}

/* As folders are named: lower case, without the last dot. */
static struct slice
normal_name(struct slice name, char out[KEY_NAME_MAX + 1])
{
	size_t i;

	name = slice_sub(name, 0, KEY_NAME_MAX);
	for (i = 0; i < name.len; i++)
		out[i] = name.p[i] >= 'A' && name.p[i] <= 'Z'
		    ? (char)(name.p[i] + ('a' - 'A')) : name.p[i];
	if (i > 0 && out[i - 1] == '.')
		i--;
	return slice_mem(out, i);
}

/* ---- folders in memory ---- */

static size_t
bucket_of(struct slice name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.p[i]) * 16777619u;
	return h % BUCKETS;
}

static void
unlink_use(struct store *s, struct folder *f)
{
	if (f->older != NULL)
		f->older->newer = f->newer;
	else
		s->oldest = f->newer;
	if (f->newer != NULL)
		f->newer->older = f->older;
	else
		s->newest = f->older;
}

static void
link_newest(struct store *s, struct folder *f)
{
	f->older = s->newest;
	f->newer = NULL;
	if (s->newest != NULL)
		s->newest->newer = f;
	else
		s->oldest = f;
	s->newest = f;
}

static void
forget(struct store *s, struct folder *f)
{
	struct folder **at = &s->buckets[bucket_of(slice_mem(f->name,
	    f->len))];

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	unlink_use(s, f);
	for (size_t i = 0; i < STORE_FILES; i++)
		pair_unref(&f->files[i].pair);
	free(f);
	s->n--;
}

static struct folder *
held(const struct store *s, struct slice name)
{
	struct folder *f = s->buckets[bucket_of(name)];

	while (f != NULL && !slice_eq(name, slice_mem(f->name, f->len)))
		f = f->next;
	return f;
}

static struct folder *
add(struct store *s, struct slice name)
{
	struct folder *f = mem_alloc(sizeof(*f));
	struct folder **bucket = &s->buckets[bucket_of(name)];

	while (s->n >= s->max)
		forget(s, s->oldest);
	memcpy(f->name, name.p, name.len);
	f->len = name.len;
	f->next = *bucket;
	*bucket = f;
	link_newest(s, f);
	s->n++;
	return f;
}

/* ---- files ---- */

/* Has one of these two become another file? */
static bool
changed(const struct store *s, const struct folder *f, size_t i)
{
	char path[KEY_NAME_MAX + 32];
	struct pair_mark mark;
	struct stat st;

	for (size_t k = 0; k < 2; k++) {
		mark = (struct pair_mark){0};
		snprintf(path, sizeof(path), "%s/%s", f->name,
		    store_files[i][k]);
		if (fstatat(s->dirfd, path, &st, 0) == 0)
			mark = pair_mark_of(&st);
		if (!pair_mark_eq(&mark, &f->files[i].marks[k]))
			return true;
	}
	return false;
}

static void
complain(struct folder *f, const struct file *file, const char *why)
{
	snprintf(f->why, sizeof(f->why), "%s", why);
	stats_add(COUNT_BAD_FILES, 1);
	LOG_WARN("certificate-unusable", LS("folder", f->name),
	    LS("why", why), LS("served", file->pair != NULL
	    ? "the one before" : "none"));
}

static void
load(struct folder *f, int dirfd, size_t i)
{
	struct file *file = &f->files[i];
	struct pair *p = NULL;
	char why[PAIR_WHY_SIZE];

	switch (pair_load(dirfd, store_files[i][0], store_files[i][1],
	    file->marks, &p, why)) {
	case PAIR_OK:
		if (file->pair != NULL)
			LOG_INFO("certificate-renewed", LS("folder", f->name),
			    LS("file", store_files[i][0]),
			    LI("not-after", pair_not_after(p)));
		pair_unref(&file->pair);
		file->pair = p;
		f->why[0] = '\0';
		stats_add(COUNT_LOADED, 1);
		break;
	case PAIR_ABSENT:
		pair_unref(&file->pair);
		break;
	case PAIR_BAD:
		complain(f, file, why);
		break;
	}
}

/* Reads what is new, all of it through one descriptor: a folder that is
 * replaced as a whole is seen as a whole.  False: the folder is gone. */
static bool
refresh(struct store *s, struct folder *f)
{
	bool stale[STORE_FILES], any = false;
	int dirfd;

	for (size_t i = 0; i < STORE_FILES; i++) {
		stale[i] = changed(s, f, i);
		any = any || stale[i];
	}
	if (!any)
		return true;
	dirfd = openat(s->dirfd, f->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return false;
		snprintf(f->why, sizeof(f->why), "%s: %s", f->name,
		    strerror(errno));
		return true;
	}
	for (size_t i = 0; i < STORE_FILES; i++)
		if (stale[i])
			load(f, dirfd, i);
	close(dirfd);
	return true;
}

static bool
exists(const struct store *s, const char *name)
{
	struct stat st;

	return fstatat(s->dirfd, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* The folder as it is now, or NULL. */
static struct folder *
look(struct store *s, struct slice name, int64_t now_ms)
{
	struct folder *f = held(s, name);
	char path[KEY_NAME_MAX + 1];

	if (f == NULL) {
		memcpy(path, name.p, name.len);
		path[name.len] = '\0';
		if (!exists(s, path))
			return NULL;
		f = add(s, name);
		f->checked_ms = now_ms - s->check_ms;
	}
	if (now_ms - f->checked_ms >= s->check_ms) {
		f->checked_ms = now_ms;
		if (!refresh(s, f)) {
			forget(s, f);
			return NULL;
		}
	}
	if (s->newest != f) {
		unlink_use(s, f);
		link_newest(s, f);
	}
	return f;
}

/* ---- answers ---- */

/* One of each algorithm, the first file's. */
static bool
collect(const struct folder *f, struct store_found *out)
{
	size_t i, k;

	out->n = 0;
	for (i = 0; i < STORE_FILES; i++) {
		struct pair *p = f->files[i].pair;

		for (k = 0; p != NULL && k < out->n; k++)
			if (pair_algorithm(out->v[k]) == pair_algorithm(p))
				p = NULL;
		if (p != NULL && out->n < KEY_ROWS_MAX)
			out->v[out->n++] = p;
	}
	out->folder = slice_mem(f->name, f->len);
	return out->n > 0;
}

static bool
try(struct store *s, struct slice name, int64_t now_ms,
    struct store_found *out, bool *broken)
{
	struct folder *f;

	if (!store_name_valid(name))
		return false;
	f = look(s, name, now_ms);
	if (f == NULL)
		return false;
	if (collect(f, out))
		return true;
	/* It says more than that a folder is missing. */
	if (f->why[0] != '\0') {
		memcpy(s->why, f->why, sizeof(s->why));
		*broken = true;
	}
	return false;
}

enum key_result
store_find(struct store *s, struct slice name, int64_t now_ms,
    struct store_found *out, const char **why)
{
	char lower[KEY_NAME_MAX + 1], wild[KEY_NAME_MAX + 2];
	struct slice n = normal_name(name, lower);
	size_t dot = slice_find(n, '.', 0);
	bool broken = false;

	if (n.len > 0 && n.p[0] != '*' && try(s, n, now_ms, out, &broken))
		return KEY_OK;
	if (n.len > 0 && dot < n.len) {
		/* RFC 6125 6.4.3: for one label */
		wild[0] = '*';
		memcpy(wild + 1, n.p + dot, n.len - dot);
		if (try(s, slice_mem(wild, n.len - dot + 1), now_ms, out,
		    &broken))
			return KEY_OK;
	}
	if (try(s, SLICE(STORE_DEFAULT), now_ms, out, &broken))
		return KEY_OK;
	*why = broken ? s->why : "tls_dir has no folder for this name, and "
	    "no \"" STORE_DEFAULT "\" with cert.pem and key.pem";
	return broken ? KEY_TEMP : KEY_NONE;
}

struct store *
store_new(int dirfd, size_t max, int64_t check_ms)
{
	struct store *s = mem_alloc(sizeof(*s));

	s->dirfd = dirfd;
	s->max = max;
	s->check_ms = check_ms;
	return s;
}

void
store_free(struct store **sp)
{
	struct store *s = *sp;

	if (s == NULL)
		return;
	while (s->oldest != NULL)
		forget(s, s->oldest);
	free(s);
	*sp = NULL;
}

size_t
store_count(const struct store *s)
{
	return s->n;
}
