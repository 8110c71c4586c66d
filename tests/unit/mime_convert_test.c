/*
 * common/mime/convert: what becomes of each kind of part, to the octet; that
 * every part decodes to what went in, at every cut of the input; limits.
 */
#include <check.h>

#include "tests/fuzz/mime_check.h"

Suite *mime_convert_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

#define V "MIME-Version: 1.0\r\n"
#define TYPE "Content-Type: "
#define CTE "Content-Transfer-Encoding: "
#define QP CTE "quoted-printable\r\n"
#define B64 CTE "base64\r\n"
#define UNKNOWN TYPE "text/plain; charset=unknown-8bit\r\n"
#define MIXED V TYPE "multipart/mixed; boundary=b\r\n"
#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100
#define X75 X10 X10 X10 X10 X10 X10 X10 "xxxxx"
#define SOFT75 X75 "=\r\n"

/* to7, to8: what comes out; NULL: the same.  flag: an 8-bit header is left. */
static const struct {
	const char *name;
	struct slice in;
	const char *to7, *to8;
	bool flag;
} cases[] = {
	{"nothing to do", SLICE_INIT(V TYPE "text/plain\r\n" CTE "7bit\r\n"
	    "A: b\r\n\r\nHello = .\r\n-- \r\nFrom x\r\n.\r\n"), NULL, NULL,
	    false},
	{"no header", SLICE_INIT("\r\nHello\r\n"), NULL, NULL, false},
	{"no body", SLICE_INIT("A: b\r\n" CTE "8bit\r\n"), NULL, NULL, false},
	{"nothing", SLICE_INIT(""), NULL, NULL, false},
	{"no end of line", SLICE_INIT("A: b\r\n\r\nHello"), NULL, NULL, false},

	{"8-bit text", SLICE_INIT(V TYPE "text/plain; charset=utf-8\r\n"
	    CTE "8bit\r\nA: b\r\n\r\nGr\xc3\xbc\xc3\x9f" "e, friends.\r\n"),
	    V TYPE "text/plain; charset=utf-8\r\n" QP "A: b\r\n\r\n"
	    "Gr=C3=BC=C3=9Fe, friends.\r\n", NULL, false},
	{"said to be 7bit", SLICE_INIT(V CTE "7bit\r\n" TYPE "text/plain\r\n"
	    "\r\nschoener \xf6\r\n"), V QP TYPE "text/plain\r\n\r\n"
	    "schoener =F6\r\n", NULL, false},
	{"no label", SLICE_INIT(V TYPE "text/plain\r\nA: b\r\n\r\n"
	    "schoener \xf6\r\n"), V TYPE "text/plain\r\nA: b\r\n" QP "\r\n"
	    "schoener =F6\r\n", NULL, false},
	{"no MIME at all", SLICE_INIT("A: b\r\n\r\nschoener \xf6\r\n"),
	    "A: b\r\n" V UNKNOWN QP "\r\nschoener =F6\r\n", NULL, false},
	{"no version", SLICE_INIT(TYPE "text/x\r\n\r\nschoener \xf6\r\n"),
	    TYPE "text/x\r\n" V QP "\r\nschoener =F6\r\n", NULL, false},
	{"no type", SLICE_INIT(V "\r\nschoener \xf6\r\n"),
	    V UNKNOWN QP "\r\nschoener =F6\r\n", NULL, false},
	{"no type, only a long line", SLICE_INIT("A: b\r\n\r\n" X1000 "\r\n"),
	    "A: b\r\n" V QP "\r\n" SOFT75 SOFT75 SOFT75 SOFT75 SOFT75 SOFT75
	    SOFT75 SOFT75 SOFT75 SOFT75 SOFT75 SOFT75 SOFT75
	    X10 X10 "xxxxx\r\n",
	    "A: b\r\n" V QP "\r\n" SOFT75 SOFT75 SOFT75 SOFT75 SOFT75 SOFT75
	    SOFT75 SOFT75 SOFT75 SOFT75 SOFT75 SOFT75 SOFT75
	    X10 X10 "xxxxx\r\n", false},
	{"said 8bit and is not", SLICE_INIT(V CTE "8bit\r\n\r\nHello\r\n"),
	    V CTE "7bit\r\n\r\nHello\r\n", NULL, false},
	{"said binary and is text", SLICE_INIT(V CTE "binary\r\n\r\nHell\xf6"
	    " folks\r\n"), V QP UNKNOWN "\r\nHell=F6 folks\r\n",
	    V CTE "8bit\r\n\r\nHell\xf6 folks\r\n", false},
	{"said binary and is ASCII", SLICE_INIT(V CTE "binary\r\n\r\nHello"
	    "\r\n"), V CTE "7bit\r\n\r\nHello\r\n",
	    V CTE "7bit\r\n\r\nHello\r\n", false},
	{"mostly 8 bit", SLICE_INIT(V TYPE "text/plain\r\n\r\n\xd0\xb4\xd0\xb4"
	    "\xd0\xb4\xd0\xb4\r\n"), V TYPE "text/plain\r\n" B64
	    "\r\n0LTQtNC00LQNCg==\r\n", NULL, false},
	{"no text", SLICE_INIT(V TYPE "image/x\r\n\r\nabc\xff\r\n"),
	    V TYPE "image/x\r\n" B64 "\r\nYWJj/w0K\r\n", NULL, false},
	{"no text, binary", SLICE_INIT(V TYPE "image/x\r\n" CTE "binary\r\n"
	    "\r\n\0\r\n"), V TYPE "image/x\r\n" B64 "\r\nAA0K\r\n",
	    V TYPE "image/x\r\n" B64 "\r\nAA0K\r\n", false},
	{"no text, binary but clean", SLICE_INIT(V TYPE "image/x\r\n" CTE
	    "binary\r\n\r\na\r\n"), V TYPE "image/x\r\n" B64 "\r\nYQ0K\r\n",
	    V TYPE "image/x\r\n" B64 "\r\nYQ0K\r\n", false},
	{"binary without a body", SLICE_INIT(V TYPE "image/x\r\n" CTE
	    "binary\r\n\r\n"), V TYPE "image/x\r\n" B64 "\r\n",
	    V TYPE "image/x\r\n" B64 "\r\n", false},
	{"text with bare CR, LF", SLICE_INIT(V TYPE "text/plain\r\n\r\n"
	    "one line of text\ranother one of it\n"),
	    V TYPE "text/plain\r\n" QP "\r\n"
	    "one line of text=0Danother one of it=0A=\r\n",
	    V TYPE "text/plain\r\n" QP "\r\n"
	    "one line of text=0Danother one of it=0A=\r\n", false},
	{"unheard-of label", SLICE_INIT(V CTE "8-bit\r\n\r\nschoener \xf6"
	    "\r\n"), V QP UNKNOWN "\r\nschoener =F6\r\n", NULL, false},
	{"unheard-of label, clean", SLICE_INIT(V CTE "x-y\r\n\r\na\r\n"), NULL,
	    NULL, false},
	{"labels twice", SLICE_INIT(V CTE "8bit\r\nA: b\r\n" CTE "7bit\r\n"
	    TYPE "text/x\r\n\r\nschoener \xf6\r\n"),
	    V QP "A: b\r\n" TYPE "text/x\r\n\r\nschoener =F6\r\n", NULL,
	    false},
	{"label folded", SLICE_INIT(V CTE "\r\n 8bit\r\n (really)\r\nA: b\r\n"
	    TYPE "text/x\r\n\r\nschoener \xf6\r\n"),
	    V QP "A: b\r\n" TYPE "text/x\r\n\r\nschoener =F6\r\n", NULL,
	    false},
	{"what looks like a boundary", SLICE_INIT(V TYPE "text/x\r\n\r\n"
	    "--b\r\n--\r\n-- \r\nFrom you\r\n.\r\n\xe4\r\n"),
	    V TYPE "text/x\r\n" QP "\r\n=2D-b\r\n=2D-\r\n=2D-=20\r\n"
	    "=46rom you\r\n=2E\r\n=E4\r\n", NULL, false},

	{"base64 stays", SLICE_INIT(V TYPE "text/x\r\n" B64 "\r\nQUJD\r\n"),
	    NULL, NULL, false},
	{"base64 with what cannot go", SLICE_INIT(V B64 "\r\nQU\xffJD\r\n"
	    "Q\0Q=\r=\r\n"), V B64 "\r\nQUJD\r\nQQ==\r\n",
	    V B64 "\r\nQU\xffJD\r\nQQ==\r\n", false},
	{"base64 on one line", SLICE_INIT(V B64 "\r\n" X1000 "\r\nQUJD"),
	    V B64 "\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75
	    "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75
	    "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X10 "xx\r\nQUJD",
	    V B64 "\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75
	    "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X75
	    "x\r\n" X75 "x\r\n" X75 "x\r\n" X75 "x\r\n" X10 "xx\r\nQUJD",
	    false},
	{"quoted-printable stays", SLICE_INIT(V QP "\r\n=E4=\r\n=xy \r\n"),
	    NULL, NULL, false},
	{"quoted-printable with what cannot go", SLICE_INIT(V QP "\r\n"
	    "a=E4 \r\n\xe4=E4=\r\nx\0=\r\n.\r\n"),
	    V QP "\r\na=E4 \r\n=E4=E4=\r\nx=00=\r\n.\r\n",
	    V QP "\r\na=E4 \r\n\xe4=E4=\r\nx=00=\r\n.\r\n", false},
	{"uuencode stays", SLICE_INIT(V CTE "x-uuencode\r\n\r\n"
	    "begin 644 \xe4\r\n#86)C\r\n`\r\nend\r\n"), V CTE
	    "x-uuencode\r\n\r\nbegin 644 =E4\r\n#86)C\r\n`\r\nend\r\n", NULL,
	    false},

	{"parts", SLICE_INIT(MIXED CTE "8bit\r\n\r\npre \xe4 =\r\n--b\r\n"
	    TYPE "text/x\r\n\r\nblue \xe4 sky\r\n--b\r\n" TYPE "image/x\r\n"
	    B64 "\r\nQUJD\r\n--b\r\n\r\nascii\r\n--b--\r\nepi \xe4\r\n"),
	    MIXED CTE "7bit\r\n\r\npre =E4 =3D\r\n--b\r\n"
	    TYPE "text/x\r\n" QP "\r\nblue =E4 sky\r\n--b\r\n" TYPE
	    "image/x\r\n" B64 "\r\nQUJD\r\n--b\r\n\r\nascii\r\n--b--\r\n"
	    "epi =E4\r\n", NULL, false},
	{"a part without a type", SLICE_INIT(MIXED "\r\n--b\r\n\r\n"
	    "blue \xe4 sky\r\n--b--\r\n"), MIXED "\r\n--b\r\n" QP "\r\n"
	    "blue =E4 sky\r\n--b--\r\n", NULL, false},
	{"parts, binary", SLICE_INIT(MIXED CTE "binary\r\n\r\n--b\r\n" TYPE
	    "a/b\r\n" CTE "binary\r\n\r\n\0\n\r\n--b\r\n\r\nblue \xe4 sky\r\n"
	    "--b--\r\n"), MIXED CTE "7bit\r\n\r\n--b\r\n" TYPE "a/b\r\n" B64
	    "\r\nAAo=\r\n--b\r\n" QP "\r\nblue =E4 sky\r\n--b--\r\n",
	    MIXED CTE "8bit\r\n\r\n--b\r\n" TYPE "a/b\r\n" B64
	    "\r\nAAo=\r\n--b\r\n\r\nblue \xe4 sky\r\n--b--\r\n", false},
	{"the label of parts that need none", SLICE_INIT(MIXED CTE "7bit\r\n"
	    "\r\n--b\r\n\r\nblue \xe4 sky\r\n--b--\r\n"), MIXED CTE "7bit\r\n"
	    "\r\n--b\r\n" QP "\r\nblue =E4 sky\r\n--b--\r\n", NULL, false},
	{"the end is missing", SLICE_INIT(MIXED "\r\n--b\r\n" TYPE "a/b\r\n"
	    "\r\n\xff"), MIXED "\r\n--b\r\n" TYPE "a/b\r\n" B64 "\r\n"
	    "/w==\r\n", NULL, false},
	{"a multipart without delimiters", SLICE_INIT(MIXED CTE "8bit\r\n\r\n"
	    "blue \xe4 sky\r\n"), MIXED QP "\r\nblue =E4 sky\r\n", NULL,
	    false},
	{"... that is encoded", SLICE_INIT(MIXED B64 "\r\nQU\xffJD\r\n"),
	    MIXED B64 "\r\nQUJD\r\n", NULL, false},
	{"a multipart without a boundary", SLICE_INIT(V TYPE "multipart/x\r\n"
	    "\r\n--b\r\nblue \xe4 sky\r\n"), V TYPE "multipart/x\r\n" QP
	    "\r\n=2D-b\r\nblue =E4 sky\r\n", NULL, false},
	{"parts of what is labelled base64", SLICE_INIT(MIXED B64 "\r\n--b\r\n"
	    "\r\nblue \xe4 sky\r\n--b--\r\n"), MIXED B64 "\r\n--b\r\n" QP
	    "\r\nblue =E4 sky\r\n--b--\r\n", NULL, false},
	{"signed", SLICE_INIT(V TYPE "multipart/signed; boundary=b\r\n\r\n"
	    "--b\r\n\r\nblue \xe4 sky\r\n--b\r\n" TYPE "application/x\r\n\r\n"
	    "sig\r\n--b--\r\n"), V TYPE "multipart/signed; boundary=b\r\n\r\n"
	    "--b\r\n" QP "\r\nblue =E4 sky\r\n--b\r\n" TYPE "application/x\r\n"
	    "\r\nsig\r\n--b--\r\n", NULL, false},

	{"message/rfc822", SLICE_INIT(V TYPE "message/rfc822\r\n" CTE
	    "8bit\r\n\r\nA: b\r\n" CTE "8bit\r\n\r\nblue \xe4 sky\r\n"),
	    V TYPE "message/rfc822\r\n" CTE "7bit\r\n\r\nA: b\r\n" QP V
	    UNKNOWN "\r\nblue =E4 sky\r\n", NULL, false},
	{"message/rfc822, 8-bit header", SLICE_INIT(V TYPE "message/rfc822\r\n"
	    "\r\nA: \xe4\r\n\r\nb\r\n"), NULL, NULL, true},
	{"message/rfc822 in base64", SLICE_INIT(V TYPE "message/rfc822\r\n" B64
	    "\r\nQTogYg==\r\n"), NULL, NULL, false},
	{"message/global", SLICE_INIT(V TYPE "message/global\r\n\r\n"
	    "Subject: blue \xe4 sky\r\n\r\nb\r\n"), V TYPE "message/global\r\n"
	    QP "\r\nSubject: blue =E4 sky\r\n\r\nb\r\n", NULL, false},
	{"message/delivery-status", SLICE_INIT(V TYPE
	    "message/delivery-status\r\n\r\nX: blue \xe4 sky\r\n"), V TYPE
	    "message/delivery-status\r\n" QP "\r\nX: blue =E4 sky\r\n", NULL,
	    false},
	{"message/partial", SLICE_INIT(V TYPE "message/partial\r\n\r\n"
	    "Subject: \xe4\r\n\r\nb\xf6\r\n"), NULL, NULL, true},
	{"message/partial, binary", SLICE_INIT(V TYPE "message/partial\r\n\r\n"
	    "a\0=b\r\nc\r\n"), V TYPE "message/partial\r\n\r\na=00=3Db\r\n"
	    "c\r\n", V TYPE "message/partial\r\n\r\na=00=3Db\r\nc\r\n", false},
	{"digest", SLICE_INIT(V TYPE "multipart/digest; boundary=b\r\n\r\n--b"
	    "\r\n\r\nA: b\r\n\r\nblue \xe4 sky\r\n--b--\r\n"), V TYPE
	    "multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\n" V UNKNOWN
	    QP "\r\nblue =E4 sky\r\n--b--\r\n", NULL, false},

	{"8-bit header", SLICE_INIT("A: \xe4\r\n\r\nb\r\n"), NULL, NULL, true},
	{"8-bit header of a part", SLICE_INIT(MIXED "\r\n--b\r\nA: \xe4\r\n"
	    "\r\nb\r\n--b--\r\n"), NULL, NULL, true},
	{"binary header", SLICE_INIT("A: b\nc\rd\0e\r\n\r\nf\r\n"),
	    "A: b c d e\r\n\r\nf\r\n", "A: b c d e\r\n\r\nf\r\n", false},
	{"header line of 998", SLICE_INIT("A: " X100 X100 X100 X100 X100 X100
	    X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxx\r\n\r\n"
	    "b\r\n"), NULL, NULL, false},
	{"header line of 1011", SLICE_INIT("A: " X100 X100 X100 X100 " " X100
	    "  " X100 X100 X100 X100 X100 "yyyy \r\n z\r\n\r\nb\r\n"),
	    "A: " X100 X100 X100 X100 "\r\n " X100 "  " X100 X100 X100 X100
	    X100 "yyyy\r\n z\r\n\r\nb\r\n", NULL, false},
	{"no blank in it", SLICE_INIT("A:" X1000 "\r\n\r\nb\r\n"), "A:" X100
	    X100 X100 X100 X100 X100 X100 X100 X100 X10 X10 X10 X10 X10 X10
	    X10 X10 X10 "xxxxxx\r\n xxxx\r\n\r\nb\r\n", NULL, false},
	{"a header line like a boundary", SLICE_INIT(MIXED "\r\n--b\r\n--b\0"
	    "\r\n\r\nx\r\n--b--\r\n"), MIXED "\r\n--b\r\nX--b \r\n\r\nx\r\n"
	    "--b--\r\n", NULL, false},
};

START_TEST(table)
{
	struct slice in = cases[_i].in;

	for (int to = 0; to < 2; to++) {
		const char *want = to == 0 ? cases[_i].to7 : cases[_i].to8;
		enum convert_to how = to == 0 ? CONVERT_7BIT : CONVERT_8BIT;
		bool flag, odd;
		struct buf out = check_convert(in, how, 0, &flag);
		const char *wrong;

		/* Long lines and what is binary are the same to both. */
		if (to == 1 && want == NULL && cases[_i].to7 != NULL) {
			struct convert_look l = {0};

			convert_look(&l, in.p, in.len);
			want = l.binary ? cases[_i].to7 : NULL;
		}
		ck_assert_msg(slice_eq(buf_slice(&out), want == NULL ? in
		    : slice_of(want)), "%s, to %d: %s", cases[_i].name,
		    7 + to, out.s);
		ck_assert_msg(flag == (cases[_i].flag && to == 0), "%s: flag",
		    cases[_i].name);
		wrong = check_converted(in, buf_slice(&out), how, flag, &odd);
		ck_assert_msg(wrong == NULL, "%s: %s", cases[_i].name, wrong);
		for (size_t step = 1; step <= in.len && step < 200; step++) {
			struct buf pieces = check_convert(in, how, step, &odd);

			ck_assert_msg(slice_eq(buf_slice(&out),
			    buf_slice(&pieces)), "%s, pieces of %zu: %s",
			    cases[_i].name, step, pieces.s);
			buf_free(&pieces);
		}
		buf_free(&out);
	}
}
END_TEST

/* ---- limits ---- */

#define HOLD 262144 /* as in convert.c */
#define SAMPLE 16384

static void
add_lines(struct buf *b, size_t octets)
{
	size_t end = b->len + octets;

	while (b->len < end)
		buf_adds(b, "Some words that make a line of text.\r\n");
}

/* What comes behind so many octets of plain text. */
static const struct {
	const char *header;
	size_t octets;
	const char *more; /* then */
	const char *want; /* in the header of what comes out */
	const char *want8;
} long_bodies[] = {
	{V TYPE "text/x\r\n", 100, "\xe4\r\n", QP, NULL},
	{V TYPE "text/x\r\n", SAMPLE + 100, "\xe4\r\n", QP, NULL},
	{V TYPE "text/x\r\n", SAMPLE + 100, "end\r\n", NULL, NULL},
	{V TYPE "text/x\r\n", HOLD - 100, "\xe4\r\n", QP, NULL},
	{V TYPE "text/x\r\n", HOLD - 1000, "end\r\n", NULL, NULL},
	/* Clean so far and longer than is held: on suspicion. */
	{V TYPE "text/x\r\n", 2 * HOLD, "end\r\n", QP, QP},
	{V TYPE "text/x\r\n", 2 * HOLD, "\xe4\r\n", QP, QP},
	{V TYPE "a/b\r\n", 2 * HOLD, "end\r\n", B64, B64},
	{V TYPE "a/b\r\n" CTE "8bit\r\n", HOLD - 100, "\xe4\r\n", B64, NULL},
	{"A: b\r\n", 2 * HOLD, "end\r\n", UNKNOWN QP, UNKNOWN QP},
	{V B64, 2 * HOLD, "\xe4\r\n", B64, B64},
	{V CTE "x-unknown\r\n", 2 * HOLD, "\xe4\r\n", CTE "x-unknown\r\n",
	    CTE "x-unknown\r\n"},
	{MIXED, 2 * HOLD, "\xe4\r\n--b\r\n\r\nblue sky \xe4\r\n", QP,
	    NULL},
};

START_TEST(long_body)
{
	const char *header = long_bodies[_i].header;
	struct buf in = BUF_INIT(CHECK_MAX);

	buf_adds(&in, header);
	buf_adds(&in, "\r\n");
	add_lines(&in, long_bodies[_i].octets);
	buf_adds(&in, long_bodies[_i].more);
	for (int to = 0; to < 2; to++) {
		enum convert_to how = to == 0 ? CONVERT_7BIT : CONVERT_8BIT;
		const char *want = to == 0 ? long_bodies[_i].want
		    : long_bodies[_i].want8;
		bool flag, odd;
		struct buf out = check_convert(buf_slice(&in), how, 0, &flag);
		static const size_t steps[] = {4096, 1000, 77};

		if (strstr(header, "x-unknown") == NULL)
			ck_assert_ptr_null(check_converted(buf_slice(&in),
			    buf_slice(&out), how, flag, &odd));
		if (want == NULL)
			ck_assert(slice_eq(buf_slice(&in), buf_slice(&out)));
		else
			ck_assert_msg(strstr(out.s, want) != NULL, "%.300s",
			    out.s);
		for (int i = 0; i < N(steps); i++) {
			struct buf pieces = check_convert(buf_slice(&in), how,
			    steps[i], NULL);

			ck_assert(slice_eq(buf_slice(&out),
			    buf_slice(&pieces)));
			buf_free(&pieces);
		}
		buf_free(&out);
	}
	buf_free(&in);
}
END_TEST

/* More behind the label than is held: it goes to the end of the section. */
static const struct {
	const char *label, *body, *want;
} long_headers[] = {
	{"8bit", "blue \xe4 sky\r\n", QP "\r\nblue =E4 sky\r\n"},
	{"8bit", "ascii\r\n", CTE "7bit\r\n\r\nascii\r\n"},
	{"7bit", "ascii\r\n", CTE "7bit\r\n\r\nascii\r\n"},
	{"base64", "QUJD\r\n", CTE "base64\r\n\r\nQUJD\r\n"},
	{"unknown", "ascii\r\n", "\r\n\r\nascii\r\n"},
};

START_TEST(long_header)
{
	struct buf in = BUF_INIT(CHECK_MAX), out;

	buf_printf(&in, V TYPE "text/x\r\n" CTE "%s\r\n",
	    long_headers[_i].label);
	for (int i = 0; i < 10000; i++)
		buf_adds(&in, "X-Field: some words\r\n");
	buf_adds(&in, CTE "base64\r\n\r\n");
	buf_adds(&in, long_headers[_i].body);
	out = check_convert(buf_slice(&in), CONVERT_7BIT, 0, NULL);
	ck_assert_ptr_nonnull(strstr(out.s, long_headers[_i].want));
	ck_assert_uint_eq(strlen(strstr(out.s, long_headers[_i].want)),
	    strlen(long_headers[_i].want));
	for (size_t step = 1; step < 10000; step = step * 3 + 1) {
		struct buf pieces = check_convert(buf_slice(&in),
		    CONVERT_7BIT, step, NULL);

		ck_assert(slice_eq(buf_slice(&out), buf_slice(&pieces)));
		buf_free(&pieces);
	}
	buf_free(&in);
	buf_free(&out);
}
END_TEST

/* The deepest part that is looked into, and what is deeper: as a whole. */
START_TEST(depth)
{
	int n = CONVERT_DEPTH_MAX - 1 + _i;
	struct buf in = BUF_INIT(CHECK_MAX), out;
	bool flag, odd;

	for (int i = 0; i < n; i++)
		buf_printf(&in, TYPE "multipart/x; boundary=b%d\r\n\r\n"
		    "--b%d\r\n", i, i);
	buf_adds(&in, "\r\nblue \xe4 sky\r\n");
	for (int i = n - 1; i >= 0; i--)
		buf_printf(&in, "--b%d--\r\n", i);
	out = check_convert(buf_slice(&in), CONVERT_7BIT, 0, &flag);
	ck_assert_ptr_null(check_converted(buf_slice(&in), buf_slice(&out),
	    CONVERT_7BIT, flag, &odd));
	ck_assert(!flag);
	ck_assert_ptr_nonnull(strstr(out.s, "blue =E4 sky\r\n"));
	ck_assert_int_eq(strstr(out.s, "\r\n=2D-b") != NULL,
	    n > CONVERT_DEPTH_MAX);
	buf_free(&in);
	buf_free(&out);
}
END_TEST

/* Who takes the output may say no, at any time; nothing is told him again. */
static bool
refuse(void *arg, const void *p, size_t n)
{
	int *left = arg;

	(void)p;
	(void)n;
	ck_assert_int_gt(*left, 0);
	return --*left > 0;
}

START_TEST(refused)
{
	struct buf in = BUF_INIT(CHECK_MAX);
	int left = _i + 1;
	struct convert *c = convert_new(CONVERT_7BIT, refuse, &left);
	bool good = true;

	buf_adds(&in, MIXED "\r\n--b\r\n" TYPE "a/b\r\n\r\n\xff");
	add_lines(&in, 1000000);
	buf_adds(&in, "--b--\r\n");
	for (size_t at = 0; at < in.len && good; at += 65536) {
		struct slice s = slice_sub(buf_slice(&in), at, at + 65536);

		good = convert_feed(c, s.p, s.len);
	}
	ck_assert(!good);
	ck_assert(!convert_end(c));
	ck_assert_int_eq(left, 0);
	convert_free(&c);
	ck_assert_ptr_null(c);
	convert_free(&c);
	buf_free(&in);
}
END_TEST

/* Given up in the middle. */
START_TEST(given_up)
{
	int left = 100;
	struct convert *c = convert_new(CONVERT_8BIT, refuse, &left);

	convert_feed(c, MIXED "\r\n--b\r\n\r\nx", sizeof(MIXED) + 10);
	convert_free(&c);
}
END_TEST

Suite *
mime_convert_suite(void)
{
	Suite *s = suite_create("mime_convert");
	TCase *t = tcase_create("mime_convert");

	tcase_add_loop_test(t, table, 0, N(cases));
	tcase_add_loop_test(t, long_body, 0, N(long_bodies));
	tcase_add_loop_test(t, long_header, 0, N(long_headers));
	tcase_add_loop_test(t, depth, 0, 4);
	tcase_add_loop_test(t, refused, 0, 3);
	tcase_add_test(t, given_up);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
