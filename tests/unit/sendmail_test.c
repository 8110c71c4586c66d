/* queue/sendmail: text, header, options, exit codes */
#include <sysexits.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/mail/envelope.h"
#include "queue/sendmail.h"

Suite *sendmail_suite(void);

/* ---- text ---- */

static const struct {
	const char *name, *in, *header, *body;
	bool dots; /* ignored */
} texts[] = {
	{"lf", "A: b\n\nx\n", "A: b\r\n", "x\r\n", false},
	{"crlf", "A: b\r\n\r\nx\r\n", "A: b\r\n", "x\r\n", false},
	{"cr cr lf", "A: b\r\r\n\r\r\nx\r\r\n", "A: b\r\n", "x\r\n", false},
	{"no header", "hello\nA: b\n", "", "hello\r\nA: b\r\n", false},
	{"text in the header", "A: b\nhello\n", "A: b\r\n", "hello\r\n", false},
	{"header alone", "A: b", "A: b\r\n", "", false},
	{"nothing", "", "", "", false},
	{"folded", "A: b\n c\n\n", "A: b\r\n c\r\n", "", false},
	{"blank first", " A: b\n", "", " A: b\r\n", false},
	{"bare cr in the header", "A: b\rB: c\n\n", "A: b B: c\r\n", "", false},
	{"bare cr before the header", "\r\rA: b\n\n", "A: b\r\n", "", false},
	{"bare cr behind a dot in the header", ".\rA: b\n\n", "",
	    ". A: b\r\n\r\n", false},
	{"bare cr in the body", "\na\rb\r\rc\n", "", "a\r\nb\r\nc\r\n", false},
	{"cr at the end", "\na\r", "", "a\r\n", false},
	{"lf cr", "\na\n\rb\n", "", "a\r\n\r\nb\r\n", false},
	{"mbox", "From a\nFrom b\n>From c\nA: b\n\nFrom d\n", "A: b\r\n",
	    "From d\r\n", false},
	{"dot", "A: b\n\nx\n.\ny\n", "A: b\r\n", "x\r\n", false},
	{"dot crlf", "\nx\n.\r\ny\n", "", "x\r\n", false},
	{"dot and bare cr", "\nx\n.\ry\n", "", "x\r\n", false},
	{"dot at the end", "\nx\n.", "", "x\r\n", false},
	{"dot cr at the end", "\nx\n.\r", "", "x\r\n", false},
	{"dot first", ".\nA: b\n", "", "", false},
	{"dots", "\n..\n. \n.a\n", "", "..\r\n. \r\n.a\r\n", false},
	{"dots ignored", "\n.\n.\n", "", ".\r\n.\r\n", true},
	{"colon first", ": x\n", "", ": x\r\n", false},
	{"field with blanks", "A \t: b\n\n", "A \t: b\r\n", "", false},
	{"blank in the name", "A B: c\n", "", "A B: c\r\n", false},
	{"8 bit in the name", "\xc3\xa4: c\n", "", "\xc3\xa4: c\r\n", false},
};

struct got {
	struct buf header, body;
	int headers;
};

static void
on_header(void *arg, struct slice s)
{
	struct got *g = arg;

	ck_assert_int_eq(g->headers++, 0);
	buf_addslice(&g->header, s);
}

static void
on_body(void *arg, struct slice s)
{
	struct got *g = arg;

	ck_assert_int_eq(g->headers, 1);
	buf_addslice(&g->body, s);
}

static void
feed(struct got *g, struct slice in, size_t step, bool dots, size_t max)
{
	struct text_sink sink = {on_header, on_body, g};
	struct text *t = text_new(dots, max);
	bool more = true;

	buf_reset(&g->header);
	buf_reset(&g->body);
	g->headers = 0;
	for (size_t at = 0; at < in.len && more; at += step)
		more = text_feed(t, slice_sub(in, at, at + step), &sink);
	text_end(t, &sink);
	ck_assert_int_eq(g->headers, 1);
	text_free(&t);
}

START_TEST(text)
{
	struct got g = {BUF_INIT(100000), BUF_INIT(100000), 0};
	struct slice in = slice_of(texts[_i].in);

	for (size_t step = 1; step < 50; step += 48) {
		feed(&g, in, step, texts[_i].dots, 10000);
		ck_assert_msg(strcmp(g.header.s, texts[_i].header) == 0 &&
		    strcmp(g.body.s, texts[_i].body) == 0,
		    "%s (%zu): got \"%s\" and \"%s\"", texts[_i].name, step,
		    g.header.s, g.body.s);
	}
	buf_free(&g.header);
	buf_free(&g.body);
}
END_TEST

START_TEST(nul_is_dropped)
{
	struct got g = {BUF_INIT(1000), BUF_INIT(1000), 0};

	feed(&g, SLICE("A\0: b\r\0\n\n\0x\0\n"), 1, false, 1000);
	ck_assert_str_eq(g.header.s, "A: b\r\n");
	ck_assert_str_eq(g.body.s, "x\r\n");
	buf_free(&g.header);
	buf_free(&g.body);
}
END_TEST

START_TEST(long_lines)
{
	struct got g = {BUF_INIT(100000), BUF_INIT(100000), 0}, h = g;
	struct buf in = BUF_INIT(100000);

	/* No colon in sight: text, whatever comes later. */
	for (int i = 0; i < 5000; i++)
		buf_addc(&in, 'x');
	buf_adds(&in, ": y\n");
	feed(&g, buf_slice(&in), 1, false, 2000);
	feed(&h, buf_slice(&in), 777, false, 2000);
	ck_assert_uint_eq(g.header.len, 0);
	ck_assert_uint_eq(g.body.len, 5005);
	ck_assert_str_eq(g.body.s, h.body.s);
	/* A field that is too long is an error. */
	buf_reset(&in);
	buf_adds(&in, "A: ");
	for (int i = 0; i < 5000; i++)
		buf_addc(&in, 'x');
	{
		struct text_sink sink = {on_header, on_body, &g};
		struct text *t = text_new(false, 2000);

		buf_reset(&g.header);
		buf_reset(&g.body);
		g.headers = 0;
		(void)text_feed(t, buf_slice(&in), &sink);
		text_end(t, &sink);
		ck_assert(text_header_too_large(t));
		text_free(&t);
	}
	buf_free(&in);
	buf_free(&g.header);
	buf_free(&g.body);
	buf_free(&h.header);
	buf_free(&h.body);
}
END_TEST

/* ---- header ---- */

static struct conf conf = {.local_domain = "here.example",
    .hostname = "mx.here.example"};

static void
header(const char *fields, bool t, struct letter *l, struct buf *out)
{
	struct sendmail_options o = {.program = "sendmail", .from_header = t,
	    .quiet = true};

	*l = (struct letter){.code = EX_OK};
	spool_open(&l->text, 1000);
	buf_init(&l->sender, 100);
	letter_header(l, &o, &conf, slice_of(fields), out);
}

START_TEST(header_recipients)
{
	struct buf out = BUF_INIT(1000);
	struct letter l;

	header("To: a, b@x\r\nBcc: c\r\n d\r\nCc: A@HERE.example\r\n", true,
	    &l, &out);
	/* "c d" is broken */
	ck_assert_int_eq(l.code, EX_DATAERR);
	ck_assert_uint_eq(l.nrcpts, 2);
	ck_assert_str_eq(l.rcpts[0].address, "a@here.example");
	ck_assert_str_eq(l.rcpts[1].address, "b@x");
	ck_assert_str_eq(out.s, "To: a, b@x\r\nCc: A@HERE.example\r\n");
	letter_free(&l);
	buf_reset(&out);
	header("To: a\r\nbcc: c\r\n", false, &l, &out);
	ck_assert_uint_eq(l.nrcpts, 0);
	ck_assert_str_eq(out.s, "To: a\r\n");
	letter_free(&l);
	buf_free(&out);
}
END_TEST

START_TEST(many_recipients)
{
	struct sendmail_options o = {.program = "sendmail"};
	struct letter l = {.code = EX_OK};
	struct buf list = BUF_INIT(2000000);

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 20000; i++)
			buf_printf(&list, "user%d@x.example,", i);
	spool_open(&l.text, 1000);
	buf_init(&l.sender, 100);
	letter_add(&l, &o, &conf, buf_slice(&list));
	ck_assert_uint_eq(l.nrcpts, 20000);
	ck_assert_int_eq(l.code, EX_OK);
	letter_free(&l);
	buf_free(&list);
}
END_TEST

/* ---- options ---- */

START_TEST(options)
{
	char *argv[] = {(char[]){"/x/sendmail"}, (char[]){"-toi"},
	    (char[]){"-fann"}, (char[]){"-N"}, (char[]){"never"},
	    (char[]){"-oem"}, (char[]){"-"}, (char[]){"-bp"}, NULL};
	struct sendmail_options o;

	ck_assert(sendmail_options(8, argv, &o));
	ck_assert_str_eq(o.program, "sendmail");
	ck_assert_int_eq(o.mode, SENDMAIL_SEND);
	ck_assert(o.from_header && o.ignore_dots && !o.quiet);
	ck_assert_str_eq(o.sender, "ann");
	ck_assert_uint_eq(o.notify, NOTIFY_NEVER);
	ck_assert_int_eq(o.nrcpts, 2);
	ck_assert_str_eq(o.rcpts[0], "-");
	argv[0] = (char[]){"mailq"};
	argv[1] = NULL;
	ck_assert(sendmail_options(1, argv, &o));
	ck_assert_int_eq(o.mode, SENDMAIL_LIST);
	argv[0] = (char[]){"/usr/bin/newaliases"};
	ck_assert(sendmail_options(1, argv, &o));
	ck_assert_int_eq(o.mode, SENDMAIL_ALIASES);
	ck_assert(sendmail_options(0, argv + 1, &o));
	ck_assert_int_eq(o.nrcpts, 0);
}
END_TEST

START_TEST(exit_codes)
{
	static const struct {
		unsigned code;
		const char *text;
		int want;
	} rows[] = {
		{250, "2.0.0 ok", EX_OK},
		{451, "4.3.0 x", EX_TEMPFAIL},
		{550, "5.1.1 x", EX_NOUSER},
		{550, "5.1.10 x", EX_NOUSER},
		{550, "5.1.2 x", EX_NOHOST},
		{550, "5.1.20 x", EX_DATAERR},
		{550, "x", EX_NOUSER},
		{550, "", EX_NOUSER},
		{554, "5.7.1 x", EX_NOPERM},
		{554, "", EX_UNAVAILABLE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_int_eq(smtp_exit_code(rows[i].code,
		    slice_of(rows[i].text)), rows[i].want);
}
END_TEST

/* ---- spool ---- */

static bool
collect(void *arg, struct slice s)
{
	buf_addslice(arg, s);
	return true;
}

START_TEST(spool)
{
	struct buf got = BUF_INIT(10000000);
	char piece[1000];
	struct spool sp;

	spool_open(&sp, 5000000);
	for (int i = 0; i < 3000; i++) {
		memset(piece, 'a' + i % 26, sizeof(piece));
		spool_put(&sp, slice_mem(piece, sizeof(piece)));
	}
	ck_assert_int_eq(spool_finish(&sp), 0);
	ck_assert_int_ne(sp.fd, -1);
	ck_assert(!sp.eight_bit && !sp.too_large);
	for (int round = 0; round < 2; round++) {
		buf_reset(&got);
		ck_assert_int_eq(spool_each(&sp, collect, &got), 0);
		ck_assert_uint_eq(got.len, 3000000);
		for (size_t i = 0; i < got.len; i += 1000)
			ck_assert_int_eq(got.s[i], 'a' + (int)(i / 1000) % 26);
	}
	spool_put(&sp, SLICE("\xff"));
	ck_assert(sp.eight_bit);
	for (int i = 0; i < 3000; i++)
		spool_put(&sp, slice_mem(piece, sizeof(piece)));
	ck_assert(sp.too_large);
	spool_close(&sp);
	buf_free(&got);
}
END_TEST

Suite *
sendmail_suite(void)
{
	Suite *s = suite_create("sendmail");
	TCase *t = tcase_create("sendmail");

	tcase_add_loop_test(t, text, 0,
	    (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_test(t, nul_is_dropped);
	tcase_add_test(t, long_lines);
	tcase_add_test(t, header_recipients);
	tcase_add_test(t, many_recipients);
	tcase_add_test(t, options);
	tcase_add_test(t, exit_codes);
	tcase_add_test(t, spool);
	suite_add_tcase(s, t);
	return s;
}
