/*
 * common/mail/uidlist: files as Dovecot, crashes and other programs leave them,
 * and what is written: the exact octets, never a UID twice.
 */
#include <sys/stat.h>

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/uidlist.h"

Suite *uidlist_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define NAME "dovecot-uidlist"

static char dir[64];
static int dirfd = -1;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/uidlist_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd, 0);
}

static void
teardown(void)
{
	unlinkat(dirfd, NAME, 0);
	unlinkat(dirfd, NAME ".lock", 0);
	unlinkat(dirfd, NAME ".broken", 0);
	close(dirfd);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void
put(const char *name, struct slice text)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text.p, text.len), (ssize_t)text.len);
	close(fd);
}

/* The file as text; the caller frees. */
static char *
get(const char *name)
{
	struct stat st;
	char *text;
	int fd = openat(dirfd, name, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	text = mem_alloc((size_t)st.st_size + 1);
	ck_assert_int_eq(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	return text;
}

static int64_t
soon(void)
{
	return clock_mono_ms() + 5000;
}

/* The list as text: "validity next: uid=base uid=base". */
static void
show(const struct uidlist *l, struct buf *out)
{
	buf_printf(out, "%u %u:", uidlist_validity(l), uidlist_next(l));
	for (size_t i = 0; i < uidlist_count(l); i++) {
		const struct uidlist_entry *e = uidlist_at(l, i);

		buf_printf(out, " %u=%.*s", e->uid, SLICE_FMT(e->base));
		ck_assert_ptr_eq(uidlist_find(l, e->base), e);
	}
}

static const struct {
	const char *name, *text, *want;
} read_cases[] = {
	{"plain", "3 V5 N9 G01\n1 :a\n8 :b,S=1\n", "5 9: 1=a 8=b,S=1"},
	{"header alone", "3 V5 N9 G01\n", "5 9:"},
	{"fields", "3 V5 N9 G01\n1 W10 S9 Px Zz :a\n", "5 9: 1=a"},
	{"flags cut", "3 V5 N9 G01\n1 :a:2,S\n", "5 9: 1=a"},
	{"next too low", "3 V5 N1 G01\n7 :a\n", "5 8: 7=a"},
	{"unknown header", "3 X1 V5 Yy N9\n1 :a\n", "5 9: 1=a"},
	{"version 1", "1 5 9\n1 a\n2 b b:2,S\n", "5 9: 1=a 2=b b"},
	{"spaces", "3 V5 N9 G01\n1  W1  :a\n", "5 9: 1=a"},
	{"colon name", "3 V5 N9 G01\n1 ::a\n2 :b\n", "5 9: 2=b"},
	{"torn number", "3 V5 N9 G01\n1 :a\n1", "5 9: 1=a"},
	{"torn line", "3 V5 N9 G01\n1 :a\n12 :b,S=", "5 13: 1=a"},
	{"torn at its newline", "3 V5 N9 G01\n1 :a\n9 :b", "5 10: 1=a"},
	{"broken lines", "3 V5 N9 G01\nx\n\n0 :z\n1 :a\n-3 :c\n4:d\n5 W1\n6 :\n"
	    "7 :x/y\n4294967295 :t\n4294967297 :u\n2 :b\n",
	    "5 9: 1=a 2=b"},
	{"not in order", "3 V5 N9 G01\n4 :d\n2 :b\n3 :c\n",
	    "5 9: 2=b 3=c 4=d"},
	{"one UID twice", "3 V5 N9 G01\n2 :b\n2 :c\n3 :d\n", "5 9: 2=b 3=d"},
	{"one file twice", "3 V5 N9 G01\n1 :a\n2 :b\n3 :a\n4 :b\n5 :c\n",
	    "5 9: 3=a 4=b 5=c"},
	{"highest UID", "3 V5 N9 G01\n4294967294 :a\n",
	    "5 4294967295: 4294967294=a"},
};

START_TEST(reads)
{
	struct uidlist *l;
	struct buf out = BUF_INIT(10000);

	put(NAME, slice_of(read_cases[_i].text));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	show(l, &out);
	ck_assert_msg(strcmp(out.s, read_cases[_i].want) == 0, "%s: %s",
	    read_cases[_i].name, out.s);
	uidlist_free(&l);
	buf_free(&out);
}
END_TEST

START_TEST(entry)
{
	struct uidlist *l;
	const struct uidlist_entry *e;

	put(NAME, SLICE("3 V5 N9 G01\n1 W10 S9 Pudl O3 Zz :a\n"
	    "2 W99999999999999999999 Sx :b\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	e = uidlist_at(l, 0);
	ck_assert(slice_eq(e->extra, SLICE("W10 S9 Pudl O3 Zz")));
	ck_assert(slice_eq(e->pop3, SLICE("udl")));
	ck_assert_uint_eq(e->wire, 10);
	ck_assert_uint_eq(e->size, 9);
	ck_assert_uint_eq(e->pop3_order, 3);
	e = uidlist_at(l, 1);
	ck_assert_uint_eq(e->wire, UINT64_MAX);
	ck_assert_uint_eq(e->size, UINT64_MAX);
	ck_assert_uint_eq(e->pop3_order, 0);
	ck_assert_ptr_null(uidlist_find(l, SLICE("c")));
	uidlist_free(&l);
	ck_assert_ptr_null(l);
}
END_TEST

/* NUL, which ext4 may leave in a file that grew before a crash. */
START_TEST(nuls)
{
	struct uidlist *l;
	struct buf out = BUF_INIT(10000);

	put(NAME, SLICE("3 V5 N9 G01\n1 :a\n2 :b\0c\n\0\0\0\0\n3 :d\n\0\0"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	show(l, &out);
	ck_assert_str_eq(out.s, "5 9: 1=a 3=d");
	uidlist_free(&l);
	buf_free(&out);
}
END_TEST

static void
assign(struct uidlist *l, struct slice bases)
{
	struct slice v[20], rest = bases, word;
	size_t n = 0;

	while (slice_word(&rest, &word))
		v[n++] = word;
	ck_assert_int_eq(uidlist_assign(dirfd, l, v, n, soon()), UIDLIST_OK);
}

static void
check_file(const char *want)
{
	char *text = get(NAME);
	struct stat st;

	ck_assert_str_eq(text, want);
	free(text);
	ck_assert_int_ne(fstatat(dirfd, NAME ".lock", &st, 0), 0);
	ck_assert_int_ne(fstatat(dirfd, NAME ".tmp", &st, 0), 0);
}

static const struct {
	const char *name, *text, *bases, *want;
} assign_cases[] = {
	{"appends", "3 V5 N2 G01\n1 W3 :a\n", "c a b,S=1",
	    "3 V5 N2 G01\n1 W3 :a\n2 :c\n3 :b,S=1\n"},
	{"nothing new", "3 V5 N2 G01\n1 :a\n", "a", "3 V5 N2 G01\n1 :a\n"},
	{"behind next", "3 V5 N7 G01\n1 :a\n", "b",
	    "3 V5 N7 G01\n1 :a\n7 :b\n"},
	{"torn line", "3 V5 N2 G01 Xx Yy\n1 W3 S4 Zz :a\n2 :b,S=", "c",
	    "3 V5 N4 G01 Xx Yy\n1 W3 S4 Zz :a\n3 :c\n"},
	{"version 1", "1 5 9\n3 a:2,S\n", "b", NULL},
	{"one file twice", "3 V5 N9 G01\n1 :a\n3 :a\n", "b",
	    "3 V5 N10 G01\n3 :a\n9 :b\n"},
	{"named twice", "3 V5 N9 G01\n1 :a\n", "b b",
	    "3 V5 N9 G01\n1 :a\n9 :b\n10 :b\n"},
	{"no names", "3 V5 N9 G01\n1 :a\n", "x/y x:2,S .x",
	    "3 V5 N9 G01\n1 :a\n"},
};

START_TEST(assigns)
{
	struct uidlist *l, *again;
	struct buf a = BUF_INIT(10000), b = BUF_INIT(10000);

	put(NAME, slice_of(assign_cases[_i].text));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	assign(l, slice_of(assign_cases[_i].bases));
	if (assign_cases[_i].want != NULL)
		check_file(assign_cases[_i].want);
	ck_assert_int_eq(uidlist_read(dirfd, &again), UIDLIST_OK);
	show(l, &a);
	show(again, &b);
	ck_assert_str_eq(a.s, b.s);
	uidlist_free(&l);
	uidlist_free(&again);
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* Version 1 becomes version 3, with a GUID it did not have. */
START_TEST(upgrade)
{
	struct uidlist *l;
	char *text;

	put(NAME, SLICE("1 5 9\n3 a:2,S\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	assign(l, SLICE("b"));
	text = get(NAME);
	ck_assert_int_eq(strncmp(text, "3 V5 N10 G", 10), 0);
	ck_assert_str_eq(text + 10 + 32, "\n3 :a\n9 :b\n");
	free(text);
	uidlist_free(&l);
}
END_TEST

START_TEST(fresh)
{
	struct uidlist *l;
	char *text;
	struct stat st;
	char header[64];

	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	ck_assert_uint_eq(uidlist_count(l), 0);
	ck_assert_uint_eq(uidlist_next(l), 1);
	ck_assert_int_le(llabs((long long)uidlist_validity(l) -
	    clock_real_ms() / 1000), 2);
	/* Nothing to remember: no file. */
	assign(l, SLICE(""));
	ck_assert_int_ne(fstatat(dirfd, NAME, &st, 0), 0);
	assign(l, SLICE("a b"));
	text = get(NAME);
	snprintf(header, sizeof(header), "3 V%u N3 G", uidlist_validity(l));
	ck_assert_int_eq(strncmp(text, header, strlen(header)), 0);
	ck_assert_str_eq(text + strlen(header) + 32, "\n1 :a\n2 :b\n");
	free(text);
	ck_assert_int_eq(fstatat(dirfd, NAME, &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	uidlist_free(&l);
}
END_TEST

/* A second session that read before the first one wrote. */
START_TEST(two_sessions)
{
	struct uidlist *a, *b;
	struct buf out = BUF_INIT(10000);

	ck_assert_int_eq(uidlist_read(dirfd, &a), UIDLIST_OK);
	ck_assert_int_eq(uidlist_read(dirfd, &b), UIDLIST_OK);
	assign(a, SLICE("x y"));
	assign(b, SLICE("y z"));
	ck_assert_uint_eq(uidlist_validity(a), uidlist_validity(b));
	ck_assert_uint_eq(uidlist_find(b, SLICE("y"))->uid, 2);
	ck_assert_uint_eq(uidlist_find(b, SLICE("z"))->uid, 3);
	assign(a, SLICE("w"));
	ck_assert_uint_eq(uidlist_find(a, SLICE("z"))->uid, 3);
	ck_assert_uint_eq(uidlist_find(a, SLICE("w"))->uid, 4);
	uidlist_free(&a);
	uidlist_free(&b);
	buf_free(&out);
}
END_TEST

START_TEST(removes)
{
	struct uidlist *l;
	struct slice gone[] = {SLICE("b"), SLICE("unknown")};

	put(NAME, SLICE("3 V5 N4 G01 Xx\n1 :a\n2 W4 :b\n3 Pp :c\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	ck_assert_int_eq(uidlist_remove(dirfd, l, gone + 1, 1, soon()),
	    UIDLIST_OK);
	check_file("3 V5 N4 G01 Xx\n1 :a\n2 W4 :b\n3 Pp :c\n");
	ck_assert_int_eq(uidlist_remove(dirfd, l, gone, 2, soon()),
	    UIDLIST_OK);
	check_file("3 V5 N4 G01 Xx\n1 :a\n3 Pp :c\n");
	ck_assert_uint_eq(uidlist_count(l), 2);
	ck_assert_ptr_null(uidlist_find(l, SLICE("b")));
	/* The highest goes: its UID is not given again. */
	gone[0] = SLICE("c");
	ck_assert_int_eq(uidlist_remove(dirfd, l, gone, 1, soon()),
	    UIDLIST_OK);
	assign(l, SLICE("d"));
	check_file("3 V5 N4 G01 Xx\n1 :a\n4 :d\n");
	uidlist_free(&l);
}
END_TEST

START_TEST(remembers_wire)
{
	struct uidlist *l;
	static const struct uidlist_wire v[] = {{1, 10}, {3, 30}, {9, 90}};

	put(NAME, SLICE("3 V5 N4 G01\n1 :a\n2 W4 :b\n3 S2 W7 Pp :c\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	ck_assert_int_eq(uidlist_set_wire(dirfd, l, v, 3, soon()),
	    UIDLIST_OK);
	check_file("3 V5 N4 G01\n1 W10 :a\n2 W4 :b\n3 W30 S2 Pp :c\n");
	ck_assert_uint_eq(uidlist_find(l, SLICE("c"))->wire, 30);
	uidlist_free(&l);
}
END_TEST

START_TEST(unknown_version)
{
	struct uidlist *l = NULL;

	put(NAME, SLICE("4 V5 N4\n1 :a\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_ERROR);
	ck_assert_ptr_null(l);
	check_file("4 V5 N4\n1 :a\n");
}
END_TEST

static const struct slice broken_headers[] = {
	{"", 0}, {"3 V5", 4}, {"3 V0 N4\n1 :a\n", 13}, {"3 N4\n1 :a\n", 10},
	{"3 V4294967297 N4\n", 17}, {"garbage\n", 8}, {"\0\0\0\0", 4},
	{"3 V5 N4 G01", 11},
};

START_TEST(broken_header)
{
	struct slice text = broken_headers[_i];
	struct uidlist *l;
	char *kept;

	put(NAME, text);
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	ck_assert_uint_eq(uidlist_count(l), 0);
	ck_assert_uint_gt(uidlist_validity(l), 1000000000);
	assign(l, SLICE("x"));
	ck_assert_uint_eq(uidlist_find(l, SLICE("x"))->uid, 1);
	if (text.len > 0) {
		kept = get(NAME ".broken");
		ck_assert_int_eq(memcmp(kept, text.p, text.len), 0);
		free(kept);
	}
	uidlist_free(&l);
}
END_TEST

START_TEST(locked)
{
	struct uidlist *l;
	struct slice base = SLICE("b");

	put(NAME, SLICE("3 V5 N4 G01\n1 :a\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	put(NAME ".lock", SLICE("1:mx.example"));
	ck_assert_int_eq(uidlist_assign(dirfd, l, &base, 1,
	    clock_mono_ms() + 20), UIDLIST_LOCKED);
	ck_assert_ptr_null(uidlist_find(l, base));
	/* What is known needs no lock. */
	base = SLICE("a");
	ck_assert_int_eq(uidlist_assign(dirfd, l, &base, 1, 0), UIDLIST_OK);
	uidlist_free(&l);
}
END_TEST

START_TEST(no_uids_left)
{
	struct uidlist *l;
	struct slice bases[] = {SLICE("b"), SLICE("c")};

	put(NAME, SLICE("3 V5 N4294967294 G01\n1 :a\n"));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	ck_assert_int_eq(uidlist_assign(dirfd, l, bases, 2, soon()),
	    UIDLIST_ERROR);
	check_file("3 V5 N4294967294 G01\n1 :a\n");
	uidlist_free(&l);
}
END_TEST

static const struct {
	const char *line, *want;
} uidl_cases[] = {
	{"10 :a", "0000000a65921f00"},
	{"10 Pold-uidl W3 :a", "old-uidl"},
	{"10 P :base,S=1", "base,S=1"},
	{"10 P\x01 :a", "0000000a65921f00"},
	{"10 P\xc3\xb6 :a", "0000000a65921f00"},
	{"10 P :a b", "0000000a65921f00"},
	{"4294967294 :a", "fffffffe65921f00"},
};

START_TEST(uidl)
{
	struct buf text = BUF_INIT(1000), out = BUF_INIT(1000);
	struct uidlist *l;

	buf_printf(&text, "3 V%u N11 G01\n%s\n", 0x65921f00u,
	    uidl_cases[_i].line);
	put(NAME, buf_slice(&text));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	uidlist_uidl(l, uidlist_at(l, 0), &out);
	ck_assert_str_eq(out.s, uidl_cases[_i].want);
	uidlist_free(&l);
	buf_free(&text);
	buf_free(&out);
}
END_TEST

/* 100,000 entries, in order and in the reverse order, with every file twice:
 * linear, that is milliseconds and not minutes. */
START_TEST(large)
{
	enum { N = 100000 };
	struct buf text = BUF_INIT(100 << 20);
	struct uidlist *l;
	struct slice base = SLICE("new");
	int64_t from = clock_mono_ms();

	buf_adds(&text, "3 V5 N1 G01\n");
	for (unsigned i = 1; i <= N; i++) {
		unsigned uid = _i == 1 ? N + 1 - i : i;

		buf_printf(&text, "%u W%u :1764000000.%u.1.mx.example,S=5\n",
		    uid, i, _i == 2 ? i / 2 : i);
	}
	put(NAME, buf_slice(&text));
	ck_assert_int_eq(uidlist_read(dirfd, &l), UIDLIST_OK);
	ck_assert_uint_eq(uidlist_next(l), N + 1);
	ck_assert_uint_eq(uidlist_count(l), _i == 2 ? N / 2 + 1 : N);
	ck_assert_int_eq(uidlist_assign(dirfd, l, &base, 1, soon()),
	    UIDLIST_OK);
	ck_assert_uint_eq(uidlist_find(l, base)->uid, N + 1);
	ck_assert_int_lt(clock_mono_ms() - from, 10000);
	uidlist_free(&l);
	buf_free(&text);
}
END_TEST

Suite *
uidlist_suite(void)
{
	Suite *s = suite_create("uidlist");
	TCase *t = tcase_create("uidlist");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, reads, 0, COUNT(read_cases));
	tcase_add_test(t, entry);
	tcase_add_test(t, nuls);
	tcase_add_loop_test(t, assigns, 0, COUNT(assign_cases));
	tcase_add_test(t, upgrade);
	tcase_add_test(t, fresh);
	tcase_add_test(t, two_sessions);
	tcase_add_test(t, removes);
	tcase_add_test(t, remembers_wire);
	tcase_add_test(t, unknown_version);
	tcase_add_loop_test(t, broken_header, 0, COUNT(broken_headers));
	tcase_add_test(t, locked);
	tcase_add_test(t, no_uids_left);
	tcase_add_loop_test(t, uidl, 0, COUNT(uidl_cases));
	tcase_add_loop_test(t, large, 0, 3);
	suite_add_tcase(s, t);
	return s;
}
