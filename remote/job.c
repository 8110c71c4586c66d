/*
 * Jobs and verdicts, in a remote process: the envelope as qmgr gave it, and
 * for each recipient what is to be reported.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/io/chan.h"
#include "remote/job.h"

static size_t
text_size(const struct transfer_job *m)
{
	const struct transfer_rcpt *v = m->recipients.v;
	size_t n = m->id.len + m->sender.len + m->envid.len + m->domain.len +
	    m->route.len;

	for (size_t i = 0; i < m->recipients.n; i++)
		n += v[i].address.len + v[i].orcpt.len;
	return n;
}

/* The buffer has its whole room, so that nothing in it moves. */
static struct slice
keep(struct job *j, struct slice s)
{
	size_t at = j->text.len;

	if (s.len == 0)
		return SLICE_EMPTY;
	buf_addslice(&j->text, s);
	return slice_sub(buf_slice(&j->text), at, j->text.len);
}

struct job *
job_new(const struct transfer_job *m, int fd)
{
	const struct transfer_rcpt *v = m->recipients.v;
	struct job *j = mem_alloc(sizeof(*j));

	buf_init(&j->text, text_size(m));
	(void)buf_room(&j->text, j->text.max);
	j->number = m->job;
	j->id = keep(j, m->id);
	j->sender = keep(j, m->sender);
	j->envid = keep(j, m->envid);
	j->domain = keep(j, m->domain);
	j->route_text = keep(j, m->route);
	j->flags = m->flags;
	j->by_at_ms = m->by_at_ms;
	j->fd = fd;
	j->nrcpts = m->recipients.n;
	j->rcpts = mem_array(j->nrcpts, sizeof(*j->rcpts));
	for (size_t i = 0; i < j->nrcpts; i++) {
		j->rcpts[i].number = v[i].number;
		j->rcpts[i].notify = v[i].notify;
		j->rcpts[i].address = keep(j, v[i].address);
		j->rcpts[i].orcpt = keep(j, v[i].orcpt);
	}
	j->dest = TRANSFER_DEST_UNKNOWN;
	return j;
}

void
job_free(struct job **jp)
{
	struct job *j = *jp;
	struct verdict *v;

	if (j == NULL)
		return;
	while ((v = j->verdicts) != NULL) {
		j->verdicts = v->next;
		free(v);
	}
	if (j->fd >= 0)
		close(j->fd);
	buf_free(&j->text);
	free(j->rcpts);
	free(j);
	*jp = NULL;
}

struct verdict *
job_verdict(struct job *j, const struct status *st, bool own)
{
	struct verdict *v = mem_alloc(sizeof(*v));

	v->status = *st;
	v->own = own;
	v->next = j->verdicts;
	j->verdicts = v;
	return v;
}

void
rcpt_judge(struct rcpt *r, const struct verdict *v)
{
	bool temporary = status_class(&v->status) == STATUS_TEMPORARY;

	r->state = temporary ? RCPT_LATER : RCPT_SETTLED;
	if (temporary && v->own && r->verdict != NULL && !r->verdict->own)
		return;
	r->verdict = v;
}

void
job_judge(struct job *j, const struct verdict *v)
{
	for (size_t i = 0; i < j->nrcpts; i++)
		if (j->rcpts[i].state != RCPT_SETTLED)
			rcpt_judge(&j->rcpts[i], v);
}

void
job_fail(struct job *j, uint32_t code, uint32_t subject, uint32_t detail,
    const char *fmt, ...)
{
	char text[STATUS_TEXT_MAX];
	struct status st;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	status_set(&st, code, subject, detail, "%s", text);
	job_judge(j, job_verdict(j, &st, true));
}

size_t
job_nopen(const struct job *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->nrcpts; i++)
		n += j->rcpts[i].state != RCPT_SETTLED &&
		    j->rcpts[i].state != RCPT_LATER;
	return n;
}

size_t
job_nunsettled(const struct job *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->nrcpts; i++)
		n += j->rcpts[i].state != RCPT_SETTLED;
	return n;
}

void
job_reopen(struct job *j)
{
	for (size_t i = 0; i < j->nrcpts; i++)
		if (j->rcpts[i].state != RCPT_SETTLED)
			j->rcpts[i].state = RCPT_OPEN;
}

void
job_answer(const struct job *j, struct chan *c)
{
	struct transfer_outcome *v = mem_array(j->nrcpts, sizeof(*v));
	struct transfer_done done = {.job = j->number,
	    .dest = (uint32_t)j->dest, .host = slice_of(j->host),
	    .outcomes = {v, j->nrcpts}};

	for (size_t i = 0; i < j->nrcpts; i++) {
		const struct rcpt *r = &j->rcpts[i];
		const struct status *st;

		assert(r->verdict != NULL);
		st = &r->verdict->status;
		v[i] = (struct transfer_outcome){.number = r->number,
		    .code = st->code, .subject = st->subject,
		    .detail = st->detail, .text = slice_of(st->text),
		    .own = r->verdict->own, .relayed = r->verdict->relayed};
	}
	chan_send(c, TRANSFER_DONE, &done);
	free(v);
}
