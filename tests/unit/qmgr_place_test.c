/* qmgr/place: targets of expansions, written and read back. */
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/proto/address.h"
#include "common/proto/delivery.h"
#include "qmgr/place.h"

Suite *qmgr_place_suite(void);

static struct place
mailbox(void)
{
	return (struct place){.kind = DELIVERY_MAILBOX,
	    .address = SLICE("ann@here.example"),
	    .user = SLICE("ann"),
	    .uid = 5001,
	    .gid = 5002,
	    .home = SLICE("/home/ann"),
	    .maildir = SLICE("/home/ann/Maildir"),
	    .extension = SLICE("lists"),
	    .program = SLICE_EMPTY,
	    .sender = SLICE_EMPTY};
}

#define CK_SLICE(s, want)                                                      \
	ck_assert_msg(slice_eq((s), slice_of(want)),                           \
	    "%s is \"%.*s\", not \"%s\"", #s, SLICE_FMT(s), (want))

START_TEST(test_program)
{
	struct delivery_expansion e = {DELIVERY_PROGRAM,
	    SLICE("ann@here.example"), SLICE("/bin/sort -m \t'x'")};
	struct buf text = BUF_INIT(4096);
	struct place owner = mailbox();
	struct place *p = place_of_expansion(&e, &owner), *again;

	ck_assert(place_put_target(p, &text));
	ck_assert_str_eq(text.s,
	    "5001\t5002\tann\t/home/ann\tlists\t/bin/sort -m \t'x'");
	again = place_parse(DELIVERY_PROGRAM, p->address, buf_slice(&text));
	ck_assert_ptr_nonnull(again);
	ck_assert_uint_eq(again->uid, 5001);
	ck_assert_uint_eq(again->gid, 5002);
	CK_SLICE(again->user, "ann");
	CK_SLICE(again->home, "/home/ann");
	CK_SLICE(again->extension, "lists");
	CK_SLICE(again->program, "/bin/sort -m \t'x'");
	CK_SLICE(again->address, "ann@here.example");
	free(p);
	free(again);
	buf_free(&text);
}
END_TEST

START_TEST(test_maildir)
{
	struct delivery_expansion e = {DELIVERY_MAILDIR,
	    SLICE("ann@here.example"), SLICE("/home/ann/Maildir/.x/")};
	struct buf text = BUF_INIT(4096);
	struct place owner = mailbox();
	struct place *p = place_of_expansion(&e, &owner), *again;

	ck_assert(place_put_target(p, &text));
	again = place_parse(DELIVERY_MAILDIR, p->address, buf_slice(&text));
	ck_assert_ptr_nonnull(again);
	CK_SLICE(again->maildir, "/home/ann/Maildir/.x/");
	free(p);
	free(again);
	buf_free(&text);
}
END_TEST

/* No value may shift into the command line. */
static const struct {
	const char *name;
	size_t off;
} shifting[] = {
	{"user", offsetof(struct place, user)},
	{"home", offsetof(struct place, home)},
	{"extension", offsetof(struct place, extension)},
};

START_TEST(test_tabs)
{
	struct place p = mailbox();
	struct buf text = BUF_INIT(4096);
	struct slice bad = SLICE("x\t/bin/evil");

	p.kind = DELIVERY_PROGRAM;
	p.program = SLICE("/bin/good");
	memcpy((char *)&p + shifting[_i].off, &bad, sizeof(bad));
	ck_assert_msg(!place_put_target(&p, &text), "%s", shifting[_i].name);
	buf_free(&text);
}
END_TEST

static const char *const broken[] = {"", "5001", "5001\t5002\tann\t/home",
	"5001\t5002\tann\t/home\text", "5001\t5002\tann\t/home\text\t",
	"x\t5002\tann\t/home\text\t/bin/p", "5001\t-1\tann\t/home\text\t/bin/p",
	"4294967296\t1\tann\t/home\text\t/bin/p"};

START_TEST(test_broken)
{
	ck_assert_ptr_null(place_parse(DELIVERY_PROGRAM, SLICE("a@b"),
	    slice_of(broken[_i])));
}
END_TEST

START_TEST(test_mailbox)
{
	static const struct {
		bool no_forward;
		const char *extension, *want, *back;
	} cases[] = {
		{false, "", "", ""},
		{false, "lists", "extension\tlists", "lists"},
		{true, "lists", "noforward", ""},
	};
	struct place p = mailbox(), other = mailbox();
	struct buf text = BUF_INIT(4096);

	p.no_forward = cases[_i].no_forward;
	p.extension = slice_of(cases[_i].extension);
	ck_assert(place_put_target(&p, &text));
	ck_assert_str_eq(text.s, cases[_i].want);
	other.extension = SLICE_EMPTY;
	place_apply_target(&other, buf_slice(&text));
	ck_assert(other.no_forward == cases[_i].no_forward);
	CK_SLICE(other.extension, cases[_i].back);
	buf_free(&text);
}
END_TEST

START_TEST(test_too_long)
{
	struct place p = mailbox();
	struct buf text = BUF_INIT(20);

	p.kind = DELIVERY_MAILDIR;
	ck_assert(!place_put_target(&p, &text));
	buf_free(&text);
}
END_TEST

Suite *
qmgr_place_suite(void)
{
	Suite *s = suite_create("qmgr_place");
	TCase *t = tcase_create("place");

	tcase_add_test(t, test_program);
	tcase_add_test(t, test_maildir);
	tcase_add_loop_test(t, test_tabs, 0, 3);
	tcase_add_loop_test(t, test_broken, 0,
	    (int)(sizeof(broken) / sizeof(broken[0])));
	tcase_add_loop_test(t, test_mailbox, 0, 3);
	tcase_add_test(t, test_too_long);
	suite_add_tcase(s, t);
	return s;
}
