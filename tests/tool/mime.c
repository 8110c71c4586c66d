/*
 * What common/mime makes of standard input, for tests that compare it with
 * other programs.  Not installed.
 *
 *	mime convert 7|8 [STEP]  the message converted, fed in pieces of STEP
 *	                         octets; "header-8bit" on standard error
 *	mime look                "eight_bit header_8bit binary", those that hold
 *	mime parts [lf]          a line for each part: depth, number, kind,
 *	                         type, encoding, where header section, body and end
 *	                         are (octets), lines of the body, length and
 *	                         CRC-32 of the decoded body of a leaf
 *	mime structure [lf]      a line for each part: parent, number, kind,
 *	                         start, body, end, sizes of header section and
 *	                         body on the wire, lines of both; its fields as
 *	                         number=value, percent-encoded
 *	mime section PATH        a part's start, body, end, or "none"
 *	mime type                type, subtype and parameters of a
 *	                         Content-Type's value, percent-encoded, a line each
 *	mime words               a field's value with its encoded words decoded
 *	mime charset NAME        the text in UTF-8; exit code 1: unknown
 *	mime bench NAME [MB]     octets a second of a function on that input,
 *	                         repeated
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/mime/base64.h"
#include "common/mime/charset.h"
#include "common/mime/convert.h"
#include "common/mime/parts.h"
#include "common/mime/qp.h"
#include "common/mime/structure.h"
#include "common/mime/words.h"

#define INPUT_MAX (1u << 30)
#define PIECE 65536u

static struct buf
read_all(void)
{
	struct buf b = BUF_INIT(INPUT_MAX);
	char piece[PIECE];
	ssize_t n;

	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		buf_add(&b, piece, (size_t)n);
	if (n < 0 || b.overflow)
		die_errno(EXIT_TEMPORARY, "cannot read the input");
	return b;
}

static size_t
number(const char *s)
{
	uint32_t n = 0;

	if (!num_u32(slice_of(s), 1, INPUT_MAX, &n))
		die(EXIT_PERMANENT, "%s is no number", s);
	return n;
}

static bool
write_out(void *arg, const void *p, size_t n)
{
	(void)arg;
	return fwrite(p, 1, n, stdout) == n;
}

static int
do_convert(int argc, char *argv[])
{
	struct buf in = read_all();
	size_t step = argc > 3 ? number(argv[3]) : PIECE;
	struct convert *c = convert_new(*argv[2] == '7' ? CONVERT_7BIT
	    : CONVERT_8BIT, write_out, NULL);
	bool good = true;

	for (size_t at = 0; at < in.len && good; at += step) {
		struct slice s = slice_sub(buf_slice(&in), at, at + step);

		good = convert_feed(c, s.p, s.len);
	}
	good = convert_end(c) && good;
	if (convert_header_8bit(c))
		fputs("header-8bit\n", stderr);
	convert_free(&c);
	buf_free(&in);
	return good ? 0 : EXIT_TEMPORARY;
}

static int
do_look(void)
{
	struct buf in = read_all();
	struct convert_look l = {0};

	convert_look(&l, in.s, in.len);
	printf("%s%s%s\n", l.eight_bit ? "eight_bit " : "",
	    l.header_8bit ? "header_8bit " : "", l.binary ? "binary" : "");
	buf_free(&in);
	return 0;
}

/* ---- parts ---- */

struct show {
	struct content_type type;
	struct buf decoded, out;
	struct base64_decoder base64;
	struct qp_decoder qp;
	bool has_type;
};

static bool
on_start(void *arg, struct part *p)
{
	struct show *s = arg;

	(void)p;
	s->has_type = false;
	return true;
}

static bool
on_field(void *arg, struct part *p, const struct header_field *f)
{
	struct show *s = arg;

	(void)p;
	if (!s->has_type && header_is(f, "Content-Type")) {
		content_type_parse(&s->type, f->value);
		s->has_type = true;
	}
	return true;
}

static const char *const kinds[] = {"leaf", "multipart", "message"};

static bool
on_header(void *arg, struct part *p)
{
	struct show *s = arg;
	bool known = s->has_type && s->type.type.len > 0;

	buf_reset(&s->out);
	if (known)
		buf_printf(&s->out, "%.*s/%.*s", SLICE_FMT(s->type.type),
		    SLICE_FMT(s->type.subtype));
	else
		buf_adds(&s->out, p->media == MEDIA_RFC822 ? "message/rfc822"
		    : "text/plain");
	printf("begin %u %u %s %s %s\n", p->depth, p->number, kinds[p->kind],
	    s->out.s, p->encoding == ENCODING_OTHER ? "other"
	    : p->encoding == ENCODING_NONE ? "none"
	    : content_type_encoding_name(p->encoding));
	buf_reset(&s->decoded);
	memset(&s->base64, 0, sizeof(s->base64));
	memset(&s->qp, 0, sizeof(s->qp));
	return true;
}

static bool
on_octets(void *arg, struct part *p, enum parts_what what, struct slice text)
{
	struct show *s = arg;

	if (what != PARTS_BODY)
		return true;
	if (p->encoding == ENCODING_BASE64)
		base64_decode(&s->base64, text, &s->decoded);
	else if (p->encoding == ENCODING_QP)
		qp_decode(&s->qp, text, &s->decoded);
	else
		buf_addslice(&s->decoded, text);
	return true;
}

static bool
on_end(void *arg, struct part *p)
{
	struct show *s = arg;

	printf("end %u %u %llu %llu %llu %llu", p->depth, p->number,
	    (unsigned long long)p->start.octets,
	    (unsigned long long)p->body.octets,
	    (unsigned long long)p->end.octets,
	    (unsigned long long)(p->end.lines - p->body.lines));
	if (p->kind == PART_LEAF) {
		if (p->encoding == ENCODING_BASE64)
			base64_decode_end(&s->base64, &s->decoded);
		if (p->encoding == ENCODING_QP)
			qp_decode_end(&s->qp, &s->decoded);
		printf(" %zu %08lx", s->decoded.len, crc32(0,
		    (const unsigned char *)s->decoded.s,
		    (unsigned)s->decoded.len));
	}
	printf("\n");
	return true;
}

static int
do_parts(bool lf)
{
	static const struct parts_handler handler = {on_start, on_field,
	    on_header, on_octets, on_end};
	const struct parts_options options = {65536, 100, lf};
	struct buf in = read_all();
	struct show *s = calloc(1, sizeof(*s));
	struct parts *p;

	if (s == NULL)
		die(EXIT_TEMPORARY, "no memory");
	buf_init(&s->decoded, INPUT_MAX);
	buf_init(&s->out, INPUT_MAX);
	p = parts_new(&handler, s, &options);
	parts_feed(p, in.s, in.len);
	parts_end(p);
	parts_free(&p);
	content_type_free(&s->type);
	buf_free(&s->decoded);
	buf_free(&s->out);
	buf_free(&in);
	free(s);
	return 0;
}

/* ---- content types ---- */

static void
print_escaped(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > ' ' && c < 127 && c != '%')
			putchar(c);
		else
			printf("%%%02X", (unsigned)c);
	}
}

static int
do_type(void)
{
	struct buf in = read_all();
	static struct content_type t;

	content_type_parse(&t, buf_slice(&in));
	print_escaped(t.type);
	putchar('/');
	print_escaped(t.subtype);
	putchar('\n');
	for (size_t i = 0; i < t.nparams; i++) {
		print_escaped(t.params[i].name);
		putchar('=');
		print_escaped(t.params[i].value);
		putchar(' ');
		print_escaped(t.params[i].charset);
		putchar('\n');
	}
	content_type_free(&t);
	buf_free(&in);
	return 0;
}

/* As it is after it was kept and read back. */
static struct structure *
build(bool lf)
{
	struct structure_builder *b = structure_builder_new(lf);
	struct buf in = read_all(), saved = BUF_INIT(INPUT_MAX);
	struct structure *s;

	for (size_t at = 0; at < in.len; at += PIECE) {
		struct slice piece = slice_sub(buf_slice(&in), at, at + PIECE);

		structure_builder_feed(b, piece.p, piece.len);
	}
	s = structure_builder_take(&b);
	structure_save(s, &saved);
	structure_free(&s);
	s = structure_load(buf_slice(&saved));
	if (s == NULL)
		die(EXIT_TEMPORARY, "what was saved cannot be loaded");
	buf_free(&saved);
	buf_free(&in);
	return s;
}

static int
do_structure(bool lf)
{
	struct structure *s = build(lf);

	for (size_t i = 0; i < s->nparts; i++) {
		const struct structure_part *p = &s->parts[i];

		printf("%u %u %s %llu %llu %llu %llu %llu %llu %llu",
		    p->parent, p->number, kinds[p->kind],
		    (unsigned long long)p->start, (unsigned long long)p->body,
		    (unsigned long long)p->end,
		    (unsigned long long)p->header_wire,
		    (unsigned long long)p->body_wire,
		    (unsigned long long)p->header_lines,
		    (unsigned long long)p->body_lines);
		for (size_t k = 0; k < STRUCTURE_FIELDS; k++) {
			if (p->fields[k].p == NULL)
				continue;
			printf(" %zu=", k);
			print_escaped(p->fields[k]);
		}
		printf("\n");
	}
	structure_free(&s);
	return 0;
}

static int
do_section(const char *path)
{
	struct slice rest = slice_of(path), one;
	struct structure *s = build(false);
	const struct structure_part *p;
	uint32_t numbers[200];
	size_t n = 0;

	while (n < 200 && slice_cut(&rest, '.', &one))
		if (!num_u32(one, 1, UINT32_MAX, &numbers[n++]))
			die(EXIT_PERMANENT, "%s is no section", path);
	p = structure_section(s, numbers, n);
	if (p == NULL)
		printf("none\n");
	else
		printf("%llu %llu %llu\n", (unsigned long long)p->start,
		    (unsigned long long)p->body, (unsigned long long)p->end);
	structure_free(&s);
	return 0;
}

static int
do_text(const char *charset)
{
	struct buf in = read_all(), out = BUF_INIT(INPUT_MAX);
	struct charsets *cs = charsets_new();
	bool known = true;

	if (charset != NULL)
		known = charsets_decode(cs, slice_of(charset), buf_slice(&in),
		    &out);
	else
		words_decode(cs, buf_slice(&in), &out);
	fwrite(out.s, 1, out.len, stdout);
	charsets_free(&cs);
	buf_free(&in);
	buf_free(&out);
	return known ? 0 : 1;
}

/* ---- how fast ---- */

static bool
count_out(void *arg, const void *p, size_t n)
{
	(void)p;
	*(size_t *)arg += n;
	return true;
}

static void
bench_convert(struct slice in, enum convert_to to)
{
	size_t n = 0;
	struct convert *c = convert_new(to, count_out, &n);

	for (size_t at = 0; at < in.len; at += PIECE) {
		struct slice s = slice_sub(in, at, at + PIECE);

		convert_feed(c, s.p, s.len);
	}
	convert_end(c);
	convert_free(&c);
}

static void
bench_look(struct slice in)
{
	struct convert_look l = {0};

	for (size_t at = 0; at < in.len; at += PIECE) {
		struct slice s = slice_sub(in, at, at + PIECE);

		convert_look(&l, s.p, s.len);
	}
}

static void
bench_parts(struct slice in)
{
	static const struct parts_handler handler = {.start = NULL};
	const struct parts_options options = {16384, 50, false};
	struct parts *p = parts_new(&handler, NULL, &options);

	for (size_t at = 0; at < in.len; at += PIECE) {
		struct slice s = slice_sub(in, at, at + PIECE);

		parts_feed(p, s.p, s.len);
	}
	parts_end(p);
	parts_free(&p);
}

/* Coding in pieces into a buffer that is emptied each time. */
static void
bench_code(struct slice in, char what)
{
	struct buf out = BUF_INIT(16 * PIECE);
	struct base64_encoder be = {.lines = true};
	struct base64_decoder bd = {.strict = false};
	struct qp_encoder qe = {0};
	struct qp_decoder qd = {0};

	for (size_t at = 0; at < in.len; at += PIECE) {
		struct slice s = slice_sub(in, at, at + PIECE);

		buf_reset(&out);
		if (what == 'b')
			base64_encode(&be, s, &out);
		else if (what == 'B')
			base64_decode(&bd, s, &out);
		else if (what == 'q')
			qp_encode(&qe, s, &out);
		else
			qp_decode(&qd, s, &out);
	}
	buf_free(&out);
}

static void
bench_once(const char *name, struct slice in)
{
	if (strcmp(name, "convert7") == 0)
		bench_convert(in, CONVERT_7BIT);
	else if (strcmp(name, "convert8") == 0)
		bench_convert(in, CONVERT_8BIT);
	else if (strcmp(name, "look") == 0)
		bench_look(in);
	else if (strcmp(name, "parts") == 0)
		bench_parts(in);
	else if (strcmp(name, "base64") == 0)
		bench_code(in, 'b');
	else if (strcmp(name, "base64-decode") == 0)
		bench_code(in, 'B');
	else if (strcmp(name, "qp") == 0)
		bench_code(in, 'q');
	else if (strcmp(name, "qp-decode") == 0)
		bench_code(in, 'Q');
	else
		die(EXIT_PERMANENT, "no bench %s", name);
}

static int
do_bench(const char *name, uint64_t megabytes)
{
	struct buf in = read_all();
	int64_t start = clock_mono_us(), us;
	uint64_t done = 0;

	if (in.len == 0)
		die(EXIT_PERMANENT, "no input");
	for (; done < megabytes * 1000000; done += in.len)
		bench_once(name, buf_slice(&in));
	us = clock_mono_us() - start;
	printf("%-14s %8.0f MB/s\n", name, (double)done / (double)(us + 1));
	buf_free(&in);
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";

	log_open("mime");
	if (strcmp(what, "convert") == 0 && argc > 2)
		return do_convert(argc, argv);
	if (strcmp(what, "look") == 0)
		return do_look();
	if (strcmp(what, "parts") == 0)
		return do_parts(argc > 2 && strcmp(argv[2], "lf") == 0);
	if (strcmp(what, "type") == 0)
		return do_type();
	if (strcmp(what, "structure") == 0)
		return do_structure(argc > 2 && strcmp(argv[2], "lf") == 0);
	if (strcmp(what, "section") == 0 && argc > 2)
		return do_section(argv[2]);
	if (strcmp(what, "words") == 0)
		return do_text(NULL);
	if (strcmp(what, "charset") == 0 && argc > 2)
		return do_text(argv[2]);
	if (strcmp(what, "bench") == 0 && argc > 2)
		return do_bench(argv[2], argc > 3 ? number(argv[3]) : 1000);
	die(EXIT_PERMANENT, "usage: mime convert|look|parts|structure|section|"
	    "type|words|charset|bench ...");
}
