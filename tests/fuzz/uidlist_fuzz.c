/*
 * Fuzz entry of common/mail/uidlist: whatever the file holds, what is read from
 * it is in order and found again, a new message gets a UID above all others,
 * and reading what was written gives the same list.
 */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/mail/uidlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/uidlist_fuzz.XXXXXX";
static int dirfd = -1;

static void
remove_dir(void)
{
	unlinkat(dirfd, "dovecot-uidlist", 0);
	unlinkat(dirfd, "dovecot-uidlist.broken", 0);
	rmdir(dir);
}

static void
prepare(const uint8_t *data, size_t size)
{
	int fd;

	if (dirfd < 0) {
		if (mkdtemp(dir) == NULL)
			abort();
		dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		atexit(remove_dir);
	}
	fd = openat(dirfd, "dovecot-uidlist", O_WRONLY | O_CREAT | O_TRUNC,
	    0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void
check(const struct uidlist *l, struct buf *text)
{
	uint32_t last = 0;

	for (size_t i = 0; i < uidlist_count(l); i++) {
		const struct uidlist_entry *e = uidlist_at(l, i);

		assert(e->uid > last && e->uid < uidlist_next(l));
		assert(uidlist_find(l, e->base) == e);
		last = e->uid;
		buf_printf(text, "%u ", e->uid);
		buf_addslice(text, e->base);
		uidlist_uidl(l, e, text);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bases[] = {SLICE("new-message"), SLICE("a")};
	struct buf before = BUF_INIT(1 << 24), after = BUF_INIT(1 << 24);
	struct uidlist *l, *again;
	bool known;

	prepare(data, size);
	if (uidlist_read(dirfd, &l) != UIDLIST_OK)
		return 0;
	check(l, &before);
	buf_reset(&before);
	known = uidlist_find(l, bases[0]) != NULL;
	if (uidlist_assign(dirfd, l, bases, 2, clock_mono_ms() + 1000) ==
	    UIDLIST_OK) {
		assert(known || uidlist_find(l, bases[0])->uid ==
		    uidlist_next(l) - 2 || uidlist_find(l, bases[0])->uid ==
		    uidlist_next(l) - 1);
		assert(uidlist_read(dirfd, &again) == UIDLIST_OK);
		check(l, &before);
		check(again, &after);
		assert(slice_eq(buf_slice(&before), buf_slice(&after)));
		assert(uidlist_next(l) == uidlist_next(again));
		uidlist_free(&again);
	}
	uidlist_free(&l);
	buf_free(&before);
	buf_free(&after);
	return 0;
}
