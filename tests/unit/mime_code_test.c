/*
 * common/mime/base64 and qp: tables, each text whole and in pieces, noise there
 * and back, and the encoded samples of a collection (../shared/data/mime-mimekit,
 * or below $POSTERN_DATA) where it is there.
 */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/mime/base64.h"
#include "common/mime/qp.h"

Suite *mime_code_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define MOST 4000000

/* ---- base64 ---- */

static struct buf
to_base64(struct slice in, size_t step, bool lines)
{
	struct base64_encoder e = {.lines = lines};
	struct buf out = BUF_INIT(MOST);

	for (size_t at = 0; at < in.len; at += step) {
		size_t before = out.len;
		struct slice piece = slice_sub(in, at, at + step);

		base64_encode(&e, piece, &out);
		ck_assert_uint_le(out.len - before,
		    BASE64_ENCODED_MAX(piece.len));
	}
	base64_encode_end(&e, &out);
	return out;
}

/* In strict mode out is empty when the input is refused. */
static struct buf
from_base64(struct slice in, size_t step, bool strict, bool *bad)
{
	struct base64_decoder d = {.strict = strict};
	struct buf out = BUF_INIT(MOST);
	bool good = true;

	for (size_t at = 0; at < in.len; at += step)
		good = base64_decode(&d, slice_sub(in, at, at + step), &out);
	good = base64_decode_end(&d, &out) && good;
	ck_assert_int_eq(good, !strict || !d.bad);
	if (!good)
		buf_reset(&out);
	*bad = d.bad;
	return out;
}

static const struct {
	struct slice plain, code;
} base64s[] = { /* RFC 4648 10, and what it leaves out */
	{SLICE_INIT(""), SLICE_INIT("")},
	{SLICE_INIT("f"), SLICE_INIT("Zg==")},
	{SLICE_INIT("fo"), SLICE_INIT("Zm8=")},
	{SLICE_INIT("foo"), SLICE_INIT("Zm9v")},
	{SLICE_INIT("foob"), SLICE_INIT("Zm9vYg==")},
	{SLICE_INIT("fooba"), SLICE_INIT("Zm9vYmE=")},
	{SLICE_INIT("foobar"), SLICE_INIT("Zm9vYmFy")},
	{SLICE_INIT("\0\0\0"), SLICE_INIT("AAAA")},
	{SLICE_INIT("\xff\xff\xff\xff"), SLICE_INIT("/////w==")},
	{SLICE_INIT("\xfb\xef\xbe"), SLICE_INIT("++++")},
};

START_TEST(base64_table)
{
	struct slice plain = base64s[_i].plain, code = base64s[_i].code;
	bool bad;

	for (size_t step = 1; step < 10; step++) {
		struct buf out = to_base64(plain, step, true);

		ck_assert(slice_eq(buf_slice(&out), code));
		buf_free(&out);
		for (int strict = 0; strict < 2; strict++) {
			out = from_base64(code, step, strict != 0, &bad);
			ck_assert(slice_eq(buf_slice(&out), plain));
			ck_assert(!bad);
			buf_free(&out);
		}
	}
}
END_TEST

/* 57 octets are a line; none ends behind the last one. */
START_TEST(base64_lines)
{
	static const size_t sizes[] = {56, 57, 58, 114, 115, 570, 1000};
	char text[1000];
	struct buf whole, plain;
	size_t n = sizes[_i];
	bool bad;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7);
	whole = to_base64(slice_mem(text, n), n, true);
	ck_assert_uint_eq(whole.len, (n + 2) / 3 * 4 + (n - 1) / 57 * 2);
	for (size_t i = 76; i < whole.len; i += 78)
		ck_assert(memcmp(whole.s + i, "\r\n", 2) == 0);
	plain = from_base64(buf_slice(&whole), 5, false, &bad);
	ck_assert(!bad && slice_eq(buf_slice(&plain), slice_mem(text, n)));
	buf_free(&plain);
	for (size_t step = 1; step < n; step += 1 + step / 9) {
		struct buf out = to_base64(slice_mem(text, n), step, true);

		ck_assert(slice_eq(buf_slice(&out), buf_slice(&whole)));
		buf_free(&out);
	}
	plain = to_base64(slice_mem(text, n), 3, false);
	ck_assert_uint_eq(plain.len, (n + 2) / 3 * 4);
	buf_free(&plain);
	buf_free(&whole);
}
END_TEST

static const struct {
	const char *name;
	struct slice code, plain; /* tolerant; strict refuses all of these */
	bool bad;                 /* tolerant */
} base64_odd[] = {
	{"line ends", SLICE_INIT("Zm9v\r\nYmFy\r\n"), SLICE_INIT("foobar"),
	    false},
	{"blanks", SLICE_INIT(" Z m\t9\nv "), SLICE_INIT("foo"), false},
	{"no padding", SLICE_INIT("Zm9vYg"), SLICE_INIT("foob"), false},
	{"half a padding", SLICE_INIT("Zg="), SLICE_INIT("f"), false},
	{"one octet left", SLICE_INIT("Zm9vY"), SLICE_INIT("foo"), true},
	{"bits left", SLICE_INIT("Zh=="), SLICE_INIT("f"), true},
	{"bits left in two", SLICE_INIT("Zm9="), SLICE_INIT("fo"), true},
	{"noise", SLICE_INIT("Z-m\xff" "9\0v!"), SLICE_INIT("foo"), true},
	{"padding too early", SLICE_INIT("=Zm9v"), SLICE_INIT("foo"), true},
	{"behind one octet", SLICE_INIT("Z=m9v"), SLICE_INIT("foo"), true},
	{"data behind padding", SLICE_INIT("Zg==Zm9v"), SLICE_INIT("f"), true},
	{"padding too long", SLICE_INIT("Zg==="), SLICE_INIT("f"), true},
	{"only padding", SLICE_INIT("===="), SLICE_INIT(""), true},
	{"URL alphabet", SLICE_INIT("-_-_"), SLICE_INIT(""), true},
};

START_TEST(base64_tolerant)
{
	struct slice code = base64_odd[_i].code;
	bool bad;

	for (size_t step = 1; step <= code.len; step++) {
		struct buf out = from_base64(code, step, false, &bad);

		ck_assert_msg(slice_eq(buf_slice(&out), base64_odd[_i].plain),
		    "%s: %s", base64_odd[_i].name, out.s);
		ck_assert_msg(bad == base64_odd[_i].bad, "%s",
		    base64_odd[_i].name);
		buf_free(&out);
		out = from_base64(code, step, true, &bad);
		ck_assert_msg(bad, "%s: taken", base64_odd[_i].name);
		buf_free(&out);
	}
}
END_TEST

/* ---- quoted-printable ---- */

static struct buf
to_qp(struct slice in, size_t step, bool eol)
{
	struct qp_encoder e = {.column = 0};
	struct buf out = BUF_INIT(MOST);

	for (size_t at = 0; at < in.len; at += step) {
		size_t before = out.len;
		struct slice piece = slice_sub(in, at, at + step);

		qp_encode(&e, piece, &out);
		ck_assert_uint_le(out.len - before, QP_ENCODED_MAX(piece.len));
	}
	qp_encode_end(&e, eol, &out);
	return out;
}

static struct buf
from_qp(struct slice in, size_t step, bool *bad)
{
	struct qp_decoder d = {.bad = false};
	struct buf out = BUF_INIT(MOST);

	for (size_t at = 0; at < in.len; at += step)
		qp_decode(&d, slice_sub(in, at, at + step), &out);
	qp_decode_end(&d, &out);
	*bad = d.bad;
	return out;
}

#define TEN "0123456789"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static const struct {
	const char *name;
	struct slice plain, code;
} qps[] = {
	{"empty", SLICE_INIT(""), SLICE_INIT("")},
	{"text", SLICE_INIT("Hello, world!\r\n"),
	    SLICE_INIT("Hello, world!\r\n")},
	{"no end of line", SLICE_INIT("a"), SLICE_INIT("a")},
	{"equals sign", SLICE_INIT("a=b"), SLICE_INIT("a=3Db")},
	{"8 bit", SLICE_INIT("\xc3\xa4\x80\xff"), SLICE_INIT("=C3=A4=80=FF")},
	{"controls", SLICE_INIT("\0\x01\x0b\x1f\x7f"),
	    SLICE_INIT("=00=01=0B=1F=7F")},
	{"printable", SLICE_INIT("!\"#$%&'()*+,-./09:;<>?@AZ[\\]^_`az{|}~"),
	    SLICE_INIT("!\"#$%&'()*+,-./09:;<>?@AZ[\\]^_`az{|}~")},
	{"blanks within", SLICE_INIT("a b\tc\r\n"), SLICE_INIT("a b\tc\r\n")},
	{"blank at the end of a line", SLICE_INIT("a \r\nb\t\r\n"),
	    SLICE_INIT("a=20\r\nb=09\r\n")},
	{"two blanks there", SLICE_INIT("a  \r\n"), SLICE_INIT("a =20\r\n")},
	{"blank at the end", SLICE_INIT("a "), SLICE_INIT("a=20")},
	{"only blanks", SLICE_INIT(" \r\n \r\n"),
	    SLICE_INIT("=20\r\n=20\r\n")},
	{"bare CR, LF", SLICE_INIT("a\rb\nc"), SLICE_INIT("a=0Db=0Ac")},
	{"CR CRLF", SLICE_INIT("\r\r\n"), SLICE_INIT("=0D\r\n")},
	{"CRLF LF", SLICE_INIT("\r\n\n"), SLICE_INIT("\r\n=0A")},
	{"CR last", SLICE_INIT("a\r"), SLICE_INIT("a=0D")},
	{"blank, bare CR", SLICE_INIT("a \rb"), SLICE_INIT("a =0Db")},
	{"dashes", SLICE_INIT("--a\r\n-b\r\n---\r\n-\r\n"),
	    SLICE_INIT("=2D-a\r\n-b\r\n=2D--\r\n-\r\n")},
	{"signature", SLICE_INIT("-- \r\n"), SLICE_INIT("=2D-=20\r\n")},
	{"From", SLICE_INIT("From a\r\nFar\r\nFrom"),
	    SLICE_INIT("=46rom a\r\nFar\r\n=46rom")},
	{"dot", SLICE_INIT(".\r\n..\r\n.a\r\n."),
	    SLICE_INIT("=2E\r\n..\r\n.a\r\n=2E")},
	{"76", SLICE_INIT(SEVENTY "123456\r\n"),
	    SLICE_INIT(SEVENTY "123456\r\n")},
	{"76 and no end", SLICE_INIT(SEVENTY "123456"),
	    SLICE_INIT(SEVENTY "123456")},
	{"77", SLICE_INIT(SEVENTY "1234567\r\n"),
	    SLICE_INIT(SEVENTY "12345=\r\n67\r\n")},
	{"encoded last", SLICE_INIT(SEVENTY "123\xe4\r\n"),
	    SLICE_INIT(SEVENTY "123=E4\r\n")},
	{"encoded beyond", SLICE_INIT(SEVENTY "1234\xe4\r\n"),
	    SLICE_INIT(SEVENTY "1234=\r\n=E4\r\n")},
	{"encoded, more follows", SLICE_INIT(SEVENTY "123\xe4" "5\r\n"),
	    SLICE_INIT(SEVENTY "123=\r\n=E45\r\n")},
	{"blank last of 76", SLICE_INIT(SEVENTY "12345 \r\n"),
	    SLICE_INIT(SEVENTY "12345=\r\n=20\r\n")},
	{"blank before the break", SLICE_INIT(SEVENTY "1234 67\r\n"),
	    SLICE_INIT(SEVENTY "1234 =\r\n67\r\n")},
	{"dashes behind the break", SLICE_INIT(SEVENTY "12345--8\r\n"),
	    SLICE_INIT(SEVENTY "12345=\r\n=2D-8\r\n")},
};

START_TEST(qp_table)
{
	struct slice plain = qps[_i].plain, code = qps[_i].code;
	bool bad;

	for (size_t step = 1; step <= plain.len + 1; step++) {
		struct buf out = to_qp(plain, step, false);

		ck_assert_msg(slice_eq(buf_slice(&out), code), "%s, %zu: %s",
		    qps[_i].name, step, out.s);
		buf_free(&out);
	}
	for (size_t step = 1; step <= code.len + 1; step++) {
		struct buf out = from_qp(code, step, &bad);

		ck_assert_msg(!bad && slice_eq(buf_slice(&out), plain),
		    "%s, %zu: %s", qps[_i].name, step, out.s);
		buf_free(&out);
	}
}
END_TEST

/* A line that was begun ends in a soft break: no octet of the data. */
static const struct {
	struct slice plain, code;
} qp_ends[] = {
	{SLICE_INIT(""), SLICE_INIT("")},
	{SLICE_INIT("a\r\n"), SLICE_INIT("a\r\n")},
	{SLICE_INIT("a"), SLICE_INIT("a=\r\n")},
	{SLICE_INIT("a "), SLICE_INIT("a =\r\n")},
	{SLICE_INIT("."), SLICE_INIT(".=\r\n")},
	{SLICE_INIT("\r"), SLICE_INIT("=0D=\r\n")},
	{SLICE_INIT(SEVENTY "12345"), SLICE_INIT(SEVENTY "12345=\r\n")},
	{SLICE_INIT(SEVENTY "123456"), SLICE_INIT(SEVENTY "12345=\r\n6=\r\n")},
};

START_TEST(qp_end)
{
	struct buf out = to_qp(qp_ends[_i].plain, 100, true), back;
	bool bad;

	ck_assert_msg(slice_eq(buf_slice(&out), qp_ends[_i].code), "%s",
	    out.s);
	back = from_qp(buf_slice(&out), 3, &bad);
	ck_assert(!bad && slice_eq(buf_slice(&back), qp_ends[_i].plain));
	buf_free(&out);
	buf_free(&back);
}
END_TEST

static const struct {
	const char *name;
	struct slice code, plain;
	bool bad;
} qp_odd[] = {
	{"lower case", SLICE_INIT("=c3=A4"), SLICE_INIT("\xc3\xa4"), false},
	{"8 bit", SLICE_INIT("\xe4"), SLICE_INIT("\xe4"), false},
	{"no digits", SLICE_INIT("a=b c=xy"), SLICE_INIT("a=b c=xy"), true},
	{"one digit", SLICE_INIT("=4x=4"), SLICE_INIT("=4x=4"), true},
	{"two equals signs", SLICE_INIT("==41"), SLICE_INIT("=A"), true},
	{"soft break", SLICE_INIT("a=\r\nb"), SLICE_INIT("ab"), false},
	{"by LF", SLICE_INIT("a=\nb\nc"), SLICE_INIT("ab\nc"), false},
	{"blanks behind it", SLICE_INIT("a= \t\r\nb"), SLICE_INIT("ab"),
	    false},
	{"not behind it", SLICE_INIT("a= b"), SLICE_INIT("a= b"), true},
	{"and CR", SLICE_INIT("a= \rb"), SLICE_INIT("a= \rb"), true},
	{"blanks before it", SLICE_INIT("a  =\r\nb"), SLICE_INIT("a  b"),
	    false},
	{"blanks at the end of a line", SLICE_INIT("a \t \r\nb \nc"),
	    SLICE_INIT("a\r\nb\nc"), false},
	{"and of all", SLICE_INIT("a  "), SLICE_INIT("a"), false},
	{"before a bare CR", SLICE_INIT("a \rb"), SLICE_INIT("a \rb"), false},
	{"encoded blank", SLICE_INIT("a=20\r\n"), SLICE_INIT("a \r\n"), false},
	{"equals sign last", SLICE_INIT("a="), SLICE_INIT("a"), true},
	{"CR last", SLICE_INIT("a =\r"), SLICE_INIT("a "), true},
	{"NUL", SLICE_INIT("a\0=00"), SLICE_INIT("a\0\0"), false},
};

START_TEST(qp_tolerant)
{
	bool bad;

	for (size_t step = 1; step <= qp_odd[_i].code.len; step++) {
		struct buf out = from_qp(qp_odd[_i].code, step, &bad);

		ck_assert_msg(slice_eq(buf_slice(&out), qp_odd[_i].plain),
		    "%s, %zu: %s", qp_odd[_i].name, step, out.s);
		ck_assert_msg(bad == qp_odd[_i].bad, "%s", qp_odd[_i].name);
		buf_free(&out);
	}
}
END_TEST

/* More blanks than are held are taken for text. */
START_TEST(qp_blanks)
{
	char text[2 * QP_BLANKS_MAX + 10];
	size_t n = QP_BLANKS_MAX - 1 + (size_t)_i;
	bool bad;

	memset(text, ' ', n);
	memcpy(text + n, "\r\n", 2);
	for (size_t step = 1; step < 400; step += 57) {
		struct buf out = from_qp(slice_mem(text, n + 2), step, &bad);

		ck_assert_uint_eq(out.len, 2 + (n > QP_BLANKS_MAX
		    ? QP_BLANKS_MAX : 0));
		buf_free(&out);
	}
}
END_TEST

/* Anything comes back, encoded in any pieces; no line is too long, none looks
 * like a boundary. */
START_TEST(round_trip)
{
	static const char octets[] = "\r\n\r\n-- .F=ar\t\0\xe4";
	uint32_t seed = (uint32_t)_i;
	char text[700];
	bool bad;

	for (int round = 0; round < 300; round++) {
		size_t n = (size_t)(seed >> 8) % sizeof(text), step;
		struct slice in = slice_mem(text, n);
		struct buf code, again, back;

		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = octets[(seed >> 16) % (sizeof(octets) - 1)];
			if (round % 2 != 0 && (seed >> 8) % 8 != 0)
				text[i] = 'x';
		}
		seed = seed * 1664525 + 1013904223;
		step = seed % 90 + 1;
		code = to_qp(in, step, round % 3 == 0);
		again = to_qp(in, n + 1, round % 3 == 0);
		ck_assert(slice_eq(buf_slice(&code), buf_slice(&again)));
		back = from_qp(buf_slice(&code), step, &bad);
		ck_assert(!bad && slice_eq(buf_slice(&back), in));
		ck_assert(strstr(code.s, "\n--") == NULL);
		for (size_t i = 0, column = 0; i < code.len; i++) {
			column = code.s[i] == '\n' ? 0 : column + 1;
			ck_assert_uint_le(column, QP_LINE +
			    (code.s[i] == '\r'));
			ck_assert(code.s[i] > 0 && code.s[i] < 127);
		}
		buf_free(&code);
		buf_free(&back);
		code = to_base64(in, step, true);
		back = from_base64(buf_slice(&code), step, false, &bad);
		ck_assert(!bad && slice_eq(buf_slice(&back), in));
		buf_free(&code);
		buf_free(&back);
		buf_free(&again);
	}
}
END_TEST

/* ---- a collection's samples ---- */

static struct buf
read_file(const char *name)
{
	const char *dir = getenv("POSTERN_DATA");
	struct buf b = BUF_INIT(MOST);
	char path[4096], piece[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/mime-mimekit/encoders/%s",
	    dir != NULL ? dir : "../shared/data", name);
	f = fopen(path, "rb");
	if (f == NULL) {
		printf("left out: %s missing\n", path);
		return b;
	}
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(&b, piece, n);
	fclose(f);
	return b;
}

START_TEST(samples)
{
	struct buf code = read_file(_i == 0 ? "photo.b64" : "wikipedia.qp");
	struct buf want = read_file(_i == 0 ? "photo.jpg" : "wikipedia.txt");
	struct buf out = BUF_INIT(MOST);
	bool bad = false;

	if (code.len > 0)
		out = _i == 0 ? from_base64(buf_slice(&code), 1000, false,
		    &bad) : from_qp(buf_slice(&code), 1000, &bad);
	ck_assert(!bad && slice_eq(buf_slice(&out), buf_slice(&want)));
	buf_free(&out);
	buf_free(&code);
	buf_free(&want);
}
END_TEST

Suite *
mime_code_suite(void)
{
	Suite *s = suite_create("mime_code");
	TCase *t = tcase_create("mime_code");

	tcase_add_loop_test(t, base64_table, 0, N(base64s));
	tcase_add_loop_test(t, base64_lines, 0, 7);
	tcase_add_loop_test(t, base64_tolerant, 0, N(base64_odd));
	tcase_add_loop_test(t, qp_table, 0, N(qps));
	tcase_add_loop_test(t, qp_end, 0, N(qp_ends));
	tcase_add_loop_test(t, qp_tolerant, 0, N(qp_odd));
	tcase_add_loop_test(t, qp_blanks, 0, 4);
	tcase_add_loop_test(t, round_trip, 0, 4);
	tcase_add_loop_test(t, samples, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
