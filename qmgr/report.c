/*
 * What senders are told: which notices a message owes, one after the other, by
 * way of bounce.  Runs in qmgr; bounce itself reads the queue file and writes
 * the words.
 *
 * A notice is owed when the message has come to rest, so that all that failed
 * in one round is told at once.  States and attempts are in the file before it
 * is asked for; what was told is marked when it is durable.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/proto/bounce.h"
#include "common/proto/sockets.h"
#include "qmgr/counters.h"
#include "qmgr/qmgr.h"

struct report {
	enum bounce_kind kind;
	char *sender;       /* owned: who is told */
	size_t sender_len;
	size_t *rows;       /* owned: indexes in the file, rising */
	size_t n;
	bool last;          /* DELAY: nobody else is to be warned */
};

void
report_free(struct report **rp)
{
	struct report *report = *rp;

	if (report == NULL)
		return;
	free(report->sender);
	free(report->rows);
	free(report);
	*rp = NULL;
}

/* ---- who is told ---- */

/* RFC 3461 4.1: what the sender wants to hear of. */
static bool
wants_failure(const struct qrcpt *row)
{
	return row->notify == 0 || (row->notify & NOTIFY_FAILURE) != 0;
}

/* Nobody is told: as the sender wishes, or because nobody is left. */
static bool
is_quiet(const struct message *m, const struct qrcpt *row)
{
	bool nobody = duty_sender(m, row).len == 0;

	switch (row->state) {
	case QSTATE_FAILED:
		return !wants_failure(row) ||
		    (nobody && (m->flags & ENV_DOUBLE) != 0);
	case QSTATE_SUCCESS:
		return nobody;
	case QSTATE_EXPANDED:
		return nobody && expansion_owed(m->q, row);
	default:
		return false;
	}
}

/* RFC 2852 4.3: of a deadline hears who does not say NEVER; otherwise who says
 * DELAY, or nothing. */
static bool
wants_delay(const struct message *m, const struct qrcpt *row)
{
	if ((row->notify & NOTIFY_NEVER) != 0)
		return false;
	return row->notify == 0 || (row->notify & NOTIFY_DELAY) != 0 ||
	    duty_late(m, clock_real_ms());
}

static bool
was_warned(const struct message *m, size_t i)
{
	return m->told_rows != NULL && (m->told_rows[i / 8] & 1 << i % 8) != 0;
}

static bool
is_owed(const struct message *m, enum bounce_kind kind, size_t i)
{
	const struct qrcpt *row = qfile_rcpt(m->q, i);

	switch (kind) {
	case BOUNCE_FAILURE:
		return row->state == QSTATE_FAILED;
	case BOUNCE_SUCCESS:
		return row->state == QSTATE_SUCCESS ||
		    expansion_owed(m->q, row);
	case BOUNCE_DELAY:
		return row->state == QSTATE_TODO && !was_warned(m, i) &&
		    duty_sender(m, row).len > 0 && wants_delay(m, row);
	}
	return false;
}

/* ---- marking ---- */

/* Counts what row becomes. */
static char
told_state(struct message *m, const struct qrcpt *row)
{
	if (row->state == QSTATE_FAILED) {
		m->failed--;
		return QSTATE_BOUNCED;
	}
	m->owed--;
	return QSTATE_DONE;
}

/* False: not written; it is tried again. */
static bool
mark(struct qmgr *qm, struct message *m, const size_t *rows, size_t n)
{
	size_t *todo = mem_array(n, sizeof(*todo)), ntodo = 0;
	char *states = mem_array(n, 1);
	const struct qrcpt *row;
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		row = qfile_rcpt(m->q, rows[i]);
		if (row->state == QSTATE_EXPANDED) {
			good &= qfile_set_told(m->q, rows[i]) == 0;
			m->owed--;
			continue;
		}
		todo[ntodo] = rows[i];
		states[ntodo++] = told_state(m, row);
	}
	/* One that is done goes away as it is. */
	if (ntodo > 0 && (m->todo > 0 || m->failed > 0 || m->owed > 0))
		good &= qfile_set_states(m->q, todo, states, ntodo) == 0;
	free(todo);
	free(states);
	if (good)
		file_sync_later(qm, m);
	else
		LOG_ERROR("notice-not-recorded", LS("id", m->id.s), LE());
	return good;
}

/* Those nobody hears of. */
static void
mark_quiet(struct qmgr *qm, struct message *m)
{
	size_t *rows = NULL, n = 0, cap = 0;
	const struct qrcpt *row;

	if (m->failed == 0 && m->owed == 0)
		return;
	for (size_t i = 0; i < qfile_nrcpts(m->q); i++) {
		row = qfile_rcpt(m->q, i);
		if (!is_quiet(m, row))
			continue;
		MEM_PUSH(rows, n, cap, i);
		if (row->state == QSTATE_FAILED)
			LOG_INFO("not-bounced", LS("id", m->id.s),
			    LB("to", row->address), LS("why",
			    wants_failure(row) ? "a bounce of a bounce" :
			    "the sender does not want to know"));
	}
	if (n > 0)
		(void)mark(qm, m, rows, n);
	free(rows);
}

/* ---- the next one ---- */

static struct report *
collect(struct message *m, enum bounce_kind kind)
{
	struct report *report = NULL;
	struct slice sender, first = SLICE_EMPTY;
	size_t cap = 0;
	size_t i;

	for (i = 0; i < qfile_nrcpts(m->q); i++) {
		if (!is_owed(m, kind, i))
			continue;
		sender = duty_sender(m, qfile_rcpt(m->q, i));
		if (report == NULL) {
			report = mem_alloc(sizeof(*report));
			report->kind = kind;
			report->sender = slice_dup(sender);
			report->sender_len = sender.len;
			report->last = true;
			first = sender;
		}
		if (report->n == BOUNCE_RCPTS_MAX ||
		    !slice_eq(sender, first)) {
			report->last = false;
			continue;
		}
		MEM_PUSH(report->rows, report->n, cap, i);
	}
	return report;
}

static struct report *
find_next(struct qmgr *qm, struct message *m)
{
	int64_t now_ms = clock_real_ms();
	struct report *report = NULL;

	if (m->failed > 0)
		report = collect(m, BOUNCE_FAILURE);
	if (report == NULL && m->owed > 0)
		report = collect(m, BOUNCE_SUCCESS);
	if (report != NULL || !duty_warn(qm, m, now_ms))
		return report;
	report = collect(m, BOUNCE_DELAY);
	/* Nobody wants to hear of it: not looked at again for that. */
	if (report == NULL) {
		m->late |= duty_late(m, now_ms);
		m->warned = true;
	}
	return report;
}

bool
report_next(struct qmgr *qm, struct message *m)
{
	struct report *report;

	if (m->mute || !duty_due(qm, m, clock_real_ms()))
		return false;
	mark_quiet(qm, m);
	report = find_next(qm, m);
	if (report == NULL)
		return false;
	lane_add(qm, message_add_report(qm, m, report), LANE_REPORT, false);
	return true;
}

/* ---- jobs ---- */

static enum bounce_action
action_of(const struct message *m, const struct report *report, size_t i)
{
	const struct qrcpt *row = qfile_rcpt(m->q, i);

	if (report->kind == BOUNCE_FAILURE)
		return BOUNCE_FAILED;
	if (report->kind == BOUNCE_DELAY)
		return BOUNCE_DELAYED;
	if (row->state == QSTATE_EXPANDED)
		return expansion_is_list(m->q, row->number) ?
		    BOUNCE_DELIVERED : BOUNCE_EXPANDED;
	return slice_eq(row->outcome, SLICE("relayed")) ? BOUNCE_RELAYED :
	    BOUNCE_DELIVERED;
}

static enum start
report_start(struct qmgr *qm, struct rcpt *r, uint64_t number)
{
	const struct report *report = r->report;
	struct message *m = r->m;
	enum start failed = START_NOT;
	struct bounce_job job = {.job = number,
	    .id = slice_of(m->id.s),
	    .kind = report->kind,
	    .sender = slice_mem(report->sender, report->sender_len)};
	struct bounce_rcpt *v;
	int fd;

	if (!file_need(qm, m))
		return START_NOT;
	fd = job_open(qm, m, &failed);
	if (fd == -1)
		return failed;
	v = mem_array(report->n, sizeof(*v));
	for (size_t i = 0; i < report->n; i++) {
		v[i].number = qfile_rcpt(m->q, report->rows[i])->number;
		v[i].action = action_of(m, report, report->rows[i]);
		if (report->kind == BOUNCE_DELAY)
			v[i].until_ms = (uint64_t)duty_end_ms(qm, m);
	}
	job.recipients = (struct chan_list){v, report->n};
	chan_link_queue(qm->lanes[LANE_REPORT].link, BOUNCE_JOB, &job, &fd, 1);
	free(v);
	return START_OK;
}

/* ---- answers ---- */

static void
warned(struct message *m, const struct report *report)
{
	int64_t now_ms = clock_real_ms();
	bool late = duty_late(m, now_ms);

	if (m->told_rows == NULL)
		m->told_rows = mem_array(qfile_nrcpts(m->q) / 8 + 1, 1);
	for (size_t i = 0; i < report->n; i++)
		m->told_rows[report->rows[i] / 8] |=
		    (uint8_t)(1 << report->rows[i] % 8);
	if (!report->last)
		return;
	/* Before its time only the deadline was the reason. */
	if ((late && qfile_add_note(m->q, "late", SLICE_EMPTY, now_ms) != 0) ||
	    qfile_add_note(m->q, "warned", SLICE_EMPTY, now_ms) != 0)
		LOG_ERROR("notice-not-recorded", LS("id", m->id.s), LE());
	m->late |= late;
	m->warned = true;
}

static void
log_report(const struct message *m, const struct report *report,
    const struct status *st, struct slice id)
{
	static const char *const kinds[] = {[BOUNCE_FAILURE] = "failure",
	    [BOUNCE_DELAY] = "delay", [BOUNCE_SUCCESS] = "success"};
	char enhanced[STATUS_ENHANCED_SIZE];

	status_enhanced(st, enhanced);
	stats_add(COUNT_REPORTED, 1);
	LOG_INFO(status_class(st) == STATUS_OK ? "reported" : "not-reported",
	    LS("id", m->id.s), LS("kind", kinds[report->kind]),
	    LB("to", slice_mem(report->sender, report->sender_len)),
	    LU("recipients", report->n), LB("notice", id),
	    LS("status", enhanced), LS("said", st->text));
}

void
report_ended(struct qmgr *qm, struct rcpt *r, const struct status *st,
    struct slice id)
{
	struct message *m = r->m;
	const struct report *report = r->report;

	log_report(m, report, st, id);
	if (status_class(st) == STATUS_TEMPORARY || !file_need(qm, m) ||
	    report->rows[report->n - 1] >= qfile_nrcpts(m->q))
		m->mute = true;
	else if (report->kind == BOUNCE_DELAY)
		warned(m, report);
	else if (!mark(qm, m, report->rows, report->n))
		m->mute = true;
	message_drop_rcpt(qm, r);
	message_progress(qm, m);
}

static bool
report_record(void *arg, uint16_t type, const void *msg, const int *fds,
    size_t nfds)
{
	const union bounce_msg *b = msg;
	struct qmgr *qm = arg;
	struct lane *lane = &qm->lanes[LANE_REPORT];
	struct rcpts freed;
	struct status st;
	struct rcpt *r;

	(void)fds, (void)nfds;
	switch (type) {
	case BOUNCE_READY:
		lane_up(qm, lane, b->ready.capacity);
		return true;
	case BOUNCE_DONE:
		r = lane_find(lane, b->done.job);
		if (r == NULL) {
			LOG_WARN("unknown-job", LS("daemon", lane->name),
			    LU("job", b->done.job));
			return false;
		}
		lane_release(qm, r, &freed);
		if (b->done.code < 200 || b->done.code / 100 == 3)
			status_set(&st, 451, 3, 0,
			    "bounce answered with code %u",
			    (unsigned)b->done.code);
		else
			status_set(&st, b->done.code, b->done.subject,
			    b->done.detail, "%.*s", SLICE_FMT(b->done.text));
		report_ended(qm, r, &st, b->done.id);
		return true;
	default:
		return false;
	}
}

static void
report_down(void *arg)
{
	struct qmgr *qm = arg;

	lane_down(qm, &qm->lanes[LANE_REPORT]);
}

void
report_init(struct qmgr *qm)
{
	static const struct chan_link_ops ops = {.record = report_record,
	    .down = report_down};
	struct lane *lane = &qm->lanes[LANE_REPORT];

	lane->start = report_start;
	/* Up when READY says for how many jobs. */
	lane->link = chan_link_new(qm->loop, SOCKET_BOUNCE, &bounce_contract,
	    &ops, qm);
}
