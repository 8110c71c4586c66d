/* Lines of log files, as postern trace reads them. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "postern/logline.h"
#include "postern/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_line(struct slice line)
{
	struct buf value = BUF_INIT(4096);
	struct slice rest, key;
	struct logline l;
	size_t total = 0;

	if (logline_parse(line, INT64_C(1795375251000), &l)) {
		assert(l.program.len > 0 && l.verb.len > 0);
		assert(l.verb.p >= line.p && l.verb.p < line.p + line.len);
		assert(l.fields.len <= line.len);
		rest = l.fields;
		while (logline_field(&rest, &key, &value)) {
			assert(key.len > 0 && key.p >= l.fields.p);
			assert(rest.len < l.fields.len);
			total += key.len + value.len;
		}
		assert(total <= line.len);
		(void)match_pattern(l.fields, l.verb);
	}
	buf_free(&value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_mem(data, size), line;

	while (slice_cut(&rest, '\n', &line))
		read_line(line);
	return 0;
}
