/*
 * The concurrency of a destination.  Runs in qmgr; what it hears comes from
 * remote.
 *
 * It begins with a few jobs, gets one more whenever as many as it has went well,
 * and half of them when it is too busy or cannot be reached.  A destination is
 * down when a job did not reach it and nothing has gone well since that job
 * began; from then on it is left alone but for one probe now and then, with
 * pauses that double.
 */
#include "qmgr/adapt.h"

#define BUSY_MAX 3

void
adapt_init(struct adapt *a, const struct adapt_conf *c)
{
	*a = (struct adapt){.limit = c->first < c->most ? c->first : c->most,
	    .fine_ms = INT64_MIN,
	    .cut_ms = INT64_MIN,
	    .tried_ms = INT64_MIN};
}

static enum adapt_change
fine(struct adapt *a, const struct adapt_conf *c, int64_t now_ms)
{
	bool was_down = a->down;

	a->fine_ms = now_ms;
	a->busy = a->probes = 0;
	a->down = false;
	a->well = true;
	if (was_down) {
		a->good = 0;
		adapt_init(a, c);
		a->fine_ms = now_ms;
		a->well = true;
		return ADAPT_UP;
	}
	if (++a->good >= a->limit) {
		a->good = 0;
		if (a->limit < c->most)
			a->limit++;
	}
	if (a->limit > c->most)
		a->limit = c->most;
	return ADAPT_SAME;
}

static enum adapt_change
down(struct adapt *a, const struct adapt_conf *c, int64_t now_ms,
    uint32_t random)
{
	int64_t pause = c->probe_first_ms;

	for (uint32_t i = 0; i < a->probes && pause < c->probe_max_ms; i++)
		pause *= 2;
	if (pause > c->probe_max_ms)
		pause = c->probe_max_ms;
	/* 90 % to 110 % of it */
	pause = pause * (900 + (int64_t)(random % 201)) / 1000;
	if (a->probes < UINT32_MAX)
		a->probes++;
	if (!a->down)
		a->down_ms = now_ms;
	a->down = true;
	a->busy = 0;
	a->next_ms = now_ms + (pause > 0 ? pause : 1);
	return ADAPT_DOWN;
}

/* What was begun before is not counted once more. */
static void
halve(struct adapt *a, int64_t now_ms)
{
	a->cut_ms = now_ms;
	a->well = false;
	a->good = 0;
	a->limit /= 2;
	if (a->limit == 0)
		a->limit = 1;
}

enum adapt_change
adapt_result(struct adapt *a, const struct adapt_conf *c,
    enum transfer_dest what, int64_t started_ms, int64_t now_ms,
    uint32_t random)
{
	if (started_ms > a->tried_ms)
		a->tried_ms = started_ms;
	switch (what) {
	case TRANSFER_DEST_FINE:
		return fine(a, c, now_ms);
	case TRANSFER_DEST_BUSY:
		if (a->down)
			return started_ms >= a->down_ms ?
			    down(a, c, now_ms, random) : ADAPT_SAME;
		if (started_ms < a->cut_ms)
			return ADAPT_SAME;
		if (a->limit == 1 && ++a->busy >= BUSY_MAX)
			return down(a, c, now_ms, random);
		halve(a, now_ms);
		return ADAPT_SAME;
	case TRANSFER_DEST_DOWN:
		if (a->down)
			return started_ms >= a->down_ms ?
			    down(a, c, now_ms, random) : ADAPT_SAME;
		if (started_ms >= a->cut_ms)
			halve(a, now_ms);
		return a->fine_ms >= started_ms ? ADAPT_SAME :
		    down(a, c, now_ms, random);
	case TRANSFER_DEST_UNKNOWN:
		break;
	}
	/* A probe that told nothing is made again a little later. */
	if (a->down && started_ms >= a->down_ms && now_ms >= a->next_ms)
		a->next_ms = now_ms + c->probe_first_ms;
	return ADAPT_SAME;
}
