/* `postern check`: directories, their owners and modes, and room on the
 * disks. */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/mail/qfile.h"
#include "common/proto/sockets.h"
#include "common/sys/stats.h"
#include "postern/check.h"

#define PATH_SIZE 4200
#define DROP_OLD_S 600u /* a file in drop_dir that somebody should look after */

static const char setup_mends[] = "`postern setup` mends it";

struct want {
	const char *key;
	const char *path;
	const struct sys_user *owner; /* NULL: root, or the one user */
	mode_t never;                 /* bits that must not be set */
	mode_t always;                /* bits that must be */
};

/* False: there is no directory to look further at. */
static bool
check_dir(struct check *c, const struct want *w)
{
	uid_t owner = w->owner != NULL && c->root ? w->owner->uid : geteuid();
	struct stat st;

	if (stat(w->path, &st) != 0) {
		check_finding(c, CHECK_ERROR, errno == ENOENT
		    ? "`postern setup` makes it" : "run this as root",
		    "%s %s: %s", w->key, w->path, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		check_finding(c, CHECK_ERROR, "move it away",
		    "%s %s: is no directory", w->key, w->path);
		return false;
	}
	if (st.st_uid != owner && (c->users_known || !c->root))
		check_finding(c, CHECK_ERROR, setup_mends,
		    "%s %s: belongs to uid %u, not to uid %u", w->key,
		    w->path, (unsigned)st.st_uid, (unsigned)owner);
	if ((st.st_mode & w->never) != 0)
		check_finding(c, CHECK_ERROR, setup_mends,
		    "%s %s: mode %04o lets others do too much", w->key,
		    w->path, (unsigned)(st.st_mode & 07777));
	if ((st.st_mode & w->always) != w->always)
		check_finding(c, CHECK_ERROR, setup_mends,
		    "%s %s: mode %04o is too narrow", w->key, w->path,
		    (unsigned)(st.st_mode & 07777));
	return true;
}

static void
check_run_dir(struct check *c)
{
	struct want run = {"run_dir", c->p->conf.run_dir, NULL, 02, 02710};
	struct want empty = {"run_dir", NULL, NULL, 0222, 0};
	struct want stats = {"run_dir", NULL, NULL, 027, 0700};
	char path[PATH_SIZE];

	if (!c->root)
		run.always = 0700;
	if (!check_dir(c, &run))
		return;
	snprintf(path, sizeof(path), "%s/%s", c->p->conf.run_dir, RUN_EMPTY);
	empty.path = path;
	check_dir(c, &empty);
	snprintf(path, sizeof(path), "%s/%s", c->p->conf.run_dir, STATS_DIR);
	stats.path = path;
	check_dir(c, &stats);
}

static void
check_queue(struct check *c)
{
	struct want w = {"queue_dir", c->p->conf.queue_dir, &c->queue, 077,
	    0700};
	struct stat top, sub;
	char path[PATH_SIZE];
	int i;

	if (!check_dir(c, &w) || stat(w.path, &top) != 0)
		return;
	for (i = 0; i < QDIR_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s", c->p->conf.queue_dir,
		    qdir_names[i]);
		w.path = path;
		if (check_dir(c, &w) && stat(path, &sub) == 0 &&
		    sub.st_dev != top.st_dev)
			check_finding(c, CHECK_ERROR, "put them on one file "
			    "system: messages are renamed between them",
			    "%s: is another file system than %s", path,
			    c->p->conf.queue_dir);
	}
}

/* Messages that wait for somebody to look at them. */
static void
check_corrupt(struct check *c)
{
	char path[PATH_SIZE];
	struct dirent *e;
	struct mail_id id;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", c->p->conf.queue_dir,
	    qdir_names[QDIR_CORRUPT]);
	d = opendir(path);
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		n += id_parse(slice_of(e->d_name), &id);
	closedir(d);
	if (n > 0)
		check_finding(c, CHECK_WARNING, "see `postern queue list "
		    "--state corrupt` and postern-queue(5)",
		    "%s: %u message%s did not verify", path, n,
		    n == 1 ? "" : "s");
}

/* What pickup has set aside, and what it should have taken by now. */
static void
count_drop(struct check *c, const char *dir)
{
	unsigned bad = 0, old = 0;
	struct mail_id id;
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		bad += slice_prefix(slice_of(e->d_name), SLICE("bad."));
		if (id_parse(slice_of(e->d_name), &id) &&
		    fstatat(dirfd(d), e->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0)
			old += st.st_ctime < time(NULL) - DROP_OLD_S;
	}
	closedir(d);
	if (bad > 0)
		check_finding(c, CHECK_WARNING, "look at them (the log of "
		    "pickup says what is wrong) and remove them",
		    "drop_dir %s: %u file%s that %s no mail", dir, bad,
		    bad == 1 ? "" : "s", bad == 1 ? "is" : "are");
	if (old > 0)
		check_finding(c, CHECK_WARNING, "see whether pickup runs, and "
		    "its log", "drop_dir %s: %u file%s not taken for %u "
		    "minutes", dir, old, old == 1 ? "" : "s",
		    DROP_OLD_S / 60);
}

static void
check_drop(struct check *c)
{
	struct want w = {"drop_dir", c->p->conf.drop_dir, &c->queue, 0044,
	    03733};

	if (check_dir(c, &w))
		count_drop(c, w.path);
}

/* Users of this host must get at the socket, and must not replace it. */
static void
check_submit(struct check *c)
{
	const char *path = c->p->conf.submit_socket;
	const char *slash = strrchr(path, '/');
	char dir[PATH_SIZE];
	struct want w = {"submit_socket", dir, NULL, 022, 0111};

	if (path[0] == '\0' || slash == NULL || slash == path)
		return;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	check_dir(c, &w);
}

static void
check_room(struct check *c, const char *key, const char *path,
    uint64_t reserve, uint64_t inodes)
{
	char is[OUT_SIZE_SIZE], want[OUT_SIZE_SIZE];
	struct statvfs v;
	uint64_t octets;

	if (statvfs(path, &v) != 0)
		return;
	octets = (uint64_t)v.f_bavail * v.f_frsize;
	if (octets < reserve) {
		out_size(octets, is);
		out_size(reserve, want);
		check_finding(c, CHECK_ERROR, "make room, or lower "
		    "queue_reserve", "%s %s: %s octets free, less than the "
		    "reserve of %s: mail is refused for now", key, path, is,
		    want);
	}
	/* Some file systems have no fixed number of inodes and say 0. */
	if (v.f_files != 0 && v.f_favail < inodes)
		check_finding(c, CHECK_ERROR, "remove files, or lower "
		    "queue_reserve_inodes", "%s %s: %" PRIu64 " inodes free, "
		    "less than the reserve of %" PRIu64, key, path,
		    (uint64_t)v.f_favail, inodes);
	if ((v.f_flag & ST_RDONLY) != 0)
		check_finding(c, CHECK_ERROR, "mount it for writing",
		    "%s %s: is mounted read-only", key, path);
}

static void
check_lists(struct check *c)
{
	const struct conf_list *dirs = &c->p->conf.include_dirs;
	struct stat st;
	size_t i;

	for (i = 0; i < dirs->n; i++)
		if (stat(dirs->v[i], &st) == 0 && (st.st_mode & 02) != 0)
			check_finding(c, CHECK_ERROR, "chmod o-w it",
			    "include_dirs %s: everybody may write there",
			    dirs->v[i]);
}

void
check_places(struct check *c)
{
	const struct conf *conf = &c->p->conf;
	struct want tables = {"table_dir", conf->table_dir, NULL, 022, 0};
	struct want mail = {"mail_root", conf->mail_root, &c->virtual_user,
	    022, 0700};

	check_run_dir(c);
	check_queue(c);
	check_corrupt(c);
	check_drop(c);
	check_submit(c);
	check_dir(c, &tables);
	if (check_dir(c, &mail))
		check_room(c, "mail_root", conf->mail_root, 0, 0);
	check_room(c, "queue_dir", conf->queue_dir, conf->queue_reserve,
	    conf->queue_reserve_inodes);
	check_room(c, "drop_dir", conf->drop_dir, conf->queue_reserve, 0);
	check_lists(c);
}
