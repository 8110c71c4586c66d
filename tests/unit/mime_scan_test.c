/*
 * common/mime/scan and convert_look: each text whole and cut in two at every
 * place, against a slow reading octet by octet.
 */
#include <stdlib.h>

#include <check.h>

#include "common/base/mem.h"
#include "common/mime/convert.h"
#include "common/mime/scan.h"

Suite *mime_scan_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define LEN 3000

static const struct {
	const char *name;
	struct slice in;
	unsigned found;
} cases[] = {
	{"empty", SLICE_INIT(""), 0},
	{"lines", SLICE_INIT("a\r\n\r\nb\r\n"), 0},
	{"no end", SLICE_INIT("a"), 0},
	{"CR", SLICE_INIT("\r"), SCAN_BARE},
	{"LF", SLICE_INIT("\n"), SCAN_BARE},
	{"LF first", SLICE_INIT("\na\r\n"), SCAN_BARE},
	{"LF CR", SLICE_INIT("a\n\rb"), SCAN_BARE},
	{"CR CR LF", SLICE_INIT("a\r\r\n"), SCAN_BARE},
	{"CR LF LF", SLICE_INIT("a\r\n\n"), SCAN_BARE},
	{"CR at the end", SLICE_INIT("a\r\n\r"), SCAN_BARE},
	{"NUL", SLICE_INIT("a\0b"), SCAN_NUL},
	{"only NUL", SLICE_INIT("\0"), SCAN_NUL},
	{"127", SLICE_INIT("\x7f"), 0},
	{"128", SLICE_INIT("\x80"), SCAN_HIGH},
	{"255", SLICE_INIT("a\r\n\xff\r\n"), SCAN_HIGH},
	{"all", SLICE_INIT("\0\xff\r"), SCAN_HIGH | SCAN_NUL | SCAN_BARE},
};

static unsigned
scan_in_two(struct slice s, size_t first)
{
	struct scan scan = {0};
	unsigned found = scan_octets(&scan, s.p, first);

	/* Memory of its own, so that a sanitizer sees a look back. */
	char *rest = mem_grow(NULL, s.len - first + 1, 1);

	memcpy(rest, s.p + first, s.len - first);
	found |= scan_octets(&scan, rest, s.len - first);
	free(rest);
	return found | scan_end(&scan);
}

START_TEST(table)
{
	struct slice in = cases[_i].in;

	for (size_t first = 0; first <= in.len; first++)
		ck_assert_msg(scan_in_two(in, first) == cases[_i].found,
		    "%s: %zu: %u", cases[_i].name, first,
		    scan_in_two(in, first));
}
END_TEST

/* The rules, octet by octet. */
static unsigned
slow(struct slice s)
{
	unsigned found = 0;
	size_t column = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool cr = i > 0 && s.p[i - 1] == '\r';

		found |= c > 127 ? SCAN_HIGH : 0;
		found |= c == 0 ? SCAN_NUL : 0;
		if ((c == '\n') != cr)
			found |= SCAN_BARE;
		if (c == '\n') {
			column = 0;
			continue;
		}
		/* A CR counts unless it ends the line. */
		if (++column > SCAN_LINE_MAX + 1 ||
		    (column == SCAN_LINE_MAX + 1 && c != '\r'))
			found |= SCAN_LONG;
	}
	if (s.len > 0 && s.p[s.len - 1] == '\r')
		found |= SCAN_BARE;
	return found;
}

/* One octet at every place of a text longer than the loop's block. */
START_TEST(every_place)
{
	static const char octets[] = {'\0', '\r', '\n', '\x80', '\xff'};
	char text[LEN];

	for (size_t i = 0; i < LEN; i++)
		text[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
	for (size_t at = 0; at < LEN; at += at > 1200 ? 38 : 1) {
		char was = text[at];

		text[at] = octets[_i];
		ck_assert_uint_eq(scan_in_two(slice_mem(text, LEN), at / 2),
		    slow(slice_mem(text, LEN)));
		text[at] = was;
	}
}
END_TEST

/* Lines about as long as they may be, at any place, cut anywhere. */
START_TEST(long_lines)
{
	size_t n = SCAN_LINE_MAX - 3 + (size_t)_i;
	char text[LEN];

	for (size_t before = 0; before < 20; before++) {
		struct slice s = {text, before + n + 2};

		memset(text, 'x', sizeof(text));
		if (before >= 2)
			memcpy(text + before - 2, "\r\n", 2);
		memcpy(text + before + n, "\r\n", 2);
		for (size_t first = 0; first <= s.len; first += 7) {
			unsigned found = scan_in_two(s, first);

			ck_assert_uint_eq(found, slow(s));
			/* The same that does not end. */
			found = scan_in_two(slice_sub(s, 0, s.len - 2),
			    first < s.len - 2 ? first : 0);
			ck_assert_int_eq((found & SCAN_LONG) != 0,
			    n + (before < 2 ? before : 0) > SCAN_LINE_MAX);
		}
	}
}
END_TEST

START_TEST(noise)
{
	static const char octets[] = "\r\r\n\r\n\r\n\r\nabcdefgh\0\x90";
	uint32_t seed = (uint32_t)_i;
	char text[LEN];

	for (int round = 0; round < 200; round++) {
		size_t n = sizeof(octets) - 1;

		seed = seed * 1664525 + 1013904223;
		if (seed % 3 == 0)
			n = 17; /* without NUL and 8 bit */
		for (size_t i = 0; i < LEN; i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = octets[(seed >> 16) % n];
			if (text[i] == '\r' && i + 1 < LEN && seed % 5 != 0)
				text[++i] = '\n';
		}
		ck_assert_uint_eq(scan_in_two(slice_mem(text, LEN),
		    seed % LEN), slow(slice_mem(text, LEN)));
	}
}
END_TEST

#define HEAD "Subject: x\r\n\r\n"

static const struct {
	const char *name;
	struct slice in;
	bool eight_bit, header_8bit, binary;
} looks[] = {
	{"empty", SLICE_INIT(""), false, false, false},
	{"ordinary", SLICE_INIT(HEAD "text\r\n"), false, false, false},
	{"8-bit body", SLICE_INIT(HEAD "\xe4\r\n"), true, false, false},
	{"8-bit header", SLICE_INIT("A: \xe4\r\n\r\nb\r\n"), false, true,
	    false},
	{"8-bit header, no body", SLICE_INIT("A: \xe4\r\n"), false, true,
	    false},
	{"empty header", SLICE_INIT("\r\nA: \xe4\r\n\r\n"), true, false,
	    false},
	{"not the end of the header", SLICE_INIT("A: b\r\n\n\xe4\r\n\r\n"),
	    false, true, true},
	{"nor this", SLICE_INIT("A: b\n\r\n\xe4\r\n\r\n"), false, true, true},
	{"CR CR LF", SLICE_INIT("A: b\r\n\r\r\n\xe4\r\n\r\n"), false, true,
	    true},
	{"header of a part", SLICE_INIT(HEAD "--b\r\nA: \xe4\r\n"), true,
	    false, false},
	{"NUL in the header", SLICE_INIT("A\0: b\r\n\r\n"), false, false,
	    true},
	{"NUL", SLICE_INIT(HEAD "\0"), false, false, true},
	{"LF", SLICE_INIT(HEAD "a\nb\r\n"), false, false, true},
	{"CR", SLICE_INIT(HEAD "a\rb\r\n"), false, false, true},
	{"CR last", SLICE_INIT(HEAD "a\r"), false, false, true},
	{"no end", SLICE_INIT(HEAD "a"), false, false, false},
};

static void
check_look(const char *name, struct slice in, struct convert_look want)
{
	for (size_t first = 0; first <= in.len; first += 1 + in.len / 200) {
		struct convert_look l = {0};

		convert_look(&l, in.p, first);
		convert_look(&l, in.p + first, in.len - first);
		ck_assert_msg(l.eight_bit == want.eight_bit &&
		    l.header_8bit == want.header_8bit &&
		    l.binary == want.binary, "%s, %zu: %d %d %d", name, first,
		    l.eight_bit, l.header_8bit, l.binary);
	}
}

START_TEST(look)
{
	struct convert_look want = {.eight_bit = looks[_i].eight_bit,
	    .header_8bit = looks[_i].header_8bit, .binary = looks[_i].binary};
	struct convert_look l = {0};

	check_look(looks[_i].name, looks[_i].in, want);
	for (size_t i = 0; i < looks[_i].in.len; i++)
		convert_look(&l, looks[_i].in.p + i, 1);
	ck_assert_int_eq(l.eight_bit, want.eight_bit);
	ck_assert_int_eq(l.header_8bit, want.header_8bit);
	ck_assert_int_eq(l.binary, want.binary);
}
END_TEST

START_TEST(look_long)
{
	static const struct {
		size_t n;
		const char *end;
		bool binary;
	} lines[] = {{SCAN_LINE_MAX, "\r\n", false}, {SCAN_LINE_MAX, "", false},
	    {SCAN_LINE_MAX + 1, "\r\n", true}, {SCAN_LINE_MAX + 1, "", true},
	    {SCAN_LINE_MAX, "\r", true}, {5000, "\r\n", true}};
	struct convert_look want = {.binary = lines[_i].binary};
	char text[6000] = HEAD;
	size_t at = sizeof(HEAD) - 1;

	memset(text + at, 'x', lines[_i].n);
	at += lines[_i].n;
	memcpy(text + at, lines[_i].end, strlen(lines[_i].end));
	at += strlen(lines[_i].end);
	check_look("long line", slice_mem(text, at), want);
}
END_TEST

Suite *
mime_scan_suite(void)
{
	Suite *s = suite_create("mime_scan");
	TCase *t = tcase_create("mime_scan");

	tcase_add_loop_test(t, table, 0, N(cases));
	tcase_add_loop_test(t, every_place, 0, 5);
	tcase_add_loop_test(t, long_lines, 0, 8);
	tcase_add_loop_test(t, noise, 0, 4);
	tcase_add_loop_test(t, look, 0, N(looks));
	tcase_add_loop_test(t, look_long, 0, 6);
	suite_add_tcase(s, t);
	return s;
}
