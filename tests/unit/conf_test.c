/* postern.conf: what is read, and what is said about what cannot be. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"

Suite *conf_suite(void);

static char dir[64], file[80];

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/conf.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/f", dir);
}

static void
tear_down(void)
{
	unlink(file);
	rmdir(dir);
}

static void
write_file(const char *text, size_t n)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
}

static bool
read_conf(const char *text, size_t n, struct conf *c, struct buf *errors)
{
	write_file(text, n);
	return conf_read(file, c, errors);
}

/* A file, and the error lines without "FILE"; "" where there is none. */
static const struct {
	const char *name, *in, *want;
} cases[] = {
	{"empty", "", ""},
	{"comments", "# one\n  # two\n\n \t \n", ""},
	{"no newline at the end", "queue_workers = 3", ""},
	{"unknown", "queue_worker = 3\n",
	    ":1: queue_worker: no such key; did you mean queue_workers?\n"},
	{"far off", "\n\nzzzzzzzzzzzzz = 3\n",
	    ":3: zzzzzzzzzzzzz: no such key; postern.conf(5) lists them "
	    "all\n"},
	{"twice", "queue_workers = 3\nqueue_workers = 3\n",
	    ":2: queue_workers: stands here for the second time; the first "
	    "is on line 1, remove one\n"},
	{"too many", "queue_workers = 65\n",
	    ":1: queue_workers: \"65\" is not allowed; allowed: a whole number "
	    "from 1 to 64\n"},
	{"wraps", "queue_workers = 4294967297\n",
	    ":1: queue_workers: \"4294967297\" is not allowed; allowed: a "
	    "whole number from 1 to 64\n"},
	{"no value", "queue_workers =\n",
	    ":1: queue_workers: has no value; allowed: a whole number from 1 "
	    "to 64\n"},
	{"no number", "queue_workers = many\n",
	    ":1: queue_workers: \"many\" is not allowed; allowed: a whole "
	    "number from 1 to 64\n"},
	{"size", "message_size_max = 5G\n",
	    ":1: message_size_max: \"5G\" is not allowed; allowed: octets, or "
	    "with K, M or G, from 1K to 4G\n"},
	{"time", "retry_first = 1 hour\n",
	    ":1: retry_first: \"1 hour\" is not allowed; allowed: seconds, or "
	    "with ms, s, m, h, d or w, from 10ms to 1w\n"},
	{"zero time", "auth_block = 8d\n",
	    ":1: auth_block: \"8d\" is not allowed; allowed: seconds, or with "
	    "ms, s, m, h, d or w, from 0 to 1w\n"},
	{"bool", "smtp_vrfy = true\n",
	    ":1: smtp_vrfy: \"true\" is not allowed; allowed: yes or no\n"},
	{"choice", "smtp_helo_check = all\n",
	    ":1: smtp_helo_check: \"all\" is not allowed; allowed: none, "
	    "syntax or fqdn\n"},
	{"path", "run_dir = run\n",
	    ":1: run_dir: \"run\" is not allowed; allowed: an absolute path, "
	    "like /var/spool/postern\n"},
	{"nets", "relay_networks = 127.0.0.1, 10.0.0.1/8\n",
	    ":1: relay_networks: \"10.0.0.1/8\" is not allowed; allowed: "
	    "addresses and networks, like 192.0.2.1, 192.0.2.0/24, "
	    "2001:db8::/32, with no bits set behind the prefix\n"},
	{"hostname", "hostname = mail example\n",
	    ":1: hostname: \"mail example\" is not allowed; allowed: letters, "
	    "digits, '-' and '.'\n"},
	{"local_domain", "local_domain = example..org\n",
	    ":1: local_domain: \"example..org\" is not allowed; allowed: "
	    "letters, digits, '-' and '.'\n"},
	{"no setting", "hello\n",
	    ":1: not a setting; allowed: KEY = VALUE, [listen NAME] or "
	    "# COMMENT\n"},
	{"no key", "= 5\n",
	    ":1: not a setting; allowed: KEY = VALUE, [listen NAME] or "
	    "# COMMENT\n"},
	{"DOS", "queue_workers = 3\r\n",
	    ":1: ends with CR LF; write the file with LF line ends\n"},
	{"escape", "queue_workers = \033[2J\n",
	    ":1: has a control character; allowed: printable text\n"},
	{"retry", "retry_first = 2h\n",
	    ":1: retry_first is longer than retry_max; allowed: at most as "
	    "long\n"},
	{"all of them", "a = 1\nqueue_workers = 0\n[foo]\nx = 1\n",
	    ":1: a: no such key; postern.conf(5) lists them all\n"
	    ":2: queue_workers: \"0\" is not allowed; allowed: a whole number "
	    "from 1 to 64\n"
	    ":3: not a section; allowed: [listen NAME], NAME of letters, "
	    "digits, '-' and '_'\n"},
	{"section", "[listen mx]\nprotocol = smtp\naddress = *:25, [::]:25\n",
	    ""},
	{"descriptors", "[listen mx]\nprotocol = pop3\naddress=fd:3 fd:pop\n",
	    ""},
	{"section's key outside", "protocol = smtp\n",
	    ":1: protocol: belongs into a section; put [listen NAME] on a "
	    "line above it\n"},
	{"key in a section", "[listen a]\nprotocol = smtp\naddress = *:1\n"
	    "queue_workers = 1\n",
	    ":4: queue_workers: does not belong into a [listen] section; move "
	    "it above the first section\n"},
	{"unknown in a section", "[listen a]\nprotocol = smtp\naddres = *:1\n",
	    ":3: addres: no such key; did you mean address?\n"
	    ":1: [listen a]: address is missing; add address = "
	    "127.0.0.1:2525, for example\n"},
	{"nothing in a section", "[listen a]\n",
	    ":1: [listen a]: protocol is missing; add protocol = smtp or "
	    "pop3\n"
	    ":1: [listen a]: address is missing; add address = "
	    "127.0.0.1:2525, for example\n"},
	{"protocol", "[listen a]\nprotocol = imap\naddress = *:1\n",
	    ":2: protocol: \"imap\" is not allowed; allowed: smtp or "
	    "pop3\n"},
	{"address", "[listen a]\nprotocol = smtp\naddress = mx:25 *:25\n",
	    ":3: address: \"mx:25\" is not allowed; allowed: IPV4:PORT, "
	    "[IPV6]:PORT, *:PORT, [::]:PORT, fd:NUMBER, fd:NAME\n"},
	{"section twice", "[listen a]\nprotocol = smtp\naddress = *:1\n"
	    "[listen a]\nprotocol = smtp\naddress = *:2\n",
	    ":4: [listen a]: stands here for the second time; the first is on "
	    "line 1\n"},
	{"section's key twice", "[listen a]\nprotocol = smtp\nproxy = no\n"
	    "proxy = no\naddress = *:1\n",
	    ":4: proxy: stands here for the second time; the first is on line "
	    "3, remove one\n"},
	{"unclosed section", "[listen a\n",
	    ":1: not a section; allowed: [listen NAME], NAME of letters, "
	    "digits, '-' and '_'\n"},
	{"section without name", "[listen]\n",
	    ":1: not a section; allowed: [listen NAME], NAME of letters, "
	    "digits, '-' and '_'\n"},
	{"proxy from nobody", "[listen a]\nprotocol = smtp\naddress = *:1\n"
	    "proxy = yes\n",
	    ":1: [listen a]: proxy = yes, but proxy_from is empty and nobody "
	    "could connect; set proxy_from to the proxy's address\n"},
};

/* The errors with "FILE" before each line. */
static void
with_file(const char *lines, struct buf *out)
{
	struct slice rest = slice_of(lines), line;

	while (slice_cut(&rest, '\n', &line))
		if (line.len > 0)
			buf_printf(out, "%s%.*s\n", file, SLICE_FMT(line));
}

START_TEST(syntax)
{
	struct buf errors = BUF_INIT(8192), want = BUF_INIT(8192);
	bool ok, good = cases[_i].want[0] == '\0';
	struct conf c;

	ok = read_conf(cases[_i].in, strlen(cases[_i].in), &c, &errors);
	with_file(cases[_i].want, &want);
	ck_assert_msg(strcmp(errors.s, want.s) == 0, "%s: got\n%swant\n%s",
	    cases[_i].name, errors.s, want.s);
	ck_assert_msg(ok == good, "%s", cases[_i].name);
	if (ok)
		conf_free(&c);
	buf_free(&errors);
	buf_free(&want);
}
END_TEST

START_TEST(values)
{
	static const char text[] =
	    "hostname = mx.example.org   # a comment\n"
	    "\trun_dir=/run/a#b\n"
	    "smtp_banner = two words # cut\n"
	    "message_size_max = 10M\n"
	    "smtp_command_timeout = 250ms\n"
	    "retry_max = 7200\n"
	    "smtp_vrfy = yes\n"
	    "smtp_helo_check = fqdn\n"
	    "proxy_from = 192.0.2.1,2001:db8::/32 , 10.0.0.0/8\n"
	    "relay_networks =\n"
	    "include_dirs = /a, /b  /c\n"
	    "forward_file =\n"
	    "[listen mx]\n"
	    "protocol = smtp\n"
	    "address = 127.0.0.1:0\n"
	    "[ listen pop-3 ]\n"
	    "address = fd:pop [::1]:110\n"
	    "proxy = yes\n"
	    "protocol = pop3\n";
	struct buf errors = BUF_INIT(8192);
	struct conf c;

	ck_assert_msg(read_conf(text, sizeof(text) - 1, &c, &errors), "%s",
	    errors.s);
	ck_assert_str_eq(c.file, file);
	ck_assert_str_eq(c.hostname, "mx.example.org");
	ck_assert_str_eq(c.local_domain, "mx.example.org");
	ck_assert_str_eq(c.run_dir, "/run/a#b");
	ck_assert_str_eq(c.smtp_banner, "two words");
	ck_assert_uint_eq(c.message_size_max, 10 * 1024 * 1024);
	ck_assert_uint_eq(c.smtp_command_timeout_ms, 250);
	ck_assert_uint_eq(c.retry_max_ms, 7200000);
	ck_assert(c.smtp_vrfy);
	ck_assert_uint_eq(c.smtp_helo_check, CONF_HELO_FQDN);
	ck_assert_uint_eq(c.proxy_from.n, 3);
	ck_assert_uint_eq(c.proxy_from.v[1].bits, 32);
	ck_assert_uint_eq(c.relay_networks.n, 0);
	ck_assert_uint_eq(c.include_dirs.n, 3);
	ck_assert_str_eq(c.include_dirs.v[2], "/c");
	ck_assert_str_eq(c.forward_file, "");
	ck_assert_uint_eq(c.nlisten, 2);
	ck_assert_str_eq(c.listen[0].name, "mx");
	ck_assert(!c.listen[0].proxy);
	ck_assert_str_eq(c.listen[1].name, "pop-3");
	ck_assert_str_eq(c.listen[1].protocol, "pop3");
	ck_assert_uint_eq(c.listen[1].address.n, 2);
	ck_assert_str_eq(c.listen[1].address.v[0], "fd:pop");
	ck_assert(c.listen[1].proxy);
	ck_assert_uint_eq(c.listen[1].line, 16);
	/* Defaults of what was not named. */
	ck_assert_uint_eq(c.queue_workers, 2);
	ck_assert(c.smtp_chunking);
	ck_assert_uint_eq(c.smtp_data_timeout_ms, 180000);
	ck_assert_uint_eq(c.queue_commit, CONF_COMMIT_AUTO);
	conf_free(&c);
	buf_free(&errors);
}
END_TEST

/* Every row has a default of its own type, and every key can be written. */
START_TEST(defaults)
{
	struct buf text = BUF_INIT(65536), errors = BUF_INIT(8192);
	char host[256];
	struct conf c;
	size_t i;

	for (i = 0; i < conf_nparams; i++)
		buf_printf(&text, "%s = %s\n", conf_params[i].name,
		    conf_params[i].def);
	ck_assert_msg(read_conf(text.s, text.len, &c, &errors), "%s",
	    errors.s);
	ck_assert_int_eq(gethostname(host, sizeof(host)), 0);
	ck_assert_str_eq(c.hostname, host);
	conf_free(&c);
	buf_free(&text);
	buf_free(&errors);
}
END_TEST

START_TEST(untouched)
{
	struct buf errors = BUF_INIT(8192);
	struct conf c;

	memset(&c, 0x5a, sizeof(c));
	ck_assert(!read_conf("x\n", 2, &c, &errors));
	ck_assert_uint_eq(c.queue_workers, 0x5a5a5a5a5a5a5a5a);
	buf_free(&errors);
}
END_TEST

START_TEST(nul)
{
	struct buf errors = BUF_INIT(8192);
	struct conf c;

	ck_assert(!read_conf("hostname = a\0b\n", 15, &c, &errors));
	ck_assert_ptr_nonnull(strstr(errors.s, "control character"));
	buf_free(&errors);
}
END_TEST

START_TEST(unreadable)
{
	struct buf errors = BUF_INIT(8192);
	struct conf c;

	ck_assert(!conf_read(file, &c, &errors));
	ck_assert_ptr_nonnull(strstr(errors.s, "cannot be read: No such file"));
	buf_reset(&errors);
	ck_assert(!conf_read(dir, &c, &errors));
	ck_assert_ptr_nonnull(strstr(errors.s, "not a regular file"));
	buf_free(&errors);
}
END_TEST

START_TEST(too_large)
{
	struct buf text = BUF_INIT(4 * 1024 * 1024), errors = BUF_INIT(8192);
	struct conf c;

	while (text.len < 1200000)
		buf_adds(&text, "# a comment, again and again\n");
	ck_assert(!read_conf(text.s, text.len, &c, &errors));
	ck_assert_ptr_nonnull(strstr(errors.s, "larger than 1 MB"));
	buf_free(&text);
	buf_free(&errors);
}
END_TEST

START_TEST(reload)
{
	struct buf errors = BUF_INIT(8192);
	struct conf c;

	ck_assert(read_conf("queue_workers = 3\n", 18, &c, &errors));
	conf_keep(file);
	ck_assert_int_ge(conf_keep_fd(), 0);
	write_file("queue_workers = 4\n", 18);
	ck_assert(conf_reload(&c));
	ck_assert_uint_eq(c.queue_workers, 4);
	ck_assert_str_eq(c.file, file);
	fflush(stderr);
	conf_free(&c);
	close(conf_keep_fd());
	buf_free(&errors);
}
END_TEST

/* What a process that ends says, and with which code. */
static int
end_of(void (*fn)(void), struct buf *said)
{
	int v[2], status;
	ssize_t n;
	pid_t pid;
	char *p;

	ck_assert_int_eq(pipe2(v, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		dup2(v[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(v[1]);
	while ((p = buf_room(said, 512)) != NULL &&
	    (n = read(v[0], p, 512)) > 0)
		buf_wrote(said, (size_t)n);
	close(v[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
load(void)
{
	struct conf c;

	conf_load(&c, file);
}

START_TEST(load_or_die)
{
	struct buf said = BUF_INIT(8192);

	write_file("a = 1\nb = 2\n", 12);
	ck_assert_int_eq(end_of(load, &said), 100);
	ck_assert_ptr_nonnull(strstr(said.s, ":1: a: no such key"));
	ck_assert_ptr_nonnull(strstr(said.s, ":2: b: no such key"));
	write_file("", 0);
	buf_reset(&said);
	ck_assert_int_eq(end_of(load, &said), 0);
	ck_assert_uint_eq(said.len, 0);
	buf_free(&said);
}
END_TEST

static void
failed_reload(void)
{
	struct conf c;

	conf_load(&c, file);
	conf_keep(file);
	write_file("a = 1\n", 6);
	if (conf_reload(&c) || c.queue_workers != 2)
		_exit(1);
}

START_TEST(reload_keeps_the_old)
{
	struct buf said = BUF_INIT(8192);

	write_file("", 0);
	ck_assert_int_eq(end_of(failed_reload, &said), 0);
	ck_assert_ptr_nonnull(strstr(said.s, "stays in force"));
	buf_free(&said);
}
END_TEST

static char *words[8];
static int nwords;

static void
options(void)
{
	const char *got;

	optind = 0;
	got = conf_options(nwords, words, "usage: x [-v]");
	if (strcmp(got, nwords > 2 ? "/x/y" : CONF_DEFAULT_FILE) != 0)
		_exit(1);
}

static const struct {
	const char *words[5];
	int want;
} usages[] = {
	{{"x"}, 0},
	{{"x", "-v"}, 0},
	{{"x", "-c", "/x/y"}, 0},
	{{"x", "-c", "/x/y", "-v"}, 0},
	{{"x", "-c"}, 100},
	{{"x", "-x"}, 100},
	{{"x", "-v", "more"}, 100},
	{{"x", "-d", "-1"}, 100},
	{{"x", "-d", "x"}, 100},
	{{"x", "-d", "999"}, 100},
};

START_TEST(usage)
{
	struct buf said = BUF_INIT(8192);
	size_t i;

	nwords = 0;
	for (i = 0; i < 5 && usages[_i].words[i] != NULL; i++)
		words[nwords++] = strdup(usages[_i].words[i]);
	words[nwords] = NULL;
	ck_assert_int_eq(end_of(options, &said), usages[_i].want);
	ck_assert(usages[_i].want == 0 || said.len > 0);
	while (nwords > 0)
		free(words[--nwords]);
	buf_free(&said);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
conf_suite(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("conf");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, syntax, 0, COUNT(cases));
	tcase_add_test(t, values);
	tcase_add_test(t, defaults);
	tcase_add_test(t, untouched);
	tcase_add_test(t, nul);
	tcase_add_test(t, unreadable);
	tcase_add_test(t, too_large);
	tcase_add_test(t, reload);
	tcase_add_test(t, load_or_die);
	tcase_add_test(t, reload_keeps_the_old);
	tcase_add_loop_test(t, usage, 0, COUNT(usages));
	suite_add_tcase(s, t);
	return s;
}
