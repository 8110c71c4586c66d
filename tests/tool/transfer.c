/*
 * Drives remote over the contract "transfer", in qmgr's place.  Not installed.
 *
 *	transfer SOCKET
 *
 * says "ready CAPACITY", then reads lines of words separated by blanks, with
 * %XX for octets that are none:
 *
 *	make PATH ID FLAGS CONTENT-FILE
 *		a queue file with that content
 *	job NUMBER PATH ID SENDER FLAGS ENVID BY-AT-MS DOMAIN ROUTE RCPT...
 *		RCPT is NUMBER,NOTIFY,ORCPT,ADDRESS; an empty word is "-"
 *
 * and prints for each job that is done
 *
 *	done NUMBER DEST HOST
 *	rcpt NUMBER CODE SUBJECT DETAIL OWN RELAYED TEXT
 *	end NUMBER
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/io/chan.h"
#include "common/mail/qfile.h"
#include "common/proto/transfer.h"

#define BORN INT64_C(1764000000123)
#define LINE_MAX_OCTETS (8u * 1024 * 1024)
#define IMAGE_MAX (1024ul * 1024 * 1024)

static struct chan *remote;

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	    : c >= 'A' && c <= 'F'  ? c - 'A' + 10
	                            : -1;
}

/* In place: what it stands for. */
static struct slice
decode(char *s)
{
	char *from = s, *to = s;

	if (strcmp(s, "-") == 0)
		return SLICE_EMPTY;
	for (; *from != '\0'; from++) {
		if (*from == '%' && hex(from[1]) >= 0 && hex(from[2]) >= 0) {
			*to++ = (char)(hex(from[1]) << 4 | hex(from[2]));
			from += 2;
		} else
			*to++ = *from;
	}
	return slice_mem(s, (size_t)(to - s));
}

static void
encode(struct slice s)
{
	if (s.len == 0)
		putchar('-');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c >= 0x7f || c == '%' ||
		    (c == '-' && s.len == 1))
			printf("%%%02X", c);
		else
			putchar(c);
	}
}

static uint64_t
number(const char *s)
{
	uint64_t n;

	if (!num_u64(slice_of(s), 0, UINT64_MAX, &n))
		die(EXIT_PERMANENT, "no number: %s", s);
	return n;
}

static char *
word(char **rest)
{
	char *w = strsep(rest, " ");

	if (w == NULL)
		die(EXIT_PERMANENT, "a word is missing");
	return w;
}

/* ---- make ---- */

static void
write_file(const char *path, struct slice s)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die_errno(EXIT_TEMPORARY, "%s", path);
	while (s.len > 0) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0)
			die_errno(EXIT_TEMPORARY, "%s", path);
		s = slice_sub(s, (size_t)n, s.len);
	}
	close(fd);
}

static struct buf
read_file(const char *path)
{
	struct buf out = BUF_INIT(IMAGE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *p;
	ssize_t n;

	if (fd < 0)
		die_errno(EXIT_TEMPORARY, "%s", path);
	while ((p = buf_room(&out, 65536)) != NULL &&
	    (n = read(fd, p, 65536)) > 0)
		buf_wrote(&out, (size_t)n);
	close(fd);
	return out;
}

static void
make(char *rest)
{
	char *path = word(&rest);
	struct slice id = decode(word(&rest));
	uint32_t flags = (uint32_t)number(word(&rest));
	struct buf content = read_file(word(&rest));
	struct env_recipient rcpt = {SLICE("ann@example.org"), SLICE_EMPTY, 0};
	struct envelope env = {.id = id, .from = SLICE("s@example.net"),
	    .flags = flags, .recipients = {&rcpt, 1}};
	struct buf text = BUF_INIT(1 << 20), image = BUF_INIT(IMAGE_MAX);
	size_t at;

	qfile_envelope(&env, BORN, &text, &at);
	qfile_content_field(text.len, content.len, text.s + at);
	buf_addslice(&image, buf_slice(&text));
	buf_addslice(&image, buf_slice(&content));
	qfile_trailer(buf_slice(&text), &env, NULL, 0,
	    qfile_sum(0, content.s, content.len), content.len, &image);
	if (text.overflow || image.overflow)
		die(EXIT_PERMANENT, "cannot be written as a queue file");
	write_file(path, buf_slice(&image));
	buf_free(&content);
	buf_free(&text);
	buf_free(&image);
	printf("made\n");
}

/* ---- job ---- */

static void
job(char *rest)
{
	struct transfer_rcpt *v = NULL;
	size_t n = 0, cap = 0;
	struct transfer_job j = {.job = number(word(&rest))};
	const char *path = word(&rest);
	int fd;

	j.id = decode(word(&rest));
	j.sender = decode(word(&rest));
	j.flags = (uint32_t)number(word(&rest));
	j.envid = decode(word(&rest));
	j.by_at_ms = number(word(&rest));
	j.domain = decode(word(&rest));
	j.route = decode(word(&rest));
	while (rest != NULL) {
		char *w = word(&rest);
		struct transfer_rcpt r;

		r.number = (uint32_t)number(strsep(&w, ","));
		r.notify = (uint32_t)number(strsep(&w, ","));
		r.orcpt = decode(strsep(&w, ","));
		r.address = decode(w);
		MEM_PUSH(v, n, cap, r);
	}
	j.recipients = (struct chan_list){v, n};
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die_errno(EXIT_TEMPORARY, "%s", path);
	chan_send_fds(remote, TRANSFER_JOB, &j, &fd, 1);
	free(v);
}

static void
done(const struct transfer_done *d)
{
	const struct transfer_outcome *v = d->outcomes.v;

	printf("done %llu %u ", (unsigned long long)d->job, d->dest);
	encode(d->host);
	printf("\n");
	for (size_t i = 0; i < d->outcomes.n; i++) {
		printf("rcpt %u %u %u %u %u %u ", v[i].number, v[i].code,
		    v[i].subject, v[i].detail, v[i].own, v[i].relayed);
		encode(v[i].text);
		printf("\n");
	}
	printf("end %llu\n", (unsigned long long)d->job);
}

/* False: remote closed. */
static bool
answers(void)
{
	int fds[CHAN_MAX_FDS];
	union transfer_msg m;
	enum chan_result r;
	uint16_t type;
	size_t nfds;

	while ((r = chan_recv(remote, &type, &m, sizeof(m), fds, &nfds)) ==
	    CHAN_OK) {
		if (type == TRANSFER_READY)
			printf("ready %u\n", m.ready.capacity);
		else if (type == TRANSFER_DONE)
			done(&m.done);
	}
	fflush(stdout);
	return r == CHAN_AGAIN;
}

static void
line(char *s)
{
	char *rest = s, *verb = word(&rest);

	if (strcmp(verb, "make") == 0)
		make(rest);
	else if (strcmp(verb, "job") == 0)
		job(rest);
	else
		die(EXIT_PERMANENT, "unknown: %s", verb);
	fflush(stdout);
}

/* Whole lines of what has come; false: the end of input. */
static bool
input(struct buf *in)
{
	char *p = buf_room(in, 65536), *end;
	ssize_t n = p != NULL ? read(STDIN_FILENO, p, 65536) : -1;

	if (n <= 0)
		return false;
	buf_wrote(in, (size_t)n);
	while ((end = memchr(in->s, '\n', in->len)) != NULL) {
		*end = '\0';
		n = end - in->s + 1;
		line(in->s);
		buf_consume(in, (size_t)n);
	}
	return true;
}

int
main(int argc, char *argv[])
{
	struct buf in = BUF_INIT(LINE_MAX_OCTETS);
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}};

	log_open("transfer");
	if (argc != 2)
		die(EXIT_PERMANENT, "usage: transfer SOCKET");
	remote = chan_connect(argv[1], &transfer_contract);
	if (remote == NULL)
		die_errno(EXIT_TEMPORARY, "cannot connect to %s", argv[1]);
	(void)chan_flush(remote);
	p[1] = (struct pollfd){.fd = chan_fd(remote)};
	for (;;) {
		p[1].events = (short)(chan_pending(remote) > 0
		    ? POLLIN | POLLOUT : POLLIN);
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			die_errno(EXIT_TEMPORARY, "poll");
		if (p[0].revents != 0 && !input(&in))
			return 0;
		if (p[1].revents & POLLOUT)
			(void)chan_flush(remote);
		if (p[1].revents & ~POLLOUT && !answers()) {
			printf("closed\n");
			return 0;
		}
	}
}
