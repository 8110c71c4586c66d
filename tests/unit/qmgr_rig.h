/*
 * A queue directory, a qmgr in a process and a cage of its own, and around it
 * what it talks to: authd, local, the spawner, remote and bounce played by the
 * test itself, in one loop, over the real contracts.  Included by
 * qmgr_*_test.c.
 *
 * What happens to a recipient is told by its local part, and by its domain if
 * it is another host's: see rig_targets, rig_answer and rig_transfer_answer.
 */
#ifndef TESTS_UNIT_QMGR_RIG_H
#define TESTS_UNIT_QMGR_RIG_H

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/mail/qfile.h"
#include "common/proto/address.h"
#include "common/proto/bounce.h"
#include "common/proto/control.h"
#include "common/proto/delivery.h"
#include "common/proto/etrn.h"
#include "common/proto/notice.h"
#include "common/proto/sockets.h"
#include "common/proto/transfer.h"
#include "common/sys/proc.h"
#include "qmgr/qmgr.h"

#define RIG static __attribute__((unused))
#define RIG_WAIT_MS 10000
#ifndef RIG_JOBS
#define RIG_JOBS 4096
#endif
#define NOBODY 65534

/* Sanitizers count their own memory and look for leaks in ways that no cage
 * allows. */
#if defined(__SANITIZE_ADDRESS__)
#define RIG_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RIG_SANITIZED 1
#endif
#endif
#ifndef RIG_SANITIZED
#define RIG_SANITIZED 0
#endif

struct rig_job {
	char id[ID_SIZE];
	uint32_t number, kind, flags;
	char address[128], sender[128], target[128];
	uint32_t uid;
	char user[64];
	uint64_t job; /* not answered yet, or 0 */
	struct chan_peer *peer;
};

/* A job of remote. */
struct rig_transfer {
	char id[ID_SIZE];
	char domain[128], route[128], sender[128], envid[64];
	char first[128], orcpt[128]; /* of the first recipient */
	uint32_t flags, notify;
	uint64_t by_at_ms;
	uint32_t numbers[TRANSFER_RCPTS_MAX];
	char locals[TRANSFER_RCPTS_MAX][12];
	size_t n;
	int64_t at_ms;
	uint64_t job; /* not answered yet, or 0 */
	struct chan_peer *peer;
};

/* A job of bounce. */
struct rig_notice {
	char id[ID_SIZE];
	char sender[128];
	uint32_t kind, numbers[16], actions[16];
	size_t n;
	uint64_t until_ms;
};

#ifndef RIG_TRANSFERS
#define RIG_TRANSFERS 4096
#endif
#define RIG_NOTICES 256

struct rig {
	char dir[64], queue[96], run[96], conf[96];
	pid_t pid;
	struct loop *loop;
	int authd_fd, local_fd, spawner_fd, remote_fd, bounce_fd;
	struct chan_server *authd, *local, *spawner, *remote, *bounce;
	struct chan_link *notice, *control;
	struct loop_timer *tick;
	bool late;
	uint32_t resolves;
	struct rig_job jobs[RIG_JOBS];
	size_t njobs;
	struct rig_transfer *transfers[RIG_TRANSFERS];
	size_t ntransfers, nrunning, most_running;
	struct rig_notice notices[RIG_NOTICES];
	size_t nnotices;
	bool remote_silent;
	/* changes what a job is answered; may be NULL */
	void (*weather)(struct rig *r, const struct rig_transfer *t,
	    struct transfer_done *d);
	bool dead_up;        /* dead.example can be reached */
	uint32_t bounce_code;
	uint32_t remote_capacity;
	unsigned failures; /* of "temp": how often it still fails */
	bool local_silent; /* jobs are not answered */
	uint32_t capacity;
	struct slice temp_words;
	uint32_t temp_subject, temp_detail;
	struct chan_link *etrn;
	uint32_t etrn_code; /* of the last answer; 0: none yet */
	uint32_t etrn_messages;
	struct rig_dest {
		char dest[128], reason[128], error[256];
		uint32_t paused, running, limit, ready;
		uint64_t waiting, next_ms;
	} dests[64];
	size_t ndests;
	bool listed;
	enum control_result acted;
	bool has_acted;
	char acted_text[400];
	bool (*done)(struct rig *r, const void *arg);
	const void *done_arg;
};

/* ---- authd ---- */

RIG bool
rig_local_part(struct slice address, const char *name)
{
	struct slice s = address, local;

	return slice_cut(&s, '@', &local) && slice_eq(local, slice_of(name));
}

RIG struct address_target
rig_mailbox(const char *address)
{
	return (struct address_target){.kind = DELIVERY_MAILBOX,
	    .address = slice_of(address),
	    .user = SLICE("vmail"),
	    .uid = 4711,
	    .gid = 4712,
	    .home = SLICE("/home/x"),
	    .maildir = SLICE("/home/x/Maildir"),
	    .extension = SLICE_EMPTY,
	    .program = SLICE_EMPTY,
	    .sender = SLICE_EMPTY};
}

/* 250 members, in three records. */
static void
rig_big(struct chan_peer *p, uint64_t rid)
{
	struct address_target t[100];
	char names[100][32];
	struct address_targets out = {.rid = rid, .targets = {t, 0}};

	for (int i = 0; i < 250; i++) {
		snprintf(names[i % 100], sizeof(names[0]),
		    "member%d@here.example", i);
		t[out.targets.n++] = rig_mailbox(names[i % 100]);
		if (out.targets.n == 100 || i == 249) {
			chan_peer_send(p, ADDRESS_TARGETS, &out);
			out.targets.n = 0;
		}
	}
}

static uint32_t
rig_targets(struct rig *r, struct chan_peer *p,
    const struct address_resolve *ask)
{
	struct address_target t[2] = {rig_mailbox("ann@here.example"),
	    rig_mailbox("bob@here.example")};
	struct address_targets out = {.rid = ask->rid, .targets = {t, 2}};
	char own[256];

	(void)r;
	snprintf(own, sizeof(own), "%.*s", SLICE_FMT(ask->address));
	if (strstr(own, "@here.example") == NULL)
		return ADDRESS_REMOTE;
	if (rig_local_part(ask->address, "none"))
		return ADDRESS_NONE;
	if (rig_local_part(ask->address, "busytable"))
		return ADDRESS_TEMP;
	if (ask->flags & RESOLVE_MAILBOX) {
		/* list and owned are aliases without a mailbox */
		if (rig_local_part(ask->address, "list") ||
		    rig_local_part(ask->address, "knot"))
			return ADDRESS_NONE;
		out.targets.n = 1;
		t[0] = rig_mailbox(own);
	} else if (rig_local_part(ask->address, "list")) {
		out.targets.n = 2;
	} else if (rig_local_part(ask->address, "rlist")) {
		for (int i = 0; i < 2; i++) {
			t[i].kind = DELIVERY_ADDRESS;
			t[i].address = i == 0 ? SLICE("ann@remote.example") :
			    SLICE("bob@remote.example");
			t[i].sender = SLICE("owner-rlist@here.example");
		}
	} else if (rig_local_part(ask->address, "plist")) {
		out.targets.n = 1;
		t[0].kind = DELIVERY_ADDRESS;
		t[0].address = SLICE("perm@remote.example");
		t[0].sender = SLICE("owner-plist@here.example");
	} else if (rig_local_part(ask->address, "owned")) {
		t[0].sender = t[1].sender = SLICE("owner-owned@here.example");
	} else if (rig_local_part(ask->address, "mixed")) {
		t[1] = rig_mailbox("temp@here.example");
	} else if (rig_local_part(ask->address, "prog")) {
		out.targets.n = 1;
		t[0] = (struct address_target){.kind = DELIVERY_PROGRAM,
		    .address = ask->address,
		    .user = SLICE("pipe"),
		    .uid = 77,
		    .gid = 78,
		    .program = SLICE("/bin/prog 'a b'\tc")};
	} else if (rig_local_part(ask->address, "big")) {
		rig_big(p, ask->rid);
		return ADDRESS_LOCAL;
	} else {
		out.targets.n = 1;
		t[0] = rig_mailbox(own);
	}
	chan_peer_send(p, ADDRESS_TARGETS, &out);
	return ADDRESS_LOCAL;
}

static bool
rig_authd_record(void *arg, struct chan_peer *p, uint16_t type,
    const void *msg, const int *fds, size_t nfds)
{
	const struct address_resolve *ask = msg;
	struct address_resolved out = {.text = SLICE_EMPTY};
	struct rig *r = arg;

	(void)fds, (void)nfds;
	ck_assert_uint_eq(type, ADDRESS_RESOLVE);
	r->resolves++;
	out.rid = ask->rid;
	out.route = SLICE_EMPTY;
	out.result = rig_targets(r, p, ask);
	if (memmem(ask->address.p, ask->address.len, "@routed", 7) != NULL)
		out.route = SLICE("smtp:[192.0.2.1] concurrency=2");
	if (out.result == ADDRESS_NONE) {
		out.code = 550;
		out.subject = out.detail = 1;
		out.text = SLICE("nobody of that name");
	}
	chan_peer_send(p, ADDRESS_RESOLVED, &out);
	return true;
}

/* ---- local and spawner ---- */

static struct slice
rig_own(const struct rig_job *j)
{
	return slice_of(j->address);
}

/* The expansions of a forward file. */
static size_t
rig_forward(const struct rig_job *j, struct delivery_expansion e[4],
    char next[64])
{
	size_t n = 0;

	if (j->kind != DELIVERY_MAILBOX || (j->flags & JOB_NO_FORWARD) != 0)
		return 0;
	if (rig_local_part(rig_own(j), "fwd")) {
		e[n++] = (struct delivery_expansion){DELIVERY_MAILBOX,
		    rig_own(j), SLICE_EMPTY};
		e[n++] = (struct delivery_expansion){DELIVERY_ADDRESS,
		    SLICE("bob@here.example"), SLICE_EMPTY};
		e[n++] = (struct delivery_expansion){DELIVERY_PROGRAM,
		    rig_own(j), SLICE("/bin/filter")};
		e[n++] = (struct delivery_expansion){DELIVERY_MAILDIR,
		    rig_own(j), SLICE("/home/x/Maildir/.lists/")};
	} else if (rig_local_part(rig_own(j), "self"))
		e[n++] = (struct delivery_expansion){DELIVERY_ADDRESS,
		    rig_own(j), SLICE_EMPTY};
	else if (rig_local_part(rig_own(j), "ping"))
		e[n++] = (struct delivery_expansion){DELIVERY_ADDRESS,
		    SLICE("pong@here.example"), SLICE_EMPTY};
	else if (rig_local_part(rig_own(j), "pong"))
		e[n++] = (struct delivery_expansion){DELIVERY_ADDRESS,
		    SLICE("ping@here.example"), SLICE_EMPTY};
	else if (strncmp(j->address, "chain", 5) == 0) {
		snprintf(next, 64, "chain%ld@here.example",
		    strtol(j->address + 5, NULL, 10) + 1);
		e[n++] = (struct delivery_expansion){DELIVERY_ADDRESS,
		    slice_of(next), SLICE_EMPTY};
	} else if (rig_local_part(rig_own(j), "liar"))
		e[n++] = (struct delivery_expansion){DELIVERY_MAILDIR,
		    rig_own(j), SLICE("not/absolute")};
	return n;
}

RIG void
rig_answer(struct rig *r, struct rig_job *j)
{
	struct delivery_expansion e[4];
	char next[64];
	struct delivery_done out = {.job = j->job,
	    .code = 250,
	    .subject = 0,
	    .text = SLICE("delivered"),
	    .host = SLICE("local"),
	    .expansions = {e, rig_forward(j, e, next)}};

	if (rig_local_part(rig_own(j), "perm")) {
		out.code = 550;
		out.subject = 2;
		out.detail = 1;
		out.text = SLICE("mailbox disabled");
	} else if (rig_local_part(rig_own(j), "temp") && r->failures > 0) {
		r->failures--;
		out.code = 451;
		out.subject = r->temp_subject;
		out.detail = r->temp_detail;
		out.text = r->temp_words;
	}
	j->job = 0;
	chan_peer_send(j->peer, DELIVERY_DONE, &out);
}

static void
rig_keep(char *to, size_t size, struct slice s)
{
	snprintf(to, size, "%.*s", SLICE_FMT(s));
}

static bool
rig_job_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const struct delivery_job *job = msg;
	struct rig *r = arg;
	struct rig_job *j = &r->jobs[r->njobs++];
	char start[14];

	ck_assert_uint_eq(type, DELIVERY_JOB);
	ck_assert_uint_eq(nfds, 1);
	ck_assert_uint_lt(r->njobs, RIG_JOBS);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(read(fds[0], start, sizeof(start)), sizeof(start));
	ck_assert_int_eq(memcmp(start, "postern-queue ", sizeof(start)), 0);
	close(fds[0]);
	memset(j, 0, sizeof(*j));
	rig_keep(j->id, sizeof(j->id), job->id);
	rig_keep(j->address, sizeof(j->address), job->address);
	rig_keep(j->sender, sizeof(j->sender), job->sender);
	rig_keep(j->target, sizeof(j->target), job->kind == DELIVERY_PROGRAM ?
	    job->program : job->maildir);
	rig_keep(j->user, sizeof(j->user), job->user);
	j->number = job->number;
	j->kind = job->kind;
	j->flags = job->flags;
	j->uid = job->uid;
	j->job = job->job;
	j->peer = p;
	if (!r->local_silent)
		rig_answer(r, j);
	return true;
}

static bool
rig_job_opened(void *arg, struct chan_peer *p)
{
	struct rig *r = arg;
	struct delivery_ready ready = {r->capacity};

	chan_peer_send(p, DELIVERY_READY, &ready);
	return true;
}

static const struct chan_server_ops rig_authd_ops = {
	.record = rig_authd_record};
static const struct chan_server_ops rig_job_ops = {
	.record = rig_job_record, .opened = rig_job_opened};

/* ---- remote ---- */

static struct transfer_outcome
rig_transfer_outcome(struct rig *r, const struct rig_transfer *t, size_t i)
{
	const char *local = t->locals[i];
	struct transfer_outcome o = {.number = t->numbers[i],
	    .code = 250,
	    .text = SLICE("ok")};

	if (strcmp(t->domain, "dead.example") == 0 && !r->dead_up) {
		o.code = 451;
		o.subject = 4;
		o.detail = 1;
		o.text = SLICE("no route to host");
		o.own = 1;
	} else if (strcmp(t->domain, "busy.example") == 0) {
		o.code = 421;
		o.subject = 4;
		o.detail = 5;
		o.text = SLICE("too many connections");
	} else if (strcmp(local, "perm") == 0) {
		o.code = 550;
		o.subject = o.detail = 1;
		o.text = SLICE("no such user");
	} else if (strcmp(local, "temp") == 0 && r->failures > 0) {
		r->failures--;
		o.code = 450;
		o.subject = 2;
		o.text = SLICE("greylisted");
	} else if (strcmp(local, "plain") == 0)
		o.relayed = 1;
	return o;
}

RIG void
rig_transfer_answer(struct rig *r, struct rig_transfer *t)
{
	static struct transfer_outcome v[TRANSFER_RCPTS_MAX];
	struct transfer_done out = {.job = t->job,
	    .dest = TRANSFER_DEST_FINE,
	    .host = SLICE("mx.example[192.0.2.1]:25"),
	    .outcomes = {v, t->n}};

	for (size_t i = 0; i < t->n; i++)
		v[i] = rig_transfer_outcome(r, t, i);
	if (strcmp(t->domain, "dead.example") == 0 && !r->dead_up)
		out.dest = TRANSFER_DEST_DOWN;
	if (strcmp(t->domain, "busy.example") == 0)
		out.dest = TRANSFER_DEST_BUSY;
	if (r->weather != NULL)
		r->weather(r, t, &out);
	t->job = 0;
	r->nrunning--;
	chan_peer_send(t->peer, TRANSFER_DONE, &out);
}

static bool
rig_transfer_record(void *arg, struct chan_peer *p, uint16_t type,
    const void *msg, const int *fds, size_t nfds)
{
	const struct transfer_job *job = msg;
	const struct transfer_rcpt *v = job->recipients.v;
	struct rig_transfer *t = mem_alloc(sizeof(*t));
	struct rig *r = arg;

	ck_assert_uint_eq(type, TRANSFER_JOB);
	ck_assert_uint_eq(nfds, 1);
	ck_assert_uint_lt(r->ntransfers, RIG_TRANSFERS);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fds[0]);
	r->transfers[r->ntransfers++] = t;
	rig_keep(t->id, sizeof(t->id), job->id);
	rig_keep(t->domain, sizeof(t->domain), job->domain);
	rig_keep(t->route, sizeof(t->route), job->route);
	rig_keep(t->sender, sizeof(t->sender), job->sender);
	rig_keep(t->envid, sizeof(t->envid), job->envid);
	rig_keep(t->first, sizeof(t->first), v[0].address);
	rig_keep(t->orcpt, sizeof(t->orcpt), v[0].orcpt);
	t->notify = v[0].notify;
	t->flags = job->flags;
	t->by_at_ms = job->by_at_ms;
	t->n = job->recipients.n;
	t->at_ms = clock_mono_ms();
	t->job = job->job;
	t->peer = p;
	for (size_t i = 0; i < t->n; i++) {
		struct slice rest = v[i].address, local;

		slice_cut(&rest, '@', &local);
		t->numbers[i] = v[i].number;
		rig_keep(t->locals[i], sizeof(t->locals[i]), local);
	}
	if (++r->nrunning > r->most_running)
		r->most_running = r->nrunning;
	if (!r->remote_silent)
		rig_transfer_answer(r, t);
	return true;
}

static bool
rig_transfer_opened(void *arg, struct chan_peer *p)
{
	struct rig *r = arg;
	struct transfer_ready ready = {r->remote_capacity};

	chan_peer_send(p, TRANSFER_READY, &ready);
	return true;
}

/* ---- bounce ---- */

static bool
rig_notice_record(void *arg, struct chan_peer *p, uint16_t type,
    const void *msg, const int *fds, size_t nfds)
{
	const struct bounce_job *job = msg;
	const struct bounce_rcpt *v = job->recipients.v;
	struct rig *r = arg;
	struct rig_notice *n = &r->notices[r->nnotices++ % RIG_NOTICES];
	struct bounce_done out = {.job = job->job,
	    .code = r->bounce_code,
	    .text = SLICE("as it was told"),
	    .id = SLICE_EMPTY};

	ck_assert_uint_eq(type, BOUNCE_JOB);
	ck_assert_uint_eq(nfds, 1);
	close(fds[0]);
	rig_keep(n->id, sizeof(n->id), job->id);
	rig_keep(n->sender, sizeof(n->sender), job->sender);
	n->kind = job->kind;
	n->n = job->recipients.n;
	for (size_t i = 0; i < n->n && i < 16; i++) {
		n->numbers[i] = v[i].number;
		n->actions[i] = v[i].action;
		n->until_ms = v[i].until_ms;
	}
	chan_peer_send(p, BOUNCE_DONE, &out);
	return true;
}

static bool
rig_notice_opened(void *arg, struct chan_peer *p)
{
	const struct bounce_ready ready = {8};

	(void)arg;
	chan_peer_send(p, BOUNCE_READY, &ready);
	return true;
}

static const struct chan_server_ops rig_transfer_ops = {
	.record = rig_transfer_record, .opened = rig_transfer_opened};
static const struct chan_server_ops rig_bounce_ops = {
	.record = rig_notice_record, .opened = rig_notice_opened};

static struct chan_server *
rig_serve(struct rig *r, int *fd, const char *name,
    const struct chan_contract *ct, const struct chan_server_ops *ops)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", r->run, name);
	*fd = chan_listen(path, 0666, 8);
	ck_assert_int_ge(*fd, 0);
	return chan_server_new(r->loop, *fd, ct, ops, r, NULL, 0, 8, false);
}

RIG void
rig_authd_up(struct rig *r)
{
	r->authd = rig_serve(r, &r->authd_fd, SOCKET_ADDRESS,
	    &address_contract, &rig_authd_ops);
}

RIG void
rig_local_up(struct rig *r)
{
	r->local = rig_serve(r, &r->local_fd, SOCKET_LOCAL,
	    &delivery_contract, &rig_job_ops);
}

RIG void
rig_remote_up(struct rig *r)
{
	r->remote = rig_serve(r, &r->remote_fd, SOCKET_REMOTE,
	    &transfer_contract, &rig_transfer_ops);
}

RIG void
rig_bounce_up(struct rig *r)
{
	r->bounce = rig_serve(r, &r->bounce_fd, SOCKET_BOUNCE,
	    &bounce_contract, &rig_bounce_ops);
}

RIG void
rig_down(struct chan_server **s, int *fd)
{
	chan_server_free(s);
	close(*fd);
	*fd = -1;
}

/* ---- notices and control ---- */

static bool
rig_no_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	(void)arg, (void)type, (void)msg, (void)fds, (void)nfds;
	return false;
}

static void
rig_dest_info(struct rig *r, const struct control_dest_info *i)
{
	struct rig_dest *d = &r->dests[r->ndests];

	if (i->last) {
		r->listed = true;
		return;
	}
	ck_assert_uint_lt(r->ndests, 64);
	r->ndests++;
	rig_keep(d->dest, sizeof(d->dest), i->dest);
	rig_keep(d->reason, sizeof(d->reason), i->reason);
	rig_keep(d->error, sizeof(d->error), i->error);
	d->paused = i->paused;
	d->running = i->running;
	d->limit = i->limit;
	d->ready = i->ready;
	d->waiting = i->waiting;
	d->next_ms = i->next_ms;
}

static bool
rig_etrn_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	const struct etrn_started *s = msg;
	struct rig *r = arg;

	(void)fds, (void)nfds;
	ck_assert_uint_eq(type, ETRN_STARTED);
	r->etrn_code = s->code;
	r->etrn_messages = s->messages;
	return true;
}

static bool
rig_control_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	const struct control_acted *a = msg;
	struct rig *r = arg;

	(void)fds, (void)nfds;
	if (type == CONTROL_DEST_INFO) {
		rig_dest_info(r, msg);
		return true;
	}
	ck_assert_uint_eq(type, CONTROL_ACTED);
	r->acted = (enum control_result)a->result;
	r->has_acted = true;
	rig_keep(r->acted_text, sizeof(r->acted_text), a->text);
	return true;
}

static const struct chan_link_ops rig_notice_ops = {.record = rig_no_record};
static const struct chan_link_ops rig_control_ops = {
	.record = rig_control_record};
static const struct chan_link_ops rig_etrn_ops = {.record = rig_etrn_record};

/* ---- running ---- */

static void
rig_late(void *arg)
{
	struct rig *r = arg;

	r->late = true;
	loop_stop(r->loop);
}

static void
rig_round(void *arg)
{
	struct rig *r = arg;

	if (r->done != NULL && r->done(r, r->done_arg))
		loop_stop(r->loop);
	else
		loop_timer_in(r->tick, 5); /* looks at files, too */
}

static void
rig_tick(void *arg)
{
	(void)arg;
}

/* So many jobs came to remote. */
RIG bool
rig_ntransfers(struct rig *r, const void *n)
{
	return r->ntransfers >= *(const size_t *)n;
}

/* ... to bounce. */
RIG bool
rig_nnotices(struct rig *r, const void *n)
{
	return r->nnotices >= *(const size_t *)n;
}

/* Runs until done says so; false: not within wait_ms. */
RIG bool
rig_run(struct rig *r, bool (*done)(struct rig *, const void *),
    const void *arg, int64_t wait_ms)
{
	struct loop_timer *late = loop_timer_new(r->loop, rig_late, r);

	r->late = false;
	r->done = done;
	r->done_arg = arg;
	loop_timer_in(late, wait_ms);
	loop_timer_in(r->tick, 0);
	loop_run(r->loop);
	loop_timer_free(&late);
	r->done = NULL;
	return !r->late;
}

static bool
rig_never(struct rig *r, const void *arg)
{
	(void)r, (void)arg;
	return false;
}

RIG void
rig_sleep(struct rig *r, int64_t ms)
{
	(void)rig_run(r, rig_never, NULL, ms);
}

RIG bool
rig_in(struct rig *r, enum qdir dir, const char *id)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s/%s", r->queue, qdir_names[dir], id);
	return access(path, F_OK) == 0;
}

RIG bool
rig_nowhere(struct rig *r, const void *id)
{
	for (int dir = 0; dir < QDIR_COUNT; dir++)
		if (rig_in(r, (enum qdir)dir, id))
			return false;
	return true;
}

RIG bool
rig_deferred(struct rig *r, const void *id)
{
	return rig_in(r, QDIR_DEFERRED, id);
}

RIG bool
rig_held(struct rig *r, const void *id)
{
	return rig_in(r, QDIR_HOLD, id);
}

RIG bool
rig_corrupt(struct rig *r, const void *id)
{
	return rig_in(r, QDIR_CORRUPT, id);
}

/* At least that many jobs came. */
RIG bool
rig_njobs(struct rig *r, const void *n)
{
	return r->njobs >= *(const size_t *)n;
}

static bool
rig_listens(struct rig *r, const void *arg)
{
	char path[160];

	(void)arg;
	snprintf(path, sizeof(path), "%s/%s", r->run, SOCKET_CONTROL);
	return access(path, F_OK) == 0;
}

static bool
rig_links_up(struct rig *r, const void *arg)
{
	(void)arg;
	return chan_link_is_up(r->notice) && chan_link_is_up(r->control) &&
	    chan_link_is_up(r->etrn);
}

#define WAIT_FOR(r, fn, arg)                                                   \
	ck_assert_msg(rig_run((r), (fn), (arg), RIG_WAIT_MS),                  \
	    "waited in vain for " #fn "; log:\n%s", rig_log(r))

RIG const char *
rig_log(struct rig *r)
{
	static char text[65536];
	char path[160];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/log", r->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* ---- qmgr itself ---- */

_Noreturn static void
rig_child(struct rig *r)
{
	static struct qmgr qm;
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/log", r->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd == -1 || dup2(fd, 2) == -1)
		_exit(99);
	proc_close_except(NULL, 0);
	if (getuid() == 0 && (seteuid(0) != 0 || setegid(0) != 0))
		_exit(98);
	signal(SIGPIPE, SIG_IGN);
	log_open("qmgr");
	log_forked(NULL);
	conf_load(&qm.conf, r->conf);
	conf_keep(r->conf);
	qm.patience_ms = 300;
	qmgr_open(&qm);
	if (RIG_SANITIZED)
		exit(qmgr_run(&qm));
	qmgr_cage(&qm);
	_exit(qmgr_run(&qm));
}

/* Starts qmgr and waits until it listens. */
RIG void
rig_start(struct rig *r)
{
	char path[160];

	r->pid = fork();
	ck_assert_int_ge(r->pid, 0);
	if (r->pid == 0)
		rig_child(r);
	WAIT_FOR(r, rig_listens, NULL);
	snprintf(path, sizeof(path), "%s/%s", r->run, SOCKET_NOTICE);
	r->notice = chan_link_new(r->loop, path, &notice_contract,
	    &rig_notice_ops, r);
	snprintf(path, sizeof(path), "%s/%s", r->run, SOCKET_CONTROL);
	r->control = chan_link_new(r->loop, path, &control_contract,
	    &rig_control_ops, r);
	snprintf(path, sizeof(path), "%s/%s", r->run, SOCKET_ETRN);
	r->etrn = chan_link_new(r->loop, path, &etrn_contract, &rig_etrn_ops,
	    r);
	WAIT_FOR(r, rig_links_up, NULL);
}

/* Ends it with a signal; its wait status. */
RIG int
rig_end(struct rig *r, int signo)
{
	char path[160];
	int wstatus = 0;

	chan_link_free(&r->notice);
	chan_link_free(&r->control);
	chan_link_free(&r->etrn);
	ck_assert_int_eq(kill(r->pid, signo), 0);
	ck_assert_int_eq(waitpid(r->pid, &wstatus, 0), r->pid);
	r->pid = 0;
	/* the next one makes them anew: until then nobody is to connect */
	snprintf(path, sizeof(path), "%s/%s", r->run, SOCKET_CONTROL);
	(void)unlink(path);
	return wstatus;
}

static void
rig_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

RIG void
rig_configure(struct rig *r, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), "run_dir = %s\nqueue_dir = %s\n"
	    "user_queue = nobody\nuser_smtpd = nobody\n"
	    "hostname = here.example\n%s", r->run,
	    r->queue, more);
	rig_write(r->conf, text);
}

/* Directories and the other daemons, without qmgr.  As root everything is
 * nobody's, the test included. */
RIG struct rig *
rig_new(const char *more_conf)
{
	struct rig *r = mem_alloc(sizeof(*r));
	char path[160];

	if (getuid() == 0) {
		ck_assert_int_eq(setegid(NOBODY), 0);
		ck_assert_int_eq(seteuid(NOBODY), 0);
	}
	umask(022);
	snprintf(r->dir, sizeof(r->dir), "/tmp/qmgr.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	snprintf(r->queue, sizeof(r->queue), "%s/queue", r->dir);
	snprintf(r->run, sizeof(r->run), "%s/run", r->dir);
	snprintf(r->conf, sizeof(r->conf), "%s/postern.conf", r->dir);
	ck_assert_int_eq(mkdir(r->queue, 0700), 0);
	ck_assert_int_eq(mkdir(r->run, 0755), 0);
	/* sockets inherit the group, as in a real one */
	ck_assert_int_eq(chmod(r->run, 02755), 0);
	for (int i = 0; i < QDIR_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s", r->queue, qdir_names[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	rig_configure(r, more_conf);
	r->capacity = 50;
	r->remote_capacity = 100;
	r->bounce_code = 250;
	r->temp_subject = 2;
	r->temp_words = SLICE("try later");
	r->loop = loop_new();
	r->tick = loop_timer_new(r->loop, rig_tick, r);
	loop_after(r->loop, rig_round, r);
	rig_authd_up(r);
	rig_local_up(r);
	rig_remote_up(r);
	rig_bounce_up(r);
	r->spawner = rig_serve(r, &r->spawner_fd, SOCKET_SPAWNER,
	    &delivery_contract, &rig_job_ops);
	return r;
}

RIG void
rig_free(struct rig *r)
{
	char command[128];
	pid_t pid;

	/* Nothing is under way any more: it ends at once and well. */
	if (r->local != NULL)
		rig_down(&r->local, &r->local_fd);
	if (r->remote != NULL)
		rig_down(&r->remote, &r->remote_fd);
	if (r->pid > 0)
		ck_assert_int_eq(rig_end(r, SIGTERM), 0);
	if (r->authd != NULL)
		rig_down(&r->authd, &r->authd_fd);
	if (r->remote != NULL)
		rig_down(&r->remote, &r->remote_fd);
	if (r->bounce != NULL)
		rig_down(&r->bounce, &r->bounce_fd);
	rig_down(&r->spawner, &r->spawner_fd);
	for (size_t i = 0; i < r->ntransfers; i++)
		free(r->transfers[i]);
	loop_free(&r->loop);
	snprintf(command, sizeof(command), "%s", r->dir);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", command, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
	free(r);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0) + setegid(0), 0);
}

/* ---- messages ---- */

struct rig_message {
	struct mail_id id;
	struct env_recipient rcpts[NOTICE_RCPTS_MAX];
	char names[NOTICE_RCPTS_MAX][64];
	size_t n;
	uint32_t flags;
	const char *from;   /* NULL: sender@remote.example */
	const char *envid;
	uint64_t by_at_ms;
	uint32_t notify;    /* of all recipients */
	const char *orcpt;
};

/* A message to these (separated by spaces) at here.example, or to full
 * addresses. */
RIG struct rig_message
rig_message_at(const char *to, int64_t ms)
{
	struct rig_message m = {.id = id_new(ms)};
	struct slice rest = slice_of(to), word;

	while (slice_word(&rest, &word)) {
		snprintf(m.names[m.n], sizeof(m.names[0]), "%.*s%s",
		    SLICE_FMT(word), slice_find(word, '@', 0) == word.len ?
		    "@here.example" : "");
		m.n++;
	}
	return m;
}

RIG struct rig_message
rig_message(const char *to)
{
	return rig_message_at(to, clock_real_ms());
}

static struct envelope
rig_envelope(struct rig_message *m)
{
	struct envelope env = {.id = slice_of(m->id.s),
	    .from = slice_of(m->from != NULL ? m->from :
	        "sender@remote.example"),
	    .flags = m->flags,
	    .envid = log_text(m->envid),
	    .by_at_ms = m->by_at_ms,
	    .recipients = {m->rcpts, m->n}};

	for (size_t i = 0; i < m->n; i++)
		m->rcpts[i] = (struct env_recipient){slice_of(m->names[i]),
		    log_text(m->orcpt), m->notify};
	return env;
}

/* Writes a file, which appears whole. */
RIG void
rig_store_env(struct rig *r, const struct envelope *env, enum qdir dir)
{
	static const char content[] = "Subject: x\r\n\r\nHello.\r\n";
	struct buf text = BUF_INIT(1 << 24), tail = BUF_INIT(1 << 20);
	size_t at, len = sizeof(content) - 1;
	char path[200], fresh[160];
	FILE *f;

	qfile_envelope(env, clock_real_ms(), &text, &at);
	ck_assert(!text.overflow);
	qfile_content_field(text.len, len, text.s + at);
	qfile_trailer(buf_slice(&text), env, NULL, 0,
	    qfile_sum(0, content, len), len, &tail);
	snprintf(path, sizeof(path), "%s/%s/%.*s", r->queue, qdir_names[dir],
	    SLICE_FMT(env->id));
	snprintf(fresh, sizeof(fresh), "%s/fresh", r->dir);
	f = fopen(fresh, "w");
	ck_assert_ptr_nonnull(f);
	fwrite(text.s, 1, text.len, f);
	fwrite(content, 1, len, f);
	fwrite(tail.s, 1, tail.len, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(rename(fresh, path), 0);
	buf_free(&text);
	buf_free(&tail);
}

RIG void
rig_store(struct rig *r, struct rig_message *m, enum qdir dir)
{
	struct envelope env = rig_envelope(m);

	rig_store_env(r, &env, dir);
}

RIG void
rig_notify(struct rig *r, struct rig_message *m)
{
	struct envelope env = rig_envelope(m);
	struct notice_new n = {.id = slice_of(m->id.s),
	    .from = env.from,
	    .size = 22,
	    .flags = m->flags,
	    .envid = env.envid,
	    .nrcpts = (uint32_t)m->n,
	    .recipients = env.recipients};

	ck_assert(chan_link_send(r->notice, NOTICE_NEW, &n));
}

/* A message made by hand, stored and told of. */
RIG void
rig_submit(struct rig *r, struct rig_message *m)
{
	rig_store(r, m, QDIR_INCOMING);
	rig_notify(r, m);
}

/* Stored and told of. */
RIG struct rig_message
rig_send(struct rig *r, const char *to)
{
	struct rig_message m = rig_message(to);

	rig_store(r, &m, QDIR_INCOMING);
	rig_notify(r, &m);
	return m;
}

static bool
rig_has_acted(struct rig *r, const void *arg)
{
	(void)arg;
	return r->has_acted;
}

RIG enum control_result
rig_act(struct rig *r, enum control_action action, const char *id)
{
	struct control_act act = {action, slice_of(id), SLICE("by the test")};

	r->has_acted = false;
	ck_assert(chan_link_send(r->control, CONTROL_ACT, &act));
	WAIT_FOR(r, rig_has_acted, NULL);
	return r->acted;
}

RIG enum control_result
rig_act_dest(struct rig *r, enum control_dest_action action, const char *dest)
{
	struct control_dest c = {action, slice_of(dest), SLICE("by the test")};

	r->has_acted = false;
	ck_assert(chan_link_send(r->control, CONTROL_DEST, &c));
	WAIT_FOR(r, rig_has_acted, NULL);
	return r->acted;
}

static bool
rig_has_listed(struct rig *r, const void *arg)
{
	(void)arg;
	return r->listed;
}

/* The destination of that name, or NULL. */
RIG struct rig_dest *
rig_dest(struct rig *r, const char *name)
{
	struct control_list list = {SLICE_EMPTY};

	r->listed = false;
	r->ndests = 0;
	memset(r->dests, 0, sizeof(r->dests));
	ck_assert(chan_link_send(r->control, CONTROL_LIST, &list));
	WAIT_FOR(r, rig_has_listed, NULL);
	for (size_t i = 0; i < r->ndests; i++)
		if (strcmp(r->dests[i].dest, name) == 0)
			return &r->dests[i];
	return NULL;
}

static bool
rig_etrn_answered(struct rig *r, const void *arg)
{
	(void)arg;
	return r->etrn_code != 0;
}

RIG uint32_t
rig_etrn(struct rig *r, const char *name)
{
	struct etrn_start start = {slice_of(name)};

	r->etrn_code = 0;
	ck_assert(chan_link_send(r->etrn, ETRN_START, &start));
	WAIT_FOR(r, rig_etrn_answered, NULL);
	return r->etrn_code;
}

/* Jobs for this address; the last of them in *out. */
RIG size_t
rig_jobs_for(struct rig *r, const char *address, struct rig_job **out)
{
	size_t n = 0;

	for (size_t i = 0; i < r->njobs; i++)
		if (strcmp(r->jobs[i].address, address) == 0) {
			n++;
			if (out != NULL)
				*out = &r->jobs[i];
		}
	return n;
}

/* The file of a message, opened. */
RIG struct qfile *
rig_open(struct rig *r, enum qdir dir, const char *id, bool want_write)
{
	char path[160], why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", r->queue, qdir_names[dir]);
	fd = open(path, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(qfile_open(fd, id, want_write, true, &q, why) ==
	    QFILE_OK, "%s/%s: %s", path, id, why);
	close(fd);
	return q;
}

RIG bool
rig_logged(struct rig *r, const void *words)
{
	return strstr(rig_log(r), words) != NULL;
}

#endif
