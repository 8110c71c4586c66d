/*
 * A host that says what it likes: the whole dialogue of a remote process is fed
 * with these octets, in pieces that the first octet chooses.  Whatever comes,
 * each recipient has a verdict, and none is delivered before the content was
 * sent.
 */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "common/io/stream.h"
#include "common/mail/qfile.h"
#include "remote/content.h"
#include "remote/job.h"
#include "remote/session.h"
#include "remote/transaction.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ID "01jar9fq3raaaaaaaaaa"
#define INPUT_MAX 60000 /* fits the socket */
#define ROUNDS 8

static struct conf conf;

static void
start(void)
{
	uint64_t *const times[] = {&conf.remote_greeting_timeout_ms,
	    &conf.remote_helo_timeout_ms, &conf.remote_mail_timeout_ms,
	    &conf.remote_rcpt_timeout_ms, &conf.remote_data_timeout_ms,
	    &conf.remote_block_timeout_ms, &conf.remote_end_timeout_ms,
	    &conf.remote_quit_timeout_ms};

	if (conf.remote_helo_timeout_ms != 0)
		return;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		*times[i] = 1000;
	conf.remote_chunking = true;
}

static struct content *
message(void)
{
	struct env_recipient to = {SLICE("u@y.example"), SLICE_EMPTY, 0};
	struct envelope env = {.id = SLICE(ID), .from = SLICE("s@x.example"),
	    .recipients = {&to, 1}};
	struct slice text = SLICE("Subject: a\r\n\r\n.b\r\n");
	struct buf head = BUF_INIT(65536), image = BUF_INIT(65536);
	struct content *c;
	struct status st;
	size_t at;
	int fd = memfd_create("m", MFD_CLOEXEC);

	qfile_envelope(&env, 1764000000123, &head, &at);
	qfile_content_field(head.len, text.len, head.s + at);
	buf_addslice(&image, buf_slice(&head));
	buf_addslice(&image, text);
	qfile_trailer(buf_slice(&head), &env, NULL, 0,
	    qfile_sum(0, text.p, text.len), text.len, &image);
	assert(fd >= 0 && !image.overflow &&
	    write(fd, image.s, image.len) == (ssize_t)image.len);
	c = content_open(fd, SLICE(ID), &st);
	assert(c != NULL);
	buf_free(&head);
	buf_free(&image);
	return c;
}

static struct job *
job(void)
{
	struct transfer_rcpt v[] = {
	    {1, SLICE("a@y.example"), SLICE_EMPTY, 0},
	    {2, SLICE("b@y.example"), SLICE("rfc822;b"), NOTIFY_SUCCESS},
	    {3, SLICE("c@z.example"), SLICE_EMPTY, 0}};
	struct transfer_job m = {.job = 1, .id = SLICE(ID),
	    .sender = SLICE("s@x.example"), .domain = SLICE("y.example"),
	    .envid = SLICE("e"), .route = SLICE_EMPTY, .recipients = {v, 3}};

	return job_new(&m, -1);
}

/* What the host saw of us. */
static struct buf
heard(int fd)
{
	struct buf out = BUF_INIT(1 << 20);
	char *p;
	ssize_t n;

	while ((p = buf_room(&out, 4096)) != NULL &&
	    (n = recv(fd, p, 4096, MSG_DONTWAIT)) > 0)
		buf_wrote(&out, (size_t)n);
	return out;
}

static void
check(const struct job *j, const struct session *s, int host)
{
	struct buf out = heard(host);
	bool sent = memmem(out.s, out.len, "..b\r\n.\r\n", 8) != NULL ||
	    memmem(out.s, out.len, "\r\n.b\r\n", 6) != NULL;

	for (size_t i = 0; i < j->nrcpts; i++) {
		const struct rcpt *r = &j->rcpts[i];

		assert(r->verdict != NULL || r->state == RCPT_OPEN);
		assert(r->state != RCPT_SENT && r->state != RCPT_ACCEPTED);
		if (r->verdict != NULL &&
		    status_class(&r->verdict->status) == STATUS_OK)
			assert(sent && !r->verdict->own);
	}
	assert(s->nowed == 0 || s->fault != FAULT_NONE || s->closing);
	buf_free(&out);
}

static void
talk(struct session *s, struct job *j, struct content *c)
{
	struct status st;
	size_t most = 2;
	bool own;

	if (session_hello(s, "me.example", &st, &own) != HELLO_OK) {
		assert(status_class(&st) != STATUS_OK);
		job_judge(j, job_verdict(j, &st, own));
		return;
	}
	for (int i = 0; i < ROUNDS && job_nopen(j) > 0 && session_alive(s);
	    i++)
		(void)transaction_run(s, j, c, &most, i % 2 == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content *c;
	struct session *s;
	struct job *j;
	int pair[2];

	start();
	if (size < 1 || size > INPUT_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return 0;
	if (write(pair[1], data + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	shutdown(pair[1], SHUT_WR);
	s = session_new(&conf, pair[0], data[0] % 2 == 1, "there");
	s->deadline_ms = clock_mono_ms() + 5000;
	c = message();
	j = job();
	talk(s, j, c);
	check(j, s, pair[1]);
	session_free(&s);
	close(pair[1]);
	job_free(&j);
	content_free(&c);
	return 0;
}
