/* queue/drop, queue/pickup_dir, queue/pickup_users */
#include <sys/stat.h>

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/mail/envelope.h"
#include "queue/drop.h"
#include "queue/pickup.h"

Suite *pickup_suite(void);

/* ---- the head ---- */

START_TEST(head_round_trip)
{
	struct env_recipient rcpts[] = {
	    {.address = SLICE("bob@here.example"), .orcpt = SLICE_EMPTY},
	    {.address = SLICE("\"a b\"@x.example"), .orcpt = SLICE_EMPTY},
	    {.address = SLICE("j\xc3\xbcrgen@x.example"),
	    .orcpt = SLICE_EMPTY}};
	struct drop_head h = {.from = SLICE("ann@here.example"),
	    .flags = ENV_8BITMIME | ENV_SMTPUTF8 | ENV_RET_HDRS,
	    .notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
	    .envid = SLICE("a+20b"), .size = 12345, .nrcpts = 3,
	    .rcpts = rcpts};
	struct buf text = BUF_INIT(10000), again = BUF_INIT(10000), part;
	struct drop_head got;
	const char *why;

	drop_write(&h, &text);
	/* One octet at a time */
	for (size_t n = 0; n < text.len; n++) {
		buf_init(&part, 10000);
		buf_add(&part, text.s, n);
		ck_assert_int_eq(drop_read(&part, 10, &got, &why), DROP_MORE);
		buf_free(&part);
	}
	buf_init(&part, 10000);
	buf_addslice(&part, buf_slice(&text));
	buf_adds(&part, "From: x\r\n");
	ck_assert_int_eq(drop_read(&part, 10, &got, &why), DROP_OK);
	ck_assert_uint_eq(got.length, text.len);
	ck_assert_uint_eq(got.nrcpts, 3);
	ck_assert_uint_eq(got.rcpts[2].notify, h.notify);
	drop_write(&got, &again);
	ck_assert_str_eq(again.s, text.s);
	drop_head_free(&got);
	buf_free(&part);
	buf_free(&text);
	buf_free(&again);
}
END_TEST

#define FIRST "postern-drop 1\n"
#define HEAD FIRST "from <>\nrcpt a@b\n"

static const struct {
	const char *text;
	enum drop_result want;
} heads[] = {
	{HEAD "size 1\n\n", DROP_OK},
	{HEAD "size 0\n\n", DROP_OK},
	{HEAD "rcpt a@b\nrcpt c@d\nsize 1\n\n", DROP_OK},
	{"", DROP_MORE},
	{"postern", DROP_MORE},
	{HEAD "size 1\n", DROP_MORE},
	{"x", DROP_BAD},
	{"postern-drop 2\n", DROP_NEWER},
	{"postern-drop 17\nwhatever", DROP_NEWER},
	{"postern-drop 0\n", DROP_BAD},
	{"postern-drop 1 \n\n", DROP_NEWER},
	{FIRST "\n", DROP_BAD},
	{FIRST "\n\n", DROP_BAD},
	{HEAD "\n", DROP_BAD},
	{HEAD "size\n\n", DROP_BAD},
	{HEAD "size 1\nsize 1\n\n", DROP_BAD},
	{HEAD "size +1\n\n", DROP_BAD},
	{HEAD "size 1 \n\n", DROP_BAD},
	{HEAD "from a@b\nsize 1\n\n", DROP_BAD},
	{FIRST "from \nrcpt a@b\nsize 1\n\n", DROP_BAD},
	{FIRST "from a\nrcpt a@b\nsize 1\n\n", DROP_BAD},
	{FIRST "from <>\nsize 1\n\n", DROP_BAD},
	{FIRST "rcpt a@b\nsize 1\n\n", DROP_BAD},
	{HEAD "rcpt <>\nsize 1\n\n", DROP_BAD},
	{HEAD "rcpt <a@b>\nsize 1\n\n", DROP_BAD},
	{HEAD "rcpt a%0A@b\nsize 1\n\n", DROP_BAD},
	{HEAD "rcpt a@b c@d\nsize 1\n\n", DROP_BAD},
	{HEAD "rcpt a@b\rsize 1\n\n", DROP_BAD},
	{HEAD "rcpt c@d\nrcpt e@f\nrcpt g@h\nsize 1\n\n", DROP_BAD},
	{HEAD "notify always\nsize 1\n\n", DROP_BAD},
	{HEAD "notify never,delay\nsize 1\n\n", DROP_BAD},
	{HEAD "ret all\nsize 1\n\n", DROP_BAD},
	{HEAD "envid a%3Db\nsize 1\n\n", DROP_BAD},
	{HEAD "body binary\nsize 1\n\n", DROP_BAD},
	{HEAD "utf8 x\nsize 1\n\n", DROP_BAD},
	{HEAD "uid 0\nsize 1\n\n", DROP_BAD},
	{HEAD "FROM a@b\nsize 1\n\n", DROP_BAD},
};

START_TEST(head_table)
{
	struct buf text = BUF_INIT(10000);
	struct drop_head h = {.nrcpts = 0};
	const char *why = NULL;
	enum drop_result r;

	buf_adds(&text, heads[_i].text);
	r = drop_read(&text, 3, &h, &why);
	ck_assert_msg(r == heads[_i].want, "%s: %d, not %d", heads[_i].text,
	    (int)r, (int)heads[_i].want);
	if (r == DROP_BAD)
		ck_assert_ptr_nonnull(why);
	if (r == DROP_OK)
		drop_head_free(&h);
	buf_free(&text);
}
END_TEST

/* ---- what lies there ---- */

START_TEST(strange)
{
	struct pickup p = {.conf = {.message_size_max = 1000}, .drop_gid = 7,
	    .check_gid = true};
	struct stat st = {.st_mode = S_IFREG | 0640, .st_nlink = 1,
	    .st_gid = 7, .st_size = 100};
	bool later;

	st.st_ctim.tv_sec = 1000;
	ck_assert_ptr_null(pickup_strange(&p, &st, 2000000, &later));
	st.st_gid = 8;
	ck_assert_ptr_nonnull(pickup_strange(&p, &st, 2000000, &later));
	st.st_gid = 7;
	st.st_size = 100000000;
	ck_assert_ptr_nonnull(pickup_strange(&p, &st, 2000000, &later));
	st.st_size = 100;
	st.st_nlink = 2;
	ck_assert_ptr_nonnull(pickup_strange(&p, &st, 2000000, &later));
	ck_assert(!later);
	ck_assert_ptr_nonnull(pickup_strange(&p, &st, 1001000, &later));
	ck_assert(later);
	st.st_nlink = 1;
	for (mode_t kind = 0; kind <= S_IFMT; kind += S_IFIFO)
		if (kind != S_IFREG) {
			st.st_mode = kind | 0640;
			ck_assert_ptr_nonnull(pickup_strange(&p, &st, 2000000,
			    &later));
			ck_assert(!later);
		}
}
END_TEST

START_TEST(ids)
{
	struct stat st = {.st_dev = 1, .st_ino = 2};
	struct mail_id a, b, parsed;

	st.st_ctim.tv_sec = 1795375251;
	st.st_ctim.tv_nsec = 123456789;
	a = pickup_id(&st, "01k82qf2rqqm249u0o9j");
	b = pickup_id(&st, "01k82qf2rqqm249u0o9j");
	ck_assert_str_eq(a.s, b.s);
	ck_assert(id_parse(slice_of(a.s), &parsed));
	ck_assert_int_eq(id_time_ms(&a), 1795375251123);
	st.st_ino = 3;
	b = pickup_id(&st, "01k82qf2rqqm249u0o9j");
	ck_assert_str_ne(a.s, b.s);
	st.st_ino = 2;
	st.st_ctim.tv_nsec++;
	b = pickup_id(&st, "01k82qf2rqqm249u0o9j");
	ck_assert_str_ne(a.s, b.s);
}
END_TEST

/* ---- turns ---- */

static struct mail_id
name(int n)
{
	struct mail_id id = {{0}};

	snprintf(id.s, sizeof(id.s), "%020d", n);
	return id;
}

static void
add(struct pickup_users *u, uid_t uid, int n)
{
	struct mail_id id = name(n);

	(void)pickup_users_add(u, uid, &id);
}

/* The next one's number, and -1 for none. */
static int
next(struct pickup_users *u, int64_t now, unsigned most, uid_t *uid)
{
	struct mail_id id;
	struct pickup_user *p = pickup_users_next(u, now, most, &id);

	if (p == NULL)
		return -1;
	*uid = p->uid;
	return (int)strtol(id.s, NULL, 10);
}

START_TEST(turns)
{
	struct pickup_users u = {.user_max = 100};
	uid_t uid = 0;

	pickup_users_begin(&u, 0);
	for (int i = 0; i < 10; i++)
		add(&u, 1000, 10 - i);
	add(&u, 1000, 3); /* told of twice */
	add(&u, 1001, 50);
	add(&u, 1002, 40);
	pickup_users_end(&u);
	ck_assert_uint_eq(u.names, 12);
	ck_assert_int_eq(next(&u, 0, 3, &uid), 1);
	ck_assert_int_eq(next(&u, 0, 3, &uid), 50);
	ck_assert_int_eq(next(&u, 0, 3, &uid), 40);
	ck_assert_int_eq(next(&u, 0, 3, &uid), 2);
	ck_assert_int_eq(next(&u, 0, 3, &uid), 3);
	/* All but one of the processes */
	ck_assert_int_eq(next(&u, 0, 3, &uid), -1);
	ck_assert_int_eq(pickup_users_wake(&u, 3), CLOCK_NEVER);
	add(&u, 1002, 41);
	ck_assert_int_eq(next(&u, 0, 3, &uid), 41);
	ck_assert_uint_eq(uid, 1002);
	pickup_users_find(&u, 1000)->running = 0;
	pickup_users_find(&u, 1000)->pause_ms = 77;
	ck_assert_int_eq(next(&u, 76, 3, &uid), -1);
	ck_assert_int_eq(pickup_users_wake(&u, 3), 77);
	ck_assert_int_eq(next(&u, 77, 3, &uid), 4);
	pickup_users_free(&u);
}
END_TEST

START_TEST(bounds)
{
	struct pickup_users u = {.user_max = 5};
	uid_t uid;

	pickup_users_begin(&u, 0);
	for (int i = 0; i < 10; i++)
		add(&u, 1, i);
	ck_assert_uint_eq(u.names, 5);
	ck_assert(u.more);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(next(&u, 0, 9, &uid), i);
	/* Room again: names that were taken count no more. */
	for (int i = 0; i < 100; i++) {
		add(&u, 1, i);
		ck_assert_int_eq(next(&u, 0, 200, &uid), i);
	}
	for (uid_t n = 2; n < 6000; n++)
		add(&u, n, 1);
	ck_assert_uint_lt(u.n, 5000);
	pickup_users_find(&u, 1)->running = 0;
	while (next(&u, 0, 1, &uid) >= 0)
		pickup_users_find(&u, uid)->running = 0;
	pickup_users_begin(&u, 1);
	ck_assert_uint_eq(u.n, 0);
	ck_assert(!u.more);
	pickup_users_free(&u);
}
END_TEST

Suite *
pickup_suite(void)
{
	Suite *s = suite_create("pickup");
	TCase *t = tcase_create("pickup");

	tcase_add_test(t, head_round_trip);
	tcase_add_loop_test(t, head_table, 0,
	    (int)(sizeof(heads) / sizeof(heads[0])));
	tcase_add_test(t, strange);
	tcase_add_test(t, ids);
	tcase_add_test(t, turns);
	tcase_add_test(t, bounds);
	suite_add_tcase(s, t);
	return s;
}
