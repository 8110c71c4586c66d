/*
 * A file of figures.  The first octet chooses: 'R', what follows is a file as
 * it stands; anything else, what follows are the lines of its text, to which the
 * right sum and room for values are added.
 */
#include <sys/mman.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/sys/stats_file.h"

#define VALUES_AT 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
add_sum(struct buf *text)
{
	uint32_t h = UINT32_C(2166136261);

	for (size_t i = 0; i < text->len; i++)
		h = (h ^ (unsigned char)text->s[i]) * UINT32_C(16777619);
	buf_printf(text, "end %08x\n", (unsigned)h);
}

static void
look(const struct stats_file *f)
{
	assert(stats_program_valid(f->program));
	assert(f->nvalues >= STATS_SLOTS_FIXED);
	for (size_t i = 0; i < f->n; i++) {
		const struct stats_entry *e = &f->v[i];

		assert(stats_name_valid(e->kind, e->name));
		assert(e->slot + stats_slots(e->kind, f->bounds) <=
		    f->nvalues);
		assert(stats_family(e->kind, e->name).len > 0);
		assert(stats_labels(e->name).len < e->name.len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT((size_t)1 << 24);
	struct stats_file f;
	const char *why;
	int fd;

	if (size < 1)
		return 0;
	if (data[0] != 'R')
		buf_adds(&text, "postern-stats 1\n");
	buf_add(&text, data + 1, size - 1);
	if (data[0] != 'R')
		add_sum(&text);
	fd = memfd_create("stats", MFD_CLOEXEC);
	assert(fd >= 0);
	assert(write(fd, text.s, text.len) == (ssize_t)text.len);
	if (data[0] != 'R')
		assert(ftruncate(fd, VALUES_AT + 8 * STATS_SLOTS_MAX) == 0);
	if (stats_file_read(fd, &f, &why) == STATS_FILE_OK) {
		look(&f);
		stats_file_free(&f);
	}
	close(fd);
	buf_free(&text);
	return 0;
}
