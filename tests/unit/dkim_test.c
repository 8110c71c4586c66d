/*
 * common/mail/dkim_*: canonical forms whole and octet by octet (RFC 6376 3.4.5
 * among them), which fields are covered, what is written is verified, and what
 * is no tag list is none.  tests/e2e/test_dkim.py compares with others.
 */
#include <stdlib.h>

#include <check.h>

#include "common/mail/dkim_sign.h"
#include "common/mail/dkim_verify.h"
#include "tests/tool/dkim_key.h"

Suite *dkim_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define MOST 4000000

/* ---- body ---- */

static const struct {
	struct slice body, simple, relaxed;
} bodies[] = {
	{SLICE_INIT(""), SLICE_INIT("\r\n"), SLICE_INIT("")},
	{SLICE_INIT("\r\n"), SLICE_INIT("\r\n"), SLICE_INIT("")},
	{SLICE_INIT(" \r\n\t\r\n"), SLICE_INIT(" \r\n\t\r\n"), SLICE_INIT("")},
	/* RFC 6376 3.4.5 */
	{SLICE_INIT(" C \r\nD \t E\r\n\r\n\r\n"),
	    SLICE_INIT(" C \r\nD \t E\r\n"), SLICE_INIT(" C\r\nD E\r\n")},
	{SLICE_INIT("a"), SLICE_INIT("a\r\n"), SLICE_INIT("a\r\n")},
	{SLICE_INIT("a\r\n\r\n b"), SLICE_INIT("a\r\n\r\n b\r\n"),
	    SLICE_INIT("a\r\n\r\n b\r\n")},
	{SLICE_INIT("a\tb"), SLICE_INIT("a\tb\r\n"), SLICE_INIT("a b\r\n")},
	{SLICE_INIT("a \t"), SLICE_INIT("a \t\r\n"), SLICE_INIT("a\r\n")},
	{SLICE_INIT("a\r\n  "), SLICE_INIT("a\r\n  \r\n"),
	    SLICE_INIT("a\r\n")},
	/* Bare ones are octets. */
	{SLICE_INIT("a\rb\nc\r"), SLICE_INIT("a\rb\nc\r\r\n"),
	    SLICE_INIT("a\rb\nc\r\r\n")},
	{SLICE_INIT("a \r b \n\r\r\n"), SLICE_INIT("a \r b \n\r\r\n"),
	    SLICE_INIT("a \r b \n\r\r\n")},
	{SLICE_INIT("\r\n\r\n\r\r\n"), SLICE_INIT("\r\n\r\n\r\r\n"),
	    SLICE_INIT("\r\n\r\n\r\r\n")},
	{SLICE_INIT("\0\xff\x80 \r\n"), SLICE_INIT("\0\xff\x80 \r\n"),
	    SLICE_INIT("\0\xff\x80\r\n")},
};

static void
keep(void *arg, const char *p, size_t n)
{
	buf_add(arg, p, n);
}

static void
check_body(enum dkim_canon canon, struct slice in, size_t step,
    struct slice want)
{
	struct buf out = BUF_INIT(MOST);
	struct dkim_body b = {.canon = canon, .out = keep, .arg = &out};

	for (size_t at = 0; at < in.len; at += step) {
		struct slice piece = slice_sub(in, at, at + step);

		dkim_body_feed(&b, piece.p, piece.len);
	}
	dkim_body_end(&b);
	ck_assert_msg(slice_eq(buf_slice(&out), want), "%.*s: got %.*s",
	    SLICE_FMT(in), SLICE_FMT(buf_slice(&out)));
	buf_free(&out);
}

START_TEST(test_body)
{
	for (size_t step = 1; step < 9; step++) {
		check_body(DKIM_SIMPLE, bodies[_i].body, step,
		    bodies[_i].simple);
		check_body(DKIM_RELAXED, bodies[_i].body, step,
		    bodies[_i].relaxed);
	}
}
END_TEST

/* ---- header ---- */

static const struct {
	struct slice name, value;
	const char *want;
} headers[] = {
	/* RFC 6376 3.4.5 */
	{SLICE_INIT("A"), SLICE_INIT(" X"), "a:X"},
	{SLICE_INIT("B"), SLICE_INIT(" Y\t\r\n\tZ  "), "b:Y Z"},
	{SLICE_INIT("Subject"), SLICE_INIT(""), "subject:"},
	{SLICE_INIT("Subject"), SLICE_INIT("\r\n \r\n\t"), "subject:"},
	{SLICE_INIT("S"), SLICE_INIT("a\r\n b"), "s:a b"},
	{SLICE_INIT("S"), SLICE_INIT("a\rb \n c"), "s:a\rb \n c"},
	{SLICE_INIT("S"), SLICE_INIT("a\r"), "s:a\r"},
};

START_TEST(test_header)
{
	struct buf out = BUF_INIT(MOST);

	dkim_relaxed(headers[_i].name, headers[_i].value, &out);
	ck_assert_str_eq(out.s, headers[_i].want);
	buf_free(&out);
}
END_TEST

/* ---- names ---- */

static const struct {
	const char *words[3];
	const char *bad; /* NULL: they are good */
	size_t n;
} names[] = {
	{{"From+", "To", "Subject+"}, NULL, 3},
	{{"To", "Subject", "X-A"}, NULL, 4}, /* From is added */
	{{"To", "to", "From"}, "to", 0},
	{{"To", "a:b", "From"}, "a:b", 0},
	{{"To", "a;b", "From"}, "a;b", 0},
	{{"To", "+", ""}, "", 0},
	{{"DKIM-Signature", "To", "From"}, "DKIM-Signature", 0},
};

START_TEST(test_names)
{
	struct dkim_names n;
	const char *bad = NULL;
	bool good = dkim_names_read(names[_i].words, 3, &n, &bad);

	ck_assert_int_eq(good, names[_i].bad == NULL);
	if (!good) {
		ck_assert_str_eq(bad, names[_i].bad);
		return;
	}
	ck_assert_uint_eq(n.n, names[_i].n);
	dkim_names_free(&n);
}
END_TEST

/* ---- authors ---- */

static const struct {
	const char *header, *domain; /* NULL: it cannot be signed */
} authors[] = {
	{"From: Ann <ann@Here.Example>\r\n", "here.example"},
	{"To: x@y.example\r\nFROM :ann@here.example,\r\n b@c.example\r\n",
	    "here.example"},
	{"From: \"a@b\" (c@d) <ann@b\xc3\xbc" "cher.example>\r\n",
	    "xn--bcher-kva.example"},
	{"From: ann@here.example\r\nFrom: b@c.example\r\n", NULL},
	{"To: ann@here.example\r\n", NULL},
	{"From: ann\r\n", NULL},
	{"From: <>\r\n", NULL},
	{"From:\r\n", NULL},
	{"From: ann@[192.0.2.1]\r\n", NULL},
	{"From: ann@here example\r\n", NULL},
	{"", NULL},
};

START_TEST(test_author)
{
	const char *words[] = {"From+"}, *why = NULL;
	struct buf address = BUF_INIT(1024), domain = BUF_INIT(1024);
	struct dkim_names n;
	struct dkim_signer *s;
	bool good;

	ck_assert(dkim_names_read(words, 1, &n, &why));
	s = dkim_signer_new(&n, DKIM_RELAXED, DKIM_RELAXED);
	dkim_signer_feed(s, authors[_i].header, strlen(authors[_i].header));
	dkim_signer_feed(s, "\r\nx", 3);
	ck_assert(dkim_signer_header_done(s));
	good = dkim_signer_author(s, &address, &domain, &why);
	ck_assert_int_eq(good, authors[_i].domain != NULL);
	if (good)
		ck_assert_str_eq(domain.s, authors[_i].domain);
	else
		ck_assert_ptr_nonnull(why);
	dkim_signer_free(&s);
	dkim_names_free(&n);
	buf_free(&address);
	buf_free(&domain);
}
END_TEST

/* ---- there and back ---- */

struct key {
	struct buf record;
};

static enum dkim_find
on_find(void *arg, struct slice name, struct slices *out)
{
	static struct slice one;
	struct key *k = arg;

	ck_assert(slice_eq(name, SLICE("s._domainkey.here.example")));
	one = buf_slice(&k->record);
	*out = (struct slices){&one, 1};
	return DKIM_FIND_OK;
}

static void
make_key(enum crypto_kind kind, struct buf *pem, struct key *k)
{
	struct buf public = BUF_INIT(4096);
	enum crypto_kind found;
	unsigned bits = 0;
	BIO *b64, *mem;
	char *p;
	long n;

	buf_init(&k->record, 4096);
	ck_assert(crypto_key_make(kind, 2048, pem));
	ck_assert(crypto_key_public(buf_slice(pem), &found, &bits, &public));
	ck_assert_int_eq(found, kind);
	b64 = BIO_new(BIO_f_base64());
	BIO_set_flags(b64, BIO_FLAGS_BASE64_NO_NL);
	mem = BIO_push(b64, BIO_new(BIO_s_mem()));
	BIO_write(mem, public.s, (int)public.len);
	BIO_flush(mem);
	n = BIO_get_mem_data(mem, &p);
	buf_printf(&k->record, "v=DKIM1; k=%s; p=%.*s", kind == CRYPTO_RSA
	    ? "rsa" : "ed25519", (int)n, p);
	BIO_free_all(mem);
	buf_free(&public);
}

static enum dkim_verdict
verdict_of(struct slice message, size_t step, struct key *k)
{
	struct dkim_verifier *v = dkim_verifier_new(0);
	const struct dkim_result *r;
	enum dkim_verdict verdict;

	for (size_t at = 0; at < message.len; at += step) {
		struct slice piece = slice_sub(message, at, at + step);

		dkim_verifier_feed(v, piece.p, piece.len);
	}
	ck_assert_uint_eq(dkim_verifier_end(v, on_find, k, &r), 1);
	verdict = r[0].verdict;
	dkim_verifier_free(&v);
	return verdict;
}

START_TEST(test_there_and_back)
{
	static const char message[] = "From: Ann <ann@here.example>\r\n"
	    "Subject: a\r\n\tb\r\nTo: bob@there.example\r\n\r\n"
	    "Hello  you \r\n\r\n";
	const char *words[] = {"From+", "To", "Subject+"}, *why = "";
	enum crypto_kind kind = _i & 1 ? CRYPTO_RSA : CRYPTO_ED25519;
	struct dkim_signature sig = {.kind = kind,
	    .domain = SLICE("here.example"), .selector = SLICE("s"),
	    .identity = SLICE("ann@here.example"), .time = 1000,
	    .expires = 2000};
	struct buf pem = BUF_INIT(CRYPTO_PEM_MAX), out = BUF_INIT(MOST);
	struct buf signature = BUF_INIT(1024);
	unsigned char sum[CRYPTO_SHA256_LEN];
	struct dkim_signer *s;
	struct dkim_names n;
	struct key k;

	make_key(kind, &pem, &k);
	ck_assert(dkim_names_read(words, 3, &n, &why));
	s = dkim_signer_new(&n, _i & 2 ? DKIM_RELAXED : DKIM_SIMPLE,
	    _i & 4 ? DKIM_RELAXED : DKIM_SIMPLE);
	dkim_signer_feed(s, message, sizeof(message) - 1);
	dkim_signer_end(s);
	ck_assert(dkim_signer_field(s, &sig, &out, sum, &why));
	ck_assert(dkim_key_sign(buf_slice(&pem), slice_mem(sum, sizeof(sum)),
	    &signature));
	dkim_signature_add(buf_slice(&signature), &out);
	buf_adds(&out, message);
	ck_assert_int_eq(verdict_of(buf_slice(&out), 1, &k), DKIM_PASS);
	ck_assert_int_eq(verdict_of(buf_slice(&out), MOST, &k), DKIM_PASS);
	out.s[out.len - 8] ^= 1;
	ck_assert_int_eq(verdict_of(buf_slice(&out), 1, &k), DKIM_FAIL);
	dkim_signer_free(&s);
	dkim_names_free(&n);
	buf_wipe(&pem);
	buf_free(&out);
	buf_free(&signature);
	buf_free(&k.record);
}
END_TEST

/* ---- tags ---- */

static const struct {
	const char *text;
	int n; /* -1: no list */
} tags[] = {
	{"v=1", 1}, {" v = 1 ; a=\r\n\tb\r\n c ;\r\n ", 2}, {"v=", 1},
	{"a=b=c;d==", 2}, {"", -1}, {";", -1}, {"v", -1}, {"v=1;;a=2", -1},
	{"v=1;v=2", -1}, {"1=a", -1}, {"a b=c", -1}, {"=1", -1},
	{"v=1;V=2", 2}, {"a_1=x", 1},
};

START_TEST(test_tags)
{
	struct dkim_tags t;

	if (!dkim_tags_read(slice_of(tags[_i].text), &t))
		ck_assert_int_eq(tags[_i].n, -1);
	else
		ck_assert_int_eq((int)t.n, tags[_i].n);
}
END_TEST

/* More fields than are covered: told, not cut. */
START_TEST(test_too_many)
{
	const char *words[] = {"From+", "To"}, *why = NULL;
	struct dkim_signature sig = {.kind = CRYPTO_RSA,
	    .domain = SLICE("here.example"), .selector = SLICE("s"),
	    .identity = SLICE_EMPTY};
	unsigned char sum[CRYPTO_SHA256_LEN];
	struct buf out = BUF_INIT(MOST);
	struct dkim_signer *s;
	struct dkim_names n;

	ck_assert(dkim_names_read(words, 2, &n, &why));
	s = dkim_signer_new(&n, DKIM_RELAXED, DKIM_RELAXED);
	dkim_signer_feed(s, "From: a@b.example\r\n", 19);
	for (unsigned i = 0; i < DKIM_COVERED_MAX; i++)
		dkim_signer_feed(s, "To: x\r\n", 7);
	dkim_signer_end(s);
	why = NULL;
	ck_assert(!dkim_signer_field(s, &sig, &out, sum, &why));
	ck_assert_ptr_nonnull(why);
	dkim_signer_free(&s);
	dkim_names_free(&n);
	buf_free(&out);
}
END_TEST

Suite *
dkim_suite(void)
{
	Suite *s = suite_create("dkim");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_body, 0, N(bodies));
	tcase_add_loop_test(t, test_header, 0, N(headers));
	tcase_add_loop_test(t, test_names, 0, N(names));
	tcase_add_loop_test(t, test_author, 0, N(authors));
	tcase_add_loop_test(t, test_there_and_back, 0, 8);
	tcase_add_loop_test(t, test_tags, 0, N(tags));
	tcase_add_test(t, test_too_many);
	suite_add_tcase(s, t);
	return s;
}
