/* local/text: line ends, the fields on top, sizes, loops. */
#include <errno.h>
#include <string.h>

#include "common/mail/qfile_int.h"
#include "common/mime/header.h"
#include "local/text.h"
#include "tests/unit/qfile_sample.h"

Suite *local_text_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define TOP "Return-Path: <x@y.example>\nDelivered-To: ann@example.org\n"
#define TOP_CRLF                                                               \
	"Return-Path: <x@y.example>\r\nDelivered-To: ann@example.org\r\n"

/* What reached the sink. */
static struct {
	struct buf got;
	int calls, fail_at;
} sink;
static bool binary; /* what is copied came as BINARYMIME */

static int
take(void *arg, const char *p, size_t n)
{
	(void)arg;
	if (++sink.calls == sink.fail_at) {
		errno = ENOSPC;
		return -1;
	}
	buf_add(&sink.got, p, n);
	return 0;
}

static void
setup(void)
{
	memset(&sink, 0, sizeof(sink));
	binary = false;
	buf_init(&sink.got, IMAGE_MAX);
}

static void
teardown(void)
{
	buf_free(&sink.got);
}

/* Copies content in pieces of `piece`; what text_copy says. */
static int
copy(struct slice content, size_t piece, bool crlf, struct text *t)
{
	struct envelope env = sample_env();
	struct buf image, out = BUF_INIT(TEXT_OUT_MIN);
	struct qreader *r;
	struct qfile *q;
	int result, error;

	env.prepend = SLICE_EMPTY;
	image = sample_image(&env, content);
	q = sample_open(buf_slice(&image));
	q->content = NULL; /* in pieces from the file, however small it is */
	*t = (struct text){.sender = "x@y.example",
	    .address = "ann@example.org", .crlf = crlf, .binary = binary,
	    .out = &out, .sink = take};
	r = qreader_new(q, piece);
	result = text_copy(t, r);
	error = errno;
	qreader_free(&r);
	qfile_free(&q);
	buf_free(&image);
	buf_free(&out);
	errno = error;
	return result;
}

static const struct {
	const char *name;
	struct slice in, want; /* with LF */
	size_t wire;           /* of the content */
} cases[] = {
	{"empty", SLICE_INIT(""), SLICE_INIT(""), 0},
	{"line", SLICE_INIT("a\r\n"), SLICE_INIT("a\n"), 3},
	{"message", SLICE_INIT("A: b\r\n\r\nHello.\r\n"),
	    SLICE_INIT("A: b\n\nHello.\n"), 16},
	{"no end", SLICE_INIT("A: b\r\n\r\nHello."),
	    SLICE_INIT("A: b\n\nHello."), 14},
	{"only line ends", SLICE_INIT("\r\n\r\n\r\n"), SLICE_INIT("\n\n\n"),
	    6},
	{"lone CR", SLICE_INIT("a\rb\r\n"), SLICE_INIT("a\rb\n"), 5},
	{"CR CRLF", SLICE_INIT("a\r\r\nb"), SLICE_INIT("a\r\nb"), 5},
	{"three CR", SLICE_INIT("\r\r\r"), SLICE_INIT("\r\r\r"), 3},
	{"CR at the end", SLICE_INIT("a\r\n\r"), SLICE_INIT("a\n\r"), 4},
	{"dots", SLICE_INIT(".\r\n..\r\n"), SLICE_INIT(".\n..\n"), 7},
	{"NUL and 8 bit", SLICE_INIT("\0\xff\r\n\0\r\n"),
	    SLICE_INIT("\0\xff\n\0\n"), 7},
	{"From line", SLICE_INIT("From x\r\n"), SLICE_INIT("From x\n"), 8},
};

static const size_t pieces[] = {1, 2, 3, 4, 5, 7, 11, 65536};

START_TEST(line_ends)
{
	struct text t;
	size_t top = sizeof(TOP) - 1;

	for (int i = 0; i < COUNT(pieces); i++) {
		buf_reset(&sink.got);
		ck_assert_int_eq(copy(cases[_i].in, pieces[i], false, &t), 0);
		ck_assert_msg(slice_eq(slice_sub(buf_slice(&sink.got), 0, top),
		    slice_of(TOP)), "%s", cases[_i].name);
		ck_assert_msg(slice_eq(slice_sub(buf_slice(&sink.got), top,
		    sink.got.len), cases[_i].want), "%s, pieces of %zu",
		    cases[_i].name, pieces[i]);
		ck_assert_uint_eq(t.size, sink.got.len);
		ck_assert_uint_eq(t.wire, top + 2 + cases[_i].wire);
	}
}
END_TEST

START_TEST(kept_line_ends)
{
	struct text t;
	size_t top = sizeof(TOP_CRLF) - 1;

	for (int i = 0; i < COUNT(pieces); i++) {
		buf_reset(&sink.got);
		ck_assert_int_eq(copy(cases[_i].in, pieces[i], true, &t), 0);
		ck_assert(slice_eq(slice_sub(buf_slice(&sink.got), 0, top),
		    slice_of(TOP_CRLF)));
		ck_assert_msg(slice_eq(slice_sub(buf_slice(&sink.got), top,
		    sink.got.len), cases[_i].in), "%s", cases[_i].name);
		ck_assert_uint_eq(t.size, sink.got.len);
		ck_assert_uint_eq(t.wire, sink.got.len);
	}
}
END_TEST

/* Longer than all buffers, with a line end at every place of one. */
START_TEST(large)
{
	struct buf in = BUF_INIT(1 << 22), want = BUF_INIT(1 << 22);
	static const size_t reads[] = {4096, TEXT_READ, 1000003};
	struct text t;

	buf_adds(&want, TOP);
	for (int i = 0; in.len < 1000000; i++) {
		for (int k = 0; k < i % 83; k++) {
			buf_addc(&in, (char)('a' + k % 26));
			buf_addc(&want, (char)('a' + k % 26));
		}
		buf_adds(&in, "\r\n");
		buf_addc(&want, '\n');
	}
	for (int i = 0; i < COUNT(reads); i++) {
		buf_reset(&sink.got);
		ck_assert_int_eq(copy(buf_slice(&in), reads[i], false, &t), 0);
		ck_assert(slice_eq(buf_slice(&sink.got), buf_slice(&want)));
		ck_assert_uint_eq(t.size, want.len);
		ck_assert_uint_eq(t.wire, sizeof(TOP) - 1 + 2 + in.len);
	}
	buf_free(&in);
	buf_free(&want);
}
END_TEST

START_TEST(sink_fails)
{
	static char octets[400000];
	struct text t;

	memset(octets, 'a', sizeof(octets));
	sink.fail_at = _i + 1;
	ck_assert_int_eq(copy(slice_mem(octets, sizeof(octets)), TEXT_READ,
	    false, &t), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(sink.calls, _i + 1);
}
END_TEST

static const struct {
	const char *in;
	bool looped;
} loops[] = {
	{"Delivered-To: ann@example.org\r\n\r\nx\r\n", true},
	{"A: b\r\nDELIVERED-TO:ANN@Example.ORG  \r\n\r\nx\r\n", true},
	{"Delivered-To: bob@example.org\r\nDelivered-To: ann@example.org\r\n"
	    "\r\n", true},
	{"Delivered-To: ann@example.org", true}, /* nothing follows */
	{"Delivered-To: bob@example.org\r\n\r\nx\r\n", false},
	{"Delivered-To: ann@example.org.net\r\n\r\n", false},
	{"Delivered-To: xann@example.org\r\n\r\n", false},
	{"X-Delivered-To: ann@example.org\r\n\r\n", false},
	{"Subject: Delivered-To: ann@example.org\r\n\r\n", false},
	{"A: b\r\n\r\nDelivered-To: ann@example.org\r\n", false},
	{"A: b\r\n Delivered-To: ann@example.org\r\n\r\n", false},
};

START_TEST(loop)
{
	struct slice in = slice_of(loops[_i].in);
	struct text t;
	int result;

	for (int i = 0; i < COUNT(pieces); i++) {
		sink.calls = 0;
		result = copy(in, pieces[i], false, &t);
		ck_assert_int_eq(result, loops[_i].looped ? -1 : 0);
		if (!loops[_i].looped)
			continue;
		ck_assert_int_eq(errno, ELOOP);
		ck_assert_int_eq(sink.calls, 0);
	}
}
END_TEST

/* Far down, where the sink has seen the start: an error all the same. */
START_TEST(late_loop)
{
	struct buf in = BUF_INIT(1 << 20);
	struct text t;

	while (in.len < 200000)
		buf_adds(&in, "X-Filler: 0123456789012345678901234567890\r\n");
	buf_adds(&in, "Delivered-To: ann@example.org\r\n\r\nx\r\n");
	ck_assert_int_eq(copy(buf_slice(&in), TEXT_READ, false, &t), -1);
	ck_assert_int_eq(errno, ELOOP);
	buf_free(&in);
}
END_TEST

/* What does not verify is an error, at the latest at the end. */
START_TEST(damaged)
{
	struct envelope env = sample_env();
	struct buf image = sample_image(&env, SLICE("A: b\r\n\r\nHello\r\n"));
	struct buf out = BUF_INIT(TEXT_OUT_MIN);
	struct text t = {.sender = "", .address = "a@b", .out = &out,
	    .sink = take};
	char why[STATUS_TEXT_MAX];
	struct qreader *r;
	struct qfile *q;
	char *p = strstr(image.s, "Hello");

	ck_assert_ptr_nonnull(p);
	*p = 'J';
	ck_assert_int_eq(qfile_adopt(sample_fd(buf_slice(&image)), false, &q,
	    why), QFILE_OK);
	r = qreader_new(q, TEXT_READ);
	ck_assert_int_eq(text_copy(&t, r), -1);
	ck_assert_int_eq(errno, EBADMSG);
	qreader_free(&r);
	qfile_free(&q);
	buf_free(&image);
	buf_free(&out);
}
END_TEST

#define MIXED                                                                  \
	"MIME-Version: 1.0\r\n"                                                  \
	"Content-Type: multipart/mixed; boundary=b\r\n"                         \
	"Content-Transfer-Encoding: "

/* RFC 3030: what has no lines is encoded, the rest is as it was. */
static const struct {
	const char *name;
	struct slice in, want;
} binaries[] = {
	{"nothing binary",
	    SLICE_INIT("A: b\r\n\r\nHello.\r\n"),
	    SLICE_INIT("A: b\n\nHello.\n")},
	{"8 bit stays",
	    SLICE_INIT("MIME-Version: 1.0\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n"),
	    SLICE_INIT("MIME-Version: 1.0\n"
	    "Content-Transfer-Encoding: 8bit\n\n\xc3\xa4\n")},
	{"a binary part",
	    SLICE_INIT(MIXED "binary\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
	    "Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n"
	    "\r\n\0\1\n\r\xff\r\n--b--\r\n"),
	    SLICE_INIT("MIME-Version: 1.0\n"
	    "Content-Type: multipart/mixed; boundary=b\n"
	    "Content-Transfer-Encoding: 8bit\n\n--b\n\ntext\n--b\n"
	    "Content-Type: image/x\nContent-Transfer-Encoding: base64\n"
	    "\nAAEKDf8=\n--b--\n")},
	{"one part, nothing at its end",
	    SLICE_INIT("MIME-Version: 1.0\r\nContent-Type: image/x\r\n"
	    "Content-Transfer-Encoding: binary\r\n\r\n\0\r"),
	    SLICE_INIT("MIME-Version: 1.0\nContent-Type: image/x\n"
	    "Content-Transfer-Encoding: base64\n\nAA0=\n")},
};

START_TEST(binary_parts)
{
	struct slice want = binaries[_i].want;
	size_t top = sizeof(TOP) - 1, wire = top + 2 + want.len;
	struct text t;

	for (size_t i = 0; i < want.len; i++)
		wire += want.p[i] == '\n';
	binary = true;
	for (int i = 0; i < COUNT(pieces); i++) {
		buf_reset(&sink.got);
		ck_assert_int_eq(copy(binaries[_i].in, pieces[i], false, &t),
		    0);
		ck_assert_msg(slice_eq(slice_sub(buf_slice(&sink.got), top,
		    sink.got.len), want), "%s, pieces of %zu: %s",
		    binaries[_i].name, pieces[i], sink.got.s);
		ck_assert_uint_eq(t.size, sink.got.len);
		ck_assert_uint_eq(t.wire, wire);
		buf_reset(&sink.got);
		ck_assert_int_eq(copy(binaries[_i].in, pieces[i], true, &t),
		    0);
		ck_assert_uint_eq(t.size, t.wire);
		ck_assert_uint_eq(t.wire, wire);
	}
}
END_TEST

/* Encoded to more than all buffers hold; a sink that fails is heard through the
 * converter; a loop ends it too. */
START_TEST(binary_large)
{
	static char octets[1000000] = "MIME-Version: 1.0\r\nContent-Type: "
	    "image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n";
	struct slice in = slice_mem(octets, sizeof(octets));
	struct text t;

	binary = true;
	ck_assert_int_eq(copy(in, TEXT_READ, false, &t), 0);
	ck_assert_uint_eq(t.size, sink.got.len);
	ck_assert_uint_gt(t.size, sizeof(octets) * 4 / 3);
	for (int i = 1; i < 5; i++) {
		sink.calls = 0;
		sink.fail_at = i;
		ck_assert_int_eq(copy(in, TEXT_READ, false, &t), -1);
		ck_assert_int_eq(errno, ENOSPC);
		ck_assert_int_eq(sink.calls, i);
	}
	sink.calls = 0;
	ck_assert_int_eq(copy(slice_of(loops[0].in), 7, false, &t), -1);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_int_eq(sink.calls, 0);
}
END_TEST

/* <> stays so; the Received field of the trailer is in front of the content. */
START_TEST(top)
{
	struct envelope env = sample_env();
	struct buf image = sample_image(&env, SLICE("A: b\r\n"));
	struct buf out = BUF_INIT(TEXT_OUT_MIN);
	struct text t = {.sender = "", .address = "a@b", .out = &out,
	    .sink = take};
	struct qfile *q = sample_open(buf_slice(&image));
	struct qreader *r = qreader_new(q, TEXT_READ);

	ck_assert_int_eq(text_copy(&t, r), 0);
	CK_SLICE(buf_slice(&sink.got), "Return-Path: <>\nDelivered-To: a@b\n"
	    "Received: here\nA: b\n");
	qreader_free(&r);
	qfile_free(&q);
	buf_free(&image);
	buf_free(&out);
}
END_TEST

Suite *
local_text_suite(void)
{
	Suite *s = suite_create("local_text");
	TCase *t = tcase_create("local_text");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, line_ends, 0, COUNT(cases));
	tcase_add_loop_test(t, kept_line_ends, 0, COUNT(cases));
	tcase_add_test(t, large);
	tcase_add_loop_test(t, sink_fails, 0, 4);
	tcase_add_loop_test(t, loop, 0, COUNT(loops));
	tcase_add_test(t, late_loop);
	tcase_add_loop_test(t, binary_parts, 0, COUNT(binaries));
	tcase_add_test(t, binary_large);
	tcase_add_test(t, damaged);
	tcase_add_test(t, top);
	suite_add_tcase(s, t);
	return s;
}
