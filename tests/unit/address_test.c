/*
 * common/mail/address: the grammar by tables, and the is_email collection
 * (../shared/data/address-isemail, or below $POSTERN_DATA) where it is there.
 */
#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/address.h"

Suite *address_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

#define TEN "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define LABEL63 SIXTY "abc"
#define DOMAIN127 LABEL63 "." LABEL63

static const struct parse_case {
	const char *name, *input;
	bool utf8_ok;
	const char *local, *domain; /* local NULL: refused */
	bool literal;
} parse_cases[] = {
	{"plain", "ann@example.org", false, "ann", "example.org", false},
	{"atext", "!#$%&'*+-/=?^_`{|}~@e.org", false, "!#$%&'*+-/=?^_`{|}~",
	    "e.org", false},
	{"quoted", "\"a b\\\"c\"@example.org", false, "\"a b\\\"c\"",
	    "example.org", false},
	{"quoted at", "\"a@b\"@example.org", false, "\"a@b\"", "example.org",
	    false},
	{"quoted empty", "\"\"@example.org", false, "\"\"", "example.org",
	    false},
	{"one label", "ann@localhost", false, "ann", "localhost", false},
	{"v4", "ann@[192.0.2.1]", false, "ann", "[192.0.2.1]", true},
	{"v6", "ann@[IPv6:2001:db8::1]", false, "ann", "[IPv6:2001:db8::1]",
	    true},
	{"v6 any case", "ann@[ipV6:::]", false, "ann", "[ipV6:::]", true},
	{"local 64", SIXTY "1234@e.org", false, SIXTY "1234", "e.org", false},
	{"label 63", "a@" LABEL63 ".org", false, "a", LABEL63 ".org", false},
	{"all 254", "a@" DOMAIN127 "." LABEL63 "." SIXTY, false, "a",
	    DOMAIN127 "." LABEL63 "." SIXTY, false},
	{"utf8", "j\xc3\xb6rg@b\xc3\xbc" "cher.example", true, "j\xc3\xb6rg",
	    "b\xc3\xbc" "cher.example", false},
	{"utf8 quoted", "\"\xe6\x97\xa5 \xf0\x9f\x93\xa7\"@e.org", true,
	    "\"\xe6\x97\xa5 \xf0\x9f\x93\xa7\"", "e.org", false},
	{"utf8 label beyond 63", "a@\xe6\x97\xa5" SIXTY "abcd.org", true, "a",
	    "\xe6\x97\xa5" SIXTY "abcd.org", false},

	{"empty", "", false, NULL, NULL, false},
	{"no at", "ann", false, NULL, NULL, false},
	{"no local", "@example.org", false, NULL, NULL, false},
	{"no domain", "ann@", false, NULL, NULL, false},
	{"two at", "a@b@c", false, NULL, NULL, false},
	{"dot first", ".ann@e.org", false, NULL, NULL, false},
	{"dot last", "ann.@e.org", false, NULL, NULL, false},
	{"dots", "a..b@e.org", false, NULL, NULL, false},
	{"space", "a b@e.org", false, NULL, NULL, false},
	{"space behind", "a@e.org ", false, NULL, NULL, false},
	{"control", "a\x01@e.org", false, NULL, NULL, false},
	{"quoted control", "\"a\x01\"@e.org", false, NULL, NULL, false},
	{"quoted CR", "\"a\r\"@e.org", false, NULL, NULL, false},
	{"quoted DEL", "\"a\x7f\"@e.org", false, NULL, NULL, false},
	{"unclosed", "\"a@e.org", false, NULL, NULL, false},
	{"lone quote", "\"", false, NULL, NULL, false},
	{"escaped end", "\"a\\\"@e.org", false, NULL, NULL, false},
	{"backslash at the end", "\"a\\", false, NULL, NULL, false},
	{"text behind quotes", "\"a\"b@e.org", false, NULL, NULL, false},
	{"obsolete", "\"a\".b@e.org", false, NULL, NULL, false},
	{"domain dot first", "a@.e.org", false, NULL, NULL, false},
	{"domain dot last", "a@e.org.", false, NULL, NULL, false},
	{"domain dots", "a@e..org", false, NULL, NULL, false},
	{"hyphen first", "a@-e.org", false, NULL, NULL, false},
	{"hyphen last", "a@e-.org", false, NULL, NULL, false},
	{"underscore", "a@e_e.org", false, NULL, NULL, false},
	{"comment", "a(b)@e.org", false, NULL, NULL, false},
	{"bracket", "<a@e.org>", false, NULL, NULL, false},
	{"local 65", SIXTY "12345@e.org", false, NULL, NULL, false},
	{"label 64", "a@" LABEL63 "d.org", false, NULL, NULL, false},
	{"all 255", "ab@" DOMAIN127 "." LABEL63 "." SIXTY, false, NULL, NULL,
	    false},
	{"literal unclosed", "a@[192.0.2.1", false, NULL, NULL, false},
	{"literal short", "a@[192.0.2]", false, NULL, NULL, false},
	{"literal 256", "a@[192.0.2.256]", false, NULL, NULL, false},
	{"literal long number", "a@[192.0.2.0001]", false, NULL, NULL, false},
	{"literal wraps", "a@[4294967297.0.2.1]", false, NULL, NULL, false},
	{"literal bare v6", "a@[2001:db8::1]", false, NULL, NULL, false},
	{"literal text behind", "a@[192.0.2.1]x", false, NULL, NULL, false},
	{"literal empty", "a@[]", false, NULL, NULL, false},
	{"literal unknown tag", "a@[tag:x]", false, NULL, NULL, false},
	{"v6 nothing", "a@[IPv6:]", false, NULL, NULL, false},
	{"v6 two gaps", "a@[IPv6:1::2::3]", false, NULL, NULL, false},
	{"v6 nine", "a@[IPv6:1:2:3:4:5:6:7:8:9]", false, NULL, NULL, false},
	{"v6 five digits", "a@[IPv6:00001::]", false, NULL, NULL, false},
	{"v6 zone", "a@[IPv6:fe80::1%eth0]", false, NULL, NULL, false},
	{"utf8 not asked", "j\xc3\xb6rg@e.org", false, NULL, NULL, false},
	{"utf8 overlong", "\xc0\xae@e.org", true, NULL, NULL, false},
	{"utf8 overlong 3", "\xe0\x80\xae@e.org", true, NULL, NULL, false},
	{"utf8 surrogate", "\xed\xa0\x80@e.org", true, NULL, NULL, false},
	{"utf8 beyond", "\xf4\x90\x80\x80@e.org", true, NULL, NULL, false},
	{"utf8 cut", "a@e.\xc3", true, NULL, NULL, false},
	{"utf8 C1", "a\xc2\x85@e.org", true, NULL, NULL, false},
	{"utf8 in literal", "a@[IPv6:\xc3\xb6]", true, NULL, NULL, false},
	{"utf8 hyphen", "a@\xc3\xb6-.org", true, NULL, NULL, false},
};

START_TEST(parse)
{
	const struct parse_case *c = &parse_cases[_i];
	struct slice s = slice_of(c->input);
	struct address a = {.text = SLICE("untouched")};
	const char *why = NULL;
	bool ok = address_parse(s, c->utf8_ok, &a, &why);

	ck_assert_msg(ok == (c->local != NULL), "%s: %s", c->name,
	    why != NULL ? why : "accepted");
	if (!ok) {
		ck_assert_ptr_nonnull(why);
		ck_assert(slice_eq(a.text, SLICE("untouched")));
		return;
	}
	ck_assert_msg(slice_eq(a.local, slice_of(c->local)), "%s", c->name);
	ck_assert_msg(slice_eq(a.domain, slice_of(c->domain)), "%s", c->name);
	ck_assert_msg(slice_eq(a.text, s), "%s", c->name);
	ck_assert_msg(a.literal == c->literal, "%s", c->name);
	ck_assert_msg(a.utf8 == c->utf8_ok, "%s", c->name);
}
END_TEST

/* NUL is an octet like any other that does not belong there. */
START_TEST(parse_nul)
{
	static const struct slice cases[] = {
		{"ann@example.org\0", 16}, {"ann\0@example.org", 16},
		{"\"ann\0\"@example.org", 18}, {"\"ann\\\0\"@example.org", 19},
		{"ann@[192.0.2.1\0]", 17},
	};
	struct address a;
	const char *why;

	ck_assert(!address_parse(cases[_i], true, &a, &why));
	ck_assert_str_eq(why, "control character in the address");
}
END_TEST

enum { NULL_OK = 1, POSTMASTER = 2, TOLERANT = 4, UTF8 = 8 };

static const struct path_case {
	const char *name, *input;
	int flags;
	const char *text, *rest; /* text NULL: refused */
} path_cases[] = {
	{"plain", "<ann@example.org>", 0, "ann@example.org", ""},
	{"parameters", "<ann@e.org> SIZE=1", 0, "ann@e.org", " SIZE=1"},
	{"route", "<@a.org,@b.org:ann@e.org>", 0, "ann@e.org", ""},
	{"quoted bracket", "<\"a>b\"@e.org>", 0, "\"a>b\"@e.org", ""},
	{"null", "<> X", NULL_OK, "", " X"},
	{"null not here", "<>", POSTMASTER | TOLERANT, NULL, NULL},
	{"postmaster", "<PostMaster>", POSTMASTER, "PostMaster", ""},
	{"postmaster not here", "<postmaster>", NULL_OK, NULL, NULL},
	{"postmaster longer", "<postmasters>", POSTMASTER, NULL, NULL},
	{"postmaster with domain", "<postmaster@e.org>", POSTMASTER,
	    "postmaster@e.org", ""},
	{"tolerant", "ann@e.org", TOLERANT, "ann@e.org", ""},
	{"tolerant space", " ann@e.org SIZE=1", TOLERANT, "ann@e.org",
	    " SIZE=1"},
	{"tolerant brackets", "  <ann@e.org>", TOLERANT, "ann@e.org", ""},
	{"tolerant utf8", "\xc3\xb6@e.org", TOLERANT | UTF8, "\xc3\xb6@e.org",
	    ""},
	{"tolerant quoted", "\"a b\"@e.org", TOLERANT, NULL, NULL},
	{"tolerant literal", "a@[192.0.2.1]", TOLERANT, NULL, NULL},
	{"tolerant nothing", "", TOLERANT, NULL, NULL},
	{"tolerant bare", "ann", TOLERANT | POSTMASTER, NULL, NULL},
	{"tolerant tab", "ann@e.org\tX", TOLERANT, NULL, NULL},
	{"tolerant route", "@a.org:ann@e.org", TOLERANT, NULL, NULL},
	{"no brackets", "ann@e.org", 0, NULL, NULL},
	{"space in front", " <ann@e.org>", 0, NULL, NULL},
	{"two at", "<a@b@c>", 0, NULL, NULL},
	{"unclosed", "<ann@e.org", 0, NULL, NULL},
	{"unclosed null", "<", NULL_OK, NULL, NULL},
	{"unclosed literal", "<ann@[192.0.2.1>", 0, NULL, NULL},
	{"half bracket", "ann@e.org>", TOLERANT, NULL, NULL},
	{"two brackets", "<<ann@e.org>>", 0, NULL, NULL},
	{"no space behind", "<ann@e.org>SIZE=1", 0, NULL, NULL},
	{"space within", "< ann@e.org>", 0, NULL, NULL},
	{"space within behind", "<ann@e.org >", 0, NULL, NULL},
	{"route without mailbox", "<@a.org:>", 0, NULL, NULL},
	{"route without colon", "<@a.org>", 0, NULL, NULL},
	{"route comma", "<@a.org,:ann@e.org>", 0, NULL, NULL},
	{"route bad domain", "<@a..org:ann@e.org>", 0, NULL, NULL},
	{"path of 256", "<a@" DOMAIN127 "." LABEL63 "." SIXTY ">", 0,
	    "a@" DOMAIN127 "." LABEL63 "." SIXTY, ""},
	{"path of 257 by route", "<@a.org:a@" DOMAIN127 "." LABEL63 "." TEN TEN
	    TEN TEN TEN "1234>", 0, NULL, NULL},
	{"control", "<ann@e.org\x01>", 0, NULL, NULL},
};

START_TEST(path)
{
	const struct path_case *c = &path_cases[_i];
	struct address_flags flags = {
		.null_ok = (c->flags & NULL_OK) != 0,
		.postmaster_ok = (c->flags & POSTMASTER) != 0,
		.tolerant = (c->flags & TOLERANT) != 0,
		.utf8_ok = (c->flags & UTF8) != 0,
	};
	struct slice rest = SLICE("untouched");
	struct address a;
	const char *why = NULL;
	bool ok = address_path(slice_of(c->input), flags, &a, &rest, &why);

	ck_assert_msg(ok == (c->text != NULL), "%s: %s", c->name,
	    why != NULL ? why : "accepted");
	if (!ok) {
		ck_assert_ptr_nonnull(why);
		ck_assert(slice_eq(rest, SLICE("untouched")));
		return;
	}
	ck_assert_msg(slice_eq(a.text, slice_of(c->text)), "%s", c->name);
	ck_assert_msg(slice_eq(rest, slice_of(c->rest)), "%s", c->name);
}
END_TEST

static const struct canonical_case {
	const char *input, *canonical, *plain;
} canonical_cases[] = {
	{"Ann@Example.ORG", "ann@example.org", "Ann"},
	{"\"a.b\"@e.org", "a.b@e.org", "a.b"},
	{"\"\\a\\.b\"@e.org", "a.b@e.org", "a.b"},
	{"\"A B\"@e.org", "\"a b\"@e.org", "A B"},
	{"\"a\\ b\"@e.org", "\"a b\"@e.org", "a b"},
	{"\"a\\\"\\\\b\"@e.org", "\"a\\\"\\\\b\"@e.org", "a\"\\b"},
	{"\"\"@e.org", "\"\"@e.org", ""},
	{"\".a\"@e.org", "\".a\"@e.org", ".a"},
	{"\"a.\"@e.org", "\"a.\"@e.org", "a."},
	{"\"a..b\"@e.org", "\"a..b\"@e.org", "a..b"},
	{"\"a@b\"@e.org", "\"a@b\"@e.org", "a@b"},
	{"a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]", "a"},
	{"\"\xc3\x96.x\"@e.org", "\xc3\x96.x@e.org", "\xc3\x96.x"},
};

START_TEST(canonical)
{
	const struct canonical_case *c = &canonical_cases[_i];
	struct buf out = BUF_INIT(1000);
	struct address a, again;
	const char *why;

	ck_assert(address_parse(slice_of(c->input), true, &a, &why));
	address_canonical(&a, &out);
	ck_assert_str_eq(out.s, c->canonical);
	/* The canonical form is an address, the same one, and its own. */
	ck_assert(address_parse(buf_slice(&out), true, &again, &why));
	ck_assert(address_same(&a, &again));
	buf_reset(&out);
	address_local_plain(a.local, &out);
	ck_assert_str_eq(out.s, c->plain);
	buf_free(&out);
}
END_TEST

START_TEST(same)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"ann@e.org", "ANN@E.ORG", true},
		{"\"ann\"@e.org", "ann@e.org", true},
		{"\"a\\ b\"@e.org", "\"a b\"@e.org", true},
		{"ann@e.org", "anna@e.org", false},
		{"anna@e.org", "ann@e.org", false},
		{"ann@e.org", "ann@f.org", false},
		{"\"\"@e.org", "a@e.org", false},
		{"\xc3\xb6@e.org", "\xc3\x96@e.org", false},
	};
	struct address a, b;
	const char *why;

	ck_assert(address_parse(slice_of(cases[_i].a), true, &a, &why));
	ck_assert(address_parse(slice_of(cases[_i].b), true, &b, &why));
	ck_assert(address_same(&a, &b) == cases[_i].same);
	ck_assert(address_same(&b, &a) == cases[_i].same);
}
END_TEST

START_TEST(parts)
{
	const char *why = NULL;

	ck_assert(address_domain(SLICE("mx.example.org"), false, &why));
	ck_assert(!address_domain(SLICE(""), false, &why));
	ck_assert(!address_domain(SLICE("[192.0.2.1]"), false, &why));
	ck_assert(!address_domain(SLICE("a b"), false, &why));
	ck_assert(!address_domain(SLICE("\xc3\xb6.org"), false, &why));
	ck_assert(address_domain(SLICE("\xc3\xb6.org"), true, &why));
	ck_assert(address_literal(SLICE("[192.0.2.1]"), &why));
	ck_assert(address_literal(SLICE("[IPv6:::1]"), &why));
	ck_assert(!address_literal(SLICE("192.0.2.1"), &why));
	ck_assert(!address_literal(SLICE("[192.0.2.1] "), &why));
	ck_assert(!address_literal(SLICE(""), &why));
	ck_assert(address_local(SLICE("ann.b"), false, &why));
	ck_assert(address_local(SLICE("\"a b\""), false, &why));
	ck_assert(!address_local(SLICE("ann@b"), false, &why));
	ck_assert(!address_local(SLICE(""), false, &why));
}
END_TEST

/* --- the is_email collection --- */

static char *
read_file(const char *dir, const char *name)
{
	char file[1000], *text;
	FILE *f;
	size_t n;

	snprintf(file, sizeof(file), "%s/address-isemail/%s", dir, name);
	if ((f = fopen(file, "r")) == NULL)
		return NULL;
	text = mem_alloc(1 << 20);
	n = fread(text, 1, (1 << 20) - 1, f);
	ck_assert_uint_lt(n, (1 << 20) - 1);
	fclose(f);
	return text;
}

/* The text of <tag> within [at, end); an empty element is "". */
static struct slice
element(const char *at, const char *end, const char *tag)
{
	char open[64], shut[64];
	const char *from, *to;

	snprintf(open, sizeof(open), "<%s>", tag);
	snprintf(shut, sizeof(shut), "</%s>", tag);
	from = strstr(at, open);
	if (from == NULL || from > end)
		return SLICE_EMPTY;
	from += strlen(open);
	to = strstr(from, shut);
	ck_assert(to != NULL && to < end);
	return slice_mem(from, (size_t)(to - from));
}

static void
add_code(struct buf *out, uint64_t code)
{
	/* Control characters are written as their pictures. */
	if (code >= 0x2400 && code < 0x2420)
		code -= 0x2400;
	ck_assert_uint_lt(code, 0x800);
	if (code >= 0x80) {
		buf_addc(out, (char)(0xc0 | code >> 6));
		code = 0x80 | (code & 0x3f);
	}
	buf_addc(out, (char)code);
}

static void
decode(struct slice s, struct buf *out)
{
	static const struct {
		struct slice name;
		char c;
	} names[] = {{{"lt", 2}, '<'}, {{"gt", 2}, '>'}, {{"amp", 3}, '&'},
		{{"quot", 4}, '"'}, {{"apos", 4}, '\''}};

	for (size_t i = 0; i < s.len; i++) {
		size_t end;
		struct slice name;
		uint64_t code;

		if (s.p[i] != '&') {
			buf_addc(out, s.p[i]);
			continue;
		}
		end = slice_find(s, ';', i);
		name = slice_sub(s, i + 1, end);
		i = end;
		if (slice_prefix(name, SLICE("#x"))) {
			ck_assert(num_u64_hex(slice_sub(name, 2, name.len), 0,
			    0xffff, &code));
			add_code(out, code);
			continue;
		}
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			if (slice_eq(name, names[k].name))
				buf_addc(out, names[k].c);
	}
}

/*
 * What the collection's words mean for SMTP.  A DNS warning is about a valid
 * address; a "::" that stands for one group moved from RFC5321 to DEPREC
 * between its versions and may be used with SMTP in both.
 */
static bool
smtp_valid(struct slice category, struct slice diagnosis)
{
	return slice_eq(category, SLICE("ISEMAIL_VALID_CATEGORY")) ||
	    slice_eq(category, SLICE("ISEMAIL_DNSWARN")) ||
	    slice_eq(category, SLICE("ISEMAIL_RFC5321")) ||
	    slice_eq(diagnosis, SLICE("ISEMAIL_RFC5321_IPV6DEPRECATED"));
}

static void
check_collection(const char *file, char *text, int least)
{
	struct buf s = BUF_INIT(10000);
	const char *at = text, *end;
	int n = 0;

	while ((at = strstr(at, "<test id=")) != NULL) {
		struct slice category, diagnosis;
		struct address a;
		const char *why = "accepted";
		bool ok, want;

		end = strstr(at, "</test>");
		ck_assert_ptr_nonnull(end);
		buf_reset(&s);
		decode(element(at, end, "address"), &s);
		category = element(at, end, "category");
		diagnosis = element(at, end, "diagnosis");
		want = smtp_valid(category, diagnosis);
		ok = address_parse(buf_slice(&s), false, &a, &why);
		ck_assert_msg(ok == want, "%s %.20s %s %.*s: %s", file, at, s.s,
		    SLICE_FMT(diagnosis), why);
		at = end;
		n++;
	}
	ck_assert_int_ge(n, least);
	buf_free(&s);
}

START_TEST(isemail)
{
	static const struct {
		const char *file;
		int least;
	} files[] = {{"tests.xml", 160}, {"tests-original.xml", 270}};
	const char *dir = getenv("POSTERN_DATA");
	char *text;

	if (dir == NULL)
		dir = "../shared/data";
	text = read_file(dir, files[_i].file);
	if (text == NULL) {
		printf("left out: %s/address-isemail/%s missing\n", dir,
		    files[_i].file);
		return;
	}
	check_collection(files[_i].file, text, files[_i].least);
	free(text);
}
END_TEST

Suite *
address_suite(void)
{
	Suite *s = suite_create("address");
	TCase *t = tcase_create("address");

	tcase_add_loop_test(t, parse, 0, COUNT(parse_cases));
	tcase_add_loop_test(t, parse_nul, 0, 5);
	tcase_add_loop_test(t, path, 0, COUNT(path_cases));
	tcase_add_loop_test(t, canonical, 0, COUNT(canonical_cases));
	tcase_add_loop_test(t, same, 0, 8);
	tcase_add_test(t, parts);
	tcase_add_loop_test(t, isemail, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
