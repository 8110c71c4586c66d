/*
 * A look at all that waits, for those who want the mail for a destination tried
 * now: after a start nobody knows where a deferred message goes before its file
 * was read and authd was asked.  Runs in qmgr, a few messages at a time between
 * those that are due; the names are an admin's, or of etrn_domains.
 *
 * A message that is looked at is taken as if it were due; its recipients for
 * other places go back as they were, and from then on it is known where they
 * go.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "qmgr/dest.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define WANTS_MAX 16
#define STEP 128        /* places of the waiting ones looked at, each time */
#define WANTED_MS 60000 /* for those whose way is still being asked for */

struct sweep {
	uint32_t at;
	int64_t until_ms; /* clock_mono_ms: forgotten then */
	struct want_name {
		char *name; /* owned */
		bool sub, key;
	} v[WANTS_MAX];
	size_t n;
	size_t looked;
};

void
sweep_free(struct qmgr *qm)
{
	struct sweep *s = qm->sweep;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s);
	qm->sweep = NULL;
}

static void
start(struct qmgr *qm, struct slice name, bool sub, bool key)
{
	struct sweep *s;

	if (qm->sweep != NULL && qm->sweep->at == WAIT_END &&
	    clock_mono_ms() >= qm->sweep->until_ms)
		sweep_free(qm);
	if (qm->sweep == NULL)
		qm->sweep = mem_alloc(sizeof(*qm->sweep));
	s = qm->sweep;
	/* The one that was wanted first makes room. */
	if (s->n == WANTS_MAX) {
		free(s->v[0].name);
		memmove(&s->v[0], &s->v[1], (WANTS_MAX - 1) * sizeof(s->v[0]));
		s->n--;
	}
	s->v[s->n++] = (struct want_name){slice_dup(name), sub, key};
	s->at = 0;
	s->looked = 0;
	s->until_ms = clock_mono_ms() + WANTED_MS;
}

void
sweep_start(struct qmgr *qm, struct slice name, bool sub)
{
	start(qm, name, sub, false);
}

void
sweep_start_dest(struct qmgr *qm, struct slice key)
{
	start(qm, key, false, true);
}

bool
sweep_walks(const struct qmgr *qm)
{
	return qm->sweep != NULL && qm->sweep->at != WAIT_END;
}

bool
sweep_wants(const struct qmgr *qm, const struct dest *d)
{
	const struct sweep *s = qm->sweep;
	const struct want_name *w;

	if (s == NULL || (s->at == WAIT_END && clock_mono_ms() >= s->until_ms))
		return false;
	for (size_t i = 0; i < s->n; i++) {
		w = &s->v[i];
		if (w->key ? slice_ieq(slice_of(w->name),
		    slice_mem(d->key, d->len)) :
		    dest_serves(d, slice_of(w->name), w->sub))
			return true;
	}
	return false;
}

bool
sweep_next(struct qmgr *qm, struct wait_info *out)
{
	struct sweep *s = qm->sweep;

	if (!sweep_walks(qm))
		return false;
	if (wait_walk(qm->wait, &s->at, STEP, out) && out->line == 0 &&
	    (out->flags & WAIT_FRESH) == 0) {
		(void)wait_take(qm->wait, &out->id, out);
		out->flags |= WAIT_EARLY;
		s->looked++;
		return true;
	}
	if (s->at == WAIT_END) {
		LOG_INFO("looked-at-all", LU("messages", s->looked),
		    LS("for", s->v[s->n - 1].name));
		s->until_ms = clock_mono_ms() + WANTED_MS;
	}
	return false;
}
