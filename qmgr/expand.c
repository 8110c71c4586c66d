/*
 * Expansions: the recipients that an alias or a forward file puts in place of
 * another.  They are written into the queue file and synced before any of them
 * is delivered, so that neither a restart nor a changed alias delivers twice.
 * Runs in qmgr; the places come from authd's tables and from users' forward
 * files.
 *
 * What gathered in one round of the loop is written first and synced then: the
 * first sync's journal commit often carries the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/proto/delivery.h"
#include "qmgr/counters.h"
#include "qmgr/place.h"
#include "qmgr/qmgr.h"

#define BATCH 16 /* recipients whose expansions are written in one round */
#define TARGET_MAX DELIVERY_PROGRAM_MAX
#define ANCESTORS_MAX 1024

/* The recipients that r came from, r first. */
struct ancestor {
	struct slice address;
	bool forward; /* its mailbox's forward file was read */
};
struct chain {
	struct ancestor v[ANCESTORS_MAX];
	size_t n;
};

void
expand_add(struct qmgr *qm, struct rcpt *r)
{
	r->phase = PHASE_EXPANDING;
	TAILQ_INSERT_TAIL(&qm->expanding, r, list);
}

static void
chain_of(struct qfile *q, const struct rcpt *r, struct chain *c)
{
	uint32_t number = r->number;
	bool forward = r->place != NULL;
	const struct qrcpt *row;
	size_t i;

	c->n = 0;
	while (number != 0 && c->n < ANCESTORS_MAX &&
	    qfile_find(q, number, &i)) {
		row = qfile_rcpt(q, i);
		c->v[c->n++] = (struct ancestor){row->address, forward};
		forward = slice_eq(row->target, PLACE_TARGET_FORWARD);
		number = row->parent;
	}
}

static bool
chain_has(const struct chain *c, struct slice address, bool forward)
{
	for (size_t i = 0; i < c->n; i++)
		if ((c->v[i].forward || !forward) &&
		    slice_ieq(c->v[i].address, address))
			return true;
	return false;
}

/* What a place means behind these ancestors: an address that is one of them is
 * that mailbox itself, and no forward file is read twice. */
static void
settle_place(const struct rcpt *r, const struct chain *chain, struct place *p)
{
	bool own = r->place != NULL &&
	    slice_ieq(r->place->address, p->address);

	if (p->kind == DELIVERY_ADDRESS &&
	    (own || chain_has(chain, p->address, false))) {
		p->kind = DELIVERY_MAILBOX;
		p->no_forward = p->forward;
	} else if (p->kind == DELIVERY_MAILBOX && !p->no_forward)
		p->no_forward = chain_has(chain, p->address, true);
}

bool
expand_one(struct qmgr *qm, struct rcpt *r, struct place *p)
{
	struct chain chain;

	if (r->parent == 0)
		return true; /* no ancestors */
	if (!file_need(qm, r->m))
		return false;
	chain_of(r->m->q, r, &chain);
	settle_place(r, &chain, p);
	return true;
}

static void
refuse(struct qmgr *qm, struct rcpt *r, uint32_t code, uint32_t subject,
    uint32_t detail, const char *text)
{
	struct status st;

	status_set(&st, code, subject, detail, "%s", text);
	outcome_set(qm, r, &st, SLICE_EMPTY);
}

/* The rows for r's places; the targets' octets are kept in `targets`. */
static bool
build(const struct rcpt *r, const struct chain *chain, struct qexpansion *v,
    struct buf *targets)
{
	struct place *p;
	size_t *at = mem_array((size_t)r->nplaces + 1, sizeof(*at));
	struct buf one = BUF_INIT(TARGET_MAX);
	bool good = true;

	for (uint32_t i = 0; i < r->nplaces && good; i++) {
		p = r->places[i];
		settle_place(r, chain, p);
		buf_reset(&one);
		good = place_put_target(p, &one);
		buf_addslice(targets, buf_slice(&one));
		at[i + 1] = targets->len;
		v[i].kind = p->kind;
		v[i].address = p->address;
		v[i].sender = p->sender;
		/* A bounce stays one: <> is nobody's to replace. */
		v[i].has_sender = p->sender.len > 0 &&
		    qfile_env(r->m->q)->from.len > 0;
	}
	/* Only now does the buffer move no more. */
	for (uint32_t i = 0; i < r->nplaces && good; i++)
		v[i].target = slice_sub(buf_slice(targets), at[i], at[i + 1]);
	buf_free(&one);
	free(at);
	return good && !targets->overflow;
}

/* How many took row's place, and was it a list? */
static size_t
children(struct qfile *q, uint32_t number, bool *list)
{
	const struct qrcpt *row;
	size_t n = 0;

	*list = false;
	for (size_t i = 0; i < qfile_nrcpts(q); i++) {
		row = qfile_rcpt(q, i);
		if (row->parent != number)
			continue;
		n++;
		/* What it was given itself: it has no notify then. */
		*list |= row->has_sender && row->notify == 0;
	}
	return n;
}

bool
expansion_is_list(struct qfile *q, uint32_t number)
{
	bool list;

	(void)children(q, number, &list);
	return list;
}

bool
expansion_owed(struct qfile *q, const struct qrcpt *row)
{
	bool list;

	if (row->state != QSTATE_EXPANDED || row->told ||
	    (row->notify & NOTIFY_SUCCESS) == 0)
		return false;
	return children(q, row->number, &list) != 1 || list;
}

/* RFC 3461 5.2.7: the sender who asked for success hears of it; what is said
 * stands in the journal first. */
static void
owe_notice(struct message *m, const struct qrcpt *row, uint32_t n)
{
	struct qattempt a = {.number = row->number,
	    .at_ms = clock_real_ms(),
	    .outcome = "expanded",
	    .host = SLICE_EMPTY};
	struct status st;

	if (!expansion_owed(m->q, row))
		return;
	/* RFC 3463: destination mailbox address valid */
	status_set(&st, 250, 1, 5, "passed on to %u recipient%s", (unsigned)n,
	    n == 1 ? "" : "s");
	a.status = &st;
	(void)qfile_add_attempts(m->q, &a, 1);
	m->owed++;
}

static void
log_expanded(const struct rcpt *r, const struct qexpansion *v)
{
	stats_add(COUNT_EXPANDED, 1);
	LOG_INFO("expanded", LS("id", r->m->id.s), LB("to", r->address),
	    LS("by", r->place != NULL ? "forward" : "alias"),
	    LU("recipients", r->nplaces), LB("first", v[0].address));
}

static int
append(struct rcpt *r, const struct chain *chain)
{
	struct qexpansion *v = mem_array(r->nplaces, sizeof(*v));
	struct buf targets = BUF_INIT((size_t)r->nplaces * TARGET_MAX);
	int result = -1;
	size_t row;

	errno = EINVAL;
	if (build(r, chain, v, &targets) &&
	    qfile_find(r->m->q, r->number, &row))
		result = qfile_add_expansion(r->m->q, row, v, r->nplaces);
	if (result == 0) {
		log_expanded(r, v);
		owe_notice(r->m, qfile_rcpt(r->m->q, row), r->nplaces);
	}
	buf_free(&targets);
	free(v);
	return result;
}

/*
 * Writes r's expansion into its file.  True: it is there and must be synced.
 * Otherwise r has ended, or its message is stopped.
 */
static bool
write_expansion(struct qmgr *qm, struct rcpt *r)
{
	struct chain chain;
	struct message *m = r->m;

	if (!file_need(qm, m))
		return false;
	chain_of(m->q, r, &chain);
	if (chain.n > qm->conf.alias_depth_max || chain.n == ANCESTORS_MAX) {
		refuse(qm, r, 550, 4, 6, "aliases and forwards nest too "
		    "deep");
		return false;
	}
	if (qfile_nrcpts(m->q) - m->noriginal + r->nplaces >
	    qm->conf.expansion_max) {
		refuse(qm, r, 550, 2, 4, "expands to too many recipients");
		return false;
	}
	if (append(r, &chain) == 0) {
		m->pinned = true; /* until it is synced */
		return true;
	}
	if (errno == EINVAL || errno == EOVERFLOW) {
		/* Nothing the sender could do about it. */
		refuse(qm, r, 451, 3, 5, "expands to something that cannot be "
		    "written down");
		return false;
	}
	LOG_ERROR("expansion-not-written", LS("id", m->id.s),
	    LB("to", r->address), LE());
	m->verdict = VERDICT_FAULT;
	return false;
}

/* The batch's files, each once.  What cannot be synced is not trusted. */
static void
sync_batch(struct rcpt *const *batch, size_t n)
{
	struct message *m;

	/* All have their blocks before the first commit, which then carries
	 * the others. */
	for (size_t i = 0; n > 1 && i < n; i++)
		if (batch[i]->m->verdict == VERDICT_GOOD)
			(void)sync_file_range(qfile_fd(batch[i]->m->q), 0, 0,
			    SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < n; i++) {
		m = batch[i]->m;
		if (m->journalled || m->verdict != VERDICT_GOOD)
			continue;
		m->journalled = true;
		if (qfile_sync(m->q) == 0)
			continue;
		LOG_ERROR("expansion-not-synced", LS("id", m->id.s), LE());
		m->verdict = VERDICT_FAULT;
	}
}

/* r was replaced: the new ones are taken from the file. */
static void
replaced(struct qmgr *qm, struct rcpt *r)
{
	struct message *m = r->m;

	m->pinned = m->journalled = false;
	if (m->verdict == VERDICT_GOOD) {
		m->open_rcpts += r->nplaces;
		qm->open_rcpts += r->nplaces;
		m->nfile += r->nplaces;
		m->todo += r->nplaces;
		m->todo--;
	}
	message_drop_rcpt(qm, r);
	/* A message to a large list is bulk mail from now on. */
	if (m->nlive == 0 && m->turn == TURN_NORMAL)
		message_classify(qm, m);
	if (m->verdict == VERDICT_GOOD)
		message_progress(qm, m);
	else
		message_stop(qm, m);
}

bool
expand_flush(struct qmgr *qm)
{
	struct rcpt *batch[BATCH], *r;
	struct message *m;
	size_t n = 0;

	while (n < BATCH && (r = TAILQ_FIRST(&qm->expanding)) != NULL) {
		m = r->m;
		TAILQ_REMOVE(&qm->expanding, r, list);
		r->phase = PHASE_JOURNAL;
		/* Without a good file r goes with its message, below. */
		if (write_expansion(qm, r) || m->verdict != VERDICT_GOOD)
			batch[n++] = r;
	}
	sync_batch(batch, n);
	for (size_t i = 0; i < n; i++)
		replaced(qm, batch[i]);
	return !TAILQ_EMPTY(&qm->expanding);
}
