/*
 * Fills a queue with messages that wait for a host that is not there, for
 * measurements.  Not installed.
 *
 *	fillqueue DIR COUNT DOMAIN WAIT_S
 *
 * DIR: queue_dir/deferred.  Each message has one recipient at DOMAIN, one
 * attempt behind it and its next try WAIT_S seconds from now or up to an hour
 * later.  Nothing is synced.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/mail/id.h"
#include "common/mail/qfile.h"

#define SPREAD_MS 3600000

static void
make(int dir, const char *domain, int64_t born_ms, int64_t next_ms,
    unsigned number)
{
	const struct slice content = SLICE("Subject: waiting\r\n"
	    "\r\nIt waits.\r\n");
	struct mail_id id = id_new(born_ms);
	struct buf address = BUF_INIT(300), out = BUF_INIT(65536);
	struct env_recipient rcpt = {.orcpt = SLICE_EMPTY};
	struct envelope env = {.id = slice_of(id.s),
	    .from = SLICE("load@load.example"), .recipients = {&rcpt, 1}};
	struct status st = {451, 4, 1, "Connection refused"};
	struct qattempt try = {1, born_ms, next_ms, "deferred",
	    SLICE("127.0.0.1"), &st, "retry-max", false};
	char why[STATUS_TEXT_MAX];
	struct qfile *q;
	size_t at;
	int fd;

	buf_printf(&address, "user%u@%s", number, domain);
	rcpt.address = buf_slice(&address);
	qfile_envelope(&env, born_ms, &out, &at);
	qfile_content_field(out.len, content.len, out.s + at);
	/* The trailer's sums are over the envelope's text alone. */
	struct buf head = BUF_INIT(65536);

	buf_addslice(&head, buf_slice(&out));
	buf_addslice(&out, content);
	qfile_trailer(buf_slice(&head), &env, NULL, 0,
	    qfile_sum(0, content.p, content.len), content.len, &out);
	fd = openat(dir, id.s, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || out.overflow ||
	    write(fd, out.s, out.len) != (ssize_t)out.len)
		err(111, "%s", id.s);
	if (qfile_adopt(fd, false, &q, why) != QFILE_OK)
		errx(111, "%s: %s", id.s, why);
	if (qfile_add_attempts(q, &try, 1) != 0 ||
	    qfile_set_hint(q, next_ms) != 0)
		err(111, "%s", id.s);
	qfile_free(&q);
	buf_free(&head);
	buf_free(&out);
	buf_free(&address);
}

int
main(int argc, char *argv[])
{
	int64_t now = clock_real_ms();
	unsigned count, i;
	int dir;

	if (argc != 5)
		errx(100, "usage: fillqueue DIR COUNT DOMAIN WAIT_S");
	dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		err(100, "%s", argv[1]);
	count = (unsigned)strtoul(argv[2], NULL, 10);
	for (i = 0; i < count; i++)
		make(dir, argv[3], now - 3600000 + i % 60000, now +
		    strtol(argv[4], NULL, 10) * 1000 +
		    (int64_t)(i * UINT64_C(7919) % SPREAD_MS), i);
	return 0;
}
