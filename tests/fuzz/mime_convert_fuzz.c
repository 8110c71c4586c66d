/*
 * Fuzz entry of common/mime/convert: what comes out can be carried, every part
 * decodes to what went in, the pieces it comes in make no difference, and what
 * was converted needs no conversion.
 */
#include <stdint.h>

#include "tests/fuzz/mime_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fail(const char *what, struct slice a, struct slice b)
{
	fprintf(stderr, "%s\n---\n%.*s\n---\n%.*s\n---\n", what, SLICE_FMT(a),
	    SLICE_FMT(b));
	abort();
}

static void
check_look(struct slice in)
{
	struct convert_look whole = {0}, pieces = {0};

	convert_look(&whole, in.p, in.len);
	for (size_t i = 0; i < in.len; i++)
		convert_look(&pieces, in.p + i, 1);
	if (whole.eight_bit != pieces.eight_bit ||
	    whole.header_8bit != pieces.header_8bit ||
	    whole.binary != pieces.binary)
		fail("convert_look depends on pieces", in, SLICE_EMPTY);
}

static void
check_one(struct slice in, enum convert_to to, size_t step)
{
	bool header_8bit, again_8bit, odd;
	struct buf out = check_convert(in, to, 0, &header_8bit);
	struct buf pieces = check_convert(in, to, step, NULL);
	struct buf again = check_convert(buf_slice(&out), to, 0, &again_8bit);
	const char *wrong = check_converted(in, buf_slice(&out), to,
	    header_8bit, &odd);

	if (wrong != NULL)
		fail(wrong, in, buf_slice(&out));
	if (!slice_eq(buf_slice(&out), buf_slice(&pieces)))
		fail("pieces make a difference", buf_slice(&out),
		    buf_slice(&pieces));
	if (!odd && (!slice_eq(buf_slice(&out), buf_slice(&again)) ||
	    header_8bit != again_8bit))
		fail("twice is not once", buf_slice(&out), buf_slice(&again));
	buf_free(&out);
	buf_free(&pieces);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	size_t step = size > 0 ? data[0] % 29 + 1 : 1;

	check_look(in);
	check_one(in, CONVERT_7BIT, step);
	check_one(in, CONVERT_8BIT, step);
	return 0;
}
