/*
 * common/mime/content_type: what is right, what is found in the world, what
 * nobody should send.
 */
#include <stdlib.h>

#include <check.h>

#include "common/base/mem.h"
#include "common/mime/content_type.h"

Suite *mime_type_suite(void);

#define N(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* want: "type/subtype|name=value|name=value@charset'language..." */
static const struct {
	const char *name;
	struct slice in;
	const char *want;
} types[] = {
	{"simple", SLICE_INIT(" text/plain"), "text/plain"},
	{"case", SLICE_INIT("Text/HTML; CharSet=UTF-8"),
	    "text/html|charset=UTF-8"},
	{"quoted", SLICE_INIT("multipart/mixed; boundary=\"a b\""),
	    "multipart/mixed|boundary=a b"},
	{"escaped", SLICE_INIT("a/b; x=\"q\\\"\\\\\\q;y=z\""),
	    "a/b|x=q\"\\q;y=z"},
	{"folded", SLICE_INIT(" a/b;\r\n\tx=y;\r\n z=\r\n w\r\n"),
	    "a/b|x=y|z=w"},
	{"folded quoted", SLICE_INIT("a/b; x=\"1\r\n 2\r\n\t3\""),
	    "a/b|x=1 2\t3"},
	{"folded by LF", SLICE_INIT("a/b;\n x=\"1\n 2\""), "a/b|x=1 2"},
	{"comments", SLICE_INIT("(a(b)\\)c) a (x) / (y;z=1) b (w) ; (v) x "
	    "(u) = (t) y (s)"), "a/b|x=y"},
	{"comment that does not end", SLICE_INIT("a/b; x=y (z; w=v"),
	    "a/b|x=y"},
	{"comment that ends in a backslash", SLICE_INIT("a/b (\\"), "a/b"},
	{"quote that does not end", SLICE_INIT("a/b; x=\"y; z=w"),
	    "a/b|x=y; z=w"},
	{"quote that ends in a backslash", SLICE_INIT("a/b; x=\"y\\"),
	    "a/b|x=y\\"},
	{"value with separators", SLICE_INIT("a/b; x=y/z:(w),=?<>@[]"),
	    "a/b|x=y/z:(w),=?<>@[]"},
	{"value with blanks", SLICE_INIT("a/b; name=my file.txt ; x=y"),
	    "a/b|name=my file.txt|x=y"},
	{"no semicolon", SLICE_INIT("text/plain charset=utf-8"),
	    "text/plain|charset=utf-8"},
	{"nor here", SLICE_INIT("a/b; x=y z=w; v=\"u\" t=s"),
	    "a/b|x=y|z=w|v=u|t=s"},
	{"behind a quote at once", SLICE_INIT("a/b; x=\"y\"z=w"),
	    "a/b|x=y|z=w"},
	{"junk behind a quote", SLICE_INIT("a/b; x=\"y\" junk; z=w"),
	    "a/b|x=y|z=w"},
	{"semicolons", SLICE_INIT("a/b;; ; x=y;;"), "a/b|x=y"},
	{"no value", SLICE_INIT("a/b; x; y=; z=\"\""), "a/b|y=|z="},
	{"no name", SLICE_INIT("a/b; =x; \"y\"; z=w"), "a/b|z=w"},
	{"twice", SLICE_INIT("a/b; x=1; X=2"), "a/b|x=1"},
	{"no subtype", SLICE_INIT("text; charset=x"), "/|charset=x"},
	{"no type", SLICE_INIT("/plain"), "/"},
	{"empty", SLICE_INIT(""), "/"},
	{"only blanks", SLICE_INIT(" \r\n\t"), "/"},
	{"8 bit", SLICE_INIT("a/b; name=\xe4; x=\"\xff\""),
	    "a/b|name=\xe4|x=\xff"},
	{"NUL, CR, LF in quotes", SLICE_INIT("a/b; x=\"1\0002\r3\n4\""),
	    "a/b|x=1 2 3 4"},
	{"continued", SLICE_INIT("a/b; x*0=ab; x*1=\"cd\"; x*2=ef"),
	    "a/b|x=abcdef@'"},
	{"in any order", SLICE_INIT("a/b; x*2=c; y=z; x*0=a; x*1=b"),
	    "a/b|y=z|x=abc@'"},
	{"with a gap", SLICE_INIT("a/b; x*0=a; x*2=c"), "a/b|x=a@'"},
	{"without a start", SLICE_INIT("a/b; x*1=a"), "a/b"},
	{"encoded", SLICE_INIT("a/b; x*=utf-8'en'%C3%A4%2b"),
	    "a/b|x=\xc3\xa4+@utf-8'en"},
	{"encoded and continued",
	    SLICE_INIT("a/b; x*0*=iso-8859-1''%e4; x*1=%41; x*2*=%42"),
	    "a/b|x=\xe4%41B@iso-8859-1'"},
	{"no charset", SLICE_INIT("a/b; x*=%41%4; y*='%42"),
	    "a/b|x=A%4@'|y='B@'"},
	{"encoded wins", SLICE_INIT("a/b; x=plain; x*=''%41"),
	    "a/b|x=A@'"},
	{"also when first", SLICE_INIT("a/b; x*=''%41; x=plain"),
	    "a/b|x=A@'"},
	{"stars", SLICE_INIT("a/b; *=1; x**=2; x*y=3; x*01=4; x*100=5"),
	    "a/b|*=1|x*=2@'|x*y=3|x*100=5"},
	{"number too large", SLICE_INIT("a/b; x*4294967296=y"),
	    "a/b|x*4294967296=y"},
};

static void
print(const struct content_type *t, struct buf *out)
{
	buf_reset(out);
	buf_addslice(out, t->type);
	buf_addc(out, '/');
	buf_addslice(out, t->subtype);
	for (size_t i = 0; i < t->nparams; i++) {
		const struct content_param *p = &t->params[i];

		buf_printf(out, "|%.*s=%.*s", SLICE_FMT(p->name),
		    SLICE_FMT(p->value));
		if (p->extended)
			buf_printf(out, "@%.*s'%.*s", SLICE_FMT(p->charset),
			    SLICE_FMT(p->language));
	}
}

START_TEST(table)
{
	static struct content_type t;
	struct buf out = BUF_INIT(10000);
	struct slice in = types[_i].in;
	/* Memory of its own: a look behind the end is seen. */
	char *own = mem_grow(NULL, in.len + 1, 1);

	own = mem_grow(own, in.len > 0 ? in.len : 1, 1);
	memcpy(own, in.p, in.len);
	content_type_parse(&t, slice_mem(own, in.len));
	free(own);
	print(&t, &out);
	ck_assert_msg(strcmp(out.s, types[_i].want) == 0, "%s: %s",
	    types[_i].name, out.s);
	/* Its start only, wherever that ends. */
	for (size_t n = 0; n < in.len; n++)
		content_type_parse(&t, slice_sub(in, 0, n));
	content_type_free(&t);
	buf_free(&out);
}
END_TEST

static const struct {
	const char *in, *want;
} dispositions[] = {
	{"attachment", "attachment/"},
	{" Inline ; filename=\"a b.txt\"", "inline/|filename=a b.txt"},
	{"attachment; filename=a; filename*=utf-8''%C3%A4",
	    "attachment/|filename=\xc3\xa4@utf-8'"},
	{"filename=x", "/|filename=x"},
	{"attachment filename=x", "attachment/|filename=x"},
	{"", "/"},
	{"(c) attachment (d); size=1", "attachment/|size=1"},
};

START_TEST(disposition)
{
	static struct content_type t;
	struct buf out = BUF_INIT(10000);

	content_type_disposition(&t, slice_of(dispositions[_i].in));
	print(&t, &out);
	ck_assert_str_eq(out.s, dispositions[_i].want);
	content_type_free(&t);
	buf_free(&out);
}
END_TEST

static const struct {
	struct slice in;
	enum content_encoding want;
} encodings[] = {
	{SLICE_INIT(""), ENCODING_NONE},
	{SLICE_INIT(" \r\n (7bit)"), ENCODING_NONE},
	{SLICE_INIT(" 7bit"), ENCODING_7BIT},
	{SLICE_INIT("8BIT"), ENCODING_8BIT},
	{SLICE_INIT("Binary\r\n"), ENCODING_BINARY},
	{SLICE_INIT("\r\n base64"), ENCODING_BASE64},
	{SLICE_INIT("(a) BASE64 (b)"), ENCODING_BASE64},
	{SLICE_INIT("quoted-printable;"), ENCODING_QP},
	{SLICE_INIT("\"base64\""), ENCODING_BASE64},
	{SLICE_INIT("x-uuencode"), ENCODING_UUENCODE},
	{SLICE_INIT("7 bit"), ENCODING_OTHER},
	{SLICE_INIT("8-bit"), ENCODING_OTHER},
	{SLICE_INIT("base64x"), ENCODING_OTHER},
	{SLICE_INIT("base64\0"), ENCODING_BASE64},
	{SLICE_INIT("utf-8"), ENCODING_OTHER},
	{SLICE_INIT(";base64"), ENCODING_OTHER},
};

START_TEST(encoding)
{
	enum content_encoding e = content_type_encoding(encodings[_i].in);

	ck_assert_int_eq(e, encodings[_i].want);
	if (e != ENCODING_NONE && e != ENCODING_OTHER)
		ck_assert_int_eq(content_type_encoding(slice_of(
		    content_type_encoding_name(e))), e);
}
END_TEST

/* More of anything than is looked at; no time is lost over it. */
START_TEST(limits)
{
	static struct content_type t;
	static const char *const parts[] = {"; a*1=b", "(", " a", "\"", "a",
	    ";", "; a=b", "=", "; x*0*=%41", "\\", " a=", "/"};
	struct buf in = BUF_INIT(2 * CONTENT_VALUE_MAX);

	buf_adds(&in, "text/plain");
	while (in.len < CONTENT_VALUE_MAX + 1000)
		buf_adds(&in, parts[_i]);
	content_type_parse(&t, buf_slice(&in));
	ck_assert(content_type_is(&t, "text", NULL) || t.type.len == 0);
	ck_assert_uint_le(t.nparams, CONTENT_PARAMS_MAX);
	ck_assert(!t.text.overflow);
	content_type_disposition(&t, buf_slice(&in));
	ck_assert(!t.text.overflow);
	content_type_free(&t);
	content_type_free(&t);
	buf_free(&in);
}
END_TEST

START_TEST(look_up)
{
	static struct content_type t;

	content_type_parse(&t, SLICE("Text/Plain; CHARSET=x"));
	ck_assert(content_type_is(&t, "text", "plain"));
	ck_assert(content_type_is(&t, "text", NULL));
	ck_assert(!content_type_is(&t, "text", "html"));
	ck_assert(!content_type_is(&t, "texts", NULL));
	ck_assert_ptr_nonnull(content_type_param(&t, "charset"));
	ck_assert_ptr_null(content_type_param(&t, "boundary"));
	content_type_free(&t);
}
END_TEST

Suite *
mime_type_suite(void)
{
	Suite *s = suite_create("mime_type");
	TCase *t = tcase_create("mime_type");

	tcase_add_loop_test(t, table, 0, N(types));
	tcase_add_loop_test(t, disposition, 0, N(dispositions));
	tcase_add_loop_test(t, encoding, 0, N(encodings));
	tcase_add_loop_test(t, limits, 0, 12);
	tcase_add_test(t, look_up);
	suite_add_tcase(s, t);
	return s;
}
