/* Unit tests of authd/sasl*.c and common/conf/scram.c: the RFCs' examples, what
 * each mechanism takes and refuses. */
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "authd/sasl.h"
#include "common/base/buf.h"
#include "common/conf/password.h"
#include "common/conf/secrets.h"

Suite *auth_sasl_suite(void);

static struct sasl x;
static struct secrets secrets;
static struct sasl_facts facts;

static void
setup(void)
{
	memset(&facts, 0, sizeof(facts));
	facts = (struct sasl_facts){.hostname = SLICE("mx.example.org"),
	    .exporter = SLICE("0123456789abcdef0123456789abcdef"),
	    .end_point = SLICE("fedcba9876543210"),
	    .cert = SLICE_EMPTY, .salt_key = SLICE("key"),
	    .iterations = 4096, .scope = SECRETS_POP3};
	memset(&secrets, 0, sizeof(secrets));
}

static void
teardown(void)
{
	sasl_free(&x);
}

static void
begin(struct slice mechanism)
{
	const struct sasl_mechanism *m = sasl_find(mechanism);

	ck_assert_ptr_nonnull(m);
	sasl_init(&x, m, &facts);
}

static void
give(const char *stored, unsigned scopes)
{
	secrets.v[secrets.n++] = (struct secret){slice_of(stored),
	    SLICE_EMPTY, scopes};
}

static bool
out_is(const char *want)
{
	return slice_eq(buf_slice(&x.out), slice_of(want));
}

/* ---- SCRAM ---- */

static const struct {
	const char *name;
	struct slice mechanism;
	enum scram_hash hash;
	const char *salt, *first, *nonce, *server_first, *final, *want;
} vectors[] = {
	/* RFC 7677, section 3 */
	{"SCRAM-SHA-256", {"SCRAM-SHA-256", 13}, SCRAM_SHA256,
	    "W22ZaJ0SNY7soEsUEjb6gQ==",
	    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	    "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
	    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	/* RFC 5802, section 5 */
	{"SCRAM-SHA-1", {"SCRAM-SHA-1", 11}, SCRAM_SHA1, "QSXCR+Q6sek8bf92",
	    "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	    "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
	    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	    "s=QSXCR+Q6sek8bf92,i=4096",
	    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
	    "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
};

/* The keys of "pencil" with the vector's salt, as the table holds them. */
static void
pencil(size_t i, const char *password, struct buf *out)
{
	struct scram_keys k;
	struct buf text = BUF_INIT(500);

	/* any keys of that length, to have the salt read */
	buf_printf(&text, "{%s}4096,%s,%s,%s",
	    vectors[i].hash == SCRAM_SHA1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256",
	    vectors[i].salt, vectors[i].hash == SCRAM_SHA1
	    ? "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" :
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	    vectors[i].hash == SCRAM_SHA1 ? "AAAAAAAAAAAAAAAAAAAAAAAAAAA=" :
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	ck_assert(scram_parse(buf_slice(&text), &k));
	ck_assert(scram_derive(&k, slice_of(password)));
	scram_format(&k, out);
	buf_free(&text);
}

/* The server's nonce is the RFC's from here on. */
static enum sasl_result
vector(size_t i, const char *final)
{
	begin(vectors[i].mechanism);
	ck_assert_int_eq(sasl_start(&x, true, slice_of(vectors[i].first)),
	    SASL_ACCOUNT);
	ck_assert(slice_eq(x.name, SLICE("user")));
	ck_assert_int_eq(sasl_account(&x, &secrets), SASL_MORE);
	x.nonce = slice_of(vectors[i].nonce);
	x.server_first = slice_of(vectors[i].server_first);
	return sasl_step(&x, slice_of(final));
}

START_TEST(scram_vectors)
{
	struct buf stored = BUF_INIT(500);

	pencil((size_t)_i, "pencil", &stored);
	give(stored.s, SECRETS_EVERYWHERE);
	ck_assert_int_eq(vector((size_t)_i, vectors[_i].final), SASL_MORE);
	ck_assert_msg(out_is(vectors[_i].want), "%s: %s", vectors[_i].name,
	    x.out.s);
	ck_assert_int_eq(sasl_step(&x, SLICE_EMPTY), SASL_GOOD);
	ck_assert_int_eq(x.which, 0);
	buf_free(&stored);
}
END_TEST

/* An application password among others; one of another scope is none. */
START_TEST(scram_application_password)
{
	struct buf right = BUF_INIT(500), other = BUF_INIT(500);
	bool in_scope = _i == 0;

	pencil(0, "other", &other);
	pencil(0, "pencil", &right);
	give(other.s, SECRETS_EVERYWHERE);
	give(right.s, in_scope ? SECRETS_POP3 : SECRETS_IMAP);
	ck_assert_int_eq(vector(0, vectors[0].final),
	    in_scope ? SASL_MORE : SASL_WRONG);
	if (in_scope)
		ck_assert_int_eq(x.which, 1);
	buf_free(&right);
	buf_free(&other);
}
END_TEST

START_TEST(scram_plain_password_is_derived)
{
	struct scram_keys k;
	struct buf stored = BUF_INIT(500);

	give("{PLAIN}pencil", SECRETS_EVERYWHERE);
	ck_assert_int_eq(vector(0, vectors[0].final), SASL_DERIVE);
	ck_assert_int_eq(x.which, 0);
	pencil(0, "pencil", &stored);
	ck_assert(scram_parse(buf_slice(&stored), &k));
	x.keys = k;
	ck_assert_int_eq(sasl_derived(&x, true), SASL_MORE);
	ck_assert(out_is(vectors[0].want));
	buf_free(&stored);
}
END_TEST

/* Nobody's name takes the same steps, and the salt is the same each time. */
START_TEST(scram_nobody)
{
	char first[200];
	int i;

	for (i = 0; i < 2; i++) {
		begin(SLICE("SCRAM-SHA-256"));
		ck_assert_int_eq(sasl_start(&x, true,
		    SLICE("n,,n=nobody,r=abc")), SASL_ACCOUNT);
		ck_assert_int_eq(sasl_account(&x, &secrets), SASL_MORE);
		if (i == 0) {
			snprintf(first, sizeof(first), "%s",
			    strstr(x.out.s, ",s="));
			sasl_free(&x);
		} else {
			ck_assert_str_eq(first, strstr(x.out.s, ",s="));
		}
	}
	ck_assert_ptr_nonnull(strstr(first, ",i=4096"));
	x.nonce = SLICE("abcdef");
	ck_assert_int_eq(sasl_step(&x, SLICE("c=biws,r=abcdef,"
	    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")), SASL_DERIVE);
	ck_assert_int_eq(sasl_derived(&x, true), SASL_WRONG);
}
END_TEST

static const struct {
	const char *mechanism, *first;
	bool plus;
	enum sasl_result want;
} firsts[] = {
	{"SCRAM-SHA-256", "n,,n=user,r=abc", false, SASL_ACCOUNT},
	{"SCRAM-SHA-256", "n,a=other,n=user,r=abc", false, SASL_ACCOUNT},
	{"SCRAM-SHA-256", "n,,n=us=2Ce=3Dr,r=abc", false, SASL_ACCOUNT},
	{"SCRAM-SHA-256", "n,,n=user,r=abc,x=ext", false, SASL_ACCOUNT},
	{"SCRAM-SHA-256", "y,,n=user,r=abc", false, SASL_ACCOUNT},
	/* somebody has hidden -PLUS */
	{"SCRAM-SHA-256", "y,,n=user,r=abc", true, SASL_BROKEN},
	{"SCRAM-SHA-256", "p=tls-exporter,,n=user,r=abc", true, SASL_BROKEN},
	{"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=user,r=abc", true,
	    SASL_ACCOUNT},
	{"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=user,r=abc", true,
	    SASL_ACCOUNT},
	{"SCRAM-SHA-256-PLUS", "p=tls-unique,,n=user,r=abc", true,
	    SASL_BROKEN},
	{"SCRAM-SHA-256-PLUS", "n,,n=user,r=abc", true, SASL_BROKEN},
	{"SCRAM-SHA-256-PLUS", "y,,n=user,r=abc", true, SASL_BROKEN},
	{"SCRAM-SHA-256", "", false, SASL_BROKEN},
	{"SCRAM-SHA-256", ",", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,n=user", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,n=,r=abc", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,n=user,r=", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,n=us=er,r=abc", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,n=us=2c,r=abc", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,m=ext,n=user,r=abc", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,r=abc,n=user", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,,n=user,r=a\x07", false, SASL_BROKEN},
	{"SCRAM-SHA-256", "n,user,n=user,r=abc", false, SASL_BROKEN},
};

START_TEST(scram_firsts)
{
	facts.plus_offered = firsts[_i].plus;
	begin(slice_of(firsts[_i].mechanism));
	ck_assert_msg(sasl_start(&x, true, slice_of(firsts[_i].first)) ==
	    firsts[_i].want, "%s %s", firsts[_i].mechanism, firsts[_i].first);
}
END_TEST

#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static const struct {
	const char *final;
	enum sasl_result want;
} finals[] = {
	{"c=biws,r=" NONCE "," PROOF, SASL_MORE},
	/* another binding, another nonce, another proof */
	{"c=eSws,r=" NONCE "," PROOF, SASL_WRONG},
	{"c=biws,r=" NONCE "x," PROOF, SASL_WRONG},
	{"c=biws,r=rOprNGfwEbeRWgbNEkqO," PROOF, SASL_WRONG},
	{"c=biws,r=" NONCE ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	    SASL_WRONG},
	/* an extension is part of what is signed */
	{"c=biws,r=" NONCE ",x=y," PROOF, SASL_WRONG},
	{"c=biws,r=" NONCE, SASL_BROKEN},
	{"c=biws,r=" NONCE ",p=", SASL_BROKEN},
	{"c=biws,r=" NONCE ",p=dHzb", SASL_BROKEN},
	{"c=biws,r=" NONCE ",p=????", SASL_BROKEN},
	{"c=biws," PROOF, SASL_BROKEN},
	{"r=" NONCE ",c=biws," PROOF, SASL_BROKEN},
	{"", SASL_BROKEN},
	{",,,,", SASL_BROKEN},
};

START_TEST(scram_finals)
{
	struct buf stored = BUF_INIT(500);

	pencil(0, "pencil", &stored);
	give(stored.s, SECRETS_EVERYWHERE);
	ck_assert_msg(vector(0, finals[_i].final) == finals[_i].want, "%s",
	    finals[_i].final);
	buf_free(&stored);
}
END_TEST

START_TEST(scram_words_after_the_end)
{
	struct buf stored = BUF_INIT(500);

	pencil(0, "pencil", &stored);
	give(stored.s, SECRETS_EVERYWHERE);
	ck_assert_int_eq(vector(0, vectors[0].final), SASL_MORE);
	ck_assert_int_eq(sasl_step(&x, SLICE("more")), SASL_BROKEN);
	buf_free(&stored);
}
END_TEST

/* ---- the short ones ---- */

START_TEST(cram_vector)
{
	begin(SLICE("CRAM-MD5"));
	ck_assert_int_eq(sasl_start(&x, false, SLICE_EMPTY), SASL_MORE);
	ck_assert(x.out.s[0] == '<' && x.out.s[x.out.len - 1] == '>');
	/* RFC 2195, section 2 */
	x.server_first = SLICE("<1896.697170952@postoffice.reston.mci.net>");
	ck_assert_int_eq(sasl_step(&x,
	    SLICE("tim b913a602c7eda7a495b4e6e7334d3890")), SASL_ACCOUNT);
	ck_assert(slice_eq(x.name, SLICE("tim")));
	give(_i == 0 ? "{PLAIN}tanstaaftanstaaf" : "{PLAIN}tanstaaf",
	    SECRETS_EVERYWHERE);
	ck_assert_int_eq(sasl_account(&x, &secrets),
	    _i == 0 ? SASL_GOOD : SASL_WRONG);
}
END_TEST

#define CASE(mech, first, want) {mech, {first, sizeof(first) - 1}, want}

static const struct {
	const char *mechanism;
	struct slice first;
	enum sasl_result want;
} simple[] = {
	CASE("PLAIN", "\0ann\0secret", SASL_ACCOUNT),
	CASE("PLAIN", "ann\0ann\0secret", SASL_ACCOUNT),
	CASE("PLAIN", "\0ann\0", SASL_ACCOUNT),
	CASE("PLAIN", "\0\0secret", SASL_BROKEN),
	CASE("PLAIN", "", SASL_BROKEN),
	CASE("PLAIN", "ann\0secret", SASL_BROKEN),
	CASE("PLAIN", "\0ann\0sec\0ret", SASL_BROKEN),
	CASE("LOGIN", "ann", SASL_MORE),
	CASE("LOGIN", "", SASL_BROKEN),
	CASE("LOGIN", "an\0n", SASL_BROKEN),
	CASE("CRAM-MD5", "x", SASL_BROKEN),
	CASE("EXTERNAL", "ann", SASL_ACCOUNT),
	CASE("EXTERNAL", "", SASL_BROKEN),
	CASE("EXTERNAL", "a\0b", SASL_BROKEN),
	CASE("OAUTHBEARER", "n,a=ann@example.org,\1auth=Bearer abc==\1\1",
	    SASL_TOKEN),
	CASE("OAUTHBEARER", "n,,\1host=x\1port=143\1auth=bearer abc\1\1",
	    SASL_TOKEN),
	CASE("OAUTHBEARER", "n,,\1host=x\1\1", SASL_BROKEN),
	CASE("OAUTHBEARER", "n,,\1auth=Basic abc\1\1", SASL_BROKEN),
	CASE("OAUTHBEARER", "n,,\1auth=Bearer a b\1\1", SASL_BROKEN),
	CASE("OAUTHBEARER", "n,,\1auth=Bearer \1\1", SASL_BROKEN),
	CASE("OAUTHBEARER", "y,,\1auth=Bearer a\1\1", SASL_BROKEN),
	CASE("OAUTHBEARER", "n,", SASL_BROKEN),
	CASE("OAUTHBEARER", "\1", SASL_BROKEN),
	CASE("OAUTHBEARER", "", SASL_BROKEN),
	CASE("XOAUTH2", "user=ann\1auth=Bearer abc\1\1", SASL_TOKEN),
	CASE("XOAUTH2", "user=ann\1\1", SASL_BROKEN),
	CASE("XOAUTH2", "", SASL_BROKEN),
};

START_TEST(short_ones)
{
	begin(slice_of(simple[_i].mechanism));
	ck_assert_msg(sasl_start(&x, true, simple[_i].first) ==
	    simple[_i].want, "%s, case %d", simple[_i].mechanism, _i);
}
END_TEST

START_TEST(login_asks)
{
	begin(SLICE("login"));
	ck_assert_int_eq(sasl_start(&x, false, SLICE_EMPTY), SASL_MORE);
	ck_assert(out_is("Username:"));
	ck_assert_int_eq(sasl_step(&x, SLICE("ann")), SASL_MORE);
	ck_assert(out_is("Password:"));
	ck_assert_int_eq(sasl_step(&x, SLICE("secret")), SASL_ACCOUNT);
	ck_assert_int_eq(sasl_account(&x, &secrets), SASL_PASSWORD);
	ck_assert(slice_eq(x.password, SLICE("secret")));
}
END_TEST

START_TEST(external_pins)
{
	char cert[SECRETS_CERT_LEN];

	memset(cert, 7, sizeof(cert));
	memset(secrets.certs[0], 7, sizeof(cert));
	secrets.ncerts = 1;
	cert[31] = (char)(_i == 0 ? 7 : 8);
	facts.cert = slice_mem(cert, _i == 2 ? 31 : sizeof(cert));
	begin(SLICE("EXTERNAL"));
	ck_assert_int_eq(sasl_start(&x, true, SLICE("ann")), SASL_ACCOUNT);
	ck_assert_int_eq(sasl_account(&x, &secrets),
	    _i == 0 ? SASL_GOOD : SASL_WRONG);
}
END_TEST

/* RFC 7628 3.2.3: the error is said, then the client's ^A, then the end. */
START_TEST(bearer_refusal)
{
	begin(SLICE("OAUTHBEARER"));
	ck_assert_int_eq(sasl_start(&x, true,
	    SLICE("n,,\1auth=Bearer abc\1\1")), SASL_TOKEN);
	ck_assert_int_eq(sasl_token(&x, false), SASL_MORE);
	ck_assert(out_is("{\"status\":\"invalid_token\"}"));
	ck_assert_int_eq(sasl_step(&x, SLICE("\1")), SASL_WRONG);
}
END_TEST

/* Nothing of any length or content does harm. */
START_TEST(too_much)
{
	static char much[60000];
	size_t i;

	memset(much, 'a', sizeof(much));
	memcpy(much, "n,,n=a,r=", 9);
	for (i = 0; i < sasl_nmechanisms; i++) {
		sasl_init(&x, &sasl_mechanisms[i], &facts);
		ck_assert_int_ne(sasl_start(&x, true, slice_mem(much,
		    sizeof(much))), SASL_GOOD);
		if (i + 1 < sasl_nmechanisms)
			sasl_free(&x);
	}
}
END_TEST

/* ---- what the table holds ---- */

static const struct {
	const char *password, *extra;
	bool good;
	size_t n, ncerts;
} rows[] = {
	{"{PLAIN}x", "", true, 1, 0},
	{"", "", true, 0, 0},
	{"!{PLAIN}x", "postern_app=a;pop3;{PLAIN}y", true, 0, 0},
	{"{PLAIN}x", "mail=maildir:/x postern_app=phone;imap+pop3;{PLAIN}y",
	    true, 2, 0},
	{"{PLAIN}x", "postern_secret={PLAIN}y postern_secret={PLAIN}z", true,
	    3, 0},
	{"{PLAIN}x", "postern_app=phone;ftp;{PLAIN}y", false, 1, 0},
	{"{PLAIN}x", "postern_app=a/b;pop3;{PLAIN}y", false, 1, 0},
	{"{PLAIN}x", "postern_app=phone", false, 1, 0},
	{"", "postern_cert=000102030405060708090a0b0c0d0e0f"
	    "101112131415161718191a1b1c1d1e1f", true, 0, 1},
	{"", "postern_cert=00", false, 0, 0},
};

START_TEST(rows_of_the_table)
{
	const char *why = NULL;

	begin(SLICE("PLAIN"));
	ck_assert(secrets_parse(slice_of(rows[_i].password),
	    slice_of(rows[_i].extra), &secrets, &why) == rows[_i].good);
	ck_assert((why == NULL) == rows[_i].good);
	ck_assert_uint_eq(secrets.n, rows[_i].n);
	ck_assert_uint_eq(secrets.ncerts, rows[_i].ncerts);
}
END_TEST

static const struct {
	const char *stored;
	bool good;
} stored[] = {
	{"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=", true},
	{"{SCRAM-SHA-256}4096,QSXCR+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	{"{SCRAM-SHA-1}0,QSXCR+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	{"{SCRAM-SHA-1}99999999,QSXCR+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	{"{SCRAM-SHA-1}4096,,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	{"{SCRAM-SHA-1}4096,QSXC=+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	{"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", false},
	{"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=,AAAAAAAAAAAAAAAAAAAAAAAAAAA=,x", false},
	{"{SCRAM-SHA-1}", false},
};

START_TEST(stored_keys)
{
	struct scram_keys k;

	begin(SLICE("PLAIN"));
	ck_assert_msg(scram_parse(slice_of(stored[_i].stored), &k) ==
	    stored[_i].good, "%s", stored[_i].stored);
}
END_TEST

START_TEST(keys_verify_passwords)
{
	struct buf keys = BUF_INIT(500);

	begin(SLICE("PLAIN"));
	pencil(0, "pencil", &keys);
	ck_assert_int_eq(password_verify(buf_slice(&keys), SLICE("pencil")),
	    PASSWORD_OK);
	ck_assert_int_eq(password_verify(buf_slice(&keys), SLICE("pencils")),
	    PASSWORD_WRONG);
	buf_free(&keys);
}
END_TEST

#define COUNT(v) (int)(sizeof(v) / sizeof((v)[0]))

Suite *
auth_sasl_suite(void)
{
	Suite *s = suite_create("auth_sasl");
	TCase *tc = tcase_create("sasl");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, scram_vectors, 0, COUNT(vectors));
	tcase_add_loop_test(tc, scram_application_password, 0, 2);
	tcase_add_test(tc, scram_plain_password_is_derived);
	tcase_add_test(tc, scram_nobody);
	tcase_add_loop_test(tc, scram_firsts, 0, COUNT(firsts));
	tcase_add_loop_test(tc, scram_finals, 0, COUNT(finals));
	tcase_add_test(tc, scram_words_after_the_end);
	tcase_add_loop_test(tc, cram_vector, 0, 2);
	tcase_add_loop_test(tc, short_ones, 0, COUNT(simple));
	tcase_add_test(tc, login_asks);
	tcase_add_loop_test(tc, external_pins, 0, 3);
	tcase_add_test(tc, bearer_refusal);
	tcase_add_test(tc, too_much);
	tcase_add_loop_test(tc, rows_of_the_table, 0, COUNT(rows));
	tcase_add_loop_test(tc, stored_keys, 0, COUNT(stored));
	tcase_add_test(tc, keys_verify_passwords);
	suite_add_tcase(s, tc);
	return s;
}
