/* local/forward: what a forward file asks for, and which ones are refused. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "local/local.h"

Suite *local_forward_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static char home[64], path[128], maildir[128];
static struct local l;
static const struct disk disk;

static void
setup(void)
{
	umask(022);
	snprintf(home, sizeof(home), "/tmp/postern-forward.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(home));
	snprintf(path, sizeof(path), "%s/.forward", home);
	snprintf(maildir, sizeof(maildir), "%s/Maildir", home);
	memset(&l, 0, sizeof(l));
	l.conf.forward_file = ".forward";
	l.conf.mail_root = "/nonexistent/mail";
}

static void
teardown(void)
{
	char other[160];

	(void)unlink(path);
	(void)rmdir(path);
	snprintf(other, sizeof(other), "%s/other", home);
	(void)unlink(other);
	(void)rmdir(home);
}

static void
write_file(const char *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static struct delivery *
delivery(void)
{
	struct delivery_job job = {.id = SLICE("01jar9fq3raaaaaaaaaa"),
	    .number = 1, .kind = DELIVERY_MAILBOX,
	    .address = SLICE("ann@example.org"), .sender = SLICE("x@y"),
	    .user = SLICE("anna"), .uid = geteuid(),
	    .home = slice_of(home), .maildir = slice_of(maildir)};

	return delivery_new(&l, &disk, &job, -1);
}

/* "address bob@x; mailbox; program cat; maildir /x/" */
static void
show(const struct delivery *d, struct buf *out)
{
	static const char *const kinds[] = {[DELIVERY_MAILBOX] = "mailbox",
		[DELIVERY_ADDRESS] = "address",
		[DELIVERY_PROGRAM] = "program",
		[DELIVERY_MAILDIR] = "maildir"};

	for (size_t i = 0; i < d->nexpansions; i++) {
		const struct delivery_expansion *e = &d->expansions[i];

		buf_printf(out, "%s%s", i > 0 ? "; " : "", kinds[e->kind]);
		if (e->kind == DELIVERY_ADDRESS)
			buf_printf(out, " %.*s", SLICE_FMT(e->address));
		else
			ck_assert(slice_eq(e->address,
			    SLICE("ann@example.org")));
		if (e->target.len > 0)
			buf_printf(out, " %.*s", SLICE_FMT(e->target));
	}
}

/* want: the expansions; NULL: the mailbox as it is; "!": refused for now. */
static const struct {
	const char *text, *want;
} cases[] = {
	{"", NULL},
	{"\n\n  \n", NULL},
	{"# nothing\n#bob@example.net\n", NULL},
	{",,,\n", NULL},
	{"bob@example.net\n", "address bob@example.net"},
	{"bob@example.net", "address bob@example.net"},
	{"bob@example.net\r\n", "address bob@example.net"},
	{"bob\n", "address bob"},
	{"ann@example.org", "address ann@example.org"},
	{"bob@a, carl@b\ndora@c", "address bob@a; address carl@b; "
	    "address dora@c"},
	{"\\ann", "mailbox"},
	{"\\ANN@Example.Org", "mailbox"},
	{"\\anna", "mailbox"},
	{"\\ann, bob@a", "mailbox; address bob@a"},
	{"\\bob", "!"},
	{"\\bob@example.org", "!"},
	{"\\ann@example.net", "!"},
	{"\\an", "!"},
	{"|/bin/cat", "program /bin/cat"},
	{"\"|/bin/prog a 'b c'\", bob@a",
	    "program /bin/prog a 'b c'; address bob@a"},
	{"|/bin/prog a, b", "program /bin/prog a, b"},
	{"/home/ann/Maildir/.lists/", "maildir /home/ann/Maildir/.lists/"},
	{"/home/ann/mbox", "!"},
	{":include:/etc/passwd", "!"},
	{"bob@@example.net", "!"},
	{"bob@a\n|\n", "!"},
	{"good@a\nbad address\n", "!"},
	{"bob@a\x01", "!"},
};

static void
check(struct delivery *d, bool there, const char *want)
{
	struct buf got = BUF_INIT(1 << 20);

	show(d, &got);
	if (want == NULL) {
		ck_assert(!there);
		ck_assert_uint_eq(d->status.code, 0);
		ck_assert_uint_eq(d->nexpansions, 0);
	} else if (*want == '!') {
		ck_assert(there);
		ck_assert_uint_eq(d->status.code, 451);
		ck_assert_uint_eq(d->nexpansions, 0);
		ck_assert_str_ne(d->status.text, "");
	} else {
		ck_assert(there);
		ck_assert_uint_eq(d->status.code, 250);
		ck_assert_str_eq(got.s, want);
	}
	buf_free(&got);
}

START_TEST(targets)
{
	struct delivery *d = delivery();

	write_file(cases[_i].text, strlen(cases[_i].text));
	check(d, forward_read(d), cases[_i].want);
	delivery_free(&d);
}
END_TEST

START_TEST(no_file)
{
	struct delivery *d = delivery();

	check(d, forward_read(d), NULL);
	l.conf.forward_file = "no/such/directory";
	check(d, forward_read(d), NULL);
	l.conf.forward_file = "";
	write_file("bob@a", 5);
	check(d, forward_read(d), NULL);
	delivery_free(&d);
}
END_TEST

START_TEST(nul)
{
	struct delivery *d = delivery();

	write_file("bob@a\0b\n", 8);
	check(d, forward_read(d), "!");
	delivery_free(&d);
}
END_TEST

/* 100 targets, and one more; 64 K, and an octet more. */
START_TEST(too_much)
{
	struct delivery *d = delivery();
	struct buf text = BUF_INIT(1 << 20);

	for (int i = 0; i < (_i < 2 ? DELIVERY_EXPANSIONS_MAX + _i : 1); i++)
		buf_printf(&text, "user%d@example.net\n", i);
	while (_i >= 2 && text.len < 65536 + (size_t)_i - 2)
		buf_addc(&text, '\n');
	write_file(text.s, text.len);
	ck_assert(forward_read(d));
	if (_i % 2 == 0) {
		ck_assert_uint_eq(d->status.code, 250);
		ck_assert_uint_eq(d->nexpansions,
		    _i == 0 ? DELIVERY_EXPANSIONS_MAX : 1);
	} else
		check(d, true, "!");
	delivery_free(&d);
	buf_free(&text);
}
END_TEST

/* What is no file of the owner's is refused, and nothing waits for it. */
START_TEST(strange_file)
{
	struct delivery *d = delivery();
	char other[160];
	const char *want = "!";

	snprintf(other, sizeof(other), "%s/other", home);
	write_file("bob@a", 5);
	switch (_i) {
	case 0:
		ck_assert_int_eq(chmod(path, 0664), 0);
		break;
	case 1:
		ck_assert_int_eq(chmod(path, 0602), 0);
		break;
	case 2:
		ck_assert_int_eq(unlink(path), 0);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		break;
	case 3:
		ck_assert_int_eq(unlink(path), 0);
		ck_assert_int_eq(mkfifo(path, 0600), 0);
		break;
	case 4: /* a link to one's own is like it */
		ck_assert_int_eq(rename(path, other), 0);
		ck_assert_int_eq(symlink("other", path), 0);
		want = "address bob@a";
		break;
	case 5:
		ck_assert_int_eq(unlink(path), 0);
		ck_assert_int_eq(symlink(".forward", path), 0);
		break;
	case 6:
		ck_assert_int_eq(chmod(path, 0), 0);
		if (geteuid() == 0)
			want = "address bob@a";
		break;
	case 7:
		d->uid = 12345; /* not the owner */
		if (geteuid() == 0)
			want = "address bob@a"; /* root may write it */
		break;
	case 8:
		if (geteuid() == 0)
			ck_assert_int_eq(chown(path, 12345, 12345), 0);
		else
			want = "address bob@a";
		break;
	default:
		l.conf.forward_file = "/dev/null";
		d->home[0] = '\0';
	}
	check(d, forward_read(d), want);
	delivery_free(&d);
}
END_TEST

/* A home that is not mounted: the mailbox elsewhere must not take what a
 * forward file would have sent away. */
START_TEST(no_home)
{
	struct delivery *d = delivery();

	free(d->home);
	d->home = strdup("/nonexistent/home");
	check(d, forward_read(d), "!");
	/* A mailbox within it is missing too, and says so then. */
	free(d->maildir);
	d->maildir = strdup("/nonexistent/home/Maildir");
	d->status.code = 0;
	check(d, forward_read(d), NULL);
	/* Virtual ones are made with their first message. */
	l.virtual_uid = d->uid;
	free(d->home);
	d->home = strdup("/nonexistent/mail/x");
	free(d->maildir);
	d->maildir = strdup("/nonexistent/mail/y/Maildir");
	check(d, forward_read(d), NULL);
	delivery_free(&d);
}
END_TEST

Suite *
local_forward_suite(void)
{
	Suite *s = suite_create("local_forward");
	TCase *t = tcase_create("local_forward");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, targets, 0, COUNT(cases));
	tcase_add_test(t, no_file);
	tcase_add_test(t, nul);
	tcase_add_loop_test(t, too_much, 0, 4);
	tcase_add_loop_test(t, strange_file, 0, 10);
	tcase_add_test(t, no_home);
	suite_add_tcase(s, t);
	return s;
}
