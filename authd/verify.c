/*
 * The pool of verifying children, in authd, and the children themselves
 * (ROLE_AUTHD_VERIFY).  Passwords are strangers', stored values the admin's.
 * Both are wiped as soon as they are answered.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "authd/apop.h"
#include "authd/verify.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/conf/password.h"
#include "common/conf/scram.h"
#include "common/io/loop.h"
#include "common/proto/login.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"

#define WORKERS_MAX 64
#define RESTART_MS 200     /* a child that dies at once is no reason to spin */
#define VERIFY_MAX_MS 30000 /* a hash of absurd cost */
#define FIELD_MAX 1024

enum verify_type { VERIFY_ASK = 1, VERIFY_ANSWER = 2 };

union verify_msg {
	struct verify_request ask;
	struct verify_answer answer;
};

static const struct chan_field ask_fields[] = {
	{"mechanism", 1, FIELD_U32, VERIFY_MECHANISM_MAX, 0, true, 1,
	    offsetof(struct verify_request, mechanism), NULL},
	{"stored", 2, FIELD_STRS, FIELD_MAX, VERIFY_STORED_MAX, true, 1,
	    offsetof(struct verify_request, stored), NULL},
	{"secret", 3, FIELD_STR, FIELD_MAX, 0, true, 1,
	    offsetof(struct verify_request, secret), NULL},
	{"challenge", 4, FIELD_STR, FIELD_MAX, 0, false, 1,
	    offsetof(struct verify_request, challenge), NULL},
	{"iterations", 5, FIELD_U32, SCRAM_ITERATIONS_MAX, 0, false, 1,
	    offsetof(struct verify_request, iterations), NULL},
	{"hash", 6, FIELD_U32, SCRAM_SHA1, 0, false, 1,
	    offsetof(struct verify_request, hash), NULL},
	{"better", 7, FIELD_U32, PASSWORD_BCRYPT + 1, 0, false, 1,
	    offsetof(struct verify_request, better), NULL},
};

static const struct chan_field answer_fields[] = {
	{"result", 1, FIELD_U32, VERIFY_FAULT, 0, true, 1,
	    offsetof(struct verify_answer, result), NULL},
	{"which", 2, FIELD_U32, VERIFY_STORED_MAX, 0, false, 1,
	    offsetof(struct verify_answer, which), NULL},
	{"keys", 3, FIELD_STR, (uint32_t)2 * SCRAM_KEY_MAX, 0, false, 1,
	    offsetof(struct verify_answer, keys), NULL},
	{"better", 4, FIELD_STR, FIELD_MAX, 0, false, 1,
	    offsetof(struct verify_answer, better), NULL},
};

static const struct chan_record records[] = {
	{"ask", VERIFY_ASK, CHAN_CLIENT, 0, sizeof(struct verify_request),
	    ask_fields, sizeof(ask_fields) / sizeof(ask_fields[0])},
	{"answer", VERIFY_ANSWER, CHAN_SERVER, 0, sizeof(struct verify_answer),
	    answer_fields, sizeof(answer_fields) / sizeof(answer_fields[0])},
};

const struct chan_contract verify_contract = {
	"verify", 1, 1, 32768, records, sizeof(records) / sizeof(records[0])};

/* A request that waits or is being worked on. */
struct job {
	struct job *next;
	struct verify_request request; /* slices into text */
	struct slice stored[VERIFY_STORED_MAX];
	struct buf text;               /* wiped */
	verify_fn *fn;
	void *arg;
};

struct worker {
	struct verifier *v;
	pid_t pid;             /* 0: none */
	struct chan *chan;     /* owned; NULL: gone */
	struct loop_io *io;
	struct loop_timer *limit, *restart;
	struct job *job;       /* owned; NULL: idle */
};

struct verifier {
	struct verifier_args args;
	struct apop *apop;
	struct worker workers[WORKERS_MAX];
	size_t nworkers;
	struct job *first, **last;
	size_t waiting;
};

/* ---- the child ---- */

static enum verify_result
decide_one(const struct apop *apop, const struct verify_request *request,
    struct slice stored)
{
	struct slice plain;

	if (request->mechanism == LOGIN_APOP)
		return password_plain(stored, &plain) &&
		    apop_verify(apop, request->challenge, plain,
		    request->secret) ? VERIFY_OK : VERIFY_WRONG;
	switch (password_verify(stored, request->secret)) {
	case PASSWORD_OK:
		return VERIFY_OK;
	case PASSWORD_WRONG:
		return VERIFY_WRONG;
	case PASSWORD_UNUSABLE:
		return VERIFY_UNUSABLE;
	case PASSWORD_FAULT:
		break;
	}
	return VERIFY_FAULT;
}

/* Application passwords of an account share salt and iterations: the slow step
 * is done once for all of them. */
struct derived {
	struct scram_keys keys;
	bool there;
};

static bool
decide_scram(struct derived *d, struct slice stored, struct slice secret,
    enum verify_result *result)
{
	struct scram_keys want;

	if (!scram_parse(stored, &want))
		return false;
	if (!d->there || d->keys.hash != want.hash ||
	    d->keys.iterations != want.iterations ||
	    d->keys.nsalt != want.nsalt ||
	    memcmp(d->keys.salt, want.salt, want.nsalt) != 0) {
		d->keys = want;
		d->there = scram_derive(&d->keys, secret);
	}
	*result = !d->there ? VERIFY_FAULT : mem_equal_ct(d->keys.stored,
	    want.stored, scram_size(want.hash)) ? VERIFY_OK : VERIFY_WRONG;
	return true;
}

/* The first that fits; else the one that says most about why. */
static struct verify_answer
decide(const struct apop *apop, const struct verify_request *request)
{
	struct verify_answer answer = {.result = VERIFY_WRONG,
	    .keys = SLICE_EMPTY, .better = SLICE_EMPTY};
	struct derived derived = {.there = false};
	enum verify_result result;
	size_t i;

	for (i = 0; i < request->stored.n; i++) {
		struct slice stored = request->stored.v[i];

		if (request->mechanism == LOGIN_APOP ||
		    !decide_scram(&derived, stored, request->secret, &result))
			result = decide_one(apop, request, stored);
		if (result == VERIFY_OK) {
			answer.result = result;
			answer.which = (uint32_t)i;
			break;
		}
		if (result > answer.result)
			answer.result = result;
	}
	explicit_bzero(&derived, sizeof(derived));
	return answer;
}

static struct verify_answer
derive(const struct verify_request *request, struct buf *out)
{
	struct scram_keys k = {.hash = (enum scram_hash)request->hash,
	    .iterations = request->iterations,
	    .nsalt = request->secret.len};
	struct verify_answer answer = {.result = VERIFY_FAULT,
	    .keys = SLICE_EMPTY, .better = SLICE_EMPTY};
	struct slice plain;

	if (request->stored.n != 1 || request->iterations == 0 ||
	    request->secret.len > sizeof(k.salt))
		return answer;
	memcpy(k.salt, request->secret.p, request->secret.len);
	/* For nobody's name any password does: it is the work that counts. */
	if (!password_plain(request->stored.v[0], &plain))
		plain = SLICE("x");
	if (scram_derive(&k, plain)) {
		buf_add(out, k.stored, sizeof(k.stored));
		buf_add(out, k.server, sizeof(k.server));
		answer.keys = buf_slice(out);
		answer.result = VERIFY_OK;
	}
	explicit_bzero(&k, sizeof(k));
	return answer;
}

struct verify_answer
verify_decide(const struct apop *apop, const struct verify_request *request,
    struct buf *out)
{
	struct verify_answer answer;
	const char *why;

	buf_reset(out);
	if (request->mechanism == VERIFY_DERIVE)
		return derive(request, out);
	answer = decide(apop, request);
	if (answer.result == VERIFY_OK && answer.which == 0 &&
	    request->mechanism == LOGIN_PLAIN && request->better > 0 &&
	    password_outdated(request->stored.v[0],
	    (enum password_scheme)(request->better - 1)) &&
	    password_make((enum password_scheme)(request->better - 1),
	    request->secret, out, &why))
		answer.better = buf_slice(out);
	return answer;
}

static _Noreturn void
child_run(struct chan *c, const struct apop *apop)
{
	struct buf out = BUF_INIT(FIELD_MAX);
	struct verify_answer answer;
	int fds[CHAN_MAX_FDS];
	union verify_msg msg;
	uint16_t type;
	size_t nfds;

	(void)buf_room(&out, FIELD_MAX);
	while (chan_wait(c, &type, &msg, sizeof(msg), fds, &nfds,
	    CLOCK_NEVER) == CHAN_OK) {
		answer = verify_decide(apop, &msg.ask, &out);
		chan_send(c, VERIFY_ANSWER, &answer);
		chan_wipe(c);
	}
	_exit(0);
}

static _Noreturn void
child_start(struct verifier *v, int fd)
{
	struct sandbox_args args = {.uid = v->args.uid, .gid = v->args.gid};

	v->args.forked(v->args.arg);
	proc_close_except(&fd, 1);
	proc_title("verify");
	sandbox_enter(ROLE_AUTHD_VERIFY, &args);
	child_run(chan_new(fd, &verify_contract, CHAN_SERVER), v->apop);
}

/* ---- the parent ---- */

static void
job_free(struct job **j)
{
	buf_wipe(&(*j)->text);
	free(*j);
	*j = NULL;
}

/* Tells who asked; the worker is idle again. */
static void
worker_finish(struct worker *w, const struct verify_answer *answer)
{
	struct job *j = w->job;

	if (j == NULL)
		return;
	w->job = NULL;
	loop_timer_stop(w->limit);
	j->fn(j->arg, answer);
	job_free(&j);
}

/* Its end of the channel is gone or must go; SIGCHLD brings the next. */
static void
worker_drop(struct worker *w)
{
	static const struct verify_answer fault = {VERIFY_FAULT, 0,
	    SLICE_INIT(""), SLICE_INIT("")};

	loop_io_free(&w->io);
	chan_free(&w->chan);
	if (w->pid > 0)
		kill(w->pid, SIGKILL);
	worker_finish(w, &fault);
}

static void
worker_give(struct worker *w)
{
	struct verifier *v = w->v;
	struct job *j = v->first;

	if (j == NULL || w->job != NULL || w->chan == NULL)
		return;
	v->first = j->next;
	if (v->first == NULL)
		v->last = &v->first;
	v->waiting--;
	j->next = NULL;
	w->job = j;
	chan_send(w->chan, VERIFY_ASK, &j->request);
	chan_wipe(w->chan);
	loop_timer_in(w->limit, VERIFY_MAX_MS);
}

static void
on_answer(void *arg, unsigned events)
{
	struct worker *w = arg;
	enum chan_result result;
	int fds[CHAN_MAX_FDS];
	union verify_msg msg;
	uint16_t type;
	size_t nfds;

	(void)events;
	while ((result = chan_recv(w->chan, &type, &msg, sizeof(msg), fds,
	    &nfds)) == CHAN_OK) {
		worker_finish(w, &msg.answer);
		chan_wipe(w->chan);
	}
	if (result != CHAN_AGAIN)
		worker_drop(w);
	else
		worker_give(w);
}

static void
on_limit(void *arg)
{
	struct worker *w = arg;

	LOG_ERROR("verify-too-slow", LI("pid", w->pid),
	    LU("limit_ms", VERIFY_MAX_MS), LS("mend", "a password hash in the "
	    "users table is too costly; make it anew"));
	worker_drop(w);
}

static void
worker_start(void *arg)
{
	struct worker *w = arg;
	struct verifier *v = w->v;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		log_warn("cannot make a verifying child");
		loop_timer_in(w->restart, RESTART_MS);
		return;
	}
	w->pid = proc_fork(NULL);
	if (w->pid == 0)
		child_start(v, pair[1]);
	close(pair[1]);
	if (w->pid < 0) {
		log_warn("cannot fork a verifying child");
		w->pid = 0;
		close(pair[0]);
		loop_timer_in(w->restart, RESTART_MS);
		return;
	}
	w->chan = chan_new(pair[0], &verify_contract, CHAN_CLIENT);
	w->io = loop_io_new(v->args.loop, pair[0], LOOP_READ, on_answer, w);
	worker_give(w);
}

struct verifier *
verifier_new(const struct verifier_args *args)
{
	struct verifier *v = mem_alloc(sizeof(*v));
	size_t i;

	v->args = *args;
	v->last = &v->first;
	v->apop = apop_new();
	scram_warm();
	v->nworkers = args->conf->auth_workers;
	for (i = 0; i < v->nworkers; i++) {
		struct worker *w = &v->workers[i];

		w->v = v;
		w->limit = loop_timer_new(args->loop, on_limit, w);
		w->restart = loop_timer_new(args->loop, worker_start, w);
	}
	sandbox_prepare(ROLE_AUTHD_VERIFY, 0);
	return v;
}

void
verifier_start(struct verifier *v)
{
	size_t i;

	for (i = 0; i < v->nworkers; i++)
		worker_start(&v->workers[i]);
}

void
verifier_free(struct verifier **vp)
{
	struct verifier *v = *vp;
	struct job *j;
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; i < v->nworkers; i++) {
		struct worker *w = &v->workers[i];

		loop_timer_free(&w->limit);
		loop_timer_free(&w->restart);
		loop_io_free(&w->io);
		chan_free(&w->chan); /* the child ends at this */
		if (w->job != NULL)
			job_free(&w->job);
	}
	while ((j = v->first) != NULL) {
		v->first = j->next;
		job_free(&j);
	}
	apop_free(&v->apop);
	free(v);
	*vp = NULL;
}

static struct slice
keep(struct job *j, struct slice s)
{
	size_t from = j->text.len;

	buf_addslice(&j->text, s);
	return slice_sub(buf_slice(&j->text), from, j->text.len);
}

/* The octets of a request that can be sent; 0: it cannot. */
static size_t
request_size(const struct verify_request *request)
{
	size_t n = request->secret.len + request->challenge.len, i;

	if (request->secret.len > FIELD_MAX ||
	    request->challenge.len > FIELD_MAX || request->stored.n == 0 ||
	    request->stored.n > VERIFY_STORED_MAX)
		return 0;
	for (i = 0; i < request->stored.n; i++) {
		if (request->stored.v[i].len > FIELD_MAX)
			return 0;
		n += request->stored.v[i].len;
	}
	return n + 1;
}

bool
verifier_submit(struct verifier *v, const struct verify_request *request,
    verify_fn *fn, void *arg)
{
	size_t size = request_size(request), i;
	struct job *j;

	if (v->waiting >= v->args.conf->auth_queue_max || size == 0)
		return false;
	j = mem_alloc(sizeof(*j));
	/* All room at once: a secret that moves leaves a copy behind. */
	buf_init(&j->text, size);
	(void)buf_room(&j->text, size);
	j->request = *request;
	for (i = 0; i < request->stored.n; i++)
		j->stored[i] = keep(j, request->stored.v[i]);
	j->request.stored.v = j->stored;
	j->request.secret = keep(j, request->secret);
	j->request.challenge = keep(j, request->challenge);
	j->fn = fn;
	j->arg = arg;
	*v->last = j;
	v->last = &j->next;
	v->waiting++;
	for (i = 0; i < v->nworkers && v->first != NULL; i++)
		worker_give(&v->workers[i]);
	return true;
}

bool
verifier_child(struct verifier *v, pid_t pid, int wstatus)
{
	size_t i;

	for (i = 0; i < v->nworkers; i++)
		if (v->workers[i].pid == pid)
			break;
	if (i == v->nworkers)
		return false;
	LOG_ERROR("verify-child-died", LI("pid", pid),
	    LI("wstatus", wstatus));
	v->workers[i].pid = 0;
	worker_drop(&v->workers[i]);
	loop_timer_in(v->workers[i].restart, RESTART_MS);
	return true;
}
