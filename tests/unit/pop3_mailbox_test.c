/*
 * pop3d/mailbox and pop3d/maildrop: whole TRANSACTION states over a socket pair
 * on a Maildir of the test, and what is left of the Maildir afterwards.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/mail/maildir.h"
#include "pop3d/mailbox.h"
#include "pop3d/maildrop.h"

Suite *pop3_mailbox_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static char dir[64], maildir[80];
static int dirfd = -1;
static struct conf conf;

static void
put(const char *name, const char *text)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static bool
has(const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Three messages: 1 and 2 with sizes in their names, 3 without. */
static void
setup(void)
{
	int top;

	conf = (struct conf){.pop3_idle_timeout_ms = 5000,
	    .pop3_session_timeout_ms = 10000, .pop3_line_max = 255,
	    .pop3_errors_max = 5, .pop3_messages_max = 1000,
	    .pop3_plaintext_login = true};
	snprintf(dir, sizeof(dir), "/tmp/pop3_mailbox_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(maildir, sizeof(maildir), "%s/m", dir);
	top = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(maildir_make(top, "m"), 0);
	close(top);
	dirfd = open(maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put("new/1.a,S=9,W=12", "a: b\n\nc\n.");
	put("cur/2.b,W=11:2,FT", "a: b\r\n\r\nd\r\n");
	put("new/3.c", "a: b\n\n.e\nf\n");
	put("dovecot-uidlist", "3 V10 N5 G0123\n1 :1.a,S=9,W=12\n"
	    "4 Pold :2.b,W=11\n");
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
teardown(void)
{
	close(dirfd);
	ck_assert_int_eq(nftw(dir, remove_one, 10, FTW_DEPTH | FTW_PHYS), 0);
}

/* All of the client's octets at once; all of the server's. */
static void
talk(const char *input, struct buf *out)
{
	struct mailbox_start start = {.conf = &conf, .alive_fd = -1,
	    .leftover = slice_of(input), .user = "ann@here.example",
	    .ip = "192.0.2.1", .maildir = maildir};
	char chunk[4096];
	sigset_t mask;
	ssize_t n;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	start.fd = fds[0];
	mailbox_serve(&start);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	while ((n = read(fds[1], chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	close(fds[1]);
}

#define HELLO "+OK 3 messages\r\n"
#define BYE "+OK 0 messages deleted\r\n"

static const struct {
	const char *name, *input, *want;
} cases[] = {
	{"nothing", "", HELLO},
	{"quit", "QUIT\r\n", HELLO BYE},
	{"stat", "STAT\r\nQUIT\r\n", HELLO "+OK 3 38\r\n" BYE},
	{"list", "LIST\r\nLIST 3\r\nLIST 4\r\nQUIT\r\n", HELLO
	    "+OK 3 messages (38 octets)\r\n1 12\r\n2 11\r\n3 15\r\n.\r\n"
	    "+OK 3 15\r\n-ERR No such message\r\n" BYE},
	{"uidl", "UIDL\r\nUIDL 2\r\nUIDL 0\r\nQUIT\r\n", HELLO
	    "+OK Unique-ID listing follows\r\n1 000000010000000a\r\n"
	    "2 old\r\n3 000000050000000a\r\n.\r\n+OK 2 old\r\n"
	    "-ERR Not a message number\r\n" BYE},
	{"retr", "RETR 1\r\nRETR 2\r\nRETR 3\r\n", HELLO
	    "+OK 12 octets\r\na: b\r\n\r\nc\r\n..\r\n.\r\n"
	    "+OK 11 octets\r\na: b\r\n\r\nd\r\n.\r\n"
	    "+OK 15 octets\r\na: b\r\n\r\n..e\r\nf\r\n.\r\n"},
	{"retr wrong", "RETR\r\nRETR 0\r\nRETR 4\r\nRETR 1 2\r\n"
	    "RETR 4294967297\r\n", HELLO "-ERR RETR needs an argument\r\n"
	    "-ERR Not a message number\r\n-ERR No such message\r\n"
	    "-ERR Not a message number\r\n-ERR Not a message number\r\n"},
	{"top", "TOP 3 0\r\nTOP 3 1\r\nTOP 3\r\nTOP 3 x\r\n", HELLO
	    "+OK Top of message follows\r\na: b\r\n\r\n.\r\n"
	    "+OK Top of message follows\r\na: b\r\n\r\n..e\r\n.\r\n"
	    "-ERR Not a message number and a number of lines\r\n"
	    "-ERR Not a message number and a number of lines\r\n"},
	{"dele", "DELE 2\r\nDELE 2\r\nRETR 2\r\nLIST 2\r\nUIDL 2\r\nSTAT\r\n"
	    "LIST\r\nUIDL\r\nTOP 2 0\r\n", HELLO
	    "+OK Message 2 will be deleted\r\n-ERR Message 2 is deleted\r\n"
	    "-ERR Message 2 is deleted\r\n-ERR Message 2 is deleted\r\n"
	    "-ERR Message 2 is deleted\r\n+OK 2 27\r\n"
	    "+OK 2 messages (27 octets)\r\n1 12\r\n3 15\r\n.\r\n"
	    "+OK Unique-ID listing follows\r\n1 000000010000000a\r\n"
	    "3 000000050000000a\r\n.\r\n-ERR Message 2 is deleted\r\n"},
	{"rset", "DELE 1\r\nRSET\r\nSTAT\r\nQUIT\r\n", HELLO
	    "+OK Message 1 will be deleted\r\n+OK 3 messages\r\n+OK 3 38\r\n"
	    BYE},
	{"noop", "NOOP\r\nnoop\r\nNoOp x\r\n", HELLO "+OK Nothing done\r\n"
	    "+OK Nothing done\r\n-ERR NOOP takes no argument\r\n"},
	{"wrong state", "USER ann\r\nUTF8\r\n", HELLO
	    "-ERR You are logged in already\r\n"
	    "-ERR You are logged in already\r\n"},
	{"bare LF", "NOOP\nSTAT\r\nSTAT\r\n", HELLO
	    "-ERR Bare CR or LF; lines end in CRLF\r\n+OK 3 38\r\n"
	    "+OK 3 38\r\n"},
	{"errors", "A\r\nB\r\nC\r\nD\r\nE\r\nNOOP\r\n", HELLO
	    "-ERR Unknown command\r\n-ERR Unknown command\r\n"
	    "-ERR Unknown command\r\n-ERR Unknown command\r\n"
	    "-ERR Unknown command\r\n-ERR Too many errors\r\n"},
	{"no errors", "RETR 9\r\nRETR 9\r\nRETR 9\r\nRETR 9\r\nRETR 9\r\n"
	    "NOOP\r\n", HELLO "-ERR No such message\r\n"
	    "-ERR No such message\r\n-ERR No such message\r\n"
	    "-ERR No such message\r\n-ERR No such message\r\n"
	    "+OK Nothing done\r\n"},
	{"no end of line", "QUIT", HELLO},
};

START_TEST(dialog)
{
	struct buf out = BUF_INIT(100000);

	talk(cases[_i].input, &out);
	ck_assert_msg(strcmp(out.s, cases[_i].want) == 0, "%s:\n%s",
	    cases[_i].name, out.s);
	buf_free(&out);
}
END_TEST

START_TEST(long_line)
{
	struct buf in = BUF_INIT(10000), out = BUF_INIT(10000);

	for (int i = 0; i < 256; i++)
		buf_addc(&in, 'x');
	buf_adds(&in, "\r\nNOOP\r\n");
	talk(in.s, &out);
	ck_assert_str_eq(out.s, HELLO "-ERR Line too long\r\n"
	    "+OK Nothing done\r\n");
	buf_free(&in);
	buf_free(&out);
}
END_TEST

/* RFC 1939 6: without QUIT nothing changes. */
START_TEST(no_quit)
{
	struct buf out = BUF_INIT(100000);

	talk("RETR 1\r\nDELE 1\r\nDELE 2\r\n", &out);
	ck_assert(has("new/1.a,S=9,W=12"));
	ck_assert(has("cur/2.b,W=11:2,FT"));
	ck_assert(has("new/3.c"));
	buf_free(&out);
}
END_TEST

START_TEST(update)
{
	struct buf out = BUF_INIT(100000);

	talk("RETR 1\r\nDELE 1\r\nRETR 2\r\nTOP 3 1\r\nQUIT\r\n", &out);
	ck_assert_ptr_nonnull(strstr(out.s, "+OK 1 messages deleted\r\n"));
	ck_assert(!has("new/1.a,S=9,W=12"));
	/* Sent whole: seen.  Only looked at: as it was. */
	ck_assert(!has("cur/2.b,W=11:2,FT"));
	ck_assert(has("cur/2.b,W=11:2,FST"));
	ck_assert(has("new/3.c"));
	/* Sizes and UIDs are the same the next time. */
	buf_reset(&out);
	talk("UIDL\r\nRETR 2\r\nQUIT\r\n", &out);
	ck_assert_ptr_nonnull(strstr(out.s, "1 old\r\n2 000000050000000a\r\n"));
	ck_assert(has("cur/3.c:2,S"));
	buf_free(&out);
}
END_TEST

static void
read_list(struct buf *out)
{
	char chunk[4096];
	int fd = openat(dirfd, "dovecot-uidlist", O_RDONLY);
	ssize_t n = read(fd, chunk, sizeof(chunk));

	ck_assert_int_gt(n, 0);
	buf_reset(out);
	buf_add(out, chunk, (size_t)n);
	close(fd);
}

/* Counted once, remembered in the uidlist. */
START_TEST(remembers)
{
	struct buf out = BUF_INIT(100000);

	talk("UIDL\r\nQUIT\r\n", &out);
	read_list(&out);
	ck_assert_ptr_nonnull(strstr(out.s, "\n5 :3.c\n"));
	talk("STAT\r\n", &out);
	read_list(&out);
	ck_assert_ptr_nonnull(strstr(out.s, "\n5 W15 :3.c\n"));
	/* From there now: the file is not looked at. */
	put("new/3.c", "changed, which no mail file ever is\n");
	buf_reset(&out);
	talk("LIST 3\r\n", &out);
	ck_assert_str_eq(out.s, HELLO "+OK 3 15\r\n");
	buf_free(&out);
}
END_TEST

/* --- two sessions --- */

static void
open_drop(struct maildrop *d)
{
	ck_assert_int_eq(maildrop_open(d, maildir, 1000), MAILDROP_OK);
}

START_TEST(other_session)
{
	struct maildrop d;
	int fd;

	open_drop(&d);
	/* One removed, one renamed, one moved, by somebody else. */
	ck_assert_int_eq(unlinkat(dirfd, "new/1.a,S=9,W=12", 0), 0);
	ck_assert_int_eq(renameat(dirfd, "cur/2.b,W=11:2,FT", dirfd,
	    "cur/2.b,W=11:2,S"), 0);
	ck_assert_int_eq(renameat(dirfd, "new/3.c", dirfd, "cur/3.c:2,"), 0);
	ck_assert_int_eq(maildrop_read(&d, 0, &fd), MAILDROP_GONE);
	ck_assert_int_eq(maildrop_read(&d, 1, &fd), MAILDROP_OK);
	close(fd);
	ck_assert_int_eq(maildrop_read(&d, 2, &fd), MAILDROP_OK);
	close(fd);
	ck_assert_int_eq(renameat(dirfd, "cur/3.c:2,", dirfd, "cur/3.c:2,R"),
	    0);
	d.v[0].deleted = d.v[1].deleted = true;
	d.v[2].seen = true;
	ck_assert_uint_eq(maildrop_update(&d), 0);
	ck_assert(!has("cur/2.b,W=11:2,S"));
	ck_assert(has("cur/3.c:2,RS"));
	maildrop_close(&d);
}
END_TEST

/* What cannot be removed is counted, and only that. */
START_TEST(failing_update)
{
	struct maildrop d;

	open_drop(&d);
	ck_assert_int_eq(unlinkat(dirfd, "new/3.c", 0), 0);
	ck_assert_int_eq(mkdirat(dirfd, "new/3.c", 0700), 0);
	for (int i = 0; i < 3; i++)
		d.v[i].deleted = true;
	ck_assert_uint_eq(maildrop_update(&d), 1);
	ck_assert(!has("new/1.a,S=9,W=12"));
	ck_assert(!has("cur/2.b,W=11:2,FT"));
	maildrop_close(&d);
}
END_TEST

START_TEST(odd_files)
{
	struct maildrop d;
	int fd;

	ck_assert_int_eq(symlinkat("/etc/passwd", dirfd, "new/4.link"), 0);
	ck_assert_int_eq(mkfifoat(dirfd, "new/5.pipe", 0600), 0);
	ck_assert_int_eq(mkdirat(dirfd, "new/6.dir", 0700), 0);
	put("new/.hidden", "x\n");
	put("new/7.\r", "x\n");
	put("cur/:2,S", "x\n");
	open_drop(&d);
	ck_assert_uint_eq(d.n, 5);
	ck_assert_int_eq(maildrop_read(&d, 3, &fd), MAILDROP_PERM);
	ck_assert_int_eq(maildrop_read(&d, 4, &fd), MAILDROP_PERM);
	ck_assert_uint_eq(maildrop_size(&d, 3), 0);
	maildrop_close(&d);
}
END_TEST

/* The same message in new and in cur, as during a move: one message. */
START_TEST(moved_while_looking)
{
	struct maildrop d;

	put("cur/3.c:2,S", "a: b\n\n.e\nf\n");
	open_drop(&d);
	ck_assert_uint_eq(d.n, 3);
	ck_assert(!d.v[2].in_new);
	maildrop_close(&d);
}
END_TEST

START_TEST(order)
{
	struct maildrop d;

	put("dovecot-uidlist", "3 V10 N5 G0123\n1 :1.a,S=9,W=12\n"
	    "3 O2 :2.b,W=11\n4 O1 :3.c\n");
	put("new/900.d", "x\n");
	put("new/80.e", "x\n");
	open_drop(&d);
	ck_assert_uint_eq(d.n, 5);
	ck_assert_str_eq(d.v[0].name, "3.c");
	ck_assert_str_eq(d.v[1].name, "2.b,W=11:2,FT");
	ck_assert_str_eq(d.v[2].name, "1.a,S=9,W=12");
	/* New ones: as they were delivered. */
	ck_assert_str_eq(d.v[3].name, "80.e");
	ck_assert_str_eq(d.v[4].name, "900.d");
	maildrop_close(&d);
}
END_TEST

START_TEST(limit)
{
	struct maildrop d;

	ck_assert_int_eq(maildrop_open(&d, maildir, 2), MAILDROP_OK);
	ck_assert_uint_eq(d.n, 2);
	ck_assert_uint_eq(d.v[1].uid, 4);
	maildrop_close(&d);
}
END_TEST

START_TEST(no_maildir)
{
	struct maildrop d;

	ck_assert_int_eq(maildrop_open(&d, "/tmp/no such/Maildir", 9),
	    MAILDROP_OK);
	ck_assert_uint_eq(d.n, 0);
	ck_assert_uint_eq(maildrop_update(&d), 0);
	maildrop_close(&d);
	put("file", "x");
	snprintf(maildir + strlen(maildir), 6, "/file");
	ck_assert_int_eq(maildrop_open(&d, maildir, 9), MAILDROP_PERM);
	maildrop_close(&d);
}
END_TEST

/* Somebody holds the lock: what has a UID is shown, the rest later. */
START_TEST(locked)
{
	struct maildrop d;

	put("dovecot-uidlist.lock", "1:mx.example");
	open_drop(&d);
	ck_assert_uint_eq(d.n, 2);
	maildrop_close(&d);
}
END_TEST

/* Lines of messages long gone leave the list, those of others stay. */
START_TEST(tidies)
{
	struct buf list = BUF_INIT(100000);
	struct maildrop d;

	buf_adds(&list, "3 V10 N200 G0123\n1 :1.a,S=9,W=12\n4 :2.b,W=11\n");
	for (int i = 10; i < 100; i++)
		buf_printf(&list, "%d :gone.%d\n", i, i);
	put("dovecot-uidlist", list.s);
	open_drop(&d);
	/* Delivered and listed by another session meanwhile. */
	put("new/4.d", "x\n");
	buf_printf(&list, "200 :3.c\n201 :4.d\n");
	put("dovecot-uidlist", list.s);
	d.v[0].deleted = true;
	ck_assert_uint_eq(maildrop_update(&d), 0);
	maildrop_close(&d);
	read_list(&list);
	ck_assert_str_eq(list.s, "3 V10 N202 G0123\n4 :2.b,W=11\n200 :3.c\n"
	    "201 :4.d\n");
	buf_free(&list);
}
END_TEST

static const struct {
	const char *flags, *want;
} flag_cases[] = {
	{"", "S"}, {"S", "S"}, {"F", "FS"}, {"T", "ST"}, {"DFRT", "DFRST"},
	{"FSa", "FSa"}, {"a", "Sa"},
};

START_TEST(flags)
{
	struct buf out = BUF_INIT(100);

	maildrop_seen_flags(slice_of(flag_cases[_i].flags), &out);
	ck_assert_str_eq(out.s, flag_cases[_i].want);
	buf_free(&out);
}
END_TEST

Suite *
pop3_mailbox_suite(void)
{
	Suite *s = suite_create("pop3_mailbox");
	TCase *t = tcase_create("pop3_mailbox");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, dialog, 0, COUNT(cases));
	tcase_add_test(t, long_line);
	tcase_add_test(t, no_quit);
	tcase_add_test(t, update);
	tcase_add_test(t, remembers);
	tcase_add_test(t, other_session);
	tcase_add_test(t, failing_update);
	tcase_add_test(t, odd_files);
	tcase_add_test(t, moved_while_looking);
	tcase_add_test(t, order);
	tcase_add_test(t, limit);
	tcase_add_test(t, no_maildir);
	tcase_add_test(t, locked);
	tcase_add_test(t, tidies);
	tcase_add_loop_test(t, flags, 0, COUNT(flag_cases));
	suite_add_tcase(s, t);
	return s;
}
