/*
 * What a message asks for by its age: the end of its lifetime, its deadline
 * (RFC 2852), the warning that it is late.  Runs in qmgr; no input of its own.
 */
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

bool
duty_deadline(const struct message *m)
{
	return m->by_at_ms != 0 && (m->flags & ENV_BY_RETURN) != 0;
}

int64_t
duty_end_ms(const struct qmgr *qm, const struct message *m)
{
	int64_t end_ms = id_time_ms(&m->id) + (m->from_len > 0 ?
	    qm->retry.lifetime_ms : (int64_t)qm->conf.bounce_lifetime_ms);

	return duty_deadline(m) && m->by_at_ms < end_ms ? m->by_at_ms : end_ms;
}

bool
duty_over(const struct qmgr *qm, const struct message *m, int64_t now_ms)
{
	return now_ms >= duty_end_ms(qm, m);
}

/* When the sender hears that it takes long; WAIT_NEVER: not again. */
static int64_t
warning_ms(const struct qmgr *qm, const struct message *m)
{
	if (qm->conf.delay_warning_ms == 0 || m->warned || m->from_len == 0)
		return WAIT_NEVER;
	return id_time_ms(&m->id) + (int64_t)qm->conf.delay_warning_ms;
}

/* RFC 2852 4.3: mode N, a notice at the deadline */
static int64_t
late_ms(const struct message *m)
{
	return m->by_at_ms != 0 && (m->flags & ENV_BY_NOTIFY) != 0 &&
	    !m->late && m->from_len > 0 ? m->by_at_ms : WAIT_NEVER;
}

bool
duty_late(const struct message *m, int64_t now_ms)
{
	return m->todo > 0 && late_ms(m) <= now_ms;
}

bool
duty_warn(const struct qmgr *qm, const struct message *m, int64_t now_ms)
{
	return m->todo > 0 && (warning_ms(qm, m) <= now_ms ||
	    duty_late(m, now_ms));
}

bool
duty_due(const struct qmgr *qm, const struct message *m, int64_t now_ms)
{
	return m->failed > 0 || m->owed > 0 || duty_warn(qm, m, now_ms);
}

int64_t
duty_next_ms(const struct qmgr *qm, const struct message *m, int64_t now_ms)
{
	const int64_t times[] = {duty_end_ms(qm, m), warning_ms(qm, m),
	    late_ms(m)};
	int64_t next_ms = WAIT_NEVER;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] > now_ms && times[i] < next_ms)
			next_ms = times[i];
	return next_ms;
}

struct slice
duty_sender(const struct message *m, const struct qrcpt *row)
{
	return row->has_sender ? row->sender : slice_mem(m->from, m->from_len);
}
