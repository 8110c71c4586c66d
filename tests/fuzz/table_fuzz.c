/*
 * Tables: the first octet chooses the kind, the rest is the text.  It is
 * compiled, and each entry must be found again in the cdb.  Then the whole
 * input as a cdb.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/table.h"
#include "common/conf/table_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the cdb goes; the same for all inputs of a run. */
static char dir[64];
static int dirfd_ = -1;

static void
clean(void)
{
	close(dirfd_);
	rmdir(dir);
}

static void
prepare(void)
{
	snprintf(dir, sizeof(dir), "/tmp/table-fuzz.XXXXXX");
	if (mkdtemp(dir) == NULL)
		abort();
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd_ == -1)
		abort();
	atexit(clean);
}

static bool
find_again(void *arg, const struct table_entry *e)
{
	struct slice value;

	if (table_get(arg, e->key, &value) != TABLE_FOUND ||
	    !slice_eq(value, e->value))
		abort();
	return true;
}

static bool
format_again(void *arg, struct slice key, struct slice value)
{
	struct buf line = BUF_INIT(TABLE_VALUE_MAX);
	struct table_user u, again;
	const char *why;

	(void)arg;
	(void)key;
	if (!table_user_parse(value, &u, &why))
		abort();
	if (!table_user_format(&u, &line) ||
	    !table_user_parse(buf_slice(&line), &again, &why) ||
	    !slice_eq(u.password, again.password))
		abort();
	buf_free(&line);
	return true;
}

static bool
ignore(void *arg, struct slice key, struct slice value)
{
	(void)arg;
	(void)key;
	(void)value;
	return true;
}

static int
create(const char *name)
{
	int fd;

	(void)unlinkat(dirfd_, name, 0);
	fd = openat(dirfd_, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		abort();
	return fd;
}

static void
try_text(enum table_kind kind, const char *name, struct slice text)
{
	struct buf errors = BUF_INIT(65536);
	int fd = create(name);
	struct table *t;
	bool ok = table_write(fd, kind, text, "text", &errors);

	close(fd);
	if (ok != (errors.len == 0))
		abort();
	if (ok) {
		t = table_open(dirfd_, dir, kind, 0);
		table_text_each(kind, text, "text", &errors, find_again, t);
		if (kind == TABLE_USERS)
			table_each(t, format_again, NULL);
		table_close(&t);
	}
	buf_free(&errors);
}

static void
try_cdb(enum table_kind kind, const char *name, struct slice octets)
{
	int fd = create(name);
	struct slice value;
	struct table *t;

	if (write(fd, octets.p, octets.len) != (ssize_t)octets.len)
		abort();
	close(fd);
	t = table_open(dirfd_, dir, kind, 0);
	(void)table_get(t, SLICE("ann@example.org"), &value);
	(void)table_each(t, ignore, NULL);
	table_close(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum table_kind kind;
	char name[32];

	if (dirfd_ == -1)
		prepare();
	if (size == 0)
		return 0;
	kind = (enum table_kind)(data[0] % 3);
	snprintf(name, sizeof(name), "%s.cdb", table_name(kind));
	try_text(kind, name, slice_mem(data + 1, size - 1));
	try_cdb(kind, name, slice_mem(data + 1, size - 1));
	(void)unlinkat(dirfd_, name, 0);
	return 0;
}
