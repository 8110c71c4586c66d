/*
 * Fuzz entry of common/mime/words, content_type and structure: decoded text is
 * UTF-8 on one line, parameters lie in what they were read from, a description
 * that loads hangs together and is the same when it is kept again.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mime/charset.h"
#include "common/mime/content_type.h"
#include "common/mime/structure.h"
#include "common/mime/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 3629 4 */
static void
check_utf8(struct slice s)
{
	for (size_t i = 0; i < s.len;) {
		unsigned c = (unsigned char)s.p[i++];
		size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		uint32_t value = more == 0 ? c : c & (0x3fu >> more);

		assert(c != 0 && c != '\r' && c != '\n');
		assert(c < 0x80 || (c >= 0xc2 && c < 0xf5));
		assert(more <= s.len - i);
		for (; more > 0; more--) {
			assert(((unsigned char)s.p[i] & 0xc0) == 0x80);
			value = value << 6 | ((unsigned char)s.p[i++] & 0x3f);
		}
		assert(value < 0x110000 && (value < 0xd800 || value > 0xdfff));
	}
}

static void
check_params(struct charsets *cs, const struct content_type *t)
{
	struct buf out = BUF_INIT(1u << 24);

	assert(!t->text.overflow && t->nparams <= CONTENT_PARAMS_MAX);
	for (size_t i = 0; i < t->nparams; i++) {
		const struct content_param *p = &t->params[i];

		assert(p->name.len > 0);
		assert(p->value.len == 0 || (p->value.p >= t->text.s &&
		    p->value.p + p->value.len <= t->text.s + t->text.len));
		buf_reset(&out);
		words_param(cs, p, &out);
		check_utf8(buf_slice(&out));
	}
	buf_free(&out);
}

static void
check_structure(struct slice in)
{
	struct structure *s = structure_load(in), *again;
	struct buf a = BUF_INIT(1u << 24), b = BUF_INIT(1u << 24);

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->nparts; i++) {
		assert(i == 0 || s->parts[i].parent < i);
		assert(s->parts[i].next == 0 || s->parts[i].next > i);
	}
	structure_save(s, &a);
	again = structure_load(buf_slice(&a));
	assert(again != NULL && again->nparts == s->nparts);
	structure_save(again, &b);
	assert(slice_eq(buf_slice(&a), buf_slice(&b)));
	structure_free(&s);
	structure_free(&again);
	buf_free(&a);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct charsets *cs;
	static struct content_type t;
	struct slice in = slice_mem(data, size);
	struct buf out = BUF_INIT(1u << 24);

	if (cs == NULL)
		cs = charsets_new();
	words_decode(cs, in, &out);
	check_utf8(buf_slice(&out));
	buf_free(&out);
	content_type_parse(&t, in);
	check_params(cs, &t);
	content_type_disposition(&t, in);
	check_params(cs, &t);
	content_type_encoding(in);
	check_structure(in);
	return 0;
}
