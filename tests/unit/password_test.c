/* Unit tests of common/conf/password: schemes, what matches and what cannot. */
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/conf/password.h"

Suite *password_suite(void);

/* "Hello world!", made by openssl passwd */
#define SHA512                                                                 \
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8"                                 \
	"iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
#define SHA256                                                                 \
	"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"

static const struct {
	const char *name;
	const char *stored;
	struct slice secret;
	enum password_result want;
} verify_cases[] = {
	{"plain", "{PLAIN}secret", {"secret", 6}, PASSWORD_OK},
	{"cleartext, any case", "{ClearText}secret", {"secret", 6},
	    PASSWORD_OK},
	{"plain, wrong", "{PLAIN}secret", {"secreT", 6}, PASSWORD_WRONG},
	{"plain, shorter", "{PLAIN}secret", {"secre", 5}, PASSWORD_WRONG},
	{"plain, NUL behind", "{PLAIN}secret", {"secret\0x", 8},
	    PASSWORD_WRONG},
	{"plain with a star", "{PLAIN}*secret", {"*secret", 7}, PASSWORD_OK},
	{"nothing stored", "", {"", 0}, PASSWORD_WRONG},
	{"nothing behind the scheme", "{PLAIN}", {"", 0}, PASSWORD_WRONG},
	{"empty secret", "{PLAIN}x", {"", 0}, PASSWORD_WRONG},
	{"star", "*", {"*", 1}, PASSWORD_WRONG},
	{"locked", "!{PLAIN}secret", {"secret", 6}, PASSWORD_WRONG},
	{"locked hash", "{CRYPT}!$6$saltstring$x", {"x", 1}, PASSWORD_WRONG},
	{"crypt's failure token", "{CRYPT}*0", {"x", 1}, PASSWORD_WRONG},
	{"unknown scheme", "{ROT13}frperg", {"secret", 6}, PASSWORD_UNUSABLE},
	{"scheme not closed", "{PLAIN", {"secret", 6}, PASSWORD_UNUSABLE},
	{"not a hash", "?secret", {"secret", 6}, PASSWORD_UNUSABLE},
	{"sha512", "{SHA512-CRYPT}" SHA512,
	    {"Hello world!", 12}, PASSWORD_OK},
	{"sha512, bare", "" SHA512,
	    {"Hello world!", 12}, PASSWORD_OK},
	{"sha512, NUL behind", "" SHA512,
	    {"Hello world!\0", 13}, PASSWORD_WRONG},
	{"sha256", "{SHA256-CRYPT}" SHA256, {"Hello world!", 12}, PASSWORD_OK},
	{"bcrypt", "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0Xou"
	    "QYb4YMJKvyOeW", {"U*U", 3}, PASSWORD_OK},
	{"bcrypt, wrong", "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRG"
	    "yh0XouQYb4YMJKvyOeW", {"U*V", 3}, PASSWORD_WRONG},
};

START_TEST(verify)
{
	enum password_result got = password_verify(
	    slice_of(verify_cases[_i].stored), verify_cases[_i].secret);

	ck_assert_msg(got == verify_cases[_i].want, "%s: %d, not %d",
	    verify_cases[_i].name, (int)got, (int)verify_cases[_i].want);
}
END_TEST

START_TEST(made_hashes_match)
{
	struct buf out = BUF_INIT(1000);
	const char *why;

	ck_assert(password_make((enum password_scheme)_i, SLICE("geheim"),
	    &out, &why));
	ck_assert(password_known(buf_slice(&out), &why));
	ck_assert_int_eq(password_verify(buf_slice(&out), SLICE("geheim")),
	    PASSWORD_OK);
	ck_assert_int_eq(password_verify(buf_slice(&out), SLICE("geheiM")),
	    PASSWORD_WRONG);
	buf_free(&out);
}
END_TEST

START_TEST(two_salts_differ)
{
	struct buf a = BUF_INIT(1000), b = BUF_INIT(1000);
	const char *why;

	ck_assert(password_make(PASSWORD_SHA512, SLICE("geheim"), &a, &why));
	ck_assert(password_make(PASSWORD_SHA512, SLICE("geheim"), &b, &why));
	ck_assert(!slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_free(&a);
	buf_free(&b);
}
END_TEST

START_TEST(not_made)
{
	static char longer[PASSWORD_MAX + 1];
	struct buf out = BUF_INIT(1000);
	const char *why;

	memset(longer, 'a', sizeof(longer));
	ck_assert(!password_make(PASSWORD_YESCRYPT, SLICE(""), &out, &why));
	ck_assert(!password_make(PASSWORD_YESCRYPT, SLICE("a\0b"), &out,
	    &why));
	ck_assert(!password_make(PASSWORD_YESCRYPT,
	    slice_mem(longer, sizeof(longer)), &out, &why));
	ck_assert(!password_make(PASSWORD_BCRYPT, slice_mem(longer, 73), &out,
	    &why));
	ck_assert_uint_eq(out.len, 0);
	buf_free(&out);
}
END_TEST

START_TEST(dummy_matches_nothing)
{
	struct buf out = BUF_INIT(1000);

	password_dummy(PASSWORD_SHA512, &out);
	ck_assert(password_usable(buf_slice(&out)));
	ck_assert_int_eq(password_verify(buf_slice(&out), SLICE("x")),
	    PASSWORD_WRONG);
	buf_free(&out);
}
END_TEST

static const struct {
	const char *stored, *plain; /* NULL: APOP cannot be had */
} plain_cases[] = {
	{"{PLAIN}tanstaaf", "tanstaaf"},
	{"{cleartext}a b", "a b"},
	{"{PLAIN}", NULL},
	{"{CRYPT}$6$saltstring$x", NULL},
	{"tanstaaf", NULL},
	{"", NULL},
};

START_TEST(plain)
{
	struct slice got = SLICE_EMPTY;
	const char *want = plain_cases[_i].plain;

	ck_assert_int_eq(password_plain(slice_of(plain_cases[_i].stored), &got),
	    want != NULL);
	if (want != NULL)
		ck_assert(slice_eq(got, slice_of(want)));
}
END_TEST

Suite *
password_suite(void)
{
	Suite *s = suite_create("password");
	TCase *tc = tcase_create("password");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, verify, 0,
	    sizeof(verify_cases) / sizeof(verify_cases[0]));
	tcase_add_loop_test(tc, made_hashes_match, PASSWORD_YESCRYPT,
	    PASSWORD_BCRYPT + 1);
	tcase_add_test(tc, two_salts_differ);
	tcase_add_test(tc, not_made);
	tcase_add_test(tc, dummy_matches_nothing);
	tcase_add_loop_test(tc, plain, 0,
	    sizeof(plain_cases) / sizeof(plain_cases[0]));
	suite_add_tcase(s, tc);
	return s;
}
