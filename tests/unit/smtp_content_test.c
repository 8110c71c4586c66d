/* Message text after DATA and in BDAT chunks: ends, dots, bare line ends. */
#include <check.h>

#include "common/base/buf.h"
#include "smtpd/content.h"

Suite *smtp_content_suite(void);

#define BARE 1u
#define NUL 2u
#define OPEN 4u /* DATA: no end was seen; BDAT: a CRLF must be added */

enum { BDAT, DATA, BINARY };

static const struct {
	const char *name;
	int how;
	struct slice in;
	const char *want;   /* content; NULL: in itself; not looked at when
	                     * bare */
	size_t consumed;    /* octets taken; 0: all of them */
	unsigned flags;
} cases[] = {
#define IN(lit) {(lit), sizeof(lit) - 1}
	{"empty message", true, IN(".\r\n"), "", 0, 0},
	{"one line", true, IN("a\r\n.\r\n"), "a\r\n", 0, 0},
	{"what follows stays", true, IN("a\r\n.\r\nQUIT\r\n"), "a\r\n", 6, 0},
	{"a NUL behind the end", true, IN("a\r\n.\r\n\0"), "a\r\n", 6, 0},
	{"stuffed dot", true, IN("..\r\n.\r\n"), ".\r\n", 0, 0},
	{"stuffed dots", true, IN("...a\r\n..b\r\n.\r\n"), "..a\r\n.b\r\n", 0,
	    0},
	{"a dot that was not stuffed", true, IN(".a\r\n.\r\n"), "a\r\n", 0, 0},
	{"a dot within a line", true, IN("a.b\r\na.\r\n.\r\n"),
	    "a.b\r\na.\r\n", 0, 0},
	{"empty lines", true, IN("\r\n\r\n\r\n.\r\n"), "\r\n\r\n\r\n", 0, 0},
	{"no end", true, IN("a\r\n"), "a\r\n", 0, OPEN},
	{"end without CRLF in front", true, IN("a.\r\n"), "a.\r\n", 0, OPEN},
	{"LF is no end", true, IN("a\n.\n.\r\n"), "", 0, BARE | OPEN},
	{"LF . CRLF is no end", true, IN("a\n.\r\nb\r\n.\r\n"), "", 0, BARE},
	{"CRLF . LF is no end", true, IN("a\r\n.\nb\r\n.\r\n"), "", 0, BARE},
	{"CR . CR is no end", true, IN("a\r.\rb\r\n.\r\n"), "", 0, BARE},
	{"CRLF . CR is no end", true, IN("a\r\n.\rb\r\n.\r\n"), "", 0, BARE},
	{"CRLF . CR CR LF is no end", true, IN("a\r\n.\r\r\nb\r\n.\r\n"), "",
	    0, BARE},
	{"CR CRLF", true, IN("a\r\r\n.\r\n"), "", 0, BARE},
	{"bare CR in a line", true, IN("a\rb\r\n.\r\n"), "", 0, BARE},
	{"bare LF at the start", true, IN("\n\r\n.\r\n"), "", 0, BARE},
	{"bare CR at the start", true, IN("\ra\r\n.\r\n"), "", 0, BARE},
	{"LF CR", true, IN("a\n\r\n.\r\n"), "", 0, BARE},
	{"NUL", true, IN("a\0b\r\n.\r\n"), NULL, 0, NUL},
	{"dot, NUL", true, IN(".\0\r\n.\r\n"), NULL, 0, NUL},
	{"8 bits", true, IN("\xff\x80\r\n.\r\n"), "\xff\x80\r\n", 0, 0},
	{"BDAT: dots are text", false, IN(".\r\n..\r\n.\r\n"),
	    ".\r\n..\r\n.\r\n", 0, 0},
	{"BDAT: no CRLF at the end", false, IN("a\r\nb"), "a\r\nb", 0, OPEN},
	{"BDAT: nothing", false, IN(""), "", 0, 0},
	{"BDAT: CR at the end", false, IN("a\r"), "", 0, BARE},
	{"BDAT: bare LF", false, IN("a\nb\r\n"), "", 0, BARE},
	{"BDAT: bare CR", false, IN("a\rb\r\n"), "", 0, BARE},
	{"BDAT: NUL", false, IN("\0\r\n"), NULL, 0, NUL},
	{"binary: nothing", BINARY, IN(""), "", 0, 0},
	{"binary: text", BINARY, IN("A: b\r\n\r\n.\r\nc\r\n"), NULL, 0, 0},
	{"binary: no CRLF is added", BINARY, IN("A: b\r\n\r\nc"), NULL, 0, 0},
	{"binary: octets", BINARY, IN("A: b\r\n\r\n\0\n\r.\n\n\r\0\r"), NULL,
	    0, 0},
	{"binary: octets only", BINARY, IN("\r\n\n\0\r"), NULL, 0, 0},
	{"binary: only the empty line", BINARY, IN("\r\n"), NULL, 0, 0},
	{"binary: header without end", BINARY, IN("A: b\r\n"), NULL, 0, 0},
	{"binary: line without end", BINARY, IN("A: b"), "A: b", 0, OPEN},
	{"binary: LF in the header", BINARY, IN("A: b\n\r\n\r\n\0"), "", 0,
	    BARE},
	{"binary: LF LF ends nothing", BINARY, IN("A: b\n\n\0"), "", 0,
	    BARE | NUL | OPEN},
	{"binary: CR in the header", BINARY, IN("A: \rb\r\n\r\n\0"), "", 0,
	    BARE},
	{"binary: CR at a line's start", BINARY, IN("A: b\r\n\rb\r\n\r\n\0"),
	    "", 0, BARE},
	{"binary: CR CRLF", BINARY, IN("A: b\r\n\r\r\n\0"), "", 0,
	    BARE | NUL | OPEN},
	{"binary: CR and the end", BINARY, IN("A: b\r\n\r"), "", 0, BARE},
	{"binary: NUL in the header", BINARY, IN("A: \0\r\n\r\n\0"), NULL, 0,
	    NUL},
};

#define NCASES (int)(sizeof(cases) / sizeof(cases[0]))

static void
collect(void *arg, struct slice run)
{
	buf_addslice(arg, run);
}

static void
check_case(int i, size_t piece)
{
	struct buf out = BUF_INIT(1024);
	struct slice in = cases[i].in;
	size_t want = cases[i].consumed > 0 ? cases[i].consumed : in.len;
	size_t at = 0, n;
	struct content sc;
	bool open;

	content_init(&sc, cases[i].how == DATA, cases[i].how == BINARY);
	while (at < in.len && sc.state != CONTENT_END) {
		n = in.len - at < piece ? in.len - at : piece;
		at += content_feed(&sc, slice_sub(in, at, at + n), collect,
		    &out);
	}
	open = cases[i].how == DATA ? sc.state != CONTENT_END
	    : content_finish(&sc);
	ck_assert_msg(sc.bare == ((cases[i].flags & BARE) != 0), "%s: bare",
	    cases[i].name);
	ck_assert_msg(sc.nul == ((cases[i].flags & NUL) != 0), "%s: nul",
	    cases[i].name);
	ck_assert_msg(open == ((cases[i].flags & OPEN) != 0), "%s: open",
	    cases[i].name);
	ck_assert_msg(at == want, "%s: took %zu of %zu", cases[i].name, at,
	    want);
	if (!sc.bare && !sc.nul)
		ck_assert_msg(slice_eq(buf_slice(&out), cases[i].want == NULL
		    ? in : slice_of(cases[i].want)), "%s: got %s",
		    cases[i].name, out.s);
	buf_free(&out);
}

START_TEST(one)
{
	for (size_t piece = 1; piece <= cases[_i].in.len + 1; piece++)
		check_case(_i, piece);
}
END_TEST

/* A large message, cut anywhere. */
START_TEST(large)
{
	struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct buf want = BUF_INIT(1 << 20);
	struct content sc;
	size_t at = 0, n, piece = 1;

	for (int i = 0; i < 5000; i++) {
		buf_adds(&in, i % 7 == 0 ? "..dot line\r\n" : "a line\r\n");
		buf_adds(&want, i % 7 == 0 ? ".dot line\r\n" : "a line\r\n");
	}
	buf_adds(&in, ".\r\nNOOP\r\n");
	content_init(&sc, true, false);
	while (sc.state != CONTENT_END) {
		piece = piece * 7 % 4099;
		n = in.len - at < piece ? in.len - at : piece;
		at += content_feed(&sc, slice_sub(buf_slice(&in), at, at + n),
		    collect, &out);
	}
	ck_assert(!sc.bare && !sc.nul);
	ck_assert_uint_eq(at, in.len - 6);
	ck_assert(slice_eq(buf_slice(&out), buf_slice(&want)));
	buf_free(&in);
	buf_free(&out);
	buf_free(&want);
}
END_TEST

Suite *
smtp_content_suite(void)
{
	Suite *s = suite_create("smtp_content");
	TCase *tc = tcase_create("content");

	tcase_add_loop_test(tc, one, 0, NCASES);
	tcase_add_test(tc, large);
	suite_add_tcase(s, tc);
	return s;
}
