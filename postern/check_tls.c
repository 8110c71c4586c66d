/*
 * `postern check`: keys and certificates of TLS.  Who may read the keys, from
 * the files; and, when keyd runs, what it says of each folder: whether key and
 * certificate go together, and until when.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/chan.h"
#include "common/proto/keylist.h"
#include "common/proto/sockets.h"
#include "postern/check.h"

#define PATH_SIZE 4200
#define WAIT_MS 10000

/* One key's file: the owner alone may read it. */
static void
check_key(struct check *c, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	if ((st.st_mode & 077) != 0)
		check_finding(c, CHECK_ERROR, "chmod 600 it; if others could "
		    "read it, get a certificate with another key",
		    "%s: mode %04o: more than keyd may read the key", path,
		    (unsigned)(st.st_mode & 07777));
	if (c->root && c->users_known && st.st_uid != c->key.uid)
		check_finding(c, CHECK_ERROR, "chown it to user_key",
		    "%s: belongs to uid %u: keyd cannot read it", path,
		    (unsigned)st.st_uid);
}

static void
check_folder(struct check *c, const char *dir, const char *folder)
{
	char path[PATH_SIZE];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, folder);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name);

		if (strncmp(e->d_name, "key", 3) != 0 || n < 7 ||
		    strcmp(e->d_name + n - 4, ".pem") != 0)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s/%s", dir, folder,
		    e->d_name) < (int)sizeof(path))
			check_key(c, path);
	}
	if (d != NULL)
		closedir(d);
}

/* How many folders there are. */
static size_t
check_files(struct check *c)
{
	const char *dir = c->p->conf.tls_dir;
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0;

	if (d == NULL) {
		check_finding(c, CHECK_ERROR, "`postern setup` makes it",
		    "tls_dir %s: %s", dir, strerror(errno));
		return 0;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || e->d_type == DT_REG)
			continue;
		check_folder(c, dir, e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static void
judge(struct check *c, const struct keylist_row *row)
{
	const char *dir = c->p->conf.tls_dir;
	int64_t now = clock_real_ms() / 1000;
	int64_t left = (int64_t)row->not_after - now;

	if (row->why.len > 0)
		check_finding(c, CHECK_ERROR, "", "%s/%.*s: %.*s", dir,
		    SLICE_FMT(row->folder), SLICE_FMT(row->why));
	else if (left <= 0)
		check_finding(c, CHECK_ERROR, "renew it", "%s/%.*s: the "
		    "certificate ended %lld days ago", dir,
		    SLICE_FMT(row->folder), (long long)(-left / 86400));
	else if ((int64_t)row->not_before > now)
		check_finding(c, CHECK_ERROR, "look at the clock", "%s/%.*s: "
		    "the certificate does not hold yet", dir,
		    SLICE_FMT(row->folder));
	else if (left < (int64_t)(c->p->conf.tls_expiry_warning_ms / 1000))
		check_finding(c, CHECK_WARNING, "renew it", "%s/%.*s: the "
		    "certificate ends in %lld days", dir,
		    SLICE_FMT(row->folder), (long long)(left / 86400));
}

/* Everything keyd has; false: it does not answer. */
static bool
check_list(struct check *c)
{
	char path[PATH_SIZE];
	struct keylist_more more = {0};
	union keylist_msg msg;
	int fds[CHAN_MAX_FDS];
	const struct keylist_row *rows;
	struct chan *chan;
	size_t nfds, i, n = 1;
	uint16_t type;

	snprintf(path, sizeof(path), "%s/%s", c->p->conf.run_dir,
	    SOCKET_KEYLIST);
	chan = chan_connect(path, &keylist_contract);
	while (chan != NULL && n > 0) {
		chan_queue(chan, KEYLIST_MORE, &more, NULL, 0);
		if (chan_wait(chan, &type, &msg, sizeof(msg), fds, &nfds,
		    clock_mono_ms() + WAIT_MS) != CHAN_OK ||
		    type != KEYLIST_PART) {
			chan_free(&chan);
			break;
		}
		rows = msg.part.rows.v;
		n = msg.part.rows.n;
		for (i = 0; i < n; i++)
			judge(c, &rows[i]);
	}
	if (chan == NULL)
		return false;
	chan_free(&chan);
	return true;
}

void
check_tls(struct check *c)
{
	/* Who does not run is told of by check_running. */
	if (check_files(c) > 0)
		(void)check_list(c);
}
