/* Unit tests of authd's look-ups: directory, lookup, include, resolve. */
#include <string.h>

#include <check.h>

#include "authd/include.h"
#include "authd/resolve.h"
#include "tests/unit/auth_fixture.h"

Suite *auth_resolve_suite(void);

static struct auth_fixture f;
static struct resolve *r;

static void
setup(void)
{
	auth_setup(&f, "system_users = yes\nrecipient_delimiter = +-\n"
	    "alias_depth_max = 5\nexpansion_max = 200\n");
	r = resolve_new(f.directory);
}

static void
teardown(void)
{
	resolve_free(&r);
	auth_teardown(&f);
}

static const char *
result_name(enum address_result result)
{
	static const char *const names[] = {"?", "local", "remote", "none",
	    "full", "broken", "temp"};

	return names[result];
}

/* "local M:ann@example.org A:x@y<owner-l@z" */
static void
run(const char *address, uint32_t flags, struct buf *out)
{
	static const char kinds[] = "?MAPD";
	struct buf targets = BUF_INIT(100000);
	struct address_target t;
	const struct status *why;
	enum resolve_step step;

	resolve_start(r, slice_of(address), flags);
	while ((step = resolve_next(r, &t)) != RESOLVE_STEP_END) {
		if (step == RESOLVE_STEP_WORKED)
			continue;
		buf_printf(&targets, " %c:%.*s", kinds[t.kind],
		    SLICE_FMT(t.kind == DELIVERY_PROGRAM ? t.program
		    : t.address));
		if (t.extension.len > 0)
			buf_printf(&targets, "/%.*s", SLICE_FMT(t.extension));
		if (t.sender.len > 0)
			buf_printf(&targets, "<%.*s", SLICE_FMT(t.sender));
	}
	buf_reset(out);
	buf_adds(out, result_name(resolve_result(r, &why)));
	if (why->code != 0)
		buf_printf(out, " %u.%u", why->subject, why->detail);
	if (resolve_route(r).len > 0)
		buf_printf(out, " %.*s", SLICE_FMT(resolve_route(r)));
	buf_addslice(out, buf_slice(&targets));
	buf_free(&targets);
}

static const struct {
	const char *name, *address;
	uint32_t flags;
	const char *want;
} cases[] = {
	{"mailbox", "ann@example.org", 0, "local M:ann@example.org"},
	{"any case", "ANN@Example.ORG", 0, "local M:ann@example.org"},
	{"quotes not needed", "\"ann\"@example.org", 0,
	    "local M:ann@example.org"},
	{"nobody", "nobody@example.org", 0, "none 1.1"},
	{"remote", "x@elsewhere.example", 0, "remote"},
	{"a literal", "ann@[192.0.2.1]", 0, "remote"},
	{"no address", "ann@@example.org", 0, "none 1.3"},
	{"nothing", "", 0, "none 1.3"},
	{"a way out", "../../etc@example.org", 0, "none 1.3"},
	/* extensions */
	{"extension", "ann+x@example.org", 0, "local M:ann@example.org/x"},
	{"extension with its own mailbox", "ann+work@example.org", 0,
	    "local M:ann+work@example.org"},
	{"two delimiters", "ann+work+y@example.org", 0,
	    "local M:ann+work@example.org/y"},
	{"longest name", "mary-ann-x@example.org", 0,
	    "local M:mary-ann@example.org/x"},
	{"empty extension", "ann+@example.org", 0,
	    "local M:ann@example.org"},
	{"nothing but an extension", "+ann@example.org", 0, "none 1.1"},
	{"extension of an alias", "team+x@example.org", 0,
	    "local A:t@elsewhere.example"},
	/* aliases */
	{"alias", "sales@example.org", 0, "local M:ann@example.org "
	    "M:bob@example.org A:Carl@elsewhere.example"},
	{"nested, without doubles", "nested@example.org", 0,
	    "local M:ann@example.org M:bob@example.org "
	    "A:Carl@elsewhere.example"},
	{"bare name", "root@mail.example.com", 0, "local M:ann@example.org"},
	{"no bare names elsewhere", "root@example.org", 0, "none 1.1"},
	{"mailbox itself", "self@mail.example.com", RESOLVE_MAILBOX,
	    "local M:self@mail.example.com"},
	{"no mailbox itself", "root@mail.example.com", RESOLVE_MAILBOX,
	    "none 1.1"},
	{"self", "self@mail.example.com", 0, "local M:self@mail.example.com "
	    "A:else@elsewhere.example"},
	{"backslash", "direct@mail.example.com", 0,
	    "local M:self@mail.example.com"},
	{"backslash to nobody", "nomailbox@example.org", 0,
	    "local A:\\nobody@example.org"},
	{"loop", "one@mail.example.com", 0, "broken 4.6"},
	{"loop beside others", "three@mail.example.com", 0,
	    "local A:x@elsewhere.example"},
	{"loop with a mailbox", "boxloop@mail.example.com", 0, "broken 4.6"},
	{"loop from its mailbox", "loopbox@mail.example.com", 0,
	    "local M:loopbox@mail.example.com"},
	{"loop by an extension", "extloop@mail.example.com", 0,
	    "broken 4.6"},
	{"deep enough", "d2@mail.example.com", 0, "local M:ann@example.org"},
	{"too deep", "d1@mail.example.com", 0, "broken 4.6"},
	{"a member that is gone", "halfdead@example.org", 0,
	    "local A:nobody@example.org M:ann@example.org"},
	{"nothing but gone members", "dead@example.org", 0,
	    "local A:nobody@example.org"},
	{"program", "prog@mail.example.com", 0,
	    "local P:/usr/bin/prog 'a b' c"},
	{"one mailbox, two names", "ext@mail.example.com", 0,
	    "local M:ann@example.org/inbox"},
	/* files */
	{"include", "staff@mail.example.com", 0, "local M:ann@example.org "
	    "M:bob@example.org A:dora@elsewhere.example "
	    "A:eve@elsewhere.example"},
	{"include that is gone", "gone@mail.example.com", 0, "temp 3.0"},
	{"include elsewhere", "outside@mail.example.com", 0, "temp 3.0"},
	{"include a way up", "sneaky@mail.example.com", 0, "temp 3.0"},
	{"include a link", "linked@mail.example.com", 0, "temp 3.0"},
	{"include with what it must not", "wicked@mail.example.com", 0,
	    "local A:|/bin/sh A:/tmp/x/ A:<<>> M:ann@example.org"},
	{"include itself", "circle@mail.example.com", 0,
	    "local M:bob@example.org"},
	{"too many members", "many@mail.example.com", 0, NULL},
	/* owners */
	{"owner", "club@mail.example.com", 0,
	    "local M:ann@example.org<owner-club@mail.example.com "
	    "A:m@elsewhere.example<owner-club@mail.example.com "
	    "A:i@elsewhere.example<owner-inner@mail.example.com"},
	{"owner of a list within", "outer@mail.example.com", 0,
	    "local A:p@elsewhere.example<owner-outer@mail.example.com "
	    "A:o@elsewhere.example<owner-outer@mail.example.com"},
	{"the owner", "owner-club@mail.example.com", 0,
	    "local M:bob@example.org"},
	/* domains */
	{"catch-all", "any@example.net", 0, "local A:catch@elsewhere.example"},
	{"mailbox before catch-all", "cat@example.net", 0,
	    "local M:cat@example.net"},
	{"postmaster", "postmaster@mail.example.com", 0,
	    "local M:ann@example.org"},
	{"postmaster of a domain", "PostMaster@example.org", 0,
	    "local M:ann@example.org"},
	{"postmaster before catch-all", "postmaster@example.net", 0,
	    "local M:ann@example.org"},
	{"postmaster elsewhere", "postmaster@elsewhere.example", 0, "remote"},
	{"postmaster without a domain", "postmaster", 0,
	    "local M:ann@example.org"},
	/* users */
	{"user without a domain", "bare@mail.example.com", 0,
	    "local M:bare@mail.example.com"},
	{"system user", "sys@mail.example.com", 0,
	    "local M:sys@mail.example.com"},
	{"system user elsewhere", "sys@example.org", 0, "none 1.1"},
	{"system user below the least uid", "root@example.org", 0,
	    "none 1.1"},
	{"service", "daemon@mail.example.com", 0, "none 1.1"},
	{"nobody at all", "nobody@mail.example.com", 0, "none 1.1"},
	{"uid below the least", "low@example.org", 0, "temp 3.0"},
	/* probes: RCPT */
	{"probe: mailbox", "ann@example.org", RESOLVE_PROBE,
	    "local M:ann@example.org"},
	{"probe: dead alias", "dead@example.org", RESOLVE_PROBE,
	    "broken 2.4"},
	{"probe: nothing but wrong ones", "nomailbox@example.org",
	    RESOLVE_PROBE, "broken 2.4"},
	{"probe: file is not opened", "gone@mail.example.com", RESOLVE_PROBE,
	    "local A:"},
	/* routes: the longest key */
	{"route of a domain", "x@routed.example", 0,
	    "remote smtp:[192.0.2.1]:25"},
	{"route of an address", "VIP@Routed.example", 0, "remote lmtp:/vip"},
	{"route below a domain", "x@a.routed.example", 0,
	    "remote smtp:[192.0.2.2]"},
	{"route further below", "x@a.b.routed.example", 0,
	    "remote smtp:[192.0.2.2]"},
	{"the nearer one", "x@a.deep.routed.example", 0,
	    "remote smtp:[192.0.2.3]"},
	{"not itself", "x@deep.routed.example", 0, "remote smtp:[192.0.2.2]"},
	{"not another's end", "x@norouted.example", 0, "remote"},
	{"route of a U-label", "x@b\xc3\xbc" "cher.example", 0,
	    "remote smtp:[192.0.2.4]"},
	{"route of a literal", "x@[192.0.2.9]", 0, "remote smtp:[192.0.2.5]"},
	{"probe: nothing goes there", "x@shut.example", RESOLVE_PROBE,
	    "remote 1.2 error:"},
	{"nothing goes there", "x@shut.example", 0, "remote error:"},
	/* domains that are passed on */
	{"passed on", "any@relay.example", 0, "remote"},
	{"probe: passed on", "any@relay.example", RESOLVE_PROBE, "local"},
	{"passed on by a closed route", "any@closed.example", RESOLVE_PROBE,
	    "none 1.2 error:Closed for good"},
	{"alias in such a domain", "away@relay.example", 0,
	    "local A:x@elsewhere.example"},
	{"itself in such a domain", "known@relay.example", 0,
	    "local A:known@relay.example M:ann@example.org"},
	{"the mailbox itself, elsewhere", "known@relay.example",
	    RESOLVE_MAILBOX, "remote"},
	{"its postmaster", "postmaster@relay.example", 0, "remote"},
	/* EXPN */
	{"expn", "sales@example.org", RESOLVE_MEMBERS,
	    "local A:ann@example.org A:bob@example.org "
	    "A:Carl@elsewhere.example"},
	{"expn, one level", "nested@example.org", RESOLVE_MEMBERS,
	    "local A:sales@example.org A:ANN@example.org A:bob@example.org"},
	{"expn, bare names", "one@mail.example.com", RESOLVE_MEMBERS,
	    "local A:two@mail.example.com"},
	{"expn, files", "staff@mail.example.com", RESOLVE_MEMBERS,
	    "local A:ann@example.org A:bob@example.org "
	    "A:dora@elsewhere.example A:eve@elsewhere.example"},
	{"expn, no programs", "prog@mail.example.com", RESOLVE_MEMBERS,
	    "broken 2.4"},
	{"expn, a user", "ann@example.org", RESOLVE_MEMBERS, "none 2.4"},
};

START_TEST(resolving)
{
	struct buf got = BUF_INIT(100000);

	run(cases[_i].address, cases[_i].flags, &got);
	if (cases[_i].want != NULL)
		ck_assert_msg(strcmp(got.s, cases[_i].want) == 0,
		    "%s: \"%s\", not \"%s\"", cases[_i].name, got.s,
		    cases[_i].want);
	else
		ck_assert_msg(strncmp(got.s, "broken 2.4", 10) == 0,
		    "%s: \"%s\"", cases[_i].name, got.s);
	/* The resolver is as new afterwards. */
	run("ann@example.org", 0, &got);
	ck_assert_str_eq(got.s, "local M:ann@example.org");
	buf_free(&got);
}
END_TEST

static const struct {
	const char *address;
	uint32_t uid, gid;
	const char *user, *home, *maildir; /* paths behind the fixture's */
} mailboxes[] = {
	{"ann@example.org", 4001, 4002, "ann@example.org",
	    "+/mail/example.org/ann", "+/mail/example.org/ann/Maildir"},
	{"bob@example.org", 5001, 5002, "bob@example.org", "/home/bob",
	    "/home/bob/Maildir"},
	{"home@example.org", 4001, 4002, "home@example.org",
	    "+/mail/example.org/home", "+/mail/example.org/home/mail"},
	{"SYS@mail.example.com", 1500, 1600, "Sys", "/home/sys",
	    "/home/sys/Maildir"},
};

static void
is_path(struct slice got, const char *want)
{
	struct buf full = BUF_INIT(1000);

	if (want[0] == '+') {
		buf_adds(&full, f.dir);
		want++;
	}
	buf_adds(&full, want);
	ck_assert_msg(slice_eq(got, buf_slice(&full)), "%.*s, not %s",
	    SLICE_FMT(got), full.s);
	buf_free(&full);
}

START_TEST(mailbox_rights)
{
	struct address_target t;

	resolve_start(r, slice_of(mailboxes[_i].address), 0);
	ck_assert_int_eq(resolve_next(r, &t), RESOLVE_STEP_TARGET);
	ck_assert_uint_eq(t.uid, mailboxes[_i].uid);
	ck_assert_uint_eq(t.gid, mailboxes[_i].gid);
	ck_assert(slice_eq(t.user, slice_of(mailboxes[_i].user)));
	is_path(t.home, mailboxes[_i].home);
	is_path(t.maildir, mailboxes[_i].maildir);
}
END_TEST

START_TEST(program_rights)
{
	struct address_target t;

	resolve_start(r, SLICE("prog@mail.example.com"), 0);
	while (resolve_next(r, &t) == RESOLVE_STEP_WORKED)
		continue;
	ck_assert_uint_eq(t.uid, 4003);
	ck_assert_uint_eq(t.gid, 4004);
	ck_assert(slice_eq(t.user, SLICE("postern-pipe")));
	ck_assert(slice_eq(t.address, SLICE("prog@mail.example.com")));
	ck_assert_uint_eq(t.extension.len, 0);
	/* list+subscribe@ is the list's program's to read. */
	resolve_start(r, SLICE("Prog+sub-x@mail.example.com"), 0);
	while (resolve_next(r, &t) == RESOLVE_STEP_WORKED)
		continue;
	ck_assert(slice_eq(t.address, SLICE("prog+sub-x@mail.example.com")));
	ck_assert(slice_eq(t.extension, SLICE("sub-x")));
}
END_TEST

/* Names that would leave their directory stay in it, and stay apart. */
static const struct {
	const char *local, *part;
} escapes[] = {
	{"\"../ann\"", "%2e.%2fann"},
	{"\"..\"", "%2e."},
	{"\".hidden\"", "%2ehidden"},
	{"a/b", "a%2fb"},
	{"a%2fb", "a%252fb"},
	{"\"a b\"", "a b"},
};

START_TEST(path_parts)
{
	struct buf users = BUF_INIT(1000), want = BUF_INIT(1000);
	struct mailbox m;

	buf_printf(&users, "%s@example.org:::::::\n", escapes[_i].local);
	auth_write(&f, "tables/users", users.s);
	auth_compile(&f);
	usleep(3000); /* table_check is 1 ms */
	mailbox_init(&m);
	ck_assert_int_eq(directory_mailbox(f.directory,
	    slice_of(escapes[_i].local), SLICE("example.org"), false, &m),
	    DIRECTORY_FOUND);
	buf_printf(&want, "+/mail/example.org/%s", escapes[_i].part);
	is_path(m.home, want.s);
	mailbox_free(&m);
	buf_free(&users);
	buf_free(&want);
}
END_TEST

START_TEST(the_host_is_local)
{
	struct buf got = BUF_INIT(1000);
	struct conf before = f.conf;

	f.conf.local_domain = "example.com";
	run("root@mail.example.com", 0, &got);
	ck_assert_str_eq(got.s, "local M:ann@example.org");
	run("sys@example.com", 0, &got);
	ck_assert_str_eq(got.s, "local M:sys@example.com");
	f.conf = before;
	buf_free(&got);
}
END_TEST

/* local_domain, too, may be passed on; the host's name stands for it. */
START_TEST(local_domain_is_passed_on)
{
	struct buf got = BUF_INIT(1000);
	struct conf before = f.conf;

	auth_write(&f, "tables/domains", "example.com relay\n");
	auth_write(&f, "tables/routes", "example.com lmtp:/run/lmtp\n");
	auth_compile(&f);
	usleep(3000); /* table_check is 1 ms */
	f.conf.local_domain = "example.com";
	run("anybody@example.com", 0, &got);
	ck_assert_str_eq(got.s, "remote lmtp:/run/lmtp");
	run("anybody@mail.example.com", 0, &got);
	ck_assert_str_eq(got.s, "remote lmtp:/run/lmtp");
	run("prog@example.com", 0, &got);
	ck_assert_str_eq(got.s, "local P:/usr/bin/prog 'a b' c");
	run("sys@example.com", 0, &got);
	ck_assert_str_eq(got.s, "local M:sys@example.com");
	run("anybody@example.com", RESOLVE_PROBE, &got);
	ck_assert_str_eq(got.s, "local lmtp:/run/lmtp");
	f.conf = before;
	buf_free(&got);
}
END_TEST

START_TEST(no_delimiter)
{
	struct buf got = BUF_INIT(1000);
	struct conf before = f.conf;

	f.conf.recipient_delimiter = "";
	run("ann+x@example.org", 0, &got);
	ck_assert_str_eq(got.s, "none 1.1");
	f.conf = before;
	buf_free(&got);
}
END_TEST

START_TEST(one_owner_of_all)
{
	struct address_target t;
	struct conf before = f.conf;

	f.conf.virtual_only = true;
	resolve_start(r, SLICE("bob@example.org"), 0);
	ck_assert_int_eq(resolve_next(r, &t), RESOLVE_STEP_TARGET);
	ck_assert_uint_eq(t.uid, 4001);
	ck_assert_uint_eq(t.gid, 4002);
	f.conf = before;
}
END_TEST

static const char *const table_files[] = {"domains", "aliases", "users"};

/* A table that is gone is no reason to refuse anybody. */
START_TEST(table_gone)
{
	struct buf got = BUF_INIT(1000);
	char path[256];

	snprintf(path, sizeof(path), "%s/tables/%s.cdb", f.dir,
	    table_files[_i]);
	ck_assert_int_eq(unlink(path), 0);
	resolve_free(&r);
	directory_free(&f.directory);
	conf_free(&f.conf);
	auth_setup_conf(&f, "");
	f.directory = directory_new(&(struct directory_args){
	    .conf = &f.conf, .table_fd = f.table_fd, .etc_fd = -1});
	r = resolve_new(f.directory);
	run("nobody@example.org", 0, &got);
	ck_assert_str_eq(got.s, "temp 3.0");
	buf_free(&got);
}
END_TEST

START_TEST(passwd_changes)
{
	struct buf got = BUF_INIT(1000);
	char path[256];

	run("new@mail.example.com", 0, &got);
	ck_assert_str_eq(got.s, "none 1.1");
	auth_write(&f, "etc/passwd.new", "new:x:1700:1700::/home/new:\n"
	    "zed:x:1701:1701::/home/zed:\nabe:x:1702:1702::/home/abe:\n");
	snprintf(path, sizeof(path), "%s/etc/passwd.new", f.dir);
	ck_assert_int_eq(renameat(AT_FDCWD, path, f.etc_fd, "passwd"), 0);
	usleep(3000);
	run("new@mail.example.com", 0, &got);
	ck_assert_str_eq(got.s, "local M:new@mail.example.com");
	run("abe@mail.example.com", 0, &got);
	ck_assert_str_eq(got.s, "local M:abe@mail.example.com");
	ck_assert_int_eq(unlinkat(f.etc_fd, "passwd", 0), 0);
	usleep(3000);
	run("new@mail.example.com", 0, &got);
	ck_assert_str_eq(got.s, "temp 3.0");
	buf_free(&got);
}
END_TEST

START_TEST(includes)
{
	struct conf_list list = {(const char *[]){f.dir}, 1};
	struct include_dirs *d = include_new(&list);
	char path[256];
	const char *why = NULL;
	size_t len;
	char *text;

	snprintf(path, sizeof(path), "%s//lists/sub/more", f.dir);
	text = include_read(d, slice_of(path), &len, &why);
	ck_assert_msg(text != NULL, "%s", why);
	ck_assert_uint_eq(len, strlen("eve@elsewhere.example\n"
	    "DORA@elsewhere.example\n"));
	free(text);
	snprintf(path, sizeof(path), "%s/lists", f.dir);
	ck_assert_ptr_null(include_read(d, slice_of(path), &len, &why));
	ck_assert_str_eq(why, "is not a regular file");
	snprintf(path, sizeof(path), "%s/lists/", f.dir);
	ck_assert_ptr_null(include_read(d, slice_of(path), &len, &why));
	snprintf(path, sizeof(path), "%sx/lists/staff", f.dir);
	ck_assert_ptr_null(include_read(d, slice_of(path), &len, &why));
	ck_assert_str_eq(why, "is not below include_dirs");
	include_free(&d);
}
END_TEST

Suite *
auth_resolve_suite(void)
{
	Suite *s = suite_create("auth_resolve");
	TCase *tc = tcase_create("resolve");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, resolving, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(tc, mailbox_rights, 0,
	    sizeof(mailboxes) / sizeof(mailboxes[0]));
	tcase_add_test(tc, program_rights);
	tcase_add_loop_test(tc, path_parts, 0,
	    sizeof(escapes) / sizeof(escapes[0]));
	tcase_add_test(tc, the_host_is_local);
	tcase_add_test(tc, local_domain_is_passed_on);
	tcase_add_test(tc, no_delimiter);
	tcase_add_test(tc, one_owner_of_all);
	tcase_add_loop_test(tc, table_gone, 0, 3);
	tcase_add_test(tc, passwd_changes);
	tcase_add_test(tc, includes);
	suite_add_tcase(s, tc);
	return s;
}
