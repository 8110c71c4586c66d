/* A small installation for the tests of authd: tables, lists and a passwd file
 * below a directory of its own.  Included by auth_*_test.c. */
#ifndef TESTS_UNIT_AUTH_FIXTURE_H
#define TESTS_UNIT_AUTH_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "authd/directory.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/conf/table.h"

struct auth_fixture {
	char dir[64];
	struct conf conf;
	struct directory *directory;
	int table_fd, etc_fd;
};

static const char auth_domains[] =
    "example.org\n"
    "example.net\n"
    "relay.example relay\n"
    "closed.example relay\n";

static const char auth_routes[] =
    "routed.example smtp:[192.0.2.1]:25\n"
    ".routed.example smtp:[192.0.2.2]\n"
    ".deep.routed.example smtp:[192.0.2.3]\n"
    "vip@routed.example lmtp:/vip\n"
    "xn--bcher-kva.example smtp:[192.0.2.4]\n"
    "[192.0.2.9] smtp:[192.0.2.5]\n"
    "closed.example error:Closed for good\n"
    "shut.example error:\n";

static const char auth_users[] =
    "ann@example.org:{PLAIN}annsecret::::::\n"
    "bob@example.org:{PLAIN}bobsecret:5001:5002::/home/bob::\n"
    "ann+work@example.org:::::::\n"
    "locked@example.org:!{PLAIN}x::::::\n"
    "hashed@example.org:{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8"
    "iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1::::::\n"
    "odd@example.org:{ROT13}x::::::\n"
    "low@example.org:{PLAIN}x:5:5::/home/low::\n"
    "mary-ann@example.org:::::::\n"
    "home@example.org::::::: mail=maildir:~/mail\n"
    "cat@example.net:::::::\n"
    "bare:{PLAIN}baresecret::::::\n"
    "self@mail.example.com:::::::\n"
    "loopbox@mail.example.com:::::::\n";

static const char auth_aliases[] =
    "postmaster: ann@example.org\n"
    "root: postmaster\n"
    "sales@example.org: ann@example.org, bob@example.org,\n"
    "    Carl@elsewhere.example\n"
    "nested@example.org: sales@example.org, ANN@example.org, bob@example.org\n"
    "@example.net: catch@elsewhere.example\n"
    "self: self, else@elsewhere.example\n"
    "direct: \\self\n"
    "one: two\n"
    "two: one\n"
    "three: four, x@elsewhere.example\n"
    "four: three\n"
    "boxloop: loopbox\n"
    "loopbox: boxloop\n"
    "dead@example.org: nobody@example.org\n"
    "halfdead@example.org: nobody@example.org, ann@example.org\n"
    "nomailbox@example.org: \\nobody@example.org\n"
    "prog: \"|/usr/bin/prog 'a b' c\"\n"
    "staff: :include:@DIR@/lists/staff\n"
    "gone: :include:@DIR@/lists/gone\n"
    "outside: :include:/etc/passwd\n"
    "sneaky: :include:@DIR@/lists/../conf\n"
    "linked: :include:@DIR@/lists/link\n"
    "wicked: :include:@DIR@/lists/wicked\n"
    "circle: :include:@DIR@/lists/circle\n"
    "club: ann@example.org, m@elsewhere.example, inner\n"
    "owner-club: bob@example.org\n"
    "inner: i@elsewhere.example\n"
    "owner-inner: bob@example.org\n"
    "plain: p@elsewhere.example\n"
    "outer: plain, o@elsewhere.example\n"
    "owner-outer: bob@example.org\n"
    "d1: d2\nd2: d3\nd3: d4\nd4: d5\nd5: d6\nd6: ann@example.org\n"
    "team@example.org: t@elsewhere.example\n"
    "many: :include:@DIR@/lists/many\n"
    "long: :include:@DIR@/lists/long\n"
    "known@relay.example: known@relay.example, ann@example.org\n"
    "away@relay.example: x@elsewhere.example\n"
    "ext: ann+inbox@example.org, ann@example.org\n"
    "extloop: extloop+x\n";

static void
auth_write(const struct auth_fixture *f, const char *name, const char *text)
{
	char path[256];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	fp = fopen(path, "w");
	ck_assert_ptr_nonnull(fp);
	ck_assert_int_ge(fputs(text, fp), 0);
	ck_assert_int_eq(fclose(fp), 0);
}

/* @DIR@ stands for the directory. */
static void
auth_write_here(const struct auth_fixture *f, const char *name,
    const char *text)
{
	struct buf out = BUF_INIT(100000);
	const char *at;

	while ((at = strstr(text, "@DIR@")) != NULL) {
		buf_add(&out, text, (size_t)(at - text));
		buf_adds(&out, f->dir);
		text = at + 5;
	}
	buf_adds(&out, text);
	auth_write(f, name, out.s);
	buf_free(&out);
}

static void
auth_compile(const struct auth_fixture *f)
{
	struct buf errors = BUF_INIT(10000);
	char tables[128];
	int i;

	snprintf(tables, sizeof(tables), "%s/tables", f->dir);
	for (i = 0; i < TABLE_KINDS; i++)
		ck_assert_msg(table_compile(tables, (enum table_kind)i,
		    &errors), "%s", errors.s);
	buf_free(&errors);
}

static void
auth_lists(const struct auth_fixture *f)
{
	struct buf out = BUF_INIT(1000000);
	char from[128];
	int i;

	auth_write_here(f, "lists/staff", "# the staff\nann@example.org\n"
	    "bob@example.org, dora@elsewhere.example\n"
	    ":include:@DIR@/lists/sub/more\n");
	auth_write(f, "lists/sub/more", "eve@elsewhere.example\n"
	    "DORA@elsewhere.example\n");
	auth_write(f, "lists/wicked", "|/bin/sh\n/tmp/x/\n<<>>\n"
	    "ann@example.org\n");
	auth_write_here(f, "lists/circle", ":include:@DIR@/lists/circle\n"
	    "circle, bob@example.org\n");
	for (i = 0; i < 250; i++)
		buf_printf(&out, "m%d@elsewhere.example\n", i);
	auth_write(f, "lists/many", out.s);
	for (; i < 3000; i++)
		buf_printf(&out, "m%d@elsewhere.example\n", i);
	auth_write(f, "lists/long", out.s);
	buf_free(&out);
	snprintf(from, sizeof(from), "%s/lists/link", f->dir);
	ck_assert_int_eq(symlink("staff", from), 0);
}

static void
auth_setup_conf(struct auth_fixture *f, const char *more)
{
	struct buf errors = BUF_INIT(10000), text = BUF_INIT(10000);
	char path[128];

	buf_printf(&text, "hostname = mail.example.com\n"
	    "table_dir = %s/tables\ninclude_dirs = %s/lists %s/none\n"
	    "mail_root = %s/mail\ntable_check = 1ms\n"
	    "password_scheme = sha512\nauth_workers = 2\n%s",
	    f->dir, f->dir, f->dir, f->dir, more);
	auth_write(f, "conf", text.s);
	snprintf(path, sizeof(path), "%s/conf", f->dir);
	ck_assert_msg(conf_read(path, &f->conf, &errors), "%s", errors.s);
	buf_free(&errors);
	buf_free(&text);
}

static void
auth_setup(struct auth_fixture *f, const char *more)
{
	struct directory_args args = {.conf = &f->conf,
	    .virtual_user = {4001, 4002}, .pipe_user = {4003, 4004}};
	static const char *const dirs[] = {"tables", "lists", "lists/sub",
	    "etc"};
	char path[128];
	size_t i;

	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/postern-auth.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, dirs[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	auth_write(f, "tables/domains", auth_domains);
	auth_write(f, "tables/users", auth_users);
	auth_write(f, "tables/routes", auth_routes);
	auth_write_here(f, "tables/aliases", auth_aliases);
	auth_write(f, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
	    "Sys:x:1500:1600:Sys:/home/sys:/bin/sh\n"
	    "daemon:x:1501:1501::/nonexistent:/usr/sbin/nologin\n"
	    "broken line\n"
	    "nobody:x:65534:65534::/home/nobody:/usr/sbin/nologin\n"
	    "low:x:499:499::/home/low:/bin/sh\n");
	auth_lists(f);
	auth_compile(f);
	auth_setup_conf(f, more);
	snprintf(path, sizeof(path), "%s/tables", f->dir);
	f->table_fd = open(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/etc", f->dir);
	f->etc_fd = open(path, O_RDONLY | O_DIRECTORY);
	args.table_fd = f->table_fd;
	args.etc_fd = f->etc_fd;
	f->directory = directory_new(&args);
}

static void
auth_remove(const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) != 0)
			auth_remove(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

static void
auth_teardown(struct auth_fixture *f)
{
	directory_free(&f->directory);
	close(f->table_fd);
	close(f->etc_fd);
	conf_free(&f->conf);
	auth_remove(f->dir);
}

#endif
