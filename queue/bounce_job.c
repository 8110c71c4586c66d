/*
 * One job of bounce's: reads the queue file it is handed, decides who is told
 * what, and hands the notice to queued.  Runs in a process of its own that has
 * a queue file, a pipe and two channels, and nothing else: the message is the
 * network's, and so are the addresses and words in the file.
 *
 * 2xx is answered for what queued made durable, and where none is to be sent.
 * Everything that goes wrong here is temporary.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/mail/address.h"
#include "common/proto/queue_client.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "queue/bounce.h"
#include "queue/counters.h"

#define JOB_WAIT_MS 10000   /* the parent sends it at once */
#define DEPTH_MAX 1000      /* of expansions of expansions */
#define READ_FAILED "Queue file cannot be read, will be tried again"

static const char *const kinds[] = {
	[BOUNCE_FAILURE] = "failure",
	[BOUNCE_DELAY] = "delay",
	[BOUNCE_SUCCESS] = "success",
};

/* ---- who is told ---- */

/* RFC 2852 4.3: the sender asked to be told when this moment had passed. */
static bool
is_late(const struct envelope *env)
{
	return (env->flags & ENV_BY_NOTIFY) != 0 && env->by_at_ms != 0 &&
	    clock_real_ms() >= (int64_t)env->by_at_ms;
}

/* RFC 3461 4.1: has the sender a wish that this is against? */
static bool
wanted(const struct envelope *env, const struct qrcpt *r, uint32_t kind)
{
	if ((r->notify & NOTIFY_NEVER) != 0)
		return false;
	if (kind == BOUNCE_SUCCESS)
		return (r->notify & NOTIFY_SUCCESS) != 0;
	if (kind == BOUNCE_DELAY && is_late(env))
		return true;
	return r->notify == 0 || (r->notify &
	    (kind == BOUNCE_FAILURE ? NOTIFY_FAILURE : NOTIFY_DELAY)) != 0;
}

static uint32_t
action_of(uint32_t kind, uint32_t action)
{
	if (kind == BOUNCE_FAILURE)
		return BOUNCE_FAILED;
	if (kind == BOUNCE_DELAY)
		return BOUNCE_DELAYED;
	return action == BOUNCE_RELAYED || action == BOUNCE_EXPANDED ? action
	    : BOUNCE_DELIVERED;
}

/* What the sender wrote, however often it was expanded. */
static struct slice
original_address(struct qfile *q, const struct qrcpt *r)
{
	unsigned depth;
	size_t i;

	for (depth = 0; depth < DEPTH_MAX && r->parent != 0 &&
	    qfile_find(q, r->parent, &i); depth++)
		r = qfile_rcpt(q, i);
	return r->address;
}

/* Programs and files of an alias are no addresses: whom they belong to. */
static struct slice
final_address(struct qfile *q, const struct qrcpt *r)
{
	struct slice address = r->address;
	struct address parsed;
	const char *why;
	unsigned depth;
	size_t i;

	for (depth = 0; depth < DEPTH_MAX; depth++) {
		if (address_parse(r->address, true, &parsed, &why))
			return r->address;
		if (r->parent == 0 || !qfile_find(q, r->parent, &i))
			break;
		r = qfile_rcpt(q, i);
	}
	return address;
}

/* The recorded status, if it is one of this outcome. */
static void
fill_status(struct bounce_told *t)
{
	static const struct {
		enum status_class fits, fits_too;
		uint32_t code;
	} of[] = {
		/* Given up after the last temporary failure */
		[BOUNCE_FAILED] = {STATUS_PERMANENT, STATUS_TEMPORARY, 550},
		[BOUNCE_DELAYED] = {STATUS_TEMPORARY, STATUS_TEMPORARY, 450},
		[BOUNCE_DELIVERED] = {STATUS_OK, STATUS_OK, 250},
		[BOUNCE_RELAYED] = {STATUS_OK, STATUS_OK, 250},
		[BOUNCE_EXPANDED] = {STATUS_OK, STATUS_OK, 250},
	};
	enum status_class got;

	if (qrcpt_status(t->r, &t->status)) {
		got = status_class(&t->status);
		t->has_words = got == of[t->action].fits ||
		    got == of[t->action].fits_too;
	}
	if (t->has_words)
		t->remote = t->r->remote;
	else
		status_set(&t->status, of[t->action].code, 0, 0, "%s", "");
}

size_t
bounce_choose(struct qfile *q, const struct bounce_job *job,
    struct bounce_told *told)
{
	const struct bounce_rcpt *v = job->recipients.v;
	struct bounce_told *t;
	struct qrcpt *r;
	size_t i, at, n = 0;

	for (i = 0; i < job->recipients.n; i++) {
		if (!qfile_find(q, v[i].number, &at)) {
			LOG_WARN("no-recipient", LB("id", job->id),
			    LU("number", v[i].number));
			continue;
		}
		r = qfile_rcpt(q, at);
		if (!wanted(qfile_env(q), r, job->kind) ||
		    r->state == QSTATE_BOUNCED ||
		    r->state == QSTATE_CANCELLED)
			continue;
		t = &told[n++];
		*t = (struct bounce_told){.r = r,
		    .address = final_address(q, r),
		    .original = original_address(q, r),
		    .action = action_of(job->kind, v[i].action),
		    .until_ms = v[i].until_ms};
		fill_status(t);
	}
	return n;
}

/* ---- where it goes ---- */

static void
none(const struct bounce_job *job, struct bounce_result *out, const char *why)
{
	stats_add(COUNT_NOTICES_NONE, 1);
	LOG_INFO("no-notice", LB("id", job->id), LS("kind", kinds[job->kind]),
	    LS("why", why));
	status_set(&out->status, 250, 0, 0, "No notice sent: %s", why);
}

/* Mail from <> : the postmaster, once, or nobody.  NULL: *out says why. */
static const char *
double_address(const struct conf *conf, const struct bounce_job *job,
    const struct qfile *q, struct buf *text, struct bounce_result *out)
{
	const char *domain = conf->local_domain[0] != '\0' ? conf->local_domain
	    : conf->hostname;

	if (job->kind != BOUNCE_FAILURE)
		none(job, out, "the message has no sender");
	else if ((qfile_env(q)->flags & ENV_DOUBLE) != 0)
		none(job, out, "a notice to the postmaster failed: given up");
	else if (conf->double_bounce[0] == '\0')
		none(job, out, "no sender, and double_bounce is empty");
	else {
		buf_adds(text, conf->double_bounce);
		if (strchr(conf->double_bounce, '@') == NULL)
			buf_printf(text, "@%s", domain);
		return text->s;
	}
	return NULL;
}

/* ---- handing it in ---- */

static bool
put(void *arg, struct slice octets)
{
	return queue_client_put(arg, octets);
}

/* RFC 5321 4.4: a line of ours, so that the way can be followed. */
static void
received(const struct bounce_notice *n, struct buf *out)
{
	char date[CLOCK_DATE_SIZE];

	clock_rfc5322(n->now_ms, date);
	buf_printf(out, "Received: by %s (notice) id %s;\r\n\t%s\r\n",
	    n->conf->hostname, n->id.s, date);
}

/* The envelope: from <> (RFC 3461 6.1), without RET and NOTIFY. */
static void
send_envelope(const struct bounce_notice *n, struct queue_client *q)
{
	struct env_recipient to = {.address = n->to, .orcpt = SLICE_EMPTY};
	struct buf prepend = BUF_INIT(ENV_RECEIVED_MAX);
	struct envelope env = {.id = slice_of(n->id.s), .from = SLICE_EMPTY,
	    .flags = n->flags | (n->doubled ? ENV_DOUBLE : 0),
	    .envid = SLICE_EMPTY, .client_ip = SLICE_EMPTY,
	    .client_helo = SLICE_EMPTY, .protocol = SLICE("notice"),
	    .login = SLICE_EMPTY, .sid = SLICE_EMPTY,
	    .recipients = {&to, 1}};

	received(n, &prepend);
	env.prepend = buf_slice(&prepend);
	(void)queue_client_envelope(q, &env);
	buf_free(&prepend);
}

static void
hand_in(struct bounce_notice *n, const struct bounce_job *job,
    struct queue_client *q, struct bounce_result *out)
{
	if (queue_client_open(q, slice_of(n->id.s), bounce_notice_size(n)))
		send_envelope(n, q);
	if (bounce_notice_write(n, put, q) != 0 && errno != ECANCELED) {
		LOG_ERROR("read-failed", LB("id", job->id), LE());
		queue_client_abort(q);
		status_set(&out->status, 451, 3, 0, READ_FAILED);
		return;
	}
	queue_client_end(q, NULL, &out->status);
	if (status_class(&out->status) != STATUS_OK) {
		/* Whatever queued says, the sender must hear of it some day. */
		if (status_class(&out->status) != STATUS_TEMPORARY)
			out->status.code = 451;
		return;
	}
	out->id = n->id;
	stats_add(COUNT_NOTICES + job->kind - BOUNCE_FAILURE, 1);
	stats_add(COUNT_NOTICES_DOUBLE, n->doubled);
	LOG_INFO("notice", LB("id", job->id), LS("kind", kinds[job->kind]),
	    LS("notice", n->id.s), LB("to", n->to),
	    LU("recipients", n->ntold), LU("size", queue_client_octets(q)),
	    LS("double", n->doubled ? "yes" : "no"));
}

/* ---- the job ---- */

/* Another file than the job says: nothing can be told from it. */
static bool
fits(const struct bounce_job *job, struct qfile *q, struct bounce_result *out)
{
	if (slice_eq(qfile_env(q)->id, job->id))
		return true;
	LOG_ERROR("other-message", LB("id", job->id),
	    LB("file", qfile_env(q)->id));
	status_set(&out->status, 451, 3, 5, "Another message's queue file");
	return false;
}

static void
work(struct bounce_notice *n, const struct bounce_job *job,
    struct queue_client *q, struct bounce_result *out)
{
	struct buf postmaster = BUF_INIT(ENV_ADDRESS_MAX);
	const char *to;

	n->ntold = bounce_choose(n->q, job, n->told);
	if (n->ntold == 0) {
		none(job, out, "nobody is to be told of");
		return;
	}
	if (job->sender.len == 0) {
		to = double_address(n->conf, job, n->q, &postmaster, out);
		if (to == NULL)
			return;
		n->to = slice_of(to);
		n->doubled = true;
	}
	if (bounce_notice_prepare(n) == 0)
		hand_in(n, job, q, out);
	else {
		LOG_ERROR("read-failed", LB("id", job->id), LE());
		status_set(&out->status, 451, 3, 0, READ_FAILED);
	}
	buf_free(&postmaster);
}

void
bounce_job(const struct conf *conf, const struct bounce_job *job,
    int message_fd, struct queue_client *q, struct bounce_result *out)
{
	struct bounce_notice n = {.conf = conf, .kind = job->kind,
	    .to = job->sender, .now_ms = clock_real_ms()};
	char why[STATUS_TEXT_MAX];

	memset(out, 0, sizeof(*out));
	if (qfile_adopt(message_fd, false, &n.q, why) != QFILE_OK) {
		LOG_ERROR("unreadable", LB("id", job->id), LS("why", why));
		status_set(&out->status, 451, 3, 0, READ_FAILED);
		return;
	}
	n.id = id_new(n.now_ms);
	n.told = mem_array(job->recipients.n + 1, sizeof(*n.told));
	if (fits(job, n.q, out))
		work(&n, job, q, out);
	bounce_notice_free(&n);
	free(n.told);
	qfile_free(&n.q);
}

/* ---- the process ---- */

static void
answer(struct chan *c, uint64_t job, const struct bounce_result *r)
{
	struct bounce_done done = {.job = job, .code = r->status.code,
	    .subject = r->status.subject, .detail = r->status.detail,
	    .text = slice_of(r->status.text), .id = slice_of(r->id.s)};

	if (status_class(&r->status) == STATUS_TEMPORARY)
		stats_add(COUNT_NOTICES_LATER, 1);
	chan_send(c, BOUNCE_DONE, &done);
}

int
bounce_process(const struct conf *conf, int job_fd, int queue_fd)
{
	struct bounce_result result = {.id = {{0}}};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct queue_client *q;
	union bounce_msg msg;
	struct chan *c;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	/* Supervisors that signal the whole group: the step in hand is
	 * finished. */
	sigaction(SIGTERM, &ignore, NULL);
	proc_title("notice");
	sandbox_enter(ROLE_BOUNCE, NULL);
	c = chan_new(job_fd, &bounce_contract, CHAN_SERVER);
	q = queue_client_new(queue_fd);
	if (chan_wait(c, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + JOB_WAIT_MS) == CHAN_OK && type == BOUNCE_JOB) {
		if (q != NULL)
			bounce_job(conf, &msg.job, fds[0], q, &result);
		else {
			log_warn("no pipe for a notice");
			close(fds[0]);
			status_set(&result.status, 451, 3, 2,
			    "No pipe to be had");
		}
		answer(c, msg.job.job, &result);
	}
	queue_client_free(&q);
	chan_free(&c);
	return 0;
}
