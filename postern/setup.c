/*
 * `postern setup`: the directories of an installation.  Run by root before the
 * daemons start (service definitions do so each time: run_dir often lives on a
 * tmpfs), or by the one ordinary user who runs a whole suite.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/conf/table.h"
#include "common/mail/qfile.h"
#include "common/proto/sockets.h"
#include "common/sys/stats.h"
#include "common/sys/user.h"
#include "postern/setup.h"

struct place {
	struct sys_user user;
	mode_t mode;
};

static int
complain(const char *path, const char *what)
{
	log_warn("setup: %s: %s", path, what);
	return -1;
}

/* The directory with this owner and mode; parents with 0755. */
static int
make_dir(const char *path, struct place place)
{
	char *p = mem_dup(path), *slash;
	struct stat st;
	int result = 0;

	for (slash = strchr(p + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(p, 0755) == 0)
			chmod(p, 0755);
		*slash = '/';
	}
	free(p);
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return complain(path, "cannot make it");
	if (stat(path, &st) != 0)
		return complain(path, "cannot look at it");
	if (!S_ISDIR(st.st_mode)) {
		log_warnx("setup: %s: is no directory; move it away", path);
		return -1;
	}
	if (geteuid() == 0 &&
	    (st.st_uid != place.user.uid || st.st_gid != place.user.gid) &&
	    chown(path, place.user.uid, place.user.gid) != 0)
		result = complain(path, "cannot change its owner");
	if ((st.st_mode & 07777) != place.mode && chmod(path, place.mode) != 0)
		result = complain(path, "cannot change its mode");
	return result;
}

static int
make_table(const char *dir, enum table_kind kind, struct sys_user owner)
{
	char path[4200];
	struct buf errors = BUF_INIT(65536);
	struct stat st;
	int fd, result = 0;

	snprintf(path, sizeof(path), "%s/%s.cdb", dir, table_name(kind));
	if (stat(path, &st) == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", dir, table_name(kind));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		if (geteuid() == 0 && fchown(fd, owner.uid, owner.gid) != 0)
			result = complain(path, "cannot change its owner");
		close(fd);
	} else if (errno != EEXIST)
		return complain(path, "cannot make it");
	if (!table_compile(dir, kind, &errors)) {
		log_warnx("setup: %s", errors.s);
		result = -1;
	}
	buf_free(&errors);
	return result;
}

/* What authd makes salts of nobody's names with (authd/sasl.h): 32 random
 * octets that stay the same. */
static int
make_salt_key(const char *dir, struct sys_user owner)
{
	char path[4200];
	unsigned char key[32];
	int fd, result = 0;

	snprintf(path, sizeof(path), "%s/scram.key", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : complain(path, "cannot make it");
	random_bytes(key, sizeof(key));
	if (geteuid() == 0 && fchown(fd, owner.uid, owner.gid) != 0)
		result = complain(path, "cannot change its owner");
	if (write(fd, key, sizeof(key)) != (ssize_t)sizeof(key) ||
	    fsync(fd) != 0) {
		result = complain(path, "cannot write it");
		(void)unlink(path);
	}
	close(fd);
	explicit_bzero(key, sizeof(key));
	return result;
}

static int
make_queue(const char *dir, struct sys_user queue)
{
	const struct place place = {queue, 0700};
	char path[4200];
	int i, result;

	result = make_dir(dir, place);
	for (i = 0; i < QDIR_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, qdir_names[i]);
		result |= make_dir(path, place);
	}
	return result;
}

/* Where users of this host find smtpd.  It may be a directory of the system's
 * own, which is left as it is unless nobody could pass. */
static int
make_submit(const struct conf *c, struct sys_user root)
{
	char *dir = mem_dup(c->submit_socket), *slash = strrchr(dir, '/');
	struct stat st;
	int result = 0;

	if (slash == NULL || slash == dir) {
		free(dir);
		return 0;
	}
	*slash = '\0';
	if (strcmp(dir, c->run_dir) == 0) {
		log_warnx("setup: submit_socket lies in run_dir, where users "
		    "may not go; give it a directory of its own");
		result = -1;
	} else if (stat(dir, &st) != 0 || ((st.st_mode & 0111) != 0111 &&
	    st.st_uid == root.uid)) {
		result = make_dir(dir, (struct place){root, 0755});
	} else if ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0) {
		log_warnx("setup: %s: others may replace smtpd's socket there; "
		    "chmod go-w it", dir);
		result = -1;
	}
	free(dir);
	return result;
}

int
setup_run(const struct conf *c)
{
	struct sys_user root = {geteuid(), getegid()}, any, queue, auth, mail;
	char path[4200];
	int i, result = 0;

	any = user_need("user_smtpd", c->user_smtpd);
	queue = user_need("user_queue", c->user_queue);
	auth = user_need("user_auth", c->user_auth);
	mail = user_need("user_virtual", c->user_virtual);
	/* The set-gid bit gives sockets made there the group that may connect. */
	result |= make_dir(c->run_dir,
	    (struct place){{root.uid, any.gid}, 02750});
	snprintf(path, sizeof(path), "%s/%s", c->run_dir, RUN_EMPTY);
	result |= make_dir(path, (struct place){root, 0555});
	snprintf(path, sizeof(path), "%s/%s", c->run_dir, STATS_DIR);
	result |= make_dir(path,
	    (struct place){{root.uid, any.gid}, STATS_DIR_MODE});
	result |= make_queue(c->queue_dir, queue);
	/* Everybody may leave files, nobody may look around or touch those of
	 * others, and all of them are of the daemons' group. */
	result |= make_dir(c->drop_dir,
	    (struct place){{queue.uid, any.gid}, 03733});
	if (c->submit_socket[0] != '\0')
		result |= make_submit(c, root);
	result |= make_dir(c->table_dir, (struct place){root, 0755});
	for (i = 0; i < TABLE_KINDS; i++)
		result |= make_table(c->table_dir, (enum table_kind)i, auth);
	result |= make_salt_key(c->table_dir, auth);
	/* What is secret in them are files of user_key alone. */
	result |= make_dir(c->tls_dir, (struct place){root, 0755});
	result |= make_dir(c->dkim_dir, (struct place){root, 0755});
	result |= make_dir(c->mail_root, (struct place){mail, 0711});
	return result == 0 ? 0 : EXIT_PERMANENT;
}
