/*
 * The reader of header fields: each message fed whole, one octet at a time, cut
 * in two at every place, and walked through in memory, always with the same
 * outcome.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mime/header.h"

Suite *header_suite(void);

#define KEEP 300
#define N(a) (sizeof(a) / sizeof((a)[0]))

/* want: a line "offset+length name|value" for each field ('$' for CR, '%' for
 * LF, '^' for NUL), then the section's length and the numbers of well-formed,
 * Received and malformed fields. */
static const struct {
	const char *name;
	struct slice in;
	const char *want;
} messages[] = {
	{"ordinary", SLICE_INIT("From: a\r\nTo: b\r\n\r\nbody: x\r\n"),
	    "0+9 From| a\n9+7 To| b\n18 2 0 0"},
	{"empty", SLICE_INIT(""), "0 0 0 0"},
	{"no header", SLICE_INIT("\r\nSubject: x\r\n"), "2 0 0 0"},
	{"no body", SLICE_INIT("A: b\r\n"), "0+6 A| b\n6 1 0 0"},
	{"no end of line", SLICE_INIT("A: b"), "0+4 A| b\n4 1 0 0"},
	{"ends in CR", SLICE_INIT("A: b\r"), "0+5 A| b$\n5 1 0 0"},
	{"lone CR in the end", SLICE_INIT("A: b\r\n\r"),
	    "0+6 A| b\n6+1 |$\n7 1 0 1"},
	{"only CR", SLICE_INIT("\r"), "0+1 |$\n1 0 0 1"},
	{"folded", SLICE_INIT("A: b\r\n c\r\n\td\r\nB:\r\n e\r\n\r\n"),
	    "0+14 A| b$% c$%\td\n14+8 B|$% e\n24 2 0 0"},
	{"folded blank line", SLICE_INIT("A: b\r\n \r\nB: c\r\n\r\n"),
	    "0+9 A| b$% \n9+6 B| c\n17 2 0 0"},
	{"no value", SLICE_INIT("A:\r\nB: \r\n\r\n"),
	    "0+4 A|\n4+5 B| \n11 2 0 0"},
	{"blank before colon", SLICE_INIT("A \t: b\r\n\r\n"),
	    "0+8 A| b\n10 1 0 0"},
	{"colons", SLICE_INIT("A:b:c\r\n::d\r\n\r\n"),
	    "0+7 A|b:c\n7+5 |::d\n14 1 0 1"},
	{"no colon", SLICE_INIT("A: b\r\ntext\r\n more\r\nC: d\r\n\r\n"),
	    "0+6 A| b\n6+13 |text$% more\n19+6 C| d\n27 2 0 1"},
	{"mbox line",
	    SLICE_INIT("From a@b Sat Jan  1 10:00:00 2026\r\nA: b\r\n\r\n"),
	    "0+35 |From a@b Sat Jan  1 10:00:00 2026\n35+6 A| b\n43 1 0 1"},
	{"starts folded", SLICE_INIT(" a: b\r\n\tc\r\nD: e\r\n\r\n"),
	    "0+11 | a: b$%\tc\n11+6 D| e\n19 1 0 1"},
	{"8-bit name", SLICE_INIT("N\xc3\xa4me: x\r\n\r\n"),
	    "0+10 |N\xc3\xa4me: x\n12 0 0 1"},
	{"space in name", SLICE_INIT("a b: c\r\n\r\n"),
	    "0+8 |a b: c\n10 0 0 1"},
	{"control in name", SLICE_INIT("a\x01: c\r\nb\x7f: c\r\n\r\n"),
	    "0+7 |a\x01: c\n7+7 |b\x7f: c\n16 0 0 2"},
	{"name on two lines", SLICE_INIT("a\r\n : c\r\n\r\n"),
	    "0+9 |a$% : c\n11 0 0 1"},
	{"bare LF", SLICE_INIT("A: b\nC: d\r\n\n\nE: f\r\n\r\n"),
	    "0+11 A| b%C: d\n11+8 |%%E: f\n21 1 0 1"},
	{"bare CR", SLICE_INIT("A: b\rC: d\r\n\rE: f\r\n\r\n"),
	    "0+11 A| b$C: d\n11+7 |$E: f\n20 1 0 1"},
	{"CRs before the line's end", SLICE_INIT("A: b\r\r\n\r\r\n\r\n"),
	    "0+7 A| b$\n7+3 |$\n12 1 0 1"},
	{"LF CR", SLICE_INIT("A: b\n\rB: c\r\n\r\n"),
	    "0+12 A| b%$B: c\n14 1 0 0"},
	{"nul", SLICE_INIT("A: b\0c\r\n\0: d\r\n\r\n"),
	    "0+8 A| b^c\n8+6 |^: d\n16 1 0 1"},
	{"received", SLICE_INIT("Received: a\r\nRECEIVED: b\r\nreceived : c\r\n"
	    "Receive: d\r\nReceivedx: e\r\nX-Received: f\r\n\r\n"),
	    "0+13 Received| a\n13+13 RECEIVED| b\n26+14 received| c\n"
	    "40+12 Receive| d\n52+14 Receivedx| e\n66+15 X-Received| f\n"
	    "83 6 3 0"},
	{"dots and dashes", SLICE_INIT("!#$%&'*+-./09AZ[]^_`az{|}~: v\r\n\r\n"),
	    "0+31 !#$%&'*+-./09AZ[]^_`az{|}~| v\n33 1 0 0"},
};

static void
print_field(void *arg, const struct header_field *f)
{
	struct buf *out = arg;

	buf_printf(out, "%" PRIu64 "+%" PRIu64 " ", f->offset, f->length);
	buf_addslice(out, f->name);
	buf_addc(out, '|');
	for (size_t i = 0; i < f->value.len; i++)
		switch (f->value.p[i]) {
		case '\r':
			buf_addc(out, '$');
			break;
		case '\n':
			buf_addc(out, '%');
			break;
		case '\0':
			buf_addc(out, '^');
			break;
		default:
			buf_addc(out, f->value.p[i]);
			break;
		}
	buf_adds(out, f->cut ? "..\n" : "\n");
}

static void
print_counts(struct buf *out, const struct header_counts *c)
{
	buf_printf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
	    c->octets, c->fields, c->received, c->malformed);
}

/* Feeds in: a piece of first octets, then pieces of step. */
static void
scan(struct header_scan *h, struct buf *out, struct slice in, size_t first,
    size_t step)
{
	size_t at = 0, n = first, header = 0;

	buf_reset(out);
	header_scan_reset(h);
	for (; at < in.len; at += n, n = step) {
		/* A copy of its own, so that a sanitizer sees any look
		 * beyond it and any later look back. */
		struct slice piece = slice_sub(in, at, at + n);
		char *copy = slice_dup(piece);
		char *exact = mem_grow(copy, piece.len, 1);

		header += header_scan_feed(h, exact, piece.len);
		free(exact);
	}
	header_scan_end(h);
	header_scan_end(h);
	ck_assert(header_scan_done(h));
	ck_assert_uint_eq(header_scan_feed(h, "A: b\r\n", 6), 0);
	ck_assert_uint_eq(header, header_scan_counts(h)->octets);
	print_counts(out, header_scan_counts(h));
}

/* The same by header_next. */
static void
walk(struct buf *out, struct slice in)
{
	struct header_counts c = {0};
	struct header_field f;
	size_t at = 0;

	buf_reset(out);
	while (header_next(in, &at, &f)) {
		print_field(out, &f);
		if (f.name.len == 0)
			c.malformed++;
		else
			c.fields++;
		if (header_is(&f, "Received"))
			c.received++;
	}
	c.octets = at;
	print_counts(out, &c);
}

START_TEST(test_message)
{
	struct slice in = messages[_i].in;
	struct buf out = BUF_INIT(10000);
	struct header_scan *h = header_scan_new(KEEP, print_field, &out);

	walk(&out, in);
	ck_assert_msg(strcmp(out.s, messages[_i].want) == 0, "%s: walk: %s",
	    messages[_i].name, out.s);
	for (size_t first = 0; first <= in.len; first++)
		for (size_t step = 1; step <= in.len; step++) {
			scan(h, &out, in, first, step);
			ck_assert_msg(strcmp(out.s, messages[_i].want) == 0,
			    "%s: %zu, %zu: %s", messages[_i].name, first, step,
			    out.s);
		}
	header_scan_free(&h);
	ck_assert_ptr_null(h);
	header_scan_free(&h);
	buf_free(&out);
}
END_TEST

/* Octets that mean something here, in no order: whoever reads them, and in
 * whatever pieces, finds the same. */
START_TEST(test_noise)
{
	static const char octets[] = "\r\r\n\n\r\n\r\n :\tAb\0";
	struct buf want = BUF_INIT(10000), out = BUF_INIT(10000);
	struct header_scan *h = header_scan_new(KEEP, print_field, &out);
	uint32_t seed = (uint32_t)_i;

	for (int round = 0; round < 300; round++) {
		char text[40];

		for (size_t i = 0; i < sizeof(text); i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = octets[(seed >> 16) % (sizeof(octets) - 1)];
		}
		walk(&want, slice_mem(text, sizeof(text)));
		for (size_t step = 1; step <= sizeof(text); step++) {
			scan(h, &out, slice_mem(text, sizeof(text)), step,
			    step);
			ck_assert_str_eq(out.s, want.s);
		}
	}
	header_scan_free(&h);
	buf_free(&want);
	buf_free(&out);
}
END_TEST

/* Fields about as long as what is kept, KEEP octets without the last CRLF. */
static const struct {
	size_t name, value;
	bool cut, named;
} sizes[] = {
	{1, KEEP - 3, false, true},
	{1, KEEP - 2, false, true},
	{1, KEEP - 1, true, true},
	{1, KEEP, true, true},
	{1, 10000, true, true},
	{KEEP - 1, 0, false, true},
	{KEEP - 1, 1, true, true},
	{KEEP, 0, true, false},
	{10000, 0, true, false},
};

static void
copy_field(void *arg, const struct header_field *f)
{
	struct header_field *copy = arg;

	*copy = *f;
	/* The octets do not outlive the call. */
	copy->name = slice_of(f->name.len > 0 ? "named" : "");
	ck_assert(f->value.len == 0 || f->value.p[0] != ':');
}

START_TEST(test_limit)
{
	size_t len = sizes[_i].name + 1 + sizes[_i].value + 2;
	struct header_field f = {.length = 0};
	struct header_scan *h = header_scan_new(KEEP, copy_field, &f);
	char *text = mem_grow(NULL, len + 3, 1);

	memset(text, 'n', len);
	text[sizes[_i].name] = ':';
	memcpy(text + len - 2, "\r\nA:", 5);
	for (size_t step = 1; step <= len + 3; step += step < 400 ? 1 : 997) {
		header_scan_reset(h);
		f.length = 0;
		for (size_t at = 0; at < len + 3; at += step) {
			size_t n = len + 3 - at < step ? len + 3 - at : step;

			ck_assert_uint_eq(header_scan_feed(h, text + at, n),
			    n);
		}
		ck_assert_uint_eq(f.offset, 0);
		ck_assert_uint_eq(f.length, len);
		ck_assert_int_eq(f.cut, sizes[_i].cut);
		ck_assert_int_eq(f.name.len > 0, sizes[_i].named);
		if (!sizes[_i].cut)
			ck_assert_uint_eq(f.value.len, sizes[_i].value);
		else if (sizes[_i].named)
			ck_assert_uint_eq(f.value.len,
			    KEEP - sizes[_i].name - 1);
		else
			ck_assert_uint_eq(f.value.len, KEEP);
	}
	free(text);
	header_scan_free(&h);
}
END_TEST

/* Counting alone, with less kept than the least, and no end in sight. */
START_TEST(test_count)
{
	struct header_scan *h = header_scan_new(0, NULL, NULL);
	const struct header_counts *c = header_scan_counts(h);
	char text[4096];

	for (int i = 0; i < 1000; i++)
		header_scan_feed(h, "Received: x\r\n y\r\n", 17);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(header_scan_feed(h, text, sizeof(text)),
		    sizeof(text));
	ck_assert_uint_eq(c->received, 1000);
	ck_assert_uint_eq(c->octets, 17000 + 4096000);
	ck_assert(!header_scan_done(h));
	ck_assert_uint_eq(header_scan_feed(h, "\r\n\r\nbody\r\n", 10), 4);
	ck_assert(header_scan_done(h));
	ck_assert_uint_eq(c->fields, 1000);
	ck_assert_uint_eq(c->malformed, 1);
	header_scan_free(&h);
}
END_TEST

static const struct {
	const char *name, *want; /* NULL: not there */
} finds[] = {
	{"Subject", " one"},
	{"subject", " one"},
	{"SUBJECT", " one"},
	{"X-Empty", ""},
	{"Subjec", NULL},
	{"Subject2", NULL},
	{"Folded", "\r\n a\r\n b"},
	{"Last", " z"},
	{"", "no field"},
	{"Body", NULL},
};

START_TEST(test_find)
{
	struct slice message = SLICE("X-Empty:\r\nno field\r\nSubject: one\r\n"
	    "Subject: two\r\nFolded:\r\n a\r\n b\r\nLast: z\r\n\r\n"
	    "Body: x\r\n\r\n");
	struct header_field f = {.offset = 999};
	bool found = header_find(message, finds[_i].name, &f);

	ck_assert_int_eq(found, finds[_i].want != NULL);
	if (found) {
		ck_assert(slice_eq(f.value, slice_of(finds[_i].want)));
		ck_assert(header_is(&f, finds[_i].name));
		ck_assert(f.name.len == 0 ||
		    f.name.p == message.p + f.offset);
	} else
		ck_assert_uint_eq(f.offset, 999);
	/* All but a field's end may be missing. */
	ck_assert(!header_find(SLICE_EMPTY, finds[_i].name, &f));
	ck_assert(header_find(SLICE("A: b\r\nLast: z"), "Last", &f));
	ck_assert(slice_eq(f.value, SLICE(" z")));
}
END_TEST

Suite *
header_suite(void)
{
	Suite *s = suite_create("header");
	TCase *t = tcase_create("header");

	tcase_add_loop_test(t, test_message, 0, N(messages));
	tcase_add_loop_test(t, test_noise, 0, 8);
	tcase_add_loop_test(t, test_limit, 0, N(sizes));
	tcase_add_test(t, test_count);
	tcase_add_loop_test(t, test_find, 0, N(finds));
	suite_add_tcase(s, t);
	return s;
}
