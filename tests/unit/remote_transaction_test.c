/*
 * The dialogue: a scripted host on the other end of a socket pair, which says
 * everything at once or octet by octet.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "common/proto/address.h"
#include "remote/content.h"
#include "remote/job.h"
#include "remote/session.h"
#include "remote/transaction.h"
#include "tests/unit/qfile_sample.h"

Suite *remote_transaction_suite(void);

#define EHLO "S 220 hello\nC EHLO me\n"
#define PIPED EHLO "S 250-there\nS 250 PIPELINING\n"
#define PLAIN EHLO "S 250 there\n"
#define CHUNKED EHLO "S 250-there\nS 250-PIPELINING\nS 250 CHUNKING\n"
#define MAIL "C MAIL FROM:<s@x.example>\n"
#define TO(n) "C RCPT TO:<u" #n "@y.example>\n"
#define TEXT "C Subject: a\nC \nC ..b\nC .\n"

/*
 * Lines: "C x" the client's next line is x (x* : begins with x); "S x" is said;
 * "S! x" is said without a line end, ~ is one; "W" nothing comes from the client now;
 * "X" closes.  want: outcomes of the recipients, "own" where the words are ours.
 */
static const struct {
	const char *name;
	unsigned nrcpts;
	const char *script, *want;
	enum transaction_end end;
} cases[] = {
	{"all in one", 1, PIPED MAIL TO(1) "C DATA\nS 250 a\nS 250 b\n"
	    "S 354 c\n" TEXT "S 250 2.0.0 d\n", "250:d", TRANSACTION_DONE},
	{"one after the other", 2, PLAIN MAIL "W\nS 250 a\n" TO(1) "W\nS 250 b\n"
	    TO(2) "W\nS 250 c\nC DATA\nW\nS 354 d\n" TEXT "S 250 e\n",
	    "250:e 250:e", TRANSACTION_DONE},
	{"chunked", 2, CHUNKED MAIL TO(1) TO(2) "C BDAT 18 LAST\n"
	    "C Subject: a\nC \nC .b\nS 250 a\nS 250 b\nS 550 c\nS 250 d\n",
	    "250:d 550:c", TRANSACTION_DONE},
	{"MAIL refused", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 550 a\nS 503 b\n"
	    "S 503 c\nS 503 d\n", "550:a 550:a", TRANSACTION_DONE},
	{"MAIL refused, not piped", 2, PLAIN MAIL "S 450 a\n", "450:a 450:a",
	    TRANSACTION_DONE},
	{"MAIL refused, all else taken", 1, PIPED MAIL TO(1) "C DATA\n"
	    "S 550 a\nS 250 b\nS 354 c\nC .\nS 250 d\n", "550:a",
	    TRANSACTION_DONE},
	{"RCPT refused, DATA taken", 2, PIPED MAIL TO(1) TO(2) "C DATA\n"
	    "S 250 a\nS 550 b\nS 450 c\nS 354 d\nC .\nS 250 e\n",
	    "550:b 450:c", TRANSACTION_DONE},
	{"RCPT refused, chunked", 1, CHUNKED MAIL TO(1) "C BDAT 18 LAST\n"
	    "C Subject: a\nC \nC .b\nS 250 a\nS 550 b\nS 250 c\n", "550:b",
	    TRANSACTION_DONE},
	{"DATA refused", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 250 a\nS 250 b\n"
	    "S 550 c\nS 451 d\n", "451:d 550:c", TRANSACTION_DONE},
	{"DATA answered 250", 1, PIPED MAIL TO(1) "C DATA\nS 250 a\nS 250 b\n"
	    "S 250 c\n", "451own", TRANSACTION_LOST},
	{"end answered 354", 1, PIPED MAIL TO(1) "C DATA\nS 250 a\nS 250 b\n"
	    "S 354 c\n" TEXT "S 354 d\n", "451own", TRANSACTION_LOST},
	{"end refused", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 250 a\nS 250 b\n"
	    "S 550 x\nS 354 c\n" TEXT "S 554-5.6.0 d\nS 554 5.6.0 e\n",
	    "554:d e 550:x", TRANSACTION_DONE},
	{"421 for one", 3, PIPED MAIL TO(1) TO(2) TO(3) "C DATA\nS 250 a\n"
	    "S 550 b\nS 421 4.3.2 c\nX\n", "550:b 421:c 421:c",
	    TRANSACTION_LOST},
	{"closed after one", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 250 a\n"
	    "S 550 b\nX\n", "550:b 451own", TRANSACTION_LOST},
	{"closed in a line", 1, PIPED MAIL TO(1) "C DATA\nS 250 a\nS! 25\nX\n",
	    "451own", TRANSACTION_LOST},
	{"closed after the end", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 250 a\n"
	    "S 250 b\nS 550 c\nS 354 d\n" TEXT "X\n", "451own 550:c",
	    TRANSACTION_DOUBT},
	{"garbage", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 250 a\nS 250 b\n"
	    "S what\n", "451own 451own", TRANSACTION_LOST},
	{"an answer before the content", 1, PIPED MAIL TO(1) "C DATA\n"
	    "S! 250 a~250 b~354 c~250 d~\nX\n", "451own",
	    TRANSACTION_LOST},
	{"a refusal before the content", 1, PIPED MAIL TO(1) "C DATA\n"
	    "S! 250 a~250 b~354 c~552 d~\nX\n", "552:d",
	    TRANSACTION_LOST},
	{"half an answer", 1, PIPED MAIL TO(1) "C DATA\n"
	    "S! 250 a~250 b~354 c~250\nX\n", "451own",
	    TRANSACTION_LOST},
	{"long answers", 1, PIPED MAIL TO(1) "C DATA\nS 250-a\nS 250-b\n"
	    "S 250-c\nS 250 d\nS 250-e\nS 250 f\nS 354-g\nS 354 h\n" TEXT
	    "S 250-i\nS 250 j\n", "250:i j", TRANSACTION_DONE},
	{"too many", 3, PIPED MAIL TO(1) TO(2) TO(3) "C DATA\nS 250 a\n"
	    "S 250 b\nS 452 c\nS 452 d\nS 354 e\n" TEXT "S 250 f\n"
	    MAIL TO(2) "C DATA\nS 250 a\nS 250 b\nS 354 c\n" TEXT "S 250 g\n"
	    MAIL TO(3) "C DATA\nS 250 a\nS 250 b\nS 354 c\n" TEXT "S 250 h\n",
	    "250:f 250:g 250:h", TRANSACTION_DONE},
	{"RSET where it is due", 2, PIPED MAIL TO(1) TO(2) "C DATA\nS 250 a\n"
	    "S 250 b\nS 452 c\nS 451 d\nC RSET\n" MAIL TO(2) "C DATA\n"
	    "S 250 r\nS 250 a\nS 250 b\nS 354 c\n" TEXT "S 250 g\n",
	    "451:d 250:g", TRANSACTION_DONE},
};

static struct conf conf;

/* ---- the host ---- */

static bool slow;

static void
say(int fd, struct slice s, bool whole)
{
	struct buf line = BUF_INIT(10000);
	size_t step;

	for (size_t i = 0; i < s.len; i++)
		buf_adds(&line, s.p[i] == '~' ? "\r\n"
		    : (char[]){s.p[i], '\0'});
	if (whole)
		buf_adds(&line, "\r\n");
	step = slow ? 1 : line.len;
	for (size_t i = 0; i < line.len; i += step)
		if (write(fd, line.s + i, step) != (ssize_t)step)
			_exit(2);
	buf_free(&line);
}

/* One octet at a time, so that nothing is read ahead. */
static void
hear(int fd, struct slice want, const char *name)
{
	struct buf line = BUF_INIT(10000);
	struct slice got;
	char c;

	do {
		if (read(fd, &c, 1) != 1) {
			fprintf(stderr, "%s: closed before %.*s\n", name,
			    SLICE_FMT(want));
			_exit(3);
		}
		buf_addc(&line, c);
	} while (c != '\n');
	got = slice_sub(buf_slice(&line), 0, line.len - 2);
	if (!slice_eq(got, want)) {
		fprintf(stderr, "%s: \"%.*s\", not \"%.*s\"\n", name,
		    SLICE_FMT(got), SLICE_FMT(want));
		_exit(4);
	}
	buf_free(&line);
}

_Noreturn static void
host(int fd, const char *script, const char *name)
{
	struct slice rest = slice_of(script), line;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	while (slice_cut(&rest, '\n', &line)) {
		if (slice_prefix(line, SLICE("C ")))
			hear(fd, slice_sub(line, 2, line.len), name);
		else if (slice_prefix(line, SLICE("S ")))
			say(fd, slice_sub(line, 2, line.len), true);
		else if (slice_prefix(line, SLICE("S! ")))
			say(fd, slice_sub(line, 3, line.len), false);
		else if (slice_eq(line, SLICE("W")) && poll(&p, 1, 20) != 0)
			_exit(5);
		else if (slice_eq(line, SLICE("X")))
			_exit(0);
	}
	/* Until the client closes; it says no more than QUIT. */
	while (read(fd, &c, 1) == 1)
		continue;
	_exit(0);
}

/* ---- the client ---- */

static struct job *
new_job(unsigned nrcpts)
{
	struct transfer_rcpt v[3];
	char address[3][32];
	struct transfer_job m = {.job = 1, .id = SLICE(SAMPLE_ID),
	    .sender = SLICE("s@x.example"), .domain = SLICE("y.example"),
	    .envid = SLICE_EMPTY, .route = SLICE_EMPTY,
	    .recipients = {v, nrcpts}};

	for (unsigned i = 0; i < nrcpts; i++) {
		snprintf(address[i], sizeof(address[i]), "u%u@y.example",
		    i + 1);
		v[i] = (struct transfer_rcpt){i + 1, slice_of(address[i]),
		    SLICE_EMPTY, 0};
	}
	return job_new(&m, -1);
}

static struct content *
new_content(struct slice text)
{
	struct envelope env = sample_env();
	struct status st;
	struct content *c;
	struct buf image;

	env.prepend = SLICE_EMPTY;
	image = sample_image(&env, text);
	c = content_open(sample_fd(buf_slice(&image)), SLICE(SAMPLE_ID), &st);
	ck_assert_ptr_nonnull(c);
	buf_free(&image);
	return c;
}

static void
show(const struct job *j, struct buf *out)
{
	for (size_t i = 0; i < j->nrcpts; i++) {
		const struct verdict *v = j->rcpts[i].verdict;

		ck_assert_ptr_nonnull(v);
		buf_printf(out, "%s%u%s%s", i > 0 ? " " : "", v->status.code,
		    v->own ? "own" : ":", v->own ? "" : v->status.text);
	}
}

static enum transaction_end
talk(struct session *s, struct job *j, struct content *c)
{
	enum transaction_end end = TRANSACTION_DONE;
	struct status st;
	size_t most = 100;
	bool own;

	ck_assert_int_eq(session_hello(s, "me", &st, &own), HELLO_OK);
	while (end == TRANSACTION_DONE && job_nopen(j) > 0 &&
	    session_alive(s))
		end = transaction_run(s, j, c, &most, false);
	return end;
}

static void
run(size_t i)
{
	struct content *c = new_content(SLICE("Subject: a\r\n\r\n.b\r\n"));
	struct job *j = new_job(cases[i].nrcpts);
	struct buf got = BUF_INIT(10000);
	enum transaction_end end;
	struct session *s;
	int pair[2], status;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(pair[0]);
		host(pair[1], cases[i].script, cases[i].name);
	}
	close(pair[1]);
	s = session_new(&conf, pair[0], false, "there");
	end = talk(s, j, c);
	session_free(&s);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s: the host's end is %x", cases[i].name,
	    (unsigned)status);
	show(j, &got);
	ck_assert_msg(strcmp(got.s, cases[i].want) == 0, "%s: \"%s\"",
	    cases[i].name, got.s);
	ck_assert_msg(end == cases[i].end, "%s: end %d", cases[i].name,
	    (int)end);
	buf_free(&got);
	job_free(&j);
	content_free(&c);
}

static void
setup(void)
{
	struct buf errors = BUF_INIT(10000);
	char path[] = "/tmp/postern-remote.XXXXXX";
	int fd = mkstemp(path);

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "hostname = me\n", 14), 14);
	close(fd);
	ck_assert_msg(conf_read(path, &conf, &errors), "%s", errors.s);
	unlink(path);
	buf_free(&errors);
}

static void
teardown(void)
{
	conf_free(&conf);
}

START_TEST(dialogue)
{
	slow = false;
	run((size_t)_i);
	/* Where two come at once is what is tried there. */
	slow = strstr(cases[_i].script, "S! ") == NULL;
	run((size_t)_i);
}
END_TEST

/* ---- the parts ---- */

/* The ring of owed answers grows in any state. */
START_TEST(owed)
{
	struct session *s;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s = session_new(&conf, pair[0], false, "there");
	s->deadline_ms = clock_mono_ms() + 10000;
	for (int round = 0; round < 3; round++) {
		struct buf text = BUF_INIT(100000);

		for (size_t i = 0; i < 100; i++) {
			session_expect(s, STEP_RCPT, i);
			buf_adds(&text, "250 x\r\n");
		}
		ck_assert_uint_eq(s->nowed, 100);
		ck_assert_int_eq(write(pair[1], text.s, text.len),
		    (ssize_t)text.len);
		/* Without anybody who wants them the connection ends. */
		ck_assert(!session_settle(s));
		ck_assert_uint_eq(s->nowed, 0);
		buf_free(&text);
	}
	session_free(&s);
	close(pair[1]);
}
END_TEST

START_TEST(contract)
{
	struct buf why = BUF_INIT(1000);

	ck_assert_msg(chan_contract_check(&transfer_contract, &why), "%s",
	    why.s);
	ck_assert_msg(chan_contract_check(&address_contract, &why), "%s",
	    why.s);
	buf_free(&why);
}
END_TEST

/* A verdict of ours does not cover a server's. */
START_TEST(verdicts)
{
	struct job *j = new_job(2);
	struct status st;

	status_set(&st, 450, 7, 1, "theirs");
	rcpt_judge(&j->rcpts[0], job_verdict(j, &st, false));
	ck_assert_uint_eq(job_nopen(j), 1);
	ck_assert_uint_eq(job_nunsettled(j), 2);
	job_fail(j, 451, 4, 1, "ours");
	ck_assert_str_eq(j->rcpts[0].verdict->status.text, "theirs");
	ck_assert_str_eq(j->rcpts[1].verdict->status.text, "ours");
	job_reopen(j);
	ck_assert_uint_eq(job_nopen(j), 2);
	status_set(&st, 550, 1, 1, "no");
	rcpt_judge(&j->rcpts[0], job_verdict(j, &st, true));
	job_fail(j, 451, 4, 1, "again");
	ck_assert_str_eq(j->rcpts[0].verdict->status.text, "no");
	ck_assert_str_eq(j->rcpts[1].verdict->status.text, "again");
	ck_assert_uint_eq(job_nunsettled(j), 1);
	job_free(&j);
}
END_TEST

Suite *
remote_transaction_suite(void)
{
	Suite *s = suite_create("remote_transaction");
	TCase *tc = tcase_create("transaction");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, dialogue, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(tc, owed);
	tcase_add_test(tc, contract);
	tcase_add_test(tc, verdicts);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return s;
}
