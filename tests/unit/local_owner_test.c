/* local/owner: whose rights a job gets, and which jobs get none. */
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "local/local.h"

Suite *local_owner_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define VMAIL 500
#define LOCAL 501
#define QUEUE 502

static struct local
parent(bool becomes)
{
	struct local l = {.uid = LOCAL, .gid = LOCAL, .becomes = becomes,
	    .virtual_uid = VMAIL, .virtual_gid = VMAIL,
	    .client_uids = {QUEUE}};

	l.conf.mailbox_uid_min = 100;
	l.conf.mail_root = "/var/mail/";
	return l;
}

static const struct {
	const char *path, *root;
	bool below;
} paths[] = {
	{"/a", "/a", true}, {"/a/", "/a", true}, {"/a/b", "/a", true},
	{"/a/b", "/a/", true}, {"/a", "/a/", true}, {"/ab", "/a", false},
	{"/", "/a", false}, {"/a", "/", true}, {"", "/a", false},
	{"/b/a", "/a", false}, {"/a//b", "/a", true}, {"/a", "/a/b", false},
};

START_TEST(below)
{
	ck_assert_int_eq(owner_below(paths[_i].path, paths[_i].root),
	    paths[_i].below);
}
END_TEST

static const struct {
	const char *name;
	bool good;
	uint32_t uid, gid, kind;
	const char *home, *maildir;
} jobs[] = {
	{"user", true, 1000, 1000, DELIVERY_MAILBOX, "/home/a", "/home/a/M"},
	{"own Maildir", true, 1000, 1000, DELIVERY_MAILDIR, "/home/a",
	    "/home/a/M/.x/"},
	{"elsewhere", true, 1000, 1000, DELIVERY_MAILBOX, "/home/a",
	    "/srv/mail/a"},
	{"virtual", true, VMAIL, VMAIL, DELIVERY_MAILBOX, "/var/mail/d/a",
	    "/var/mail/d/a/Maildir"},
	{"virtual, own", true, VMAIL, VMAIL, DELIVERY_MAILDIR,
	    "/var/mail/d/a", "/var/mail/d/a/Maildir/.x/"},
	{"virtual, neighbour's", false, VMAIL, VMAIL, DELIVERY_MAILDIR,
	    "/var/mail/d/a", "/var/mail/d/b/Maildir/"},
	{"virtual, way round", false, VMAIL, VMAIL, DELIVERY_MAILDIR,
	    "/var/mail/d/a", "/var/mail/d/a/../b/Maildir/"},
	{"virtual, like it", false, VMAIL, VMAIL, DELIVERY_MAILDIR,
	    "/var/mail/d/a", "/var/mail/d/ab/"},
	{"root", false, 0, 0, DELIVERY_MAILBOX, "/root", "/root/Maildir"},
	{"root's group", false, 1000, 0, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"low uid", false, 99, 1000, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"low gid", false, 1000, 99, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"no uid", false, UINT32_MAX, 1000, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"no gid", false, 1000, UINT32_MAX, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"ourselves", false, LOCAL, LOCAL, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"qmgr", false, QUEUE, QUEUE, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/M"},
	{"program", false, 1000, 1000, DELIVERY_PROGRAM, "/home/a",
	    "/home/a/M"},
	{"address", false, 1000, 1000, DELIVERY_ADDRESS, "/home/a",
	    "/home/a/M"},
	{"no home", false, 1000, 1000, DELIVERY_MAILBOX, "", "/home/a/M"},
	{"all is home", false, 1000, 1000, DELIVERY_MAILBOX, "/", "/M"},
	{"relative home", false, 1000, 1000, DELIVERY_MAILBOX, "home/a",
	    "/home/a/M"},
	{"no Maildir", false, 1000, 1000, DELIVERY_MAILBOX, "/home/a", ""},
	{"relative Maildir", false, 1000, 1000, DELIVERY_MAILBOX, "/home/a",
	    "M"},
	{"home with ..", false, 1000, 1000, DELIVERY_MAILBOX, "/home/..",
	    "/home/a/M"},
	{"Maildir with ..", false, 1000, 1000, DELIVERY_MAILBOX, "/home/a",
	    "/home/a/../b/M"},
	{"dots in a name", true, 1000, 1000, DELIVERY_MAILBOX, "/home/..a",
	    "/home/..a/...b/M.."},
};

static struct delivery_job
job_of(int i)
{
	return (struct delivery_job){.kind = jobs[i].kind, .uid = jobs[i].uid,
	    .gid = jobs[i].gid, .home = slice_of(jobs[i].home),
	    .maildir = slice_of(jobs[i].maildir)};
}

START_TEST(sound)
{
	struct local l = parent(true);
	struct delivery_job j = job_of(_i);
	const char *why = owner_unsound(&l, &j);

	ck_assert_msg((why == NULL) == jobs[_i].good, "%s: %s", jobs[_i].name,
	    why != NULL ? why : "sound");
}
END_TEST

START_TEST(nul_in_path)
{
	struct local l = parent(true);
	struct delivery_job j = job_of(0);

	j.home = SLICE("/home\0/a");
	ck_assert_ptr_nonnull(owner_unsound(&l, &j));
	j = job_of(0);
	j.maildir = SLICE("/home/a\0/M");
	ck_assert_ptr_nonnull(owner_unsound(&l, &j));
}
END_TEST

/* Without root, and with virtual_only: the own uid and no other. */
START_TEST(own_only)
{
	struct local l = parent(false);
	struct delivery_job j = job_of(0);

	l.conf.virtual_only = _i == 1;
	j.uid = geteuid() + 1;
	ck_assert_ptr_nonnull(owner_unsound(&l, &j));
	j.uid = geteuid();
	ck_assert_ptr_null(owner_unsound(&l, &j));
}
END_TEST

static const struct {
	int job;
	const char *root, *maildir;
} owners[] = {
	{0, "/home/a", NULL},
	{1, "/home/a", NULL},
	{2, "/home/a", "/srv/mail/a"},
	{3, "/var/mail/", NULL},
	{4, "/var/mail/", NULL},
};

START_TEST(tree)
{
	struct local l = parent(true);
	struct delivery_job j = job_of(owners[_i].job);
	struct owner o = owner_of(&l, &j), again = owner_of(&l, &j), other;

	ck_assert_uint_eq(o.uid, j.uid);
	ck_assert_uint_eq(o.gid, j.gid);
	ck_assert_str_eq(o.root, owners[_i].root);
	if (owners[_i].maildir == NULL)
		ck_assert_ptr_null(o.maildir);
	else
		ck_assert_str_eq(o.maildir, owners[_i].maildir);
	ck_assert(owner_same(&o, &again));
	again.gid++;
	ck_assert(!owner_same(&o, &again));
	again.gid--;
	again.uid++;
	ck_assert(!owner_same(&o, &again));
	j.home = SLICE("/home/b");
	other = owner_of(&l, &j);
	ck_assert(!owner_same(&o, &other));
	owner_free(&other);
	owner_free(&again);
	owner_free(&o);
	owner_free(&o);
}
END_TEST

Suite *
local_owner_suite(void)
{
	Suite *s = suite_create("local_owner");
	TCase *t = tcase_create("local_owner");

	tcase_add_loop_test(t, below, 0, COUNT(paths));
	tcase_add_loop_test(t, sound, 0, COUNT(jobs));
	tcase_add_test(t, nul_in_path);
	tcase_add_loop_test(t, own_only, 0, 2);
	tcase_add_loop_test(t, tree, 0, COUNT(owners));
	suite_add_tcase(s, t);
	return s;
}
