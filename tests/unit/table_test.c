/* Tables: text to cdb, look-ups, edits, users. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/conf/table.h"

Suite *table_suite(void);

static char dir[64];
static int dirfd_;

static void
path_of(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", dir, name);
}

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/table.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void
tear_down(void)
{
	static const char *const names[] = {"users", "users.cdb", "aliases",
	    "aliases.cdb", "domains", "domains.cdb", "routes", "routes.cdb",
	    ".lock"};
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(path, sizeof(path), names[i]);
		unlink(path);
	}
	close(dirfd_);
	/* Nothing else was left there. */
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
write_file(const char *name, const char *text, size_t n)
{
	char path[128];
	int fd;

	path_of(path, sizeof(path), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static void
write_text(enum table_kind kind, const char *text)
{
	write_file(table_name(kind), text, strlen(text));
}

static void
has_text(enum table_kind kind, const char *want)
{
	char path[128], got[4096];
	ssize_t n;
	int fd;

	path_of(path, sizeof(path), table_name(kind));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	n = read(fd, got, sizeof(got) - 1);
	ck_assert_int_ge(n, 0);
	got[n] = '\0';
	close(fd);
	ck_assert_str_eq(got, want);
}

static bool
add_pair(void *arg, struct slice key, struct slice value)
{
	buf_printf(arg, "%.*s=%.*s;", SLICE_FMT(key), SLICE_FMT(value));
	return true;
}

/* ---- text to cdb ---- */

/* A text and either its entries or its errors (DIR/NAME left out). */
static const struct {
	const char *name;
	enum table_kind kind;
	const char *in, *entries, *errors;
} texts[] = {
	{"empty", TABLE_DOMAINS, "", "", NULL},
	{"domains", TABLE_DOMAINS, "# one\nExample.org\n\n  example.net \n"
	    "b\xc3\xbc" "cher.example", "example.org=;example.net=;"
	    "b\xc3\xbc" "cher.example=;", NULL},
	{"no domains", TABLE_DOMAINS, "a..b\nok\na b\n.a\na.\n",
	    NULL, ":1: \"a..b\": not a domain; allowed: one domain a line, "
	    "like example.org\n"
	    ":3: \"a b\": behind the domain may stand the word relay only\n"
	    ":4: \".a\": not a domain; allowed: one domain a line, like "
	    "example.org\n"
	    ":5: \"a.\": not a domain; allowed: one domain a line, like "
	    "example.org\n"},
	{"passed on", TABLE_DOMAINS, "a.example  relay \nb.example\n",
	    "a.example=relay;b.example=;", NULL},
	{"routes", TABLE_ROUTES, "Example.org\tsmtp:[192.0.2.1]:2525 \n"
	    "# more\n.example.net mx source=192.0.2.2\n"
	    "Ann@example.org  lmtp:/run/x\n* error:Nothing goes out.\n",
	    "example.org=smtp:[192.0.2.1]:2525;"
	    ".example.net=mx source=192.0.2.2;ann@example.org=lmtp:/run/x;"
	    "*=error:Nothing goes out.;", NULL},
	{"no routes", TABLE_ROUTES, "a\n.. mx\na smtp:\n@a mx\na x:b\n"
	    "a b@c mx\n", NULL,
	    ":1: \"a\": no route; allowed: KEY ROUTE, like example.org "
	    "smtp:[192.0.2.1]:25\n"
	    ":2: \".. mx\": the key is wrong; allowed: example.org, "
	    ".example.org, user@example.org, *\n"
	    ":3: \"a smtp\": the host is neither a name nor an address\n"
	    ":4: \"@a mx\": the key is wrong; allowed: example.org, "
	    ".example.org, user@example.org, *\n"
	    ":5: \"a x\": unknown kind; allowed: mx, smtp:HOST, "
	    "smtp:[HOST]:PORT, lmtp:[HOST]:PORT, lmtp:/PATH, error:TEXT\n"
	    ":6: \"a b@c mx\": unknown kind; allowed: mx, smtp:HOST, "
	    "smtp:[HOST]:PORT, lmtp:[HOST]:PORT, lmtp:/PATH, error:TEXT\n"},
	{"twice", TABLE_DOMAINS, "a\nb\nA\n", NULL,
	    ":3: a: stands here for the second time; remove one of them\n"},
	{"aliases", TABLE_ALIASES,
	    "Root: ann@example.org\n"
	    "Info@Example.org:\tAnn@Example.org,\n"
	    "  # a comment within\n"
	    "\n"
	    "\t bob@example.org ,\n"
	    "   :include:/etc/postern/lists/staff\n"
	    "# the end\n"
	    "@example.net: x\n"
	    "\"a:b c\"@example.org: |\"program #1 \\\"x\\\"\"",
	    "root=ann@example.org;"
	    "info@example.org=Ann@Example.org, bob@example.org , "
	    ":include:/etc/postern/lists/staff;"
	    "@example.net=x;"
	    "\"a:b c\"@example.org=|\"program #1 \\\"x\\\"\";", NULL},
	{"target on the next line", TABLE_ALIASES, "a:\n b\n", "a=b;", NULL},
	{"no colon", TABLE_ALIASES, "a b\n c\nd: e\n", NULL,
	    ":1: \"a b\": no colon; allowed: KEY: TARGET, TARGET\n"},
	{"no key", TABLE_ALIASES, ": b\n@: b\na b: c\na@b c: d\n\"a: b\n",
	    NULL,
	    ":1: \"\": the key is not an address; allowed: user@domain, "
	    "@domain, or a bare name\n"
	    ":2: \"@\": the key is not an address; allowed: user@domain, "
	    "@domain, or a bare name\n"
	    ":3: \"a b\": the key is not an address; allowed: user@domain, "
	    "@domain, or a bare name\n"
	    ":4: \"a@b c\": the key is not an address; allowed: user@domain, "
	    "@domain, or a bare name\n"
	    ":5: \"\"a\": no colon; allowed: KEY: TARGET, TARGET\n"},
	{"no target", TABLE_ALIASES, "a:\nb: c\n", NULL,
	    ":1: \"a\": no targets; name at least one, or remove the entry\n"},
	{"begins with white space", TABLE_ALIASES, " a: b\n", NULL,
	    ":1: \" a\": goes on an entry, but there is none before it; "
	    "remove the white space at its start\n"},
	{"DOS", TABLE_ALIASES, "a: b\r\n", NULL,
	    ":1: \"a\": has a control character (a CR of DOS line ends?); "
	    "allowed: printable text\n"},
	{"users", TABLE_USERS,
	    "Ann@example.org:{CRYPT}$y$j9T$a/b$c:::::\n"
	    "bob:",
	    "ann@example.org=Ann@example.org:{CRYPT}$y$j9T$a/b$c:::::;"
	    "bob=bob:;", NULL},
	{"no users", TABLE_USERS,
	    "ann@example.org\n"
	    "@example.org:\n"
	    ":x\n"
	    "a b:secret\n"
	    " a:secret\n"
	    "a:secret:x\n"
	    "a:secret:1:4294967296\n"
	    "a:secret:1:1::home\n"
	    "a:secret:1:1::::mail=mbox:/x\n",
	    NULL,
	    ":1: \"ann@example.org\": no colon; allowed: "
	    "user@domain:{SCHEME}HASH:UID:GID:NAME:HOME::EXTRA\n"
	    ":2: \"@example.org\": the name is not an address; allowed: "
	    "user@domain or a bare name\n"
	    ":3: \"\": the name is not an address; allowed: user@domain or a "
	    "bare name\n"
	    ":4: \"a b\": the name is not an address; allowed: user@domain or "
	    "a bare name\n"
	    ":5: \" a\": the name is not an address; allowed: user@domain or a "
	    "bare name\n"
	    ":6: \"a\": the uid is not a number; allowed: 1 to 4294967294, or "
	    "nothing for user_virtual's\n"
	    ":7: \"a\": the gid is not a number; allowed: 1 to 4294967294, or "
	    "nothing for user_virtual's\n"
	    ":8: \"a\": the home directory is not an absolute path; give one, "
	    "or nothing for the one below mail_root\n"
	    ":9: \"a\": only mail=maildir:PATH is supported; convert the "
	    "mailbox, or remove the field\n"},
};

static void
with_dir(const char *name, const char *lines, struct buf *out)
{
	struct slice rest = slice_of(lines), line;

	while (slice_cut(&rest, '\n', &line))
		if (line.len > 0)
			buf_printf(out, "%s/%s%.*s\n", dir, name,
			    SLICE_FMT(line));
}

START_TEST(compile)
{
	enum table_kind kind = texts[_i].kind;
	struct buf errors = BUF_INIT(8192), got = BUF_INIT(8192);
	struct buf want = BUF_INIT(8192);
	struct table *t;
	bool ok;

	write_text(kind, texts[_i].in);
	ok = table_compile(dir, kind, &errors);
	with_dir(table_name(kind), texts[_i].errors ? texts[_i].errors : "",
	    &want);
	ck_assert_msg(strcmp(errors.s, want.s) == 0, "%s: got\n%swant\n%s",
	    texts[_i].name, errors.s, want.s);
	ck_assert(ok == (texts[_i].errors == NULL));
	if (ok) {
		t = table_open(dirfd_, dir, kind, 0);
		ck_assert_int_eq(table_each(t, add_pair, &got), TABLE_FOUND);
		ck_assert_str_eq(got.s, texts[_i].entries);
		table_close(&t);
		ck_assert_ptr_null(t);
	}
	buf_free(&errors);
	buf_free(&got);
	buf_free(&want);
}
END_TEST

/* The cdb is as secret as its text. */
START_TEST(mode)
{
	struct buf errors = BUF_INIT(8192);
	struct stat text, cdb;
	char path[128];

	write_text(TABLE_USERS, "a:b\n");
	path_of(path, sizeof(path), "users");
	ck_assert_int_eq(chmod(path, 0604), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(path, 65534, 65533), 0);
	ck_assert_int_eq(stat(path, &text), 0);
	ck_assert(table_compile(dir, TABLE_USERS, &errors));
	path_of(path, sizeof(path), "users.cdb");
	ck_assert_int_eq(stat(path, &cdb), 0);
	ck_assert_uint_eq(cdb.st_mode, text.st_mode);
	ck_assert_uint_eq(cdb.st_uid, text.st_uid);
	ck_assert_uint_eq(cdb.st_gid, text.st_gid);
	buf_free(&errors);
}
END_TEST

START_TEST(compile_nothing)
{
	struct buf errors = BUF_INIT(8192);

	ck_assert(!table_compile(dir, TABLE_USERS, &errors));
	ck_assert_ptr_nonnull(strstr(errors.s, "/users: cannot be read: No "
	    "such file or directory; create it"));
	buf_reset(&errors);
	ck_assert(!table_compile("/nonexistent", TABLE_USERS, &errors));
	ck_assert_ptr_nonnull(strstr(errors.s, "/nonexistent: cannot be "
	    "opened"));
	buf_free(&errors);
}
END_TEST

/* Routes need not be there at all; half of them must be told. */
START_TEST(routes_absent)
{
	struct buf errors = BUF_INIT(8192);
	struct slice value;
	struct table *t = table_open(dirfd_, dir, TABLE_ROUTES, 0);
	char path[128];

	ck_assert_int_eq(table_get(t, SLICE("a"), &value), TABLE_NONE);
	ck_assert_int_eq(table_check(dir, TABLE_ROUTES, &errors),
	    TABLE_CURRENT);
	ck_assert(table_compile(dir, TABLE_ROUTES, &errors));
	write_text(TABLE_ROUTES, "a mx\n");
	ck_assert_int_eq(table_get(t, SLICE("a"), &value), TABLE_ERROR);
	ck_assert_int_eq(table_check(dir, TABLE_ROUTES, &errors),
	    TABLE_STALE);
	ck_assert(table_compile(dir, TABLE_ROUTES, &errors));
	ck_assert_int_eq(table_get(t, SLICE("a"), &value), TABLE_FOUND);
	path_of(path, sizeof(path), "routes.cdb");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(table_get(t, SLICE("a"), &value), TABLE_ERROR);
	path_of(path, sizeof(path), "routes");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(table_get(t, SLICE("a"), &value), TABLE_NONE);
	table_close(&t);
	buf_free(&errors);
}
END_TEST

/* ---- look-ups ---- */

static void
has(struct table *t, const char *key, const char *want)
{
	struct slice value = SLICE_EMPTY;
	enum table_result r = table_get(t, slice_of(key), &value);

	ck_assert_msg(r == (want ? TABLE_FOUND : TABLE_NONE), "%s: %d", key,
	    r);
	if (want != NULL)
		ck_assert(slice_eq(value, slice_of(want)));
}

static void
compile_text(enum table_kind kind, const char *text)
{
	struct buf errors = BUF_INIT(8192);

	write_text(kind, text);
	ck_assert_msg(table_compile(dir, kind, &errors), "%s", errors.s);
	buf_free(&errors);
}

START_TEST(get)
{
	char large[2000];
	struct table *t;

	compile_text(TABLE_ALIASES, "Ann: b\n@Example.Org: c\n");
	t = table_open(dirfd_, dir, TABLE_ALIASES, 0);
	has(t, "ann", "b");
	has(t, "ANN", "b");
	has(t, "@example.org", "c");
	has(t, "an", NULL);
	has(t, "", NULL);
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	has(t, large, NULL);
	table_close(&t);
}
END_TEST

START_TEST(newer)
{
	struct table *t, *slow;

	compile_text(TABLE_ALIASES, "a: 1\n");
	t = table_open(dirfd_, dir, TABLE_ALIASES, 0);
	slow = table_open(dirfd_, dir, TABLE_ALIASES, 1000000);
	has(t, "a", "1");
	has(slow, "a", "1");
	compile_text(TABLE_ALIASES, "a: 2\n");
	has(t, "a", "2");
	has(slow, "a", "1");
	table_close(&t);
	table_close(&slow);
}
END_TEST

static void
state_is(enum table_kind kind, enum table_state want)
{
	struct buf errors = BUF_INIT(1000);

	ck_assert_int_eq(table_check(dir, kind, &errors), want);
	ck_assert_int_eq(errors.len > 0, want == TABLE_WRONG);
	buf_free(&errors);
}

/* An edit leaves text and cdb in step, an editor does not. */
START_TEST(check)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct buf errors = BUF_INIT(1000);

	state_is(TABLE_ALIASES, TABLE_WRONG);
	write_text(TABLE_ALIASES, "a: 1\n");
	state_is(TABLE_ALIASES, TABLE_STALE);
	compile_text(TABLE_ALIASES, "a: 1\n");
	state_is(TABLE_ALIASES, TABLE_CURRENT);
	ck_assert_int_eq(table_edit(dir, TABLE_ALIASES, SLICE("b"), "b: 1",
	    false, &errors), TABLE_ADDED);
	state_is(TABLE_ALIASES, TABLE_CURRENT);
	ck_assert_int_eq(utimensat(dirfd_, "aliases.cdb", times, 0), 0);
	state_is(TABLE_ALIASES, TABLE_STALE);
	write_text(TABLE_ALIASES, "no colon\n");
	state_is(TABLE_ALIASES, TABLE_WRONG);
	buf_free(&errors);
}
END_TEST

static enum table_result
quiet_get(struct table *t, const char *key)
{
	struct slice value;
	enum table_result r;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int saved = dup(STDERR_FILENO);

	dup2(null, STDERR_FILENO);
	r = table_get(t, slice_of(key), &value);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	return r;
}

/* A local fault is an error and never "no such user". */
START_TEST(broken)
{
	static const char junk[4096] = "junk";
	char path[128], other[128];
	struct table *t = table_open(dirfd_, dir, TABLE_ALIASES, 0);
	size_t n;

	ck_assert_int_eq(quiet_get(t, "a"), TABLE_ERROR);
	write_file("aliases.cdb", junk, 0);
	ck_assert_int_eq(quiet_get(t, "a"), TABLE_ERROR);
	write_file("aliases.cdb", junk, sizeof(junk));
	ck_assert_int_eq(quiet_get(t, "a"), TABLE_ERROR);
	compile_text(TABLE_ALIASES, "a: 1\n");
	has(t, "a", "1");
	/* Another table in its place. */
	compile_text(TABLE_DOMAINS, "a\n");
	path_of(path, sizeof(path), "domains.cdb");
	path_of(other, sizeof(other), "aliases.cdb");
	ck_assert_int_eq(rename(path, other), 0);
	ck_assert_int_eq(quiet_get(t, "a"), TABLE_ERROR);
	/* Cut short anywhere. */
	for (n = 2040; n < 2100; n += 7) {
		compile_text(TABLE_ALIASES, "a: 1\nb: 2\n");
		ck_assert_int_eq(truncate(other, (off_t)n), 0);
		ck_assert_int_eq(quiet_get(t, "a"), TABLE_ERROR);
	}
	ck_assert_int_eq(unlink(other), 0);
	ck_assert_int_eq(quiet_get(t, "a"), TABLE_ERROR);
	compile_text(TABLE_ALIASES, "a: 1\n");
	has(t, "a", "1");
	table_close(&t);
}
END_TEST

static bool
add_two(void *arg, struct slice key, struct slice value)
{
	add_pair(arg, key, value);
	return ((struct buf *)arg)->len < 6;
}

START_TEST(each)
{
	struct buf got = BUF_INIT(100);
	struct table *t;

	compile_text(TABLE_DOMAINS, "c\na\nb\n");
	t = table_open(dirfd_, dir, TABLE_DOMAINS, 0);
	ck_assert_int_eq(table_each(t, add_pair, &got), TABLE_FOUND);
	ck_assert_str_eq(got.s, "c=;a=;b=;"); /* the file's order */
	buf_reset(&got);
	ck_assert_int_eq(table_each(t, add_two, &got), TABLE_FOUND);
	ck_assert_str_eq(got.s, "c=;a=;");
	table_close(&t);
	buf_free(&got);
}
END_TEST

/* ---- edits ---- */

static const struct {
	const char *name;
	enum table_kind kind;
	const char *before; /* NULL: no file */
	const char *key, *line;
	bool may_replace;
	enum table_edit want;
	const char *after;
} edits[] = {
	{"first", TABLE_DOMAINS, NULL, "a.example", "a.example", false,
	    TABLE_ADDED, "a.example\n"},
	{"append", TABLE_DOMAINS, "# x\na\n", "B", "B", false, TABLE_ADDED,
	    "# x\na\nB\n"},
	{"append to an unfinished line", TABLE_DOMAINS, "a", "b", "b\n", false,
	    TABLE_ADDED, "a\nb\n"},
	{"there already", TABLE_DOMAINS, "a\n", "a", "a", false, TABLE_FAILED,
	    "a\n"},
	{"replace", TABLE_USERS, "# x\na:1\n# y\nb:2\n", "A", "a:3", true,
	    TABLE_REPLACED, "# x\na:3\n# y\nb:2\n"},
	{"replace the last", TABLE_USERS, "a:1\nb:2", "b", "b:3", true,
	    TABLE_REPLACED, "a:1\nb:3\n"},
	{"remove", TABLE_USERS, "# x\na:1\n# y\nb:2\n", "a", NULL, false,
	    TABLE_REMOVED, "# x\n# y\nb:2\n"},
	{"remove the last", TABLE_USERS, "a:1\nb:2", "b", NULL, false,
	    TABLE_REMOVED, "a:1\n"},
	{"remove the only", TABLE_USERS, "a:1", "a", NULL, false,
	    TABLE_REMOVED, ""},
	{"remove what is not there", TABLE_USERS, "a:1\n", "b", NULL, false,
	    TABLE_MISSING, "a:1\n"},
	{"an alias of many lines", TABLE_ALIASES,
	    "x: y\na: b,\n# keep\n  c,\n\n  d\n# z\ne: f\n", "a", "a: g", true,
	    TABLE_REPLACED, "x: y\na: g\n# keep\n\n# z\ne: f\n"},
	{"remove it", TABLE_ALIASES,
	    "x: y\na: b,\n# keep\n  c\ne: f\n", "a", NULL, false,
	    TABLE_REMOVED, "x: y\n# keep\ne: f\n"},
	{"two lines for one", TABLE_USERS, "a:1\n", "b", "b:2\nc:3", false,
	    TABLE_FAILED, "a:1\n"},
	{"another key", TABLE_USERS, "a:1\n", "b", "c:3", false,
	    TABLE_FAILED, "a:1\n"},
	{"a comment", TABLE_USERS, "a:1\n", "#b", "#b:1", false,
	    TABLE_FAILED, "a:1\n"},
	{"a wrong entry", TABLE_USERS, "a:1\n", "b", "b:1:x", false,
	    TABLE_FAILED, "a:1\n"},
	{"wrong lines elsewhere", TABLE_USERS, "a\n", "b", "b:1", false,
	    TABLE_FAILED, "a\n"},
};

START_TEST(edit)
{
	struct buf errors = BUF_INIT(8192);
	enum table_kind kind = edits[_i].kind;
	struct slice value;
	struct table *t;
	int got;

	if (edits[_i].before != NULL)
		write_text(kind, edits[_i].before);
	got = (int)table_edit(dir, kind, slice_of(edits[_i].key),
	    edits[_i].line, edits[_i].may_replace, &errors);
	ck_assert_msg(got == (int)edits[_i].want, "%s: %d %s",
	    edits[_i].name, got, errors.s);
	ck_assert((errors.len > 0) == (edits[_i].want == TABLE_FAILED));
	has_text(kind, edits[_i].after);
	if (edits[_i].want == TABLE_ADDED || edits[_i].want == TABLE_REPLACED ||
	    edits[_i].want == TABLE_REMOVED) {
		t = table_open(dirfd_, dir, kind, 0);
		ck_assert_int_eq(table_get(t, slice_of(edits[_i].key), &value),
		    edits[_i].line != NULL ? TABLE_FOUND : TABLE_NONE);
		table_close(&t);
	}
	buf_free(&errors);
}
END_TEST

/* Many at once: none is lost. */
START_TEST(edit_at_once)
{
	struct buf errors = BUF_INIT(8192);
	char line[32];
	struct table *t;
	int i, k, status;

	for (i = 0; i < 4; i++) {
		pid_t pid = fork();

		ck_assert_int_ne(pid, -1);
		if (pid != 0)
			continue;
		for (k = 0; k < 5; k++) {
			snprintf(line, sizeof(line), "d%d-%d", i, k);
			if (table_edit(dir, TABLE_DOMAINS, slice_of(line),
			    line, false, &errors) != TABLE_ADDED)
				_exit(1);
		}
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		ck_assert_int_ne(wait(&status), -1);
		ck_assert_int_eq(status, 0);
	}
	t = table_open(dirfd_, dir, TABLE_DOMAINS, 0);
	for (i = 0; i < 4; i++)
		for (k = 0; k < 5; k++) {
			snprintf(line, sizeof(line), "d%d-%d", i, k);
			has(t, line, "");
		}
	table_close(&t);
	buf_free(&errors);
}
END_TEST

/* ---- users ---- */

static const struct {
	const char *in;
	const char *name, *password;
	uint32_t uid, gid;
	const char *home, *maildir, *extra;
} users[] = {
	{"ann@example.org:", "ann@example.org", "", 0, 0, "", "", ""},
	{"ann@example.org:$y$j9T$x", "ann@example.org", "$y$j9T$x", 0, 0, "",
	    "", ""},
	{"a:{PLAIN}x:1000:1001:Ann B.:/home/a:/bin/sh:userdb_quota=1:2 x=y",
	    "a", "{PLAIN}x", 1000, 1001, "/home/a", "",
	    "userdb_quota=1:2 x=y"},
	{"a:::::::mail=maildir:/var/mail/a", "a", "", 0, 0, "", "/var/mail/a",
	    "mail=maildir:/var/mail/a"},
	{"a:::::/h::x=1 userdb_mail=maildir:~/Mail y=2", "a", "", 0, 0, "/h",
	    "~/Mail", "x=1 userdb_mail=maildir:~/Mail y=2"},
	{"\"a:b\"@c:p:5:6", "\"a:b\"@c", "p", 5, 6, "", "", ""},
};

static void
same(struct slice got, const char *want)
{
	ck_assert_msg(slice_eq(got, slice_of(want)), "%.*s is not %s",
	    SLICE_FMT(got), want);
}

START_TEST(user)
{
	struct buf line = BUF_INIT(1000);
	struct table_user u;
	const char *why;
	int i;

	for (i = 0; i < 2; i++) {
		ck_assert_msg(table_user_parse(i == 0 ?
		    slice_of(users[_i].in) : buf_slice(&line), &u, &why),
		    "%s: %s", users[_i].in, why);
		same(u.name, users[_i].name);
		same(u.password, users[_i].password);
		ck_assert_uint_eq(u.uid, users[_i].uid);
		ck_assert_uint_eq(u.gid, users[_i].gid);
		same(u.home, users[_i].home);
		same(u.maildir, users[_i].maildir);
		same(u.extra, users[_i].extra);
		if (i == 0)
			ck_assert(table_user_format(&u, &line));
	}
	buf_free(&line);
}
END_TEST

START_TEST(format_maildir)
{
	struct buf line = BUF_INIT(1000);
	struct table_user u = {.name = SLICE("a"), .extra = SLICE("x=1"),
	    .maildir = SLICE("/m")};

	ck_assert(table_user_format(&u, &line));
	ck_assert_str_eq(line.s, "a:::::::x=1 userdb_mail=maildir:/m");
	buf_free(&line);
}
END_TEST

/* What would be read back as something else is not written. */
START_TEST(format_hostile)
{
	static const struct table_user bad[] = {
		{.name = {"a b", 3}},
		{.name = {"a:b", 3}},
		{.name = {"", 0}},
		{.name = {"a", 1}, .password = {"x:0:0", 5}},
		{.name = {"a", 1}, .password = {"x\nb:y", 5}},
		{.name = {"a", 1}, .home = {"relative", 8}},
		{.name = {"a", 1}, .home = {"/x:y", 4}},
		{.name = {"a", 1}, .maildir = {"/a b", 4}},
		{.name = {"a", 1}, .maildir = {"/a:b", 4}},
		{.name = {"a", 1}, .maildir = {"/a", 2},
		    .extra = {"mail=maildir:/b", 15}},
	};
	struct buf line = BUF_INIT(1000);
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_reset(&line);
		ck_assert_msg(!table_user_format(&bad[i], &line), "%s",
		    line.s);
	}
	buf_free(&line);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
table_suite(void)
{
	Suite *s = suite_create("table");
	TCase *t = tcase_create("table");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, compile, 0, COUNT(texts));
	tcase_add_test(t, mode);
	tcase_add_test(t, compile_nothing);
	tcase_add_test(t, routes_absent);
	tcase_add_test(t, get);
	tcase_add_test(t, newer);
	tcase_add_test(t, check);
	tcase_add_test(t, broken);
	tcase_add_test(t, each);
	tcase_add_loop_test(t, edit, 0, COUNT(edits));
	tcase_add_test(t, edit_at_once);
	tcase_add_loop_test(t, user, 0, COUNT(users));
	tcase_add_test(t, format_maildir);
	tcase_add_test(t, format_hostile);
	suite_add_tcase(s, t);
	return s;
}
