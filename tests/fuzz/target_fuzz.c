/*
 * Fuzz entry of common/mail/target: the list is always cut to its end, targets
 * lie within it, and words never contain more than the command line did.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_words(struct slice command)
{
	struct buf out = BUF_INIT(2 * command.len + 1);
	int n = target_words(command, &out, 100);
	int ends = 0;

	for (size_t i = 0; i < out.len; i++)
		ends += out.s[i] == '\0';
	assert(n <= 100 && (n < 0 || n == ends));
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_mem(data, size), rest = s;
	struct target t;
	const char *why = NULL;
	size_t before;
	int r;

	for (;;) {
		before = rest.len;
		if ((r = target_next(&rest, &t, &why)) == 0)
			break;
		assert(rest.len < before);
		if (r < 0) {
			assert(why != NULL);
			continue;
		}
		assert(t.text.p >= s.p &&
		    t.text.p + t.text.len <= s.p + s.len);
		assert(t.text.len > 0);
		if (t.kind == TARGET_PROGRAM)
			check_words(t.text);
	}
	assert(rest.len == 0);
	check_words(s);
	return 0;
}
