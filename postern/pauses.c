/*
 * The list of paused destinations, read for `explain` and `queue dest`, and
 * changed while qmgr is stopped.  Runs as user_queue; the file is the admin's
 * or qmgr's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/status.h"
#include "postern/pauses.h"

#define FILE_NAME "paused"
#define FRESH_NAME "paused.new"
#define FILE_MAX (1024 * 1024)

static bool
read_text(int fd, struct buf *out)
{
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0 ||
	    (n < 0 && errno == EINTR))
		buf_add(out, part, n > 0 ? (size_t)n : 0);
	if (out->overflow)
		errno = EFBIG;
	return n == 0 && !out->overflow;
}

static void
parse(struct pauses *p)
{
	struct slice text = buf_slice(&p->text), line;

	while (slice_cut(&text, '\n', &line)) {
		struct pause one = {.reason = SLICE("no reason given")};

		line = slice_trim(line);
		if (line.len == 0 || line.p[0] == '#' ||
		    !slice_cut(&line, '\t', &one.name))
			continue;
		one.name = slice_trim(one.name);
		if (line.p != NULL && slice_trim(line).len > 0)
			one.reason = slice_trim(line);
		MEM_PUSH(p->v, p->n, p->cap, one);
	}
}

bool
pauses_load(int queue_fd, struct pauses *p)
{
	int fd = openat(queue_fd, FILE_NAME, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool good;

	*p = (struct pauses){.text = BUF_INIT(FILE_MAX)};
	if (fd == -1)
		return errno == ENOENT;
	good = read_text(fd, &p->text);
	close(fd);
	if (good)
		parse(p);
	return good;
}

const struct pause *
pauses_find(const struct pauses *p, struct slice name)
{
	for (size_t i = 0; i < p->n; i++)
		if (slice_ieq(p->v[i].name, name))
			return &p->v[i];
	return NULL;
}

bool
pauses_name_valid(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.len > 0 && s.p[0] != '#' && slice_trim(s).len == s.len;
}

static void
put(struct buf *out, struct slice name, struct slice reason)
{
	reason = slice_sub(reason, 0, STATUS_TEXT_MAX);
	buf_addslice(out, name);
	buf_addc(out, '\t');
	/* No octet that could be a tab or the end of a line. */
	for (size_t i = 0; i < reason.len; i++)
		buf_addc(out, (unsigned char)reason.p[i] < ' ' ||
		    reason.p[i] == 0x7f ? '?' : reason.p[i]);
	buf_addc(out, '\n');
}

static bool
write_text(int queue_fd, struct slice text)
{
	int fd = openat(queue_fd, FRESH_NAME, O_WRONLY | O_CREAT | O_TRUNC |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t n = 0;
	bool good;

	if (fd == -1)
		return false;
	while (text.len > 0 && (n >= 0 || errno == EINTR)) {
		n = write(fd, text.p, text.len);
		if (n > 0)
			text = slice_sub(text, (size_t)n, text.len);
	}
	good = text.len == 0 && fsync(fd) == 0;
	close(fd);
	return good && renameat(queue_fd, FRESH_NAME, queue_fd, FILE_NAME) ==
	    0 && fsync(queue_fd) == 0;
}

bool
pauses_change(int queue_fd, const struct pauses *p, struct slice name,
    const char *reason)
{
	struct buf text = BUF_INIT(FILE_MAX);
	bool good;

	for (size_t i = 0; i < p->n; i++)
		if (!slice_ieq(p->v[i].name, name))
			put(&text, p->v[i].name, p->v[i].reason);
	if (reason != NULL)
		put(&text, name, slice_of(reason));
	errno = EFBIG;
	good = !text.overflow && write_text(queue_fd, buf_slice(&text));
	buf_free(&text);
	return good;
}

void
pauses_free(struct pauses *p)
{
	buf_free(&p->text);
	free(p->v);
	p->v = NULL;
	p->n = p->cap = 0;
}
