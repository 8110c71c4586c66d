/* local/deliver: one delivery, step by step, into Maildirs of all kinds. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "common/mail/maildir.h"
#include "local/local.h"
#include "local/text.h"
#include "tests/unit/qfile_sample.h"

Suite *local_deliver_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define HELLO SLICE("Subject: hello\r\n\r\nHello.\r\n")
#define HELLO_LF                                                               \
	"Return-Path: <sender@example.net>\nDelivered-To: ann@example.org\n"   \
	"Received: here\nSubject: hello\n\nHello.\n"

static char top[64], home[96], maildir[128];
static struct local l;
static struct disk disk;
static struct buf out;

static void
setup(void)
{
	struct stat st;

	snprintf(top, sizeof(top), "/tmp/postern-deliver.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(home, sizeof(home), "%s/home", top);
	ck_assert_int_eq(mkdir(home, 0700), 0);
	snprintf(maildir, sizeof(maildir), "%s/Maildir", home);
	memset(&l, 0, sizeof(l));
	l.conf.forward_file = "";
	l.conf.mail_root = "/nonexistent/mail";
	l.virtual_uid = (uid_t)-2;
	snprintf(l.host, sizeof(l.host), "mx.example");
	ck_assert_int_eq(stat(top, &st), 0);
	disk = (struct disk){DURABLE_ORDERED, st.st_dev};
	buf_init(&out, 512 * 1024);
	durable_init();
}

static void
teardown(void)
{
	pid_t pid;

	buf_free(&out);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
}

static int
message(struct slice content)
{
	struct envelope env = sample_env();
	struct buf image = sample_image(&env, content);
	int fd = sample_fd(buf_slice(&image));

	buf_free(&image);
	return fd;
}

static struct delivery_job
job_(void)
{
	return (struct delivery_job){.job = 7, .id = SLICE(SAMPLE_ID),
	    .number = 1, .kind = DELIVERY_MAILBOX,
	    .address = SLICE("ann@example.org"),
	    .sender = SLICE("sender@example.net"), .user = SLICE("ann"),
	    .uid = geteuid(), .home = slice_of(home),
	    .maildir = slice_of(maildir)};
}

/* All steps, in a batch of n. */
static void
steps(struct delivery **d, size_t n)
{
	struct durable *file;
	int error;

	for (size_t i = 0; i < n; i++) {
		delivery_write(d[i], &out);
		delivery_start(d[i]);
	}
	for (size_t i = 0; i < n; i++)
		delivery_link(d[i]);
	for (size_t i = 0; i < n; i++) {
		file = delivery_file(d[i]);
		error = 0;
		if (file != NULL && durable_sync(file, d[i]->mode) != 0)
			error = errno;
		delivery_synced(d[i], error);
	}
}

/* Delivers; the status. */
static struct status
deliver(const struct delivery_job *j, struct slice content)
{
	struct delivery *d = delivery_new(&l, &disk, j, message(content));
	struct status st;

	steps(&d, 1);
	st = d->status;
	delivery_free(&d);
	ck_assert_ptr_null(d);
	return st;
}

/* The number of files in maildir/sub; the last one's name. */
static int
files(const char *sub, char name[256])
{
	char path[256];
	struct dirent *e;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", maildir, sub);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n++;
		if (name != NULL)
			snprintf(name, 256, "%s", e->d_name);
	}
	closedir(dir);
	return n;
}

static void
read_file(const char *name, struct buf *text)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/new/%s", maildir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	*text = sample_read(fd);
	close(fd);
}

START_TEST(delivered)
{
	int before = sample_open_fds();
	struct delivery_job j = job_();
	struct maildir_entry e;
	struct stat st;
	struct buf text;
	char name[256], path[512];
	struct status got;

	disk.mode = _i % 2 ? DURABLE_STRICT : DURABLE_ORDERED;
	got = deliver(&j, HELLO);
	ck_assert_uint_eq(got.code, 250);
	ck_assert_int_eq(sample_open_fds(), before);
	ck_assert_int_eq(files("new", name), 1);
	ck_assert_int_eq(files("cur", NULL), 0);
	ck_assert_int_eq(files("tmp", NULL), 0);
	read_file(name, &text);
	ck_assert_str_eq(text.s, HELLO_LF);
	ck_assert(maildir_parse(slice_of(name), &e));
	ck_assert_ptr_nonnull(strstr(name, SAMPLE_ID ".1.mx.example,S="));
	ck_assert(e.has_size && e.has_wire);
	ck_assert_uint_eq(e.size, text.len);
	ck_assert_uint_eq(e.wire, text.len + 6);
	snprintf(path, sizeof(path), "%s/new/%s", maildir, name);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(maildir, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	buf_free(&text);
	/* Once more: the first one is found. */
	got = deliver(&j, HELLO);
	ck_assert_uint_eq(got.code, 250);
	ck_assert_str_eq(got.text, "Delivered before");
	ck_assert_int_eq(files("new", NULL), 1);
	ck_assert_int_eq(sample_open_fds(), before);
	/* Another recipient is another file. */
	j.number = 2;
	ck_assert_uint_eq(deliver(&j, HELLO).code, 250);
	ck_assert_int_eq(files("new", NULL), 2);
}
END_TEST

START_TEST(crlf)
{
	struct delivery_job j = job_();
	struct maildir_entry e;
	struct buf text;
	char name[256];

	l.conf.maildir_crlf = true;
	ck_assert_uint_eq(deliver(&j, HELLO).code, 250);
	ck_assert_int_eq(files("new", name), 1);
	read_file(name, &text);
	ck_assert_ptr_nonnull(strstr(text.s, "\r\n\r\nHello.\r\n"));
	ck_assert(maildir_parse(slice_of(name), &e));
	ck_assert_uint_eq(e.size, text.len);
	ck_assert_uint_eq(e.wire, text.len);
	buf_free(&text);
}
END_TEST

/* The owner has read it since: only who is told to looks there. */
START_TEST(moved)
{
	struct delivery_job j = job_();
	char name[256], from[512], to[512];
	struct status st;

	ck_assert_uint_eq(deliver(&j, HELLO).code, 250);
	ck_assert_int_eq(files("new", name), 1);
	snprintf(from, sizeof(from), "%s/new/%s", maildir, name);
	snprintf(to, sizeof(to), "%s/cur/%s:2,S", maildir, name);
	ck_assert_int_eq(rename(from, to), 0);
	j.flags = JOB_CHECK;
	st = deliver(&j, HELLO);
	ck_assert_uint_eq(st.code, 250);
	ck_assert_str_eq(st.text, "Delivered before");
	ck_assert_int_eq(files("new", NULL), 0);
	ck_assert_int_eq(files("cur", NULL), 1);
	j.flags = 0;
	ck_assert_uint_eq(deliver(&j, HELLO).code, 250);
	ck_assert_int_eq(files("new", NULL), 1);
	/* One that is still in new. */
	j.flags = JOB_CHECK;
	ck_assert_str_eq(deliver(&j, HELLO).text, "Delivered before");
}
END_TEST

/* Nobody can say whether it is there: later. */
START_TEST(cannot_look)
{
	struct delivery_job j = job_();
	char path[256];

	ck_assert_uint_eq(deliver(&j, HELLO).code, 250);
	j.number = 2;
	j.flags = JOB_CHECK;
	snprintf(path, sizeof(path), "%s/cur", maildir);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(symlink("cur", path), 0);
	ck_assert_uint_eq(deliver(&j, HELLO).code, 451);
	ck_assert_int_eq(files("new", NULL), 1);
}
END_TEST

/* ---- Maildirs ---- */

/* Where the Maildir is, below home or mail_root (both in top). */
static const struct {
	const char *name, *home, *maildir;
	bool virtual;
	uint32_t code;
	const char *words;
} places[] = {
	{"in the home", "home", "home/Maildir", false, 250, "Delivered"},
	{"deep", "home", "home/mail/in/Maildir", false, 250, "Delivered"},
	{"with a slash", "home", "home/Maildir/.lists/", false, 250,
	    "Delivered"},
	{"slashes", "home", "home//a//b/", false, 250, "Delivered"},
	{"the home itself", "home", "home", false, 250, "Delivered"},
	{"the home with a slash", "home/", "home", false, 250, "Delivered"},
	{"home missing", "gone", "gone/Maildir", false, 451,
	    "Home directory is missing"},
	{"home missing, deep", "gone", "gone/a/b/Maildir", false, 451,
	    "Home directory is missing"},
	{"virtual", "home/d/ann", "home/d/ann/Maildir", true, 250,
	    "Delivered"},
	{"virtual, root missing", "gone/d/ann", "gone/d/ann/Maildir", true,
	    451, "Directory of the mailboxes is missing"},
	{"elsewhere", "home", "other", false, 250, "Delivered"},
	{"elsewhere, deep", "home", "other/a/b", false, 451, ""},
};

START_TEST(place)
{
	struct delivery_job j = job_();
	char h[256], root[256], gone[256];
	struct stat st;
	struct status got;

	disk.mode = _i % 2 ? DURABLE_STRICT : DURABLE_ORDERED;
	snprintf(h, sizeof(h), "%s/%s", top, places[_i / 2].home);
	snprintf(maildir, sizeof(maildir), "%s/%s", top,
	    places[_i / 2].maildir);
	snprintf(root, sizeof(root), "%s/%.4s", top, places[_i / 2].home);
	if (places[_i / 2].virtual) {
		l.virtual_uid = geteuid();
		l.conf.mail_root = root;
	}
	j.home = slice_of(h);
	j.maildir = slice_of(maildir);
	got = deliver(&j, HELLO);
	ck_assert_msg(got.code == places[_i / 2].code, "%s: %s",
	    places[_i / 2].name, got.text);
	ck_assert_msg(strncmp(got.text, places[_i / 2].words,
	    strlen(places[_i / 2].words)) == 0, "%s: %s",
	    places[_i / 2].name, got.text);
	if (got.code == 250)
		ck_assert_int_eq(files("new", NULL), 1);
	/* A top that is missing is never made. */
	snprintf(gone, sizeof(gone), "%s/gone", top);
	ck_assert_int_eq(stat(gone, &st), -1);
}
END_TEST

/* Something else in the way: temporary, and it stays. */
START_TEST(in_the_way)
{
	static const char *const names[] = {"Maildir", "Maildir/new"};
	struct delivery_job j = job_();
	char path[256];
	struct stat st;
	int fd;

	if (_i == 1)
		ck_assert_int_eq(mkdir(maildir, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s", home, names[_i]);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_uint_eq(deliver(&j, HELLO).code, 451);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(no_right)
{
	struct delivery_job j = job_();
	struct status st;
	char path[256];

	if (geteuid() == 0)
		return;
	if (_i == 0)
		ck_assert_int_eq(chmod(home, 0500), 0);
	else {
		ck_assert_uint_eq(deliver(&j, HELLO).code, 250);
		j.number = 2;
		snprintf(path, sizeof(path), "%s/new", maildir);
		ck_assert_int_eq(chmod(path, 0500), 0);
	}
	st = deliver(&j, HELLO);
	ck_assert_uint_eq(st.code, 451);
	ck_assert_ptr_nonnull(strstr(st.text, "not accessible"));
	ck_assert_int_eq(chmod(_i == 0 ? home : path, 0700), 0);
}
END_TEST

/* A file system of which nothing is known is synced the dearer way. */
START_TEST(other_disk)
{
	struct delivery_job j = job_();
	struct delivery *d;

	disk.dev++;
	d = delivery_new(&l, &disk, &j, message(HELLO));
	ck_assert_int_eq(d->mode, DURABLE_ORDERED);
	steps(&d, 1);
	ck_assert_uint_eq(d->status.code, 250);
	ck_assert_int_eq(d->mode, DURABLE_STRICT);
	delivery_free(&d);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(loops)
{
	struct delivery_job j = job_();
	struct status st = deliver(&j,
	    SLICE("Delivered-To: ann@example.org\r\n\r\nHello.\r\n"));

	ck_assert_uint_eq(st.code, 554);
	ck_assert_uint_eq(st.subject, 4);
	ck_assert_uint_eq(st.detail, 6);
	ck_assert_int_eq(files("new", NULL), 0);
}
END_TEST

START_TEST(damaged)
{
	struct envelope env = sample_env();
	struct buf image = sample_image(&env, HELLO);
	struct delivery_job j = job_();
	struct delivery *d;
	char *p = strstr(image.s, "Hello.");

	switch (_i) {
	case 0: /* content */
		*p = 'J';
		break;
	case 1: /* envelope */
		image.s[30] ^= 1;
		break;
	case 2: /* cut */
		image.len -= 40;
		break;
	case 3:
		image.len = 0;
		break;
	default: /* another one's */
		j.id = SLICE("01jar9fq3rbbbbbbbbbb");
	}
	d = delivery_new(&l, &disk, &j, sample_fd(buf_slice(&image)));
	steps(&d, 1);
	ck_assert_uint_eq(d->status.code, 451);
	ck_assert_uint_eq(d->status.subject, 3);
	delivery_free(&d);
	ck_assert_int_le(files("new", NULL), 0);
	buf_free(&image);
}
END_TEST

/* The disk is full behind each so many octets. */
START_TEST(full_disk)
{
	static char octets[200000];
	int before = sample_open_fds();
	struct delivery_job j = job_();
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	struct rlimit limit, less;
	struct delivery *d;
	int set;

	memset(octets, 'x', sizeof(octets));
	d = delivery_new(&l, &disk, &j,
	    message(slice_mem(octets, sizeof(octets))));
	sigaction(SIGXFSZ, &ignore, &old);
	set = getrlimit(RLIMIT_FSIZE, &limit);
	less = limit;
	less.rlim_cur = (rlim_t)_i * 25000;
	/* No assertion until it is lifted: Check writes to a file. */
	set += setrlimit(RLIMIT_FSIZE, &less);
	steps(&d, 1);
	set += setrlimit(RLIMIT_FSIZE, &limit);
	sigaction(SIGXFSZ, &old, NULL);
	ck_assert_int_eq(set, 0);
	ck_assert_uint_eq(d->status.code, 451);
	delivery_free(&d);
	ck_assert_int_eq(files("new", NULL), 0);
	ck_assert_int_eq(files("tmp", NULL), 0);
	ck_assert_int_eq(sample_open_fds(), before);
}
END_TEST

/* The fsync fails: nothing was delivered, and nothing is left that would be
 * taken for delivered. */
START_TEST(sync_fails)
{
	struct delivery_job j = job_();
	struct delivery *d = delivery_new(&l, &disk, &j, message(HELLO));

	delivery_write(d, &out);
	delivery_link(d);
	ck_assert_ptr_nonnull(delivery_file(d));
	ck_assert_int_eq(files("new", NULL), 1);
	delivery_synced(d, EIO);
	ck_assert_uint_eq(d->status.code, 451);
	ck_assert_ptr_null(delivery_file(d));
	delivery_free(&d);
	ck_assert_int_eq(files("new", NULL), 0);
}
END_TEST

/* A step that was left out is never a success. */
START_TEST(nothing_done)
{
	struct delivery_job j = job_();
	struct delivery *d = delivery_new(&l, &disk, &j, message(HELLO));

	if (_i == 1)
		delivery_write(d, &out);
	ck_assert_ptr_null(delivery_file(d));
	delivery_synced(d, 0);
	ck_assert_uint_eq(d->status.code, 451);
	delivery_free(&d);
	ck_assert_int_le(files("new", NULL), 0);
}
END_TEST

static const struct {
	int error;
	uint32_t code, subject, detail;
} faults[] = {
	{ENOSPC, 452, 2, 2}, {EDQUOT, 452, 2, 2}, {EACCES, 451, 2, 1},
	{EPERM, 451, 2, 1}, {EIO, 451, 3, 0}, {EMFILE, 451, 3, 0},
	{EROFS, 451, 3, 0}, {EBADMSG, 451, 3, 0}, {ENOTDIR, 451, 3, 0},
};

START_TEST(fault)
{
	struct delivery_job j = job_();
	struct delivery *d = delivery_new(&l, &disk, &j, -1);

	errno = faults[_i].error;
	delivery_fault(d, "step", "/path");
	ck_assert_uint_eq(d->status.code, faults[_i].code);
	ck_assert_uint_eq(d->status.subject, faults[_i].subject);
	ck_assert_uint_eq(d->status.detail, faults[_i].detail);
	ck_assert_int_eq(status_class(&d->status), STATUS_TEMPORARY);
	delivery_free(&d);
}
END_TEST

/* ---- batches, forward files ---- */

START_TEST(batch)
{
	int before = sample_open_fds();
	struct delivery *d[20];
	struct delivery_job j = job_();

	for (size_t i = 0; i < 20; i++) {
		/* one twice, one that loops */
		j.number = i == 7 ? 3 : (uint32_t)i;
		d[i] = delivery_new(&l, &disk, &j, message(i == 9
		    ? SLICE("Delivered-To: ann@example.org\r\n\r\n") : HELLO));
	}
	steps(d, 20);
	for (size_t i = 0; i < 20; i++) {
		ck_assert_uint_eq(d[i]->status.code, i == 9 ? 554 : 250);
		delivery_free(&d[i]);
	}
	ck_assert_int_eq(files("new", NULL), 18);
	ck_assert_int_eq(sample_open_fds(), before);
}
END_TEST

START_TEST(forwarded)
{
	struct delivery_job j = job_();
	char path[128];
	struct delivery *d;
	int fd;

	l.conf.forward_file = ".forward";
	snprintf(path, sizeof(path), "%s/.forward", home);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, "bob@a, \\ann\n", 12), 12);
	close(fd);
	/* Only a mailbox's own delivery looks at it, and only once. */
	j.flags = _i == 1 ? JOB_NO_FORWARD : 0;
	j.kind = _i == 2 ? DELIVERY_MAILDIR : DELIVERY_MAILBOX;
	d = delivery_new(&l, &disk, &j, message(HELLO));
	steps(&d, 1);
	ck_assert_uint_eq(d->status.code, 250);
	ck_assert_uint_eq(d->nexpansions, _i == 0 ? 2 : 0);
	ck_assert_int_eq(files("new", NULL), _i == 0 ? -1 : 1);
	delivery_free(&d);
}
END_TEST

Suite *
local_deliver_suite(void)
{
	Suite *s = suite_create("local_deliver");
	TCase *t = tcase_create("local_deliver");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, delivered, 0, 2);
	tcase_add_test(t, crlf);
	tcase_add_test(t, moved);
	tcase_add_test(t, cannot_look);
	tcase_add_loop_test(t, place, 0, 2 * COUNT(places));
	tcase_add_loop_test(t, in_the_way, 0, 2);
	tcase_add_loop_test(t, no_right, 0, 2);
	tcase_add_test(t, other_disk);
	tcase_add_test(t, loops);
	tcase_add_loop_test(t, damaged, 0, 5);
	tcase_add_loop_test(t, full_disk, 0, 8);
	tcase_add_test(t, sync_fails);
	tcase_add_loop_test(t, nothing_done, 0, 2);
	tcase_add_loop_test(t, fault, 0, COUNT(faults));
	tcase_add_test(t, batch);
	tcase_add_loop_test(t, forwarded, 0, 3);
	suite_add_tcase(s, t);
	return s;
}
