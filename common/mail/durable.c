/*
 * Durable files, for queued and for local.  What is written here becomes
 * visible whole or not at all: a file gets its name only after its octets are
 * on their way to the disk, and counts only after durable_sync.  The only
 * foreign input is what the kernel says of the file system (durable_detect).
 *
 * Why it is enough on a file system with ordered journalling: the data are
 * written before the transaction that carries inode and name commits, and the
 * one fsync waits for that commit.  Without sync_file_range in front of the
 * link, delayed allocation may commit the name before there are blocks, and a
 * power cut leaves an empty file under a good name.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/base/slice.h"
#include "common/mail/durable.h"

#define TMP_TRIES 10
#define OPTIONS_SIZE 8192

/* All this module keeps: descriptors of the process, not of a file.  proc_root
 * is /proc, for children whose root directory is another one; own_fds is this
 * process's own table of descriptors, by which linkat names a nameless file
 * without a capability. */
static int proc_root = -1;
static int own_fds = -1;

static void
close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In a forked child the table would still be the parent's: the numbers in it
 * are other files. */
static void
forget(void)
{
	close_if_open(&own_fds);
}

void
durable_prepare(void)
{
	close_if_open(&proc_root);
	proc_root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_root < 0)
		log_warn("cannot open /proc");
}

void
durable_init(void)
{
	static bool watched;
	const int how = O_PATH | O_DIRECTORY | O_CLOEXEC;

	forget();
	if (!watched)
		watched = pthread_atfork(NULL, NULL, forget) == 0;
	if (watched && proc_root >= 0)
		own_fds = openat(proc_root, "self/fd", how);
	else if (watched)
		own_fds = open("/proc/self/fd", how);
	if (own_fds < 0)
		log_warn("no /proc/self/fd, new files get temporary names");
	/* A way out of an empty root that nobody needs any more. */
	close_if_open(&proc_root);
}

/* ---- what the file system promises ---- */

/* The kernel's name of the block device, by which ext4 names its files in
 * /proc ("sda1", "dm-0"). */
static bool
device_name(dev_t dev, char out[NAME_MAX + 1])
{
	char link[64], target[4096];
	const char *base;
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev),
	    minor(dev));
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base != NULL ? base + 1 : target;
	return snprintf(out, NAME_MAX + 1, "%s", base) <= NAME_MAX;
}

/* Up to size octets of a small file of /proc or /sys. */
static struct slice
read_small(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return SLICE_EMPTY;
	while (len < size && (n = read(fd, buf + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	return slice_mem(buf, len);
}

static bool
has_line(struct slice text, struct slice want)
{
	struct slice line;

	while (slice_cut(&text, '\n', &line))
		if (slice_eq(line, want))
			return true;
	return false;
}

/*
 * ext4 lists all its options here, data= only where there is a journal;
 * /proc/self/mountinfo leaves out what the superblock made the default.
 * ext2's driver has the same magic number and no such file.
 */
static enum durable_mode
detect_ext4(dev_t dev, const char **why)
{
	char name[NAME_MAX + 1], path[NAME_MAX + 64], buf[OPTIONS_SIZE];
	struct slice options;

	if (!device_name(dev, name)) {
		*why = "the block device is not known";
		return DURABLE_STRICT;
	}
	snprintf(path, sizeof(path), "/proc/fs/ext4/%s/options", name);
	options = read_small(path, buf, sizeof(buf));
	if (has_line(options, SLICE("nobarrier")))
		LOG_WARN("durability-unsafe", LS("fs", "ext4"),
		    LS("device", name),
		    LS("why", "mounted with nobarrier: a power cut may lose "
			      "accepted mail"));
	if (has_line(options, SLICE("data=ordered"))) {
		*why = "data=ordered";
		return DURABLE_ORDERED;
	}
	if (has_line(options, SLICE("data=journal"))) {
		*why = "data=journal";
		return DURABLE_ORDERED;
	}
	*why = options.len == 0 ? "its options are not known"
	    : has_line(options, SLICE("data=writeback")) ? "data=writeback"
	    : "no journal";
	return DURABLE_STRICT;
}

enum durable_mode
durable_detect(int dirfd)
{
	enum durable_mode mode = DURABLE_STRICT;
	const char *fs = "other", *why = "not shown by a crash test";
	struct statfs sfs;
	struct stat st;

	if (fstatfs(dirfd, &sfs) < 0 || fstat(dirfd, &st) < 0) {
		why = "the file system does not say what it is";
	} else if (sfs.f_type == EXT4_SUPER_MAGIC) {
		fs = "ext4";
		mode = detect_ext4(st.st_dev, &why);
	} else if (sfs.f_type == TMPFS_MAGIC) {
		fs = "tmpfs";
		mode = DURABLE_ORDERED;
		why = "nothing survives a power cut, nothing to order";
	} else if (sfs.f_type == XFS_SUPER_MAGIC) {
		fs = "xfs";
	} else if (sfs.f_type == BTRFS_SUPER_MAGIC) {
		fs = "btrfs";
	}
	LOG_INFO("durability",
	    LS("mode", mode == DURABLE_ORDERED ? "ordered" : "strict"),
	    LS("fs", fs), LS("why", why));
	return mode;
}

enum durable_mode
durable_detect_path(const char *path)
{
	enum durable_mode mode;
	int fd;

	/* O_PATH: who only looks needs no right to read what is there. */
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return DURABLE_STRICT;
	mode = durable_detect(fd);
	close(fd);
	return mode;
}

/* ---- one file ---- */

/* A hidden name no reader of the directory looks at: ids and Maildir names do
 * not start with a dot. */
static int
open_named(struct durable *d, int dirfd, mode_t mode)
{
	int fd = -1;

	for (int i = 0; i < TMP_TRIES && fd < 0; i++) {
		snprintf(d->tmp, sizeof(d->tmp), ".tmp.%ld.%016llx",
		    (long)getpid(), (unsigned long long)random_u64());
		fd = openat(dirfd, d->tmp,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd < 0 && errno != EEXIST && errno != EINTR)
			break;
	}
	if (fd < 0)
		d->tmp[0] = '\0';
	return fd;
}

int
durable_open(struct durable *d, int dirfd, mode_t mode)
{
	*d = (struct durable){.fd = -1, .dirfd = dirfd};
	if (own_fds >= 0) {
		do
			d->fd = openat(dirfd, ".",
			    O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
		while (d->fd < 0 && errno == EINTR);
		if (d->fd >= 0)
			return 0;
		/* EISDIR: a kernel that does not know it; open(2). */
		if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
			return -1;
	}
	d->fd = open_named(d, dirfd, mode);
	return d->fd < 0 ? -1 : 0;
}

static int
sync_all(int fd)
{
	int r;

	do
		r = fsync(fd);
	while (r < 0 && errno == EINTR);
	return r;
}

/* sync_file_range over the whole file; -1 also where it is not offered. */
static int
write_back(int fd, unsigned how)
{
	int r;

	do
		r = sync_file_range(fd, 0, 0, how);
	while (r < 0 && errno == EINTR);
	return r;
}

static bool
not_offered(int error)
{
	return error == ENOSYS || error == EINVAL || error == ESPIPE;
}

int
durable_start(struct durable *d, enum durable_mode mode)
{
	(void)mode; /* early write-back shortens both kinds of commit */
	if (write_back(d->fd, SYNC_FILE_RANGE_WRITE) < 0 &&
	    !not_offered(errno))
		return -1;
	return 0;
}

int
durable_flush(struct durable *d, enum durable_mode mode)
{
	if (mode == DURABLE_STRICT)
		return sync_all(d->fd);
	if (write_back(d->fd,
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
		    SYNC_FILE_RANGE_WAIT_AFTER) == 0)
		return 0;
	/* The dearer call does it too. */
	return not_offered(errno) ? sync_all(d->fd) : -1;
}

/* From the temporary name to the final one, never over an existing file. */
static int
rename_new(struct durable *d, const char *name)
{
	if (renameat2(d->dirfd, d->tmp, d->dirfd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(d->dirfd, d->tmp, d->dirfd, name, 0) < 0)
		return -1;
	/* A second name that stays behind does no harm: it is hidden. */
	if (unlinkat(d->dirfd, d->tmp, 0) < 0)
		LOG_WARN("temporary-name-stays", LS("name", d->tmp), LE());
	return 0;
}

int
durable_link(struct durable *d, const char *name)
{
	char number[16];

	if (d->tmp[0] != '\0') {
		if (rename_new(d, name) < 0)
			return -1;
		d->tmp[0] = '\0';
	} else {
		snprintf(number, sizeof(number), "%d", d->fd);
		if (linkat(own_fds, number, d->dirfd, name,
			AT_SYMLINK_FOLLOW) < 0)
			return -1;
	}
	d->linked = true;
	return 0;
}

int
durable_sync(struct durable *d, enum durable_mode mode)
{
	/* Strict: once more the file, whose count of links was 0 when it was
	 * flushed, then the directory that has the name. */
	if (sync_all(d->fd) < 0)
		return -1;
	return mode == DURABLE_STRICT ? sync_all(d->dirfd) : 0;
}

/* A file behind v[i] that shares its file system and has been synced. */
static bool
covered(struct durable *const *v, const dev_t *devs, size_t n, size_t i,
    int *errors)
{
	size_t k;

	for (k = i + 1; k < n; k++)
		if (v[k] != NULL && devs[k] == devs[i]) {
			errors[i] = errors[k];
			return true;
		}
	return false;
}

static int
sync_one(struct durable *d, enum durable_mode mode)
{
	return durable_sync(d, mode) == 0 ? 0 : errno;
}

static void
sync_ordered(struct durable *const *v, size_t n, dev_t *devs, int *errors)
{
	struct stat st;
	size_t i;

	for (i = n; i-- > 0;) {
		if (v[i] == NULL)
			continue;
		if (fstat(v[i]->fd, &st) < 0) {
			errors[i] = errno;
			devs[i] = (dev_t)-1; /* covers nobody */
			continue;
		}
		devs[i] = st.st_dev;
		if (!covered(v, devs, n, i, errors))
			errors[i] = sync_one(v[i], DURABLE_ORDERED);
	}
}

void
durable_sync_all(struct durable *const *v, size_t n, enum durable_mode mode,
    int *errors)
{
	dev_t *devs;
	size_t i;

	for (i = 0; i < n; i++)
		errors[i] = 0;
	if (mode == DURABLE_ORDERED && n > 1) {
		devs = mem_array(n, sizeof(*devs));
		sync_ordered(v, n, devs, errors);
		free(devs);
		return;
	}
	for (i = 0; i < n; i++)
		if (v[i] != NULL)
			errors[i] = sync_one(v[i], mode);
}

void
durable_drop(struct durable *d, const char *unlink_name)
{
	int saved = errno;

	if (d->tmp[0] != '\0' && unlinkat(d->dirfd, d->tmp, 0) < 0)
		LOG_WARN("temporary-name-stays", LS("name", d->tmp), LE());
	d->tmp[0] = '\0';
	if (unlink_name != NULL && unlinkat(d->dirfd, unlink_name, 0) < 0 &&
	    errno != ENOENT)
		LOG_WARN("unlink-failed", LS("name", unlink_name), LE());
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	errno = saved;
}
