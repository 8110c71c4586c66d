/*
 * Makes, works on and checks queue files, for the fault loops: small steps
 * whose promises can be seen from outside.  Not installed.
 *
 *	queuefile write DIR ordered|strict|hidden
 *		two messages, one commit; "250 ID" for each that is durable
 *		(hidden: strict and with temporary names instead of nameless
 *		files)
 *	queuefile work DIR
 *		of each file: recipient 2 is replaced by two others, who are
 *		tried; "expanded ID", "done ID NUMBER" and "held ID" after the
 *		sync that makes it true
 *	queuefile check DIR
 *		"ID ok STATES ATTEMPTS HOLD" or "ID corrupt WHY" or "ID error
 *		WHY" for each file
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/durable.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"

#define BORN INT64_C(1764000000123)
#define LARGE 70000

static int
put_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0)
			return -1;
		s = slice_sub(s, (size_t)n, s.len);
	}
	return 0;
}

/* As queued does it: a small one at once, a large one with its content's field
 * filled in last. */
static int
put_message(struct durable *d, const char *id, struct slice content)
{
	struct env_recipient rcpts[] = {
		{SLICE("ann@example.org"), SLICE_EMPTY, 0},
		{SLICE("team@example.org"), SLICE_EMPTY, 0}};
	struct envelope env = {.id = slice_of(id),
		.from = SLICE("sender@example.net"), .prepend =
		    SLICE("Received: here\r\n"), .recipients = {rcpts, 2}};
	struct buf out = BUF_INIT(1 << 20), trailer = BUF_INIT(1 << 20);
	bool small = content.len < LARGE;
	size_t at;
	int r;

	qfile_envelope(&env, BORN, &out, &at);
	r = small ? 0 : put_all(d->fd, buf_slice(&out));
	qfile_content_field(out.len, content.len, out.s + at);
	qfile_trailer(buf_slice(&out), &env, NULL, 0,
	    qfile_sum(0, content.p, content.len), content.len, &trailer);
	if (r == 0 && small)
		r = put_all(d->fd, buf_slice(&out));
	if (r == 0)
		r = put_all(d->fd, content);
	if (r == 0)
		r = put_all(d->fd, buf_slice(&trailer));
	if (r == 0 && !small && pwrite(d->fd, out.s + at, QFILE_CONTENT_WIDTH,
	    (off_t)at) != QFILE_CONTENT_WIDTH)
		r = -1;
	buf_free(&out);
	buf_free(&trailer);
	return r;
}

static void
write_two(int dirfd, enum durable_mode mode)
{
	struct mail_id id[2] = {id_new(BORN), id_new(BORN + 1)};
	char *large = mem_alloc(LARGE);
	const struct slice content[2] = {SLICE("Subject: small\r\n\r\nx\r\n"),
		slice_mem(large, LARGE)};
	struct durable d[2];
	bool good[2];

	for (int i = 0; i < 2; i++)
		good[i] = durable_open(&d[i], dirfd, 0600) == 0 &&
		    put_message(&d[i], id[i].s, content[i]) == 0 &&
		    durable_start(&d[i], mode) == 0;
	for (int i = 0; i < 2; i++)
		good[i] = good[i] && durable_flush(&d[i], mode) == 0 &&
		    durable_link(&d[i], id[i].s) == 0;
	for (int i = 0; i < 2; i++) {
		good[i] = good[i] && durable_sync(&d[i], mode) == 0;
		durable_drop(&d[i], !good[i] && d[i].linked ? id[i].s : NULL);
		if (good[i])
			dprintf(STDOUT_FILENO, "250 %s\n", id[i].s);
	}
	free(large);
}

static bool
attempt(struct qfile *q, size_t i)
{
	struct status st = {451, 2, 0, "Try later"};
	struct qattempt a = {qfile_rcpt(q, i)->number, BORN + 5, BORN + 60005,
		"deferred", SLICE("mx.example"), &st, "first", false};

	return qfile_add_attempts(q, &a, 1) == 0;
}

static bool
work_on(const char *id, struct qfile *q)
{
	static const struct qexpansion v[] = {
		{{"bob@example.org", 15}, 1, {"", 0}, {"", 0}, false},
		{{"carl@example.org", 16}, 1, {"", 0}, {"", 0}, false}};

	if (qfile_rcpt(q, 1)->state != QSTATE_EXPANDED &&
	    qfile_add_expansion(q, 1, v, 2) != 0)
		return false;
	if (qfile_sync(q) != 0)
		return false;
	dprintf(STDOUT_FILENO, "expanded %s\n", id);
	for (size_t i = 2; i < 4; i++) {
		if (qfile_rcpt(q, i)->state == QSTATE_DONE)
			continue;
		if (!attempt(q, i) ||
		    qfile_set_state(q, i, QSTATE_DONE) != 0 ||
		    qfile_sync(q) != 0)
			return false;
		dprintf(STDOUT_FILENO, "done %s %zu\n", id, i);
	}
	if (qfile_add_note(q, "hold", SLICE("by hand"), BORN + 9) != 0 ||
	    qfile_set_hint(q, BORN + 60005) != 0 || qfile_sync(q) != 0)
		return false;
	dprintf(STDOUT_FILENO, "held %s\n", id);
	return true;
}

static void
show(const char *id, struct qfile *q)
{
	struct slice hold = qfile_hold_reason(q);
	uint32_t attempts = 0;

	dprintf(STDOUT_FILENO, "%s ok ", id);
	for (size_t i = 0; i < qfile_nrcpts(q); i++) {
		attempts += qfile_rcpt(q, i)->attempts;
		dprintf(STDOUT_FILENO, "%c", qfile_rcpt(q, i)->state);
	}
	dprintf(STDOUT_FILENO, " %u %.*s\n", (unsigned)attempts,
	    SLICE_FMT(hold));
}

/* Each file of the directory; false if any step of the work failed. */
static bool
each(int dirfd, bool work)
{
	DIR *d = fdopendir(dup(dirfd));
	bool good = true;
	struct dirent *e;

	if (d == NULL)
		die_errno(EXIT_TEMPORARY, "cannot read the directory");
	while ((e = readdir(d)) != NULL) {
		char why[STATUS_TEXT_MAX] = "";
		struct qfile *q = NULL;
		enum qfile_result r;

		if (e->d_name[0] == '.')
			continue;
		r = qfile_open(dirfd, e->d_name, work, !work, &q, why);
		if (r == QFILE_OK && !work)
			show(e->d_name, q);
		else if (r == QFILE_OK)
			good = work_on(e->d_name, q) && good;
		else
			dprintf(STDOUT_FILENO, "%s %s %s\n", e->d_name,
			    r == QFILE_ERROR ? "error" : "corrupt", why);
		good = good && r == QFILE_OK;
		qfile_free(&q);
	}
	closedir(d);
	return good;
}

int
main(int argc, char *argv[])
{
	const char *how = argc > 3 ? argv[3] : "";
	int dirfd;

	log_open("queuefile");
	if (argc < 3)
		die(EXIT_PERMANENT, "usage: queuefile write|work|check DIR");
	dirfd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		die_errno(EXIT_TEMPORARY, "cannot open %s", argv[2]);
	if (strcmp(argv[1], "write") != 0)
		return each(dirfd, strcmp(argv[1], "work") == 0) ? 0
		    : EXIT_TEMPORARY;
	if (strcmp(how, "hidden") != 0)
		durable_init();
	write_two(dirfd, strcmp(how, "ordered") == 0 ? DURABLE_ORDERED
	    : DURABLE_STRICT);
	return 0;
}
