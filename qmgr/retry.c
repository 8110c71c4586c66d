/*
 * The schedule of retries: a pure function of configuration, age and number of
 * attempts, so that `postern explain` can say why a time was chosen.  Runs in
 * qmgr; no input of its own.
 */
#include "qmgr/retry.h"

#define DOUBLINGS_MAX 40 /* 10 ms doubled so often is beyond any bound */

struct retry
retry_next(const struct retry_conf *c, int64_t created_ms, int64_t now_ms,
    uint32_t attempts, uint32_t random)
{
	struct retry r = {false, 0, attempts <= 1 ? "first" : "retry"};
	int64_t pause = c->first_ms, end = created_ms + c->lifetime_ms;
	uint32_t doublings = attempts > 1 ? attempts - 1 : 0;

	if (now_ms >= end) {
		r.expired = true;
		r.rule = "lifetime";
		return r;
	}
	if (doublings > DOUBLINGS_MAX)
		doublings = DOUBLINGS_MAX;
	while (doublings-- > 0 && pause < c->max_ms)
		pause *= 2;
	if (pause >= c->max_ms) {
		pause = c->max_ms;
		if (attempts > 1)
			r.rule = "retry-max";
	}
	/* 90 % to 110 % of it, in thousandths */
	pause = pause / 1000 * (900 + random % 201) +
	    pause % 1000 * (900 + random % 201) / 1000;
	r.next_ms = now_ms + (pause > 0 ? pause : 1);
	if (r.next_ms > end) {
		r.next_ms = end;
		r.rule = "lifetime";
	}
	return r;
}
