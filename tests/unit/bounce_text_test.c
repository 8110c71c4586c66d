/* queue/bounce_text: foreign octets made fit for notices; and the host names of
 * queue/bounce_status. */
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/proto/bounce.h"
#include "queue/bounce.h"

Suite *bounce_text_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static void
check(const char *name, struct buf *got, const char *want)
{
	ck_assert_msg(slice_eq(buf_slice(got), slice_of(want)),
	    "%s: \"%s\", not \"%s\"", name, got->s, want);
	buf_free(got);
}

static const struct {
	struct slice in;
	const char *utf8, *ascii;
} clean[] = {
	{SLICE_INIT("plain, text ~"), "plain, text ~", "plain, text ~"},
	{SLICE_INIT("a\r\nb\tc\0d"), "a??b?c?d", "a??b?c?d"},
	{SLICE_INIT("Gr\xc3\xbc\xc3\x9f"), "Gr\xc3\xbc\xc3\x9f", "Gr??"},
	{SLICE_INIT("\xe2\x82\xac \xf0\x9f\x98\x80"),
	    "\xe2\x82\xac \xf0\x9f\x98\x80", "? ?"},
	/* what is not UTF-8: one for each octet */
	{SLICE_INIT("\xff\x80" "a\xc3"), "??a?", "??a?"},
	{SLICE_INIT("\xc0\xaf\xe0\x80\xaf"), "?????", "?????"},
	{SLICE_INIT("\xed\xa0\x80\xf4\x90\x80\x80"), "???????", "???????"},
	{SLICE_INIT("\xe2\x82"), "??", "??"},
	/* what does not show, or shows elsewhere */
	{SLICE_INIT("a\xe2\x80\xae" "b\xe2\x80\xa8" "c"), "a?b?c", "a?b?c"},
	{SLICE_INIT("\xc2\x85\xef\xbb\xbf\x7f"), "???", "???"},
	{SLICE_INIT(""), "", ""},
};

START_TEST(test_clean)
{
	struct buf out = BUF_INIT(100);

	bounce_clean(clean[_i].in, true, &out);
	check(clean[_i].in.p, &out, clean[_i].utf8);
	buf_init(&out, 100);
	bounce_clean(clean[_i].in, false, &out);
	check(clean[_i].in.p, &out, clean[_i].ascii);
}
END_TEST

static const struct {
	const char *in, *want; /* NULL: no xtext */
} xtext[] = {
	{"abc", "abc"},
	{"a+2Bb+3Dc", "a+b=c"},
	{"a+20b", "a b"},
	{"", ""},
	{"a=b", NULL},
	{"a b", NULL},
	{"a+2", NULL},
	{"a+", NULL},
	{"a+GG", NULL},
	{"a+0Ab", NULL},
	{"a+00", NULL},
	{"a+7F", NULL},
	{"a+C3+BC", NULL},
	{"\xc3\xbc", NULL},
};

START_TEST(test_xtext)
{
	struct buf out = BUF_INIT(100);
	bool good = bounce_xtext(slice_of(xtext[_i].in), &out);

	ck_assert_msg(good == (xtext[_i].want != NULL), "%s", xtext[_i].in);
	if (good)
		check(xtext[_i].in, &out, xtext[_i].want);
	buf_free(&out);
}
END_TEST

/* RFC 6533 3 */
static const struct {
	const char *in, *want;
} utf8_xtext[] = {
	{"ann@example.org", "ann@example.org"},
	{"a+b=c\\@x", "a\\x{2B}b\\x{3D}c\\x{5C}@x"},
	{"j\xc3\xb6rg@gr\xc3\xbcn.example",
	    "j\\x{F6}rg@gr\\x{FC}n.example"},
	{"\xe2\x82\xac\xf0\x9f\x98\x80", "\\x{20AC}\\x{1F600}"},
	{"j\\x{F6}rg@x", "j\\x{F6}rg@x"}, /* as it came */
	{"\"a b\"@x", "\"a\\x{20}b\"@x"},
	{"\xff@x", "?@x"},
};

START_TEST(test_utf8_xtext)
{
	struct buf out = BUF_INIT(100);

	bounce_utf8_xtext(slice_of(utf8_xtext[_i].in), &out);
	check(utf8_xtext[_i].in, &out, utf8_xtext[_i].want);
}
END_TEST

/* RFC 2047 */
static const struct {
	const char *in, *want;
} decode[] = {
	{" plain", "plain"},
	{" two\r\n words ", "two words"},
	{"=?utf-8?q?Gr=C3=BC=C3=9Fe_an?=", "Gr\xc3\xbc\xc3\x9f" "e an"},
	{"=?UTF-8*de?B?w7w=?=", "\xc3\xbc"},
	{"=?utf-8?q?a?= =?utf-8?q?b?=\r\n\t=?utf-8?q?c?=", "abc"},
	{"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"},
	{"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xc3\xbc"},
	{"=?iso-8859-1?q?=FC?=", "\xc3\xbc"},
	{"=?us-ascii?q?a=0D=0Ab?=", "a??b"},
	{"=?koi8-r?q?=FC?=", "=?koi8-r?q?=FC?="},
	{"=?utf-8?x?=FC?=", "=?utf-8?x?=FC?="},
	{"=?utf-8?b?*?=", "=?utf-8?b?*?="},
	{"=?utf-8?q?=G?=", "=?utf-8?q?=G?="},
	{"=?utf-8?q?open", "=?utf-8?q?open"},
	{"=? =?? =??? =????", "=? =?? =??? =????"},
	{"=?utf-8?q?a?=b", "ab"},
	{"=?utf-8?q?" "?=", ""},
	{"", ""},
};

START_TEST(test_decode)
{
	struct buf out = BUF_INIT(1000);

	bounce_decode(slice_of(decode[_i].in), &out);
	check(decode[_i].in, &out, decode[_i].want);
}
END_TEST

#define TEN "123456789 "
#define FIFTY TEN TEN TEN TEN TEN

static const struct {
	const char *in;
	unsigned indent;
	const char *want;
} fill[] = {
	{"", 0, "\r\n"},
	{"one two", 2, "  one two\r\n"},
	{"  one \t two  ", 0, "one two\r\n"},
	{FIFTY TEN TEN "12", 0, FIFTY TEN TEN "12\r\n"},
	{FIFTY TEN TEN "123", 0, FIFTY TEN "123456789\r\n123\r\n"},
	{FIFTY TEN TEN "12", 4, "    " FIFTY "123456789\r\n"
	    "    123456789 12\r\n"},
	/* columns, not octets */
	{FIFTY TEN TEN "\xc3\xbc\xc3\xbc", 0,
	    FIFTY TEN TEN "\xc3\xbc\xc3\xbc\r\n"},
};

START_TEST(test_fill)
{
	struct buf out = BUF_INIT(1000);

	bounce_fill(fill[_i].in, fill[_i].indent, &out);
	check(fill[_i].in, &out, fill[_i].want);
}
END_TEST

/* A word without an end is cut, between characters. */
START_TEST(test_long_words)
{
	struct buf word = BUF_INIT(100000), out = BUF_INIT(100000);
	struct slice rest, line;
	size_t i, n = 0;

	for (i = 0; i < 3000; i++)
		buf_adds(&word, "\xe2\x82\xac");
	bounce_fill(word.s, 8, &out);
	bounce_field(&out, "X", "rfc822", buf_slice(&word));
	rest = buf_slice(&out);
	while (slice_cut(&rest, '\n', &line)) {
		ck_assert_uint_le(line.len, 999);
		n += line.len;
		for (i = 0; i < line.len; i++)
			if ((unsigned char)line.p[i] >= 0x80) {
				ck_assert_uint_eq(bounce_utf8(line, i), 3);
				i += 2;
			}
	}
	ck_assert_uint_gt(n, 18000);
	buf_free(&word);
	buf_free(&out);
}
END_TEST

static const struct {
	const char *type, *value, *want;
} field[] = {
	{NULL, "failed", "Name: failed\r\n"},
	{"rfc822", "a@b", "Name: rfc822; a@b\r\n"},
	{"smtp", FIFTY "1234567 " TEN, "Name: smtp; " FIFTY "1234567\r\n"
	    " 123456789\r\n"},
	{NULL, "", "Name:\r\n"},
};

START_TEST(test_field)
{
	struct buf out = BUF_INIT(1000);

	bounce_field(&out, "Name", field[_i].type, slice_of(field[_i].value));
	check(field[_i].value, &out, field[_i].want);
}
END_TEST

static const struct {
	const char *in, *name, *ip;
} host[] = {
	{"mx.example.org[192.0.2.1]:25", "mx.example.org", "192.0.2.1"},
	{"mx.example.org[2001:db8::1]:25", "mx.example.org", "2001:db8::1"},
	{"mx.example.org", "mx.example.org", ""},
	{"mx.example.org:24", "mx.example.org", ""},
	{"[192.0.2.1]:25", "[192.0.2.1]", "192.0.2.1"},
	{"local", "local", ""},
	{"", "", ""},
	{"/run/lmtp.sock", "", ""},
	{"unix:/run/lmtp.sock", "unix", ""},
	{"a b[192.0.2.1]", "", "192.0.2.1"},
	{"mx[", "", ""},
	{"mx[]", "", ""},
	{"[", "", ""},
	{"[]", "", ""},
	{"[x;y]", "", ""},
	{"mx[x;y]", "mx", ""},
};

START_TEST(test_host)
{
	struct slice ip, name = bounce_host(slice_of(host[_i].in), &ip);

	ck_assert_msg(slice_eq(name, slice_of(host[_i].name)), "%s: %.*s",
	    host[_i].in, SLICE_FMT(name));
	ck_assert_msg(slice_eq(ip, slice_of(host[_i].ip)), "%s: %.*s",
	    host[_i].in, SLICE_FMT(ip));
}
END_TEST

/* The contract's tables are sound, and hold what the header promises. */
START_TEST(test_contract)
{
	struct bounce_rcpt *v = mem_array(BOUNCE_RCPTS_MAX, sizeof(*v));
	struct bounce_job job = {.job = UINT64_MAX,
	    .id = SLICE("01jar9fq3raaaaaaaaaa"), .kind = BOUNCE_SUCCESS,
	    .sender = SLICE("ann@example.org"),
	    .recipients = {v, BOUNCE_RCPTS_MAX}};
	struct chan_arena *arena = chan_arena_new();
	struct buf why = BUF_INIT(1000), frame = BUF_INIT(100000);
	union bounce_msg msg;
	const char *said = NULL;
	uint16_t type;
	size_t i;

	ck_assert_msg(chan_contract_check(&bounce_contract, &why), "%s",
	    why.s);
	for (i = 0; i < BOUNCE_RCPTS_MAX; i++)
		v[i] = (struct bounce_rcpt){UINT32_MAX, BOUNCE_EXPANDED,
		    UINT64_MAX - i};
	chan_encode(&bounce_contract, 1, BOUNCE_JOB, &job, &frame);
	ck_assert(!frame.overflow);
	ck_assert_msg(chan_decode(&bounce_contract, 1, CHAN_CLIENT,
	    slice_sub(buf_slice(&frame), 4, frame.len), arena, &type, &msg,
	    sizeof(msg), &said), "%s", said);
	ck_assert_uint_eq(type, BOUNCE_JOB);
	ck_assert_uint_eq(msg.job.recipients.n, BOUNCE_RCPTS_MAX);
	ck_assert_int_eq(memcmp(msg.job.recipients.v, v,
	    BOUNCE_RCPTS_MAX * sizeof(*v)), 0);
	ck_assert(slice_eq(msg.job.sender, job.sender));
	chan_arena_free(&arena);
	buf_free(&why);
	buf_free(&frame);
	free(v);
}
END_TEST

Suite *
bounce_text_suite(void)
{
	Suite *s = suite_create("bounce_text");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, test_clean, 0, COUNT(clean));
	tcase_add_loop_test(tc, test_xtext, 0, COUNT(xtext));
	tcase_add_loop_test(tc, test_utf8_xtext, 0, COUNT(utf8_xtext));
	tcase_add_loop_test(tc, test_decode, 0, COUNT(decode));
	tcase_add_loop_test(tc, test_fill, 0, COUNT(fill));
	tcase_add_test(tc, test_long_words);
	tcase_add_loop_test(tc, test_field, 0, COUNT(field));
	tcase_add_loop_test(tc, test_host, 0, COUNT(host));
	tcase_add_test(tc, test_contract);
	suite_add_tcase(s, tc);
	return s;
}
