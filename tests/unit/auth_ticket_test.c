/* Unit tests of authd/ticket.c: one use, in time, by the right session. */
#include <string.h>

#include <check.h>

#include "authd/ticket.h"

Suite *auth_ticket_suite(void);

static struct tickets *t;
static unsigned char ticket[TICKET_LEN];

static const struct ticket_owner ann = {
	{"pop3", 4}, {"sid1", 4}, {"ann@example.org", 15}, 4001, 4002,
	{"/home/ann", 9}, {"/home/ann/Maildir", 17}};

static void
setup(void)
{
	t = tickets_new();
	ck_assert(ticket_issue(t, &ann, 1000, 500, ticket));
}

static void
teardown(void)
{
	tickets_free(&t);
}

static bool
redeem(const char *service, const char *sid, int64_t now,
    struct ticket_owner *owner)
{
	struct ticket_redeem msg = {.ticket = slice_mem(ticket, TICKET_LEN),
	    .service = slice_of(service), .sid = slice_of(sid)};

	return ticket_redeem(t, &msg, now, owner);
}

START_TEST(once)
{
	struct ticket_owner owner;

	ck_assert(redeem("pop3", "sid1", 1499, &owner));
	ck_assert(slice_eq(owner.user, ann.user));
	ck_assert_uint_eq(owner.uid, 4001);
	ck_assert_uint_eq(owner.gid, 4002);
	ck_assert(slice_eq(owner.home, ann.home));
	ck_assert(slice_eq(owner.maildir, ann.maildir));
	ck_assert(!redeem("pop3", "sid1", 1499, &owner));
}
END_TEST

static const struct {
	const char *service, *sid;
	int64_t now;
} refused[] = {
	{"pop3", "sid1", 1500},
	{"imap", "sid1", 1000},
	{"pop3", "sid2", 1000},
	{"pop3", "", 1000},
	{"", "sid1", 1000},
	/* the border between two fields is no border of its own */
	{"pop3s", "id1", 1000},
};

START_TEST(refusals_spend_it)
{
	struct ticket_owner owner = {.uid = 7};

	ck_assert(!redeem(refused[_i].service, refused[_i].sid,
	    refused[_i].now, &owner));
	ck_assert_uint_eq(owner.uid, 7);
	ck_assert(!redeem("pop3", "sid1", 1000, &owner));
}
END_TEST

START_TEST(guesses_do_not_spend_it)
{
	struct ticket_owner owner;

	ticket[TICKET_LEN - 1] ^= 1;
	ck_assert(!redeem("pop3", "sid1", 1000, &owner));
	ticket[TICKET_LEN - 1] ^= 1;
	ticket[1] = 0xff; /* a place that is not there */
	ck_assert(!redeem("pop3", "sid1", 1000, &owner));
	ticket[1] = 0;
	ck_assert(redeem("pop3", "sid1", 1000, &owner));
}
END_TEST

START_TEST(short_and_long)
{
	struct ticket_redeem msg = {.ticket = slice_mem(ticket, 31),
	    .service = SLICE("pop3"), .sid = SLICE("sid1")};
	struct ticket_owner owner;

	ck_assert(!ticket_redeem(t, &msg, 1000, &owner));
	msg.ticket = SLICE_EMPTY;
	ck_assert(!ticket_redeem(t, &msg, 1000, &owner));
}
END_TEST

START_TEST(bounded)
{
	unsigned char other[TICKET_LEN];
	struct ticket_owner owner;
	int i;

	for (i = 1; i < TICKETS_MAX; i++)
		ck_assert(ticket_issue(t, &ann, 1000, 500, other));
	ck_assert(!ticket_issue(t, &ann, 1499, 500, other));
	/* the first one is still good, and its place is free afterwards */
	ck_assert(redeem("pop3", "sid1", 1499, &owner));
	ck_assert(ticket_issue(t, &ann, 1499, 500, other));
	/* all others have had their time */
	ck_assert(ticket_issue(t, &ann, 1500, 500, other));
}
END_TEST

START_TEST(wiped)
{
	struct ticket_owner owner;

	tickets_wipe(t);
	ck_assert(!redeem("pop3", "sid1", 1000, &owner));
}
END_TEST

Suite *
auth_ticket_suite(void)
{
	Suite *s = suite_create("auth_ticket");
	TCase *tc = tcase_create("ticket");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, once);
	tcase_add_loop_test(tc, refusals_spend_it, 0,
	    sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tc, guesses_do_not_spend_it);
	tcase_add_test(tc, short_and_long);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, wiped);
	suite_add_tcase(s, tc);
	return s;
}
