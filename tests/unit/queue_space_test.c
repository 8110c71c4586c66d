/* queue/space: who is told that there is room, and who is not. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <check.h>

#include "queue/queued.h"

Suite *queue_space_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define K UINT64_C(1024)
#define NOW 1000000

static const struct {
	const char *name;
	uint64_t free, inodes;     /* what the last look said */
	uint64_t reserve, reserve_inodes, promised;
	uint64_t size;
	uint32_t code;             /* 250: there is room */
} cases[] = {
	{"plenty", 1000 * K, 10, 0, 0, 0, 100 * K, 250},
	{"all of it", 1000 * K, 10, 0, 0, 0, 1000 * K, 250},
	{"one too many", 1000 * K, 10, 0, 0, 0, 1000 * K + 1, 452},
	{"with a reserve", 1000 * K, 10, 900 * K, 0, 0, 100 * K, 250},
	{"into the reserve", 1000 * K, 10, 900 * K, 0, 0, 100 * K + 1, 452},
	{"below the reserve", 800 * K, 10, 900 * K, 0, 0, 1, 452},
	{"with others", 1000 * K, 10, 500 * K, 0, 400 * K, 100 * K, 250},
	{"behind others", 1000 * K, 10, 500 * K, 0, 400 * K, 100 * K + 1, 452},
	{"others have more", 1000 * K, 10, 500 * K, 0, 600 * K, 1, 452},
	{"size unknown", 64 * K, 10, 0, 0, 0, 0, 250},
	{"size unknown, no room", 64 * K - 1, 10, 0, 0, 0, 0, 452},
	{"largest number", 1000 * K, 10, 0, 0, 0, UINT64_MAX, 452},
	{"largest numbers", UINT64_MAX, 10, 1, 0, 1, UINT64_MAX, 452},
	{"no files", 1000 * K, 0, 0, 0, 0, 1, 452},
	{"files reserved", 1000 * K, 10, 0, 10, 0, 1, 452},
	{"one file more", 1000 * K, 11, 0, 10, 0, 1, 250},
	{"no table of files", 1000 * K, UINT64_MAX, 0, 1000, 0, 1, 250},
};

START_TEST(room)
{
	struct space s;
	struct status st = {.code = 0};
	bool there;

	space_init(&s, -1, cases[_i].reserve, cases[_i].reserve_inodes);
	s.looked_ms = NOW; /* fresh: not looked again */
	s.free_octets = cases[_i].free;
	s.free_inodes = cases[_i].inodes;
	s.promised = cases[_i].promised;
	there = space_ask(&s, cases[_i].size, NOW, &st);
	ck_assert_msg(there == (cases[_i].code == 250), "%s", cases[_i].name);
	ck_assert_uint_eq(st.code, there ? 0 : cases[_i].code);
	if (there)
		return;
	/* RFC 3463 3.4: X.3.1, mail system full; in words a person reads. */
	ck_assert_uint_eq(st.subject, 3);
	ck_assert_uint_eq(st.detail, 1);
	ck_assert_ptr_nonnull(strstr(st.text, "in the queue, try later"));
}
END_TEST

static const struct {
	uint64_t free, reserve;
	bool left;
} left_cases[] = {
	{1000, 0, true}, {1000, 1000, true}, {999, 1000, false},
	{0, 0, true}, {0, 1, false},
};

START_TEST(left)
{
	struct space s;
	struct status st = {.code = 0};

	space_init(&s, -1, left_cases[_i].reserve, 0);
	s.looked_ms = NOW;
	s.free_octets = left_cases[_i].free;
	s.promised = 5000; /* what is promised may be used */
	ck_assert_int_eq(space_left(&s, NOW, &st), left_cases[_i].left);
	ck_assert_uint_eq(st.code, left_cases[_i].left ? 0 : 452);
}
END_TEST

/* A real file system is looked at, and only now and then. */
START_TEST(looks)
{
	struct space s;
	struct status st;
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	space_init(&s, dir, 0, 0);
	ck_assert(space_ask(&s, 1, NOW, &st));
	ck_assert_uint_gt(s.free_octets, 0);
	s.free_octets = 7;
	ck_assert(space_ask(&s, 1, NOW + 49, &st));
	ck_assert_uint_eq(s.free_octets, 7);
	ck_assert(space_ask(&s, 1, NOW + 50, &st));
	ck_assert_uint_gt(s.free_octets, 7);
	close(dir);
}
END_TEST

/* Who cannot look promises nothing, and does so again when it can. */
START_TEST(blind)
{
	struct space s;
	struct status st;
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	space_init(&s, -1, 0, 0);
	ck_assert(!space_ask(&s, 1, NOW, &st));
	ck_assert_uint_eq(st.code, 451);
	ck_assert(!space_left(&s, NOW, &st));
	ck_assert_uint_eq(st.code, 451);
	s.dirfd = dir;
	ck_assert(!space_ask(&s, 1, NOW + 1, &st));
	ck_assert(space_ask(&s, 1, NOW + 50, &st));
	close(dir);
}
END_TEST

static const struct {
	int error;
	uint32_t code, detail;
} errors[] = {
	{ENOSPC, 452, 1}, {EDQUOT, 452, 1}, {EIO, 451, 0}, {EMFILE, 451, 0},
	{ENOMEM, 451, 0}, {EROFS, 451, 0}, {EFBIG, 451, 0}, {0, 451, 0},
};

START_TEST(write_failed)
{
	struct status st;

	space_write_failed(errors[_i].error, &st);
	ck_assert_uint_eq(st.code, errors[_i].code);
	ck_assert_uint_eq(st.subject, 3);
	ck_assert_uint_eq(st.detail, errors[_i].detail);
	ck_assert_int_eq(status_class(&st), STATUS_TEMPORARY);
}
END_TEST

Suite *
queue_space_suite(void)
{
	Suite *s = suite_create("queue_space");
	TCase *t = tcase_create("queue_space");

	tcase_add_loop_test(t, room, 0, COUNT(cases));
	tcase_add_loop_test(t, left, 0, COUNT(left_cases));
	tcase_add_test(t, looks);
	tcase_add_test(t, blind);
	tcase_add_loop_test(t, write_failed, 0, COUNT(errors));
	suite_add_tcase(s, t);
	return s;
}
