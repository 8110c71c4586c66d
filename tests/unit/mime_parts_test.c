/*
 * common/mime/parts: each message whole, one octet at a time and cut in two at
 * every place, with CRLF and, as in a Maildir, with LF; always the same story.
 */
#include <inttypes.h>
#include <stdlib.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mime/parts.h"

Suite *mime_parts_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define MOST (64 * 1024 * 1024)

#define H(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"

/*
 * The story: "(" a part begins; then its kind, L, M(ultipart) or R(fc822), with
 * "!" when it has no body; "[...]" its body, "{...}" preamble, "}...{" epilogue,
 * "<...>" delimiters, ")" its end.  '$' stands for CRLF.
 */
static const struct {
	const char *name, *in, *want;
} messages[] = {
	{"plain", "A: b\r\n\r\ntext\r\n", "(L[text$])"},
	{"no body", "A: b\r\n", "(L!)"},
	{"nothing", "", "(L!)"},
	{"only an empty line", "\r\n", "(L)"},
	{"two parts", H("b") "--b\r\n\r\none\r\n--b\r\nC: d\r\n\r\ntwo\r\n"
	    "--b--\r\n", "(M<--b$>(L[one])<$--b$>(L[two])<$--b-->}${)"},
	{"preamble, epilogue", H("b") "pre\r\n\r\n--b\r\n\r\n1\r\n--b--\r\nepi"
	    "\r\n", "(M{pre$}<$--b$>(L[1])<$--b-->}$epi${)"},
	{"an empty part", H("b") "--b\r\n\r\n--b--", "(M<--b$>(L)<--b-->)"},
	{"a part of nothing", H("b") "--b\r\n--b--\r\n",
	    "(M<--b$>(L!)<--b-->}${)"},
	{"a line end is content", H("b") "--b\r\n\r\n\r\n\r\n--b--",
	    "(M<--b$>(L[$])<$--b-->)"},
	{"delimiters in a row", H("b") "--b\r\n--b\r\n--b\r\n\r\n1\r\n--b--",
	    "(M<--b$>(<--b$--b$>L[1])<$--b-->)"},
	{"no end", H("b") "--b\r\n\r\n1\r\n", "(M<--b$>(L[1$]))"},
	{"no start", H("b") "text\r\n", "(M{text$})"},
	{"closed at once", H("b") "--b--\r\nx\r\n", "(M<--b-->}$x${)"},
	{"blanks behind", H("b") "--b \t \r\n\r\n1\r\n--b-- \r\n",
	    "(M<--b \t $>(L[1])<$--b-- >}${)"},
	{"no delimiters", H("b") "--b\r\n\r\n1\r\n--bx\r\n --b\r\n---b\r\n--B"
	    "\r\n-- b\r\n--b-\r\n--b--x\r\n--b\rx\r\n",
	    "(M<--b$>(L[1$--bx$ --b$---b$--B$-- b$--b-$--b--x$--b\rx$]))"},
	{"not behind a bare LF", H("b") "--b\r\n\r\n1\n--b\r\n2\r\n--b--",
	    "(M<--b$>(L[1\n--b$2])<$--b-->)"},
	{"behind the end", H("b") "--b--\r\n--b\r\n\r\n1\r\n",
	    "(M<--b-->}$--b$$1${)"},
	{"cut in the delimiter", H("b") "--b\r\n\r\n1\r\n--",
	    "(M<--b$>(L[1$--]))"},
	{"ends in a delimiter", H("b") "--b\r\n\r\n1\r\n--b",
	    "(M<--b$>(L[1])<$--b>(L!))"},
	{"ends in CR", H("b") "--b\r\n\r\n1\r", "(M<--b$>(L[1\r]))"},
	{"delimiter in a header", H("b") "--b\r\nA: b\r\n--b\r\n\r\n2\r\n--b--",
	    "(M<--b$>(L!)<--b$>(L[2])<$--b-->)"},
	{"header like one", H("b") "--b\r\n--bc: d\r\n-e: f\r\n\r\n1\r\n--b--",
	    "(M<--b$>(L[1])<$--b-->)"},
	{"nested", H("o") "--o\r\n" H("i") "--i\r\n\r\n1\r\n--i--\r\n--o\r\n"
	    "\r\n2\r\n--o--\r\n",
	    "(M<--o$>(M<--i$>(L[1])<$--i-->)<$--o$>(L[2])<$--o-->}${)"},
	{"epilogue within", H("o") "--o\r\n" H("i") "--i\r\n\r\n1\r\n--i--\r\n"
	    "e\r\n--o--\r\n",
	    "(M<--o$>(M<--i$>(L[1])<$--i-->}$e{)<$--o-->}${)"},
	{"inner has no end", H("o") "--o\r\n" H("i") "--i\r\n\r\n1\r\n--o\r\n"
	    "\r\n2\r\n--o--",
	    "(M<--o$>(M<--i$>(L[1]))<$--o$>(L[2])<$--o-->)"},
	{"inner has no start", H("o") "--o\r\n" H("i") "x\r\n--o--",
	    "(M<--o$>(M{x})<$--o-->)"},
	{"a prefix: outer", H("ab") "--ab\r\n" H("abc") "--abc\r\n\r\n1\r\n"
	    "--abc--\r\n--ab--",
	    "(M<--ab$>(M<--abc$>(L[1])<$--abc-->)<$--ab-->)"},
	{"a prefix: inner", H("abc") "--abc\r\n" H("ab") "--ab\r\n\r\n1\r\n"
	    "--abc\r\n\r\n2\r\n--abc--",
	    "(M<--abc$>(M<--ab$>(L[1]))<$--abc$>(L[2])<$--abc-->)"},
	{"a boundary like an end", H("b--") "--b--\r\n\r\n1\r\n--b----",
	    "(M<--b--$>(L[1])<$--b---->)"},
	{"one boundary for two", H("b") "--b\r\n" H("b") "--b\r\n\r\n1\r\n"
	    "--b--\r\n--b\r\n\r\n2\r\n--b--",
	    "(M<--b$>(M<--b$>(L[1])<$--b-->)<$--b$>(L[2])<$--b-->)"},
	{"quoted, with blanks", H("\"b c \"") "--b c\r\n\r\n1\r\n--b c--",
	    "(M<--b c$>(L[1])<$--b c-->)"},
	{"continued boundary", "Content-Type: multipart/mixed; boundary*0=b;\r\n"
	    " boundary*1=c\r\n\r\n--bc\r\n\r\n1\r\n--bc--",
	    "(M<--bc$>(L[1])<$--bc-->)"},
	{"empty boundary", H("\"\"") "--\r\n\r\n1\r\n----", "(L[--$$1$----])"},
	{"blank boundary", H("\" \"") "--\r\n\r\n1\r\n----",
	    "(L[--$$1$----])"},
	{"no boundary", "Content-Type: multipart/mixed\r\n\r\n--\r\n",
	    "(L[--$])"},
	{"first type counts", "Content-Type: text/plain\r\n" H("b") "--b\r\n",
	    "(L[--b$])"},
	{"type in any case", "CONTENT-TYPE:MULTIPART/X;BOUNDARY=b\r\n\r\n--b\r\n"
	    "\r\n1", "(M<--b$>(L[1]))"},
	{"type that cannot be read", "Content-Type: multipart; boundary=b\r\n"
	    "\r\n--b\r\n", "(L[--b$])"},
	{"message", "Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\ntext\r\n",
	    "(R(L[text$]))"},
	{"global", "Content-Type: message/global\r\n\r\nA: b\r\n\r\ntext",
	    "(R(L[text]))"},
	{"message, encoded", "Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nQTogYg==\r\n",
	    "(L[QTogYg==$])"},
	{"other message", "Content-Type: message/partial\r\n\r\nA: b\r\n\r\n",
	    "(L[A: b$$])"},
	{"message within", H("b") "--b\r\nContent-Type: message/rfc822\r\n\r\n"
	    H("i") "--i\r\n\r\n1\r\n--b--",
	    "(M<--b$>(R(M<--i$>(L[1])))<$--b-->)"},
	{"message ends in its header", H("b") "--b\r\n"
	    "Content-Type: message/rfc822\r\n\r\nA: b\r\n--b--",
	    "(M<--b$>(R(L!))<--b-->)"},
	{"digest", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n"
	    "\r\nA: b\r\n\r\n1\r\n--b\r\nContent-Type: text/x\r\n\r\n2\r\n"
	    "--b--", "(M<--b$>(R(L[1]))<$--b$>(L[2])<$--b-->)"},
};

struct story {
	struct buf out, octets;
	char open; /* what closes the octets being told, or NUL */
};

static void
tell(struct story *s, const char *around, struct slice text)
{
	if (s->open != around[1]) {
		if (s->open != '\0')
			buf_addc(&s->out, s->open);
		s->open = around[1];
		if (s->open != '\0')
			buf_addc(&s->out, around[0]);
	}
	for (size_t i = 0; i < text.len; i++) {
		bool crlf = text.p[i] == '\r' && i + 1 < text.len &&
		    text.p[i + 1] == '\n';

		buf_addc(&s->out, crlf ? '$' : text.p[i]);
		i += crlf;
	}
}

static bool
on_start(void *arg, struct part *p)
{
	struct story *s = arg;

	tell(s, "\0", SLICE("("));
	ck_assert_uint_eq(p->start.octets, s->octets.len);
	return true;
}

static bool
on_header(void *arg, struct part *p)
{
	tell(arg, "\0", p->kind == PART_LEAF ? SLICE("L")
	    : p->kind == PART_MULTIPART ? SLICE("M") : SLICE("R"));
	tell(arg, "\0", p->no_body ? SLICE("!") : SLICE_EMPTY);
	return true;
}

static bool
on_octets(void *arg, struct part *p, enum parts_what what, struct slice text)
{
	static const char *const around[] = {[PARTS_BODY] = "[]",
	    [PARTS_PREAMBLE] = "{}", [PARTS_EPILOGUE] = "}{",
	    [PARTS_DELIMITER] = "<>"};
	struct story *s = arg;

	(void)p;
	ck_assert_uint_gt(text.len, 0);
	buf_addslice(&s->octets, text);
	if (what >= PARTS_BODY)
		tell(s, around[what], text);
	return true;
}

static bool
on_end(void *arg, struct part *p)
{
	struct story *s = arg;

	(void)p;
	tell(s, "\0", SLICE(")"));
	ck_assert_uint_eq(p->end.octets, s->octets.len);
	return true;
}

static const struct parts_handler teller = {.start = on_start,
    .header = on_header, .octets = on_octets, .end = on_end};

static struct story
tell_story(struct slice in, size_t first, size_t step, bool lf)
{
	const struct parts_options o = {.keep = 1030, .depth_max = 20,
	    .lf = lf};
	struct story s = {.out = BUF_INIT(MOST), .octets = BUF_INIT(MOST)};
	struct parts *p = parts_new(&teller, &s, &o);
	size_t n = first;

	for (size_t at = 0; at < in.len; at += n, n = step) {
		struct slice piece = slice_sub(in, at, at + n);
		char *own = slice_dup(piece);

		own = mem_grow(own, piece.len > 0 ? piece.len : 1, 1);
		ck_assert(parts_feed(p, own, piece.len));
		free(own);
	}
	ck_assert(parts_end(p));
	ck_assert(parts_end(p));
	parts_free(&p);
	ck_assert_ptr_null(p);
	parts_free(&p);
	ck_assert(slice_eq(buf_slice(&s.octets), in));
	return s;
}

static void
check_story(const char *name, struct slice in, const char *want, bool lf)
{
	for (size_t first = 0; first <= in.len; first++)
		for (size_t step = 1; step <= in.len + 1;
		    step += in.len > 0 ? in.len : 2) {
			struct story s = tell_story(in, first, step, lf);

			ck_assert_msg(strcmp(s.out.s, want) == 0,
			    "%s: %zu, %zu: %s", name, first, step, s.out.s);
			buf_free(&s.out);
			buf_free(&s.octets);
		}
}

START_TEST(story)
{
	check_story(messages[_i].name, slice_of(messages[_i].in),
	    messages[_i].want, false);
}
END_TEST

/* The same with LF: '$' is one octet in the text and in the story. */
START_TEST(story_lf)
{
	struct buf in = BUF_INIT(MOST), want = BUF_INIT(MOST);

	if (strstr(messages[_i].name, "bare LF") != NULL)
		return;
	for (const char *p = messages[_i].in; *p != '\0'; p++)
		if (p[0] != '\r' || p[1] != '\n')
			buf_addc(&in, *p);
	for (const char *p = messages[_i].want; *p != '\0'; p++)
		buf_addc(&want, *p == '$' ? '\n' : *p);
	check_story(messages[_i].name, buf_slice(&in), want.s, true);
	/* CRLF is a line's end there too. */
	check_story(messages[_i].name, slice_of(messages[_i].in),
	    messages[_i].want, true);
	buf_free(&in);
	buf_free(&want);
}
END_TEST

/* ---- fields ---- */

static bool
show_field(void *arg, struct part *p, const struct header_field *f)
{
	buf_printf(arg, "%u %.*s=%.*s %" PRIu64 "+%" PRIu64 "%s\n", p->depth,
	    SLICE_FMT(f->name), SLICE_FMT(f->value), f->offset, f->length,
	    f->cut ? " cut" : "");
	return true;
}

static bool
show_header(void *arg, struct part *p)
{
	buf_printf(arg, "%u media %u encoding %u%s%s\n", p->depth, p->media,
	    p->encoding, p->has_type ? " type" : "",
	    p->has_version ? " version" : "");
	return true;
}

START_TEST(fields)
{
	static const struct parts_handler handler = {.field = show_field,
	    .header = show_header};
	const struct parts_options o = {.keep = 20, .depth_max = 1};
	const struct slice in = SLICE("A: b\r\nno field\r\nC:\r\n\td\r\n"
	    "Content-Type: message/rfc822; x=0123456789\r\n"
	    "Content-Transfer-Encoding : 8bit\r\n"
	    "content-transfer-encoding: 7bit\r\nMime-Version:1\r\n\r\n"
	    " E: f\r\nG: h");
	static const char want[] = "0 A= b 0+6\n0 =no field 6+10\n"
	    "0 C=\r\n\td 16+8\n0 Content-Type= messag 24+44 cut\n"
	    "0 =Content-Transfer-Enc 68+34 cut\n"
	    "0 =content-transfer-enc 102+33 cut\n"
	    "0 Mime-Version=1 135+16\n"
	    "0 media 0 encoding 0 type version\n";

	for (size_t step = 1; step <= in.len; step++) {
		struct buf out = BUF_INIT(MOST);
		struct parts *p = parts_new(&handler, &out, &o);

		for (size_t at = 0; at < in.len; at += step) {
			struct slice s = slice_sub(in, at, at + step);

			parts_feed(p, s.p, s.len);
		}
		parts_end(p);
		parts_free(&p);
		ck_assert_str_eq(out.s, want);
		buf_free(&out);
	}
}
END_TEST

static const struct {
	const char *header;
	enum part_media media;
	enum content_encoding encoding;
} medias[] = {
	{"", MEDIA_TEXT, ENCODING_NONE},
	{"Content-Type: text/html\r\n", MEDIA_TEXT, ENCODING_NONE},
	{"Content-Type: nonsense\r\n", MEDIA_TEXT, ENCODING_NONE},
	{"Content-Type: multipart/digest\r\n", MEDIA_DIGEST, ENCODING_NONE},
	{"Content-Type: multipart/x\r\n", MEDIA_MULTIPART, ENCODING_NONE},
	{"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64"
	    "\r\n", MEDIA_RFC822, ENCODING_BASE64},
	{"Content-Type: message/external-body\r\n", MEDIA_PARTIAL,
	    ENCODING_NONE},
	{"Content-Type: message/delivery-status\r\n", MEDIA_MESSAGE,
	    ENCODING_NONE},
	{"Content-Type: image/gif\r\nContent-Transfer-Encoding: binary\r\n",
	    MEDIA_OTHER, ENCODING_BINARY},
};

static bool
keep_part(void *arg, struct part *p)
{
	*(struct part *)arg = *p;
	return true;
}

START_TEST(media)
{
	static const struct parts_handler handler = {.header = keep_part};
	const struct parts_options o = {.keep = 1000, .depth_max = 20};
	struct part got;
	struct parts *p = parts_new(&handler, &got, &o);

	parts_feed(p, medias[_i].header, strlen(medias[_i].header));
	parts_feed(p, "\r\n", 2);
	parts_end(p);
	parts_free(&p);
	ck_assert_uint_eq(got.media, medias[_i].media);
	ck_assert_uint_eq(got.encoding, medias[_i].encoding);
}
END_TEST

/* ---- places ---- */

static bool
show_places(void *arg, struct part *p)
{
	buf_printf(arg, "%u.%u %" PRIu64 ",%" PRIu64 " %" PRIu64 ",%" PRIu64
	    " %" PRIu64 ",%" PRIu64 " lines %" PRIu64 "%s\n", p->depth,
	    p->number, p->start.octets, p->start.wire, p->body.octets,
	    p->body.wire, p->end.octets, p->end.wire,
	    p->end.lines - p->body.lines, p->cut ? " cut" : "");
	return true;
}

START_TEST(places)
{
	static const struct parts_handler handler = {.end = show_places};
	static const struct {
		struct slice in;
		bool lf;
		const char *want;
	} cases[] = {
		{SLICE_INIT(H("b") "--b\r\nA: b\r\n\r\none\r\ntwo\r\n--b\r\n\r\n"
		    "3\r\n--b--\r\nepi\r\n"), false,
		    "1.1 50,50 58,58 66,66 lines 1\n"
		    "1.2 73,73 75,75 76,76 lines 0\n"
		    "0.1 0,0 45,45 90,90 lines 10\n"},
		{SLICE_INIT("Content-Type: multipart/mixed; boundary=b\n\n"
		    "--b\nA: b\n\none\ntwo\n--b\n\n3\n--b--\nepi\n"), true,
		    "1.1 47,50 53,58 60,66 lines 1\n"
		    "1.2 65,73 66,75 67,76 lines 0\n"
		    "0.1 0,0 43,45 78,90 lines 10\n"},
		{SLICE_INIT("A: b\r\n\r\nx\r\ny"), false,
		    "0.1 0,0 8,8 12,12 lines 1 cut\n"},
		{SLICE_INIT("A: b\n\nx\r\ny\n"), true,
		    "0.1 0,0 6,8 11,14 lines 2 cut\n"},
		{SLICE_INIT("A: b"), false, "0.1 0,0 4,4 4,4 lines 0 cut\n"},
	};
	const struct parts_options o = {.keep = 1000, .depth_max = 20,
	    .lf = cases[_i].lf};

	for (size_t step = 1; step <= cases[_i].in.len; step++) {
		struct buf out = BUF_INIT(MOST);
		struct parts *p = parts_new(&handler, &out, &o);

		for (size_t at = 0; at < cases[_i].in.len; at += step) {
			struct slice s = slice_sub(cases[_i].in, at,
			    at + step);

			parts_feed(p, s.p, s.len);
		}
		parts_end(p);
		parts_free(&p);
		ck_assert_str_eq(out.s, cases[_i].want);
		buf_free(&out);
	}
}
END_TEST

/* ---- limits, handlers ---- */

static bool
count_parts(void *arg, struct part *p)
{
	unsigned *deepest = arg;

	if (p->depth > *deepest)
		*deepest = p->depth;
	return true;
}

START_TEST(depth)
{
	static const struct parts_handler handler = {.start = count_parts};
	const unsigned most[] = {0, 1, 5, PARTS_DEPTH_MAX, 100000};
	const struct parts_options o = {.keep = 1000,
	    .depth_max = most[_i]};
	unsigned deepest = 0;
	struct parts *p = parts_new(&handler, &deepest, &o);
	char text[200];
	int n;

	for (int i = 0; i < 2000; i++) {
		n = snprintf(text, sizeof(text), H("b%d") "--b%d\r\n", i, i);
		parts_feed(p, text, (size_t)n);
	}
	parts_end(p);
	parts_free(&p);
	ck_assert_uint_eq(deepest, most[_i] < PARTS_DEPTH_MAX ? most[_i]
	    : PARTS_DEPTH_MAX);
}
END_TEST

/* The longest boundary, and one beyond; a field that was cut gives none. */
START_TEST(boundary_length)
{
	size_t n = PARTS_BOUNDARY_MAX - 1 + (size_t)_i;
	struct buf in = BUF_INIT(MOST);
	char b[PARTS_BOUNDARY_MAX + 10];
	struct story s;

	memset(b, 'b', n);
	buf_adds(&in, "Content-Type: multipart/x; boundary=");
	buf_add(&in, b, n);
	buf_adds(&in, "\r\n\r\n--");
	buf_add(&in, b, n);
	buf_adds(&in, "\r\n\r\n1");
	s = tell_story(buf_slice(&in), 3, 50, false);
	ck_assert_int_eq(s.out.s[1] == 'L', n > PARTS_BOUNDARY_MAX);
	buf_free(&s.out);
	buf_free(&s.octets);
	buf_free(&in);
}
END_TEST

/* Each of the handlers may end it: nobody is called any more. */
static struct {
	int calls, stop_at;
} stopper;

static bool
stop_part(void *arg, struct part *p)
{
	(void)arg;
	(void)p;
	ck_assert_int_lt(stopper.calls, stopper.stop_at);
	return ++stopper.calls < stopper.stop_at;
}

static bool
stop_field(void *arg, struct part *p, const struct header_field *f)
{
	(void)f;
	return stop_part(arg, p);
}

static bool
stop_octets(void *arg, struct part *p, enum parts_what what, struct slice s)
{
	(void)what;
	(void)s;
	return stop_part(arg, p);
}

START_TEST(stopped)
{
	static const struct parts_handler handler = {stop_part, stop_field,
	    stop_part, stop_octets, stop_part};
	static const char in[] = H("b") "p\r\n--b\r\nA: b\r\n\r\n1\r\n--b--";
	const struct parts_options o = {.keep = 1000, .depth_max = 20};
	struct parts *p;
	bool good;

	stopper.calls = 0;
	stopper.stop_at = _i + 1;
	p = parts_new(&handler, NULL, &o);
	good = parts_feed(p, in, sizeof(in) - 1);
	good = parts_end(p) && good;
	ck_assert(!good);
	ck_assert_int_eq(stopper.calls, stopper.stop_at);
	parts_free(&p);
}
END_TEST

static bool
make_opaque(void *arg, struct part *p)
{
	(void)arg;
	p->opaque = p->depth == 1;
	return true;
}

START_TEST(opaque)
{
	static const char in[] = H("o") "--o\r\n" H("i") "--i\r\n\r\n1\r\n"
	    "--o\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n2\r\n"
	    "--o--";
	struct parts_handler handler = teller;
	const struct parts_options o = {.keep = 1000, .depth_max = 20};
	struct story s = {.out = BUF_INIT(MOST), .octets = BUF_INIT(MOST)};
	struct parts *p;

	handler.header = make_opaque;
	p = parts_new(&handler, &s, &o);
	parts_feed(p, in, sizeof(in) - 1);
	parts_end(p);
	parts_free(&p);
	ck_assert_str_eq(s.out.s,
	    "(<--o$>([--i$$1])<$--o$>([A: b$$2])<$--o-->)");
	buf_free(&s.out);
	buf_free(&s.octets);
}
END_TEST

Suite *
mime_parts_suite(void)
{
	Suite *s = suite_create("mime_parts");
	TCase *t = tcase_create("mime_parts");

	tcase_add_loop_test(t, story, 0, N(messages));
	tcase_add_loop_test(t, story_lf, 0, N(messages));
	tcase_add_test(t, fields);
	tcase_add_loop_test(t, media, 0, N(medias));
	tcase_add_loop_test(t, places, 0, 5);
	tcase_add_loop_test(t, depth, 0, 5);
	tcase_add_loop_test(t, boundary_length, 0, 10);
	tcase_add_loop_test(t, stopped, 0, 14);
	tcase_add_test(t, opaque);
	suite_add_tcase(s, t);
	return s;
}
