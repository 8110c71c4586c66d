/*
 * Makes queue files by description and asks bounce for notices about them.  Not
 * installed.
 *
 *	bounce make DIR < DESCRIPTION
 *		prints the path of the file.  Lines, then an empty line, then
 *		the content with its CRLFs; "-" is an empty value:
 *			id ID | from ADDRESS | envid XTEXT | helo NAME
 *			flags NUMBER | created MILLISECONDS
 *			rcpt NOTIFY ORCPT ADDRESS
 *			attempt NUMBER OUTCOME own|remote CODE SUBJECT DETAIL
 *			    HOST TEXT
 *			expand NUMBER KIND ADDRESS...
 *			state NUMBER LETTER
 *	bounce job SOCKET FILE KIND SENDER NUMBER:ACTION:UNTIL ...
 *		prints "CAPACITY CODE SUBJECT.DETAIL ID TEXT"
 */
#include <errno.h>
#include <fcntl.h>
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
#include "common/proto/bounce.h"

#define INPUT_MAX (256u * 1024 * 1024)
#define ANSWER_MS 400000

/* ---- make ---- */

struct line {
	struct slice word;
	struct slice rest;
};

struct made {
	struct envelope env;
	struct env_recipient *rcpts;
	size_t cap;
	int64_t created_ms;
	struct line *later; /* attempts, expansions, states */
	size_t nlater, later_cap;
};

static struct slice
value(struct slice s)
{
	return slice_eq(s, SLICE("-")) ? SLICE_EMPTY : s;
}

static struct slice
word(struct slice *rest)
{
	struct slice w;

	if (!slice_word(rest, &w))
		die(EXIT_PERMANENT, "a word is missing");
	return value(w);
}

static uint32_t
number(struct slice *rest)
{
	uint32_t n;

	if (!num_u32(word(rest), 0, UINT32_MAX, &n))
		die(EXIT_PERMANENT, "a number is missing");
	return n;
}

static void
take(struct made *m, struct line l)
{
	struct env_recipient r;
	uint64_t n;

	if (slice_eq(l.word, SLICE("id")))
		m->env.id = l.rest;
	else if (slice_eq(l.word, SLICE("from")))
		m->env.from = value(l.rest);
	else if (slice_eq(l.word, SLICE("envid")))
		m->env.envid = value(l.rest);
	else if (slice_eq(l.word, SLICE("helo")))
		m->env.client_helo = value(l.rest);
	else if (slice_eq(l.word, SLICE("flags")))
		m->env.flags = number(&l.rest);
	else if (slice_eq(l.word, SLICE("created")) &&
	    num_u64(l.rest, 0, INT64_MAX, &n))
		m->created_ms = (int64_t)n;
	else if (slice_eq(l.word, SLICE("rcpt"))) {
		r.notify = number(&l.rest);
		r.orcpt = word(&l.rest);
		r.address = slice_trim(l.rest);
		MEM_PUSH(m->rcpts, m->env.recipients.n, m->cap, r);
	} else
		MEM_PUSH(m->later, m->nlater, m->later_cap, l);
}

static void
attempt(struct qfile *q, struct slice rest)
{
	struct status st;
	struct qattempt a = {.number = number(&rest), .rule = "first",
	    .at_ms = clock_real_ms() - 60000, .status = &st};
	char *outcome = slice_dup(word(&rest));
	uint32_t code, subject, detail;

	a.outcome = outcome;
	a.remote = slice_eq(word(&rest), SLICE("remote"));
	code = number(&rest);
	subject = number(&rest);
	detail = number(&rest);
	a.host = word(&rest);
	rest = slice_trim(rest);
	status_set(&st, code, subject, detail, "%.*s", SLICE_FMT(rest));
	if (qfile_add_attempts(q, &a, 1) != 0)
		die_errno(EXIT_TEMPORARY, "attempt");
	free(outcome);
}

static void
expand(struct qfile *q, struct slice rest)
{
	struct qexpansion *v = NULL, e = {.kind = 0};
	size_t n = 0, cap = 0, i;
	uint32_t which = number(&rest);

	e.kind = number(&rest);
	e.target = SLICE("target");
	while (slice_word(&rest, &e.address))
		MEM_PUSH(v, n, cap, e);
	if (!qfile_find(q, which, &i) ||
	    qfile_add_expansion(q, i, v, n) != 0)
		die_errno(EXIT_TEMPORARY, "expand");
	free(v);
}

static void
work(struct qfile *q, const struct line *l)
{
	struct slice rest = l->rest;
	size_t i;

	if (slice_eq(l->word, SLICE("attempt")))
		attempt(q, rest);
	else if (slice_eq(l->word, SLICE("expand")))
		expand(q, rest);
	else if (!slice_eq(l->word, SLICE("state")))
		die(EXIT_PERMANENT, "unknown word %.*s", SLICE_FMT(l->word));
	else if (!qfile_find(q, number(&rest), &i) ||
	    qfile_set_state(q, i, word(&rest).p[0]) != 0)
		die_errno(EXIT_TEMPORARY, "state");
}

static void
write_file(const struct made *m, struct slice content, const char *path)
{
	struct buf image = BUF_INIT(2 * INPUT_MAX), text = BUF_INIT(INPUT_MAX);
	char why[STATUS_TEXT_MAX];
	struct qfile *q;
	size_t at, i;
	int fd;

	qfile_envelope(&m->env, m->created_ms, &text, &at);
	qfile_content_field(text.len, content.len, text.s + at);
	buf_addslice(&image, buf_slice(&text));
	buf_addslice(&image, content);
	qfile_trailer(buf_slice(&text), &m->env, NULL, 0,
	    qfile_sum(0, content.p, content.len), content.len, &image);
	if (text.overflow || image.overflow)
		die(EXIT_PERMANENT, "the envelope does not fit");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, image.s, image.len) != (ssize_t)image.len)
		die_errno(EXIT_TEMPORARY, "%s", path);
	if (qfile_adopt(fd, true, &q, why) != QFILE_OK)
		die(EXIT_PERMANENT, "%s: %s", path, why);
	for (i = 0; i < m->nlater; i++)
		work(q, &m->later[i]);
	qfile_free(&q);
	buf_free(&image);
	buf_free(&text);
}

static int
make(const char *dir)
{
	struct buf input = BUF_INIT(INPUT_MAX);
	struct made m = {.created_ms = clock_real_ms() - 3600000};
	struct slice rest, l;
	struct line one;
	char path[4096];
	ssize_t n;

	m.env = (struct envelope){.from = SLICE_EMPTY, .envid = SLICE_EMPTY,
	    .client_ip = SLICE("192.0.2.7"), .client_helo = SLICE_EMPTY,
	    .protocol = SLICE("ESMTP"), .login = SLICE_EMPTY,
	    .sid = SLICE_EMPTY, .prepend = SLICE("Received: by test\r\n")};
	do {
		n = read(0, buf_room(&input, 65536), 65536);
		if (n > 0)
			buf_wrote(&input, (size_t)n);
	} while (n > 0);
	rest = buf_slice(&input);
	while (slice_cut(&rest, '\n', &l) && l.len > 0) {
		one.rest = l;
		if (!slice_word(&one.rest, &one.word))
			die(EXIT_PERMANENT, "an empty line of blanks");
		one.rest = slice_trim(one.rest);
		take(&m, one);
	}
	m.env.recipients.v = m.rcpts;
	snprintf(path, sizeof(path), "%s/%.*s", dir, SLICE_FMT(m.env.id));
	write_file(&m, rest.p != NULL ? rest : SLICE_EMPTY, path);
	puts(path);
	free(m.rcpts);
	free(m.later);
	buf_free(&input);
	return 0;
}

/* ---- job ---- */

static uint32_t
wait_for(struct chan *c, uint16_t want, union bounce_msg *msg)
{
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;
	enum chan_result r = chan_wait(c, &type, msg, sizeof(*msg), fds, &nfds,
	    clock_mono_ms() + ANSWER_MS);

	if (r != CHAN_OK || type != want)
		die(EXIT_TEMPORARY, "no answer (%d)", (int)r);
	return type;
}

static struct bounce_rcpt
recipient(const char *text)
{
	struct slice rest = slice_of(text), part;
	struct bounce_rcpt r = {0};

	if (!slice_cut(&rest, ':', &part) ||
	    !num_u32(part, 0, UINT32_MAX, &r.number) ||
	    !slice_cut(&rest, ':', &part) ||
	    !num_u32(part, 0, UINT32_MAX, &r.action) ||
	    !num_u64(rest, 0, UINT64_MAX, &r.until_ms))
		die(EXIT_PERMANENT, "NUMBER:ACTION:UNTIL, not %s", text);
	return r;
}

static int
job(const char *sock, const char *file, const char *kind, const char *sender,
    char **rcpts, size_t n)
{
	struct bounce_rcpt *v = mem_array(n + 1, sizeof(*v));
	struct bounce_job j = {.job = 4711,
	    .sender = value(slice_of(sender)), .recipients = {v, n}};
	int fd = open(file, O_RDONLY | O_CLOEXEC), again;
	struct chan *c = chan_connect(sock, &bounce_contract);
	char why[STATUS_TEXT_MAX];
	union bounce_msg msg;
	struct qfile *q = NULL;
	uint32_t capacity;
	char *id = NULL;
	size_t i;

	if (c == NULL || fd < 0)
		die_errno(EXIT_TEMPORARY, "%s, %s", sock, file);
	again = open(file, O_RDONLY | O_CLOEXEC);
	if (qfile_adopt(again, false, &q, why) == QFILE_OK)
		id = slice_dup(qfile_env(q)->id);
	j.id = id != NULL ? slice_of(id) : SLICE("00000000000000000000");
	if (!num_u32(slice_of(kind), 0, 9, &j.kind))
		die(EXIT_PERMANENT, "kind %s", kind);
	for (i = 0; i < n; i++)
		v[i] = recipient(rcpts[i]);
	wait_for(c, BOUNCE_READY, &msg);
	capacity = msg.ready.capacity;
	chan_send_fds(c, BOUNCE_JOB, &j, &fd, 1);
	wait_for(c, BOUNCE_DONE, &msg);
	if (msg.done.job != j.job)
		die(EXIT_PERMANENT, "another job's answer");
	printf("%u %u %u.%u %.*s %.*s\n", capacity, msg.done.code,
	    msg.done.subject, msg.done.detail, msg.done.id.len > 0
	    ? (int)msg.done.id.len : 1, msg.done.id.len > 0 ? msg.done.id.p
	    : "-", SLICE_FMT(msg.done.text));
	chan_free(&c);
	free(v);
	free(id);
	qfile_free(&q);
	return 0;
}

int
main(int argc, char *argv[])
{
	log_open("bounce");
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return make(argv[2]);
	if (argc > 6 && strcmp(argv[1], "job") == 0)
		return job(argv[2], argv[3], argv[4], argv[5], argv + 6,
		    (size_t)(argc - 6));
	die(EXIT_PERMANENT, "usage: bounce make DIR | job SOCKET FILE KIND "
	    "SENDER NUMBER:ACTION:UNTIL ...");
}
