/*
 * queue/worker: a worker in a process and a cage of its own, spoken to over the
 * real contract by honest, careless and hostile submitters.
 */
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/notice.h"
#include "common/proto/queue.h"
#include "common/proto/sockets.h"
#include "common/sys/sandbox.h"
#include "queue/queued.h"
#include "tests/unit/qfile_sample.h"

Suite *queue_worker_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define NOBODY 65534
#define WAIT_MS 10000
#define ID_A "01jar9fq3raaaaaaaaaa"
#define ID_B "01jar9fq3rbbbbbbbbbb"

static struct {
	char dir[64], queue[96], incoming[112], sock[112];
	int incoming_fd, listen_fd, notice_fd;
	pid_t pid;
	struct chan *notice; /* the worker's, as qmgr has it */
	bool mounted;
} rig;

/* ---- the worker ---- */

static struct {
	uint64_t reserve, max_peers;
	rlim_t file_size; /* 0: no limit */
} with;

_Noreturn static void
worker(void)
{
	static struct queued q;
	struct rlimit limit = {with.file_size, with.file_size};
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/log", rig.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, 2) < 0 || chdir(rig.dir) != 0)
		_exit(99);
	log_open("queued");
	q.conf.queue_reserve = with.reserve;
	q.conf.queue_sessions_per_worker_max = with.max_peers;
	q.listen_fd = rig.listen_fd;
	q.incoming_fd = rig.incoming_fd;
	q.queue_fd = open(rig.queue, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	q.client_uids[0] = geteuid();
	q.nclients = 1;
	q.files_max = 1000;
	q.uid = geteuid() == 0 ? NOBODY : geteuid();
	q.gid = geteuid() == 0 ? NOBODY : getegid();
	q.mode = DURABLE_ORDERED;
	sandbox_prepare(ROLE_QUEUED_WORKER, 0); /* writes a file */
	if (with.file_size > 0 && setrlimit(RLIMIT_FSIZE, &limit) != 0)
		_exit(98);
	_exit(worker_run(&q, 1));
}

static void
start_worker(void)
{
	rig.pid = fork();
	ck_assert_int_ge(rig.pid, 0);
	if (rig.pid == 0)
		worker();
}

static void
make(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", rig.dir, name);
	ck_assert_int_eq(mkdir(out, 0700), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(out, NOBODY, NOBODY), 0);
}

static void
setup(void)
{
	char path[160];

	signal(SIGPIPE, SIG_IGN);
	memset(&rig, 0, sizeof(rig));
	memset(&with, 0, sizeof(with));
	with.max_peers = 100;
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/postern-worker.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rig.dir));
	ck_assert_int_eq(chmod(rig.dir, 0755), 0);
	make(rig.queue, sizeof(rig.queue), "queue");
	make(rig.incoming, sizeof(rig.incoming), "queue/incoming");
	rig.incoming_fd = open(rig.incoming,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(rig.sock, sizeof(rig.sock), "%s/%s", rig.dir, SOCKET_QUEUE);
	rig.listen_fd = chan_listen(rig.sock, 0600, 100);
	ck_assert_int_ge(rig.listen_fd, 0);
	snprintf(path, sizeof(path), "%s/%s", rig.dir, SOCKET_NOTICE);
	rig.notice_fd = chan_listen(path, 0666, 10);
	ck_assert_int_ge(rig.notice_fd, 0);
}

/* The files in incoming/. */
static int
files(void)
{
	DIR *d = opendir(rig.incoming);
	struct dirent *e;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Sends signo (0: none) and waits for the end. */
static int
end_worker(int signo)
{
	int wstatus = -1;

	if (signo != 0)
		ck_assert_int_eq(kill(rig.pid, signo), 0);
	ck_assert_int_eq(waitpid(rig.pid, &wstatus, 0), rig.pid);
	rig.pid = 0;
	return wstatus;
}

static void
teardown(void)
{
	pid_t pid;

	if (rig.pid > 0)
		ck_assert_int_eq(end_worker(SIGTERM), 0);
	chan_free(&rig.notice);
	close(rig.incoming_fd);
	close(rig.listen_fd);
	close(rig.notice_fd);
	if (rig.mounted)
		(void)umount2(rig.incoming, MNT_DETACH);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", rig.dir, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
}

/* ---- submitters ---- */

struct client {
	struct chan *c;
	int pipe, copy; /* write end; a copy of the read end */
};

static void
send_pipe(struct client *s, int fd)
{
	struct queue_pipe msg = {0};

	chan_send_fds(s->c, QUEUE_PIPE, &msg, &fd, 1);
}

static struct client
client_bare(void)
{
	struct client s = {NULL, -1, -1};

	s.c = chan_connect(rig.sock, &queue_contract);
	ck_assert_ptr_nonnull(s.c);
	return s;
}

static struct client
client(void)
{
	struct client s = client_bare();
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	s.pipe = fds[1];
	s.copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	send_pipe(&s, fds[0]);
	return s;
}

static void
client_end(struct client *s)
{
	chan_free(&s->c);
	if (s->pipe >= 0)
		close(s->pipe);
	if (s->copy >= 0)
		close(s->copy);
	s->pipe = s->copy = -1;
}

static void
send_open(struct client *s, const char *id, uint64_t size)
{
	struct queue_open msg = {slice_of(id), size};

	chan_send(s->c, QUEUE_OPEN, &msg);
}

static void
send_message(struct client *s, const char *id)
{
	struct envelope env = sample_env();

	env.id = slice_of(id);
	chan_send(s->c, QUEUE_MESSAGE, &env);
}

static void
send_end(struct client *s, uint16_t type, uint64_t octets)
{
	struct queue_end msg = {.octets = octets};

	chan_send(s->c, type, &msg);
}

static void
put(struct client *s, const char *p, size_t n)
{
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w) {
		w = write(s->pipe, p, n);
		ck_assert_int_gt(w, 0);
	}
}

/* The code of the next answer, which must be of this type; 0: closed. */
static uint32_t
answer(struct client *s, uint16_t want)
{
	union queue_msg msg;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	enum chan_result r = chan_wait(s->c, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + WAIT_MS);

	ck_assert_int_ne(r, CHAN_TIMEOUT);
	ck_assert_int_ne(r, CHAN_BAD);
	if (r != CHAN_OK)
		return 0;
	ck_assert_uint_eq(type, want);
	return msg.result.code;
}

/* A whole message, asked for first; the code of RESULT. */
static uint32_t
submit(struct client *s, const char *id, const char *content, size_t n)
{
	send_open(s, id, n);
	ck_assert_uint_eq(answer(s, QUEUE_OPENED), 250);
	send_message(s, id);
	put(s, content, n);
	send_end(s, QUEUE_END, n);
	return answer(s, QUEUE_RESULT);
}

/* The worker still serves others. */
static void
check_alive(void)
{
	struct client s = client();

	ck_assert_uint_eq(submit(&s, ID_B, "alive\r\n", 7), 250);
	ck_assert_int_eq(unlinkat(rig.incoming_fd, ID_B, 0), 0);
	client_end(&s);
}

static char *
content_of(size_t size)
{
	char *p = mem_array(size + 1, 1);

	for (size_t i = 0; i < size; i++)
		p[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n'
		    : (char)('a' + (i * 7 + i / 72) % 26);
	return p;
}

static void
check_file(const char *id, const char *content, size_t size, size_t nrcpts)
{
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	struct buf got;
	int error;
	enum qfile_result r = qfile_open(rig.incoming_fd, id, false, true, &q,
	    why);

	ck_assert_msg(r == QFILE_OK, "%s", why);
	ck_assert_uint_eq(qfile_nrcpts(q), nrcpts);
	got = sample_message(q, 4096, &error);
	ck_assert_int_eq(error, 0);
	ck_assert_uint_eq(got.len, 16 + size);
	ck_assert_int_eq(memcmp(got.s + 16, content, size), 0);
	buf_free(&got);
	qfile_free(&q);
}

/* What qmgr hears next. */
static void
hear(struct notice_new *n)
{
	union notice_msg msg;
	uint16_t type;
	int fds[CHAN_MAX_FDS], fd = -1;
	size_t nfds;

	for (int i = 0; rig.notice == NULL && i < WAIT_MS; i++) {
		fd = accept(rig.notice_fd, NULL, NULL);
		if (fd >= 0)
			rig.notice = chan_new(fd, &notice_contract,
			    CHAN_SERVER);
		else
			usleep(1000);
	}
	ck_assert_ptr_nonnull(rig.notice);
	ck_assert_int_eq(chan_wait(rig.notice, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + WAIT_MS), CHAN_OK);
	ck_assert_uint_eq(type, NOTICE_NEW);
	*n = msg.new_message;
}

/* The link must be up before the first message, or qmgr finds it by a scan. */
static void
meet_qmgr(void)
{
	union notice_msg msg;
	uint16_t type;
	int fds[CHAN_MAX_FDS], fd = -1;
	size_t nfds;

	for (int i = 0; fd < 0 && i < WAIT_MS; i++) {
		fd = accept(rig.notice_fd, NULL, NULL);
		if (fd < 0)
			usleep(1000);
	}
	ck_assert_int_ge(fd, 0);
	rig.notice = chan_new(fd, &notice_contract, CHAN_SERVER);
	while (chan_version(rig.notice) == 0) {
		ck_assert_int_eq(chan_wait(rig.notice, &type, &msg,
		    sizeof(msg), fds, &nfds, clock_mono_ms() + 20),
		    CHAN_TIMEOUT);
		(void)chan_flush(rig.notice);
	}
	usleep(20000); /* the answer is read */
}

/* ---- honest ones ---- */

static const size_t sizes[] = {0, 1, 7, 32767, 32768, 32769, 65536, 65537,
    300000, 2000000};

START_TEST(whole)
{
	char *content = content_of(sizes[_i]);
	struct client s;

	start_worker();
	s = client();
	ck_assert_uint_eq(submit(&s, ID_A, content, sizes[_i]), 250);
	check_file(ID_A, content, sizes[_i], 2);
	ck_assert_int_eq(files(), 1);
	client_end(&s);
	free(content);
}
END_TEST

START_TEST(one_after_the_other)
{
	char id[] = ID_A, content[64];
	struct client s;

	start_worker();
	s = client();
	for (int i = 0; i < 20; i++) {
		id[19] = (char)('a' + i);
		snprintf(content, sizeof(content), "message %d\r\n", i);
		ck_assert_uint_eq(submit(&s, id, content, strlen(content)),
		    250);
		check_file(id, content, strlen(content), 2);
	}
	ck_assert_int_eq(files(), 20);
	client_end(&s);
}
END_TEST

/* Edits come with END, of a small message and of a large one. */
START_TEST(edited)
{
	struct env_edit edits[] = {{0, 0, SLICE("X: y\r\n")},
	    {7, 7, SLICE_EMPTY}};
	struct queue_end end = {14, {edits, 2}};
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	struct client s;

	start_worker();
	s = client();
	send_open(&s, ID_A, 14);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
	ck_assert_uint_ge(chan_version(s.c), 2);
	send_message(&s, ID_A);
	put(&s, "A: bc\r\nD: ef\r\n", 14);
	chan_send(s.c, QUEUE_END, &end);
	ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 250);
	ck_assert_msg(qfile_open(rig.incoming_fd, ID_A, false, true, &q,
	    why) == QFILE_OK, "%s", why);
	ck_assert_uint_eq(qfile_message_length(q), 16 + 6 + 7);
	qfile_free(&q);
	/* Those that do not fit are a breach of the contract. */
	edits[1].offset = 8;
	send_open(&s, ID_B, 14);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
	send_message(&s, ID_B);
	put(&s, "A: bc\r\nD: ef\r\n", 14);
	chan_send(s.c, QUEUE_END, &end);
	ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 0);
	ck_assert_int_eq(files(), 1);
	client_end(&s);
	check_alive();
}
END_TEST

/* Many at the same moment: one commit, an answer for each. */
START_TEST(many_at_once)
{
	struct client s[20];
	char id[] = ID_A;

	start_worker();
	for (int i = 0; i < COUNT(s); i++) {
		id[19] = (char)('a' + i);
		s[i] = client();
		put(&s[i], "Hello\r\n", 7);
		send_message(&s[i], id);
		send_end(&s[i], QUEUE_END, 7);
	}
	for (int i = 0; i < COUNT(s); i++) {
		id[19] = (char)('a' + i);
		ck_assert_uint_eq(answer(&s[i], QUEUE_RESULT), 250);
		check_file(id, "Hello\r\n", 7, 2);
		client_end(&s[i]);
	}
	ck_assert_int_eq(files(), COUNT(s));
}
END_TEST

/* One of a batch fails, the others do not. */
START_TEST(one_of_many_fails)
{
	struct client s[5];
	uint32_t code, failed = 0;

	start_worker();
	for (int i = 0; i < COUNT(s); i++) {
		s[i] = client();
		put(&s[i], "Hello\r\n", 7);
		send_message(&s[i], i < 2 ? ID_A : i == 2 ? ID_B
		    : i == 3 ? "01jar9fq3rcccccccccc" : "01jar9fq3rdddddddddd");
	}
	for (int i = 0; i < COUNT(s); i++)
		send_end(&s[i], QUEUE_END, 7);
	for (int i = 0; i < COUNT(s); i++) {
		code = answer(&s[i], QUEUE_RESULT);
		failed += code == 451;
		ck_assert(code == 250 || (code == 451 && i < 2));
		client_end(&s[i]);
	}
	ck_assert_uint_eq(failed, 1);
	ck_assert_int_eq(files(), 4);
}
END_TEST

START_TEST(taken_id)
{
	struct client s;

	start_worker();
	s = client();
	ck_assert_uint_eq(submit(&s, ID_A, "first\r\n", 7), 250);
	ck_assert_uint_eq(submit(&s, ID_A, "second\r\n", 8), 451);
	ck_assert_uint_eq(submit(&s, ID_B, "third\r\n", 7), 250);
	check_file(ID_A, "first\r\n", 7, 2);
	check_file(ID_B, "third\r\n", 7, 2);
	client_end(&s);
}
END_TEST

static void
send_rcpts(struct client *s, size_t n)
{
	static char text[ENV_RCPTS_A_RECORD][40];
	struct env_recipient v[ENV_RCPTS_A_RECORD];
	struct queue_rcpts msg = {{v, n}};

	memset(v, 0, sizeof(v));
	for (size_t i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "user%zu@example.org", i);
		v[i].address = slice_of(text[i]);
		v[i].orcpt = SLICE_EMPTY;
	}
	chan_queue(s->c, QUEUE_RCPTS, &msg, NULL, 0);
}

/* All recipients arrive however soon the content comes behind them. */
START_TEST(many_recipients)
{
	char *content = content_of(200000);
	struct notice_new n;
	struct client s;

	start_worker();
	meet_qmgr();
	s = client();
	send_message(&s, ID_A);
	for (int i = 0; i < 6; i++)
		send_rcpts(&s, ENV_RCPTS_A_RECORD);
	ck_assert_int_eq(chan_flush(s.c), CHAN_OK);
	put(&s, content, 200000);
	send_end(&s, QUEUE_END, 200000);
	ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 250);
	check_file(ID_A, content, 200000, 2 + 6 * ENV_RCPTS_A_RECORD);
	hear(&n);
	CK_SLICE(n.id, ID_A);
	ck_assert_uint_eq(n.nrcpts, 2 + 6 * ENV_RCPTS_A_RECORD);
	ck_assert_uint_eq(n.recipients.n, 0); /* too many: read the file */
	client_end(&s);
	free(content);
}
END_TEST

START_TEST(notices)
{
	const struct env_recipient *r;
	struct notice_new n;
	struct client s;

	start_worker();
	meet_qmgr();
	s = client();
	ck_assert_uint_eq(submit(&s, ID_A, "Hello\r\n", 7), 250);
	hear(&n);
	CK_SLICE(n.id, ID_A);
	CK_SLICE(n.from, "sender@example.net");
	ck_assert_uint_eq(n.size, 7);
	ck_assert_uint_eq(n.flags, ENV_8BITMIME);
	ck_assert_uint_eq(n.nrcpts, 2);
	ck_assert_uint_eq(n.recipients.n, 2);
	r = n.recipients.v;
	CK_SLICE(r[0].address, "ann@example.org");
	ck_assert_uint_eq(r[1].notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	/* What failed is not told of. */
	ck_assert_uint_eq(submit(&s, ID_A, "Hello\r\n", 7), 451);
	ck_assert_uint_eq(submit(&s, ID_B, "Hello\r\n", 7), 250);
	hear(&n);
	CK_SLICE(n.id, ID_B);
	client_end(&s);
}
END_TEST

/* ---- what ends early ---- */

/* Exactly the announced octets are swallowed. */
START_TEST(aborted)
{
	size_t size = sizes[_i];
	char *content = content_of(size);
	struct client s;

	start_worker();
	s = client();
	send_open(&s, ID_A, size);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
	send_message(&s, ID_A);
	put(&s, content, size);
	send_end(&s, QUEUE_ABORT, size);
	ck_assert_uint_eq(submit(&s, ID_B, "next\r\n", 6), 250);
	check_file(ID_B, "next\r\n", 6, 2);
	ck_assert_int_eq(files(), 1);
	client_end(&s);
	free(content);
}
END_TEST

/* The submitter dies at each moment; END is what makes a message. */
START_TEST(gone)
{
	char *content = content_of(200000);
	struct client s;

	start_worker();
	s = client();
	if (_i >= 1)
		send_open(&s, ID_A, 0);
	if (_i >= 2)
		send_message(&s, ID_A);
	if (_i >= 3)
		put(&s, content, _i == 3 ? 1000 : 200000);
	client_end(&s);
	check_alive();
	ck_assert_int_eq(files(), 0);
	free(content);
}
END_TEST

/* It dies behind END: the message may be there, whole. */
START_TEST(gone_after_end)
{
	struct client s;

	start_worker();
	s = client();
	put(&s, "Hello\r\n", 7);
	send_message(&s, ID_A);
	send_end(&s, QUEUE_END, 7);
	client_end(&s);
	check_alive();
	ck_assert_int_eq(files(), 1);
	check_file(ID_A, "Hello\r\n", 7, 2);
}
END_TEST

static long
cpu_ticks(void)
{
	char path[64], text[512], *p;
	unsigned long user = 0, sys = 0;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)rig.pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')');
	for (int i = 0; p != NULL && i < 12; i++)
		p = strchr(p + 1, ' ');
	ck_assert_ptr_nonnull(p);
	user = strtoul(p, &p, 10);
	sys = strtoul(p, NULL, 10);
	return (long)(user + sys);
}

/* The pipe ends and the channel stays: nobody is kept busy by that. */
START_TEST(pipe_ends)
{
	char *content = content_of(100000);
	struct client s;
	long before;

	start_worker();
	s = client();
	if (_i == 0) { /* idle, after a message that was watched */
		ck_assert_uint_eq(submit(&s, ID_A, content, 100000), 250);
	} else { /* within a message */
		send_message(&s, ID_A);
		put(&s, content, 100000);
	}
	close(s.pipe);
	s.pipe = -1;
	usleep(50000);
	before = cpu_ticks();
	usleep(300000);
	ck_assert_int_lt(cpu_ticks() - before, sysconf(_SC_CLK_TCK) / 10);
	if (_i == 1) {
		send_end(&s, QUEUE_END, 100001);
		ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 0);
	}
	client_end(&s);
	check_alive();
	free(content);
}
END_TEST

/* ---- what may be said when ---- */

/* P pipe, O open, M message, R recipients, E end, A abort, all without content;
 * o and r: wait for OPENED, RESULT with 250.  At the end: served on? */
static const struct {
	const char *script;
	bool served;
	int files;
} scripts[] = {
	{"", true, 0},
	{"P", true, 0},
	{"PP", false, 0},
	{"O", false, 0},
	{"M", false, 0},
	{"E", false, 0},
	{"A", false, 0},
	{"PE", false, 0},
	{"PA", false, 0},
	{"PR", false, 0},
	{"POo", true, 0},
	{"POoO", false, 0},
	{"POoP", false, 0},
	{"POoE", false, 0},
	{"POoR", false, 0},
	{"POoA", true, 0},
	{"POoAA", false, 0},
	{"POoAOoMEr", true, 1},
	{"POoM", true, 0},
	{"POoMM", false, 0},
	{"POoMO", false, 0},
	{"POoMP", false, 0},
	{"POoMRRR", true, 0},
	{"POoMRRREr", true, 1},
	{"POoMA", true, 0},
	{"POoMAE", false, 0},
	{"POoMAR", false, 0},
	{"POoMEr", true, 1},
	{"POoMErE", false, 1},
	{"POoMErR", false, 1},
	{"POoMErA", false, 1},
	{"PMEr", true, 1},
	{"PM", true, 0},
	{"PMA", true, 0},
	/* Before RESULT nothing may be said; what is complete stays. */
	{"POoMEO", false, 1},
	{"POoMEM", false, 1},
	{"POoMEE", false, 1},
	{"POoMEA", false, 1},
};

/* Only queued: what stands between two waits leaves in one write. */
static void
say(struct client *s, char what)
{
	struct envelope env = sample_env();
	struct queue_open open = {SLICE(ID_A), 0};
	struct queue_end end = {0};
	struct queue_pipe msg = {0};
	int fd;

	env.id = SLICE(ID_A);
	switch (what) {
	case 'P':
		fd = fcntl(s->copy, F_DUPFD_CLOEXEC, 3);
		chan_queue(s->c, QUEUE_PIPE, &msg, &fd, 1);
		break;
	case 'O':
		chan_queue(s->c, QUEUE_OPEN, &open, NULL, 0);
		break;
	case 'M':
		chan_queue(s->c, QUEUE_MESSAGE, &env, NULL, 0);
		break;
	case 'R':
		send_rcpts(s, 3);
		break;
	case 'E':
		chan_queue(s->c, QUEUE_END, &end, NULL, 0);
		break;
	case 'A':
		chan_queue(s->c, QUEUE_ABORT, &end, NULL, 0);
		break;
	case 'o':
		ck_assert_uint_eq(answer(s, QUEUE_OPENED), 250);
		break;
	default:
		ck_assert_uint_eq(answer(s, QUEUE_RESULT), 250);
	}
}

/* Closed, whatever was answered before that? */
static bool
was_closed(struct client *s)
{
	union queue_msg msg;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	enum chan_result r;

	do
		r = chan_wait(s->c, &type, &msg, sizeof(msg), fds, &nfds,
		    clock_mono_ms() + 100);
	while (r == CHAN_OK);
	return r == CHAN_CLOSED;
}

START_TEST(phases)
{
	const char *p = scripts[_i].script;
	struct client s = client_bare();
	int fds[2];

	start_worker();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	s.copy = fds[0];
	s.pipe = fds[1];
	for (; *p != '\0'; p++)
		say(&s, *p);
	ck_assert_msg(was_closed(&s) != scripts[_i].served, "%s",
	    scripts[_i].script);
	check_alive();
	ck_assert_int_eq(files(), scripts[_i].files);
	client_end(&s);
}
END_TEST

/* ---- careless and hostile ones ---- */

/* What END says against what is in the pipe. */
static const struct {
	size_t size;
	uint64_t said;
} lies[] = {
	{0, 1}, {5, 6}, {5, 100000}, {65536, 65537}, {5, UINT64_MAX},
	{100000, 100001}, {100000, 99999}, {100000, 1}, {100000, UINT64_MAX},
};

START_TEST(wrong_number)
{
	char *content = content_of(lies[_i / 2].size);
	struct client s;

	start_worker();
	s = client();
	send_message(&s, ID_A);
	put(&s, content, lies[_i / 2].size);
	if (lies[_i / 2].said < lies[_i / 2].size)
		usleep(50000); /* all of it was read */
	send_end(&s, _i % 2 ? QUEUE_END : QUEUE_ABORT, lies[_i / 2].said);
	ck_assert(was_closed(&s));
	check_alive();
	ck_assert_int_eq(files(), 0);
	client_end(&s);
	free(content);
}
END_TEST

START_TEST(no_pipe)
{
	struct client s;
	int fds[2], fd = -1;

	start_worker();
	s = client_bare();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	switch (_i) {
	case 0:
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case 1:
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		break;
	case 2:
		fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		break;
	case 3:
		fd = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
		break;
	default:
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	ck_assert_int_ge(fd, 0);
	send_pipe(&s, fd);
	send_message(&s, ID_A);
	ck_assert(was_closed(&s));
	check_alive();
	close(fds[0]);
	close(fds[1]);
	client_end(&s);
}
END_TEST

/* Whoever has a copy of the pipe's end can make reads from it wait. */
START_TEST(blocking_pipe)
{
	struct client s;

	start_worker();
	s = client();
	ck_assert_int_eq(fcntl(s.copy, F_SETFL, O_RDONLY), 0);
	send_message(&s, ID_A);
	usleep(20000);
	ck_assert_int_eq(fcntl(s.copy, F_SETFL, O_RDONLY), 0);
	send_end(&s, QUEUE_END, 10);
	ck_assert(was_closed(&s));
	check_alive();
	client_end(&s);
}
END_TEST

/* Somebody who goes on writing does not keep the worker for himself. */
START_TEST(endless)
{
	struct client s;
	pid_t pid;

	start_worker();
	s = client();
	send_message(&s, ID_A);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		static char octets[65536];

		for (int i = 0; i < 300; i++)
			if (write(s.pipe, octets, sizeof(octets)) < 0)
				break;
		_exit(0);
	}
	usleep(20000);
	send_end(&s, QUEUE_END, UINT64_C(1) << 40);
	ck_assert(was_closed(&s));
	check_alive();
	client_end(&s);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	ck_assert_int_eq(files(), 0);
}
END_TEST

static const char *const bad_ids[] = {"", "x", "../../../../etc/cron",
    "01jar9fq3raaaaaaaaa", "01jar9fq3raaaaaaaaaA", "01jar9fq3r/aaaaaaaaa"};

START_TEST(bad_id)
{
	struct client s;

	start_worker();
	s = client();
	if (_i % 2)
		send_open(&s, bad_ids[_i / 2], 0);
	else if (*bad_ids[_i / 2] != '\0')
		send_message(&s, bad_ids[_i / 2]);
	else
		send_message(&s, "y");
	ck_assert(was_closed(&s));
	check_alive();
	ck_assert_int_eq(files(), 0);
	client_end(&s);
}
END_TEST

START_TEST(other_id)
{
	struct client s;

	start_worker();
	s = client();
	send_open(&s, ID_A, 0);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
	send_message(&s, ID_B);
	ck_assert(was_closed(&s));
	client_end(&s);
}
END_TEST

START_TEST(nobody_to_send_to)
{
	struct envelope env = sample_env();
	struct client s;

	start_worker();
	s = client();
	env.recipients.n = 0;
	chan_send(s.c, QUEUE_MESSAGE, &env);
	send_end(&s, QUEUE_END, 0);
	ck_assert(was_closed(&s));
	check_alive();
	ck_assert_int_eq(files(), 0);
	client_end(&s);
}
END_TEST

START_TEST(too_many_peers)
{
	struct client s[4];

	with.max_peers = 3;
	start_worker();
	for (int i = 0; i < COUNT(s); i++) {
		s[i] = client();
		send_open(&s[i], ID_A, 0);
		if (i < 3)
			ck_assert_uint_eq(answer(&s[i], QUEUE_OPENED), 250);
	}
	/* The last one waits until there is room. */
	client_end(&s[0]);
	ck_assert_uint_eq(answer(&s[3], QUEUE_OPENED), 250);
	for (int i = 1; i < COUNT(s); i++)
		client_end(&s[i]);
}
END_TEST

/* ---- no room ---- */

START_TEST(reserve)
{
	struct client s;

	with.reserve = UINT64_MAX / 2;
	start_worker();
	s = client();
	send_open(&s, ID_A, 1);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 452);
	/* A small one that did not ask hears it before END. */
	for (int i = 0; i < 3; i++) {
		put(&s, "Hello\r\n", 7);
		send_message(&s, ID_A);
		if (i == 0)
			send_end(&s, QUEUE_END, 7);
		ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 452);
		if (i > 0)
			send_end(&s, QUEUE_ABORT, 7);
	}
	send_open(&s, ID_A, 1);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 452);
	ck_assert_int_eq(files(), 0);
	client_end(&s);
}
END_TEST

/* Writes until the worker says no, as smtpd does; what was written. */
static size_t
put_until_refused(struct client *s, const char *p, size_t n)
{
	size_t done = 0;
	ssize_t w;

	ck_assert_int_eq(fcntl(s->pipe, F_SETFL, O_WRONLY | O_NONBLOCK), 0);
	for (int i = 0; done < n && i < 500; i++) {
		w = write(s->pipe, p + done, n - done);
		if (w > 0)
			done += (size_t)w;
		else
			usleep(1000);
	}
	ck_assert_int_eq(fcntl(s->pipe, F_SETFL, O_WRONLY), 0);
	return done;
}

/* The disk is full in the middle, or at the end: temporary, and the next one is
 * served as if nothing had been. */
START_TEST(full_disk)
{
	char *content = content_of(1000000);
	static const size_t limits[] = {300, 40000, 100000, 999000};
	struct client s;
	size_t done;
	uint32_t code;

	with.file_size = limits[_i];
	start_worker();
	s = client();
	send_open(&s, ID_A, 1000000);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
	send_message(&s, ID_A);
	done = put_until_refused(&s, content, 1000000);
	if (_i == 3)
		send_end(&s, QUEUE_END, done);
	code = answer(&s, QUEUE_RESULT);
	ck_assert_uint_eq(code, 451);
	if (_i < 3) {
		send_end(&s, QUEUE_ABORT, done);
		send_open(&s, ID_B, 10);
		ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
		send_message(&s, ID_B);
		put(&s, "Hello\r\n", 7);
		send_end(&s, QUEUE_END, 7);
		code = answer(&s, QUEUE_RESULT);
		ck_assert_uint_eq(code, _i == 0 ? 451 : 250);
	}
	ck_assert_int_eq(files(), _i == 1 || _i == 2);
	client_end(&s);
	free(content);
}
END_TEST

/* A disk that is really full, where one may be made. */
START_TEST(small_disk)
{
	char *content = content_of(1000000);
	struct client s;
	size_t done;

	if (geteuid() != 0 || mount("tmpfs", rig.incoming, "tmpfs", 0,
	    "size=256k,uid=65534,gid=65534,mode=700") != 0) {
		free(content);
		return;
	}
	rig.mounted = true;
	close(rig.incoming_fd);
	rig.incoming_fd = open(rig.incoming,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	start_worker();
	s = client();
	send_open(&s, ID_A, 1000000);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 452);
	/* One that lies about its size */
	send_open(&s, ID_A, 10000);
	ck_assert_uint_eq(answer(&s, QUEUE_OPENED), 250);
	send_message(&s, ID_A);
	done = put_until_refused(&s, content, 1000000);
	ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 452);
	send_end(&s, QUEUE_ABORT, done);
	ck_assert_uint_eq(submit(&s, ID_B, "Hello\r\n", 7), 250);
	client_end(&s);
	free(content);
}
END_TEST

/* ---- signals ---- */

START_TEST(term_idle)
{
	struct client s;

	start_worker();
	s = client();
	ck_assert_uint_eq(submit(&s, ID_A, "Hello\r\n", 7), 250);
	ck_assert_int_eq(end_worker(SIGTERM), 0);
	ck_assert(was_closed(&s));
	client_end(&s);
}
END_TEST

/* What is in hand gets its answer. */
START_TEST(term_in_hand)
{
	char *content = content_of(100000);
	struct client s;

	start_worker();
	s = client();
	send_message(&s, ID_A);
	put(&s, content, 100000);
	ck_assert_int_eq(kill(rig.pid, SIGTERM), 0);
	usleep(100000);
	send_end(&s, QUEUE_END, 100000);
	ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 250);
	ck_assert(was_closed(&s));
	ck_assert_int_eq(end_worker(0), 0);
	check_file(ID_A, content, 100000, 2);
	client_end(&s);
	free(content);
}
END_TEST

/* But it does not wait for ever. */
START_TEST(term_slow)
{
	int64_t began = clock_mono_ms();
	struct client s;

	start_worker();
	s = client();
	send_message(&s, ID_A);
	put(&s, "Hel", 3);
	usleep(50000);
	ck_assert_int_eq(end_worker(SIGTERM), 0);
	ck_assert_int_lt(clock_mono_ms() - began, 8000);
	ck_assert_uint_eq(answer(&s, QUEUE_RESULT), 0);
	ck_assert_int_eq(files(), 0);
	client_end(&s);
}
END_TEST

/* Sessions go on over a reload; the worker ends with the last of them. */
START_TEST(retired)
{
	struct client s, late;

	start_worker();
	s = client();
	ck_assert_uint_eq(submit(&s, ID_A, "Hello\r\n", 7), 250);
	ck_assert_int_eq(kill(rig.pid, SIGHUP), 0);
	usleep(100000);
	ck_assert_uint_eq(submit(&s, ID_B, "Hello\r\n", 7), 250);
	/* New ones are for its successor. */
	late = client();
	send_open(&late, ID_A, 0);
	ck_assert(!was_closed(&late));
	client_end(&s);
	ck_assert_int_eq(end_worker(0), 0);
	start_worker();
	ck_assert_uint_eq(answer(&late, QUEUE_OPENED), 250);
	client_end(&late);
}
END_TEST

Suite *
queue_worker_suite(void)
{
	Suite *s = suite_create("queue_worker");
	TCase *t = tcase_create("queue_worker");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, whole, 0, COUNT(sizes));
	tcase_add_test(t, one_after_the_other);
	tcase_add_test(t, edited);
	tcase_add_test(t, many_at_once);
	tcase_add_test(t, one_of_many_fails);
	tcase_add_test(t, taken_id);
	tcase_add_test(t, many_recipients);
	tcase_add_test(t, notices);
	tcase_add_loop_test(t, aborted, 0, COUNT(sizes));
	tcase_add_loop_test(t, gone, 0, 5);
	tcase_add_test(t, gone_after_end);
	tcase_add_loop_test(t, pipe_ends, 0, 2);
	tcase_add_loop_test(t, phases, 0, COUNT(scripts));
	tcase_add_loop_test(t, wrong_number, 0, 2 * COUNT(lies));
	tcase_add_loop_test(t, no_pipe, 0, 5);
	tcase_add_test(t, blocking_pipe);
	tcase_add_test(t, endless);
	tcase_add_loop_test(t, bad_id, 0, 2 * COUNT(bad_ids));
	tcase_add_test(t, other_id);
	tcase_add_test(t, nobody_to_send_to);
	tcase_add_test(t, too_many_peers);
	tcase_add_test(t, reserve);
	tcase_add_loop_test(t, full_disk, 0, 4);
	tcase_add_test(t, small_disk);
	tcase_add_test(t, term_idle);
	tcase_add_test(t, term_in_hand);
	tcase_add_test(t, term_slow);
	tcase_add_test(t, retired);
	suite_add_tcase(s, t);
	return s;
}
