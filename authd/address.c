/*
 * Questions about addresses, in authd: CHECK at RCPT (smtpd's sessions),
 * RESOLVE (qmgr), EXPN.  The addresses are clients' or stand in forward files.
 *
 * Most answers are there at once and leave with one write.  What is not done
 * after SLICE_STEPS steps becomes a task: tasks take turns, one slice a round
 * of the loop, and wait while their peer does not read.
 */
#include <stdlib.h>
#include <string.h>

#include "authd/address.h"
#include "authd/counters.h"
#include "authd/directory.h"
#include "authd/resolve.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "common/proto/address.h"

#define SLICE_STEPS 256
#define PROBE_STEPS 4096         /* then an alias is believed to lead on */
#define TASKS_MAX 256
#define PENDING_MAX ((size_t)1024 * 1024) /* octets a peer has not read */
#define WAIT_MS 10

/* The strings of a batch: room for the longest target is always there. */
#define BATCH_TEXT ((size_t)128 * 1024)
#define TARGET_TEXT_MAX                                                        \
	(4 * (size_t)ENV_ADDRESS_MAX + 3 * (size_t)DELIVERY_PATH_MAX)

/* A resolution and the targets that are not sent yet. */
struct task {
	struct task *next;
	struct chan_peer *peer;
	uint64_t rid;
	bool expn;
	struct resolve *resolve;      /* owned */
	struct address_target target[ADDRESS_TARGETS_A_RECORD];
	struct slice member[ADDRESS_TARGETS_A_RECORD];
	size_t n;
	struct buf text;              /* theirs; never moves */
};

struct addresses {
	struct address_args args;
	struct chan_server *server;
	struct loop_timer *turn;
	struct task *spare;           /* owned: for answers that come at once */
	struct task *first, **last;   /* owned */
	size_t ntasks;
};

static struct task *
task_new(struct addresses *a)
{
	struct task *t = mem_alloc(sizeof(*t));

	t->resolve = resolve_new(a->args.directory);
	buf_init(&t->text, BATCH_TEXT);
	(void)buf_room(&t->text, BATCH_TEXT);
	return t;
}

static void
task_free(struct task **t)
{
	if (*t == NULL)
		return;
	resolve_free(&(*t)->resolve);
	buf_free(&(*t)->text);
	free(*t);
	*t = NULL;
}

static struct slice
keep(struct task *t, struct slice s)
{
	size_t from = t->text.len;

	buf_addslice(&t->text, s);
	return slice_sub(buf_slice(&t->text), from, t->text.len);
}

static void
batch_send(struct task *t)
{
	struct address_targets msg = {.rid = t->rid,
	    .targets = {t->target, t->n}};
	struct address_members members = {.rid = t->rid,
	    .result = ADDRESS_LOCAL, .members = {t->member, t->n},
	    .text = SLICE_EMPTY};

	if (t->n == 0)
		return;
	if (t->expn)
		chan_peer_send(t->peer, ADDRESS_MEMBERS, &members);
	else
		chan_peer_send(t->peer, ADDRESS_TARGETS, &msg);
	t->n = 0;
	buf_reset(&t->text);
}

static void
batch_add(struct task *t, const struct address_target *from)
{
	struct address_target *to = &t->target[t->n];

	if (t->expn) {
		t->member[t->n++] = keep(t, from->address);
	} else {
		*to = *from;
		to->address = keep(t, from->address);
		to->user = keep(t, from->user);
		to->home = keep(t, from->home);
		to->maildir = keep(t, from->maildir);
		to->extension = keep(t, from->extension);
		to->program = keep(t, from->program);
		to->sender = keep(t, from->sender);
		t->n++;
	}
	if (t->n == ADDRESS_TARGETS_A_RECORD ||
	    BATCH_TEXT - t->text.len < TARGET_TEXT_MAX)
		batch_send(t);
}

static void
finish(struct task *t)
{
	const struct status *why;
	enum address_result result = resolve_result(t->resolve, &why);
	struct address_resolved resolved = {.rid = t->rid,
	    .result = (uint32_t)result, .code = why->code,
	    .subject = why->subject, .detail = why->detail,
	    .text = slice_of(why->text),
	    .route = resolve_route(t->resolve)};
	struct address_members members = {.rid = t->rid,
	    .result = (uint32_t)result, .last = 1,
	    .members = {t->member, t->n}, .text = slice_of(why->text)};

	if (result == ADDRESS_TEMP)
		stats_add(COUNT_LOOKUPS_LATER, 1);
	LOG_DEBUG("answer", LU("rid", t->rid), LU("result", result),
	    LU("code", why->code), LS("text", why->text));
	if (t->expn) {
		chan_peer_send(t->peer, ADDRESS_MEMBERS, &members);
	} else {
		if (result == ADDRESS_LOCAL)
			batch_send(t);
		chan_peer_send(t->peer, ADDRESS_RESOLVED, &resolved);
	}
	t->n = 0;
	buf_reset(&t->text);
	resolve_rest(t->resolve);
}

/* Some steps; true: answered. */
static bool
work(struct task *t)
{
	struct address_target target;
	unsigned i;

	for (i = 0; i < SLICE_STEPS; i++)
		switch (resolve_next(t->resolve, &target)) {
		case RESOLVE_STEP_TARGET:
			batch_add(t, &target);
			break;
		case RESOLVE_STEP_WORKED:
			break;
		case RESOLVE_STEP_END:
			finish(t);
			return true;
		}
	return false;
}

static void
append(struct addresses *a, struct task *t)
{
	t->next = NULL;
	*a->last = t;
	a->last = &t->next;
}

static struct task *
remove_first(struct addresses *a)
{
	struct task *t = a->first;

	a->first = t->next;
	if (a->first == NULL)
		a->last = &a->first;
	return t;
}

/* One slice of the first task whose peer reads. */
static void
on_turn(void *arg)
{
	struct addresses *a = arg;
	size_t tries = a->ntasks;
	struct task *t;

	for (; tries > 0; tries--) {
		t = remove_first(a);
		if (chan_pending(chan_peer_chan(t->peer)) > PENDING_MAX) {
			append(a, t);
			continue;
		}
		if (work(t)) {
			a->ntasks--;
			task_free(&t);
		} else {
			append(a, t);
		}
		break;
	}
	if (a->ntasks > 0)
		loop_timer_in(a->turn, tries == 0 ? WAIT_MS : 0);
}

static void
busy(struct chan_peer *p, uint64_t rid, bool expn)
{
	struct slice text = SLICE("too many long lists are being read");
	struct address_resolved resolved = {.rid = rid, .result = ADDRESS_TEMP,
	    .code = 451, .subject = 3, .detail = 2, .text = text,
	    .route = SLICE_EMPTY};
	struct address_members members = {.rid = rid, .result = ADDRESS_TEMP,
	    .last = 1, .text = text};

	if (expn)
		chan_peer_send(p, ADDRESS_MEMBERS, &members);
	else
		chan_peer_send(p, ADDRESS_RESOLVED, &resolved);
}

static void
take_resolve(struct addresses *a, struct chan_peer *p,
    const struct address_resolve *msg, bool expn)
{
	struct task *t = a->spare;

	t->peer = p;
	t->rid = msg->rid;
	t->expn = expn;
	LOG_DEBUG(expn ? "expn" : "resolve", LU("rid", msg->rid),
	    LB("address", msg->address), LU("flags", msg->flags));
	resolve_start(t->resolve, msg->address,
	    expn ? RESOLVE_MEMBERS : msg->flags & RESOLVE_MAILBOX);
	if (work(t))
		return;
	if (a->ntasks == TASKS_MAX) {
		t->n = 0;
		buf_reset(&t->text);
		resolve_rest(t->resolve);
		busy(p, msg->rid, expn);
		return;
	}
	a->spare = task_new(a);
	append(a, t);
	if (a->ntasks++ == 0)
		loop_timer_in(a->turn, 0);
}

static void
take_check(struct addresses *a, struct chan_peer *p,
    const struct address_check *msg)
{
	struct resolve *r = a->spare->resolve;
	enum resolve_step step = RESOLVE_STEP_WORKED;
	struct address_checked checked = {.rid = msg->rid,
	    .result = ADDRESS_LOCAL, .text = SLICE_EMPTY};
	const struct status *why;
	struct address_target target;
	unsigned i;

	LOG_DEBUG("check", LU("rid", msg->rid), LB("address", msg->address));
	resolve_start(r, msg->address, RESOLVE_PROBE);
	for (i = 0; i < PROBE_STEPS && step == RESOLVE_STEP_WORKED; i++)
		step = resolve_next(r, &target);
	if (step == RESOLVE_STEP_END) {
		checked.result = (uint32_t)resolve_result(r, &why);
		checked.code = why->code;
		checked.subject = why->subject;
		checked.detail = why->detail;
		checked.text = slice_of(why->text);
	}
	resolve_rest(r);
	if (checked.result == ADDRESS_TEMP)
		stats_add(COUNT_LOOKUPS_LATER, 1);
	chan_peer_send(p, ADDRESS_CHECKED, &checked);
}

/* Who is at the other end of submit_socket. */
static void
take_who(struct addresses *a, struct chan_peer *p,
    const struct address_who *msg)
{
	struct directory *d = a->args.directory;
	struct address_user user = {.rid = msg->rid, .result = ADDRESS_LOCAL,
	    .name = SLICE_EMPTY, .full_name = SLICE_EMPTY};

	switch (directory_login(d, msg->uid, &user.name, &user.full_name)) {
	case DIRECTORY_FOUND:
		if (user.name.len > ADDRESS_LOGIN_MAX) {
			user.name = SLICE_EMPTY;
			user.result = ADDRESS_NONE;
		}
		if (user.full_name.len > ADDRESS_FULL_NAME_MAX)
			user.full_name = SLICE_EMPTY;
		break;
	case DIRECTORY_NONE:
		user.result = ADDRESS_NONE;
		break;
	case DIRECTORY_ERROR:
		user.result = ADDRESS_TEMP;
		break;
	}
	chan_peer_send(p, ADDRESS_USER, &user);
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	const struct address_check *check = msg;
	struct address_resolve expn;

	(void)fds;
	(void)nfds;
	switch ((enum address_type)type) {
	case ADDRESS_CHECK:
		stats_add(COUNT_CHECKS, 1);
		take_check(arg, p, check);
		return true;
	case ADDRESS_RESOLVE:
		stats_add(COUNT_RESOLVES, 1);
		take_resolve(arg, p, msg, false);
		return true;
	case ADDRESS_EXPN:
		stats_add(COUNT_EXPNS, 1);
		expn = (struct address_resolve){check->rid, check->address, 0};
		take_resolve(arg, p, &expn, true);
		return true;
	case ADDRESS_WHO:
		take_who(arg, p, msg);
		return true;
	case ADDRESS_CHECKED:
	case ADDRESS_USER:
	case ADDRESS_TARGETS:
	case ADDRESS_RESOLVED:
	case ADDRESS_MEMBERS:
		break;
	}
	return false;
}

static void
on_closed(void *arg, struct chan_peer *p)
{
	struct addresses *a = arg;
	struct task **at = &a->first, *t;

	while ((t = *at) != NULL) {
		if (t->peer != p) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		a->ntasks--;
		task_free(&t);
	}
	a->last = at;
}

struct addresses *
addresses_new(const struct address_args *args)
{
	static const struct chan_server_ops ops = {on_record, NULL, on_closed};
	struct addresses *a = mem_alloc(sizeof(*a));

	a->args = *args;
	a->last = &a->first;
	a->spare = task_new(a);
	a->turn = loop_timer_new(args->loop, on_turn, a);
	a->server = chan_server_new(args->loop, args->listen_fd,
	    &address_contract, &ops, a, args->uids, args->nuids,
	    args->max_peers, false);
	return a;
}

void
addresses_pause(struct addresses *a)
{
	chan_server_pause(a->server);
}

bool
addresses_busy(const struct addresses *a)
{
	return a->ntasks > 0;
}

void
addresses_free(struct addresses **ap)
{
	struct addresses *a = *ap;

	if (a == NULL)
		return;
	chan_server_free(&a->server);
	loop_timer_free(&a->turn);
	task_free(&a->spare);
	free(a);
	*ap = NULL;
}
